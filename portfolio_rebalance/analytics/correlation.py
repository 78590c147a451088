"""Pairwise-complete Pearson correlation, its interval, and what can be wrong with it.

Pearson on raw returns, not shrunk: shrinkage pulls a true 0.8 at thirty observations to about 0.65, under
the threshold it should cross. Sums over the common days of every pair come from masked matrix products;
where a difference of such sums would cancel, the pair is computed again in two passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atanh, inf, sqrt, tanh
from typing import Final

import numpy as np

from portfolio_rebalance.analytics.returns import Flags, Floats, Integers

__all__ = ["PairwiseCorrelation", "correlate", "duplicated", "fisher_interval", "lagged", "self_correlate"]

_CANCELLATION: Final = 1e-5
_Z95: Final = 1.96


@dataclass(frozen=True, slots=True)
class PairwiseCorrelation:
    """Correlation of every left column with every right column.

    Attributes:
        rho: Shape (left, right), in [-1, 1]; NaN where there are too few common days or a constant series.
        observations: Common days of each pair.
        constant: Whether either series is constant over the common days.
    """

    rho: Floats
    observations: Integers
    constant: Flags


def correlate(left: Floats, right: Floats, *, min_observations: int) -> PairwiseCorrelation:
    """Pearson correlation over the days on which both columns have a value.

    Args:
        left: Shape (days, n); NaN is missing.
        right: Shape (days, m), the same days.
        min_observations: Fewer common days give NaN.
    """
    x, has_x = _standardised(left)
    y, has_y = _standardised(right)
    n = has_x.T @ has_y
    with np.errstate(divide="ignore", invalid="ignore"):
        sum_x, sum_y = x.T @ has_y, has_x.T @ y
        square_x, square_y = (x * x).T @ has_y, has_x.T @ (y * y)
        spread_x = square_x - sum_x * sum_x / n
        spread_y = square_y - sum_y * sum_y / n
        rho = (x.T @ y - sum_x * sum_y / n) / np.sqrt(spread_x * spread_y)
    constant = np.zeros(rho.shape, dtype=bool)
    unsure = ~((spread_x > _CANCELLATION * square_x) & (spread_y > _CANCELLATION * square_y))
    for i, j in zip(*np.nonzero(unsure), strict=True):
        common = (has_x[:, i] > 0) & (has_y[:, j] > 0)
        rho[i, j], constant[i, j] = _two_pass(left[common, i], right[common, j])
    rho = np.clip(rho, -1.0, 1.0)
    rho[n < min_observations] = np.nan
    return PairwiseCorrelation(rho=rho, observations=n.astype(np.int64), constant=constant)


def self_correlate(values: Floats, *, min_observations: int) -> PairwiseCorrelation:
    """:func:`correlate` of a table with itself: symmetric, and exactly 1 on the diagonal where defined."""
    found = correlate(values, values, min_observations=min_observations)
    upper = np.triu(found.rho, 1)
    rho = upper + upper.T
    diagonal = np.diagonal(found.rho)
    np.fill_diagonal(rho, np.where(np.isnan(diagonal), np.nan, 1.0))
    return PairwiseCorrelation(rho=rho, observations=found.observations, constant=found.constant)


def lagged(values: Floats, *, min_observations: int) -> PairwiseCorrelation:
    """Correlation of each column on day t with each column on day t + 1; rows are consecutive days."""
    return correlate(values[:-1], values[1:], min_observations=min_observations)


def fisher_interval(rho: float, observations: int) -> tuple[float, float]:
    """95 % interval ``tanh(atanh r +- 1.96 / sqrt(n - 3))`` (Fisher 1921)."""
    if observations <= 3:
        return -1.0, 1.0
    if abs(rho) >= 1.0:
        return rho, rho
    centre = atanh(rho)
    half = _Z95 / sqrt(observations - 3)
    return tanh(centre - half), tanh(centre + half)


def duplicated(left: Floats, right: Floats, *, min_observations: int) -> bool:
    """Whether two columns are the same series: equal, and not constant, on at least that many common days."""
    common = ~(np.isnan(left) | np.isnan(right))
    a, b = left[common], right[common]
    return bool(a.size >= min_observations and np.array_equal(a, b) and a.max() != a.min())


def _standardised(values: Floats) -> tuple[Floats, Floats]:
    """Columns centred and scaled for accuracy, holes as 0, and the mask of what is there (1.0 or 0.0)."""
    there = ~np.isnan(values)
    counts = np.maximum(there.sum(axis=0), 1)
    filled = np.where(there, values, 0.0)
    centred = np.where(there, filled - filled.sum(axis=0) / counts, 0.0)
    scale = np.abs(centred).max(axis=0, initial=0.0)
    return centred / np.where(scale > 0, scale, 1.0), there.astype(np.float64)


def _two_pass(x: Floats, y: Floats) -> tuple[float, bool]:
    if x.size < 2:
        return np.nan, False
    if x.max() == x.min() or y.max() == y.min():
        return np.nan, True
    dx, dy = x - x.mean(), y - y.mean()
    dx, dy = dx / np.abs(dx).max(initial=-inf), dy / np.abs(dy).max(initial=-inf)
    return float(dx @ dy / sqrt(float(dx @ dx) * float(dy @ dy))), False
