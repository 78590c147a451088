"""What the change would have meant: metrics before and after, costs, evidence, all modes at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from portfolio_rebalance.records import (
    METRICS,
    Candidate,
    ImpactReport,
    Metric,
    PortfolioMetrics,
    PredictedRange,
    Prediction,
    WalkForwardEvidence,
)
from portfolio_rebalance.reporting.blocks import (
    Block,
    Paragraph,
    Table,
    left,
    money,
    number,
    right,
    signed,
    whole,
)

__all__ = ["evidence_words", "impact_blocks", "modes_table", "prediction_blocks"]

_METRICS: Final = (
    "Sharpe ratio, a year",
    "maximum drawdown %",
    "win rate %",
    "return %",
    "volatility %, a year",
    "flat days",
)

_PREDICTED: Final[dict[Metric, str]] = {
    "sharpe_ratio": "Sharpe ratio, a year",
    "max_drawdown": "maximum drawdown %",
    "win_rate": "win rate %",
    "return": "return %",
}


def impact_blocks(impact: ImpactReport, *, total_capital: Decimal, currency: str) -> Iterator[Block]:
    """Metrics and evidence, labelled in-sample; or why there are none."""
    if not impact.computed:
        yield Paragraph(f"Impact not computed: {impact.reason}", "warn")
    else:
        yield _metrics(impact)
    yield Table(
        title="Improvement, cost and evidence",
        columns=(*left("measure"), *right("value")),
        rows=(*_improvement_rows(impact, total_capital, currency), *_evidence_rows(impact)),
        note=f"Evidence: {evidence_words(impact.walk_forward)}",
    )
    yield from (Paragraph(note) for note in impact.notes)


def prediction_blocks(prediction: Prediction) -> Iterator[Block]:
    """What the days after the rebalance may bring, beside the portfolio that nobody trades."""
    last = prediction.after(prediction.days)
    if last is None:
        yield Paragraph(f"Nothing is predicted: {prediction.reason}", "warn")
        return
    helps = prediction.probability_helps
    chance = "cannot be told" if helps is None else f"{helps:.2f}"
    learned = "" if not prediction.prior_log_odds else ", moved by what earlier rebalances taught"
    yield Table(
        title=f"Predicted for the {prediction.days} days after it",
        columns=(*left("measure"), *right("low", "median", "high")),
        rows=tuple(_predicted(metric, last.ranges[metric]) for metric in METRICS),
        note=(
            f"90 % interval, drawn from {prediction.history_days} days. Probability that it beats, "
            f"after costs, doing nothing: {chance}{learned}."
        ),
    )


def modes_table(
    candidates: Sequence[Candidate], cheapest: Candidate | None, *, total_capital: Decimal, currency: str
) -> Table:
    """One row for each mode, the chosen one first; the cheapest compliant one is marked."""
    listed = cheapest is None or any(_same(candidate, cheapest) for candidate in candidates)
    others = () if cheapest is None or listed else (cheapest,)
    return Table(
        title="All modes at a glance",
        columns=(
            *whole("mode"),
            *right("total %", "cluster %", "trades", "turnover %", f"cost {currency}", "gain %"),
            *whole("verdict"),
            *left("remarks"),
        ),
        rows=tuple(
            _mode_row(candidate, _mark(candidate, candidates, cheapest), total_capital)
            for candidate in (*candidates, *others)
        ),
        note="cluster %: the worst cluster after the change; gain %: gross improvement, in-sample.",
    )


def evidence_words(record: WalkForwardEvidence) -> str:
    """The mode's own record on this history, in words."""
    figures = f"{record.wins} wins in {record.trials} trials"
    if record.median_net_change is not None:
        figures += f", median change of the Sharpe ratio after cost {signed(record.median_net_change)}"
    words = {
        "not_computed": "the mode's record on this history was not computed",
        "too_short": f"this history is too short to judge the mode: {record.trials} trials",
        "supported": f"this history supports the mode: {figures}",
        "contradicted": f"this history speaks against the mode: {figures}",
        "not_distinguishable": f"this history cannot tell the mode from chance: {figures}",
    }[record.status]
    return f"{words}; {record.note}" if record.note else f"{words}."


def _predicted(metric: Metric, found: PredictedRange | None) -> tuple[str, ...]:
    if found is None:
        return (_PREDICTED[metric], "undefined", "", "")
    scale = 100 if metric == "win_rate" else 1
    return (_PREDICTED[metric], *(number(scale * end) for end in (found.low, found.median, found.high)))


def _metrics(impact: ImpactReport) -> Table:
    sides = [
        _metric_cells(side)
        for side in (impact.baseline_metrics, impact.projected_metrics, impact.projected_after_cost)
    ]
    rows = tuple((name, *(side[place] for side in sides)) for place, name in enumerate(_METRICS))
    return Table(
        title=f"Impact, in-sample: {impact.observations} common days of the last {impact.lookback_days}",
        columns=(*left("metric"), *right("now", "projected", "projected after cost")),
        rows=rows,
    )


def _metric_cells(side: PortfolioMetrics | None) -> tuple[str, ...]:
    if side is None:
        return ("undefined",) * len(_METRICS)
    return (
        number(side.sharpe),
        "left out" if side.dd is None else number(side.dd),
        number(None if side.win_rate is None else 100 * side.win_rate),
        number(side.return_),
        number(side.volatility),
        str(side.flat_days),
    )


def _improvement_rows(
    impact: ImpactReport, total_capital: Decimal, currency: str
) -> Iterator[tuple[str, str]]:
    costs = impact.trading_costs
    yield "improvement, gross %", signed(impact.gross_improvement_percent)
    yield "cost rate of a unit traded %", number(costs.total_cost_percent)
    yield "improvement, net % (gross less that rate)", signed(impact.net_improvement_percent)
    yield "this plan's cost, % of the portfolio", number(costs.plan_cost_percent)
    yield f"this plan's cost, {currency}", money(costs.plan_cost, total=total_capital)
    for name, rate in (("slippage", costs.slippage_bps), ("commission", costs.commissions_bps)):
        yield f"estimated {name}, bps", "left out" if rate is None else number(rate, places=0)
    yield "improvement rule", impact.recommendation


def _evidence_rows(impact: ImpactReport) -> Iterator[tuple[str, str]]:
    draws = impact.resampling
    if draws is None:
        yield "P(better)", "not computed"
    else:
        spread = (draws.sharpe_difference_low, draws.sharpe_difference_median, draws.sharpe_difference_high)
        yield "P(better)", number(draws.probability_better)
        yield "Sharpe difference, 5 / 50 / 95 %", " / ".join(signed(value) for value in spread)
        sides = (draws.psr_baseline, draws.psr_projected)
        yield "PSR against 0, now / projected", " / ".join(number(value) for value in sides)
    yield "confidence", impact.confidence


def _mode_row(candidate: Candidate, mark: str, total_capital: Decimal) -> tuple[str, ...]:
    summary, costs = candidate.proposal.summary, candidate.impact.trading_costs
    exposure = summary.correlated_exposure_after
    blocked = candidate.compliance.blocked is not None
    return (
        candidate.mode,
        number(summary.total_deployed_after),
        "unknown" if exposure is None else number(exposure),
        str(len(candidate.proposal.traded)),
        number(costs.turnover_percent),
        money(costs.plan_cost, total=total_capital),
        signed(candidate.impact.gross_improvement_percent),
        "BLOCKED" if blocked else candidate.impact.recommendation,
        mark,
    )


def _mark(candidate: Candidate, candidates: Sequence[Candidate], cheapest: Candidate | None) -> str:
    marks = (
        ("chosen", candidate is candidates[0]),
        ("cheapest", cheapest is not None and _same(candidate, cheapest)),
    )
    return ", ".join(word for word, holds in marks if holds)


def _same(candidate: Candidate, other: Candidate) -> bool:
    """The cheapest candidate starts from what is held; the mode of its name may start from targets."""
    return candidate.mode == other.mode and candidate.proposal.proposed_bp == other.proposal.proposed_bp
