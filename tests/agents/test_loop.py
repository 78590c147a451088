"""The loop, row by row of what a model call can return: what is sent next, how often, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_runs import answer_texts, answers, request_bytes
from pydantic import Field

from portfolio_rebalance.agents.budget import Budget
from portfolio_rebalance.agents.loop import Agent, converse
from portfolio_rebalance.agents.messages import Call, Json, ModelError, Reply, Usage
from portfolio_rebalance.agents.scripted import (
    ScriptedClient,
    ScriptMismatchError,
    Step,
    says,
    stops,
    uses,
)
from portfolio_rebalance.agents.tool import Arguments, Refused, Tool
from portfolio_rebalance.config_llm import AgentSettings, Llm
from portfolio_rebalance.errors import BadDataError, RebalanceError, ReplayMismatchError

SETTINGS = AgentSettings(model="claude-sonnet-5-5", effort="low", max_tokens=1000)
MARK = {"cache_control": {"type": "ephemeral"}}
SUBMIT: Step = uses(("submit", {"word": "good"}))
NUDGE = "Finish with a call of submit; text outside of it is not read."


class Look(Arguments):
    what: Literal["a", "b", "c"]


class Word(Arguments):
    word: str = Field(max_length=10)


@dataclass
class Desk:
    """Tools that write down what they did."""

    ran: list[str] = field(default_factory=list)
    done: bool = False

    def look(self, given: Look) -> str:
        self.ran.append(f"look {given.what}")
        return f"saw {given.what}"

    def ask(self, given: Sequence[Look]) -> list[str | Refused]:
        self.ran.append("ask " + " ".join(one.what for one in given))
        return [Refused("not c") if one.what == "c" else f"heard {one.what}" for one in given]

    def change(self, given: Word) -> str:
        self.ran.append(f"change {given.word}")
        if given.word == "broken":
            raise BadDataError("The data is broken.", where="here", fix="Mend it.")
        return "changed"

    def submit(self, given: Word) -> str:
        self.ran.append(f"submit {given.word}")
        if given.word == "bad":
            raise Refused("Not accepted yet: say it better.")
        self.done = True
        return "Accepted."

    @property
    def tools(self) -> tuple[Tool[Any], ...]:
        return (
            Tool(name="look", description="Looks.", arguments=Look, run=self.look),
            Tool(
                name="ask",
                description="Asks.",
                arguments=Look,
                run=lambda given: str(self.ask([given])[0]),
                run_together=self.ask,
            ),
            Tool(name="change", description="Changes.", arguments=Word, run=self.change, changes_state=True),
            Tool(name="submit", description="Hands in.", arguments=Word, run=self.submit, changes_state=True),
        )


@dataclass(frozen=True)
class Talked:
    reason: str
    calls: tuple[Call, ...]
    ran: tuple[str, ...]
    progress: tuple[str, ...]

    @property
    def numbers(self) -> list[tuple[int, int]]:
        """Turn and attempt of every call."""
        return [(call.turn, call.attempt) for call in self.calls]


def talk(*steps: Step, most_turns: int = 5, llm: Llm | None = None) -> Talked:
    """A conversation under a script, all of which has to be used."""
    desk, client = Desk(), ScriptedClient({"risk_manager": steps})
    told: list[str] = []
    reason = converse(
        agent(desk, most_turns=most_turns),
        opening="Begin.",
        client=client,
        purse=Budget(llm or Llm(), clock=lambda: 0.0).purse,
        progress=told.append,
    )
    client.finish()
    assert desk.done == (reason == "")
    return Talked(reason, client.calls, tuple(desk.ran), tuple(told))


def agent(desk: Desk, *, most_turns: int = 5) -> Agent:
    return Agent(
        role="risk_manager",
        system="You are careful.",
        tools=desk.tools,
        output="submit",
        finished=lambda: desk.done,
        settings=SETTINGS,
        most_turns=most_turns,
    )


def result(number: int, content: str, *, turn: int = 1, attempt: int = 1, refused: bool = False) -> Json:
    """The block that answers a call of the script."""
    block = {
        "type": "tool_result",
        "tool_use_id": f"toolu_risk_manager_{turn}_{attempt}_{number}",
        "content": content,
    }
    return {**block, "is_error": True} if refused else block


# --- what is sent ----------------------------------------------------------------------------------------


def test_the_first_request_is_exactly_this():
    (call,) = talk(SUBMIT).calls
    word = {
        "additionalProperties": False,
        "properties": {"word": {"type": "string"}},
        "required": ["word"],
        "type": "object",
    }
    what = {
        "additionalProperties": False,
        "properties": {"what": {"enum": ["a", "b", "c"], "type": "string"}},
        "required": ["what"],
        "type": "object",
    }
    assert call.request == {
        "model": "claude-sonnet-5-5",
        "max_tokens": 1000,
        "system": [{"type": "text", "text": "You are careful.", **MARK}],
        "tools": [
            {"name": "look", "description": "Looks.", "input_schema": what, "strict": True},
            {"name": "ask", "description": "Asks.", "input_schema": what, "strict": True},
            {"name": "change", "description": "Changes.", "input_schema": word, "strict": True},
            {"name": "submit", "description": "Hands in.", "input_schema": word, "strict": True},
        ],
        "tool_choice": {"type": "auto"},
        "output_config": {"effort": "low"},
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Begin.", **MARK}]}],
    }
    assert (call.agent, call.turn, call.attempt, call.seconds) == ("risk_manager", 1, 1, 120.0)


def test_a_complete_message_has_its_tools_run_and_answered():
    talked = talk(uses(("look", {"what": "a"}), text="Let me see."), SUBMIT)
    assert (talked.reason, talked.ran) == ("", ("look a", "submit good"))
    assert talked.calls[1].request["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Begin."}]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me see."},
                {
                    "type": "tool_use",
                    "id": "toolu_risk_manager_1_1_1",
                    "name": "look",
                    "input": {"what": "a"},
                },
            ],
        },
        {"role": "user", "content": [{**result(1, "saw a"), **MARK}]},
    ]


def test_the_cache_is_marked_on_system_and_last_block_and_nowhere_else():
    talked = talk(
        uses(("look", {"what": "a"}), ("look", {"what": "b"})),
        says("I think."),
        uses(("look", {"what": "a"})),
        SUBMIT,
    )
    assert len(talked.calls) == 4
    for call in talked.calls:
        *_, last = call.request["messages"][-1]["content"]
        assert last.pop("cache_control") == {"type": "ephemeral"}
        assert call.request["system"][0].pop("cache_control") == {"type": "ephemeral"}
        assert b"cache_control" not in request_bytes(call)


def test_each_request_begins_with_the_one_before_it():
    talked = talk(uses(("look", {"what": "a"})), says("I think."), SUBMIT)
    for before, after in pairwise(talked.calls):
        fixed = {key: value for key, value in before.request.items() if key != "messages"}
        assert {key: after.request[key] for key in fixed} == fixed
        old = json.loads(request_bytes(before).replace(b',"cache_control":{"type":"ephemeral"}', b""))
        assert after.request["messages"][: len(old["messages"])] == old["messages"]


def test_thinking_goes_back_as_it_came():
    thought = {"type": "thinking", "thinking": "Hm, {F1}?", "signature": "c2ln+/=="}
    hidden = {"type": "redacted_thinking", "data": "RW5j"}
    use = {"type": "tool_use", "id": "toolu_x", "name": "look", "input": {"what": "b"}}
    reply = Reply(content=(thought, hidden, use), stop_reason="tool_use", usage=Usage())
    talked = talk(reply, SUBMIT)
    assert talked.calls[1].request["messages"][1] == {"role": "assistant", "content": [thought, hidden, use]}


def test_progress_is_told_of_each_turn():
    assert talk(says("Hm."), SUBMIT).progress == ("risk manager, turn 1", "risk manager, turn 2")


# --- tools -----------------------------------------------------------------------------------------------


def test_arguments_that_do_not_fit_are_answered_with_what_is_wrong():
    talked = talk(uses(("look", {"what": "z"})), SUBMIT)
    assert answers(talked.calls[1]) == [
        result(
            1,
            "The arguments of look are not acceptable: what: Input should be 'a', 'b' or 'c'.",
            refused=True,
        )
    ]
    assert (talked.reason, talked.ran) == ("", ("submit good",))


def test_an_unknown_tool_is_answered_with_those_there_are():
    talked = talk(uses(("approve", {}), ("look", {"what": "a"})), SUBMIT)
    assert answers(talked.calls[1]) == [
        result(1, "There is no such tool. Your tools are look, ask, change, submit.", refused=True),
        result(2, "saw a"),
    ]
    assert talked.ran == ("look a", "submit good")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('{"what": "a", "what": "b"}', "a key stands twice in one object"),
        ('{"what": NaN}', "NaN is no number"),
        ('{"what": "a', "Unterminated string starting at: line 1 column 10 (char 9)"),
        ("", "Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_arguments_that_are_no_json_are_answered_and_go_back_as_an_empty_object(written, told):
    talked = talk(uses(("look", written)), SUBMIT)
    sent = talked.calls[1].request["messages"]
    assert sent[1]["content"][0]["input"] == {}
    assert answers(talked.calls[1]) == [
        result(1, f"The arguments are not valid JSON: {told}. Write one JSON object.", refused=True)
    ]
    assert talked.ran == ("submit good",)


def test_two_malformed_messages_are_answered_and_the_third_ends_it():
    bad = [uses(("look", {"what": word})) for word in ("x", "y", "z")]
    talked = talk(*bad)
    assert (talked.reason, talked.numbers) == ("its calls stayed malformed", [(1, 1), (2, 1), (3, 1)])
    assert talked.ran == ()


def test_after_two_malformed_messages_it_may_still_finish():
    talked = talk(uses(("look", {"what": "x"})), uses(("nothing", {})), SUBMIT)
    assert (talked.reason, len(talked.calls)) == ("", 3)


def test_what_a_tool_refuses_is_no_malformed_call():
    talked = talk(*[uses(("submit", {"word": "bad"}), text=str(turn)) for turn in (1, 2)], SUBMIT)
    assert (talked.reason, talked.ran) == ("", ("submit bad", "submit bad", "submit good"))
    assert answers(talked.calls[1]) == [result(1, "Not accepted yet: say it better.", refused=True)]


def test_reads_of_one_message_are_answered_in_its_order():
    asked = [("look", {"what": "c"}), ("ask", {"what": "a"}), ("look", {"what": "b"}), ("ask", {"what": "b"})]
    talked = talk(uses(*asked), SUBMIT)
    assert answer_texts(talked.calls[1]) == ["saw c", "heard a", "saw b", "heard b"]
    assert [block["tool_use_id"][-1] for block in answers(talked.calls[1])] == ["1", "2", "3", "4"]


def test_what_can_be_done_together_is_done_at_once():
    talked = talk(uses(*(("ask", {"what": what}) for what in "bca")), SUBMIT)
    assert talked.ran == ("ask b c a", "submit good")
    assert answers(talked.calls[1]) == [
        result(1, "heard b"),
        result(2, "not c", refused=True),
        result(3, "heard a"),
    ]


def test_several_calls_that_change_something_are_all_refused_while_reads_run():
    talked = talk(
        uses(("change", {"word": "x"}), ("look", {"what": "a"}), ("submit", {"word": "good"})), SUBMIT
    )
    told = "Only one call of change and submit may stand in a message; none was done. Send one."
    assert answers(talked.calls[1]) == [
        result(1, told, refused=True),
        result(2, "saw a"),
        result(3, told, refused=True),
    ]
    assert talked.ran == ("look a", "submit good")


def test_one_change_runs_after_every_read_of_its_message():
    talked = talk(uses(("change", {"word": "x"}), ("look", {"what": "a"}), ("ask", {"what": "a"})), SUBMIT)
    assert talked.ran[:3] == ("look a", "ask a", "change x")
    assert answer_texts(talked.calls[1]) == ["changed", "saw a", "heard a"]


def test_a_malformed_call_beside_an_accepted_one_does_not_matter():
    talked = talk(uses(("look", {"what": "z"}), ("submit", {"word": "good"})))
    assert (talked.reason, len(talked.calls)) == ("", 1)
    third = uses(("look", {"what": "z"}), ("submit", {"word": "good"}))
    assert talk(uses(("look", {"what": "x"})), uses(("look", {"what": "y"})), third).reason == ""


@pytest.mark.parametrize(
    "steps",
    [
        [uses(("look", {"what": "a"})) for _ in range(3)],
        [uses(("look", {"what": "a"}), ("look", {"what": "a"})), uses(("look", {"what": "a"}))],
        [uses(*[("look", {"what": "a"})] * 3)],
        [uses(("look", {"what": "z"})) for _ in range(3)],
        [uses(("nothing", {"a": 1, "b": 2}), ("nothing", {"b": 2, "a": 1}), ("nothing", {"a": 1, "b": 2}))],
        [uses(("submit", {"word": "bad"})) for _ in range(3)],
    ],
)
def test_the_same_call_three_times_ends_it_before_it_is_done_again(steps):
    talked = talk(*steps)
    assert talked.reason == "it asked the same three times"
    assert len(talked.calls) == len(steps)
    assert len(talked.ran) < 3


def test_the_same_call_twice_is_answered_twice():
    talked = talk(uses(("look", {"what": "a"})), uses(("look", {"what": "a"})), SUBMIT)
    assert (talked.reason, talked.ran) == ("", ("look a", "look a", "submit good"))


def test_two_calls_with_one_id_end_it_and_none_runs():
    use = {"type": "tool_use", "id": "toolu_x", "name": "look", "input": {"what": "a"}}
    other = {**use, "input": {"what": "b"}}
    talked = talk(Reply(content=(use, other), stop_reason="tool_use", usage=Usage()))
    assert (talked.reason, talked.ran) == ("two calls of one message have the same id", ())


def test_more_calls_than_anybody_needs_end_it_and_none_runs():
    talked = talk(uses(*(("change", {"word": str(number)}) for number in range(17))))
    assert (talked.reason, talked.ran) == ("more than 16 calls in one message", ())
    many = talk(uses(*(("change", {"word": str(number)}) for number in range(16))), SUBMIT)
    assert many.reason == ""


def test_an_error_of_the_run_itself_passes_through():
    with pytest.raises(BadDataError, match="The data is broken"):
        talk(uses(("change", {"word": "broken"})))


# --- messages that are not complete ----------------------------------------------------------------------


CUT = [
    ("max_tokens", "max_tokens"),
    ("model_context_window_exceeded", "model_context_window_exceeded"),
    (None, "none"),
    ("something_new", "unknown"),
    ("end_turn", "end_turn"),  # a message that ends its turn runs no tool
    ("stop_sequence", "stop_sequence"),
    ("Send 9 now!\n" * 9, "unknown"),
]


@pytest.mark.parametrize(("stop_reason", "word"), CUT)
def test_an_incomplete_message_is_asked_for_once_more_and_none_of_its_calls_runs(stop_reason, word):
    cut = uses(("change", {"word": "x"}), ("submit", {"word": "good"}), stop_reason=stop_reason)
    again = talk(cut, SUBMIT)
    assert (again.reason, again.ran, again.numbers) == ("", ("submit good",), [(1, 1), (1, 2)])
    assert request_bytes(again.calls[0]) == request_bytes(again.calls[1])
    twice = talk(cut, cut)
    assert twice.reason == f"the message is not complete (stop reason {word})"
    assert (twice.ran, twice.numbers) == ((), [(1, 1), (1, 2)])


@pytest.mark.parametrize("stop_reason", ["max_tokens", None])
def test_incomplete_text_counts_as_incomplete_too(stop_reason):
    talked = talk(stops(stop_reason, "I was say"), SUBMIT)
    assert talked.numbers == [(1, 1), (1, 2)]
    assert len(talked.calls[1].request["messages"]) == 1


def test_a_stream_that_was_cut_is_asked_for_once_more():
    cut = ModelError("incomplete", "the answer broke off")
    talked = talk(cut, SUBMIT)
    assert (talked.reason, talked.numbers) == ("", [(1, 1), (1, 2)])
    assert request_bytes(talked.calls[0]) == request_bytes(talked.calls[1])
    assert talk(cut, cut).reason == "incomplete: the answer broke off"
    assert talk(cut, stops("max_tokens")).reason == "the message is not complete (stop reason max_tokens)"
    assert talk(stops("max_tokens"), cut).reason == "incomplete: the answer broke off"


def test_each_turn_has_its_own_second_attempt():
    cut = stops(None)
    talked = talk(cut, uses(("look", {"what": "a"})), cut, SUBMIT)
    assert (talked.reason, talked.numbers) == ("", [(1, 1), (1, 2), (2, 1), (2, 2)])


# --- messages without the call that is wanted ------------------------------------------------------------


NO_CALL = [
    says("The plan looks good to me."),
    stops("end_turn"),
    stops("tool_use", "I would call a tool."),
    Reply(content=(), stop_reason="end_turn", usage=Usage()),
    stops("stop_sequence", "Done."),
]


@pytest.mark.parametrize("step", NO_CALL)
def test_a_message_without_a_call_is_nudged_once(step):
    talked = talk(step, SUBMIT)
    assert (talked.reason, talked.numbers) == ("", [(1, 1), (2, 1)])
    assert answers(talked.calls[1]) == [{"type": "text", "text": NUDGE}]
    roles = [message["role"] for message in talked.calls[1].request["messages"]]
    assert roles == (["user", "assistant", "user"] if step.content else ["user", "user"])
    over = talk(step, uses(("look", {"what": "a"})), step)
    assert over.reason == "it did not finish with a call of its tool"


def test_blank_text_is_not_sent_back():
    blank = Reply(
        content=({"type": "text", "text": " \n"}, {"type": "text", "text": "Hm."}),
        stop_reason="end_turn",
        usage=Usage(),
    )
    sent = talk(blank, SUBMIT).calls[1].request["messages"]
    assert sent[1] == {"role": "assistant", "content": [{"type": "text", "text": "Hm."}]}


@pytest.mark.parametrize(
    "step", [stops("refusal", "I cannot."), uses(("submit", {"word": "x"}), stop_reason="refusal")]
)
def test_a_refusal_ends_it_at_once(step):
    talked = talk(step)
    assert (talked.reason, talked.ran) == ("the model refused", ())


# --- pauses ----------------------------------------------------------------------------------------------


def test_a_pause_is_sent_back_as_it_is_three_times_at_most():
    pauses = [stops("pause_turn", f"Pause {number}.") for number in range(1, 5)]
    talked = talk(*pauses[:3], SUBMIT)
    assert (talked.reason, talked.numbers) == ("", [(1, 1), (1, 2), (1, 3), (1, 4)])
    assert talked.calls[3].request["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Begin."}]},
        *({"role": "assistant", "content": [{"type": "text", "text": f"Pause {n}."}]} for n in (1, 2, 3)),
    ]
    over = talk(*pauses)
    assert (over.reason, len(over.calls), over.ran) == ("the model paused too often", 4, ())


@pytest.mark.parametrize("content", [(), ({"type": "text", "text": "  "},)])
def test_a_pause_that_says_nothing_is_asked_for_again(content):
    talked = talk(Reply(content=content, stop_reason="pause_turn", usage=Usage()), SUBMIT)
    assert talked.reason == ""
    assert request_bytes(talked.calls[0]) == request_bytes(talked.calls[1])


def test_no_tool_of_a_message_that_pauses_runs():
    talked = talk(uses(("change", {"word": "x"}), stop_reason="pause_turn"), SUBMIT)
    assert talked.ran == ("submit good",)


# --- other ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        "unreachable",
        "timeout",
        "overloaded",
        "rate_limited",
        "spend_limit",
        "credentials",
        "bad_request",
        "unknown_model",
        "malformed",
    ],
)
def test_a_fault_ends_it_and_is_not_asked_again(kind):
    talked = talk(uses(("look", {"what": "a"})), ModelError(kind, "as it was told"))
    assert talked.reason == f"{kind.replace('_', ' ')}: as it was told"
    assert talked.numbers == [(1, 1), (2, 1)]


def test_the_budget_ends_it():
    talked = talk(uses(("look", {"what": "a"})), llm=Llm(max_calls=1))
    assert (talked.reason, len(talked.calls)) == ("the budget ended it: no call is left", 1)


def test_turns_are_bounded():
    talked = talk(*(uses(("look", {"what": what})) for what in "abc"), most_turns=3)
    assert (talked.reason, len(talked.calls)) == ("it came to no result in 3 turns", 3)


def test_it_may_finish_in_its_last_turn():
    assert talk(uses(("look", {"what": "a"})), SUBMIT, most_turns=2).reason == ""


@pytest.mark.parametrize(
    "error",
    [ReplayMismatchError("differs", where="t.jsonl:1", fix="Record."), ScriptMismatchError("no step")],
)
def test_what_shows_that_the_run_is_another_one_passes_through(error):
    def differs(_call: Call) -> Reply:
        raise error

    client = ScriptedClient({"risk_manager": [differs]})
    with pytest.raises(type(error)) as caught:
        converse(agent(Desk()), opening="x", client=client, purse=Budget(Llm(), clock=lambda: 0.0).purse)
    assert caught.value is error


# --- all together ----------------------------------------------------------------------------------------


INPUTS = st.sampled_from(
    [
        {},
        {"what": "a"},
        {"what": "z"},
        {"word": "bad"},
        {"word": "y" * 99},
        {"what": 0.35},
        "{",
        '{"a":1,"a":2}',
    ]
)
USES = st.builds(
    lambda asked, reason: uses(*asked, stop_reason=reason),
    st.lists(st.tuples(st.sampled_from(["look", "ask", "change", "submit", "rm -rf"]), INPUTS), max_size=4),
    st.sampled_from(
        ["tool_use", "tool_use", "tool_use", "end_turn", "max_tokens", None, "pause_turn", "refusal"]
    ),
)
STEPS = st.one_of(
    USES,
    USES,
    st.sampled_from([*NO_CALL, stops("pause_turn"), stops(None), stops("refusal")]),
    st.sampled_from(["incomplete", "malformed", "timeout"]).map(lambda kind: ModelError(kind, "x")),
)


@settings(max_examples=300)
@given(st.lists(STEPS, min_size=8, max_size=8), st.integers(1, 5))
def test_whatever_comes_it_ends_with_a_word_and_within_its_calls(steps, most_turns):
    desk, client = Desk(), ScriptedClient({"risk_manager": steps})
    reason = converse(
        agent(desk, most_turns=most_turns),
        opening="Begin.",
        client=client,
        purse=Budget(Llm(), clock=lambda: 0.0).purse,
    )
    assert bool(reason) != desk.done
    assert 1 <= len(client.calls) <= 8
    assert len(client.calls) <= most_turns * 5
    assert sum(one.startswith("submit good") for one in desk.ran) <= 1
    for call in client.calls:
        contents = [message["content"] for message in call.request["messages"]]
        assert all(contents), "the API takes no empty message"
        assert not any(isinstance(block.get("input"), str) for content in contents for block in content)


def test_no_refusal_of_the_run_is_taken_for_one_of_the_model():
    assert not issubclass(Refused, RebalanceError)
