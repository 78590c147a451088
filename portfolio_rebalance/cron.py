"""Cron lines: five fields, in UTC, as Debian's cron reads them.

``cronsim`` does the reading: ``*``, lists, ranges, steps, names, ``L``, ``LW``, ``MON#2`` and ``5L``. Where
neither the day of the month nor that of the week begins with ``*``, either is enough; else both must fit.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["every_hours", "newest_until", "next_after", "require_cron"]

_FIELDS: Final = 5
_HOW: Final = (
    "write five fields, minute hour day month weekday, in UTC and in quotes, such as '0 2 * * *' for 02:00 "
    "every day"
)
_ANY_INSTANT: Final = datetime(2000, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)


def require_cron(line: str) -> str:
    """The line itself, if it is one that comes again and again.

    Raises:
        ValueError: It is no cron line, has a field for seconds, or never comes.
    """
    from cronsim import CronSim, CronSimError  # here, because the default is known to be one

    fields = line.split()
    if len(fields) != _FIELDS:
        raise ValueError(f"{line!r} has {len(fields)} fields: {_HOW}")
    try:
        next(CronSim(line, _ANY_INSTANT))
    except StopIteration:
        raise ValueError(f"{line!r} never comes, no month has such a day: {_HOW}") from None
    except (CronSimError, AssertionError) as error:
        fault = str(error) or "a step needs a number or a range before it"
        raise ValueError(f"{line!r} is no cron line ({fault}): {_HOW}") from None
    return line


def next_after(line: str, instant: datetime) -> datetime:
    """The first instant of a line that is later than ``instant``."""
    from cronsim import CronSim

    return next(CronSim(line, instant.astimezone(UTC)))


def newest_until(line: str, instant: datetime) -> datetime:
    """The last instant of a line that is not later than ``instant``."""
    from cronsim import CronSim

    whole = instant.astimezone(UTC).replace(microsecond=0)
    return next(CronSim(line, whole + _SECOND, reverse=True))


def every_hours(hours: int) -> str:
    """The line of an interval: at half past, so that it seldom meets what people put on the hour.

    Two of its instants are never further apart than the interval; over midnight they may be nearer.
    """
    return f"30 {'*' if hours == 1 else ','.join(map(str, range(0, 24, hours)))} * * *"
