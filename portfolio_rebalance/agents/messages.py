"""What goes to a model and what comes back, in the form of the Messages API.

What comes back is the word of a stranger: :func:`reply_from` takes nothing on trust, and everything that can
go wrong with a call is one exception, :class:`ModelError`, named by kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args

__all__ = [
    "Call",
    "FaultKind",
    "Json",
    "ModelClient",
    "ModelError",
    "Reply",
    "ToolUse",
    "Usage",
    "reply_from",
]

Json: TypeAlias = dict[str, Any]
"""One JSON object."""

FaultKind = Literal[
    "unreachable",  # no connection, or it broke off
    "timeout",  # the call's own time, or the run's, is over
    "overloaded",  # 5xx, 529, 408, 409: tried again, in vain
    "rate_limited",  # 429: tried again, in vain, or told to wait longer than there is time
    "spend_limit",  # 402, or 429 of the account's own spending limit: never tried again
    "credentials",  # 401, 403, or no key at all
    "bad_request",  # 400, 413, 422, and 4xx that are none of the others
    "unknown_model",  # 404
    "incomplete",  # a stream that ended before its message did
    "malformed",  # an answer that is no message
]

_MOST_TOKENS: Final = 10**12
_ENDLESS: Final = 10**1000
_DEEPEST: Final = 32


class ModelError(Exception):
    """A call to a model that brought no complete message. The run goes on without it.

    Args:
        kind: What went wrong.
        detail: One sentence for a person, without any secret.
    """

    def __init__(self, kind: FaultKind, detail: str) -> None:
        assert kind in get_args(FaultKind)
        super().__init__(f"{kind}: {detail}")
        self.kind: FaultKind = kind
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to a model.

    Attributes:
        agent: Role of the agent that asks.
        turn: Counts the agent's turns, from 1.
        attempt: Counts the requests of this turn, from 1: 2 where an incomplete message is asked for again.
        request: Body of the request: ``model``, ``max_tokens``, ``system``, ``tools``, ``messages``, ...
        seconds: So long it may take at most, everything included.
    """

    agent: str
    turn: int
    attempt: int
    request: Json
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one reply. ``input_tokens`` are those neither read from the cache nor written to it."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """A tool that the model asks for.

    Attributes:
        input: The arguments, or the text that should have been a JSON object and is none (two equal keys,
            NaN and the like included).
    """

    id: str
    name: str
    input: Json | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A message as it came back, complete or not.

    Attributes:
        content: Its blocks. A ``tool_use`` block's ``input`` is an object, or a string where the model wrote
            something that is none.
        stop_reason: Why it ended, in the API's words; unknown words and None are passed on.
        model: Which model answered.
    """

    content: tuple[Json, ...]
    stop_reason: str | None
    usage: Usage
    model: str = ""

    @property
    def text(self) -> str:
        """All text blocks, a blank line between."""
        return "\n\n".join(
            block["text"] for block in self.content if block.get("type") == "text" and block["text"].strip()
        )

    @property
    def tool_uses(self) -> tuple[ToolUse, ...]:
        """Every tool that it asks for, in order."""
        return tuple(
            ToolUse(id=block["id"], name=block["name"], input=block["input"])
            for block in self.content
            if block.get("type") == "tool_use"
        )

    def as_message(self) -> Json:
        """The message as transcripts keep it, in the API's own form."""
        return {
            "content": list(self.content),
            "model": self.model,
            "stop_reason": self.stop_reason,
            "usage": {
                "input_tokens": self.usage.input_tokens,
                "output_tokens": self.usage.output_tokens,
                "cache_read_input_tokens": self.usage.cache_read_tokens,
                "cache_creation_input_tokens": self.usage.cache_write_tokens,
            },
        }


class ModelClient(Protocol):
    """Something that answers calls; may be called from several threads at once."""

    @property
    def provider(self) -> str:
        """``anthropic``, ``replay`` or ``scripted``."""
        ...

    def complete(self, call: Call) -> Reply:
        """Answer a call.

        Raises:
            ModelError: There is no usable answer; nothing else is ever raised for what a model or a
                network does.
        """
        ...


def reply_from(message: object) -> Reply:
    """A reply from a message in the API's form, whoever wrote it.

    Raises:
        ModelError: ``malformed``: it is no message.
    """
    if not isinstance(message, Mapping):
        raise ModelError("malformed", "the answer is no message")
    content = message.get("content")
    blocks = [] if content is None else content  # some gateways send null for nothing
    if not isinstance(blocks, list | tuple):
        raise ModelError("malformed", "the message's content is no list")
    stop_reason, model = message.get("stop_reason"), message.get("model")
    return Reply(
        content=tuple(_block(block) for block in blocks),
        stop_reason=stop_reason if isinstance(stop_reason, str) else None,
        usage=_usage(message.get("usage")),
        model=model if isinstance(model, str) else "",
    )


def _block(block: object) -> Json:
    if not isinstance(block, Mapping) or not isinstance(block.get("type"), str):
        raise ModelError("malformed", "a content block has no type")
    found = dict(block)
    if not _is_json(found):
        raise ModelError("malformed", "a content block is no JSON")
    kind = found["type"]
    if kind == "text" and not isinstance(found.get("text"), str):
        raise ModelError("malformed", "a text block has no text")
    if kind == "tool_use":
        if not all(isinstance(found.get(key), str) and found[key] for key in ("id", "name")):
            raise ModelError("malformed", "a tool_use block has no id or no name")
        if not isinstance(found.get("input"), dict | str):
            raise ModelError("malformed", "a tool_use block has no input")
    return found


def _is_json(node: object, *, levels: int = _DEEPEST) -> bool:
    if levels == 0:
        return False
    if isinstance(node, dict):
        return all(isinstance(key, str) and _is_json(one, levels=levels - 1) for key, one in node.items())
    if isinstance(node, list):
        return all(_is_json(one, levels=levels - 1) for one in node)
    if isinstance(node, int):
        return abs(node) < _ENDLESS
    return node is None or isinstance(node, str) or (isinstance(node, float) and isfinite(node))


def _usage(usage: object) -> Usage:
    """Counts as told; what is no count is 0. A message without usage is still a message."""
    given = usage if isinstance(usage, Mapping) else {}

    def count(key: str) -> int:
        value = given.get(key)
        return value if type(value) is int and 0 <= value <= _MOST_TOKENS else 0

    return Usage(
        input_tokens=count("input_tokens"),
        output_tokens=count("output_tokens"),
        cache_read_tokens=count("cache_read_input_tokens"),
        cache_write_tokens=count("cache_creation_input_tokens"),
    )
