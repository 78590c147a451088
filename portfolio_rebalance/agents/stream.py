"""A stream of server-sent events, put together into one complete message, or refused.

A message counts only once ``message_stop`` came, every block was stopped and a stop reason given. The SDK's
own accumulation is not used: of a stream that was cut it makes a message that looks whole, with half of a
tool's arguments read as if they were all (``12`` of ``1200``). Nor is its decoder: it holds an event of any
size, and takes quadratic time over many short lines.

Blocks come out as the API wants them back in the next request: text, thinking with its signature, redacted
thinking untouched. A tool's arguments stay text until the block is stopped, and are then read strictly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NoReturn

from portfolio_rebalance.agents.messages import Json, ModelError
from portfolio_rebalance.agents.strict_json import strict_json

__all__ = ["MOST_BYTES", "ErrorEvent", "message_from", "server_sent_events"]

MOST_BYTES: Final = 1_000_000
"""Of one event, and of all content of one message."""

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_TOOL_USE: Final = re.compile(r"(?:[a-z_]+_)?tool_use")
_DELTAS: Final = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("thinking", "signature"),
    "input_json_delta": ("tool_use", "partial_json"),
}
"""Of each delta: the block that it belongs to, and its field. Deltas of other types are ignored."""


class ErrorEvent(Exception):  # noqa: N818 - an event of the stream
    """The stream itself says that something went wrong.

    Args:
        error: What it says, in the API's form, or anything else.
    """

    def __init__(self, error: object) -> None:
        super().__init__("the stream holds an error")
        self.error = error


def message_from(chunks: Iterable[bytes]) -> Json:
    """Read a stream up to its end of message, and no further.

    Args:
        chunks: Bytes as they come. Whatever this raises is passed on.

    Returns:
        The message in the API's own form: ``content``, ``model``, ``stop_reason``, ``usage``.

    Raises:
        ModelError: ``malformed``: it is no such stream, or too large. ``incomplete``: it ended too early.
        ErrorEvent: It says that something went wrong.
    """
    message = _Message()
    for name, data in server_sent_events(chunks):
        if message.take(name, data):
            return message.complete()
    raise ModelError("incomplete", "the answer ended before its message did")


def server_sent_events(chunks: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Name and data of each event; the name is empty where none is given.

    Takes time in proportion to the bytes, and holds :data:`MOST_BYTES` at most. An event that its blank line
    does not end is no event.

    Raises:
        ModelError: ``malformed``: an event is too large, or is not UTF-8.
    """
    name, data, size = "", list[str](), 0
    for line in _lines(chunks):
        if not line:
            if name or data:
                yield name, "\n".join(data)
            name, data, size = "", [], 0
            continue
        size += len(line)
        if size > MOST_BYTES:
            _malformed("an event of the stream is too large")
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    begun, size = list[bytes](), 0
    after_return = False  # a line's end may itself be cut in two
    for chunk in chunks:
        if not chunk:
            continue
        text = chunk[1:] if after_return and chunk.startswith(b"\n") else chunk
        after_return = chunk.endswith(b"\r")
        *ended, rest = _LINE_END.split(text)
        for line in ended:
            yield _text(b"".join([*begun, line]))
            begun, size = [], 0
        if rest:
            begun.append(rest)
            size += len(rest)
        if size > MOST_BYTES:
            _malformed("a line of the stream is too long")


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        _malformed("the stream is not UTF-8")


class _Block:
    """A content block that is being written."""

    def __init__(self, begun: Json) -> None:
        self.begun = begun
        self.open = True
        kind: str = begun["type"]
        self.kind = "tool_use" if _TOOL_USE.fullmatch(kind) else kind
        self._parts: dict[str, list[str]] = {}

    def add(self, field: str, text: str) -> None:
        if text:
            self._parts.setdefault(field, []).append(text)

    def written(self) -> Json:
        block = dict(self.begun)
        for field in self._parts.keys() - {"partial_json"}:
            before = block.get(field)
            block[field] = (before if isinstance(before, str) else "") + "".join(self._parts[field])
        if self.kind == "tool_use":
            block["input"] = self._input()
        return block

    def _input(self) -> Json | str:
        given = self.begun.get("input")
        text = "".join(self._parts.get("partial_json", ()))
        if given not in ({}, None, ""):
            if text:
                _malformed("a tool's arguments are given twice")
            text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        if not text:
            return {}
        try:
            value = strict_json(text)
            if isinstance(value, dict):
                _encoded(value)
                return value
        except ValueError:
            pass
        return text


class _Message:
    """A message that is being written."""

    def __init__(self) -> None:
        self._begun: Mapping[str, Any] | None = None
        self._blocks: list[_Block] = []
        self._stop_reason: str | None = None
        self._usage: Json = {}
        self._size = 0

    def take(self, name: str, data: str) -> bool:
        """Take one event; True once it was the last."""
        if name == "error":
            raise ErrorEvent(_error_in(data))
        if not data or name == "ping":
            return False
        event = _object(data)
        kind = event.get("type")
        if name and kind != name:
            _malformed("an event's name and type differ")
        match kind:
            case "message_start":
                self._start(event)
            case "content_block_start":
                self._start_block(event, size=len(data))
            case "content_block_delta":
                self._add(event)
            case "content_block_stop":
                self._open_block(event).open = False
            case "message_delta":
                self._change(event)
            case "message_stop":
                self._require_start()
                return True
            case "error":
                raise ErrorEvent(event.get("error"))
            case str():
                pass  # one that is newer than this
            case _:
                _malformed("an event has no type")
        return False

    def complete(self) -> Json:
        """The message, now that its end came.

        Raises:
            ModelError: ``incomplete``: something is missing all the same. ``malformed``: it cannot be written
                down as JSON.
        """
        if any(block.open for block in self._blocks) or self._stop_reason is None or self._begun is None:
            raise ModelError("incomplete", "the message ended before its blocks did, or without a reason")
        message = {
            "content": [block.written() for block in self._blocks],
            "model": self._begun.get("model"),
            "stop_reason": self._stop_reason,
            "usage": self._usage,
        }
        try:
            _encoded(message)
        except ValueError:
            _malformed("the message holds what JSON cannot")
        return message

    def _start(self, event: Json) -> None:
        message = event.get("message")
        if self._begun is not None or not isinstance(message, Mapping) or message.get("content"):
            _malformed("the message does not begin as one")
        self._begun = message
        self._count(message.get("usage"))

    def _start_block(self, event: Json, *, size: int) -> None:
        self._require_start()
        block = event.get("content_block")
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            _malformed("a content block has no type")
        index = event.get("index")
        if type(index) is not int or index != len(self._blocks):
            _malformed("the content blocks are out of order")
        self._grow(size)
        self._blocks.append(_Block(block))

    def _open_block(self, event: Json) -> _Block:
        index = event.get("index")
        if type(index) is not int or not 0 <= index < len(self._blocks) or not self._blocks[index].open:
            _malformed("an event belongs to no open content block")
        return self._blocks[index]

    def _add(self, event: Json) -> None:
        block, delta = self._open_block(event), event.get("delta")
        if not isinstance(delta, Mapping) or not isinstance(delta.get("type"), str):
            _malformed("a change of a content block has no type")
        if delta["type"] not in _DELTAS:
            return  # citations, and what is newer than this
        kind, field = _DELTAS[delta["type"]]
        text = delta.get(field)
        if block.kind != kind or not isinstance(text, str):
            _malformed(f"a {kind} change does not fit its content block")
        self._grow(len(text))
        block.add(field, text)

    def _change(self, event: Json) -> None:
        self._require_start()
        delta = event.get("delta")
        if not isinstance(delta, Mapping):
            _malformed("a change of the message is none")
        reason = delta.get("stop_reason")
        if reason is not None and not isinstance(reason, str):
            _malformed("the stop reason is no word")
        self._stop_reason = reason if reason is not None else self._stop_reason
        self._count(event.get("usage"))

    def _count(self, usage: object) -> None:
        """Counts are totals so far: later ones replace earlier ones, null says nothing."""
        if isinstance(usage, Mapping):
            self._usage |= {key: value for key, value in usage.items() if value is not None}

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MOST_BYTES:
            _malformed("the message is too large")

    def _require_start(self) -> None:
        if self._begun is None:
            _malformed("the stream does not begin with a message")


def _object(text: str) -> Json:
    """One JSON object without equal keys or NaN; larger than arguments may be, for signatures are long."""
    try:
        value = json.loads(text, object_pairs_hook=_unequal, parse_constant=_refuse)
    except (ValueError, RecursionError):
        _malformed("an event is no JSON")
    if not isinstance(value, dict):
        _malformed("an event is no JSON object")
    return value


def _unequal(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _error_in(data: str) -> object:
    try:
        return _object(data).get("error")
    except ModelError:
        return None


def _encoded(value: object) -> None:
    """Nothing that a transcript or the next request could not hold.

    Raises:
        ValueError: Half of a surrogate pair, an infinity, or nested too deep.
    """
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("nested too deep") from None


def _malformed(detail: str) -> NoReturn:
    raise ModelError("malformed", detail)
