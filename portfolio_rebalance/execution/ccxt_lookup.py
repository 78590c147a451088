"""Supported exchanges, and how what they say about an order is read.

An exchange is supported when its entry here was checked against the client's source and against the tests'
exchange: under which name it takes our client id, at which places an order can be found again by it, which
fields its answers must have. The client fills in what an answer lacks (a missing quantity reads as 0), so the
raw answer is held against that list first: what is missing is unknown, never zero.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_UP, Context, Decimal, DecimalException
from types import MappingProxyType
from typing import Final, Literal

from portfolio_rebalance.execution.broker import Order, OrderReport, OutcomeUnknown

__all__ = [
    "VENUES",
    "Venue",
    "VenueOrder",
    "amount",
    "bought_and_paid",
    "field",
    "plain",
    "read_order",
    "strangers",
    "traded",
]

_EXACT: Final = Context(prec=60)
_MONEY: Final = Decimal(1).scaleb(-12)
_NUMBER: Final = re.compile(r"-?\d{1,30}(\.\d{1,30})?([eE]-?\d{1,2})?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One supported exchange.

    Attributes:
        hosts: Where it answers.
        sandbox_hosts: Where its test exchange answers; empty where it has none.
        base_path: What every path begins with.
        reads: Paths that may be asked.
        order_path: Where an order is placed (POST) and cancelled (DELETE).
        client_id: What our ids must look like; nothing that a request would have to encode.
        placed_as: Parameter that carries our id when an order is placed.
        found_as: Parameter that carries it when the order is looked up or cancelled.
        window_ms: A request that is older than this when it arrives is refused.
        window_as: Parameter that says so.
        order_fields: What every answer about an order must have, by the exchange's own names.
        duplicate: Text of the refusal of an id that is already in use: says nothing about that other order.
    """

    hosts: frozenset[str]
    sandbox_hosts: frozenset[str]
    base_path: str
    reads: frozenset[str]
    order_path: str
    client_id: re.Pattern[str]
    placed_as: str
    found_as: str
    window_ms: int
    window_as: str
    order_fields: tuple[str, ...]
    duplicate: str


def _binance_like(*, host: str, sandbox_host: str | None = None) -> Venue:
    """Binance's spot API. The bought asset pays the fee of a purchase, unless BNB pays all fees."""
    return Venue(
        hosts=frozenset({host}),
        sandbox_hosts=frozenset({sandbox_host} if sandbox_host else ()),
        base_path="/api/v3/",
        reads=frozenset(
            {
                "time",
                "exchangeInfo",
                "ticker/bookTicker",
                "ticker/24hr",
                "account",
                "account/commission",
                "order",
                "openOrders",
                "allOrders",
                "myTrades",
            }
        ),
        order_path="order",
        client_id=re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII),
        placed_as="newClientOrderId",
        found_as="origClientOrderId",
        window_ms=5000,
        window_as="recvWindow",
        order_fields=(
            "orderId",
            "clientOrderId",
            "symbol",
            "side",
            "status",
            "origQty",
            "executedQty",
            "cummulativeQuoteQty",
        ),
        duplicate="Duplicate order sent.",
    )


VENUES: Final[Mapping[str, Venue]] = MappingProxyType(
    {
        "binance": _binance_like(host="api.binance.com", sandbox_host="testnet.binance.vision"),
        "binanceus": _binance_like(host="api.binance.us"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """An order as the exchange tells it.

    Attributes:
        number: The exchange's own id.
        paid: Money that changed hands, before fees.
    """

    number: str
    state: Literal["open", "filled", "closed"]
    filled: Decimal
    paid: Decimal


_STATES: Final[Mapping[str, Literal["open", "closed"]]] = MappingProxyType(
    {"open": "open", "closed": "closed", "canceled": "closed", "expired": "closed", "rejected": "closed"}
)


def read_order(record: object, *, order: Order, symbol: str, venue: Venue) -> VenueOrder:
    """What an answer says of our order.

    Raises:
        OutcomeUnknown: It lacks something, contradicts itself, or speaks of another order.
    """
    raw = field(record, "info")
    missing = [name for name in venue.order_fields if field(raw, name) in (None, "")]
    if missing:
        raise OutcomeUnknown(f"the exchange's answer about {order.client_id} lacks {', '.join(missing)}")
    filled, paid = amount(record, "filled"), amount(record, "cost")
    ours = (order.client_id, symbol, order.side.lower(), order.quantity)
    theirs = (
        *(field(record, name) for name in ("clientOrderId", "symbol", "side")),
        amount(record, "amount"),
    )
    if ours != theirs:
        raise OutcomeUnknown(f"the exchange has a different order under {order.client_id}")
    status = field(record, "status")
    state = _STATES.get(status) if isinstance(status, str) else None
    sound = 0 <= filled <= order.quantity and (paid > 0 if filled else paid == 0)
    if state is None or not sound or (status == "closed" and filled != order.quantity):
        raise OutcomeUnknown(f"the exchange's answer about {order.client_id} contradicts itself")
    return VenueOrder(
        number=str(field(record, "id")),
        state="filled" if filled == order.quantity else state,
        filled=filled,
        paid=paid,
    )


def traded(trades: object) -> Decimal:
    """The quantity of some trades together, before fees.

    Raises:
        OutcomeUnknown: They are not a list of trades.
    """
    total = Decimal(0)
    for trade in _listed(trades):
        total = _EXACT.add(total, amount(trade, "amount"))
    return total


def bought_and_paid(
    order: Order,
    found: VenueOrder,
    trades: object,
    *,
    base: str,
    quote: str,
    value_of: Callable[[str, Decimal], Decimal],
) -> OrderReport:
    """What an order changed, to the last digit.

    Args:
        order: Ours.
        found: What the exchange says of it.
        trades: Its trades, all of them.
        base: The asset, by the exchange's name.
        quote: The money, likewise.
        value_of: Worth of so much of a third asset that fees were paid in.

    Raises:
        OutcomeUnknown: A trade does not state its fee.
    """
    fees: dict[str, Decimal] = {}
    for trade in _listed(trades) if found.filled else ():
        fee = field(trade, "fee")
        currency, cost = field(fee, "currency"), amount(fee, "cost")
        if not isinstance(currency, str):
            raise OutcomeUnknown(f"a trade of {order.client_id} does not say what its fee was paid in")
        fees[currency] = _EXACT.add(fees.get(currency, Decimal(0)), cost)
    average = _EXACT.divide(found.paid, found.filled) if found.filled else None
    in_asset, in_cash = fees.pop(base, Decimal(0)), fees.pop(quote, Decimal(0))
    commission = in_cash
    if average is not None:
        commission = _EXACT.add(commission, _EXACT.multiply(in_asset, average))
    for currency, cost in sorted(fees.items()):
        commission = _EXACT.add(commission, value_of(currency, cost) if cost else Decimal(0))
    sign = 1 if order.side == "BUY" else -1
    return OrderReport(
        client_id=order.client_id,
        state=found.state,
        filled=found.filled,
        average_price=None if average is None else _in_money(average, ROUND_HALF_EVEN),
        asset_change=_EXACT.subtract(_EXACT.multiply(sign, found.filled), in_asset),
        cash_change=_EXACT.subtract(_EXACT.multiply(-sign, found.paid), in_cash),
        commission=_in_money(commission, ROUND_UP),
    )


def strangers(trades: object, *, orders: Iterable[object]) -> bool:
    """Whether a trade belongs to an order that should be listed and is not.

    An exchange that books trades first can say "no such order" of one that was filled a moment ago. Lists end
    somewhere, so only trades of orders as new as the oldest one listed count.

    Raises:
        OutcomeUnknown: An order number is none.
    """
    listed = {_number(field(order, "id")) for order in orders}
    oldest = min(listed, default=0)
    numbers = {_number(field(trade, "order")) for trade in _listed(trades)}
    return any(number >= oldest and number not in listed for number in numbers)


# --- single values ---------------------------------------------------------------------------------------


def field(record: object, name: str) -> object:
    """One field; None where there is no such field, or no record at all."""
    return record.get(name) if isinstance(record, Mapping) else None


def amount(record: object, name: str) -> Decimal:
    """One number, exactly as the exchange wrote it.

    Raises:
        OutcomeUnknown: It is missing, or no plain finite number.
    """
    value = field(record, name)
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not _NUMBER.fullmatch(text):
        raise OutcomeUnknown(f"the exchange's answer has no number under {name!r}")
    try:
        return _EXACT.create_decimal(text)
    except DecimalException:
        raise OutcomeUnknown(f"the exchange's answer has no number under {name!r}") from None


def plain(value: Decimal) -> str:
    """A number as it stands in a request: no exponent, no needless zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _in_money(value: Decimal, rounding: str) -> Decimal:
    return Decimal(plain(value.quantize(_MONEY, rounding=rounding, context=_EXACT)))


def _listed(records: object) -> Sequence[object]:
    if not isinstance(records, list):
        raise OutcomeUnknown("the exchange's answer is not a list")
    return records


def _number(value: object) -> int:
    if not (isinstance(value, str) and value.isdecimal()):
        raise OutcomeUnknown("the exchange's answer has an order without a number")
    return int(value)
