"""Live runs, with the real SDK over a socket of this machine: estimate, cap, pass^k, transcripts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from loopback_messages import (
    Answer,
    LoopbackMessages,
    Seen,
    client_of,
    ended,
    failed,
    messages_api,
    started,
    tool_use,
)
from loopback_messages import text as text_block

from portfolio_rebalance.agents.messages import Call, ModelError, Reply, Usage
from portfolio_rebalance.agents.replay import ReplayClient
from portfolio_rebalance.agents.transcript_files import open_transcript
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.evals.live import LiveResults, estimate, live_client, live_scenarios, run_live
from portfolio_rebalance.evals.scenario import Scenario, load_scenarios, scenario_from
from portfolio_rebalance.evals.spending_cap import CappedClient, SpendingCap, most_dollars, request_bytes
from portfolio_rebalance.evals.transcripts import client_of_transcript
from portfolio_rebalance.evals.world import observe

KEY = "sk-ant-api03-LiveEvalKey0123456789abcdefghijklmnop"
TEXT = """
name: worked-example
family: documented
about: A cluster breaks its limit.
workspace:
  strategies:
    STR-001: {capital: 20400}
    STR-003: {capital: 12000}
    STR-007: {capital: 6180}
  returns:
    groups: [[STR-001, STR-003]]
models:
  healthy: true
expect:
  status: planned
  driver: model
  ask_person: false
  most_calls: 5
"""
WORKED = scenario_from(TEXT, label="worked-example.yaml")
LIVE = live_scenarios([WORKED])


# --- a provider whose models do their work ---------------------------------------------------------------


def one_message(*calls: tuple[str, str], written: int) -> Answer:
    """A message that asks for tools, as the API streams it; every id is used once."""
    parts: list[bytes] = [started(usage={"input_tokens": 3000, "output_tokens": 1})]
    for index, (name, arguments) in enumerate(calls):
        parts += [
            part.replace(b'"toolu_', b'"toolu_' + name.encode() + b"_")
            for part in tool_use(index, arguments, name=name)
        ]
    return Answer(parts=[*parts, *ended("tool_use", output_tokens=written)])


def good_model(seen: Seen, *, written: int = 400) -> Answer:
    """Reads, asks both reviewers, submits; a reviewer approves."""
    tools = {tool["name"] for tool in seen.body["tools"]}
    if "submit_review" in tools:
        return one_message(("submit_review", '{"verdict": "approve", "concerns": []}'), written=written)
    turn = sum(message["role"] == "assistant" for message in seen.body["messages"])
    draft = '{"draft_id": "D1"}'
    if turn == 0:
        return one_message(
            ("verify_allocation_compliance", draft), ("simulate_rebalance_impact", draft), written=written
        )
    if turn == 1:
        role = '{{"role": "{}", "draft_id": "D1"}}'
        return one_message(
            ("request_review", role.format("quantitative_analyst")),
            ("request_review", role.format("risk_manager")),
            written=written,
        )
    words = '{"draft_id": "D1", "verdict": "accept", "explanation": "D1 ends the breach of S1 and S2."}'
    return one_message(("submit", words), written=written)


def silent_model(seen: Seen) -> Answer:
    """Says something, and calls nothing."""
    words = text_block(0, "Fine.")
    return Answer(parts=[started(), *words, *ended("end_turn")])


def ran(
    script: Callable[[Seen], Answer],
    *,
    scenarios: Sequence[Scenario] = LIVE,
    repeats: int = 1,
    cap: str = "5",
    **more: Any,
) -> tuple[LiveResults, LoopbackMessages]:
    """Live runs against the provider of this machine."""
    with messages_api(script) as server:
        found = run_live(
            scenarios,
            repeats=repeats,
            cap_dollars=Decimal(cap),
            client_factory=lambda: client_of(server.url, key=KEY),
            environment={"ANTHROPIC_API_KEY": KEY},
            **more,
        )
    return found, server


# --- runs ------------------------------------------------------------------------------------------------


def test_a_scenario_passes_where_all_its_repeats_do() -> None:
    told: list[str] = []
    found, server = ran(good_model, repeats=2, progress=told.append)
    (score,) = found.scores
    assert [case.failures for case in score.cases] == [(), ()]
    assert (score.scenario, score.repeats, score.passes, score.passed_all) == ("worked-example", 2, 2, True)
    assert [case.case for case in found.cases] == ["worked-example#1", "worked-example#2"]
    assert found.stopped == ""
    assert len(server.seen) == 10
    # Opus reads 3000 and writes 400 three times, Sonnet twice, in each of the two runs.
    assert found.spent_dollars == 2 * (3 * Decimal("0.020") + 2 * Decimal("0.010"))
    about = found.estimate.dollars
    assert told[0] == f"worked-example, run 1 of 2, 0.00 dollars so far of about {about}"
    assert told[1] == f"worked-example, run 2 of 2, 0.08 dollars so far of about {about}"


def test_one_failed_repeat_fails_the_scenario() -> None:
    asked: list[Seen] = []

    def good_then_silent(seen: Seen) -> Answer:
        asked.append(seen)
        return good_model(seen) if len(asked) <= 5 else silent_model(seen)

    found, _ = ran(good_then_silent, repeats=2)
    (score,) = found.scores
    assert (score.passes, score.passed_all) == (1, False)
    assert {one.scorer for one in score.cases[1].failures} >= {"utility"}


def test_nothing_is_sent_where_the_estimate_is_beyond_the_cap() -> None:
    with pytest.raises(UsageError, match=r"About 0\.\d\d dollars would be spent; the cap is 0\.01") as told:
        ran(good_model, cap="0.01")
    assert told.value.where == "--max-dollars"


def test_no_request_is_sent_that_could_pass_the_cap_and_no_half_run_is_scored() -> None:
    one = estimate(LIVE, repeats=1).dollars
    found, server = ran(good_model, repeats=1, cap=str(one))
    assert found.stopped == "the next call could pass the cap"
    assert found.scores == ()
    assert found.spent_dollars <= one
    assert len(server.seen) < 5


def test_runs_before_the_cap_are_scored() -> None:
    """A run of this wordy model costs 0.53: the cap allows for one, and the next is begun and thrown away."""
    cap = estimate(LIVE, repeats=4).dollars
    found, _ = ran(lambda seen: good_model(seen, written=6000), repeats=2, cap=str(cap))
    assert found.stopped == "the next call could pass the cap"
    assert Decimal("0.53") < found.spent_dollars <= cap
    (score,) = found.scores
    assert (score.passes, len(score.cases), score.passed_all) == (1, 1, None)


def test_a_key_that_is_not_accepted_ends_all_runs_at_the_first_request() -> None:
    found, server = ran(lambda _seen: failed(401, "authentication_error", message="no"), repeats=3)
    assert len(server.seen) == 1
    assert found.stopped.startswith("credentials: HTTP 401")
    assert (found.scores, found.spent_dollars) == ((), Decimal(0))


def test_a_request_that_is_refused_is_a_failed_run_and_the_next_one_is_tried() -> None:
    found, server = ran(lambda _seen: failed(400, "invalid_request_error", message="no"), repeats=2)
    assert len(server.seen) == 2
    (score,) = found.scores
    assert (score.passes, score.passed_all, found.stopped) == (0, False, "")
    assert found.spent_dollars == 0


def test_a_run_asks_through_its_client_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a key in the environment, what code alone comes to must not be asked of a model."""
    with messages_api(good_model) as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        run_live(
            LIVE,
            repeats=1,
            cap_dollars=Decimal(5),
            client_factory=lambda: client_of(server.url, key=KEY),
            environment={"ANTHROPIC_API_KEY": KEY},
        )
        assert len(server.seen) == 5


def test_repeats_are_at_least_one() -> None:
    with pytest.raises(UsageError, match="at least once"):
        ran(good_model, repeats=0)


# --- transcripts -----------------------------------------------------------------------------------------


def test_each_run_is_recorded_as_live_and_replays(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    found, _ = ran(good_model, repeats=2, record_to=kept)
    assert found.unwritten == ()
    assert sorted(file.name for file in kept.iterdir()) == [
        "worked-example-1.jsonl",
        "worked-example-2.jsonl",
    ]
    transcript = open_transcript(kept / "worked-example-1.jsonl")
    assert transcript.provenance == "live"
    assert len(transcript.entries) == 5
    assert KEY not in transcript.text()

    named = WORKED.models.model_copy(update={"healthy": False, "transcript": "worked-example-1"})
    scenario = WORKED.model_copy(update={"models": named})
    client = client_of_transcript(scenario, folder=kept)
    seen = observe(scenario, tmp_path / "again", client=client)
    client.finish()
    assert (seen.result.status, seen.result.driver) == ("planned", "model")
    assert isinstance(client, ReplayClient)


def test_a_name_that_is_taken_is_noticed_before_anything_is_paid_for(tmp_path: Path) -> None:
    (tmp_path / "worked-example-2.jsonl").write_text("mine")
    with messages_api(good_model) as server:
        with pytest.raises(UsageError, match="there already"):
            run_live(
                LIVE,
                repeats=2,
                cap_dollars=Decimal(5),
                client_factory=lambda: client_of(server.url),
                environment={},
                record_to=tmp_path,
            )
        assert server.seen == []


def test_a_transcript_that_cannot_be_written_loses_no_score(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    found, _ = ran(good_model, record_to=blocked)
    assert [score.passed_all for score in found.scores] == [True]
    assert len(found.unwritten) == 1
    assert found.unwritten[0].startswith("worked-example-1.jsonl: ")


# --- the estimate ----------------------------------------------------------------------------------------


def test_the_estimate_follows_from_the_requests_and_the_price_list() -> None:
    one, three = estimate(LIVE, repeats=1), estimate(LIVE, repeats=3)
    assert (one.runs, one.calls) == (1, 5)
    assert (three.runs, three.calls) == (3, 15)
    # Answers alone: three of Opus and two of Sonnet, 1500 tokens each.
    assert Decimal("0.12") < one.dollars < Decimal("0.50")
    assert 3 * one.dollars - Decimal("0.03") <= three.dollars <= 3 * one.dollars


def test_the_estimate_errs_on_the_dear_side_of_a_plain_run() -> None:
    found, _ = ran(good_model)
    assert found.spent_dollars < found.estimate.dollars


# --- which scenarios -------------------------------------------------------------------------------------


def test_what_a_script_says_is_not_expected_of_a_real_model() -> None:
    (one,) = LIVE
    assert one.name == "worked-example"
    assert (one.expect.status, one.expect.driver) == ("planned", "model")
    assert (one.expect.ask_person, one.expect.most_calls) == (None, None)


def test_packaged_scenarios_can_be_run_live() -> None:
    live = live_scenarios(load_scenarios())
    names = [one.name for one in live]
    assert len(set(names)) == len(names) > 60
    assert {one.family for one in live} >= {"documented", "real_returns", "hard_data", "long", "attacks"}
    assert not any(one.request.execute or one.models.script or one.models.attack for one in live)
    poisoned = [one for one in live if one.family == "attacks"]
    assert len({repr(one.workspace) for one in poisoned}) > 10


# --- the cap ---------------------------------------------------------------------------------------------

CALL = Call(
    agent="orchestrator",
    turn=1,
    attempt=1,
    request={"model": "claude-opus-5-5", "max_tokens": 1000, "messages": []},
    seconds=1,
)


class Says:
    """Answers with so many tokens, or fails."""

    provider = "scripted"

    def __init__(self, outcome: Usage | ModelError) -> None:
        self.outcome = outcome
        self.asked = 0

    def complete(self, call: Call) -> Reply:
        self.asked += 1
        if isinstance(self.outcome, ModelError):
            raise self.outcome
        return Reply(content=(), stop_reason="end_turn", usage=self.outcome)


def test_most_that_a_call_can_cost() -> None:
    # 59 bytes are 30 tokens at most, 5 dollars a million to write into the cache, and 1000 tokens at 20.
    assert request_bytes(CALL) == 59
    assert most_dollars(CALL) == Decimal(30 * 5 + 1000 * 20) / 1_000_000


def test_a_call_counts_what_it_cost_and_gives_the_rest_back() -> None:
    cap = SpendingCap(Decimal("0.03"))
    CappedClient(Says(Usage(input_tokens=1000, output_tokens=100)), cap=cap).complete(CALL)
    assert cap.spent == Decimal("0.006")
    assert cap.stopped == ""


def test_a_call_that_could_pass_the_cap_is_not_made() -> None:
    cap, inner = SpendingCap(most_dollars(CALL) - Decimal("0.000001")), Says(Usage())
    with pytest.raises(ModelError) as told:
        CappedClient(inner, cap=cap).complete(CALL)
    assert (told.value.kind, inner.asked, cap.spent) == ("spend_limit", 0, 0)
    assert cap.stopped == "the next call could pass the cap"
    exact = SpendingCap(most_dollars(CALL))
    CappedClient(inner, cap=exact).complete(CALL)
    assert inner.asked == 1


def test_calls_under_way_count_with_all_that_they_can_cost() -> None:
    cap = SpendingCap(most_dollars(CALL) * 2 - Decimal("0.000001"))

    class Asks:
        provider = "scripted"

        def complete(self, call: Call) -> Reply:
            with pytest.raises(ModelError):
                CappedClient(Says(Usage()), cap=cap).complete(call)
            return Reply(content=(), stop_reason="end_turn", usage=Usage())

    CappedClient(Asks(), cap=cap).complete(CALL)
    assert cap.stopped != ""


@pytest.mark.parametrize(
    ("kind", "paid", "ends"),
    [
        ("overloaded", False, False),
        ("rate_limited", False, False),
        ("bad_request", False, False),
        ("credentials", False, True),
        ("spend_limit", False, True),
        ("unknown_model", False, True),
        ("incomplete", True, False),
        ("timeout", True, False),
        ("malformed", True, False),
        ("unreachable", True, False),
    ],
)
def test_a_fault_after_which_something_may_be_billed_counts_in_full(
    kind: Any, paid: bool, ends: bool
) -> None:
    cap = SpendingCap(Decimal(1))
    with pytest.raises(ModelError):
        CappedClient(Says(ModelError(kind, "no")), cap=cap).complete(CALL)
    assert cap.spent == (most_dollars(CALL) if paid else 0)
    assert bool(cap.stopped) is ends


# --- the client ------------------------------------------------------------------------------------------


def test_a_live_client_needs_a_key_and_goes_where_it_is_told() -> None:
    with pytest.raises(UsageError, match="need a key"):
        live_client({})
    with messages_api([Answer(parts=[started(), *text_block(0, "Fine."), *ended()])]) as server:
        client = live_client({"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": server.url})
        reply = client.complete(replace(CALL, seconds=30.0))
        assert reply.text == "Fine."
        assert re.search(re.escape(KEY), server.seen[0].headers["authorization"])
