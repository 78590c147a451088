"""Figures as reports keep them: rounded for reading, exact before, and never to a 0 that they are not."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from fractions import Fraction
from typing import Final

from portfolio_rebalance.units import exact_decimal

__all__ = ["figure", "mean", "percent_of", "share"]

_DIGITS: Final = 3
_MOST_PLACES: Final = 18
_SHARE_PLACES: Final = 4


def figure(value: Fraction | None) -> Decimal | None:
    """At least one decimal, and at least three digits that count: 97.6, 6.25, 0.0342; None stays None."""
    if not value:
        return None if value is None else Decimal(0)
    size = (Decimal(abs(value.numerator)) / value.denominator).adjusted()
    places = min(_MOST_PLACES, max(1, _DIGITS - 1 - size))
    return _rounded(value, places=places)


def share(value: float | Fraction | None) -> Decimal | None:
    """A probability or a share of 1, to four decimals; None stays None."""
    return None if value is None else _rounded(Fraction(value), places=_SHARE_PLACES)


def mean(values: Collection[Fraction]) -> Fraction | None:
    """The exact mean; None of nothing."""
    return sum(values, Fraction(0)) / len(values) if values else None


def percent_of(part: int, whole: int) -> Fraction | None:
    """``100 part / whole``; None where there is no whole."""
    return Fraction(100 * part, whole) if whole else None


def _rounded(value: Fraction, *, places: int) -> Decimal:
    return exact_decimal(Fraction(round(value * 10**places), 10**places), places=places)
