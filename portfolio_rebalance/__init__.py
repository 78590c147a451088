"""Rebalance a portfolio of automated trading strategies.

The five tools work alone in a notebook; ``run_skill`` is the whole product as one function. Names are
loaded when they are first used, so that ``--help`` does not pay for numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portfolio_rebalance.skill import run_skill
    from portfolio_rebalance.tools import (
        calculate_correlation_matrix,
        execute_rebalance_trades,
        generate_rebalance_proposal,
        simulate_rebalance_impact,
        verify_allocation_compliance,
    )

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "calculate_correlation_matrix",
    "execute_rebalance_trades",
    "generate_rebalance_proposal",
    "run_skill",
    "simulate_rebalance_impact",
    "verify_allocation_compliance",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        from importlib import import_module

        room = "skill" if name == "run_skill" else "tools"
        return getattr(import_module(f"portfolio_rebalance.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
