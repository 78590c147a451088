"""The source's metrics block: its keys, its figures, and what is never counted as more than it is."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rebalance_samples import START, execution, outcome, plan, plan_id_of, rebalance

from portfolio_rebalance.monitoring.figures import figure
from portfolio_rebalance.monitoring.metrics import metrics_of
from portfolio_rebalance.monitoring.rebalances import Rebalance
from portfolio_rebalance.records import canonical_bytes
from portfolio_rebalance.records.metrics import MetricsReport

SOURCE = """
portfolio_rebalance_metrics:
  run_period: "2025-02-01 to 2025-02-28"
  total_rebalances: 8
  successful_rebalances: 8
  success_rate_percent: 100

  by_mode:
    correlation_aware: {triggered: 5, successful: 5}
    performance_weighted: {triggered: 3, successful: 3}

  improvements_achieved:
    avg_sharpe_improvement: 6.2
    avg_dd_improvement: 2.1
    median_improvement_percent: 5.8

  trading_costs:
    avg_slippage_bps: 27
    avg_commissions_bps: 5
    avg_total_cost_bps: 32

  drift_management:
    avg_drift_before_rebalance: 8.5
    avg_drift_after_rebalance: 0.2
    drift_correction_percent: 97.6

  limit_compliance:
    all_limits_respected: 100
    violations_pre_rebalance: 4
    violations_post_rebalance: 0
"""


def like_the_source() -> list[Rebalance]:
    """Eight rebalances of which every figure of the source's block is true."""
    found = []
    for number, change in enumerate(("5.8", "5.8", "5.8", "5.8", "5.8", "5.8", "5.8", "9.0")):
        mode = "correlation_aware" if number < 5 else "performance_weighted"
        at = START + timedelta(days=27) * number / 7
        now = {"STR-A": 41, "STR-B": "13.25"} if number < 4 else {"STR-A": 40, "STR-B": "14.25"}
        ended = execution(
            plan_id_of(number),
            mode=mode,
            at=at,
            bps=(27, 5),
            held={"STR-A": (24_060, 24_000), "STR-B": (6_000, 6_000)},
        )
        came = outcome(plan_id_of(number), sharpe=(1 + Decimal(change) / 100, 1), drawdown=("-2.9", -5))
        planned = plan(mode=mode, now=now, targets={"STR-A": 40, "STR-B": 10})
        found.append(rebalance(number, at=at, planned=planned, ended=ended, came=came))
    return found


def keys(node: object, *, ours: object) -> None:
    """Every key of the source's block stands in ours, under its name."""
    if isinstance(node, dict):
        assert isinstance(ours, dict)
        for name, value in node.items():
            assert name in ours, name
            keys(value, ours=ours[name])


def test_every_key_of_the_source_is_there_under_its_name_and_first() -> None:
    block = yaml.safe_load(SOURCE)["portfolio_rebalance_metrics"]
    ours = metrics_of(like_the_source()).model_dump()
    keys(block, ours=ours)
    assert list(ours)[: len(block)] == list(block)
    for name in (*block, "by_mode"):
        if isinstance(block[name], dict):
            assert list(ours[name]) == list(block[name]), name


def test_the_block_of_the_source_comes_out_figure_by_figure() -> None:
    block = yaml.safe_load(SOURCE)["portfolio_rebalance_metrics"]
    ours = metrics_of(like_the_source())
    assert ours.run_period == block["run_period"]
    assert (ours.total_rebalances, ours.successful_rebalances, ours.success_rate_percent) == (8, 8, 100)
    assert {mode: one.model_dump() for mode, one in ours.by_mode.items()} == block["by_mode"]
    for section in ("improvements_achieved", "trading_costs", "drift_management", "limit_compliance"):
        found = {
            name: None if value is None else float(value)
            for name, value in getattr(ours, section).model_dump().items()
        }
        assert found == block[section], section


def test_a_drift_of_8_5_that_becomes_0_2_is_a_correction_of_97_6() -> None:
    one = rebalance(
        1,
        planned=plan(now={"STR-A": "21.7", "STR-B": "18.3"}),
        ended=execution(plan_id_of(1), held={"STR-A": (12_024, 12_000), "STR-B": (11_976, 12_000)}),
    )
    drift = metrics_of([one]).drift_management
    assert drift.avg_drift_before_rebalance == Decimal("8.5")
    assert drift.avg_drift_after_rebalance == Decimal("0.2")
    assert drift.drift_correction_percent == Decimal("97.6")


# --- what counts ------------------------------------------------------------------------------------------


def test_nothing_at_all_is_unknown_and_not_zero() -> None:
    empty = metrics_of([])
    assert (empty.total_rebalances, empty.successful_rebalances) == (0, 0)
    assert (empty.run_period, empty.success_rate_percent) == (None, None)
    for section in (
        empty.improvements_achieved,
        empty.trading_costs,
        empty.drift_management,
        empty.limit_compliance,
    ):
        assert set(section.model_dump().values()) == {None}
    assert empty.helped.rate_percent is None
    assert {one.verdict for one in empty.success_metrics} == {"unknown"}
    assert empty.rebalances == ()


@pytest.mark.parametrize(
    ("status", "limits", "successful"),
    [
        ("committed", {}, True),
        ("committed", {"individual_max": "FAIL"}, False),
        ("committed", {"correlated_exposure": "NOT_EVALUATED"}, True),
        ("committed", {"total_deployed": "AWAITS_BOTS"}, True),
        ("reverted", {}, False),
    ],
)
def test_successful_is_committed_with_no_limit_broken(status: str, limits: dict, successful: bool) -> None:
    one = rebalance(1, ended=execution(plan_id_of(1), status=status, limits=limits))
    report = metrics_of([one])
    assert report.successful_rebalances == int(successful)
    assert report.by_mode["proportional"].model_dump() == {"triggered": 1, "successful": int(successful)}
    assert report.rebalances[0].successful is successful


@pytest.mark.parametrize("status", ["needs_operator", "closed"])
def test_what_was_left_to_a_person_was_begun_and_nothing_more_is_known_of_it(status: str) -> None:
    report = metrics_of([rebalance(1, status=status)])
    assert (report.total_rebalances, report.successful_rebalances) == (1, 0)
    assert report.success_rate_percent == 0
    assert report.limit_compliance.all_limits_respected is None
    assert report.limit_compliance.violations_post_rebalance is None
    line = report.rebalances[0]
    assert line.status == status
    assert (line.violations_after, line.total_cost_bps, line.helped) == (None, None, None)


def test_a_limit_that_was_not_evaluated_is_never_respected() -> None:
    respected = rebalance(1)
    unknown = rebalance(2, ended=execution(plan_id_of(2), limits={"correlated_exposure": "NOT_EVALUATED"}))
    broken = rebalance(3, ended=execution(plan_id_of(3), limits={"total_deployed": "FAIL"}))
    assert metrics_of([unknown]).limit_compliance.all_limits_respected is None
    assert metrics_of([respected, unknown]).limit_compliance.all_limits_respected == 100
    assert metrics_of([respected, unknown, broken]).limit_compliance.all_limits_respected == 50
    assert metrics_of([respected, unknown, broken]).limit_compliance.violations_post_rebalance == 1


@pytest.mark.parametrize(
    ("now", "clusters", "broken"),
    [
        ({"STR-A": 34, "STR-B": 20}, (), 0),
        ({"STR-A": 34, "STR-B": 20}, (("STR-A", "STR-B"),), 1),
        ({"STR-A": 41, "STR-B": 20}, (("STR-A", "STR-B"),), 3),
        ({"STR-A": 40, "STR-B": 20}, (), 0),
        ({"STR-A": "40.0001", "STR-B": "0.5"}, (), 2),
        ({"STR-A": 41, "STR-B": 42}, (), 2),
    ],
)
def test_limits_broken_before_are_those_of_the_plans_state(now: dict, clusters: tuple, broken: int) -> None:
    one = rebalance(1, planned=plan(now=now, clusters=clusters))
    assert metrics_of([one]).limit_compliance.violations_pre_rebalance == broken


def test_a_plan_that_does_not_say_its_limits_counts_no_violation_and_no_zero() -> None:
    one = rebalance(1, planned=plan(limits_bp={}))
    assert metrics_of([one]).limit_compliance.violations_pre_rebalance is None


def test_drift_is_of_rebalances_that_are_done() -> None:
    """Neither one that was taken back, nor one whose bots have yet to move their capital."""
    drifted = plan(now={"STR-A": 22, "STR-B": 18})
    reverted = rebalance(1, planned=drifted, status="reverted")
    waiting = rebalance(2, planned=drifted, ended=execution(plan_id_of(2), bots=["STR-A"]))
    assert set(metrics_of([reverted, waiting]).drift_management.model_dump().values()) == {None}
    done = rebalance(3, planned=drifted)
    drift = metrics_of([reverted, waiting, done]).drift_management
    assert (drift.avg_drift_before_rebalance, drift.avg_drift_after_rebalance) == (10, 0)
    assert drift.drift_correction_percent == 100


def test_without_drift_before_there_is_nothing_to_correct() -> None:
    assert metrics_of([rebalance(1)]).drift_management.drift_correction_percent is None


def test_costs_are_averaged_over_what_was_filled_taken_back_or_not() -> None:
    several = [
        rebalance(1, ended=execution(plan_id_of(1), bps=(20, 5))),
        rebalance(2, ended=execution(plan_id_of(2), bps=(40, 10), status="reverted")),
        rebalance(3, ended=execution(plan_id_of(3), bps=(None, None), status="reverted")),
    ]
    costs = metrics_of(several).trading_costs
    assert (costs.avg_slippage_bps, costs.avg_commissions_bps, costs.avg_total_cost_bps) == (
        30,
        Decimal("7.5"),
        Decimal("37.5"),
    )


# --- against one-liners -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_improvements_and_helped_against_one_line_formulas(seed: int) -> None:
    draw = random.Random(seed)
    count = draw.randint(1, 40)
    sides = [[round(draw.gauss(0, 1.5), 4) for _ in range(4)] for _ in range(count)]
    helped = [draw.random() < 0.6 for _ in range(count)]
    several = [
        rebalance(
            number,
            came=outcome(
                plan_id_of(number), sharpe=(one[0], one[1]), drawdown=(one[2], one[3]), helped=helped[number]
            ),
        )
        for number, one in enumerate(sides)
    ]
    report = metrics_of(several)
    table = np.array(sides)
    percent = 100 * (table[:, 0] - table[:, 1]) / np.maximum(np.abs(table[:, 1]), 0.1)
    achieved = report.improvements_achieved
    close = {"rel": 0.006, "abs": 0.051}  # what rounding for reading may move
    assert float(achieved.avg_sharpe_improvement) == pytest.approx(percent.mean(), **close)
    assert float(achieved.median_improvement_percent) == pytest.approx(np.median(percent), **close)
    assert float(achieved.avg_dd_improvement) == pytest.approx((table[:, 2] - table[:, 3]).mean(), **close)
    assert float(report.helped.rate_percent) == pytest.approx(100 * np.mean(helped), abs=0.051)
    assert (
        report.helped.low_percent < report.helped.rate_percent < report.helped.high_percent
        or len(set(helped)) == 1
    )


def test_ungraded_and_undefined_outcomes_are_no_improvement_of_zero() -> None:
    several = [
        rebalance(1, came=outcome(plan_id_of(1), graded=False, helped=None, sharpe=(9, 1))),
        rebalance(2, came=outcome(plan_id_of(2), helped=None, sharpe=(None, 1), drawdown=(None, None))),
        rebalance(3, came=outcome(plan_id_of(3), sharpe=("1.1", 1), drawdown=("-4.5", -5))),
    ]
    report = metrics_of(several)
    assert report.improvements_achieved.avg_sharpe_improvement == 10
    assert report.improvements_achieved.avg_dd_improvement == Decimal("0.5")
    assert (report.helped.graded, report.helped.helped) == (1, 1)
    assert [one.helped for one in report.rebalances] == [True, None, None]


def test_a_shadow_near_zero_does_not_make_an_improvement_explode() -> None:
    one = rebalance(1, came=outcome(plan_id_of(1), sharpe=("0.05", "0.001")))
    assert metrics_of([one]).improvements_achieved.avg_sharpe_improvement == 49


# --- which ones -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_order_in_which_they_come_does_not_matter(seed: int) -> None:
    several = mixed(random.Random(seed), 30)
    shuffled = random.Random(seed + 1).sample(several, len(several))
    assert canonical_bytes(metrics_of(several)) == canonical_bytes(metrics_of(shuffled))


def test_figures_are_of_the_last_fifty_alone() -> None:
    several = mixed(random.Random(7), 60)
    last = sorted(several, key=lambda one: one.at)[-50:]
    assert metrics_of(several) == metrics_of(last)
    assert metrics_of(several).total_rebalances == 50
    assert len(metrics_of(several).rebalances) == 50
    times = [line.at for line in metrics_of(several).rebalances]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("seed", range(3))
def test_a_report_reads_back_as_it_was_written(seed: int) -> None:
    report = metrics_of(mixed(random.Random(seed), 12))
    assert MetricsReport.model_validate_json(canonical_bytes(report)) == report


def mixed(draw: random.Random, count: int) -> list[Rebalance]:
    """Rebalances that ended in every way."""
    found = []
    for number in range(count):
        planned = plan(
            mode=draw.choice(("proportional", "risk_adjusted")), now={"STR-A": draw.randint(1, 45)}
        )
        at = START + timedelta(hours=draw.randint(0, 3000), minutes=number)
        status = draw.choice(("committed", "committed", "reverted", "closed"))
        came = None
        if status == "committed" and draw.random() < 0.7:
            came = outcome(
                plan_id_of(number),
                mode=planned.mode,
                sharpe=(round(draw.gauss(0, 1), 3), round(draw.gauss(0, 1), 3)),
                helped=draw.random() < 0.5,
                helps=round(draw.random(), 3),
                better=round(draw.random(), 3),
            )
        found.append(rebalance(number, at=at, planned=planned, status=status, came=came))
    return found


# --- figures ----------------------------------------------------------------------------------------------


@given(st.fractions(max_denominator=10**9).filter(lambda value: abs(value) > Fraction(1, 10**9)))
def test_a_figure_keeps_three_digits_and_never_becomes_a_zero_that_it_is_not(value: Fraction) -> None:
    rounded = figure(value)
    assert rounded is not None
    assert rounded != 0
    assert abs(Fraction(rounded) / value - 1) <= Fraction(5, 1000)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Fraction(0), "0"),
        (Fraction(100), "100"),
        (Fraction(100) * (1 - Fraction(2, 85)), "97.6"),
        (Fraction(342, 10_000), "0.0342"),
        (Fraction(-1, 3), "-0.333"),
        (Fraction(12_345_678, 1000), "12345.7"),
    ],
)
def test_figures_as_they_are_written(value: Fraction, shown: str) -> None:
    assert f"{figure(value):f}" == shown


def test_what_is_not_known_stays_unknown() -> None:
    assert figure(None) is None
