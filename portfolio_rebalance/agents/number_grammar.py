"""Which words of a text state a quantity: one rule a family of words, by what stands around them.

The hard ones are ``third`` and its like (a part after ``a``, an order else), ``half`` and ``quarter``
(amounts, or times of the year), and ``one``, which has a module of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from portfolio_rebalance.agents import number_words as words
from portfolio_rebalance.agents.number_one import BEFORE_A_FIGURE, is_count
from portfolio_rebalance.agents.number_words import word_set
from portfolio_rebalance.agents.sentence_words import Place, words_of

__all__ = ["amounts"]

_ROMAN: Final = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_PER_CENT: Final = re.compile(
    r"\s*(?:%|per\s?cent\b|percentage points?\b|bps?\b|basis points?\b)", re.IGNORECASE
)
_FOLD: Final = re.compile(r"(?P<stem>[a-z]+?)-?fold")
_GERMAN: Final = re.compile(
    r"(?:ein|zwei|drei|vier|fue?nf|sechs|sieben|acht|neun)"
    r"(?:und(?:zwanzig|dreissig|vierzig|fue?nfzig|sechzig|siebzig|achtzig|neunzig)|hundert|tausend)\w*"
)
_NAMES_WITH_ROMANS: Final = word_set("basel mifid solvency type tier level war ucits")
_ENUMERATING: Final = word_set("one another second first other")
_LEADING_PART: Final = word_set(
    "by to nearly almost roughly barely exactly about around approximately quite under some and up down",
    "lost loses lose fell fall falls fallen drops dropped rose risen gained gain cut cuts trim trims",
    "trimmed shed",
    "sheds reduced grew grown shrinks shrank shrunk costs takes took holds keeps",
)
_LATER: Final = word_set("ago later earlier end before long old")
_PART_OF: Final = word_set("top bottom upper lower middle remaining other lowest highest")
_HALF_OF_TIME: Final = word_set(
    "first second latter earlier early late later last final next same former better worse"
)
_IS: Final = word_set("is are was were goes sits stays remains comes waits of sat")
_HELD: Final = word_set("in held idle already still cash kept with at")
_QUANTILES: Final = word_set("percentile percentiles decile quantile quartile quintile tercile")
_UNITS_OF_ONE: Final = word_set("percent per percentage basis bp pip point")
_ARTICLES: Final = word_set("a an one full good whole further")


def amounts(text: str) -> Iterator[tuple[int, int, str]]:
    """Where a text states a quantity in words, and why it is one.

    Args:
        text: A reading of :mod:`portfolio_rebalance.agents.plain_reading`.
    """
    found = words_of(text)
    for at, word in enumerate(found):
        why = _why(Place(found, at, text))
        if why:
            yield word.start, word.end, why


def _why(place: Place) -> str:
    """Why a word is a quantity; empty where it is none."""
    word = place.word.stem
    if word == "one":
        return "a number in words" if place.word.text == "one" and is_count(place) else ""
    if _is_field_term(place):
        return ""
    if word in words.CARDINALS:
        return "" if word in ("zero", "nil") and place.before() == "non" else "a number in words"
    if word in words.PLURAL_PARTS:
        return "a part in words"
    if word in words.MULTIPLES:
        return "a multiple in words" if _is_multiple(place) else ""
    if word in ("half", "halfway"):
        return "a part in words" if _is_half(place) else ""
    if word == "quarter":
        return "a part in words" if _is_quarter(place) else ""
    if word in words.ORDERS or word in ("first", "second"):
        return "a part in words" if _is_part(place) else ""
    if word in words.FOREIGN or _GERMAN.fullmatch(word):
        return "a number in another language"
    return _why_rarer(place, word)


def _why_rarer(place: Place, word: str) -> str:
    if (fold := _FOLD.fullmatch(word)) and fold["stem"] in words.CARDINALS:
        return "a multiple in words"
    if word in _UNITS_OF_ONE and _is_amount_of_one(place):
        return "a unit that stands for one"
    if word == "unity" and place.before() in BEFORE_A_FIGURE:
        return "a number in words"
    if word in ("digit", "digits") and place.before() == "single":
        return "a number in words"
    return "a Roman numeral" if _is_roman(place) else ""


def _is_field_term(place: Place) -> bool:
    gap, pair = place.word.gap, (place.word.text, place.after())
    if gap not in ("-", " "):
        return False
    return " ".join(pair) in words.FIELD_TERMS or (gap == "-" and "-".join(pair) in words.FIELD_TERMS)


def _is_multiple(place: Place) -> bool:
    word = place.word.text
    if word == "twice":
        return place.before() not in ("think", "thinks", "thinking", "look")
    if word in ("double", "doubled") and place.after() == "as":
        return place.after(2) not in ("a", "an")  # it doubled as a hedge; it doubled as prices fell
    if word == "halves":
        return place.before() not in ("both", "the", "across", "between", "either")
    return True


def _is_half(place: Place) -> bool:
    if place.word.text == "halfway":
        return not {"meet", "meets", "met"} & {*place.earlier(), *place.later()}
    if place.before() not in _HALF_OF_TIME:
        return True
    if place.after() != "of":
        return False
    owned = {place.after(distance) for distance in (2, 3, 4, 5)}
    return not owned & (words.PERIODS | words.MONTHS)


def _is_quarter(place: Place) -> bool:
    after = place.after()
    if after in ("point", "points"):
        return True
    of_a_period = place.after(2) in words.PERIODS or place.after(3) in words.PERIODS
    if place.before() in _PART_OF:
        return after == "of" and not of_a_period
    if place.before() not in ("a", "one") or after in _LATER:
        return False
    if after == "of":
        return not of_a_period
    if after in words.COMPARATIVES:
        return True
    ends = not after or after in words.FRACTION_FOLLOWERS or after in _IS
    if place.before(2) in _LEADING_PART or (
        place.before(2) == "than" and place.before(3) in ("more", "less")
    ):
        return ends
    return after in ("is", "sits", "stays", "remains") and place.after(2) in _HELD and not place.before(2)


def _is_part(place: Place) -> bool:
    """Whether a word of order is a part, a date, a rate or a quantile."""
    after, before = place.after(), place.before()
    if after in _QUANTILES or _is_date(place):
        return True
    if place.word.text in ("first", "second"):
        return before == "every" and (after in words.UNITS or after in words.COUNTED)
    ends = not after or after in words.FRACTION_FOLLOWERS or after in _IS
    if before in ("remaining", "other"):
        return ends
    if before in _PART_OF:
        return after == "of"
    if before in ("every", "nearest") or before in words.CARDINALS:
        return True
    if before not in _ARTICLES:
        return False
    if after == "of" or before == "one":
        return ends
    listed = any(word in _ENUMERATING or word in words.CARDINALS for word in place.earlier())
    return ends and not listed


def _is_date(place: Place) -> bool:
    after, before = place.after(), place.before()
    if after == "of" and place.after(2) in words.MONTHS:
        return True
    return any(word in words.MONTHS and word not in ("may", "march") for word in (after, before))


def _is_amount_of_one(place: Place) -> bool:
    """Whether a unit has ``a`` where its number would stand: ``within a percent of it``."""
    word, after, step = place.word.text, place.after(), 1
    if word == "per" and after != "cent":
        return False
    if word in ("percentage", "basis") and after != "point":
        return False
    if after in ("sign", "signs", "estimate"):
        return False
    if word == "point" and place.before() not in ("full", "whole"):
        return False  # mostly one of an argument, or of time
    if place.before() in ("full", "whole", "mere", "single", "further", "good"):
        step = 2
    of_one = place.before(step + 1) == "of" and place.before(step + 2) in (
        "fraction",
        "fractions",
        "part",
        "parts",
    )
    return place.before(step) in ("a", "an") and not of_one


def _is_roman(place: Place) -> bool:
    raw = place.word.raw
    if not raw.isupper() or not _ROMAN.fullmatch(raw):
        return False
    if _PER_CENT.match(place.text, place.word.end):
        return True
    if len(raw) < 2 or place.before() in _NAMES_WITH_ROMANS:
        return False
    # IV is volatility, CI an interval, MM a maker: short ones count only where no term of the field looks so.
    return (set(raw) <= set("IVX") and raw != "IV") or len(raw) >= 4
