"""Live broker: questions that go unanswered, and answers that prove nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("ccxt")

from exchange_faults import UNANSWERED, said, without
from exchange_orders import (
    BTC,
    a_broker,
    an_exchange,
    buy,
    number,
    sell,
    unthrottled,  # noqa: F401
)
from loopback_exchange import Fault, LoopbackExchange, shown

from portfolio_rebalance.errors import BrokerError
from portfolio_rebalance.execution.broker import OrderRefused, OutcomeUnknown
from portfolio_rebalance.execution.ccxt_broker import ApiCredentials, CcxtBroker

pytestmark = pytest.mark.usefixtures("unthrottled")


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


def test_an_order_that_was_filled_while_the_lists_were_asked_for_is_filled() -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        exchange.script("POST", "order", Fault(rest=True))
        broker.place(buy("0.1"))
        exchange.fill("tpr-1")
        exchange.script("GET", "order", said(-2013, "Order does not exist."))
        exchange.script("GET", "openOrders", Fault(rewrite=lambda _orders: [_as_it_was(exchange)]))
        found = broker.find(buy("0.1"))
        assert found is not None
        assert (found.state, found.filled) == ("filled", number("0.1"))


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
        lambda orders: [without(order, "clientOrderId") for order in orders],
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
        lambda trades: [without(trade, "commission") for trade in trades],
        lambda trades: [without(trade, "commissionAsset") for trade in trades],
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
def test_a_cancellationwithout_an_answer_is_unknown_and_sent_once(fault: Fault) -> None:
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
                answer | {"balances": [without(one, "locked") for one in answer["balances"]]}
            )
        ),
        Fault(
            rewrite=lambda answer: answer | {"balances": [without(one, "free") for one in answer["balances"]]}
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


def _as_it_was(exchange: LoopbackExchange) -> dict[str, Any]:
    """The last order before it was filled."""
    last = exchange.orders[-1]
    return shown(replace(last, status="NEW", trades=[]), exchange)
