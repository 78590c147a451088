"""Plain data as block YAML that people read and that our strict reader reads back to the same values.

Only the few spellings that every YAML reader agrees on are used: text is left unquoted where nobody could
take it for anything else, numbers are written out without exponents.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Final

from portfolio_rebalance.errors import StrictYamlError
from portfolio_rebalance.workspace import strict_yaml

__all__ = ["scalar_text", "to_yaml"]

_SAFE: Final = re.compile(r"[A-Za-z](?:[A-Za-z0-9 _./+%()-]*[A-Za-z0-9_./+%()-])?", re.ASCII)
_WORDS: Final = frozenset(
    ("y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity")
)
_LINE_WIDTH: Final = 100
_MAX_INT_DIGITS: Final = 18
_MAX_NUMBER_CHARACTERS: Final = 40
_FLOAT_PLACES: Final = 20
_STEP: Final = "  "
_MAX_DEPTH: Final = 16


def to_yaml(content: object) -> bytes:
    """YAML of mappings, lists, text, numbers, booleans and None, keys in their order.

    A float that needs more characters than the reader takes is rounded to twenty decimals.

    Raises:
        TypeError: Anything else in it, or a key that is not text.
        ValueError: NaN, infinity, or what could not be read back: a number too long, an invisible character,
            nesting too deep.
    """
    if isinstance(content, Mapping) and content:
        return "".join(_mapping_lines(content, "")).encode()
    if _is_list(content) and content:
        return "".join(_list_lines(content, "")).encode()  # type: ignore[arg-type]
    return f"{scalar_text(content)}\n".encode()


def scalar_text(value: object) -> str:
    """One value on one line, also inside brackets; of mappings and lists only the empty ones.

    Raises:
        TypeError: Not plain data.
        ValueError: No plain form that could be read back.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if len(str(abs(value))) > _MAX_INT_DIGITS:
            raise ValueError(f"{value} has too many digits to be read back")
        return str(value)
    if isinstance(value, float | Decimal):
        return _number_text(value)
    if isinstance(value, str):
        return value if _SAFE.fullmatch(value) and value.lower() not in _WORDS else _quoted(value)
    if isinstance(value, Mapping) and not value:
        return "{}"
    if _is_list(value) and not value:
        return "[]"
    raise TypeError(f"{type(value).__name__} has no plain form")


def _quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    if not (text.isascii() and text.isprintable()):
        try:
            strict_yaml.parse(quoted, label="text")
        except StrictYamlError as error:
            raise ValueError(f"{text!r} could not be read back: {error.what}") from None
    return quoted


def _number_text(value: float | Decimal) -> str:
    if not (value.is_finite() if isinstance(value, Decimal) else isfinite(value)):
        raise ValueError(f"{value} has no plain form")
    text = format(value if isinstance(value, Decimal) else Decimal(repr(value)), "f")
    if isinstance(value, float) and len(text) > _MAX_NUMBER_CHARACTERS:
        text = f"{value:.{_FLOAT_PLACES}f}"
    if "." not in text and (isinstance(value, float) or len(text.lstrip("-")) > _MAX_INT_DIGITS):
        text += ".0"
    if len(text) > _MAX_NUMBER_CHARACTERS:
        raise ValueError(f"{value} is too long to be read back")
    return text


def _mapping_lines(content: Mapping[object, object], indent: str) -> Iterator[str]:
    _refuse_depth(indent)
    for key, value in content.items():
        if not isinstance(key, str):
            raise TypeError(f"the key {key!r} is not text")
        if key == "<<":
            raise ValueError("the key '<<' could not be read back: it merges")
        head = f"{indent}{scalar_text(key)}:"
        if isinstance(value, Mapping) and value:
            yield f"{head}\n"
            yield from _mapping_lines(value, indent + _STEP)
        elif _is_list(value) and value:
            yield from _list_under(head, value, indent)  # type: ignore[arg-type]
        else:
            yield f"{head} {scalar_text(value)}\n"


def _list_under(head: str, items: Sequence[object], indent: str) -> Iterator[str]:
    """Short lists of plain values on one line, others one item a line."""
    if not any(isinstance(item, Mapping) or _is_list(item) for item in items):
        line = f"{head} [{', '.join(map(scalar_text, items))}]\n"
        if len(line) <= _LINE_WIDTH:
            yield line
            return
    yield f"{head}\n"
    yield from _list_lines(items, indent + _STEP)


def _list_lines(items: Sequence[object], indent: str) -> Iterator[str]:
    _refuse_depth(indent)
    for item in items:
        if isinstance(item, Mapping) and item:
            lines = _mapping_lines(item, indent + _STEP)
        elif _is_list(item) and item:
            lines = _list_lines(item, indent + _STEP)  # type: ignore[arg-type]
        else:
            lines = iter([f"{indent}{_STEP}{scalar_text(item)}\n"])
        first = next(lines)
        yield f"{indent}- {first.lstrip(' ')}"
        yield from lines


def _refuse_depth(indent: str) -> None:
    if len(indent) >= _MAX_DEPTH * len(_STEP):
        raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)
