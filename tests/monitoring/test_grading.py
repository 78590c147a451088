"""An outcome is the same whoever grades it when, and grades only what can be compared."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from watches import CONFIG, a_prediction, a_range, a_watch, table

from portfolio_rebalance.monitoring.comparing import compare, cost_check
from portfolio_rebalance.monitoring.grading import PATIENCE, graded_at, outcome_of
from portfolio_rebalance.monitoring.learning import WITHIN, causes_by_rules, diverged
from portfolio_rebalance.records import METRICS

NAN = float("nan")
DAYS = [[0.01, -0.02], [-0.03, 0.01], [0.02, 0.02]]


def graded(watch, rows=DAYS):
    realised = compare(watch, returns=table(rows), days=3, config=CONFIG)
    cost = cost_check(watch, earlier_bps=[], config=CONFIG)
    return outcome_of(watch, at=watch.ends_at, realised=realised, cost=cost)


def test_a_watch_is_graded_when_its_days_are_over_and_their_returns_are_there():
    watch = a_watch(a_prediction())
    before, ends = watch.ends_at - timedelta(seconds=1), watch.ends_at
    assert graded_at(watch, at=before, observations=3, goes_on=True) is None
    assert graded_at(watch, at=ends, observations=3, goes_on=False) == ends
    assert graded_at(watch, at=ends + timedelta(days=99), observations=3, goes_on=True) == ends


def test_missing_returns_are_waited_for_and_not_for_ever():
    watch = a_watch(a_prediction())
    late = watch.ends_at + PATIENCE
    assert graded_at(watch, at=late - timedelta(seconds=1), observations=2, goes_on=True) is None
    assert graded_at(watch, at=late + timedelta(days=9), observations=2, goes_on=True) == late


def test_nothing_is_given_up_while_no_feed_shows_that_the_days_have_passed():
    watch = a_watch(a_prediction())
    year_ahead = watch.ends_at + timedelta(days=365)
    assert graded_at(watch, at=year_ahead, observations=2, goes_on=False) is None
    assert graded_at(watch, at=year_ahead, observations=3, goes_on=False) == watch.ends_at


def test_coverage_counts_whole_inside_and_by_share_at_an_end():
    watch = a_watch(a_prediction())
    realised = {one.metric: one.realised for one in graded(watch).realised.metrics}
    end = a_range(str(realised["win_rate"]), "0.5", "1").model_copy(update={"low_weight": Decimal("0.25")})
    ranges = {
        "return": a_range("-9", "0", "9"),
        "max_drawdown": a_range("-0.01", "0", "0"),
        "win_rate": end,
        "sharpe_ratio": None,
    }
    assert dict(graded(a_watch(a_prediction(ranges=ranges))).covered) == {
        "return": 1,
        "max_drawdown": 0,
        "win_rate": Decimal("0.25"),
        "sharpe_ratio": None,
    }


@pytest.mark.parametrize(
    ("watch", "rows", "reason"),
    [
        (a_watch(None), DAYS, "without a prediction"),
        (a_watch(a_prediction(), waiting_for_bots={"STR-A"}), DAYS, "not confirmed"),
        (a_watch(a_prediction(), confirmed_late={"STR-A"}), DAYS, "confirmed late"),
        (a_watch(a_prediction()), [DAYS[0], [NAN, NAN], [NAN, 0.0]], "only 1 of 3 days"),
    ],
)
def test_what_cannot_be_compared_is_not_graded_and_says_why(watch, rows, reason):
    outcome = graded(watch, rows)
    assert not outcome.graded
    assert reason in outcome.reason
    assert (outcome.helped, outcome.probability_helps) == (None, None)
    assert set(outcome.covered.values()) == {None}


def test_what_stayed_inside_is_chance_whatever_could_be_told():
    outcome = graded(a_watch(a_prediction(ranges=dict.fromkeys(METRICS, a_range("-99", "0.1", "99")))))
    assert diverged(outcome) == ()
    (learned,) = causes_by_rules(outcome)
    assert (learned.cause, learned.source) == ("chance", "rules")
    assert WITHIN in learned.text


def test_code_names_a_cause_only_where_it_can_show_one():
    outside = a_watch(a_prediction(ranges={"return": a_range("50", "60", "70")}))
    outcome = graded(outside)
    assert diverged(outcome) == ("return",)
    assert causes_by_rules(outcome) == ()
    holes = graded(a_watch(a_prediction()), [DAYS[0], [NAN, 0.01], DAYS[2]])
    assert [one.cause for one in causes_by_rules(holes)] == ["data_fault"]
    realised = compare(outside, returns=table(DAYS), days=3, config=CONFIG)
    cost = cost_check(outside, earlier_bps=[Decimal(30)] * 10, config=CONFIG)
    dear = outcome_of(outside, at=outside.ends_at, realised=realised, cost=cost)
    assert diverged(dear) == ("return", "cost")
    assert [one.cause for one in causes_by_rules(dear)] == ["execution_cost"]
