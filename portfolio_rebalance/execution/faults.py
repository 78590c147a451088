"""The fault script of the paper venue: what goes wrong at which order.

A script says ``2:timeout_after, 3:partial=0.4, 5:price_jump=-3%``: at the n-th order that the venue receives,
counted from 1. ``4+:refuse`` means that order and every later one. One order may have a price fault, a fill
fault and an answer fault at once; two of the same group contradict each other and are refused. Parsing is
strict, because a mistyped fault would be a rehearsal of nothing. ``docs/paper-broker.md`` describes each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal, Self

from portfolio_rebalance.errors import BadDataError, MissingDataError, UsageError
from portfolio_rebalance.workspace.files import read_text

__all__ = ["FAULTS", "Fault", "FaultScript", "OrderFaults", "load_faults"]

FAULTS: Final = "portfolio-rebalance/paper-faults.txt"

Group = Literal["price", "fill", "answer"]

_ENTRY: Final = re.compile(r"([1-9]\d{0,5})(\+?)\s*:\s*([a-z_]+)(?:\s*=\s*(\S+))?", re.ASCII)
_COUNT: Final = re.compile(r"[1-9]", re.ASCII)
_SHARE: Final = re.compile(r"0\.\d{1,6}", re.ASCII)
_PERCENT: Final = re.compile(r"([+-]?\d{1,3}(?:\.\d{1,6})?)%", re.ASCII)
_LEAST_PERCENT: Final = -99
_MOST_PERCENT: Final = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """How a fault is written.

    Attributes:
        amount: What stands after ``=``.
        most: Largest count.
        default: Count where none is written; None where one must be.
    """

    group: Group
    amount: Literal["none", "count", "share", "percent"] = "none"
    most: int = 9
    default: int | None = None


# An order that is late by more polls than the executor asks for cannot be told from one that never arrived,
# so that no evidence could be right about it: three is the most.
_FORMS: Final = {
    "refuse": _Form(group="answer"),
    "timeout_before": _Form(group="answer"),
    "timeout_after": _Form(group="answer"),
    "disconnect": _Form(group="answer", amount="count", default=2),
    "duplicate_report": _Form(group="answer"),
    "late": _Form(group="answer", amount="count", most=3, default=2),
    "partial": _Form(group="fill", amount="share"),
    "slow_fill": _Form(group="fill", amount="count", default=3),
    "price_jump": _Form(group="price", amount="percent"),
    "price_jump_all": _Form(group="price", amount="percent"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One entry of a script.

    Attributes:
        order: Number of the order among those that the venue receives, from 1.
        later_too: Whether it holds for every later order as well.
        kind: ``refuse``, ``partial``, ... as written.
        amount: A count, a share of the quantity, or percent of the price; None for faults without one.
    """

    order: int
    later_too: bool = False
    kind: str
    amount: Decimal | None = None

    @property
    def group(self) -> Group:
        """What it concerns: the price, the fill, or the answer."""
        return _FORMS[self.kind].group

    @property
    def count(self) -> int:
        """The amount of a fault that counts calls or parts."""
        assert self.amount is not None, f"{self.kind} has no count"
        return int(self.amount)

    def __str__(self) -> str:
        """The entry as it is written."""
        head = f"{self.order}{'+' if self.later_too else ''}:{self.kind}"
        match _FORMS[self.kind].amount:
            case "none":
                return head
            case "percent":
                return f"{head}={_plain(self.amount, signed=True)}%"
            case _:
                return f"{head}={_plain(self.amount, signed=False)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFaults:
    """What goes wrong at one order; None for what goes right."""

    price: Fault | None = None
    fill: Fault | None = None
    answer: Fault | None = None


@dataclass(frozen=True, slots=True)
class FaultScript:
    """What goes wrong at which order; false when nothing does. Two with the same text are equal."""

    entries: tuple[Fault, ...] = ()

    @classmethod
    def parse(cls, text: str, *, where: str = "faults") -> Self:
        """A script from entries between commas or line ends; ``#`` begins a comment.

        Args:
            text: Such as ``2:timeout_after, 3:partial=0.4``; empty for a venue without faults.
            where: How errors name the text; the line is added.

        Raises:
            UsageError: An unknown fault, an amount that it does not take, or two faults that contradict
                each other.
        """
        found: dict[tuple[int, bool, Group], Fault] = {}
        for number, line in enumerate(text.split("\n"), start=1):
            place = f"{where}:{number}"
            for written in line.partition("#")[0].split(","):
                if not written.strip():
                    continue
                fault = _parsed(written.strip(), place)
                other = found.setdefault((fault.order, fault.later_too, fault.group), fault)
                if other is not fault:
                    raise UsageError(
                        f"{other} and {fault} cannot both happen.",
                        where=place,
                        fix="Keep one: an order has one price, one fill and one answer fault at most.",
                    )
        return cls(tuple(found[key] for key in sorted(found)))

    def __bool__(self) -> bool:
        """Whether anything goes wrong at all."""
        return bool(self.entries)

    def __str__(self) -> str:
        """The canonical text: :meth:`parse` gives an equal script."""
        return ", ".join(map(str, self.entries))

    def at(self, order: int) -> OrderFaults:
        """What goes wrong at the n-th order.

        An entry for that order alone comes before one that began earlier, and of those the latest.
        """
        chosen: dict[Group, Fault] = {}
        for fault in sorted(self.entries, key=lambda one: (not one.later_too, one.order)):
            if fault.order == order or (fault.later_too and fault.order < order):
                chosen[fault.group] = fault
        return OrderFaults(price=chosen.get("price"), fill=chosen.get("fill"), answer=chosen.get("answer"))


def load_faults(root: Path) -> FaultScript:
    """The script in the workspace's ``paper-faults.txt``; an empty one where there is no such file.

    Empty and not None: a file that was removed disarms what an earlier run armed.

    Raises:
        UnsafePathError: It is not a plain file of one name.
        BadDataError: It cannot be read, or an entry is not understood.
    """
    try:
        file = read_text(root, FAULTS)
    except MissingDataError:
        return FaultScript()
    try:
        return FaultScript.parse(file.text, where=file.label)
    except UsageError as error:
        raise BadDataError(error.what, where=error.where, fix=error.fix) from None


def _parsed(written: str, where: str) -> Fault:
    match = _ENTRY.fullmatch(written)
    form = _FORMS.get(match[3]) if match else None
    if match is None or form is None:
        shown = written if len(written) < 60 and written.isprintable() else ascii(written[:60])
        raise UsageError(f"`{shown}` is not a fault of an order.", where=where, fix=_ALLOWED)
    amount = _amount(form, match[4])
    if amount is None and form.amount != "none":
        raise UsageError(
            f"`{match[3]}` needs another amount than {match[4] or 'none'}.",
            where=where,
            fix=f"Write {_usage(match[3])}.",
        )
    if form.amount == "none" and match[4] is not None:
        raise UsageError(f"`{match[3]}` takes no amount.", where=where, fix=f"Write {_usage(match[3])}.")
    return Fault(order=int(match[1]), later_too=bool(match[2]), kind=match[3], amount=amount)


def _amount(form: _Form, written: str | None) -> Decimal | None:
    """The amount as written or by default; None where it is not one that the form takes."""
    match form.amount:
        case "count" if written is None:
            return None if form.default is None else Decimal(form.default)
        case "count" if written and _COUNT.fullmatch(written) and int(written) <= form.most:
            return Decimal(written)
        case "share" if written and _SHARE.fullmatch(written) and Decimal(written) > 0:
            return Decimal(written)
        case "percent" if written and (match := _PERCENT.fullmatch(written)):
            percent = Decimal(match[1])
            return percent if percent and _LEAST_PERCENT <= percent <= _MOST_PERCENT else None
        case _:
            return None


def _usage(kind: str) -> str:
    form = _FORMS[kind]
    match form.amount:
        case "none":
            return kind
        case "count":
            return f"{kind}=1 to {kind}={form.most}"
        case "share":
            return f"{kind}=0.4 (above 0, below 1)"
        case "percent":
            return f"{kind}=-3% ({_LEAST_PERCENT}% to +{_MOST_PERCENT}%)"


_ALLOWED: Final = (
    "Write N:FAULT for the N-th order, or N+:FAULT from the N-th on, with one of "
    + ", ".join(_usage(kind) for kind in _FORMS)
    + "."
)


def _plain(amount: Decimal | None, *, signed: bool) -> str:
    assert amount is not None
    text = format(amount, "+f" if signed else "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
