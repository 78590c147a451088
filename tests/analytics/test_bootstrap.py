"""The bootstrap: blocks, pairing, seeds, and a closed form it must match."""

from __future__ import annotations

import numpy as np
import pytest

from portfolio_rebalance.analytics import paired_sharpe_bootstrap, stationary_indices
from portfolio_rebalance.analytics.bootstrap import splitmix64


def draw(baseline: np.ndarray, projected: np.ndarray, *, seed: int = 1, resamples: int = 4000):  # type: ignore[no-untyped-def]
    rows = stationary_indices(baseline.size, resamples=resamples, mean_block_days=3, seed=seed << 64 | seed)
    return paired_sharpe_bootstrap(baseline, projected, rows=rows, periods=365, risk_free_rate=0.0)


def test_the_generator_gives_its_published_stream() -> None:
    assert splitmix64(1234567, 5).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_blocks_are_circular_and_of_geometric_length() -> None:
    rows = stationary_indices(50, resamples=4000, mean_block_days=4.0, seed=3 << 64 | 5)
    assert rows.shape == (4000, 50)
    continues = (rows[:, 1:] - rows[:, :-1]) % 50 == 1
    # A new block continues the old one by chance once in fifty.
    assert continues.mean() == pytest.approx(0.75 + 0.25 / 50, abs=0.005)
    assert np.bincount(rows.ravel(), minlength=50).std() / 4000 < 0.05


def test_a_mean_block_of_one_day_is_the_plain_bootstrap() -> None:
    rows = stationary_indices(40, resamples=3000, mean_block_days=1.0, seed=3 << 64 | 5)
    assert ((rows[:, 1:] - rows[:, :-1]) % 40 == 1).mean() == pytest.approx(1 / 40, abs=0.005)


def test_the_same_seed_draws_the_same_numbers() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.001, 0.02, 30), rng.normal(0.0, 0.02, 30)
    assert draw(a, b, seed=5) == draw(a, b, seed=5)
    assert draw(a, b, seed=5) != draw(a, b, seed=6)


def test_swapping_the_sides_mirrors_the_result() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.001, 0.02, 30), rng.normal(0.0, 0.02, 30)
    there, back = draw(a, b), draw(b, a)
    assert there.probability_better == pytest.approx(1 - back.probability_better)
    assert there.low == pytest.approx(-back.high)


def test_scaling_a_portfolio_leaves_its_sharpe_ratio_and_counts_half() -> None:
    a = np.random.default_rng(2).normal(0.001, 0.02, 30)
    assert draw(a, 0.5 * a).probability_better == 0.5


def test_spread_matches_the_closed_form_for_independent_days() -> None:
    """Variance of a Sharpe difference (Jobson & Korkie 1981, Memmel 2003), at a length where it is sharp."""
    rng = np.random.default_rng(21)
    n = 2000
    common = rng.normal(0.001, 0.02, n)
    a, b = common, 0.8 * common + 0.6 * rng.normal(0.001, 0.02, n)
    s1, s2 = a.mean() / a.std(ddof=1), b.mean() / b.std(ddof=1)
    rho = np.corrcoef(a, b)[0, 1]
    variance = (2 - 2 * rho + 0.5 * (s1**2 + s2**2 - 2 * s1 * s2 * rho**2)) / n
    found = draw(a, b, resamples=1500)
    spread = (found.high - found.low) / (2 * 1.6449) / np.sqrt(365)
    assert spread == pytest.approx(np.sqrt(variance), rel=0.1)


def test_nothing_defined_is_none() -> None:
    assert draw(np.zeros(30), np.zeros(30)) is None
