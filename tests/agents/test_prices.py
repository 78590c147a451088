"""What tokens cost; what is not known costs as much as the dearest that is."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest

from portfolio_rebalance.agents.messages import Usage
from portfolio_rebalance.agents.prices import Price, dollars, is_known, price_of

DEAREST = Price(
    input=Decimal(15), output=Decimal(75), cache_read=Decimal("1.50"), cache_write=Decimal("18.75")
)


@pytest.mark.parametrize(
    ("model", "fresh", "output", "read", "write"),
    [
        ("claude-opus-5-5", "4", "20", "0.20", "5"),
        ("claude-sonnet-5-5", "2", "10", "0.20", "2.50"),
        ("claude-haiku-5-5", "0.50", "2.50", "0.05", "0.625"),
        ("claude-fable-5-2", "10", "50", "0.25", "12.50"),
        ("claude-fable-5-1", "10", "50", "0.25", "12.50"),
        ("claude-fable-5", "10", "50", "1", "12.50"),
        ("claude-mythos-5-2", "10", "50", "0.25", "12.50"),
        ("claude-opus-5", "5", "25", "0.50", "6.25"),
        ("claude-opus-4-8", "5", "25", "0.50", "6.25"),
        ("claude-opus-4-1", "15", "75", "1.50", "18.75"),
        ("claude-sonnet-5", "2", "10", "0.20", "2.50"),
        ("claude-sonnet-4-6", "3", "15", "0.30", "3.75"),
        ("claude-haiku-4-5", "1", "5", "0.10", "1.25"),
    ],
)
def test_prices_are_those_of_the_list(model: str, fresh: str, output: str, read: str, write: str) -> None:
    expected = Price(
        input=Decimal(fresh), output=Decimal(output), cache_read=Decimal(read), cache_write=Decimal(write)
    )
    assert price_of(model) == expected
    assert is_known(model)
    assert price_of(model).cache_write == price_of(model).input * Decimal("1.25")


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("claude-opus-5-5-20261001", "claude-opus-5-5"),
        ("claude-opus-5-20260724", "claude-opus-5"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("claude-opus-4-5-20251101", "claude-opus-4-5"),
        ("claude-opus-4-5@20251101", "claude-opus-4-5"),
        ("claude-opus-5-5[1m]", "claude-opus-5-5"),
        ("claude-haiku-5-5-latest", "claude-haiku-5-5"),
    ],
)
def test_a_name_with_a_date_or_suffix_finds_its_family(name: str, family: str) -> None:
    assert price_of(name) == price_of(family)
    assert is_known(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "claude",
        "claude-opus-6",
        "claude-opus-5-6",
        "claude-opus-5-56",
        "claude-opus-50",
        "claude-opus-5-5-1-20270101",
        "claude-opus-55",
        "claude-haiku-5-5x",
        "gpt-6",
        "Claude-Haiku-5-5",
        "anthropic.claude-haiku-5-5",
    ],
)
def test_an_unknown_model_costs_as_much_as_the_dearest(name: str) -> None:
    assert price_of(name) == DEAREST
    assert not is_known(name)


def test_dollars_are_counted_exactly() -> None:
    usage = Usage(input_tokens=1_000, output_tokens=333, cache_read_tokens=90_001, cache_write_tokens=7)
    # 0.004 + 0.00666 + 0.0180002 + 0.000035
    assert dollars(usage, model="claude-opus-5-5") == Decimal("0.0286952")
    assert dollars(usage, model="nobody's") == Decimal("0.015") + Decimal("0.024975") + Decimal(
        "0.1350015"
    ) + Decimal("0.00013125")
    assert dollars(Usage(), model="claude-opus-5-5") == 0


def test_the_context_of_the_caller_changes_nothing() -> None:
    usage = Usage(input_tokens=123_456_789, output_tokens=987_654_321)
    with localcontext() as context:
        context.prec = 3
        assert dollars(usage, model="claude-opus-5-5") == Decimal("20246.913576")
