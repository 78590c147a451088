"""Where a tool gets its inputs: a workspace, or returns that the caller holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from portfolio_rebalance.allocation import mode_names
from portfolio_rebalance.analytics import ReturnsTable
from portfolio_rebalance.clock import Clock, parse_instant
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.tools.frames import (
    EARLIEST_YEAR,
    LATEST_YEAR,
    DatedSeries,
    ReturnsLike,
    dated_series,
    last_day_of,
    window_of,
)
from portfolio_rebalance.workspace import LoadedState, load_state, state_instant, workspace_at

__all__ = ["AsOf", "ToolContext", "open_context"]

AsOf: TypeAlias = datetime | date | str
"""An aware UTC instant, its text (2024-01-31T02:00:00Z), or a day, which stands for its beginning."""

_DAY_LENGTH: Final = len("2024-01-31")
_NO_TODAY: Final = datetime.max.replace(tzinfo=UTC)
"""A tool looks at an instant, whatever the machine's day is: later rows are left out, not refused."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """A tool's inputs.

    Attributes:
        as_of: The instant the tool looks back from.
        config: Thresholds and estimates; defaults without a workspace.
        series: Days and returns by id.
        state: The workspace's state, when one was given.
    """

    as_of: datetime
    config: Config
    series: Mapping[str, DatedSeries]
    state: LoadedState | None

    @property
    def last_day(self) -> date:
        """The last day that had closed before ``as_of``."""
        return self.as_of.date() - timedelta(days=1)

    def window(self, ids: Sequence[str], *, lookback_days: int | None = None) -> ReturnsTable:
        """The calendar window of some strategies; the configured lookback unless another is given."""
        days = self.config.correlation_analysis.lookback_days if lookback_days is None else lookback_days
        return window_of(self.series, ids=ids, last_day=self.last_day, lookback_days=days)

    def require_known(self, ids: Iterable[str]) -> None:
        """Refuse ids that the workspace does not deploy, or that have no returns.

        Raises:
            UsageError: At least one is unknown.
        """
        known = self.series if self.state is None else self.state.portfolio.current_bp
        missing = sorted(set(ids) - set(known))
        if missing:
            what = "No returns for" if self.state is None else "Not deployed:"
            raise UsageError(
                f"{what} {', '.join(missing)}.",
                where="strategies",
                fix=f"Known are {', '.join(sorted(known))}.",
            )


def open_context(
    *, workspace: str | Path | None, returns: ReturnsLike | None, as_of: AsOf | None
) -> ToolContext:
    """Read a workspace, or wrap returns.

    Without ``as_of`` a workspace is seen at its own newest state, and returns as of the day after their
    last: the result then depends on the inputs alone and not on the day it is computed.

    Raises:
        UsageError: Neither or both sources.
        BadDataError: The workspace cannot be trusted.
    """
    if (workspace is None) == (returns is None):
        raise UsageError(
            "Give either a workspace or returns.", where="workspace, returns", fix="Pass exactly one."
        )
    given = None if as_of is None else _instant(as_of)
    if workspace is not None:
        root = workspace_at(Path(workspace))
        instant = given or state_instant(root)
        state = load_state(root, clock=Clock.at(instant, now=_NO_TODAY), mode_names=mode_names())
        return ToolContext(as_of=instant, config=state.config, series=state.returns, state=state)
    assert returns is not None
    series = dated_series(
        returns, last_closed_day=None if given is None else given.date() - timedelta(days=1)
    )
    if given is None:
        given = datetime.combine(last_day_of(series) + timedelta(days=1), time(), tzinfo=UTC)
    return ToolContext(as_of=given, config=Config(), series=series, state=None)


def _instant(as_of: object) -> datetime:
    """An aware UTC instant, its text, or a day, which stands for its beginning."""
    if isinstance(as_of, str):
        text = f"{as_of}T00:00:00Z" if len(as_of) == _DAY_LENGTH else as_of
        as_of = parse_instant(text, where="as_of")
    if isinstance(as_of, date) and not isinstance(as_of, datetime):
        as_of = datetime.combine(as_of, time(), tzinfo=UTC)
    if not isinstance(as_of, datetime) or as_of.utcoffset() != timedelta(0):
        raise UsageError(f"{as_of!r} is not in UTC.", where="as_of", fix="Pass a datetime with tzinfo=UTC.")
    if not (EARLIEST_YEAR <= as_of.year <= LATEST_YEAR):
        raise UsageError(f"{as_of!r} is out of range.", where="as_of", fix="Use a year that had markets.")
    return as_of
