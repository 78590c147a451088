"""What a reader may type next: ids cut to what is needed, commands with the place and instant they named."""

from __future__ import annotations

from datetime import datetime
from shlex import quote
from typing import Final

from portfolio_rebalance.clock import format_instant

__all__ = ["COMMAND", "short_id", "suggested"]

COMMAND: Final = "trading-portfolio-rebalance"
_ID_LENGTH: Final = 12


def short_id(digest: str) -> str:
    """As much of an id as a person needs to type."""
    return digest[:_ID_LENGTH]


def suggested(words: str, *, workspace: str | None, as_of: datetime | None = None) -> str:
    """A command to type.

    Args:
        words: What stands behind the program's name.
        workspace: As the reader named it; None where it was found.
        as_of: The instant that the reader fixed; None where it was now.
    """
    there = "" if workspace is None else f" --workspace {quote(workspace)}"
    then = "" if as_of is None else f" --as-of {format_instant(as_of)}"
    return f"{COMMAND} {words}{there}{then}"
