"""The search for quantities that a model wrote itself instead of citing a fact.

Contract: figures come from code alone, so a quantity in prose is a fault unless it stands in a citation
(``{F12}``) or is part of a known id (``S1``). Digits of any script count wherever they stand; words count by
:mod:`portfolio_rebalance.agents.number_grammar`; what hides a figure from a search but not from an eye is
undone first (:mod:`portfolio_rebalance.agents.plain_reading`). Where a word can be either, the usual meaning
in a trader's prose decides: an uncited figure that passes is worse than a sentence to be written again.

Not quantities, by decision: order (``the second reason``), times (``the last quarter``), ``once``, ``both``,
``pair``, ``a couple``, ``few``, ``several``, ``single``, ``non-zero``, and the field terms listed in
:mod:`portfolio_rebalance.agents.number_words`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from portfolio_rebalance.agents import number_words as words
from portfolio_rebalance.agents.number_grammar import amounts
from portfolio_rebalance.agents.plain_reading import is_figure, mixed_alphabets, readings
from portfolio_rebalance.agents.sentence_words import Word, words_of

__all__ = ["CITATION", "Span", "quantities_in", "unread"]

CITATION: Final = re.compile(r"\{[FSD][0-9]{1,6}\}")
"""A citation, well formed."""

_NUMERAL: Final = re.compile(r"[^\s{}()\[\]\"“”<>;]+")
_ALPHABETIC: Final = re.compile(r"[^\W\d_]+")
_DISGUISED: Final = re.compile(r"(?<![a-z])[a-z!|@$€£+(]{3,12}(?![a-z])", re.IGNORECASE)
_DISGUISE: Final = str.maketrans("!|@$€£+(", "iiaseltc")
_LETTERS_AS_DIGITS: Final = re.compile(
    r"(?<!\w)[IlOo|]{1,4}\s*(?:%|per\s?cent\b|percent\b|bps?\b|basis points?\b)"
)
_HELD_APART: Final = re.compile(r" {1,2}|[-._·'/*,]|[-‐]\s{1,2}")  # noqa: RUF001
_UNIT_AFTER: Final = re.compile(
    r"[\s-]{0,2}(?:%|‰|per\s?cent\b|percentage[ -]points?\b|basis[ -]points?\b|bps?\b|percent\b)",
    re.IGNORECASE,
)
_LINK: Final = re.compile(r"[\s\-–]{0,3}")  # noqa: RUF001
_LINK_OF_WORDS: Final = re.compile(r"[\s\-–]{0,3}(?:and|point|and a|of a)[\s-]{1,2}", re.IGNORECASE)  # noqa: RUF001
_MOST_FRAGMENTS: Final = 7
_LONGEST_WORD: Final = 40

_SPELLED: Final = words.CARDINALS | words.MULTIPLES | words.PLURAL_PARTS | words.FOREIGN | {"half"}
_TAKEN_APART: Final = (
    words.LOWER | words.TENS | words.TEENS | words.MAGNITUDES | {"zero", "half", "double", "triple", "twice"}
)
_GLUED: Final = re.compile(
    r"(?:one(?=hundred|thousand|million|percent|point|half|third)|{first})(?:{more})+".format(
        first="|".join(sorted(words.CARDINALS | words.ORDERS, key=len, reverse=True)),
        more="|".join(sorted(words.CARDINALS | words.ORDERS | words.GLUE, key=len, reverse=True)),
    )
)


@dataclass(frozen=True, slots=True)
class Span:
    """A quantity in prose.

    Attributes:
        start: Offset of its first character.
        end: Offset behind its last.
        text: What is written there.
        why: What makes it one, in a few words.
    """

    start: int
    end: int
    text: str
    why: str


def unread(known: Collection[str]) -> re.Pattern[str]:
    """What the search passes over: citations, and known ids as whole words.

    An id that could be read on as a longer figure (``S1.5``, ``S1%``) is not passed over.
    """
    ids = "|".join(re.escape(one) for one in sorted(known, key=len, reverse=True) if one)
    words_known = rf"|(?<![\w&#\\])(?:{ids})(?![\w%]|[-.,:/+]?\d)" if ids else ""
    return re.compile(CITATION.pattern + words_known)


def quantities_in(prose: str, *, known: Collection[str] = ()) -> tuple[Span, ...]:
    """Every quantity in prose, in order, outside of citations and known ids.

    Args:
        prose: English, as a model wrote it.
        known: Ids that may stand in it as whole words, whatever digits they hold: ``S1``, ``STR-001``.
    """
    walls = tuple(match.span() for match in unread(known).finditer(prose))
    found = list(_figures(prose, walls))
    for reading in readings(prose, walls=walls):
        text = reading.text
        places = [*amounts(text), *_disguised(text), *_apart(words_of(text)), *_glued(words_of(text))]
        found += [(*reading.place(start, end), why) for start, end, why in places]
        found += [
            (*reading.place(match.start(), match.end()), "a figure in digits")
            for match in re.finditer(r"0+", text)
        ]
    found += [
        (match.start(), match.end(), "a word of mixed alphabets")
        for match in _ALPHABETIC.finditer(prose)
        if not match.group().isascii() and mixed_alphabets(match.group())
    ]
    return tuple(_merged(prose, found, walls))


def _figures(prose: str, walls: tuple[tuple[int, int], ...]) -> Iterator[tuple[int, int, str]]:
    """Every piece between blanks and walls that has a digit, without the punctuation behind it."""
    at = 0
    for start, end in (*walls, (len(prose), len(prose))):
        for match in _NUMERAL.finditer(prose, at, start):
            if any(map(is_figure, match.group())):
                piece = match.group().rstrip(".,:!?'’…")  # noqa: RUF001
                yield match.start(), match.start() + len(piece), "a figure in digits"
        at = end


def _disguised(text: str) -> Iterator[tuple[int, int, str]]:
    """``$ix``, ``f!ve``; ``lO %``."""
    for match in _DISGUISED.finditer(text):
        piece = match.group().lower()
        if not piece.isalpha() and piece.translate(_DISGUISE) in _SPELLED:
            yield *match.span(), "a number in disguise"
    for match in _LETTERS_AS_DIGITS.finditer(text):
        yield *match.span(), "a number in disguise"


def _apart(found: list[Word]) -> Iterator[tuple[int, int, str]]:
    """A number taken apart: ``t w e n t y``, ``thir ty``."""
    for first, word in enumerate(found):
        joined = word.text
        for last in range(first + 1, min(first + _MOST_FRAGMENTS * 2, len(found))):
            if not _HELD_APART.fullmatch(found[last - 1].gap):
                break
            joined += found[last].text
            if len(joined) > 12 or (last - first >= _MOST_FRAGMENTS and len(found[last].text) > 1):
                break
            letters_alone = all(len(piece.text) == 1 for piece in found[first : last + 1])
            if joined in _TAKEN_APART or (joined == "one" and letters_alone):
                yield word.start, found[last].end, "a number taken apart"


def _glued(found: list[Word]) -> Iterator[tuple[int, int, str]]:
    """A number without its blanks: ``twentypercent``."""
    for word in found:
        if len(word.text) > _LONGEST_WORD:
            yield word.start, word.end, "a word too long to be one"
        elif len(word.text) > 5 and word.text not in words.CARDINALS and _GLUED.fullmatch(word.text):
            yield word.start, word.end, "a number in words"


def _merged(
    prose: str, found: list[tuple[int, int, str]], walls: tuple[tuple[int, int], ...]
) -> Iterator[Span]:
    """Overlapping and neighbouring pieces as one span, with the unit behind it."""
    pieces: list[tuple[int, int, str]] = []
    for start, end, why in sorted(found):
        if pieces and _belongs(prose, pieces[-1], (start, end)):
            first, last, known = pieces[-1]
            pieces[-1] = (first, max(last, end), known)
        else:
            pieces.append((start, end, why))
    for start, end, why in pieces:
        barrier = min((wall for wall, _ in walls if wall >= end), default=len(prose))
        unit = _UNIT_AFTER.match(prose, end, barrier)
        stop = unit.end() if unit else end
        yield Span(start, stop, prose[start:stop], why)


def _belongs(prose: str, piece: tuple[int, int, str], following: tuple[int, int]) -> bool:
    """Whether the piece that follows is of the same quantity: ``two and a half``, but not ``2 and 3``."""
    start, end = piece[:2]
    if following[0] <= end or _LINK.fullmatch(prose, end, following[0]):
        return True
    if _LINK_OF_WORDS.fullmatch(prose, end, following[0]) is None:
        return False
    return not any(map(is_figure, prose[start : following[1]]))
