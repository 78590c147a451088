"""Every worked example that the specification settles, through the public tools."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import portfolio_rebalance
from portfolio_rebalance import (
    calculate_correlation_matrix,
    generate_rebalance_proposal,
    simulate_rebalance_impact,
    verify_allocation_compliance,
)

CURRENT = {"STR-001": 34, "STR-003": 20, "STR-007": 10.3}
PAIR = [("STR-001", "STR-003")]
DAYS = 30


def series_with_sharpe(ratio: float, *, seed: int) -> np.ndarray:
    """Thirty days whose annualised Sharpe ratio is ``ratio`` exactly."""
    noise = np.random.default_rng(seed).normal(size=DAYS)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    return 0.02 * (noise + ratio / np.sqrt(365))


def series_with_correlation(rho: float) -> dict[str, list[float]]:
    rng = np.random.default_rng(1)
    basis = np.linalg.qr(np.column_stack([np.ones(DAYS), rng.normal(size=(DAYS, 3))]))[0][:, 1:]
    a, b, c = basis.T
    return {
        "STR-001": list(0.05 * a),
        "STR-003": list(0.05 * (rho * a + np.sqrt(1 - rho**2) * b)),
        "STR-007": list(0.05 * c),
    }


def test_exact_allocations_and_their_total() -> None:
    capital = {"STR-001": 20_400, "STR-003": 12_100, "STR-007": 6_200}
    exact = {key: Fraction(value, 600) for key, value in capital.items()}
    proposal = generate_rebalance_proposal(exact, "proportional")
    assert {key: round(value, 2) for key, value in proposal.current_allocations.items()} == {
        "STR-001": 34.00,
        "STR-003": 20.17,
        "STR-007": 10.33,
    }
    assert proposal.summary.total_deployed_before == 64.5
    assert proposal.summary.total_deployed_after == 60.0
    assert dict(proposal.proposed_allocations) == {"STR-001": 31.63, "STR-003": 18.76, "STR-007": 9.61}


def test_correlation_aware_from_the_matrix_to_the_final_allocation() -> None:
    report = calculate_correlation_matrix(
        list(CURRENT), 30, returns=series_with_correlation(0.78), allocations=CURRENT
    )
    assert report.correlation_matrix["STR-001"]["STR-003"] == pytest.approx(0.78)
    pair = report.correlated_clusters[0]
    assert pair.strategies == ("STR-001", "STR-003")
    assert (pair.total_alloc, pair.exceeds_limit, pair.reduction_needed) == (54.0, True, 24.0)
    assert report.correlated_exposure == 54.0

    proposal = generate_rebalance_proposal(CURRENT, "correlation-aware", clusters=report.correlated_clusters)
    assert dict(proposal.proposed_allocations) == {"STR-001": 16, "STR-003": 20, "STR-007": 10.3}
    assert proposal.summary.total_deployed_after == 46.3
    assert proposal.summary.correlated_exposure_after == 36

    compliance = verify_allocation_compliance(
        proposal.proposed_allocations,
        {
            "max_total_deployed_percent": 60,
            "max_correlated_exposure_percent": 30,
            "max_individual_allocation_percent": 40,
            "min_allocation_percent": 1.0,
        },
        clusters=report.correlated_clusters,
        start=CURRENT,
    )
    assert compliance.total_deployed_ok
    assert compliance.individual_max_ok
    assert not compliance.correlated_exposure_ok
    assert not compliance.all_limits_met
    (violation,) = compliance.violations
    assert (
        violation.limit,
        violation.proposed,
        violation.limit_val,
        violation.status,
        violation.overage,
    ) == (
        "correlated_exposure",
        36.0,
        30.0,
        "FAIL",
        6.0,
    )
    assert dict(compliance.repaired_allocations) == {"STR-001": 16, "STR-003": 14, "STR-007": 10.3}
    assert sum(compliance.repaired_allocations.values()) == pytest.approx(40.3)
    assert compliance.repaired_limits_met
    moved = {key: CURRENT[key] - value for key, value in compliance.repaired_allocations.items()}
    assert [change for change in moved.values() if change] == [18, 6]  # two trades, not one


def test_performance_weighted_moves_five_points_and_keeps_the_total() -> None:
    proposal = generate_rebalance_proposal(
        CURRENT, "performance_weighted", sharpe_ratios={"STR-001": 0.55, "STR-003": 0.32, "STR-007": 0.48}
    )
    assert {change.strategy: change.change for change in proposal.changes_per_strategy} == {
        "STR-001": 5.0,
        "STR-003": -5.0,
        "STR-007": 0.0,
    }
    assert proposal.summary.total_reduction == 0


def test_second_example_is_refused_above_sixty_percent_and_repaired() -> None:
    current = {"STR-001": 30, "STR-005": 25, "STR-008": 10}
    wished = {"STR-001": 37, "STR-005": 20, "STR-008": 28}
    assert not verify_allocation_compliance(wished).total_deployed_ok
    proposal = generate_rebalance_proposal(
        current, "performance_weighted", sharpe_ratios={"STR-001": 0.65, "STR-005": 0.25, "STR-008": 0.45}
    )
    assert dict(proposal.proposed_allocations) == {"STR-001": 35, "STR-005": 20, "STR-008": 10}
    repaired = verify_allocation_compliance(proposal.proposed_allocations, start=current).repaired_allocations
    assert dict(repaired) == {"STR-001": 32.31, "STR-005": 18.46, "STR-008": 9.23}
    assert round(sum(repaired.values()), 2) == 60.00


def test_risk_adjusted_shares_of_the_deployed_total() -> None:
    proposal = generate_rebalance_proposal(
        {"STR-001": 20, "STR-003": 20, "STR-007": 20},
        "risk_adjusted",
        volatilities={"STR-001": 0.15, "STR-003": 0.20, "STR-007": 0.18},
    )
    shares = [round(100 * value / 60, 2) for value in proposal.proposed_allocations.values()]
    assert shares == pytest.approx([38.71, 29.03, 32.26], abs=0.01)


def test_improvement_cost_and_net_of_the_worked_simulation() -> None:
    impact = simulate_rebalance_impact(
        {
            "current_allocations": {"STR-001": 20, "STR-003": 0},
            "proposed_allocations": {"STR-001": 0, "STR-003": 20},
        },
        returns={
            "STR-001": list(series_with_sharpe(0.42, seed=1)),
            "STR-003": list(series_with_sharpe(0.48, seed=2)),
        },
    )
    assert impact.baseline_metrics is not None
    assert impact.improvements is not None
    assert impact.baseline_metrics.sharpe == pytest.approx(0.42)
    assert round(impact.improvements.sharpe_improvement or 0, 10) == 0.06
    assert round(impact.gross_improvement_percent or 0, 2) == 14.29
    assert (impact.trading_costs.slippage_bps, impact.trading_costs.commissions_bps) == (25, 5)
    assert impact.trading_costs.total_cost_percent == pytest.approx(0.30)
    assert round(impact.net_improvement_percent or 0, 2) == 13.99
    assert impact.improvement_exceeds_threshold
    assert impact.recommendation == "REBALANCE"
    assert impact.confidence == "LOW"  # from the evidence, not by assertion
    assert impact.walk_forward.status == "not_computed"


def test_the_same_tools_are_importable_from_the_root_links() -> None:
    import tools

    assert tools.verify_allocation_compliance is portfolio_rebalance.verify_allocation_compliance
