"""The verb ``eval``: run the evals, compare two results, write authored transcripts anew, ask a live model."""

# ruff: noqa: ARG001 - a typer option is an argument with a default; `--json` is read by cli.main

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from portfolio_rebalance.cli.context import named_workspace, root_of
from portfolio_rebalance.cli.options import Json, new_app
from portfolio_rebalance.cli.outcome import Outcome
from portfolio_rebalance.errors import UsageError

__all__ = ["add_eval_verb"]

_FAILED = 1

Family = Annotated[
    list[str] | None,
    typer.Option("--family", metavar="NAME", help="Only this family of scenarios; repeatable."),
]
Processes = Annotated[
    int | None, typer.Option("--processes", metavar="N", help="How many at once; one for each processor.")
]
Compare = Annotated[
    tuple[str, str] | None,
    typer.Option("--compare", metavar="BEFORE AFTER", help="Compare two results that --json wrote."),
]
Live = Annotated[
    bool, typer.Option("--live", help="Ask the configured model; estimates the cost before it asks.")
]
Cap = Annotated[
    float | None,
    typer.Option("--cap-dollars", metavar="N", help="With --live: never spend more than this."),
]
Repeats = Annotated[int, typer.Option("--repeats", metavar="K", help="With --live: each scenario so often.")]
Record = Annotated[
    str | None, typer.Option("--record", metavar="DIR", help="With --live: keep the transcripts, redacted.")
]


def add_eval_verb(app: typer.Typer) -> None:
    """Register ``eval`` and ``eval reauthor``."""
    evals = new_app(help="Run the evals offline: scenarios and attacks, judged by the state of the world.")
    evals.callback(invoke_without_command=True)(_eval)
    evals.command("reauthor")(_reauthor)
    app.add_typer(evals, name="eval")


def _eval(
    ctx: typer.Context,
    family: Family = None,
    processes: Processes = None,
    compare: Compare = None,
    live: Live = False,
    cap_dollars: Cap = None,
    repeats: Repeats = 1,
    record: Record = None,
    json: Json = False,
) -> Outcome | None:
    """Run the evals offline: scenarios and attacks, judged by the state of the world afterwards.

    Exits with 1 where a safety scorer finds a fault.
    """
    if ctx.invoked_subcommand is not None:
        return None
    named_workspace(ctx, None)  # refuses the options of a run
    from portfolio_rebalance.evals.results import compare_blocks, read_results, results_blocks, results_of

    if compare is not None:
        before, after = (read_results(Path(name)) for name in compare)
        return Outcome(
            document={"before": before.model_dump(), "after": after.model_dump()},
            blocks=lambda: tuple(compare_blocks(before, after)),
            exit_code=0 if after.is_safe else _FAILED,
        )
    families = _families(family or ())
    with root_of(ctx).progress() as show:
        cases = (
            _asked_live(families, cap_dollars=cap_dollars, repeats=repeats, record=record, show=show)
            if live
            else _offline(families, processes=processes, show=show)
        )
    results = results_of(cases)
    return Outcome(
        document=results.model_dump(),
        blocks=lambda: tuple(results_blocks(results)),
        exit_code=0 if results.is_safe else _FAILED,
    )


def _offline(families, *, processes, show):  # type: ignore[no-untyped-def]
    from portfolio_rebalance.evals.suite import run_suite

    return run_suite(
        families=families,
        processes=processes or os.cpu_count() or 1,
        progress=lambda done, of: show(f"case {done} of {of}"),
    )


def _reauthor(json: Json = False) -> Outcome:
    """Write the requests of authored transcripts anew, after a prompt was edited; live ones are never touched."""
    from portfolio_rebalance.evals.transcripts import reauthor_all
    from portfolio_rebalance.reporting import Paragraph

    changed = reauthor_all()
    return Outcome(
        document={"changed": list(changed)},
        blocks=lambda: [Paragraph(f"Written anew: {', '.join(changed) or 'nothing; all are current'}.")],
    )
