"""Scripts of models: what was not written does not happen, and what was written does."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from transcript_samples import call, outcome, reply, request

from portfolio_rebalance.agents.messages import Call, ModelError, Reply, ToolUse, Usage, reply_from
from portfolio_rebalance.agents.scripted import ScriptedClient, ScriptMismatchError, says, stops, uses

# --- playing ---------------------------------------------------------------------------------------------


def test_each_agent_gets_its_steps_in_order():
    client = ScriptedClient({"monitor": [says("a"), ModelError("timeout", "30 s")], "feedback": [says("b")]})
    assert outcome(client, call("monitor", 1)) == says("a")
    assert outcome(client, call("feedback", 1)) == says("b")
    assert outcome(client, call("monitor", 2)) == ("timeout", "30 s")
    client.finish()
    assert client.provider == "scripted"


def test_a_step_may_look_at_the_call():
    def echo(one: Call) -> Reply:
        return says(one.request["messages"][0]["content"][0]["text"])

    assert ScriptedClient({"monitor": [echo]}).complete(call(body=request("hello"))).text == "hello"


def test_a_step_may_fail_by_itself():
    def fails(_: Call) -> Reply:
        raise ModelError("incomplete", "cut off")

    client = ScriptedClient({"monitor": [fails]})
    assert outcome(client, call()) == ("incomplete", "cut off")
    client.finish()


def test_calls_are_kept_as_they_were():
    client = ScriptedClient({"monitor": [says("a"), says("b")]})
    body = request("hello")
    client.complete(call(body=body))
    body["messages"].clear()
    client.complete(call(turn=2, body=body))
    first, second = client.calls
    assert first == call(body=request("hello"))
    assert second.request["messages"] == []


def test_a_reply_may_be_played_twice_whatever_is_done_to_it():
    step = uses(("look", {"n": [1]}))
    said = says("a")
    client = ScriptedClient({"monitor": [step, said, step, said]})
    for turn in (1, 3):
        look = client.complete(call(turn=turn))
        assert look.tool_uses[0].input == {"n": [1]}
        look.content[0]["input"]["n"].append(2)
        text = client.complete(call(turn=turn + 1))
        assert text.text == "a"
        text.content[0]["text"] = "b"


def test_a_fault_is_raised_anew_each_time():
    step = ModelError("timeout", "30 s")
    client = ScriptedClient({"monitor": [step, step]})
    with pytest.raises(ModelError) as first:
        client.complete(call())
    with pytest.raises(ModelError) as second:
        client.complete(call(turn=2))
    assert first.value is not second.value
    assert step.__traceback__ is None


def test_agents_do_not_wait_for_each_other():
    together = threading.Barrier(3)

    def waits(one: Call) -> Reply:
        together.wait(timeout=60)
        return says(one.agent)

    agents = ["monitor", "feedback", "risk_manager"]
    client = ScriptedClient({agent: [waits] for agent in agents})
    with ThreadPoolExecutor(3) as pool:
        assert [one.text for one in pool.map(client.complete, map(call, agents))] == agents
    client.finish()
    assert sorted(one.agent for one in client.calls) == sorted(agents)


def test_threads_of_one_agent_share_its_steps_out():
    client = ScriptedClient({"monitor": [says(str(number)) for number in range(200)]})
    with ThreadPoolExecutor(8) as pool:
        texts = [one.text for one in pool.map(lambda turn: client.complete(call(turn=turn)), range(1, 201))]
    assert sorted(map(int, texts)) == list(range(200))
    client.finish()


# --- what was not written --------------------------------------------------------------------------------


def test_an_unexpected_call_fails_and_is_no_fault_of_a_model():
    client = ScriptedClient({"monitor": [says("a")]})
    client.complete(call())
    with pytest.raises(ScriptMismatchError) as caught:
        client.complete(call(turn=2))
    assert str(caught.value) == "monitor turn 2 attempt 1 is call 2 of this agent, and the script has 1"
    assert isinstance(caught.value, AssertionError)
    assert not isinstance(caught.value, ModelError)
    with pytest.raises(ScriptMismatchError, match="feedback turn 1 attempt 1 is call 1 of this agent"):
        client.complete(call("feedback"))
    assert len(client.calls) == 3


def test_an_unexpected_call_that_was_swallowed_fails_at_the_end():
    client = ScriptedClient({})
    with pytest.raises(ScriptMismatchError) as first:
        client.complete(call())
    with pytest.raises(ScriptMismatchError) as last:
        client.finish()
    assert last.value is first.value


def test_steps_left_over_fail():
    client = ScriptedClient({"monitor": [says("a"), says("b")], "feedback": [says("c")], "orchestrator": []})
    client.complete(call())
    with pytest.raises(ScriptMismatchError) as caught:
        client.finish()
    assert str(caught.value) == "steps were left unused: 1 of 1 of feedback, 1 of 2 of monitor"


def test_a_step_that_gives_no_reply_fails():
    client = ScriptedClient({"monitor": [lambda _: None]})
    with pytest.raises(ScriptMismatchError, match="step 1 of monitor gave a NoneType and no reply"):
        client.complete(call())


def test_a_script_changed_after_it_was_given_plays_as_it_was():
    steps = {"monitor": [says("a")]}
    client = ScriptedClient(steps)
    steps["monitor"].append(says("b"))
    client.complete(call())
    client.finish()


# --- short ways to write replies -------------------------------------------------------------------------


def test_says_and_stops_are_messages():
    assert says("a", usage=Usage(output_tokens=3), model="m") == Reply(
        content=({"type": "text", "text": "a"},),
        stop_reason="end_turn",
        usage=Usage(output_tokens=3),
        model="m",
    )
    assert stops("refusal") == Reply(content=(), stop_reason="refusal", usage=Usage())
    assert stops(None, "half a", usage=Usage(input_tokens=1)) == reply(
        "half a", stop_reason=None, usage=Usage(input_tokens=1), model=""
    )


def test_uses_asks_for_tools_with_ids_that_the_call_alone_decides():
    step = uses(("look", {"n": 1}), ("submit", "not json"), text="So:")
    one = call("risk_manager", 2, 3)
    assert step(one) == step(one)
    assert step(one).text == "So:"
    assert step(one).stop_reason == "tool_use"
    assert step(one).tool_uses == (
        ToolUse(id="toolu_risk_manager_2_3_1", name="look", input={"n": 1}),
        ToolUse(id="toolu_risk_manager_2_3_2", name="submit", input="not json"),
    )
    ids = {
        use.id
        for agent in ("a", "b")
        for turn in (1, 2)
        for attempt in (1, 2)
        for use in step(call(agent, turn, attempt)).tool_uses
    }
    assert len(ids) == 16


def test_uses_may_be_cut_off():
    cut = uses(("look", {"n": 12}), stop_reason=None, usage=Usage(output_tokens=9), model="m")(call())
    assert (cut.stop_reason, cut.usage, cut.model) == (None, Usage(output_tokens=9), "m")
    assert cut.text == ""


@pytest.mark.parametrize("step", [says("a"), stops("refusal"), uses(("look", {}), text="a")])
def test_what_is_written_so_is_a_message_of_the_api(step):
    played = ScriptedClient({"monitor": [step]}).complete(call())
    assert reply_from(played.as_message()) == played
