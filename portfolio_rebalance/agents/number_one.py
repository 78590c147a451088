"""When ``one`` is a number, and when it is a pronoun.

A number: before what is measured or counted (``one percent``, ``one trade``), in a longer number (``one
hundred``, ``one in ten``), after a word that limits (``only one``, ``at most one``), as the value of a
statistic (``a beta of one``). A pronoun, or as good as one: all else (``one of them``, ``the one that``,
``one should``, ``from one strategy to another``, ``one reason``).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from portfolio_rebalance.agents import number_words as words
from portfolio_rebalance.agents.number_words import word_set
from portfolio_rebalance.agents.plain_reading import WALL
from portfolio_rebalance.agents.sentence_words import Place

__all__ = ["BEFORE_A_FIGURE", "is_count"]

BEFORE_A_FIGURE: Final = word_set(
    "of to at near above below under over around exceeds exceed exceeding equals equal is was be are",
    "were stays",
    "reaches reached approaches approaching than toward towards about nearly almost roughly hits hit",
    "within past",
)
"""What stands before the value of a statistic."""

_SHARES: Final = word_set("percent per percentage basis bp bps")
_PRONOUN_AFTER: Final = word_set("that which who whose whom of another we you they i")
_CLAUSE_AFTER: Final = word_set(
    "and but or if so since as means mean implies suggests would will is was has makes leaves then it",
    "the in for",
    "over under because across without with by through until before after when while at on during now",
    "again today",
    "already despite although though whereas between among from",
)
_POINTING: Final = word_set("in of by for to on with within as the this that at")
_ANY: Final = word_set("if when whenever unless from once where")
_EXACTLY: Final = word_set("only just exactly precisely merely barely")
_LIMITING: Final = frozenset(
    {"at least", "at most", "more than", "less than", "fewer than", "up to", "all but"}
)
_MORE: Final = word_set("more extra additional further")
_OWNING: Final = word_set("the its my our their")
_AGENT_BEFORE: Final = word_set("one led run owned held followed used made written driven")
_SOMEBODY: Final = word_set("the a an this that these those it its we our they their i my you") | {WALL}
_COMPARED: Final = word_set("greater more less smaller higher lower larger bigger fewer")


def is_count(place: Place) -> bool:
    """Whether ``one`` is a number here."""
    before = place.before()
    if _is_in_a_number(place):
        return True
    noun, distance = _noun(place)
    if before in ("any", "no", "each", "every"):
        return noun in _SHARES
    if noun in words.UNITS:
        return not (_from_one_to_the_next(place, distance) or _is_some_day(place))
    if noun in words.NAMED and before in _POINTING and distance == 1:
        return False
    if noun and before in _OWNING:
        return False  # the one draft that keeps S1
    if noun:
        return not _is_any(place, distance)
    if place.after() in words.TALKED_OF or place.after(2) in words.TALKED_OF:
        return False
    if before in _EXACTLY:
        return place.before(2) not in _OWNING and (place.after(), place.after(2)) != ("of", "many")
    return f"{place.before(2)} {before}" in _LIMITING or _is_value(place)


def _is_in_a_number(place: Place) -> bool:
    """``one hundred``, ``twenty-one``, ``point one``, ``one in ten``, ``one or two``, ``at one to one``."""
    before, link, number = place.before(), place.after(), place.after(2)
    if link in words.MAGNITUDES or before in words.TENS | words.MAGNITUDES | {"point"}:
        return True
    if before == "and" and place.before(2) in words.MAGNITUDES:
        return True
    counts = number in words.CARDINALS or number == "0"
    if link == "point":
        return counts or number == "one"
    if link in ("to", "for") and number == "one":
        return place.word.gap == "-" or place.after(3) in words.STATISTICS or before in BEFORE_A_FIGURE
    if link in ("in", "or", "to", "out"):
        return counts or (link == "out" and place.after(3) in words.CARDINALS)
    return link == "and" and number == "a" and place.after(3) in ("half", "quarter", "third")


def _noun(place: Place) -> tuple[str, int]:
    """What is counted, past two adjectives at most, and how far it stands; nothing where it is no count.

    After ``one more`` any word may be an adjective: ``one more bad day``.
    """
    more = place.after() in _MORE
    for distance in (1, 2, 3):
        word, follows = place.after(distance), place.after(distance + 1)
        if word == "standard" and follows == "deviation":
            return "deviation", distance + 1
        if word == "third" and follows in ("party", "parties"):
            break
        if word in words.UNITS or word in words.COUNTED or word in words.NAMED:
            return word, distance
        if word not in words.ADJECTIVES and not (more and distance == 2):
            break
    return "", 0


def _from_one_to_the_next(place: Place, distance: int) -> bool:
    """``from one day to the next``, ``one day at a time``."""
    if place.before() == "from":
        return True
    link, article = place.after(distance + 1), place.after(distance + 2)
    return link in ("after", "at", "to") and article in ("another", "the", "a")


def _is_some_day(place: Place) -> bool:
    """``One day the regime will change``, but ``one day is missing``."""
    opens = place.before() in ("", "then", "and", "but", "until")
    return opens and place.after() == "day" and place.after(2) in _SOMEBODY


def _is_any(place: Place, distance: int) -> bool:
    """``if one strategy falls``, ``one strategy gains what another loses``: any one, no count."""
    if place.before() in _ANY or _from_one_to_the_next(place, distance):
        return True
    rest = place.later(distance)
    pairs = set(pairwise(rest))
    return bool({"another", "others"} & set(rest)) or bool({("the", "other"), ("the", "next")} & pairs)


def _is_value(place: Place) -> bool:
    """``a correlation of one``: a statistic before it, and the end of the clause behind it."""
    before, after = place.before(), place.after()
    if before in ("minus", "plus", "sub"):
        return True
    if after in _PRONOUN_AFTER or (after and after not in _CLAUSE_AFTER):
        return False
    if before == "by":
        return place.before(2) not in _AGENT_BEFORE
    if before in words.STATISTICS:
        return after not in ("the", "it", "will", "would", "has")
    if before == "than" and place.before(2) in _COMPARED and after not in ("with", "from", "in", "on"):
        return True
    return before in BEFORE_A_FIGURE and any(word in words.STATISTICS for word in place.earlier())
