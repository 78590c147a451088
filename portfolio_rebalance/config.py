"""The configuration: every key, its default, its effect.

The models are strict and closed: an unknown key is an error, because a mistyped limit that is silently
ignored is no limit. Fractions are ``Decimal``, exactly as written. Descriptions here are the source of
``docs/configuration.md``.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from portfolio_rebalance.config_llm import Llm
from portfolio_rebalance.config_notify import Target
from portfolio_rebalance.config_types import NotNegative, Number, Percent, Section, Share
from portfolio_rebalance.cron import require_cron

__all__ = ["CONFIG_ROOT", "Config", "Number"]

CONFIG_ROOT: Final = "portfolio_rebalance"
"""The one top-level key of the file."""

_SCHEDULE: Final = "0 2 * * *"


class DriftThresholds(Section):
    """When drift matters."""

    individual_drift_percent: Annotated[
        Percent,
        Field(
            description="Drift of one strategy beyond this is high priority, and it starts from its target."
        ),
    ] = Decimal("5.0")
    portfolio_drift_percent: Annotated[
        Percent,
        Field(description="Drift of the portfolio beyond this is flagged and is a basis to rebalance."),
    ] = Decimal("2.0")
    auto_rebalance_threshold: Annotated[
        Percent, Field(description="Drift of one strategy beyond this recommends REBALANCE.")
    ] = Decimal("10.0")


class CorrelationAnalysis(Section):
    """What counts as the same bet."""

    lookback_days: Annotated[
        int, Field(ge=5, le=3650, description="Calendar days of daily returns looked at.")
    ] = 30
    high_correlation_threshold: Annotated[
        Share,
        Field(description="Pearson correlation above this is HIGH and joins two strategies in a cluster."),
    ] = Decimal("0.7")
    correlated_cluster_max_allocation: Annotated[
        Share,
        Field(description="Cluster limit as a fraction; the stricter of this and the circuit breaker holds."),
    ] = Decimal("0.30")
    redundancy_score_min: Annotated[
        Share,
        Field(description="A pair whose squared positive correlation reaches this is reported as redundant."),
    ] = Decimal("0.5")


class RebalancingModes(Section):
    """Which modes may be chosen."""

    default: Annotated[str, Field(description="Mode of a run that names none.")] = "correlation_aware"
    available: Annotated[
        tuple[str, ...] | None,
        Field(min_length=1, description="Modes that may be chosen; every one when absent."),
    ] = None


class CircuitBreakers(Section):
    """Hard limits, in percent of total capital."""

    max_total_deployed_percent: Annotated[Percent, Field(description="Sum of all allocations, at most.")] = (
        Decimal(60)
    )
    max_correlated_exposure_percent: Annotated[
        Percent, Field(description="A correlated cluster of two or more, at most.")
    ] = Decimal(30)
    max_individual_allocation_percent: Annotated[Percent, Field(description="One strategy, at most.")] = (
        Decimal(40)
    )
    min_allocation_percent: Annotated[
        Percent, Field(description="One strategy that is not zero, at least.")
    ] = Decimal("1.0")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in (
            "max_total_deployed_percent",
            "max_correlated_exposure_percent",
            "max_individual_allocation_percent",
        ):
            if self.min_allocation_percent > getattr(self, name):
                raise ValueError(
                    f"{name} ({getattr(self, name):f}) is below min_allocation_percent "
                    f"({self.min_allocation_percent:f}): limits are percentages, 60 means 60 %"
                )
        return self


class Execution(Section):
    """How an approved plan would be executed."""

    mode: Annotated[
        Literal["dry_run_default", "auto_execute"],
        Field(description="What a bare run does: plan, or plan and ask (execute, where pre-approved)."),
    ] = "dry_run_default"
    approval_required: Annotated[
        bool,
        Field(
            description="Whether a person must approve each plan. False: --execute on a terminal is the "
            "approval; with auto_execute, a pre-approved plan is executed on paper without asking."
        ),
    ] = True
    batch_execution: Annotated[
        bool,
        Field(description="Execute all trades together; false: one strategy at a time, each verified."),
    ] = True
    slippage_tolerance_bps: Annotated[
        int, Field(ge=1, le=1000, description="Slippage beyond which a batch is reverted.")
    ] = 50
    max_trades_per_rebalance: Annotated[
        int, Field(ge=1, le=1000, description="Strategies that may change in one rebalance.")
    ] = 10


class ImpactSimulation(Section):
    """What the simulation shows."""

    estimate_slippage: Annotated[
        bool, Field(description="Charge slippage; false leaves it out, labelled.")
    ] = True
    estimate_commissions: Annotated[
        bool, Field(description="Charge commissions; false leaves them out, labelled.")
    ] = True
    simulate_drawdown: Annotated[bool, Field(description="Show drawdown; false leaves it out, labelled.")] = (
        True
    )
    lookback_windows: Annotated[
        tuple[Literal["1h", "4h", "1d"], ...], Field(description="P&L windows shown by status.")
    ] = ("1h", "4h", "1d")
    improvement_threshold_percent: Annotated[
        NotNegative,
        Field(description="Improvement above this recommends REBALANCE, below its negative HOLD."),
    ] = Decimal("5.0")


class Monitoring(Section):
    """Follow-up after a rebalance."""

    post_rebalance_days: Annotated[
        int, Field(ge=2, le=90, description="Full days (UTC) that a rebalance is predicted and watched.")
    ] = 7
    tracking_interval_hours: Annotated[
        int,
        Field(ge=1, le=24, description="Hours between two looks at a watched rebalance, at most."),
    ] = 1
    divergence_alert_threshold_percent: Annotated[
        NotNegative,
        Field(
            description="Divergence from the projection that alerts, where it leaves the 90 % interval too."
        ),
    ] = Decimal("10.0")


class Learning(Section):
    """What is learned from outcomes."""

    extract_learnings: Annotated[
        bool, Field(description="Say why an outcome differs from its prediction; false: grade it only.")
    ] = True
    update_algorithm_on_divergence: Annotated[
        bool,
        Field(
            description="Move cost estimates and the modes' priors by what executions and outcomes show; "
            "false: reckon with what is configured. Limits never move."
        ),
    ] = True
    feedback_agent_enabled: Annotated[
        bool, Field(description="Let the feedback agent name causes, where a model takes part.")
    ] = True


class BrokerSection(Section):
    """Where orders go. Credentials are no part of it: they are read from the environment."""

    kind: Annotated[
        Literal["paper", "ccxt"], Field(description="The simulated venue, or an exchange for real.")
    ] = "paper"
    exchange: Annotated[str, Field(description="Name of the exchange, for kind ccxt, such as binance.")] = ""
    sandbox: Annotated[bool, Field(description="Use the exchange's test host, where it has one.")] = False
    symbols: Annotated[
        dict[str, str],
        Field(
            description="The allow-list of what may be traded: asset to market symbol, such as BTC: BTC/USDT."
        ),
    ] = {}  # noqa: RUF012 - pydantic copies it

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "ccxt" and not (self.exchange and self.symbols):
            raise ValueError("kind ccxt needs an exchange and its symbols")
        if self.kind == "paper" and (self.exchange or self.symbols or self.sandbox):
            raise ValueError("exchange, sandbox and symbols belong to kind ccxt")
        return self


class ImprovementWeights(Section):
    """How the improvement in percent is weighted over the metrics; at least one above 0."""

    sharpe: NotNegative = Decimal(1)
    drawdown: NotNegative = Decimal(0)
    win_rate: NotNegative = Decimal(0)
    return_: Annotated[NotNegative, Field(alias="return")] = Decimal(0)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.sharpe + self.drawdown + self.win_rate + self.return_ > 0:
            raise ValueError("all improvement weights are 0")
        return self


class Simulation(Section):
    """Estimates and draws of the simulation."""

    slippage_bps: Annotated[NotNegative, Field(le=1000, description="Estimated slippage a unit traded.")] = (
        Decimal(25)
    )
    commission_bps: Annotated[
        NotNegative, Field(le=1000, description="Estimated commission a unit traded.")
    ] = Decimal(5)
    bootstrap_resamples: Annotated[
        int, Field(ge=100, le=200_000, description="Resamples of the bootstrap.")
    ] = 2000
    mean_block_days: Annotated[
        Number, Field(ge=1, le=365, description="Mean block length of the bootstrap.")
    ] = Decimal(3)


class Config(Section):
    """``config/portfolio-rebalance.yaml`` below its one top-level key."""

    enabled: Annotated[
        bool, Field(description="False: no trigger runs and --execute refuses; a dry run works.")
    ] = True
    schedule: Annotated[
        str, Field(description="When the drift is checked: a cron line of five fields, in UTC.")
    ] = _SCHEDULE
    drift_thresholds: DriftThresholds = DriftThresholds()
    correlation_analysis: CorrelationAnalysis = CorrelationAnalysis()
    rebalancing_modes: RebalancingModes = RebalancingModes()
    circuit_breakers: CircuitBreakers = CircuitBreakers()
    execution: Execution = Execution()
    impact_simulation: ImpactSimulation = ImpactSimulation()
    monitoring: Monitoring = Monitoring()
    learning: Learning = Learning()

    annualization_days: Annotated[
        int, Field(ge=1, le=366, description="Days a year; crypto trades on all.")
    ] = 365
    risk_free_rate_percent: Annotated[
        Number, Field(ge=-100, le=100, description="Annual, for Sharpe ratios.")
    ] = Decimal(0)
    min_observations: Annotated[
        int, Field(ge=5, le=3650, description="Fewer (common) observations leave a statistic undefined.")
    ] = 20
    max_capital_jump_percent: Annotated[
        Percent, Field(description="A larger change of total capital since the last run waits for a person.")
    ] = Decimal(20)
    improvement_weights: ImprovementWeights = ImprovementWeights()
    cluster_exit_threshold: Annotated[
        Share,
        Field(description="A pair that was HIGH in the last committed run stays HIGH until below this."),
    ] = Decimal("0.6")
    performance_step_percent: Annotated[
        Percent, Field(description="Points that performance_weighted moves the best and the worst strategy.")
    ] = Decimal(5)
    max_single_cut_to_next: Annotated[
        Share,
        Field(description="Share of the next largest member below which correlation_aware cuts nobody."),
    ] = Decimal("0.8")
    min_psr_to_raise: Annotated[
        Number,
        Field(ge=0, le=1, description="Probabilistic Sharpe ratio below which risk_adjusted raises nobody."),
    ] = Decimal("0.10")
    limit_buffer_bp: Annotated[
        int, Field(ge=0, le=2000, description="Basis points by which proposals stay below each ceiling.")
    ] = 0
    simulation: Simulation = Simulation()
    approval_ttl_hours: Annotated[int, Field(ge=1, le=720, description="Hours until a plan expires.")] = 24
    max_plan_price_move_percent: Annotated[
        Percent, Field(description="How far a value may move before an approved plan is refused.")
    ] = Decimal(2)
    max_snapshot_age_days: Annotated[int, Field(ge=1, le=7, description="Older snapshots are refused.")] = 7
    cooldown_hours: Annotated[
        int,
        Field(
            ge=0, le=8760, description="Pre-approved rebalances keep this distance, except for compliance."
        ),
    ] = 0
    broker: BrokerSection = BrokerSection()
    llm: Llm = Llm()
    notifications: Annotated[
        tuple[Target, ...], Field(max_length=10, description="Whom to notify; nobody by default.")
    ] = ()
    retention_days: Annotated[
        int,
        Field(
            ge=30,
            le=36_500,
            description="Days that ticks and notices are kept; plans, executions and outcomes always are.",
        ),
    ] = 400

    @field_validator("schedule")
    @classmethod
    def _comes_again(cls, line: str) -> str:
        return line if line == _SCHEDULE else require_cron(line)

    @field_validator("notifications")
    @classmethod
    def _told_apart(cls, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        names = [target.name for target in targets]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"the name {twice[0]} stands twice; give each target a name of its own")
        return targets

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.cluster_exit_threshold > self.correlation_analysis.high_correlation_threshold:
            raise ValueError("cluster_exit_threshold exceeds correlation_analysis.high_correlation_threshold")
        if self.min_observations > self.correlation_analysis.lookback_days:
            raise ValueError(
                "min_observations exceeds correlation_analysis.lookback_days: nothing could be computed"
            )
        ceilings = (
            self.circuit_breakers.max_total_deployed_percent,
            self.circuit_breakers.max_correlated_exposure_percent,
            self.circuit_breakers.max_individual_allocation_percent,
        )
        if Decimal(self.limit_buffer_bp) / 100 + self.circuit_breakers.min_allocation_percent > min(ceilings):
            raise ValueError("limit_buffer_bp leaves less than the minimum allocation below a limit")
        return self

    def warnings(self) -> tuple[str, ...]:
        """What is legal but probably not meant."""
        fraction = self.correlation_analysis.correlated_cluster_max_allocation * 100
        percent = self.circuit_breakers.max_correlated_exposure_percent
        if fraction == percent:
            return ()
        return (
            f"correlated_cluster_max_allocation ({fraction.normalize():f} %) and "
            f"max_correlated_exposure_percent ({percent.normalize():f} %) differ: "
            f"the stricter, {min(fraction, percent).normalize():f} %, holds.",
        )
