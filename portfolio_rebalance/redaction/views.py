r"""Other readings of a text, each of which knows where in the text its characters come from.

========================  ===============================================================================
reading                   what it undoes
========================  ===============================================================================
:func:`unescaped`         ``%41``, ``&#65;`` ``&#x41;`` ``&amp;``, ``\u0041`` ``\x41`` ``\101`` ``\n``,
                          ``0x41``, terminal colours
:func:`unescaped_apart`   the same, one kind alone; and where a line break stands within an escape
:func:`squeezed`          line breaks, spaces, NULs (UTF-16, UTF-32) and zero-width characters
:func:`decoded`           base64 (standard, URL-safe, padded or not), hex and base32, from every offset at
                          which a byte can begin
========================  ===============================================================================

A decoded text may be encoded again, so whoever searches calls these on what they return. Every regular
expression here begins to match at each place in one way only: no text makes them slow.
"""

from __future__ import annotations

import binascii
import html
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["View", "decoded", "root", "squeezed", "unescaped", "unescaped_apart"]

_BACKSLASH: Final = (
    r"(?<!\\)\\++(?:u[0-9A-Fa-f]{4}|u\{[0-9A-Fa-f]{1,6}\}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|[0-7]{3}"
    r"|[abfnrtv0\"'/])"
)
_PERCENT: Final = "%[0-9A-Fa-f]{2}"
_ENTITY: Final = "&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,24}(?=;));?"
_ESCAPE: Final = re.compile(
    rf"{_BACKSLASH}|{_PERCENT}|{_ENTITY}|0[xX][0-9A-Fa-f]{{2}}|\x1b\[[0-9;:]{{0,32}}[A-Za-z]"
)
_ONE_KIND: Final = tuple(map(re.compile, (_BACKSLASH, _PERCENT, _ENTITY)))
_MOST_CODE_POINT: Final = 0x10FFFF

# Spaces, NULs, soft hyphen, box drawing, and what no terminal shows.
_BLANKS: Final = (
    r"\s\x00\u00ad\u034f\u061c\u115f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2500-\u257f\ufeff"
)
_BLANK: Final = re.compile(f"[{_BLANKS}]+")
# The same, and marks of quoting after a line break.
_WRAP: Final = re.compile(rf"(?:[{_BLANKS}]|(?<=\n)[>|#*]+)+")
# The same, and line breaks as they are written in a string.
_BREAK: Final = re.compile(rf"(?:{_WRAP.pattern}|(?<!\\)\\++[nrt])+")
_BETWEEN_HEX: Final = re.compile(f"[{_BLANKS}:,>|#*-]+")

# The innermost encoding is found without decoding it; what must be decoded to reach it is longer than these.
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{12,}")
_BASE32: Final = re.compile(r"[A-Z2-7]{16,}|[a-z2-7]{16,}")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{20,}")
_STANDARD: Final = str.maketrans("-_", "+/")
_DIGITS: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHIJKLMNOPQRSTUV")


@dataclass(frozen=True, slots=True)
class View:
    """One reading of a text.

    Attributes:
        text: How it reads.
        origin: From a slice of ``text`` (start, end; not empty) to the slice of the original text that it
            comes from.
    """

    text: str
    origin: Callable[[int, int], tuple[int, int]]


def root(text: str) -> View:
    """The text as it is."""
    return View(text, lambda start, end: (start, end))


def unescaped(view: View) -> View | None:
    """The text with escapes of all kinds undone, one level of nesting; None where it has none."""
    return _undone(view, _ESCAPE)


def unescaped_apart(view: View) -> Iterator[View]:
    """The text with escapes of one kind undone: a value that holds ``%41`` itself may stand in HTML.

    And with those undone that a line break, or a written one, stands within.
    """
    readings = [_undone(view, kind) for kind in _ONE_KIND]
    readings.append(_undone(_without(view, _BREAK), _ESCAPE))
    yield from filter(None, readings)


def _undone(view: View, escape: re.Pattern[str]) -> View | None:
    begins: list[int] = []  # in the new text
    reaches: list[int] = []
    cuts: list[tuple[int, int]] = []  # in the old text
    parts: list[str] = []
    done = length = 0
    for match in escape.finditer(view.text):
        meant = _meant(match[0])
        parts += (view.text[done : match.start()], meant)
        length += match.start() - done
        begins.append(length)
        length += len(meant)
        reaches.append(length)
        cuts.append(match.span())
        done = match.end()
    if not cuts:
        return None
    parts.append(view.text[done:])

    def old(place: int) -> tuple[int, int]:
        """Where one character of the new text comes from."""
        last = bisect_right(begins, place) - 1
        if last < 0:
            return place, place + 1
        if place < reaches[last]:
            return cuts[last]
        start = cuts[last][1] + place - reaches[last]
        return start, start + 1

    return View("".join(parts), lambda start, end: view.origin(old(start)[0], old(end - 1)[1]))


def squeezed(view: View) -> View:
    """The text without blanks and invisible characters."""
    return _without(view, _BLANK)


def decoded(view: View) -> Iterator[View]:
    """Every text that base64, hex or base32 within this one may stand for, bytes as characters."""
    solid = _without(view, _WRAP)
    for run in _BASE64.finditer(solid.text):
        yield from _from_base64(solid, run)
    for run in _BASE32.finditer(solid.text):
        yield from _from_base32(solid, run)
    solid = _without(view, _BETWEEN_HEX)
    for run in _HEX.finditer(solid.text):
        yield from _from_hex(solid, run)


def _meant(escape: str) -> str:
    """What an escape stands for; bytes count as characters of their number."""
    if escape[0] == "\x1b":
        return ""
    if escape[0] == "&":
        return html.unescape(escape)
    if escape[0] in "%0":
        return chr(int(escape[-2:], 16))
    body = escape.lstrip("\\")
    if body[0] in "uUx":
        number = int(body[1:].strip("{}"), 16)
        return chr(number) if number <= _MOST_CODE_POINT else " "
    return chr(int(body, 8)) if len(body) > 1 else " "  # a line break, tab or quote


def _without(view: View, cut: re.Pattern[str]) -> View:
    text = cut.sub("", view.text)
    if len(text) == len(view.text):
        return view

    places: list[int] = []  # where each character stood; worked out only where something is found

    def origin(start: int, end: int) -> tuple[int, int]:
        if not places:
            done = 0
            for match in cut.finditer(view.text):
                places.extend(range(done, match.start()))
                done = match.end()
            places.extend(range(done, len(view.text)))
        return view.origin(places[start], places[end - 1] + 1)

    return View(text, origin)


def _from_base64(view: View, run: re.Match[str]) -> Iterator[View]:
    digits = run[0].translate(_STANDARD)
    for phase in range(4):
        chunk = digits[phase:]
        data = binascii.a2b_base64(chunk + "A" * (-len(chunk) % 4))
        yield _bytes_of(view, data, run, bits=6, skipped_bits=6 * phase)


def _from_hex(view: View, run: re.Match[str]) -> Iterator[View]:
    for phase in range(2):
        chunk = run[0][phase:]
        data = bytes.fromhex(chunk[: len(chunk) // 2 * 2])
        yield _bytes_of(view, data, run, bits=4, skipped_bits=4 * phase)


def _from_base32(view: View, run: re.Match[str]) -> Iterator[View]:
    # A power of two as the base: linear, and without Python's cap on digits.
    number = int(run[0].upper().translate(_DIGITS), 32)
    all_bits = 5 * len(run[0])
    for shift in range(8):
        count = -(-(all_bits - shift) // 8)
        data = (number >> shift).to_bytes(count, "big")
        yield _bytes_of(view, data, run, bits=5, skipped_bits=all_bits - shift - 8 * count)


def _bytes_of(view: View, data: bytes, run: re.Match[str], *, bits: int, skipped_bits: int) -> View:
    """Bytes as a view of the run that they were decoded from.

    Args:
        view: Holds the run.
        data: What it stands for.
        run: Digits of ``bits`` bits each.
        bits: Of one digit.
        skipped_bits: Of the run before the first byte begins; below 0 where that byte begins before the run.
    """

    def origin(start: int, end: int) -> tuple[int, int]:
        first = max(0, (8 * start + skipped_bits) // bits)
        after = min(len(run[0]), -(-(8 * end + skipped_bits) // bits))
        return view.origin(run.start() + first, run.start() + max(after, first + 1))

    return View(data.decode("latin-1"), origin)
