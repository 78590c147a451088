"""Live broker: what it may be built with, and what may leave this machine."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("ccxt")

import ccxt
from exchange_orders import BTC, SYMBOLS, a_broker, an_exchange, buy, number, unthrottled  # noqa: F401
from loopback_exchange import Fault

from portfolio_rebalance.errors import BrokerError
from portfolio_rebalance.execution.broker import OrderRefused, OutcomeUnknown
from portfolio_rebalance.execution.ccxt_broker import ApiCredentials, CcxtBroker, CcxtSettings
from portfolio_rebalance.execution.ccxt_guard import Forbidden, Guard, Outgoing
from portfolio_rebalance.execution.ccxt_lookup import VENUES

SETTINGS = CcxtSettings(exchange="binance", quote_currency="USDT", symbols=SYMBOLS)
CREDENTIALS = ApiCredentials(key="canaryKEY" * 7, secret="canarySECRET" * 5)


# --- building --------------------------------------------------------------------------------------------


def test_the_client_is_imported_only_where_it_is_used() -> None:
    code = (
        "import sys, portfolio_rebalance.execution.ccxt_broker as broker;"
        "sys.exit('ccxt' in sys.modules or 'requests' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_client_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(BrokerError, match=r"pip install 'trading-portfolio-rebalance\[live\]'"):
        CcxtBroker(SETTINGS, CREDENTIALS)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (replace(SETTINGS, exchange="kraken"), "Supported are: binance, binanceus"),
        (replace(SETTINGS, exchange="__class__"), "Supported are: binance, binanceus"),
        (replace(SETTINGS, exchange="binanceus", sandbox=True), "has no test exchange"),
        (replace(SETTINGS, symbols={"BTC": "BTC/USD"}), "no spot market that is paid in USDT"),
        (replace(SETTINGS, symbols={"BTC": "BTC/USDT:USDT"}), "no spot market"),
        (replace(SETTINGS, symbols={"USDT": "USDT/USDT"}), "no spot market"),
        (replace(SETTINGS, symbols={"BTC": "BTC/USDT", "XBT": "BTC/USDT"}), "the market of BTC and of XBT"),
        (replace(SETTINGS, loopback="https://api.binance.com"), "not an address on this machine"),
        (replace(SETTINGS, loopback="http://10.0.0.1:8080"), "not an address on this machine"),
        (replace(SETTINGS, loopback="http://127.0.0.1:80@evil.example:80"), "not an address on this machine"),
        (replace(SETTINGS, loopback="http://127.0.0.1.evil.example:80"), "not an address on this machine"),
        (replace(SETTINGS, loopback="http://127.0.0.1:80/../evil"), "not an address on this machine"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: CcxtSettings, says: str) -> None:
    with pytest.raises(BrokerError, match=says):
        CcxtBroker(settings, CREDENTIALS)


@pytest.mark.parametrize("changes", [{"key": ""}, {"secret": ""}])
def test_empty_credentials_are_refused(changes: dict[str, str]) -> None:
    with pytest.raises(BrokerError, match="key or secret is empty"):
        CcxtBroker(SETTINGS, replace(CREDENTIALS, **changes))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("handle_option", lambda _exchange, _method, _option, _default: 3),
        ("precisionMode", ccxt.DECIMAL_PLACES),
        ("requests_trust_env", True),
    ],
    ids=["it would send again", "it would round otherwise", "it would ask the environment"],
)
def test_a_client_that_does_not_take_our_settings_is_not_used(
    name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Strange(ccxt.binance):  # type: ignore[misc, name-defined]
        def __init__(self, config: dict[str, Any]) -> None:
            super().__init__({**config, name: value} if not callable(value) else config)

    if callable(value):
        setattr(Strange, name, value)
    monkeypatch.setattr(ccxt, "binance", Strange)
    with pytest.raises(BrokerError, match="does not take the settings"):
        CcxtBroker(SETTINGS, CREDENTIALS)


def test_the_test_exchange_moves_no_real_money() -> None:
    broker = CcxtBroker(replace(SETTINGS, sandbox=True), CREDENTIALS)
    assert (broker.name, broker.live) == ("ccxt:binance:sandbox", False)


# --- where requests go -----------------------------------------------------------------------------------


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that the client would have connected to, had nobody stopped it."""
    import requests

    reached: list[str] = []

    def connect(_adapter: object, request: Any, **_options: object) -> None:
        reached.append(request.url)
        raise requests.ConnectionError

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", connect)
    return reached


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        (SETTINGS, "https://api.binance.com/api/v3/"),
        (replace(SETTINGS, sandbox=True), "https://testnet.binance.vision/api/v3/"),
        (replace(SETTINGS, exchange="binanceus"), "https://api.binance.us/api/v3/"),
    ],
)
def test_each_exchange_is_spoken_to_at_its_own_host(
    settings: CcxtSettings, host: str, no_network: list[str]
) -> None:
    with pytest.raises(OutcomeUnknown):
        CcxtBroker(settings, CREDENTIALS).holdings()
    assert no_network == [f"{host}exchangeInfo"]


def test_a_host_that_is_not_listed_is_never_spoken_to(no_network: list[str]) -> None:
    broker = CcxtBroker(replace(SETTINGS, hosts=frozenset({"example.invalid"})), CREDENTIALS)
    with pytest.raises(BrokerError, match="not on the list of allowed hosts"):
        broker.holdings()
    with pytest.raises(BrokerError, match="not on the list of allowed hosts"):
        broker.markets([BTC])
    with pytest.raises(OrderRefused, match="not sent"):
        broker.place(buy("0.1"))
    assert no_network == []


def test_this_machine_must_be_listed_too_where_there_is_a_list() -> None:
    with an_exchange() as exchange:
        with pytest.raises(BrokerError, match="not on the list of allowed hosts"):
            a_broker(exchange, hosts=frozenset({"api.binance.com"})).holdings()
        assert exchange.requests == []
        assert a_broker(exchange, hosts=frozenset({"127.0.0.1"})).holdings().cash == 50_000


def test_proxies_of_the_environment_see_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with an_exchange() as exchange:
        assert a_broker(exchange).holdings().cash == 50_000


def test_nobody_follows_a_redirect() -> None:
    with an_exchange() as exchange, an_exchange() as elsewhere:
        broker = a_broker(exchange)
        broker.markets([BTC])
        exchange.script("GET", "account", Fault(status=302, location=f"{elsewhere.url}/api/v3/account"))
        with pytest.raises(OutcomeUnknown, match="sent us elsewhere"):
            broker.holdings()
        exchange.script(
            "POST", "order", Fault(accept=False, status=307, location=f"{elsewhere.url}/api/v3/order")
        )
        with pytest.raises(OutcomeUnknown, match="sent us elsewhere"):
            broker.place(buy("0.1"))
        assert (exchange.count("POST", "order"), elsewhere.requests, elsewhere.orders) == (1, [], [])


PLACING = Outgoing(method="POST", fields={"symbol": "BTCUSDT", "quantity": "0.1", "price": "20000"})
BODY = b"timestamp=1&symbol=BTCUSDT&quantity=0.1&price=20000&signature=ab"
HOST = "https://api.binance.com"


class Session:
    """What the guard is put in front of."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, request: Any, **options: object) -> Any:
        assert options["allow_redirects"] is False
        self.sent.append(request)
        return type("Reply", (), {"status_code": 200})


def request(method: str, url: str, body: bytes | str | None = None) -> Any:
    return type("Request", (), {"method": method, "url": url, "body": body})


def guarded() -> tuple[Guard, Session]:
    guard, session = Guard(origins=frozenset({HOST}), venue=VENUES["binance"]), Session()
    guard.attach(session)
    guard.begin(PLACING)
    return guard, session


@pytest.mark.parametrize(
    "url",
    [
        "http://api.binance.com/api/v3/account",
        "https://api.binance.com.evil.example/api/v3/account",
        "https://api.binance.com@evil.example/api/v3/account",
        "https://api.binance.com:8443/api/v3/account",
        "https://evil.example/api/v3/account?https://api.binance.com/api/v3/account",
        "https://evil.example#https://api.binance.com/api/v3/account",
        "https://api.binance.com\\@evil.example/api/v3/account",
        "https://api.binance.com/sapi/v1/capital/config/getall",
        "https://api.binance.com/api/v3/../../sapi/v1/account",
        "https://api.binance.com/api/v3/userDataStream",
        "https://api.binance.com/api/v3/",
        "",
    ],
)
def test_other_addresses_are_stopped(url: str) -> None:
    _, session = guarded()
    with pytest.raises(Forbidden):
        session.send(request("GET", url))
    assert session.sent == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "order", BODY.replace(b"0.1", b"0.10")),
        ("POST", "order", BODY.replace(b"20000", b"20001")),
        ("POST", "order", BODY.replace(b"&price=20000", b"")),
        ("POST", "order", BODY + b"&quantity=100"),
        ("POST", "order", BODY.replace(b"BTCUSDT", b"ETHUSDT")),
        ("POST", "order", None),
        ("POST", "order/test", BODY),
        ("POST", "order/oco", BODY),
        ("POST", "sor/order", BODY),
        ("DELETE", "order", BODY),
        ("DELETE", "openOrders", BODY),
        ("PUT", "order", BODY),
    ],
)
def test_changes_that_were_not_asked_for_are_stopped(method: str, path: str, body: bytes | None) -> None:
    guard, session = guarded()
    with pytest.raises(Forbidden):
        session.send(request(method, f"{HOST}/api/v3/{path}", body))
    assert (session.sent, guard.changes_sent) == ([], 0)


def test_amounts_in_the_address_count_as_sent() -> None:
    _, session = guarded()
    with pytest.raises(Forbidden, match=r"quantity would be 9 and 0\.1 instead of 0\.1"):
        session.send(request("POST", f"{HOST}/api/v3/order?quantity=9", BODY))
    assert session.sent == []


def test_the_order_that_was_asked_for_goes_out_once() -> None:
    guard, session = guarded()
    session.send(request("POST", f"{HOST}/api/v3/order", BODY))
    with pytest.raises(Forbidden, match="was not asked for"):
        session.send(request("POST", f"{HOST}/api/v3/order", BODY))
    assert (len(session.sent), guard.changes_sent) == (1, 1)


def test_questions_change_nothing() -> None:
    guard, session = guarded()
    guard.begin(None)
    session.send(request("GET", f"{HOST}/api/v3/account?timestamp=1"))
    with pytest.raises(Forbidden, match="was not asked for"):
        session.send(request("POST", f"{HOST}/api/v3/order", BODY))
    assert (len(session.sent), guard.changes_sent) == (1, 0)


@pytest.mark.usefixtures("unthrottled")
def test_a_client_that_sends_again_on_its_own_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def stubborn(client: Any, path: str, api: Any, method: str, params: Any, config: Any) -> Any:
        signed = client.sign(path, api, method, params)
        try:
            return client.fetch(signed["url"], signed["method"], signed["headers"], signed["body"])
        except ccxt.BaseError:
            return client.fetch(signed["url"], signed["method"], signed["headers"], signed["body"])

    monkeypatch.setattr(ccxt.Exchange, "fetch2", stubborn)
    with an_exchange() as exchange:
        broker = a_broker(exchange)
        exchange.script("POST", "order", Fault(status=503, body='{"code": -1000, "msg": "Unknown error."}'))
        with pytest.raises(OutcomeUnknown, match="POST order was not asked for"):
            broker.place(buy("0.1"))
        assert exchange.count("POST", "order") == 1
        found = broker.find(buy("0.1"))
        assert found is not None
        assert found.filled == number("0.1")


@pytest.mark.usefixtures("unthrottled")
@pytest.mark.parametrize("of", ["amount_to_precision", "price_to_precision"])
def test_a_client_that_rounds_for_us_is_stopped(of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccxt.Exchange, of, lambda _client, _symbol, _value: "0.2")
    with an_exchange() as exchange:
        with pytest.raises(OrderRefused, match=r"not sent: .* would be 0\.2 instead of"):
            a_broker(exchange).place(buy("0.1"))
        assert exchange.count("POST", "order") == 0


@pytest.mark.usefixtures("unthrottled")
def test_a_client_that_lets_an_order_wait_longer_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    sign = ccxt.binance.sign

    def patiently(client: Any, *request: Any) -> Any:
        client.options["recvWindow"] = 60_000
        return sign(client, *request)

    monkeypatch.setattr(ccxt.binance, "sign", patiently)
    with an_exchange() as exchange:
        with pytest.raises(OrderRefused, match="recvWindow would be 60000 instead of 5000"):
            a_broker(exchange).place(buy("0.1"))
        assert exchange.count("POST", "order") == 0


def test_pauses_between_requests_are_kept() -> None:
    pauses: list[float] = []
    with pytest.MonkeyPatch.context() as patch, an_exchange() as exchange:
        patch.setattr("time.sleep", pauses.append)
        broker = a_broker(exchange)
        for _ in range(3):
            broker.holdings()
    assert sum(pauses) > 0.2
