"""Models and the executor: what may start after a person's word, and what they keep from starting."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from executing import Told, config_text, example_1
from model_runs import (
    answer_texts,
    ask_both,
    healthy,
    led,
    look,
    reviewed,
    submit,
    unreachable,
    within_limits,
)

from portfolio_rebalance.agents.messages import Call, ModelError, Reply
from portfolio_rebalance.agents.scripted import Step, stops, uses
from portfolio_rebalance.workspace.ledger import LEDGER

BY_PERFORMANCE = config_text("rebalancing_modes: {default: performance_weighted}")
APPROVED_BY_CONFIGURATION = config_text("execution: {mode: auto_execute, approval_required: false}")


# --- pre-approval ----------------------------------------------------------------------------------------


WITHDRAWN: list[tuple[str, Step]] = [
    ("accept_ask_person", reviewed()),
    ("downgrade_hold", reviewed()),
    ("accept", reviewed("reject", ("other", "It is unwise."))),
]


def test_what_the_configuration_pre_approves_is_executed_where_models_accept_it(tmp_path):
    run = led(
        example_1(tmp_path, config=APPROVED_BY_CONFIGURATION),
        healthy(order_executor=[uses(("submit_explanation", {"text": "All of it was executed."}))]),
    )
    assert run.result.status == "executed", run.result.error
    assert run.result.batch_explained == "All of it was executed."
    assert all("execute" not in tool["name"] for call in run.calls for tool in call.request["tools"])


@pytest.mark.parametrize(("verdict", "review"), WITHDRAWN)
def test_a_model_withdraws_pre_approval(tmp_path, verdict, review):
    root = example_1(tmp_path, config=APPROVED_BY_CONFIGURATION)
    run = led(root, healthy(verdict, risk_manager=[review]))
    assert (run.result.status, run.result.execution) == ("planned", None)
    assert run.advice.ask_person is True
    assert _executions(root) == 0


def _executions(root: Path) -> int:
    with sqlite3.connect(root / LEDGER) as connection:
        return int(connection.execute("SELECT count(*) FROM executions").fetchone()[0])


# --- execute ---------------------------------------------------------------------------------------------


def _executes(plan_id: str | None = None) -> Step:
    """The model asks for the plan that submit named, or for another one."""

    def step(call: Call) -> Reply:
        told = answer_texts(call)[0]
        named = told.removeprefix("Accepted. The plan is ").partition(".")[0]
        made = uses(("execute_rebalance_trades", {"plan_id": plan_id or named}))
        assert callable(made)
        return made(call)

    return step


EXPLAINS: list[Step] = [uses(("submit_explanation", {"text": "All of it was executed."}))]


def test_the_tool_that_executes_is_offered_only_where_a_person_asked_for_it(tmp_path):
    for name, request, offered in (
        ("dry", {"dry_run": True}, False),
        ("bare", {}, False),
        ("execute", {"execute": True}, True),
    ):
        folder = tmp_path / name
        folder.mkdir()
        script = healthy()
        if offered:
            script |= {
                "orchestrator": [look(), ask_both(), submit(), stops("refusal")],
                "order_executor": EXPLAINS,
            }
        run = led(example_1(folder), script, person=Told(), **request)
        names = {tool["name"] for call in run.of("orchestrator") for tool in call.request["tools"]}
        assert ("execute_rebalance_trades" in names) == offered


def test_a_plan_is_executed_once_by_its_id_after_it_was_submitted(tmp_path):
    root, person = example_1(tmp_path), Told()
    steps: list[Step] = [
        uses(
            ("execute_rebalance_trades", {"plan_id": "a" * 64}),
            ("verify_allocation_compliance", {"draft_id": "D1"}),
            ("simulate_rebalance_impact", {"draft_id": "D1"}),
        ),
        ask_both(),
        submit(),
        _executes("b" * 64),
        _executes(),
    ]
    wrong = dict(healthy(orchestrator=[*steps[:4], stops("refusal")]), order_executor=EXPLAINS)
    run = led(root, wrong, person=person, execute=True)
    own = run.of("orchestrator")
    assert answer_texts(own[1])[0] == "There is no plan to execute. Submit a draft first."
    plan_id = run.result.plan_id
    assert answer_texts(own[3]) == [f"Accepted. The plan is {plan_id}. It may be executed now, by its id."]
    assert answer_texts(own[4]) == ["That is not the plan of this run; its id is in the answer to submit."]
    # The person asked for it: whatever the model does, code executes what the person approves.
    assert run.result.status == "executed"
    assert _executions(root) == 1
    assert len(person.shown) == 1


def test_the_model_may_start_what_a_person_approves(tmp_path):
    root, person = example_1(tmp_path), Told()
    script = healthy(orchestrator=[look(), ask_both(), submit(), _executes()], order_executor=EXPLAINS)
    run = led(root, script, person=person, execute=True)
    assert run.result.status == "executed", run.result.error
    assert run.result.execution is not None
    assert run.result.execution.plan_id == run.result.plan_id
    assert (len(run.of("orchestrator")), len(person.shown), _executions(root)) == (4, 1, 1)
    assert run.result.batch_explained == "All of it was executed."


def test_submit_and_execute_in_one_message_do_neither(tmp_path):
    root = example_1(tmp_path)
    at_once = uses(
        ("submit", {"draft_id": "D1", "verdict": "accept", "explanation": ""}),
        ("execute_rebalance_trades", {"plan_id": "a" * 64}),
    )
    script = healthy(orchestrator=[look(), ask_both(), at_once, stops("refusal")])
    run = led(root, script, person=Told(answers=False), execute=True)
    told = (
        "Only one call of submit and execute_rebalance_trades may stand in a message; "
        "none was done. Send one."
    )
    assert answer_texts(run.of("orchestrator")[3]) == [told, told]
    assert run.advice.verdict is None
    assert run.result.status == "refused"
    assert _executions(root) == 0


@pytest.mark.parametrize(("person", "code"), [(Told(answers=False), "not_approved"), (None, "not_approved")])
def test_nothing_is_executed_without_a_person_s_word(tmp_path, person, code):
    root = example_1(tmp_path)
    script = healthy(orchestrator=[look(), ask_both(), submit(), _executes()])
    run = led(root, script, person=person, execute=True)
    assert run.result.status == "refused"
    assert run.result.error is not None
    assert (run.result.error.code, run.result.exit_code) == (code, 11)
    assert run.result.plan_id is not None  # the plan stays, for a person to approve
    assert run.advice.verdict == "accept"
    assert (run.result.execution, _executions(root)) == (None, 0)


def test_there_is_nothing_to_execute_where_a_model_held_the_run(tmp_path):
    root = within_limits(tmp_path, seed=1, config=BY_PERFORMANCE)
    script = healthy("downgrade_hold", explanation="The gain is doubtful.")
    run = led(root, script, person=Told(), execute=True)
    assert (run.result.status, run.result.execution) == ("hold", None)
    assert len(run.of("orchestrator")) == 3  # and it is over once that is submitted


def test_a_model_that_never_answers_does_not_keep_a_person_from_executing(tmp_path):
    root = example_1(tmp_path)
    script = {**unreachable(), "order_executor": [ModelError("credentials", "HTTP 401")]}
    run = led(root, script, person=Told(), execute=True)
    assert (run.result.status, run.result.driver) == ("executed", "rules")
    assert run.result.batch_explained == ""
