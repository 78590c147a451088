"""A stream of events becomes one whole message, or is refused."""

from __future__ import annotations

import json
import random
import time
from types import SimpleNamespace
from typing import Any

import anthropic
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from loopback_messages import block, ended, event, healthy, started, text, thinking, tool_use

from portfolio_rebalance.agents.messages import ModelError
from portfolio_rebalance.agents.stream import MOST_BYTES, ErrorEvent, message_from, server_sent_events


def content_of(*blocks: list[bytes]) -> Any:
    return message_from([started(), *[one for parts in blocks for one in parts], *ended()])["content"]


def refusal_of(*parts: bytes) -> ModelError:
    with pytest.raises(ModelError) as refused:
        message_from(parts)
    return refused.value


# --- whole messages --------------------------------------------------------------------------------------


def test_a_whole_message_comes_out_in_the_form_of_the_api() -> None:
    assert message_from(healthy()) == {
        "content": [
            {"type": "thinking", "thinking": "Two strategies move together.", "signature": "c2lnbmF0dXJl"},
            {"type": "redacted_thinking", "data": "b3BhcXVl"},
            {"type": "text", "text": "The draft holds {F12}."},
            {
                "type": "tool_use",
                "id": "toolu_3",
                "name": "simulate_rebalance_impact",
                "input": {"draft_id": "D2"},
            },
        ],
        "model": "claude-opus-5-5",
        "stop_reason": "tool_use",
        "usage": {
            "input_tokens": 12,
            "cache_creation_input_tokens": 7,
            "cache_read_input_tokens": 900,
            "output_tokens": 42,
        },
    }


def test_the_same_message_comes_out_wherever_the_bytes_are_split() -> None:
    whole = b"".join(healthy())
    expected = message_from([whole])
    for at in range(1, len(whole)):
        assert message_from([whole[:at], b"", whole[at:]]) == expected
    assert message_from(bytes([one]) for one in whole) == expected
    with_returns = whole.replace(b"\n", b"\r\n")
    assert message_from(bytes([one]) for one in with_returns) == expected
    assert message_from([whole.replace(b"\n", b"\r")]) == expected


def test_nothing_is_read_after_the_end_of_the_message() -> None:
    def parts() -> Any:
        yield from healthy()
        pytest.fail("read on")

    assert message_from(parts())["stop_reason"] == "tool_use"


def test_the_sdk_would_have_built_the_same_message() -> None:
    whole = b"".join(healthy())
    built, buffers = None, dict[int, bytes]()
    response: Any = SimpleNamespace(iter_bytes=lambda: [whole])
    for one in anthropic.Stream.raw_events(response):
        if one.event != "ping":
            built = accumulate_event(event=one.json(), current_snapshot=built, json_bufs=buffers)
    assert built is not None
    theirs, ours = built.to_dict(exclude_none=True), message_from([whole])
    assert theirs["content"] == ours["content"]
    assert theirs["usage"] == ours["usage"]
    assert theirs["stop_reason"] == ours["stop_reason"]


def test_events_and_deltas_of_a_later_api_are_ignored() -> None:
    newer = [event("weather_report", index="north"), *text(0, "a")[:-1]]
    newer += [event("content_block_delta", index=0, delta={"type": "citations_delta", "citation": {}})]
    newer += [event("content_block_delta", index=0, delta={"type": "colour_delta", "colour": 3})]
    newer += text(0)[-1:]
    assert message_from([started(), *newer, *ended()])["content"] == [{"type": "text", "text": "a"}]


def test_a_block_of_a_later_api_is_kept_as_it_is() -> None:
    begun = {"type": "novelty", "payload": [1, {"a": None}]}
    assert content_of(block(0, begun)) == [begun]


def test_keys_that_the_api_wants_back_stay_on_a_tool_use() -> None:
    begun = {"type": "tool_use", "id": "t", "name": "n", "input": {}, "caller": {"type": "direct"}}
    assert content_of(block(0, begun, {"type": "input_json_delta", "partial_json": ""})) == [begun]


def test_a_name_of_the_event_may_be_missing() -> None:
    whole = b"".join(part.split(b"\n", 1)[1] for part in [started(), *text(0, "a"), *ended()])
    assert message_from([whole])["content"] == [{"type": "text", "text": "a"}]


def test_null_content_is_none() -> None:
    assert message_from([started(content=None), *ended()])["content"] == []


def test_later_counts_replace_earlier_ones_and_null_says_nothing() -> None:
    change = event(
        "message_delta",
        delta={"stop_reason": "end_turn"},
        usage={"output_tokens": 5, "input_tokens": 13, "cache_read_input_tokens": None},
    )
    usage = message_from([started(), change, *ended(output_tokens=6)])["usage"]
    assert usage == {
        "input_tokens": 13,
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 900,
        "output_tokens": 6,
    }


@pytest.mark.parametrize("reason", ["refusal", "max_tokens", "pause_turn", "brand_new_reason"])
def test_every_stop_reason_passes_through(reason: str) -> None:
    assert message_from([started(), *text(0, "a"), *ended(reason)])["stop_reason"] == reason


# --- a tool's arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ([], {}),
        ([""], {}),
        (["{}"], {}),
        (['{"a": ', "12", "00}"], {"a": 1200}),
        (['{"a": 12'], '{"a": 12'),
        (['{"a": 1, "a": 2}'], '{"a": 1, "a": 2}'),
        (['{"a": NaN}'], '{"a": NaN}'),
        (['{"a": 1e999}'], '{"a": 1e999}'),
        (["[1]"], "[1]"),
        (["null"], "null"),
        (['"D2"'], '"D2"'),
        ([" "], " "),
        (['{"a": "\\ud800"}'], '{"a": "\\ud800"}'),
        (['{"a": "\\ud83d', '\\ude00"}'], {"a": "😀"}),
        (['{"a":' * 40 + "1" + "}" * 40], '{"a":' * 40 + "1" + "}" * 40),
        (["9" * 5000], "9" * 5000),
    ],
)
def test_arguments_are_an_object_or_stay_the_text_that_they_are(written: list[str], read: object) -> None:
    assert content_of(tool_use(0, *written))[0]["input"] == read


@pytest.mark.parametrize(
    ("begun", "read"),
    [({"draft_id": "D2"}, {"draft_id": "D2"}), ("text", "text"), ([1], "[1]"), (None, {}), ("", {})],
)
def test_arguments_may_come_with_the_start_of_the_block(begun: object, read: object) -> None:
    given = {"type": "tool_use", "id": "t", "name": "n", "input": begun}
    assert content_of(block(0, given))[0]["input"] == read


def test_arguments_that_come_twice_are_refused() -> None:
    given = {"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}}
    written = block(0, given, {"type": "input_json_delta", "partial_json": '{"a": 2}'})
    assert refusal_of(started(), *written, *ended()).kind == "malformed"


# --- what is no whole message ----------------------------------------------------------------------------


def test_a_stream_cut_at_any_byte_is_incomplete() -> None:
    whole = b"".join(healthy())
    # The blank line that ends the last event has two line ends; without the second one it is no event.
    for at in range(len(whole)):
        assert refusal_of(whole[:at]).kind == "incomplete", at
    assert message_from([whole])


@pytest.mark.parametrize(
    "parts",
    [
        [started(), *text(0, "a")[:-1], *ended()],
        [started(), *text(0, "a"), *ended(None)],
        [started(), *text(0, "a"), event("message_stop")],
        [started(), *tool_use(0, '{"a": 12')[:-1], *ended("tool_use")],
    ],
    ids=["open block", "no reason", "no delta", "open tool use"],
)
def test_an_end_that_came_too_early_is_incomplete(parts: list[bytes]) -> None:
    assert refusal_of(*parts).kind == "incomplete"


def a_delta(index: object, delta: object) -> bytes:
    return event("content_block_delta", index=index, delta=delta)


A_TEXT = {"type": "text_delta", "text": "a"}
AN_INPUT = {"type": "input_json_delta", "partial_json": "{}"}
MALFORMED = {
    "delta before any block": [started(), a_delta(0, A_TEXT)],
    "delta before the message": [a_delta(0, A_TEXT)],
    "block before the message": text(0, "a"),
    "end before the message": [event("message_stop")],
    "reason before the message": ended()[:1],
    "two messages": [started(), started()],
    "message that is none": [event("message_start", message=None)],
    "message with content": [started(content=[{"type": "text", "text": "a"}])],
    "negative index": [started(), *text(0, "a")[:-1], a_delta(-1, A_TEXT)],
    "index of no block": [started(), *text(0, "a")[:-1], a_delta(1, A_TEXT)],
    "index that is true": [started(), *text(0)[:-1], *text(1)[:-1], a_delta(True, A_TEXT)],
    "index that is text": [started(), *text(0)[:-1], a_delta("0", A_TEXT)],
    "index left out": [started(), event("content_block_start", content_block={"type": "text", "text": ""})],
    "index skipped": [started(), *text(1, "a")],
    "index used twice": [started(), *text(0, "a"), *text(0, "a")],
    "delta after the end of its block": [started(), *text(0, "a"), a_delta(0, A_TEXT)],
    "block ended twice": [started(), *text(0, "a"), *text(0)[-1:]],
    "null block": [started(), event("content_block_start", index=0, content_block=None)],
    "block without a type": [started(), event("content_block_start", index=0, content_block={"text": ""})],
    "null delta": [started(), *text(0)[:-1], a_delta(0, None)],
    "delta without a type": [started(), *text(0)[:-1], a_delta(0, {"text": "a"})],
    "null text": [started(), *text(0)[:-1], a_delta(0, {"type": "text_delta", "text": None})],
    "text for a tool": [started(), *tool_use(0)[:-1], a_delta(0, A_TEXT)],
    "arguments for a text": [started(), *text(0)[:-1], a_delta(0, AN_INPUT)],
    "signature for a text": [
        started(),
        *text(0)[:-1],
        a_delta(0, {"type": "signature_delta", "signature": ""}),
    ],
    "reason that is a number": [started(), event("message_delta", delta={"stop_reason": 7})],
    "change that is text": [started(), event("message_delta", delta="end_turn")],
    "name and type differ": [started(), b'event: ping2\ndata: {"type": "message_stop"}\n\n'],
    "no JSON": [started(), b"event: message_stop\ndata: {\n\n"],
    "JSON that is a list": [started(), b"data: []\n\n"],
    "no type": [started(), b"data: {}\n\n"],
    "type that is a number": [started(), b'data: {"type": 1}\n\n'],
    "equal keys": [started(), b'data: {"type": "message_stop", "type": "ping"}\n\n'],
    "NaN": [started(), b'data: {"type": "new", "value": NaN}\n\n'],
    "too deep": [started(), b'data: {"type": "new", "value": ' + b"[" * 100_000 + b"}\n\n"],
    "number too long": [started(), b'data: {"type": "new", "value": ' + b"9" * 9000 + b"}\n\n"],
    "garbage": [bytes(range(128, 256)) + b"\n"],
    "half a surrogate pair": [started(), *text(0, "\ud800"), *ended()],
    "infinity in a block": [
        started(),
        b'data: {"type": "content_block_start", "index": 0, "content_block": {"type": "x", "y": 1e999}}\n\n',
        *text(0)[-1:],
        *ended(),
    ],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_no_api_sends_is_malformed(name: str) -> None:
    assert refusal_of(*MALFORMED[name]).kind == "malformed"


def test_an_error_event_is_passed_on_as_it_is() -> None:
    error = {"type": "overloaded_error", "message": "Overloaded"}
    for parts in ([event("error", error=error)], [started(), *text(0, "a"), event("error", error=error)]):
        with pytest.raises(ErrorEvent) as raised:
            message_from(parts)
        assert raised.value.error == error
    for data in (b"", b"oops", b"[]", b'{"error": null}', b"{}"):
        with pytest.raises(ErrorEvent) as raised:
            message_from([b"event: error\ndata: " + data + b"\n\n"])
        assert raised.value.error is None


# --- sizes -----------------------------------------------------------------------------------------------


def test_a_signature_longer_than_any_arguments_is_kept_whole() -> None:
    signature = "s" * 400_000
    (kept,) = content_of(thinking(0, "a", signature=signature))
    assert kept["signature"] == signature


def test_content_of_a_million_characters_is_the_most() -> None:
    begun = len(json.dumps({"type": "content_block_start", "index": 0, "content_block": text_block()}))
    part = "a" * 1000
    fits = (MOST_BYTES - begun) // 1000
    assert len(content_of(text(0, *[part] * fits))[0]["text"]) == fits * 1000
    refused = refusal_of(started(), *text(0, *[part] * (fits + 1)), *ended())
    assert (refused.kind, refused.detail) == ("malformed", "the message is too large")


def text_block() -> dict[str, str]:
    return {"type": "text", "text": ""}


@pytest.mark.parametrize(
    "endless", [b"data: a\n", b"\xff", b"a", b": comment\n", b"data: " + b"a" * 60_000 + b"\n"]
)
def test_an_endless_event_is_refused_after_a_megabyte(endless: bytes) -> None:
    sent = 0

    def parts() -> Any:
        nonlocal sent
        while True:
            piece = endless * (60_000 // len(endless) + 1)
            sent += len(piece)
            yield piece

    assert refusal_of(*[]).kind == "incomplete"
    with pytest.raises(ModelError) as refused:
        message_from(parts())
    assert refused.value.kind == "malformed"
    assert sent < 2 * MOST_BYTES


def test_time_grows_with_the_bytes_and_not_with_their_square() -> None:
    line = b"data: a\n"  # the SDK's decoder copies all that it has at each of these

    def seconds(lines: int) -> float:
        begun = time.process_time()
        list(server_sent_events([line * lines]))
        return time.process_time() - begun

    seconds(1000)
    small, large = min(seconds(5_000) for _ in range(5)), min(seconds(100_000) for _ in range(3))
    assert large < 100 * max(small, 1e-3)


# --- the decoder -----------------------------------------------------------------------------------------


def test_events_are_read_as_the_sdk_reads_them() -> None:
    pieces = [
        b"event: a\n",
        b"data: {}\n",
        b"data:b",
        b"\n\n",
        b"event",
        b"data",
        b"id",
        b":",
        b" ",
        b"a",
        b"{}",
        b"\n",
        b"\n\n",
        b"\r\n",
        b"\xc3\xa9",
        b"x: y",
    ]
    draw = random.Random(20261124)
    found = 0
    for _ in range(3000):
        whole = b"".join(draw.choices(pieces, k=draw.randrange(1, 40)))
        response: Any = SimpleNamespace(iter_bytes=lambda whole=whole: [whole])
        theirs = [
            (one.event or "", one.data)
            for one in anthropic.Stream.raw_events(response)
            if one.event or any(line.startswith("data") for line in one.raw)
        ]
        theirs = [one for one in theirs if one != ("", "")]
        cuts = sorted(draw.choices(range(len(whole) + 1), k=3))
        split = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        ours = [one for one in server_sent_events(split) if one != ("", "")]
        assert ours == theirs, whole
        found += len(ours)
    assert found > 1000
