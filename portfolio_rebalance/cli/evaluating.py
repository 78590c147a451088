"""The verb ``eval``: run the evals, compare results, write authored transcripts anew, ask a live model."""

# ruff: noqa: ARG001 - a typer option is an argument with a default; `--json` is read by cli.main

from __future__ import annotations

import os
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from portfolio_rebalance.cli.context import named_workspace, root_of
from portfolio_rebalance.cli.options import Json, new_app
from portfolio_rebalance.cli.outcome import Outcome
from portfolio_rebalance.errors import UsageError

if TYPE_CHECKING:
    from portfolio_rebalance.evals.scenario import Family as FamilyName

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
MaxDollars = Annotated[
    str | None,
    typer.Option("--max-dollars", metavar="N", help="With --live: never spend more than this."),
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
    max_dollars: MaxDollars = None,
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
    families = _families(family or [])
    if live:
        return _live(ctx, families, max_dollars=max_dollars, repeats=repeats, record=record)
    if max_dollars is not None or record is not None or repeats != 1:
        raise UsageError(
            "--max-dollars, --repeats and --record belong to --live.",
            where="command line",
            fix="Add --live, or leave them out.",
        )
    if processes is not None and processes < 1:
        raise UsageError("There is at least one process.", where="--processes", fix="Give 1 or more.")
    from portfolio_rebalance.evals.suite import run_suite

    with root_of(ctx).progress() as show:
        cases = run_suite(
            families=families,
            processes=processes or os.cpu_count() or 1,
            progress=lambda done, of: show(f"case {done} of {of}"),
        )
    results = results_of(cases)
    return Outcome(
        document=results.model_dump(),
        blocks=lambda: tuple(results_blocks(results)),
        exit_code=0 if results.is_safe else _FAILED,
    )


def _live(
    ctx: typer.Context,
    families: tuple[FamilyName, ...],
    *,
    max_dollars: str | None,
    repeats: int,
    record: str | None,
) -> Outcome:
    """Ask the configured models, within a cap that somebody has to name."""
    from portfolio_rebalance.evals.live import estimate, live_client, live_scenarios, run_live
    from portfolio_rebalance.evals.results import results_blocks, results_of
    from portfolio_rebalance.evals.scenario import load_scenarios
    from portfolio_rebalance.reporting import Paragraph

    chosen = live_scenarios([one for one in load_scenarios() if not families or one.family in families])
    if max_dollars is None:
        reckoned = estimate(chosen, repeats=max(1, repeats))
        raise UsageError(
            f"{reckoned.runs} runs with about {reckoned.calls} calls would cost about {reckoned.dollars} "
            "dollars; nothing was sent.",
            where="--max-dollars",
            fix=f"Name what may be spent, such as --max-dollars {reckoned.dollars}.",
        )
    cap_dollars = _dollars(max_dollars)
    client = live_client(os.environ)
    with root_of(ctx).progress() as show:
        found = run_live(
            chosen,
            repeats=repeats,
            cap_dollars=cap_dollars,
            client_factory=lambda: client,
            environment=os.environ,
            record_to=None if record is None else Path(record),
            progress=show,
        )
    results = results_of(found.cases)
    passed = sum(score.passed_all is True for score in found.scores)
    said = [
        Paragraph(
            f"pass^{repeats}: {passed} of {len(chosen)} scenarios; {found.spent_dollars:.2f} dollars spent, "
            f"{found.estimate.dollars} estimated."
        ),
        *(Paragraph(f"stopped: {found.stopped}", "warn") for _ in range(bool(found.stopped))),
        *(Paragraph(f"not written: {text}", "warn") for text in found.unwritten),
    ]
    return Outcome(
        document={
            **results.model_dump(),
            "passed_all_repeats": passed,
            "spent_dollars": str(found.spent_dollars),
            "stopped": found.stopped,
        },
        blocks=lambda: (*results_blocks(results), *said),
        exit_code=0 if results.is_safe else _FAILED,
    )


def _families(given: list[str]) -> tuple[FamilyName, ...]:
    from portfolio_rebalance.evals.scenario import FAMILIES

    known = {name.replace("_", "-"): name for name in FAMILIES}
    found = []
    for name in given:
        family = known.get(name.replace("_", "-"))
        if family is None:
            raise UsageError(
                f"There is no family {name!r}.", where="--family", fix=f"Name one of {', '.join(known)}."
            )
        found.append(family)
    return tuple(found)


def _dollars(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not (amount.is_finite() and amount > 0):
        raise UsageError(f"{text!r} is no amount.", where="--max-dollars", fix="Write dollars, such as 2.50.")
    return amount


def _reauthor(json: Json = False) -> Outcome:
    """Write the requests of authored transcripts anew, after a prompt was edited; others are left alone."""
    from portfolio_rebalance.evals.transcripts import reauthor_all
    from portfolio_rebalance.reporting import Paragraph

    found = reauthor_all()
    changed = [one.name for one in found if one.changed]
    kept = [f"{one.name}: {one.kept}" for one in found if one.kept]
    return Outcome(
        document={"changed": changed, "kept": kept},
        blocks=lambda: [
            Paragraph(f"Written anew: {', '.join(changed) or 'nothing; all are current'}."),
            *(Paragraph(f"left alone: {text}") for text in kept),
        ],
    )
