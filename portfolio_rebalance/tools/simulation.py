"""The simulation tool: what a change would have done to the window's returns, and how far to believe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np

from portfolio_rebalance.analytics import (
    Floats,
    Integers,
    ReturnsTable,
    max_drawdown,
    paired_sharpe_bootstrap,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
    stationary_indices,
    total_return,
    volatility,
    win_rate,
)
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.records import (
    Estimates,
    ImpactReport,
    Improvements,
    PortfolioMetrics,
    Proposal,
    ResamplingEvidence,
    TradingCosts,
    WalkForwardEvidence,
    canonical_bytes,
)
from portfolio_rebalance.tools.context import AsOf, ToolContext, open_context
from portfolio_rebalance.tools.estimates import estimates_at
from portfolio_rebalance.tools.frames import ReturnsLike
from portfolio_rebalance.units import BP_PER_UNIT, Bp, PercentLike, bp_map_from_percent, percent_from_bp
from portfolio_rebalance.workspace import Ledger

__all__ = ["Draws", "impact_report", "simulate_rebalance_impact", "trading_costs"]

_BASELINE_FLOOR = 0.1
"""A relative improvement over a baseline near 0 means nothing; this is the least it is measured against."""

_NOT_COMPUTED = WalkForwardEvidence(
    status="not_computed", note="the walk-forward record is not part of this version"
)


@dataclass(slots=True)
class Draws:
    """Resampled rows by seed, so that all candidates of a run are judged on the same draws, made once."""

    rows: dict[str, Integers] = field(default_factory=dict)

    def of(self, seed: str, *, days: int, config: Config) -> Integers:
        """Rows drawn from a hexadecimal seed."""
        if seed not in self.rows:
            self.rows[seed] = stationary_indices(
                days,
                resamples=config.simulation.bootstrap_resamples,
                mean_block_days=float(config.simulation.mean_block_days),
                seed=int(seed, 16),
            )
        return self.rows[seed]


def simulate_rebalance_impact(
    proposal: Proposal | Mapping[str, Mapping[str, PercentLike]],
    *,
    workspace: str | Path | None = None,
    returns: ReturnsLike | None = None,
    as_of: AsOf | None = None,
    evidence: WalkForwardEvidence | None = None,
) -> ImpactReport:
    """Apply a proposal's weights to the window's daily returns and compare.

    Args:
        proposal: A proposal, or a mapping with ``current_allocations`` and ``proposed_allocations`` in
            percent of total capital.
        workspace: A workspace to read returns, estimates and total capital from; or
        returns: daily returns as fractions: a pandas frame, ``{id: {day: return}}`` or ``{id: [returns]}``.
        as_of: An aware UTC instant, its text, or a day (its beginning); the proposal's
            by default, else the workspace's own state or the returns' end.
        evidence: The mode's walk-forward record, where it was computed.

    Returns:
        Metrics before and after, improvement, costs, recommendation by the improvement rule, evidence.

    Raises:
        UsageError: Neither or both sources; allocations that do not match.
    """
    if isinstance(proposal, Proposal):
        current, proposed = proposal.current_bp, proposal.proposed_bp
        as_of = as_of or proposal.as_of
    else:
        missing = {"current_allocations", "proposed_allocations"} - set(proposal)
        if missing:
            raise UsageError(
                f"The proposal lacks {sorted(missing)}.", where="proposal", fix="Give both allocations."
            )
        current = bp_map_from_percent(proposal["current_allocations"], where="current_allocations")
        proposed = bp_map_from_percent(proposal["proposed_allocations"], where="proposed_allocations")
    if set(current) != set(proposed):
        raise UsageError(
            "Current and proposed do not name the same strategies.", where="proposal", fix="Use 0 for none."
        )
    context = open_context(workspace=workspace, returns=returns, as_of=as_of)
    context.require_known(key for key in current if current[key] or proposed[key])
    portfolio = None if context.state is None else context.state.portfolio
    return impact_report(
        context.window(sorted(current)),
        current_bp=current,
        proposed_bp=proposed,
        config=context.config,
        total_capital=None if portfolio is None else portfolio.total_capital,
        stale=portfolio is not None and bool(portfolio.stale),
        evidence=evidence,
        draws=Draws(),
        estimates=_learned(context),
    )


def _learned(context: ToolContext) -> Estimates | None:
    """What a run in this workspace would reckon with; None without one."""
    if context.state is None:
        return None
    with Ledger.read(context.state.root) as ledger:
        return estimates_at(ledger, until=context.as_of, config=context.config)


def impact_report(
    window: ReturnsTable,
    *,
    current_bp: Mapping[str, Bp],
    proposed_bp: Mapping[str, Bp],
    config: Config,
    total_capital: Decimal | None,
    stale: bool,
    evidence: WalkForwardEvidence | None,
    draws: Draws,
    estimates: Estimates | None = None,
) -> ImpactReport:
    """The report of one change over one window; what the tool and a run both use.

    Args:
        window: Returns of every strategy that is weighted before or after.
        current_bp: Weights before.
        proposed_bp: Weights after.
        config: Estimates, thresholds, annualisation.
        total_capital: For the cost in money.
        stale: Whether the data is stale, which costs a level of confidence.
        evidence: The mode's walk-forward record.
        draws: Shared by all changes that are to be compared.
        estimates: Of costs, as learned; those of the configuration where None.
    """
    walk = evidence or _NOT_COMPUTED
    weighted = [key for key in sorted(current_bp) if current_bp[key] or proposed_bp[key]]
    columns = window.select(weighted).values if weighted else np.empty((0, 0))
    common = columns[~np.isnan(columns).any(axis=1)]
    notes = _notes(config, estimates)
    costs = trading_costs(
        current_bp, proposed_bp, config=config, estimates=estimates, total_capital=total_capital
    )
    if common.shape[0] < config.min_observations:
        reason = (
            f"{common.shape[0]} days are common to all weighted strategies, below {config.min_observations}"
        )
        return ImpactReport(
            computed=False,
            reason=reason,
            lookback_days=window.values.shape[0],
            observations=common.shape[0],
            baseline_metrics=None,
            projected_metrics=None,
            projected_after_cost=None,
            improvements=None,
            trading_costs=costs,
            gross_improvement_percent=None,
            net_improvement_percent=None,
            improvement_exceeds_threshold=None,
            recommendation="HOLD",
            confidence="LOW",
            resampling=None,
            walk_forward=walk,
            notes=notes,
        )

    baseline = common @ _weights(current_bp, weighted)
    projected = common @ _weights(proposed_bp, weighted)
    charged = projected.copy()
    charged[0] -= costs.plan_cost_percent / 100
    unchanged = all(current_bp[key] == proposed_bp[key] for key in weighted)
    before, after = _metrics(baseline, config=config), _metrics(projected, config=config)
    gross = 0.0 if unchanged else _improvement(baseline, projected, config=config)
    threshold = float(config.impact_simulation.improvement_threshold_percent)
    resampling = _resample(
        baseline,
        projected,
        unchanged=unchanged,
        config=config,
        draws=draws,
        seed=_seed(weighted, common, config),
    )
    return ImpactReport(
        computed=True,
        reason=""
        if gross is not None
        else "a measure before or after is undefined: no spread, or only flat days",
        lookback_days=window.values.shape[0],
        observations=common.shape[0],
        baseline_metrics=before,
        projected_metrics=after,
        projected_after_cost=_metrics(charged, config=config),
        improvements=Improvements(
            sharpe_improvement=_minus(after.sharpe, before.sharpe),
            dd_improvement=_minus(after.dd, before.dd),
            win_rate_improvement=_minus(after.win_rate, before.win_rate),
            return_improvement=_minus(after.return_, before.return_),
            estimated_improvement_percent=gross,
        ),
        trading_costs=costs,
        gross_improvement_percent=gross,
        net_improvement_percent=_minus(gross, costs.total_cost_percent),
        improvement_exceeds_threshold=None if gross is None else gross > threshold,
        recommendation=_verdict(gross, threshold=threshold, unchanged=unchanged),
        confidence=_confidence(resampling, walk, stale=stale),
        resampling=resampling,
        walk_forward=walk,
        notes=notes,
    )


def _weights(allocations_bp: Mapping[str, Bp], ids: list[str]) -> Floats:
    return np.array([float(allocations_bp[key] / BP_PER_UNIT) for key in ids])


def _metrics(returns: Floats, *, config: Config) -> PortfolioMetrics:
    days, rate = config.annualization_days, float(config.risk_free_rate_percent) / 100
    drawdown = max_drawdown(returns) if config.impact_simulation.simulate_drawdown else None
    return PortfolioMetrics.model_validate(
        {
            "sharpe": sharpe_ratio(returns, periods=days, risk_free_rate=rate),
            "dd": _percent(drawdown),
            "win_rate": win_rate(returns),
            "return": _percent(total_return(returns)),
            "volatility": _percent(volatility(returns, periods=days)),
            "flat_days": int((returns == 0).sum()),
        }
    )


def _improvement(baseline: Floats, projected: Floats, *, config: Config) -> float | None:
    """``100 (projected - baseline) / max(|baseline|, 0.1)``, weighted over metrics; None where undefined."""
    days, rate = config.annualization_days, float(config.risk_free_rate_percent) / 100
    weights = config.improvement_weights
    measures = (
        (weights.sharpe, lambda series: sharpe_ratio(series, periods=days, risk_free_rate=rate)),
        (weights.drawdown, max_drawdown),
        (weights.win_rate, win_rate),
        (weights.return_, total_return),
    )
    total = 0.0
    for weight, measure in measures:
        if not weight:
            continue
        before, after = measure(baseline), measure(projected)
        if before is None or after is None:
            return None
        total += float(weight) * 100 * (after - before) / max(abs(before), _BASELINE_FLOOR)
    return total / float(sum(weight for weight, _ in measures))


def trading_costs(
    current_bp: Mapping[str, Bp],
    proposed_bp: Mapping[str, Bp],
    *,
    config: Config,
    estimates: Estimates | None,
    total_capital: Decimal | None,
) -> TradingCosts:
    """What a change would cost.

    Args:
        current_bp: Weights before.
        proposed_bp: Weights after.
        config: What is estimated at all, and the rates where ``estimates`` is None.
        estimates: Rates as learned.
        total_capital: For the cost in money.
    """
    simulated, rates = config.impact_simulation, estimates or config.simulation
    slippage = rates.slippage_bps if simulated.estimate_slippage else None
    commission = rates.commission_bps if simulated.estimate_commissions else None
    rate = Fraction(slippage or 0) + Fraction(commission or 0)
    turnover = sum((abs(proposed_bp[key] - current) for key, current in current_bp.items()), Fraction(0))
    cost = turnover * rate / BP_PER_UNIT
    money = None
    if total_capital is not None:
        exact = Fraction(total_capital) * cost / BP_PER_UNIT
        money = (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(Decimal("0.01"))
    return TradingCosts(
        slippage_bps=None if slippage is None else float(slippage),
        commissions_bps=None if commission is None else float(commission),
        total_cost_percent=float(rate / 100),
        turnover_percent=percent_from_bp(turnover),
        plan_cost_percent=percent_from_bp(cost),
        plan_cost=money,
    )


def _resample(
    baseline: Floats, projected: Floats, *, unchanged: bool, config: Config, draws: Draws, seed: str
) -> ResamplingEvidence:
    found = None
    if not unchanged:
        found = paired_sharpe_bootstrap(
            baseline,
            projected,
            rows=draws.of(seed, days=baseline.size, config=config),
            periods=config.annualization_days,
            risk_free_rate=float(config.risk_free_rate_percent) / 100,
        )
    return ResamplingEvidence(
        probability_better=None if found is None else found.probability_better,
        sharpe_difference_low=None if found is None else found.low,
        sharpe_difference_median=None if found is None else found.median,
        sharpe_difference_high=None if found is None else found.high,
        psr_baseline=probabilistic_sharpe_ratio(baseline),
        psr_projected=probabilistic_sharpe_ratio(projected),
        resamples=0 if found is None else found.resamples,
        seed=seed,
    )


def _seed(weighted: list[str], common: Floats, config: Config) -> str:
    """Hexadecimal seed from the returns and the settings of the draws: the same days, the same draws."""
    head = canonical_bytes([weighted, config.simulation])
    return sha256(head + np.ascontiguousarray(common).tobytes()).hexdigest()[:32]


def _verdict(
    gross: float | None, *, threshold: float, unchanged: bool
) -> Literal["REBALANCE", "OPTIONAL", "HOLD"]:
    if unchanged or gross is None or gross < -threshold:
        return "HOLD"
    return "REBALANCE" if gross > threshold else "OPTIONAL"


def _confidence(
    resampling: ResamplingEvidence, walk: WalkForwardEvidence, *, stale: bool
) -> Literal["HIGH", "MEDIUM", "LOW"]:
    """HIGH and MEDIUM need both the resampling and the mode's own record; stale data costs a level."""
    better = resampling.probability_better or 0.0
    levels: tuple[Literal["LOW", "MEDIUM", "HIGH"], ...] = ("LOW", "MEDIUM", "HIGH")
    level = 0
    if better >= 0.95 and walk.trials >= 12 and walk.status == "supported":
        level = 2
    elif better >= 0.80 and walk.trials >= 6 and 2 * walk.wins > walk.trials:
        level = 1
    return levels[max(0, level - stale)]


def _notes(config: Config, estimates: Estimates | None) -> tuple[str, ...]:
    """What the figures are, and what the configuration left out of them."""
    notes = ["in-sample: the days that chose the weights also score them"]
    for name, count in {} if estimates is None else estimates.learned_from.items():
        if name in ("slippage_bps", "commission_bps"):
            learned, configured = getattr(estimates, name), getattr(config.simulation, name)
            what = name.removesuffix("_bps")
            notes.append(
                f"{what} of {learned:f} bps is learned from {count} executions; configured is {configured:f}"
            )
    if not config.impact_simulation.estimate_slippage:
        notes.append("slippage left out by configuration")
    if not config.impact_simulation.estimate_commissions:
        notes.append("commissions left out by configuration")
    if not config.impact_simulation.simulate_drawdown:
        notes.append("drawdown left out by configuration")
    return tuple(notes)


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def _minus(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before
