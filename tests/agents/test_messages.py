"""What comes back from a model: nothing of it is taken on trust."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transcript_samples import JSON, REPLIES

from portfolio_rebalance.agents.messages import ModelError, Reply, ToolUse, Usage, reply_from

TEXT = {"type": "text", "text": "Hm."}
USE = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1}}


def test_a_message_in_the_api_s_form_is_a_reply():
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [
            TEXT,
            {"type": "thinking", "thinking": "", "signature": "x"},
            USE,
            {"type": "new", "z": 1},
        ],
        "model": "claude-opus-5-5",
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 1,
            "output_tokens": 2,
            "cache_read_input_tokens": 3,
            "cache_creation_input_tokens": 4,
            "service_tier": "standard",
        },
    }
    reply = reply_from(message)
    assert reply == Reply(
        content=tuple(message["content"]),
        stop_reason="tool_use",
        usage=Usage(input_tokens=1, output_tokens=2, cache_read_tokens=3, cache_write_tokens=4),
        model="claude-opus-5-5",
    )
    assert reply.text == "Hm."
    assert reply.tool_uses == (ToolUse(id="toolu_1", name="look", input={"a": 1}),)


def test_texts_are_joined_and_blank_ones_left_out():
    blocks = [TEXT, {"type": "text", "text": " \n"}, {"type": "text", "text": "Well."}]
    assert reply_from({"content": blocks}).text == "Hm.\n\nWell."


@pytest.mark.parametrize(
    ("message", "detail"),
    [
        (None, "the answer is no message"),
        ("<html>", "the answer is no message"),
        ([TEXT], "the answer is no message"),
        ({"content": "Hm."}, "the message's content is no list"),
        ({"content": {"0": TEXT}}, "the message's content is no list"),
        ({"content": ["Hm."]}, "a content block has no type"),
        ({"content": [{"text": "Hm."}]}, "a content block has no type"),
        ({"content": [{"type": 1}]}, "a content block has no type"),
        ({"content": [{"type": "text"}]}, "a text block has no text"),
        ({"content": [{"type": "text", "text": None}]}, "a text block has no text"),
        ({"content": [{**USE, "id": ""}]}, "a tool_use block has no id or no name"),
        ({"content": [{**USE, "name": 7}]}, "a tool_use block has no id or no name"),
        ({"content": [{**USE, "input": None}]}, "a tool_use block has no input"),
        ({"content": [{**USE, "input": [1]}]}, "a tool_use block has no input"),
    ],
)
def test_what_is_no_message_is_malformed(message, detail):
    with pytest.raises(ModelError) as caught:
        reply_from(message)
    assert (caught.value.kind, caught.value.detail) == ("malformed", detail)
    assert str(caught.value) == f"malformed: {detail}"


@pytest.mark.parametrize(
    "message", [{}, {"content": None}, {"content": [], "usage": "many", "stop_reason": 3}]
)
def test_an_empty_message_is_one_without_a_stop_reason(message):
    assert reply_from(message) == Reply(content=(), stop_reason=None, usage=Usage())


@pytest.mark.parametrize("count", [-1, 1.5, True, "7", None, 10**12 + 1, float("nan")])
def test_what_is_no_count_counts_nothing(count):
    assert reply_from({"usage": {"input_tokens": count, "output_tokens": 7}}).usage == Usage(output_tokens=7)


@given(REPLIES)
def test_a_reply_is_the_same_after_it_was_written_down(reply):
    assert reply_from(reply.as_message()) == reply


@given(st.dictionaries(st.sampled_from(["content", "usage", "stop_reason", "model"]), JSON) | JSON)
def test_whatever_came_is_a_reply_or_malformed(message):
    kind = ""
    try:
        reply_from(message)
    except ModelError as fault:
        kind = fault.kind
    assert kind in {"", "malformed"}
