"""Metrics: the source's block, of the last 50 rebalances.

*Successful* is a rebalance that was committed and verified; *helped* is one that beat, after costs, the
portfolio that nobody traded. Improvements are those that were realised, not those that were projected: a
projection is made in the window that chose the weights. What was left to a person counts as begun and not as
successful, and nothing else is known of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from fractions import Fraction
from statistics import median

from portfolio_rebalance.analytics import wilson_interval
from portfolio_rebalance.monitoring.calibration import Z90, calibration_of
from portfolio_rebalance.monitoring.figures import figure, mean, percent_of
from portfolio_rebalance.monitoring.rebalances import Rebalance, last_of
from portfolio_rebalance.monitoring.success import success_metrics
from portfolio_rebalance.records import Execution
from portfolio_rebalance.records.metrics import (
    CostAverages,
    DriftManagement,
    Helped,
    ImprovementsAchieved,
    LimitCompliance,
    MetricsReport,
    ModeCount,
    RebalanceLine,
)

__all__ = ["metrics_of"]


def metrics_of(rebalances: Iterable[Rebalance]) -> MetricsReport:
    """What the last 50 of these rebalances have come to, whatever order they come in."""
    last = last_of(rebalances)
    outcomes = [one.outcome for one in last if one.outcome is not None]
    successful = sum(one.is_successful for one in last)
    return MetricsReport(
        run_period=f"{_day(last[0].at)} to {_day(last[-1].at)}" if last else None,
        total_rebalances=len(last),
        successful_rebalances=successful,
        success_rate_percent=figure(percent_of(successful, len(last))),
        by_mode=_by_mode(last),
        improvements_achieved=_improvements(last),
        trading_costs=_costs([one.execution for one in last if one.execution is not None]),
        drift_management=_drift(last),
        limit_compliance=_compliance(last),
        helped=_helped([one.helped for one in outcomes if one.graded and one.helped is not None]),
        success_metrics=success_metrics(last),
        calibration=calibration_of(outcomes),
        rebalances=tuple(_line(one) for one in reversed(last)),
    )


def _by_mode(last: Sequence[Rebalance]) -> dict[str, ModeCount]:
    modes = sorted({one.plan.mode for one in last})
    return {
        mode: ModeCount(
            triggered=sum(one.plan.mode == mode for one in last),
            successful=sum(one.plan.mode == mode and one.is_successful for one in last),
        )
        for mode in modes
    }


def _improvements(last: Sequence[Rebalance]) -> ImprovementsAchieved:
    sharpe = [found for one in last if (found := one.sharpe_improvement_percent) is not None]
    drawdown = [found for one in last if (found := one.drawdown_improvement) is not None]
    return ImprovementsAchieved(
        avg_sharpe_improvement=figure(mean(sharpe)),
        avg_dd_improvement=figure(mean(drawdown)),
        median_improvement_percent=figure(median(sharpe) if sharpe else None),
    )


def _costs(executions: Sequence[Execution]) -> CostAverages:
    """What was taken back has cost something too."""
    slippage = [one.total_slippage_bps for one in executions if one.total_slippage_bps is not None]
    commissions = [one.total_commissions_bps for one in executions if one.total_commissions_bps is not None]
    total = [one.total_cost_bps for one in executions if one.total_cost_bps is not None]
    return CostAverages(
        avg_slippage_bps=figure(mean([Fraction(rate) for rate in slippage])),
        avg_commissions_bps=figure(mean([Fraction(rate) for rate in commissions])),
        avg_total_cost_bps=figure(mean([Fraction(rate) for rate in total])),
    )


def _drift(last: Sequence[Rebalance]) -> DriftManagement:
    """Before and after of the same rebalances: those that are done."""
    known = [
        (before, after)
        for one in last
        if (after := one.drift_after) is not None and (before := one.drift_before) is not None
    ]
    before, after = mean([before for before, _ in known]), mean([after for _, after in known])
    return DriftManagement(
        avg_drift_before_rebalance=figure(before),
        avg_drift_after_rebalance=figure(after),
        drift_correction_percent=figure(_correction(before, after)),
    )


def _correction(before: Fraction | None, after: Fraction | None) -> Fraction | None:
    return 100 * (1 - after / before) if before and after is not None else None


def _compliance(last: Sequence[Rebalance]) -> LimitCompliance:
    verdicts = [one.compliance for one in last]
    respected, broken = verdicts.count("respected"), verdicts.count("broken")
    before = [len(found) for one in last if (found := one.broken_before) is not None]
    after = [len(one.broken_after) for one in last if one.execution is not None]
    return LimitCompliance(
        all_limits_respected=figure(percent_of(respected, respected + broken)),
        violations_pre_rebalance=sum(before) if before else None,
        violations_post_rebalance=sum(after) if after else None,
    )


def _helped(verdicts: Sequence[bool]) -> Helped:
    graded, helped = len(verdicts), sum(verdicts)
    low, high = wilson_interval(helped, graded, deviations=Z90) if graded else (None, None)
    return Helped(
        graded=graded,
        helped=helped,
        rate_percent=figure(percent_of(helped, graded)),
        low_percent=None if low is None else figure(100 * Fraction(low)),
        high_percent=None if high is None else figure(100 * Fraction(high)),
    )


def _line(one: Rebalance) -> RebalanceLine:
    broken_before, execution, outcome = one.broken_before, one.execution, one.outcome
    return RebalanceLine(
        plan_id=one.plan_id,
        at=one.at,
        mode=one.plan.mode,
        status=one.status,
        successful=one.is_successful,
        drift_before=figure(one.drift_before),
        drift_after=figure(one.drift_after),
        total_cost_bps=None if execution is None else execution.total_cost_bps,
        violations_before=None if broken_before is None else len(broken_before),
        violations_after=None if execution is None else len(one.broken_after),
        sharpe_improvement_percent=figure(one.sharpe_improvement_percent),
        helped=outcome.helped if outcome is not None and outcome.graded else None,
    )


def _day(at: datetime) -> str:
    return at.date().isoformat()
