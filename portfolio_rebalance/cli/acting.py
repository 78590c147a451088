"""The verbs that a person acts with: approve, reject, confirm, halt, resume.

Each returns an :class:`Outcome`. What they ask, they ask on a terminal; off one they refuse.
"""

# ruff: noqa: ARG001 - a typer option is an argument with a default; `--json` is read by cli.main

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from portfolio_rebalance.cli.context import clock_of, named_workspace, root_of, workspace_of
from portfolio_rebalance.cli.options import AsOf, Json, Workspace
from portfolio_rebalance.cli.outcome import Outcome, of_result
from portfolio_rebalance.cli.person import person_at_terminal
from portfolio_rebalance.errors import NotApprovedError, UsageError

__all__ = ["add_acting_verbs"]

Plan = Annotated[str, typer.Argument(metavar="PLAN", help="The first characters of a plan's id.")]
Reason = Annotated[
    str,
    typer.Option("--reason", metavar="TEXT", help="Why, for the record; a halt of increases keeps none."),
]


def add_acting_verbs(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command("approve")(_approve)
    app.command("reject")(_reject)
    app.command("confirm")(_confirm)
    app.command("halt")(_halt)
    app.command("resume")(_resume)


def _approve(
    ctx: typer.Context, plan: Plan, as_of: AsOf = None, json: Json = False, workspace: Workspace = None
) -> Outcome:
    """Look at a plan and approve it, at a terminal; live money also asks for the passphrase."""
    from portfolio_rebalance.execution.venues import is_live
    from portfolio_rebalance.reporting import Paragraph, suggested
    from portfolio_rebalance.run import approval
    from portfolio_rebalance.run.queries import config_of

    root, clock = workspace_of(ctx, workspace), clock_of(ctx, as_of)
    page = approval.page_of(root, plan, now=clock.as_of)
    person = person_at_terminal()
    if person is None:
        raise NotApprovedError(
            "Only a person at a terminal may approve.", where="terminal", fix="Run it in a terminal of yours."
        )
    live = is_live(config_of(root))
    if live and clock.fixed:
        raise UsageError(
            "Live money is approved now, not at a time that was fixed.", where="--as-of", fix="Leave it out."
        )
    seal = person.seal() if live else None
    given = approval.ask(root, page, person=person, clock=clock, seal=seal)
    next_command = suggested(
        "--execute", workspace=named_workspace(ctx, workspace), as_of=clock.as_of if clock.fixed else None
    )
    return Outcome(
        document={"status": "approved", "approval": given, "next": next_command},
        blocks=lambda: [
            Paragraph(
                f"Plan {page.plan_id[:12]} is approved by {given.user}, and nothing has been sent yet."
            ),
            Paragraph(f"What next: {next_command}", "good"),
        ],
    )


def _reject(
    ctx: typer.Context,
    plan: Plan,
    reason: Reason = "",
    as_of: AsOf = None,
    json: Json = False,
    workspace: Workspace = None,
) -> Outcome:
    """Rule that a plan shall never be executed."""
    from portfolio_rebalance.cli.person import TerminalPerson
    from portfolio_rebalance.reporting import Paragraph
    from portfolio_rebalance.run import approval

    plan_id = approval.reject(
        workspace_of(ctx, workspace),
        plan,
        user=TerminalPerson().user,
        at=clock_of(ctx, as_of).as_of,
        reason=reason,
    )
    return Outcome(
        document={"status": "rejected", "plan_id": plan_id},
        blocks=lambda: [Paragraph(f"Plan {plan_id[:12]} is rejected: it will never be executed.")],
    )


def _confirm(
    ctx: typer.Context, plan: Plan, as_of: AsOf = None, json: Json = False, workspace: Workspace = None
) -> Outcome:
    """Look whether bots hold what a plan's capital instructions told them to."""
    from portfolio_rebalance.reporting import Paragraph
    from portfolio_rebalance.run import operator

    found = operator.confirm(workspace_of(ctx, workspace), plan, clock=clock_of(ctx, as_of))
    lines = [Paragraph(f"confirmed: {key}", "good") for key in found.confirmed]
    lines += [Paragraph(f"open: {what}", "warn") for what in found.open]
    return Outcome(
        document={"plan_id": found.plan_id, "confirmed": found.confirmed, "open": found.open},
        blocks=lambda: lines,
    )


def _halt(
    ctx: typer.Context,
    reduce_only: Annotated[
        bool, typer.Option("--reduce-only", help="Stop increases; let reductions go on.")
    ] = False,
    reason: Reason = "",
    json: Json = False,
    workspace: Workspace = None,
) -> Outcome:
    """Stop execution here, at once, until a person resumes."""
    from portfolio_rebalance.reporting import Paragraph, suggested
    from portfolio_rebalance.run import operator

    stands = operator.halt(
        workspace_of(ctx, workspace), level="reduce_only" if reduce_only else "all", reason=reason
    )
    what = "increases are stopped" if stands.level == "reduce_only" else "everything is stopped"
    resume = suggested("resume", workspace=named_workspace(ctx, workspace))
    return Outcome(
        document={"status": "halted", "level": stands.level, "reason": stands.reason},
        blocks=lambda: [
            Paragraph(f"HALT stands: {what}."),
            Paragraph(f"What next, when it is safe: {resume}", "good"),
        ],
    )


def _resume(
    ctx: typer.Context, as_of: AsOf = None, json: Json = False, workspace: Workspace = None
) -> Outcome:
    """Lift HALT, close what waits for you and go on with what was stopped, at a terminal."""
    from portfolio_rebalance.reporting import Paragraph
    from portfolio_rebalance.run import execute, operator

    with root_of(ctx).progress() as show_stage:
        at = execute.Counter(
            root=workspace_of(ctx, workspace),
            clock=clock_of(ctx, as_of),
            now=lambda: datetime.now(UTC),
            person=person_at_terminal(),
            progress=show_stage,
        )
        execution = operator.resume(at)
    if execution is not None:
        result = execute.result_of_execution(execution, planned=None)
        return of_result(result, exit_code=result.exit_code, workspace=workspace)
    return Outcome(
        document={"status": "resumed"}, blocks=lambda: [Paragraph("Resumed: nothing is left unfinished.")]
    )
