"""What rebalances have come to: the source's metrics block under its names, and what a careful reader asks.

Every figure is of the last 50 rebalances. What is not known is None, never 0; figures are decimals rounded
for reading, so that a record reads back as it was written.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, TypeAlias

from portfolio_rebalance.records.base import FrozenMap, Instant, Record
from portfolio_rebalance.records.execution import ExecutionStatus

__all__ = [
    "Calibration",
    "CalibrationTable",
    "CostAverages",
    "Coverage",
    "DriftManagement",
    "Forecast",
    "Helped",
    "ImprovementsAchieved",
    "LimitCompliance",
    "MetricsReport",
    "ModeCount",
    "RebalanceLine",
    "ReliabilityGroup",
    "SuccessMetric",
    "SuccessVerdict",
]

SuccessVerdict: TypeAlias = Literal["pass", "fail", "unknown"]


class ModeCount(Record):
    """Rebalances of one mode: begun, and committed and verified."""

    triggered: int
    successful: int


class ImprovementsAchieved(Record):
    """What was realised, against the portfolio that nobody traded; of graded outcomes.

    Attributes:
        avg_sharpe_improvement: Percent: ``100 (realised - shadow) / max(|shadow|, 0.1)``.
        avg_dd_improvement: Percentage points of maximum drawdown; above 0 where less was lost.
        median_improvement_percent: Of the Sharpe improvements; one extreme ratio does not move it.
    """

    avg_sharpe_improvement: Decimal | None
    avg_dd_improvement: Decimal | None
    median_improvement_percent: Decimal | None


class CostAverages(Record):
    """Costs a unit traded, averaged over the rebalances that had a fill."""

    avg_slippage_bps: Decimal | None
    avg_commissions_bps: Decimal | None
    avg_total_cost_bps: Decimal | None


class DriftManagement(Record):
    """Portfolio drift of committed rebalances, percent.

    Attributes:
        drift_correction_percent: ``100 (1 - after / before)`` of the averages.
    """

    avg_drift_before_rebalance: Decimal | None
    avg_drift_after_rebalance: Decimal | None
    drift_correction_percent: Decimal | None


class LimitCompliance(Record):
    """Limits before and after.

    Attributes:
        all_limits_respected: Percent of the rebalances whose limits could all be judged afterwards.
        violations_pre_rebalance: Limits that were broken when the plans were made.
        violations_post_rebalance: Limits that were broken when the executions ended.
    """

    all_limits_respected: Decimal | None
    violations_pre_rebalance: int | None
    violations_post_rebalance: int | None


class Helped(Record):
    """How many graded rebalances beat, after costs, the portfolio that nobody traded.

    Attributes:
        low_percent: 90 % Wilson interval of the rate.
        high_percent: Likewise.
    """

    graded: int
    helped: int
    rate_percent: Decimal | None
    low_percent: Decimal | None
    high_percent: Decimal | None


class ReliabilityGroup(Record):
    """Predictions of about the same probability, against how often they came true.

    Attributes:
        low: Bounds of the group.
        count: Predictions in it.
        predicted: Their mean.
        frequency: Share that came true.
        lower: 90 % Wilson interval of that share.
        upper: Likewise.
    """

    low: Decimal
    high: Decimal
    count: int
    predicted: Decimal
    frequency: Decimal
    lower: Decimal
    upper: Decimal


class Forecast(Record):
    """How good one kind of probability was.

    Attributes:
        count: Predictions whose outcome is known.
        brier: Mean squared error: 0 is perfect.
    """

    count: int
    mean_predicted: Decimal | None
    frequency: Decimal | None
    brier: Decimal | None
    groups: tuple[ReliabilityGroup, ...]


class Coverage(Record):
    """How often a realised value lay inside of its 90 % interval.

    Attributes:
        count: Outcomes that had both.
        inside: Share.
        lower: 90 % Wilson interval of that share.
        upper: Likewise.
    """

    count: int
    inside: Decimal | None
    lower: Decimal | None
    upper: Decimal | None


class Calibration(Record):
    """Predictions held against what came of them.

    Attributes:
        graded: Outcomes.
        probability_better: As the predictive distribution gave it.
        probability_helps: The same after what the mode's own record has taught.
        coverage: By metric.
    """

    graded: int
    probability_better: Forecast
    probability_helps: Forecast
    coverage: FrozenMap[Coverage]


class CalibrationTable(Record):
    """Calibration of all modes together, and of each.

    Attributes:
        brier_of_a_coin: What a probability of one half for everything scores.
        coverage_wanted: Share that the intervals promise to hold.
    """

    brier_of_a_coin: Decimal = Decimal("0.25")
    coverage_wanted: Decimal = Decimal("0.9")
    all: Calibration
    by_mode: FrozenMap[Calibration]


class SuccessMetric(Record):
    """One of the source's success metrics.

    Attributes:
        target: In the source's words.
        value: None where it is not known.
        unit: Of ``value``.
        reason: What the verdict rests on, or why there is none.
    """

    name: str
    target: str
    value: Decimal | None
    unit: str
    verdict: SuccessVerdict
    reason: str


class RebalanceLine(Record):
    """One rebalance.

    Attributes:
        at: When it ended; when it began where it was left to a person.
        successful: Committed, and no limit was broken afterwards.
        drift_before: Portfolio drift, percent.
        drift_after: None where it was not committed, or where bots had yet to do their part.
        violations_before: Limits that were broken.
        violations_after: None where it was left to a person.
        sharpe_improvement_percent: Against the portfolio that nobody traded; None before it is graded.
        helped: Likewise.
    """

    plan_id: str
    at: Instant
    mode: str
    status: ExecutionStatus
    successful: bool
    drift_before: Decimal | None
    drift_after: Decimal | None
    total_cost_bps: Decimal | None
    violations_before: int | None
    violations_after: int | None
    sharpe_improvement_percent: Decimal | None
    helped: bool | None


class MetricsReport(Record):
    """The source's ``portfolio_rebalance_metrics``, its keys first.

    Attributes:
        run_period: ``YYYY-MM-DD to YYYY-MM-DD``, days of the first and the last rebalance; None without any.
        total_rebalances: Begun, whatever came of them; at most 50.
        successful_rebalances: Committed, and no limit was broken afterwards.
        calibration: Of the graded ones among them.
        rebalances: One line each, the newest first.
    """

    run_period: str | None
    total_rebalances: int
    successful_rebalances: int
    success_rate_percent: Decimal | None
    by_mode: FrozenMap[ModeCount]
    improvements_achieved: ImprovementsAchieved
    trading_costs: CostAverages
    drift_management: DriftManagement
    limit_compliance: LimitCompliance
    schema_version: Literal[1] = 1
    helped: Helped
    success_metrics: tuple[SuccessMetric, ...]
    calibration: CalibrationTable
    rebalances: tuple[RebalanceLine, ...]
