"""Everything that is wrong with a workspace, at once.

A run stops at the first refusal; here each part is read on its own, so that one look shows all there is to
mend. Errors are what a run would refuse; warnings are what it accepts and a person should know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal, ParamSpec, TypeVar

import numpy as np

from portfolio_rebalance.clock import Clock
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import MissingDataError, RebalanceError
from portfolio_rebalance.records import Finding
from portfolio_rebalance.workspace import layout
from portfolio_rebalance.workspace.agreement import disagreements
from portfolio_rebalance.workspace.bootstrap import Bootstrap, read_bootstrap
from portfolio_rebalance.workspace.config_file import LoadedConfig, load_config
from portfolio_rebalance.workspace.files import exists
from portfolio_rebalance.workspace.registry import (
    Registry,
    open_registry,
    refuse_targets_over_total,
)
from portfolio_rebalance.workspace.returns import ReturnColumn, read_returns
from portfolio_rebalance.workspace.snapshots import Snapshot, newest_snapshot
from portfolio_rebalance.workspace.state import (
    Series,
    old_bootstrap,
    refuse_old_state,
    returns_until,
    stale_reasons,
)

__all__ = ["examine"]

_RECENT_DAYS: Final = 30
_P = ParamSpec("_P")
_T = TypeVar("_T")


def examine(root: Path, *, clock: Clock, mode_names: Sequence[str]) -> tuple[Finding, ...]:
    """What a person should mend or know, in the order in which a run reads; nothing is written.

    Args:
        root: The workspace folder.
        clock: The run's clock.
        mode_names: The registered modes.
    """
    notes = _Notes()
    _look_at_halt(root, notes)
    loaded = notes.attempt(load_config, root, mode_names=mode_names)
    _note_config(loaded, notes)
    bootstrap = notes.attempt(read_bootstrap, root, clock=clock)
    registry = _look_at_registry(root, clock, notes)
    if bootstrap and registry:
        for error in disagreements(bootstrap, registry):
            notes.error(error)
    if bootstrap:
        config = loaded.config if loaded else Config()
        notes.unknown(bootstrap.unknown)
        for text in old_bootstrap(bootstrap, config, clock):
            notes.warn(bootstrap.label, text, "Check the cash, and write when that was.")
        _note_number_deployed(bootstrap, config, notes)
        _look_at_strategies(root, bootstrap, config, clock, notes)
    return tuple(notes.findings)


@dataclass(slots=True)
class _Notes:
    """Findings as they come."""

    findings: list[Finding] = field(default_factory=list)

    def attempt(self, read: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T | None:
        """What ``read`` returns, or None and its refusal noted."""
        return self.tried(read, *args, **kwargs)[0]

    def tried(self, read: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> tuple[_T | None, bool]:
        """The same, and whether it was read at all: None can also be an answer."""
        try:
            return read(*args, **kwargs), True
        except RebalanceError as error:
            self.error(error)
            return None, False

    def error(self, error: RebalanceError) -> None:
        self._add("error", error.where, error.what, error.fix)

    def warn(self, where: str, what: str, fix: str) -> None:
        self._add("warning", where, what, fix)

    def unknown(self, keys: Sequence[tuple[str, str]]) -> None:
        for where, key in keys:
            self.warn(where, f"`{key}` is not known here and has no effect.", "Leave it, if it is yours.")

    def _add(self, severity: Literal["error", "warning"], where: str, what: str, fix: str) -> None:
        self.findings.append(Finding(severity=severity, where=where, what=what, fix=fix))


# --- the files of the whole portfolio --------------------------------------------------------------------


def _look_at_halt(root: Path, notes: _Notes) -> None:
    if notes.attempt(exists, root, layout.HALT):
        notes.warn(
            f"{root.name}/{layout.HALT}",
            "Execution is halted: this file exists.",
            "Find out why before you remove it.",
        )


def _note_config(loaded: LoadedConfig | None, notes: _Notes) -> None:
    if loaded:
        for text in loaded.warnings:
            notes.warn(loaded.label, text, "Make the two say the same.")


def _look_at_registry(root: Path, clock: Clock, notes: _Notes) -> Registry | None:
    """The registry, if every entry that counts can be read."""
    file = notes.attempt(open_registry, root)
    if file is None:
        return None
    entries = {key: notes.attempt(file.entry, key, clock=clock) for key in file.deployed_ids}
    readable = {key: entry for key, entry in entries.items() if entry}
    for entry in readable.values():
        notes.unknown(entry.unknown)
    registry = file.with_deployed(readable)
    notes.attempt(refuse_targets_over_total, registry)
    return registry if len(readable) == len(entries) else None


def _note_number_deployed(bootstrap: Bootstrap, config: Config, notes: _Notes) -> None:
    if not bootstrap.deployed:
        notes.error(
            MissingDataError(
                "No strategy is deployed.",
                where=bootstrap.where,
                fix="Add each deployed strategy here with its capital and target, and to the registry.",
            )
        )
    limits = config.circuit_breakers
    most = int(Fraction(limits.max_total_deployed_percent) / Fraction(limits.min_allocation_percent))
    if len(bootstrap.deployed) > most:
        notes.warn(
            bootstrap.where,
            f"{len(bootstrap.deployed)} strategies are deployed; the limits leave room for {most}.",
            "Deploy fewer: a run takes the smallest out.",
        )


# --- strategy by strategy --------------------------------------------------------------------------------


def _look_at_strategies(
    root: Path, bootstrap: Bootstrap, config: Config, clock: Clock, notes: _Notes
) -> None:
    currency = (bootstrap.currency, bootstrap.where_currency)
    found: dict[str, Snapshot | None] = {}
    columns: dict[str, ReturnColumn] = {}
    for key in sorted(bootstrap.deployed):
        snapshot, known = notes.tried(newest_snapshot, root, key, currency=currency, clock=clock)
        column, readable = notes.tried(read_returns, root, key, today=clock.today)
        if known:
            found[key] = snapshot
            _note_snapshot(snapshot, notes)
        if column:
            columns[key] = column
            _note_returns(column, returns_until(column, clock), clock, notes)
        if known and readable:
            where = snapshot.where if snapshot else bootstrap.deployed[key].where
            for reason in stale_reasons(bootstrap, snapshot, returns_until(column, clock), clock):
                fix = "Write what is missing; a plan says so until then."
                notes.warn(where, f"{key} is stale: {reason}.", fix)
    _note_ages(bootstrap, found, config, clock, notes)
    _note_equal_returns(columns, clock, notes)


def _note_snapshot(snapshot: Snapshot | None, notes: _Notes) -> None:
    if snapshot is None:
        return
    for where, text in snapshot.mismatches:
        notes.warn(where, text, "Correct whichever is wrong.")
    notes.unknown(snapshot.unknown)


def _note_ages(
    bootstrap: Bootstrap,
    found: Mapping[str, Snapshot | None],
    config: Config,
    clock: Clock,
    notes: _Notes,
) -> None:
    newest = max([bootstrap.as_of, *(snapshot.as_of for snapshot in found.values() if snapshot)])
    for key, snapshot in found.items():
        notes.attempt(
            refuse_old_state,
            bootstrap,
            {key: snapshot},
            clock=clock,
            max_age_days=config.max_snapshot_age_days,
            newest_state=newest,
        )


def _note_returns(column: ReturnColumn, series: Series, clock: Clock, notes: _Notes) -> None:
    """Holes inside the recent days, and returns that never move: both leave correlation undefined."""
    days, values = _recent(series, clock)
    observed = days[~np.isnan(values)]
    if not observed.size:
        return
    missing = int((observed[-1] - observed[0]).astype(int)) + 1 - observed.size
    if missing:
        notes.warn(
            column.label,
            f"{missing} of the days from {observed[0]} to {observed[-1]} have no return.",
            "Add them if they exist; nothing is filled in.",
        )
    moves = values[~np.isnan(values)]
    if moves.size > 1 and moves.min() == moves.max():
        notes.warn(
            column.label,
            f"The return is {float(moves[0])!r} on each of the last {moves.size} days.",
            "Check the file: a constant series correlates with nothing.",
        )


def _note_equal_returns(columns: Mapping[str, ReturnColumn], clock: Clock, notes: _Notes) -> None:
    seen: dict[bytes, str] = {}
    for key, column in columns.items():
        days, values = _recent(returns_until(column, clock), clock)
        if not np.any(values[~np.isnan(values)]):
            continue  # idle strategies are equal without being the same
        twin = seen.setdefault(days.tobytes() + values.tobytes(), key)
        if twin != key:
            notes.warn(
                column.label,
                f"The last {len(days)} returns of {key} are exactly those of {twin}.",
                "Check that one is not a copy of the other; they count as one bet.",
            )


def _recent(series: Series, clock: Clock) -> Series:
    days, values = series
    first = np.datetime64(clock.last_closed_day - timedelta(days=_RECENT_DAYS - 1), "D")
    return days[days >= first], values[days >= first]
