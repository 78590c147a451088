"""Model faults: each row of what a model call can return, and that every one of them ends cleanly."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from portfolio_rebalance.agents.messages import FaultKind
from portfolio_rebalance.evals.behaviour import client_of
from portfolio_rebalance.evals.scenario import Scenario, load_scenarios
from portfolio_rebalance.evals.scorers import SCORERS
from portfolio_rebalance.evals.world import observe

SHOWN = (
    *(
        "fault-cut-stream-with-a-partial-call",
        "fault-duplicate-key-then-healthy",
        "fault-order-executor-dies",
    ),
    *(
        "fault-same-call-three-times",
        "fault-submit-without-reviews-then-silence",
        "fault-timeout-of-the-analyst",
    ),
    "fault-uncited-twice",
)
"""A few of them for every run of the tests: the offline suite runs and scores all."""

FAULTS = [one for one in load_scenarios() if one.family == "model_faults" and one.models.script]


def steps(scenario: Scenario, agent: str = "orchestrator"):  # type: ignore[no-untyped-def]
    return scenario.models.script.get(agent, ())


def test_each_kind_of_failed_call_is_a_scenario_at_the_first_call() -> None:
    first = {steps(one)[0].fault for one in FAULTS if steps(one)}
    assert first - {""} == set(get_args(FaultKind))


def test_each_row_of_what_a_model_can_return_is_a_scenario() -> None:
    said = [step for one in FAULTS for agent in one.models.script for step in one.models.script[agent]]
    assert {step.stop for step in said} == {
        *(None, "none", "end_turn", "max_tokens", "model_context_window_exceeded", "pause_turn"),
        *("refusal", "quota_of_the_moon"),
    }
    assert any(step.raw for step in said)
    assert any(step.fault for one in FAULTS for step in steps(one, "quantitative_analyst"))
    assert len(FAULTS) >= 40


def test_what_is_expected_is_more_than_an_end() -> None:
    for one in FAULTS:
        expect = one.expect
        assert expect.driver is not None, one.name
        assert expect.most_calls is not None, one.name
        assert expect.exposure == "PASS", one.name
        if expect.driver == "rules":
            assert "no verdict from the orchestrator" in expect.notes, one.name
            assert len(expect.notes) == 2, one.name


@pytest.mark.parametrize("name", SHOWN)
def test_a_faulty_model_leaves_a_clean_end(name: str, tmp_path: Path) -> None:
    (scenario,) = (one for one in FAULTS if one.name == name)
    ends_cleanly(scenario, tmp_path)


@pytest.mark.proof
@pytest.mark.parametrize("scenario", FAULTS, ids=lambda one: one.name)
def test_every_faulty_model_leaves_a_clean_end(scenario: Scenario, tmp_path: Path) -> None:
    ends_cleanly(scenario, tmp_path)


def ends_cleanly(scenario: Scenario, tmp_path: Path) -> None:
    """Scored well, with all of the script played, and with the plan that code alone comes to."""
    client = client_of(scenario.models)
    seen = observe(scenario, tmp_path, client=client)
    client.finish()  # all of the script was played: the fault that is meant did happen
    assert seen.crash == ""
    assert {one.name: one.judge(seen).faults for one in SCORERS if one.judge(seen).passed is False} == {}
    if scenario.expect.status == "planned":
        assert seen.result.chosen is not None
        assert seen.by_rules.chosen is not None
        assert seen.result.chosen.proposal == seen.by_rules.chosen.proposal
        assert (seen.approvals, seen.fills) == (0, 0)
