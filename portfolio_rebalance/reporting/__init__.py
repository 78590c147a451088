"""Reporting: what a person reads.

In: records. Out: blocks (tables and paragraphs), and their plain text. It never computes a statistic,
judges a limit, reads a file or prints; a figure is rounded here and nowhere before. ``terminal`` (rich) and
``config_page`` stand apart: only the command that shows them imports them.
"""

from portfolio_rebalance.reporting.blocks import Block, Column, Paragraph, Table, Tone, clean
from portfolio_rebalance.reporting.render import plain_text
from portfolio_rebalance.reporting.tables import (
    assessment_blocks,
    error_blocks,
    findings_blocks,
    history_blocks,
    result_blocks,
    short_id,
)

__all__ = [
    "Block",
    "Column",
    "Paragraph",
    "Table",
    "Tone",
    "assessment_blocks",
    "clean",
    "error_blocks",
    "findings_blocks",
    "history_blocks",
    "plain_text",
    "result_blocks",
    "short_id",
]
