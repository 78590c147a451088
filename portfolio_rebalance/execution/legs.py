"""Legs: from the capital a strategy shall have to quantities and cash that move.

A strategy's legs are scaled together. A reduction takes the idle cash of a strategy without shorts first;
the cash of one with shorts is what they are covered from, so it is scaled like a leg. Quantities are whole
lots: reductions round up, increases down, so that a ceiling is met and not missed by a fraction of a lot.
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
    """The move that brings a strategy's capital to ``goal``.

    Args:
        goal: Money, 0 or more.
        strategy: Whose.
        book: Current holdings.
        prices: Mark prices.
        markets: Lots and smallest notionals.
        keep_at_least: A reduction that would round to below this rounds the other way: the minimum.
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
        market = markets[account, asset]
        size = _in_lots(
            abs(quantity) * abs(factor - 1),
            lot=Fraction(market.lot),
            at_most=abs(quantity) if reducing else None,
        )
        size = _worth_sending(size, held=abs(quantity), market=market, reducing=reducing)
        if size:
            rises = (quantity > 0) != reducing
            quantities[asset] = size if rises else -size
    move = Move(
        strategy=strategy,
        direction="reduce" if reducing else "increase",
        cash=_cash(cash - own_cash, out_of=own_cash),
        quantities=quantities,
    )
    if not reducing:
        return move
    return _kept_above(move, keep_at_least, book=book, prices=prices, markets=markets)


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
        reducing = abs(goal) < abs(held)
        size = _in_lots(
            abs(goal - held),
            lot=Fraction(markets[account, asset].lot),
            at_most=abs(held) if reducing else None,
        )
        size = _worth_sending(size, held=abs(held), market=markets[account, asset], reducing=reducing)
        if size:
            quantities[asset] = size if goal > held else -size
    change = before.own_cash[strategy] * share - book.own_cash[strategy]
    falls = change + sum((size * prices[account, asset] for asset, size in quantities.items()), _ZERO) < 0
    return Move(
        strategy=strategy,
        direction="reduce" if falls else "increase",
        cash=_cash(change, out_of=book.own_cash[strategy]),
        quantities=quantities,
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
    if not held or not capital:
        return goal - positions, Fraction(1)
    long_only = all(quantity > 0 for quantity in held.values()) and own_cash >= 0
    if goal < capital and long_only:
        cash = max(_ZERO, own_cash - (capital - goal))
        return cash, (goal - cash) / positions
    factor = goal / capital
    return own_cash * factor, factor


def _in_lots(size: Fraction, *, lot: Fraction, at_most: Fraction | None) -> Fraction:
    """Whole lots: up, but no more than there are, for a reduction; down for an increase."""
    lots = floor(size / lot) if at_most is None else min(ceil(size / lot), floor(at_most / lot))
    return lots * lot


def _worth_sending(size: Fraction, *, held: Fraction, market: Market, reducing: bool) -> Fraction:
    """The size, brought to what the venue accepts; nothing where it accepts none of it."""
    if not size or size * Fraction(market.price) >= Fraction(market.min_notional):
        return size
    if not reducing:
        return _ZERO
    lot = Fraction(market.lot)
    # A tenth more than the smallest notional, so that the price may fall a little before it is sent.
    least = ceil(Fraction(market.min_notional) * Fraction(11, 10) / Fraction(market.price) / lot) * lot
    return least if least <= held else _ZERO


def _cash(change: Fraction, *, out_of: Fraction) -> Fraction:
    """Cash to eight places; a reduction takes no less than it should, and no more than there is."""
    rounded = floor(change / _CASH_STEP) * _CASH_STEP
    return max(rounded, -out_of) if change < 0 < out_of else rounded


def _kept_above(
    move: Move, least: Fraction, *, book: Book, prices: Prices, markets: Mapping[Instrument, Market]
) -> Move:
    """One lot less of each leg at most, and some cash, where rounding took a strategy below the minimum."""
    account = book.accounts[move.strategy]
    quantities = dict(move.quantities)
    missing = (
        least
        - book.capital(move.strategy, prices)
        - move.cash
        - sum((size * prices[account, asset] for asset, size in quantities.items()), _ZERO)
    )
    for asset, size in sorted(quantities.items()):
        if missing <= 0:
            break
        if size < 0:
            lot = Fraction(markets[account, asset].lot)
            quantities[asset] = size + lot
            missing -= lot * prices[account, asset]
    cash = move.cash
    if missing > 0 and cash < 0:
        cash = min(_ZERO, ceil((cash + missing) / _CASH_STEP) * _CASH_STEP)
    return replace(move, cash=cash, quantities={asset: size for asset, size in quantities.items() if size})
