"""The source's five success metrics: their targets to the letter, their bounds, and honest verdicts."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from rebalance_samples import START, execution, outcome, plan, plan_id_of, rebalance

from portfolio_rebalance.monitoring.metrics import metrics_of
from portfolio_rebalance.monitoring.rebalances import Rebalance
from portfolio_rebalance.records.metrics import SuccessMetric

SOURCE = """
- **Rebalancing frequency**: 1-2 times per week
- **Allocation compliance**: 100% adherence to circuit breakers
- **Performance improvement**: Average >3% Sharpe improvement post-rebalance
- **Drift control**: Keep all individual strategies <5% drift from target
- **Limit maintenance**: Never exceed 60% total, 30% correlated, 40% individual
"""


def judged(name: str, *several: Rebalance) -> SuccessMetric:
    return next(one for one in metrics_of(several).success_metrics if one.name == name)


def every(days: float, *, count: int) -> list[Rebalance]:
    return [rebalance(number, at=START + number * timedelta(days=days)) for number in range(count)]


def test_names_and_targets_are_the_sources() -> None:
    ours = [f"- **{one.name}**: {one.target}" for one in metrics_of([rebalance(1)]).success_metrics]
    assert ours == SOURCE.strip().splitlines()


def test_the_target_names_the_limits_that_are_in_force() -> None:
    limits_bp = {"total": 5_500, "cluster": 2_550, "individual_max": 3_000, "individual_min": 100}
    found = judged("Limit maintenance", rebalance(1, planned=plan(limits_bp=limits_bp)))
    assert found.target == "Never exceed 55% total, 25.5% correlated, 30% individual"


@pytest.mark.parametrize(
    ("days", "count", "value", "verdict"),
    [
        (7, 5, 1, "pass"),
        (3.5, 8, 2, "pass"),
        (5, 8, Decimal("1.4"), "pass"),
        (7.01, 5, Decimal("0.999"), "fail"),
        (3.4, 8, Decimal("2.06"), "fail"),
        (14, 3, Decimal("0.5"), "fail"),
    ],
)
def test_one_to_two_a_week_both_included(days: float, count: int, value: Decimal, verdict: str) -> None:
    found = judged("Rebalancing frequency", *every(days, count=count))
    assert (found.value, found.verdict) == (value, verdict)


@pytest.mark.parametrize(("days", "count"), [(1, 1), (3, 2), (1, 7)])
def test_less_than_a_week_says_nothing_of_a_frequency(days: int, count: int) -> None:
    found = judged("Rebalancing frequency", *every(days, count=count))
    assert (found.value, found.verdict) == (None, "unknown")


@pytest.mark.parametrize(
    ("limits", "compliance", "maintenance"),
    [
        ({}, "pass", "pass"),
        ({"total_deployed": "FAIL"}, "fail", "fail"),
        ({"individual_min": "FAIL"}, "fail", "pass"),
        ({"correlated_exposure": "NOT_EVALUATED"}, "unknown", "unknown"),
        ({"individual_max": "AWAITS_BOTS"}, "unknown", "unknown"),
    ],
)
def test_only_a_limit_that_is_met_passes(limits: dict, compliance: str, maintenance: str) -> None:
    several = (rebalance(1), rebalance(2, ended=execution(plan_id_of(2), limits=limits)))
    assert judged("Allocation compliance", *several).verdict == compliance
    assert judged("Limit maintenance", *several).verdict == maintenance


def test_what_was_left_to_a_person_passes_nothing() -> None:
    several = (rebalance(1), rebalance(2, status="closed"))
    for name in ("Allocation compliance", "Limit maintenance"):
        found = judged(name, *several)
        assert found.verdict == "unknown"
        assert "left to a person" in found.reason


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [(("3.1", "3.1"), "pass"), ((3, 3), "fail"), ((9, -9), "fail"), ((40, -20), "pass")],
)
def test_an_improvement_passes_above_three_percent(changes: tuple, verdict: str) -> None:
    several = [
        rebalance(number, came=outcome(plan_id_of(number), sharpe=(1 + Decimal(change) / 100, 1)))
        for number, change in enumerate(changes)
    ]
    assert judged("Performance improvement", *several).verdict == verdict


def test_how_little_few_outcomes_prove_is_said() -> None:
    one = rebalance(1, came=outcome(plan_id_of(1), sharpe=(2, 1)))
    assert "1 graded rebalance proves nothing" in judged("Performance improvement", one).reason
    wide = [
        rebalance(number, came=outcome(plan_id_of(number), sharpe=(sharpe, 1)))
        for number, sharpe in enumerate((3, "0.1", 2))
    ]
    reason = judged("Performance improvement", *wide).reason
    assert reason.endswith("3 graded rebalances, standard error 85.0: too few to tell it from chance")
    sure = [
        rebalance(number, came=outcome(plan_id_of(number), sharpe=(sharpe, 1)))
        for number, sharpe in enumerate(("1.20", "1.21", "1.22"))
    ]
    assert "chance" not in judged("Performance improvement", *sure).reason


@pytest.mark.parametrize(("capital", "value", "verdict"), [(12_599, "5", "pass"), (12_600, "5", "fail")])
def test_drift_passes_below_five_percent(capital: int, value: str, verdict: str) -> None:
    ended = execution(plan_id_of(1), held={"STR-A": (capital, 12_000), "STR-B": (11_900, 12_000)})
    found = judged("Drift control", rebalance(1, ended=ended))
    assert found.verdict == verdict
    assert found.value == pytest.approx(Decimal(value), abs=Decimal("0.01"))
    assert found.reason.startswith("STR-A")


def test_drift_of_what_was_taken_back_or_waits_for_a_bot_is_not_judged() -> None:
    far = {"STR-A": (20_000, 12_000), "STR-B": (12_000, 12_000), "STR-C": (500, 0)}
    reverted = rebalance(1, ended=execution(plan_id_of(1), held=far, status="reverted"))
    waiting = rebalance(2, ended=execution(plan_id_of(2), held=far, bots=["STR-A"]))
    assert judged("Drift control", reverted).verdict == "unknown"
    found = judged("Drift control", reverted, waiting)
    assert (found.value, found.verdict) == (0, "pass")
