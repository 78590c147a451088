"""Quantities in prose are found, however they are written; ordinary English passes."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_sentences import (
    HELD_OUT_ORDINARY,
    HELD_OUT_QUANTITY,
    KNOWN,
    TUNED_ORDINARY,
    TUNED_QUANTITY,
)
from later_sentences import (
    LATER_HELD_OUT_ORDINARY,
    LATER_HELD_OUT_QUANTITY,
    LATER_TUNED_ORDINARY,
    LATER_TUNED_QUANTITY,
)

from portfolio_rebalance.agents.quantities import Span, quantities_in

QUANTITY = TUNED_QUANTITY + HELD_OUT_QUANTITY
ORDINARY = TUNED_ORDINARY + HELD_OUT_ORDINARY
LATER_QUANTITY = LATER_TUNED_QUANTITY + LATER_HELD_OUT_QUANTITY
LATER_ORDINARY = LATER_TUNED_ORDINARY + LATER_HELD_OUT_ORDINARY

# fmt: off
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
# fmt: on


def spelled(number: int) -> str:
    """A number below a million in English words, written apart from the rules under test."""
    if number < 20:
        return _SMALL[number]
    if number < 100:
        ten, rest = divmod(number, 10)
        return _TENS[ten] + (f"-{_SMALL[rest]}" if rest else "")
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    many, rest = divmod(number, size)
    return f"{spelled(many)} {name}" + (f" {spelled(rest)}" if rest else "")


def flagged(sentence: str) -> tuple[Span, ...]:
    return quantities_in(sentence, known=KNOWN)


def texts(sentence: str) -> list[str]:
    return [span.text for span in flagged(sentence)]


@pytest.mark.parametrize(
    ("quantity", "ordinary", "least"),
    [
        pytest.param(TUNED_QUANTITY, TUNED_ORDINARY, 240, id="tuned"),
        pytest.param(HELD_OUT_QUANTITY, HELD_OUT_ORDINARY, 80, id="held-out"),
        pytest.param(LATER_TUNED_QUANTITY, LATER_TUNED_ORDINARY, 440, id="later-tuned"),
        pytest.param(LATER_HELD_OUT_QUANTITY, LATER_HELD_OUT_ORDINARY, 110, id="later-held-out"),
        pytest.param(QUANTITY + LATER_QUANTITY, ORDINARY + LATER_ORDINARY, 900, id="all"),
    ],
)
def test_precision_and_recall_over_the_labelled_sentences(
    quantity: tuple[str, ...], ordinary: tuple[str, ...], least: int
) -> None:
    missed = [sentence for sentence in quantity if not flagged(sentence)]
    false = {sentence: texts(sentence) for sentence in ordinary if flagged(sentence)}
    found = len(quantity) - len(missed)

    assert len(set(quantity)) == len(quantity)
    assert len(set(ordinary)) == len(ordinary)
    assert len(quantity) + len(ordinary) >= least
    assert 0.4 < len(quantity) / (len(quantity) + len(ordinary)) < 0.6
    assert found / len(quantity) >= 0.98, f"missed: {missed}"
    assert found / (found + len(false)) >= 0.98, f"false: {false}"


def test_a_number_that_looks_like_a_term_of_the_field_is_found() -> None:
    for sentence, figure in (
        ("A three-way split would be fairer.", "three"),
        ("It needs a million-dollar book.", "million"),
        ("They are held at a one to one ratio.", "one"),
        ("A one-for-one swap would do.", "one"),
        ("It trips after one more bad day.", "one"),
        ("A gain of a full point pays for it.", "point"),
    ):
        assert texts(sentence) == [figure], sentence


def test_some_day_and_the_only_one_are_no_counts() -> None:
    for sentence in (
        "One day the regime will change.",
        "One day S1 recovers.",
        "It is the one draft to take.",
    ):
        assert texts(sentence) == [], sentence
    assert texts("One day is missing.") == ["One"]
    assert texts("The one percent loss was a surprise.") == ["one percent"]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Costs are 12.5 % of it.", ["12.5 %"]),
        ("Costs are twenty-five percent.", ["twenty-five percent"]),
        ("It takes two and a half days, or 2 and 3.", ["two and a half", "2", "3"]),
        ("Of {F12}, half is cash; S1 has a third.", ["half", "third"]),
        ("tw**en**ty percent", ["tw**en**ty percent"]),
        ("About zero point eight.", ["zero point eight"]),
        (
            "Two thousand and one trades, nine hundred one fills.",
            ["Two thousand and one", "nine hundred one"],
        ),
    ],
)
def test_a_span_is_the_whole_quantity_as_written(sentence: str, expected: list[str]) -> None:
    assert texts(sentence) == expected
    for span in flagged(sentence):
        assert sentence[span.start : span.end] == span.text
        assert span.why


def test_known_ids_pass_only_as_whole_words() -> None:
    known = {"S1", "STR-001"}
    for sentence in ("S1 and STR-001.", "(S1)", "S1's gain", "S1-like", "S1/STR-001"):
        assert quantities_in(sentence, known=known) == ()
    for sentence in (
        "S12",
        "S1.5",
        "S1,000",
        "S1%",
        "xS1",
        "STR-0012",
        "STR-001-2",
        "S\u200b1",
        "s1",
        "&#S1;2",
    ):
        assert quantities_in(sentence, known=known), sentence
    assert [span.text for span in quantities_in("S1")] == ["S1"]


def test_only_well_formed_citations_pass() -> None:
    assert quantities_in("{F12} {S3} {D2}") == ()
    for sentence in ("{12}", "{F12 }", "{f12}", "{F12,F13}", "F12", "{F\u0661}", "{F12x}"):
        assert quantities_in(sentence), sentence


def test_what_stands_on_either_side_of_a_citation_is_not_joined() -> None:
    assert quantities_in("thir{F1}ty") == ()
    assert texts("S1's even split") == []


@given(
    number=st.integers(0, 999_999),
    frame=st.sampled_from(["{} percent of it", "about {} days", "{} basis points"]),
)
def test_every_spelled_number_before_a_unit_is_found_whole(number: int, frame: str) -> None:
    [span] = quantities_in(frame.format(spelled(number)))

    assert spelled(number) in span.text


@given(number=st.integers(2, 99), data=st.data())
def test_a_spelled_number_is_found_in_disguise(number: int, data: st.DataObject) -> None:
    word = spelled(number).split("-")[0]
    cut = data.draw(st.integers(1, len(word) - 1))
    hidden = data.draw(
        st.sampled_from(
            [
                word[:cut] + mark + word[cut:]
                for mark in (
                    "\u200b",
                    "\u00ad",
                    "\u2060",
                    "\ufeff",
                    "\u0301",
                    "**",
                    "_",
                    "`",
                    "<i>",
                    "</b>",
                    " ",
                    "-",
                )
            ]
            + [" ".join(word), "-".join(word), ".".join(word), word.upper(), word.title()]
            + [word.translate(str.maketrans("oeiac", "\u043e\u0435\u0456\u0430\u0441"))]
            + [word.translate(str.maketrans("eios", "310$"))]
            + ["".join(chr(ord(mark) - 97 + 0x1D41A) for mark in word)]
            + ["".join(chr(ord(mark) - 97 + 0xFF41) for mark in word)]
            + ["".join(f"&#{ord(mark)};" for mark in word), "".join(f"\\u{ord(mark):04x}" for mark in word)]
            + [f"{word}percent", f"{word}point{word}"]
        )
    )

    assert quantities_in(f"Turnover is {hidden} percent."), hidden


@given(st.characters(categories=["Nd", "Nl", "No"]))
def test_every_digit_of_every_script_is_found(mark: str) -> None:
    assert quantities_in(f"Turnover is {mark} of it.")
    assert quantities_in(f"a{mark}b")


@given(st.sampled_from(ORDINARY), st.sampled_from(ORDINARY))
def test_ordinary_sentences_stay_ordinary_side_by_side(first: str, second: str) -> None:
    assert texts(f"{first} {second}") == []


@given(st.sampled_from(QUANTITY), st.sampled_from(ORDINARY))
def test_a_quantity_is_found_beside_any_ordinary_sentence(quantity: str, ordinary: str) -> None:
    assert flagged(f"{ordinary} {quantity}")
    assert flagged(f"{quantity}\n{ordinary}")


@settings(max_examples=300)
@given(st.text(max_size=80))
def test_any_text_is_read_and_its_spans_are_in_order_and_apart(text: str) -> None:
    found = quantities_in(text, known=KNOWN)

    at = 0
    for span in found:
        assert at <= span.start < span.end <= len(text)
        assert text[span.start : span.end] == span.text
        at = span.end


@pytest.mark.parametrize(
    "piece",
    ["tens", "a ", "one ", "<a", "&#", "{F", "\\u", "ten-", "t e n ", "&amp;", "V", "(one)", "thirds"],
)
def test_hostile_repetition_takes_no_long_time(piece: str) -> None:
    prose = (piece * 1_500)[:1_500]
    start = time.perf_counter()

    quantities_in(prose, known=KNOWN)

    assert time.perf_counter() - start < 2  # a hundred times what it takes


@pytest.mark.parametrize("letter", sorted(set(string.ascii_uppercase)))
def test_single_capital_letters_are_no_roman_numerals(letter: str) -> None:
    assert texts(f"Plan {letter} is sound.") == []
