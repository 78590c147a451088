"""JSON that a model wrote: read in one way only, or refused with a word about why."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_rebalance.agents.strict_json import strict_json

SCALARS = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(max_size=20)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    SCALARS | NUMBERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_json_can_hold_is_read_as_it_is(value):
    assert strict_json(json.dumps(value)) == value


@given(st.text(max_size=60) | st.lists(st.sampled_from('{}[],:"\\u1e9-NaN '), max_size=30).map("".join))
def test_anything_else_is_refused_and_nothing_else_is_raised(text):
    try:
        value = strict_json(text)
    except ValueError:
        return
    assert json.loads(text) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1, "a": 1}', "a key stands twice in one object"),
        ('{"a": [{"b": 1, "\\u0062": 2}]}', "a key stands twice in one object"),
        ("NaN", "NaN is no number"),
        ('{"a": -Infinity}', "-Infinity is no number"),
        ("1e999", "1e999 is out of range"),
        ("-1e999", "-1e999 is out of range"),
        ("[" * 17 + "]" * 17, "nested deeper than 16"),
        ('{"a":' * 17 + "1" + "}" * 17, "nested deeper than 16"),
        ('"' + "a" * 100_000 + '"', "more than 100000 characters"),
        ('{"a": 1} {"b": 2}', "Extra data"),
        ("{'a': 1}", "Expecting property name"),
        ('{"a": 12', "Expecting ',' delimiter"),
        ("", "Expecting value"),
        ("9" * 5000, "Exceeds the limit"),
    ],
)
def test_what_two_readers_could_differ_about_is_refused(text, why):
    with pytest.raises(ValueError, match=why):
        strict_json(text)


def test_sixteen_levels_are_read():
    assert strict_json("[" * 16 + "]" * 16) == eval("[" * 16 + "]" * 16)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_no_depth_leaves_as_another_error(opening):
    closing = {"[": "]", '{"a":': "}", '[{"a":': "}]"}[opening]
    for depth in [*range(17, 1100, 9), *range(930, 1010), 5000, 15_000]:
        with pytest.raises(ValueError, match=r"nested deeper than 16|more than 100000 characters"):
            strict_json(opening * depth + "1" + closing * depth)
