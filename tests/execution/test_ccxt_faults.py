"""Live broker: what can happen to an order on its way, and what may be concluded from it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from decimal import Decimal

import pytest

pytest.importorskip("ccxt")

from exchange_faults import ARRIVED, HTML, NEVER_ARRIVED, UNANSWERED, said
from exchange_orders import (
    BTC,
    Clock,
    a_broker,
    an_exchange,
    buy,
    changes_exactly,
    number,
    sell,
    unthrottled,  # noqa: F401
)
from loopback_exchange import Fault, LoopbackExchange

from portfolio_rebalance.execution.broker import Order, OrderRefused, OrderReport, OutcomeUnknown
from portfolio_rebalance.execution.ccxt_broker import CcxtBroker

pytestmark = pytest.mark.usefixtures("unthrottled")

REFUSED = {
    "insufficient balance": said(-2010, "Account has insufficient balance for requested action."),
    "filter": said(-1013, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    "new order rejected": said(-2010, "This symbol is not permitted for this account."),
    "market is closed": said(-1013, "Market is closed."),
    "bad parameter": said(-1102, "Mandatory parameter was not sent."),
    "bad symbol": said(-1121, "Invalid symbol."),
    "too precise": said(-1111, "Precision is over the maximum defined for this asset."),
    "signature": said(-1022, "Signature for this request is not valid."),
    "key": said(-2015, "Invalid API-key, IP, or permissions for action.", status=401),
    "unauthorized": said(-1002, "You are not authorized to execute this request.", status=401),
}


@pytest.mark.parametrize("fault", NEVER_ARRIVED.values(), ids=NEVER_ARRIVED)
def test_an_order_that_never_arrived_is_unknown_then_absent_and_sent_once(fault: Fault) -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange, timeout_seconds=0.2)
        before = exchange.balances
        exchange.script("POST", "order", fault)
        with pytest.raises(OutcomeUnknown):
            broker.place(buy("0.1"))
        assert broker.find(buy("0.1")) is None
        assert exchange.count("POST", "order") == 1
        assert exchange.balances == before


@pytest.mark.parametrize("fault", ARRIVED.values(), ids=ARRIVED)
def test_an_order_that_arrived_is_unknown_then_found_and_sent_once(fault: Fault) -> None:
    order = buy("0.1")
    with an_exchange() as exchange:
        broker = a_broker(exchange, timeout_seconds=0.2)
        exchange.script("POST", "order", fault)
        reports: list[OrderReport] = []
        with changes_exactly(exchange, order, reports):
            with pytest.raises(OutcomeUnknown):
                broker.place(order)
            found = broker.find(order)
            assert found is not None
            reports.append(found)
        assert (found.state, found.filled) == ("filled", number("0.1"))
        assert exchange.count("POST", "order") == 1
        assert len(exchange.orders) == 1


@pytest.mark.parametrize("fault", REFUSED.values(), ids=REFUSED)
def test_a_definite_refusal_is_one(fault: Fault) -> None:
    with an_exchange() as exchange:
        exchange.script("POST", "order", fault)
        with pytest.raises(OrderRefused):
            a_broker(exchange).place(buy("0.1"))
        assert exchange.count("POST", "order") == 1


def test_the_exchange_refuses_for_real_what_it_cannot_take() -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        with pytest.raises(OrderRefused, match="Account has insufficient balance"):
            broker.place(sell("2"))
        with pytest.raises(OrderRefused, match="Filter failure: NOTIONAL"):
            broker.place(buy("0.00001"))
        exchange.closed.add("BTC")
        with pytest.raises(OrderRefused, match="Market is closed"):
            broker.place(buy("0.1"))
        assert exchange.count("POST", "order") == 3
        assert exchange.orders == []


def test_an_order_still_under_way_when_we_stopped_waiting_is_not_called_absent() -> None:
    clock = Clock(seconds=100.0)
    order = buy("0.1")
    with an_exchange() as exchange:
        broker = a_broker(exchange, clock=clock, timeout_seconds=0.2)
        broker.markets([BTC])
        exchange.script("POST", "order", Fault(late_seconds=0.6))
        with pytest.raises(OutcomeUnknown):
            broker.place(order)
        assert exchange.orders == []
        with pytest.raises(OutcomeUnknown, match="may still be on its way"):
            broker.find(order)
        _until(lambda: exchange.orders != [])
        found = broker.find(order)
        assert found is not None
        assert found.state == "filled"
        assert exchange.count("POST", "order") == 1


def test_an_id_that_is_in_use_says_nothing_about_the_order_that_has_it() -> None:
    order = buy("0.1", limit="19000")
    with an_exchange() as exchange:
        exchange.script("POST", "order", Fault(rest=True))
        first = a_broker(exchange).place(order)
        again = a_broker(exchange)
        with pytest.raises(OutcomeUnknown, match="Duplicate order sent"):
            again.place(order)
        assert again.find(order) == first
        assert len(exchange.orders) == 1


def test_an_order_is_not_sent_where_the_rules_cannot_be_read() -> None:
    with an_exchange() as exchange:
        exchange.script("GET", "exchangeInfo", Fault(status=500, body=HTML))
        with pytest.raises(OrderRefused, match="not sent"):
            a_broker(exchange).place(buy("0.1"))
        assert exchange.count("POST", "order") == 0


def test_whatever_happens_each_order_is_sent_once_and_accounted_for() -> None:
    random_faults(60, seed=3)


@pytest.mark.proof
def test_whatever_happens_to_many_each_order_is_sent_once_and_accounted_for() -> None:
    random_faults(500, seed=5)


def random_faults(count: int, *, seed: int) -> None:
    """Random orders meeting random faults, looked up under random faults: nothing twice, nothing lost."""
    draw = random.Random(seed)
    quick = [fault for fault in (*NEVER_ARRIVED.values(), *ARRIVED.values()) if not fault.seconds]
    lookups = [fault for fault in UNANSWERED.values() if not fault.seconds]
    with an_exchange(balances={"USDT": number(10**7), "BTC": number(1000)}) as exchange:
        broker = a_broker(exchange, symbols={"BTC": "BTC/USDT"})
        for place in range(count):
            quantity = f"{Decimal(draw.randrange(100, 10_000)) / 100_000:f}"
            order = draw.choice((buy, sell))(quantity, client_id=f"tpr-{place}")
            if draw.random() < 0.8:
                exchange.script("POST", "order", draw.choice(quick))
            reports: list[OrderReport] = []
            with changes_exactly(exchange, order, reports):
                reports += _settled(broker, exchange, order, draw, lookups)
            accepted = sum(one.client_id == order.client_id for one in exchange.orders)
            assert accepted == len(reports)
            assert exchange.count("POST", "order") == place + 1
        assert 0 < len(exchange.orders) < count
        assert broker.holdings().cash == exchange.balances["USDT"]


def _settled(
    broker: CcxtBroker,
    exchange: LoopbackExchange,
    order: Order,
    draw: random.Random,
    lookups: list[Fault],
) -> list[OrderReport]:
    """Place once; then ask until there is an answer. Empty where the exchange never took the order."""
    try:
        return [broker.place(order)]
    except OutcomeUnknown:
        pass
    for _ in range(draw.randrange(3)):
        exchange.script(
            "GET", draw.choice(("order", "openOrders", "allOrders", "myTrades")), draw.choice(lookups)
        )
    for _ in range(40):
        try:
            found = broker.find(order)
        except OutcomeUnknown:
            continue
        return [found] if found else []
    raise AssertionError("the exchange never told")


def _until(done: Callable[[], bool]) -> None:
    for _ in range(400):
        if done():
            return
        time.sleep(0.01)
    raise AssertionError("it never happened")
