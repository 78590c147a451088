"""The fact sheet: a session's figures as facts, in sections that tools hand out.

Summaries and ids, never matrices: however many strategies and pairs there are, a section names the ones that
matter most and counts the rest. Free text from the workspace is no part of it, and strategies are called
``S1``, ``S2``, ...: an id could be an instruction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final, Literal

from portfolio_rebalance.agents.facts import FactBook, FactBuilder, money_unit
from portfolio_rebalance.records import Candidate, CorrelationReport, PortfolioMetrics
from portfolio_rebalance.run import Session
from portfolio_rebalance.tools.correlation import correlation_report
from portfolio_rebalance.tools.frames import window_of
from portfolio_rebalance.tools.statistics import strategy_statistics
from portfolio_rebalance.units import percent_from_bp

__all__ = ["WINDOWS", "FactSheet", "Window", "fact_sheet"]

Window = Literal["lookback", "previous", "long"]
WINDOWS: Final[tuple[Window, ...]] = ("lookback", "previous", "long")

_CALLED: Final[Mapping[Window, str]] = {
    "lookback": "",
    "previous": "the window before",
    "long": "the long window",
}
_MOST_STRATEGIES: Final = 12
_MOST_PAIRS: Final = 8
_MOST_CLUSTERS: Final = 6
_MOST_STEPS: Final = 8
_LONG: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FactSheet:
    """All facts of a session whose candidates are there.

    Attributes:
        drafts: From a draft's name to its mode; the first is the one that is asked for.
        currency: Of the portfolio.
    """

    book: FactBook
    drafts: Mapping[str, str]
    sections: Mapping[str, Sequence[str]]

    def section(self, name: str) -> str:
        """One section as a model reads it; every word of it is code's."""
        return self.book.lines(self.sections[name])


def fact_sheet(session: Session) -> FactSheet:
    """Every fact that models of this run may be told, numbered in one fixed order.

    Args:
        session: Advanced to its candidates.
    """
    strategies = sorted(session.state.portfolio.current_bp)
    aliases = {one: f"S{number}" for number, one in enumerate(strategies, start=1)}
    drafts = {f"D{number}": one.mode for number, one in enumerate(session.candidates, start=1)}
    build = FactBuilder(aliases)
    _state(build, session)
    _strategies(build, session)
    _correlations(build, session)
    for name, candidate in zip(drafts, session.candidates, strict=True):
        _proposal(build, name, candidate)
        _compliance(build, name, candidate)
        _impact(build, name, candidate, session)
    names = {name: f"the {mode.replace('_', ' ')} draft" for name, mode in drafts.items()}
    return FactSheet(book=build.book(names), drafts=drafts, sections=build.sections)


def _state(build: FactBuilder, session: Session) -> None:
    build.section("state")
    portfolio, assessment, limits = session.state.portfolio, session.assessment, session.limits
    build.add("total capital", f"{portfolio.total_capital:.2f}", money_unit(portfolio.currency))
    build.add("cash", f"{portfolio.cash:.2f}", money_unit(portfolio.currency))
    build.add("deployed strategies", len(portfolio.strategies))
    build.add("total deployed now", _rounded(float(assessment.total_deployed.alloc_percent)), "%")
    build.add("limit of total deployed", _rounded(percent_from_bp(limits.total_bp)), "%")
    build.add("limit of a correlated cluster", _rounded(percent_from_bp(limits.cluster_bp)), "%")
    build.add("limit of a single strategy", _rounded(percent_from_bp(limits.individual_max_bp)), "%")
    build.add("least allocation of a strategy", _rounded(percent_from_bp(limits.individual_min_bp)), "%")
    build.add("portfolio drift", _rounded(_float(assessment.portfolio_drift_percent)), "%")
    build.add("strategies with high drift", _count(assessment.current_allocations.values(), "high"))
    build.add("strategies with medium drift", _count(assessment.current_allocations.values(), "medium"))
    build.add("strategies with stale data", sum(bool(one.stale) for one in portfolio.strategies))
    build.add("strategies that may not change", len(session.fixed))
    build.add("lookback", session.correlation.lookback_days, "days")


def _count(rows: Iterable[object], priority: str) -> int:
    return sum(getattr(row, "priority", "") == priority for row in rows)


def _strategies(build: FactBuilder, session: Session) -> None:
    """The strategies with most drift or most capital, with what their own returns say."""
    build.section("strategies")
    rows = session.assessment.current_allocations
    measured = strategy_statistics(session.window, config=session.state.config)
    by_weight = sorted(
        rows, key=lambda one: (-abs(rows[one].drift_percent or Decimal(0)), -rows[one].alloc_percent, one)
    )
    for one in sorted(by_weight[:_MOST_STRATEGIES]):
        row, name = rows[one], build.aliases[one]
        build.add(f"{name} allocation now", _rounded(float(row.alloc_percent)), "%")
        build.add(f"{name} target", _rounded(float(row.target_percent)), "%")
        build.add(f"{name} drift", _rounded(_float(row.drift_percent)), "%")
        build.add(f"{name} Sharpe ratio", _rounded(measured.sharpe_ratios[one]))
        build.add(f"{name} volatility a year", _rounded(_percent(measured.volatilities[one])), "%")
        build.add(f"{name} probability of a positive true Sharpe ratio", _rounded(measured.psr[one]))
        if row.stale:
            build.add(f"{name} data", "stale")
        if one in session.fixed:
            build.add(f"{name} may change", "no")
    build.add("strategies not listed", max(0, len(rows) - _MOST_STRATEGIES))


def _correlations(build: FactBuilder, session: Session) -> None:
    """The run's own report, and the same for the window before it and for a longer one."""
    days = session.state.config.correlation_analysis.lookback_days
    last = session.clock.last_closed_day
    spans: Mapping[Window, tuple[int, int]] = {
        "lookback": (0, days),
        "previous": (days, days),
        "long": (0, _LONG * days),
    }
    for window in WINDOWS:
        back, length = spans[window]
        report = session.correlation
        if window != "lookback":
            table = window_of(
                session.state.returns,
                ids=sorted(session.state.portfolio.current_bp),
                last_day=last - timedelta(days=back),
                lookback_days=length,
            )
            report = correlation_report(
                table,
                as_of=session.clock.as_of,
                allocations_bp=session.state.portfolio.current_bp,
                previous_high_pairs=(),
                config=session.state.config,
            )
        build.section(f"correlation:{window}", of=_CALLED[window])
        _correlation(build, report, days=length, shown=session.correlation)


def _correlation(
    build: FactBuilder, report: CorrelationReport, *, days: int, shown: CorrelationReport
) -> None:
    build.add("days looked at", days, "days")
    build.add("correlation could be computed", "yes" if report.status == "evaluated" else "no")
    matrix = report.correlation_matrix
    ids = report.strategies
    known = [
        rho for i, one in enumerate(ids) for other in ids[i + 1 :] if (rho := matrix[one][other]) is not None
    ]
    build.add("mean correlation of all pairs", _rounded(sum(known) / len(known)) if known else None)
    build.add("pairs with high correlation", len(report.high_correlation_pairs))
    build.add("pairs whose correlation is unknown", len(report.unknown_pairs))
    # The same pairs in every window: what changed is seen at once.
    pairs = sorted(shown.high_correlation_pairs, key=lambda one: (-(one.correlation or 1), one.strategies))
    for pair in pairs[:_MOST_PAIRS]:
        one, other = pair.strategies
        build.add(f"correlation of {build.of(pair.strategies)}", _rounded(matrix[one][other]))
        if report is shown:
            build.add(f"lower end of its interval, {build.of(pair.strategies)}", _rounded(pair.low))
            build.add(f"upper end of its interval, {build.of(pair.strategies)}", _rounded(pair.high))
    groups = [one for one in report.correlated_clusters if len(one.strategies) > 1]
    for group in groups[:_MOST_CLUSTERS]:
        build.add(
            f"correlated cluster {build.of(group.strategies)}, together", _rounded(group.total_alloc), "%"
        )
    build.add("correlated clusters of several", len(groups))
    for kind, found in (
        ("offset each other", [one.strategies for one in report.offsetting_pairs]),
        ("are the same series", list(report.duplicated_pairs)),
        (
            "correlate better a day apart, so that one may be misdated",
            [one.strategies for one in report.misdated_pairs],
        ),
    ):
        build.add(f"pairs that {kind}", len(found))
        for strategies in found[:_MOST_PAIRS]:
            build.add("such a pair", build.of(strategies))
    build.add("strategies whose returns are all zero", len(report.idle))


def _proposal(build: FactBuilder, name: str, candidate: Candidate) -> None:
    build.section(f"proposal:{name}", of=name)
    proposal, summary = candidate.proposal, candidate.proposal.summary
    build.add("mode", candidate.mode.replace("_", " "))
    build.add("strategies that change", len(proposal.traded))
    build.add("total deployed after", _rounded(summary.total_deployed_after), "%")
    build.add("largest correlated exposure now", _rounded(summary.correlated_exposure_before), "%")
    build.add("largest correlated exposure after", _rounded(summary.correlated_exposure_after), "%")
    build.add("portfolio drift now", _rounded(_percent(candidate.drift_before)), "%")
    build.add("portfolio drift after", _rounded(_percent(candidate.drift_after)), "%")
    changes = [one for one in proposal.changes_per_strategy if one.strategy in proposal.traded]
    for one in sorted(changes, key=lambda one: (-abs(one.change), one.strategy))[:_MOST_STRATEGIES]:
        alias = build.aliases[one.strategy]
        build.add(f"{alias} allocation now", _rounded(one.from_), "%")
        build.add(f"{alias} allocation after", _rounded(one.to), "%")
        build.add(f"{alias} change", _rounded(one.change), "points")
    build.add("changes not listed", max(0, len(changes) - _MOST_STRATEGIES))
    exits = sum(1 for key, to in proposal.proposed_bp.items() if not to and proposal.current_bp[key])
    build.add("strategies that exit", exits)


_LIMITS: Final = {
    "total_deployed": "total deployed",
    "correlated_exposure": "correlated cluster",
    "individual_max": "largest allocation of",
    "individual_min": "least allocation of",
}


def _compliance(build: FactBuilder, name: str, candidate: Candidate) -> None:
    build.section(f"compliance:{name}", of=name)
    report = candidate.compliance
    build.add("limits met as the mode proposed it", "yes" if report.all_limits_met else "no")
    for broken in report.violations[:_MOST_STEPS]:
        subject = f"{_LIMITS[broken.limit]} {build.of(broken.strategies)}".strip()
        build.add(f"before repair, {subject}", _rounded(broken.proposed), "%")
        build.add(f"limit of {subject}", _rounded(broken.limit_val), "%")
    build.add("steps of repair", len(report.adjustments))
    for step in report.adjustments[:_MOST_STEPS]:
        build.add(f"allocation to which repair brings {build.aliases[step.strategy]}", _rounded(step.to), "%")
    build.add("limits broken after repair", len(report.repaired_violations))
    build.add("correlated exposure after repair", report.repaired_correlated_exposure)
    closest = report.closest_to_tripping
    if closest is not None:
        subject = f"{_LIMITS[closest.limit]} {build.of(closest.strategies)}".strip()
        build.add(f"closest to its limit, {subject}", _rounded(closest.proposed), "%")
        build.add("room to that limit", _rounded(closest.buffer), "points")
    build.add("changes dropped by the trade limit", len(report.deferred))
    build.add("blocked", "no" if report.blocked is None else "yes")


def _impact(build: FactBuilder, name: str, candidate: Candidate, session: Session) -> None:
    build.section(f"impact:{name}", of=name)
    impact, costs = candidate.impact, candidate.impact.trading_costs
    decision = session.ruled(candidate)
    build.add("recommendation of the rules", decision.recommendation)
    build.add("basis of that", decision.basis)
    build.add("confidence", decision.confidence)
    build.add("days simulated", impact.observations, "days")
    for side, metrics in (("now", impact.baseline_metrics), ("after", impact.projected_metrics)):
        _metrics(build, side, metrics)
    build.add("improvement by the rule", _rounded(impact.gross_improvement_percent), "%")
    build.add("improvement after cost", _rounded(impact.net_improvement_percent), "%")
    build.add("turnover", _rounded(costs.turnover_percent), "% of total capital")
    build.add("cost of the plan", _rounded(costs.plan_cost_percent, places=4), "% of total capital")
    if costs.plan_cost is not None:
        build.add(
            "cost of the plan in money",
            f"{costs.plan_cost:.2f}",
            money_unit(session.state.portfolio.currency),
        )
    drawn = impact.resampling
    if drawn is not None:
        build.add("probability of a better Sharpe ratio", _rounded(drawn.probability_better))
        build.add("pessimistic change of the Sharpe ratio", _rounded(drawn.sharpe_difference_low))
        build.add("median change of the Sharpe ratio", _rounded(drawn.sharpe_difference_median))
        build.add("optimistic change of the Sharpe ratio", _rounded(drawn.sharpe_difference_high))
    record = impact.walk_forward
    build.add("what this history says of the mode", record.status.replace("_", " "))
    build.add("trials on this history", record.trials)
    build.add("of them won", record.wins)


def _metrics(build: FactBuilder, side: str, metrics: PortfolioMetrics | None) -> None:
    if metrics is None:
        build.add(f"simulated measures {side}", None)
        return
    build.add(f"simulated Sharpe ratio {side}", _rounded(metrics.sharpe))
    build.add(f"simulated maximum drawdown {side}", _rounded(metrics.dd), "%")
    build.add(f"simulated win rate {side}", _rounded(_percent(metrics.win_rate)), "% of days")
    build.add(f"simulated return {side}", _rounded(metrics.return_), "%")
    build.add(f"simulated volatility a year {side}", _rounded(metrics.volatility), "%")


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _percent(fraction: object) -> float | None:
    return None if fraction is None else 100 * float(fraction)  # type: ignore[arg-type]  # float or Fraction


def _rounded(value: float | None, *, places: int = 2) -> str | None:
    """So many decimals; no negative zero."""
    if value is None:
        return None
    text = f"{float(value):.{places}f}"
    return text.removeprefix("-") if float(text) == 0 else text
