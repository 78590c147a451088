"""What an exchange demands, quotes and charges in one market, and how an order must look there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_UP, Context, Decimal
from types import MappingProxyType
from typing import Final

from portfolio_rebalance.errors import BrokerError
from portfolio_rebalance.execution.broker import Order, OutcomeUnknown
from portfolio_rebalance.execution.ccxt_client import CcxtSettings
from portfolio_rebalance.execution.ccxt_guard import Outgoing
from portfolio_rebalance.execution.ccxt_lookup import Venue, amount, field, plain

__all__ = [
    "Fees",
    "Rules",
    "balance",
    "checked_symbols",
    "last",
    "limit_order",
    "middle",
    "read_fees",
    "read_rules",
]

_EXACT: Final = Context(prec=60)
_BP: Final = 10_000
_MONEY: Final = Decimal(1).scaleb(-12)
_SYMBOL: Final = re.compile(r"([A-Z0-9]{1,20})/([A-Z0-9]{1,20})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of one market.

    Attributes:
        symbol: ``BTC/USDT``.
        market_id: The exchange's own name of it.
        base: The asset, by the exchange's name.
        lot: Quantities are multiples of it.
        tick: Prices are multiples of it.
        open: Whether orders are taken at the moment.
    """

    symbol: str
    market_id: str
    base: str
    lot: Decimal
    tick: Decimal
    min_quantity: Decimal
    min_notional: Decimal
    open: bool

    def smallest_order(self, price: Decimal) -> Decimal:
        """Smallest value of one order at a price: by value, and by quantity."""
        by_quantity = _EXACT.multiply(self.min_quantity, price)
        return max(self.min_notional, by_quantity.quantize(_MONEY, rounding=ROUND_UP, context=_EXACT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """What a taker pays in one market.

    Attributes:
        rate_bps: Of what changes hands.
        paid_in: Third asset that all fees are taken in; None where they are taken from what is traded.
    """

    rate_bps: Decimal
    paid_in: str | None


def checked_symbols(settings: CcxtSettings) -> Mapping[str, str] | None:
    """The market of each asset.

    Raises:
        BrokerError: One is no spot market paid in the portfolio's money, or two assets share one.
    """
    if settings.symbols is None:
        return None
    assets: dict[str, str] = {}
    for asset, symbol in sorted(settings.symbols.items()):
        found = _SYMBOL.fullmatch(symbol)
        if not found or found[2] != settings.quote_currency or found[1] == found[2]:
            raise BrokerError(
                f"{symbol!r} is no spot market that is paid in {settings.quote_currency}.",
                where=f"symbols.{asset}",
                fix=f"Write it as the exchange does, such as {asset}/{settings.quote_currency}.",
            )
        if symbol in assets:
            raise BrokerError(
                f"{symbol} is the market of {assets[symbol]} and of {asset}.",
                where=f"symbols.{asset}",
                fix="Give each coin one name, here and in the snapshots.",
            )
        assets[symbol] = asset
    return MappingProxyType(dict(settings.symbols))


def read_rules(symbol: str, market: object) -> Rules:
    """The rules of one market.

    Raises:
        OutcomeUnknown: The exchange does not state one of them.
    """
    precision, limits = field(market, "precision"), field(market, "limits")
    lot, tick = amount(precision, "amount"), amount(precision, "price")
    market_id, base = field(market, "id"), field(market, "base")
    if not (lot > 0 and tick > 0 and isinstance(market_id, str) and isinstance(base, str)):
        raise OutcomeUnknown(f"the rules of {symbol} are not known")
    return Rules(
        symbol=symbol,
        market_id=market_id,
        base=base,
        lot=_tidy(lot),
        tick=_tidy(tick),
        min_quantity=_least(limits, "amount"),
        min_notional=_least(limits, "cost"),
        open=field(market, "active") is True,
    )


def middle(ticker: object) -> Decimal | None:
    """The price between bid and ask; None where nobody bids or nobody asks.

    Raises:
        OutcomeUnknown: The exchange did not say, or what it said makes no sense.
    """
    if field(ticker, "symbol") is None:
        raise OutcomeUnknown("the exchange did not state every price")
    if field(ticker, "bid") is None or field(ticker, "ask") is None:
        return None
    bid, ask = amount(ticker, "bid"), amount(ticker, "ask")
    if not 0 < bid <= ask:
        raise OutcomeUnknown(f"the exchange says that {bid:f} is bid and {ask:f} is asked")
    return _tidy(_EXACT.divide(_EXACT.add(bid, ask), 2))


def last(ticker: object) -> Decimal:
    """The price of the last trade.

    Raises:
        OutcomeUnknown: There was none.
    """
    price = amount(ticker, "last")
    if not price > 0:
        raise OutcomeUnknown(f"the exchange says that the last price was {price:f}")
    return _tidy(price)


def read_fees(answer: object) -> Fees:
    """The fees of one market: what every taker pays, and what the side that costs more pays on top.

    Raises:
        OutcomeUnknown: They are not stated, or make no sense.
    """
    rate = Decimal(0)
    for kind in ("standardCommission", "specialCommission", "taxCommission"):
        part = field(answer, kind)
        if part is None and kind != "standardCommission":
            continue  # not every exchange of this kind has the other two
        of_side = max(amount(part, "buyer"), amount(part, "seller"))
        rate = _EXACT.add(rate, _EXACT.add(amount(part, "taker"), of_side))
    if not 0 <= rate < 1:
        raise OutcomeUnknown(f"the exchange says that its fees are {rate:f} of the turnover")
    discount = field(answer, "discount")
    used = field(discount, "enabledForAccount") is True and field(discount, "enabledForSymbol") is True
    return Fees(
        rate_bps=_tidy(_EXACT.multiply(rate, _BP)),
        paid_in=str(field(discount, "discountAsset")) if used else None,
    )


def balance(balances: object, coin: str) -> Decimal:
    """All of one coin, free or locked in orders.

    Raises:
        OutcomeUnknown: The answer does not mention it. That is not the same as 0.
    """
    record = field(balances, coin)
    try:
        free, used = amount(record, "free"), amount(record, "used")
    except OutcomeUnknown:
        raise OutcomeUnknown(f"the exchange did not say how much {coin} there is") from None
    if free < 0 or used < 0:
        raise OutcomeUnknown(f"the exchange says that there is less than no {coin}")
    return _tidy(_EXACT.add(free, used))


def limit_order(order: Order, *, rules: Rules, venue: Venue) -> Outgoing:
    """The request that an order becomes: the quantity as it is, the price rounded to the safe side.

    Raises:
        BrokerError: It cannot be sent as it is.
    """
    rounding = ROUND_FLOOR if order.side == "BUY" else ROUND_CEILING
    ticks = _EXACT.divide(order.limit_price, rules.tick).to_integral_value(rounding, _EXACT)
    price = _EXACT.multiply(ticks, rules.tick)
    problem = ""
    if not venue.client_id.fullmatch(order.client_id):
        problem = "is no id that the exchange takes"
    elif not order.quantity > 0 or _EXACT.remainder(order.quantity, rules.lot):
        problem = f"is for {order.quantity:f}, which is no multiple of the lot {rules.lot:f}"
    elif not price > 0:
        problem = f"has a limit of {order.limit_price:f}, below the smallest price {rules.tick:f}"
    if problem:
        raise BrokerError(f"The order {order.client_id!r} {problem}.")
    return Outgoing(
        method="POST",
        fields={
            "symbol": rules.market_id,
            "side": order.side,
            "type": "LIMIT",
            "timeInForce": "IOC",
            "quantity": plain(order.quantity),
            "price": plain(price),
            venue.placed_as: order.client_id,
            venue.window_as: str(venue.window_ms),
        },
    )


def _least(limits: object, of: str) -> Decimal:
    limit = field(limits, of)
    return Decimal(0) if field(limit, "min") is None else _tidy(amount(limit, "min"))


def _tidy(value: Decimal) -> Decimal:
    return Decimal(plain(value))
