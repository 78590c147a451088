"""Correlation against pandas, the exact value of hard pairs, and what data gets wrong."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import isqrt

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components as scipy_components

from portfolio_rebalance.analytics import (
    connected_components,
    correlate,
    duplicated,
    fisher_interval,
    lagged,
    self_correlate,
)


def random_table(rng: np.random.Generator) -> np.ndarray:
    """Holes, constants (all and but for one day), duplicates, mirrored and scaled series."""
    days, count = int(rng.integers(5, 90)), int(rng.integers(1, 9))
    values = rng.normal(0, rng.uniform(1e-4, 0.1), (days, count))
    if count > 1:
        values[:, 0] = rng.choice([0.0, 0.1, -1e-9])
    if count > 3:
        values[:, 1] = values[:, 2]
    if count > 4:
        values[:, 4] = -3 * values[:, 3]
    if count > 5:
        values[:-1, 5] = 0.01
    if count > 6:
        values[:, 6] = values[:, 6].round(2)
    values[rng.random(values.shape) < rng.choice([0, 0.05, 0.3])] = np.nan
    return values


def test_pandas_agrees_on_a_thousand_random_tables() -> None:
    rng = np.random.default_rng(6)
    for _ in range(1000):
        values = random_table(rng)
        least = int(rng.choice([2, 10, 20]))
        ours = self_correlate(values, min_observations=least)
        theirs = pd.DataFrame(values).corr(min_periods=least).to_numpy()
        assert np.array_equal(np.isnan(ours.rho), np.isnan(theirs))
        assert np.nanmax(np.abs(ours.rho - theirs), initial=0) <= 1e-10
        there = ~np.isnan(values)
        assert np.array_equal(ours.observations, there.T.astype(int) @ there)


def exact_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson in rational arithmetic."""
    a, b = [Fraction(float(v)) for v in x], [Fraction(float(v)) for v in y]
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    cov = sum((p - mean_a) * (q - mean_b) for p, q in zip(a, b, strict=True))
    spread = sum((p - mean_a) ** 2 for p in a) * sum((q - mean_b) ** 2 for q in b)
    scale = 10**60
    return float(cov / (Fraction(isqrt(spread.numerator * scale // spread.denominator), isqrt(scale))))


def test_a_tiny_spread_on_a_large_mean_is_computed_exactly() -> None:
    rng = np.random.default_rng(8)
    values = 0.5 + rng.normal(0, 1e-9, (40, 2))
    values[::7, 0] = np.nan
    common = ~np.isnan(values).any(axis=1)
    ours = self_correlate(values, min_observations=20).rho[0, 1]
    assert ours == pytest.approx(exact_correlation(values[common, 0], values[common, 1]), abs=1e-9)


def test_a_series_constant_over_the_common_days_only_is_undefined_and_says_so() -> None:
    values = np.random.default_rng(1).normal(0, 0.02, (40, 2))
    values[:20, 0] = 0.003
    values[20:, 1] = np.nan
    found = self_correlate(values, min_observations=10)
    assert np.isnan(found.rho[0, 1])
    assert found.constant[0, 1]


def test_too_few_common_days_are_undefined_and_not_called_constant() -> None:
    values = np.random.default_rng(1).normal(0, 0.02, (30, 2))
    values[:11, 0] = np.nan
    found = self_correlate(values, min_observations=20)
    assert np.isnan(found.rho[0, 1])
    assert found.observations[0, 1] == 19
    assert not found.constant[0, 1]


def test_the_order_of_columns_does_not_matter() -> None:
    values = random_table(np.random.default_rng(3))
    order = np.random.default_rng(4).permutation(values.shape[1])
    straight = self_correlate(values, min_observations=10).rho
    shuffled = self_correlate(values[:, order], min_observations=10).rho
    assert np.allclose(straight[np.ix_(order, order)], shuffled, atol=1e-14, equal_nan=True)


def test_fisher_interval_of_seven_tenths_at_thirty() -> None:
    low, high = fisher_interval(0.70, 30)
    assert (round(low, 2), round(high, 2)) == (0.45, 0.85)
    assert fisher_interval(1.0, 30) == (1.0, 1.0)
    assert fisher_interval(0.9, 3) == (-1.0, 1.0)


def test_duplicates_are_found_across_holes_and_constants_are_not_duplicates() -> None:
    series = np.random.default_rng(2).normal(0, 0.02, 40)
    copy = series.copy()
    copy[5] = np.nan
    assert duplicated(series, copy, min_observations=20)
    copy[6] += 1e-12
    assert not duplicated(series, copy, min_observations=20)
    assert not duplicated(np.zeros(40), np.zeros(40), min_observations=20)


def test_lagged_correlation_pairs_a_day_with_the_next_calendar_day() -> None:
    leader = np.random.default_rng(9).normal(0, 0.02, 41)
    values = np.column_stack([leader[1:], leader[:-1]])  # the second repeats the first a day later
    found = lagged(values, min_observations=20)
    assert found.rho[0, 1] == pytest.approx(1.0)
    assert abs(found.rho[1, 0]) < 0.5


def test_correlate_of_two_tables_matches_numpy() -> None:
    rng = np.random.default_rng(12)
    left, right = rng.normal(size=(50, 3)), rng.normal(size=(50, 2))
    expected = np.corrcoef(left.T, right.T)[:3, 3:]
    assert np.allclose(correlate(left, right, min_observations=20).rho, expected, atol=1e-12)


def test_components_agree_with_scipy_on_a_thousand_random_graphs() -> None:
    rng = np.random.default_rng(13)
    for _ in range(1000):
        count = int(rng.integers(1, 40))
        ids = [f"S{place:02}" for place in range(count)]
        edges = [
            pair for pair in combinations(range(count), 2) if rng.random() < rng.choice([0.01, 0.05, 0.2])
        ]
        rows, columns = ([a for a, _ in edges], [b for _, b in edges])
        _, labels = scipy_components(
            coo_array((np.ones(len(edges)), (rows, columns)), shape=(count, count)), False
        )
        expected: dict[int, list[str]] = {}
        for key, label in zip(ids, labels, strict=True):
            expected.setdefault(int(label), []).append(key)
        shuffled = [ids[place] for place in rng.permutation(count)]
        ours = connected_components(shuffled, [(ids[b], ids[a]) for a, b in edges])
        assert ours == tuple(sorted(tuple(group) for group in expected.values()))
