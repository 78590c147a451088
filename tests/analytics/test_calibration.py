"""Brier score, reliability, log odds, against one-liners and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binomtest

from portfolio_rebalance.analytics import (
    brier_score,
    log_odds,
    probability_of,
    reliability,
    wilson_interval,
)


def test_the_brier_score_is_the_mean_squared_error():
    p, came = [0.1, 0.5, 0.9, 1.0], [False, True, True, False]
    assert brier_score(p, came) == pytest.approx(float(np.mean((np.array(p) - np.array(came)) ** 2)))
    assert brier_score([], []) is None
    assert brier_score([0.5] * 7, [True] * 7) == 0.25


@given(st.integers(0, 40), st.integers(1, 40))
def test_the_wilson_interval_is_scipys(successes, more):
    trials = successes + more
    expected = binomtest(successes, trials).proportion_ci(0.9, method="wilson")
    assert wilson_interval(successes, trials, deviations=1.6448536269514722) == pytest.approx(expected)


@given(st.floats(0.01, 0.99))
def test_log_odds_are_scipys_and_lead_back(p):
    assert log_odds(p) == pytest.approx(float(logit(p)))
    assert probability_of(log_odds(p)) == pytest.approx(p)


@given(st.floats(-700, 700))
def test_a_probability_of_any_odds_is_one(odds):
    assert probability_of(odds) == pytest.approx(float(expit(odds)))


def test_certainty_is_kept_away_from_infinite_odds():
    assert log_odds(0.0) == log_odds(0.01)
    assert log_odds(1.0) == log_odds(0.99)


def test_every_prediction_stands_in_one_group_and_empty_groups_are_left_out():
    p = [0.0, 0.19, 0.2, 0.55, 0.8, 1.0]
    groups = reliability(p, [True, False, True, True, False, True])
    assert [(g.low, g.count) for g in groups] == [(0.0, 2), (0.2, 1), (0.4, 1), (0.8, 2)]
    assert sum(g.count for g in groups) == len(p)
    first = groups[0]
    assert (first.predicted, first.frequency) == (pytest.approx(0.095), 0.5)
    assert first.lower < 0.5 < first.upper
