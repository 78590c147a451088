"""What every verb needs of the command line it was typed in: the options before it, workspace, clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import typer

from portfolio_rebalance.cli.plain_run import Progress
from portfolio_rebalance.clock import Clock, parse_instant
from portfolio_rebalance.errors import UsageError

__all__ = ["TAKES_AS_OF", "Root", "clock_of", "named_workspace", "root_of", "workspace_of"]

TAKES_AS_OF = frozenset(
    {"approve", "confirm", "doctor", "metrics", "monitor", "reject", "resume", "run", "status"}
)
"""Verbs that look at a workspace from an instant; ``run`` is that of ``schedule``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """Options given before a verb, and the display of progress."""

    progress: Progress
    workspace: str | None
    as_of: str | None
    run_words: list[str] = field(default_factory=list)
    detailed: bool = False


def root_of(ctx: typer.Context) -> Root:
    """The options given before the verb."""
    root = ctx.find_object(Root)
    assert root is not None, "the root callback ran first"
    return root


def named_workspace(ctx: typer.Context, workspace: str | None) -> str | None:
    """``--workspace`` of a verb or before it; refuses what belongs to a run."""
    root = root_of(ctx)
    if root.run_words or root.detailed:
        what = root.run_words[0] if root.run_words else "--detailed-exitcode"
        raise UsageError(
            f"{what} does not belong to {ctx.info_name!r}.", where="command line", fix="Leave it out."
        )
    if root.as_of is not None and ctx.info_name not in TAKES_AS_OF:
        raise UsageError(
            f"--as-of does not belong to {ctx.info_name!r}.", where="command line", fix="Leave it out."
        )
    return workspace if workspace is not None else root.workspace


def workspace_of(ctx: typer.Context, workspace: str | None) -> Path:
    """The workspace a verb works on: the named one as it is, else the nearest upward."""
    from portfolio_rebalance.workspace import find_workspace, workspace_at

    named = named_workspace(ctx, workspace)
    return find_workspace(Path()) if named is None else workspace_at(Path(named))


def clock_of(ctx: typer.Context, as_of: str | None) -> Clock:
    """The clock of ``--as-of`` of a verb or before it, else the machine's."""
    text = as_of if as_of is not None else root_of(ctx).as_of
    now = datetime.now(UTC)
    return Clock.live(now) if text is None else Clock.at(parse_instant(text, where="--as-of"), now=now)
