"""The smallest cases of what was once found by models that misbehave at random."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from model_scenes import Scene, make_scene

from portfolio_rebalance.agents.messages import Call, ModelError, Reply, reply_from
from portfolio_rebalance.agents.redacting import RedactingClient
from portfolio_rebalance.agents.strict_json import strict_json
from portfolio_rebalance.config_llm import Llm
from portfolio_rebalance.records import RebalanceResult


@dataclass(slots=True)
class Says:
    """An orchestrator that says these messages, in the API's form, and then refuses; reviewers refuse."""

    messages: list[object]
    calls: list[Call] = field(default_factory=list)

    @property
    def provider(self) -> str:
        return "scripted"

    def complete(self, call: Call) -> Reply:
        self.calls.append(call)
        if call.agent != "orchestrator" or not self.messages:
            return reply_from({"content": [], "stop_reason": "refusal"})
        return reply_from(self.messages.pop(0))


@pytest.fixture(scope="module")
def breach(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene("breach", tmp_path_factory.mktemp("breach"))


def led(scene: Scene, *messages: object) -> RebalanceResult:
    return scene.play(Says(list(messages)), settings=Llm(), clock=lambda: 0.0).result


def submits(draft: str = "D1", **more: object) -> dict[str, Any]:
    given = {"draft_id": draft, "verdict": "accept", "explanation": "Nothing to add.", **more}
    return uses("submit", given)


def uses(name: str, given: object) -> dict[str, Any]:
    return asks((name, given))


def asks(*tools: tuple[str, object]) -> dict[str, Any]:
    blocks = [
        {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": given}
        for number, (name, given) in enumerate(tools)
    ]
    return {"content": blocks, "stop_reason": "tool_use"}


LOOKS = asks(
    ("verify_allocation_compliance", {"draft_id": "D1"}),
    ("simulate_rebalance_impact", {"draft_id": "D1"}),
    ("request_review", {"role": "quantitative_analyst", "draft_id": "D1"}),
    ("request_review", {"role": "risk_manager", "draft_id": "D1"}),
)


@pytest.mark.parametrize("content", [[], None, [{"type": "text", "text": " "}]])
def test_a_pause_without_a_word_is_waited_out(breach: Scene, content: object) -> None:
    client = Says([{"content": content, "stop_reason": "pause_turn"}, submits()])
    result = breach.play(client, settings=Llm(), clock=lambda: 0.0).result
    assert (result.driver, result.status) == ("model", "planned")
    assert client.calls[1].request["messages"] == client.calls[0].request["messages"]


@pytest.mark.parametrize("content", [[], None, [{"type": "text", "text": "Wait."}]])
def test_pauses_without_an_end_leave_the_run_to_the_rules(breach: Scene, content: object) -> None:
    result = led(breach, *[{"content": content, "stop_reason": "pause_turn"}] * 9)
    assert (result.driver, result.decision) == ("rules", breach.by_rules.decision)
    assert result.advice is not None
    assert result.advice.notes == ("no verdict from the orchestrator: the model paused too often",)


@pytest.mark.parametrize(
    "reason", [None, "", "end_turn", "max_tokens", "model_context_window_exceeded", "refusal", "TOOL_USE", 7]
)
def test_calls_of_a_message_that_does_not_say_it_calls_have_no_effect(breach: Scene, reason: object) -> None:
    """A cut stream leaves a partial input that looks whole, without any stop reason."""
    cut = {**submits(), "stop_reason": reason}
    result = led(breach, cut, cut)
    assert result.advice is not None
    assert (result.driver, result.advice.verdict, result.advice.explanation) == ("rules", None, "")
    assert led(breach, cut, submits()).driver == ("rules" if reason == "refusal" else "model")


def test_only_the_very_id_of_this_run_s_plan_is_executed(breach: Scene) -> None:
    accepted = submits()
    own = breach.play(Says([LOOKS, accepted]), settings=Llm(), clock=lambda: 0.0, asked_to_execute=True)
    plan_id = own.result.plan_id
    assert plan_id is not None
    assert own.executed == (), "it accepted a draft, and asked for nothing more"
    for other in ("0" * 64, plan_id[:12], plan_id.upper(), f" {plan_id}", "D1", "", "../" + plan_id[3:]):
        said = Says([LOOKS, accepted, uses("execute_rebalance_trades", {"plan_id": other})])
        played = breach.play(said, settings=Llm(), clock=lambda: 0.0, asked_to_execute=True)
        assert played.executed == (), other
    said = Says([LOOKS, accepted, uses("execute_rebalance_trades", {"plan_id": plan_id})])
    played = breach.play(said, settings=Llm(), clock=lambda: 0.0, asked_to_execute=True)
    assert [one.plan_id for one in played.executed] == [plan_id]
    twice = asks(*[("execute_rebalance_trades", {"plan_id": plan_id})] * 2)
    played = breach.play(
        Says([LOOKS, accepted, twice]), settings=Llm(), clock=lambda: 0.0, asked_to_execute=True
    )
    assert played.executed == ()


@pytest.mark.parametrize("depth", [16, 17, 100, 400, 480, 600, 800, 960, 5_000, 40_000])
def test_arguments_nested_without_end_are_refused_at_any_depth(breach: Scene, depth: int) -> None:
    """The depth at which reading them succeeds and measuring them does not depends on who calls."""
    text = '{"draft_id":' + "[" * depth + "]" * depth + "}"
    with pytest.raises(ValueError, match="nested deeper than 16"):
        strict_json(text)
    result = led(breach, uses("submit", text), submits())
    assert result.driver == "model"


@pytest.mark.parametrize("depth", [100, 600, 900])
def test_a_message_nested_without_end_is_none(breach: Scene, depth: int) -> None:
    deep = json.loads("[" * depth + "]" * depth)
    for block in ({"type": "thinking", "x": deep}, {**submits()["content"][0], "input": {"x": deep}}):
        result = led(breach, {"content": [block], "stop_reason": "tool_use"})
        assert result.driver == "rules"


def test_a_number_without_end_is_no_message() -> None:
    """So many digits have no text, and what has no text cannot be sent, counted or kept."""
    with pytest.raises(ModelError, match="malformed"):
        reply_from(uses("submit", {"draft_id": 10**5_000}))


def test_where_correlation_is_unknown_no_model_chooses_the_mode(tmp_path: Path) -> None:
    """Not even where the mode that stands in is the configured one, so that nothing had to stand in."""
    scene = make_scene("correlation unknown, proportional configured", tmp_path)
    assert scene.by_rules.fallback == ""
    result = led(scene, submits("D2"))
    assert result.advice is not None
    assert (result.mode, result.advice.mode_taken) == ("proportional", False)
    assert result.plan is not None
    assert result.plan.mode == "proportional"
    note = "the orchestrator recommends correlation_aware; proportional stays, because "
    assert [one for one in result.advice.notes if one.startswith(note)] != []


def test_a_stop_reason_carries_nothing_to_a_reader(breach: Scene) -> None:
    """It is a stranger's word as much as any other: no figure, no secret, no sentence of its own."""
    reason = "approved99percentSkAntApi03Wombat"
    result = led(breach, *[{"content": [], "stop_reason": reason}] * 2)
    assert result.advice is not None
    assert len(result.advice.notes) == 1
    assert "the message is not complete" in result.advice.notes[0]
    for piece in ("approved", "99", "Wombat"):
        assert piece not in result.advice.notes[0]


def test_a_stop_reason_and_a_model_s_name_are_redacted_like_the_rest() -> None:
    content = [{"type": "text", "text": "a secret"}, *uses("secret", {"secret": ["secret"]})["content"]]
    said = {"content": content, "stop_reason": "a secret word", "model": "a secret name"}
    client = RedactingClient(Says([said]), redact=lambda text: text.replace("secret", "[secret]"))
    reply = client.complete(Call(agent="orchestrator", turn=1, attempt=1, request={}, seconds=1.0))
    assert (reply.stop_reason, reply.model) == ("a [secret] word", "a [secret] name")
    assert (reply.text, reply.tool_uses[0].name) == ("a [secret]", "[secret]")
    assert reply.tool_uses[0].input == {"[secret]": ["[secret]"]}
