"""Estimates move in bounded, logged, reversible steps; no limit has a name here."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from watches import COMMITTED, a_prediction, a_watch, table

from portfolio_rebalance.config import Config, Learning, Section, Simulation
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.monitoring.comparing import compare, cost_check
from portfolio_rebalance.monitoring.grading import outcome_of
from portfolio_rebalance.monitoring.tuning import (
    estimates_from,
    lessons_of_execution,
    lessons_of_outcome,
    taken_back,
)
from portfolio_rebalance.records import Execution, TuningStep

CONFIG = Config()


def an_execution(number: int, *, slippage: str | None, commission: str | None = "5") -> Execution:
    return Execution(
        plan_id=f"{number:064x}",
        status="committed",
        broker="paper",
        currency="USD",
        mode="proportional",
        started_at=COMMITTED,
        finished_at=COMMITTED + timedelta(days=number),
        executed_trades=1,
        successful_trades=1,
        orders_sent=1,
        orders_filled=1,
        partial_fills=(),
        total_slippage_bps=None if slippage is None else Decimal(slippage),
        total_commissions_bps=None if commission is None else Decimal(commission),
        total_cost_bps=None,
        estimated_cost=Decimal(1),
        actual_cost=Decimal(1),
        total_capital_before=Decimal(1000),
        total_capital_after=Decimal(999),
        post_rebalance_allocations={},
        correlated_exposure_percent=None,
        total_deployed_percent=Decimal(40),
        limits={},
        orders=(),
    )


def log_of(executions, config: Config = CONFIG) -> tuple[TuningStep, ...]:
    """The log after some executions, numbered as the ledger numbers it."""
    steps: tuple[TuningStep, ...] = ()
    for execution in executions:
        for step in lessons_of_execution(execution, steps=steps, config=config):
            steps = (*steps, step.model_copy(update={"number": len(steps) + 1}))
    return steps


def slippage_after(observed, config: Config = CONFIG) -> list[Decimal]:
    """The estimate after each of some batches."""
    steps = log_of(
        (an_execution(place, slippage=str(value), commission=None) for place, value in enumerate(observed)),
        config,
    )
    return [step.after for step in steps]


def noisy(true_bps: float, count: int, seed: int) -> list[Decimal]:
    """Slippage of batches at a venue: 0.6 to 1.4 times its mean, as the paper venue draws it."""
    draw = random.Random(seed)
    return [Decimal(str(round(true_bps * draw.uniform(0.6, 1.4), 2))) for _ in range(count)]


def test_nothing_learned_is_what_is_configured():
    estimates = estimates_from((), config=CONFIG)
    assert (estimates.slippage_bps, estimates.commission_bps) == (25, 5)
    assert (dict(estimates.learned_from), dict(estimates.priors)) == ({}, {})


@pytest.mark.parametrize("true_bps", [2, 8, 12, 40, 60, 120, 400])
def test_the_error_of_the_estimate_halves_within_twenty_rebalances_and_again_after_a_change(true_bps):
    halved = changed = 0
    for seed in range(20):
        first = slippage_after(noisy(true_bps, 20, seed))
        halved += abs(first[-1] - true_bps) <= abs(25 - true_bps) / 2
        other = true_bps * 3 if true_bps < 100 else true_bps / 4
        both = slippage_after([*noisy(true_bps, 20, seed), *noisy(other, 20, seed + 100)])
        changed += abs(float(both[-1]) - other) <= abs(float(both[19]) - other) / 2
    assert (halved, changed) == (20, 20)


def test_the_estimate_stays_near_a_venue_that_does_not_change():
    after = slippage_after(noisy(40, 200, 1))
    assert mean(map(float, after[20:])) == pytest.approx(40, rel=0.05)


@given(st.lists(st.decimals(0, 5000, places=2), max_size=30))
def test_no_step_is_larger_than_its_bound_and_no_estimate_leaves_its_range(observed):
    value = Decimal(25)
    for after in slippage_after(observed):
        assert abs(after - value) <= max(Decimal(5), value / 4) + Decimal("0.01")
        assert 0 <= after <= 1000
        value = after


def test_a_batch_that_was_taken_back_teaches_too_and_one_without_fills_teaches_nothing():
    taken = an_execution(1, slippage="80").model_copy(update={"status": "reverted"})
    assert [step.parameter for step in log_of([taken])] == ["slippage_bps", "commission_bps"]
    assert log_of([an_execution(1, slippage=None, commission=None)]) == ()


def test_another_configured_value_starts_anew_and_the_old_one_is_where_it_was():
    steps = log_of([an_execution(number, slippage="60") for number in range(5)])
    learned = estimates_from(steps, config=CONFIG)
    assert learned.slippage_bps > 30
    assert dict(learned.learned_from) == {"slippage_bps": 5, "commission_bps": 5}
    changed = Config(simulation=Simulation(slippage_bps=Decimal(30)))
    assert estimates_from(steps, config=changed).slippage_bps == 30
    assert estimates_from(steps, config=CONFIG) == learned


def test_switched_off_nothing_that_was_learned_counts():
    steps = log_of([an_execution(number, slippage="60") for number in range(5)])
    off = Config(learning=Learning(update_algorithm_on_divergence=False))
    assert estimates_from(steps, config=off) == estimates_from((), config=CONFIG)


def test_a_step_is_taken_back_with_all_that_followed_and_stays_in_the_log():
    steps = log_of([an_execution(number, slippage="60", commission=None) for number in range(4)])
    second = steps[1]
    back = taken_back(second.number, steps=steps, at=COMMITTED, config=CONFIG)
    assert (back.before, back.after, back.reverts) == (steps[-1].after, second.before, 2)
    log = (*steps, back.model_copy(update={"number": 5}))
    now = estimates_from(log, config=CONFIG)
    assert (now.slippage_bps, now.learned_from["slippage_bps"]) == (steps[0].after, 1)
    first = taken_back(1, steps=log, at=COMMITTED, config=CONFIG)
    whole = estimates_from((*log, first.model_copy(update={"number": 6})), config=CONFIG)
    assert (whole.slippage_bps, dict(whole.learned_from)) == (25, {})


@pytest.mark.parametrize("number", [2, 3])
def test_a_step_that_was_taken_back_stays_so_whatever_was_learned_since(number):
    steps = log_of([an_execution(number, slippage="60", commission=None) for number in range(3)])
    back = taken_back(2, steps=steps, at=COMMITTED, config=CONFIG)
    log = (*steps, back.model_copy(update={"number": 4}))
    for place in range(4, 7):
        (step,) = lessons_of_execution(
            an_execution(place, slippage="60", commission=None), steps=log, config=CONFIG
        )
        log = (*log, step.model_copy(update={"number": len(log) + 1}))
    with pytest.raises(UsageError, match="counts no more"):
        taken_back(number, steps=log, at=COMMITTED, config=CONFIG)
    assert taken_back(5, steps=log, at=COMMITTED, config=CONFIG).after == back.after
    assert taken_back(1, steps=log, at=COMMITTED, config=CONFIG).after == 25


@pytest.mark.parametrize("number", [0, 3, 99])
def test_what_is_no_step_or_counts_no_more_is_not_taken_back(number):
    steps = log_of([an_execution(number, slippage="60", commission=None) for number in range(3)])
    back = taken_back(2, steps=steps, at=COMMITTED, config=CONFIG)
    log = (*steps, back.model_copy(update={"number": 4}))
    with pytest.raises(UsageError, match=r"no step|counts no more"):
        taken_back(number, steps=log, at=COMMITTED, config=CONFIG)
    with pytest.raises(UsageError, match="no step"):
        taken_back(4, steps=log, at=COMMITTED, config=CONFIG)


def outcomes(helped: bool, probability: str = "0.6"):
    rows = [[0.01, -0.02], [-0.03, 0.01], [0.02, 0.02]]
    watch = a_watch(a_prediction(better=probability), plan_id=str(random.random()).ljust(64, "0")[:64])
    realised = compare(watch, returns=table(rows), days=3, config=CONFIG)
    realised = realised.model_copy(update={"ahead_of_shadow": helped})
    cost = cost_check(watch, earlier_bps=[], config=CONFIG)
    return outcome_of(watch, at=watch.ends_at, realised=realised, cost=cost)


@pytest.mark.parametrize(("helped", "sign"), [(True, 1), (False, -1)])
def test_a_modes_prior_moves_towards_what_happened_and_never_far(helped, sign):
    steps: tuple[TuningStep, ...] = ()
    for _ in range(40):
        (step,) = lessons_of_outcome(outcomes(helped), steps=steps, config=CONFIG)
        assert 0 <= sign * (step.after - step.before) <= Decimal("0.25")
        steps = (*steps, step)
    assert steps[0].parameter == "prior:proportional"
    assert steps[-1].after == 2 * sign  # bounded
    assert dict(estimates_from(steps, config=CONFIG).priors) == {"proportional": steps[-1].after}


def test_an_outcome_that_is_not_graded_teaches_nothing():
    ungraded = outcomes(True).model_copy(update={"helped": None})
    assert lessons_of_outcome(ungraded, steps=(), config=CONFIG) == ()


def keys_of(model: type[Section]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from keys_of(field.annotation)


def test_no_limit_threshold_or_switch_can_be_a_parameter():
    estimated = {"slippage_bps", "commission_bps"}
    (step,) = log_of([an_execution(1, slippage="60", commission=None)])
    for key in sorted(set(keys_of(Config)) - estimated):
        with pytest.raises(ValidationError):
            TuningStep.model_validate(dict(step) | {"parameter": key})
