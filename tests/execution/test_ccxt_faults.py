"""Live broker: what the exchange and the network can do to us, and what we may conclude from it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

pytest.importorskip("ccxt")

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

from portfolio_rebalance.errors import BrokerError
from portfolio_rebalance.execution.broker import Order, OrderRefused, OrderReport, OutcomeUnknown
from portfolio_rebalance.execution.ccxt_broker import ApiCredentials, CcxtBroker

pytestmark = pytest.mark.usefixtures("unthrottled")

HTML = "<html><body>Service Unavailable</body></html>"


def said(code: int, text: str = "no", *, status: int = 400) -> Fault:
    """An error answer in the exchange's own form; nothing was done."""
    return Fault(accept=False, status=status, body=f'{{"code": {code}, "msg": "{text}"}}')


NEVER_ARRIVED = {
    "500": Fault(accept=False, status=500, body=HTML, content_type="text/html"),
    "503 unknown": said(-1000, "Unknown error, please check your request.", status=503),
    "503 in the words of a refusal": said(-1013, "Filter failure: LOT_SIZE", status=503),
    "504 -1007": said(-1007, "Timeout waiting for response from backend server.", status=504),
    "400 -1006": said(-1006, "An unexpected response was received from the message bus."),
    "400 -1007": said(-1007, "Timeout waiting for response from backend server."),
    "408": said(-1102, status=408),
    "418 banned": said(-1003, "Way too many requests.", status=418),
    "429": said(-1003, "Too many requests.", status=429),
    "429 too many orders": said(-1015, "Too many new orders.", status=429),
    "400 too late": said(-1021, "Timestamp for this request is outside of the recvWindow."),
    "403 of a firewall": Fault(accept=False, status=403, body=HTML, content_type="text/html"),
    "400 without a reason": Fault(accept=False, status=400, body=HTML, content_type="text/html"),
    "400 of an unknown kind": said(-9999),
    "200 html": Fault(accept=False, status=200, body=HTML, content_type="text/html"),
    "200 empty": Fault(accept=False, status=200),
    "200 of nothing": Fault(accept=False, status=200, body="{}"),
    "200 of a list": Fault(accept=False, status=200, body="[]"),
    "200 null": Fault(accept=False, status=200, body="null"),
    "200 with an error": Fault(accept=False, status=200, body='{"code": -2010, "msg": "no"}'),
    "200 with a success": Fault(accept=False, status=200, body='{"code": 200, "msg": "success"}'),
    "204": Fault(accept=False, status=204),
    "reset": Fault(accept=False, reset=True),
    "silence": Fault(accept=False, seconds=2),
}

ARRIVED = {
    "500": Fault(status=500, body=HTML, content_type="text/html"),
    "503": Fault(status=503, body='{"code": -1000, "msg": "Unknown error."}'),
    "504 -1007": Fault(status=504, body='{"code": -1007, "msg": "Timeout."}'),
    "429": Fault(status=429, body='{"code": -1003, "msg": "Too many requests."}'),
    "418": Fault(status=418, body='{"code": -1003, "msg": "Banned."}'),
    "200 html": Fault(status=200, body=HTML, content_type="text/html"),
    "200 empty": Fault(status=200),
    "200 of nothing": Fault(status=200, body="{}"),
    "reset": Fault(reset=True),
    "silence": Fault(seconds=2),
    "cut short": Fault(cut=True),
    "without its state": Fault(rewrite=lambda answer: _without(answer, "status")),
    "in a state unheard of": Fault(rewrite=lambda answer: answer | {"status": "PENDING_NEW"}),
    "without what was filled": Fault(rewrite=lambda answer: _without(answer, "executedQty")),
    "without what was paid": Fault(rewrite=lambda answer: _without(answer, "cummulativeQuoteQty")),
    "paid unknown": Fault(rewrite=lambda answer: answer | {"cummulativeQuoteQty": "-1.0"}),
    "filled twice over": Fault(rewrite=lambda answer: answer | {"executedQty": "0.20000000"}),
    "filled, but not whole": Fault(rewrite=lambda answer: answer | {"executedQty": "0.05000000"}),
    "of another order": Fault(rewrite=lambda answer: answer | {"clientOrderId": "x-1"}),
    "of another market": Fault(rewrite=lambda answer: answer | {"symbol": "ETHUSDT"}),
    "of the other side": Fault(rewrite=lambda answer: answer | {"side": "SELL"}),
    "of another size": Fault(rewrite=lambda answer: answer | {"origQty": "1.00000000"}),
    "with no number": Fault(rewrite=lambda answer: answer | {"executedQty": "many"}),
    "with NaN": Fault(rewrite=lambda answer: answer | {"executedQty": float("nan")}),
    "redirected": Fault(status=302, location="/api/v3/account"),
    "redirected for good, with the order": Fault(status=308, location="/api/v3/order"),
}

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


# --- placing ---------------------------------------------------------------------------------------------


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


# --- finding ---------------------------------------------------------------------------------------------

UNANSWERED = {
    "500": Fault(status=500, body=HTML, content_type="text/html"),
    "429": Fault(status=429, body='{"code": -1003, "msg": "Too many requests."}'),
    "html": Fault(status=200, body=HTML, content_type="text/html"),
    "empty": Fault(status=200),
    "nothing": Fault(status=200, body="{}"),
    "strings": Fault(status=200, body='["a"]'),
    "reset": Fault(reset=True),
    "silence": Fault(seconds=2),
    "no right to": said(-2015, "Invalid API-key, IP, or permissions for action.", status=401),
    "redirect": Fault(status=302, location="/api/v3/time"),
}


@pytest.mark.parametrize("place", ["order", "openOrders", "allOrders", "myTrades"])
@pytest.mark.parametrize("fault", UNANSWERED.values(), ids=UNANSWERED)
def test_an_order_is_absent_only_if_every_place_answered(place: str, fault: Fault) -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange, timeout_seconds=0.2)
        broker.markets([BTC])
        exchange.script("GET", place, fault)
        with pytest.raises(OutcomeUnknown):
            broker.find(buy("0.1"))
        assert broker.find(buy("0.1")) is None


@pytest.mark.parametrize("rest", [False, True], ids=["filled", "open"])
def test_an_order_that_cannot_be_asked_for_by_its_id_is_found_in_the_lists(rest: bool) -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        exchange.script("POST", "order", Fault(rest=rest))
        placed = broker.place(buy("0.1"))
        exchange.script("GET", "order", said(-2013, "Order does not exist."))
        assert broker.find(buy("0.1")) == placed


def test_a_trade_of_an_order_that_no_place_shows_is_no_proof_of_absence() -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        broker.place(buy("0.1", client_id="before"))
        broker.place(buy("0.1"))
        for _ in range(2):
            exchange.script("GET", "order", said(-2013, "Order does not exist."))
        exchange.script("GET", "allOrders", Fault(rewrite=lambda orders: orders[:1]))
        with pytest.raises(OutcomeUnknown, match="a trade of an order that it does not list"):
            broker.find(buy("0.1"))
        exchange.script("GET", "allOrders", Fault(rewrite=lambda _orders: []))
        with pytest.raises(OutcomeUnknown, match="a trade of an order that it does not list"):
            broker.find(buy("0.1"))


def test_trades_of_orders_from_before_the_list_begins_are_no_strangers() -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        broker.place(buy("0.1", client_id="long-ago"))
        broker.place(buy("0.1", client_id="lately"))
        exchange.script("GET", "allOrders", Fault(rewrite=lambda orders: orders[1:]))
        assert broker.find(buy("0.1")) is None


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda orders: [_without(order, "clientOrderId") for order in orders],
        lambda orders: [order | {"orderId": "x"} for order in orders],
    ],
    ids=["whose?", "which number?"],
)
def test_a_list_with_an_entry_that_may_be_ours_is_no_proof_of_absence(rewrite: Callable[[Any], Any]) -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        broker.place(buy("0.1"))
        exchange.script("GET", "order", said(-2013, "Order does not exist."))
        exchange.script("GET", "allOrders", Fault(rewrite=rewrite))
        with pytest.raises(OutcomeUnknown):
            broker.find(buy("0.1", client_id="tpr-2"))


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda trades: trades[1:],
        lambda _trades: [],
        lambda _trades: {},
        lambda trades: [_without(trade, "commission") for trade in trades],
        lambda trades: [_without(trade, "commissionAsset") for trade in trades],
        lambda trades: [trade | {"qty": "0.1"} for trade in trades],
    ],
    ids=["one late", "all late", "no list", "no fee", "no coin", "too much"],
)
def test_a_filled_order_is_unknown_until_its_trades_add_up_to_it(rewrite: Callable[[Any], Any]) -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        placed = broker.place(buy("0.12"))
        exchange.script("GET", "myTrades", Fault(rewrite=rewrite))
        with pytest.raises(OutcomeUnknown):
            broker.find(buy("0.12"))
        assert broker.find(buy("0.12")) == placed


def test_a_different_order_under_our_id_is_not_ours() -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        broker.place(buy("0.1"))
        for other in (buy("0.2"), sell("0.1")):
            with pytest.raises(OutcomeUnknown, match="a different order"):
                broker.find(other)


# --- cancelling and reading ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [UNANSWERED["500"], UNANSWERED["reset"], UNANSWERED["no right to"], UNANSWERED["silence"]]
)
def test_a_cancellation_without_an_answer_is_unknown_and_sent_once(fault: Fault) -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange, timeout_seconds=0.2)
        exchange.script("POST", "order", Fault(rest=True))
        broker.place(buy("0.1"))
        exchange.script("DELETE", "order", fault)
        with pytest.raises(OutcomeUnknown):
            broker.cancel(buy("0.1"))
        assert exchange.count("DELETE", "order") == 1


@pytest.mark.parametrize(
    "fault",
    [
        *(fault for name, fault in UNANSWERED.items() if name != "no right to"),
        Fault(rewrite=lambda answer: answer | {"balances": []}),
        Fault(rewrite=lambda answer: answer | {"balances": answer["balances"][:1]}),
        Fault(rewrite=lambda answer: answer | {"balances": answer["balances"][1:]}),
        Fault(
            rewrite=lambda answer: (
                answer | {"balances": [_without(one, "locked") for one in answer["balances"]]}
            )
        ),
        Fault(
            rewrite=lambda answer: (
                answer | {"balances": [_without(one, "free") for one in answer["balances"]]}
            )
        ),
        Fault(
            rewrite=lambda answer: answer | {"balances": [one | {"free": "-1"} for one in answer["balances"]]}
        ),
    ],
)
def test_a_balance_that_is_missing_is_unknown_never_flat(fault: Fault) -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange, timeout_seconds=0.2)
        exchange.script("GET", "account", fault)
        with pytest.raises(OutcomeUnknown):
            broker.holdings()
        assert broker.holdings().cash == 50_000


@pytest.mark.parametrize("path", ["exchangeInfo", "time", "ticker/bookTicker", "account/commission"])
@pytest.mark.parametrize(
    "fault", [UNANSWERED[name] for name in ("500", "html", "nothing", "reset", "silence")]
)
def test_markets_are_unknown_where_one_answer_is_missing(path: str, fault: Fault) -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange, timeout_seconds=0.2)
        exchange.script("GET", path, fault)
        with pytest.raises(OutcomeUnknown):
            broker.markets([BTC])
        assert broker.markets([BTC])[BTC].price == 20_000


@pytest.mark.parametrize(
    ("key", "secret"), [("wrong", None), (None, "wrong")], ids=["unknown key", "wrong signature"]
)
def test_a_key_that_may_not_read_is_a_matter_for_a_person(key: str | None, secret: str | None) -> None:
    with an_exchange() as exchange:
        true = exchange.credentials
        given = ApiCredentials(key=key or true.key, secret=secret or true.secret)
        broker = CcxtBroker(exchange.settings(), given)
        with pytest.raises(BrokerError, match="may not be read"):
            broker.holdings()
        with pytest.raises(OrderRefused):
            broker.place(buy("0.1"))
        assert exchange.orders == []


# --- many ------------------------------------------------------------------------------------------------


def test_whatever_happens_each_order_is_sent_once_and_accounted_for() -> None:
    random_faults(60, seed=3)


@pytest.mark.proof
def test_whatever_happens_to_many_each_order_is_sent_once_and_accounted_for() -> None:
    random_faults(1500, seed=5)


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


def _without(answer: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != name}


def _until(done: Callable[[], bool]) -> None:
    for _ in range(400):
        if done():
            return
        time.sleep(0.01)
    raise AssertionError("it never happened")
