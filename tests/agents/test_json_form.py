"""Plain JSON: exact, redacted, and its differences readable."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transcript_samples import HIDDEN, JSON, SECRET, as_is, without_secret

from portfolio_rebalance.agents.json_form import (
    canonical_text,
    difference,
    first_difference,
    parsed,
    redacted,
    request_sha256,
    spaced_text,
)

NAMES = ("before", "after")


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


# --- one text for one content ----------------------------------------------------------------------------


def test_the_order_of_keys_does_not_reach_the_text():
    assert canonical_text({"b": [1, None], "a": "é"}) == r'{"a":"\u00e9","b":[1,null]}'
    assert spaced_text({"b": [1, None], "a": "é"}) == r'{"a": "\u00e9", "b": [1, null]}'


@pytest.mark.parametrize("pair", [(0.35, "0.35"), (1, 1.0), (1, True), (0, False), (0.1, 0.1 + 2**-56)])
def test_values_that_are_not_the_same_json_have_different_digests(pair):
    left, right = ({"share": value} for value in pair)
    assert request_sha256(left) != request_sha256(right)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x", object()])
def test_what_is_no_json_has_no_text(value):
    with pytest.raises(ValueError, match=r".+"):
        canonical_text([value])


@given(JSON)
def test_a_text_reads_back_as_its_content(value):
    assert canonical_text(parsed(spaced_text(value))) == canonical_text(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "twice"),
        ("[NaN]", "NaN"),
        ("[-Infinity]", "Infinity"),
        ("[1e999]", "1e999"),
        ("[" * 67 + "1" + "]" * 67, "deeper than 64"),
        ("[" * 100_000, "deeper than 64"),
        ("[" * 5_000 + "]" * 5_000, "deeper than 64"),
        ("1" * 5_000, "digits"),
        ("{", "Expecting"),
        ("", "Expecting"),
        ("1 2", "Extra data"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        parsed(text)


# --- redaction -------------------------------------------------------------------------------------------


def test_every_string_is_redacted_keys_included():
    before = {"a": [SECRET, {"b": f"x{SECRET}y", SECRET: (1, SECRET)}], "n": 0.35, "t": True, "z": None}
    assert redacted(before, without_secret) == {
        "a": [HIDDEN, {"b": f"x{HIDDEN}y", HIDDEN: [1, HIDDEN]}],
        "n": 0.35,
        "t": True,
        "z": None,
    }


def test_keys_that_redaction_makes_equal_are_all_kept():
    before = {"secret-b": 2, "secret-a": 1, "secret-c": 3, "plain": 0}
    after = redacted(before, lambda text: "gone" if text.startswith("secret") else text)
    assert after == {"plain": 0, "gone": 1, "gone 2": 2, "gone 3": 3}


def test_the_redacted_value_is_a_copy():
    before = {"messages": [{"text": "a"}]}
    after = redacted(before, as_is)
    before["messages"][0]["text"] = "b"
    before["messages"].append({})
    assert after == {"messages": [{"text": "a"}]}


@pytest.mark.parametrize(
    "value", [float("nan"), float("-inf"), {1: "a"}, {"a": {None: 1}}, b"x", {1}, nested(66), 1j]
)
def test_what_is_no_json_is_not_redacted_but_refused(value):
    with pytest.raises(ValueError, match=r"no JSON|no string|no number|deeper than 64"):
        redacted(value, as_is)


def test_what_may_be_kept_can_be_read_inside_an_entry():
    deepest = redacted(nested(64), as_is)
    assert parsed(json.dumps({"request": {"a": deepest}})) == {"request": {"a": deepest}}


# --- differences -----------------------------------------------------------------------------------------


@given(JSON, JSON)
def test_values_differ_exactly_where_a_difference_is_shown(before, after):
    same = canonical_text(before) == canonical_text(after)
    assert (difference(before, after, names=NAMES) == "") == same
    assert (first_difference(before, after) == "") == same


def test_a_changed_word_of_a_long_prompt_is_a_changed_line():
    prompt = "".join(f"Rule {number}: keep to it.\n" for number in range(200))
    before = {"system": [{"text": prompt, "type": "text"}]}
    after = {"system": [{"text": prompt.replace("Rule 100: keep", "Rule 100: stick"), "type": "text"}]}
    assert first_difference(before, after) == "system[0].text"
    assert difference(before, after, names=NAMES).splitlines() == [
        "--- before",
        "+++ after",
        "@@ -103,5 +103,5 @@",
        '         "Rule 98: keep to it.\\n"',
        '         "Rule 99: keep to it.\\n"',
        '-        "Rule 100: keep to it.\\n"',
        '+        "Rule 100: stick to it.\\n"',
        '         "Rule 101: keep to it.\\n"',
        '         "Rule 102: keep to it.\\n"',
    ]


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ({"a": [1, 2]}, {"a": [1]}, "a[1]"),
        ({"a": 1}, {"a": 1, "b": 2}, "b"),
        ({"a": {"b": 1}}, {"a": [1]}, "a"),
        ({"a": {"\x1b[2J": 1}}, {"a": {"\x1b[2J": 2}}, 'a."\\u001b[2J"'),
        (1, 2, "the whole"),
    ],
)
def test_the_first_difference_is_named(before, after, place):
    assert first_difference(before, after) == place


@given(st.lists(st.text(max_size=300), max_size=120), st.lists(st.text(max_size=300), max_size=120))
def test_a_difference_is_short_and_holds_nothing_that_moves_a_terminal(before, after):
    shown = difference(before, after, names=NAMES)
    assert shown.isascii()
    assert all(line.isprintable() for line in shown.split("\n"))
    assert len(shown.split("\n")) <= 60
    assert max(map(len, shown.split("\n"))) <= 243


def test_a_difference_says_how_much_it_leaves_out():
    shown = difference(list(range(100)), list(range(100, 200)), names=NAMES).split("\n")
    assert len(shown) == 60
    assert (
        shown[-1] == "... and 146 more lines"
    )  # two names, a place, two brackets, 100 out, 100 in; 59 shown
