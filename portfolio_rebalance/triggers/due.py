"""Whether a check is due: for schedulers that know local time alone, or no calendar at all.

They start the check often, and it does something only where a time of the schedule has come since the last
one. So daylight saving, a changed time zone and a machine that slept neither skip a check nor double it:
however many times have passed meanwhile, one check is made.
"""

from __future__ import annotations

from datetime import datetime

from portfolio_rebalance.cron import newest_until
from portfolio_rebalance.triggers.cron_fields import fields_of

__all__ = ["is_due", "poll_minutes"]

_OFTEN, _SELDOM = 1, 5


def is_due(line: str, *, last: datetime | None, now: datetime) -> bool:
    """Whether a time of the schedule has come since the last check; the first check is due at once.

    Args:
        line: The schedule.
        last: When the last check was made, not later than ``now``; None where none was.
        now: The instant.
    """
    return last is None or newest_until(line, now) > last


def poll_minutes(line: str) -> int:
    """How often to look: every five minutes, or every minute for a line whose times are nearer than that."""
    minutes = sorted(fields_of(line).minutes)
    gaps = [later - sooner for sooner, later in zip(minutes, [*minutes[1:], minutes[0] + 60], strict=True)]
    return _OFTEN if min(gaps) < _SELDOM else _SELDOM
