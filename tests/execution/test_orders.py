"""Orders: one batch of steps out of the moves of strategies, netted inside an account, reductions first."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import pytest
from batches import PLAN_ID, F, book_of_legs, market, markets_of
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio_rebalance.execution.book import Book, prices_of
from portfolio_rebalance.execution.broker import Instrument
from portfolio_rebalance.execution.legs import Move
from portfolio_rebalance.execution.orders import limit_price_of, steps_of, worst_cost
from portfolio_rebalance.records import Market, Side, Step

A, B, C = "STR-A", "STR-B", "STR-C"
BOOK = book_of_legs({A: {}, B: {}, C: {}}, accounts={C: "other"})
"""A and B in one account, C in another."""

MARKETS = markets_of(
    *(
        market(asset, "100", account=name, min_notional="5")
        for asset in ("BTC", "ETH")
        for name in ("main", "other")
    )
)


def move(strategy: str, direction: Literal["reduce", "increase"], cash: str = "0", **quantities: str) -> Move:
    return Move(
        strategy=strategy,
        direction=direction,
        cash=F(cash),
        quantities={asset: F(quantity) for asset, quantity in quantities.items()},
    )


def steps(
    *moves: Move,
    cures: Mapping[str, int] | None = None,
    phase: Literal["forward", "revert"] = "forward",
    next_index: int = 0,
    book: Book = BOOK,
    markets: Mapping[Instrument, Market] = MARKETS,
) -> tuple[Step, ...]:
    return steps_of(
        moves, plan_id=PLAN_ID, phase=phase, book=book, markets=markets, cures=cures, next_index=next_index
    )


def told(batch: Collection[Step]) -> list[str]:
    """Each step in one line: purpose, then the order or the transfers."""
    lines = []
    for step in batch:
        what = [
            f"{one.source or 'pool'}>{one.target or 'pool'} {one.quantity} {one.asset or 'cash'}"
            for one in step.transfers
        ]
        if step.is_order:
            what = [f"{step.strategy} {step.side} {step.quantity} {step.asset} {step.account}"]
        lines.append(f"{step.purpose}: {', '.join(what)}")
    return lines


# --- the order of a batch --------------------------------------------------------------------------------


def test_reductions_come_before_increases_and_each_in_the_order_of_ids() -> None:
    batch = steps(
        move(A, "increase", BTC="1"),
        move(C, "reduce", ETH="-3"),
        move(B, "reduce", ETH="-2"),
    )
    assert told(batch) == [
        "reduce: STR-B SELL 2 ETH main",
        "reduce: STR-C SELL 3 ETH other",
        "increase: STR-A BUY 1 BTC main",
    ]


def test_those_that_cure_a_broken_limit_come_first() -> None:
    batch = steps(move(A, "reduce", BTC="-1"), move(B, "reduce", ETH="-2"), cures={B: 1})
    assert told(batch) == ["reduce: STR-B SELL 2 ETH main", "reduce: STR-A SELL 1 BTC main"]


def test_what_cures_more_limits_comes_before_what_cures_fewer() -> None:
    batch = steps(
        move(A, "reduce", BTC="-1"),
        move(B, "reduce", BTC="-1"),
        move(C, "reduce", BTC="-1"),
        cures={A: 1, B: 2, C: 3},
    )
    assert [step.strategy for step in batch] == [C, B, A]


def test_idle_cash_of_every_reduction_moves_before_the_first_order() -> None:
    batch = steps(move(A, "reduce", "-5", BTC="-1"), move(B, "reduce", "-7", BTC="-2"))
    assert told(batch) == [
        "reduce: STR-A>pool 5 cash",
        "reduce: STR-B>pool 7 cash",
        "reduce: STR-A SELL 1 BTC main",
        "reduce: STR-B SELL 2 BTC main",
    ]


def test_an_increase_never_comes_before_a_reduction_even_where_it_is_named_first() -> None:
    batch = steps(move(A, "increase", BTC="1"), move(B, "reduce", ETH="-2"), cures={A: 1})
    assert told(batch) == ["reduce: STR-B SELL 2 ETH main", "increase: STR-A BUY 1 BTC main"]


def test_a_strategy_first_gives_what_lowers_it_cash_sales_then_purchases_then_takes_cash() -> None:
    covering = move(A, "reduce", "-50", BTC="-2", ETH="1")
    assert told(steps(covering)) == [
        "reduce: STR-A>pool 50 cash",
        "reduce: STR-A SELL 2 BTC main",
        "reduce: STR-A BUY 1 ETH main",
    ]
    repaying = move(A, "reduce", "50", BTC="1", ETH="-2")
    assert told(steps(repaying)) == [
        "reduce: STR-A SELL 2 ETH main",
        "reduce: STR-A BUY 1 BTC main",
        "reduce: pool>STR-A 50 cash",
    ]
    growing = move(A, "increase", "50", BTC="2", ETH="-1")
    assert told(steps(growing)) == [
        "increase: STR-A SELL 1 ETH main",
        "increase: STR-A BUY 2 BTC main",
        "increase: pool>STR-A 50 cash",
    ]


def test_a_move_of_nothing_makes_no_step() -> None:
    assert steps(move(A, "reduce"), move(B, "increase")) == ()
    assert steps() == ()


# --- netting ---------------------------------------------------------------------------------------------


def test_a_sale_and_a_purchase_inside_one_account_become_one_transfer_and_the_rest() -> None:
    batch = steps(move(A, "reduce", BTC="-3"), move(B, "increase", BTC="1"))
    assert told(batch) == ["reduce: STR-A SELL 2 BTC main", "net: STR-A>STR-B 1 BTC"]
    (transfer,) = batch[1].transfers
    assert (transfer.price, batch[1].account, batch[1].quantity) == (Decimal(100), None, 0)
    batch = steps(move(A, "reduce", BTC="-1"), move(B, "increase", BTC="3"))
    assert told(batch) == ["net: STR-A>STR-B 1 BTC", "increase: STR-B BUY 2 BTC main"]
    assert told(steps(move(A, "reduce", BTC="-1"), move(B, "increase", BTC="1"))) == [
        "net: STR-A>STR-B 1 BTC"
    ]


def test_nothing_is_netted_across_accounts_or_assets() -> None:
    batch = steps(move(A, "reduce", BTC="-1"), move(C, "increase", BTC="1"))
    assert told(batch) == ["reduce: STR-A SELL 1 BTC main", "increase: STR-C BUY 1 BTC other"]
    batch = steps(move(A, "reduce", BTC="-1"), move(B, "increase", ETH="1"))
    assert told(batch) == ["reduce: STR-A SELL 1 BTC main", "increase: STR-B BUY 1 ETH main"]


def test_all_netting_is_one_step_between_reductions_and_increases() -> None:
    batch = steps(
        move(A, "reduce", "-10", BTC="-3", ETH="-1"),
        move(B, "increase", "10", BTC="1", ETH="1"),
        move(C, "increase", BTC="1"),
    )
    assert told(batch) == [
        "reduce: STR-A>pool 10 cash",
        "reduce: STR-A SELL 2 BTC main",
        "net: STR-A>STR-B 1 BTC, STR-A>STR-B 1 ETH",
        "increase: pool>STR-B 10 cash",
        "increase: STR-C BUY 1 BTC other",
    ]


def test_several_sellers_and_buyers_are_matched_in_the_order_of_the_batch() -> None:
    book = book_of_legs({key: {} for key in ("STR-A", "STR-B", "STR-C", "STR-D", "STR-E")})
    moves = (
        move("STR-A", "reduce", BTC="-3"),
        move("STR-B", "reduce", BTC="-2"),
        move("STR-C", "increase", BTC="1"),
        move("STR-D", "increase", BTC="3"),
        move("STR-E", "increase", BTC="4"),
    )
    assert told(steps(*moves, book=book)) == [
        "net: STR-A>STR-C 1 BTC, STR-A>STR-D 2 BTC, STR-B>STR-D 1 BTC, STR-B>STR-E 1 BTC",
        "increase: STR-E BUY 3 BTC main",
    ]
    assert told(steps(*moves, book=book, cures={"STR-B": 1})) == [
        "net: STR-B>STR-C 1 BTC, STR-B>STR-D 1 BTC, STR-A>STR-D 2 BTC, STR-A>STR-E 1 BTC",
        "increase: STR-E BUY 3 BTC main",
    ]


@pytest.mark.parametrize(("bought", "netted"), [("0.95", True), ("0.951", False), ("1", True)])
def test_where_the_rest_would_be_too_small_for_the_venue_nothing_is_netted(bought: str, netted: bool) -> None:
    """Of 1 BTC sold at 100, less than 0.05 would stay to be sold for the 5 that the venue asks."""
    batch = told(steps(move(A, "reduce", BTC="-1"), move(B, "increase", BTC=bought)))
    if not netted:
        assert batch == ["reduce: STR-A SELL 1 BTC main", f"increase: STR-B BUY {bought} BTC main"]
    else:
        assert f"net: STR-A>STR-B {bought} BTC" in batch
    other_way = told(steps(move(A, "reduce", BTC=f"-{bought}"), move(B, "increase", BTC="1")))
    assert any(line.startswith("net") for line in other_way) is netted


def test_one_instrument_that_is_not_netted_does_not_keep_another_from_it() -> None:
    batch = steps(move(A, "reduce", BTC="-1", ETH="-1"), move(B, "increase", BTC="0.99", ETH="1"))
    assert told(batch) == [
        "reduce: STR-A SELL 1 BTC main",
        "net: STR-A>STR-B 1 ETH",
        "increase: STR-B BUY 0.99 BTC main",
    ]


def test_what_raises_a_strategy_waits_until_what_lowers_it_is_netted() -> None:
    """A is worth 100 less once it is netted; covering and repaying before would lift it above its start."""
    batch = steps(move(A, "reduce", "20", BTC="-1", ETH="0.3"), move(B, "increase", BTC="1"))
    assert told(batch) == [
        "net: STR-A>STR-B 1 BTC",
        "reduce: STR-A BUY 0.3 ETH main",
        "reduce: pool>STR-A 20 cash",
    ]


def test_what_lowers_a_strategy_comes_before_what_raises_it_is_netted() -> None:
    """B is worth 100 more once it is netted; selling and borrowing after would leave it above its end."""
    batch = steps(move(A, "reduce", BTC="-1"), move(B, "increase", "-20", BTC="1", ETH="-0.3"))
    assert told(batch) == [
        "increase: STR-B>pool 20 cash",
        "increase: STR-B SELL 0.3 ETH main",
        "net: STR-A>STR-B 1 BTC",
    ]


# --- what a step says ------------------------------------------------------------------------------------


def test_ids_derive_from_plan_and_index_and_suit_every_venue() -> None:
    batch = steps(move(A, "reduce", "-1", BTC="-1"), move(C, "increase", BTC="1"), next_index=9_999)
    assert [step.client_id for step in batch] == [
        "tpr-3f9a3f9a3f9a3f9a3f9a-9999",
        "tpr-3f9a3f9a3f9a3f9a3f9a-10000",
        "tpr-3f9a3f9a3f9a3f9a3f9a-10001",
    ]
    assert [step.index for step in batch] == [9_999, 10_000, 10_001]
    assert all(re.fullmatch(r"[.A-Z:/a-z0-9_-]{1,36}", step.client_id) for step in batch)


def test_steps_are_counted_from_nought_and_say_their_phase() -> None:
    forward = steps(move(A, "reduce", "-1", BTC="-1"))
    assert [(step.index, step.phase) for step in forward] == [(0, "forward"), (1, "forward")]
    assert forward[0].client_id == "tpr-3f9a3f9a3f9a3f9a3f9a-0000"
    assert {step.phase for step in steps(move(A, "reduce", BTC="-1"), phase="revert")} == {"revert"}


def test_quantities_are_exact_to_the_eighteenth_place() -> None:
    tiny = "0.000000000000000001"
    batch = steps(move(A, "reduce", f"-{tiny}", BTC=f"-123456789012345678{tiny[1:]}"))
    assert batch[0].transfers[0].quantity == Decimal(tiny)
    assert str(batch[1].quantity) == f"123456789012345678{tiny[1:]}"


# --- the worst price and the worst cost ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "price", "tolerance_bps", "limit"),
    [
        ("BUY", "100", "30", "100.3"),
        ("SELL", "100", "30", "99.7"),
        ("BUY", "100", "0", "100"),
        ("SELL", "100", "0", "100"),
        ("BUY", "0.000000000333", "30", "0.000000000333"),
        ("SELL", "0.000000000333", "30", "0.000000000333"),
        ("SELL", "0.000000001", "1", "0.000000001"),
        ("BUY", "61234.567890123456", "12.5", "61311.111099986110"),
        ("SELL", "61234.567890123456", "12.5", "61158.024680260802"),
    ],
)
def test_a_limit_price_is_within_the_tolerance_to_the_last_place(
    side: Side, price: str, tolerance_bps: str, limit: str
) -> None:
    found = limit_price_of(side, Decimal(price), tolerance_bps=Decimal(tolerance_bps))
    assert found == Decimal(limit)


@given(
    side=st.sampled_from(["BUY", "SELL"]),
    price=st.decimals("0.000001", "99999999", places=12),
    tolerance_bps=st.decimals(0, 100, places=2),
)
def test_a_limit_price_never_goes_beyond_the_tolerance_and_stops_no_sooner_than_it_must(
    side: Side, price: Decimal, tolerance_bps: Decimal
) -> None:
    sign = 1 if side == "BUY" else -1
    exact = F(price) * (1 + sign * F(tolerance_bps) / 10_000)
    found = F(limit_price_of(side, price, tolerance_bps=tolerance_bps))
    assert 0 <= sign * (exact - found) < F(1, 10**12)


def test_the_worst_cost_is_the_tolerance_and_the_commission_on_the_limit_price_of_every_order() -> None:
    markets = markets_of(market("BTC", "100", commission_bps="10"), market("ETH", "100", commission_bps="0"))
    batch = steps(move(A, "reduce", "-50", BTC="-3"), move(B, "increase", BTC="1", ETH="4"), markets=markets)
    assert told(batch)[-2:] == ["net: STR-A>STR-B 1 BTC", "increase: STR-B BUY 4 ETH main"]
    cost = worst_cost(batch, markets=markets, tolerance_bps=Decimal(30))
    assert cost == F("0.6") + F("200.6") * F("0.001") + F("1.2")
    assert worst_cost(batch, markets=markets, tolerance_bps=Decimal(0)) == F("0.2")
    assert worst_cost(batch[:1], markets=markets, tolerance_bps=Decimal(30)) == 0


# --- whatever moves --------------------------------------------------------------------------------------

SIZES = st.decimals("-5", "5", places=2).map(str)


@st.composite
def many_moves(draw: st.DrawFn) -> tuple[Book, list[Move]]:
    ids = [f"STR-{letter}" for letter in "ABCDEF"[: draw(st.integers(1, 6))]]
    book = book_of_legs(
        {key: {} for key in ids}, accounts={key: draw(st.sampled_from(["main", "other"])) for key in ids}
    )
    moves = [
        move(
            key,
            draw(st.sampled_from(["reduce", "increase"])),
            draw(SIZES),
            **{asset: draw(SIZES) for asset in draw(st.sets(st.sampled_from(["BTC", "ETH"])))},
        )
        for key in ids
    ]
    return book, [replace_zeros(one) for one in moves]


def replace_zeros(one: Move) -> Move:
    sizes = {asset: str(size) for asset, size in one.quantities.items() if abs(size) * 100 >= 5}
    return move(one.strategy, one.direction, str(one.cash), **{k: str(F(v)) for k, v in sizes.items()})


@settings(max_examples=200)
@given(many_moves())
def test_the_steps_of_a_batch_add_up_to_its_moves(given_: tuple[Book, list[Move]]) -> None:
    book, moves = given_
    batch = steps(*moves, book=book)
    held: dict[tuple[str, str | None], Fraction] = {}

    def add(party: str | None, asset: str | None, quantity: Fraction) -> None:
        if party is not None:
            held[party, asset] = held.get((party, asset), F(0)) + quantity

    for step in batch:
        if step.is_order:
            sign = 1 if step.side == "BUY" else -1
            add(step.strategy, step.asset, sign * F(step.quantity))
            assert F(step.quantity) * 100 >= 5
            assert step.account == book.accounts[str(step.strategy)]
        for transfer in step.transfers:
            add(transfer.source, transfer.asset, -F(transfer.quantity))
            add(transfer.target, transfer.asset, F(transfer.quantity))
    expected = {
        **{(one.strategy, None): one.cash for one in moves},
        **{(one.strategy, asset): size for one in moves for asset, size in one.quantities.items()},
    }
    assert {key: size for key, size in held.items() if size} == {
        key: size for key, size in expected.items() if size
    }


@settings(max_examples=200)
@given(many_moves())
def test_no_strategy_passes_a_higher_point_than_its_start_or_its_end(given_: tuple[Book, list[Move]]) -> None:
    book, moves = given_
    prices = prices_of(MARKETS.values())
    change = {
        one.strategy: one.cash
        + sum(
            (size * prices[book.accounts[one.strategy], asset] for asset, size in one.quantities.items()),
            F(0),
        )
        for one in moves
    }
    so_far = dict.fromkeys(change, F(0))
    for step in steps(*moves, book=book):
        if step.is_order:
            so_far[str(step.strategy)] += (1 if step.side == "BUY" else -1) * F(step.quantity) * 100
        for transfer in step.transfers:
            worth = F(transfer.quantity) * (100 if transfer.asset else 1)
            for party, sign in ((transfer.source, -1), (transfer.target, 1)):
                if party is not None:
                    so_far[party] += sign * worth
        for key, gained in so_far.items():
            assert gained <= max(F(0), change[key]), (key, step)
    assert so_far == change


def test_the_order_in_which_moves_are_given_does_not_matter() -> None:
    moves = [move(A, "reduce", BTC="-3"), move(B, "increase", BTC="1", ETH="2"), move(C, "increase", "5")]
    assert steps(*moves) == steps(*reversed(moves))
