"""The bare command: options of a run and nothing else.

It is what a schedule and a coding agent call most, and it needs no parser of verbs: the words go straight to
the parser of :mod:`portfolio_rebalance.skill`, which has the last word on them anyway. Everything else
(verbs, plain words, ``--option=value``, ``--help``) goes through :mod:`portfolio_rebalance.cli.verbs`, with
the same result; a plain run is spared the cost of loading that parser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from portfolio_rebalance.cli.outcome import Outcome, of_result

__all__ = ["FLAGS", "VALUED", "Progress", "is_plain_run", "plan"]

Progress = Callable[[], AbstractContextManager[Callable[[str], None]]]
"""Opens a display of the stage at work."""

FLAGS: Final = frozenset({"--dry-run", "--execute", "--json", "--detailed-exitcode"})
VALUED: Final = frozenset(
    {
        *("--mode", "--hold", "--as-of", "--workspace", "--confirm-capital"),
        *("--provider", "--record", "--replay"),
    }
)
_OF_THE_COMMAND_LINE: Final = frozenset({"--json", "--detailed-exitcode"})
_AWAITS_APPROVAL: Final = 10


def is_plain_run(words: Sequence[str]) -> bool:
    """Whether the words are options of a run only, each value apart from its option."""
    rest = iter(words)
    for word in rest:
        if word in VALUED:
            value = next(rest, "-")
            if value.startswith("-"):
                return False
        elif word not in FLAGS:
            return False
    return True


def _mapping(words: Sequence[str]) -> dict[str, object]:
    """A plain run as the mapping that ``run_skill`` takes; no parser of grammar is needed for it."""
    given: dict[str, object] = {}
    held: list[str] = []
    rest = iter(_without_ours(words))
    for word in rest:
        name = word.removeprefix("--").replace("-", "_")
        if word == "--hold":
            held.append(next(rest))
        else:
            given[name] = next(rest) if word in VALUED else True
    return given | {"hold": held}


def _without_ours(words: Sequence[str]) -> list[str]:
    return [word for word in words if word not in _OF_THE_COMMAND_LINE]


def plan(words: Sequence[str], *, progress: Progress) -> Outcome:
    """Plan a rebalance.

    Args:
        words: As typed; ``--json`` and ``--detailed-exitcode`` among them belong to the command line.
        progress: Opens the display of the stage at work.
    """
    from portfolio_rebalance.cli.person import person_at_terminal
    from portfolio_rebalance.skill import parse_request, run_skill

    request = parse_request(_mapping(words) if is_plain_run(words) else _without_ours(words))
    with progress() as show_stage:
        result = run_skill(request, progress=show_stage, person=person_at_terminal())
    awaits = "--detailed-exitcode" in words and result.status == "planned"
    code = _AWAITS_APPROVAL if awaits else result.exit_code
    return of_result(result, exit_code=code, workspace=request.workspace, as_of=request.as_of)
