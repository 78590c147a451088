"""Mutations of the configuration: every key that is accepted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from run import acts
from run.mutations import Mutation, as_changed

from portfolio_rebalance.errors import BrokerError, ConfigError, HaltedError, RebalanceError

__all__ = ["ANOTHER_VALUE", "REFUSED_VALUE", "config_mutations"]

ANOTHER_VALUE: Final[Mapping[str, str]] = {
    "llm.provider": "rules",
    "llm.max_turns": "4",
    "llm.max_calls": "7",
    "llm.max_tokens": "300000",
    "llm.max_seconds": "200",
    "llm.max_dollars": "2",
    **{
        f"llm.agents.{agent}.{key}": value
        for agent in (
            *("orchestrator", "quantitative_analyst", "risk_manager"),
            *("order_executor", "monitor", "feedback"),
        )
        for key, value in (("model", "claude-opus-5"), ("effort", "high"), ("max_tokens", "5000"))
    },
    "drift_thresholds.individual_drift_percent": "6",
    "drift_thresholds.portfolio_drift_percent": "2.1",
    "drift_thresholds.auto_rebalance_threshold": "9",
    "correlation_analysis.lookback_days": "31",
    "correlation_analysis.high_correlation_threshold": "0.71",
    "correlation_analysis.correlated_cluster_max_allocation": "0.31",
    "correlation_analysis.redundancy_score_min": "0.6",
    "rebalancing_modes.default": "proportional",
    "rebalancing_modes.available": "[correlation_aware, proportional]",
    "circuit_breakers.max_total_deployed_percent": "90",
    "circuit_breakers.max_correlated_exposure_percent": "60",
    "circuit_breakers.max_individual_allocation_percent": "41",
    "circuit_breakers.min_allocation_percent": "0.5",
    "execution.mode": "auto_execute",
    "execution.approval_required": "false",
    "execution.batch_execution": "false",
    "execution.slippage_tolerance_bps": "51",
    "execution.max_trades_per_rebalance": "11",
    "impact_simulation.estimate_slippage": "false",
    "impact_simulation.estimate_commissions": "false",
    "impact_simulation.simulate_drawdown": "false",
    "impact_simulation.lookback_windows": "[1h]",
    "impact_simulation.improvement_threshold_percent": "4.9",
    "annualization_days": "252",
    "risk_free_rate_percent": "0.1",
    "min_observations": "21",
    "max_capital_jump_percent": "21",
    "improvement_weights.sharpe": "2",
    "improvement_weights.drawdown": "1",
    "improvement_weights.win_rate": "1",
    "improvement_weights.return": "1",
    "cluster_exit_threshold": "0.61",
    "performance_step_percent": "5.1",
    "max_single_cut_to_next": "0.81",
    "min_psr_to_raise": "0.11",
    "limit_buffer_bp": "1",
    "simulation.slippage_bps": "26",
    "simulation.commission_bps": "4.9",
    "simulation.bootstrap_resamples": "2001",
    "simulation.mean_block_days": "3.1",
    "approval_ttl_hours": "25",
    "max_plan_price_move_percent": "2.1",
    "max_snapshot_age_days": "6",
    "cooldown_hours": "1",
    "schedule": '"0 3 * * *"',
    "monitoring.tracking_interval_hours": "2",
    "notifications": "[{name: phone, url_env: PHONE_URL}]",
    "monitoring.post_rebalance_days": "8",
    "monitoring.divergence_alert_threshold_percent": "11",
    "learning.extract_learnings": "false",
    "learning.update_algorithm_on_divergence": "false",
    "learning.feedback_agent_enabled": "false",
    "retention_days": "401",
}
"""Another accepted value of every key that has an effect, but for `enabled` and `broker`."""

REFUSED_VALUE: Final[Mapping[str, tuple[str, type[RebalanceError], str]]] = {
    "enabled": ("false", HaltedError, "^The configuration says enabled: false"),
    "broker.kind": ("ccxt", ConfigError, "needs an exchange"),
    "broker.exchange": ("binance", ConfigError, "belong to kind ccxt"),
    "broker.sandbox": ("true", ConfigError, "belong to kind ccxt"),
    "broker.symbols": ("{BTC: BTC/USD}", ConfigError, "belong to kind ccxt"),
}
"""Of the other keys a value that is refused for another reason than that it changed, and the reason."""


def config_mutations() -> Iterator[Mutation]:
    """All of them."""
    for key, value in ANOTHER_VALUE.items():
        yield as_changed(
            f"config: {key}: {value}",
            acts.configures(_line(key, value)),
            "^The configuration changed from [0-9a-f]{12} to [0-9a-f]{12}",
        )
    for key, (value, kind, saying) in REFUSED_VALUE.items():
        act = acts.configures(_line(key, value))
        yield Mutation(name=f"config: {key}: {value}", act=act, kind=kind, saying=saying)
    symbols = "symbols: {BTC: BTC/USD, ETH: ETH/USD, SOL: SOL/USD}"
    for sandbox in ("true", "false"):
        live: Literal["likewise"] | tuple[int, str] = "likewise" if sandbox == "true" else (15, "refused")
        yield Mutation(
            name=f"config: a real exchange, sandbox {sandbox}",
            act=acts.configures(f"broker: {{kind: ccxt, exchange: binance, sandbox: {sandbox}, {symbols}}}"),
            kind=BrokerError,
            saying="^There are no credentials for binance",
            by_skill=live,
        )
    yield as_changed(
        "config: limits raised",
        acts.configures(
            "circuit_breakers: {max_total_deployed_percent: 100, max_individual_allocation_percent: 100}"
        ),
        "^The configuration changed",
    )


def _line(key: str, value: str) -> str:
    first, *inner = key.split(".")
    for name in reversed(inner):
        value = f"{{{name}: {value}}}"
    return f"{first}: {value}"
