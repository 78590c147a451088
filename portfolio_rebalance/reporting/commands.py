"""What a reader may type next: ids cut to what is needed, commands with the place and instant they named."""

from __future__ import annotations

import re
from datetime import datetime
from shlex import quote
from typing import Final

from portfolio_rebalance.clock import format_instant

__all__ = ["COMMAND", "placed", "short_id", "suggested"]

COMMAND: Final = "trading-portfolio-rebalance"
_TAKE_AN_INSTANT: Final = ("approve", "confirm", "doctor", "monitor", "reject", "resume", "status")
_TAKE_NONE: Final = ("feedback", "halt", "history", "metrics", "schedule", "show")
_VERBS: Final = "|".join(_TAKE_AN_INSTANT + _TAKE_NONE)
_AT_THE_END: Final = re.compile(rf"{COMMAND} (?P<words>(?P<verb>--[a-z-]+|{_VERBS})\b[^`,;]*?)(?P<stop>\.?)$")
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


def placed(text: str, *, workspace: str | None, as_of: str | None) -> str:
    """A sentence that ends with a command, with the place and the instant that the reader named.

    What below knows nothing of the command line suggests the bare command; typed elsewhere than in the
    workspace, or later, that would be refused.

    Args:
        text: Such as ``Plan again: trading-portfolio-rebalance --dry-run``; another one stays as it is.
        workspace: As the reader named it; None where it was found.
        as_of: Likewise; None where it was now.
    """
    found = _AT_THE_END.search(text)
    if found is None:
        return text
    words = found["words"]
    there = "" if workspace is None or "--workspace" in words else f" --workspace {quote(workspace)}"
    takes_none = "--as-of" in words or found["verb"] in _TAKE_NONE
    then = "" if as_of is None or takes_none else f" --as-of {as_of}"
    return f"{text[: found.start()]}{COMMAND} {words}{there}{then}{found['stop']}"
