"""The text of a YAML file before anything parses it: size, characters, directives, and places in it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final, NoReturn

from portfolio_rebalance.errors import StrictYamlError

__all__ = [
    "MAX_BYTES",
    "Place",
    "code_point",
    "first_unfit_character",
    "lines_before",
    "refuse_unfit_text",
    "shortened",
]

MAX_BYTES: Final = 1_000_000

_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\u2028\u2029]|\r(?!\n)")
_LINE_BREAK: Final = re.compile("\r\n|[\r\n]")
_DIRECTIVE: Final = re.compile("^%", re.MULTILINE)
_INVISIBLE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
# Letters and marks that Unicode itself calls ignorable: they show nothing. The two variation selectors that
# ordinary emoji carry (FE0E, FE0F) are left out.
_INVISIBLE: Final = frozenset(
    "\u034f\u2800\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2028\u2029\u3164\uffa0"
    + "".join(map(chr, range(0xFE00, 0xFE0E)))
    + "".join(map(chr, range(0xE0100, 0xE01F0)))
)


@dataclass(frozen=True, slots=True)
class Place:
    """Turns the parser's line numbers into the file's."""

    label: str
    first_line: int
    text: str

    def refuse(self, what: str, *, line: int, fix: str) -> NoReturn:
        """Refuse at a line counted from 0; where the text ends too early, at its last line."""
        last_line = lines_before(self.text, len(self.text.rstrip()))
        where = f"{self.label}:{self.first_line + min(line, last_line)}"
        raise StrictYamlError(what, where=where, fix=fix)


def refuse_unfit_text(text: str, place: Place) -> None:
    """Refuse text that is too long, holds what cannot be seen, or begins a directive."""
    shorten = "Remove what does not belong there; 1 MB is far more than a workspace needs."
    if len(text) > MAX_BYTES:
        place.refuse(f"The text is longer than {MAX_BYTES} bytes.", line=0, fix=shorten)
    offset = first_unfit_character(text)
    if offset is not None:
        place.refuse(
            f"Invisible or dangerous character {code_point(text[offset])}.",
            line=lines_before(text, offset),
            fix="Delete it: what is not seen must not count.",
        )
    if len(text.encode()) > MAX_BYTES:
        place.refuse(f"The text is longer than {MAX_BYTES} bytes.", line=0, fix=shorten)
    directive = _DIRECTIVE.search(text)
    if directive:
        place.refuse(
            "A line begins with %, which is a YAML directive.",
            line=lines_before(text, directive.start()),
            fix="Remove the line; inside text, indent it.",
        )


def first_unfit_character(text: str) -> int | None:
    """Offset of the first character that is invisible or dangerous."""
    control = _CONTROL.search(text)
    offsets = [control.start()] if control else []
    if not text.isascii():
        unfit = [
            character
            for character in set(text)
            if not character.isascii()
            and (character in _INVISIBLE or unicodedata.category(character) in _INVISIBLE_CATEGORIES)
        ]
        offsets.extend(map(text.index, unfit))
    return min(offsets, default=None)


def code_point(character: str) -> str:
    """``U+200B (ZERO WIDTH SPACE)``."""
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X} ({name})" if name else f"U+{ord(character):04X}"


def lines_before(text: str, offset: int) -> int:
    """How many lines end before an offset."""
    return len(_LINE_BREAK.findall(text, 0, offset))


def shortened(text: str, *, most: int = 60) -> str:
    """What a message shows of a text: one line of it."""
    shown = text if len(text) <= most else f"{text[: most - 3]}..."
    return shown if shown.isprintable() else ascii(shown)[1:-1]
