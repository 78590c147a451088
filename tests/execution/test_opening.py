"""Opening: whose what is before the first order, out of the newest snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
from workspaces import AS_OF

from portfolio_rebalance.execution.opening import marks_of, opening_books
from portfolio_rebalance.records import Portfolio, Position, StrategyBook, StrategyState

D = Decimal


def leg(asset: str, quantity: str, price: str, *, value: str | None = None) -> Position:
    worth = D(quantity) * D(price) if value is None else D(value)
    return Position(asset=asset, quantity=D(quantity), price=D(price), market_value=worth)


def strategy(
    key: str,
    capital: str,
    *legs: Position,
    control: str | None = "positions",
    account: str | None = None,
    hours_old: int = 1,
) -> StrategyState:
    return StrategyState.model_validate(
        {
            "strategy": key,
            "name": key,
            "capital": D(capital),
            "capital_source": "snapshot",
            "capital_as_of": AS_OF - timedelta(hours=hours_old),
            "target_percent": D(10),
            "pinned": False,
            "control": control,
            "account": account,
            "assets": ("BTC",),
            "risk_profile": None,
            "positions": legs,
            "pnl": {},
            "stale": "",
        }
    )


def portfolio(*strategies: StrategyState, cash: str = "1000") -> Portfolio:
    return Portfolio(
        state_as_of=AS_OF, currency="USD", cash=D(cash), strategies=strategies, inputs={}, warnings=()
    )


def account_of(one: StrategyState) -> str:
    return one.account or one.strategy


def book_of(one: StrategyState) -> StrategyBook:
    return opening_books(portfolio(one), account_of=account_of).books[one.strategy]


def test_own_cash_is_what_the_positions_do_not_account_for() -> None:
    found = book_of(strategy("STR-A", "20400", leg("BTC", "0.3", "61234.5"), leg("ETH", "-0.5", "3000")))
    assert found == StrategyBook(
        account="STR-A", own_cash=D("3529.65"), quantities={"BTC": D("0.3"), "ETH": D("-0.5")}
    )


def test_own_cash_is_negative_where_positions_are_worth_more_than_the_equity() -> None:
    assert book_of(strategy("STR-A", "1000", leg("BTC", "0.02", "60000"))).own_cash == -200


def test_a_strategy_without_positions_is_all_cash() -> None:
    assert book_of(strategy("STR-A", "1234.56")) == StrategyBook(
        account="STR-A", own_cash=D("1234.56"), quantities={}
    )


def test_a_position_in_the_portfolios_own_currency_is_cash() -> None:
    found = book_of(strategy("STR-A", "5000", leg("USD", "2000", "1"), leg("BTC", "0.05", "60000")))
    assert (found.own_cash, found.quantities) == (2000, {"BTC": D("0.05")})
    other = book_of(strategy("STR-A", "5000", leg("USDT", "2000", "1"), leg("BTC", "0.05", "60000")))
    assert (other.own_cash, other.quantities) == (0, {"USDT": 2000, "BTC": D("0.05")})


@pytest.mark.parametrize(
    ("capital", "own_cash"), [("1000.000000004", "999.99999999"), ("0.000000000001", "-0.00000001")]
)
def test_own_cash_is_cut_to_eight_places_towards_nothing(capital: str, own_cash: str) -> None:
    legs = [leg("BTC", "0.000000015", "1")]
    if own_cash == "999.99999999":
        legs = [leg("BTC", "0.000000005", "1")]
    assert book_of(strategy("STR-A", capital, *legs)).own_cash == D(own_cash)


def test_quantities_are_as_stated_and_value_is_quantity_times_price() -> None:
    """A snapshot's own market value of a leg is not what orders are counted by."""
    found = book_of(strategy("STR-A", "1000", leg("BTC", "0.01", "60000", value="601")))
    assert found.own_cash == 400


def test_a_bots_capital_is_counted_and_its_positions_are_not_ours() -> None:
    ours = strategy("STR-A", "600", leg("BTC", "0.01", "60000"))
    bot = strategy("STR-B", "700", leg("BTC", "0.01", "60000"), control="bot")
    unstated = strategy("STR-C", "800", control=None)
    books = opening_books(portfolio(ours, bot, unstated), account_of=account_of)
    assert set(books.books) == {"STR-A", "STR-C"}
    assert books.bot_capital == {"STR-B": 700}
    assert books.pool_cash == 1000


def test_strategies_share_an_account_where_the_registry_says_so() -> None:
    both = [strategy("STR-A", "600", account="main"), strategy("STR-B", "700", account="main")]
    books = opening_books(portfolio(*both, strategy("STR-C", "5")), account_of=account_of)
    assert {key: book.account for key, book in books.books.items()} == {
        "STR-A": "main",
        "STR-B": "main",
        "STR-C": "STR-C",
    }


def test_all_cash_is_the_pool_and_every_strategys_own_but_no_bots() -> None:
    books = opening_books(
        portfolio(
            strategy("STR-A", "700", leg("BTC", "0.01", "60000")),
            strategy("STR-B", "500", leg("BTC", "0.01", "60000")),
            strategy("STR-C", "900", control="bot"),
            cash="1000.00000001",
        ),
        account_of=account_of,
    )
    assert books.cash == D("1000.00000001") + 100 - 100


# --- marks -----------------------------------------------------------------------------------------------


def marks(*strategies: StrategyState) -> dict[tuple[str, str], Decimal]:
    return marks_of(portfolio(*strategies), account_of=account_of)


def test_marks_come_from_every_snapshot_by_account_and_asset() -> None:
    found = marks(
        strategy("STR-A", "1", leg("BTC", "1", "60000"), leg("ETH", "-1", "3000"), account="main"),
        strategy("STR-B", "1", leg("BTC", "1", "60001")),
    )
    assert found == {("main", "BTC"): 60_000, ("main", "ETH"): 3000, ("STR-B", "BTC"): 60_001}


def both_ways(*strategies: StrategyState) -> Sequence[dict[tuple[str, str], Decimal]]:
    return marks(*strategies), marks(*reversed(strategies))


def test_of_two_prices_in_one_account_the_newer_snapshots_counts() -> None:
    old = strategy("STR-B", "1", leg("BTC", "1", "60000"), account="main", hours_old=2)
    new = strategy("STR-A", "1", leg("BTC", "1", "61000"), account="main", hours_old=1)
    for found in both_ways(old, new):
        assert found == {("main", "BTC"): 61_000}
    same_age = strategy("STR-C", "1", leg("BTC", "1", "62000"), account="main", hours_old=1)
    for found in both_ways(new, same_age):
        assert found == {("main", "BTC"): 62_000}


def test_neither_cash_nor_a_price_of_nothing_is_a_mark() -> None:
    assert marks(strategy("STR-A", "1", leg("USD", "5", "1"), leg("DEAD", "5", "0"))) == {}
