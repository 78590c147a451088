"""Which models a run has, and that every key of their configuration has its effect."""

from __future__ import annotations

import json
from datetime import date
from itertools import count
from pathlib import Path

import pytest
from executing import Told, config_text, example_1
from loopback_messages import Answer, Seen, eventually, failed, messages_api
from model_runs import (
    Led,
    ask_both,
    by_rules,
    healthy,
    led,
    look,
    submit,
)
from workspaces import AS_OF, tree

from portfolio_rebalance import run_skill
from portfolio_rebalance.agents.budget import Budget
from portfolio_rebalance.agents.explain import explain, learn
from portfolio_rebalance.agents.facts import FactBook
from portfolio_rebalance.agents.messages import ModelError
from portfolio_rebalance.agents.models import KEY_VARIABLE, Models, key_in, open_models
from portfolio_rebalance.agents.scripted import ScriptedClient, stops, uses
from portfolio_rebalance.config_llm import Llm, LlmAgents
from portfolio_rebalance.errors import MissingDataError, UsageError
from portfolio_rebalance.records import RebalanceRequest

KEY = {KEY_VARIABLE: "sk-ant-canary-0123456789"}
NO_KEY = "A model is asked for, and there is no key."
NOTHING = "There is nothing to record: no model takes part."
TODAY = date(2026, 11, 24)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)


def opened(configured: str = "auto", *, environment: dict[str, str], **request: object) -> Models | None:
    return open_models(
        RebalanceRequest.model_validate(request),
        settings=Llm.model_validate({"provider": configured}),
        environment=environment,
        today=TODAY,
    )


# --- before a run ---------------------------------------------------------------------------------------


def test_every_agents_model_is_asked_about_before_the_run() -> None:
    def retiring(seen: Seen) -> Answer:
        told = json.dumps({"id": "a", "type": "model", "retires_at": "2026-12-01T00:00:00Z"})
        return Answer(headers={"content-type": "application/json"}, parts=[told.encode()], framing="length")

    with messages_api(retiring) as api:
        models = opened(environment=KEY | {"ANTHROPIC_BASE_URL": api.url})
        assert models is not None
        assert eventually(lambda: len(api.seen) == 3)
        warnings = models.close(name="run").warnings
    named = {getattr(LlmAgents(), role).model for role in LlmAgents.model_fields}
    assert {seen.path.removeprefix("/v1/models/") for seen in api.seen} == named
    assert len(warnings) == len(named) == 3


# --- which models ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("configured", "request_", "environment"),
    [
        ("auto", {}, {}),
        ("auto", {}, {KEY_VARIABLE: "  \n"}),
        ("rules", {}, {}),
        ("rules", {}, KEY),
        ("auto", {"provider": "rules"}, KEY),
        ("anthropic", {"provider": "rules"}, KEY),
        ("anthropic", {"provider": "rules"}, {}),
    ],
)
def test_the_rules_lead_where_there_is_no_key_or_no_model_is_wanted(configured, request_, environment):
    assert opened(configured, environment=environment, **request_) is None


@pytest.mark.parametrize(
    ("configured", "request_"),
    [
        ("auto", {}),
        ("anthropic", {}),
        ("rules", {"provider": "anthropic"}),
        ("auto", {"provider": "anthropic"}),
    ],
)
def test_a_model_leads_where_there_is_a_key_and_one_is_wanted(configured, request_):
    environment = {**KEY, "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
    models = opened(configured, environment=environment, **request_)
    assert models is not None
    assert models.close(name="run").provider == "anthropic"


@pytest.mark.parametrize(
    ("configured", "request_"), [("anthropic", {}), ("rules", {"provider": "anthropic"})]
)
def test_a_model_that_is_asked_for_needs_a_key(configured, request_):
    with pytest.raises(UsageError, match=NO_KEY) as caught:
        opened(configured, environment={}, **request_)
    assert caught.value.where == KEY_VARIABLE


def test_the_key_is_read_from_the_environment_that_is_given_alone(monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY[KEY_VARIABLE])
    assert opened("auto", environment={}) is None
    assert key_in({KEY_VARIABLE: " k \n"}) == "k"
    assert key_in({}) == ""


@pytest.mark.parametrize(
    ("configured", "request_", "environment"),
    [("auto", {}, {}), ("rules", {}, KEY), ("auto", {"provider": "rules"}, KEY)],
)
def test_without_a_model_there_is_nothing_to_record(tmp_path, configured, request_, environment):
    with pytest.raises(UsageError, match=NOTHING):
        opened(configured, environment=environment, record=str(tmp_path), **request_)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("more", [{"provider": "anthropic"}, {"provider": "rules"}, {"record": "there"}])
def test_a_replay_asks_nobody_and_records_nothing(tmp_path, more):
    with pytest.raises(UsageError, match="A replay asks no model and records nothing"):
        opened("auto", environment=KEY, replay=str(tmp_path), **more)


def test_a_transcript_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingDataError, match="No transcript is in this folder"):
        opened("auto", environment={}, replay=str(tmp_path))


# --- through the door ------------------------------------------------------------------------------------


def test_the_configuration_may_ask_for_a_model_and_the_request_for_none(tmp_path):
    root = example_1(tmp_path, config=config_text("llm: {provider: anthropic}"))
    before = tree(tmp_path)
    refused = run_skill({"workspace": root, "as_of": AS_OF}, now=AS_OF)
    assert refused.error is not None
    assert (refused.status, refused.error.code, refused.error.what) == ("refused", "usage", NO_KEY)
    assert refused.exit_code == 2
    assert tree(tmp_path) == before
    assert by_rules(root).status == "planned"


def test_the_configuration_may_leave_models_out_though_there_is_a_key(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, KEY[KEY_VARIABLE])
    root = example_1(tmp_path, config=config_text("llm: {provider: rules}"))
    result = run_skill({"workspace": root, "as_of": AS_OF}, now=AS_OF)
    assert (result.status, result.driver, result.advice, result.spend) == ("planned", "rules", None, None)


def test_with_a_key_a_model_is_asked_and_what_it_answers_is_told(tmp_path, monkeypatch):
    root = example_1(tmp_path)
    rules = by_rules(root)
    answer = failed(401, "authentication_error", message="invalid x-api-key")
    with messages_api(lambda _seen: answer) as server:
        monkeypatch.setenv(KEY_VARIABLE, KEY[KEY_VARIABLE])
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        result = run_skill({"workspace": root, "as_of": AS_OF}, now=AS_OF)
        asked = [seen for seen in server.seen if seen.method == "POST"]
    assert len(asked) == 1
    assert (result.status, result.driver, result.plan) == ("planned", "rules", rules.plan)
    assert result.advice is not None
    (note,) = result.advice.notes
    assert note.startswith("no verdict from the orchestrator: credentials: HTTP 401")
    assert result.spend is not None
    assert (result.spend.provider, result.spend.calls) == ("anthropic", 1)
    assert KEY[KEY_VARIABLE] not in result.model_dump_json()


# --- every key of llm has its effect ---------------------------------------------------------------------


def test_model_effort_and_length_of_each_agent_reach_its_requests(tmp_path):
    config = config_text(
        "llm:",
        "  agents:",
        "    orchestrator: {model: claude-opus-4-8, effort: high, max_tokens: 1001}",
        "    quantitative_analyst: {model: claude-haiku-5-5, effort: low, max_tokens: 1002}",
        "    risk_manager: {model: claude-sonnet-4-6, effort: max, max_tokens: 1003}",
        "    order_executor: {model: claude-haiku-4-5, effort: xhigh, max_tokens: 1004}",
    )
    script = healthy(order_executor=[uses(("submit_explanation", {"text": "All of it was executed."}))])
    script["orchestrator"] = [look(), ask_both(), submit(), stops("refusal")]
    run = led(example_1(tmp_path, config=config), script, person=Told(), execute=True)
    assert run.result.status == "executed", run.result.error
    found = {
        (
            call.agent,
            call.request["model"],
            call.request["output_config"]["effort"],
            call.request["max_tokens"],
        )
        for call in run.calls
    }
    assert found == {
        ("orchestrator", "claude-opus-4-8", "high", 1001),
        ("quantitative_analyst", "claude-haiku-5-5", "low", 1002),
        ("risk_manager", "claude-sonnet-4-6", "max", 1003),
        ("order_executor", "claude-haiku-4-5", "xhigh", 1004),
    }
    assert run.result.spend is not None
    assert {one.model for one in run.result.spend.agents} == {row[1] for row in found}


@pytest.mark.parametrize("role", ["monitor", "feedback"])
def test_so_do_those_of_agents_that_look_back(role):
    settings = LlmAgents.model_validate(
        {role: {"model": "claude-opus-5", "effort": "high", "max_tokens": 999}}
    )
    client = ScriptedClient({role: [ModelError("timeout", "x")]})
    purse = Budget(Llm(), clock=lambda: 0.0).purse
    told = {
        "about": {},
        "book": FactBook((), names={}),
        "client": client,
        "purse": purse,
        "settings": settings,
    }
    if role == "monitor":
        explain(role, variables={"watch_days": "seven"}, **told)
    else:
        learn(**told)
    (call,) = client.calls
    assert (call.request["model"], call.request["max_tokens"]) == ("claude-opus-5", 999)
    assert call.request["output_config"] == {"effort": "high"}


def stopped(folder: Path, llm: str, script: dict, **more: object) -> Led:
    return led(example_1(folder, config=config_text(f"llm: {{{llm}}}")), script, **more)


def test_turns_of_the_orchestrator_are_capped(tmp_path):
    run = stopped(tmp_path, "max_turns: 2", healthy(orchestrator=[look(), ask_both()]))
    assert run.advice.notes == ("no verdict from the orchestrator: it came to no result in 2 turns",)
    assert "You have at most two turns" in run.calls[0].request["system"][0]["text"]


def test_calls_of_a_run_are_capped_reviewers_included(tmp_path):
    # One call looks, one stays with the orchestrator: there is none for two reviewers.
    run = stopped(tmp_path, "max_calls: 3", {"orchestrator": [look(), ask_both(), submit()]})
    assert len(run.calls) == 3
    no_review = "the budget ended it: no call is left"
    assert run.advice.notes == (
        f"review of correlation_aware by the quantitative analyst: {no_review}",
        f"review of correlation_aware by the risk manager: {no_review}",
    )
    assert (run.result.status, run.advice.reviews) == ("planned", ())


def test_tokens_of_a_run_are_capped(tmp_path):
    run = stopped(tmp_path, "max_tokens: 5000", {"orchestrator": []})
    why = "the budget ended it: the next call could need more tokens than are left"
    assert (run.calls, run.advice.notes) == ((), (f"no verdict from the orchestrator: {why}",))


def test_dollars_of_a_run_are_capped(tmp_path):
    run = stopped(tmp_path, "max_dollars: 0.01", {"orchestrator": []})
    why = "the budget ended it: the next call could cost more dollars than are left"
    assert (run.calls, run.advice.notes) == ((), (f"no verdict from the orchestrator: {why}",))
    assert (run.result.status, run.result.driver) == ("planned", "rules")


def test_seconds_of_a_run_are_capped(tmp_path):
    ticks = count(0, 40)  # seconds between two looks at the clock
    run = stopped(tmp_path, "max_seconds: 100", {"orchestrator": [look()]}, clock=lambda: float(next(ticks)))
    assert run.advice.notes == ("no verdict from the orchestrator: the budget ended it: the time is over",)
    assert run.calls[0].seconds <= 100
    assert run.result.status == "planned"
