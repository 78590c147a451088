"""What the next days may bring: a predictive distribution for two portfolios that are held.

The history is itself one sample, so it is resampled first and the days are drawn from that resample (a double
bootstrap, both times in the blocks of Politis & Romano 1994). Both portfolios live through the same days.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np

from portfolio_rebalance.analytics.bootstrap import stationary_indices
from portfolio_rebalance.analytics.holding import held_returns
from portfolio_rebalance.analytics.returns import Floats, Integers

__all__ = ["COVERAGE", "DayOutlook", "Interval", "coverage_of", "day_rows", "outlook", "running_metrics"]

COVERAGE: Final = 0.9
"""Of the central interval."""

_TAIL: Final = 0.05
_DRAWS_EACH: Final = 5
_TIE: Final = 1e-9
_FLAT: Final = 1e-12
_LEAST_DEFINED: Final = 0.5
"""Share of the draws in which a measure must be defined to be predicted at all."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The central 90 % of a predictive distribution.

    Attributes:
        low: 5 % quantile, a value that was drawn.
        median: 50 % quantile.
        high: 95 % quantile.
        low_weight: Share of the chance of exactly ``low`` that belongs inside.
        high_weight: Of exactly ``high``.
    """

    low: float
    median: float
    high: float
    low_weight: float
    high_weight: float


@dataclass(frozen=True, slots=True)
class DayOutlook:
    """What is predicted of the first ``days`` days; None where a measure is undefined for so few.

    Attributes:
        sharpe_ratio: Annualised.
        max_drawdown: Fraction, 0 or negative.
        win_rate: Share of positive days among those that moved.
        total_return: Fraction.
        probability_better: That the Sharpe ratio after cost is above that of the portfolio nobody traded.
    """

    days: int
    sharpe_ratio: Interval | None
    max_drawdown: Interval | None
    win_rate: Interval | None
    total_return: Interval | None
    probability_better: float | None


def outlook(
    history: Floats,
    *,
    before: Floats,
    after: Floats,
    cost: float,
    rows: Integers,
    periods: int,
    risk_free_rate: float,
) -> tuple[DayOutlook, ...]:
    """Predict a rebalanced portfolio, beside the one that nobody trades.

    Args:
        history: Daily returns of every strategy held before or after, shape (T, strategies), without NaN.
        before: Weights as they are, fractions of total capital, shape (strategies,).
        after: Weights as they will be.
        cost: What the change costs, as a fraction of total capital.
        rows: Rows of ``history``, shape (draws, days), as :func:`day_rows` draws them.
        periods: Days a year.
        risk_free_rate: Annual rate as a fraction.

    Returns:
        One entry for each number of days from 1.
    """
    drawn = history[rows]
    traded = held_returns(drawn, weights=after, cost=cost)
    untraded = held_returns(drawn, weights=before)
    found = []
    for days in range(1, rows.shape[1] + 1):
        ratio, drawdown, wins, total = running_metrics(
            traded[:, :days], periods=periods, risk_free_rate=risk_free_rate
        )
        other = running_metrics(untraded[:, :days], periods=periods, risk_free_rate=risk_free_rate)[0]
        found.append(
            DayOutlook(
                days=days,
                sharpe_ratio=_interval(ratio),
                max_drawdown=_interval(drawdown),
                win_rate=_interval(wins),
                total_return=_interval(total),
                probability_better=_share_above(ratio - other),
            )
        )
    return tuple(found)


def day_rows(length: int, *, days: int, draws: int, mean_block_days: float, seed: int) -> Integers:
    """Rows of a history of ``length`` days, shape (draws, days): each drawn from a resample of it.

    Args:
        length: Days of the history.
        days: Days of each draw.
        draws: How many, a multiple of 5; so many share one resample.
        mean_block_days: Mean length of a block.
        seed: Of at least 256 bits, for four independent streams.
    """
    resampled = stationary_indices(
        length, resamples=draws // _DRAWS_EACH, mean_block_days=mean_block_days, seed=seed
    )
    within = stationary_indices(
        length, resamples=draws, mean_block_days=mean_block_days, seed=seed >> 128, days=days
    )
    rows: Integers = np.take_along_axis(np.repeat(resampled, _DRAWS_EACH, axis=0), within, axis=1)
    return rows


def running_metrics(
    returns: Floats, *, periods: int, risk_free_rate: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Sharpe ratio, drawdown, win rate and return of each row; NaN where undefined.

    The definitions are those of :mod:`.metrics`, for many series at once.

    Args:
        returns: Daily returns, shape (series, days).
        periods: Days a year.
        risk_free_rate: Annual rate as a fraction.
    """
    days = returns.shape[1]
    value: Floats = np.cumprod(1.0 + returns, axis=1, dtype=np.float64)
    peak = np.maximum(np.maximum.accumulate(value, axis=1), 1.0)
    drawdown = np.min(value / peak - 1.0, axis=1)
    moved = (returns != 0).sum(axis=1)
    wins: Floats = np.where(moved > 0, (returns > 0).sum(axis=1) / np.maximum(moved, 1), np.nan)
    ratio: Floats = np.full(returns.shape[0], np.nan)
    if days > 1:
        mean = returns.mean(axis=1)
        spread = returns.std(axis=1, ddof=1)
        lively = spread > _FLAT * np.abs(returns).max(axis=1)
        excess = mean[lively] - risk_free_rate / periods
        ratio[lively] = excess / spread[lively] * sqrt(periods)
    total: Floats = value[:, -1] - 1.0
    return ratio, drawdown, wins, total


def coverage_of(value: float, interval: Interval) -> float:
    """How far a realised value lies inside: 1, 0, or an end's own share.

    In the mean it is the coverage of the interval, for counts as well as for continuous measures: the
    non-randomised form of the probability integral transform (Czado, Gneiting & Held 2009).
    """
    if interval.low < value < interval.high:
        return 1.0
    if value == interval.low:
        return interval.low_weight
    return interval.high_weight if value == interval.high else 0.0


def _interval(values: Floats) -> Interval | None:
    defined = np.sort(values[~np.isnan(values)])
    if defined.size < _LEAST_DEFINED * values.size:
        return None
    place = int(_TAIL * defined.size)
    low, median, high = (float(defined[at]) for at in (place, defined.size // 2, -1 - place))
    below_low, upto_low = _shares(defined, low)
    below_high, upto_high = _shares(defined, high)
    if upto_low > below_high:  # one value has all of the middle
        weight = min(1.0, COVERAGE / (upto_low - below_low))
        return Interval(low, median, high, weight, weight)
    return Interval(
        low,
        median,
        high,
        min(1.0, max(0.0, (upto_low - _TAIL) / (upto_low - below_low))),
        min(1.0, max(0.0, (1 - _TAIL - below_high) / (upto_high - below_high))),
    )


def _shares(ordered: Floats, value: float) -> tuple[float, float]:
    """Share of the values below one, and up to it; rounding must not tell apart what is one value."""
    below = np.searchsorted(ordered, value - _TIE, side="left")
    upto = np.searchsorted(ordered, value + _TIE, side="right")
    return float(below) / ordered.size, float(upto) / ordered.size


def _share_above(difference: Floats) -> float | None:
    defined = difference[~np.isnan(difference)]
    if defined.size < _LEAST_DEFINED * difference.size:
        return None
    return float(np.mean(np.where(np.abs(defined) <= _TIE, 0.5, defined > 0)))
