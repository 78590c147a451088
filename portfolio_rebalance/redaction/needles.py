r"""What to look for: each known value in every spelling, cut into pieces that are looked up, not searched.

A text is compared by its bones: letters and digits of ASCII alone, in lower case. So separators, line
breaks, quoting, box drawing, NULs, padding and the alphabet of base64 make no difference, nor does case. Of
each value the bones of these spellings are known: as it is, reversed, ROT13; and its bytes as hex, base64 and
base32 at every byte offset, as a list of numbers and as escapes. A value that is itself hex or base64 counts
as the bytes it stands for, too. A value of few letters and digits is looked for as it stands as well.

Bones are cut into overlapping pieces of sixteen characters (twelve where symbols thin them out, all of them
where there are fewer), each of which is enough to be found: that catches fragments, and makes the search one
set lookup a character, whatever the text and however many values.
"""

from __future__ import annotations

import base64
import codecs
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from portfolio_rebalance.redaction.views import View, root, squeezed

__all__ = ["Found", "Needles", "is_long_enough"]

_FEWEST_CHARACTERS: Final = 8
_FRAGMENT: Final = 16
# Of sixteen characters of a key four may be separators; of twenty base64 digits eight may be + or /.
_THIN: Final = 12
_FEWEST_ENCODED: Final = 7
# A byte in hex, decimal, and as the bones of an escape: %41 and &#65; read like the first two.
_BYTE_FORMS: Final = ("{:02x}", "{}", "x{:02x}", "0x{:02x}", "u{:04x}", "{:03o}")
# A shorter value is a key by itself, not bytes in a spelling.
_FEWEST_DIGITS: Final = 24

_SMALL: Final = bytes(range(256)).lower()
_NO_BONE: Final = bytes(sorted(set(range(256)) - set((string.ascii_letters + string.digits).encode())))
_BONE: Final = re.compile("[A-Za-z0-9]")
_SMALL_LETTERS: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_HEX: Final = re.compile("(?:[0-9A-Fa-f]{2})+")
_BASE64: Final = re.compile("[A-Za-z0-9+/_-]+={0,2}")


class Found(NamedTuple):
    """A piece of a secret: where in the text, and whose."""

    start: int
    end: int
    name: str


class Needles:
    """All spellings of known values.

    Args:
        secrets: Names to values; values below eight characters are left out. Where two names have pieces in
            common, the longer value's name is told.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._bones: dict[int, dict[bytes, str]] = {}
        self._plain: dict[int, dict[str, str]] = {}
        known = [(name, value.strip()) for name, value in secrets.items()]
        for name, value in sorted(known, key=lambda one: (-len(one[1]), one[0])):
            if is_long_enough(value):
                self._add(name, value)
        self._shortest = min(self._bones, default=0)
        # One look a character: most begin no piece of any size.
        self._beginnings = {piece[: self._shortest] for pieces in self._bones.values() for piece in pieces}

    def __bool__(self) -> bool:
        return bool(self._bones or self._plain)

    def fits(self, text: str) -> bool:
        """Whether a text is long enough for any piece; most of what is decoded is not."""
        return bool(self._plain) or len(_bones_of(text)) >= self._shortest

    def find(self, view: View) -> Iterator[Found]:
        """Pieces of known values, as slices of the text that ``view`` is a reading of."""
        yield from self._find_bones(view)
        if self._plain:
            yield from self._find_plain(squeezed(view))

    def _add(self, name: str, value: str) -> None:
        for bones, size in _spellings(value):
            pieces = self._bones.setdefault(size, {})
            for start in range(len(bones) - size + 1):
                pieces.setdefault(bones[start : start + size], name)
        if _is_thin(value):
            for text in _turned(value):
                for spelling in (text, _bytes_of(text).decode("latin-1")):
                    solid = squeezed(root(spelling)).text.translate(_SMALL_LETTERS)
                    size = min(_FRAGMENT, len(solid))
                    slices = self._plain.setdefault(size, {})
                    for start in range(len(solid) - size + 1):
                        slices.setdefault(solid[start : start + size], name)

    def _find_bones(self, view: View) -> Iterator[Found]:
        if not self._bones:
            return
        bones, shortest, beginnings = _bones_of(view.text), self._shortest, self._beginnings
        begun = [at for at in range(len(bones) - shortest + 1) if bones[at : at + shortest] in beginnings]
        if not begun:
            return
        places = [match.start() for match in _BONE.finditer(view.text)]
        for size, pieces in self._bones.items():
            hits = [at for at in begun if bones[at : at + size] in pieces]
            for start, end in _joined(hits, size):
                name = pieces[bones[start : start + size]]
                yield Found(*view.origin(places[start], places[end - 1] + 1), name)

    def _find_plain(self, view: View) -> Iterator[Found]:
        text = view.text.translate(_SMALL_LETTERS)
        for size, pieces in self._plain.items():
            hits = [at for at in range(len(text) - size + 1) if text[at : at + size] in pieces]
            for start, end in _joined(hits, size):
                yield Found(*view.origin(start, end), pieces[text[start : start + size]])


def is_long_enough(value: str) -> bool:
    """Whether a value can be a known secret: a shorter one would eat ordinary words."""
    return len(squeezed(root(value)).text) >= _FEWEST_CHARACTERS


def _spellings(value: str) -> Iterator[tuple[bytes, int]]:
    """Bones of every spelling, and the size of their pieces."""
    for text in _turned(value):
        bones = _bones_of(text)
        if len(bones) >= _FEWEST_CHARACTERS:
            yield bones, min(_THIN, len(bones))
    for data in _meanings(value):
        encoded = [("".join(map(form.format, data)), _FRAGMENT) for form in _BYTE_FORMS]
        encoded += [(_base64_inside(data, before), _THIN) for before in range(3)]
        encoded += [(_base32_inside(data, before), _FRAGMENT) for before in range(5)]
        for text, size in encoded:
            bones = _bones_of(text)
            if len(bones) >= _FEWEST_ENCODED:
                yield bones, min(size, len(bones))


def _turned(value: str) -> tuple[str, str, str]:
    return value, value[::-1], codecs.encode(value, "rot13")


def _meanings(value: str) -> Iterator[bytes]:
    """The bytes of a value, and those that it is a spelling of."""
    yield _bytes_of(value)
    if len(value) < _FEWEST_DIGITS:
        return
    if _HEX.fullmatch(value):
        yield bytes.fromhex(value)
    if _BASE64.fullmatch(value):
        digits = value.rstrip("=")
        # One digit too many stands for no byte.
        whole = digits[:-1] if len(digits) % 4 == 1 else digits
        yield base64.urlsafe_b64decode(whole.replace("+", "-").replace("/", "_") + "=" * (-len(whole) % 4))


def _base64_inside(data: bytes, before: int) -> str:
    """Those base64 digits of ``data`` that stay the same whatever stands before and after it.

    Args:
        data: What is encoded.
        before: Bytes before it, modulo 3.
    """
    digits = base64.b64encode(bytes(before) + data).decode()
    return digits[-(-8 * before // 6) : 8 * (before + len(data)) // 6]


def _base32_inside(data: bytes, before: int) -> str:
    """The same for base32, modulo 5."""
    digits = base64.b32encode(bytes(before) + data).decode()
    return digits[-(-8 * before // 5) : 8 * (before + len(data)) // 5]


def _is_thin(value: str) -> bool:
    """Whether some fragment of a value has too few letters and digits to be found by them."""
    if len(value) < _FRAGMENT:
        return len(_bones_of(value)) < _FEWEST_CHARACTERS
    windows = (value[at : at + _FRAGMENT] for at in range(len(value) - _FRAGMENT + 1))
    return any(len(_bones_of(window)) < _THIN for window in windows)


def _bones_of(text: str) -> bytes:
    return text.encode("ascii", "ignore").translate(_SMALL, _NO_BONE)


def _bytes_of(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _joined(hits: Iterable[int], size: int) -> Iterator[tuple[int, int]]:
    """Overlapping hits as one slice."""
    first = end = -1
    for at in hits:
        if at >= end:
            if first >= 0:
                yield first, end
            first = at
        end = at + size
    if first >= 0:
        yield first, end
