"""The verbs: what each one parses and calls. Every verb returns an :class:`Outcome`; none prints or exits.

A bare command plans a rebalance; a first word that is no verb is free text ("reduce correlation"), given as
typed to the parser of :mod:`portfolio_rebalance.skill`, which has the last word on every value. Rooms are
imported inside the verb that needs them, so that ``--help`` stays fast.
"""

# ruff: noqa: ARG001 - a typer option is an argument with a default; `--json` is read by cli.main

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shlex import join
from typing import Annotated, Final

import typer

from portfolio_rebalance.cli.acting import add_acting_verbs
from portfolio_rebalance.cli.context import Root, clock_of, named_workspace, root_of, workspace_of
from portfolio_rebalance.cli.evaluating import add_eval_verb
from portfolio_rebalance.cli.following import add_following_verbs
from portfolio_rebalance.cli.options import (
    AsOf,
    Confirm,
    Detailed,
    DryRun,
    Execute,
    Hold,
    Json,
    ModeName,
    Provider,
    Record,
    Replay,
    Words,
    Workspace,
    new_app,
    option_words,
    verbs_or,
)
from portfolio_rebalance.cli.outcome import PROGRAM, Outcome, of_version
from portfolio_rebalance.cli.plain_run import plan
from portfolio_rebalance.cli.scheduling import add_scheduling_verbs
from portfolio_rebalance.errors import BadDataError, UsageError

__all__ = ["app"]

_LATER: Final = frozenset(
    {
        "backtest",
        "book",
        "ingest",
        "mcp",
        "report",
    }
)
"""Verbs of later versions: refused by name, so that none of them is ever read as free text."""

_free_text_app = new_app()
app = verbs_or(_free_text_app)
add_acting_verbs(app)
add_following_verbs(app)
add_eval_verb(app)
add_scheduling_verbs(app)


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    mode: ModeName = None,
    dry_run: DryRun = False,
    execute: Execute = False,
    hold: Hold = None,
    as_of: AsOf = None,
    json: Json = False,
    workspace: Workspace = None,
    detailed_exitcode: Detailed = False,
    confirm_capital: Confirm = None,
    provider: Provider = None,
    record: Record = None,
    replay: Replay = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> Outcome | None:
    """Plan a rebalance: drift, correlated clusters, hard limits, simulated impact, a plan to approve.

    Without a verb it plans. Plain words do too: "reduce correlation", "fix drift", "rebalance". Orders are
    placed with --execute alone, and only for a plan that a person approved.
    """
    run_words = option_words(
        mode=mode,
        dry_run=dry_run,
        execute=execute,
        hold=hold,
        confirm_capital=confirm_capital,
        provider=provider,
        record=record,
        replay=replay,
    )
    ctx.obj = Root(
        progress=ctx.obj, workspace=workspace, as_of=as_of, run_words=run_words, detailed=detailed_exitcode
    )
    if ctx.invoked_subcommand is not None:
        return None
    if version:
        return of_version()
    return _plan(
        ctx, [*run_words, *option_words(as_of=as_of, workspace=workspace)], detailed=detailed_exitcode
    )


@_free_text_app.command()
def _free_text(
    ctx: typer.Context,
    words: Words,
    mode: ModeName = None,
    dry_run: DryRun = False,
    execute: Execute = False,
    hold: Hold = None,
    as_of: AsOf = None,
    json: Json = False,
    workspace: Workspace = None,
    detailed_exitcode: Detailed = False,
    confirm_capital: Confirm = None,
    provider: Provider = None,
    record: Record = None,
    replay: Replay = None,
) -> Outcome:
    """Plan a rebalance as the words ask: "reduce correlation", "fix drift", "rebalance"."""
    if words[0] in _LATER:
        raise UsageError(
            f"{words[0]!r} is not part of this version.",
            where="command line",
            fix=f"See {PROGRAM} --help for what it can do.",
        )
    root = root_of(ctx)
    options = option_words(
        mode=mode,
        dry_run=dry_run,
        execute=execute,
        hold=hold,
        confirm_capital=confirm_capital,
        provider=provider,
        record=record,
        replay=replay,
        as_of=as_of or root.as_of,
        workspace=workspace or root.workspace,
    )
    try:
        return _plan(ctx, [*words, *root.run_words, *options], detailed=detailed_exitcode or root.detailed)
    except UsageError as error:
        raise _with_suggestion(error, words) from None


@app.command("init")
def init(
    ctx: typer.Context,
    directory: Annotated[
        str | None, typer.Argument(metavar="DIRECTORY", help="Where .crypto goes; here when left out.")
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="With data to try it on.")] = False,
    passphrase: Annotated[
        bool,
        typer.Option("--passphrase", help="Set, or change, the passphrase for live money; nothing else."),
    ] = False,
    json: Json = False,
    workspace: Workspace = None,
) -> Outcome:
    """Create a workspace; what exists stays as it is."""
    if passphrase:
        return _set_passphrase()
    from portfolio_rebalance.reporting import Paragraph
    from portfolio_rebalance.workspace import init_demo, init_workspace

    named = named_workspace(ctx, workspace)
    if directory is not None and named is not None:
        raise UsageError(
            "DIRECTORY and --workspace both say where.", where="command line", fix="Give one of them."
        )
    place = Path(directory or named or ".")
    as_of = None
    if demo:
        info = init_demo(place)
        created, as_of = info.created, info.as_of
    else:
        created = init_workspace(place, now=datetime.now(UTC))
    elsewhere = None if place == Path() else place
    verb = [] if demo else ["doctor"]
    next_command = join([PROGRAM, *verb, *option_words(workspace=elsewhere, as_of=as_of)])
    lines = [Paragraph(f"created {path}") for path in created] or [Paragraph("Nothing to create.")]
    return Outcome(
        document={"created": created, "as_of": as_of, "next": next_command},
        blocks=lambda: [*lines, Paragraph(f"What next: {next_command}", "good")],
    )


@app.command("status")
def status(
    ctx: typer.Context, as_of: AsOf = None, json: Json = False, workspace: Workspace = None
) -> Outcome:
    """Show allocations, drift, profit and loss."""
    from portfolio_rebalance.reporting import assessment_blocks, standing_blocks
    from portfolio_rebalance.reporting.notice_tables import notices_blocks
    from portfolio_rebalance.run import queries
    from portfolio_rebalance.run.operator import standing
    from portfolio_rebalance.workspace.notify import kept_notices

    with root_of(ctx).progress() as show_stage:
        show_stage("reading")
        named = named_workspace(ctx, workspace)
        root, clock = workspace_of(ctx, workspace), clock_of(ctx, as_of)
        assessment = queries.status(root, clock=clock)
        waiting = standing(root, clock=clock)
        kept = kept_notices(root, since=clock.as_of - timedelta(days=7))
    return Outcome(
        document={"assessment": assessment, "standing": waiting, "notices": kept},
        blocks=lambda: [
            *standing_blocks(waiting, workspace=named),
            *notices_blocks(kept),
            *assessment_blocks(assessment),
        ],
    )


@app.command("show")
def show(
    ctx: typer.Context,
    plan: Annotated[
        str, typer.Argument(metavar="PLAN", help="The first characters of a plan's or run's id.")
    ],
    json: Json = False,
    workspace: Workspace = None,
) -> Outcome:
    """Show a stored plan and all it rests on."""
    from portfolio_rebalance.reporting import stored_blocks
    from portfolio_rebalance.run import queries

    named = named_workspace(ctx, workspace)
    result = queries.show(workspace_of(ctx, workspace), plan)
    return Outcome(document=result, blocks=lambda: stored_blocks(result, workspace=named))


@app.command("history")
def history(ctx: typer.Context, json: Json = False, workspace: Workspace = None) -> Outcome:
    """List the stored runs."""
    from portfolio_rebalance.reporting import history_blocks
    from portfolio_rebalance.run import queries

    runs = queries.history(workspace_of(ctx, workspace))
    return Outcome(document={"runs": runs}, blocks=lambda: history_blocks(runs))


@app.command("config")
def config(
    ctx: typer.Context,
    markdown: Annotated[bool, typer.Option("--markdown", help="Every key, as a page.")] = False,
    json: Json = False,
    workspace: Workspace = None,
) -> Outcome:
    """Show the configuration in force."""
    from portfolio_rebalance.reporting.config_page import config_blocks, config_markdown

    if markdown:
        from portfolio_rebalance.config import Config

        page = config_markdown(Config)
        return Outcome(document={"markdown": page}, text=page)
    from portfolio_rebalance.allocation import mode_names
    from portfolio_rebalance.workspace import load_config

    loaded = load_config(workspace_of(ctx, workspace), mode_names=mode_names())
    label = loaded.label if loaded.sha256 else f"defaults, there is no {loaded.label}"
    return Outcome(
        document={
            "config": loaded.config,
            "sha256": loaded.sha256,
            "label": loaded.label,
            "warnings": loaded.warnings,
        },
        blocks=lambda: config_blocks(loaded.config, label, loaded.warnings),
    )


@app.command("doctor")
def doctor(
    ctx: typer.Context, as_of: AsOf = None, json: Json = False, workspace: Workspace = None
) -> Outcome:
    """Examine the workspace; exit 14 where it has errors."""
    from portfolio_rebalance.allocation import mode_names
    from portfolio_rebalance.reporting import findings_blocks
    from portfolio_rebalance.workspace import examine

    findings = examine(
        workspace_of(ctx, workspace),
        clock=clock_of(ctx, as_of),
        mode_names=mode_names(),
        environment=os.environ,
    )
    broken = any(finding.severity == "error" for finding in findings)
    return Outcome(
        document={"findings": findings},
        blocks=lambda: findings_blocks(findings),
        exit_code=BadDataError.exit_code if broken else 0,
    )


@app.command("install-skill")
def install_skill_command(
    ctx: typer.Context,
    project: Annotated[bool, typer.Option("--project", help="For this project; the default.")] = False,
    user: Annotated[bool, typer.Option("--user", help="For every project of yours.")] = False,
    json: Json = False,
    workspace: Workspace = None,
) -> Outcome:
    """Install the slash skill for a coding agent."""
    from portfolio_rebalance.reporting import Paragraph
    from portfolio_rebalance.skill_install import install_skill

    if project and user:
        raise UsageError("--project and --user exclude each other.", where="command line", fix="Choose one.")
    named = named_workspace(ctx, workspace)
    home = Path(named) if named is not None else Path()
    path = install_skill(Path.home() if user else (home.parent if home.name == ".crypto" else home))
    return Outcome(document={"path": str(path)}, blocks=lambda: [Paragraph(f"installed {path}", "good")])


def _set_passphrase() -> Outcome:
    """Asked for at the terminal, twice; kept as a hash outside every workspace."""
    import os

    from portfolio_rebalance.cli.person import read_passphrase
    from portfolio_rebalance.reporting import Paragraph
    from portfolio_rebalance.vault import change_passphrase, has_passphrase, set_passphrase, vault_folder

    folder = vault_folder()
    old = read_passphrase("The passphrase until now: ") if has_passphrase(folder) else None
    new = read_passphrase("New passphrase: ")
    if read_passphrase("The same again: ") != new:
        raise UsageError("The two differ; nothing was set.", where="terminal", fix="Try again.")
    if old is None:
        set_passphrase(folder, new, salt=os.urandom(16))
    else:
        change_passphrase(folder, old=old, new=new, salt=os.urandom(16))
    return Outcome(
        document={"status": "passphrase set", "folder": str(folder)},
        blocks=lambda: [Paragraph(f"The passphrase is set; its hash is in {folder}.", "good")],
    )


def _plan(ctx: typer.Context, words: Sequence[str], *, detailed: bool) -> Outcome:
    return plan([*words, *(["--detailed-exitcode"] if detailed else [])], progress=root_of(ctx).progress)


def _with_suggestion(error: UsageError, words: Sequence[str]) -> UsageError:
    """The same refusal, with the nearest verb, mode or phrase: what is mistyped arrives here as free text."""
    from difflib import get_close_matches

    from portfolio_rebalance.allocation import mode_names
    from portfolio_rebalance.skill import PHRASES

    if len(words) > 1:
        phrase = get_close_matches(" ".join(words).lower(), PHRASES, n=1)
        return _suggesting(error, phrase[0]) if phrase else error
    known = {name: f"--mode {name.replace('_', '-')}" for name in mode_names()}
    names = [info.name for info in app.registered_commands] + [info.name for info in app.registered_groups]
    known |= {name: name for name in names if name}
    known["rebalance"] = "rebalance"
    word = words[0].lower().replace("-", "_")
    near = get_close_matches(word, known, n=1)
    if not near or word == "rebalance":
        return error
    return _suggesting(error, known[near[0]])


def _suggesting(error: UsageError, meant: str) -> UsageError:
    return UsageError(error.what, where=error.where, fix=f"Did you mean {meant!r}? {error.fix}")
