"""What we write as YAML, our strict reader reads back, and so does every other reader."""

from __future__ import annotations

import math
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from portfolio_rebalance.errors import StrictYamlError
from portfolio_rebalance.workspace import strict_yaml, to_yaml
from portfolio_rebalance.workspace.plain_yaml import scalar_text


def read(data: bytes) -> Any:
    return strict_yaml.parse(data.decode(), label="F").value


def test_is_as_readable_as_by_hand() -> None:
    content = {
        "as_of": "2019-10-01T02:00:00Z",
        "currency": "USD",
        "cash": Decimal("37680.50"),
        "strategies": ["STR-001", "STR-003"],
        "none": None,
        "flagged": True,
        "current_allocations": {"STR-001": {"capital": 20400, "drift_percent": Decimal("2.00"), "pnl": {}}},
        "warnings": ["based on stale data: STR-001", "x" * 90],
        "steps": [{"from": 34, "to": [], "inner": {"a": [1, 2]}}, [], ["a", ["b"]], {}],
    }
    text = f"""\
as_of: "2019-10-01T02:00:00Z"
currency: USD
cash: 37680.50
strategies: [STR-001, STR-003]
none: null
flagged: true
current_allocations:
  STR-001:
    capital: 20400
    drift_percent: 2.00
    pnl: {{}}
warnings:
  - "based on stale data: STR-001"
  - {"x" * 90}
steps:
  - from: 34
    to: []
    inner:
      a: [1, 2]
  - []
  - - a
    - - b
  - {{}}
"""
    assert to_yaml(content).decode() == text
    assert read(to_yaml(content)) == content


plain_text = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
)
AWKWARD = """
yes No ON off y n true False null ~ .nan nan .inf -inf 1e3 010 0x1f 1_000 1:30 1.5 -3 +1 2019-10-01 = << - ?
#c a#b a:b &a *a !t |x >x %d @a `a 'a "a [a {a a] a} , a,b --- ... \u00e9 \u4e2d \U0001f600
"""
awkward = st.sampled_from(AWKWARD.split()) | st.sampled_from(
    ["", " ", " a", "a ", "a: b", "a #b", "a\nb", "a\n", "\ta", "a\\b", "a\tb", "\r\n", "a  b"]
)
texts = plain_text.filter(lambda text: "\u3164" not in text) | awkward
numbers = (
    st.integers(-(10**17), 10**17)
    | st.decimals(-(10**12), 10**12, places=6)
    | st.floats(allow_nan=False, allow_infinity=False, min_value=-1e18, max_value=1e18)
)
plain = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def readable(value: Any) -> bool:
    """Whether it can be written at all: the strict reader calls some letters invisible."""
    try:
        to_yaml(value)
    except ValueError:
        return False
    return True


@settings(deadline=None)
@given(plain.filter(readable))
def test_strict_reader_reads_the_same_values_in_the_same_order(value: Any) -> None:
    assert same(read(to_yaml(value)), value)


def same(back: Any, value: Any) -> bool:
    if isinstance(value, dict):
        return list(back) == list(value) and all(same(back[key], value[key]) for key in value)
    if isinstance(value, list):
        return len(back) == len(value) and all(map(same, back, value))
    if isinstance(value, float):
        return abs(float(back) - value) <= 1e-20 + 1e-15 * abs(value)
    return type(back) is type(value) and back == value if not isinstance(value, Decimal) else back == value


@settings(deadline=None)
@given(texts.filter(readable))
def test_text_stays_text_for_every_reader(text: str) -> None:
    contents = [[text], {"key": text}, {"key": [text, 1]}, {text: 1}]
    for data in map(to_yaml, filter(readable, contents)):
        assert yaml.safe_load(data) == YAML(typ="safe").load(StringIO(data.decode())) == read(data)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.10"), "-0.10"),
        (Decimal("1E-7"), "0.0000001"),
        (1e-7, "0.0000001"),
        (0.1, "0.1"),
        (1e22, "10000000000000000000000.0"),
        (1.2345678901234567e-30, "0.00000000000000000000"),
        (-0.0, "-0.0"),
        (Decimal(10**19), "10000000000000000000.0"),
    ],
)
def test_numbers_are_written_out(value: float | Decimal, text: str) -> None:
    assert scalar_text(value) == text
    assert read(to_yaml({"x": value}))["x"] == Decimal(text)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        Decimal("NaN"),
        Decimal("Infinity"),
        10**18,
        1e300,
        Decimal("0." + "1" * 60),
    ],
)
def test_number_that_could_not_be_read_back_is_refused(value: float | Decimal) -> None:
    with pytest.raises(ValueError, match=r"."):
        to_yaml({"x": value})


@pytest.mark.parametrize(
    "text", ["a\u200bb", "\u202eabc", "\x00", "\x7f", "\ud800", "\ufeff", "a\rb", "\u2028"]
)
def test_text_that_could_not_be_read_back_is_refused(text: str) -> None:
    with pytest.raises((ValueError, UnicodeEncodeError)):
        to_yaml({"x": text})


def test_key_that_merges_is_refused() -> None:
    with pytest.raises(ValueError, match="merges"):
        to_yaml({"<<": {"a": 1}})


@pytest.mark.parametrize("value", [object(), b"x", {1: 2}, {"a": {1, 2}}, {None: 1}, [1 + 2j]])
def test_what_is_not_plain_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        to_yaml(value)


def test_nesting_is_as_deep_as_the_reader_takes_and_no_deeper() -> None:
    value: Any = {"x": 1}
    for _ in range(15):
        value = {"x": value}
    assert read(to_yaml(value)) == value
    with pytest.raises(ValueError, match="deeper"):
        to_yaml({"x": value})
    with pytest.raises(StrictYamlError):
        read(b"x: " + b"[" * 16 + b"]" * 16)


@pytest.mark.parametrize("value", [None, True, 3, "x", [], {}])
def test_single_values_are_documents_too(value: object) -> None:
    assert read(to_yaml(value)) == value
