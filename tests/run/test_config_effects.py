"""Every configuration key that this version accepts changes what it says it changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from real_data import as_of_after, real_workspace

from portfolio_rebalance import run_skill
from portfolio_rebalance.config import Config, Section
from portfolio_rebalance.records import RebalanceResult

LAST_DAY = date(2019, 9, 30)
CAPITAL = {
    "eth_hold": 13_000,
    "voltarget_basket": 14_000,
    "tsmom_basket": 9_000,
    "btc_hourly_fade": 9_000,
    "xs_momentum_ls": 6_000,
    "ethbtc_pairs": 4_000,
}


def run(folder: Path, config: str, *, mode: str = "correlation-aware") -> RebalanceResult:
    folder.mkdir()
    text = f"portfolio_rebalance:\n  {config}\n" if config else None
    root = real_workspace(folder, CAPITAL, last_day=LAST_DAY, config=text)
    as_of = as_of_after(LAST_DAY)
    result = run_skill({"workspace": root, "as_of": as_of, "mode": mode}, now=as_of)
    assert result.error is None, result.error
    return result


def impact(result: RebalanceResult):  # type: ignore[no-untyped-def]
    assert result.chosen is not None
    return result.chosen.impact


def proposed(result: RebalanceResult) -> dict[str, float]:
    assert result.chosen is not None
    return dict(result.chosen.unrepaired.proposed_allocations)


Look = Callable[[RebalanceResult], object]
EFFECTS: list[tuple[str, str, Look]] = [
    (
        "correlation_analysis: {lookback_days: 60}",
        "correlation-aware",
        lambda r: r.correlation.correlation_matrix,
    ),
    (
        "correlation_analysis: {high_correlation_threshold: 0.95}",
        "correlation-aware",
        lambda r: r.correlation.clusters,
    ),
    (
        "correlation_analysis: {redundancy_score_min: 0.9}",
        "correlation-aware",
        lambda r: r.correlation.redundant_pairs,
    ),
    (
        "correlation_analysis: {correlated_cluster_max_allocation: 0.2}",
        "correlation-aware",
        lambda r: r.chosen.proposal.proposed_bp,
    ),
    (
        "rebalancing_modes: {available: [correlation_aware]}",
        "correlation-aware",
        lambda r: [c.mode for c in r.candidates],
    ),
    (
        "circuit_breakers: {max_total_deployed_percent: 40}",
        "correlation-aware",
        lambda r: r.chosen.proposal.proposed_bp,
    ),
    (
        "circuit_breakers: {max_correlated_exposure_percent: 20}",
        "correlation-aware",
        lambda r: r.chosen.proposal.proposed_bp,
    ),
    (
        "circuit_breakers: {max_individual_allocation_percent: 10}",
        "correlation-aware",
        lambda r: r.chosen.proposal.proposed_bp,
    ),
    (
        "circuit_breakers: {min_allocation_percent: 5}",
        "correlation-aware",
        lambda r: r.chosen.proposal.proposed_bp,
    ),
    ("execution: {max_trades_per_rebalance: 1}", "risk-adjusted", lambda r: len(r.chosen.proposal.traded)),
    (
        "impact_simulation: {estimate_slippage: false}",
        "correlation-aware",
        lambda r: impact(r).trading_costs.slippage_bps,
    ),
    (
        "impact_simulation: {estimate_commissions: false}",
        "correlation-aware",
        lambda r: impact(r).trading_costs.total_cost_percent,
    ),
    (
        "impact_simulation: {simulate_drawdown: false}",
        "correlation-aware",
        lambda r: impact(r).projected_metrics.dd,
    ),
    (
        "impact_simulation: {lookback_windows: [1d]}",
        "correlation-aware",
        lambda r: list(next(iter(r.assessment.current_allocations.values())).pnl),
    ),
    (
        "impact_simulation: {improvement_threshold_percent: 1000}",
        "performance-weighted",
        lambda r: impact(r).recommendation,
    ),
    ("annualization_days: 252", "correlation-aware", lambda r: impact(r).projected_metrics.sharpe),
    ("risk_free_rate_percent: 20", "correlation-aware", lambda r: impact(r).projected_metrics.sharpe),
    ("min_observations: 30", "correlation-aware", lambda r: r.correlation.min_observations),
    (
        "improvement_weights: {sharpe: 0, drawdown: 1}",
        "correlation-aware",
        lambda r: impact(r).gross_improvement_percent,
    ),
    ("performance_step_percent: 2", "performance-weighted", proposed),
    ("max_single_cut_to_next: 1.0", "correlation-aware", proposed),
    ("min_psr_to_raise: 0.99", "risk-adjusted", proposed),
    ("limit_buffer_bp: 100", "correlation-aware", lambda r: r.chosen.proposal.proposed_bp),
    ("simulation: {slippage_bps: 50}", "correlation-aware", lambda r: impact(r).trading_costs.plan_cost),
    ("simulation: {commission_bps: 50}", "correlation-aware", lambda r: impact(r).trading_costs.plan_cost),
    ("simulation: {bootstrap_resamples: 500}", "correlation-aware", lambda r: impact(r).resampling.resamples),
    ("simulation: {mean_block_days: 10}", "correlation-aware", lambda r: impact(r).resampling.seed),
    ("approval_ttl_hours: 48", "correlation-aware", lambda r: r.plan.expires_at),
]
ELSEWHERE = {
    "enabled": "a dry run works whatever it says",
    "individual_drift_percent": "test_decide",
    "portfolio_drift_percent": "test_decide",
    "auto_rebalance_threshold": "test_decide",
    "default": "test_records",
    "max_capital_jump_percent": "test_records",
    "cluster_exit_threshold": "test_notebook_use",
    "max_snapshot_age_days": "the workspace's tests",
    "mode": "test_execution_config",
    "approval_required": "test_execution_config",
    "batch_execution": "test_execution_config",
    "slippage_tolerance_bps": "test_execution_config",
    "max_plan_price_move_percent": "test_execution_config",
    "cooldown_hours": "test_execution_config",
    "kind": "test_execution_config",
    "exchange": "test_execution_config",
    "symbols": "test_execution_config",
    "sandbox": "test_execution_config",
    "schedule": "test_units and test_watch, of triggers",
    "tracking_interval_hours": "test_units and test_watch, of triggers",
    "notifications": "test_telling",
    **dict.fromkeys(
        ("provider", "max_turns", "max_calls", "max_tokens", "max_seconds", "max_dollars", "model", "effort"),
        "test_models",
    ),
}


@pytest.mark.parametrize(("config", "mode", "look"), EFFECTS, ids=[config for config, _, _ in EFFECTS])
def test_a_key_changes_what_it_says(tmp_path: Path, config: str, mode: str, look: Look) -> None:
    before, after = run(tmp_path / "before", "", mode=mode), run(tmp_path / "after", config, mode=mode)
    assert look(before) != look(after)


def test_a_longer_life_of_plans_is_exact(tmp_path: Path) -> None:
    plan = run(tmp_path / "w", "approval_ttl_hours: 48").plan
    assert plan is not None
    assert plan.expires_at - plan.as_of == timedelta(hours=48)


def test_no_key_is_left_without_a_test_of_its_effect() -> None:
    def keys(model: type[Section]) -> set[str]:
        found: set[str] = set()
        for name, field in model.model_fields.items():
            kind = field.annotation
            inside = isinstance(kind, type) and issubclass(kind, Section)
            found |= keys(kind) if inside else {field.alias or name}  # type: ignore[arg-type]
        return found

    only_default = {
        "post_rebalance_days", "divergence_alert_threshold_percent",
        "extract_learnings", "update_algorithm_on_divergence", "feedback_agent_enabled",
        "retention_days",
    }  # fmt: skip
    shown = " ".join(config for config, _, _ in EFFECTS)
    weights = {"sharpe", "drawdown", "win_rate", "return"}
    open_keys = {
        key for key in keys(Config) - only_default - set(ELSEWHERE) - weights if f"{key}:" not in shown
    }
    assert open_keys == set()
