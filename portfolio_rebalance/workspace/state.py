"""The state a run starts from: configuration, BOOTSTRAP, registry, snapshots, returns, each read once.

A strategy's capital is that of its newest snapshot, else BOOTSTRAP's, which is then marked stale. Nothing is
written here, nothing is computed that a statistic would need, and nothing is filled in: what is missing is
marked, what contradicts itself is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from portfolio_rebalance.clock import Clock, format_instant
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import BadDataError, MissingDataError
from portfolio_rebalance.records import Portfolio, StrategyState, digest
from portfolio_rebalance.workspace.agreement import disagreements
from portfolio_rebalance.workspace.bootstrap import Bootstrap, read_bootstrap
from portfolio_rebalance.workspace.config_file import load_config
from portfolio_rebalance.workspace.registry import Registry, read_registry
from portfolio_rebalance.workspace.returns import ReturnColumn, read_returns
from portfolio_rebalance.workspace.snapshots import (
    FRESH_FOR,
    PNL_WINDOWS,
    Snapshot,
    age_text,
    newest_snapshot,
    refuse_older,
)

__all__ = [
    "LoadedState",
    "Series",
    "load_state",
    "old_bootstrap",
    "refuse_old_state",
    "returns_until",
    "stale_reasons",
    "state_instant",
]

Series: TypeAlias = tuple[npt.NDArray[np.datetime64], npt.NDArray[np.float64]]
"""Days (``datetime64[D]``, ascending) and the return of each; NaN where there is none."""


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

    inputs = {bootstrap.label: bootstrap.sha256, registry.label: registry.sha256}
    if loaded.sha256 is not None:
        inputs[loaded.label] = loaded.sha256
    inputs |= {file.label: file.sha256 for file in (*snapshots.values(), *columns.values()) if file}
    portfolio = Portfolio(
        state_as_of=bootstrap.as_of,
        currency=bootstrap.currency,
        cash=bootstrap.cash,
        strategies=tuple(
            _strategy_state(key, bootstrap, registry, snapshots[key], series[key], clock) for key in ids
        ),
        inputs=dict(sorted(inputs.items())),
        warnings=(*loaded.warnings, *old_bootstrap(bootstrap, loaded.config, clock)),
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


def refuse_old_state(
    bootstrap: Bootstrap,
    snapshots: Mapping[str, Snapshot | None],
    *,
    clock: Clock,
    max_age_days: int,
    newest_state: datetime | None = None,
) -> None:
    """No strategy's capital comes from state older than the limit.

    Args:
        bootstrap: BOOTSTRAP, whose age counts where a strategy has no snapshot.
        snapshots: The newest snapshot of each strategy looked at.
        clock: The run's clock.
        max_age_days: The configured limit.
        newest_state: The newest instant of all state, where ``snapshots`` are not all there are.

    Raises:
        StaleDataError: The first that is older.
    """
    used = {key: snapshot.as_of if snapshot else bootstrap.as_of for key, snapshot in snapshots.items()}
    newest = newest_state or max([bootstrap.as_of, *used.values()])
    replayable = newest - min(used.values(), default=newest) <= timedelta(days=max_age_days)
    for key, snapshot in snapshots.items():
        refuse_older(
            used[key],
            what=f"The newest snapshot of {key}" if snapshot else f"The BOOTSTRAP capital of {key}",
            where=snapshot.where if snapshot else bootstrap.deployed[key].where,
            max_age_days=max_age_days,
            clock=clock,
            replay_at=newest if replayable else None,
        )


def old_bootstrap(bootstrap: Bootstrap, config: Config, clock: Clock) -> tuple[str, ...]:
    """A warning where BOOTSTRAP is old: cash has no other source, and may have moved since."""
    if clock.as_of - bootstrap.as_of <= timedelta(days=config.max_snapshot_age_days):
        return ()
    age = age_text(bootstrap.as_of, clock)
    return (f"BOOTSTRAP is of {format_instant(bootstrap.as_of)}, {age} ago: its cash is taken as it stands.",)


def returns_until(column: ReturnColumn | None, clock: Clock) -> Series:
    """The returns up to the last closed day: the day of the run has not closed yet.

    For a fixed clock later rows are ones that the file gained since; otherwise :func:`read_returns` has
    refused them.
    """
    if column is None:
        days, values = np.empty(0, dtype="datetime64[D]"), np.empty(0, dtype=np.float64)
    else:
        closed = int(np.searchsorted(column.days, np.datetime64(clock.last_closed_day, "D"), side="right"))
        days, values = column.days[:closed], column.values[:closed]
    days.setflags(write=False)
    values.setflags(write=False)
    return days, values


def stale_reasons(
    bootstrap: Bootstrap, snapshot: Snapshot | None, series: Series, clock: Clock
) -> tuple[str, ...]:
    """Why a strategy's state is stale; nothing where it is fresh."""
    reasons = []
    if snapshot is None:
        reasons.append(f"no snapshot: BOOTSTRAP capital of {format_instant(bootstrap.as_of)}")
    elif clock.as_of - snapshot.as_of > FRESH_FOR:
        reasons.append(
            f"snapshot of {format_instant(snapshot.as_of)} is {age_text(snapshot.as_of, clock)} old"
        )
    days, values = series
    last = np.datetime64(clock.last_closed_day, "D")
    if not (days.size and days[-1] == last and not np.isnan(values[-1])):
        reasons.append(f"no return for {clock.last_closed_day}")
    return tuple(reasons)


def _strategy_state(
    key: str,
    bootstrap: Bootstrap,
    registry: Registry,
    snapshot: Snapshot | None,
    series: Series,
    clock: Clock,
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
        stale="; ".join(stale_reasons(bootstrap, snapshot, series, clock)),
    )
