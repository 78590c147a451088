"""Canonical bytes: the same content gives the same bytes, and so the same digest.

JSON with sorted keys and no spaces. Integers stay integers; decimals and exact rationals are strings;
floats are rounded to 12 significant digits and become decimal strings, so that the last bit of a processor
does not reach a plan's id. NaN and infinity are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from math import isfinite

from pydantic import BaseModel

from portfolio_rebalance.clock import format_instant

__all__ = ["canonical_bytes", "digest", "plain"]


def canonical_bytes(content: object) -> bytes:
    """The canonical form of records, mappings, sequences and plain values.

    Raises:
        ValueError: NaN or infinity.
        TypeError: Something that has no canonical form.
    """
    return json.dumps(plain(content), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def digest(content: object) -> str:
    """``sha256`` of the canonical bytes, in hexadecimal."""
    return sha256(canonical_bytes(content)).hexdigest()


def plain(content: object) -> object:
    """Content reduced to dicts, lists, strings, integers, booleans and None."""
    if isinstance(content, BaseModel):
        fields = type(content).model_fields
        return {(fields[name].alias or name): plain(getattr(content, name)) for name in fields}
    if isinstance(content, Mapping):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, tuple | list | frozenset | set):
        items = sorted(content) if isinstance(content, frozenset | set) else content
        return [plain(item) for item in items]
    if isinstance(content, bool | int | str) or content is None:
        return content
    if isinstance(content, float):
        if not isfinite(content):
            raise ValueError("NaN and infinity have no canonical form")
        return _decimal_text(Decimal(format(content, ".12g")))
    if isinstance(content, Decimal):
        if not content.is_finite():
            raise ValueError("NaN and infinity have no canonical form")
        return _decimal_text(content)
    if isinstance(content, Fraction):
        return content.numerator if content.denominator == 1 else f"{content.numerator}/{content.denominator}"
    if isinstance(content, datetime):
        return format_instant(content)
    if isinstance(content, date):
        return content.isoformat()
    raise TypeError(f"{type(content).__name__} has no canonical form")


def _decimal_text(value: Decimal) -> str:
    """Plain notation without trailing zeros, so that 60 and 60.0 are the same; no negative zero."""
    text = format(value, "f") if value else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text
