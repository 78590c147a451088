"""The walk of the prefix oracle: what is certain, what is in flight, and what no event may be.

See `prefix_oracle` for the rules and `prefix_world` for the units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from prefix_world import WHOLE_BP, ZERO, BookMove, BookMoves, Ended, Event, Filled, PriceMove, Sent, World

Rule = Literal[
    # at every prefix
    "limit broken",  # it held at the start
    "overage gained",  # it was broken at the start, and is more so than it was then
    "overage enlarged",  # prices had carried it beyond its allowance, and we carried it further
    "increase while beyond",  # a BUY was sent while prices had carried a limit beyond its allowance
    "no intent",  # an order that nothing we wrote down accounts for
    "behind a bot",  # an order for a strategy whose bot trades for itself
    "wrong account",
    "resent",
    "never sent",  # news of an order that was never sent
    "duplicate fill",  # more was filled than was ordered
    "wrong way",  # a BUY that took assets or paid cash, or the reverse
    "fill after end",
    "impossible transfer",
    # at the end
    "unsettled",  # over, yet an order may still be filled or is unknown to our books
    "lost fill",  # the venue filled what our books do not say
    "phantom fill",  # our books say what the venue never filled
    "conservation",  # the venue's holdings changed by something else than the fills
    "books differ",
    "limit at end",
    "minimum at end",
    "not reverted",
]


@dataclass(frozen=True, kw_only=True)
class Violation:
    """One rule broken.

    Attributes:
        event: Place in the trace, from 0; None at the end.
        subject: The limit's key, the client id, the strategy or the instrument.
    """

    rule: Rule
    event: int | None
    subject: str
    detail: str = ""


@dataclass
class OrderSoFar:
    """An order, and the sums of its fills."""

    sent: Sent
    asset_change: Fraction = ZERO
    cash_change: Fraction = ZERO
    ended: bool = False

    def owner(self, world: World) -> str | None:
        """The strategy it was for; None where we hold no such strategy."""
        return self.sent.strategy if self.sent.strategy in world.holdings else None

    def open_quantity(self) -> Fraction:
        """What may still be filled. A fee taken in the asset counts as unfilled until the order has ended."""
        return ZERO if self.ended else max(ZERO, self.sent.quantity - abs(self.asset_change))


class Walk:
    """The world as it is for certain, and every order ever sent."""

    def __init__(self, start: World) -> None:
        self.world = start
        self.orders: dict[str, OrderSoFar] = {}
        self.violations: list[Violation] = []

    def object(self, rule: Rule, event: int | None, subject: str, detail: str = "") -> None:
        self.violations.append(Violation(rule=rule, event=event, subject=subject, detail=detail))

    def as_it_may_be(self) -> World:
        world = self.world
        for order in self.orders.values():
            sent, owner, quantity = order.sent, order.owner(world), order.open_quantity()
            if sent.side == "SELL" or owner is None or quantity == 0:
                continue
            commission_bps = world.commission_bps.get((sent.account, sent.asset), ZERO)
            cost = quantity * sent.limit_price * (1 + commission_bps / WHOLE_BP)
            world = world.with_asset(owner, sent.asset, quantity).with_cash(None, -cost)
        return world

    def take(self, place: int, event: Event) -> None:
        match event:
            case Sent():
                self._send(place, event)
            case Filled():
                self._fill(place, event)
            case Ended():
                if event.client_id in self.orders:
                    self.orders[event.client_id].ended = True
                else:
                    self.object("never sent", place, event.client_id)
            case BookMoves():
                for move in event.moves:
                    self._move(place, move)
            case PriceMove():
                prices = {**self.world.prices, (event.account, event.asset): event.price}
                self.world = replace(self.world, prices=prices)

    def _send(self, place: int, sent: Sent) -> None:
        if sent.client_id in self.orders:
            self.object("resent", place, sent.client_id)
            self.orders[sent.client_id].ended = False
            return
        self.orders[sent.client_id] = OrderSoFar(sent)
        owner = self.orders[sent.client_id].owner(self.world)
        if sent.strategy in self.world.bot_capital:
            self.object("behind a bot", place, sent.client_id, str(sent.strategy))
        elif owner is None:
            self.object("no intent", place, sent.client_id, str(sent.strategy))
        elif self.world.holdings[owner].account != sent.account:
            self.object("wrong account", place, sent.client_id, sent.account)

    def _fill(self, place: int, fill: Filled) -> None:
        if fill.client_id not in self.orders:
            self.object("never sent", place, fill.client_id)
            return
        order = self.orders[fill.client_id]
        order.asset_change += fill.asset_change
        order.cash_change += fill.cash_change
        if order.ended:
            self.object("fill after end", place, fill.client_id)
        sign = 1 if order.sent.side == "BUY" else -1
        if sign * fill.asset_change < 0 or sign * fill.cash_change > 0:
            self.object("wrong way", place, fill.client_id)
        if abs(order.asset_change) > order.sent.quantity:
            self.object("duplicate fill", place, fill.client_id, f"{abs(order.asset_change)} filled")
        self.world = self.world.with_cash(None, fill.cash_change)
        owner = order.owner(self.world)
        if owner is not None:
            self.world = self.world.with_asset(owner, order.sent.asset, fill.asset_change)

    def _move(self, place: int, move: BookMove) -> None:
        known = self.world.holdings
        ends = [end for end in (move.source, move.target) if end is not None]
        possible = move.quantity > 0 and move.source != move.target and all(end in known for end in ends)
        if possible and move.asset is not None:
            # The pool holds no assets, and what lies in one account cannot be given in another.
            accounts = {known[end].account for end in ends}
            possible = move.price is not None and len(ends) == 2 and len(accounts) == 1
        if not possible:
            self.object("impossible transfer", place, f"{move.source} to {move.target}", str(move.asset))
            return
        if move.asset is None:
            self.world = self.world.with_cash(move.source, -move.quantity).with_cash(
                move.target, move.quantity
            )
            return
        assert move.source is not None
        assert move.target is not None
        assert move.price is not None
        value = move.quantity * move.price
        given = self.world.with_asset(move.source, move.asset, -move.quantity).with_cash(move.source, value)
        self.world = given.with_asset(move.target, move.asset, move.quantity).with_cash(move.target, -value)
