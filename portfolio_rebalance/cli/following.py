"""The verbs that look at what follows a rebalance: monitor, metrics, feedback.

None of them moves money or touches a limit. ``feedback revert`` is a person's act that can itself be taken
back, so it asks for nothing; the log keeps it.
"""

# ruff: noqa: ARG001 - a typer option is an argument with a default; `--json` is read by cli.main

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from portfolio_rebalance.cli.context import clock_of, named_workspace, root_of, workspace_of
from portfolio_rebalance.cli.options import AsOf, Json, Workspace, new_app
from portfolio_rebalance.cli.outcome import Outcome
from portfolio_rebalance.errors import UsageError

__all__ = ["add_following_verbs"]

Rehearse = Annotated[
    bool,
    typer.Option("--rehearse", help="Simulate follow-ups on this workspace's own returns, and grade them."),
]
Scheduled = Annotated[
    bool,
    typer.Option("--scheduled", help="As a schedule does it: not with enabled: false, and when it is free."),
]
Number = Annotated[int, typer.Argument(metavar="N", help="The step's number in `feedback list`.", min=1)]


def add_following_verbs(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command("monitor")(_monitor)
    app.command("metrics")(_metrics)
    feedback = new_app(help="Show what was learned from rebalances, or take a step of an estimate back.")
    feedback.callback(invoke_without_command=True)(_feedback)
    feedback.command("list")(_list)
    feedback.command("revert")(_revert)
    app.add_typer(feedback, name="feedback")


def _monitor(
    ctx: typer.Context,
    scheduled: Scheduled = False,
    as_of: AsOf = None,
    json: Json = False,
    workspace: Workspace = None,
) -> Outcome:
    """Look at the rebalances of the last days: promised against realised; safe to repeat."""
    from portfolio_rebalance.follow_up import monitor
    from portfolio_rebalance.records import MonitorReport
    from portfolio_rebalance.reporting import monitor_blocks

    named = named_workspace(ctx, workspace)
    root, clock = workspace_of(ctx, workspace), clock_of(ctx, as_of)
    with root_of(ctx).progress() as show_stage:
        if scheduled:
            from portfolio_rebalance.triggers.look import look

            disabled = MonitorReport(notes=("nothing was looked at: the configuration says enabled: false",))
            report = look(root, clock=clock, progress=show_stage) or disabled
        else:
            report = monitor(root, clock=clock, now=lambda: datetime.now(UTC), progress=show_stage)
    return Outcome(document=dict(report), blocks=lambda: monitor_blocks(report, workspace=named))


def _metrics(
    ctx: typer.Context,
    rehearse: Rehearse = False,
    as_of: AsOf = None,
    json: Json = False,
    workspace: Workspace = None,
) -> Outcome:
    """Show what the last 50 rebalances came to, and how good predictions have been."""
    if rehearse:
        return _rehearsal(ctx, as_of=as_of, workspace=workspace)
    if as_of is not None:
        raise UsageError(
            "The metrics are of all rebalances; --as-of belongs to --rehearse.",
            where="command line",
            fix="Leave --as-of out, or add --rehearse.",
        )
    from portfolio_rebalance.reporting import metrics_blocks
    from portfolio_rebalance.run.metrics import metrics

    named = named_workspace(ctx, workspace)
    report = metrics(workspace_of(ctx, workspace))
    return Outcome(
        document={"portfolio_rebalance_metrics": report},
        blocks=lambda: metrics_blocks(report, workspace=named),
    )


def _rehearsal(ctx: typer.Context, *, as_of: str | None, workspace: str | None) -> Outcome:
    """Follow-ups simulated on the workspace's own returns; writes nothing."""
    from portfolio_rebalance.monitoring.calibration import calibration_of
    from portfolio_rebalance.reporting import Paragraph, calibration_blocks
    from portfolio_rebalance.run.rehearsal import rehearse

    with root_of(ctx).progress() as show_stage:
        found = rehearse(workspace_of(ctx, workspace), clock=clock_of(ctx, as_of), progress=show_stage)
    table = calibration_of(found.outcomes)
    said = (
        f"{len(found.outcomes)} follow-ups were simulated from today's allocations at {found.dates} dates, "
        f"{found.first} to {found.last}: each mode's plan with what was known then, and the days after it. "
        "Modes of one date share its days, so they are not independent."
    )
    return Outcome(
        document={
            "follow_ups": len(found.outcomes),
            "dates": found.dates,
            "first": found.first,
            "last": found.last,
            "calibration": table,
        },
        blocks=lambda: [Paragraph(said), *calibration_blocks(table)],
    )


def _feedback(ctx: typer.Context, json: Json = False, workspace: Workspace = None) -> Outcome | None:
    """Show what was learned from rebalances, or take a step of an estimate back."""
    if ctx.invoked_subcommand is None:
        return _list(ctx, json=json, workspace=workspace)
    if workspace is not None:  # named before the inner verb, which may name another
        ctx.obj = replace(root_of(ctx), workspace=workspace)
    return None


def _list(ctx: typer.Context, json: Json = False, workspace: Workspace = None) -> Outcome:
    """Show the steps of estimates and the learnings."""
    from portfolio_rebalance.reporting import learned_blocks, tuning_blocks
    from portfolio_rebalance.run.metrics import feedback

    found = feedback(workspace_of(ctx, workspace))
    return Outcome(
        document={"steps": found.steps, "learned": found.learned},
        blocks=lambda: [*tuning_blocks(found.steps), *learned_blocks(found.learned)],
    )


def _revert(ctx: typer.Context, number: Number, json: Json = False, workspace: Workspace = None) -> Outcome:
    """Take a step back, and with it all later ones of its estimate."""
    from portfolio_rebalance.records import TuningStep
    from portfolio_rebalance.reporting import Paragraph, tuning_blocks
    from portfolio_rebalance.run.follow import revert

    step: TuningStep = revert(workspace_of(ctx, workspace), number, clock=clock_of(ctx, None))
    return Outcome(
        document={"step": step},
        blocks=lambda: [
            Paragraph(f"Step {number} is taken back: {step.parameter} is {step.after:f} again.", "good"),
            *tuning_blocks([step]),
        ],
    )
