"""A predictive distribution of two portfolios that are held, and how its interval counts what came true."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_rebalance.analytics import (
    coverage_of,
    day_rows,
    held_returns,
    max_drawdown,
    outlook,
    running_metrics,
    sharpe_ratio,
    stationary_indices,
    total_return,
    win_rate,
)
from portfolio_rebalance.analytics.outlook import _interval

SEED = int.from_bytes(b"a seed of two hundred and fifty six bits", "big")


def random_returns(days: int, strategies: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.001, 0.03, (days, strategies))


def value_by_hand(returns: np.ndarray, weights: list[float], cost: float) -> list[float]:
    amounts, cash = list(weights), 1 - sum(weights) - cost
    values = [1.0]
    for row in returns:
        amounts = [amount * (1 + change) for amount, change in zip(amounts, row, strict=True)]
        values.append(cash + sum(amounts))
    return [after / before - 1 for before, after in pairwise(values)]


def test_a_portfolio_that_is_held_drifts_as_one_would_count_by_hand():
    returns = random_returns(9, 3)
    held = held_returns(returns, weights=np.array([0.3, 0.2, 0.1]), cost=0.004)
    assert held == pytest.approx(value_by_hand(returns, [0.3, 0.2, 0.1], 0.004), abs=1e-12)


def test_cash_earns_nothing_and_a_cost_is_lost_on_the_first_day():
    held = held_returns(np.zeros((3, 1)), weights=np.array([0.5]), cost=0.01)
    assert held == pytest.approx([-0.01, 0, 0], abs=1e-15)


def test_what_is_lost_wholly_stays_lost():
    held = held_returns(np.array([[-1.0], [0.5]]), weights=np.array([1.0]))
    assert list(held) == [-1.0, 0.0]


def test_many_series_are_measured_as_each_is_alone():
    returns = np.concatenate([random_returns(7, 50).T, np.zeros((1, 7)), np.full((1, 7), 0.01)])
    ratio, drawdown, wins, total = running_metrics(returns, periods=365, risk_free_rate=0.02)
    for place, row in enumerate(returns):
        alone = sharpe_ratio(row, periods=365, risk_free_rate=0.02)
        assert ratio[place] == pytest.approx(alone, abs=1e-9) if alone is not None else np.isnan(ratio[place])
        assert drawdown[place] == pytest.approx(max_drawdown(row), abs=1e-12)
        alone = win_rate(row)
        assert wins[place] == alone if alone is not None else np.isnan(wins[place])
        assert total[place] == pytest.approx(total_return(row), abs=1e-12)


def test_rows_come_from_the_history_and_from_the_seed_alone():
    rows = day_rows(40, days=7, draws=1000, mean_block_days=3.0, seed=SEED)
    assert rows.shape == (1000, 7)
    assert (rows.min(), rows.max()) == (0, 39)
    assert (rows == day_rows(40, days=7, draws=1000, mean_block_days=3.0, seed=SEED)).all()
    assert (rows != day_rows(40, days=7, draws=1000, mean_block_days=3.0, seed=SEED + 1)).any()


def test_more_days_than_the_history_has_are_drawn_from_it_all_the_same():
    rows = stationary_indices(5, resamples=50, mean_block_days=9.0, seed=SEED, days=30)
    assert (rows.shape, rows.min(), rows.max()) == ((50, 30), 0, 4)


def predicted(history: np.ndarray, before: list[float], after: list[float], cost: float = 0.0):
    return outlook(
        history,
        before=np.array(before),
        after=np.array(after),
        cost=cost,
        rows=day_rows(len(history), days=7, draws=1000, mean_block_days=3.0, seed=SEED),
        periods=365,
        risk_free_rate=0.0,
    )


def test_what_does_not_change_is_as_likely_to_be_better_as_worse():
    assert {day.probability_better for day in predicted(random_returns(60, 2), [0.3, 0.2], [0.3, 0.2])} == {
        None,  # a Sharpe ratio of one day
        0.5,
    }


def test_a_cost_alone_makes_it_worse_unless_it_evens_out_the_first_day():
    *_, last = predicted(random_returns(60, 2), [0.3, 0.2], [0.3, 0.2], cost=0.001)
    assert last.probability_better < 0.05


def test_one_day_has_no_sharpe_ratio_and_a_flat_portfolio_has_neither_that_nor_a_win_rate():
    first, *_, last = predicted(random_returns(60, 2), [0.3, 0.2], [0.3, 0.2])
    assert first.sharpe_ratio is None
    assert first.total_return is not None
    assert last.sharpe_ratio is not None
    *_, flat = predicted(np.zeros((60, 2)), [0.3, 0.2], [0.3, 0.2])
    assert (flat.sharpe_ratio, flat.win_rate) == (None, None)
    assert flat.max_drawdown is not None
    assert (flat.max_drawdown.low, flat.max_drawdown.high) == (0, 0)


def test_intervals_widen_with_the_days():
    days = predicted(random_returns(90, 2), [0.3, 0.2], [0.2, 0.2])
    widths = [day.total_return.high - day.total_return.low for day in days]
    assert widths == sorted(widths)


@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=20, max_size=200)
    | st.lists(st.floats(-1, 1, allow_nan=False, width=16), min_size=100, max_size=300)
)
def test_an_interval_holds_nine_tenths_of_its_own_distribution_also_where_values_repeat(values):
    interval = _interval(np.array(values))
    share = sum(coverage_of(value, interval) for value in values) / len(values)
    assert share == pytest.approx(0.9, abs=2 / len(values))
