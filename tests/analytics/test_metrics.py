"""Metrics against the golden table, against peers, and at their edges."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import empyrical
    import pandas as pd
    import quantstats

from portfolio_rebalance.analytics import (
    max_drawdown,
    non_flat,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
    total_return,
    volatility,
    win_rate,
)

GOLDEN_RETURNS = np.random.default_rng(20240229).normal(0.001, 0.02, (30, 5))
GOLDEN = {  # Sharpe, volatility, max drawdown, win rate, total return, PSR(0)
    "A": (-4.5732483501, 0.4606196410, -0.1988103633, 0.3333333333, -0.1665263281, 0.1049063634),
    "B": (-8.0700645712, 0.2909209850, -0.1788124283, 0.3666666667, -0.1788124283, 0.0109021069),
    "C": (1.0750075332, 0.4748064586, -0.0679641975, 0.5, 0.0336247880, 0.6209695959),
    "D": (-3.8870538794, 0.4124581756, -0.1474135465, 0.5, -0.1296872590, 0.1351434519),
    "E": (-1.8545566015, 0.4155379373, -0.1581669730, 0.3666666667, -0.0678497346, 0.3042627483),
}


@pytest.mark.parametrize("column", list(GOLDEN))
def test_golden_table(column: str) -> None:
    returns = GOLDEN_RETURNS[:, "ABCDE".index(column)]
    ours = (
        sharpe_ratio(returns, periods=365),
        volatility(returns, periods=365),
        max_drawdown(returns),
        win_rate(returns),
        total_return(returns),
        probabilistic_sharpe_ratio(returns),
    )
    assert ours == pytest.approx(GOLDEN[column], abs=1e-10)


def random_series(rng: np.random.Generator) -> np.ndarray:
    returns = rng.normal(rng.normal(0, 0.002), rng.uniform(0.001, 0.06), rng.integers(2, 120))
    returns[rng.random(returns.size) < rng.choice([0, 0.3])] = 0.0
    return np.maximum(returns, -0.99)


def test_peers_agree_on_a_thousand_random_series() -> None:
    rng = np.random.default_rng(4)
    compared = 0
    for _ in range(1000):
        returns = random_series(rng)
        if not np.any(returns) or returns.std() == 0:
            continue
        compared += 1
        assert sharpe_ratio(returns, periods=365) == pytest.approx(
            empyrical.sharpe_ratio(returns, annualization=365), rel=1e-10, abs=1e-10
        )
        assert volatility(returns, periods=365) == pytest.approx(
            empyrical.annual_volatility(returns, annualization=365), abs=1e-10
        )
        assert max_drawdown(returns) == pytest.approx(empyrical.max_drawdown(returns), abs=1e-10)
        assert total_return(returns) == pytest.approx(
            empyrical.cum_returns_final(returns), rel=1e-10, abs=1e-10
        )
    assert compared > 900


def test_a_second_peer_agrees_on_sharpe_drawdown_volatility_and_win_rate() -> None:
    rng = np.random.default_rng(5)
    days = pd.date_range("2024-01-01", periods=60)
    for _ in range(60):
        returns = rng.normal(0, 0.02, 60)  # a series with losses: the peer reads one without as prices
        returns[rng.integers(0, 60, 10)] = 0.0
        series = pd.Series(returns, index=days)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = (
                quantstats.stats.sharpe(series, periods=365),
                quantstats.stats.max_drawdown(series),
                quantstats.stats.volatility(series, periods=365),
                quantstats.stats.win_rate(series),
            )
        ours = (
            sharpe_ratio(returns, periods=365),
            max_drawdown(returns),
            volatility(returns, periods=365),
            win_rate(returns),
        )
        assert ours == pytest.approx(theirs, abs=1e-10)


def test_a_constant_series_has_no_sharpe_ratio_although_its_spread_is_not_exactly_zero() -> None:
    constant = np.full(30, 0.1)
    assert constant.std(ddof=1) > 0  # the trap: a peer reports 2.9e16
    assert sharpe_ratio(constant, periods=365) is None
    assert volatility(constant, periods=365) == 0.0
    assert probabilistic_sharpe_ratio(constant) is None


def test_a_non_negative_series_is_not_read_as_prices() -> None:
    gains = np.array([0.5, 1.2, 0.3])
    assert total_return(gains) == pytest.approx(1.5 * 2.2 * 1.3 - 1)
    assert max_drawdown(gains) == 0.0


def test_a_loss_on_the_first_day_is_a_drawdown() -> None:
    assert max_drawdown(np.array([-0.1, 0.05])) == pytest.approx(-0.1)


def test_risk_free_rate_is_charged_by_the_day() -> None:
    returns = np.array([0.01, -0.02, 0.03, 0.0])
    expected = (returns - 0.0365 / 365).mean() / returns.std(ddof=1) * np.sqrt(365)
    assert sharpe_ratio(returns, periods=365, risk_free_rate=0.0365) == pytest.approx(expected)


def test_flat_days_are_no_part_of_the_win_rate() -> None:
    returns = np.array([0.0, 0.01, -0.01, 0.02, 0.0])
    assert win_rate(returns) == pytest.approx(2 / 3)
    assert non_flat(returns).tolist() == [0.01, -0.01, 0.02]
    assert win_rate(np.zeros(5)) is None


@pytest.mark.parametrize("returns", [np.array([]), np.array([0.01])])
def test_too_little_data_is_undefined(returns: np.ndarray) -> None:
    assert sharpe_ratio(returns, periods=365) is None
    assert volatility(returns, periods=365) is None
    assert probabilistic_sharpe_ratio(returns) is None


def test_total_loss_stays_defined() -> None:
    assert max_drawdown(np.array([0.1, -1.0, 0.5])) == -1.0
    assert total_return(np.array([0.1, -1.0, 0.5])) == -1.0
