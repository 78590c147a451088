"""Live broker: what nobody may read, whatever goes wrong."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

import pytest

pytest.importorskip("ccxt")

from exchange_orders import BTC, a_broker, an_exchange, buy, unthrottled  # noqa: F401
from loopback_exchange import Fault, LoopbackExchange

from portfolio_rebalance.errors import BrokerError
from portfolio_rebalance.execution.broker import OrderRefused, OutcomeUnknown
from portfolio_rebalance.execution.ccxt_broker import CcxtBroker


def _telling(exchange: LoopbackExchange, do: Callable[[CcxtBroker], object]) -> str:
    """All that can be read of a failed call: the error, what it carries, and how it is printed."""
    try:
        do(a_broker(exchange, timeout_seconds=0.2))
    except (BrokerError, OrderRefused, OutcomeUnknown) as error:
        texts = traceback.format_exception(error)
        seen: BaseException | None = error
        while seen is not None:
            texts += [str(seen), repr(seen), repr(seen.args), repr(vars(seen))]
            seen = seen.__cause__ or seen.__context__
        return "".join(texts)
    raise AssertionError("nothing went wrong")


@pytest.mark.usefixtures("unthrottled")
def test_no_secret_is_in_any_error_log_or_output(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    texts = []
    with an_exchange() as exchange:
        key, secret = exchange.credentials.key, exchange.credentials.secret
        echoes = [key, secret, key.upper(), secret.encode().hex(), f"{'x' * 190}{secret}"]
        echoes += [" ".join(secret), key[::-1], key[4:40], "".join(f"%{ord(one):02x}" for one in secret)]
        faults = [
            *(
                Fault(accept=False, status=400, body=f'{{"code": -1102, "msg": "bad {echo}"}}')
                for echo in echoes
            ),
            *(
                Fault(accept=False, status=503, body=f"<b>{echo}</b>", content_type="text/html")
                for echo in echoes
            ),
            Fault(accept=False, reset=True),
            Fault(accept=False, seconds=2),
            Fault(accept=False, status=302, location=f"http://127.0.0.1:9/{key}"),
        ]
        for fault in faults:
            for method, path, do in (
                ("POST", "order", lambda broker: broker.place(buy("0.1"))),
                ("GET", "order", lambda broker: broker.find(buy("0.1"))),
                ("GET", "allOrders", lambda broker: broker.find(buy("0.1"))),
                ("DELETE", "order", lambda broker: broker.cancel(buy("0.1"))),
                ("GET", "account", lambda broker: broker.holdings()),
                ("GET", "account/commission", lambda broker: broker.markets([BTC])),
            ):
                exchange.script(method, path, fault)
                texts.append(_telling(exchange, do))
        broker = a_broker(exchange)
        texts += [
            repr(exchange.credentials),
            str(exchange.credentials),
            repr(broker),
            repr(exchange.settings()),
        ]
        output = capfd.readouterr()
        texts += [caplog.text, output.out, output.err]
    for text in texts:
        for canary in (key, secret, key[:20], secret[:20], secret.encode().hex()[:40], *echoes[5:]):
            assert canary.lower() not in text.lower()
    assert any("[secret key]" in text for text in texts)
    assert "X-MBX-APIKEY" not in "".join(texts)


@pytest.mark.usefixtures("unthrottled")
def test_what_strangers_write_is_shown_without_control_characters_and_not_without_end() -> None:
    with an_exchange() as exchange:
        body = '{"code": -1102, "msg": "a\\u001b[31m\\u202eb' + "c" * 5000 + '"}'
        exchange.script("POST", "order", Fault(accept=False, status=400, body=body))
        with pytest.raises(OrderRefused) as caught:
            a_broker(exchange).place(buy("0.1"))
        text = str(caught.value)
        assert text.isprintable()
        assert text.isascii()
        assert len(text) < 300
        assert "[31m b" in text
