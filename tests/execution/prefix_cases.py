"""Hand-made portfolios, events and batches for the tests of the prefix oracle."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from prefix_oracle import (
    BookMove,
    BookMoves,
    Costs,
    Ended,
    Ending,
    Entry,
    Event,
    Filled,
    Holding,
    PriceMove,
    Rule,
    Sent,
    Tolerances,
    VenueChange,
    World,
    judge,
)

F = Fraction
ONE, TWO, THREE, BOT = "STR-ONE", "STR-TWO", "STR-THREE", "STR-BOT"
PAIR = frozenset({ONE, THREE})
LIMITS = {"total": 6000, "cluster": 3000, "individual_max": 4000, "individual_min": 100}
X, Y, Z = ("main", "X"), ("main", "Y"), ("main", "Z")
ASSETS = {ONE: "X", TWO: "Y", THREE: "Z"}
MILLION = F(1_000_000)


def world(
    one: int | str,
    two: int | str,
    three: int | str,
    *,
    bot: int = 0,
    fee_bps: int = 0,
    clustered: bool = True,
) -> World:
    """Units at 10 each of X, Y and Z for the three; a total of 10 000, so that ten units are 1 %."""
    units = {ONE: F(one), TWO: F(two), THREE: F(three)}
    return World(
        holdings={
            name: Holding(account="main", own_cash=F(0), quantities={ASSETS[name]: held})
            for name, held in units.items()
        },
        pool_cash=10_000 - 10 * sum(units.values(), F(0)) - bot,
        prices={X: F(10), Y: F(10), Z: F(10)},
        limits_bp=LIMITS,
        bot_capital={BOT: F(bot)} if bot else {},
        clusters=(PAIR,) if clustered else (),
        commission_bps={X: F(fee_bps), Y: F(fee_bps), Z: F(fee_bps)},
    )


def sell(client_id: str, strategy: str | None, quantity: int | str, *, limit: str = "9.9") -> Sent:
    return Sent(
        client_id=client_id,
        strategy=strategy,
        account="main",
        asset=ASSETS.get(str(strategy), "X"),
        side="SELL",
        quantity=F(quantity),
        limit_price=F(limit),
    )


def buy(client_id: str, strategy: str, quantity: int | str, *, limit: str = "10.1") -> Sent:
    return replace(sell(client_id, strategy, quantity, limit=limit), side="BUY")


def filled(client_id: str, units: int | str, *, at: int | str = 10) -> Filled:
    """A fill without fees: positive units were bought."""
    return Filled(client_id=client_id, asset_change=F(units), cash_change=-F(units) * F(at))


def done(order: Sent, *, at: int | str = 10) -> tuple[Event, ...]:
    """Sent, filled whole, ended."""
    sign = 1 if order.side == "BUY" else -1
    fill = Filled(
        client_id=order.client_id,
        asset_change=sign * order.quantity,
        cash_change=-sign * order.quantity * F(at),
    )
    return order, fill, Ended(client_id=order.client_id)


def cash(source: str | None, target: str | None, amount: int) -> BookMove:
    return BookMove(source=source, target=target, asset=None, quantity=F(amount))


def asset(
    source: str | None, target: str | None, name: str, quantity: int, price: int | None = 10
) -> BookMove:
    value = None if price is None else F(price)
    return BookMove(source=source, target=target, asset=name, quantity=F(quantity), price=value)


def price(instrument: tuple[str, str], value: int | str) -> PriceMove:
    return PriceMove(account=instrument[0], asset=instrument[1], price=F(value))


UNFINISHED = Ending(status="unfinished", entries={}, venue=None)

START = world(340, 103, 200)
"""34 / 10.3 / 20 %: cluster 54 > 30, total 64.3 > 60."""

FORWARD: tuple[Event, ...] = (
    sell("a", ONE, 181),
    filled("a", -100, at="9.95"),
    filled("a", -81, at="9.95"),
    Ended(client_id="a"),
    *done(sell("b", THREE, 56), at="9.95"),
    # THREE gives 5 units to TWO, against cash by way of the pool: netted inside one account.
    BookMoves(moves=(asset(THREE, TWO, "Z", 5), cash(THREE, None, 50), cash(None, TWO, 50))),
    *done(buy("c", TWO, 10), at="10.05"),
)
ENTRIES = {
    "a": Entry(asset_change=F(-181), cash_change=F("1800.95")),
    "b": Entry(asset_change=F(-56), cash_change=F("557.2")),
    "c": Entry(asset_change=F(10), cash_change=F("-100.5")),
}
VENUE = VenueChange(cash=F("2257.65"), quantities={X: F(-181), Y: F(10), Z: F(-56)})
BOOKS = replace(
    START,
    holdings={
        ONE: Holding(account="main", own_cash=F(0), quantities={"X": F(159)}),
        TWO: Holding(account="main", own_cash=F(0), quantities={"Y": F(113), "Z": F(5)}),
        THREE: Holding(account="main", own_cash=F(0), quantities={"Z": F(139)}),
    },
    pool_cash=F("5827.65"),
)
COMMITTED = Ending(status="committed", entries=ENTRIES, venue=VENUE, books=BOOKS)

BACK: tuple[Event, ...] = (*done(sell("a", ONE, 100), at="9.95"), *done(buy("d", ONE, 100), at="10.05"))
REVERTED = Ending(
    status="reverted",
    entries={
        "a": Entry(asset_change=F(-100), cash_change=F(995)),
        "d": Entry(asset_change=F(100), cash_change=F(-1005)),
    },
    venue=VenueChange(cash=F(-10), quantities={}),
)


def rules(
    start: World,
    trace: tuple[Event, ...],
    ending: Ending = UNFINISHED,
    *,
    costs: Costs = "charged",
    tolerances: Tolerances | None = None,
) -> set[tuple[Rule, str]]:
    """Rule and subject of each violation; books are not held against a batch that is looked at half-way."""
    found = judge(start, trace, ending, costs=costs, tolerances=tolerances)
    half_way = ending is UNFINISHED
    return {(item.rule, item.subject) for item in found if not (half_way and item.event is None)}
