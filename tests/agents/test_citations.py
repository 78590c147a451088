"""Only cited figures come out of a model's prose, and any fault keeps all of it in."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_sentences import HELD_OUT_QUANTITY, TUNED_ORDINARY, TUNED_QUANTITY

from portfolio_rebalance.agents.citations import MOST_CHARACTERS, MOST_CITATIONS, render, with_names
from portfolio_rebalance.agents.facts import Fact, FactBook

BOOK = FactBook(
    [
        Fact(id="F1", label="S1 Sharpe ratio", value="0.42"),
        Fact(id="F2", label="D1 turnover", value="12.50", unit="%"),
        Fact(id="F3", label="limit of total deployed", value="95", unit="%"),
        Fact(id="F4", label="total capital", value="1000.00", unit="USDT"),
        Fact(id="F5", label="S1 data", value="stale"),
        Fact(id="F6", label="D1 S1 change", value="-3.00", unit="points"),
        Fact(id="F12", label="lookback", value="90", unit="days"),
    ],
    names={"S1": "STR-001", "S2": "STR-BTC_7", "D1": "the proportional draft"},
)


def text(prose: str) -> str:
    rendered = render(prose, book=BOOK)
    assert rendered.faults == ()
    return rendered.text


def faults(prose: str) -> tuple[str, ...]:
    rendered = render(prose, book=BOOK)
    assert rendered.faults
    assert rendered.text == ""
    assert rendered.cited == ()
    return rendered.faults


@pytest.mark.parametrize(
    ("prose", "expected"),
    [
        ("The ratio is {F1}.", "The ratio is 0.42 (STR-001 Sharpe ratio)."),
        ("It moves {F2}; hold.", "It moves 12.50% (the proportional draft turnover); hold."),
        ("S1 is {F5}.", "STR-001 is stale (STR-001 data)."),
        ("({F4})", "(1000.00 USDT (total capital))"),
        (
            "A change of {F6} is small.",
            "A change of -3.00 points (the proportional draft STR-001 change) is small.",
        ),
    ],
)
def test_a_citation_becomes_value_unit_and_label(prose: str, expected: str) -> None:
    assert text(prose) == expected


@pytest.mark.parametrize(
    ("prose", "expected"),
    [
        ("S1's Sharpe ratio is {F1}.", "STR-001's Sharpe ratio is 0.42."),
        ("The {S1} Sharpe ratio of {F1} is low.", "The STR-001 Sharpe ratio of 0.42 is low."),
        (
            "Now the limit of total deployed: {F3}.",
            "Now the limit of total deployed: 95% (limit of total deployed).",
        ),
        ("Hold, since the lookback is {F12}.", "Hold, since the lookback is 90 days."),
        # Near, but not the very words: the label shows what was cited.
        ("S2's Sharpe ratio is {F1}.", "STR-BTC_7's Sharpe ratio is 0.42 (STR-001 Sharpe ratio)."),
        ("Half-year lookback is {F12}.", "Half-year lookback is 90 days (lookback)."),
        ("Its total capital gain is {F4}.", "Its total capital gain is 1000.00 USDT (total capital)."),
        ("S1's Sharpe ratio is not {F1}.", "STR-001's Sharpe ratio is not 0.42 (STR-001 Sharpe ratio)."),
    ],
)
def test_a_label_is_left_out_only_where_its_very_words_lead_up_to_the_figure(
    prose: str, expected: str
) -> None:
    assert text(prose) == expected


@pytest.mark.parametrize(
    ("prose", "expected"),
    [
        ("S1, {S2} and STR-001.", "STR-001, STR-BTC_7 and STR-001."),
        ("D1 is sound. Take {D1}.", "The proportional draft is sound. Take the proportional draft."),
        ("{S1}'s data and S1-like data", "STR-001's data and STR-001-like data"),
        ("(S1/S2)", "(STR-001/STR-BTC_7)"),
    ],
)
def test_names_become_what_a_person_reads(prose: str, expected: str) -> None:
    assert text(prose) == expected


@pytest.mark.parametrize(
    ("prose", "expected"),
    [
        ("It is {F3} percent high.", "It is 95% (limit of total deployed) high."),
        ("It is {F3} % high.", "It is 95% (limit of total deployed) high."),
        ("Over {F12} days.", "Over 90 days (lookback)."),
        ("A {F12}-day window.", "A 90 days (lookback) window."),
        ("With {F4} USDT.", "With 1000.00 USDT (total capital)."),
        ("By {F6} percentage points.", "By -3.00 points (the proportional draft STR-001 change)."),
    ],
)
def test_a_unit_that_the_fact_brings_is_not_said_again(prose: str, expected: str) -> None:
    assert text(prose) == expected


def test_white_space_becomes_single_blanks_on_one_line() -> None:
    assert text("  Hold.\n\n\tThe\u00a0data   is\r\nold. ") == "Hold. The data is old."
    assert render(" \n", book=BOOK) == render("", book=BOOK)
    assert text("") == ""


def test_facts_are_listed_once_in_the_order_of_their_citation() -> None:
    rendered = render("{F4} and {F1}, {F4} again. {S1}", book=BOOK)

    assert [fact.id for fact in rendered.cited] == ["F4", "F1"]


@pytest.mark.parametrize(
    ("prose", "fault"),
    [
        ("{F99} is high.", "There is no {F99}: cite only ids that you were shown."),
        ("{S9} is high.", "There is no {S9}: cite only ids that you were shown."),
        ("F12 is long.", "Write {F12}, in braces, not F12."),
        ("S9 is high.", "There is no S9: call strategies and drafts by the names that you were shown."),
        ("It is 0.42 now.", 'Write {F1} instead of "0.42", if you mean: S1 Sharpe ratio.'),
        ("It is 95 % now.", 'Write {F3} instead of "95 %", if you mean: limit of total deployed.'),
        ("It is 1,000.00 USDT.", 'Write {F4} instead of "1,000.00", if you mean: total capital.'),
        ("About ten days.", 'Cite a fact instead of writing "ten" (a number in words), or leave it out.'),
        ("{F1, F2}", 'Cite with one id in braces, such as {F1}, not "{F1, F2}".'),
        ("{ F1 }", 'Cite with one id in braces, such as {F1}, not "{ F1 }".'),
        ("Hold } now {.", 'Cite with one id in braces, such as {F1}, not "}".'),
        ("minus {F1}", "{F1} brings its own sign: say it without minus or negative."),
        ("{F1} percent", '{F1} brings its own unit: leave out "percent" behind it.'),
        ("{F3} points", '{F3} brings its own unit: leave out "points" behind it.'),
        ("{F3} times the cap", '{F3} brings its own unit: leave out "times" behind it.'),
        ("See www.example.com now", 'Leave out the address "www.example.com".'),
        ("See https://x.example/a", 'Leave out the address "https://x.example/a".'),
        ("Ask at evil-bank.io.", 'Leave out the address "evil-bank.io".'),
        ("Hold\x1b[m", "Write plain letters and punctuation, without U+001B."),
        ("Hold\u202e", "Write plain letters and punctuation, without U+202E."),
        ("Ho\u200bld \u2028", "Write plain letters and punctuation, without U+200B, U+2028."),
        ("\u043eld", "Write plain letters and punctuation, without U+043E."),
        ("\u03b4\u03ad\u03ba\u03b1", "Write plain letters and punctuation, without U+03B4, U+03AD, U+03BA."),
        ("Hold **now**", "Write plain sentences without markup: leave out * ."),
        ("<b>Hold</b>", "Write plain sentences without markup: leave out < > ."),
        ("Hold &lt;now", "Write plain sentences without markup: leave out &lt; ."),
        ("[red]Hold", "Write plain sentences without markup: leave out [ ] ."),
        ("_Hold_", "Write plain sentences without markup: leave out _ ."),
        ("x" * 30 + " " + "y " * 800, f"Write at most {MOST_CHARACTERS} characters, not 1631."),
    ],
)
def test_a_fault_says_what_to_do_instead(prose: str, fault: str) -> None:
    assert fault in faults(prose)


@pytest.mark.parametrize(
    "prose",
    [
        *("{F1}{F2}", "-{F1}", "\u2212{F1}", "\u2013{F1}", "+{F1}", "${F1}", "={F1}", "x{F1}", "{F1}k"),
        *("{F1}\u20ac", "{F1},{F2}", "{F1}/{F2}", "{F1}e{F2}", "{F1}-{F2}", "{F1}:{F2}"),
        *("{S1}{S2}", "x{S1}", "{S1}{F1}", "twen{S1}ty"),
    ],
)
def test_nothing_may_touch_a_citation_and_make_another_figure_of_it(prose: str) -> None:
    assert any(fault.startswith("Put a blank before and behind {") for fault in faults(prose))


def test_a_figure_that_several_facts_have_suggests_none_of_them() -> None:
    book = FactBook([Fact(id=f"F{n}", label="x", value="7") for n in (1, 2)], names={})

    assert render("It is 7.", book=book).faults == (
        'Cite a fact instead of writing "7" (a figure in digits), or leave it out.',
    )


def test_a_name_that_is_a_number_may_not_be_written_bare() -> None:
    book = FactBook([], names={"S1": "ten", "S2": "10", "S3": "STR-10"})

    assert render("Hold S1, S2, S3, STR-10.", book=book).text == "Hold ten, 10, STR-10, STR-10."
    assert render("It is ten.", book=book).text == ""
    assert render("It is 10.", book=book).text == ""


def test_faults_and_citations_are_limited() -> None:
    many = faults(" and ".join(f"{n} x" for n in range(1, 60)))

    assert len(many) == 13
    assert many[-1] == "There are more faults like these."
    assert faults("{F1} " * (MOST_CITATIONS + 1)) == (
        f"Cite at most {MOST_CITATIONS} times, not {MOST_CITATIONS + 1}.",
    )
    assert text("{F5} " * MOST_CITATIONS).count("stale") == MOST_CITATIONS


def test_code_puts_names_into_its_own_labels() -> None:
    assert with_names("correlation of S1+S2, S10", book=BOOK) == "correlation of STR-001+STR-BTC_7, S10"


@pytest.mark.parametrize("sentence", TUNED_QUANTITY + HELD_OUT_QUANTITY)
def test_no_sentence_with_a_quantity_is_ever_shown(sentence: str) -> None:
    facts = [Fact(id=f"F{n}", label="fact", value="v") for n in range(1, 30)]
    names = {"S1": "STR-A", "S2": "STR-B", "S3": "STR-C", "D1": "this draft", "D2": "that draft"}

    assert render(sentence, book=FactBook(facts, names=names)).text == ""


def test_ordinary_sentences_are_shown() -> None:
    facts = [Fact(id=f"F{n}", label="fact", value="v") for n in range(1, 30)]
    names = {one: f"STR-{one}" for one in ("S1", "S2", "S3", "S14")} | {
        "D1": "this draft",
        "D2": "that draft",
    }
    names |= {"S20": "STR-001", "S21": "STR-TREND_07"}
    book = FactBook(facts, names=names)
    kept = {sentence: render(sentence, book=book).faults for sentence in TUNED_ORDINARY}

    assert {sentence: said for sentence, said in kept.items() if said} == {}


# fmt: off
_PIECES = st.sampled_from([
    "{F1}", "{F2}", "{F4}", "{F9}", "{S1}", "{D1}", "S1", "D1", "S7", "F1", "STR-001", " ", " ", " ",
    ", ", ". ", "-", "%", "the gain", "one", "of", "ten", "1", "\u0663", "\u00bd", "percent", "'s", "{", "}",
    "\u200b", "half", "\n", "(", ")",
])
# fmt: on


@settings(max_examples=1_000)
@given(st.one_of(st.lists(_PIECES, max_size=9).map("".join), st.text(max_size=40)))
def test_every_digit_shown_is_a_cited_fact_s_or_a_known_name_s(prose: str) -> None:
    rendered = render(prose, book=BOOK)

    if rendered.faults:
        assert rendered.text == ""
        return
    left = rendered.text
    for fact in rendered.cited:
        left = left.replace(fact.shown, "").replace(with_names(fact.label, book=BOOK), "")
    for name in BOOK.names.values():
        left = left.replace(name, "")
    assert not re.search(r"\d", left), rendered.text
    assert not any(mark.isnumeric() for mark in left), rendered.text
    assert rendered.text.isprintable()
    assert rendered.text == " ".join(rendered.text.split())


@given(
    st.lists(
        st.sampled_from(["{F1}", "{F2}", "{S1}", "S2", "the gain is", "low,", "hold"]), min_size=1, max_size=9
    )
)
def test_clean_prose_is_always_shown_and_lists_what_it_cites(pieces: list[str]) -> None:
    rendered = render(" ".join(pieces), book=BOOK)

    assert rendered.faults == ()
    assert {fact.id for fact in rendered.cited} == {piece[1:-1] for piece in pieces if piece.startswith("{F")}


@given(st.text(max_size=60))
def test_faults_can_be_printed(prose: str) -> None:
    for fault in render(prose, book=BOOK).faults:
        assert fault.isprintable()
        assert fault.endswith(".")
