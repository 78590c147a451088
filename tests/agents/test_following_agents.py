"""Monitor and feedback: they explain what code found after a trade, and change none of it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from watches import CONFIG, a_prediction, a_range, a_watch, table
from workspaces import AS_OF

from portfolio_rebalance.agents.budget import Budget
from portfolio_rebalance.agents.feedback import causes_by_model
from portfolio_rebalance.agents.following_facts import facts_of_divergence, facts_of_tick, metric_of_label
from portfolio_rebalance.agents.messages import ModelClient
from portfolio_rebalance.agents.models import Models
from portfolio_rebalance.agents.monitor import explain_tick
from portfolio_rebalance.agents.scripted import ScriptedClient, Step, stops, uses
from portfolio_rebalance.clock import Clock
from portfolio_rebalance.config_llm import Llm
from portfolio_rebalance.follow_up import monitor
from portfolio_rebalance.monitoring.comparing import compare, cost_check
from portfolio_rebalance.monitoring.grading import outcome_of
from portfolio_rebalance.monitoring.learning import WITHIN
from portfolio_rebalance.records import METRICS, AllocationCheck, Outcome, Tick
from portfolio_rebalance.workspace import Ledger
from portfolio_rebalance.workspace.layout import FEEDBACK

DAYS = [[0.01, -0.02], [-0.03, 0.01], [0.02, 0.02]]
INSIDE = a_range("-99", "0.1", "99")
OUTSIDE = a_range("50", "60", "70")


def an_outcome(**ranges: object) -> Outcome:
    shown = dict.fromkeys(METRICS, INSIDE) | ranges
    watch = a_watch(a_prediction(ranges=shown))  # type: ignore[arg-type]
    realised = compare(watch, returns=table(DAYS), days=3, config=CONFIG)
    cost = cost_check(watch, earlier_bps=[], config=CONFIG)
    return outcome_of(watch, at=watch.ends_at, realised=realised, cost=cost)


def a_tick() -> Tick:
    outcome = an_outcome()
    return Tick(
        plan_id=outcome.plan_id,
        mode=outcome.mode,
        number=3,
        at=outcome.at,
        committed_at=outcome.committed_at,
        of_days=3,
        realised=outcome.realised,
        cost=outcome.cost,
        allocations=(
            AllocationCheck(
                strategy="STR-A",
                capital=Decimal(200),
                alloc=Decimal(20),
                target=Decimal(19),
                drift=Decimal(5),
            ),
        ),
        alerts=(),
    )


def given(client: ModelClient) -> dict[str, object]:
    return {
        "client": client,
        "purse": Budget(Llm(), clock=lambda: 0.0).purse,
        "settings": Llm().agents,
    }


def names(*causes: tuple[str, str]) -> Step:
    return uses(("submit_learnings", {"learnings": [{"cause": one, "text": text} for one, text in causes]}))


def fact_id(outcome: Outcome, label: str) -> str:
    return next(fact.id for fact in facts_of_divergence(outcome).facts if fact.label == label)


def test_the_monitor_is_shown_facts_and_its_figures_are_rendered_by_code():
    tick = a_tick()
    label = next(fact for fact in facts_of_tick(tick).facts if fact.label == "return, realised")
    client = ScriptedClient(
        {"monitor": [uses(("submit_explanation", {"text": f"The return is {{{label.id}}}."}))]}
    )
    found = explain_tick(tick, **given(client))  # type: ignore[arg-type]
    client.finish()
    assert found.text.startswith(f"The return is {label.value}%")


def test_no_fact_of_a_watch_holds_a_name_a_path_or_a_note():
    tick = a_tick().model_copy(update={"notes": ("a note of the workspace",), "alerts": ("an alert",)})
    shown = facts_of_tick(tick).book().lines() + facts_of_divergence(tick).book().lines()
    assert "STR-A" not in shown
    assert "note of the workspace" not in shown
    assert "an alert" not in shown
    assert not any(character.isdigit() for fact in facts_of_tick(tick).facts for character in fact.label[2:])


def test_every_metric_is_told_from_its_label():
    outcome = an_outcome()
    told = {metric_of_label(fact.label) for fact in facts_of_divergence(outcome).facts}
    assert told == {*METRICS, "cost", None}


def test_feedback_is_not_asked_where_nothing_left_its_interval():
    client = ScriptedClient({})
    assert causes_by_model(an_outcome(), **given(client)) == ((), "")  # type: ignore[arg-type]
    assert client.calls == ()


def test_feedback_names_a_typed_cause_with_what_it_rests_on():
    outcome = an_outcome(**{"return": OUTSIDE})
    fact = fact_id(outcome, "return, realised")
    client = ScriptedClient({"feedback": [names(("regime", f"The return was {{{fact}}}."))]})
    (learned,), reason = causes_by_model(outcome, **given(client))  # type: ignore[arg-type]
    assert (learned.cause, learned.source, reason) == ("regime", "model", "")
    assert learned.cited[0].startswith("return, realised: ")


def test_a_story_about_a_metric_that_stayed_inside_becomes_chance():
    outcome = an_outcome(**{"return": OUTSIDE})
    inside = fact_id(outcome, "win rate, realised")
    outside = fact_id(outcome, "return, realised")
    client = ScriptedClient(
        {
            "feedback": [
                names(
                    ("regime", f"The win rate fell to {{{inside}}}, so the market is another."),
                    ("correlation", f"The return was {{{outside}}} and the win rate {{{inside}}}."),
                )
            ]
        }
    )
    (first, second), _ = causes_by_model(outcome, **given(client))  # type: ignore[arg-type]
    assert (first.cause, first.text, first.cited) == ("chance", f"win rate: {WITHIN}", ())
    assert second.cause == "correlation"


# --- in a workspace --------------------------------------------------------------------------------------


@pytest.fixture
def diverged(tmp_path: Path) -> tuple[Path, Clock]:
    """Example 1, executed, with a week that no history prepared for."""
    from executing import EXAMPLE_1, approved, example_1, execute

    root = example_1(tmp_path)
    execute(root, approved(root))
    for key in EXAMPLE_1:
        path = root / f"live-monitoring/live-performance/{key}/daily_returns.csv"
        rows = "".join(f"{AS_OF.date() + timedelta(days=day)},-0.0{5 + day % 3}\n" for day in range(9))
        path.write_text(path.read_text() + rows)
    at = AS_OF.replace(hour=0) + timedelta(days=8)
    return root, Clock.at(at, now=at + timedelta(days=9))


def models_of(client: ScriptedClient) -> Models:
    return Models(client, settings=Llm(), clock=lambda: 0.0)


def look(root: Path, clock: Clock, client: ScriptedClient | None = None):
    return monitor(
        root,
        clock=clock,
        now=lambda: clock.as_of,
        models=None if client is None else models_of(client),
        environment={},
    )


def test_a_divergence_is_explained_and_its_causes_are_kept(diverged):
    root, clock = diverged
    client = ScriptedClient(
        {
            "feedback": [names(("regime", "All of them fell on each day, which the history does not show."))],
            "monitor": [uses(("submit_explanation", {"text": "It fell behind its projection."}))],
        }
    )
    report = look(root, clock, client)
    client.finish()
    assert report.explained == "It fell behind its projection."
    assert [(one.source, one.cause) for one in report.learned] == [("model", "regime")]
    assert report.spend is not None
    assert b"which the history does not show" in (root / FEEDBACK).read_bytes()
    with Ledger.read(root) as ledger:
        assert ledger is not None
        assert [one.source for several in ledger.follow_ups.learned().values() for one in several] == [
            "model"
        ]
    again = look(root, clock, ScriptedClient({}))  # nothing is new: no model is asked
    assert again.outcomes == ()


@pytest.mark.parametrize("step", [stops("refusal"), stops("end_turn"), stops("max_tokens")])
def test_whatever_a_model_does_what_code_found_stands(diverged, step):
    root, clock = diverged
    client = ScriptedClient({"feedback": [step] * 2, "monitor": [step] * 2})
    report = look(root, clock, client)
    assert (len(report.outcomes), report.explained) == (1, "")
    assert [step.parameter for step in report.steps][-1] == "prior:correlation_aware"


def test_without_a_key_no_model_is_asked_and_nothing_is_missing_but_words(diverged):
    root, clock = diverged
    report = look(root, clock)
    assert (len(report.outcomes), report.explained, report.spend) == (1, "", None)


def test_the_feedback_agent_can_be_switched_off(diverged):
    root, clock = diverged
    (root / "config").mkdir(exist_ok=True)
    (root / "config/portfolio-rebalance.yaml").write_text(
        "portfolio_rebalance:\n  learning: {feedback_agent_enabled: false}\n"
    )
    client = ScriptedClient({"monitor": [uses(("submit_explanation", {"text": "It fell behind."}))]})
    assert look(root, clock, client).explained == "It fell behind."
    client.finish()


def test_a_model_cannot_touch_a_limit_an_estimate_or_an_approval_from_here(diverged):
    root, clock = diverged
    client = ScriptedClient(
        {
            "feedback": [
                uses(("submit_learnings", {"learnings": [], "limits": {"total": 100}})),
                uses(("approve", {"plan": "all"})),
            ],
            "monitor": [uses(("write_feedback", {"limits": 100})), uses(("revert", {"number": 1}))],
        }
    )
    before = {
        path.name: path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.suffix in (".md", ".yaml", ".csv") and path.name != "feedback.yaml"
    }
    report = look(root, clock, client)
    assert report.explained == ""
    for name, content in before.items():
        found = [path for path in root.rglob(name) if path.is_file()]
        assert any(path.read_bytes() == content for path in found)
