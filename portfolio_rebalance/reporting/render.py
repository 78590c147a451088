"""Blocks as plain text, for a pipe: no boxes, no colour, no wrapping, columns two blanks apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portfolio_rebalance.reporting.blocks import Block, Paragraph, Table, clean

__all__ = ["plain_text"]


def plain_text(blocks: Sequence[Block]) -> str:
    """Rows of text; a blank line before and after each table."""
    return "".join(f"{line}\n" for line in _lines(blocks))


def _lines(blocks: Sequence[Block]) -> Iterator[str]:
    before: Block | None = None
    for block in blocks:
        if before is not None and (isinstance(before, Table) or isinstance(block, Table)):
            yield ""
        yield from [clean(block.text)] if isinstance(block, Paragraph) else _table_lines(block)
        before = block


def _table_lines(table: Table) -> Iterator[str]:
    yield clean(table.title)
    heading = tuple(column.name for column in table.columns)
    cells = [tuple(clean(cell) for cell in row) for row in (heading, *table.rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(heading))]
    for row in cells:
        aligned = (
            cell.rjust(width) if column.align == "right" else cell.ljust(width)
            for cell, width, column in zip(row, widths, table.columns, strict=True)
        )
        yield "  ".join(aligned).rstrip()
    if table.note:
        yield clean(table.note)
