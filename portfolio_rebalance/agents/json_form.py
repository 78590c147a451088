"""Requests and replies as plain JSON: exact, redacted, one text for one content, and how two of them differ.

Numbers stay what they are: a model writes 0.35 where "0.35" would be something else, and its words go back to
it in the next request. So this is not :mod:`portfolio_rebalance.records.canonical`, which makes decimals
strings and would give both the same digest.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from math import isfinite
from typing import Any, Final, NoReturn, TypeAlias

__all__ = [
    "Redact",
    "canonical_text",
    "difference",
    "first_difference",
    "parsed",
    "redacted",
    "request_sha256",
    "spaced_text",
]

Redact: TypeAlias = Callable[[str], str]
"""Takes the secrets out of a text. Applied to what it gave, it changes nothing."""

_DEEPEST: Final = 64
_AROUND: Final = 2  # levels that a file puts around a value
_WIDEST_PIECE: Final = 100
_WIDEST_LINE: Final = 240
_MOST_LINES: Final = 60


def redacted(value: object, redact: Redact) -> Any:
    """A copy of a JSON value with every string redacted, keys included.

    Keys that redaction makes equal get a number, in the order of the old ones, so that nothing is lost.

    Raises:
        ValueError: It is no JSON: NaN, infinity, a key that is no string, another type, or nested too deep.
    """
    return _redacted(value, redact, depth=0)


def canonical_text(value: object) -> str:
    """One line of ASCII, keys sorted, no spaces; equal for equal content only.

    Raises:
        ValueError: It is no JSON.
    """
    return _dumped(value, (",", ":"))


def spaced_text(value: object) -> str:
    """The canonical text with a space after each comma and colon, for people.

    Raises:
        ValueError: It is no JSON.
    """
    return _dumped(value, (", ", ": "))


def request_sha256(request: object) -> str:
    """Digest of a request's canonical text, in hexadecimal.

    Raises:
        ValueError: It is no JSON.
    """
    return sha256(canonical_text(request).encode()).hexdigest()


def parsed(text: str) -> Any:
    """The value of a JSON text that two readers could not understand differently.

    Raises:
        ValueError: It is none, a key stands twice, it holds NaN, infinity or a number out of range, or it is
            nested too deep.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_number, parse_float=_float)
        _require_shallow(value, _DEEPEST + _AROUND)
    except RecursionError:
        raise ValueError(f"nested deeper than {_DEEPEST}") from None
    return value


def first_difference(before: object, after: object) -> str:
    """Where two values first differ, such as ``messages[2].content[0].text``; empty where they do not."""
    return _first_difference(before, after, "")


def difference(before: object, after: object, *, names: tuple[str, str]) -> str:
    """A unified difference for a person, of 60 lines at most, in ASCII without control characters.

    Long texts are shown in pieces, so that a changed word is a changed line and not a changed prompt.

    Args:
        before: One value.
        after: The other.
        names: What the two are called.
    """
    lines = list(
        difflib.unified_diff(
            list(_shown(before, "", 0)), list(_shown(after, "", 0)), *names, n=2, lineterm=""
        )
    )
    cut = [line if len(line) <= _WIDEST_LINE else f"{line[:_WIDEST_LINE]}..." for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        cut[-1] = f"... and {len(lines) - _MOST_LINES + 1} more lines"
    return "\n".join(cut)


def _dumped(value: object, separators: tuple[str, str]) -> str:
    try:
        return json.dumps(value, sort_keys=True, separators=separators, ensure_ascii=True, allow_nan=False)
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None


# --- redaction -------------------------------------------------------------------------------------------


def _redacted(value: object, redact: Redact, *, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"nested deeper than {_DEEPEST}")
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return _redacted_object(value, redact, depth=depth)
    if isinstance(value, list | tuple):
        return [_redacted(item, redact, depth=depth + 1) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else _refuse_number(str(value))
    raise ValueError(f"a {type(value).__name__} is no JSON")


def _redacted_object(value: Mapping[Any, object], redact: Redact, *, depth: int) -> dict[str, Any]:
    if not all(isinstance(key, str) for key in value):
        raise ValueError("a key is no string")
    found: dict[str, Any] = {}
    for key in sorted(value):
        name = shown = redact(key)
        number = 1
        while name in found:
            number += 1
            name = f"{shown} {number}"
        found[name] = _redacted(value[key], redact, depth=depth + 1)
    return found


# --- reading ---------------------------------------------------------------------------------------------


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _require_shallow(value: object, levels: int) -> None:
    if levels < 0:
        raise ValueError(f"nested deeper than {_DEEPEST}")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _require_shallow(inner, levels - 1)


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _float(text: str) -> float:
    value = float(text)
    return value if isfinite(value) else _refuse_number(text[:20])


# --- differences -----------------------------------------------------------------------------------------


def _first_difference(before: object, after: object, path: str) -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            inner = f"{path}.{_plain(key)}" if path else _plain(key)
            if key not in before or key not in after:
                return inner
            if found := _first_difference(before[key], after[key], inner):
                return found
        return ""
    if isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            inner = f"{path}[{index}]"
            if index >= min(len(before), len(after)):
                return inner
            if found := _first_difference(before[index], after[index], inner):
                return found
        return ""
    return "" if canonical_text(before) == canonical_text(after) else path or "the whole"


def _plain(key: str) -> str:
    return key if key.isidentifier() and key.isascii() and len(key) <= 60 else json.dumps(key)[:60]


def _shown(value: object, name: str, depth: int) -> Iterator[str]:
    """Lines of a value, one or more for each part of it."""
    pad = "  " * depth
    if isinstance(value, dict) and value:
        yield f"{pad}{name}{{"
        for key in sorted(value):
            yield from _shown(value[key], f"{json.dumps(key)}: ", depth + 1)
        yield f"{pad}}}"
    elif isinstance(value, list) and value:
        yield f"{pad}{name}["
        for item in value:
            yield from _shown(item, "", depth + 1)
        yield f"{pad}]"
    elif isinstance(value, str) and len(pieces := _pieces(value)) > 1:
        yield f"{pad}{name}text in {len(pieces)} pieces"
        yield from (f"{pad}  {json.dumps(piece)}" for piece in pieces)
    else:
        yield f"{pad}{name}{json.dumps(value)}"


def _pieces(text: str) -> Sequence[str]:
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return [
        line[start : start + _WIDEST_PIECE] for line in lines for start in range(0, len(line), _WIDEST_PIECE)
    ]
