"""What models cost, kept run by run in the ledger, beside canonical records and never in them."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from executing import Told, example_1
from model_runs import by_rules, healthy, led, unreachable
from workspaces import AS_OF

from portfolio_rebalance.agents.messages import Usage
from portfolio_rebalance.agents.scripted import stops, uses
from portfolio_rebalance.records import AgentSpend, Spend
from portfolio_rebalance.run.queries import show
from portfolio_rebalance.workspace import Ledger
from portfolio_rebalance.workspace.ledger import LEDGER
from portfolio_rebalance.workspace.spending import keep_spend, spent_in_dollars


def spend(*, provider: str = "anthropic", dollars: str = "0.012345", agent: str = "orchestrator") -> Spend:
    return Spend(
        provider=provider,
        seconds=3.5,
        agents=(
            AgentSpend(
                agent=agent,
                model="claude-opus-5-5",
                calls=3,
                input_tokens=10,
                output_tokens=20,
                cache_read_tokens=30,
                cache_write_tokens=40,
                dollars=Decimal(dollars),
                priced=True,
                seconds=2.5,
            ),
        ),
    )


def rows(root: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(root / LEDGER) as connection:
        return connection.execute(
            "SELECT run_id, at, provider, agent, model, calls, input_tokens, output_tokens,"
            " cache_read_tokens, cache_write_tokens, dollars, seconds FROM model_calls ORDER BY number"
        ).fetchall()


def total(root: Path, *, provider: str = "anthropic") -> Decimal:
    with Ledger.read(root) as ledger:
        assert ledger is not None
        return spent_in_dollars(ledger, provider=provider)


def test_a_row_for_each_agent(tmp_path):
    root = example_1(tmp_path)
    keep_spend(root, run_id="run-1", at=AS_OF, spend=spend())
    assert rows(root) == [
        (
            "run-1",
            "2025-02-05T02:00:00.000000Z",
            "anthropic",
            "orchestrator",
            "claude-opus-5-5",
            3,
            10,
            20,
            30,
            40,
            "0.012345",
            2.5,
        )
    ]


def test_dollars_are_added_up_exactly_by_provider(tmp_path):
    root = example_1(tmp_path)
    for number in range(10):
        keep_spend(root, run_id=f"run-{number}", at=AS_OF, spend=spend(dollars="0.1"))
    keep_spend(root, run_id="run-0", at=AS_OF, spend=spend(dollars="0.000001"))  # the same run again
    keep_spend(root, run_id="run-x", at=AS_OF, spend=spend(provider="replay", dollars="7"))
    assert total(root) == Decimal("1.000001")
    assert total(root, provider="replay") == 7
    assert total(root, provider="scripted") == 0


def test_a_run_s_calls_are_in_the_ledger_and_in_its_result(tmp_path):
    root = example_1(tmp_path)
    usage = Usage(input_tokens=100, output_tokens=50, cache_read_tokens=2000, cache_write_tokens=300)
    script = healthy(
        risk_manager=[uses(("submit_review", {"verdict": "approve", "concerns": []}), usage=usage)]
    )
    result = led(root, script).result
    assert result.spend is not None
    cost = (100 * 2 + 50 * 10 + Decimal("0.20") * 2000 + Decimal("2.50") * 300) / 1_000_000
    assert (result.spend.provider, result.spend.calls, result.spend.dollars) == ("scripted", 5, cost)
    assert [(one.agent, one.model, one.calls) for one in result.spend.agents] == [
        ("orchestrator", "claude-opus-5-5", 3),
        ("quantitative_analyst", "claude-sonnet-5-5", 1),
        ("risk_manager", "claude-sonnet-5-5", 1),
    ]
    kept = rows(root)
    assert [row[0] for row in kept] == [result.run_id] * 3
    assert [row[3] for row in kept] == ["orchestrator", "quantitative_analyst", "risk_manager"]
    assert kept[2][6:11] == (100, 50, 2000, 300, str(cost.quantize(Decimal("0.000001"))))
    assert total(root, provider="scripted") == cost


def test_a_run_by_rules_costs_nothing(tmp_path):
    root = example_1(tmp_path)
    assert by_rules(root).spend is None
    assert rows(root) == []


def test_a_call_that_failed_is_kept_as_a_call(tmp_path):
    root = example_1(tmp_path)
    led(root, unreachable())
    assert [(row[3], row[5], row[10]) for row in rows(root)] == [("orchestrator", 1, "0.000000")]


def test_what_is_stored_of_a_run_does_not_hold_what_it_cost(tmp_path):
    root = example_1(tmp_path)
    result = led(root, healthy()).result
    assert result.plan_id is not None
    stored = show(root, result.plan_id)
    assert stored.spend is None
    assert stored.advice == result.advice
    assert stored == result.model_copy(update={"spend": None})


def test_a_ledger_from_before_there_were_models_is_read_and_brought_up_to_date(tmp_path):
    root = example_1(tmp_path)
    by_rules(root)
    with sqlite3.connect(root / LEDGER) as connection:
        for later in ("model_calls", "ticks", "outcomes", "tunings", "learned", "notices", "checks"):
            connection.execute(f"DROP TABLE {later}")
        connection.execute("PRAGMA user_version = 2")
    assert total(root) == 0
    result = led(root, healthy(), at=AS_OF + timedelta(hours=1)).result
    assert result.status == "planned", result.error
    assert len(rows(root)) == 3


def test_the_explanation_of_a_batch_is_counted_too(tmp_path):
    root, person = example_1(tmp_path), Told()
    script = healthy(order_executor=[uses(("submit_explanation", {"text": "All of it was executed."}))])
    script["orchestrator"] = [*script["orchestrator"], stops("refusal")]
    led(root, script, person=person, execute=True)
    assert [row[3] for row in rows(root)] == [
        "orchestrator",
        "order_executor",
        "quantitative_analyst",
        "risk_manager",
    ]
