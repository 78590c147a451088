"""What a run accepts and a person should know about the state: figures that have grown apart.

Snapshots and BOOTSTRAP are written at different times by different hands. The newest snapshot counts whatever
BOOTSTRAP says; where BOOTSTRAP is the later word and says otherwise, one of the two is probably wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from portfolio_rebalance.clock import Clock, format_instant
from portfolio_rebalance.config import Config
from portfolio_rebalance.workspace.bootstrap import Bootstrap
from portfolio_rebalance.workspace.checks import agree
from portfolio_rebalance.workspace.freshness import age_text
from portfolio_rebalance.workspace.snapshots import Snapshot

__all__ = ["Remark", "lagging_snapshots", "moved_total", "old_bootstrap"]

_TOTAL_MOVED_PERCENT: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A warning: where, what, and what to do."""

    where: str
    what: str
    fix: str

    @property
    def text(self) -> str:
        """All of it as one line."""
        return f"{self.where}: {self.what} {self.fix}"


def old_bootstrap(bootstrap: Bootstrap, config: Config, clock: Clock) -> Iterator[Remark]:
    """BOOTSTRAP is old: cash has no other source, and may have moved since."""
    if clock.as_of - bootstrap.as_of <= timedelta(days=config.max_snapshot_age_days):
        return
    age = age_text(bootstrap.as_of, clock)
    yield Remark(
        where=bootstrap.where_as_of,
        what=f"BOOTSTRAP is of {format_instant(bootstrap.as_of)}, {age} ago: its cash is taken as it stands.",
        fix="Check the cash, and write when that was.",
    )


def lagging_snapshots(bootstrap: Bootstrap, snapshots: Mapping[str, Snapshot | None]) -> Iterator[Remark]:
    """Snapshots that are older than BOOTSTRAP and more than 1 % away from its capital."""
    for key, snapshot in snapshots.items():
        stated = bootstrap.deployed[key]
        if snapshot is None or snapshot.as_of >= bootstrap.as_of:
            continue
        if agree(snapshot.market_value, stated.capital):
            continue
        yield Remark(
            where=snapshot.where_value,
            what=f"{key} is worth {snapshot.market_value:f} in this snapshot of "
            f"{format_instant(snapshot.as_of)}, which counts; but BOOTSTRAP, which is newer "
            f"({format_instant(bootstrap.as_of)}), states a capital of {stated.capital:f} in "
            f"{stated.where_capital}.",
            fix="Write a new snapshot, or correct BOOTSTRAP.",
        )


def moved_total(bootstrap: Bootstrap, snapshots: Mapping[str, Snapshot | None]) -> Iterator[Remark]:
    """Total capital now is more than 5 % away from the total that BOOTSTRAP states."""
    capital = sum(
        (
            snapshot.market_value if snapshot else bootstrap.deployed[key].capital
            for key, snapshot in snapshots.items()
        ),
        Decimal(0),
    )
    now, written = bootstrap.cash + capital, bootstrap.total_capital
    if abs(now - written) * 100 <= _TOTAL_MOVED_PERCENT * written:
        return
    percent = (100 * (now - written) / written).quantize(Decimal("0.1"))
    yield Remark(
        where=bootstrap.where_total,
        what=f"total_capital is {written:f} here, but cash {bootstrap.cash:f} and capital {capital:f} "
        f"now make {now:f}: {percent:+f} %.",
        fix="Check cash and snapshots, which count; then write total_capital and as_of anew.",
    )
