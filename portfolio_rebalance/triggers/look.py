"""One look at what is watched, as a schedule starts it: not where nothing may run, and when it is free."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from portfolio_rebalance.clock import Clock
from portfolio_rebalance.follow_up import monitor
from portfolio_rebalance.records import MonitorReport
from portfolio_rebalance.run.queries import config_of
from portfolio_rebalance.triggers.waiting import when_free

__all__ = ["look"]


def look(
    root: Path,
    *,
    clock: Clock | None = None,
    progress: Callable[[str], None] = lambda _stage: None,
    sleep: Callable[[float], None] = time.sleep,
) -> MonitorReport | None:
    """Look once at every rebalance that is watched.

    Args:
        root: The workspace.
        clock: Of the look; the machine's time where None.
        progress: Told what is being done.
        sleep: Waits for another process to end.

    Returns:
        What was found; None where the configuration says ``enabled: false``.

    Raises:
        RebalanceError: As of a look that a person types.
    """
    if not config_of(root).enabled:
        return None
    return when_free(
        lambda: monitor(
            root,
            clock=clock or Clock.live(datetime.now(UTC)),
            now=lambda: datetime.now(UTC),
            progress=progress,
        ),
        sleep=sleep,
    )
