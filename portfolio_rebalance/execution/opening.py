"""Opening: the books that a batch starts from, out of the state that was read from the workspace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from portfolio_rebalance.execution.broker import Instrument
from portfolio_rebalance.records import Portfolio, StrategyBook, StrategyState
from portfolio_rebalance.units import exact_decimal

__all__ = ["OpeningBooks", "marks_of", "opening_books"]

_CASH_PLACES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningBooks:
    """Whose what is, before the first order.

    Attributes:
        books: Of strategies that orders can be sent for.
        pool_cash: Cash that no strategy holds.
        bot_capital: Of strategies whose bots trade for themselves.
    """

    books: Mapping[str, StrategyBook]
    pool_cash: Decimal
    bot_capital: Mapping[str, Decimal]

    @property
    def cash(self) -> Decimal:
        """All the cash that the venue should hold for us."""
        own = sum((Fraction(book.own_cash) for book in self.books.values()), Fraction(self.pool_cash))
        return exact_decimal(own)


def opening_books(portfolio: Portfolio, *, account_of: Callable[[StrategyState], str]) -> OpeningBooks:
    """The books that the newest snapshots give.

    A strategy's own cash is what its positions do not account for; a position in the portfolio's own
    currency is cash. A strategy without a snapshot is all cash.

    Args:
        portfolio: From the workspace.
        account_of: Names the venue's account of a strategy.
    """
    return OpeningBooks(
        books={
            one.strategy: _book(one, currency=portfolio.currency, account=account_of(one))
            for one in portfolio.strategies
            if one.control != "bot"
        },
        pool_cash=portfolio.cash,
        bot_capital={one.strategy: one.capital for one in portfolio.strategies if one.control == "bot"},
    )


def marks_of(
    portfolio: Portfolio, *, account_of: Callable[[StrategyState], str]
) -> dict[Instrument, Decimal]:
    """Prices by account and asset, from the newest snapshot that states one."""
    marks: dict[Instrument, Decimal] = {}
    for one in sorted(portfolio.strategies, key=lambda state: (state.capital_as_of, state.strategy)):
        for position in one.positions:
            if position.asset != portfolio.currency and position.price > 0:
                marks[account_of(one), position.asset] = position.price
    return marks


def _book(state: StrategyState, *, currency: str, account: str) -> StrategyBook:
    legs = [position for position in state.positions if position.asset != currency]
    value = sum((Fraction(leg.quantity) * Fraction(leg.price) for leg in legs), Fraction(0))
    return StrategyBook(
        account=account,
        own_cash=exact_decimal(Fraction(state.capital) - value, places=_CASH_PLACES),
        quantities={leg.asset: leg.quantity for leg in legs},
    )
