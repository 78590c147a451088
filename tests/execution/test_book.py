"""The book: what each strategy holds, by settled steps alone, exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

import pytest
from batches import F, book_of_legs, market, markets_of
from hypothesis import given
from hypothesis import strategies as st
from workspaces import AS_OF

from portfolio_rebalance.errors import LedgerError
from portfolio_rebalance.execution.book import (
    Book,
    book_after,
    book_of,
    prices_of,
    reconcile_tolerance,
)
from portfolio_rebalance.execution.broker import Broker, Holdings, Instrument
from portfolio_rebalance.records import (
    OrderFill,
    StartedExecution,
    Step,
    StepState,
    StoredStep,
    StrategyBook,
    Transfer,
)

ONE, TWO, BOT = "STR-ONE", "STR-TWO", "STR-BOT"
MARKETS = markets_of(market("BTC", "60000"), market("ETH", "3000"))
PRICES = prices_of(MARKETS.values())


def a_book() -> Book:
    """ONE: 0.5 BTC and 1 000 of cash; TWO: 2 BTC, 10 ETH short, 500 borrowed; BOT: 700; the pool: 20 000."""
    return book_of_legs(
        {ONE: {"BTC": "0.5"}, TWO: {"BTC": "2", "ETH": "-10"}},
        cash="20000",
        own_cash={ONE: "1000", TWO: "-500"},
        bots={BOT: "700"},
    )


# --- what it is worth ------------------------------------------------------------------------------------


def test_capital_is_own_cash_and_positions_with_short_ones_negative() -> None:
    book = a_book()
    assert book.capital(ONE, PRICES) == 31_000
    assert book.positions(TWO, PRICES) == 90_000
    assert book.capital(TWO, PRICES) == 89_500
    assert book.capital(BOT, PRICES) == 700
    assert book.capitals(PRICES) == {BOT: 700, ONE: 31_000, TWO: 89_500}
    assert list(book.capitals(PRICES)) == sorted([ONE, TWO, BOT])


def test_total_is_the_pool_and_all_capital() -> None:
    assert a_book().total(PRICES) == 20_000 + 31_000 + 89_500 + 700


def test_instruments_are_those_of_every_leg_by_account() -> None:
    book = book_of_legs({ONE: {"BTC": "0"}, TWO: {"ETH": "1"}}, accounts={TWO: "other"})
    assert book.instruments == {("main", "BTC"), ("other", "ETH")}


def test_capital_is_exact_beyond_what_a_float_holds() -> None:
    book = book_of_legs({ONE: {"BTC": "123456789012345678.123456789012345678"}}, own_cash={ONE: "0.1"})
    prices = {("main", "BTC"): F("0.000000000003")}
    assert book.capital(ONE, prices) == F("123456789012345678.123456789012345678") * F("3e-12") + F("0.1")
    assert book.capital(ONE, prices) != F(float(book.capital(ONE, prices)))


def test_prices_are_taken_from_markets_by_account_and_asset() -> None:
    listed = [market("BTC", "60000.1"), market("BTC", "60000.2", account="other")]
    assert prices_of(listed) == {("main", "BTC"): F("60000.1"), ("other", "BTC"): F("60000.2")}


# --- transfers and fills ---------------------------------------------------------------------------------


def cash(source: str | None, target: str | None, amount: str) -> Transfer:
    return Transfer(source=source, target=target, asset=None, quantity=Decimal(amount))


def asset(source: str, target: str, name: str, quantity: str, price: str) -> Transfer:
    return Transfer(
        source=source, target=target, asset=name, quantity=Decimal(quantity), price=Decimal(price)
    )


def test_cash_moves_between_a_strategy_and_the_pool_and_leaves_the_total() -> None:
    book = a_book()
    out = book.moved([cash(ONE, None, "250.5")])
    assert (out.own_cash[ONE], out.pool_cash) == (F("749.5"), F("20250.5"))
    into = book.moved([cash(None, TWO, "250.5")])
    assert (into.own_cash[TWO], into.pool_cash) == (F("-249.5"), F("19749.5"))
    across = book.moved([cash(ONE, TWO, "250.5")])
    assert (across.own_cash[ONE], across.own_cash[TWO]) == (F("749.5"), F("-249.5"))
    assert across.pool_cash == book.pool_cash
    assert {one.total(PRICES) for one in (book, out, into, across)} == {book.total(PRICES)}


def test_an_asset_changes_hands_against_the_common_cash() -> None:
    """Capital of the one falls by its value, that of the other rises; no cash of their own moves."""
    after = a_book().moved([asset(ONE, TWO, "BTC", "0.2", "60000")])
    assert after.quantities == {ONE: {"BTC": F("0.3")}, TWO: {"BTC": F("2.2"), "ETH": F(-10)}}
    assert after.own_cash == {ONE: 1000, TWO: -500}
    assert after.pool_cash == 20_000
    assert after.capital(ONE, PRICES) == 19_000
    assert after.capital(TWO, PRICES) == 101_500


def test_an_asset_may_go_to_a_strategy_that_never_held_it() -> None:
    after = a_book().moved([asset(TWO, ONE, "ETH", "1", "3000")])
    assert after.quantities == {ONE: {"BTC": F("0.5"), "ETH": F(1)}, TWO: {"BTC": F(2), "ETH": F(-11)}}


def test_transfers_of_a_step_happen_all_at_once() -> None:
    after = a_book().moved(
        [asset(ONE, TWO, "BTC", "0.2", "60000"), asset(TWO, ONE, "ETH", "1", "3000"), cash(ONE, None, "10")]
    )
    assert after.quantities == {ONE: {"BTC": F("0.3"), "ETH": F(1)}, TWO: {"BTC": F("2.2"), "ETH": F(-11)}}
    assert (after.own_cash[ONE], after.pool_cash) == (990, 20_010)


def test_a_book_that_moves_on_leaves_the_one_before_as_it_was() -> None:
    book, same = a_book(), a_book()
    book.moved([asset(ONE, TWO, "BTC", "0.2", "60000"), cash(ONE, None, "10")])
    book.filled(ONE, "BTC", a_fill("0.1", asset_change="0.1", cash_change="-6000"))
    assert book == same


def a_fill(filled: str, *, asset_change: str, cash_change: str) -> OrderFill:
    return OrderFill(
        filled=Decimal(filled),
        average_price=Decimal(60_000),
        asset_change=Decimal(asset_change),
        cash_change=Decimal(cash_change),
        commission=Decimal(0),
    )


def test_a_fill_is_paid_from_and_into_the_common_cash() -> None:
    bought = a_book().filled(ONE, "BTC", a_fill("0.1", asset_change="0.1", cash_change="-6006"))
    assert (bought.quantities[ONE]["BTC"], bought.own_cash[ONE], bought.pool_cash) == (F("0.6"), 1000, 13_994)
    sold = a_book().filled(ONE, "BTC", a_fill("0.1", asset_change="-0.1", cash_change="5994"))
    assert (sold.quantities[ONE]["BTC"], sold.own_cash[ONE], sold.pool_cash) == (F("0.4"), 1000, 25_994)


def test_a_fee_taken_in_the_asset_is_what_the_account_really_has_less() -> None:
    bought = a_book().filled(ONE, "SOL", a_fill("10", asset_change="9.99", cash_change="-1000"))
    assert bought.quantities[ONE] == {"BTC": F("0.5"), "SOL": F("9.99")}
    assert bought.pool_cash == 19_000


# --- from the journal ------------------------------------------------------------------------------------


def started() -> StartedExecution:
    return StartedExecution(
        plan_id="3f9a",
        at=AS_OF,
        broker="paper",
        currency="USD",
        baseline={
            ONE: StrategyBook(account="main", own_cash=Decimal(1000), quantities={"BTC": Decimal("0.5")}),
            TWO: StrategyBook(
                account="main", own_cash=Decimal(-500), quantities={"BTC": Decimal(2), "ETH": Decimal(-10)}
            ),
        },
        pool_cash=Decimal(20_000),
        bot_capital={BOT: Decimal(700)},
        bot_goals={},
        markets=tuple(MARKETS.values()),
        clusters=(),
        limits_bp={},
        targets_bp={},
    )


def stored(
    state: StepState, *, fill: OrderFill | None = None, transfer: Transfer | None = None
) -> StoredStep:
    order = {} if transfer else {"strategy": ONE, "account": "main", "asset": "BTC", "side": "SELL"}
    step = Step.model_validate(
        {
            "index": 0,
            "client_id": "tpr-0",
            "phase": "forward",
            "purpose": "reduce",
            "transfers": (transfer,) if transfer else (),
            **order,
        }
    )
    return StoredStep(step=step, state=state, fill=fill)


SALE = a_fill("0.1", asset_change="-0.1", cash_change="5994")


def test_the_book_before_the_first_step_is_the_baseline() -> None:
    assert book_of(started()) == a_book()
    assert book_after(started(), []) == a_book()


def test_each_settled_step_counts_once_and_in_order() -> None:
    moved = stored("done", transfer=cash(ONE, None, "250"))
    after = book_after(started(), [moved, stored("done", fill=SALE), stored("done", fill=SALE)])
    assert after.quantities[ONE] == {"BTC": F("0.3")}
    assert (after.own_cash[ONE], after.pool_cash) == (750, 20_000 + 250 + 2 * 5994)


@pytest.mark.parametrize("state", ["planned", "sent", "unknown", "refused", "cancelled"])
def test_an_order_without_a_fill_and_a_transfer_not_done_change_nothing(state: StepState) -> None:
    assert book_after(started(), [stored(state)]) == a_book()
    assert book_after(started(), [stored(state, transfer=cash(ONE, None, "250"))]) == a_book()


def test_a_part_that_was_filled_before_the_rest_was_cancelled_counts() -> None:
    after = book_after(started(), [stored("cancelled", fill=SALE)])
    assert (after.quantities[ONE]["BTC"], after.pool_cash) == (F("0.4"), 25_994)


def test_an_order_that_is_done_without_a_fill_is_no_ledger_of_ours() -> None:
    with pytest.raises(LedgerError, match="Step 0 is done without a fill"):
        book_after(started(), [stored("done")])


# --- against the venue -----------------------------------------------------------------------------------


def holdings(cash: str = "20500", **quantities: str) -> Holdings:
    """All the cash of the book but the bot's, which trades elsewhere."""
    return Holdings(
        cash=Decimal(cash),
        quantities={("main", name): Decimal(quantity) for name, quantity in quantities.items()},
    )


def test_a_venue_that_holds_the_sum_over_strategies_agrees() -> None:
    assert a_book().differs_from(holdings(BTC="2.5", ETH="-10"), within={}) == ()
    flat = book_of_legs({ONE: {"BTC": "1"}, TWO: {"BTC": "-1"}}, cash="5")
    assert flat.differs_from(holdings("5"), within={}) == ()


def test_every_difference_is_told_with_both_sides() -> None:
    assert a_book().differs_from(holdings("20500.01", BTC="2.4", SOL="1"), within={}) == (
        "BTC in account main: our books say 2.5, the venue 2.4",
        "ETH in account main: our books say -10, the venue 0",
        "SOL in account main: our books say 0, the venue 1",
        "cash: our books say 20500, the venue 20500.01",
    )


def test_the_same_asset_in_another_account_does_not_make_up_for_it() -> None:
    book = book_of_legs({ONE: {"BTC": "1"}, TWO: {"BTC": "1"}}, accounts={TWO: "other"})
    assert book.differs_from(holdings("0", BTC="2"), within={}) == (
        "BTC in account main: our books say 1, the venue 2",
        "BTC in account other: our books say 1, the venue 0",
    )


@pytest.mark.parametrize(("off", "agrees"), [("0.001", True), ("0.001000000000000001", False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_difference_up_to_the_tolerance_is_none(off: str, agrees: bool, sign: int) -> None:
    book = book_of_legs({ONE: {"BTC": "1"}}, cash="5")
    within = {("main", "BTC"): F("0.001"), ("", ""): F("0.001")}
    moved = Decimal(off) * sign
    assert (book.differs_from(holdings("5", BTC=str(1 + moved)), within=within) == ()) is agrees
    assert (book.differs_from(holdings(str(5 + moved), BTC="1"), within=within) == ()) is agrees


def test_a_difference_too_small_for_a_float_is_seen() -> None:
    book = book_of_legs({ONE: {"BTC": "100000000000000000"}}, cash="5")
    there = holdings("5", BTC="100000000000000000.000000000000000001")
    assert len(book.differs_from(there, within={})) == 1


@dataclass
class Venue:
    """All that the tolerance is asked of a broker."""

    exact: bool


def tolerance(*, exact: bool, markets: Mapping[Instrument, object] = MARKETS) -> dict[Instrument, object]:
    listed = [market("BTC", "60000", lot="0.001", min_notional="5"), market("ETH", "3000", min_notional="10")]
    return dict(reconcile_tolerance(cast(Broker, Venue(exact)), listed if markets else []))


def test_an_exact_venue_must_agree_to_the_last_digit_and_another_to_less_than_an_order() -> None:
    assert tolerance(exact=True) == {}
    assert tolerance(exact=False) == {("main", "BTC"): F("0.001"), ("main", "ETH"): F("0.001"), ("", ""): 10}
    assert tolerance(exact=False, markets={}) == {("", ""): 0}


# --- whatever happens ------------------------------------------------------------------------------------

AMOUNTS = st.decimals("0.000000000000000001", "1000", places=18)


@given(moves=st.lists(st.tuples(st.sampled_from([ONE, TWO, None]), st.sampled_from([ONE, TWO]), AMOUNTS)))
def test_transfers_create_and_destroy_nothing(moves: list[tuple[str | None, str, Decimal]]) -> None:
    book = a_book()
    for source, target, quantity in moves:
        if source is None:
            move = Transfer(source=None, target=target, asset=None, quantity=quantity)
        else:
            move = Transfer(
                source=source, target=target, asset="BTC", quantity=quantity, price=Decimal(60_000)
            )
        book = book.moved([move])
    assert sum(held["BTC"] for held in book.quantities.values()) == F("2.5")
    assert sum(book.own_cash.values(), book.pool_cash) == 20_500
    assert book.total(PRICES) == a_book().total(PRICES)
