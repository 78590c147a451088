"""Whole basis points by largest remainder (Hamilton's method)."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import floor

from portfolio_rebalance.units import Bp

__all__ = ["apportion"]


def apportion(values_bp: Mapping[str, Bp], *, budget_bp: Bp, ceilings_bp: Mapping[str, Bp]) -> dict[str, Bp]:
    """Round each value down, then hand the leftover whole basis points to the largest remainders.

    A value that is already whole is never touched, so rounding moves nothing by a whole basis point or more.

    Args:
        values_bp: Exact values, not negative.
        budget_bp: What the rounded values may sum to; its fraction of a basis point is left over.
        ceilings_bp: What a rounded-up value may not exceed, for the ids that have such a ceiling.

    Returns:
        Whole basis points (as ``Fraction``), ties broken by id, summing to at most ``budget_bp``.
    """
    rounded = {key: Fraction(floor(value)) for key, value in values_bp.items()}
    leftover = floor(budget_bp - sum(rounded.values(), Fraction(0)))
    by_remainder = sorted(values_bp, key=lambda key: (rounded[key] - values_bp[key], key))
    for key in by_remainder:
        if leftover <= 0 or rounded[key] == values_bp[key]:
            break
        ceiling = ceilings_bp.get(key)
        if ceiling is None or rounded[key] + 1 <= ceiling:
            rounded[key] += 1
            leftover -= 1
    return rounded
