"""Recording a run of models: the same run gives the same bytes, and no secret is in them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transcript_samples import (
    HIDDEN,
    OBJECTS,
    REPLIES,
    SECRET,
    as_is,
    call,
    calls_of,
    outcome,
    reply,
    request,
    transcript,
    without_secret,
)

from portfolio_rebalance import __version__
from portfolio_rebalance.agents.json_form import redacted
from portfolio_rebalance.agents.messages import Call, ModelError, Reply
from portfolio_rebalance.agents.recording import RecordingClient
from portfolio_rebalance.agents.replay import ReplayClient
from portfolio_rebalance.agents.scripted import ScriptedClient, says, uses
from portfolio_rebalance.agents.transcript import CallId, Fault, parse_transcript
from portfolio_rebalance.errors import BadDataError

FAULTS = st.builds(ModelError, st.sampled_from(["timeout", "malformed", "spend_limit"]), st.text(max_size=9))


def recorder(steps: dict[str, list], *, redact=as_is, provenance="live") -> RecordingClient:
    return RecordingClient(ScriptedClient(steps), provenance=provenance, redact=redact)


# --- what is kept ----------------------------------------------------------------------------------------


@given(st.lists(st.tuples(OBJECTS, REPLIES | FAULTS), max_size=4))
def test_what_was_recorded_is_replayed_as_it_was(run):
    calls = [call(turn=turn, body=body) for turn, (body, _) in enumerate(run, start=1)]
    recording = recorder({"monitor": [step for _, step in run]})
    seen = [outcome(recording, one) for one in calls]
    text = recording.transcript().text()
    again = parse_transcript(text, label="a.jsonl")
    assert again.text() == text
    replaying = ReplayClient(again, redact=as_is)
    assert [outcome(replaying, one) for one in calls] == seen
    assert seen == [step if isinstance(step, Reply) else (step.kind, step.detail) for _, step in run]
    replaying.finish()


def test_the_header_says_what_it_is():
    recording = recorder({}, provenance="local-model")
    made = recording.transcript(notes={"model": "smollm2"})
    assert (made.provenance, made.made_with, made.notes) == ("local-model", __version__, {"model": "smollm2"})
    assert recording.provider == "scripted"


def test_faults_are_kept_and_reach_the_caller():
    fault = ModelError("overloaded", f"529 for {SECRET}")
    recording = recorder({"monitor": [fault]}, redact=without_secret)
    assert outcome(recording, call()) == ("overloaded", f"529 for {SECRET}")
    (entry,) = recording.transcript().entries
    assert entry.answer == Fault(kind="overloaded", detail=f"529 for {HIDDEN}")


def test_what_the_caller_changes_later_is_not_recorded():
    recording = recorder({"monitor": [says("one"), says("two")]})
    body = request("hello")
    first = recording.complete(call(body=body))
    body["messages"].append({"role": "assistant", "content": list(first.content)})
    first.content[0]["text"] = "changed"
    recording.complete(call(turn=2, body=body))
    one, two = recording.transcript().entries
    assert one.request == request("hello")
    assert one.answer == says("one")
    assert len(two.request["messages"]) == 2


# --- one run, one file -----------------------------------------------------------------------------------


@given(st.permutations(calls_of(transcript())))
def test_the_order_of_agents_does_not_reach_the_file(calls):
    steps = {agent: [uses(("look", {"n": 1})), says("b")] for agent in ("monitor", "orchestrator")}
    in_order = recorder(steps)
    for one in calls_of(transcript()):
        in_order.complete(one)
    shuffled = recorder(steps)
    # Agents mix in any order; each of them goes from turn to turn.
    for agent in [one.agent for one in calls]:
        done = {entry.id for entry in shuffled.transcript().entries}
        ours = [one for one in calls_of(transcript()) if one.agent == agent]
        shuffled.complete(next(one for one in ours if CallId.of(one) not in done))
    assert shuffled.transcript().text() == in_order.transcript().text()


def test_agents_that_ask_at_the_same_time_give_the_same_file(tmp_path):
    agents = ["quantitative_analyst", "risk_manager", "monitor", "feedback"]
    places = []
    for attempt in range(10):
        together = threading.Barrier(len(agents))

        def waits(one: Call, together: threading.Barrier = together) -> Reply:
            together.wait(timeout=60)
            return uses(("look", {"agent": one.agent}))(one)

        recording = recorder({agent: [waits] * 5 for agent in agents})

        def talk(agent: str, recording: RecordingClient = recording) -> None:
            for turn in range(1, 6):
                recording.complete(call(agent, turn))

        with ThreadPoolExecutor(len(agents)) as pool:
            list(pool.map(talk, agents[attempt % 4 :] + agents[: attempt % 4]))
        places.append(recording.write(folder=tmp_path / str(attempt), name="run.jsonl"))
        assert len(recording.transcript().entries) == 20
    assert len({place.read_bytes() for place in places}) == 1


def test_recording_the_same_run_twice_into_one_folder_changes_nothing(tmp_path):
    for _ in range(2):
        recording = recorder({"monitor": [says("one")]})
        recording.complete(call())
        place = recording.write(folder=tmp_path, name="run.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == [place.name]


def test_a_refused_place_loses_nothing(tmp_path):
    (tmp_path / "run.jsonl").write_text("taken")
    recording = recorder({"monitor": [says("one")]})
    recording.complete(call())
    with pytest.raises(BadDataError):
        recording.write(folder=tmp_path, name="run.jsonl")
    assert recording.write(folder=tmp_path, name="run-2.jsonl").read_text() == recording.transcript().text()


# --- redaction -------------------------------------------------------------------------------------------


def secret_run() -> tuple[RecordingClient, list[Reply]]:
    """A secret in each place that a text can have, and a model's words sent back to it."""

    def talks(one: Call) -> Reply:
        return uses((f"tool-{SECRET}", {SECRET: [SECRET]}), text=SECRET, model=SECRET)(one)

    recording = recorder(
        {"monitor": [talks, reply(stop_reason=SECRET), ModelError("timeout", SECRET)]},
        redact=without_secret,
        provenance="authored",
    )
    replies = list(secret_calls(recording))
    return recording, replies


def secret_calls(client: object) -> list[Reply]:
    body = {**request(f"the key is {SECRET}"), SECRET: 1}
    first = client.complete(call(body=body))  # type: ignore[attr-defined]
    body["messages"].append({"role": "assistant", "content": list(first.content)})
    second = client.complete(call(turn=2, body=body))  # type: ignore[attr-defined]
    with pytest.raises(ModelError):
        client.complete(call(turn=3, body=body))  # type: ignore[attr-defined]
    return [first, second]


def test_the_caller_gets_the_answer_as_it_came():
    _, (first, second) = secret_run()
    assert first.text == SECRET
    assert first.tool_uses[0].input == {SECRET: [SECRET]}
    assert second.stop_reason == SECRET


def test_no_secret_is_in_the_file(tmp_path):
    recording, _ = secret_run()
    place = recording.write(folder=tmp_path, name="run.jsonl", notes={"why": SECRET, SECRET: "x"})
    text = place.read_text()
    assert SECRET not in text
    # request: 1 text, 1 key, 5 in the quoted answer; answer: text, model, name, key, value; and so on
    assert text.count(HIDDEN) > 15


def test_a_run_with_the_same_secrets_replays_from_a_file_without_them():
    recording, _ = secret_run()
    replaying = ReplayClient(recording.transcript(), redact=without_secret)
    first, second = secret_calls(replaying)
    replaying.finish()
    assert first.text == HIDDEN
    assert second.stop_reason == HIDDEN


# --- what cannot be kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        reply(content=({"type": "tool_use", "id": "a", "name": "b", "input": {"n": float("nan")}},)),
        reply(content=({"type": "thinking", "n": float("inf")},)),
        reply(content=({"text": "no type"},)),
        reply(content=({"type": "text", "text": "a", "more": {1: 2}},)),
        reply(stop_reason=7),
    ],
    ids=["nan", "infinity", "no type", "number as key", "stop reason"],
)
def test_a_reply_that_is_no_message_is_a_fault_then_and_in_every_replay(answer):
    recording = recorder({"monitor": [answer]})
    kind, detail = outcome(recording, call())
    assert kind == "malformed"
    replaying = ReplayClient(parse_transcript(recording.transcript().text(), label="a"), redact=as_is)
    assert outcome(replaying, call()) == (kind, detail)


@pytest.mark.parametrize("body", [{"n": float("nan")}, {"n": object()}, {1: 2}], ids=["nan", "type", "key"])
def test_a_request_that_is_no_json_is_not_passed_on(body):
    script = ScriptedClient({})
    recording = RecordingClient(script, provenance="live", redact=as_is)
    kind, _ = outcome(recording, call(body=body))
    assert kind == "bad_request"
    assert script.calls == ()
    assert recording.transcript().entries == ()
    assert outcome(ReplayClient(recording.transcript(), redact=as_is), call(body=body))[0] == "bad_request"


def test_the_same_call_twice_is_refused_before_it_costs_anything():
    script = ScriptedClient({"monitor": [says("one")]})
    recording = RecordingClient(script, provenance="live", redact=as_is)
    recording.complete(call())
    with pytest.raises(ValueError, match="monitor turn 1 attempt 1 is asked a second time"):
        recording.complete(call())
    assert len(script.calls) == 1
    assert [entry.answer for entry in recording.transcript().entries] == [says("one")]


def test_a_run_that_broke_off_in_a_call_is_not_written(tmp_path):
    def breaks(_: Call) -> Reply:
        raise KeyboardInterrupt

    recording = recorder({"monitor": [says("one"), breaks]})
    recording.complete(call())
    with pytest.raises(KeyboardInterrupt):
        recording.complete(call(turn=2))
    with pytest.raises(BadDataError, match="no answer to monitor turn 2 attempt 1"):
        recording.write(folder=tmp_path / "in", name="run.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_notes_are_redacted_like_the_rest():
    assert recorder({}, redact=without_secret).transcript(notes={"a": SECRET}).notes == redacted(
        {"a": SECRET}, without_secret
    )
