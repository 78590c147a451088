"""The orchestrator: what it must do before it may submit, and what of its verdict takes effect."""

from __future__ import annotations

from pathlib import Path

import pytest
from executing import EXAMPLE_1, config_text, example_1
from model_runs import (
    EXPLANATION,
    WITHOUT_CITATION,
    Led,
    answer_texts,
    answers,
    ask_both,
    by_rules,
    healthy,
    led,
    look,
    ready,
    reviewed,
    reviewers_of,
    short_of_history,
    submit,
    within_limits,
)
from workspaces import changed

from portfolio_rebalance.agents.messages import ModelError
from portfolio_rebalance.agents.scripted import Step, says, stops, uses
from portfolio_rebalance.records import RebalanceResult, canonical_bytes

RANK = {"HOLD": 0, "OPTIONAL": 1, "REBALANCE": 2, "BLOCKED": 3}
ALL_MISSING = ("compliance", "impact", "the review of quantitative_analyst", "the review of risk_manager")
BY_PERFORMANCE = config_text("rebalancing_modes: {default: performance_weighted}")
"""Nothing is broken and nothing has drifted: the basis is improvement."""


def same_plan(one: RebalanceResult, other: RebalanceResult) -> bool:
    assert one.plan is not None
    assert other.plan is not None
    return canonical_bytes(one.plan) == canonical_bytes(other.plan) and one.plan_id == other.plan_id


# --- before it may submit --------------------------------------------------------------------------------


def test_a_healthy_run_takes_five_calls_and_changes_nothing(tmp_path):
    root = example_1(tmp_path)
    run = led(root, healthy())
    assert [call.agent for call in run.calls if call.agent == "orchestrator"] == ["orchestrator"] * 3
    assert len(run.calls) == 5 <= 8
    assert run.result.driver == "model"
    advice = run.advice
    assert (advice.verdict, advice.recommended_mode, advice.mode_taken) == (
        "accept",
        "correlation_aware",
        False,
    )
    assert (advice.ask_person, advice.completed_by_code, advice.notes) == (False, (), ())
    assert advice.explained_by == "model"
    assert advice.explanation.startswith("STR-001 and STR-003 move together and hold more than their limit.")
    assert "64.3" in advice.explanation
    rules = by_rules(root)
    assert run.result.candidates == rules.candidates
    assert run.result.decision == rules.decision
    assert run.stages == (
        *("bootstrap", "assess", "correlate", "propose", "comply", "simulate"),
        *("orchestrator, turn 1", "orchestrator, turn 2"),
        *run.stages[8:10],
        *("orchestrator, turn 3", "review", "decide"),
    )
    assert sorted(run.stages[8:10]) == ["quantitative analyst, turn 1", "risk manager, turn 1"]


def _needs(*parts: str) -> str:
    return f"Not accepted yet: D1 lacks {', '.join(parts)}. Get it first."


def test_it_may_not_submit_before_it_has_looked_and_asked(tmp_path):
    steps: list[Step] = [
        submit("accept"),
        uses(("verify_allocation_compliance", {"draft_id": "D1"})),
        submit("accept_ask_person"),
        uses(
            ("simulate_rebalance_impact", {"draft_id": "D1"}),
            *(("request_review", {"role": role, "draft_id": "D1"}) for role in reviewers_of("D1")),
        ),
        submit("accept"),
    ]
    run = led(example_1(tmp_path), healthy(orchestrator=steps))
    own = run.of("orchestrator")
    assert [answers(own[1])[0][key] for key in ("content", "is_error")] == [_needs(*ALL_MISSING), True]
    assert answer_texts(own[3]) == [_needs(*ALL_MISSING[1:])]
    assert (run.advice.verdict, run.advice.completed_by_code) == ("accept", ())
    assert len(run.calls) == 7


@pytest.mark.parametrize(
    ("looks", "missing"),
    [
        ([look(), ask_both("D2")], ALL_MISSING[2:]),
        ([look("D2"), ask_both()], ALL_MISSING[:2]),
        ([uses(("calculate_correlation_matrix", {"window": "long"}))], ALL_MISSING),
        ([uses(("generate_rebalance_proposal", {"algorithm_mode": "correlation_aware"}))], ALL_MISSING),
    ],
)
def test_what_was_seen_of_another_draft_does_not_count(tmp_path, looks, missing):
    script = healthy(
        orchestrator=[*looks, submit(), stops("refusal")], quantitative_analyst=[], risk_manager=[]
    )
    for step in looks:
        if step is looks[-1] and len(looks) == 2:
            draft = "D1" if missing == ALL_MISSING[:2] else "D2"
            script |= {name: [reviewed()] for name in reviewers_of(draft)}
    run = led(example_1(tmp_path), script)
    assert answer_texts(run.of("orchestrator")[len(looks) + 1]) == [_needs(*missing)]
    assert run.advice.completed_by_code == missing


def test_what_it_left_out_is_completed_by_code_and_marked(tmp_path):
    root = example_1(tmp_path)
    run = led(root, {"orchestrator": [submit("accept_ask_person"), ModelError("timeout", "x")]})
    assert run.result.driver == "model"
    assert run.advice.verdict == "accept_ask_person"
    assert run.advice.ask_person is True
    assert run.advice.completed_by_code == ALL_MISSING
    assert run.advice.reviews == ()
    assert [one.source for one in run.result.reviews] == ["rules", "rules"]
    assert same_plan(run.result, by_rules(root))


def test_a_draft_that_does_not_exist_is_refused_by_name(tmp_path):
    config = config_text("rebalancing_modes: {available: [correlation_aware, proportional]}")
    asks: Step = uses(
        ("verify_allocation_compliance", {"draft_id": "D4"}),
        ("request_review", {"role": "risk_manager", "draft_id": "D4"}),
        ("generate_rebalance_proposal", {"algorithm_mode": "risk_adjusted"}),
        ("generate_rebalance_proposal", {"algorithm_mode": "proportional"}),
    )
    run = led(
        example_1(tmp_path, config=config),
        {"orchestrator": [asks, submit(draft="D3"), stops("refusal")]},
    )
    own = run.of("orchestrator")
    no_draft = "There is no draft D4. The drafts of this run are D1, D2."
    first, second, third, fourth = answer_texts(own[1])
    assert (first, second) == (no_draft, no_draft)
    assert third == "That mode is not available in this run. Available are correlation_aware, proportional."
    assert fourth.startswith('This is draft D2.\n<facts about="proposal">\n')
    assert answer_texts(own[2]) == ["There is no draft D3. The drafts of this run are D1, D2."]
    assert run.advice.verdict is None


# --- its words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "faulty", [WITHOUT_CITATION, "It falls by half, so act.", "See {F9999}.", "Buy `now`."]
)
def test_words_that_cannot_be_shown_are_asked_for_once_more(tmp_path, faulty):
    run = led(
        example_1(tmp_path),
        healthy(
            orchestrator=[look(), ask_both(), submit(explanation=faulty), submit(explanation=EXPLANATION)]
        ),
    )
    (answer,) = answers(run.of("orchestrator")[3])
    assert answer["content"].startswith("Not accepted yet: ")
    assert "is_error" in answer
    assert (run.advice.explained_by, run.advice.notes) == ("model", ())


@pytest.mark.parametrize("faulty", [WITHOUT_CITATION, "It falls by half, so act."])
def test_words_that_cannot_be_shown_twice_are_withheld_and_the_verdict_is_kept(tmp_path, faulty):
    twice = [submit("accept_ask_person", explanation=f"{faulty} {end}") for end in ("So.", "Yes.")]
    run = led(example_1(tmp_path), healthy(orchestrator=[look(), ask_both(), *twice]))
    advice = run.advice
    assert (advice.verdict, advice.ask_person) == ("accept_ask_person", True)
    assert (advice.explanation, advice.explained_by) == ("", "rules")
    assert advice.notes == ("the orchestrator's words could not be shown",)
    assert faulty not in run.result.model_dump_json()


def test_a_refusal_for_what_is_missing_does_not_use_up_the_second_chance_of_its_words(tmp_path):
    steps = [submit(), look(), ask_both(), submit(explanation=WITHOUT_CITATION), submit()]
    run = led(example_1(tmp_path), healthy(orchestrator=steps))
    assert answer_texts(run.of("orchestrator")[4])[0].startswith("Not accepted yet: ")
    assert (run.advice.explained_by, run.advice.notes) == ("model", ())


# --- models that fail ------------------------------------------------------------------------------------


FAILING: list[tuple[list[Step], str]] = [
    (
        [ModelError("credentials", "HTTP 401 authentication_error")],
        "credentials: HTTP 401 authentication_error",
    ),
    ([ModelError("unreachable", "ConnectError")], "unreachable: ConnectError"),
    ([stops("refusal")], "the model refused"),
    ([says("I would hold."), says("Yes, hold.")], "it did not finish with a call of its tool"),
    ([stops("max_tokens"), stops("max_tokens")], "the message is not complete (stop reason max_tokens)"),
    ([uses(("approve", {"plan": str(n)})) for n in range(3)], "its calls stayed malformed"),
]


@pytest.mark.parametrize(("steps", "reason"), FAILING, ids=[reason for _, reason in FAILING])
def test_without_a_verdict_the_plan_is_that_of_the_rules_byte_by_byte(tmp_path, steps, reason):
    root = example_1(tmp_path)
    rules = by_rules(root)
    run = led(root, {"orchestrator": steps})  # in the same ledger, beside the run by rules
    assert same_plan(run.result, rules)
    assert canonical_bytes(run.result.candidates) == canonical_bytes(rules.candidates)
    assert run.result.decision == rules.decision
    assert run.result.reviews == rules.reviews
    assert run.result.written == rules.written
    assert run.result.driver == "rules"
    assert (run.advice.verdict, run.advice.explained_by, run.advice.ask_person) == (None, "rules", False)
    assert run.advice.notes == (f"no verdict from the orchestrator: {reason}",)
    assert run.result.run_id != rules.run_id


def test_reviews_that_came_before_it_failed_are_kept(tmp_path):
    steps = [look(), ask_both(), ModelError("overloaded", "HTTP 529")]
    run = led(example_1(tmp_path), healthy(orchestrator=steps))
    assert [one.role for one in run.advice.reviews] == ["quantitative_analyst", "risk_manager"]
    assert run.advice.notes == ("no verdict from the orchestrator: overloaded: HTTP 529",)
    assert run.result.driver == "rules"


def test_a_budget_of_one_call_still_gives_a_plan(tmp_path):
    root = example_1(tmp_path, config=config_text("llm: {max_calls: 1}"))
    run = led(root, {"orchestrator": [look()]})
    assert run.advice.notes == ("no verdict from the orchestrator: the budget ended it: no call is left",)
    assert run.result.status == "planned"


# --- another draft ---------------------------------------------------------------------------------------


def _switched(root: Path, *, to: str, verdict: str = "accept", **request: object) -> Led:
    draft = next(
        f"D{number}"
        for number, one in enumerate(ready(root, **request).candidates, start=1)
        if one.mode == to
    )
    return led(root, healthy(verdict, draft=draft, explanation="It is the better one."), **request)


def test_another_draft_becomes_the_plan_and_waits_for_a_person(tmp_path):
    run = _switched(within_limits(tmp_path, seed=1), to="performance_weighted")
    advice, result = run.advice, run.result
    assert (advice.recommended_mode, advice.mode_taken, advice.ask_person) == (
        "performance_weighted",
        True,
        True,
    )
    assert advice.notes == ()
    assert (result.mode, result.requested_mode) == ("performance_weighted", "correlation_aware")
    assert result.fallback == "the orchestrator recommends performance_weighted over correlation_aware"
    assert result.plan is not None
    assert (result.plan.mode, result.plan.fallback) == (result.mode, result.fallback)
    assert result.fallback in result.warnings
    # The reviews that count are those of the draft that became the plan.
    assert [one.role for one in advice.reviews] == ["quantitative_analyst", "risk_manager"]
    # And it is one of code's candidates, as code computed it.
    own = {one.mode: one for one in by_rules(within_limits(tmp_path / "again", seed=1)).candidates}
    assert result.chosen == own["performance_weighted"]


APPROVED_BY_CONFIGURATION = config_text("execution: {mode: auto_execute, approval_required: false}")
NOT_TAKEN = [
    (
        "asked for",
        {},
        {"mode": "correlation-aware"},
        "performance_weighted",
        "this run was asked for that mode",
    ),
    (
        "pre-approval",
        {"config": APPROVED_BY_CONFIGURATION},
        {"dry_run": True},
        "performance_weighted",
        "without approval_required a plan may be executed unseen",
    ),
    ("no change", {}, {}, "minimal_turnover", "it changes nothing"),
    ("drift", {"drifted": True}, {}, "performance_weighted", "drift demands a change that it does not bring"),
]


@pytest.mark.parametrize(
    ("made", "request_", "to", "why"), [row[1:] for row in NOT_TAKEN], ids=[row[0] for row in NOT_TAKEN]
)
def test_another_draft_is_not_taken_where_nobody_would_judge_it(tmp_path, made, request_, to, why):
    root = within_limits(tmp_path, seed=1, **made)
    run = _switched(root, to=to, **request_)
    assert (run.advice.recommended_mode, run.advice.mode_taken) == (to, False)
    assert run.advice.notes == (
        f"the orchestrator recommends {to}; correlation_aware stays, because {why}",
        "no model reviewed correlation_aware: the rules' reviews of it stand alone",
    )
    assert run.result.mode == "correlation_aware"
    rules = by_rules(root, **request_)
    assert run.result.decision == rules.decision
    assert run.result.candidates == rules.candidates


def test_no_other_draft_is_taken_where_correlation_is_unknown(tmp_path):
    run = _switched(short_of_history(tmp_path, days=5), to="minimal_turnover")
    assert run.result.mode == "proportional"
    assert run.advice.notes[-2].endswith("proportional stays, because correlation cannot be computed")


def test_a_draft_that_restores_compliance_as_well_may_be_taken(tmp_path):
    run = _switched(example_1(tmp_path), to="minimal_turnover")
    assert run.result.mode == "minimal_turnover"
    assert run.result.decision is not None
    assert (run.result.decision.recommendation, run.result.decision.basis) == ("REBALANCE", "compliance")
    assert run.advice.ask_person is True


# --- lowering --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verdict", "to"), [("downgrade_optional", "OPTIONAL"), ("downgrade_hold", "HOLD")])
def test_an_improvement_can_be_lowered(tmp_path, verdict, to):
    root = within_limits(tmp_path, seed=1, config=BY_PERFORMANCE)
    rules = by_rules(root)
    assert rules.decision is not None
    assert (rules.decision.recommendation, rules.decision.basis) == ("REBALANCE", "improvement")
    run = led(root, healthy(verdict, explanation="The gain is doubtful."))
    decision = run.result.decision
    assert decision is not None
    assert (decision.recommendation, decision.basis) == (to, "improvement")
    assert decision.reasons == ("the orchestrator lowered it from REBALANCE", *rules.decision.reasons)
    assert decision.headline.startswith(f"{to} (improvement): the orchestrator lowered it from REBALANCE; ")
    assert run.result.status == ("planned" if to == "OPTIONAL" else "hold")
    assert (run.result.plan is None) == (to == "HOLD")
    assert run.result.candidates == rules.candidates
    assert run.advice.ask_person is True


def _optional_improvement(folder: Path) -> Path:
    return within_limits(folder, seed=0, config=BY_PERFORMANCE)


@pytest.mark.parametrize(
    ("make", "verdict", "stays"),
    [
        (_optional_improvement, "downgrade_optional", ("OPTIONAL", "improvement")),
        (within_limits, "downgrade_optional", ("HOLD", "none")),
        (example_1, "downgrade_hold", ("REBALANCE", "compliance")),
        (
            lambda folder: within_limits(folder, drifted=True, seed=1),
            "downgrade_hold",
            ("REBALANCE", "drift"),
        ),
    ],
)
def test_nothing_is_raised_and_no_demand_is_lowered(tmp_path, make, verdict, stays):
    root = make(tmp_path)
    rules = by_rules(root)
    assert rules.decision is not None
    assert (rules.decision.recommendation, rules.decision.basis) == stays
    run = led(root, healthy(verdict, explanation="The gain is doubtful."))
    assert run.result.decision == rules.decision
    assert run.result.status == rules.status
    if stays[1] != "improvement":
        assert run.advice.notes == (
            f"the orchestrator asked to lower the recommendation; {stays[0]} stays, "
            f"because its basis is {stays[1]}",
        )


@pytest.mark.parametrize("verdict", ["accept", "accept_ask_person", "downgrade_optional", "downgrade_hold"])
def test_a_run_without_a_change_stays_one(tmp_path, verdict):
    run = led(within_limits(tmp_path), healthy(verdict, explanation="Nothing needs to change."))
    assert (run.result.status, run.result.plan, run.result.exit_code) == ("hold", None, 0)


@pytest.mark.parametrize("verdict", ["accept", "downgrade_optional", "downgrade_hold"])
@pytest.mark.parametrize("draft", ["D1", "D2", "D5"])
def test_a_blocked_run_stays_blocked(tmp_path, verdict, draft):
    root = example_1(tmp_path, changed(EXAMPLE_1, "STR-001", pinned=True, capital=27_000))
    run = led(root, healthy(verdict, draft=draft, explanation="It cannot be done."))
    rules = by_rules(root)
    assert (run.result.status, run.result.exit_code, run.result.plan) == ("blocked", 13, None)
    assert run.result.decision == rules.decision
    assert run.result.mode == rules.mode
