"""Decide: what the user's rule recommends, on which basis, and how far their history supports it.

Order of bases: a hard limit that is broken now; nothing changes; drift; improvement. The improvement
verdict stays visible beside any other basis.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from portfolio_rebalance.allocation import Limits, check_limits
from portfolio_rebalance.allocation.limits import LimitCheck
from portfolio_rebalance.analytics import strategy_drift
from portfolio_rebalance.config import Config
from portfolio_rebalance.config_notify import MARGINAL_IMPROVEMENT_PERCENT
from portfolio_rebalance.records import Assessment, BlockedDiagnosis, Candidate, Decision, Portfolio
from portfolio_rebalance.run.assess import rounded_percent
from portfolio_rebalance.tools.settings import limits_from
from portfolio_rebalance.units import percent_from_bp

__all__ = ["decide"]

_Recommendation = Literal["REBALANCE", "OPTIONAL", "HOLD", "BLOCKED"]
_Basis = Literal["compliance", "drift", "improvement", "none"]

_EVIDENCE = {
    "not_computed": "no walk-forward record is computed, so nothing out of sample supports it",
    "too_short": "your history is too short to tell",
    "supported": "your own history supports this mode",
    "contradicted": "your own history contradicts this mode",
    "not_distinguishable": "your own history cannot tell this mode from luck",
}


@dataclass(frozen=True, slots=True)
class _Ruling:
    recommendation: _Recommendation
    basis: _Basis
    because: str


def decide(
    candidate: Candidate,
    *,
    assessment: Assessment,
    portfolio: Portfolio,
    fixed: Collection[str],
    config: Config,
) -> Decision:
    """Apply the order of bases to the chosen candidate."""
    ruling = _rule(candidate, assessment=assessment, portfolio=portfolio, fixed=fixed, config=config)
    impact = candidate.impact
    reasons = [ruling.because, *assessment.alerts]
    net = impact.net_improvement_percent
    if net is not None and net < MARGINAL_IMPROVEMENT_PERCENT and _changes(candidate):
        reasons.append(_marginal(net))
    if candidate.compliance.repaired_violations:
        reasons.append("a limit stays broken after repair: manual action needed")
    return Decision(
        recommendation=ruling.recommendation,
        basis=ruling.basis,
        improvement_verdict=impact.recommendation,
        confidence=impact.confidence,
        evidence=impact.walk_forward.status,
        headline=(
            f"{ruling.recommendation} ({ruling.basis}): {ruling.because}. "
            f"Confidence {impact.confidence}: {_EVIDENCE[impact.walk_forward.status]}."
        ),
        reasons=tuple(reasons),
    )


def _rule(
    candidate: Candidate,
    *,
    assessment: Assessment,
    portfolio: Portfolio,
    fixed: Collection[str],
    config: Config,
) -> _Ruling:
    limits = limits_from(config)
    broken = _broken_now(candidate, limits=limits)
    if broken:
        if candidate.compliance.blocked is not None:
            return _Ruling("BLOCKED", "compliance", _why_blocked(candidate.compliance.blocked))
        return _Ruling("REBALANCE", "compliance", "; ".join(_describe(check) for check in broken))
    if candidate.compliance.blocked is not None:
        return _Ruling("BLOCKED", "compliance", _why_blocked(candidate.compliance.blocked))
    if not _changes(candidate):
        return _Ruling("HOLD", "none", "no change is needed")
    drift = _drift_ruling(candidate, assessment=assessment, portfolio=portfolio, fixed=fixed, config=config)
    if drift is not None:
        return drift
    impact = candidate.impact
    if impact.gross_improvement_percent is None:
        return _Ruling("HOLD", "improvement", f"the improvement is undefined ({impact.reason})")
    return _Ruling(
        impact.recommendation,
        "improvement",
        f"the simulated improvement is {impact.gross_improvement_percent:.2f} % against a threshold of "
        f"{config.impact_simulation.improvement_threshold_percent:f} %, in-sample",
    )


def _drift_ruling(
    candidate: Candidate,
    *,
    assessment: Assessment,
    portfolio: Portfolio,
    fixed: Collection[str],
    config: Config,
) -> _Ruling | None:
    """Drift is a basis only where the proposal lowers the portfolio's; what is fixed cannot be its cause."""
    before, after = candidate.drift_before, candidate.drift_after
    proposal = candidate.proposal
    winding_down = any(
        target == 0 and proposal.proposed_bp[key] < proposal.current_bp[key]
        for key, target in portfolio.target_bp.items()
    )
    # With every target at 0 there is no drift to lower: whatever is sold brings the portfolio nearer.
    if not (winding_down if before is None or after is None else after < before):
        return None
    drifts = {
        key: abs(drift)
        for key, target in portfolio.target_bp.items()
        if key not in fixed and (drift := strategy_drift(portfolio.current_bp[key], target)) is not None
    }
    largest = max(drifts, key=lambda key: (drifts[key], key), default=None)
    most = drifts[largest] if largest is not None else Fraction(0)
    thresholds = config.drift_thresholds
    if most > Fraction(thresholds.auto_rebalance_threshold) / 100:
        return _Ruling("REBALANCE", "drift", f"{largest} drifted {rounded_percent(most)} % from its target")
    if most > Fraction(thresholds.individual_drift_percent) / 100:
        because = f"{largest} drifted {rounded_percent(most)} % from its target"
    elif winding_down:
        because = "a strategy with a target of 0 still holds capital"
    elif assessment.portfolio_drift_flagged:
        because = f"the portfolio drifted {assessment.portfolio_drift_percent} % from its targets"
    else:
        return None
    improving = candidate.impact.recommendation == "REBALANCE"
    return _Ruling("REBALANCE" if improving else "OPTIONAL", "drift", because)


def _why_blocked(blocked: BlockedDiagnosis) -> str:
    binding = "; ".join(
        f"{violation.limit} of {'+'.join(violation.strategies)} at {violation.proposed:.2f} % "
        f"against {violation.limit_val:.2f} %"
        for violation in blocked.binding
    )
    return (
        f"Cannot rebalance while respecting all limits: {binding}; smallest relaxation: {blocked.relaxation}"
    )


def _marginal(net_percent: float) -> str:
    if net_percent < 0:
        return f"net improvement is {net_percent:.2f} %: the window's figures get worse"
    return f"net improvement is {net_percent:.2f} %, below {MARGINAL_IMPROVEMENT_PERCENT} %: marginal benefit"


def _changes(candidate: Candidate) -> bool:
    return bool(candidate.proposal.traded)


def _broken_now(candidate: Candidate, *, limits: Limits) -> list[LimitCheck]:
    checks = check_limits(
        candidate.proposal.current_bp, clusters=candidate.proposal.clusters or (), limits=limits
    )
    return [check for check in checks if not check.passed]


def _describe(check: LimitCheck) -> str:
    names = {
        "total_deployed": "total deployed",
        "correlated_exposure": f"correlated cluster {'+'.join(check.subject)}",
        "individual_max": check.subject[0],
        "individual_min": check.subject[0],
    }
    return (
        f"{names[check.limit]} is at {percent_from_bp(check.proposed_bp):.2f} % against a limit of "
        f"{percent_from_bp(check.limit_bp):.2f} %"
    )
