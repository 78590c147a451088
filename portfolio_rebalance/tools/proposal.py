"""The proposal tool: ask a mode, before any limit has its word."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import numpy as np

from portfolio_rebalance.allocation import Limits, Situation, choose_start, find_mode, propose
from portfolio_rebalance.allocation.limits import funded_clusters
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.records import Proposal
from portfolio_rebalance.tools.compliance import ClustersLike, cluster_ids
from portfolio_rebalance.tools.context import AsOf, open_context
from portfolio_rebalance.tools.correlation import correlation_report
from portfolio_rebalance.tools.settings import limits_from, mode_settings_from
from portfolio_rebalance.tools.statistics import StrategyStatistics, strategy_statistics
from portfolio_rebalance.units import Bp, PercentLike, bp_map_from_percent

__all__ = ["generate_rebalance_proposal", "propose_with"]


def generate_rebalance_proposal(
    current_allocations: Mapping[str, PercentLike],
    algorithm_mode: str,
    *,
    workspace: str | Path | None = None,
    as_of: AsOf | None = None,
    clusters: ClustersLike | None = None,
    sharpe_ratios: Mapping[str, float | None] | None = None,
    volatilities: Mapping[str, float | None] | None = None,
    psr: Mapping[str, float | None] | None = None,
    targets: Mapping[str, PercentLike] | None = None,
    held: Collection[str] = (),
) -> Proposal:
    """Propose new allocations in one mode; the result is unrepaired.

    Args:
        current_allocations: Percent of total capital by id.
        algorithm_mode: Registered name; hyphens and underscores are equal.
        workspace: Where to read whatever is not given: clusters, statistics, targets, pins, settings.
        as_of: An aware UTC instant, its text, or a day (its beginning), for that; the
            workspace's own state by default.
        clusters: Correlated clusters: ids, or the clusters of a correlation report.
        sharpe_ratios: By id, annualised.
        volatilities: By id, annualised.
        psr: By id, probabilistic Sharpe ratio against 0.
        targets: Percent by id; a strategy that drifted too far from its target starts from it.
        held: Ids that must not change.

    Returns:
        The proposal with its start; pass it to compliance next.

    Raises:
        UsageError: Unknown mode; ids that do not match; a negative allocation.
    """
    current = bp_map_from_percent(current_allocations, where="current_allocations")
    if not current:
        raise UsageError("No allocations.", where="current_allocations", fix="Name at least one strategy.")
    _require_known("held", held, current)
    for name, given, low, high in (
        ("sharpe_ratios", sharpe_ratios, -1e6, 1e6),
        ("volatilities", volatilities, 0.0, 1e6),
        ("psr", psr, 0.0, 1.0),
    ):
        _require_known(name, given or (), current)
        _require_within(name, given or {}, low=low, high=high)
    _require_known("targets", targets or (), current)

    config = Config()
    fixed = frozenset(held)
    statistics = StrategyStatistics({}, {}, {})
    wanted = None if targets is None else bp_map_from_percent(targets, where="targets")
    groups = cluster_ids(clusters)
    if workspace is not None:
        context = open_context(workspace=workspace, returns=None, as_of=as_of)
        assert context.state is not None
        context.require_known(current)
        config = context.config
        fixed |= context.state.portfolio.pinned & set(current)
        window = context.window(sorted(current))
        statistics = strategy_statistics(window, config=config)
        if wanted is None:
            wanted = {key: context.state.portfolio.target_bp[key] for key in current}
        if groups is None:
            report = correlation_report(
                window, as_of=context.as_of, allocations_bp=current, previous_high_pairs=(), config=config
            )
            groups = report.clusters if report.status == "evaluated" else None
    return propose_with(
        algorithm_mode,
        current_bp=current,
        target_bp=wanted or {},
        fixed=fixed,
        clusters=groups,
        statistics=StrategyStatistics(
            sharpe_ratios=statistics.sharpe_ratios if sharpe_ratios is None else sharpe_ratios,
            volatilities=statistics.volatilities if volatilities is None else volatilities,
            psr=statistics.psr if psr is None else psr,
        ),
        config=config,
        limits=limits_from(config).tightened(config.limit_buffer_bp),
        as_of=None if workspace is None else context.as_of,
    )


def propose_with(
    mode_name: str,
    *,
    current_bp: Mapping[str, Bp],
    target_bp: Mapping[str, Bp],
    fixed: frozenset[str],
    clusters: Sequence[Sequence[str]] | None,
    statistics: StrategyStatistics,
    config: Config,
    limits: Limits,
    as_of: datetime | None,
) -> Proposal:
    """Ask one mode; what :func:`generate_rebalance_proposal` and a run both use.

    Args:
        mode_name: Registered name.
        current_bp: Held now, exact.
        target_bp: Wanted; ids without a target start from what they hold.
        fixed: Pinned or held ids.
        clusters: None when correlation is unknown.
        statistics: Of the window.
        config: Settings of modes and thresholds.
        limits: The limits to aim at.
        as_of: The run's instant.
    """
    mode = find_mode(mode_name)
    start = choose_start(
        current_bp=current_bp,
        target_bp=target_bp,
        fixed=fixed,
        drift_threshold=Fraction(config.drift_thresholds.individual_drift_percent) / 100,
        minimum_bp=limits.individual_min_bp,
    )
    groups = None if clusters is None else funded_clusters(clusters, among=current_bp)
    situation = Situation(
        start_bp=start,
        fixed=fixed,
        clusters=groups or (),
        limits=limits,
        sharpe_ratios=statistics.sharpe_ratios,
        volatilities=statistics.volatilities,
        psr=statistics.psr,
        settings=mode_settings_from(config),
    )
    proposed = propose(mode, situation, current_bp=current_bp)
    return Proposal(
        mode=mode.name,
        as_of=as_of,
        current_bp=current_bp,
        start_bp=start,
        proposed_bp=proposed.allocations_bp,
        reasons=proposed.reasons,
        clusters=groups,
        fixed=tuple(sorted(fixed)),
    )


def _require_known(where: str, names: Collection[str], known: Mapping[str, object]) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UsageError(f"No allocation for {', '.join(unknown)}.", where=where, fix="Check the ids.")


def _require_within(where: str, values: Mapping[str, object], *, low: float, high: float) -> None:
    for key, value in values.items():
        if value is None:
            continue
        number = value if isinstance(value, int | float | np.floating | np.integer) else None
        if number is None or isinstance(value, bool) or not (low <= number <= high):
            raise UsageError(
                f"{key} is {value!r}, no number from {low:g} to {high:g}.",
                where=where,
                fix="Use None where a statistic is undefined.",
            )
