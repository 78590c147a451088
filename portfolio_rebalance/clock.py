"""The clock of a run: one instant, given from outside.

``as_of`` is the run's "now". A fixed clock (``--as-of``) replays a past instant: rows that a data file gained
since then are not part of that past and are left out. ``today`` is the calendar day of the machine; a date
beyond both is an error, whatever the clock says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from portfolio_rebalance.errors import UsageError

__all__ = ["Clock", "format_instant", "parse_instant"]

_INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The run's instant.

    Attributes:
        as_of: Aware UTC instant that the run treats as now.
        today: Calendar day (UTC) of the machine, never before ``as_of``'s own day.
        fixed: Whether a person fixed ``as_of``.
    """

    as_of: datetime
    today: date
    fixed: bool

    @classmethod
    def at(cls, as_of: datetime, *, now: datetime) -> Clock:
        """A clock fixed at ``as_of`` on a machine whose own time is ``now``.

        Raises:
            UsageError: ``as_of`` is not in UTC, or has not come yet: nothing would be in the future then.
        """
        _require_utc(as_of, "as_of")
        if as_of > now:
            raise UsageError(
                f"{format_instant(as_of)} has not come yet.", where="--as-of", fix="Leave it out to plan now."
            )
        return cls(as_of=as_of, today=now.astimezone(UTC).date(), fixed=True)

    @classmethod
    def live(cls, now: datetime) -> Clock:
        """A clock that follows the machine, cut to whole seconds so that records stay short."""
        instant = now.astimezone(UTC).replace(microsecond=0)
        return cls(as_of=instant, today=instant.date(), fixed=False)

    @property
    def last_closed_day(self) -> date:
        """The last day that had fully closed before ``as_of``."""
        return self.as_of.date() - timedelta(days=1)


def parse_instant(text: str, *, where: str) -> datetime:
    """An ISO-8601 UTC instant such as ``2019-10-01T02:00:00Z``.

    Raises:
        UsageError: Naive, not UTC, or not an instant at all.
    """
    fix = "Write an instant in UTC, such as 2019-10-01T02:00:00Z."
    if not _INSTANT.fullmatch(text):
        raise UsageError(f"{text!r} is not a UTC instant.", where=where, fix=fix)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a date that exists.", where=where, fix=fix) from None


def format_instant(instant: datetime) -> str:
    """The inverse of :func:`parse_instant`, with seconds and ``Z``."""
    _require_utc(instant, "instant")
    text = instant.isoformat(timespec="microseconds" if instant.microsecond else "seconds")
    return text.removesuffix("+00:00") + "Z"


def _require_utc(instant: datetime, name: str) -> None:
    if instant.utcoffset() != timedelta(0):
        raise UsageError(f"{instant!r} is not in UTC.", where=name, fix="Pass a datetime with tzinfo=UTC.")
