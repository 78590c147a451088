"""What nobody was sent: notices that are silent as configured, and those that could not be delivered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.records.notice import KeptNotice
from portfolio_rebalance.reporting.blocks import Block, Paragraph, Table, limited, whole

__all__ = ["notices_blocks"]

_MOST: Final = 20
_STATES: Final = {"silent": "silent", "failed": "NOT DELIVERED"}


def notices_blocks(kept: Sequence[KeptNotice]) -> list[Block]:
    """A row for each, newest first; nothing where there is none.

    Args:
        kept: What nobody was sent.
    """
    if not kept:
        return []
    rows, note = limited(
        [
            (
                format_instant(one.notice.at),
                one.target,
                one.notice.kind,
                _STATES.get(one.state, one.state),
                one.notice.title,
            )
            for one in kept
        ],
        most=_MOST,
        what="notices",
    )
    blocks: list[Block] = [
        Table(
            title="Notices that nobody was sent, the last 7 days",
            columns=whole("at", "target", "kind", "state", "title"),
            rows=rows,
            note=note,
        )
    ]
    if any(one.state == "failed" for one in kept):
        blocks.append(Paragraph("What was not delivered is tried again by the next run or check.", "warn"))
    return blocks
