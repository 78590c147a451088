"""Schedules at work, reckoned apart from the product: systemd's calendar day by day, and cron lines.

Nothing of the product is used here but what is held against it.
"""

from __future__ import annotations

import calendar
import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

_ON_CALENDAR = re.compile(
    r"(?:(?P<names>[A-Za-z,.]+) )?\*-(?P<months>[0-9*,.]+)(?P<sign>[-~])(?P<days>[0-9*,.]+) "
    r"(?P<hours>[0-9*,.]+):(?P<minutes>[0-9*,.]+):00 UTC"
)
_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def instants_of_systemd(lines: tuple[str, ...], *, start: datetime, end: datetime) -> set[datetime]:
    """When a timer with these ``OnCalendar`` lines elapses in [start, end)."""
    found = set()
    for line in lines:
        match = _ON_CALENDAR.fullmatch(line)
        assert match, line
        hours, minutes = _numbers(match["hours"], 0, 23), _numbers(match["minutes"], 0, 59)
        day = start.date()
        while day < end.date():
            length = calendar.monthrange(day.year, day.month)[1]
            number = day.day if match["sign"] == "-" else length - day.day + 1
            if (
                day.month in _numbers(match["months"], 1, 12)
                and number in _numbers(match["days"], 1, 31)
                and (match["names"] is None or _NAMES[day.weekday()] in match["names"].split(","))
            ):
                found |= {
                    datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                    for hour in hours
                    for minute in minutes
                }
            day += timedelta(days=1)
    return found


def instants_of_cron(line: str, *, start: datetime, end: datetime) -> set[datetime]:
    """When a cron line comes in [start, end), as cronsim follows it."""
    found = set()
    for instant in CronSim(line, start - timedelta(seconds=1)):
        if instant >= end:
            break
        found.add(instant)
    return found


def random_lines(rng: random.Random, *, count: int) -> Iterator[str]:
    """Valid lines with a few instants a day at most, of every form that a day field knows."""
    while count:
        fields = (
            ",".join(str(rng.randrange(60)) for _ in range(rng.randint(1, 2))),
            rng.choice([str(rng.randrange(24)), "*/8", "6-9", "0,12", "22"]),
            rng.choice(["*", "*", _days(rng), _days(rng), "*/2", "*/7", "L", "LW", "L,LW,3", "1-31", "*,L"]),
            rng.choice(["*", "*", "2", "2,4", "*/3", "JAN-MAR", "11"]),
            rng.choice(["*", "*", _weekdays(rng), _weekdays(rng), "*/2", "*/3", "0-7", "7", "*,MON#2"]),
        )
        line = " ".join(fields)
        try:
            next(CronSim(line, datetime(2000, 1, 1, tzinfo=UTC)))
        except (CronSimError, StopIteration):
            continue
        count -= 1
        yield line


def _days(rng: random.Random) -> str:
    return ",".join(str(rng.randint(1, 31)) for _ in range(rng.randint(1, 3)))


def _weekdays(rng: random.Random) -> str:
    names = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
    forms = (
        rng.choice(names),
        "MON-FRI",
        str(rng.randrange(8)),
        f"{rng.choice(names)}#{rng.randint(1, 5)}",
        f"{rng.randrange(8)}L",
    )
    return ",".join(rng.choice(forms) for _ in range(rng.randint(1, 2)))


def _numbers(text: str, first: int, last: int) -> set[int]:
    if text == "*":
        return set(range(first, last + 1))
    found: set[int] = set()
    for part in text.split(","):
        low, _, high = part.partition("..")
        found |= set(range(int(low), int(high or low) + 1))
    return found
