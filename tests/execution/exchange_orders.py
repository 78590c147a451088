"""Orders, brokers and clocks for the tests against the loopback exchange."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from loopback_exchange import LoopbackExchange

from portfolio_rebalance.execution.broker import Order, OrderReport
from portfolio_rebalance.execution.ccxt_broker import CcxtBroker

BTC = ("main", "BTC")
ETH = ("main", "ETH")
SYMBOLS = {"BTC": "BTC/USDT", "ETH": "ETH/USDT"}


@pytest.fixture
def unthrottled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own pauses between requests; the loopback exchange has no rate limit."""
    import ccxt

    monkeypatch.setattr(ccxt.Exchange, "throttle", lambda _exchange, _cost=None: None)


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def number(text: str | int) -> Decimal:
    return Decimal(text)


def an_exchange(**book: Any) -> LoopbackExchange:
    """BTC at 20 000, ETH at 1 500, BNB at 300; some of each."""
    kept = {
        "prices": {"BTC": number(20_000), "ETH": number(1_500), "BNB": number(300)},
        "balances": {"USDT": number(50_000), "BTC": number(1), "ETH": number(2), "BNB": number(3)},
    }
    return LoopbackExchange(**{**kept, **book})


def a_broker(venue: LoopbackExchange, *, clock: Clock | None = None, **settings: Any) -> CcxtBroker:
    """A broker whose patience is over, unless the test has a clock."""
    return CcxtBroker(
        venue.settings(**{"symbols": SYMBOLS, **settings}),
        venue.credentials,
        monotonic=clock or ever_later(),
    )


def ever_later() -> Clock:
    """Each look at it is a minute later: nothing is too early to say."""

    class Leaping(Clock):
        def __call__(self) -> float:
            self.seconds += 60
            return self.seconds

    return Leaping()


def buy(quantity: str, *, limit: str = "20100", asset: str = "BTC", client_id: str = "tpr-1") -> Order:
    return Order(
        client_id=client_id,
        account="main",
        asset=asset,
        side="BUY",
        quantity=number(quantity),
        limit_price=number(limit),
    )


def sell(quantity: str, *, limit: str = "19900", asset: str = "BTC", client_id: str = "tpr-1") -> Order:
    return Order(
        client_id=client_id,
        account="main",
        asset=asset,
        side="SELL",
        quantity=number(quantity),
        limit_price=number(limit),
    )


@contextmanager
def changes_exactly(exchange: LoopbackExchange, order: Order, reports: list[OrderReport]) -> Iterator[None]:
    """What the reports say must be what the exchange's own balances did, to the last digit."""
    before = exchange.balances
    yield
    after = exchange.balances
    moved = {coin: after[coin] - before[coin] for coin in after}
    assert moved[order.asset] == sum(report.asset_change for report in reports)
    assert moved[exchange.quote] == sum(report.cash_change for report in reports)
