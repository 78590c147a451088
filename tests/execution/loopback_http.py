"""How the loopback exchange is reached, and how it fails: a real server on a real socket."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request, as it came."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        accept: Whether it is carried out all the same.
        late_seconds: Under way before it arrives.
        seconds: Silence before the answer.
        reset: The connection is torn down instead of an answer.
        status: Of an answer of its own; 0 for the true one.
        body: Of that answer.
        content_type: Of that answer.
        location: Where a redirect points.
        rewrite: Changes the true answer.
        cut: The answer ends half way.
        share: Of an order's quantity, how much finds a counterparty.
        rest: The order is not filled, and not cancelled either.
    """

    accept: bool = True
    late_seconds: float = 0
    seconds: float = 0
    reset: bool = False
    status: int = 0
    body: str = ""
    content_type: str = "application/json"
    location: str = ""
    rewrite: Callable[[Any], Any] | None = None
    cut: bool = False
    share: Decimal = Decimal(1)
    rest: bool = False


class Answering(Protocol):
    """What the server asks for answers."""

    bugs: list[BaseException]

    def take(self, seen: Seen, *, signed_text: str) -> tuple[int, Any, Fault]: ...
    def wait(self, seconds: float) -> None: ...


class Server(ThreadingHTTPServer):
    """A server whose threads never hold up the end of a test."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no bug of ours; all else was kept by the handler."""


def handler_of(exchange: Answering) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer leaves in one piece: in two, the second waits for the first one's receipt

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def _serve(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            text = query or body
            seen = Seen(
                method=self.command,
                path=path,
                params=dict(parse_qsl(text, strict_parsing=bool(text))),
                headers={name.lower(): value for name, value in self.headers.items()},
            )
            try:
                status, answer, fault = exchange.take(seen, signed_text=text)
                if fault.rewrite is not None:
                    answer = fault.rewrite(answer)
            except Exception as bug:
                exchange.bugs.append(bug)
                raise
            exchange.wait(fault.seconds)
            if fault.reset:
                self._reset()
                return
            content = (fault.body if fault.status else json.dumps(answer)).encode()
            self.send_response(fault.status or status)
            self.send_header("Content-Type", fault.content_type)
            self.send_header("Content-Length", str(len(content)))
            if fault.location:
                self.send_header("Location", fault.location)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if fault.cut else content)
            if fault.cut:
                self.close_connection = True

        def _reset(self) -> None:
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

        do_GET = do_POST = do_DELETE = do_PUT = _serve  # noqa: N815

    return Handler
