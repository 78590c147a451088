"""A real small model on this machine, asked through the real SDK: see README.md, which says how to run this.

It is slow: a page of prompt takes the model tens of seconds.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from chat_form import Turn
from constrained import answer_schema, grammar
from messages_adapter import Adapter, serving
from messages_request import Request
from model_scenes import make_scene
from record import REDACT, SETTINGS, client_of, judged, recording_of
from small_model import CONTEXT_TOKENS, MODEL_ID, SmallModel, TooLongError
from test_messages_adapter import ASK, SUBMIT, WORDS, raw
from weights import missing

from portfolio_rebalance.agents.budget import Budget
from portfolio_rebalance.agents.replay import ReplayClient
from portfolio_rebalance.agents.reviewers import review
from portfolio_rebalance.records import canonical_bytes

pytestmark = [pytest.mark.local_model, pytest.mark.skipif(bool(missing()), reason=missing() or "installed")]

FACTS = "S4 drifted from its target by {F12}. The cluster of S4 and S9 holds {F3} against a limit of {F6}. "
STORY = (
    "Tell me a long story about a trader who loses a map of the sea.",
    "What does the old captain say to her about risk and patience?",
    "And then, many years later, in which city does she find it?",
)
RULES = grammar(answer_schema(Request.model_validate_json(json.dumps(ASK)).tools))


@pytest.fixture(scope="module")
def small_model() -> SmallModel:
    return SmallModel()


@pytest.fixture
def address(small_model: SmallModel) -> Iterator[str]:
    adapter = Adapter(small_model)
    with serving(adapter) as at:
        yield at
    assert adapter.bugs == []


def asked(facts: str = FACTS, **changes: object) -> dict[str, object]:
    return {**ASK, "messages": [{"role": "user", "content": facts}], **changes}


# --- the SDK and the adapter -----------------------------------------------------------------------------


def test_the_sdk_gets_a_valid_call_whole_and_streamed_and_twice_to_the_byte(address):
    import anthropic

    with anthropic.Anthropic(api_key="k", base_url=address, max_retries=0) as client:
        message = client.messages.create(**asked())
        with client.messages.stream(**asked()) as stream:
            streamed = stream.get_final_message()
    [call] = message.content
    assert (call.type, call.id, message.stop_reason) == ("tool_use", "toolu_0001", "tool_use")
    allowed = {"submit_review": {"verdict", "concerns"}, "submit": {"draft_id", "verdict", "explanation"}}
    assert call.input.keys() == allowed[call.name]
    assert message.usage.input_tokens > 100
    assert message.usage.output_tokens > 10
    assert streamed.content[0].to_dict() == call.to_dict()
    body = json.dumps(asked())
    assert raw(address, "POST", "/v1/messages", body) == raw(address, "POST", "/v1/messages", body)


def test_what_a_schema_demands_is_kept(address):
    import anthropic

    with anthropic.Anthropic(api_key="k", base_url=address, max_retries=0) as client:
        message = client.messages.create(**asked(tool_choice={"type": "tool", "name": "submit"}))
        text = client.messages.create(**{**WORDS, "max_tokens": 16})
    given = message.content[0].input
    assert re.fullmatch(r"D[0-9]{1,2}", given["draft_id"])
    assert given["verdict"] in SUBMIT["input_schema"]["$defs"]["Verdict"]["enum"]
    assert len(given["explanation"]) <= 240
    assert (text.content[0].type, text.usage.output_tokens <= 16) == ("text", True)


def test_an_answer_is_cut_at_the_tokens_that_are_allowed(address):
    status, body = raw(address, "POST", "/v1/messages", json.dumps(asked(max_tokens=12)))
    message = json.loads(body)
    assert (status, message["stop_reason"], message["usage"]["output_tokens"]) == (200, "max_tokens", 12)


def test_the_adapter_answers_others_while_the_model_thinks(address):
    answers: list[tuple[int, bytes]] = []
    body = json.dumps(asked(FACTS * 20))
    thinking = threading.Thread(
        target=lambda: answers.append(raw(address, "POST", "/v1/messages", body, seconds=600))
    )
    thinking.start()
    status, info = raw(address, "GET", f"/v1/models/{MODEL_ID}")
    assert (status, json.loads(info)["id"], answers) == (200, MODEL_ID, [])
    thinking.join()
    assert answers[0][0] == 200


# --- the model -------------------------------------------------------------------------------------------


def test_what_was_read_before_changes_no_answer(small_model):
    """A conversation that grew by turns ends as one that is read at once by a model that knows nothing.

    This story ends differently where it is read on from wherever old and new words part, and where no portion
    is read twice.
    """
    chat = [Turn(role="system", content="You are a writer."), Turn(role="user", content=STORY[0])]
    for told in STORY[1:]:
        answer = small_model.answer(chat, grammar="", max_tokens=60)
        other = [chat[0], Turn(role="user", content=f"Write about something else. {told}")]
        small_model.answer(other, grammar="", max_tokens=8)
        chat = [*chat, Turn(role="assistant", content=answer.text), Turn(role="user", content=told)]
    last = small_model.answer(chat, grammar="", max_tokens=60)
    assert last.tokens == 60
    assert small_model.answer(chat, grammar="", max_tokens=60) == last
    assert SmallModel().answer(chat, grammar="", max_tokens=60) == last


def test_a_chat_that_does_not_fit_is_refused_and_the_next_one_is_answered(small_model):
    long = [Turn(role="user", content=FACTS * 600)]
    with pytest.raises(TooLongError) as error:
        small_model.answer(long, grammar=RULES, max_tokens=8)
    assert (error.value.most, error.value.tokens > CONTEXT_TOKENS) == (CONTEXT_TOKENS, True)
    short = [Turn(role="user", content="Review D1.")]
    assert small_model.answer(short, grammar=RULES, max_tokens=200).ended == "itself"


def test_a_schema_that_the_grammar_cannot_hold_is_refused_and_not_ignored(address):
    schema = {**SUBMIT["input_schema"], "properties": {"verdict": {"$ref": "#/$defs/Absent"}}}
    status, body = raw(
        address, "POST", "/v1/messages", json.dumps(asked(tools=[{**SUBMIT, "input_schema": schema}]))
    )
    assert (status, json.loads(body)["error"]["type"]) == (400, "invalid_request_error")


# --- the agents ------------------------------------------------------------------------------------------


def test_it_leads_a_whole_run_which_breaks_nothing_and_is_replayed_to_the_same_bytes(address, tmp_path):
    scene = make_scene("breach, pre-approved", tmp_path)
    client = recording_of(address)
    played, faults = judged(scene, client)
    assert faults == []
    transcript = client.transcript()
    assert transcript.provenance == "local-model"
    assert len(transcript.entries) == sum(one.calls for one in played.spent)
    assert {entry.answer.stop_reason for entry in transcript.entries} == {"tool_use"}
    replay = ReplayClient(transcript, redact=REDACT)
    again, _ = judged(scene, replay)
    replay.finish()
    assert canonical_bytes(again.result) == canonical_bytes(played.result)


@pytest.mark.parametrize("role", ["quantitative_analyst", "risk_manager"])
def test_as_a_reviewer_it_comes_to_a_review_or_to_a_reason_why_not(role, address, tmp_path: Path):
    scene = make_scene("improvement", tmp_path)
    reviewed = review(
        role,
        "D1",
        sheet=scene.sheet,
        client=client_of(address),
        purse=Budget(SETTINGS, clock=lambda: 0.0).purse,
        settings=SETTINGS.agents,
        progress=lambda _stage: None,
    )
    if reviewed.review is None:
        assert reviewed.reason == "it came to no result in 2 turns"
    else:
        assert (reviewed.review.role, reviewed.review.source) == (role, "model")
