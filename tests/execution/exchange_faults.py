"""What can go wrong with one request, by name."""

from __future__ import annotations

from typing import Any

from loopback_exchange import Fault

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
    "without its state": Fault(rewrite=lambda answer: without(answer, "status")),
    "in a state unheard of": Fault(rewrite=lambda answer: answer | {"status": "PENDING_NEW"}),
    "without what was filled": Fault(rewrite=lambda answer: without(answer, "executedQty")),
    "without what was paid": Fault(rewrite=lambda answer: without(answer, "cummulativeQuoteQty")),
    "paid unknown": Fault(rewrite=lambda answer: answer | {"cummulativeQuoteQty": "-1.0"}),
    "filled twice over": Fault(rewrite=lambda answer: answer | {"executedQty": "0.20000000"}),
    "filled, but not whole": Fault(rewrite=lambda answer: answer | {"executedQty": "0.05000000"}),
    "filled with nothing": Fault(
        rewrite=lambda answer: answer | {"executedQty": "0.0", "cummulativeQuoteQty": "0.0", "fills": []}
    ),
    "of another order": Fault(rewrite=lambda answer: answer | {"clientOrderId": "x-1"}),
    "of another market": Fault(rewrite=lambda answer: answer | {"symbol": "ETHUSDT"}),
    "of the other side": Fault(rewrite=lambda answer: answer | {"side": "SELL"}),
    "of another size": Fault(rewrite=lambda answer: answer | {"origQty": "1.00000000"}),
    "with no number": Fault(rewrite=lambda answer: answer | {"executedQty": "many"}),
    "with NaN": Fault(rewrite=lambda answer: answer | {"executedQty": float("nan")}),
    "redirected": Fault(status=302, location="/api/v3/account"),
    "redirected for good, with the order": Fault(status=308, location="/api/v3/order"),
}

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


def without(answer: dict[str, Any], name: str) -> dict[str, Any]:
    """An answer that lacks one field."""
    return {key: value for key, value in answer.items() if key != name}
