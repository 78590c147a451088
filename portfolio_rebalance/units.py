"""Units: exact percentages, basis points and money.

Allocations are exact rationals in basis points (``Fraction``; 1 % = 100 bp) from the first line that
reads a file to the last that judges a limit. Floats appear only where people or notebooks read a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Real
from typing import Final, TypeAlias

from portfolio_rebalance.errors import UsageError

__all__ = [
    "BP_PER_PERCENT",
    "BP_PER_UNIT",
    "Bp",
    "PercentLike",
    "bp_from_percent",
    "bp_map_from_percent",
    "exact_decimal",
    "percent_from_bp",
    "six_digits",
]

BP_PER_PERCENT: Final = 100
BP_PER_UNIT: Final = 10_000

Bp: TypeAlias = Fraction
"""An allocation or limit in basis points of total capital, exact."""

_MOST_PERCENT: Final = 1_000_000
_MOST_EXPONENT: Final = 400

PercentLike: TypeAlias = int | float | Decimal | Fraction
"""What a caller may write for a percentage: 10.3 means 10.3 %."""


def bp_from_percent(percent: PercentLike, *, where: str) -> Bp:
    """Exact basis points of a percentage as a person wrote it.

    A float is read by its shortest decimal form, so 10.3 is exactly 1030 bp and not the binary
    neighbour of it. Numbers of other libraries are read the same way; a bool is none.

    Args:
        percent: The percentage of total capital (34 means 34 %), from 0 to a million.
        where: Name of the argument or key, for the error.

    Raises:
        UsageError: Not a finite number in that range.
    """
    exact = _exact(percent)
    if exact is None or not (0 <= exact <= _MOST_PERCENT):
        shown = repr(percent) if len(repr(percent)) < 60 else "A number far too long"
        raise UsageError(
            f"{shown} is not a percentage of 0 or more.",
            where=where,
            fix="Write a number such as 34 or 10.3.",
        )
    return exact * BP_PER_PERCENT


def _exact(number: object) -> Fraction | None:
    """A number as written; None for what is no finite number, or so large that writing it out takes long."""
    if isinstance(number, bool) or not isinstance(number, Real | Decimal):
        return None
    if isinstance(number, Integral | Fraction):
        return Fraction(int(number)) if isinstance(number, Integral) else number
    decimal = number if isinstance(number, Decimal) else Decimal(str(number))
    if not decimal.is_finite() or abs(decimal.adjusted()) > _MOST_EXPONENT:
        return None
    return Fraction(decimal)


def bp_map_from_percent(percents: Mapping[str, PercentLike], *, where: str) -> dict[str, Bp]:
    """:func:`bp_from_percent` over a mapping, in the order of its sorted keys."""
    return {key: bp_from_percent(percents[key], where=f"{where}[{key}]") for key in sorted(percents)}


def percent_from_bp(bp: Bp | int) -> float:
    """The float nearest to a basis-point value in percent (1030 -> 10.3)."""
    return float(Fraction(bp) / BP_PER_PERCENT)


def exact_decimal(value: Fraction, *, places: int = 18) -> Decimal:
    """A fraction as a decimal of at most so many places, cut towards zero; exact where it has no more.

    Written digit by digit: arithmetic on decimals would round to 28 digits, and a quantity may have 36.
    """
    digits = str(abs(value.numerator) * 10**places // value.denominator).zfill(places + 1)
    whole, fraction = digits[:-places], digits[-places:].rstrip("0")
    return Decimal(f"{'-' if value < 0 and int(digits) else ''}{whole}{'.' if fraction else ''}{fraction}")


def six_digits(value: float) -> Decimal:
    """Six significant digits, without exponent: more than people are shown, less than processors dispute."""
    return Decimal(f"{Decimal(format(value, '.6g')):f}")
