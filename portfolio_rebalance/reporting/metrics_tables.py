"""The metrics of the last rebalances: the source's block, its success metrics, and the calibration table.

What is not known is shown as a dash, never as 0. Few outcomes prove little, so a share never stands without
its 90 % interval and how many it is of.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from portfolio_rebalance.records.metrics import (
    Calibration,
    CalibrationTable,
    Coverage,
    Forecast,
    MetricsReport,
    RebalanceLine,
    SuccessMetric,
)
from portfolio_rebalance.reporting.approval_page import one_line
from portfolio_rebalance.reporting.blocks import Block, Paragraph, Table, left, number, right, whole
from portfolio_rebalance.reporting.commands import short_id, suggested
from portfolio_rebalance.reporting.following_tables import DASH

__all__ = ["calibration_blocks", "metrics_blocks"]

_VERDICTS: Final = {"pass": "PASS", "fail": "FAIL", "unknown": "unknown"}
_COVERAGE_WORDS: Final = {
    "sharpe_ratio": "Sharpe ratio",
    "max_drawdown": "maximum drawdown",
    "win_rate": "win rate",
    "return": "return",
}


def metrics_blocks(report: MetricsReport, *, workspace: str | None = None) -> list[Block]:
    """Everything ``metrics`` shows.

    Args:
        report: The figures.
        workspace: As the reader named it, for the commands that are suggested; None where it was found.
    """
    if not report.total_rebalances:
        return [
            Paragraph("No rebalance yet: every figure is unknown."),
            _success(report),
            Paragraph(f"Plan one: {suggested('--dry-run', workspace=workspace)}"),
        ]
    return [
        _block(report),
        _modes(report),
        _success(report),
        *calibration_blocks(report.calibration),
        _rebalances(report),
    ]


def calibration_blocks(table: CalibrationTable) -> list[Block]:
    """How good predictions have been: of all modes together in full, of each in one line a kind."""
    if not table.all.graded:
        return [Paragraph("No outcome is graded yet, so nothing is known of how good predictions are.")]
    return [
        _forecasts(table),
        *_groups(table.all),
        _coverage(table),
        Paragraph(
            f"{table.all.graded} graded outcome{'' if table.all.graded == 1 else 's'}. Few prove little: "
            "as long as an interval holds what was predicted, nothing speaks against the predictions."
        ),
    ]


# The block, and how it is judged.


def _block(report: MetricsReport) -> Table:
    achieved, costs = report.improvements_achieved, report.trading_costs
    drift, limits, helped = report.drift_management, report.limit_compliance, report.helped
    rate = _within(helped.rate_percent, helped.low_percent, helped.high_percent, places=1)
    rows = (
        ("rebalances", str(report.total_rebalances)),
        ("successful: committed and verified", str(report.successful_rebalances)),
        ("success rate %", _figure(report.success_rate_percent)),
        ("graded", str(helped.graded)),
        ("helped: beat the portfolio that nobody traded", str(helped.helped) if helped.graded else DASH),
        ("helped %, with its 90 % interval", rate),
        ("Sharpe improvement %, average", _figure(achieved.avg_sharpe_improvement)),
        ("Sharpe improvement %, median", _figure(achieved.median_improvement_percent)),
        ("drawdown improvement, points, average", _figure(achieved.avg_dd_improvement)),
        ("slippage, bps, average", _figure(costs.avg_slippage_bps)),
        ("commissions, bps, average", _figure(costs.avg_commissions_bps)),
        ("total cost, bps, average", _figure(costs.avg_total_cost_bps)),
        ("portfolio drift before, %, average", _figure(drift.avg_drift_before_rebalance)),
        ("portfolio drift after, %, average", _figure(drift.avg_drift_after_rebalance)),
        ("drift correction %", _figure(drift.drift_correction_percent)),
        ("all limits respected, % of rebalances", _figure(limits.all_limits_respected)),
        ("limits broken before", _count(limits.violations_pre_rebalance)),
        ("limits broken after", _count(limits.violations_post_rebalance)),
    )
    return Table(
        title=f"Rebalances, {report.run_period}",
        columns=(*left("what"), *right("value")),
        rows=rows,
        note="Of the last 50 rebalances. Improvements are realised, against the portfolio nobody traded.",
    )


def _modes(report: MetricsReport) -> Table:
    return Table(
        title="By mode",
        columns=(*whole("mode"), *right("triggered", "successful")),
        rows=tuple(
            (one_line(mode), str(count.triggered), str(count.successful))
            for mode, count in report.by_mode.items()
        ),
    )


def _success(report: MetricsReport) -> Table:
    return Table(
        title="Success metrics",
        columns=(*left("metric", "target"), *right("value"), *whole("verdict"), *left("why")),
        rows=tuple(
            (one.name, one.target, _valued(one), _VERDICTS[one.verdict], one_line(one.reason))
            for one in report.success_metrics
        ),
    )


def _valued(one: SuccessMetric) -> str:
    return DASH if one.value is None else f"{one.value:f} {one.unit}"


def _rebalances(report: MetricsReport) -> Table:
    return Table(
        title="Rebalances, the newest first",
        columns=(
            *whole("plan", "day"),
            *left("mode"),
            *whole("status"),
            *right("drift %", "cost bps", "broken", "Sharpe %"),
            *whole("helped"),
        ),
        rows=tuple(_line(one) for one in report.rebalances),
        note="Drift and broken limits: before to after. Sharpe: realised improvement.",
    )


def _line(one: RebalanceLine) -> tuple[str, ...]:
    return (
        short_id(one.plan_id),
        one.at.date().isoformat(),
        one_line(one.mode.replace("_", " ")),
        one.status,
        f"{_figure(one.drift_before)} to {_figure(one.drift_after)}",
        _figure(one.total_cost_bps),
        f"{_count(one.violations_before)} to {_count(one.violations_after)}",
        _figure(one.sharpe_improvement_percent),
        DASH if one.helped is None else "yes" if one.helped else "no",
    )


# How good predictions have been.


def _forecasts(table: CalibrationTable) -> Table:
    rows = []
    for mode, found in (("all", table.all), *table.by_mode.items()):
        for name, forecast in (
            ("better, as drawn", found.probability_better),
            ("helps, as learned", found.probability_helps),
        ):
            rows.append((one_line(mode), name, *_forecast(forecast)))
    return Table(
        title="Probability that a rebalance helps: predicted, and how often it did",
        columns=(*whole("mode", "probability"), *right("n", "predicted", "came true", "Brier score")),
        rows=tuple(rows),
        note=f"Brier score: 0 is perfect; {table.brier_of_a_coin} is what a coin's 0.5 scores.",
    )


def _forecast(forecast: Forecast) -> tuple[str, ...]:
    return (
        str(forecast.count),
        _share(forecast.mean_predicted),
        _share(forecast.frequency),
        _share(forecast.brier, places=4),
    )


def _groups(found: Calibration) -> Iterator[Table]:
    groups = found.probability_helps.groups
    if groups:
        yield Table(
            title="Reliability of the probability that a rebalance helps, all modes",
            columns=right("group", "n", "predicted", "came true", "90 % interval"),
            rows=tuple(
                (
                    f"{group.low:.1f} to {group.high:.1f}",
                    str(group.count),
                    _share(group.predicted),
                    _share(group.frequency),
                    f"{_share(group.lower)} to {_share(group.upper)}",
                )
                for group in groups
            ),
        )


def _coverage(table: CalibrationTable) -> Table:
    modes = (("all", table.all), *table.by_mode.items())
    return Table(
        title=f"Share of realised values inside of their intervals; {table.coverage_wanted} is promised",
        columns=(*whole("mode"), *left("measure"), *right("n", "inside", "90 % interval")),
        rows=tuple(
            (one_line(mode), _COVERAGE_WORDS.get(metric, metric), *_covered(coverage))
            for mode, found in modes
            for metric, coverage in found.coverage.items()
        ),
    )


def _covered(coverage: Coverage) -> tuple[str, ...]:
    interval = DASH if coverage.lower is None else f"{_share(coverage.lower)} to {_share(coverage.upper)}"
    return (str(coverage.count), _share(coverage.inside), interval)


# Figures.


def _figure(value: Decimal | None) -> str:
    """As it was rounded for reading."""
    return DASH if value is None else f"{value:f}"


def _share(value: Decimal | None, *, places: int = 2) -> str:
    return DASH if value is None else number(value, places=places)


def _count(value: int | None) -> str:
    return DASH if value is None else str(value)


def _within(value: Decimal | None, low: Decimal | None, high: Decimal | None, *, places: int) -> str:
    if value is None or low is None or high is None:
        return DASH
    return f"{_figure(value)} ({number(low, places=places)} to {number(high, places=places)})"
