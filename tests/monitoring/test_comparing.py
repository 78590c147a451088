"""Realised against projected and against the portfolio that nobody traded."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from watches import COMMITTED, CONFIG, A, B, a_prediction, a_range, a_watch, table

from portfolio_rebalance.analytics import max_drawdown, sharpe_ratio
from portfolio_rebalance.monitoring.comparing import compare, cost_check

NAN = float("nan")
DAYS = [[0.01, -0.02], [-0.03, 0.01], [0.02, 0.02]]


def by_metric(comparisons):
    return {one.metric: one for one in comparisons.metrics}


def held(weights, rows, cost=0.0):
    """Daily returns of a portfolio that is held, counted by hand."""
    amounts, cash, value, found = list(weights), 1 - sum(weights) - cost, 1.0, []
    for row in rows:
        amounts = [one * (1 + change) for one, change in zip(amounts, row, strict=True)]
        found.append((cash + sum(amounts)) / value - 1)
        value = cash + sum(amounts)
    return found


def test_realised_pays_the_actual_cost_and_the_shadow_pays_nothing():
    import numpy as np

    found = by_metric(compare(a_watch(a_prediction()), returns=table(DAYS), days=3, config=CONFIG))
    realised = np.array(held([0.2, 0.2], DAYS, cost=0.0008))
    shadow = np.array(held([0.4, 0.2], DAYS))
    assert float(found["return"].realised) == pytest.approx(100 * (np.prod(1 + realised) - 1), rel=1e-5)
    assert float(found["return"].shadow) == pytest.approx(100 * (np.prod(1 + shadow) - 1), rel=1e-5)
    assert float(found["sharpe_ratio"].realised) == pytest.approx(
        sharpe_ratio(realised, periods=365), rel=1e-5
    )
    assert float(found["max_drawdown"].shadow) == pytest.approx(100 * max_drawdown(shadow), rel=1e-5)
    assert found["win_rate"].realised == Decimal("0.333333")


def test_divergence_is_relative_to_the_projection_and_never_to_less_than_the_floor():
    ranges = {"return": a_range("-9", "2", "9"), "win_rate": a_range("0", "0", "1")}
    watch = a_watch(a_prediction(ranges=ranges))
    found = by_metric(compare(watch, returns=table(DAYS), days=3, config=CONFIG))
    realised = found["return"].realised
    assert found["return"].divergence_percent == pytest.approx(100 * (realised - 2) / 2, rel=Decimal("1e-5"))
    assert found["win_rate"].divergence_percent == pytest.approx(
        100 * Decimal("0.333333") / Decimal("0.01"), rel=Decimal("1e-5")
    )


@pytest.mark.parametrize(
    ("low", "median", "high", "verdict"),
    [
        ("-9", "0.2", "9", "within_uncertainty"),
        ("0.1", "0.2", "9", "alert"),
        ("-9", "0.2", "-1", "alert"),
    ],
)
def test_only_what_is_beyond_the_threshold_and_outside_of_the_interval_alerts(low, median, high, verdict):
    watch = a_watch(a_prediction(ranges={"return": a_range(low, median, high)}))
    assert by_metric(compare(watch, returns=table(DAYS), days=3, config=CONFIG))["return"].verdict == verdict


def test_what_is_within_the_threshold_is_small_wherever_the_interval_is():
    realised = by_metric(compare(a_watch(a_prediction()), returns=table(DAYS), days=3, config=CONFIG))[
        "return"
    ].realised
    near = a_range("7", str(realised * Decimal("1.05")), "9")
    watch = a_watch(a_prediction(ranges={"return": near}))
    assert by_metric(compare(watch, returns=table(DAYS), days=3, config=CONFIG))["return"].verdict == "small"


def test_a_day_without_a_return_of_every_strategy_is_left_out_and_said():
    holes = [DAYS[0], [NAN, 0.01], DAYS[2]]
    found = compare(a_watch(a_prediction()), returns=table(holes), days=3, config=CONFIG)
    assert (found.days, found.observations, found.missing) == (3, 2, (A,))
    without = compare(a_watch(a_prediction()), returns=table([DAYS[0], DAYS[2]]), days=2, config=CONFIG)
    assert [one.realised for one in found.metrics] == [one.realised for one in without.metrics]


def test_days_that_the_table_does_not_reach_are_missing_and_later_ones_do_not_count():
    watch = a_watch(a_prediction())
    short = compare(watch, returns=table(DAYS[:2]), days=3, config=CONFIG)
    assert (short.observations, short.missing) == (2, (A, B))
    longer = table([*DAYS, [0.5, 0.5]])
    assert compare(watch, returns=longer, days=3, config=CONFIG) == compare(
        watch, returns=table(DAYS), days=3, config=CONFIG
    )
    assert compare(watch, returns=table(DAYS), days=0, config=CONFIG).observations == 0


def test_before_the_first_day_has_closed_nothing_is_defined():
    found = compare(a_watch(a_prediction()), returns=table([DAYS[0]]), days=0, config=CONFIG)
    assert {one.verdict for one in found.metrics} == {"undefined"}
    assert found.ahead_of_shadow is None


def test_the_first_day_that_counts_is_the_one_after_the_batch():
    watch = a_watch(a_prediction())
    closes = COMMITTED.replace(hour=0, minute=0) + timedelta(days=2)
    assert watch.days_until(COMMITTED) == 0
    assert watch.days_until(closes - timedelta(seconds=1)) == 0
    assert watch.days_until(closes) == 1
    assert watch.days_until(closes + timedelta(days=400)) == 3
    assert watch.ends_at == closes + timedelta(days=2)
    assert watch.last_day == COMMITTED.date() + timedelta(days=3)


def test_ahead_of_the_shadow_is_by_the_sharpe_ratio_after_cost():
    found = compare(a_watch(a_prediction()), returns=table(DAYS), days=3, config=CONFIG)
    ratio = by_metric(found)["sharpe_ratio"]
    assert found.ahead_of_shadow is (ratio.realised > ratio.shadow)
    dear = compare(
        a_watch(a_prediction(), actual_cost=Decimal(400)), returns=table(DAYS), days=3, config=CONFIG
    )
    assert dear.ahead_of_shadow is False


def test_two_portfolios_that_do_equally_well_are_a_tie_and_no_defeat():
    held = {A: Decimal(400), B: Decimal(200)}  # as before the batch, and it cost nothing
    same = a_watch(a_prediction(), capitals=held, actual_cost=Decimal(0))
    found = compare(same, returns=table(DAYS), days=3, config=CONFIG)
    assert by_metric(found)["sharpe_ratio"].realised == by_metric(found)["sharpe_ratio"].shadow
    assert found.ahead_of_shadow is None


def test_without_a_prediction_nothing_is_compared():
    found = compare(a_watch(None), returns=table(DAYS), days=3, config=CONFIG)
    assert {one.verdict for one in found.metrics} == {"undefined"}
    assert by_metric(found)["return"].realised is not None


def test_a_cost_has_an_interval_only_after_ten_earlier_batches():
    watch = a_watch(a_prediction())
    few = cost_check(watch, earlier_bps=[Decimal(30)] * 9, config=CONFIG)
    assert (few.verdict, few.low) == ("not_judged", None)
    assert few.divergence_percent == Decimal("33.3333")
    many = cost_check(watch, earlier_bps=[Decimal(30)] * 10, config=CONFIG)
    assert (many.verdict, many.low, many.high) == ("alert", Decimal(30), Decimal(30))
    wide = cost_check(watch, earlier_bps=[Decimal(20), *[Decimal(30)] * 9, Decimal(50)], config=CONFIG)
    assert wide.verdict == "within_uncertainty"
    assert cost_check(a_watch(None), earlier_bps=[], config=CONFIG).verdict == "undefined"


def test_an_interval_of_costs_leaves_out_as_many_below_as_above():
    found = cost_check(a_watch(None), earlier_bps=[Decimal(bps) for bps in range(1, 21)], config=CONFIG)
    assert (found.low, found.high) == (2, 19)
