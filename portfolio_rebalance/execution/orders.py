"""Orders: the moves of strategies as one batch of steps, netted inside an account, reductions first.

Order of the batch: the idle cash of each reduction, which costs nothing; then its sells and the buys that
cover shorts, the more broken limits it cures the sooner; one atomic step of transfers between strategies of
one account; then each increase.
No strategy passes a higher point on its way than where it starts or ends: where what lowers it is netted,
what raises it waits; where what raises it is netted, what lowers it comes before. A batch is only handed out
after every prefix of it was judged at its worst case and its end meets all limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

from portfolio_rebalance.execution.book import Book
from portfolio_rebalance.execution.broker import Instrument
from portfolio_rebalance.execution.legs import Move
from portfolio_rebalance.records import Market, Side, Step, Transfer
from portfolio_rebalance.units import exact_decimal

__all__ = ["limit_price_of", "steps_of", "worst_cost"]

_BP: Final = 10_000
_ZERO: Final = Fraction(0)
_MONEY_PLACES: Final = 12

Phase = Literal["forward", "revert"]


@dataclass(slots=True)
class _Demand:
    """What is left to trade of one leg after netting."""

    strategy: str
    account: str
    asset: str
    quantity: Fraction


@dataclass(slots=True)
class _Numbering:
    """Hands out indexes and the client ids that derive from them."""

    plan_id: str
    phase: Phase
    next_index: int
    steps: list[Step] = field(default_factory=list)

    def order(self, demand: _Demand, *, purpose: Literal["reduce", "increase"]) -> None:
        self._add(
            purpose,
            strategy=demand.strategy,
            account=demand.account,
            asset=demand.asset,
            side="BUY" if demand.quantity > 0 else "SELL",
            quantity=exact_decimal(abs(demand.quantity)),
        )

    def transfers(
        self, transfers: Sequence[Transfer], *, purpose: Literal["reduce", "net", "increase"]
    ) -> None:
        if transfers:
            self._add(purpose, transfers=tuple(transfers))

    def _add(
        self,
        purpose: Literal["reduce", "net", "increase"],
        *,
        strategy: str | None = None,
        account: str | None = None,
        asset: str | None = None,
        side: Side | None = None,
        quantity: Decimal = Decimal(0),
        transfers: tuple[Transfer, ...] = (),
    ) -> None:
        self.steps.append(
            Step(
                index=self.next_index,
                client_id=f"tpr-{self.plan_id[:20]}-{self.next_index:04d}",
                phase=self.phase,
                purpose=purpose,
                strategy=strategy,
                account=account,
                asset=asset,
                side=side,
                quantity=quantity,
                transfers=transfers,
            )
        )
        self.next_index += 1


def steps_of(
    moves: Iterable[Move],
    *,
    plan_id: str,
    phase: Phase,
    book: Book,
    markets: Mapping[Instrument, Market],
    cures: Mapping[str, int] | None = None,
    next_index: int = 0,
) -> tuple[Step, ...]:
    """The batch of these moves.

    Args:
        moves: One a strategy.
        plan_id: Client ids derive from it and from each step's index.
        phase: Forward, or compensation.
        book: Accounts of the strategies.
        markets: Prices and smallest notionals.
        cures: How many broken limits a strategy's reduction cures. The cost of an order weighs on every
            limit, and what is broken may not get worse by it: so a cluster is reduced before what only the
            total needs, and one strategy that is too large before the rest of its cluster.
        next_index: Index of the first step.
    """
    cures = cures or {}
    ordered = sorted(moves, key=lambda move: (-cures.get(move.strategy, 0), move.strategy))
    demands = {
        move.strategy: [
            _Demand(move.strategy, book.accounts[move.strategy], asset, quantity)
            for asset, quantity in sorted(move.quantities.items())
        ]
        for move in ordered
    }
    netted = _net([demand for own in demands.values() for demand in own], markets=markets)
    givers = {transfer.source for transfer in netted}
    takers = {transfer.target for transfer in netted}
    numbering = _Numbering(plan_id, phase, next_index)
    reductions = [move for move in ordered if move.direction == "reduce"]
    increases = [move for move in ordered if move.direction == "increase"]
    for move in reductions:
        _give_cash(numbering, move)
    for move in reductions:
        _sell(numbering, move, demands[move.strategy])
        if move.strategy not in givers:
            _raise(numbering, move, demands[move.strategy])
    for move in increases:
        if move.strategy in takers:
            _lower(numbering, move, demands[move.strategy])
    numbering.transfers(netted, purpose="net")
    for move in reductions:
        if move.strategy in givers:
            _raise(numbering, move, demands[move.strategy])
    for move in increases:
        if move.strategy not in takers:
            _lower(numbering, move, demands[move.strategy])
        _raise(numbering, move, demands[move.strategy])
    return tuple(numbering.steps)


def limit_price_of(side: Side, price: Decimal, *, tolerance_bps: Decimal) -> Decimal:
    """The worst price that the slippage tolerance allows, cut to the strict side."""
    sign = 1 if side == "BUY" else -1
    exact = Fraction(price) * (1 + sign * Fraction(tolerance_bps) / _BP)
    cut = exact_decimal(exact, places=_MONEY_PLACES)
    return cut if side == "BUY" or Fraction(cut) == exact else cut + Decimal(1).scaleb(-_MONEY_PLACES)


def worst_cost(
    steps: Iterable[Step], *, markets: Mapping[Instrument, Market], tolerance_bps: Decimal
) -> Fraction:
    """Slippage up to the tolerance and commission of every order, as money."""
    total = _ZERO
    for step in steps:
        if not step.is_order:
            continue
        assert step.account is not None and step.asset is not None  # noqa: PT018
        market = markets[step.account, step.asset]
        tolerance, commission = Fraction(tolerance_bps) / _BP, Fraction(market.commission_bps) / _BP
        notional = Fraction(step.quantity) * Fraction(market.price)
        total += notional * (tolerance + commission * (1 + tolerance))
    return total


def _lower(numbering: _Numbering, move: Move, demands: Sequence[_Demand]) -> None:
    """What lowers a strategy's capital: cash that it gives, then what it sells."""
    _give_cash(numbering, move)
    _sell(numbering, move, demands)


def _give_cash(numbering: _Numbering, move: Move) -> None:
    if move.cash < 0:
        numbering.transfers(_cash_transfer(move), purpose=move.direction)


def _sell(numbering: _Numbering, move: Move, demands: Sequence[_Demand]) -> None:
    for demand in demands:
        if demand.quantity < 0:
            numbering.order(demand, purpose=move.direction)


def _raise(numbering: _Numbering, move: Move, demands: Sequence[_Demand]) -> None:
    """What raises it: what it buys, then cash that it takes."""
    for demand in demands:
        if demand.quantity > 0:
            numbering.order(demand, purpose=move.direction)
    if move.cash > 0:
        numbering.transfers(_cash_transfer(move), purpose=move.direction)


def _cash_transfer(move: Move) -> tuple[Transfer, ...]:
    into = move.cash > 0
    return (
        Transfer(
            source=None if into else move.strategy,
            target=move.strategy if into else None,
            asset=None,
            quantity=exact_decimal(abs(move.cash)),
        ),
    )


def _net(demands: Sequence[_Demand], *, markets: Mapping[Instrument, Market]) -> list[Transfer]:
    """Match sells and buys of one instrument; what is left of them stays to be ordered.

    An instrument is not netted at all where the rest would be too small for the venue to take.
    """
    transfers: list[Transfer] = []
    for place in sorted({(demand.account, demand.asset) for demand in demands}):
        here = [demand for demand in demands if (demand.account, demand.asset) == place]
        pairs = _pairs(here)
        rest = {demand.strategy: abs(demand.quantity) for demand in here}
        for seller, buyer, quantity in pairs:
            rest[seller.strategy] -= quantity
            rest[buyer.strategy] -= quantity
        least = Fraction(markets[place].min_notional)
        price = markets[place].price
        if any(0 < size * Fraction(price) < least for size in rest.values()):
            continue
        for seller, buyer, quantity in pairs:
            seller.quantity += quantity
            buyer.quantity -= quantity
            transfers.append(
                Transfer(
                    source=seller.strategy,
                    target=buyer.strategy,
                    asset=place[1],
                    quantity=exact_decimal(quantity),
                    price=price,
                )
            )
    return transfers


def _pairs(demands: Sequence[_Demand]) -> list[tuple[_Demand, _Demand, Fraction]]:
    """Sellers and buyers matched in order, with how much."""
    sells = [demand for demand in demands if demand.quantity < 0]
    buys = [demand for demand in demands if demand.quantity > 0]
    left = {demand.strategy: abs(demand.quantity) for demand in demands}
    matched: list[tuple[_Demand, _Demand, Fraction]] = []
    while sells and buys:
        seller, buyer = sells[0], buys[0]
        quantity = min(left[seller.strategy], left[buyer.strategy])
        matched.append((seller, buyer, quantity))
        for queue in (sells, buys):
            left[queue[0].strategy] -= quantity
            if not left[queue[0].strategy]:
                queue.pop(0)
    return matched
