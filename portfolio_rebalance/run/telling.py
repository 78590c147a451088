"""Tell: what a run, a check or a watched rebalance came to, to whomever the configuration names.

Nothing here is raised: a person who cannot be reached is a warning beside the result, and changes nothing
about it. Imported only where the configuration names somebody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from portfolio_rebalance.clock import Clock
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import RebalanceError
from portfolio_rebalance.records import Outcome, RebalanceResult, Tick
from portfolio_rebalance.records.notice import Notice
from portfolio_rebalance.reporting.notices import (
    Viewpoint,
    notices_of_outcome,
    notices_of_result,
    notices_of_standing,
    notices_of_tick,
)
from portfolio_rebalance.run.operator import standing
from portfolio_rebalance.workspace.notify import deliver

__all__ = ["tell", "tell_following", "tell_result", "viewpoint"]


def viewpoint(root: Path, *, clock: Clock) -> Viewpoint:
    """From where notices of this workspace are written now."""
    return Viewpoint(workspace=str(root), at=clock.as_of)


def tell(
    root: Path,
    notices: Sequence[Notice],
    *,
    clock: Clock,
    config: Config,
    environment: Mapping[str, str],
    now: datetime,
) -> tuple[str, ...]:
    """Tell these notices, and what stands in the way or waits for a person.

    Args:
        root: The workspace.
        notices: What there is to tell beside that.
        clock: Of the run, check or tick.
        config: In force.
        environment: Holds the targets' addresses.
        now: The machine's time.

    Returns:
        Warnings; empty where nobody is named.
    """
    if not config.notifications:
        return ()
    warnings: tuple[str, ...] = ()
    try:
        waits = notices_of_standing(standing(root, clock=clock), seen=viewpoint(root, clock=clock))
    except RebalanceError as error:
        waits, warnings = (), (f"what stands in the way was not told: {error.what}",)
    undelivered = deliver(
        root, (*notices, *waits), targets=config.notifications, environment=environment, now=now
    )
    return (*warnings, *undelivered)


def tell_result(
    root: Path,
    result: RebalanceResult,
    *,
    clock: Clock,
    config: Config,
    environment: Mapping[str, str],
    now: datetime,
) -> tuple[str, ...]:
    """Tell what a run or an execution came to; arguments and answer as in :func:`tell`."""
    notices = notices_of_result(result, seen=viewpoint(root, clock=clock))
    return tell(root, notices, clock=clock, config=config, environment=environment, now=now)


def tell_following(
    root: Path,
    ticks: Sequence[Tick],
    outcomes: Sequence[Outcome],
    *,
    clock: Clock,
    config: Config,
    environment: Mapping[str, str],
    now: datetime,
) -> tuple[str, ...]:
    """Tell what looking at watched rebalances came to; arguments and answer as in :func:`tell`."""
    seen = viewpoint(root, clock=clock)
    notices = [notice for tick in ticks for notice in notices_of_tick(tick, seen=seen)]
    notices += [notice for outcome in outcomes for notice in notices_of_outcome(outcome, seen=seen)]
    return tell(root, notices, clock=clock, config=config, environment=environment, now=now)
