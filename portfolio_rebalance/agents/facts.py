"""Facts: every figure a model may speak of, with an id, a label, a value and a unit.

Models cite (``{F12}``); code renders. Ids depend on the run's artifacts alone, so that the same run gives the
same ids whatever a model does and in whatever order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

__all__ = ["Fact", "FactBook", "FactBuilder", "money_unit"]

_MOST_NAMED: Final = 12
_LONGEST_CURRENCY: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One figure.

    Attributes:
        id: ``F`` and a number, unique in a run.
        label: What it is, in words without a figure.
        value: Rendered by code.
        unit: ``%``, ``bp``, ``USDT``, ``days``, ...; empty for a plain number or a word.
    """

    id: str
    label: str
    value: str
    unit: str = ""

    @property
    def shown(self) -> str:
        """Value and unit, as a reader sees them."""
        if not self.unit:
            return self.value
        return f"{self.value}{'' if self.unit.startswith('%') else ' '}{self.unit}"


class FactBook:
    """All facts of a run, and the short names under which models know strategies and drafts.

    Args:
        facts: By id.
        names: From a name that models use (``S1``, ``D2``) to what a person reads (``STR-001``, ``draft
            proportional``).
    """

    def __init__(self, facts: Iterable[Fact], *, names: Mapping[str, str]) -> None:
        self._facts = {fact.id: fact for fact in facts}
        self._names = dict(names)

    def __iter__(self) -> Iterator[Fact]:
        return iter(self._facts.values())

    def __len__(self) -> int:
        return len(self._facts)

    def get(self, fact_id: str) -> Fact | None:
        """The fact of this id."""
        return self._facts.get(fact_id)

    @property
    def names(self) -> Mapping[str, str]:
        """Names that models use, to what a person reads."""
        return self._names

    def lines(self, ids: Sequence[str] | None = None) -> str:
        """Facts as a model reads them, one a line: ``F12 | label | value unit``."""
        facts = self if ids is None else [self._facts[one] for one in ids]
        return "\n".join(f"{fact.id} | {fact.label} | {fact.shown}" for fact in facts)


@dataclass(slots=True)
class FactBuilder:
    """Numbers facts in the order in which they are added, by section.

    Args:
        aliases: From a strategy's id to the name that models know it by.
    """

    aliases: Mapping[str, str]
    facts: list[Fact] = field(default_factory=list)
    sections: dict[str, list[str]] = field(default_factory=dict)
    _at: str = ""
    _of: str = ""

    def section(self, name: str, *, of: str = "") -> None:
        """Begin a section.

        Args:
            name: Its name.
            of: What all its facts are of, such as a draft; becomes the end of their labels.
        """
        self._at, self._of = name, of
        self.sections[name] = []

    def add(self, label: str, value: object, unit: str = "") -> None:
        """Add a fact to the section; None is told as undefined."""
        shown, unit = ("undefined", "") if value is None else (_plain(value), unit)
        whole = f"{label} in {self._of}" if self._of else label
        fact = Fact(id=f"F{len(self.facts) + 1}", label=whole, value=shown, unit=unit)
        self.facts.append(fact)
        self.sections[self._at].append(fact.id)

    def of(self, ids: Iterable[str]) -> str:
        """Strategies by the names that models know, joined; at most a dozen."""
        names = [self.aliases[one] for one in ids]
        return "+".join(names[:_MOST_NAMED]) + ("+others" if len(names) > _MOST_NAMED else "")

    def book(self, names: Mapping[str, str] | None = None) -> FactBook:
        """All facts so far.

        Args:
            names: Names beside those of strategies, to what a person reads.
        """
        known = {alias: one for one, alias in self.aliases.items()}
        return FactBook(self.facts, names=known | dict(names or {}))


def money_unit(currency: str) -> str:
    """The unit of money as a model reads it: a workspace states it, and a long word could be an order."""
    return currency if len(currency) <= _LONGEST_CURRENCY else "units of currency"


def _plain(value: object) -> str:
    """Never with an exponent: 0.0000001 and not 1E-7."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
