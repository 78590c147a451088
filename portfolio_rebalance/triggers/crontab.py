"""A cron line for a crontab: in numbers, lists and ranges, which every cron reads."""

from __future__ import annotations

from typing import Final

from portfolio_rebalance.triggers.cron_fields import ALL_DAYS, ALL_WEEKDAYS, CronFields, fields_of, listed

__all__ = ["crontab_fields"]

_DAY: Final = 2
_WEEKDAY: Final = 4


def crontab_fields(line: str) -> str | None:
    """The five fields in plain numbers; None where they cannot say it.

    A day field that begins with ``*`` keeps it, because it decides whether both day fields must fit.
    """
    fields = fields_of(line)
    if not fields.is_plain:
        return None
    parts = line.split()
    day = _day_field(parts[_DAY], _numbers(fields, "days"), among=ALL_DAYS)
    weekday = _day_field(parts[_WEEKDAY], _numbers(fields, "weekdays"), among=ALL_WEEKDAYS)
    if day is None or weekday is None:
        return None
    return " ".join(
        (
            listed(fields.minutes, among=frozenset(range(60)), to="-"),
            listed(fields.hours, among=frozenset(range(24)), to="-"),
            day,
            listed(fields.months, among=frozenset(range(1, 13)), to="-"),
            weekday,
        )
    )


def _day_field(written: str, values: frozenset[int], *, among: frozenset[int]) -> str | None:
    if not written.startswith("*"):
        return listed(values, among=frozenset(), to="-")
    if written == "*" or (written.startswith("*/") and written[2:].isdigit()):
        return written
    return "*" if values == among else None


def _numbers(fields: CronFields, name: str) -> frozenset[int]:
    (numbers,) = getattr(fields, name)
    assert isinstance(numbers, frozenset)
    return numbers
