"""What every record is: strict, frozen, closed, finite, aware of UTC.

Allocations are stored as exact basis points (``Fraction``) and money as ``Decimal``; the percentages that
people and notebooks read are properties or computed fields derived from them, never the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
)

__all__ = ["Exact", "ExactBp", "FrozenMap", "Instant", "Money", "Quantity", "Record", "StrategyId"]

_V = TypeVar("_V")


class Record(BaseModel):
    """Base of every record."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        ser_json_inf_nan="strings",
        validate_by_name=True,
        validate_by_alias=True,
    )


def _exact(value: object, info: ValidationInfo) -> object:
    """An int is an exact amount; a string is one only in JSON, where decimals have no other form."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and info.mode == "json":
        try:
            return Decimal(value)
        except InvalidOperation:
            raise ValueError(f"{value!r} is not a decimal number") from None
    return value


def _utc(value: datetime) -> datetime:
    if value.utcoffset() != timedelta(0):
        raise ValueError("the timestamp is not in UTC")
    return value


def _fraction_from_text(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return value
    try:
        return Fraction(value)
    except ZeroDivisionError:
        raise ValueError(f"{value!r} is not a number") from None


def _fraction_to_plain(value: Fraction) -> int | str:
    return value.numerator if value.denominator == 1 else f"{value.numerator}/{value.denominator}"


StrategyId: TypeAlias = Annotated[str, StringConstraints(pattern=r"^STR-[A-Z0-9][A-Z0-9_-]{0,31}$")]
"""``STR-`` and up to 32 capitals, digits, ``_`` or ``-``: safe in a path, a table and a prompt."""

Instant: TypeAlias = Annotated[datetime, AfterValidator(_utc)]
"""An aware instant in UTC."""

Money: TypeAlias = Annotated[Decimal, BeforeValidator(_exact), Field(max_digits=26, decimal_places=12)]
"""An amount in the portfolio's currency. So few digits that sums stay exact under decimal's 28."""

Quantity: TypeAlias = Annotated[Decimal, BeforeValidator(_exact), Field(max_digits=36, decimal_places=18)]
"""An amount of an asset; 18 places hold the smallest unit of any coin."""


def _thawed(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _thawed(item) if isinstance(item, Mapping) else item for key, item in value.items()}


Exact: TypeAlias = Annotated[
    Fraction, BeforeValidator(_fraction_from_text), PlainSerializer(_fraction_to_plain, return_type=int | str)
]
"""An exact number; written as an integer, or as ``numerator/denominator`` where it is none."""

ExactBp: TypeAlias = Exact
"""Exact basis points of total capital."""

FrozenMap: TypeAlias = Annotated[
    Mapping[str, _V], AfterValidator(MappingProxyType), PlainSerializer(_thawed, return_type=dict[str, Any])
]
"""A read-only mapping: freezing a record would leave a dict inside it open."""
