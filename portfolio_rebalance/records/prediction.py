"""What a plan is expected to bring, made with it and never changed; and the estimates that it reckons with.

Figures are decimals of six significant digits, so that a record reads back as it was written.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal, TypeAlias, get_args

from pydantic import Field

from portfolio_rebalance.records.base import ExactBp, FrozenMap, Money, Record

__all__ = ["METRICS", "DayPrediction", "Estimates", "Metric", "PredictedRange", "Prediction"]

Metric: TypeAlias = Literal["sharpe_ratio", "max_drawdown", "win_rate", "return"]
"""Annualised ratio; percent, 0 or negative; share of positive days among those that moved; percent."""

METRICS: Final[tuple[Metric, ...]] = get_args(Metric)


class PredictedRange(Record):
    """A central 90 % interval.

    Attributes:
        low: 5 % quantile.
        median: The projection that a realised value is held against.
        high: 95 % quantile.
        low_weight: Where single values have a chance of their own, the share of ``low``'s that belongs
            inside, so that the interval holds 90 % and not more; 1 where they have none.
        high_weight: The same of ``high``.
    """

    low: Decimal
    median: Decimal
    high: Decimal
    low_weight: Decimal = Decimal(1)
    high_weight: Decimal = Decimal(1)


class DayPrediction(Record):
    """What is predicted of the first days after the rebalance.

    Attributes:
        days: How many full UTC days.
        ranges: By metric; None where it is undefined for so few days.
        probability_better: That the portfolio has a higher Sharpe ratio after its cost than the one that
            nobody traded; a tie counts half.
    """

    days: int
    ranges: FrozenMap[PredictedRange | None]
    probability_better: Decimal | None


class Prediction(Record):
    """Made with a plan, before anything is known of what follows.

    Attributes:
        days: Full UTC days that are predicted.
        history_days: Days of returns it is drawn from.
        before_bp: Weights of the portfolio that nobody trades.
        after_bp: Weights of the plan.
        slippage_bps: Estimated slippage a unit traded.
        commission_bps: Likewise.
        cost_percent: Estimated cost, percent of total capital; charged on the first day.
        cost: The same as money.
        by_day: For each number of days from 1; empty where nothing can be predicted.
        probability_helps: ``probability_better`` at the end, after what the mode's own record has taught.
        prior_log_odds: What that added, as log odds.
        reason: Why nothing is predicted; empty where something is.
    """

    schema_version: Literal[1] = 1
    mode: str
    days: int
    history_days: int
    before_bp: FrozenMap[ExactBp]
    after_bp: FrozenMap[ExactBp]
    slippage_bps: Decimal
    commission_bps: Decimal
    cost_percent: Decimal
    cost: Money
    by_day: tuple[DayPrediction, ...]
    probability_helps: Decimal | None
    prior_log_odds: Decimal
    seed: str
    reason: str = ""

    def after(self, days: int) -> DayPrediction | None:
        """What is predicted of so many days; None where nothing is."""
        return self.by_day[days - 1] if 0 < days <= len(self.by_day) else None


class Estimates(Record):
    """What a run reckons with: configured, or learned from its own executions.

    Attributes:
        slippage_bps: A unit traded.
        commission_bps: Likewise.
        learned_from: Executions that each estimate was learned from, by parameter; empty where none was.
        priors: Log odds by mode, that a rebalance helps, on top of what its prediction says; absent is 0.
    """

    slippage_bps: Decimal
    commission_bps: Decimal
    learned_from: FrozenMap[int] = Field(default_factory=dict)
    priors: FrozenMap[Decimal] = Field(default_factory=dict)
