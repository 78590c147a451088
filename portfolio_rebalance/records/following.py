"""What follows an executed plan: the ticks of its watch, the outcome, what is learned.

Portfolios that are compared are held: the weights of the start drift with the returns, cash earns nothing.
Figures are decimals of six significant digits, so that a record reads back as it was written.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, TypeAlias

from pydantic import Field

from portfolio_rebalance.records.advice import Spend
from portfolio_rebalance.records.base import FrozenMap, Instant, Money, Record, StrategyId
from portfolio_rebalance.records.prediction import Metric

__all__ = [
    "AllocationCheck",
    "Cause",
    "Comparison",
    "Comparisons",
    "CostCheck",
    "Divergence",
    "Learned",
    "MonitorReport",
    "Outcome",
    "Tick",
    "TuningStep",
]

Cause: TypeAlias = Literal["regime", "correlation", "execution_cost", "data_fault", "chance"]
"""Why an outcome differs from its prediction."""

Divergence: TypeAlias = Literal["alert", "within_uncertainty", "not_judged", "small", "undefined"]
"""``alert``: beyond the threshold and outside of the interval; ``within_uncertainty``: beyond the threshold
and inside; ``not_judged``: beyond the threshold, and there is no interval yet; ``small``: within the
threshold; ``undefined``: one side of the comparison is missing."""


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
            None where either is undefined, or neither is above the other.
    """

    days: int
    observations: int
    missing: tuple[StrategyId, ...]
    metrics: tuple[Comparison, ...]
    ahead_of_shadow: bool | None


class Tick(Record):
    """One look at a rebalance that is being watched.

    Attributes:
        number: Of the tracking interval since the batch was finished; above that of every earlier tick, also
            where the interval was changed meanwhile.
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
        graded: False where it cannot be; ``reason`` says why.
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
