"""Prose as a reader's eye takes it: look-alike letters, invisible characters, escapes and markup undone.

A figure can be hidden from a search and still be read: ``tw\N{CYRILLIC SMALL LETTER IE}nty``,
``tw**en**ty``, ``&half;``. The reading undoes that and knows, for each of its characters, where in the prose
it came from. It is made to be searched, never to be shown.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["WALL", "Reading", "is_figure", "mixed_alphabets", "readings"]

WALL: Final = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands for a citation or a known id: neither a letter nor a blank, so nothing joins across it."""

_ESCAPED: Final = re.compile(
    r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
    r"|\\(?:u[0-9a-fA-F]{4}|u\{[0-9a-fA-F]{1,6}\}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|N\{[A-Za-z0-9 -]{2,60}\})"
    r"|%[2-7][0-9a-fA-F]"
)
_MARKUP: Final = re.compile(r"<!--.{0,200}?-->|</?[A-Za-z][^<>]{0,100}>|[*_`~^\\]+", re.DOTALL)

# Letters of other alphabets that look like a plain one, and plain letters in disguise that no normal form
# undoes. The left string's letters read as the right one's, in order.
_LOOK_ALIKE: Final = str.maketrans(
    # Cyrillic, then Greek, then Armenian
    "аеорсухіѕјһԁԛԝгнткмвипзлАВЕНІЈКМОРСТХУЅГЗЛ"
    "αβεζηικμνορτυχωϲσλΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"
    "օոսռցհեԼՕՏ"
    # small capitals, dotless and barred letters, Cherokee
    "ıɩɑɡʏɪɴᴛᴡᴇꜰʀꜱᴏʜɢᴠᴢʟᴜᴅᴍᴀʙᴄᴊᴋᴘøđłħŧɛəǝʋƒɵƶƨƽ"
    "ᎢᎡᎥᎪᎬᎻᎳᎷᏔᏚᏃᏞᏢᏟᏙᏒᏀᎾ",
    "aeopcyxisjhdqwrhtkmbunelABEHIJKMOPCTXYSrel"
    "abeznikmvoptuxwcslABEZHIKMNOPTYX"
    "onungheLOS"
    "iiagyintwefrsohgvzludmabcjkpodlhteeevfozss"
    "TRIAEHWMWSZLPCVRGO",
)
_LONG: Final = {"ß": "ss", "ẞ": "SS", "æ": "ae", "œ": "oe", "’": "'", "‘": "'", "ʼ": "'", "‐": "-", "‑": "-"}  # noqa: RUF001
# Figures to the eye that Unicode gives no value: Chinese two, both, three, half, fold.
_MORE_FIGURES: Final = frozenset("两俩仨半倍")
_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800")
_NUMBERED_SYMBOL: Final = re.compile(
    r"\d|\b(?:ZERO|ONE|TWO|THREE|FOUR|FIVE|SIX|SEVEN|EIGHT|NINE|TEN|ELEVEN|TWELVE|HUNDRED|THIRTY)\b"
)
_CIRCLED_LETTERS: Final = (0x1F150, 0x1F170, 0x1F1E6)  # negative circled, squared; regional indicators


@dataclass(frozen=True, slots=True)
class Reading:
    """Prose as read.

    Attributes:
        text: Plain letters in their case; any figure is ``0``.
        origin: For each character, where it begins and ends in the prose.
    """

    text: str
    origin: tuple[tuple[int, int], ...]

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where ``text[start:end]``, which is not empty, stands in the prose."""
        return self.origin[start][0], self.origin[end - 1][1]


def readings(prose: str, *, walls: Iterable[tuple[int, int]]) -> Iterator[Reading]:
    """The prose with its markup left out, and, where it has any, with blanks in its place.

    ``tw**en**ty`` is found in the first, ``one<br>percent`` in the second.

    Args:
        prose: What was written.
        walls: Pieces that are not read, in order, without overlap.
    """
    walled = tuple(walls)
    yield _reading(prose, walls=walled, markup="")
    if _MARKUP.search(prose):
        yield _reading(prose, walls=walled, markup=" ")


def is_figure(mark: str) -> bool:
    """Whether a character is a digit or another figure, in any script: ``7``, ``½``, ``Ⅶ``, ``五``, ``⑤``."""
    if unicodedata.numeric(mark, None) is not None or mark in _MORE_FIGURES:
        return True
    return unicodedata.category(mark) == "So" and bool(_NUMBERED_SYMBOL.search(unicodedata.name(mark, "")))


def mixed_alphabets(word: str) -> bool:
    """Whether a word has letters of the Latin alphabet and of another one: no language writes so."""
    alphabets = {
        unicodedata.name(mark, "?").split()[0]
        for mark in unicodedata.normalize("NFKC", word)
        if mark.isalpha() and unicodedata.category(mark) != "Lm"
    }
    return "LATIN" in alphabets and len(alphabets) > 1


def _reading(prose: str, *, walls: tuple[tuple[int, int], ...], markup: str) -> Reading:
    marks: list[str] = []
    origin: list[tuple[int, int]] = []

    def put(text: str, start: int, end: int) -> None:
        marks.extend(text)
        origin.extend([(start, end)] * len(text))

    at = 0
    coming = iter((*walls, (len(prose), len(prose))))
    wall = next(coming)
    while at < len(prose):
        if at == wall[0]:
            put(WALL, *wall)
            at, wall = wall[1], next(coming)
            continue
        if (escaped := _ESCAPED.match(prose, at, wall[0])) is not None:
            put("".join(map(_plain, _unescaped(escaped.group()))), at, escaped.end())
            at = escaped.end()
        elif (tag := _MARKUP.match(prose, at, wall[0])) is not None:
            put(markup, at, tag.end())
            at = tag.end()
        else:
            put(_plain(prose[at]), at, at + 1)
            at += 1
    return Reading("".join(marks), tuple(origin))


def _unescaped(text: str) -> str:
    if text.startswith("&"):
        return html.unescape(text)
    if text.startswith("\\N"):
        try:
            return unicodedata.lookup(text[3:-1])
        except KeyError:
            return text[3:-1]
    point = int(text.lstrip("\\uUx%{").rstrip("}") or "0", 16)
    return chr(point) if point < 0x110000 else ""


def _plain(mark: str) -> str:
    """One character as read: nothing, a blank, a figure as ``0``, plain letters, or itself."""
    if mark.isascii():
        return "0" if mark.isdigit() else (mark if mark.isprintable() else (" " if mark.isspace() else ""))
    if mark.isspace():
        return " "
    if is_figure(mark):
        return "0"
    if mark in _BLANK_LETTERS:
        return ""
    for first in _CIRCLED_LETTERS:
        if 0 <= ord(mark) - first < 26:
            return chr(ord("A") + ord(mark) - first)
    found = []
    for piece in unicodedata.normalize("NFKD", mark):
        if unicodedata.category(piece) in ("Mn", "Me", "Cf", "Cc"):
            continue
        found.append("0" if is_figure(piece) else _LONG.get(piece, piece.translate(_LOOK_ALIKE)))
    return "".join(found)
