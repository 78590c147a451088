"""A cron line as systemd's ``OnCalendar``, in UTC: daylight saving moves none of its instants.

systemd wants weekday, date and time all to fit, and says "or" by another line. ``~`` counts days from the end
of a month. Three combinations of cron have no words there, such as every second day that is also the last
Friday of a month: then the lines come on more days, and the command is to look whether it is due.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from portfolio_rebalance.triggers.cron_fields import (
    ALL_DAYS,
    ALL_WEEKDAYS,
    DayTerm,
    WeekdayTerm,
    fields_of,
    listed,
)

__all__ = ["Calendar", "calendar_of"]

_NAMES: Final = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_FROM_MONDAY: Final = (1, 2, 3, 4, 5, 6, 0)
_WORKING: Final = frozenset(range(1, 6))
_FRIDAY: Final = 5
_LAST_WEEK: Final = "~01..07"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """What a timer says.

    Attributes:
        lines: Values of ``OnCalendar``; an instant of any of them counts once.
        exact: Whether they come at the instants of the cron line and no others.
    """

    lines: tuple[str, ...]
    exact: bool


def calendar_of(line: str) -> Calendar:
    """Translate a valid cron line."""
    fields = fields_of(line)
    month = listed(fields.months, among=frozenset(range(1, 13)), to="..", width=2)
    hours = listed(fields.hours, among=frozenset(range(24)), to="..", width=2)
    minutes = listed(fields.minutes, among=frozenset(range(60)), to="..", width=2)
    lines: dict[str, None] = {}
    exact = True
    for day, weekday in fields.day_rules:
        for weekdays, date, is_exact in _dates(day, weekday):
            name = "" if weekdays == ALL_WEEKDAYS else f"{_weekday_names(weekdays)} "
            lines[f"{name}*-{month}{date} {hours}:{minutes}:00 UTC"] = None
            exact = exact and is_exact
    return Calendar(lines=tuple(lines), exact=exact)


def _dates(day: DayTerm, weekday: WeekdayTerm) -> Iterator[tuple[frozenset[int], str, bool]]:
    """Weekdays, the day of the month with its sign, and whether these two say what both terms do."""
    if isinstance(weekday, frozenset):
        yield from _on_weekdays(day, weekday)
        return
    name, number = weekday
    only = frozenset({name})
    if number == "last":
        if isinstance(day, frozenset):
            yield only, _LAST_WEEK, day == ALL_DAYS
        else:  # the last day and the last working day are in the last week anyway
            yield from _on_weekdays(day, only)
    elif isinstance(day, frozenset):
        if fitting := day & frozenset(range(7 * number - 6, 7 * number + 1)):
            yield only, _from_start(fitting), True
    else:
        yield from ((weekdays, date, False) for weekdays, date, _ in _on_weekdays(day, only))


def _on_weekdays(day: DayTerm, weekdays: frozenset[int]) -> Iterator[tuple[frozenset[int], str, bool]]:
    if isinstance(day, frozenset):
        yield weekdays, _from_start(day), True
    elif day == "last":
        yield weekdays, "~01", True
    else:  # the last day, where it is a working day; else the Friday before the weekend that ends the month
        if working := weekdays & _WORKING:
            yield working, "~01", True
        if _FRIDAY in weekdays:
            yield frozenset({_FRIDAY}), "~02,03", True


def _from_start(days: frozenset[int]) -> str:
    return f"-{listed(days, among=ALL_DAYS, to='..', width=2)}"


def _weekday_names(weekdays: frozenset[int]) -> str:
    return ",".join(_NAMES[number] for number in _FROM_MONDAY if number in weekdays)
