"""Simulated impact, its costs and how far it can be believed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, computed_field

from portfolio_rebalance.records.base import Money, Record

__all__ = [
    "EvidenceStatus",
    "ImpactReport",
    "Improvements",
    "PortfolioMetrics",
    "ResamplingEvidence",
    "TradingCosts",
    "WalkForwardEvidence",
]

EvidenceStatus = Literal["not_computed", "too_short", "supported", "contradicted", "not_distinguishable"]
Confidence = Literal["HIGH", "MEDIUM", "LOW"]
Recommendation = Literal["REBALANCE", "OPTIONAL", "HOLD", "BLOCKED"]


class PortfolioMetrics(Record):
    """Measures of one portfolio over the window; None where undefined.

    Attributes:
        sharpe: Annualised Sharpe ratio.
        dd: Maximum drawdown in percent, 0 or negative; None when the configuration leaves it out.
        win_rate: Share of positive days among non-flat ones.
        return_: Return over the window, in percent.
        volatility: Annualised, in percent.
        flat_days: Days without any return.
    """

    sharpe: float | None
    dd: float | None
    win_rate: float | None
    return_: float | None = Field(alias="return")
    volatility: float | None
    flat_days: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def sharpe_ratio(self) -> float | None:
        """The same as ``sharpe``."""
        return self.sharpe

    @computed_field  # type: ignore[prop-decorator]
    @property
    def max_drawdown(self) -> float | None:
        """The same as ``dd``."""
        return self.dd


class Improvements(Record):
    """Projected minus baseline.

    Attributes:
        dd_improvement: Percentage points by which the drawdown became shallower.
        estimated_improvement_percent: Weighted, ``100 (projected - baseline) / max(|baseline|, 0.1)``.
    """

    sharpe_improvement: float | None
    dd_improvement: float | None
    win_rate_improvement: float | None
    return_improvement: float | None
    estimated_improvement_percent: float | None


class TradingCosts(Record):
    """Estimated costs.

    Attributes:
        slippage_bps: A unit traded; None when the configuration leaves it out.
        commissions_bps: Likewise.
        total_cost_percent: Both together, as the rule subtracts them.
        turnover_percent: Sum of the absolute changes of allocation.
        plan_cost_percent: Turnover times rate: what this plan would cost, in percent of total capital.
        plan_cost: The same in money; None without a total.
    """

    slippage_bps: float | None
    commissions_bps: float | None
    total_cost_percent: float
    turnover_percent: float
    plan_cost_percent: float
    plan_cost: Money | None


class ResamplingEvidence(Record):
    """Paired stationary bootstrap of the Sharpe difference, and PSR(0) of either side.

    Attributes:
        probability_better: None when the portfolio does not change.
    """

    probability_better: float | None
    sharpe_difference_low: float | None
    sharpe_difference_median: float | None
    sharpe_difference_high: float | None
    psr_baseline: float | None
    psr_projected: float | None
    resamples: int
    seed: str


class WalkForwardEvidence(Record):
    """A mode's own record on this workspace's history.

    Attributes:
        trials: Non-overlapping earlier dates at which the mode was tried.
        wins: Trials that beat the comparison after cost.
        median_net_change: Of the Sharpe ratio.
    """

    status: EvidenceStatus
    trials: int = 0
    wins: int = 0
    median_net_change: float | None = None
    note: str = ""


class ImpactReport(Record):
    """The simulation stage's output. Everything in it is in-sample: the same days chose the weights.

    Attributes:
        computed: False when too few common days are there; then ``reason`` says so and metrics are None.
        observations: Days common to all strategies weighted before or after.
        projected_after_cost: Projected metrics with this plan's cost charged on the first day.
        net_improvement_percent: Gross improvement minus ``total_cost_percent``.
        recommendation: The improvement rule alone; the decision also weighs compliance and drift.
        confidence: How far the evidence carries that.
    """

    computed: bool
    reason: str
    lookback_days: int
    observations: int
    baseline_metrics: PortfolioMetrics | None
    projected_metrics: PortfolioMetrics | None
    projected_after_cost: PortfolioMetrics | None
    improvements: Improvements | None
    trading_costs: TradingCosts
    gross_improvement_percent: float | None
    net_improvement_percent: float | None
    improvement_exceeds_threshold: bool | None
    recommendation: Recommendation
    confidence: Confidence
    resampling: ResamplingEvidence | None
    walk_forward: WalkForwardEvidence
    notes: tuple[str, ...]
