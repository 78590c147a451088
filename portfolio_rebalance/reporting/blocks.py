"""The two shapes of a presentation, and how their cells are written.

A table and a paragraph are all that a person ever sees; a renderer turns them into plain rows or into a
terminal's boxes. Numbers round for reading only, and a figure never rounds to a 0 that it is not: a limit
missed by 0.003 points must not read as missed by 0.00.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal, TypeAlias

__all__ = [
    "Block",
    "Column",
    "Paragraph",
    "Table",
    "Tone",
    "clean",
    "ids",
    "left",
    "limited",
    "money",
    "number",
    "right",
    "shorten",
    "signed",
    "whole",
]

Tone: TypeAlias = Literal["plain", "good", "warn", "bad"]
Real: TypeAlias = float | Decimal | Fraction

UNDEFINED: Final = "undefined"
_LARGE_TOTAL: Final = 1_000


@dataclass(frozen=True, slots=True)
class Column:
    """One column's heading (with its unit) and alignment.

    Attributes:
        fit: What a narrow terminal does to its cells: fold them, keep them in one piece (an id, a figure), or
            cut long words.
    """

    name: str
    align: Literal["left", "right"] = "left"
    fit: Literal["fold", "keep", "cut"] = "fold"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text below their headings.

    Attributes:
        note: One line below the table; empty for none.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One line of prose."""

    text: str
    tone: Tone = "plain"


Block: TypeAlias = Table | Paragraph


def left(*names: str) -> tuple[Column, ...]:
    """Left-aligned columns, for words."""
    return tuple(Column(name) for name in names)


def right(*names: str) -> tuple[Column, ...]:
    """Right-aligned columns, for figures."""
    return tuple(Column(name, "right", "keep") for name in names)


def whole(*names: str) -> tuple[Column, ...]:
    """Left-aligned columns whose cells stay in one piece, for ids and verdicts."""
    return tuple(Column(name, fit="keep") for name in names)


def number(value: Real | None, *, places: int = 2) -> str:
    """A figure for reading; ``undefined`` for None."""
    if value is None:
        return UNDEFINED
    text = f"{float(value):.{places}f}"
    if float(text) != 0:
        return text
    return f"{0:.{places}f}" if value == 0 else f"{float(value):.1g}"


def signed(value: Real | None, *, places: int = 2) -> str:
    """A change: the same, with its sign."""
    text = number(value, places=places)
    return f"+{text}" if value is not None and value > 0 else text


def money(amount: Decimal | Fraction | None, *, total: Decimal) -> str:
    """An amount in the currency of a portfolio; its size decides how many places matter.

    Args:
        amount: The amount; ``undefined`` for None.
        total: Total capital: 60 000 USDT are read in hundredths, 1.5 BTC in millionths.
    """
    if amount is None:
        return UNDEFINED
    exact = amount if isinstance(amount, Decimal) else Decimal(amount.numerator) / amount.denominator
    places = 2 if total >= _LARGE_TOTAL else 6
    return f"{round(exact, places) + 0:,f}"  # adding 0 turns -0.00 into 0.00


def ids(strategies: Sequence[str], *, most: int = 4) -> str:
    """Strategy ids in a cell: the first few and how many more."""
    shown = ", ".join(strategies[:most])
    return shown if len(strategies) <= most else f"{shown} and {len(strategies) - most} more"


def shorten(text: str, *, most: int) -> str:
    """Free text cut to a column's width, with three dots where something is missing."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def limited(
    rows: Sequence[tuple[str, ...]], *, most: int, what: str
) -> tuple[tuple[tuple[str, ...], ...], str]:
    """The first rows, and a note on those left out."""
    if len(rows) <= most:
        return tuple(rows), ""
    return tuple(rows[:most]), f"{len(rows) - most} more {what}; --json lists all."


def clean(text: str) -> str:
    """Text that cannot move a cursor, hide a character or break a row.

    Names come from files that others write: control, bidirectional and invisible characters become ``?``,
    any white space a plain blank.
    """
    return "".join(mark if mark.isprintable() else (" " if mark.isspace() else "?") for mark in text)
