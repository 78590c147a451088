"""What follows an executed plan: its prediction, the ticks of the watch, the outcome, what is learned.

A prediction is made with the plan and never changed; an outcome is measured when its days have closed. Both
measure portfolios that are held: the weights of the start drift with the returns, and cash earns nothing.
Figures are decimals of six significant digits, so that a record reads back as it was written.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal, TypeAlias, get_args

from pydantic import Field

from portfolio_rebalance.records.advice import Spend
from portfolio_rebalance.records.base import ExactBp, FrozenMap, Instant, Money, Record, StrategyId

__all__ = [
    "METRICS",
    "AllocationCheck",
    "Cause",
    "Comparison",
    "Comparisons",
    "CostCheck",
    "DayPrediction",
    "Divergence",
    "Estimates",
    "Learned",
    "Metric",
    "MonitorReport",
    "Outcome",
    "PredictedRange",
    "Prediction",
    "Tick",
    "TuningStep",
]

Metric: TypeAlias = Literal["sharpe_ratio", "max_drawdown", "win_rate", "return"]
"""Annualised ratio; percent, 0 or negative; share of positive days among those that moved; percent."""

METRICS: Final[tuple[Metric, ...]] = get_args(Metric)

Cause: TypeAlias = Literal["regime", "correlation", "execution_cost", "data_fault", "chance"]
"""Why an outcome differs from its prediction."""

Divergence: TypeAlias = Literal["alert", "within_uncertainty", "not_judged", "small", "undefined"]
"""``alert``: beyond the threshold and outside of the interval; ``within_uncertainty``: beyond the threshold
and inside; ``not_judged``: beyond the threshold, and there is no interval yet; ``small``: within the
threshold; ``undefined``: one side of the comparison is missing."""


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


class Comparison(Record):
    """One metric: projected, realised, and what it would be had nobody traded.

    Attributes:
        low: Of the 90 % interval; None where there is none.
        high: Likewise.
        divergence_percent: ``100 (realised - projected) / max(|projected|, floor)``.
    """

    metric: Metric
    projected: Decimal | None
    realised: Decimal | None
    shadow: Decimal | None
    low: Decimal | None
    high: Decimal | None
    divergence_percent: Decimal | None
    verdict: Divergence


class CostCheck(Record):
    """Cost of the batch as it was executed, against the estimate.

    Attributes:
        estimated_bps: Slippage and commissions a unit traded.
        actual_bps: None where nothing was traded at the venue.
        divergence_percent: ``100 (actual - estimated) / max(estimated, 1)``.
        low: 5 % quantile of what earlier batches cost; None below ten of them.
        high: 95 % quantile.
    """

    estimated: Money
    actual: Money
    estimated_bps: Decimal
    actual_bps: Decimal | None
    divergence_percent: Decimal | None
    low: Decimal | None
    high: Decimal | None
    verdict: Divergence


class AllocationCheck(Record):
    """One strategy against its target, by its newest snapshot."""

    strategy: StrategyId
    capital: Money
    alloc: Decimal
    target: Decimal
    drift: Decimal | None


class Comparisons(Record):
    """What a stretch of days came to.

    Attributes:
        days: Full UTC days that have closed since the batch was finished, at most those predicted.
        observations: Those of them on which every strategy held before or after has a return.
        missing: Strategies without a return on some of them.
        metrics: One comparison each.
        ahead_of_shadow: Whether the Sharpe ratio after cost is above that of the portfolio nobody traded;
            None where either is undefined.
    """

    days: int
    observations: int
    missing: tuple[StrategyId, ...]
    metrics: tuple[Comparison, ...]
    ahead_of_shadow: bool | None


class Tick(Record):
    """One look at a rebalance that is being watched.

    Attributes:
        number: Of the tracking interval since the batch was finished.
        allocations: None where the state of the portfolio cannot be read now; ``notes`` says why.
        alerts: Divergences that no earlier tick of this watch has told, in words.
        is_last: Whether the watch ends with it.
    """

    schema_version: Literal[1] = 1
    plan_id: str
    mode: str
    number: int
    at: Instant
    committed_at: Instant
    of_days: int
    realised: Comparisons
    cost: CostCheck
    allocations: tuple[AllocationCheck, ...] | None
    alerts: tuple[str, ...]
    notes: tuple[str, ...] = ()
    is_last: bool = False


class Outcome(Record):
    """A rebalance, graded once its days are over.

    Attributes:
        at: The instant from which it could be graded.
        graded: False where too few days have returns; ``reason`` says so.
        helped: Whether it beat, after costs, the portfolio that nobody traded.
        probability_better: As predicted, before what was learned.
        probability_helps: As predicted.
        covered: By metric, how far the realised value lies inside the predicted interval: 1 or 0, and a share
            where it is an end of the interval that has a chance of its own.
    """

    schema_version: Literal[1] = 1
    plan_id: str
    mode: str
    committed_at: Instant
    at: Instant
    graded: bool
    reason: str = ""
    realised: Comparisons
    cost: CostCheck
    helped: bool | None
    probability_better: Decimal | None
    probability_helps: Decimal | None
    covered: FrozenMap[Decimal | None]


class TuningStep(Record):
    """One step of one estimate. Never a limit: no parameter's name is a key of the configuration.

    Attributes:
        number: In the log; 0 before it is stored.
        parameter: ``slippage_bps``, ``commission_bps`` or ``prior:<mode>``.
        plan_id: The execution that taught it; None where a person took a step back.
        observed: What was observed; None where a person took a step back.
        configured: The configured value that it started from; another value there starts anew.
        observations: How many have been counted, this one included.
        reverts: The step that was taken back, and with it all later ones of the parameter.
    """

    schema_version: Literal[1] = 1
    number: int = 0
    parameter: str = Field(pattern=r"^(slippage_bps|commission_bps|prior:[a-z][a-z0-9_]{0,63})$")
    at: Instant
    plan_id: str | None
    observed: Decimal | None
    before: Decimal
    after: Decimal
    configured: Decimal
    observations: int
    reverts: int | None = None


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


class Learned(Record):
    """Why an outcome differs from its prediction.

    Attributes:
        source: ``rules``, or the feedback agent's ``model``.
        cited: What a model's words rest on: ``label: value unit``.
    """

    plan_id: str
    at: Instant
    source: Literal["rules", "model"]
    cause: Cause
    text: str
    cited: tuple[str, ...] = ()


class MonitorReport(Record):
    """What one look at everything that is watched came to.

    Attributes:
        ticks: Of each rebalance that is watched, the newest first; one that was there already included.
        outcomes: Rebalances whose days were over now.
        steps: Of estimates, taken now.
        learned: Why outcomes differ from their predictions.
        notes: What else there is to say.
        explained: The monitor's words on what is new, every figure of them rendered by code; empty without.
        spend: What models cost; None where none took part.
    """

    ticks: tuple[Tick, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    steps: tuple[TuningStep, ...] = ()
    learned: tuple[Learned, ...] = ()
    notes: tuple[str, ...] = ()
    explained: str = ""
    spend: Spend | None = None
