"""Tools: the steps of a rebalance, each usable alone in a notebook.

In: plain values, returns, or a workspace. Out: records with the keys a caller expects. All but
``execute_rebalance_trades`` only read. A tool never prompts, never calls a model, and holds no arithmetic of
its own beyond wiring ``analytics``, ``allocation`` and ``execution`` to records.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from portfolio_rebalance.tools.compliance import verify_allocation_compliance
from portfolio_rebalance.tools.correlation import calculate_correlation_matrix
from portfolio_rebalance.tools.proposal import generate_rebalance_proposal
from portfolio_rebalance.tools.simulation import simulate_rebalance_impact

if TYPE_CHECKING:
    from portfolio_rebalance.tools.execution import execute_rebalance_trades

__all__ = [
    "calculate_correlation_matrix",
    "execute_rebalance_trades",
    "generate_rebalance_proposal",
    "simulate_rebalance_impact",
    "verify_allocation_compliance",
]


def __getattr__(name: str) -> Any:
    """What a dry run does not need is imported when it is asked for."""
    if name != "execute_rebalance_trades":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("portfolio_rebalance.tools.execution").execute_rebalance_trades
