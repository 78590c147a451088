"""Units: exact percentages, basis points and money.

Allocations are exact rationals in basis points (``Fraction``; 1 % = 100 bp) from the first line that
reads a file to the last that judges a limit. Floats appear only where people or notebooks read a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Final, TypeAlias

from portfolio_rebalance.errors import UsageError

__all__ = [
    "BP_PER_PERCENT",
    "BP_PER_UNIT",
    "Bp",
    "PercentLike",
    "bp_from_percent",
    "bp_map_from_percent",
    "percent_from_bp",
]

BP_PER_PERCENT: Final = 100
BP_PER_UNIT: Final = 10_000

Bp: TypeAlias = Fraction
"""An allocation or limit in basis points of total capital, exact."""

PercentLike: TypeAlias = int | float | Decimal | Fraction
"""What a caller may write for a percentage: 10.3 means 10.3 %."""


def bp_from_percent(percent: PercentLike, *, where: str) -> Bp:
    """Exact basis points of a percentage as a person wrote it.

    A float is read by its shortest decimal form, so 10.3 is exactly 1030 bp and not the binary
    neighbour of it. A bool, NaN or infinity is refused.

    Args:
        percent: The percentage of total capital (34 means 34 %).
        where: Name of the argument or key, for the error.

    Raises:
        UsageError: Not a finite number.
    """
    if isinstance(percent, bool) or not isinstance(percent, int | float | Decimal | Fraction):
        raise UsageError(
            f"{percent!r} is not a number.", where=where, fix="Write a percentage such as 34 or 10.3."
        )
    try:
        if isinstance(percent, float):
            return Fraction(Decimal(repr(float(percent)))) * BP_PER_PERCENT
        return Fraction(percent) * BP_PER_PERCENT
    except (ValueError, OverflowError, InvalidOperation):
        raise UsageError(
            f"{percent!r} is not a finite number.", where=where, fix="Write a percentage such as 34 or 10.3."
        ) from None


def bp_map_from_percent(percents: Mapping[str, PercentLike], *, where: str) -> dict[str, Bp]:
    """:func:`bp_from_percent` over a mapping, in the order of its sorted keys."""
    return {key: bp_from_percent(percents[key], where=f"{where}[{key}]") for key in sorted(percents)}


def percent_from_bp(bp: Bp | int) -> float:
    """The float nearest to a basis-point value in percent (1030 -> 10.3)."""
    return float(Fraction(bp) / BP_PER_PERCENT)
