"""A rebalance of example 1 that was executed, and days that follow it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from executing import EXAMPLE_1, approved, example_1, execute
from workspaces import AS_OF

from portfolio_rebalance.clock import Clock
from portfolio_rebalance.records import MonitorReport
from portfolio_rebalance.run.follow import follow

FIRST_DAY = AS_OF.date() + timedelta(days=1)


def executed(folder: Path, *, config: str | None = None) -> tuple[Path, str]:
    """A workspace in which a plan was executed at ``AS_OF``, and the plan's id."""
    root = example_1(folder, config=config)
    plan_id = approved(root)
    assert execute(root, plan_id).status == "committed"
    return root, plan_id


def add_returns(
    root: Path, days: int, *, first: date | None = None, seed: int = 5, without: Sequence[str] = ()
) -> None:
    """Returns of the days from ``first`` (the day of the batch where None), for every strategy but some."""
    begin = first or AS_OF.date()
    draw = random.Random(seed)
    for place in range(days):
        for key in EXAMPLE_1:
            value = draw.gauss(0, 0.02)
            if key not in without:
                path = root / f"live-monitoring/live-performance/{key}/daily_returns.csv"
                path.write_text(f"{path.read_text()}{begin + timedelta(days=place)},{value:.6f}\n")


def looked(root: Path, at: datetime) -> MonitorReport:
    """One look at an instant; the files may hold later returns already."""
    return follow(root, clock=Clock.at(at, now=hours_after(24 * 400)))


def hours_after(hours: float) -> datetime:
    return AS_OF + timedelta(hours=hours)
