"""Waiting: what a schedule starts comes after whoever is at work in the workspace, and does not give way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from portfolio_rebalance.errors import WorkspaceBusyError

__all__ = ["when_free"]

_T = TypeVar("_T")
_TRIES: Final = 12
_PAUSE_SECONDS: Final = 5.0


def when_free(act: Callable[[], _T], *, sleep: Callable[[float], None]) -> _T:
    """Do something in a workspace that another process may hold; tries again for about a minute.

    Args:
        act: Raises ``WorkspaceBusyError`` while it cannot be done.
        sleep: Waits.

    Raises:
        WorkspaceBusyError: The other process holds it still.
    """
    for _ in range(_TRIES - 1):
        try:
            return act()
        except WorkspaceBusyError:
            sleep(_PAUSE_SECONDS)
    return act()
