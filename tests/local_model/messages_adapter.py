"""The Messages API on loopback, answered by a small model on this machine.

What is asked over a real socket is answered in the API's own form, in one piece or as a stream of events;
with tools on offer the answer is a call of one of them. Ids count within a conversation, so the same request
has the same answer to the byte, whatever else is asked meanwhile; only a stream that waits long says ``ping``
more often. One request is answered at a time, the others wait; a stream that nobody waits for any more leaves
the queue.

Started as a program it serves until it is interrupted: ``python tests/local_model/messages_adapter.py``.
"""

from __future__ import annotations

import json
import math
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from chat_form import as_chat, shortened
from constrained import answer_schema, grammar, left_over, read_call, was_held
from messages_request import Request
from pydantic import ValidationError
from small_model import (
    CONTEXT_TOKENS,
    MODEL_ID,
    REPLY_TOKENS,
    Answer,
    Model,
    SmallModel,
    TooLongError,
)

__all__ = ["Adapter", "serving"]

_PIECE = 12
"""Characters of text, or of a tool's input, in one event of a stream."""
_MOST_SHORTENINGS = 8


class _RefusedError(Exception):
    """A request that is answered with an error of the API."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"type": "error", "error": {"type": kind, "message": message}}


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A message, and what the model wrote: its text, or its tool's input.

    A call that was cut has an empty input in the message; what was written is as far as it got.
    """

    message: dict[str, Any]
    written: str


class Adapter:
    """Answers requests with a model.

    Args:
        model: Answers, one question at a time.
        ping_seconds: A stream that waits says ``ping`` so often.

    Attributes:
        bugs: What went wrong here and is nobody else's fault; a test asserts that there is nothing.
        streams: Those under way.
    """

    def __init__(self, model: Model, *, ping_seconds: float = 5.0) -> None:
        self._model = model
        self._queue = ThreadPoolExecutor(max_workers=1, thread_name_prefix="small-model")
        self.ping_seconds = ping_seconds
        self.bugs: list[BaseException] = []
        self.streams: set[Future[Answered]] = set()

    def ask(self, body: bytes) -> tuple[Request, Future[Answered]]:
        """Read a request and put it into the queue.

        Raises:
            _RefusedError: It is none.
        """
        request = _read(body)
        if request.model != MODEL_ID:
            raise _RefusedError(404, "not_found_error", f"model: {request.model}")
        return request, self._queue.submit(self._answered, request)

    def close(self) -> None:
        """Answer nothing more."""
        self._queue.shutdown(cancel_futures=True)

    def refusal_of(self, error: Exception) -> _RefusedError:
        """What a client is told of an error."""
        if isinstance(error, _RefusedError):
            return error
        self.bugs.append(error)
        return _RefusedError(500, "api_error", f"a bug of the adapter: {type(error).__name__}")

    def _answered(self, request: Request) -> Answered:
        tools = left_over(request)
        answer = self._answer(request, grammar(answer_schema(tools)) if tools else "")
        if tools and not was_held(answer.text, tools, is_whole=answer.ended == "itself"):
            told = "tools: the model cannot be held to one of these schemas"
            raise _RefusedError(400, "invalid_request_error", told)
        content: list[dict[str, Any]] = []
        written = answer.text
        stop = "end_turn"
        if not tools:
            content = [{"type": "text", "text": written}] if written.strip() else []
        elif (call := read_call(written)) is not None:
            name, written = call
            number = 1 + sum(len(message.calls) for message in request.messages)
            content = [
                {
                    "type": "tool_use",
                    "id": f"toolu_{number:04}",
                    "name": name,
                    "input": _input(answer, written),
                }
            ]
            stop = "tool_use"
        if answer.ended != "itself":
            stop = "max_tokens" if answer.ended == "length" else "model_context_window_exceeded"
        turn = 1 + sum(message.role == "assistant" for message in request.messages)
        usage = {"input_tokens": answer.prompt_tokens, "output_tokens": answer.tokens}
        usage |= {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        message = {"id": f"msg_{turn:04}", "type": "message", "role": "assistant", "model": MODEL_ID}
        message |= {"content": content, "stop_reason": stop, "stop_sequence": None, "usage": usage}
        return Answered(message=message, written=written)

    def _answer(self, request: Request, rules: str) -> Answer:
        """The model's answer; a chat that does not fit is shortened until it does."""
        whole = chat = as_chat(request)
        out = 0
        for _ in range(_MOST_SHORTENINGS):
            try:
                return self._model.answer(chat, grammar=rules, max_tokens=request.max_tokens)
            except TooLongError as long:
                over = long.tokens - (long.most - REPLY_TOKENS)
                length = sum(len(turn["content"]) for turn in chat)
                out += math.ceil(length * over / long.tokens)
                try:
                    chat = shortened(whole, characters=out)
                except ValueError:
                    raise _RefusedError(400, "invalid_request_error", str(long)) from None
        raise _RefusedError(400, "invalid_request_error", "prompt is too long")


def _input(answer: Answer, written: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written) if answer.ended == "itself" else {}
    return found


# --- the wire --------------------------------------------------------------------------------------------


def _events(answered: Answered) -> Iterator[dict[str, Any]]:
    """A message as the events of a stream."""
    message, written = answered.message, answered.written
    usage = message["usage"]
    opening = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield {"type": "message_start", "message": opening}
    for index, block in enumerate(message["content"]):
        is_call = block["type"] == "tool_use"
        start = {**block, "input": {}} if is_call else {**block, "text": ""}
        yield {"type": "content_block_start", "index": index, "content_block": start}
        yield {"type": "ping"}
        kind, key = ("input_json_delta", "partial_json") if is_call else ("text_delta", "text")
        for begin in range(0, len(written), _PIECE):
            delta = {"type": kind, key: written[begin : begin + _PIECE]}
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": end, "usage": usage}
    yield {"type": "message_stop"}


def _model_info() -> dict[str, Any]:
    return {
        "type": "model",
        "id": MODEL_ID,
        "display_name": "SmolLM2 135M Instruct, on this machine",
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "max_input_tokens": CONTEXT_TOKENS,
        "max_tokens": REPLY_TOKENS,
    }


def _read(body: bytes) -> Request:
    try:
        return Request.model_validate_json(body)
    except ValidationError as invalid:
        faults = invalid.errors(include_url=False, include_input=False, include_context=False)
        deepest = max(faults, key=lambda fault: len(fault["loc"]))  # of a text or blocks: the blocks'
        where = ".".join(map(str, deepest["loc"]))
        raise _RefusedError(400, "invalid_request_error", f"{where}: {deepest['msg']}") from None


def _handler_of(adapter: Adapter) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            name = self.path.partition("?")[0].removeprefix("/v1/models/")
            if name == MODEL_ID:
                self._send(200, _model_info())
            else:
                self._send_error(_RefusedError(404, "not_found_error", f"{self.path}: no such model"))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                if self.path.partition("?")[0] != "/v1/messages":
                    raise _RefusedError(404, "not_found_error", f"{self.path}: no such path")
                request, future = adapter.ask(body)
                wait([future], timeout=adapter.ping_seconds if request.stream else None)
                # Whatever is wrong is said before a stream begins, where it is known by then.
                answered = future.result() if future.done() else None
            except Exception as error:
                self._send_error(adapter.refusal_of(error))
                return
            if answered is None or request.stream:
                self._stream(future)
            else:
                self._send(200, answered.message)

        def _send_error(self, refused: _RefusedError) -> None:
            self._send(refused.status, refused.body)

        def _send(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response_only(status)  # without the date: the same answer is the same bytes
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _stream(self, future: Future[Answered]) -> None:
            self.send_response_only(200)
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            adapter.streams.add(future)
            try:
                while not future.done():
                    self._event({"type": "ping"})
                    wait([future], timeout=adapter.ping_seconds)
                try:
                    events = list(_events(future.result()))
                except Exception as error:
                    events = [adapter.refusal_of(error).body]
                for event in events:
                    self._event(event)
                self.wfile.write(b"0\r\n\r\n")
            finally:
                adapter.streams.discard(future)
                future.cancel()  # the client may have gone away, and its request be in the queue still

        def _event(self, event: dict[str, Any]) -> None:
            chunk = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            self.wfile.flush()

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no bug; all else was kept by the handler."""


@contextmanager
def serving(adapter: Adapter, *, port: int = 0) -> Iterator[str]:
    """Serve on loopback, and give the address that a client's ``base_url`` takes.

    Args:
        adapter: Answers.
        port: Where; 0 for any that is free.
    """
    server = _Server(("127.0.0.1", port), _handler_of(adapter))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        adapter.close()


def main() -> None:
    """Serve until interrupted."""
    with serving(Adapter(SmallModel()), port=int(sys.argv[1]) if len(sys.argv) > 1 else 0) as address:
        print(f"ANTHROPIC_BASE_URL={address}  model: {MODEL_ID}  (Ctrl-C ends it)", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
