"""Live broker: the real client over real HTTP against an exchange on this machine. What is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("ccxt")

from exchange_orders import BTC, ETH, a_broker, an_exchange, buy, number, unthrottled  # noqa: F401
from loopback_exchange import Fault, LoopbackExchange

from portfolio_rebalance.errors import BrokerError
from portfolio_rebalance.execution.broker import Holdings, OrderRefused, OutcomeUnknown
from portfolio_rebalance.records import Market

pytestmark = pytest.mark.usefixtures("unthrottled")


def _quoted(*, bid: str, ask: str) -> Callable[[Any], Any]:
    return lambda tickers: [ticker | {"bidPrice": bid, "askPrice": ask} for ticker in tickers]


def test_holdings_are_free_and_locked_together_and_of_the_portfolio_alone() -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        exchange.script("POST", "order", Fault(rest=True))
        assert broker.place(buy("0.5", limit="19000")).state == "open"
        assert exchange.locked["USDT"] == 9500
        assert broker.holdings() == Holdings(cash=number(50_000), quantities={BTC: number(1), ETH: number(2)})


def test_without_symbols_every_coin_counts_as_held() -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange, symbols=None, account="spot")
        assert broker.holdings().quantities == {
            ("spot", "BTC"): 1,
            ("spot", "ETH"): 2,
            ("spot", "BNB"): 3,
        }
        assert broker.markets([("spot", "BNB")])["spot", "BNB"].price == 300


def test_amounts_without_quotes_are_read_as_exactly() -> None:
    with an_exchange() as exchange:
        balances = '{"asset": "USDT", "free": 90071992.54740993, "locked": 0.00000001}'
        body = f'{{"balances": [{balances}, {balances.replace("USDT", "BTC")}]}}'
        exchange.script("GET", "account", Fault(status=200, body=body))
        holdings = a_broker(exchange, symbols={"BTC": "BTC/USDT"}).holdings()
        assert holdings.cash == holdings.quantities[BTC] == number("90071992.54740994")


def test_an_asset_may_have_another_name_than_its_coin() -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange, symbols={"XBT": "BTC/USDT"})
        assert broker.holdings().quantities == {("main", "XBT"): 1}
        report = broker.place(buy("0.001", asset="XBT"))
        assert report.asset_change == number("0.000999")


def test_markets_state_price_rules_and_fees() -> None:
    with an_exchange(fee_bps=number("7.5"), spread=number("0.05")) as exchange:
        assert a_broker(exchange).markets([BTC, ETH]) == {
            BTC: Market(
                account="main",
                asset="BTC",
                price=number(20_000),
                lot=number("0.00001"),
                min_notional=number(5),
                commission_bps=number("7.5"),
            ),
            ETH: Market(
                account="main",
                asset="ETH",
                price=number(1_500),
                lot=number("0.00001"),
                min_notional=number(5),
                commission_bps=number("7.5"),
            ),
        }


def test_the_price_is_between_bid_and_ask_of_now() -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        assert broker.markets([BTC])[BTC].price == 20_000
        exchange.script("GET", "ticker/bookTicker", Fault(rewrite=_quoted(bid="19990.01", ask="20000.02")))
        assert broker.markets([BTC])[BTC].price == number("19995.015")
        exchange.prices["BTC"] = number(25_000)
        assert broker.markets([BTC])[BTC].price == 25_000


def test_the_last_price_serves_where_a_side_of_the_book_is_empty() -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        exchange.script("GET", "ticker/bookTicker", Fault(rewrite=_quoted(bid="0.00000000", ask="25000.00")))
        assert broker.markets([BTC])[BTC].price == 20_000
        assert broker.markets([BTC, ETH])[ETH].price == 1_500


@pytest.mark.parametrize(
    "rewrite",
    [
        _quoted(bid="20000.02", ask="20000.01"),
        _quoted(bid="-1.00", ask="20000.01"),
        _quoted(bid="nan", ask="20000.01"),
        lambda _tickers: [],
        lambda _tickers: {},
    ],
    ids=["crossed", "negative", "no number", "no prices", "no list"],
)
def test_a_price_that_makes_no_sense_is_unknown(rewrite: Callable[[Any], Any]) -> None:
    with an_exchange() as exchange:
        exchange.script("GET", "ticker/bookTicker", Fault(rewrite=rewrite))
        with pytest.raises(OutcomeUnknown):
            a_broker(exchange).markets([BTC])


def test_no_bid_and_no_last_price_is_unknown() -> None:
    with an_exchange() as exchange:
        exchange.script("GET", "ticker/bookTicker", Fault(rewrite=_quoted(bid="0.0", ask="25000.00")))
        exchange.script("GET", "ticker/24hr", Fault(rewrite=lambda answer: answer | {"lastPrice": "0.0"}))
        with pytest.raises(OutcomeUnknown):
            a_broker(exchange).markets([BTC])


def test_the_smallest_order_respects_the_smallest_quantity_too() -> None:
    with an_exchange(step=number("0.001")) as exchange:
        assert a_broker(exchange).markets([BTC])[BTC].min_notional == 20


def test_markets_of_nothing_is_nothing() -> None:
    with an_exchange() as exchange:
        assert a_broker(exchange).markets([]) == {}
        assert exchange.requests == []


def test_no_market_for_an_asset_is_said_before_anything_is_sent() -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange, symbols={"BTC": "BTC/USDT", "DOGE": "DOGE/USDT"})
        with pytest.raises(BrokerError, match="ETH is not among the assets"):
            broker.markets([ETH])
        with pytest.raises(BrokerError, match="'hedge' is another"):
            broker.markets([("hedge", "BTC")])
        with pytest.raises(BrokerError, match="no spot market DOGE/USDT"):
            broker.markets([("main", "DOGE")])
        for order in (buy("1", asset="ETH"), buy("1", asset="DOGE")):
            with pytest.raises(OrderRefused, match="not sent"):
                broker.place(order)
        assert exchange.count("POST", "order") == 0


def test_a_market_that_is_closed_is_said() -> None:
    with an_exchange() as exchange:
        exchange.closed.add("BTC")
        with pytest.raises(BrokerError, match="takes no orders for BTC/USDT"):
            a_broker(exchange).markets([BTC, ETH])


def test_a_market_that_is_not_spot_is_none() -> None:
    def as_future(info: Any) -> Any:
        return info | {"symbols": [one | {"contractType": "CURRENT_QUARTER"} for one in info["symbols"]]}

    with an_exchange() as exchange:
        exchange.script("GET", "exchangeInfo", Fault(rewrite=as_future))
        with pytest.raises(BrokerError, match="no spot market BTC/USDT"):
            a_broker(exchange).markets([BTC])


def test_every_part_of_the_fee_counts_and_the_dearer_side() -> None:
    def dearer(answer: Any) -> Any:
        special = {"maker": "0.5", "taker": "0.0002", "buyer": "0.0001", "seller": "0.0004"}
        tax = {"maker": "0.5", "taker": "0.00001", "buyer": "0.00003", "seller": "0.00002"}
        return answer | {"specialCommission": special, "taxCommission": tax}

    with an_exchange() as exchange:
        exchange.script("GET", "account/commission", Fault(rewrite=dearer))
        # 10 of the standard, 2 + 4 of the special, 0.1 + 0.3 of the tax
        assert a_broker(exchange).markets([BTC])[BTC].commission_bps == number("16.4")


@pytest.mark.parametrize("rate", ["1.0", "-0.1", "free"])
def test_a_fee_that_makes_no_sense_is_unknown(rate: str) -> None:
    def senseless(answer: Any) -> Any:
        return answer | {"standardCommission": answer["standardCommission"] | {"taker": rate}}

    with an_exchange() as exchange:
        exchange.script("GET", "account/commission", Fault(rewrite=senseless))
        with pytest.raises(OutcomeUnknown):
            a_broker(exchange).markets([BTC])


def test_fees_in_a_coin_of_the_portfolio_are_refused() -> None:
    with an_exchange(fee_coin="BNB") as exchange:
        assert a_broker(exchange).markets([BTC])[BTC].commission_bps == 10
        with pytest.raises(BrokerError, match="takes fees in BNB, which the portfolio holds"):
            a_broker(exchange, symbols={"BTC": "BTC/USDT", "BNB": "BNB/USDT"}).markets([BTC])
        with pytest.raises(BrokerError, match="takes fees in BNB, which the portfolio holds"):
            a_broker(exchange, symbols=None).markets([BTC, ("main", "BNB")])


def test_what_the_broker_says_of_itself() -> None:
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        assert (broker.name, broker.live, broker.exact) == ("ccxt:binance", True, False)


def test_nothing_but_spot_trading_is_ever_asked_for() -> None:
    with an_exchange() as exchange:
        _tour(exchange, exchange_id="binance")
        paths = {seen.path.removeprefix("/api/v3/") for seen in exchange.requests}
        assert paths == {
            "time",
            "exchangeInfo",
            "ticker/bookTicker",
            "account",
            "account/commission",
            "order",
            "openOrders",
            "allOrders",
            "myTrades",
        }
        assert all(
            seen.params["recvWindow"] == "5000" for seen in exchange.requests if "signature" in seen.params
        )


def test_binance_us_speaks_the_same_language() -> None:
    with an_exchange() as exchange:
        _tour(exchange, exchange_id="binanceus")


def _tour(exchange: LoopbackExchange, *, exchange_id: str) -> None:
    """One of everything."""
    broker = a_broker(exchange, exchange=exchange_id)
    broker.holdings()
    broker.markets([BTC])
    assert broker.find(buy("0.1", client_id="never")) is None
    report = broker.place(buy("0.1"))
    assert report.state == "filled"
    assert broker.find(buy("0.1")) == report
    broker.cancel(buy("0.1"))
    assert broker.name == f"ccxt:{exchange_id}"
