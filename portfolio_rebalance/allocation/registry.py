"""The registry of modes: the one place that lists them. A new mode is one file and one line here."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Final

from portfolio_rebalance.allocation.mode import Mode
from portfolio_rebalance.errors import UsageError

__all__ = ["CHEAPEST", "FALLBACK", "find_mode", "mode_names"]

_MODULES: Final = (
    "proportional",
    "correlation_aware",
    "performance_weighted",
    "risk_adjusted",
    "minimal_turnover",
)

FALLBACK: Final = "proportional"
"""Used when correlation cannot be computed: it needs nothing but allocations."""

CHEAPEST: Final = "minimal_turnover"
"""Shown beside every plan that compliance demands: the least that would do."""


def mode_names() -> tuple[str, ...]:
    """Every registered mode, in the order of the registry."""
    return tuple(_load(module).name for module in _MODULES)


def find_mode(name: str) -> Mode:
    """The mode of this name; hyphens and underscores are equal.

    Raises:
        UsageError: No such mode; the message names the registered ones.
    """
    wanted = name.strip().lower().replace("-", "_")
    for module in _MODULES:
        mode = _load(module)
        if mode.name == wanted:
            return mode
    raise UsageError(
        f"There is no mode {name!r}.", where="mode", fix=f"Choose one of {', '.join(mode_names())}."
    )


@cache
def _load(module: str) -> Mode:
    found = import_module(f"portfolio_rebalance.allocation.modes.{module}").MODE
    if not isinstance(found, Mode):
        raise TypeError(f"allocation/modes/{module}.py must define MODE = Mode(...)")
    return found
