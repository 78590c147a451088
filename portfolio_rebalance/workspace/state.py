"""The state a run starts from: configuration, BOOTSTRAP, registry, snapshots, returns, each read once.

A strategy's capital is that of its newest snapshot, else BOOTSTRAP's, which is then marked stale. Nothing is
written here, nothing is computed that a statistic would need, and nothing is filled in: what is missing is
marked, what contradicts itself is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from portfolio_rebalance.clock import Clock
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import BadDataError, MissingDataError
from portfolio_rebalance.records import Portfolio, StrategyState, digest
from portfolio_rebalance.workspace.agreement import disagreements
from portfolio_rebalance.workspace.bootstrap import Bootstrap, read_bootstrap
from portfolio_rebalance.workspace.config_file import load_config
from portfolio_rebalance.workspace.freshness import (
    Series,
    Stale,
    refreshing,
    refuse_old_state,
    returns_until,
    stale_reasons,
)
from portfolio_rebalance.workspace.registry import Registry, read_registry
from portfolio_rebalance.workspace.remarks import lagging_snapshots, moved_total, old_bootstrap
from portfolio_rebalance.workspace.returns import read_returns
from portfolio_rebalance.workspace.snapshots import PNL_WINDOWS, Snapshot, newest_snapshot

__all__ = ["LoadedState", "load_state", "state_instant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedState:
    """Everything a run reads.

    Attributes:
        config_sha256: Digest of the effective configuration, however much of it the file states.
        config_label: The configuration file's name in errors.
        returns: One series a strategy, up to the last closed day; empty where there is no file.
        where_total: ``file:line`` of BOOTSTRAP's total, for whoever doubts it.
        where: ``file:line`` of each strategy's registry entry.
    """

    root: Path
    config: Config
    config_sha256: str
    config_label: str
    portfolio: Portfolio
    returns: Mapping[str, Series]
    where_total: str
    where: Mapping[str, str]


def load_state(root: Path, *, clock: Clock, mode_names: Sequence[str]) -> LoadedState:
    """Read the workspace.

    Args:
        root: The workspace folder, from :func:`.layout.find_workspace`.
        clock: The run's clock; returns after its last closed day are left out.
        mode_names: The registered modes, for the configuration.

    Raises:
        ConfigError: The configuration does not fit.
        MissingDataError: Something a run needs is absent; nothing is deployed.
        StaleDataError: A strategy's capital is older than ``max_snapshot_age_days``.
        FutureDataError: Something is dated later than the run.
        BadDataError: Anything else that cannot be trusted, with ``file:line``.
    """
    loaded = load_config(root, mode_names=mode_names)
    bootstrap = read_bootstrap(root, clock=clock)
    registry = read_registry(root, clock=clock)
    for error in disagreements(bootstrap, registry):
        raise error
    ids = tuple(sorted(bootstrap.deployed))
    if not ids:
        raise MissingDataError(
            "No strategy is deployed.",
            where=bootstrap.where,
            fix="Add each deployed strategy here with its capital and target, and to the registry.",
        )
    currency = (bootstrap.currency, bootstrap.where_currency)
    snapshots = {key: newest_snapshot(root, key, currency=currency, clock=clock) for key in ids}
    refuse_old_state(bootstrap, snapshots, clock=clock, max_age_days=loaded.config.max_snapshot_age_days)
    columns = {key: read_returns(root, key, today=clock.today) for key in ids}
    series = {key: returns_until(columns[key], clock) for key in ids}
    stale = {key: tuple(stale_reasons(key, bootstrap, snapshots[key], columns[key], clock)) for key in ids}
    remarks = (
        *old_bootstrap(bootstrap, loaded.config, clock),
        *lagging_snapshots(bootstrap, snapshots),
        *moved_total(bootstrap, snapshots),
    )

    inputs = {bootstrap.label: bootstrap.sha256, registry.label: registry.sha256}
    if loaded.sha256 is not None:
        inputs[loaded.label] = loaded.sha256
    inputs |= {file.label: file.sha256 for file in (*snapshots.values(), *columns.values()) if file}
    portfolio = Portfolio(
        state_as_of=bootstrap.as_of,
        currency=bootstrap.currency,
        cash=bootstrap.cash,
        strategies=tuple(
            _strategy_state(key, bootstrap, registry, snapshots[key], stale[key]) for key in ids
        ),
        inputs=dict(sorted(inputs.items())),
        warnings=(*loaded.warnings, *(remark.text for remark in remarks), *refreshing(stale, clock)),
    )
    if not portfolio.total_capital > 0:
        raise BadDataError(
            "Total capital is 0: no cash, and no strategy holds anything.",
            where=bootstrap.where_total,
            fix="Correct the snapshots, or state the cash there is.",
        )
    return LoadedState(
        root=root,
        config=loaded.config,
        config_sha256=digest(loaded.config),
        config_label=loaded.label,
        portfolio=portfolio,
        returns=MappingProxyType(series),
        where_total=bootstrap.where_total,
        where=MappingProxyType({key: registry.deployed[key].where for key in ids}),
    )


def state_instant(root: Path) -> datetime:
    """The newest instant that BOOTSTRAP or a snapshot of a deployed strategy states.

    Seen from there the workspace is as fresh as it can be, whatever the day is.

    Raises:
        BadDataError: One of them cannot be trusted.
    """
    latest = datetime.max.replace(tzinfo=UTC)
    clock = Clock.at(latest, now=latest)
    bootstrap = read_bootstrap(root, clock=clock)
    currency = (bootstrap.currency, bootstrap.where_currency)
    snapshots = (newest_snapshot(root, key, currency=currency, clock=clock) for key in bootstrap.deployed)
    return max([bootstrap.as_of, *(snapshot.as_of for snapshot in snapshots if snapshot)])


def _strategy_state(
    key: str,
    bootstrap: Bootstrap,
    registry: Registry,
    snapshot: Snapshot | None,
    stale: Sequence[Stale],
) -> StrategyState:
    registered = registry.deployed[key]
    return StrategyState(
        strategy=key,
        name=registered.name,
        capital=snapshot.market_value if snapshot else bootstrap.deployed[key].capital,
        capital_source="snapshot" if snapshot else "bootstrap",
        capital_as_of=snapshot.as_of if snapshot else bootstrap.as_of,
        target_percent=registered.target_percent,
        pinned=registered.pinned,
        control=registered.control,
        account=registered.account,
        assets=registered.assets,
        risk_profile=registered.risk_profile,
        positions=snapshot.positions if snapshot else (),
        pnl=snapshot.pnl if snapshot else dict.fromkeys(PNL_WINDOWS),
        stale="; ".join(one.reason for one in stale),
    )
