"""The words of a text with their neighbours: what a rule looks at when it decides what a word means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from portfolio_rebalance.agents.plain_reading import WALL

__all__ = ["Place", "Word", "words_of"]

_WORD: Final = re.compile(rf"[^\W\d_]+(?:'[^\W\d_]+)*|0+|{WALL}(?:'s)?")
_CLAUSE_END: Final = re.compile(r"[.,;:!?()\[\]\"—–]|\s-\s|\n")  # noqa: RUF001
_SENTENCE_END: Final = re.compile(r"[.!?;]['\")]*\s")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text, and what parts it from the next.

    Attributes:
        text: Lower case; ``0`` for a run of figures.
        raw: As written.
        start: Offset in the text.
        end: Offset behind it.
        gap: What stands between it and the next word.
        clause: Counts the clauses.
        sentence: Counts the sentences.
    """

    text: str
    raw: str
    start: int
    end: int
    gap: str
    clause: int
    sentence: int

    @property
    def stem(self) -> str:
        """Without ``'s``."""
        return self.text.split("'")[0]


def words_of(text: str) -> list[Word]:
    """The words of a text, in order."""
    found = list(_WORD.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    collected, clause, sentence = [], 0, 0
    for match, end in zip(found, ends, strict=False):
        raw, gap = match.group(), text[match.end() : end]
        collected.append(Word(raw.lower(), raw, match.start(), match.end(), gap, clause, sentence))
        clause += bool(_CLAUSE_END.search(gap))
        sentence += bool(_SENTENCE_END.search(gap))
    return collected


@dataclass(frozen=True, slots=True)
class Place:
    """One word among the others of its text.

    Attributes:
        found: All words.
        at: Which one.
        text: Where they stand in.
    """

    found: Sequence[Word]
    at: int
    text: str

    @property
    def word(self) -> Word:
        """The word itself."""
        return self.found[self.at]

    def before(self, distance: int = 1) -> str:
        """The word so far before it in the same clause; empty where there is none."""
        return self._near(self.at - distance)

    def after(self, distance: int = 1) -> str:
        """The word so far behind it in the same clause; empty where there is none."""
        return self._near(self.at + distance)

    def earlier(self) -> list[str]:
        """The words before it in the same sentence."""
        return [word.stem for word in self.found[: self.at] if word.sentence == self.word.sentence]

    def later(self, distance: int = 0) -> list[str]:
        """The words more than ``distance`` behind it in the same sentence."""
        return [
            word.stem for word in self.found[self.at + distance + 1 :] if word.sentence == self.word.sentence
        ]

    def _near(self, index: int) -> str:
        if not 0 <= index < len(self.found) or self.found[index].clause != self.word.clause:
            return ""
        return self.found[index].stem
