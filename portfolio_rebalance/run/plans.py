"""Plans: what a decided run binds, its digest and its expiry."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

from portfolio_rebalance.records import (
    ImpactReport,
    Plan,
    PlannedEvidence,
    PlannedMetrics,
    PlannedStrategy,
    PortfolioMetrics,
    StrategyState,
    digest,
)
from portfolio_rebalance.run.session import Session
from portfolio_rebalance.units import six_digits

__all__ = ["build_plan", "plan_id_of", "run_id_of"]

_AWAITS_A_PERSON = ("REBALANCE", "OPTIONAL")


def build_plan(session: Session) -> Plan | None:
    """The plan of a decided session; None where nothing awaits a person (HOLD, BLOCKED, no change)."""
    candidate, portfolio, config = session.candidates[0], session.state.portfolio, session.state.config
    if session.decision.recommendation not in _AWAITS_A_PERSON or not candidate.proposal.traded:
        return None
    impact = candidate.impact
    costs = impact.trading_costs
    turnover = sum(
        (abs(to - candidate.proposal.current_bp[key]) for key, to in candidate.proposal.proposed_bp.items()),
        Fraction(0),
    )
    assert costs.plan_cost is not None
    return Plan(
        as_of=session.clock.as_of,
        expires_at=session.clock.as_of + timedelta(hours=config.approval_ttl_hours),
        state_as_of=portfolio.state_as_of,
        mode=candidate.mode,
        requested_mode=session.requested_mode,
        fallback=session.fallback,
        currency=portfolio.currency,
        total_capital=portfolio.total_capital,
        cash=portfolio.cash,
        max_plan_price_move_percent=config.max_plan_price_move_percent,
        config_sha256=session.state.config_sha256,
        inputs=portfolio.inputs,
        limits_bp={
            "total": session.limits.total_bp,
            "cluster": session.limits.cluster_bp,
            "individual_max": session.limits.individual_max_bp,
            "individual_min": session.limits.individual_min_bp,
        },
        clusters=session.correlation.clusters,
        high_pairs=tuple(pair.strategies for pair in session.correlation.high_correlation_pairs),
        previous_high_pairs=session.previous_high_pairs,
        correlated_exposure=candidate.compliance.repaired_correlated_exposure,
        not_evaluated_reason=candidate.compliance.not_evaluated_reason,
        strategies=tuple(_planned(session, state) for state in portfolio.strategies),
        decision=session.decision,
        reviews=session.reviews,
        evidence=_evidence(impact),
        stale=portfolio.stale,
        evidence_seed="" if impact.resampling is None else impact.resampling.seed,
        turnover_percent=Decimal(round(turnover)) / 100,
        estimated_cost=costs.plan_cost,
    )


def plan_id_of(plan: Plan) -> str:
    """``sha256`` of the plan's canonical bytes."""
    return digest(plan)


def run_id_of(session: Session) -> str:
    """The same inputs, mode, holds, instant and advice are the same run, however they were asked for."""
    content: dict[str, object] = {
        "as_of": session.clock.as_of,
        "config": session.state.config_sha256,
        "hold": sorted(set(session.request.hold)),
        "inputs": session.state.portfolio.inputs,
        "mode": session.requested_mode,
        "previous_high_pairs": session.previous_high_pairs,
    }
    if session.estimates.learned_from:
        content["estimates"] = session.estimates
    if session.advice is not None:
        content["advice"] = session.advice
    return f"run-{digest(content)[:16]}"


def _evidence(impact: ImpactReport) -> PlannedEvidence:
    return PlannedEvidence(
        baseline=_metrics(impact.baseline_metrics),
        projected=_metrics(impact.projected_metrics),
        net_improvement_percent=_decimal(impact.net_improvement_percent),
        probability_better=_decimal(
            None if impact.resampling is None else impact.resampling.probability_better
        ),
        trials=impact.walk_forward.trials,
        wins=impact.walk_forward.wins,
    )


def _metrics(metrics: PortfolioMetrics | None) -> PlannedMetrics | None:
    if metrics is None:
        return None
    return PlannedMetrics(
        sharpe=_decimal(metrics.sharpe),
        max_drawdown_percent=_decimal(metrics.dd),
        win_rate=_decimal(metrics.win_rate),
        return_percent=_decimal(metrics.return_),
        volatility_percent=_decimal(metrics.volatility),
    )


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None else six_digits(value)


def _planned(session: Session, state: StrategyState) -> PlannedStrategy:
    proposal = session.candidates[0].proposal
    current, proposed = proposal.current_bp[state.strategy], proposal.proposed_bp[state.strategy]
    return PlannedStrategy(
        strategy=state.strategy,
        capital=state.capital,
        current_bp=current,
        target_percent=state.target_percent,
        proposed_bp=None if proposed == current else int(proposed),
        pinned=state.pinned,
        held=state.strategy in session.request.hold,
        control=state.control,
        account=state.account,
        quantities={position.asset: position.quantity for position in state.positions},
    )
