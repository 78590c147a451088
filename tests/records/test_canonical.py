"""Canonical bytes, exact numbers, frozen records."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from portfolio_rebalance.records import FrozenMap, Instant, Money, Record, StrategyId, canonical_bytes, digest
from portfolio_rebalance.records.base import Exact


class Sample(Record):
    strategy: StrategyId
    amount: Money
    share: Exact
    at: Instant
    inside: FrozenMap[Money]


def sample(**changes: object) -> Sample:
    fields: dict[str, object] = {
        "strategy": "STR-A",
        "amount": Decimal("10.50"),
        "share": Fraction(1, 3),
        "at": datetime(2025, 1, 1, tzinfo=UTC),
        "inside": {"b": Decimal(1), "a": Decimal(2)},
    }
    return Sample.model_validate(fields | changes)


def test_canonical_form_is_sorted_exact_and_without_floats() -> None:
    assert canonical_bytes(sample()) == (
        b'{"amount":"10.5","at":"2025-01-01T00:00:00Z","inside":{"a":"2","b":"1"},"share":"1/3","strategy":"STR-A"}'
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (0.1 + 0.2, '"0.3"'),
        (-0.0, '"0"'),
        (1e-7, '"0.0000001"'),
        (1e22, '"10000000000000000000000"'),
        (Decimal("60.00"), '"60"'),
        (Decimal("1E+3"), '"1000"'),
        (Decimal("-0.0"), '"0"'),
        (Fraction(6, 2), "3"),
        (date(2025, 1, 2), '"2025-01-02"'),
        ({"b": [1, None, True]}, '{"b":[1,null,true]}'),
        (frozenset({"b", "a"}), '["a","b"]'),
    ],
)
def test_plain_values(content: object, text: str) -> None:
    assert canonical_bytes(content).decode() == text


@pytest.mark.parametrize("content", [float("nan"), float("inf"), Decimal("NaN"), Decimal("Infinity")])
def test_what_is_not_finite_has_no_canonical_form(content: object) -> None:
    with pytest.raises(ValueError, match="canonical"):
        canonical_bytes({"x": content})


def test_what_is_unknown_has_no_canonical_form() -> None:
    with pytest.raises(TypeError, match="complex"):
        canonical_bytes(1j)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**13), max_value=10**13))
def test_equal_decimals_have_equal_bytes_and_survive(value: Decimal) -> None:
    text = json.loads(canonical_bytes(value))
    assert Decimal(text) == value
    assert canonical_bytes(value) == canonical_bytes(value * Decimal("1.0"))


@given(st.fractions())
def test_exact_numbers_survive_a_round_trip(value: Fraction) -> None:
    record = sample(share=value)
    assert Sample.model_validate_json(record.model_dump_json()) == record
    assert digest(record) == digest(Sample.model_validate_json(record.model_dump_json()))


def test_a_record_is_frozen_to_the_bottom() -> None:
    record = sample()
    with pytest.raises(ValidationError):
        record.amount = Decimal(1)  # type: ignore[misc]
    with pytest.raises(TypeError):
        record.inside["a"] = Decimal(3)  # type: ignore[index]


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy": "str-a"},
        {"strategy": "STR-"},
        {"strategy": "STR-../x"},
        {"strategy": "STR-A\n"},
        {"strategy": "STR-" + "A" * 34},
        {"amount": 1.5},
        {"amount": True},
        {"amount": "1"},
        {"amount": Decimal("NaN")},
        {"amount": Decimal("1E+30")},
        {"share": 0.5},
        {"share": True},
        {"at": datetime(2025, 1, 1)},
        {"at": datetime(2025, 1, 1, tzinfo=timezone(timedelta(hours=1)))},
        {"unknown": 1},
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        sample(**changes)


@pytest.mark.parametrize("text", ['{"share":"1/0"}', '{"share":"x"}', '{"amount":"ten"}'])
def test_bad_text_is_a_validation_error_and_nothing_else(text: str) -> None:
    good = json.loads(sample().model_dump_json())
    with pytest.raises(ValidationError):
        Sample.model_validate_json(json.dumps(good | json.loads(text)))
