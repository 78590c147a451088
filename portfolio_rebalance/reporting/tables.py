"""From records to what a person reads: which blocks, in which order.

Pure: a record goes in, blocks come out. Nothing here computes a statistic, judges a limit or prints; every
verdict shown was made by the stage whose record carries it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.records import (
    Assessment,
    Decision,
    Execution,
    Finding,
    RebalanceResult,
    Review,
    RunSummary,
)
from portfolio_rebalance.reporting.blocks import Block, Paragraph, Table, Tone, left, whole
from portfolio_rebalance.reporting.change_tables import change_table, limit_blocks
from portfolio_rebalance.reporting.commands import COMMAND, short_id, suggested
from portfolio_rebalance.reporting.impact_tables import impact_blocks, modes_table, prediction_blocks
from portfolio_rebalance.reporting.state_tables import assessment_table, correlation_blocks, pnl_blocks

__all__ = [
    "assessment_blocks",
    "error_blocks",
    "findings_blocks",
    "history_blocks",
    "result_blocks",
    "stored_blocks",
]

_RUN_STATES: Final = {"committed": "executed"}


def result_blocks(
    result: RebalanceResult, *, workspace: str | None = None, as_of: datetime | None = None
) -> tuple[Block, ...]:
    """Everything about one run: verdict, state, change, limits, impact, modes, warnings, what next.

    Of a run that came to an execution: what came of it, and why it was recommended. The figures before it
    would pass for those of now; ``show`` has them.

    Args:
        result: The run.
        workspace: As the reader named it, for the commands that are suggested; None where it was found.
        as_of: Likewise, where the reader fixed the instant: a plan of then has expired by now.
    """
    if result.execution is not None:
        return tuple(_executed(result, result.execution, workspace=workspace, as_of=as_of))
    return (*_result(result), *_what_next(result, workspace=workspace, as_of=as_of))


def stored_blocks(result: RebalanceResult, *, workspace: str | None = None) -> tuple[Block, ...]:
    """A stored run: what became of its plan, where it was executed, and then all that it rested on.

    Args:
        result: The run.
        workspace: As the reader named it, for the commands that are suggested; None where it was found.
    """
    if result.execution is None:
        return result_blocks(result, workspace=workspace)
    from portfolio_rebalance.reporting.execution_tables import execution_blocks

    when = f" at {format_instant(result.as_of)}" if result.as_of else ""
    return (
        *execution_blocks(result.execution, workspace=workspace),
        Paragraph(f"All that it rested on, as it was planned{when}:"),
        *_result(result),
    )


def assessment_blocks(assessment: Assessment) -> tuple[Block, ...]:
    """Drift, profit and loss, alerts and warnings."""
    return (
        assessment_table(assessment),
        *pnl_blocks(assessment),
        *_remarks(assessment.alerts, assessment.warnings),
    )


def history_blocks(runs: Sequence[RunSummary]) -> tuple[Block, ...]:
    """One row a run."""
    if not runs:
        return (Paragraph(f"No run is stored yet. Plan one: {COMMAND}"),)
    return (
        Table(
            title="Runs",
            columns=whole("run", "as of", "mode", "recommendation", "basis", "status", "plan"),
            rows=tuple(
                (
                    short_id(run.run_id),
                    format_instant(run.as_of),
                    run.mode,
                    run.recommendation,
                    run.basis,
                    _RUN_STATES.get(run.status, run.status),
                    short_id(run.plan_id) if run.plan_id else "",
                )
                for run in runs
            ),
        ),
    )


def findings_blocks(findings: Sequence[Finding]) -> tuple[Block, ...]:
    """Errors first, each with what to do; or that nothing was found."""
    if not findings:
        return (Paragraph("No problem found.", "good"),)
    return tuple(_findings(findings))


def error_blocks(*, what: str, where: str, fix: str) -> tuple[Block, ...]:
    """A refusal: what, where, what to do."""
    lines = [Paragraph(f"error: {what}", "bad")]
    lines += [Paragraph(f"  where: {where}")] if where else []
    lines += [Paragraph(f"  fix: {fix}")] if fix else []
    return tuple(lines)


def _findings(findings: Sequence[Finding]) -> Iterator[Paragraph]:
    for found in sorted(findings, key=lambda finding: finding.severity):
        tone: Tone = "bad" if found.severity == "error" else "warn"
        yield Paragraph(f"{found.severity}: {found.where}: {found.what}", tone)
        yield Paragraph(f"  fix: {found.fix}")
    errors = sum(finding.severity == "error" for finding in findings)
    yield Paragraph(f"{_counted(errors, 'error')}, {_counted(len(findings) - errors, 'warning')}.")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _result(result: RebalanceResult) -> Iterator[Block]:
    if result.error is not None:
        yield from error_blocks(what=result.error.what, where=result.error.where, fix=result.error.fix)
        yield from (Paragraph(line) for line in result.error.difference.splitlines())
    if result.decision is not None:
        yield from _verdict(result.decision, shown_below=result.alerts)
    if result.fallback:
        yield Paragraph(f"Fallback: {result.fallback}", "warn")
    if result.assessment is not None:
        yield assessment_table(result.assessment)
    if result.correlation is not None:
        yield from correlation_blocks(result.correlation)
    yield from _candidates(result)
    if result.prediction is not None:
        yield from prediction_blocks(result.prediction)
    if result.reviews:
        yield _reviews(result.reviews)
    yield from _models(result)
    state = result.assessment
    yield from _remarks(
        (*result.alerts, *(state.alerts if state else ())),
        (*result.warnings, *(state.warnings if state else ())),
    )


def _executed(
    result: RebalanceResult, execution: Execution, *, workspace: str | None, as_of: datetime | None
) -> Iterator[Block]:
    from portfolio_rebalance.reporting.execution_tables import (
        execution_report,
        next_steps,
    )  # a dry run has none

    yield from execution_report(execution)
    if others := [path for path in result.written if path not in execution.written]:
        yield Paragraph(f"Written before it: {', '.join(others)}")
    if result.decision is not None:
        yield Paragraph("Why it was recommended:")
        yield from _verdict(result.decision, shown_below=result.alerts)
    if result.reviews:
        yield _reviews(result.reviews)
    yield from _models(result)
    yield from _remarks(result.alerts, result.warnings)
    plan = short_id(execution.plan_id)
    yield Paragraph(f"All that it rested on: {suggested(f'show {plan}', workspace=workspace)}")
    yield from next_steps(execution, workspace=workspace, as_of=as_of)


def _verdict(decision: Decision, *, shown_below: Sequence[str]) -> Iterator[Paragraph]:
    tones: dict[str, Tone] = {"REBALANCE": "warn", "BLOCKED": "bad", "HOLD": "good"}
    yield Paragraph(decision.headline, tones.get(decision.recommendation, "plain"))
    yield Paragraph(
        f"Recommendation {decision.recommendation}, basis {decision.basis}; the improvement rule alone says "
        f"{decision.improvement_verdict}. Confidence {decision.confidence}, evidence "
        f"{decision.evidence.replace('_', ' ')}."
    )
    for reason in decision.reasons:
        if reason not in shown_below and reason not in decision.headline:
            yield Paragraph(f"- {reason}")


def _candidates(result: RebalanceResult) -> Iterator[Block]:
    chosen = result.chosen
    if chosen is None or result.assessment is None:
        return
    total, currency = result.assessment.total_capital, result.assessment.currency
    yield change_table(chosen, total_capital=total, currency=currency)
    yield from limit_blocks(chosen)
    yield from impact_blocks(chosen.impact, total_capital=total, currency=currency)
    yield modes_table(result.candidates, result.cheapest, total_capital=total, currency=currency)


def _reviews(reviews: Sequence[Review]) -> Table:
    return Table(
        title="Reviews",
        columns=(*whole("role", "source", "verdict"), *left("concerns")),
        rows=tuple(
            (review.role.replace("_", " "), review.source, review.verdict, concern)
            if number == 0
            else ("", "", "", concern)
            for review in reviews
            for number, concern in enumerate(review.concerns or ("none",))
        ),
    )


def _models(result: RebalanceResult) -> Iterator[Block]:
    """What models said and cost; a stored run keeps the words, not the cost."""
    if result.advice is None and result.spend is None and not result.batch_explained:
        if result.decision is not None:
            yield Paragraph("Led by rules: no model took part.")
        return
    from portfolio_rebalance.reporting.model_tables import advice_blocks, batch_blocks, spend_blocks

    if result.advice is not None:
        yield from advice_blocks(result.advice)
    yield from batch_blocks(result.batch_explained)
    if result.spend is not None:
        yield from spend_blocks(result.spend)


def _remarks(alerts: Sequence[str], warnings: Sequence[str]) -> Iterator[Paragraph]:
    yield from (Paragraph(f"alert: {text}", "bad") for text in dict.fromkeys(alerts))
    yield from (Paragraph(f"warning: {text}", "warn") for text in dict.fromkeys(warnings))


def _what_next(
    result: RebalanceResult, *, workspace: str | None, as_of: datetime | None
) -> Iterator[Paragraph]:
    if result.status == "refused":
        return
    if result.status == "blocked":
        yield Paragraph("What next: this needs a person; relax one of the limits or pins named above.", "bad")
    elif result.status == "hold":
        yield Paragraph("What next: nothing; the rule keeps the current allocation.", "good")
    elif result.plan_id is not None:
        until = f"; it expires at {format_instant(result.plan.expires_at)}" if result.plan else ""
        yield Paragraph(
            f"What next: plan {short_id(result.plan_id)} is stored for a person to decide on{until}."
        )
        plan = short_id(result.plan_id)
        approve = suggested(f"approve {plan}", workspace=workspace, as_of=as_of)
        yield Paragraph(f"Decide on it: {approve}")
        yield Paragraph(f"See it again: {suggested(f'show {plan}', workspace=workspace)}")
    yield Paragraph("This run only planned: no order was sent, no money moved.")
    if result.written:
        yield Paragraph(f"Written: {', '.join(result.written)}")
