"""Statistics of daily returns with a pocket calculator: plain floats, nothing shared with the product."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from itertools import combinations
from math import erfc, sqrt
from statistics import correlation, fmean, pstdev, stdev

Pair = tuple[str, str]
Window = Mapping[str, Mapping[date, float]]
Measured = dict[str, float | None]
YEAR = sqrt(365)
CLOSE = 1e-6


class UndecidedError(Exception):
    """A figure is so near a threshold, or a search so large, that a second opinion would be a guess."""


def correlations(window: Window, *, least: int) -> tuple[dict[Pair, float], list[Pair]]:
    """Pearson on the days that both have; and the pairs of which nothing is known, idle ones left out."""
    idle = {
        key
        for key, series in window.items()
        if len(series) >= least and all(value == 0 for value in series.values())
    }
    known: dict[Pair, float] = {}
    unknown: list[Pair] = []
    for pair in combinations(sorted(window), 2):
        days = sorted(set(window[pair[0]]) & set(window[pair[1]]))
        left, right = ([window[key][day] for day in days] for key in pair)
        if len(days) >= least and len(set(left)) > 1 and len(set(right)) > 1:
            known[pair] = correlation(left, right)
        elif not idle.intersection(pair):
            unknown.append(pair)
    return known, unknown


def above(value: float, threshold: float) -> bool:
    """Whether it is; too near to call is not answered."""
    if abs(value - threshold) < CLOSE:
        raise UndecidedError(f"a correlation of {value} is at the threshold")
    return value > threshold


def components(keys: Iterable[str], edges: Sequence[Pair]) -> list[tuple[str, ...]]:
    """Groups of two or more that are joined by edges."""
    left, groups = set(keys), []
    while left:
        group, open_ = set(), {min(left)}
        while open_:
            key = open_.pop()
            group.add(key)
            open_ |= {one for edge in edges if key in edge for one in edge} - group
        left -= group
        if len(group) > 1:
            groups.append(tuple(sorted(group)))
    return groups


def statistics(window: Window, *, least: int) -> tuple[Measured, Measured, Measured]:
    """Sharpe ratio, volatility of the days on which something happened, and PSR against 0, by strategy."""
    sharpe: Measured = dict.fromkeys(window)
    volatility: Measured = dict.fromkeys(window)
    psr: Measured = dict.fromkeys(window)
    for key, series in window.items():
        values = [series[day] for day in sorted(series)]
        if len(values) < least:
            continue
        moved = [value for value in values if value != 0]
        if len(moved) > 1:
            volatility[key] = stdev(moved) * YEAR if len(set(moved)) > 1 else 0.0
        if len(set(values)) > 1:
            sharpe[key] = fmean(values) / stdev(values) * YEAR
            psr[key] = _psr(values)
    return sharpe, volatility, psr


def _psr(values: Sequence[float]) -> float:
    ratio, mean, spread = fmean(values) / stdev(values), fmean(values), pstdev(values)
    skew = fmean([((value - mean) / spread) ** 3 for value in values])
    kurtosis = fmean([((value - mean) / spread) ** 4 for value in values])
    deviations = ratio * sqrt(len(values) - 1) / sqrt(1 - skew * ratio + (kurtosis - 1) * ratio**2 / 4)
    return 0.5 * erfc(-deviations / sqrt(2))
