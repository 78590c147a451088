"""Streams that were damaged at random, sent to the real client over HTTP."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from loopback_messages import Answer, Waits, a_call, client_of, event, healthy, messages_api, outcome_of

from portfolio_rebalance.agents.messages import ModelError, Reply

__all__ = ["damaged", "fuzzed"]

_WORDS: Sequence[bytes] = (
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"NaN",
    b'""',
    b"{}",
    b"[]",
    b"\\ud800",
    b'"type"',
    b'"index": 7',
    b"message_stop",
    b"content_block_delta",
    b"tool_use",
    b"\n\n",
    b"\r",
    b"\xff",
    b"\x00",
    b"data: ",
    b"event: error\n",
    b"9" * 5000,
    b"[" * 5000,
)
_LATE = event("error", error={"type": "overloaded_error", "message": "m"})


def damaged(draw: random.Random) -> list[bytes]:
    """A healthy stream, damaged one to three times."""
    parts = healthy()
    for _ in range(draw.randrange(1, 4)):
        _DAMAGES[draw.randrange(len(_DAMAGES))](parts, draw)
    return parts


def _pick(parts: list[bytes], draw: random.Random) -> int:
    if not parts:
        parts.append(b"")
    return draw.randrange(len(parts))


def _flip(parts: list[bytes], draw: random.Random) -> None:
    at = _pick(parts, draw)
    changed = bytearray(parts[at] or b"\0")
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    parts[at] = bytes(changed)


def _insert(parts: list[bytes], draw: random.Random) -> None:
    at = _pick(parts, draw)
    where = draw.randrange(len(parts[at]) + 1)
    parts[at] = parts[at][:where] + draw.choice(_WORDS) + parts[at][where:]


def _replace(parts: list[bytes], draw: random.Random) -> None:
    at = _pick(parts, draw)
    where = draw.randrange(len(parts[at]) + 1)
    parts[at] = parts[at][:where] + draw.choice(_WORDS) + parts[at][where + draw.randrange(20) :]


def _drop(parts: list[bytes], draw: random.Random) -> None:
    del parts[_pick(parts, draw)]


def _repeat(parts: list[bytes], draw: random.Random) -> None:
    at = _pick(parts, draw)
    parts.insert(draw.randrange(len(parts) + 1), parts[at])


def _swap(parts: list[bytes], draw: random.Random) -> None:
    a, b = _pick(parts, draw), _pick(parts, draw)
    parts[a], parts[b] = parts[b], parts[a]


def _cut(parts: list[bytes], draw: random.Random) -> None:
    at = _pick(parts, draw)
    parts[at:] = [parts[at][: draw.randrange(len(parts[at]) + 1)]]


def _fail(parts: list[bytes], draw: random.Random) -> None:
    parts.insert(draw.randrange(len(parts) + 1), _LATE)


_DAMAGES: Sequence[Callable[[list[bytes], random.Random], None]] = (
    _flip,
    _insert,
    _replace,
    _drop,
    _repeat,
    _swap,
    _cut,
    _fail,
)


def fuzzed(count: int, *, draw: random.Random) -> Counter[str]:
    """Send so many damaged streams; what came of them, by kind.

    Every outcome is a reply or a :class:`ModelError`, with one request, or three where asking again may help.
    """
    found: Counter[str] = Counter()
    current: dict[str, Answer] = {}
    with messages_api(lambda _: current["answer"]) as api:
        client = client_of(api.url, waits=_Forgetful())
        for number in range(count):
            options: dict[str, Any] = {
                "framing": draw.choice(["chunks", "chunks", "length", "close"]),
                "end": draw.choice(["whole", "whole", "cut", "reset"]),
            }
            parts = damaged(draw)
            if draw.randrange(2):
                parts = [b"".join(parts)]
            current["answer"] = Answer(parts=parts, **options)
            before = len(api.seen)
            outcome = outcome_of(client, a_call(seconds=60.0))
            requests = len(api.seen) - before
            if isinstance(outcome, Reply):
                assert outcome.stop_reason is not None, number
                found["reply"] += 1
            else:
                assert isinstance(outcome, ModelError), number
                found[outcome.kind] += 1
                assert outcome.kind != "timeout", number
            passing = isinstance(outcome, ModelError) and outcome.kind in ("overloaded", "unreachable")
            if options["end"] == "reset":  # may overtake the headers, and then nothing came back: asked again
                assert 1 <= requests <= 3, (number, outcome, requests)
            else:
                assert requests == (3 if passing else 1), (number, outcome, requests)
    return found


class _Forgetful(Waits):
    """A clock that never moves."""

    def clock(self) -> float:
        return 0.0
