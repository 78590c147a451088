"""Legs: from the capital a strategy shall have to quantities and cash that move.

A strategy's legs are scaled together. A reduction takes the idle cash of a strategy without shorts first;
the cash of one with shorts is what they are covered from, so it is scaled like a leg. Quantities are whole
lots, rounded to where capital is lower: what is sold rounds up, what is bought rounds down, so that a ceiling
is met and not missed by a fraction of a lot. For a strategy without shorts that is: reductions up, increases
down. What a leg cannot give, being too small to trade, its cash and the other legs do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from typing import Final, Literal

from portfolio_rebalance.execution.book import Book, Prices
from portfolio_rebalance.execution.broker import Instrument
from portfolio_rebalance.records import Market

__all__ = ["Move", "move_back", "moves_to", "value_below_a_lot"]

_CASH_STEP: Final = Fraction(1, 10**8)
_ZERO: Final = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What one strategy moves.

    Attributes:
        cash: Into its own cash from the common cash; negative out of it.
        quantities: Signed changes by asset, whole lots.
    """

    strategy: str
    direction: Literal["reduce", "increase"]
    cash: Fraction
    quantities: Mapping[str, Fraction]


def moves_to(
    goal: Fraction,
    *,
    strategy: str,
    book: Book,
    prices: Prices,
    markets: Mapping[Instrument, Market],
    keep_at_least: Fraction = _ZERO,
) -> Move:
    """The move that brings a strategy's capital to ``goal``, or as little below it as lots allow.

    Args:
        goal: Money, 0 or more.
        strategy: Whose.
        book: Current holdings.
        prices: Mark prices.
        markets: Lots and smallest notionals.
        keep_at_least: What rounding would take below this stays as cash of the strategy: the minimum.
    """
    capital = book.capital(strategy, prices)
    positions = book.positions(strategy, prices)
    own_cash = book.own_cash[strategy]
    held = {asset: quantity for asset, quantity in book.quantities[strategy].items() if quantity}
    reducing = goal < capital
    cash, factor = _scaled(goal, capital=capital, positions=positions, own_cash=own_cash, held=held)
    quantities: dict[str, Fraction] = {}
    account = book.accounts[strategy]
    for asset, quantity in sorted(held.items()):
        change = _traded(
            quantity * (factor - 1), held=quantity, market=markets[account, asset], reducing=reducing
        )
        if change:
            quantities[asset] = change
    move = Move(
        strategy=strategy,
        direction="reduce" if reducing else "increase",
        cash=_cash(cash, own=own_cash),
        quantities=quantities,
    )
    move = _brought_down(move, goal, book=book, prices=prices, markets=markets)
    return _kept_above(move, keep_at_least, book=book, prices=prices)


def move_back(
    share: Fraction,
    *,
    strategy: str,
    book: Book,
    before: Book,
    prices: Prices,
    markets: Mapping[Instrument, Market],
) -> Move:
    """The move that brings a strategy back to ``share`` of every leg, and of the cash, that it had before.

    Args:
        share: 0 to about 1.
        strategy: Whose.
        book: Current holdings.
        before: Holdings before the batch.
        prices: Mark prices.
        markets: Lots and smallest notionals.
    """
    account = book.accounts[strategy]
    now, then = book.quantities[strategy], before.quantities[strategy]
    quantities: dict[str, Fraction] = {}
    for asset in sorted({*now, *then}):
        held, goal = now.get(asset, _ZERO), then.get(asset, _ZERO) * share
        change = _traded(
            goal - held, held=held, market=markets[account, asset], reducing=abs(goal) < abs(held)
        )
        if change:
            quantities[asset] = change
    cash = before.own_cash[strategy] * share
    value = sum((size * prices[account, asset] for asset, size in quantities.items()), _ZERO)
    move = Move(
        strategy=strategy,
        direction="reduce" if cash + value < book.own_cash[strategy] else "increase",
        cash=_cash(cash, own=book.own_cash[strategy]),
        quantities=quantities,
    )
    return _brought_down(
        move, share * before.capital(strategy, prices), book=book, prices=prices, markets=markets
    )


def value_below_a_lot(
    strategy: str, *, book: Book, prices: Prices, markets: Mapping[Instrument, Market]
) -> Fraction:
    """The value of holdings that no order can sell: less than a lot, or than the smallest notional."""
    account = book.accounts[strategy]
    dust = _ZERO
    for asset, quantity in book.quantities[strategy].items():
        market = markets.get((account, asset))
        if market is None:
            continue
        value = abs(quantity) * prices[account, asset]
        if abs(quantity) < Fraction(market.lot) or value < Fraction(market.min_notional):
            dust += value
    return dust


def _scaled(
    goal: Fraction,
    *,
    capital: Fraction,
    positions: Fraction,
    own_cash: Fraction,
    held: dict[str, Fraction],
) -> tuple[Fraction, Fraction]:
    """Own cash and leg factor that make ``goal``."""
    if not held or capital <= 0:
        return goal - positions, Fraction(1)
    long_only = all(quantity > 0 for quantity in held.values()) and own_cash >= 0
    if goal < capital and long_only:
        cash = max(_ZERO, own_cash - (capital - goal))
        return cash, (goal - cash) / positions
    factor = goal / capital
    return own_cash * factor, factor


def _traded(change: Fraction, *, held: Fraction, market: Market, reducing: bool) -> Fraction:
    """A leg's change in whole lots that the venue accepts; nothing where it accepts none of it."""
    lot, price, smallest = Fraction(market.lot), Fraction(market.price), Fraction(market.min_notional)
    if change >= 0:
        bought = floor(change / lot) * lot
        return bought if bought * price >= smallest else _ZERO
    sold = ceil(-change / lot) * lot
    if not reducing:
        return -sold if sold * price >= smallest else _ZERO
    most = floor(abs(held) / lot) * lot
    sold = min(sold, most)
    if sold * price >= smallest:
        return -sold
    # A tenth more than the smallest notional, so that the price may fall a little before it is sent.
    raised = ceil(smallest * Fraction(11, 10) / price / lot) * lot
    return -raised if raised <= most else _ZERO


def _cash(to: Fraction, *, own: Fraction) -> Fraction:
    """The change of own cash, to eight places and the lower side; rounding alone does not overdraw it."""
    change = floor((to - own) / _CASH_STEP) * _CASH_STEP
    return max(change, -own) if to >= 0 else change


def _capital_after(move: Move, *, book: Book, prices: Prices) -> Fraction:
    account = book.accounts[move.strategy]
    legs = sum((size * prices[account, asset] for asset, size in move.quantities.items()), _ZERO)
    return book.capital(move.strategy, prices) + move.cash + legs


def _brought_down(
    move: Move,
    goal: Fraction,
    *,
    book: Book,
    prices: Prices,
    markets: Mapping[Instrument, Market],
) -> Move:
    """What legs too small to trade leave above the goal: from the strategy's cash, then from other legs."""
    excess = _capital_after(move, book=book, prices=prices) - goal
    if excess <= 0:
        return move
    idle = max(_ZERO, book.own_cash[move.strategy] + move.cash)
    taken = min(ceil(excess / _CASH_STEP) * _CASH_STEP, idle)
    excess -= taken
    account, held = book.accounts[move.strategy], book.quantities[move.strategy]
    quantities = dict(move.quantities)
    for asset in sorted(held, key=lambda asset: (-held[asset] * prices[account, asset], asset)):
        change, market = quantities.get(asset, _ZERO), markets[account, asset]
        if excess <= 0 or held[asset] <= 0 or change > 0:
            continue
        lot, price = Fraction(market.lot), prices[account, asset]
        more = min(ceil(excess / price / lot), floor((held[asset] + change) / lot)) * lot
        if more and (more - change) * price >= Fraction(market.min_notional):
            quantities[asset] = change - more
            excess -= more * price
    return replace(move, cash=move.cash - taken, quantities=quantities)


def _kept_above(move: Move, least: Fraction, *, book: Book, prices: Prices) -> Move:
    """Cash where rounding took a strategy below the minimum, or a short rest below nothing."""
    missing = least - _capital_after(move, book=book, prices=prices)
    return replace(move, cash=move.cash + ceil(missing / _CASH_STEP) * _CASH_STEP) if missing > 0 else move
