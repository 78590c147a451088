"""The correlation tool: matrix, pairs worth naming, clusters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np

from portfolio_rebalance.analytics import (
    Floats,
    PairwiseCorrelation,
    ReturnsTable,
    connected_components,
    duplicated,
    fisher_interval,
    lagged,
    self_correlate,
    sharpe_ratio,
)
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.records import (
    Cluster,
    CorrelatedPair,
    CorrelationReport,
    LaggedPair,
    RedundantPair,
    UnknownPair,
)
from portfolio_rebalance.tools.context import AsOf, open_context
from portfolio_rebalance.tools.frames import ReturnsLike
from portfolio_rebalance.tools.settings import limits_from
from portfolio_rebalance.units import Bp, PercentLike, bp_map_from_percent

__all__ = ["calculate_correlation_matrix", "correlation_report"]

_LAG_MARGIN = 0.5
"""By how much a lagged correlation must exceed the same-day one to suggest a misdated series."""

Pair = tuple[str, str]


def calculate_correlation_matrix(
    strategy_ids: Sequence[str],
    lookback_days: int = 30,
    *,
    workspace: str | Path | None = None,
    returns: ReturnsLike | None = None,
    as_of: AsOf | None = None,
    allocations: Mapping[str, PercentLike] | None = None,
    previous_high_pairs: Iterable[Pair] = (),
) -> CorrelationReport:
    """Correlate strategies over the last ``lookback_days`` calendar days that had closed before ``as_of``.

    Args:
        strategy_ids: Which strategies, at least one.
        lookback_days: Calendar days, not rows.
        workspace: A workspace to read returns, thresholds and allocations from; or
        returns: daily returns as fractions: a pandas frame, ``{id: {day: return}}`` or ``{id: [returns]}``.
        as_of: An aware UTC instant, its text, or a day (its beginning); by default
            the workspace's own state, or the day after the last return.
        allocations: Percent of total capital by id, for exposures; the workspace's when it is given.
        previous_high_pairs: Pairs that were HIGH in the last committed run.

    Returns:
        A :class:`CorrelationReport`; ``.to_frame()`` gives the matrix.

    Raises:
        UsageError: Neither or both sources, no or unknown or repeated ids, a lookback below 5 days.
    """
    ids = list(strategy_ids)
    if not ids or len(set(ids)) != len(ids):
        raise UsageError(
            "Name at least one strategy, each once.", where="strategy_ids", fix="Check the list."
        )
    if not (type(lookback_days) is int and 5 <= lookback_days <= 3650):
        raise UsageError(
            f"lookback_days is {lookback_days!r}.", where="lookback_days", fix="Use 5 to 3650 days."
        )
    context = open_context(workspace=workspace, returns=returns, as_of=as_of)
    context.require_known(ids)
    given: Mapping[str, Bp] | None = None
    if allocations is not None:
        given = bp_map_from_percent(allocations, where="allocations")
    elif context.state is not None:
        given = context.state.portfolio.current_bp
    return correlation_report(
        context.window(ids, lookback_days=lookback_days),
        as_of=context.as_of,
        allocations_bp=given,
        previous_high_pairs=previous_high_pairs,
        config=context.config,
    )


def correlation_report(
    window: ReturnsTable,
    *,
    as_of: datetime,
    allocations_bp: Mapping[str, Bp] | None,
    previous_high_pairs: Iterable[Pair],
    config: Config,
) -> CorrelationReport:
    """The report of one window; what :func:`calculate_correlation_matrix` and a run both use."""
    settings = config.correlation_analysis
    ids, values = window.ids, window.values
    found = self_correlate(values, min_observations=config.min_observations)
    idle = _idle(window, min_observations=config.min_observations)
    pairs = list(combinations(range(len(ids)), 2))
    rho = {(ids[i], ids[j]): _defined(found.rho[i, j]) for i, j in pairs}
    observations = {(ids[i], ids[j]): int(found.observations[i, j]) for i, j in pairs}
    unknown = tuple(
        UnknownPair(strategies=pair, observations=observations[pair], reason=_why_unknown(found, ids, pair))
        for pair, value in rho.items()
        if value is None and not idle.intersection(pair)
    )
    high = _high_pairs(rho, observations, previous=previous_high_pairs, idle=idle, config=config)
    groups = connected_components(ids, (pair.strategies for pair in high))
    limit_bp = limits_from(config).cluster_bp
    nothing = bool(pairs) and len(unknown) == len(pairs)
    return CorrelationReport(
        status="not_evaluated" if nothing else "evaluated",
        reason=f"no pair has {config.min_observations} common days with movement" if nothing else "",
        as_of=as_of,
        lookback_days=values.shape[0],
        min_observations=config.min_observations,
        strategies=ids,
        correlation_matrix={
            a: {b: _defined(found.rho[i, j]) for j, b in enumerate(ids)} for i, a in enumerate(ids)
        },
        high_correlation_pairs=high,
        correlated_clusters=_clusters(
            groups, rho, evaluated=not nothing, allocations_bp=allocations_bp, limit_bp=limit_bp
        ),
        offsetting_pairs=tuple(
            _named(pair, value, observations[pair])
            for pair, value in rho.items()
            if value is not None and value < -float(settings.high_correlation_threshold)
        ),
        duplicated_pairs=tuple(
            (ids[i], ids[j])
            for i, j in pairs
            if duplicated(values[:, i], values[:, j], min_observations=config.min_observations)
        ),
        misdated_pairs=_misdated(values, ids, rho, min_observations=config.min_observations),
        redundant_pairs=_redundant(window, rho, config=config),
        unknown_pairs=unknown,
        idle=tuple(sorted(idle)),
    )


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _idle(window: ReturnsTable, *, min_observations: int) -> frozenset[str]:
    """Strategies that did nothing on enough days to say so."""
    idle = set()
    for key in window.ids:
        observed = window.column(key)
        if observed.size >= min_observations and not observed.any():
            idle.add(key)
    return frozenset(idle)


def _why_unknown(
    found: PairwiseCorrelation, ids: Sequence[str], pair: Pair
) -> Literal["too_few_observations", "constant_series"]:
    i, j = ids.index(pair[0]), ids.index(pair[1])
    return "constant_series" if found.constant[i, j] else "too_few_observations"


def _named(pair: Pair, value: float, observations: int) -> CorrelatedPair:
    low, high = fisher_interval(value, observations)
    return CorrelatedPair(strategies=pair, correlation=value, observations=observations, low=low, high=high)


def _high_pairs(
    rho: Mapping[Pair, float | None],
    observations: Mapping[Pair, int],
    *,
    previous: Iterable[Pair],
    idle: frozenset[str],
    config: Config,
) -> tuple[CorrelatedPair, ...]:
    enter = float(config.correlation_analysis.high_correlation_threshold)
    leave = float(config.cluster_exit_threshold)
    before = {tuple(sorted(pair)) for pair in previous}
    high = []
    for pair, value in rho.items():
        if value is not None and value > enter:
            high.append(_named(pair, value, observations[pair]))
        elif pair in before and not idle.intersection(pair):
            if value is None:
                high.append(
                    CorrelatedPair(
                        strategies=pair,
                        correlation=None,
                        observations=observations[pair],
                        low=None,
                        high=None,
                        kept_by_hysteresis=True,
                    )
                )
            elif not (value < leave):
                high.append(
                    _named(pair, value, observations[pair]).model_copy(update={"kept_by_hysteresis": True})
                )
    return tuple(high)


def _clusters(
    groups: Sequence[tuple[str, ...]],
    rho: Mapping[Pair, float | None],
    *,
    evaluated: bool,
    allocations_bp: Mapping[str, Bp] | None,
    limit_bp: int,
) -> tuple[Cluster, ...]:
    clusters = []
    for group in groups:
        inside = [value for pair in combinations(group, 2) if (value := rho[pair]) is not None]
        combined = None
        if allocations_bp is not None:
            combined = sum((allocations_bp.get(key, Fraction(0)) for key in group), Fraction(0))
        clusters.append(
            Cluster(
                strategies=group,
                evaluated=evaluated,
                correlation_avg=sum(inside) / len(inside) if inside else None,
                combined_bp=combined,
                limit_bp=limit_bp,
            )
        )
    return tuple(sorted(clusters, key=lambda cluster: (-len(cluster.strategies), cluster.strategies)))


def _misdated(
    values: Floats,
    ids: Sequence[str],
    rho: Mapping[Pair, float | None],
    *,
    min_observations: int,
) -> tuple[LaggedPair, ...]:
    """Pairs whose correlation a day apart is much larger than on the same day."""
    if values.shape[0] < 2:
        return ()
    apart = lagged(values, min_observations=min_observations)
    misdated = []
    for i, j in combinations(range(len(ids)), 2):
        same = rho[ids[i], ids[j]]
        if same is None:
            continue
        for lag, row, column in ((1, i, j), (-1, j, i)):
            value = _defined(apart.rho[row, column])
            if value is None or not (abs(value) - abs(same) > _LAG_MARGIN):
                continue
            low, high = fisher_interval(value, int(apart.observations[row, column]))
            if low > 0 or high < 0:
                misdated.append(
                    LaggedPair.model_validate(
                        {
                            "strategies": (ids[i], ids[j]),
                            "correlation": same,
                            "lag_days": lag,
                            "lagged_correlation": value,
                            "low": low,
                            "high": high,
                        }
                    )
                )
    return tuple(misdated)


def _redundant(
    window: ReturnsTable, rho: Mapping[Pair, float | None], *, config: Config
) -> tuple[RedundantPair, ...]:
    redundant = []
    rate = float(config.risk_free_rate_percent) / 100
    for pair, value in rho.items():
        score = value * value if value is not None and value > 0 else 0.0
        if score < float(config.correlation_analysis.redundancy_score_min):
            continue
        ratios = {
            key: sharpe_ratio(window.column(key), periods=config.annualization_days, risk_free_rate=rate)
            for key in pair
        }
        weaker = None
        if all(ratio is not None for ratio in ratios.values()):
            weaker = min(pair, key=lambda key: (ratios[key], key))
        redundant.append(RedundantPair(strategies=pair, redundancy_score=score, weaker=weaker))
    return tuple(redundant)
