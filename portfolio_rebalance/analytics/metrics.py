"""Performance measures of one return series.

Simple daily returns as fractions, ``periods`` a year, standard deviation with ddof = 1. Input arrays hold
observations only (no NaN). Undefined is None, never 0 or infinity.
"""

from __future__ import annotations

from math import erfc, sqrt
from typing import Final

import numpy as np

from portfolio_rebalance.analytics.returns import Floats

__all__ = [
    "max_drawdown",
    "non_flat",
    "probabilistic_sharpe_ratio",
    "sharpe_ratio",
    "total_return",
    "volatility",
    "win_rate",
]

_FLAT: Final = 1e-12
"""Spread below this share of the largest return is rounding, not risk: a constant 0.1 has one of 1e-17."""


def _spread(returns: Floats) -> float | None:
    """Standard deviation (ddof = 1), or None if the series has no spread to speak of."""
    if returns.size < 2:
        return None
    spread = float(returns.std(ddof=1))
    return spread if spread > _FLAT * float(np.abs(returns).max()) else None


def sharpe_ratio(returns: Floats, *, periods: int, risk_free_rate: float = 0.0) -> float | None:
    """``mean(r - rf) / std(r) * sqrt(periods)`` (Sharpe 1994).

    Args:
        returns: Daily returns.
        periods: Days a year.
        risk_free_rate: Annual rate as a fraction; ``rf = risk_free_rate / periods`` a day.
    """
    spread = _spread(returns)
    if spread is None:
        return None
    return float(returns.mean() - risk_free_rate / periods) / spread * sqrt(periods)


def volatility(returns: Floats, *, periods: int) -> float | None:
    """``std(r) * sqrt(periods)``, as a fraction; 0 for a constant series, None below two observations."""
    if returns.size < 2:
        return None
    return (_spread(returns) or 0.0) * sqrt(periods)


def max_drawdown(returns: Floats) -> float | None:
    """Lowest ``v / cummax(v) - 1`` with equity 1 before the first day, so that a first-day loss counts."""
    if returns.size == 0:
        return None
    equity = np.concatenate(([1.0], np.cumprod(1.0 + returns)))
    return float((equity / np.maximum.accumulate(equity) - 1.0).min())


def win_rate(returns: Floats) -> float | None:
    """Share of positive days among non-flat days; None if every day is flat."""
    moved = non_flat(returns)
    return float((moved > 0).mean()) if moved.size else None


def total_return(returns: Floats) -> float | None:
    """Compounded return over the series, as a fraction."""
    return float(np.prod(1.0 + returns) - 1.0) if returns.size else None


def non_flat(returns: Floats) -> Floats:
    """The days on which something happened."""
    moved: Floats = returns[returns != 0]
    return moved


def probabilistic_sharpe_ratio(returns: Floats, *, benchmark: float = 0.0) -> float | None:
    """Probability that the true Sharpe ratio exceeds ``benchmark`` (Bailey & Lopez de Prado 2012).

    ``Phi((SR - SR*) sqrt(n - 1) / sqrt(1 - skew SR + (kurt - 1) SR^2 / 4))`` with SR and SR* per period,
    population skewness and (non-excess) kurtosis.

    Args:
        returns: Daily returns.
        benchmark: SR*, per period.
    """
    spread = _spread(returns)
    if spread is None:
        return None
    ratio = float(returns.mean()) / spread
    deviation = returns - returns.mean()
    deviation = deviation / float(np.sqrt(np.mean(deviation**2)))
    skewness, kurtosis = float(np.mean(deviation**3)), float(np.mean(deviation**4))
    variance = 1 - skewness * ratio + (kurtosis - 1) * ratio**2 / 4
    if not (variance > 0):
        return None
    deviations = (ratio - benchmark) * sqrt(returns.size - 1) / sqrt(variance)
    return 0.5 * erfc(-deviations / sqrt(2.0))  # the normal distribution function
