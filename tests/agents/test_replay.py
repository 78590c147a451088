"""Replaying a transcript: strictly, without key or network, and differences that a person can read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from transcript_samples import (
    HIDDEN,
    SECRET,
    as_is,
    call,
    calls_of,
    entry,
    outcome,
    reply,
    request,
    transcript,
    without_secret,
)

from portfolio_rebalance import __version__
from portfolio_rebalance.agents.messages import Call, ModelError
from portfolio_rebalance.agents.replay import ReauthoringClient, ReplayClient, reauthor
from portfolio_rebalance.agents.transcript import parse_transcript
from portfolio_rebalance.agents.transcript_files import write_transcript
from portfolio_rebalance.errors import BadDataError, ReplayMismatchError, UsageError

LONG = "".join(f"Rule {number}: keep to it.\n" for number in range(100))


def mismatch(client: ReplayClient | ReauthoringClient, one: Call) -> ReplayMismatchError:
    with pytest.raises(ReplayMismatchError) as caught:
        client.complete(one)
    assert caught.value.fix
    assert not isinstance(caught.value, ModelError)
    return caught.value


# --- a run that is the recorded one ----------------------------------------------------------------------


def test_each_call_gets_its_answer_in_whatever_order_agents_ask():
    recorded = transcript()
    client = ReplayClient(recorded, redact=as_is)
    first, second, third, fourth = calls_of(recorded)
    assert outcome(client, fourth) == recorded.entries[3].answer
    assert outcome(client, first) == recorded.entries[0].answer
    assert outcome(client, third) == ("overloaded", "529, twice")
    assert outcome(client, second) == recorded.entries[1].answer
    client.finish()
    assert client.provider == "replay"


def test_the_order_of_keys_and_the_time_left_make_no_difference():
    one = call()
    client = ReplayClient(replace(transcript(), entries=(entry("monitor", 1, 1, reply()),)), redact=as_is)
    backwards = dict(reversed(one.request.items()))
    assert list(backwards) != list(one.request)
    assert client.complete(replace(one, request=backwards, seconds=0.5)) == reply()


def test_what_a_run_does_to_an_answer_is_not_in_the_next_replay():
    recorded = transcript()
    for _ in range(2):
        answer = ReplayClient(recorded, redact=as_is).complete(calls_of(recorded)[1])
        assert answer.tool_uses[0].input == {"share": 0.35, "n": 1}
        answer.content[1]["input"]["share"] = 900


def test_of_many_threads_that_ask_the_same_one_is_answered():
    recorded = transcript()
    client = ReplayClient(recorded, redact=as_is)
    together = threading.Barrier(8)

    def ask(_: int) -> str:
        together.wait(timeout=60)
        try:
            client.complete(calls_of(recorded)[0])
        except ReplayMismatchError as error:
            return error.what
        return "answered"

    with ThreadPoolExecutor(8) as pool:
        came = sorted(pool.map(ask, range(8)))
    assert came == ["The run asks monitor turn 1 attempt 1 a second time."] * 7 + ["answered"]


# --- a run that is another one ---------------------------------------------------------------------------


def test_a_changed_request_is_refused_with_its_difference():
    old = replace(entry("monitor", 2, 1, reply()), request=request("Review D1.", system=LONG))
    recorded = replace(transcript(), entries=(old,), label="scene.jsonl")
    new = request("Review D2.", system=LONG.replace("Rule 50: keep", "Rule 50: stick"))
    error = mismatch(ReplayClient(recorded, redact=as_is), call(turn=2, body=new))
    assert (error.code, error.exit_code, error.where) == ("replay_mismatch", 14, "scene.jsonl:2")
    assert error.what == (
        "The request of monitor turn 2 attempt 1 is not the recorded one; "
        "it first differs at messages[0].content[0].text."
    )
    assert error.difference.splitlines() == [
        "--- recorded",
        "+++ this run",
        "@@ -5,5 +5,5 @@",
        '       "content": [',
        "         {",
        '-          "text": "Review D1."',
        '+          "text": "Review D2."',
        '           "type": "text"',
        "         }",
        "@@ -66,5 +66,5 @@",
        '         "Rule 48: keep to it.\\n"',
        '         "Rule 49: keep to it.\\n"',
        '-        "Rule 50: keep to it.\\n"',
        '+        "Rule 50: stick to it.\\n"',
        '         "Rule 51: keep to it.\\n"',
        '         "Rule 52: keep to it.\\n"',
    ]
    assert str(error).endswith(error.difference)


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": 1025},
        {"max_tokens": 1024.0},
        {"max_tokens": "1024"},
        {"model": "claude-opus-5-5"},
        {"tools": []},
        {"system": []},
        {"messages": [*request("monitor 1.1")["messages"], {"role": "assistant", "content": []}]},
    ],
    ids=repr,
)
def test_any_change_of_a_request_is_refused(change):
    recorded = transcript()
    one = calls_of(recorded)[0]
    error = mismatch(ReplayClient(recorded, redact=as_is), replace(one, request={**one.request, **change}))
    assert f"differs at {next(iter(change))}" in error.what
    assert error.difference.startswith("--- recorded\n+++ this run\n@@ ")


def test_a_difference_is_cut_at_sixty_lines():
    old = replace(entry("monitor", 1, 1, reply()), request=request("a", system=LONG))
    recorded = replace(transcript(), entries=(old,))
    new = call(body=request("a", system=LONG.replace("keep", "stick")))
    lines = mismatch(ReplayClient(recorded, redact=as_is), new).difference.splitlines()
    assert len(lines) == 60
    assert lines[-1].startswith("... and ")


def test_no_secret_is_in_a_difference():
    old = replace(entry("monitor", 1, 1, reply()), request=request(f"with {HIDDEN}"))
    recorded = replace(transcript(), entries=(old,))
    other = call(body={**request(f"without {SECRET}"), SECRET: SECRET})
    error = mismatch(ReplayClient(recorded, redact=without_secret), other)
    assert SECRET not in str(error)
    assert str(error).count(HIDDEN) >= 3


@pytest.mark.parametrize(
    ("agent", "turn", "attempt", "known"),
    [
        ("monitor", 1, 3, "of this agent there is monitor turn 1 attempt 1, monitor turn 1 attempt 2"),
        ("monitor", 2, 1, "of this agent there is monitor turn 1 attempt 1, monitor turn 1 attempt 2"),
        ("feedback", 1, 1, "of this agent there is nothing"),
    ],
)
def test_a_call_that_was_not_recorded_is_refused(agent, turn, attempt, known):
    error = mismatch(ReplayClient(transcript(), redact=as_is), call(agent, turn, attempt))
    assert error.what == (
        f"The run asks {agent} turn {turn} attempt {attempt}, which was not recorded; {known}."
    )


def test_a_call_that_was_not_made_is_named_at_the_end():
    recorded = replace(transcript(), label="scene.jsonl")
    client = ReplayClient(recorded, redact=as_is)
    for one in calls_of(recorded)[:2]:
        client.complete(one)
    with pytest.raises(ReplayMismatchError) as caught:
        client.finish()
    assert caught.value.where == "scene.jsonl:4"
    assert caught.value.what == (
        "2 of 4 recorded calls were not made: orchestrator turn 1 attempt 1, orchestrator turn 2 attempt 1."
    )


def test_a_mismatch_that_was_swallowed_comes_back_at_the_end():
    recorded = transcript()
    client = ReplayClient(recorded, redact=as_is)
    error = mismatch(client, call("feedback"))
    mismatch(client, call("broker"))
    for one in calls_of(recorded):
        outcome(client, one)
    with pytest.raises(ReplayMismatchError) as caught:
        client.finish()
    assert caught.value is error


OFFLINE = """
import sys
def no_network(event, _):
    if event.startswith("socket."):
        raise SystemExit(f"network: {event}")
sys.addaudithook(no_network)
from pathlib import Path
from portfolio_rebalance.agents.messages import Call
from portfolio_rebalance.agents.replay import ReplayClient
from portfolio_rebalance.agents.transcript_files import open_transcript
recorded = open_transcript(Path(sys.argv[1]))
client = ReplayClient(recorded, redact=str)
texts = []
for one in recorded.entries[:2]:
    call = Call(agent=one.id.agent, turn=one.id.turn, attempt=one.id.attempt, request=one.request, seconds=1)
    texts.append(client.complete(call).text)
import json
print(json.dumps([texts, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def test_no_key_no_network_and_no_sdk(tmp_path):
    write_transcript(transcript(), folder=tmp_path, name="run.jsonl")
    repository = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(tmp_path)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    texts, modules = json.loads(ran.stdout)
    assert texts == ["ok", "Looking."]
    assert "portfolio_rebalance" in modules
    assert not {"anthropic", "httpx", "httpx2", "tenacity", "ccxt"} & set(modules)


# --- authored transcripts, after a prompt was edited -----------------------------------------------------


def edited(calls: list[Call]) -> list[Call]:
    return [
        replace(one, request={**one.request, "system": [{"type": "text", "text": "New."}]}) for one in calls
    ]


def test_answers_stay_and_requests_are_those_that_the_run_makes_now():
    old = replace(transcript(), made_with="0.0.9")
    client = ReauthoringClient(old, redact=as_is)
    new_calls = edited(calls_of(old))
    came = [outcome(client, one) for one in reversed(new_calls)]
    assert came[::-1] == [outcome(ReplayClient(old, redact=as_is), one) for one in calls_of(old)]
    new = client.rewritten()
    assert [one.answer for one in new.entries] == [one.answer for one in old.entries]
    assert [one.request for one in new.entries] == [one.request for one in new_calls]
    assert (new.provenance, new.made_with, new.notes) == ("authored", __version__, old.notes)
    replaying = ReplayClient(parse_transcript(new.text(), label="a"), redact=as_is)
    for one in new_calls:
        outcome(replaying, one)
    replaying.finish()
    assert reauthor(old, reversed(new_calls), redact=as_is) == new


def test_nothing_changes_where_no_prompt_did():
    old = replace(transcript(), made_with=__version__)
    assert reauthor(old, calls_of(old), redact=as_is).text() == old.text()


def test_new_requests_are_redacted():
    old = replace(transcript(), entries=transcript().entries[:1])
    new = reauthor(old, [call(body=request(SECRET))], redact=without_secret)
    assert new.entries[0].request == request(HIDDEN)


@pytest.mark.parametrize("provenance", ["live", "local-model"])
def test_what_a_model_said_is_not_reauthored(provenance):
    old = transcript(provenance)
    with pytest.raises(UsageError, match=f"this one is {provenance}"):
        ReauthoringClient(old, redact=as_is)
    with pytest.raises(UsageError, match=f"this one is {provenance}"):
        reauthor(old, calls_of(old), redact=as_is)


def test_a_run_of_other_calls_is_not_reauthored():
    old = transcript()
    calls = calls_of(old)
    with pytest.raises(ReplayMismatchError, match="1 of 4 recorded calls were not made"):
        reauthor(old, calls[:3], redact=as_is)
    with pytest.raises(ReplayMismatchError, match="feedback turn 1 attempt 1, which was not recorded"):
        reauthor(old, [*calls, call("feedback")], redact=as_is)
    with pytest.raises(ReplayMismatchError, match="a second time"):
        reauthor(old, [*calls, calls[0]], redact=as_is)
    client = ReauthoringClient(old, redact=as_is)
    client.complete(calls[0])
    with pytest.raises(ReplayMismatchError, match="3 of 4"):
        client.rewritten()


def test_a_mismatch_is_bad_data_to_a_front_door():
    assert issubclass(ReplayMismatchError, BadDataError)
    assert str(ReplayMismatchError("What.", where="a:1", fix="Do.")) == "a:1: What. Fix: Do."
    assert str(ReplayMismatchError("What.", difference="-a\n+b")) == "What.\n-a\n+b"
