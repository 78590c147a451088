"""A cron line taken apart: what each field says, for writing it down in the words of another scheduler."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from cronsim import CronSim

__all__ = ["ALL_DAYS", "ALL_WEEKDAYS", "CronFields", "DayTerm", "WeekdayTerm", "fields_of", "listed"]

DayTerm: TypeAlias = frozenset[int] | Literal["last", "last_weekday"]
"""Days of the month; or its last day, or the last one from Monday to Friday."""

WeekdayTerm: TypeAlias = frozenset[int] | tuple[int, int | Literal["last"]]
"""Weekdays, Sunday is 0; or one of them with its number in the month."""

ALL_DAYS: Final = frozenset(range(1, 32))
ALL_WEEKDAYS: Final = frozenset(range(7))
_ANY_INSTANT: Final = datetime(2000, 1, 1, tzinfo=UTC)
_RANGE: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CronFields:
    """What a line says.

    Attributes:
        days: Any of these terms is enough.
        weekdays: Likewise.
        both: Whether day of the month and weekday must both fit; else one of them is enough.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    months: frozenset[int]
    days: tuple[DayTerm, ...]
    weekdays: tuple[WeekdayTerm, ...]
    both: bool

    @property
    def is_plain(self) -> bool:
        """Whether every cron understands it: numbers alone, without ``L``, ``LW`` and ``#``."""
        return all(isinstance(term, frozenset) for term in (*self.days, *self.weekdays))

    @property
    def day_rules(self) -> Iterator[tuple[DayTerm, WeekdayTerm]]:
        """Pairs that must both fit; a day on which any pair fits is one of the line's."""
        if self.both:
            yield from ((day, weekday) for day in self.days for weekday in self.weekdays)
        else:
            yield from ((day, ALL_WEEKDAYS) for day in self.days)
            yield from ((ALL_DAYS, weekday) for weekday in self.weekdays)


def fields_of(line: str) -> CronFields:
    """Take a valid line apart; ``cronsim`` reads it, here and where it is followed."""
    read = CronSim(line, _ANY_INSTANT)
    numbers = frozenset(day for day in read.days if day > 0)
    days: list[DayTerm] = [numbers] if numbers else []
    if CronSim.LAST in read.days:
        days.append("last")
    if CronSim.LAST_WEEKDAY in read.days:
        days.append("last_weekday")
    plain = frozenset(item % 7 for item in read.weekdays if isinstance(item, int))
    weekdays: list[WeekdayTerm] = [plain] if plain else []
    for item in sorted(item for item in read.weekdays if not isinstance(item, int)):
        weekday, number = item
        weekdays.append((weekday % 7, "last" if number == CronSim.LAST else number))
    return CronFields(
        minutes=frozenset(read.minutes),
        hours=frozenset(read.hours),
        months=frozenset(read.months),
        days=tuple(days),
        weekdays=tuple(weekdays),
        both=read.day_and,
    )


def listed(values: Set[int], *, among: Set[int], to: str, width: int = 1) -> str:
    """Numbers as a list with ranges; ``*`` where they are all there is.

    Args:
        values: At least one.
        among: All there are.
        to: Stands between the ends of a range.
        width: Digits of a number, at least.
    """
    if values == among:
        return "*"
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    parts: list[str] = []
    for run in runs:
        texts = [f"{value:0{width}d}" for value in run]
        parts += [f"{texts[0]}{to}{texts[-1]}"] if len(run) >= _RANGE else texts
    return ",".join(parts)
