"""Every tool there is, by name. Prompts may speak of no other."""

from __future__ import annotations

from typing import Final

__all__ = ["TOOL_NAMES"]

TOOL_NAMES: Final = frozenset(
    {
        "calculate_correlation_matrix",
        "execute_rebalance_trades",
        "generate_rebalance_proposal",
        "request_review",
        "simulate_rebalance_impact",
        "submit",
        "submit_explanation",
        "submit_learnings",
        "submit_review",
        "verify_allocation_compliance",
    }
)
