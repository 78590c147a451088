"""The book: which strategy holds what, exactly, at every moment of a batch.

A venue knows accounts; only we know whose a holding is. The book starts from the baseline that the journal
recorded and changes by settled steps alone, so that after a crash it is derived again, never remembered.
Proceeds and costs of an order belong to the common cash: a strategy's capital changes by quantity times
price, and costs lower nothing but the total.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from portfolio_rebalance.errors import LedgerError
from portfolio_rebalance.execution.broker import Broker, Holdings, Instrument
from portfolio_rebalance.records import Market, OrderFill, StartedExecution, Step, StoredStep, Transfer

__all__ = ["Book", "Prices", "book_after", "book_of", "prices_of", "reconcile_tolerance"]

Prices = Mapping[Instrument, Fraction]
"""Mark price by account and asset."""

_ZERO = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Holdings by strategy.

    Attributes:
        accounts: Account of each strategy that orders can be sent for.
        own_cash: Cash of each; negative when borrowed.
        quantities: By strategy and asset; negative when short.
        pool_cash: Cash that no strategy holds.
        bot_capital: Capital of strategies that trade for themselves, elsewhere.
    """

    accounts: Mapping[str, str]
    own_cash: Mapping[str, Fraction]
    quantities: Mapping[str, Mapping[str, Fraction]]
    pool_cash: Fraction
    bot_capital: Mapping[str, Fraction]

    @property
    def instruments(self) -> frozenset[Instrument]:
        """Every instrument that some strategy holds or held."""
        return frozenset(
            (self.accounts[strategy], asset) for strategy, held in self.quantities.items() for asset in held
        )

    def capital(self, strategy: str, prices: Prices) -> Fraction:
        """A strategy's equity at these prices."""
        if strategy in self.bot_capital:
            return self.bot_capital[strategy]
        return self.own_cash[strategy] + self.positions(strategy, prices)

    def positions(self, strategy: str, prices: Prices) -> Fraction:
        """The value of a strategy's positions, short ones negative."""
        account = self.accounts[strategy]
        held = self.quantities[strategy]
        return sum((quantity * prices[account, asset] for asset, quantity in held.items()), _ZERO)

    def capitals(self, prices: Prices) -> dict[str, Fraction]:
        """Every strategy's equity, by id."""
        return {key: self.capital(key, prices) for key in sorted({*self.own_cash, *self.bot_capital})}

    def total(self, prices: Prices) -> Fraction:
        """Total capital: the common cash and every strategy's equity."""
        return sum(self.capitals(prices).values(), self.pool_cash)

    def differs_from(self, holdings: Holdings, *, within: Mapping[Instrument, Fraction]) -> tuple[str, ...]:
        """Where the venue's holdings are not the book's, in words; empty where they agree.

        Args:
            holdings: From the venue.
            within: Largest difference allowed by instrument, and of cash under ``("", "")``; 0 if absent.
        """
        ours: dict[Instrument, Fraction] = {}
        for strategy, held in self.quantities.items():
            for asset, quantity in held.items():
                place = (self.accounts[strategy], asset)
                ours[place] = ours.get(place, _ZERO) + quantity
        found = []
        for place in sorted({*ours, *holdings.quantities}):
            theirs = Fraction(holdings.quantities.get(place, 0))
            if not (abs(theirs - ours.get(place, _ZERO)) <= within.get(place, _ZERO)):
                found.append(
                    f"{place[1]} in account {place[0]}: our books say {_shown(ours.get(place, _ZERO))}, "
                    f"the venue {_shown(theirs)}"
                )
        cash = sum(self.own_cash.values(), self.pool_cash)
        if not (abs(Fraction(holdings.cash) - cash) <= within.get(("", ""), _ZERO)):
            found.append(f"cash: our books say {_shown(cash)}, the venue {_shown(Fraction(holdings.cash))}")
        return tuple(found)

    def moved(self, transfers: Iterable[Transfer]) -> Book:
        """The book after transfers, all at once."""
        own_cash = dict(self.own_cash)
        quantities = {key: dict(held) for key, held in self.quantities.items()}
        pool = self.pool_cash
        for transfer in transfers:
            amount = Fraction(transfer.quantity)
            if transfer.asset is None:
                cash = amount
            else:
                for party, sign in ((transfer.source, -1), (transfer.target, 1)):
                    assert party is not None, "an asset moves between strategies"
                    held = quantities[party]
                    held[transfer.asset] = held.get(transfer.asset, _ZERO) + sign * amount
                continue  # the cash of both sides is the common cash: it does not move
            for party, sign in ((transfer.source, -1), (transfer.target, 1)):
                if party is None:
                    pool += sign * cash
                else:
                    own_cash[party] += sign * cash
        return replace(self, own_cash=own_cash, quantities=quantities, pool_cash=pool)

    def filled(self, strategy: str, asset: str, fill: OrderFill) -> Book:
        """The book after a fill."""
        held = dict(self.quantities[strategy])
        held[asset] = held.get(asset, _ZERO) + Fraction(fill.asset_change)
        return replace(
            self,
            quantities={**self.quantities, strategy: held},
            pool_cash=self.pool_cash + Fraction(fill.cash_change),
        )


def book_of(started: StartedExecution) -> Book:
    """The book before the first step."""
    return Book(
        accounts={key: one.account for key, one in started.baseline.items()},
        own_cash={key: Fraction(one.own_cash) for key, one in started.baseline.items()},
        quantities={
            key: {asset: Fraction(quantity) for asset, quantity in one.quantities.items()}
            for key, one in started.baseline.items()
        },
        pool_cash=Fraction(started.pool_cash),
        bot_capital={key: Fraction(capital) for key, capital in started.bot_capital.items()},
    )


def book_after(started: StartedExecution, steps: Iterable[StoredStep]) -> Book:
    """The book after all that is settled; what is in flight is not in it."""
    book = book_of(started)
    for stored in steps:
        book = _settled(book, stored.step, stored)
    return book


def prices_of(markets: Iterable[Market]) -> dict[Instrument, Fraction]:
    """Mark prices of markets."""
    return {(market.account, market.asset): Fraction(market.price) for market in markets}


def reconcile_tolerance(broker: Broker, markets: Iterable[Market]) -> dict[Instrument, Fraction]:
    """How far the venue may be from our books: not at all where it is exact, else by less than an order."""
    if broker.exact:
        return {}
    markets = tuple(markets)
    smallest = max((Fraction(market.min_notional) for market in markets), default=_ZERO)
    return {(one.account, one.asset): Fraction(one.lot) for one in markets} | {("", ""): smallest}


def _settled(book: Book, step: Step, stored: StoredStep) -> Book:
    if not step.is_order:
        return book.moved(step.transfers) if stored.state == "done" else book
    if stored.fill is None:
        if stored.state == "done":
            raise LedgerError(
                f"Step {step.index} is done without a fill.",
                where="ledger.db",
                fix="The ledger was edited; restore a backup.",
            )
        return book
    assert step.strategy is not None and step.asset is not None  # noqa: PT018
    return book.filled(step.strategy, step.asset, stored.fill)


def _shown(value: Fraction) -> str:
    return f"{float(value):.12g}"
