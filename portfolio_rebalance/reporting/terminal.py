"""Blocks as rich renderables, for a terminal. Imported by nobody whose output is piped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from portfolio_rebalance.reporting.blocks import Block, Paragraph, Table, clean

__all__ = ["renderables"]

_TONES: Final = {"plain": "", "good": "green", "warn": "yellow", "bad": "bold red"}
_WORDS: Final = {
    "FAIL": "bold red",
    "BLOCKED": "bold red",
    "NOT_EVALUATED": "yellow",
    "PASS": "green",
    "within": "green",
    "high": "yellow",
    "error": "bold red",
    "warning": "yellow",
    "reject": "bold red",
    "concerns": "yellow",
}
"""Cells whose whole text is a verdict."""
_SHORTEST_CUT: Final = 3


def renderables(blocks: Sequence[Block], *, width: int) -> Iterator[RenderableType]:
    """One renderable a block. Text is never read as markup, and no figure is cut.

    Args:
        blocks: What to show.
        width: Columns of the terminal.
    """
    before: Block | None = None
    for block in blocks:
        if before is not None and (isinstance(before, Table) or isinstance(block, Table)):
            yield Text("")
        yield _paragraph(block) if isinstance(block, Paragraph) else _table(block, width=width)
        before = block


def _paragraph(block: Paragraph) -> Text:
    return Text(clean(block.text), style=_TONES[block.tone])


def _table(block: Table, *, width: int) -> Group:
    fits = _least_width(block) <= width
    table = RichTable(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    for column in block.columns:
        table.add_column(
            Text(clean(column.name)),
            justify=column.align,
            overflow="ellipsis" if column.fit == "cut" else "fold",
            no_wrap=fits and column.fit == "keep",
        )
    for row in block.rows:
        table.add_row(*(Text(clean(cell), style=_WORDS.get(cell, "")) for cell in row))
    note = [Text(clean(block.note))] if block.note else []
    return Group(Text(clean(block.title), style="bold"), table, *note)


def _least_width(block: Table) -> int:
    """Columns that a table needs to keep in one piece what should stay so; below it, everything folds."""
    cells = zip(*[tuple(column.name for column in block.columns), *block.rows], strict=True)
    widths = (
        max(map(len, texts if column.fit == "keep" else _words(texts, fit=column.fit)))
        for column, texts in zip(block.columns, cells, strict=True)
    )
    return sum(widths) + 2 * len(block.columns) - 1  # a blank after each column, a divider between two


def _words(texts: Sequence[str], *, fit: str) -> list[str]:
    return [word[:_SHORTEST_CUT] if fit == "cut" else word for text in texts for word in text.split() or [""]]
