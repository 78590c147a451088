"""The verbs ``schedule`` and ``watch``: unit files, one check, and checks in the foreground."""

# ruff: noqa: ARG001 - a typer option is an argument with a default; `--json` is read by cli.main

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from portfolio_rebalance.cli.context import clock_of, root_of, workspace_of
from portfolio_rebalance.cli.options import AsOf, Json, Workspace, new_app
from portfolio_rebalance.cli.outcome import INTERRUPTED, PROGRAM, Outcome
from portfolio_rebalance.errors import UsageError

if TYPE_CHECKING:
    from portfolio_rebalance.reporting import Block
    from portfolio_rebalance.triggers.check import Checked, Checker

__all__ = ["add_scheduling_verbs"]

KindOf = Annotated[str, typer.Argument(metavar="[systemd|cron|launchd]", help="Which scheduler.")]
Write = Annotated[
    str | None, typer.Option("--write", metavar="DIR", help="Write the files there instead of printing them.")
]
Due = Annotated[
    bool, typer.Option("--due", help="Only if a time of the schedule has come since the last check.")
]


def add_scheduling_verbs(app: typer.Typer) -> None:
    """Register ``schedule print``, ``schedule run`` and ``watch``."""
    schedule = new_app(help="Have the drift checked while you are away.")
    schedule.command("print")(_print)
    schedule.command("run")(_run)
    app.add_typer(schedule, name="schedule")
    app.command("watch")(_watch)


def _print(
    ctx: typer.Context,
    kind: KindOf = "systemd",
    write: Write = None,
    json: Json = False,
    workspace: Workspace = None,
) -> Outcome:
    """Print ready files for a scheduler: the drift check and the look at watched rebalances."""
    from portfolio_rebalance.run.queries import config_of
    from portfolio_rebalance.triggers.units import KINDS, unit_files, write_units

    chosen = next((one for one in KINDS if one == kind), None)
    if chosen is None:
        raise UsageError(
            f"{kind!r} is no scheduler that is known.",
            where="command line",
            fix=f"Choose among {', '.join(KINDS)}.",
        )
    root = workspace_of(ctx, workspace)
    units = unit_files(chosen, config=config_of(root), workspace=root, program=_program())
    written = [] if write is None else [str(path) for path in write_units(units, Path(write))]
    shown = [] if written else [f"# --- {name}\n{text}" for name, text in units.files.items()]
    lines = [*shown, *(f"written {path}" for path in written), *(f"# {note}" for note in units.notes)]
    return Outcome(
        document={"kind": kind, "files": dict(units.files), "written": written, "notes": units.notes},
        text="\n".join(lines) + "\n",
    )


def _run(
    ctx: typer.Context,
    due: Due = False,
    as_of: AsOf = None,
    json: Json = False,
    workspace: Workspace = None,
) -> Outcome:
    """Check the drift now, as a schedule would: plan where it demands a plan, and notify."""
    from portfolio_rebalance.triggers.check import Checker

    root, clock = workspace_of(ctx, workspace), clock_of(ctx, as_of)
    with root_of(ctx).progress() as show_stage:
        checker = Checker(root=root, as_of=clock.as_of if clock.fixed else None, progress=show_stage)
        checked = checker.check_if_due() if due else checker.check()
    return Outcome(
        document={
            "status": checked.status,
            "at": checked.at,
            "reasons": checked.reasons,
            "plan_id": checked.plan_id,
            "result": checked.result,
            "error": checked.error,
            "warnings": checked.warnings,
        },
        blocks=lambda: _blocks(checked, workspace=str(root)),
        exit_code=checked.exit_code,
        refused=checked.status == "refused",
    )


def _watch(ctx: typer.Context, json: Json = False, workspace: Workspace = None) -> Outcome:
    """Check on schedule and look at watched rebalances, in the foreground, until told to end."""
    import gc
    import signal
    from datetime import UTC, datetime

    from portfolio_rebalance.run.queries import config_of
    from portfolio_rebalance.triggers.check import Checker
    from portfolio_rebalance.triggers.watch import Watch

    gc.enable()  # this one is no short run
    root = workspace_of(ctx, workspace)
    checker = Checker(root=root)
    ended_by = Watch(
        config=lambda: config_of(root),
        check=lambda: _said(checker),
        tick=lambda: _looked(root),
        say=_say,
        now=lambda: datetime.now(UTC),
    ).run()
    return Outcome(
        document={"status": "ended", "signal": ended_by.name},
        text=f"ended by {ended_by.name}\n",
        exit_code=INTERRUPTED if ended_by == signal.SIGINT else 0,
    )


def _looked(root: Path) -> Sequence[str]:
    """A look at watched rebalances, as lines of the log."""
    from portfolio_rebalance.triggers.look import look

    report = look(root)
    if report is None:  # the configuration changed in this very moment
        return ()
    graded = len(report.outcomes)
    alerts = [alert for tick in report.ticks for alert in tick.alerts]
    return (
        f"watched: {len(report.ticks)}, graded now: {graded}",
        *(f"alert: {alert}" for alert in alerts),
        *(f"note: {note}" for note in report.notes),
    )


def _said(checker: Checker) -> Sequence[str]:
    checked = checker.check_if_due()
    result_warnings = () if checked.result is None else checked.result.warnings
    return (checked.summary, *(f"warning: {text}" for text in (*checked.warnings, *result_warnings)))


def _say(line: str) -> None:
    """One line of the log, on standard error."""
    from datetime import UTC, datetime

    from portfolio_rebalance.cli.secrets import without_secrets
    from portfolio_rebalance.reporting import clean

    sys.stderr.write(without_secrets(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {clean(line)}") + "\n")
    sys.stderr.flush()


def _blocks(checked: Checked, *, workspace: str) -> Sequence[Block]:
    from portfolio_rebalance.reporting import Paragraph, error_blocks, result_blocks

    warnings = [Paragraph(f"warning: {text}", "warn") for text in checked.warnings]
    if checked.error is not None:
        error = checked.error
        return [*error_blocks(what=error.what, where=error.where, fix=error.fix), *warnings]
    head = Paragraph(f"Drift check: {checked.summary}.", "plain")
    if checked.result is None:
        return [head, *warnings]
    return [head, *result_blocks(checked.result, workspace=workspace), *warnings]


def _program() -> Sequence[str]:
    """How this program is started from anywhere: its installed script, else this interpreter."""
    started = Path(sys.argv[0])
    if started.name == PROGRAM and started.is_file():
        return [str(started.absolute())]
    beside = Path(sys.executable).with_name(PROGRAM)
    if beside.is_file():
        return [str(beside)]
    found = shutil.which(PROGRAM)
    return [str(Path(found).absolute())] if found else [sys.executable, "-m", "portfolio_rebalance.cli"]
