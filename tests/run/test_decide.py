"""The order of bases, the trade limit, pins and holds, through whole runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from workspaces import AS_OF, THREE, Strategy, changed, make_workspace

from portfolio_rebalance import run_skill
from portfolio_rebalance.records import RebalanceResult

AS_OF_TEXT = "2025-02-05T02:00:00Z"


def run(root: Path, *words: str) -> RebalanceResult:
    return run_skill(["--workspace", str(root), "--as-of", AS_OF_TEXT, *words], now=AS_OF)


def on_target(**capital: int) -> dict[str, Strategy]:
    """Strategies of a portfolio of 100 000 that hold exactly their targets."""
    return {
        "STR-" + key.upper(): Strategy(capital=amount, target_percent=f"{amount / 1000:.3f}")
        for key, amount in capital.items()
    }


def test_a_broken_limit_is_a_reason_to_rebalance_whatever_the_improvement(tmp_path: Path) -> None:
    result = run(make_workspace(tmp_path, on_target(a=45_000, b=10_000), total_capital=100_000))
    assert result.decision is not None
    assert (result.decision.recommendation, result.decision.basis) == ("REBALANCE", "compliance")
    assert result.decision.improvement_verdict in {"HOLD", "OPTIONAL", "REBALANCE"}
    assert result.status == "planned"
    assert result.cheapest is not None
    assert "STR-A is at 45.00 % against a limit of 40.00 %" in result.decision.headline


def test_nothing_to_change_is_hold_without_a_plan(tmp_path: Path) -> None:
    result = run(make_workspace(tmp_path, on_target(a=20_000, b=10_000), total_capital=100_000))
    assert result.decision is not None
    assert (result.decision.recommendation, result.decision.basis) == ("HOLD", "none")
    assert result.plan_id is None
    assert result.status == "hold"
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("capital", "recommendation"), [(11_300, "REBALANCE"), (10_900, "OPTIONAL"), (10_600, "OPTIONAL")]
)
def test_drift_beyond_a_threshold_is_a_basis(tmp_path: Path, capital: int, recommendation: str) -> None:
    strategies = changed(on_target(a=20_000, b=10_000), "STR-B", market_value=capital)
    result = run(make_workspace(tmp_path, strategies, total_capital=100_000), "--mode", "proportional")
    assert result.decision is not None
    assert result.decision.basis == "drift"
    if recommendation == "REBALANCE":
        assert result.decision.recommendation == "REBALANCE"
    else:
        assert result.decision.recommendation in {"OPTIONAL", "REBALANCE"}
    chosen = result.chosen
    assert chosen is not None
    assert chosen.drift_after is not None
    assert chosen.drift_before is not None
    assert chosen.drift_after < chosen.drift_before


@pytest.mark.parametrize(("threshold", "basis"), [(2, "drift"), (50, "improvement")])
def test_portfolio_drift_is_a_basis_beyond_its_own_threshold(
    tmp_path: Path, threshold: int, basis: str
) -> None:
    """No strategy drifted by 5 % (all by 4), but the mode brings the total back under its limit anyway."""
    config = (
        f"portfolio_rebalance:\n  drift_thresholds: {{portfolio_drift_percent: {threshold}}}\n"
        "  circuit_breakers: {max_total_deployed_percent: 31}\n  limit_buffer_bp: 100\n"
    )
    strategies = on_target(a=20_000, b=10_000)
    strategies |= changed(strategies, "STR-A", market_value=20_850)
    root = make_workspace(tmp_path, strategies, total_capital=100_000, config=config)
    result = run(root, "--mode", "proportional")
    assert result.decision is not None
    assert result.assessment is not None
    assert result.assessment.portfolio_drift_flagged is (threshold == 2)
    assert result.decision.basis == basis


def test_a_pinned_strategy_that_drifted_is_no_basis(tmp_path: Path) -> None:
    strategies = changed(on_target(a=20_000, b=10_000), "STR-B", market_value=12_000, pinned=True)
    result = run(make_workspace(tmp_path, strategies, total_capital=100_000), "--mode", "proportional")
    assert result.decision is not None
    assert result.decision.recommendation == "HOLD"


def test_a_strategy_winding_down_is_sold_and_never_raised(tmp_path: Path) -> None:
    strategies = on_target(a=20_000, b=10_000) | {"STR-OLD": Strategy(capital=3_000, target_percent=0)}
    for mode in ("proportional", "performance-weighted", "risk-adjusted", "correlation-aware"):
        folder = tmp_path / mode
        folder.mkdir()
        result = run(make_workspace(folder, strategies, total_capital=100_000), "--mode", mode)
        assert result.chosen is not None
        assert result.chosen.proposal.proposed_bp["STR-OLD"] == 0
        assert result.assessment is not None
        assert result.assessment.current_allocations["STR-OLD"].priority == "high"
        assert result.assessment.current_allocations["STR-OLD"].drift_percent is None


def test_a_flat_strategy_holds_zero_and_stays_out(tmp_path: Path) -> None:
    strategies = on_target(a=20_000, b=10_000) | {"STR-FLAT": Strategy(capital=0, target_percent=0)}
    result = run(make_workspace(tmp_path, strategies, total_capital=100_000), "--mode", "risk-adjusted")
    assert result.chosen is not None
    assert result.chosen.proposal.proposed_bp["STR-FLAT"] == 0


def test_pins_that_break_a_limit_are_blocked_with_the_smallest_relaxation(tmp_path: Path) -> None:
    strategies = changed(on_target(a=45_000, b=10_000), "STR-A", pinned=True)
    result = run(make_workspace(tmp_path, strategies, total_capital=100_000))
    assert (result.status, result.exit_code) == ("blocked", 13)
    assert result.plan_id is None
    assert result.decision is not None
    assert "Cannot rebalance while respecting all limits" in result.decision.headline
    assert result.chosen is not None
    assert result.chosen.compliance.blocked is not None
    assert result.chosen.compliance.blocked.release == ("STR-A",)


def test_a_hold_lasts_one_run(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, on_target(a=45_000, b=10_000), total_capital=100_000)
    assert run(root, "--hold", "STR-A").status == "blocked"
    assert run(root).status == "planned"


def test_the_trade_limit_keeps_the_forced_and_the_largest_changes(tmp_path: Path) -> None:
    strategies = on_target(**{f"s{place:02}": 4_000 + 100 * place for place in range(16)})  # 76 %
    config = "portfolio_rebalance:\n  execution: {max_trades_per_rebalance: 4}\n"
    root = make_workspace(tmp_path, strategies, total_capital=100_000, config=config)
    result = run(root, "--mode", "proportional")
    chosen = result.chosen
    assert chosen is not None
    assert len(chosen.proposal.traded) == 4
    assert chosen.proposal.traded == ("STR-S12", "STR-S13", "STR-S14", "STR-S15")
    assert chosen.compliance.repaired_limits_met
    assert len(chosen.compliance.deferred) == 12


def test_a_trade_limit_too_small_for_compliance_is_blocked_with_the_number_needed(tmp_path: Path) -> None:
    strategies = on_target(**{f"s{place:02}": 4_000 for place in range(20)})  # 80 %: five exits at least
    config = "portfolio_rebalance:\n  execution: {max_trades_per_rebalance: 4}\n"
    result = run(make_workspace(tmp_path, strategies, total_capital=100_000, config=config))
    assert result.status == "blocked"
    assert result.chosen is not None
    assert result.chosen.compliance.blocked is not None
    assert result.chosen.compliance.blocked.trades_needed == 5
    assert "allow 5 trades instead of 4" in result.chosen.compliance.blocked.relaxation


def test_a_limit_buffer_keeps_proposals_below_the_limits_they_are_judged_by(tmp_path: Path) -> None:
    config = "portfolio_rebalance:\n  limit_buffer_bp: 50\n"
    root = make_workspace(tmp_path, on_target(a=35_000, b=35_000), total_capital=100_000, config=config)
    result = run(root, "--mode", "proportional")
    assert result.chosen is not None
    assert result.chosen.proposal.summary.total_deployed_after == 59.5
    limits = {line.limit: line.limit_val for line in result.chosen.compliance.repaired_checks}
    assert limits["total_deployed"] == 60.0


def test_the_stricter_spelling_of_the_cluster_limit_holds_with_a_warning(tmp_path: Path) -> None:
    series = [0.01 * (-1) ** day + 0.001 * day for day in range(60)]
    config = "portfolio_rebalance:\n  correlation_analysis: {correlated_cluster_max_allocation: 0.25}\n"
    root = make_workspace(
        tmp_path,
        on_target(a=15_000, b=13_000),
        total_capital=100_000,
        config=config,
        returns={"STR-A": series, "STR-B": series},
    )
    result = run(root)
    assert result.chosen is not None
    assert result.chosen.proposal.summary.correlated_exposure_after == 25.0
    assert any("differ" in warning for warning in result.warnings)


def test_missing_returns_of_everybody_fall_back_to_proportional(tmp_path: Path) -> None:
    strategies = changed(on_target(a=35_000, b=30_000), "STR-B", market_value=36_000)
    root = make_workspace(tmp_path, strategies, total_capital=105_000, returns={"STR-A": None, "STR-B": None})
    result = run(root)
    assert (result.requested_mode, result.mode) == ("correlation_aware", "proportional")
    assert "correlation cannot be computed" in result.fallback
    assert result.chosen is not None
    assert result.chosen.compliance.repaired_correlated_exposure == "NOT_EVALUATED"
    assert any("stale" in warning for warning in result.warnings)


def test_an_unknown_pair_that_could_break_the_limit_is_named(tmp_path: Path) -> None:
    strategies = on_target(a=10_000, b=20_000, c=5_000)
    few = [0.01, -0.02] * 5
    root = make_workspace(tmp_path, strategies, total_capital=100_000, returns={"STR-B": few})
    result = run(root)
    assert result.chosen is not None
    compliance = result.chosen.compliance
    assert compliance.repaired_correlated_exposure == "NOT_EVALUATED"
    assert "STR-A/STR-B" in compliance.not_evaluated_reason
    assert result.mode == "correlation_aware"


def test_an_unknown_pair_that_could_not_break_the_limit_is_a_pass(tmp_path: Path) -> None:
    few = [0.01, -0.02] * 5
    root = make_workspace(
        tmp_path, on_target(a=10_000, b=5_000, c=5_000), total_capital=100_000, returns={"STR-B": few}
    )
    result = run(root)
    assert result.chosen is not None
    assert result.chosen.compliance.repaired_correlated_exposure == "PASS"


def test_example_one_from_the_state_to_the_plan(tmp_path: Path) -> None:
    import numpy as np

    basis = np.linalg.qr(np.column_stack([np.ones(30), np.random.default_rng(1).normal(size=(30, 3))]))[0][
        :, 1:
    ]
    a, b, c = 0.05 * basis.T
    returns = {
        "STR-001": list(a),
        "STR-003": list(0.78 * a + np.sqrt(1 - 0.78**2) * b),
        "STR-007": list(c),
    }
    strategies = {
        "STR-001": Strategy(capital=20_400, target_percent=34),
        "STR-003": Strategy(capital=12_000, target_percent=20),
        "STR-007": Strategy(capital=6_180, target_percent="10.3"),
    }
    result = run(make_workspace(tmp_path, strategies, returns=returns))
    assert result.chosen is not None
    assert dict(result.chosen.unrepaired.proposed_allocations) == {
        "STR-001": 16,
        "STR-003": 20,
        "STR-007": 10.3,
    }
    assert dict(result.chosen.proposal.proposed_allocations) == {
        "STR-001": 16,
        "STR-003": 14,
        "STR-007": 10.3,
    }
    assert result.plan is not None
    assert [entry.proposed_bp for entry in result.plan.strategies] == [1600, 1400, None]


def test_assessment_of_the_worked_state(tmp_path: Path) -> None:
    assessment = run(make_workspace(tmp_path, THREE)).assessment
    assert assessment is not None
    rows = assessment.current_allocations
    assert [str(rows[key].alloc_percent) for key in sorted(rows)] == ["34", "20.17", "10.33"]
    assert [str(rows[key].drift_percent) for key in sorted(rows)] == ["2", "0.83", "3.33"]
    assert [rows[key].priority for key in sorted(rows)] == ["medium", "low", "medium"]
    assert str(assessment.total_deployed.alloc_percent) == "64.5"
