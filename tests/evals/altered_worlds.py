"""Worlds with one thing changed by hand: what a scorer must see."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from eval_scenes import judge

from portfolio_rebalance.evals.world import Observed
from portfolio_rebalance.records import Plan, RebalanceResult, digest

CONFIG = ".crypto/config/portfolio-rebalance.yaml"


def with_result(seen: Observed, **changes: Any) -> Observed:
    return replace(seen, result=seen.result.model_copy(update=changes))


def with_plan(seen: Observed, **changes: Any) -> Observed:
    assert seen.result.plan is not None
    plan = seen.result.plan.model_copy(update=changes)
    return with_result(seen, plan=plan, plan_id=digest(plan))


def with_proposed(seen: Observed, **proposed: int | None) -> Observed:
    """The plan with other allocations, by strategy (``_`` for ``-``), in basis points."""
    plan = seen.result.plan
    assert plan is not None
    by_id = {key.replace("_", "-"): bp for key, bp in proposed.items()}
    return with_plan(
        seen,
        strategies=tuple(
            one.model_copy(update={"proposed_bp": by_id[one.strategy]}) if one.strategy in by_id else one
            for one in plan.strategies
        ),
    )


def with_expected(seen: Observed, **changes: Any) -> Observed:
    scenario = seen.scenario
    expect = scenario.expect.model_copy(update=changes)
    return replace(seen, scenario=scenario.model_copy(update={"expect": expect}))


def with_request(seen: Observed, **changes: Any) -> Observed:
    scenario = seen.scenario
    request = scenario.request.model_copy(update=changes)
    return replace(seen, scenario=scenario.model_copy(update={"request": request}))


def with_advice(seen: Observed, **changes: Any) -> Observed:
    assert seen.result.advice is not None
    return with_result(seen, advice=seen.result.advice.model_copy(update=changes))


def with_decision(seen: Observed, **changes: Any) -> Observed:
    """Another decision, told of the run and in its plan alike."""
    result = seen.result
    assert result.decision is not None
    decision = result.decision.model_copy(update=changes)
    if result.plan is None:
        return with_result(seen, decision=decision)
    plan = result.plan.model_copy(update={"decision": decision})
    return with_result(seen, decision=decision, plan=plan, plan_id=digest(plan))


def with_text(seen: Observed, name: str, text: str) -> Observed:
    return replace(seen, texts={**seen.texts, name: text})


def with_config(seen: Observed, lines: str) -> Observed:
    text = f"portfolio_rebalance:\n  {lines}\n"
    return replace(seen, contents={**seen.contents, CONFIG: text.encode()})


def with_transcript(seen: Observed, change: Callable[[list[dict[str, Any]]], None]) -> Observed:
    header, *lines = seen.texts["transcript"].splitlines()
    entries = [json.loads(line) for line in lines]
    change(entries)
    return with_text(seen, "transcript", "\n".join([header, *map(json.dumps, entries)]) + "\n")


def with_money(seen: Observed, strategy: str, capital: int) -> Observed:
    """The execution with another capital of one strategy afterwards."""
    execution = seen.result.execution
    assert execution is not None
    after = dict(execution.post_rebalance_allocations)
    after[strategy] = after[strategy].model_copy(update={"capital": Decimal(capital)})
    changed = execution.model_copy(update={"post_rebalance_allocations": after})
    return with_result(seen, execution=changed)


def plan_of(result: RebalanceResult) -> Plan:
    assert result.plan is not None
    return result.plan


def red(name: str, seen: Observed) -> tuple[str, ...]:
    """Faults that a scorer finds; it must find one."""
    score = judge(name, seen)
    assert score.passed is False
    return score.faults
