"""A Messages API on a real socket of this machine: what it answers, and how it fails, is scripted."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from portfolio_rebalance.agents.client import AnthropicClient
from portfolio_rebalance.agents.messages import Call, ModelError, Reply

KEY = "sk-ant-canary-0123456789"
EVENT_STREAM = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request, as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How one request is answered.

    Attributes:
        status: Of the answer.
        headers: Besides the framing.
        parts: Bytes are sent one after the other; a number is a pause in seconds.
        framing: How the body's end is told: by chunks, by its length, or by the end of the connection.
        end: ``cut`` and ``reset`` end the connection instead of the body.
        bare: The parts are all that is sent: no status line, no headers.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": EVENT_STREAM})
    parts: Sequence[bytes | float] = ()
    framing: Literal["chunks", "length", "close"] = "chunks"
    end: Literal["whole", "cut", "reset"] = "whole"
    bare: bool = False


Script = Sequence[Answer] | Callable[[Seen], Answer]


class LoopbackMessages:
    """The server. Scripted answers are used up one by one; a request too many is a bug of the test."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._lock = threading.Lock()
        self.seen: list[Seen] = []
        self.gone: list[int] = []
        self.bugs: list[BaseException] = []
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler_of(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def take(self, seen: Seen) -> Answer:
        with self._lock:
            self.seen.append(seen)
            if callable(self._script):
                return self._script(seen)
            return self._script[len(self.seen) - 1]

    def stop(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no bug of ours; all else was kept by the handler."""


def _handler_of(server: LoopbackMessages) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen = Seen(
                method=self.command,
                path=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                raw=raw,
            )
            try:
                answer = server.take(seen)
            except Exception as bug:
                server.bugs.append(bug)
                raise
            self.close_connection = True
            try:
                self._answer(answer)
            except OSError:
                server.gone.append(len(server.seen))
            if answer.end == "reset":
                self._reset()

        def _answer(self, answer: Answer) -> None:
            if not answer.bare:
                head = [f"HTTP/1.1 {answer.status} Scripted"]
                head += [f"{name}: {value}" for name, value in answer.headers.items()]
                if answer.framing == "chunks":
                    head.append("Transfer-Encoding: chunked")
                elif answer.framing == "length":
                    size = sum(len(part) for part in answer.parts if isinstance(part, bytes))
                    head.append(f"Content-Length: {size + (answer.end != 'whole')}")
                else:
                    head.append("Connection: close")
                self.wfile.write("\r\n".join([*head, "", ""]).encode("latin-1"))
            for part in answer.parts:
                if isinstance(part, bytes):
                    framed = not answer.bare and answer.framing == "chunks" and part
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if framed else part)
                elif server.closing.wait(part):
                    return
            if not answer.bare and answer.framing == "chunks" and answer.end == "whole":
                self.wfile.write(b"0\r\n\r\n")

        def _reset(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

        do_GET = do_POST = _serve  # noqa: N815

    return Handler


@contextmanager
def messages_api(script: Script) -> Iterator[LoopbackMessages]:
    """The server, while the test runs."""
    server = LoopbackMessages(script)
    try:
        yield server
    finally:
        server.stop()
    assert server.bugs == []


# --- what it says ----------------------------------------------------------------------------------------


def event(kind: str, **fields: Any) -> bytes:
    """One event, as the API writes it."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


USAGE = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 7,
    "cache_read_input_tokens": 900,
    "output_tokens": 1,
}


def started(**changes: Any) -> bytes:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": USAGE,
    }
    return event("message_start", message=message | changes)


def block(index: int, begun: Mapping[str, Any], *deltas: Mapping[str, Any]) -> list[bytes]:
    return [
        event("content_block_start", index=index, content_block=dict(begun)),
        *[event("content_block_delta", index=index, delta=dict(delta)) for delta in deltas],
        event("content_block_stop", index=index),
    ]


def text(index: int, *parts: str) -> list[bytes]:
    begun = {"type": "text", "text": ""}
    return block(index, begun, *[{"type": "text_delta", "text": part} for part in parts])


def tool_use(index: int, *parts: str, name: str = "simulate_rebalance_impact") -> list[bytes]:
    begun = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
    return block(index, begun, *[{"type": "input_json_delta", "partial_json": part} for part in parts])


def thinking(index: int, *parts: str, signature: str = "c2lnbmF0dXJl") -> list[bytes]:
    begun = {"type": "thinking", "thinking": "", "signature": ""}
    written = [{"type": "thinking_delta", "thinking": part} for part in parts]
    return block(index, begun, *written, {"type": "signature_delta", "signature": signature})


def ended(stop_reason: str | None = "end_turn", *, output_tokens: int = 42) -> list[bytes]:
    return [
        event(
            "message_delta",
            delta={"stop_reason": stop_reason, "stop_sequence": None},
            usage={"output_tokens": output_tokens},
        ),
        event("message_stop"),
    ]


def healthy() -> list[bytes]:
    """A whole message with everything that the agents use."""
    return [
        started(),
        event("ping"),
        *thinking(0, "Two strategies ", "move together."),
        *block(1, {"type": "redacted_thinking", "data": "b3BhcXVl"}),
        *text(2, "The draft ", "holds ", "{F12}."),
        *tool_use(3, '{"draft', '_id": ', '"D2"}'),
        *ended("tool_use"),
    ]


def failed(
    status: int, kind: str = "", *, message: str = "Scripted", code: str = "", **headers: str
) -> Answer:
    """An error in the API's form."""
    error: dict[str, Any] = {"type": kind, "message": message}
    if code:
        error["details"] = {"error_code": code}
    return Answer(
        status=status,
        headers={
            "content-type": "application/json",
            **{name.replace("_", "-"): text for name, text in headers.items()},
        },
        parts=[json.dumps({"type": "error", "error": error}).encode()],
        framing="length",
    )


# --- who asks --------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


class Waits:
    """A clock that stands still but for the waits, which are kept and not waited."""

    def __init__(self) -> None:
        self.waited: list[float] = []

    def clock(self) -> float:
        return sum(self.waited)

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)


def client_of(url: str, *, key: str = KEY, waits: Waits | None = None, **settings: Any) -> AnthropicClient:
    """A client of the server, whose waits are not waited."""
    waits = waits or Waits()
    options: dict[str, Any] = {
        "redact": lambda text: text,
        "clock": waits.clock,
        "now": lambda: NOW,
        "sleep": waits.sleep,
        "random": lambda: 0.5,
    }
    return AnthropicClient(key, base_url=url, **(options | settings))


def a_call(*, seconds: float = 30.0, **request: Any) -> Call:
    body = {
        "model": "claude-opus-5-5",
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": "Review the draft."}],
    }
    return Call(agent="risk_manager", turn=1, attempt=1, request=body | request, seconds=seconds)


def outcome_of(client: AnthropicClient, call: Call | None = None) -> Reply | ModelError:
    """What comes of a call: a reply, or the one error there may be."""
    try:
        return client.complete(call or a_call())
    except ModelError as raised:
        error = raised
    assert error.__cause__ is None
    assert error.__context__ is None
    assert len(error.detail) <= 200
    assert error.detail.isascii()
    assert error.detail.isprintable()
    assert KEY not in str(error)
    return error


def eventually(holds: Callable[[], object]) -> bool:
    """Whether it comes to hold within a time that no machine needs."""
    end = time.monotonic() + 20
    while not holds() and time.monotonic() < end:
        time.sleep(0.005)
    return bool(holds())
