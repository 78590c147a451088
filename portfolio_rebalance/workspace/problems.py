"""Several problems of one file as one refusal.

A run stops at the first thing that is wrong; whoever mends the file wants to hear of all of them. So the
error that is raised tells the first and counts the others, and carries each for :mod:`.doctor` to show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, ParamSpec, TypeVar

from portfolio_rebalance.errors import BadDataError, RebalanceError

__all__ = ["Problems", "carrying", "combined", "each_problem", "place_of"]

_MOST_KEPT: Final = 50
_ATTRIBUTE: Final = "problems"
_P = ParamSpec("_P")
_T = TypeVar("_T")
_E = TypeVar("_E", bound=RebalanceError)


class Problems:
    """Refusals as they are found, raised together."""

    def __init__(self) -> None:
        self._found: list[BadDataError] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, error: BadDataError) -> None:
        """Keep a refusal, or each of those that it carries."""
        self._found.extend(each_problem(error))

    def attempt(self, read: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T | None:
        """What ``read`` returns, or None and its refusal kept."""
        try:
            return read(*args, **kwargs)
        except BadDataError as error:
            self.add(error)
            return None

    def raise_any(self) -> None:
        """Nothing, if nothing was found.

        Raises:
            BadDataError: What :func:`combined` makes of the refusals.
        """
        if self._found:
            raise combined(self._found)


def combined(problems: Sequence[_E]) -> _E:
    """One error of the class of the first in the file; it counts the others and carries all."""
    first, *others = sorted(problems, key=lambda error: place_of(error.where))
    if not others:
        return first
    count = f"({len(others)} more {'problem' if len(others) == 1 else 'problems'} after this one.)"
    told = type(first)(f"{first.what} {count}", where=first.where, fix=first.fix)
    return carrying(told, _not_too_many([first, *others]))


def carrying(error: _E, problems: Sequence[RebalanceError]) -> _E:
    """The error, with the problems that it stands for attached."""
    vars(error)[_ATTRIBUTE] = tuple(problems)
    return error


def each_problem(error: _E) -> tuple[_E, ...]:
    """The problems that an error carries; itself, where it carries none."""
    problems: tuple[_E, ...] = vars(error).get(_ATTRIBUTE, (error,))
    return problems


def place_of(where: str) -> tuple[str, int]:
    """File and line *number* of ``file:line``, to sort by; line 0 for a file as a whole."""
    file, _, line = where.rpartition(":")
    return (file, int(line)) if file and line.isdecimal() else (where, 0)


def _not_too_many(problems: list[_E]) -> list[_E]:
    kept, rest = problems[:_MOST_KEPT], problems[_MOST_KEPT:]
    if not rest:
        return kept
    text = f"{len(rest)} more problems from here on."
    return [*kept, type(rest[0])(text, where=rest[0].where, fix="Mend those above first.")]
