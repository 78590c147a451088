"""A spot exchange on this machine that speaks Binance's API over real HTTP, for tests.

It is an exchange of its own, not a recording: keys, signatures and clocks are checked, filters enforced,
balances exact, fees taken from what is bought (or in a coin of choice), immediate-or-cancel honoured. Every
request is kept. ``script`` makes it fail, before or after it did what it was asked.

    with LoopbackExchange(prices={"BTC": Decimal(20_000)}, balances={"USDT": Decimal(1000)}) as exchange:
        broker = CcxtBroker(exchange.settings(), exchange.credentials)
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from loopback_http import Fault, Seen, Server, handler_of
from loopback_matching import LoopbackOrder, Matching, Refusal, now_ms, text

from portfolio_rebalance.execution.ccxt_broker import ApiCredentials, CcxtSettings

__all__ = ["Fault", "LoopbackExchange", "LoopbackOrder", "Seen", "shown"]

BASE = "/api/v3/"
SIGNING = {"timestamp", "recvWindow", "signature"}


class LoopbackExchange(Matching):
    """The exchange; arguments as of ``Matching``.

    Attributes:
        requests: All that came, in order.
        bugs: What went wrong in here; looked at when it closes.
    """

    def __init__(self, **book: Any) -> None:
        super().__init__(**book)
        self.credentials = ApiCredentials(key="k" + "Ab3" * 21, secret="s" + "Cd4" * 21)
        self.requests: list[Seen] = []
        self.bugs: list[BaseException] = []
        self._faults: dict[tuple[str, str], list[Fault]] = {}
        self._lock = threading.RLock()
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        self._server = Server(("127.0.0.1", 0), handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        assert not self.bugs, self.bugs

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def balances(self) -> dict[str, Decimal]:
        """All of each coin, free or locked."""
        with self._lock:
            return {coin: self.free[coin] + self.locked[coin] for coin in self.free}

    def settings(self, **changes: Any) -> CcxtSettings:
        """How to reach it."""
        kept = {"exchange": "binance", "quote_currency": self.quote, "loopback": self.url}
        return CcxtSettings(**{**kept, "timeout_seconds": 5.0, **changes})

    def count(self, method: str, path: str) -> int:
        """How many requests of one kind came."""
        return sum((seen.method, seen.path) == (method, BASE + path) for seen in self.requests)

    def script(self, method: str, path: str, *faults: Fault) -> None:
        """What goes wrong with the next requests of one kind, one fault each."""
        self._faults.setdefault((method, BASE + path), []).extend(faults)

    def fill(self, client_id: str) -> None:
        """Let an order that rests on the book find its counterparty."""
        with self._lock:
            order = next(one for one in self.orders if one.client_id == client_id and one.status == "NEW")
            self.unlock(order)
            self.execute(order, order.quantity)
            order.status = "FILLED"

    # One request.

    def take(self, seen: Seen, *, signed_text: str) -> tuple[int, Any, Fault]:
        """Status, answer, and what goes wrong with it."""
        with self._lock:
            self.requests.append(seen)
            queue = self._faults.get((seen.method, seen.path), [])
            fault = queue.pop(0) if queue else Fault()
        if not fault.accept:
            return 200, {}, fault
        self.wait(fault.late_seconds)
        with self._lock:
            try:
                return 200, self._answer(seen, signed_text, fault), fault
            except Refusal as refusal:
                return refusal.status, refusal.answer, fault

    def wait(self, seconds: float) -> None:
        """Let time pass; not beyond the end of the test."""
        if seconds:
            self._closing.wait(seconds)

    def _answer(self, seen: Seen, signed_text: str, fault: Fault) -> Any:
        known = {
            ("GET", "time"): (self._time, False, set()),
            ("GET", "exchangeInfo"): (self._info, False, set()),
            ("GET", "ticker/bookTicker"): (self._book_tickers, False, {"symbols"}),
            ("GET", "ticker/24hr"): (self._day_ticker, False, {"symbol"}),
            ("GET", "account"): (self._account, True, set()),
            ("GET", "account/commission"): (self._commission, True, {"symbol"}),
            ("GET", "order"): (self._order, True, {"symbol", "origClientOrderId"}),
            ("GET", "openOrders"): (self._open_orders, True, {"symbol"}),
            ("GET", "allOrders"): (self._all_orders, True, {"symbol", "limit"}),
            ("GET", "myTrades"): (self._my_trades, True, {"symbol", "orderId", "limit"}),
            ("DELETE", "order"): (self._cancel, True, {"symbol", "origClientOrderId"}),
            ("POST", "order"): (
                lambda params: self._place(params, fault),
                True,
                {"symbol", "side", "type", "timeInForce", "quantity", "price", "newClientOrderId"}
                | {"newOrderRespType"},
            ),
        }
        entry = known.get((seen.method, seen.path.removeprefix(BASE)))
        if entry is None:
            raise Refusal(-1000, "no such endpoint", status=404)
        answer, signed, names = entry
        if signed:
            self._require_signed(seen, signed_text)
        for name in seen.params:
            if name not in names | (SIGNING if signed else set()):
                raise Refusal(-1104, "Not all sent parameters were read.")
        return answer(dict(seen.params))

    def _require_signed(self, seen: Seen, text: str) -> None:
        if seen.headers.get("x-mbx-apikey") != self.credentials.key:
            raise Refusal(-2015, "Invalid API-key, IP, or permissions for action.", status=401)
        unsigned, _, signature = text.rpartition("&signature=")
        wanted = hmac.new(self.credentials.secret.encode(), unsigned.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature, wanted):
            raise Refusal(-1022, "Signature for this request is not valid.")
        now, sent = now_ms(), int(seen.params["timestamp"])
        if not now - int(seen.params.get("recvWindow", 5000)) <= sent <= now + 1000:
            raise Refusal(-1021, "Timestamp for this request is outside of the recvWindow.")

    # What can be asked.

    def _time(self, _params: dict[str, str]) -> Any:
        return {"serverTime": now_ms()}

    def _info(self, _params: dict[str, str]) -> Any:
        def market(asset: str) -> Any:
            return {
                "symbol": asset + self.quote,
                "status": "BREAK" if asset in self.closed else "TRADING",
                "baseAsset": asset,
                "baseAssetPrecision": 8,
                "quoteAsset": self.quote,
                "quotePrecision": 8,
                "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
                "isSpotTradingAllowed": True,
                "isMarginTradingAllowed": False,
                "filters": [
                    {
                        "filterType": "PRICE_FILTER",
                        "minPrice": text(self.tick),
                        "maxPrice": "1000000.00000000",
                        "tickSize": text(self.tick),
                    },
                    {
                        "filterType": "LOT_SIZE",
                        "minQty": text(self.step),
                        "maxQty": "9000.00000000",
                        "stepSize": text(self.step),
                    },
                    {
                        "filterType": "NOTIONAL",
                        "minNotional": text(self.min_notional),
                        "applyMinToMarket": True,
                        "maxNotional": "9000000.00000000",
                        "applyMaxToMarket": False,
                        "avgPriceMins": 5,
                    },
                ],
                "permissions": [],
                "permissionSets": [["SPOT"]],
            }

        return {
            "timezone": "UTC",
            "serverTime": now_ms(),
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": [market(asset) for asset in self.prices],
        }

    def _book_tickers(self, params: dict[str, str]) -> Any:
        return [
            {
                "symbol": symbol,
                "bidPrice": text(self.bid(self.asset_of(symbol))),
                "bidQty": "1000.00000000",
                "askPrice": text(self.ask(self.asset_of(symbol))),
                "askQty": "1000.00000000",
            }
            for symbol in json.loads(params["symbols"])
        ]

    def _day_ticker(self, params: dict[str, str]) -> Any:
        price = text(self.prices[self.asset_of(params["symbol"])])
        return {"symbol": params["symbol"], "lastPrice": price, "closeTime": now_ms()}

    def _account(self, _params: dict[str, str]) -> Any:
        return {
            "canTrade": True,
            "accountType": "SPOT",
            "updateTime": now_ms(),
            "balances": [
                {"asset": coin, "free": text(free), "locked": text(self.locked[coin])}
                for coin, free in self.free.items()
            ],
            "permissions": ["SPOT"],
        }

    def _commission(self, params: dict[str, str]) -> Any:
        self.asset_of(params["symbol"])
        none = dict.fromkeys(("maker", "taker", "buyer", "seller"), "0.00000000")
        return {
            "symbol": params["symbol"],
            "standardCommission": none | {"taker": text(self.fee_bps / 10_000)},
            "specialCommission": none,
            "taxCommission": none,
            "discount": {
                "enabledForAccount": self.fee_coin is not None,
                "enabledForSymbol": self.fee_coin is not None,
                "discountAsset": self.fee_coin or "BNB",
                "discount": "1.00000000",
            },
        }

    def _order(self, params: dict[str, str]) -> Any:
        self.asset_of(params["symbol"])
        return shown(self.named(params, "origClientOrderId", Refusal(-2013, "Order does not exist.")), self)

    def _open_orders(self, params: dict[str, str]) -> Any:
        return [one for one in self._all_orders(params) if one["status"] == "NEW"]

    def _all_orders(self, params: dict[str, str]) -> Any:
        asset = self.asset_of(params["symbol"])
        mine = [shown(order, self) for order in self.orders if order.asset == asset]
        return mine[-int(params.get("limit", 500)) :]

    def _my_trades(self, params: dict[str, str]) -> Any:
        asset = self.asset_of(params["symbol"])
        trades = [
            {
                "symbol": params["symbol"],
                "id": trade.number,
                "orderId": order.number,
                "price": text(trade.price),
                "qty": text(trade.quantity),
                "quoteQty": text(trade.quantity * trade.price),
                "commission": text(trade.fee),
                "commissionAsset": trade.fee_coin,
                "time": trade.at_ms,
                "isBuyer": order.side == "BUY",
                "isMaker": False,
                "isBestMatch": True,
            }
            for order in self.orders
            if order.asset == asset and params.get("orderId", str(order.number)) == str(order.number)
            for trade in order.trades
        ]
        return trades[-int(params.get("limit", 500)) :]

    # What changes something.

    def _place(self, params: dict[str, str], fault: Fault) -> Any:
        asset = self.asset_of(params["symbol"])
        order = self.checked(asset, params)
        self.orders.append(order)
        if fault.rest:
            self.lock_for(order)
            return shown(order, self) | {"fills": []}
        better = order.price >= self.ask(asset) if order.side == "BUY" else order.price <= self.bid(asset)
        share = (order.quantity * fault.share // self.step) * self.step if better else Decimal(0)
        first = (share / 2 // self.step) * self.step  # two fills, so that sums are sums
        for part in (first, share - first):
            if part:
                self.execute(order, part)
        order.status = "FILLED" if order.filled == order.quantity else "EXPIRED"
        fills = [
            {
                "price": text(trade.price),
                "qty": text(trade.quantity),
                "commission": text(trade.fee),
                "commissionAsset": trade.fee_coin,
                "tradeId": trade.number,
            }
            for trade in order.trades
        ]
        return shown(order, self) | {"transactTime": order.at_ms, "fills": fills}

    def _cancel(self, params: dict[str, str]) -> Any:
        unknown = Refusal(-2011, "Unknown order sent.")
        order = self.named(params, "origClientOrderId", unknown)
        if order.status != "NEW":
            raise unknown
        self.unlock(order)
        order.status = "CANCELED"
        return shown(order, self) | {"origClientOrderId": order.client_id, "clientOrderId": "cancelled"}


def shown(order: LoopbackOrder, exchange: LoopbackExchange) -> dict[str, Any]:
    """An order as the exchange tells it."""
    return {
        "symbol": order.asset + exchange.quote,
        "orderId": order.number,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "price": text(order.price),
        "origQty": text(order.quantity),
        "executedQty": text(order.filled),
        "cummulativeQuoteQty": text(order.paid),
        "status": order.status,
        "timeInForce": "IOC",
        "type": "LIMIT",
        "side": order.side,
        "time": order.at_ms,
        "updateTime": order.at_ms,
        "isWorking": True,
    }
