"""What a fill at the paper venue costs and brings: arithmetic, and nothing else.

Everything is exact. Where a figure does not fit the twelve places of money it is rounded against us, so that
a fill never brings a gain that no price explains.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from math import ceil, floor
from typing import Final, Literal

from portfolio_rebalance.execution.broker import Order, OrderReport
from portfolio_rebalance.records import Side
from portfolio_rebalance.units import BP_PER_UNIT, exact_decimal

__all__ = [
    "MONEY_PLACES",
    "QUANTITY_PLACES",
    "PaperFill",
    "cash_flow",
    "fill_price",
    "price_after",
    "report_of",
    "total",
    "whole_lots",
]

MONEY_PLACES: Final = 12
QUANTITY_PLACES: Final = 18

_MONEY_UNIT: Final = 10**MONEY_PLACES
_LEAST_SHARE: Final = Fraction(6, 10)
_SHARE_RANGE: Final = Fraction(8, 10)
_DRAW_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperFill:
    """One execution. One order may have several; two order numbers of one client id are a duplicate.

    Attributes:
        order_number: The venue's own number of the order.
        cash_change: Signed, commission included.
        commission: Money, 0 or more.
    """

    order_number: int
    client_id: str
    account: str
    asset: str
    side: Side
    quantity: Decimal
    price: Decimal
    cash_change: Decimal
    commission: Decimal
    at: datetime


def fill_price(order: Order, *, mark: Decimal, slippage_bps: Decimal, seed: str) -> Decimal:
    """The mark, worsened by a share of the slippage that seed and client id alone decide.

    Args:
        order: Whose side says what is worse.
        mark: Current price.
        slippage_bps: The mean; the share lies between 0.6 and 1.4 of it.
        seed: The venue's.
    """
    drawn = sha256(f"{seed}\0{order.client_id}".encode()).digest()[:_DRAW_BYTES]
    share = _LEAST_SHARE + _SHARE_RANGE * Fraction(int.from_bytes(drawn), 256**_DRAW_BYTES - 1)
    worse = share * Fraction(slippage_bps) / BP_PER_UNIT
    if order.side == "BUY":
        return _money(ceil(Fraction(mark) * (1 + worse) * _MONEY_UNIT))
    return _money(floor(Fraction(mark) * (1 - worse) * _MONEY_UNIT))


def price_after(price: Decimal, *, jump_percent: Decimal) -> Decimal:
    """A price after a jump; rounded up, so that none becomes nothing."""
    return _money(ceil(Fraction(price) * (1 + Fraction(jump_percent) / 100) * _MONEY_UNIT))


def cash_flow(
    side: Side, quantity: Decimal, *, price: Decimal, commission_bps: Decimal
) -> tuple[Decimal, Decimal]:
    """The signed change of cash, commission included; and the commission, 0 or more."""
    gross = Fraction(quantity) * Fraction(price) * _MONEY_UNIT
    fee = ceil(gross * Fraction(commission_bps) / BP_PER_UNIT)
    change = -ceil(gross) if side == "BUY" else floor(gross)
    return _money(change - fee), _money(fee)


def whole_lots(quantity: Fraction, lot: Decimal) -> Decimal:
    """The largest multiple of the lot that is not above a quantity."""
    return exact_decimal(floor(quantity / Fraction(lot)) * Fraction(lot), places=QUANTITY_PLACES)


def report_of(
    order: Order, fills: Sequence[PaperFill], *, state: Literal["open", "filled", "closed"]
) -> OrderReport:
    """What these fills of an order come to, as the venue reports them."""
    filled = total(one.quantity for one in fills)
    value = sum(Fraction(one.quantity) * Fraction(one.price) for one in fills)
    rounded = ceil if order.side == "BUY" else floor
    return OrderReport(
        client_id=order.client_id,
        state=state,
        filled=filled,
        average_price=_money(rounded(value / Fraction(filled) * _MONEY_UNIT)) if filled else None,
        asset_change=filled if order.side == "BUY" else filled.copy_negate(),
        cash_change=total(one.cash_change for one in fills),
        commission=total(one.commission for one in fills),
    )


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The sum, whole: decimal's own would be rounded to 28 digits."""
    return exact_decimal(sum(map(Fraction, amounts), Fraction(0)), places=QUANTITY_PLACES)


def _money(units: int) -> Decimal:
    return exact_decimal(Fraction(units, _MONEY_UNIT), places=MONEY_PLACES)
