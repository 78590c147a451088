"""Where the portfolio stands: assessment, profit and loss, correlated clusters, pairs worth a look."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.records import Assessment, CorrelatedPair, CorrelationReport, StrategyAssessment
from portfolio_rebalance.reporting.blocks import (
    Block,
    Column,
    Paragraph,
    Table,
    ids,
    left,
    limited,
    money,
    number,
    right,
    shorten,
    signed,
    whole,
)

__all__ = ["assessment_table", "correlation_blocks", "pnl_blocks"]

_MOST_PAIRS: Final = 15
_NAME_WIDTH: Final = 18


def assessment_table(assessment: Assessment) -> Table:
    """Every strategy against its target, with cash and totals below."""
    total = assessment.total_capital
    rows: list[tuple[str, ...]] = [
        (
            line.strategy,
            shorten(line.name, most=_NAME_WIDTH),
            money(line.capital, total=total),
            number(line.alloc_percent),
            number(line.target_percent),
            "no target" if line.drift_percent is None else signed(line.drift_percent),
            line.priority,
            _remarks(line),
        )
        for line in assessment.current_allocations.values()
    ]
    deployed = assessment.total_deployed
    targets = sum((line.target_percent for line in assessment.current_allocations.values()), Decimal(0))
    cash_share = 100 * assessment.cash / total
    rows += [
        ("cash", "", money(assessment.cash, total=total), number(cash_share), "", "", "", ""),
        (
            "deployed",
            "",
            money(deployed.capital, total=total),
            number(deployed.alloc_percent),
            number(targets),
            "",
            "",
            "",
        ),
    ]
    return Table(
        title=f"Assessment at {format_instant(assessment.as_of)}, capital in {assessment.currency}",
        columns=(
            *whole("strategy"),
            Column("name", fit="cut"),
            *right("capital", "alloc %", "target %", "drift %"),
            *whole("priority"),
            *left("note"),
        ),
        rows=tuple(rows),
        note=_drift_note(assessment),
    )


def pnl_blocks(assessment: Assessment) -> Iterator[Block]:
    """Profit and loss by window, where any is known."""
    lines = tuple(assessment.current_allocations.values())
    windows = tuple(dict.fromkeys(window for line in lines for window in line.pnl))
    if not any(line.pnl.get(window) is not None for line in lines for window in windows):
        return
    total = assessment.total_capital
    yield Table(
        title=f"Profit and loss, {assessment.currency}",
        columns=(*whole("strategy"), *right(*windows)),
        rows=tuple(
            (
                line.strategy,
                *(
                    "unknown" if line.pnl.get(window) is None else money(line.pnl[window], total=total)
                    for window in windows
                ),
            )
            for line in lines
        ),
    )


def correlation_blocks(report: CorrelationReport) -> Iterator[Block]:
    """Clusters against their limit, the HIGH pairs that form them, and pairs worth a look."""
    if report.status == "not_evaluated":
        yield Paragraph(f"Correlated exposure NOT_EVALUATED: {report.reason}", "warn")
        return
    clusters = [cluster for cluster in report.correlated_clusters if len(cluster.strategies) > 1]
    window = f"{report.lookback_days} days"
    if not clusters:
        yield Paragraph(f"No correlated cluster of two or more strategies in {window}.", "good")
    else:
        yield Table(
            title=f"Correlated clusters, {window}",
            columns=(
                *left("strategies"),
                *right("combined %", "limit %", "average correlation"),
                *whole("status"),
            ),
            rows=tuple(
                (
                    ids(cluster.strategies),
                    number(cluster.total_alloc),
                    number(cluster.limit_bp / 100),
                    number(cluster.correlation_avg),
                    f"over by {number(cluster.reduction_needed)}" if cluster.exceeds_limit else "within",
                )
                for cluster in clusters
            ),
        )
    yield from _high_pairs(report)
    yield from _curious_pairs(report)


def _remarks(line: StrategyAssessment) -> str:
    remarks = (
        ("pinned", line.pinned),
        ("stale", bool(line.stale)),
        ("from target", line.starts_from == "target"),
    )
    return ", ".join(word for word, holds in remarks if holds)


def _drift_note(assessment: Assessment) -> str:
    if assessment.portfolio_drift_percent is None:
        return "Portfolio drift is undefined: every target is 0."
    flag = ", flagged" if assessment.portfolio_drift_flagged else ""
    total = money(assessment.total_capital, total=assessment.total_capital)
    return (
        f"Total capital {total} {assessment.currency}. "
        f"Portfolio drift {number(assessment.portfolio_drift_percent)} %{flag}."
    )


def _high_pairs(report: CorrelationReport) -> Iterator[Table]:
    if not report.high_correlation_pairs:
        return
    rows, note = limited(
        [
            (
                ids(pair.strategies),
                number(pair.correlation),
                _interval(pair),
                str(pair.observations),
                "kept from the last run" if pair.kept_by_hysteresis else "",
            )
            for pair in report.high_correlation_pairs
        ],
        most=_MOST_PAIRS,
        what="HIGH pairs",
    )
    yield Table(
        title="HIGH pairs",
        columns=(
            *whole("pair"),
            *right("correlation", "95 % interval", "days"),
            *left("remarks"),
        ),
        rows=rows,
        note=note,
    )


def _interval(pair: CorrelatedPair) -> str:
    if pair.low is None or pair.high is None:
        return "undefined"
    return f"{number(pair.low)} to {number(pair.high)}"


def _curious_pairs(report: CorrelationReport) -> Iterator[Block]:
    rows, note = limited(list(_curious_rows(report)), most=_MOST_PAIRS, what="pairs")
    if rows:
        yield Table(
            title="Pairs to look at", columns=(*whole("what", "pair"), *left("why")), rows=rows, note=note
        )
    if report.idle:
        yield Paragraph(f"Idle, all returns zero: {ids(report.idle, most=8)}.")


def _curious_rows(report: CorrelationReport) -> Iterator[tuple[str, str, str]]:
    for first, second in report.duplicated_pairs:
        yield "duplicated", ids((first, second)), "the same returns twice"
    for late in report.misdated_pairs:
        shift = "a day after" if late.lag_days == 1 else "a day before"
        why = (
            f"{number(late.correlation)} on the same day, {number(late.lagged_correlation)} with "
            f"{late.strategies[1]} {shift}"
        )
        yield "misdated", ids(late.strategies), why
    for pair in report.offsetting_pairs:
        why = f"correlation {number(pair.correlation)}: positions that cancel pay costs twice"
        yield "offsetting", ids(pair.strategies), why
    for unknown in report.unknown_pairs:
        why = f"{unknown.reason.replace('_', ' ')}, {unknown.observations} common days"
        yield "unknown", ids(unknown.strategies), why
    for double in report.redundant_pairs:
        weaker = f"; weaker: {double.weaker}" if double.weaker else ""
        yield "redundant", ids(double.strategies), f"score {number(double.redundancy_score)}{weaker}"
