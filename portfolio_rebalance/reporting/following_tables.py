"""What follows a rebalance: a look at one that is watched, what it came to, what was tuned and learned.

What is undefined is shown as a dash, never as 0. What a model wrote is data here: one line each, in the last
column of a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.records import (
    Comparison,
    Comparisons,
    CostCheck,
    Learned,
    Metric,
    MonitorReport,
    Outcome,
    Tick,
    TuningStep,
)
from portfolio_rebalance.records.following import Divergence
from portfolio_rebalance.reporting.approval_page import one_line
from portfolio_rebalance.reporting.blocks import (
    Block,
    Paragraph,
    Table,
    Tone,
    ids,
    left,
    limited,
    money,
    number,
    right,
    signed,
    whole,
)
from portfolio_rebalance.reporting.commands import short_id, suggested
from portfolio_rebalance.reporting.model_tables import spend_blocks, watch_blocks

__all__ = ["learned_blocks", "monitor_blocks", "outcome_blocks", "tick_blocks", "tuning_blocks"]

DASH: Final = "–"  # noqa: RUF001 - a figure that does not exist
_MOST_ROWS: Final = 60
_METRIC_WORDS: Final[dict[Metric, str]] = {
    "sharpe_ratio": "Sharpe ratio, a year",
    "max_drawdown": "maximum drawdown %",
    "win_rate": "win rate %",
    "return": "return %",
}
_VERDICT_WORDS: Final[dict[Divergence, str]] = {
    "alert": "ALERT: outside of its interval",
    "within_uncertainty": "within its uncertainty",
    "not_judged": "differs, and there is no interval yet",
    "small": "as projected",
    "undefined": "cannot be compared",
}
_CAUSE_WORDS: Final = {
    "regime": "market regime",
    "correlation": "correlation",
    "execution_cost": "execution cost",
    "data_fault": "data fault",
    "chance": "chance",
}


def monitor_blocks(report: MonitorReport, *, workspace: str | None = None) -> list[Block]:
    """All that one call of ``monitor`` found, alerts first.

    Args:
        report: What it found.
        workspace: As the reader named it, for the commands that are suggested; None where it was found.
    """
    if not (report.ticks or report.outcomes or report.notes):
        return [
            Paragraph("Nothing is due: no rebalance is being watched, or its next look is yet to come."),
            Paragraph(f"What came of earlier ones: {suggested('metrics', workspace=workspace)}"),
        ]
    blocks = [block for tick in report.ticks for block in tick_blocks(tick)]
    seen = {tick.plan_id for tick in report.ticks if tick.is_last}
    for outcome in report.outcomes:  # the last look has shown the same figures
        blocks += _graded(outcome) if outcome.plan_id in seen else outcome_blocks(outcome)
    if report.steps:
        blocks += tuning_blocks(report.steps)
    if report.learned:
        blocks += learned_blocks(report.learned)
    return [
        *blocks,
        *watch_blocks(report.explained),
        *(spend_blocks(report.spend) if report.spend is not None else ()),
        *(Paragraph(f"note: {one_line(text)}", "warn") for text in report.notes),
        Paragraph(f"What all of them came to: {suggested('metrics', workspace=workspace)}"),
    ]


def tick_blocks(tick: Tick) -> list[Block]:
    """One look at a rebalance that is being watched."""
    plan = short_id(tick.plan_id)
    return [
        *(Paragraph(f"alert: {one_line(text)}", "bad") for text in tick.alerts),
        Paragraph(
            f"Day {tick.realised.days} of {tick.of_days} after plan {plan}, mode {one_line(tick.mode)}; "
            f"seen at {format_instant(tick.at)}."
        ),
        *_allocations(tick),
        *_comparisons(tick.realised),
        _cost(tick.cost),
        *(Paragraph(f"note: {one_line(text)}", "warn") for text in tick.notes),
        *(Paragraph(f"The watch of plan {plan} ends with this look.") for _ in range(tick.is_last)),
    ]


def outcome_blocks(outcome: Outcome) -> list[Block]:
    """What a rebalance came to, graded or not."""
    return [*_graded(outcome), *_comparisons(outcome.realised), _cost(outcome.cost)]


def tuning_blocks(steps: Sequence[TuningStep]) -> list[Block]:
    """The log of estimates, newest first."""
    if not steps:
        return [Paragraph("No estimate was tuned yet: those of the configuration are in force.")]
    undone = _undone(steps)
    rows, note = limited(
        [
            (
                str(step.number) if step.number else "",
                format_instant(step.at),
                step.parameter,
                f"{_figure(step.before)} to {_figure(step.after)}",
                _figure(step.observed),
                DASH if step.plan_id is None else short_id(step.plan_id),
                _remark(step, undone),
            )
            for step in reversed(steps)
        ],
        most=_MOST_ROWS,
        what="steps",
    )
    return [
        Table(
            title="Estimates, step by step",
            columns=(
                *right("number"),
                *whole("when", "estimate"),
                *right("step", "observed"),
                *whole("from plan"),
                *left("remark"),
            ),
            rows=rows,
            note=f"No step touches a limit. {note}".rstrip(),
        )
    ]


def learned_blocks(learned: Sequence[Learned]) -> list[Block]:
    """Why outcomes differ from their predictions, newest first."""
    if not learned:
        return [Paragraph("Nothing was learned yet: no outcome has been explained.")]
    rows, note = limited(
        [
            (
                short_id(one.plan_id),
                format_instant(one.at),
                _CAUSE_WORDS[one.cause],
                one.source,
                one_line(" ".join((one.text, *(f"[{fact}]" for fact in one.cited)))),
            )
            for one in reversed(learned)
        ],
        most=_MOST_ROWS,
        what="learnings",
    )
    return [
        Table(
            title="Learned",
            columns=(*whole("plan", "when", "cause", "source"), *left("why")),
            rows=rows,
            note=note,
        )
    ]


# What is held.


def _allocations(tick: Tick) -> Iterator[Block]:
    if tick.allocations is None:
        return
    total = sum((one.capital for one in tick.allocations), Decimal(0))
    yield Table(
        title="Held now, against the targets",
        columns=(*whole("strategy"), *right("capital", "alloc %", "target %", "drift %")),
        rows=tuple(
            (
                one.strategy,
                money(one.capital, total=total),
                number(one.alloc),
                number(one.target),
                _signed(one.drift),
            )
            for one in tick.allocations
        ),
    )


# What was promised, and what came.


def _comparisons(found: Comparisons) -> Iterator[Block]:
    yield Table(
        title="Projected and realised, after costs",
        columns=(
            *left("measure"),
            *right("projected", "90 % interval", "realised", "untraded", "diverges %"),
            *left("verdict"),
        ),
        rows=tuple(_comparison(one) for one in found.metrics),
        note=_days(found),
    )
    if found.ahead_of_shadow is not None:
        where = "ahead of" if found.ahead_of_shadow else "not ahead of"
        yield Paragraph(f"By Sharpe ratio, after costs, it is {where} the portfolio that nobody traded.")


def _comparison(one: Comparison) -> tuple[str, ...]:
    scale = 100 if one.metric == "win_rate" else 1
    return (
        _METRIC_WORDS[one.metric],
        _figure(one.projected, scale=scale),
        _interval(one.low, one.high, scale=scale),
        _figure(one.realised, scale=scale),
        _figure(one.shadow, scale=scale),
        _signed(one.divergence_percent),
        _VERDICT_WORDS[one.verdict],
    )


def _days(found: Comparisons) -> str:
    parts = [f"{found.observations} of {found.days} closed days have returns of every strategy."]
    if found.missing:
        parts.append(f"Missing: {ids(found.missing, most=8)}.")
    parts.append("Untraded: had nobody traded. Few days say little: chance alone fills the interval.")
    return " ".join(parts)


def _cost(cost: CostCheck) -> Table:
    total = max(cost.estimated, cost.actual, key=abs) * 100
    return Table(
        title="Cost",
        columns=(
            *left("measure"),
            *right("estimated", "90 % interval", "actual", "diverges %"),
            *left("verdict"),
        ),
        rows=(
            (
                "bps of what was traded",
                number(cost.estimated_bps),
                _interval(cost.low, cost.high),
                _figure(cost.actual_bps),
                _signed(cost.divergence_percent),
                _VERDICT_WORDS[cost.verdict],
            ),
            ("money", money(cost.estimated, total=total), "", money(cost.actual, total=total), "", ""),
        ),
    )


def _graded(outcome: Outcome) -> list[Block]:
    return [Paragraph(*_verdict(outcome, short_id(outcome.plan_id))), *_predicted(outcome)]


def _verdict(outcome: Outcome, plan: str) -> tuple[str, Tone]:
    if not outcome.graded:
        return f"NOT GRADED: plan {plan}: {one_line(outcome.reason)}", "warn"
    days = f"over {outcome.realised.observations} days"
    if outcome.helped is None:
        return f"GRADED: plan {plan} cannot be compared with the portfolio that nobody traded.", "warn"
    if outcome.helped:
        return f"HELPED: plan {plan} beat, after costs, the portfolio that nobody traded, {days}.", "good"
    return f"DID NOT HELP: plan {plan} did not beat the portfolio that nobody traded, {days}.", "warn"


def _predicted(outcome: Outcome) -> Iterator[Paragraph]:
    if outcome.probability_helps is None and outcome.probability_better is None:
        return
    yield Paragraph(
        f"Predicted probability that it helps: {_figure(outcome.probability_helps)}; before what was learned "
        f"of the mode: {_figure(outcome.probability_better)}. One outcome proves neither right."
    )


# What was tuned.


def _undone(steps: Sequence[TuningStep]) -> frozenset[int]:
    """Steps that a person took back: the one they named, and all later ones of its estimate."""
    return frozenset(
        step.number
        for back in steps
        if back.reverts is not None
        for step in steps
        if step.parameter == back.parameter
        and step.configured == back.configured  # those of another configured value count where it does
        and back.reverts <= step.number < back.number
    )


def _remark(step: TuningStep, undone: frozenset[int]) -> str:
    parts = []
    if step.reverts is not None:
        parts.append(f"takes back step {step.reverts} and what followed it")
    if step.number in undone:
        parts.append("taken back")
    if not parts:
        count = step.observations
        parts.append(f"{count} observation{'' if count == 1 else 's'}")
    return "; ".join(parts)


# Figures.


def _figure(value: Decimal | None, *, scale: int = 1) -> str:
    return DASH if value is None else number(value * scale)


def _signed(value: Decimal | Fraction | None) -> str:
    return DASH if value is None else signed(value)


def _interval(low: Decimal | None, high: Decimal | None, *, scale: int = 1) -> str:
    if low is None or high is None:
        return DASH
    return f"{_figure(low, scale=scale)} to {_figure(high, scale=scale)}"
