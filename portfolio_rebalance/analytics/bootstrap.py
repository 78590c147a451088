"""Paired stationary bootstrap of a difference in Sharpe ratios (Politis & Romano 1994).

Both series are resampled on the same days, in blocks of geometric length, because a before and an after
that share most of their weights also share most of their noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np

from portfolio_rebalance.analytics.returns import Floats, Integers, Words

__all__ = ["SharpeDifference", "paired_sharpe_bootstrap", "splitmix64", "stationary_indices"]

_TIE: Final = 1e-9
_FLAT: Final = 1e-12


@dataclass(frozen=True, slots=True)
class SharpeDifference:
    """Distribution of (projected - baseline) annualised Sharpe ratio.

    Attributes:
        probability_better: Share of resamples above 0; one within 1e-9 of 0 counts half.
        low: 5 % quantile.
        median: 50 % quantile.
        high: 95 % quantile.
        resamples: How many resamples had a Sharpe ratio on both sides.
    """

    probability_better: float
    low: float
    median: float
    high: float
    resamples: int


def paired_sharpe_bootstrap(
    baseline: Floats,
    projected: Floats,
    *,
    rows: Integers,
    periods: int,
    risk_free_rate: float,
) -> SharpeDifference | None:
    """Resample both series on the same days and compare their Sharpe ratios.

    Args:
        baseline: Daily returns before, shape (days,).
        projected: Daily returns after, the same days.
        rows: The days of each resample, as :func:`stationary_indices` draws them. Comparing several changes
            on the same rows keeps the luck of the draw out of their comparison.
        periods: Days a year.
        risk_free_rate: Annual rate as a fraction.

    Returns:
        None if no resample has a defined ratio on both sides.
    """
    daily_rate = risk_free_rate / periods
    difference = (_ratios(projected[rows], daily_rate) - _ratios(baseline[rows], daily_rate)) * sqrt(periods)
    difference = difference[np.isfinite(difference)]
    if difference.size == 0:
        return None
    better = float(np.mean(np.where(np.abs(difference) <= _TIE, 0.5, difference > 0)))
    low, median, high = _quantiles(np.sort(difference), (0.05, 0.5, 0.95))
    return SharpeDifference(better, low, median, high, int(difference.size))


def stationary_indices(
    length: int, *, resamples: int, mean_block_days: float, seed: int, days: int | None = None
) -> Integers:
    """Row numbers, shape (resamples, days): circular blocks whose length is geometric.

    Args:
        length: Days of the series.
        resamples: Number of resamples.
        mean_block_days: Mean length of a block.
        seed: Of at least 128 bits, for two independent streams.
        days: Days of each resample; as many as the series has where None.
    """
    shape = (resamples, length if days is None else days)
    begins = (splitmix64(seed, shape[0] * shape[1]) >> np.uint64(11)).reshape(shape) < 2**53 / mean_block_days
    begins[:, 0] = True
    places = np.flatnonzero(begins)
    starts = (splitmix64(seed >> 64, places.size) % np.uint64(length)).astype(np.int64)
    # Inside a block, row minus place stays what it was where the block began.
    shifts = np.repeat(starts - places, np.diff(places, append=begins.size))
    rows: Integers = (shifts + np.arange(begins.size)).reshape(begins.shape)
    if shape[1] > length:
        return rows % length
    rows[rows >= length] -= length
    return rows


def splitmix64(seed: int, count: int) -> Words:
    """Pseudo-random 64-bit words (Steele, Lea & Flood 2014).

    numpy keeps the right to change the stream of its own generators from version to version; a plan's bytes
    must not change with it.
    """
    words = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    words += np.uint64(seed & 0xFFFFFFFFFFFFFFFF)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _quantiles(ordered: Floats, shares: tuple[float, ...]) -> tuple[float, ...]:
    """Linear interpolation between order statistics; numpy's own would import its masked arrays for this."""
    places = np.arange(ordered.size)
    return tuple(float(np.interp(share * (ordered.size - 1), places, ordered)) for share in shares)


def _ratios(samples: Floats, daily_rate: float) -> Floats:
    """Sharpe ratio per period of each row; NaN for a row without spread."""
    days = samples.shape[1]
    means = samples @ np.full(days, 1.0 / days)
    deviations = samples - means[:, None]
    spread = np.sqrt(np.einsum("ij,ij->i", deviations, deviations) / (days - 1))
    spread[spread <= _FLAT * np.abs(samples).max()] = np.nan
    ratios: Floats = (means - daily_rate) / spread
    return ratios
