"""Reporting: what a person reads.

In: records. Out: blocks (tables and paragraphs), and their plain text. It never computes a statistic,
judges a limit, reads a file or prints; a figure is rounded here and nowhere before. ``terminal`` (rich) and
``config_page`` stand apart: only the command that shows them imports them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from portfolio_rebalance.reporting.blocks import Block, Column, Paragraph, Table, Tone, clean
from portfolio_rebalance.reporting.commands import placed, short_id, suggested
from portfolio_rebalance.reporting.render import plain_text
from portfolio_rebalance.reporting.tables import (
    assessment_blocks,
    error_blocks,
    findings_blocks,
    history_blocks,
    result_blocks,
    stored_blocks,
)

if TYPE_CHECKING:
    from portfolio_rebalance.reporting.approval_page import approval_blocks
    from portfolio_rebalance.reporting.execution_tables import execution_blocks, standing_blocks
    from portfolio_rebalance.reporting.following_tables import (
        learned_blocks,
        monitor_blocks,
        outcome_blocks,
        tick_blocks,
        tuning_blocks,
    )
    from portfolio_rebalance.reporting.metrics_tables import calibration_blocks, metrics_blocks

__all__ = [
    "Block",
    "Column",
    "Paragraph",
    "Table",
    "Tone",
    "approval_blocks",
    "assessment_blocks",
    "calibration_blocks",
    "clean",
    "error_blocks",
    "execution_blocks",
    "findings_blocks",
    "history_blocks",
    "learned_blocks",
    "metrics_blocks",
    "monitor_blocks",
    "outcome_blocks",
    "placed",
    "plain_text",
    "result_blocks",
    "short_id",
    "standing_blocks",
    "stored_blocks",
    "suggested",
    "tick_blocks",
    "tuning_blocks",
]

_ELSEWHERE = {
    "approval_blocks": "approval_page",
    "execution_blocks": "execution_tables",
    "standing_blocks": "execution_tables",
    "learned_blocks": "following_tables",
    "monitor_blocks": "following_tables",
    "outcome_blocks": "following_tables",
    "tick_blocks": "following_tables",
    "tuning_blocks": "following_tables",
    "calibration_blocks": "metrics_tables",
    "metrics_blocks": "metrics_tables",
}


def __getattr__(name: str) -> Any:
    """What a dry run does not show is imported when it is asked for."""
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
