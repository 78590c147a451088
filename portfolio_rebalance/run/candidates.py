"""Comply and simulate: from a mode's proposal to a candidate that a person could approve."""

from __future__ import annotations

from dataclasses import dataclass

from portfolio_rebalance.allocation import Limits, TradePlan, fit_to_limits
from portfolio_rebalance.analytics import ReturnsTable, portfolio_drift
from portfolio_rebalance.config import Config
from portfolio_rebalance.records import (
    Candidate,
    ComplianceReport,
    CorrelationReport,
    Estimates,
    Portfolio,
    Proposal,
    WalkForwardEvidence,
)
from portfolio_rebalance.tools.compliance import compliance_report, exposure_unknown
from portfolio_rebalance.tools.simulation import Draws, impact_report
from portfolio_rebalance.units import Bp

__all__ = ["Complied", "candidate_of", "comply"]


@dataclass(frozen=True, slots=True)
class Complied:
    """A proposal, the report on it, and what repair made of it."""

    unrepaired: Proposal
    compliance: ComplianceReport
    proposal: Proposal


def comply(
    proposal: Proposal, *, correlation: CorrelationReport, limits: Limits, buffer_bp: int, max_trades: int
) -> Complied:
    """Repair a proposal, hold it to the trade limit and report.

    Proposals aim below the limits by the buffer. Where pins leave no way to do that, they aim at the limits
    themselves: the buffer is a wish, not a limit.
    """
    clusters = correlation.clusters if correlation.status == "evaluated" else None

    def fit(aim: Limits) -> TradePlan:
        return fit_to_limits(
            proposal.proposed_bp,
            current_bp=proposal.current_bp,
            start_bp=proposal.start_bp,
            pinned=proposal.fixed,
            clusters=clusters or (),
            limits=aim,
            max_trades=max_trades,
        )

    fitted = fit(limits.tightened(buffer_bp))
    if fitted.blockage is not None and buffer_bp:
        fitted = fit(limits)

    def unknown(allocations: dict[str, Bp]) -> str:
        if clusters is None:
            return correlation.reason
        return exposure_unknown(
            allocations,
            high_pairs=[pair.strategies for pair in correlation.high_correlation_pairs],
            unknown_pairs=[pair.strategies for pair in correlation.unknown_pairs],
            limits=limits,
        )

    report = compliance_report(
        given_bp=proposal.proposed_bp,
        repaired=fitted.repair,
        clusters=clusters,
        limits=limits,
        unknown=unknown(dict(proposal.proposed_bp)),
        unknown_after=unknown(dict(fitted.repair.allocations_bp)),
        deferred=fitted.deferred,
        blockage=fitted.blockage,
    )
    reasons = dict(proposal.reasons)
    for step in fitted.repair.steps:
        reasons[step.strategy] = step.reason
    final = Proposal(
        mode=proposal.mode,
        as_of=proposal.as_of,
        current_bp=proposal.current_bp,
        start_bp=proposal.start_bp,
        proposed_bp=fitted.repair.allocations_bp,
        reasons={
            key: reasons[key]
            for key, value in fitted.repair.allocations_bp.items()
            if value != proposal.current_bp[key]
        },
        clusters=proposal.clusters,
        fixed=proposal.fixed,
    )
    return Complied(unrepaired=proposal, compliance=report, proposal=final)


def candidate_of(
    complied: Complied,
    *,
    window: ReturnsTable,
    portfolio: Portfolio,
    config: Config,
    draws: Draws,
    estimates: Estimates | None = None,
    evidence: WalkForwardEvidence | None = None,
) -> Candidate:
    """Simulate a repaired proposal and measure what it does to drift."""
    proposal = complied.proposal
    impact = impact_report(
        window,
        current_bp=proposal.current_bp,
        proposed_bp=proposal.proposed_bp,
        config=config,
        total_capital=portfolio.total_capital,
        stale=bool(portfolio.stale),
        evidence=evidence,
        draws=draws,
        estimates=estimates,
    )
    targets = portfolio.target_bp
    return Candidate(
        unrepaired=complied.unrepaired,
        compliance=complied.compliance,
        proposal=proposal,
        impact=impact,
        drift_before=portfolio_drift(proposal.current_bp, targets),
        drift_after=portfolio_drift(proposal.proposed_bp, targets),
    )
