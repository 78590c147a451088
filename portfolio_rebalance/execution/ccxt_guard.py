"""What may leave this machine: the last look at every request that the exchange client wants to send.

The client is large, its addresses and parameters are its own business, and it changes weekly. So what it
sends is judged where it is final, below its own retries, proxies and redirects: one origin, the few paths
that are needed, and nothing that changes anything but the one order or cancellation that was asked for, once,
with exactly the amounts that were asked for. Whatever else it tries raises before a byte is sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol, cast

from portfolio_rebalance.execution.ccxt_lookup import Venue

__all__ = ["Forbidden", "Guard", "Outgoing", "Redirected", "loopback_host"]

_LOOPBACK: Final = re.compile(r"https?://(127\.0\.0\.1|localhost|\[::1\]):[1-9]\d{0,4}")


class Forbidden(Exception):  # noqa: N818 - a decision of ours, not a fault
    """The request was stopped; nothing was sent."""


class Redirected(Exception):  # noqa: N818
    """The answer points somewhere else; nobody went there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """The one request that may change something.

    Attributes:
        method: ``POST`` places an order, ``DELETE`` cancels one.
        fields: Parameters by name, as they must stand in the request, character for character.
    """

    method: Literal["POST", "DELETE"]
    fields: Mapping[str, str]


class _Request(Protocol):
    method: str
    url: str
    body: bytes | str | None


class _Reply(Protocol):
    status_code: int


class _Session(Protocol):
    send: Callable[..., _Reply]


class Guard:
    """Stands between the client and the network.

    Args:
        origins: ``https://host``, or a loopback origin with its port.
        venue: Its paths.
    """

    def __init__(self, *, origins: frozenset[str], venue: Venue) -> None:
        self._origins = origins
        self._venue = venue
        self._expected: Outgoing | None = None
        self.changes_sent = 0
        self.status: int | None = None

    def begin(self, outgoing: Outgoing | None) -> None:
        """Before each call: what it may change. Forgets what the call before it left."""
        self._expected = outgoing
        self.changes_sent = 0
        self.status = None

    def attach(self, session: object) -> None:
        """Take the place of the session's own ``send``, through which every hop of every request goes."""
        guarded = cast(_Session, session)
        send = guarded.send

        def look_then_send(request: _Request, **options: object) -> _Reply:
            self._require_allowed(request)
            self.changes_sent += request.method != "GET"
            self.status = None
            reply = send(request, **{**options, "allow_redirects": False})
            self.status = reply.status_code
            if 300 <= reply.status_code < 400:
                raise Redirected("the exchange sent us elsewhere")
            return reply

        guarded.send = look_then_send

    def _require_allowed(self, request: _Request) -> None:
        address, _, query = request.url.partition("?")
        path = self._path(address)
        if request.method == "GET":
            if path not in self._venue.reads:
                raise Forbidden(f"GET {path} is not one of the questions that may be asked")
            return
        expected, self._expected = self._expected, None
        if expected is None or expected.method != request.method or path != self._venue.order_path:
            raise Forbidden(f"{request.method} {path} was not asked for")
        body = request.body or b""
        sent = f"{query}&{body.decode('ascii', 'replace') if isinstance(body, bytes) else body}"
        pairs = [pair.split("=", 1) for pair in sent.split("&") if pair]
        for name, value in expected.fields.items():
            found = [pair[-1] for pair in pairs if pair[0] == name]
            if found != [value]:
                raise Forbidden(f"{name} would be {' and '.join(found) or 'left out'} instead of {value}")

    def _path(self, address: str) -> str:
        """What follows the origin. Compared as text: no two parsers can disagree about who is meant."""
        for origin in self._origins:
            base = origin + self._venue.base_path
            if address.startswith(base):
                return address.removeprefix(base)
        raise Forbidden("the address is not on the list of allowed hosts")


def loopback_host(origin: str) -> str | None:
    """The host of an origin on this machine, such as ``http://127.0.0.1:8080``; None for any other text."""
    found = _LOOPBACK.fullmatch(origin)
    return found[1] if found else None
