"""What a venue must be able to do: five calls, no retries, no opinions.

Contract for an implementation: ``place`` sends once and never again; what it cannot know it calls unknown. A
client id is a handle to look an order up by, not a promise of idempotency: several venues demand uniqueness
among open orders only, so a filled order that is sent again buys twice. All amounts are exact decimals, money
in the portfolio's currency.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol

from portfolio_rebalance.records import Market, Side

__all__ = [
    "Broker",
    "Holdings",
    "Instrument",
    "Order",
    "OrderRefused",
    "OrderReport",
    "OutcomeUnknown",
]

Instrument = tuple[str, str]
"""Account and asset."""


class OrderRefused(Exception):  # noqa: N818 - an answer of the venue, not a fault of ours
    """The venue definitely did not and will not accept the order."""


class OutcomeUnknown(Exception):  # noqa: N818
    """Timeout, 5xx, disconnect, garbage: it may have happened or not; or a question went unanswered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A limit order that is filled at once or not at all beyond what it finds (immediate or cancel).

    Attributes:
        client_id: Ours; unique.
        quantity: Above 0, a multiple of the lot.
        limit_price: The worst acceptable price; the venue never fills beyond it.
    """

    client_id: str
    account: str
    asset: str
    side: Side
    quantity: Decimal
    limit_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """What the venue says of an order.

    Attributes:
        state: ``open`` may still fill; ``filled`` and ``closed`` (cancelled, expired) never change again.
        filled: Executed quantity, before fees.
        average_price: None where nothing was filled.
        asset_change: Signed change of the account's holding, after fees taken in the asset.
        cash_change: Signed change of its cash, after fees taken in cash.
        commission: All fees as money, 0 or more.
    """

    client_id: str
    state: Literal["open", "filled", "closed"]
    filled: Decimal
    average_price: Decimal | None
    asset_change: Decimal
    cash_change: Decimal
    commission: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What the venue holds for us.

    Attributes:
        cash: In the portfolio's currency, over all accounts.
        quantities: By instrument; negative when short; zeros may be left out.
    """

    cash: Decimal
    quantities: Mapping[Instrument, Decimal]


class Broker(Protocol):
    """One venue."""

    @property
    def name(self) -> str:
        """For records and people: ``paper``, ``ccxt:binance``."""
        ...

    @property
    def live(self) -> bool:
        """Whether real money moves."""
        ...

    @property
    def exact(self) -> bool:
        """Whether holdings must match our books to the last digit; else to within a lot."""
        ...

    def holdings(self) -> Holdings:
        """What is there now, orders in flight aside.

        Raises:
            OutcomeUnknown: The venue did not answer; nothing may be concluded from it.
        """
        ...

    def markets(self, instruments: Collection[Instrument]) -> Mapping[Instrument, Market]:
        """Current price and rules of each instrument.

        Raises:
            OutcomeUnknown: The venue did not answer, or lacks one of them.
        """
        ...

    def place(self, order: Order) -> OrderReport:
        """Send an order, once.

        Raises:
            OrderRefused: It was refused for certain.
            OutcomeUnknown: Whatever else goes wrong.
        """
        ...

    def find(self, order: Order) -> OrderReport | None:
        """Look an order up by its client id: among open orders, closed ones and trades.

        Returns:
            None when the venue answered everywhere and knows no such order.

        Raises:
            OutcomeUnknown: One of the places did not answer.
        """
        ...

    def cancel(self, order: Order) -> None:
        """Ask for the rest of an open order to be cancelled; whether it was, ``find`` tells.

        Raises:
            OutcomeUnknown: The venue did not answer.
        """
        ...
