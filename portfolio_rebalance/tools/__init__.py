"""Tools: the steps of a rebalance, each usable alone in a notebook.

In: plain values, returns, or a workspace. Out: records with the keys a caller expects. A tool never writes,
never prompts, never calls a model, and holds no arithmetic of its own beyond wiring ``analytics`` and
``allocation`` to records.
"""

from portfolio_rebalance.tools.compliance import verify_allocation_compliance
from portfolio_rebalance.tools.correlation import calculate_correlation_matrix
from portfolio_rebalance.tools.proposal import generate_rebalance_proposal
from portfolio_rebalance.tools.simulation import simulate_rebalance_impact

__all__ = [
    "calculate_correlation_matrix",
    "generate_rebalance_proposal",
    "simulate_rebalance_impact",
    "verify_allocation_compliance",
]
