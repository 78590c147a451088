"""JSON that two readers could not understand differently: no equal keys, NaN or infinity, not too deep."""

from __future__ import annotations

import json
from typing import Any, Final

__all__ = ["strict_json"]

_MOST_CHARACTERS: Final = 100_000
_DEEPEST: Final = 16


def strict_json(text: str) -> Any:
    """Parse one JSON value.

    Raises:
        ValueError: It is none, or two readers could differ about it; says what is wrong.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"more than {_MOST_CHARACTERS} characters")
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
        deep = _depth(value) > _DEEPEST
    except RecursionError:
        raise ValueError(f"nested deeper than {_DEEPEST}") from None
    if deep:
        raise ValueError(f"nested deeper than {_DEEPEST}")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("half of a character (a lone surrogate)") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is out of range")
    return value


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0
