"""The loopback exchange's book: balances, filters, fills and fees, all exact."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal

_AMOUNT = re.compile(r"\d{1,20}(\.\d{1,20})?", re.ASCII)
_CENT = Decimal("0.00000001")


@dataclass(kw_only=True)
class Trade:
    """One fill."""

    number: int
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_coin: str
    at_ms: int


@dataclass(kw_only=True)
class LoopbackOrder:
    """One order as the exchange keeps it."""

    number: int
    client_id: str
    asset: str
    side: str
    quantity: Decimal
    price: Decimal
    at_ms: int
    status: str = "NEW"
    trades: list[Trade] = field(default_factory=list)

    @property
    def filled(self) -> Decimal:
        return sum((trade.quantity for trade in self.trades), Decimal(0))

    @property
    def paid(self) -> Decimal:
        return sum((trade.quantity * trade.price for trade in self.trades), Decimal(0))


class Refusal(Exception):  # noqa: N818
    """An error answer of the exchange."""

    def __init__(self, code: int, text: str, *, status: int = 400) -> None:
        super().__init__(text)
        self.answer = {"code": code, "msg": text}
        self.status = status


class Matching:
    """Balances and orders, and the rules by which one changes the other.

    Attributes:
        prices: By asset; may be changed at any time.
        spread: Between the price and either side of the book.
        fee_bps: Every fill pays it.
        fee_coin: Coin that all fees are paid in; None: whatever is bought.
        closed: Assets that are not traded at the moment.
        orders: All that were accepted, in order.
    """

    def __init__(
        self,
        *,
        prices: Mapping[str, Decimal],
        balances: Mapping[str, Decimal],
        quote: str = "USDT",
        fee_bps: Decimal = Decimal(10),
        fee_coin: str | None = None,
        spread: Decimal = Decimal("0.01"),
        step: Decimal = Decimal("0.00001"),
        tick: Decimal = Decimal("0.01"),
        min_notional: Decimal = Decimal(5),
    ) -> None:
        self.prices, self.quote, self.spread = dict(prices), quote, spread
        self.fee_bps, self.fee_coin = fee_bps, fee_coin
        self.step, self.tick, self.min_notional = step, tick, min_notional
        self.closed: set[str] = set()
        self.orders: list[LoopbackOrder] = []
        self.free = {coin: Decimal(0) for coin in (quote, *prices)} | dict(balances)
        self.locked = dict.fromkeys(self.free, Decimal(0))
        self._trades = 0

    def asset_of(self, symbol: str) -> str:
        """The asset of a market."""
        asset = symbol.removesuffix(self.quote)
        if symbol != asset + self.quote or asset not in self.prices:
            raise Refusal(-1121, "Invalid symbol.")
        return asset

    def bid(self, asset: str) -> Decimal:
        """What buyers offer."""
        return self.prices[asset] - self.spread

    def ask(self, asset: str) -> Decimal:
        """What sellers ask."""
        return self.prices[asset] + self.spread

    def checked(self, asset: str, params: dict[str, str]) -> LoopbackOrder:
        """An order that may be taken."""
        for name in ("quantity", "price"):
            if not _AMOUNT.fullmatch(params[name]):
                raise Refusal(-1100, f"Illegal characters found in parameter '{name}'.")
        quantity, price = Decimal(params["quantity"]), Decimal(params["price"])
        if (params["type"], params["timeInForce"]) != ("LIMIT", "IOC"):
            raise Refusal(-1116, "Invalid orderType.")
        if asset in self.closed:
            raise Refusal(-1013, "Market is closed.")
        if quantity < self.step or quantity % self.step:
            raise Refusal(-1013, "Filter failure: LOT_SIZE")
        if price < self.tick or price % self.tick:
            raise Refusal(-1013, "Filter failure: PRICE_FILTER")
        if quantity * price < self.min_notional:
            raise Refusal(-1013, "Filter failure: NOTIONAL")
        client_id = params["newClientOrderId"]
        if any(one.client_id == client_id and one.status == "NEW" for one in self.orders):
            raise Refusal(-2010, "Duplicate order sent.")
        give, much = (self.quote, quantity * price) if params["side"] == "BUY" else (asset, quantity)
        if self.free[give] < much:
            raise Refusal(-2010, "Account has insufficient balance for requested action.")
        return LoopbackOrder(
            number=1000 + len(self.orders),
            client_id=client_id,
            asset=asset,
            side=params["side"],
            quantity=quantity,
            price=price,
            at_ms=now_ms(),
        )

    def execute(self, order: LoopbackOrder, quantity: Decimal) -> None:
        """One fill at the other side of the book."""
        buys = order.side == "BUY"
        price = self.ask(order.asset) if buys else self.bid(order.asset)
        value = quantity * price
        assert value == value.quantize(_CENT), "choose lots and ticks whose product has eight decimals"
        give, get = (self.quote, order.asset) if buys else (order.asset, self.quote)
        gave, got = (value, quantity) if buys else (quantity, value)
        coin, due = get, got * self.fee_bps / 10_000
        if self.fee_coin is not None:
            worth = self.prices.get(self.fee_coin, Decimal(1))
            coin, due = self.fee_coin, value * self.fee_bps / 10_000 / worth
        fee = due.quantize(_CENT, ROUND_DOWN)
        self.free[give] -= gave
        self.free[get] += got
        self.free[coin] -= fee
        self._trades += 1
        order.trades.append(
            Trade(
                number=self._trades,
                quantity=quantity,
                price=price,
                fee=fee,
                fee_coin=coin,
                at_ms=now_ms(),
            )
        )

    def lock_for(self, order: LoopbackOrder, sign: int = 1) -> None:
        """Set aside what a resting order may cost."""
        give, much = (
            (self.quote, order.quantity * order.price)
            if order.side == "BUY"
            else (order.asset, order.quantity)
        )
        self.free[give] -= sign * much
        self.locked[give] += sign * much

    def unlock(self, order: LoopbackOrder) -> None:
        """And give it back."""
        self.lock_for(order, -1)

    def named(self, params: dict[str, str], name: str, unknown: Refusal) -> LoopbackOrder:
        """The order with a client id."""
        found = [one for one in self.orders if one.client_id == params.get(name)]
        if not found:
            raise unknown
        return found[-1]


def text(value: Decimal) -> str:
    """As the exchange writes amounts."""
    return f"{value:.8f}"


def now_ms() -> int:
    """The exchange's clock."""
    return time.time_ns() // 1_000_000
