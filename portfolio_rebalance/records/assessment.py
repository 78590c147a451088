"""Current state and drift."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from portfolio_rebalance.records.base import FrozenMap, Instant, Money, Record, StrategyId

__all__ = ["Assessment", "DeployedTotal", "StrategyAssessment"]


class StrategyAssessment(Record):
    """One strategy against its target. Percentages are rounded to hundredths, for people.

    Attributes:
        drift_percent: None for a target of 0.
        priority: high beyond the drift threshold or with a target of 0, medium from 2 %, else low.
    """

    strategy: StrategyId
    name: str
    capital: Money
    target: Money
    alloc_percent: Decimal
    target_percent: Decimal
    drift_percent: Decimal | None
    priority: Literal["high", "medium", "low"]
    starts_from: Literal["current", "target"]
    pinned: bool
    pnl: FrozenMap[Money | None]
    stale: str


class DeployedTotal(Record):
    """Everything deployed, against the sum of targets."""

    capital: Money
    alloc_percent: Decimal
    target: Decimal


class Assessment(Record):
    """The assessment stage's output.

    Attributes:
        current_allocations: By strategy id.
        portfolio_drift_percent: ``sum |capital - target| / sum target``; None if every target is 0.
        candidates: Ids by priority: high, then medium, each by id.
        alerts: What needs a person's eye.
        warnings: What the reader should know about the data.
    """

    as_of: Instant
    currency: str
    total_capital: Money
    cash: Money
    current_allocations: FrozenMap[StrategyAssessment]
    total_deployed: DeployedTotal
    portfolio_drift_percent: Decimal | None
    portfolio_drift_flagged: bool
    candidates: tuple[StrategyId, ...]
    alerts: tuple[str, ...]
    warnings: tuple[str, ...]
    stale_data: bool
