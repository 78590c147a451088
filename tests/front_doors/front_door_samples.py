"""One rebalance as records, with the figures of the worked example."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from portfolio_rebalance.records import (
    Adjustment,
    Assessment,
    BlockedDiagnosis,
    Candidate,
    Cluster,
    ComplianceReport,
    CorrelatedPair,
    CorrelationReport,
    Decision,
    DeployedTotal,
    ErrorReport,
    ImpactReport,
    Improvements,
    LaggedPair,
    LimitLine,
    PortfolioMetrics,
    Proposal,
    RebalanceResult,
    RedundantPair,
    ResamplingEvidence,
    Review,
    StrategyAssessment,
    TradingCosts,
    UnknownPair,
    Violation,
    WalkForwardEvidence,
)

REPOSITORY = Path(__file__).parents[2]
AS_OF = datetime(2019, 10, 1, 2, tzinfo=UTC)
IDS = ("STR-001", "STR-003", "STR-007")
CURRENT = {"STR-001": Fraction(3400), "STR-003": Fraction(2000), "STR-007": Fraction(1030)}
WISHED = {"STR-001": Fraction(1600), "STR-003": Fraction(2000), "STR-007": Fraction(1030)}
REPAIRED = {"STR-001": Fraction(1600), "STR-003": Fraction(1400), "STR-007": Fraction(1030)}
CLUSTERS = (("STR-001", "STR-003"),)
PLAN_ID = "3fa9c1d2e4b5" + "0" * 52


def command(*words: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command line as a process of its own, piped."""
    return subprocess.run(
        [sys.executable, "-m", "portfolio_rebalance.cli", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
    )


def assessment(*, name: str = "funding arb") -> Assessment:
    lines = {
        key: StrategyAssessment(
            strategy=key,
            name=name,
            capital=Decimal(capital),
            target=Decimal(target),
            alloc_percent=Decimal(alloc),
            target_percent=Decimal(percent),
            drift_percent=Decimal(drift),
            priority=priority,
            starts_from="current",
            pinned=False,
            pnl={"1h": Decimal("12.5"), "4h": None, "1d": Decimal("-40.25")},
            stale="",
        )
        for key, capital, target, alloc, percent, drift, priority in (
            ("STR-001", 20400, 20000, "34.00", "33.33", "2.00", "medium"),
            ("STR-003", 12000, 12000, "20.00", "20.00", "0.00", "low"),
            ("STR-007", 6180, 6000, "10.30", "10.00", "3.00", "medium"),
        )
    }
    return Assessment(
        as_of=AS_OF,
        currency="USDT",
        total_capital=Decimal(60000),
        cash=Decimal(21420),
        current_allocations=lines,
        total_deployed=DeployedTotal(
            capital=Decimal(38580), alloc_percent=Decimal("64.30"), target=Decimal(63)
        ),
        portfolio_drift_percent=Decimal("1.53"),
        portfolio_drift_flagged=False,
        candidates=("STR-001", "STR-007"),
        alerts=("STR-001 drifted a lot",),
        warnings=("a snapshot is old",),
        stale_data=False,
    )


def correlation(**changes: Any) -> CorrelationReport:
    report = CorrelationReport(
        status="evaluated",
        reason="",
        as_of=AS_OF,
        lookback_days=30,
        min_observations=20,
        strategies=IDS,
        correlation_matrix={a: {b: 1.0 if a == b else 0.35 for b in IDS} for a in IDS},
        high_correlation_pairs=(
            CorrelatedPair(strategies=CLUSTERS[0], correlation=0.78, observations=29, low=0.58, high=0.89),
        ),
        correlated_clusters=(
            Cluster(strategies=CLUSTERS[0], correlation_avg=0.78, combined_bp=Fraction(5400), limit_bp=3000),
            Cluster(strategies=("STR-007",), correlation_avg=None, combined_bp=Fraction(1030), limit_bp=3000),
        ),
        offsetting_pairs=(
            CorrelatedPair(
                strategies=("STR-003", "STR-007"), correlation=-0.95, observations=29, low=-0.98, high=-0.9
            ),
        ),
        duplicated_pairs=(("STR-001", "STR-003"),),
        misdated_pairs=(
            LaggedPair(
                strategies=("STR-001", "STR-007"),
                correlation=-0.08,
                lag_days=-1,
                lagged_correlation=0.81,
                low=0.6,
                high=0.9,
            ),
        ),
        redundant_pairs=(RedundantPair(strategies=CLUSTERS[0], redundancy_score=0.61, weaker="STR-003"),),
        unknown_pairs=(
            UnknownPair(strategies=("STR-001", "STR-007"), observations=12, reason="too_few_observations"),
        ),
        idle=("STR-007",),
    )
    return report.model_copy(update=changes)


def proposal(mode: str, proposed: dict[str, Fraction]) -> Proposal:
    return Proposal(
        mode=mode,
        as_of=AS_OF,
        current_bp=CURRENT,
        start_bp=CURRENT,
        proposed_bp=proposed,
        reasons={key: "reduce the cluster" for key in proposed if proposed[key] != CURRENT[key]},
        clusters=CLUSTERS,
        fixed=(),
    )


def lines(total: float, cluster: float, single: float, smallest: float) -> tuple[LimitLine, ...]:
    def line(limit: str, who: tuple[str, ...], proposed: float, bound: float) -> LimitLine:
        buffer = proposed - bound if limit == "individual_min" else bound - proposed
        return LimitLine.model_validate(
            {
                "limit": limit,
                "strategies": who,
                "proposed": proposed,
                "limit_val": bound,
                "status": "PASS" if buffer >= 0 else "FAIL",
                "buffer": buffer,
            }
        )

    return (
        line("total_deployed", IDS, total, 60.0),
        line("correlated_exposure", CLUSTERS[0], cluster, 30.0),
        line("individual_max", ("STR-001",), single, 40.0),
        line("individual_min", ("STR-007",), smallest, 1.0),
    )


def compliance(*, blocked: bool = False) -> ComplianceReport:
    violation = Violation(
        limit="correlated_exposure",
        strategies=CLUSTERS[0],
        proposed=36.0,
        limit_val=30.0,
        status="FAIL",
        overage=6.0,
    )
    return ComplianceReport(
        given_bp=WISHED,
        checks=lines(46.3, 36.0, 20.0, 10.3),
        violations=(violation,),
        correlated_exposure="FAIL",
        not_evaluated_reason="",
        repaired_bp=REPAIRED,
        repaired_checks=lines(40.3, 30.0, 16.0, 10.3),
        repaired_violations=(violation,) if blocked else (),
        repaired_correlated_exposure="FAIL" if blocked else "PASS",
        adjustments=(
            Adjustment.model_validate(
                {
                    "strategy": "STR-003",
                    "from": 20.0,
                    "to": 14.0,
                    "limit": "correlated_exposure",
                    "reason": "cluster scaled by 0.7 of its start",
                }
            ),
        ),
        deferred=("STR-007",),
        blocked=BlockedDiagnosis(
            binding=(violation,),
            largest_compliant_total=40.3,
            release=("STR-001",),
            trades_needed=2,
            relaxation="release STR-001",
        )
        if blocked
        else None,
    )


def metrics(sharpe: float | None) -> PortfolioMetrics:
    return PortfolioMetrics.model_validate(
        {"sharpe": sharpe, "dd": -8.7, "win_rate": 0.62, "return": 5.2, "volatility": 12.0, "flat_days": 1}
    )


def impact(*, computed: bool = True, walk_forward: WalkForwardEvidence | None = None) -> ImpactReport:
    return ImpactReport(
        computed=computed,
        reason="" if computed else "12 common days, 20 are needed",
        lookback_days=30,
        observations=29 if computed else 12,
        baseline_metrics=metrics(0.42) if computed else None,
        projected_metrics=metrics(0.48) if computed else None,
        projected_after_cost=metrics(0.47) if computed else None,
        improvements=Improvements(
            sharpe_improvement=0.06,
            dd_improvement=2.5,
            win_rate_improvement=0.03,
            return_improvement=-0.4,
            estimated_improvement_percent=14.29,
        )
        if computed
        else None,
        trading_costs=TradingCosts(
            slippage_bps=25,
            commissions_bps=5,
            total_cost_percent=0.30,
            turnover_percent=24.0,
            plan_cost_percent=0.072,
            plan_cost=Decimal("43.20"),
        ),
        gross_improvement_percent=14.29 if computed else None,
        net_improvement_percent=13.99 if computed else None,
        improvement_exceeds_threshold=True if computed else None,
        recommendation="REBALANCE" if computed else "HOLD",
        confidence="LOW",
        resampling=ResamplingEvidence(
            probability_better=0.71,
            sharpe_difference_low=-0.4,
            sharpe_difference_median=0.06,
            sharpe_difference_high=0.6,
            psr_baseline=0.55,
            psr_projected=0.58,
            resamples=2000,
            seed="00",
        )
        if computed
        else None,
        walk_forward=walk_forward or WalkForwardEvidence(status="not_computed"),
        notes=(),
    )


def candidate(mode: str = "correlation_aware", **parts: Any) -> Candidate:
    given: dict[str, Any] = {
        "unrepaired": proposal(mode, WISHED),
        "compliance": compliance(),
        "proposal": proposal(mode, REPAIRED),
        "impact": impact(),
        "drift_before": Fraction(1, 65),
        "drift_after": Fraction(1, 3),
    }
    return Candidate(**(given | parts))


def result(**changes: Any) -> RebalanceResult:
    whole = RebalanceResult(
        status="planned",
        exit_code=0,
        run_id="a" * 64,
        plan_id=PLAN_ID,
        as_of=AS_OF,
        requested_mode="correlation_aware",
        mode="correlation_aware",
        assessment=assessment(),
        correlation=correlation(),
        candidates=(candidate(), candidate("proportional")),
        cheapest=candidate("minimal_turnover"),
        reviews=(
            Review(
                role="risk_manager",
                source="rules",
                verdict="concerns",
                concerns=("the cluster is near 30 %",),
            ),
        ),
        decision=Decision(
            recommendation="REBALANCE",
            basis="compliance",
            improvement_verdict="REBALANCE",
            confidence="LOW",
            evidence="not_computed",
            headline="REBALANCE (compliance): the cluster is at 54.00 %. Your own history was not asked.",
            reasons=("the cluster is at 54.00 %", "STR-001 drifted a lot"),
        ),
        alerts=("STR-001 drifted a lot",),
        warnings=("based on stale data",),
        written=(".crypto/portfolio-rebalance/assessment-2019-10-01.yaml",),
    )
    return whole.model_copy(update=changes)


def refused() -> RebalanceResult:
    return RebalanceResult(
        status="refused",
        exit_code=14,
        error=ErrorReport(
            code="stale_data", what="The snapshot is 9 days old.", where="x.yaml:3", fix="Refresh it."
        ),
    )
