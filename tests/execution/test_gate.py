"""The gate: every ceiling in exact money, equality holds, and the smallest excess does not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from batches import BP, LIMITS, F, book_of_legs, market, markets_of

from portfolio_rebalance.execution.book import prices_of
from portfolio_rebalance.execution.gate import (
    Exposure,
    GateLimits,
    Subject,
    allowances,
    below_minimum,
    broken,
    describe,
    exposure_of,
    overages,
    worst_cases,
)
from portfolio_rebalance.records import OrderFill, Step, Transfer

A, B, C = "STR-A", "STR-B", "STR-C"
TINY = F(1, 10**40)
"""Less than any float can tell beside 10 000."""

TOTAL: Subject = ("total_deployed", (A, B, C))
PAIR: Subject = ("correlated_exposure", (A, C))


def alone(key: str) -> Subject:
    return ("individual_max", (key,))


def exposure(a: object = 3400, b: object = 1030, c: object = 2000, *, total: object = 10_000) -> Exposure:
    """In money; basis points of the usual total."""
    return Exposure(
        capital={A: F(str(a)), B: F(str(b)), C: F(str(c))},
        total=F(str(total)),
    )


# --- overages --------------------------------------------------------------------------------------------


def test_an_overage_is_money_times_basis_points_above_each_ceiling() -> None:
    found = overages(exposure(), clusters=[(C, A)], limits=LIMITS)
    assert found == {
        TOTAL: (6430 - 6000) * BP,
        PAIR: (5400 - 3000) * BP,
        alone(A): (3400 - 4000) * BP,
        alone(B): (1030 - 4000) * BP,
        alone(C): (2000 - 4000) * BP,
    }


def test_only_clusters_of_two_or_more_carry_a_limit() -> None:
    found = overages(exposure(), clusters=[(A,), (B, C), ()], limits=LIMITS)
    assert [members for name, members in found if name == "correlated_exposure"] == [(B, C)]


def test_a_bot_counts_in_every_ceiling() -> None:
    book = book_of_legs({A: {}}, own_cash={A: "3000"}, cash="4000", bots={B: "3000"})
    found = overages(exposure_of(book, {}), clusters=[(A, B)], limits=LIMITS)
    assert found == {
        ("total_deployed", (A, B)): 0,
        ("correlated_exposure", (A, B)): 3000 * BP,
        alone(A): -1000 * BP,
        alone(B): -1000 * BP,
    }


def test_the_total_is_what_is_there_and_not_what_was() -> None:
    found = overages(exposure(total=9_999), clusters=[], limits=LIMITS)
    assert found[alone(A)] == 3400 * BP - 4000 * 9_999


def test_exposure_is_read_off_the_book_with_the_pool_in_the_total() -> None:
    book = book_of_legs({A: {"BTC": "0.1"}, B: {"BTC": "-0.05"}}, own_cash={B: "5000"}, cash="700")
    assert exposure_of(book, {("main", "BTC"): F(60_000)}) == Exposure(
        capital={A: F(6000), B: F(2000)}, total=F(8700)
    )


@pytest.mark.parametrize(
    ("subject", "limit_bp"), [(TOTAL, 6000), (PAIR, 3000), (alone(A), 4000), (alone(C), 4000)]
)
def test_each_ceiling_has_its_own_limit(subject: Subject, limit_bp: int) -> None:
    limits = GateLimits.of({"total": 6000, "cluster": 3000, "individual_max": 4000, "individual_min": 100})
    assert limits == LIMITS
    assert limits.ceiling_bp(subject) == limit_bp


def test_limits_are_taken_from_the_names_that_an_execution_records() -> None:
    limits = GateLimits.of({"total": 4, "cluster": 3, "individual_max": 2, "individual_min": 1})
    assert (limits.total_bp, limits.cluster_bp) == (4, 3)
    assert (limits.individual_max_bp, limits.individual_min_bp) == (2, 1)


# --- what may be -----------------------------------------------------------------------------------------


def test_a_ceiling_that_holds_is_allowed_nothing_and_one_that_is_broken_what_it_was() -> None:
    start = {TOTAL: F(-5), PAIR: F(0), alone(A): F(7)}
    assert allowances(start) == {TOTAL: 0, PAIR: 0, alone(A): 7}


def test_a_reduction_is_not_charged_with_what_price_alone_has_added() -> None:
    start = {TOTAL: F(-5), PAIR: F(7), alone(A): F(7), alone(B): F(-5)}
    now = {TOTAL: F(3), PAIR: F(9), alone(A): F(6), alone(B): F(-1)}
    assert allowances(start, now=now) == {TOTAL: 3, PAIR: 9, alone(A): 7, alone(B): 0}


@pytest.mark.parametrize(("over", "is_broken"), [(-TINY, False), (F(0), False), (TINY, True)])
def test_at_what_is_allowed_holds_and_the_least_beyond_does_not(over: F, is_broken: bool) -> None:
    allowed = {TOTAL: F(0), PAIR: F(7)}
    assert broken({TOTAL: over, PAIR: F(7)}, allowed) == ((TOTAL,) if is_broken else ())
    assert broken({TOTAL: F(0), PAIR: 7 + over}, allowed) == ((PAIR,) if is_broken else ())


def test_what_cannot_be_compared_is_broken() -> None:
    assert broken({TOTAL: float("nan")}, {TOTAL: F(0)}) == (TOTAL,)  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("capital", "holds"), [("100", True), (100 - TINY, False), ("0", True), ("0.5", False), ("-1", False)]
)
def test_what_is_held_is_at_least_the_minimum(capital: object, holds: bool) -> None:
    found = below_minimum(exposure(b=capital), limits=LIMITS, dust={})
    assert found == (() if holds else (B,))


@pytest.mark.parametrize(
    ("capital", "counts_as_nothing"), [("3", True), (3 + TINY, False), ("-3", True), (-3 - TINY, False)]
)
def test_dust_counts_as_nothing_and_the_least_more_does_not(capital: object, counts_as_nothing: bool) -> None:
    found = below_minimum(exposure(b=capital), limits=LIMITS, dust={A: F(50), B: F(3)})
    assert found == (() if counts_as_nothing else (B,))


def test_the_minimum_is_a_share_of_what_is_there() -> None:
    assert below_minimum(exposure(b=100, total=10_000 + TINY), limits=LIMITS, dust={}) == (B,)


# --- at worst --------------------------------------------------------------------------------------------

MARKETS = markets_of(market("BTC", "100", commission_bps="10"), market("ETH", "10", commission_bps="20"))
PRICES = prices_of(MARKETS.values())
BOOK = book_of_legs({A: {"BTC": "30"}, B: {"ETH": "100"}}, cash="6000", own_cash={A: "400"})
"""A 3 400, B 1 000, the pool 6 000: 10 400 in all."""


def order(side: str, quantity: str) -> Step:
    return Step.model_validate(
        {
            "index": 0,
            "client_id": "tpr-0",
            "phase": "forward",
            "purpose": "reduce",
            "strategy": A,
            "account": "main",
            "asset": "BTC",
            "side": side,
            "quantity": Decimal(quantity),
        }
    )


def at_worst(side: str, quantity: str, limit: str) -> tuple[Exposure, ...]:
    return worst_cases(
        BOOK, order(side, quantity), prices=PRICES, market=MARKETS["main", "BTC"], limit_price=F(limit)
    )


def test_a_buy_is_judged_unfilled_and_filled_at_its_limit_price_with_the_fee_on_it() -> None:
    before, filled = at_worst("BUY", "5", "102")
    assert before == Exposure(capital={A: F(3400), B: F(1000)}, total=F(10_400))
    # Counted at the mark; 2 of slippage a unit and 10 bps of 510 are gone from the total.
    assert filled == Exposure(capital={A: F(3900), B: F(1000)}, total=F(10_400) - 10 - F("0.51"))


def test_a_sale_is_judged_unfilled_and_filled_with_the_fee_on_the_mark() -> None:
    before, filled = at_worst("SELL", "5", "98")
    assert before == Exposure(capital={A: F(3400), B: F(1000)}, total=F(10_400))
    assert filled == Exposure(capital={A: F(2900), B: F(1000)}, total=F(10_400) - 10 - F("0.5"))


@pytest.mark.parametrize(("side", "limit"), [("BUY", "98"), ("SELL", "102")])
def test_a_price_better_than_the_mark_is_not_counted_on(side: str, limit: str) -> None:
    _, filled = at_worst(side, "5", limit)
    assert filled.total == F(10_400) - 5 * max(F(100), F(limit)) * F("0.001")


def test_the_worst_of_a_batch_is_what_is_left_if_that_is_how_it_is_filled() -> None:
    """The case agrees with the book after such a fill."""
    fill = OrderFill(
        filled=Decimal(5),
        average_price=Decimal(102),
        asset_change=Decimal(5),
        cash_change=Decimal("-510.51"),
        commission=Decimal("0.51"),
    )
    assert at_worst("BUY", "5", "102")[1] == exposure_of(BOOK.filled(A, "BTC", fill), PRICES)


def test_transfers_are_one_case_all_done() -> None:
    moves = (
        Transfer(source=A, target=None, asset=None, quantity=Decimal(100)),
        Transfer(source=A, target=B, asset="BTC", quantity=Decimal(1), price=Decimal(100)),
    )
    step = Step(index=0, client_id="tpr-0", phase="forward", purpose="net", transfers=moves)
    assert worst_cases(BOOK, step, prices=PRICES, market=None, limit_price=F(0)) == (
        Exposure(capital={A: F(3200), B: F(1100)}, total=F(10_400)),
    )


# --- in words --------------------------------------------------------------------------------------------


def test_a_broken_ceiling_is_described_with_share_limit_and_money() -> None:
    found = overages(exposure(), clusters=[(A, C)], limits=LIMITS)
    assert describe(PAIR, found[PAIR], exposure(), LIMITS) == (
        "correlated_exposure of STR-A+STR-C at 54.0000 % against 30.00 % (2400.00 too much)"
    )
    assert describe(TOTAL, found[TOTAL], exposure(), LIMITS) == (
        "total_deployed at 64.3000 % against 60.00 % (430.00 too much)"
    )
    strict = replace(LIMITS, individual_max_bp=3350)
    assert describe(alone(A), F(50 * BP), exposure(), strict) == (
        "individual_max of STR-A at 34.0000 % against 33.50 % (50.00 too much)"
    )
