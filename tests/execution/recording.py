"""Wrappers that see every call to a venue and to the journal, and can end the process at any of them.

Both write to one log, so that the order of the calls, across both and across restarts, is known exactly: hand
the log of the first process to the wrappers of the second. Calls are numbered from 1 along that log.

Each call calls back twice, before the real part hears of it and after it has answered. Whatever the callback
raises replaces the answer: `crash_at` gives one that raises `Crash`, which no `except Exception` catches,
like a process that is gone. A crash "before" leaves the venue or the disk untouched, one "after" leaves it
changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeVar

from portfolio_rebalance.execution.broker import Broker, Holdings, Instrument, Order, OrderReport
from portfolio_rebalance.execution.journal import Journal
from portfolio_rebalance.records import (
    Market,
    OpenExecution,
    OrderFill,
    StartedExecution,
    Step,
    StepState,
    StoredStep,
)

CallName = Literal[
    "holdings", "markets", "place", "find", "cancel", "audit",
    "start", "unfinished", "steps", "mark_sent", "settle", "revert", "need_operator",
]  # fmt: skip
Moment = Literal["before", "after"]
OnCall = Callable[[int, Moment, CallName], None]

JOURNAL_CALLS: frozenset[CallName] = frozenset(
    {"start", "unfinished", "steps", "mark_sent", "settle", "revert", "need_operator"}
)

_R = TypeVar("_R")


class Crash(BaseException):
    """The process ended here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMark:
    """What the journal was told of a step."""

    plan_id: str
    index: int
    state: StepState


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call.

    Attributes:
        number: From 1.
        argument: The order, the instruments or the mark; None where there is none to keep.
        reached: Whether the real part heard of it.
        result: What it answered.
        error: What it raised, or what the callback raised before it was reached.
    """

    number: int
    name: CallName
    argument: Order | frozenset[Instrument] | StepMark | None = None
    reached: bool = True
    result: object = None
    error: BaseException | None = None

    @property
    def answered(self) -> bool:
        return self.reached and self.error is None


def crash_at(number: int, moment: Moment) -> OnCall:
    """A callback that ends the process at one call."""

    def on_call(called: int, now: Moment, name: CallName) -> None:
        if (called, now) == (number, moment):
            raise Crash(f"{moment} call {number}, {name}")

    return on_call


def _nothing(number: int, moment: Moment, name: CallName) -> None:
    """The callback of a run that is only watched."""


class _Recorder:
    def __init__(self, log: list[Call] | None, on_call: OnCall | None) -> None:
        self.log = [] if log is None else log
        self._on_call = on_call or _nothing

    def _record(
        self,
        name: CallName,
        act: Callable[[], _R],
        argument: Order | frozenset[Instrument] | StepMark | None = None,
    ) -> _R:
        number = len(self.log) + 1
        try:
            self._on_call(number, "before", name)
        except BaseException as error:
            self.log.append(Call(number=number, name=name, argument=argument, reached=False, error=error))
            raise
        try:
            result = act()
        except BaseException as error:
            self.log.append(Call(number=number, name=name, argument=argument, error=error))
            self._on_call(number, "after", name)
            raise
        self.log.append(Call(number=number, name=name, argument=argument, result=result))
        self._on_call(number, "after", name)
        return result


class RecordingBroker(_Recorder):
    """A `Broker` that another one answers for.

    Attributes:
        log: Every call so far; shared with whoever handed it in.
    """

    def __init__(
        self, broker: Broker, *, log: list[Call] | None = None, on_call: OnCall | None = None
    ) -> None:
        super().__init__(log, on_call)
        self._broker = broker

    @property
    def name(self) -> str:
        return self._broker.name

    @property
    def live(self) -> bool:
        return self._broker.live

    @property
    def exact(self) -> bool:
        return self._broker.exact

    def holdings(self) -> Holdings:
        return self._record("holdings", self._broker.holdings)

    def markets(self, instruments: Collection[Instrument]) -> Mapping[Instrument, Market]:
        return self._record("markets", lambda: self._broker.markets(instruments), frozenset(instruments))

    def place(self, order: Order) -> OrderReport:
        return self._record("place", lambda: self._broker.place(order), order)

    def find(self, order: Order) -> OrderReport | None:
        return self._record("find", lambda: self._broker.find(order), order)

    def cancel(self, order: Order) -> None:
        self._record("cancel", lambda: self._broker.cancel(order), order)


class RecordingJournal(_Recorder):
    """A `Journal` that another one answers for, writing to the same log as the broker's."""

    def __init__(self, journal: Journal, *, log: list[Call], on_call: OnCall | None = None) -> None:
        super().__init__(log, on_call)
        self._journal = journal

    def start(self, started: StartedExecution, steps: Sequence[Step]) -> None:
        self._record("start", lambda: self._journal.start(started, steps))

    def unfinished(self) -> OpenExecution | None:
        return self._record("unfinished", self._journal.unfinished)

    def steps(self, plan_id: str) -> tuple[StoredStep, ...]:
        return self._record("steps", lambda: self._journal.steps(plan_id))

    def mark_sent(self, plan_id: str, index: int, *, reference_price: Decimal, limit_price: Decimal) -> None:
        self._record(
            "mark_sent",
            lambda: self._journal.mark_sent(
                plan_id, index, reference_price=reference_price, limit_price=limit_price
            ),
            StepMark(plan_id=plan_id, index=index, state="sent"),
        )

    def settle(
        self, plan_id: str, index: int, *, state: StepState, fill: OrderFill | None = None, note: str = ""
    ) -> None:
        self._record(
            "settle",
            lambda: self._journal.settle(plan_id, index, state=state, fill=fill, note=note),
            StepMark(plan_id=plan_id, index=index, state=state),
        )

    def revert(self, plan_id: str, *, reason: str, steps: Sequence[Step]) -> None:
        self._record("revert", lambda: self._journal.revert(plan_id, reason=reason, steps=steps))

    def need_operator(self, plan_id: str, *, reason: str) -> None:
        self._record("need_operator", lambda: self._journal.need_operator(plan_id, reason=reason))


def audit(broker: Broker, log: list[Call]) -> None:
    """Ask a venue that answers truly what became of every order, also of those that nobody asked about.

    Without it a fill that the product never looked for would be missing from the log as it is from the books.

    Raises:
        OutcomeUnknown: The venue does not answer truly: take its faults away first.
    """
    placed = [call.argument for call in log if call.name == "place" and isinstance(call.argument, Order)]
    for order in {order.client_id: order for order in placed}.values():
        report = broker.find(order)
        log.append(Call(number=len(log) + 1, name="audit", argument=order, result=report))
