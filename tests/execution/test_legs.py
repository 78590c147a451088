"""Legs: scaled together, in whole lots, never above the goal; the minimum kept to the last unit of cash."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import pytest
from batches import F, book_of_legs, market, markets_of
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio_rebalance.execution.book import Book, prices_of
from portfolio_rebalance.execution.broker import Instrument
from portfolio_rebalance.execution.legs import Move, move_back, moves_to, value_below_a_lot
from portfolio_rebalance.records import Market

A = "STR-A"
BTC, ETH = market("BTC", "100", lot="0.01"), market("ETH", "10", lot="0.1")
MARKETS = markets_of(BTC, ETH)


def holding(own_cash: str = "0", **quantities: str) -> Book:
    return book_of_legs({A: quantities}, own_cash={A: own_cash}, cash="10000")


def moved(
    book: Book,
    goal: object,
    *,
    markets: Mapping[Instrument, Market] = MARKETS,
    keep_at_least: object = 0,
) -> Move:
    return moves_to(
        F(str(goal)),
        strategy=A,
        book=book,
        prices=prices_of(markets.values()),
        markets=markets,
        keep_at_least=F(str(keep_at_least)),
    )


def change(
    direction: str, cash: str = "0", quantities: Mapping[str, str] | None = None
) -> tuple[str, Fraction, dict[str, Fraction]]:
    return direction, F(cash), {asset: F(size) for asset, size in (quantities or {}).items()}


def plain(move: Move) -> tuple[str, Fraction, dict[str, Fraction]]:
    assert move.strategy == A
    return move.direction, move.cash, dict(move.quantities)


def after(book: Book, move: Move, markets: Mapping[Instrument, Market] = MARKETS) -> Fraction:
    """Capital once the move is made."""
    value = sum((size * F(markets["main", asset].price) for asset, size in move.quantities.items()), F(0))
    return book.capital(A, prices_of(markets.values())) + move.cash + value


# --- scaled together -------------------------------------------------------------------------------------


def test_legs_of_a_reduction_are_scaled_by_one_factor() -> None:
    assert plain(moved(holding(BTC="10", ETH="50"), 1200)) == change(
        "reduce", quantities={"BTC": "-2", "ETH": "-10"}
    )


def test_legs_and_cash_of_an_increase_are_scaled_by_one_factor() -> None:
    assert plain(moved(holding("500", BTC="10", ETH="50"), 2400)) == change(
        "increase", "100", {"BTC": "2", "ETH": "10"}
    )


def test_idle_cash_goes_before_positions() -> None:
    book = holding("300", BTC="10")
    assert plain(moved(book, 1100)) == change("reduce", "-200")
    assert plain(moved(book, 1000)) == change("reduce", "-300")
    assert plain(moved(book, 900)) == change("reduce", "-300", {"BTC": "-1"})


def test_the_cash_of_a_strategy_with_shorts_is_scaled_like_a_leg() -> None:
    """Shorts are covered from it: 10 BTC long, 40 ETH short, 600 of cash, 1 200 in all."""
    book = holding("600", BTC="10", ETH="-40")
    assert plain(moved(book, 900)) == change("reduce", "-150", {"BTC": "-2.5", "ETH": "10"})
    assert plain(moved(book, 1500)) == change("increase", "150", {"BTC": "2.5", "ETH": "-10"})


def test_a_strategy_that_is_only_short_is_scaled_with_its_cash() -> None:
    book = holding("1400", ETH="-40")
    assert plain(moved(book, 500)) == change("reduce", "-700", {"ETH": "20"})


def test_borrowed_cash_is_paid_back_in_proportion() -> None:
    book = holding("-500", BTC="10")
    assert plain(moved(book, 400)) == change("reduce", "100", {"BTC": "-2"})
    assert plain(moved(book, 600)) == change("increase", "-100", {"BTC": "2"})


def test_a_strategy_that_is_all_cash_moves_cash_only() -> None:
    assert plain(moved(holding("1000"), 700)) == change("reduce", "-300")
    assert plain(moved(holding("1000"), 1300)) == change("increase", "300")
    assert plain(moved(holding(BTC="0"), 300)) == change("increase", "300")


def test_legs_that_are_worth_nothing_together_are_not_scaled() -> None:
    """Long 10 BTC, short 100 ETH: no factor of nothing makes 500, and none must flip the legs."""
    assert plain(moved(holding(BTC="10", ETH="-100"), 500)) == change("increase", "500")
    assert plain(moved(holding(BTC="10", ETH="-105"), 500)) == change("increase", "550")


def test_the_move_is_measured_at_the_mark() -> None:
    dearer = markets_of(market("BTC", "200", lot="0.01"))
    assert plain(moved(holding(BTC="10"), 1500, markets=dearer)) == change(
        "reduce", quantities={"BTC": "-2.5"}
    )


# --- whole lots ------------------------------------------------------------------------------------------


def test_a_reduction_rounds_up_and_an_increase_down() -> None:
    book = holding(BTC="10")
    assert plain(moved(book, "899.9")) == change("reduce", quantities={"BTC": "-1.01"})
    assert plain(moved(book, "1100.9")) == change("increase", quantities={"BTC": "1"})
    assert plain(moved(book, "999.999")) == change("reduce", quantities={"BTC": "-0.01"})
    assert plain(moved(book, "1000.999")) == change("increase")


def test_what_covers_a_short_rounds_down_and_what_adds_to_it_up() -> None:
    """Buying raises the capital that orders are counted by: rounded up it would miss the ceiling."""
    book = holding("1400", ETH="-40")
    reduced = moved(book, "749.7")
    assert plain(reduced) == change("reduce", "-350.42", {"ETH": "10"})
    assert after(book, reduced) <= F("749.7")
    increased = moved(book, "1250.7")
    assert plain(increased) == change("increase", "350.98", {"ETH": "-10.1"})
    assert after(book, increased) <= F("1250.7")


def test_a_reduction_sells_no_more_than_there_is() -> None:
    book = holding(BTC="0.999")
    assert plain(moved(book, "0.5")) == change("reduce", quantities={"BTC": "-0.99"})


def test_an_exit_sells_every_whole_lot_and_leaves_the_dust() -> None:
    book = holding("12.345678901", BTC="1.2345", ETH="0.05")
    move = moved(book, 0)
    assert plain(move) == change("reduce", "-12.345678901", {"BTC": "-1.23"})
    assert after(book, move) == F("0.45") + F("0.5")


def test_an_exit_covers_shorts_wholly_and_gives_all_its_cash() -> None:
    book = holding("1400", BTC="1", ETH="-40")
    assert plain(moved(book, 0)) == change("reduce", "-1400", {"BTC": "-1", "ETH": "40"})


def test_an_exit_that_leaves_a_part_of_a_short_leaves_the_cash_for_it() -> None:
    """Of 40.05 short 40 can be covered; what is left is worth -0.5, and the strategy is worth nothing."""
    book = holding("1400", ETH="-40.05")
    move = moved(book, 0)
    assert plain(move) == change("reduce", "-1399.5", {"ETH": "40"})
    assert after(book, move) == 0


def test_cash_goes_to_eight_places_and_to_the_side_where_capital_is_lower() -> None:
    assert moved(holding("1000"), "700.0000000049").cash == F("-300")
    assert moved(holding("1000"), "699.9999999951").cash == F("-300.00000001")
    assert moved(holding("1000"), "1300.0000000099").cash == 300


def test_a_reduction_takes_no_more_cash_than_there_is() -> None:
    assert moved(holding("0.000000005", BTC="1"), 50).cash == F("-0.000000005")


# --- what the venue takes --------------------------------------------------------------------------------


def venue(min_notional: str) -> dict[Instrument, Market]:
    return markets_of(
        market("BTC", "100", lot="0.01", min_notional=min_notional),
        market("ETH", "10", lot="0.1", min_notional=min_notional),
    )


def test_a_reduction_below_the_smallest_notional_is_raised_by_a_tenth_above_it() -> None:
    book = holding(BTC="10")
    assert plain(moved(book, 996, markets=venue("5"))) == change("reduce", quantities={"BTC": "-0.06"})
    assert plain(moved(book, 995, markets=venue("5"))) == change("reduce", quantities={"BTC": "-0.05"})


def test_an_increase_below_the_smallest_notional_is_dropped() -> None:
    book = holding(BTC="10")
    assert plain(moved(book, "1004.99", markets=venue("5"))) == change("increase")
    assert plain(moved(book, 1005, markets=venue("5"))) == change("increase", quantities={"BTC": "0.05"})


def test_covering_a_short_below_the_smallest_notional_is_dropped_and_the_goal_is_met_with_cash() -> None:
    book = holding("1400", ETH="-40")
    move = moved(book, 995, markets=venue("5"))
    assert plain(move) == change("reduce", "-7")
    assert move.cash == F("0.995") * 1400 - 1400
    rising = moved(book, 1005, markets=venue("5"))
    assert plain(rising) == change("increase", "5")
    assert after(book, rising) == 1005


def test_a_leg_that_is_too_small_to_trade_is_made_up_by_the_others() -> None:
    """4 of ETH cannot be sold for 5 at least; BTC gives what it should have given."""
    book = holding(BTC="10", ETH="0.4")
    move = moved(book, 502, markets=venue("5"))
    assert plain(move) == change("reduce", quantities={"BTC": "-5.02"})
    assert after(book, move) == 502


def test_a_leg_too_small_to_trade_is_made_up_by_idle_cash_first() -> None:
    """Of a short strategy: 4 of ETH should be sold by half; its own cash gives the two instead."""
    book = holding("600", BTC="-4", ETH="0.4")
    move = moved(book, 102, markets=venue("5"))
    assert plain(move) == change("reduce", "-302", {"BTC": "2"})
    assert after(book, move) == 102


def test_of_several_legs_the_largest_makes_up_first_and_whole_lots_at_a_time() -> None:
    markets = markets_of(
        market("BTC", "100", lot="0.01"),
        market("ETH", "10", lot="0.1"),
        market("SOL", "1", lot="10"),
    )
    book = holding(BTC="5", ETH="60", SOL="9.5")
    move = moved(book, "554.75", markets=markets)
    assert plain(move) == change("reduce", quantities={"BTC": "-2.5", "ETH": "-30.5"})
    assert after(book, move, markets) == F("554.5")


def test_a_strategy_whose_legs_are_all_too_small_stays_above() -> None:
    book = holding(BTC="0.04")
    assert plain(moved(book, 2, markets=venue("5"))) == change("reduce")


def test_a_leg_below_the_smallest_notional_is_dust_after_an_exit() -> None:
    book = holding("7", BTC="0.049")
    assert plain(moved(book, 0, markets=venue("5"))) == change("reduce", "-7")


# --- the minimum -----------------------------------------------------------------------------------------


def test_what_a_reduction_rounds_below_the_minimum_stays_as_its_cash() -> None:
    book = holding(BTC="10")
    move = moved(book, "100.5", keep_at_least="100.5")
    assert plain(move) == change("reduce", "0.5", {"BTC": "-9"})
    assert after(book, move) == F("100.5")


def test_idle_cash_is_left_rather_than_the_minimum_missed() -> None:
    book = holding("30", BTC="1.05")
    move = moved(book, "100.5", keep_at_least="100.5")
    assert plain(move) == change("reduce", "-29.5", {"BTC": "-0.05"})
    assert after(book, move) == F("100.5")


def test_an_order_that_was_raised_to_the_smallest_notional_does_not_miss_the_minimum() -> None:
    book = holding(BTC="1.01")
    move = moved(book, 100, keep_at_least=100, markets=venue("5"))
    assert plain(move) == change("reduce", "5", {"BTC": "-0.06"})
    assert after(book, move) == 100


def test_an_increase_to_the_minimum_meets_it_with_cash() -> None:
    """Bought in whole lots alone it would stay below, and the batch would be refused."""
    book = holding(BTC="0.955")
    move = moved(book, "100.1", keep_at_least="100.1")
    assert after(book, move) == F("100.1")
    assert move.quantities == {"BTC": F("0.04")}
    small = moved(holding(BTC="0.98"), 100, keep_at_least=100, markets=venue("5"))
    assert plain(small) == change("increase", "2")


def test_cash_alone_is_rounded_up_to_the_minimum() -> None:
    """A third of a cent has no eighth place; the minimum does not forgive what is cut."""
    least = F(1000, 3)
    move = moved(holding(), least, keep_at_least=least)
    assert move.cash == F("333.33333334")
    assert moved(holding(), least).cash == F("333.33333333")


# --- the way back ----------------------------------------------------------------------------------------


def way_back(
    book: Book, before: Book, share: object = 1, *, markets: Mapping[Instrument, Market] = MARKETS
) -> Move:
    return move_back(
        F(str(share)),
        strategy=A,
        book=book,
        before=before,
        prices=prices_of(markets.values()),
        markets=markets,
    )


def test_the_way_back_is_what_was_held_leg_by_leg() -> None:
    before = holding("600", BTC="10", ETH="-40")
    now = holding("450", BTC="7.5", ETH="-30")
    assert plain(way_back(now, before)) == change("increase", "150", {"BTC": "2.5", "ETH": "-10"})
    assert plain(way_back(before, now)) == change("reduce", "-150", {"BTC": "-2.5", "ETH": "10"})
    assert plain(way_back(before, before)) == change("increase")


def test_a_share_of_what_was_held_is_a_share_of_every_leg_and_of_the_cash() -> None:
    before = holding("600", BTC="10", ETH="-40")
    now = holding("0")
    assert plain(way_back(now, before, "0.9")) == change("increase", "540", {"BTC": "9", "ETH": "-36"})


def test_the_way_back_buys_in_lots_down_and_sells_in_lots_up() -> None:
    before = holding(BTC="10")
    assert plain(way_back(holding(BTC="5.003"), before)) == change("increase", quantities={"BTC": "4.99"})
    assert plain(way_back(holding(BTC="14.997"), before)) == change("reduce", quantities={"BTC": "-5"})


def test_an_asset_that_was_not_held_before_is_sold_and_one_that_is_gone_is_bought() -> None:
    move = way_back(holding(ETH="50"), holding(BTC="5"))
    assert plain(move) == change("increase", quantities={"BTC": "5", "ETH": "-50"})


def test_the_way_back_stops_at_its_share_where_a_leg_is_too_small_to_sell() -> None:
    before, now = holding("600", BTC="10"), holding("600", BTC="10.04")
    move = way_back(now, before, markets=venue("5"))
    assert plain(move) == change("reduce", quantities={"BTC": "-0.06"})
    before, now = holding("600", ETH="0.1"), holding("600", ETH="0.4")
    move = way_back(now, before, markets=venue("5"))
    assert plain(move) == change("increase", "-3")
    assert after(now, move) == before.capital(A, prices_of(MARKETS.values()))


# --- dust ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantities", "min_notional", "value"),
    [
        ({"BTC": "0.0099"}, "0", "0.99"),
        ({"BTC": "0.01"}, "0", "0"),
        ({"BTC": "-0.0099"}, "0", "0.99"),
        ({"BTC": "0.0099", "ETH": "0.05"}, "0", "1.49"),
        ({"BTC": "0.049", "ETH": "0.5"}, "5", "4.9"),
        ({"BTC": "0.05"}, "5", "0"),
        ({"BTC": "0"}, "5", "0"),
    ],
)
def test_dust_is_less_than_a_lot_or_than_the_smallest_notional(
    quantities: Mapping[str, str], min_notional: str, value: str
) -> None:
    markets = venue(min_notional)
    found = value_below_a_lot(
        A, book=holding("100", **quantities), prices=prices_of(markets.values()), markets=markets
    )
    assert found == F(value)


def test_a_leg_without_a_market_is_not_called_dust() -> None:
    book = holding(BTC="0.001", GONE="1")
    assert value_below_a_lot(A, book=book, prices=prices_of([BTC]), markets=markets_of(BTC)) == F("0.1")


# --- whatever is held ------------------------------------------------------------------------------------

QUANTITIES = st.decimals("-20", "20", places=4)


@st.composite
def holdings(draw: st.DrawFn) -> tuple[Book, dict[Instrument, Market]]:
    """A strategy of two legs and some cash, worth more than nothing."""
    lots = st.sampled_from(["0.0001", "0.01", "0.1"])
    notional = st.sampled_from(["0", "5"])
    markets = markets_of(
        market("BTC", "100", lot=draw(lots), min_notional=draw(notional)),
        market("ETH", "10", lot=draw(lots), min_notional=draw(notional)),
    )
    legs = {"BTC": str(draw(QUANTITIES)), "ETH": str(draw(QUANTITIES))}
    worth = F(legs["BTC"]) * 100 + F(legs["ETH"]) * 10
    own_cash = max(F(draw(st.integers(-1000, 3000))), 20 - worth)
    return book_of_legs({A: legs}, own_cash={A: str(own_cash)}, cash="10000"), markets


@settings(max_examples=300)
@given(holdings(), st.fractions(0, 3, max_denominator=1000))
def test_no_move_ends_above_its_goal_but_for_what_cannot_be_sold(
    held: tuple[Book, dict[Instrument, Market]], factor: Fraction
) -> None:
    book, markets = held
    prices = prices_of(markets.values())
    goal = book.capital(A, prices) * factor
    move = moved(book, goal, markets=markets)
    end = Book(
        accounts=book.accounts,
        own_cash={A: book.own_cash[A] + move.cash},
        quantities={A: {key: q + move.quantities.get(key, F(0)) for key, q in book.quantities[A].items()}},
        pool_cash=book.pool_cash,
        bot_capital={},
    )
    for asset, size in move.quantities.items():
        rules = markets["main", asset]
        assert size % F(rules.lot) == 0
        assert abs(size) * F(rules.price) >= F(rules.min_notional)
        assert book.quantities[A][asset] * end.quantities[A][asset] >= 0, "a leg was flipped"
    above = after(book, move, markets) - goal
    if above > F(1, 10**8):
        left = sum(max(F(0), q) * prices["main", key] for key, q in end.quantities[A].items())
        assert end.own_cash[A] <= 0, "idle cash was left"
        assert move.direction == "increase" or left <= sum(
            max(F(m.lot) * F(m.price), F(m.min_notional) * F("1.1") + F(m.lot) * F(m.price))
            for m in markets.values()
        )


@settings(max_examples=300)
@given(holdings(), st.fractions(F(1, 10), 3, max_denominator=1000))
def test_the_minimum_is_kept_to_a_hundred_millionth(
    held: tuple[Book, dict[Instrument, Market]], factor: Fraction
) -> None:
    book, markets = held
    goal = book.capital(A, prices_of(markets.values())) * factor
    end = after(book, moved(book, goal, markets=markets, keep_at_least=goal), markets)
    assert end >= goal
