"""A thousand random inputs against each peer, to ten digits."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pandas as pd
    import quantstats
    from skfolio.optimization import InverseVolatility

from portfolio_rebalance.allocation import Limits, Situation, find_mode
from portfolio_rebalance.analytics import max_drawdown, sharpe_ratio, volatility, win_rate

INPUTS = 1_000


@pytest.mark.proof
def test_quantstats_agrees_on_sharpe_drawdown_volatility_and_win_rate() -> None:
    rng = np.random.default_rng(50)
    for _ in range(INPUTS):
        days = int(rng.integers(5, 120))
        returns = np.maximum(rng.normal(0, rng.uniform(0.001, 0.08), days), -0.99)
        returns[rng.random(days) < rng.choice([0, 0.3])] = 0.0
        if not (returns < 0).any():
            continue  # the peer reads a series without losses as prices
        series = pd.Series(returns, index=pd.date_range("2024-01-01", periods=days))
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
        assert ours == pytest.approx(theirs, rel=1e-10, abs=1e-10)


@pytest.mark.proof
def test_skfolio_agrees_on_inverse_volatility() -> None:
    rng = np.random.default_rng(51)
    mode = find_mode("risk_adjusted")
    uncapped = Limits(individual_max_bp=10_000)
    for _ in range(INPUTS):
        count = int(rng.integers(2, 12))
        values = rng.normal(0, rng.uniform(0.001, 0.08, count), (int(rng.integers(20, 90)), count))
        ids = [f"S{place:02}" for place in range(count)]
        vols = {key: volatility(values[:, place], periods=365) for place, key in enumerate(ids)}
        start = dict.fromkeys(ids, Fraction(6000, count))
        wishes = mode.propose(Situation(start_bp=start, volatilities=vols, limits=uncapped)).wishes_bp
        peer = InverseVolatility().fit(values).weights_
        assert np.abs([float(wishes[key] / 6000) for key in ids] - peer).max() <= 1e-10
