"""Live broker: orders that the exchange takes, to the last digit."""

from __future__ import annotations

import decimal
import random
from decimal import Decimal

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
from loopback_exchange import Fault

from portfolio_rebalance.execution.broker import Order, OrderRefused, OrderReport, OutcomeUnknown

pytestmark = pytest.mark.usefixtures("unthrottled")


def test_a_purchase_is_reported_to_the_last_digit_with_its_fee_in_the_bought_asset() -> None:
    order = buy("0.12345")
    with an_exchange() as exchange:
        reports: list[OrderReport] = []
        with changes_exactly(exchange, order, reports):
            reports.append(a_broker(exchange).place(order))
        # 0.12345 at the ask of 20 000.01, and 10 bps of it in BTC
        assert reports[0] == OrderReport(
            client_id="tpr-1",
            state="filled",
            filled=number("0.12345"),
            average_price=number("20000.01"),
            asset_change=number("0.12332655"),
            cash_change=number("-2469.0012345"),
            commission=number("2.4690012345"),
        )
        assert exchange.count("POST", "order") == 1
        assert exchange.count("GET", "myTrades") == 0


def test_a_sale_is_reported_to_the_last_digit_with_its_fee_in_cash() -> None:
    order = sell("0.5")
    with an_exchange() as exchange:
        reports: list[OrderReport] = []
        with changes_exactly(exchange, order, reports):
            reports.append(a_broker(exchange).place(order))
        assert reports[0] == OrderReport(
            client_id="tpr-1",
            state="filled",
            filled=number("0.5"),
            average_price=number("19999.99"),
            asset_change=number("-0.5"),
            cash_change=number("9989.995005"),
            commission=number("9.999995"),
        )


def test_a_fee_in_a_third_coin_is_valued_at_its_price_and_moves_neither_side() -> None:
    order = buy("0.3")
    with an_exchange(fee_coin="BNB") as exchange:
        reports: list[OrderReport] = []
        with changes_exactly(exchange, order, reports):
            reports.append(a_broker(exchange).place(order))
        assert (reports[0].asset_change, reports[0].cash_change) == (number("0.3"), number("-6000.003"))
        assert 3 - exchange.balances["BNB"] == number("0.02")
        assert reports[0].commission == 6


def test_a_fee_in_a_coin_without_a_price_counts_at_the_full_rate() -> None:
    with an_exchange(fee_coin="FEE", balances={"USDT": number(9000), "FEE": number(90)}) as exchange:
        report = a_broker(exchange).place(buy("0.3"))
        assert report.cash_change == number("-6000.003")
        assert report.commission == number("6.000003")


@pytest.mark.parametrize(
    ("order", "sent"),
    [
        (buy("0.001", limit="20000.019"), "20000.01"),
        (buy("0.001", limit="20000.01"), "20000.01"),
        (sell("0.001", limit="19999.981"), "19999.99"),
        (sell("0.001", limit="19999.98"), "19999.98"),
    ],
    ids=["buy down", "buy as it is", "sell up", "sell as it is"],
)
def test_prices_are_rounded_to_the_safe_side_and_quantities_sent_as_they_are(order: Order, sent: str) -> None:
    with an_exchange() as exchange:
        assert a_broker(exchange).place(order).state == "filled"
        posted = exchange.requests[-1]
        assert (posted.params["price"], posted.params["quantity"]) == (sent, "0.001")
        assert (posted.params["timeInForce"], posted.params["type"]) == ("IOC", "LIMIT")
        assert posted.params["newClientOrderId"] == "tpr-1"


def test_amounts_that_no_float_can_hold_arrive_whole() -> None:
    quantity = "90071992.54740993"  # 2**53 + 1 in the last place
    assert Decimal(float(quantity)) != number(quantity)
    with an_exchange(
        prices={"BTC": number(3)},
        balances={"USDT": number(900_000_000)},
        step=number("0.00000001"),
        tick=number(1),
        spread=number(1),
    ) as exchange:
        order = buy(quantity, limit="4")
        reports: list[OrderReport] = []
        with changes_exactly(exchange, order, reports):
            reports.append(a_broker(exchange).place(order))
        assert exchange.requests[-1].params["quantity"] == quantity
        assert reports[0].filled == number(quantity)
        assert reports[0].cash_change == number("-360287970.18963972")


def test_an_order_that_finds_nobody_is_closed_with_nothing_filled() -> None:
    with an_exchange() as exchange:
        report = a_broker(exchange).place(buy("0.1", limit="19999"))
        assert report == OrderReport(
            client_id="tpr-1",
            state="closed",
            filled=number(0),
            average_price=None,
            asset_change=number(0),
            cash_change=number(0),
            commission=number(0),
        )


def test_an_order_that_finds_half_is_closed_with_half_filled() -> None:
    with an_exchange() as exchange:
        exchange.script("POST", "order", Fault(share=number("0.5")))
        order = sell("0.2")
        broker = a_broker(exchange)
        reports: list[OrderReport] = []
        with changes_exactly(exchange, order, reports):
            reports.append(broker.place(order))
        assert (reports[0].state, reports[0].filled) == ("closed", number("0.1"))
        assert broker.find(order) == reports[0]


def test_trades_are_asked_for_where_the_answer_to_an_order_has_none() -> None:
    with an_exchange() as exchange:
        exchange.script("POST", "order", Fault(rewrite=lambda answer: answer | {"fills": []}))
        order = buy("0.12345")
        reports: list[OrderReport] = []
        with changes_exactly(exchange, order, reports):
            reports.append(a_broker(exchange).place(order))
        assert exchange.count("GET", "myTrades") == 1
        assert reports[0].commission == number("2.4690012345")


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (buy("0.000015"), "no multiple of the lot"),
        (buy("0"), "no multiple of the lot"),
        (buy("-1"), "no multiple of the lot"),
        (buy("0.1", limit="0.009"), "below the smallest price"),
        (buy("0.1", client_id="tpr 1&price=1"), "no id that the exchange takes"),
        (buy("0.1", client_id="x" * 37), "no id that the exchange takes"),
    ],
)
def test_an_order_that_cannot_be_sent_as_it_is_is_not_sent(order: Order, why: str) -> None:
    with an_exchange() as exchange:
        with pytest.raises(OrderRefused, match=why):
            a_broker(exchange).place(order)
        assert exchange.count("POST", "order") == 0


def test_sums_do_not_depend_on_the_decimal_context_nor_change_it() -> None:
    with (
        an_exchange() as exchange,
        decimal.localcontext(decimal.Context(prec=3, rounding="ROUND_UP")) as ours,
    ):
        before = (ours.rounding, dict(ours.traps), ours.prec)
        report = a_broker(exchange).place(buy("0.12345"))
        assert (ours.rounding, dict(ours.traps), ours.prec) == before
    assert report.cash_change == number("-2469.0012345")


def test_open_orders_are_found_cancelled_and_found_again() -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        exchange.script("POST", "order", Fault(rest=True))
        order = buy("0.5", limit="19000")
        opened = broker.place(order)
        assert (opened.state, opened.filled) == ("open", 0)
        assert broker.find(order) == opened
        broker.cancel(order)
        closed = broker.find(order)
        assert closed is not None
        assert (closed.state, closed.filled) == ("closed", 0)
        assert exchange.locked["USDT"] == 0


def test_cancelling_what_is_closed_or_never_was_is_fine() -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        filled = broker.place(buy("0.1"))
        broker.cancel(buy("0.1"))
        broker.cancel(buy("0.1", client_id="never"))
        assert broker.find(buy("0.1")) == filled
        assert exchange.count("DELETE", "order") == 2


def test_an_order_filled_meanwhile_is_found_with_its_fees() -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        exchange.script("POST", "order", Fault(rest=True))
        order = buy("0.2", limit="20000.01")
        with_reports: list[OrderReport] = []
        with changes_exactly(exchange, order, with_reports):
            assert broker.place(order).state == "open"
            exchange.fill("tpr-1")
            found = broker.find(order)
            assert found is not None
            with_reports.append(found)
        assert (found.state, found.asset_change) == ("filled", number("0.1998"))


def test_an_order_that_never_was_is_absent_after_all_four_places_were_asked() -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        broker.place(buy("0.1", client_id="another"))
        before = len(exchange.requests)
        assert broker.find(buy("0.1")) is None
        asked = [seen.path.removeprefix("/api/v3/") for seen in exchange.requests[before:]]
        assert asked == ["order", "openOrders", "allOrders", "myTrades"]


def test_nothing_is_absent_while_it_may_still_be_under_way() -> None:
    clock = Clock()
    with an_exchange() as exchange:
        broker = a_broker(exchange, clock=clock)
        with pytest.raises(OutcomeUnknown, match="may still be on its way"):
            broker.find(buy("0.1"))  # of a process before this one
        clock.seconds = 7.0
        assert broker.find(buy("0.1")) is None
        exchange.script("POST", "order", Fault(accept=False, reset=True))
        with pytest.raises(OutcomeUnknown):
            broker.place(buy("0.1"))
        clock.seconds = 13.9
        with pytest.raises(OutcomeUnknown, match="may still be on its way"):
            broker.find(buy("0.1"))
        clock.seconds = 14.0
        assert broker.find(buy("0.1")) is None


@pytest.mark.parametrize("fee_coin", [None, "BNB"])
def test_many_orders_add_up_exactly(fee_coin: str | None) -> None:
    random_orders(60, seed=7, fee_coin=fee_coin)


@pytest.mark.proof
@pytest.mark.parametrize("fee_coin", [None, "BNB"])
def test_very_many_orders_add_up_exactly(fee_coin: str | None) -> None:
    random_orders(3000, seed=11, fee_coin=fee_coin)


def random_orders(count: int, *, seed: int, fee_coin: str | None) -> None:
    """Random sides, sizes, limits and shares: reports against the exchange's own balances, one by one."""
    draw = random.Random(seed)
    balances = {"USDT": number(10**8), "BTC": number(5000), "BNB": number(10**6)}
    with an_exchange(fee_coin=fee_coin, balances=balances) as exchange:
        broker = a_broker(exchange, symbols={"BTC": "BTC/USDT"})
        states = set()
        for place in range(count):
            exchange.prices["BTC"] = Decimal(draw.randrange(1_500_000, 2_500_000)) / 100
            quantity = Decimal(draw.randrange(100, 100_000)) / 100_000
            limit = exchange.prices["BTC"] + Decimal(draw.randrange(-300, 1000)) / 1000
            make = buy if draw.random() < 0.5 else sell
            order = make(f"{quantity:f}", limit=f"{limit:f}", client_id=f"tpr-{place}")
            exchange.script("POST", "order", Fault(share=Decimal(draw.randrange(0, 5)) / 4))
            reports: list[OrderReport] = []
            with changes_exactly(exchange, order, reports):
                reports.append(broker.place(order))
            states.add(reports[0].state)
            if place % 10 == 0:
                assert broker.find(order) == reports[0]
        assert states == {"filled", "closed"}
        holdings = broker.holdings()
        assert (holdings.cash, holdings.quantities[BTC]) == (
            exchange.balances["USDT"],
            exchange.balances["BTC"],
        )
        assert exchange.count("POST", "order") == count
