"""Review by rules: what deterministic checks can say about a candidate. No model takes part."""

from __future__ import annotations

from typing import Final, Literal

from portfolio_rebalance.records import Candidate, CorrelationReport, Portfolio, Review

__all__ = ["review_by_rules"]

_PROBABLY_BETTER: Final = 0.80


def review_by_rules(
    candidate: Candidate, *, correlation: CorrelationReport, portfolio: Portfolio
) -> tuple[Review, ...]:
    """The quantitative analyst's and the risk manager's checks, in that order."""
    return (_analyst(candidate, correlation), _risk_manager(candidate, portfolio))


def _analyst(candidate: Candidate, correlation: CorrelationReport) -> Review:
    impact, concerns = candidate.impact, []
    if not impact.computed:
        concerns.append(f"impact is not computed: {impact.reason}")
    resampling = impact.resampling
    if resampling is not None and resampling.probability_better is not None:
        better = resampling.probability_better
        if better < _PROBABLY_BETTER:
            concerns.append(
                f"resampling gives the change a probability of {better:.2f} of a higher Sharpe ratio"
            )
    if impact.walk_forward.status == "not_computed":
        concerns.append("the mode's walk-forward record is not computed")
    for pair in correlation.duplicated_pairs:
        concerns.append(f"{'/'.join(pair)} are the same series")
    for lagged in correlation.misdated_pairs:
        concerns.append(f"{'/'.join(lagged.strategies)} correlate better a day apart: one may be misdated")
    for offsetting in correlation.offsetting_pairs:
        concerns.append(f"{'/'.join(offsetting.strategies)} offset each other and pay costs twice")
    return _verdict("quantitative_analyst", concerns, rejected=False)


def _risk_manager(candidate: Candidate, portfolio: Portfolio) -> Review:
    report, concerns = candidate.compliance, []
    if report.blocked is not None:
        concerns.append("no allocation respects all limits under the pins, holds and trade limit in force")
    for violation in report.repaired_violations:
        concerns.append(f"{violation.limit} of {'+'.join(violation.strategies)} stays broken")
    if report.repaired_correlated_exposure == "NOT_EVALUATED":
        concerns.append(f"correlated exposure is not evaluated: {report.not_evaluated_reason}")
    if portfolio.stale:
        concerns.append("based on stale data: " + "; ".join(portfolio.stale))
    return _verdict("risk_manager", concerns, rejected=bool(report.blocked or report.repaired_violations))


def _verdict(
    role: Literal["quantitative_analyst", "risk_manager"], concerns: list[str], *, rejected: bool
) -> Review:
    verdict: Literal["approve", "concerns", "reject"] = "approve"
    if concerns:
        verdict = "reject" if rejected else "concerns"
    return Review(role=role, source="rules", verdict=verdict, concerns=tuple(concerns))
