"""Everything that is wrong with a workspace, at once.

A run stops at the first refusal; here each part is read on its own, and a refusal that stands for several
problems is taken apart, so that one look shows all there is to mend. Errors are what a run would refuse;
warnings are what it accepts and a person should know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Literal, ParamSpec, TypeVar

from portfolio_rebalance.clock import Clock
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import MissingDataError, RebalanceError
from portfolio_rebalance.records import Finding
from portfolio_rebalance.workspace import layout
from portfolio_rebalance.workspace.agreement import disagreements
from portfolio_rebalance.workspace.bootstrap import Bootstrap, read_bootstrap
from portfolio_rebalance.workspace.config_file import LoadedConfig, load_config
from portfolio_rebalance.workspace.files import exists
from portfolio_rebalance.workspace.freshness import refuse_old_state, stale_reasons
from portfolio_rebalance.workspace.halt import read_halt
from portfolio_rebalance.workspace.ledger import Ledger
from portfolio_rebalance.workspace.problems import each_problem, place_of
from portfolio_rebalance.workspace.registry import (
    Registry,
    RegistryFile,
    open_registry,
    refuse_targets_over_total,
)
from portfolio_rebalance.workspace.remarks import Remark, lagging_snapshots, moved_total, old_bootstrap
from portfolio_rebalance.workspace.returns import ReturnColumn, read_returns
from portfolio_rebalance.workspace.series_checks import copies, odd_returns
from portfolio_rebalance.workspace.snapshots import Snapshot, newest_snapshot
from portfolio_rebalance.workspace.strays import unread_files, unread_folders

__all__ = ["examine"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


def examine(
    root: Path,
    *,
    clock: Clock,
    mode_names: Sequence[str],
    environment: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Finding, ...]:
    """What a person should mend or know, by file and line; nothing is written.

    Args:
        root: The workspace folder.
        clock: The run's clock.
        mode_names: The registered modes.
        environment: Holds the addresses of those to notify.
    """
    notes = _Notes()
    _look_at_halt(root, notes)
    _look_at_ledger(root, notes)
    loaded = notes.attempt(load_config, root, mode_names=mode_names)
    _note_config(loaded, notes)
    _note_targets(loaded, environment, notes)
    bootstrap = notes.attempt(read_bootstrap, root, clock=clock)
    file = notes.attempt(open_registry, root)
    registry = _look_at_registry(file, clock, notes) if file else None
    if bootstrap and registry:
        for error in disagreements(bootstrap, registry):
            notes.error(error)
    if bootstrap:
        config = loaded.config if loaded else Config()
        notes.unknown(bootstrap.unknown)
        notes.remarks(old_bootstrap(bootstrap, config, clock))
        _note_number_deployed(bootstrap, config, notes)
        _look_at_strategies(root, bootstrap, config, clock, notes)
        _note_unread_names(root, bootstrap, file, notes)
    return notes.sorted()


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
        for problem in each_problem(error):
            self._add("error", problem.where, problem.what, problem.fix)

    def warn(self, where: str, what: str, fix: str) -> None:
        self._add("warning", where, what, fix)

    def remarks(self, remarks: Iterable[Remark]) -> None:
        for remark in remarks:
            self.warn(remark.where, remark.what, remark.fix)

    def sorted(self) -> tuple[Finding, ...]:
        """Each finding once, by file and by the number of the line."""
        return tuple(sorted(dict.fromkeys(self.findings), key=lambda finding: place_of(finding.where)))

    def unknown(self, keys: Sequence[tuple[str, str]]) -> None:
        for where, key in keys:
            self.warn(where, f"`{key}` is not known here and has no effect.", "Leave it, if it is yours.")

    def _add(self, severity: Literal["error", "warning"], where: str, what: str, fix: str) -> None:
        self.findings.append(Finding(severity=severity, where=where, what=what, fix=fix))


# --- the files of the whole portfolio --------------------------------------------------------------------


def _look_at_halt(root: Path, notes: _Notes) -> None:
    if notes.attempt(exists, root, layout.HALT):
        increases = read_halt(root).level == "reduce_only"
        notes.warn(
            f"{root.name}/{layout.HALT}",
            f"{'Increases are' if increases else 'Execution is'} halted: this file exists.",
            "Find out why before you remove it.",
        )


def _look_at_ledger(root: Path, notes: _Notes) -> None:
    """Whether what was stored can be read; it is opened for reading, and nothing else."""
    try:
        with Ledger.read(root) as ledger:
            if ledger is not None:
                ledger.is_settled()
    except RebalanceError as error:
        notes.error(error)


def _note_targets(loaded: LoadedConfig | None, environment: Mapping[str, str], notes: _Notes) -> None:
    """Those who cannot be notified as things stand."""
    targets = loaded.config.notifications if loaded else ()
    for target in targets:
        if not environment.get(target.url_env, "").strip():
            notes.warn(
                loaded.label if loaded else "",
                f"{target.name} cannot be notified: {target.url_env} is not set here.",
                f"Set {target.url_env} where the program runs to the address, as apprise writes it.",
            )
    if targets and find_spec("apprise") is None:
        notes.warn(
            loaded.label if loaded else "",
            "Nobody can be notified: apprise is not installed.",
            "Install it: pip install 'trading-portfolio-rebalance[notify]'",
        )


def _note_config(loaded: LoadedConfig | None, notes: _Notes) -> None:
    if loaded:
        for text in loaded.warnings:
            notes.warn(loaded.label, text, "Make the two say the same.")


def _look_at_registry(file: RegistryFile, clock: Clock, notes: _Notes) -> Registry | None:
    """The registry, if every entry that counts can be read."""
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
            notes.remarks(odd_returns(column, clock))
        if known and readable:
            for stale in stale_reasons(key, bootstrap, snapshot, column, clock):
                notes.warn(stale.where, f"{key} is stale: {stale.reason}.", stale.fix)
    _note_ages(bootstrap, found, config, clock, notes)
    notes.remarks(lagging_snapshots(bootstrap, found))
    if len(found) == len(bootstrap.deployed):
        notes.remarks(moved_total(bootstrap, found))
    notes.remarks(copies(columns, clock))


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


def _note_unread_names(root: Path, bootstrap: Bootstrap, file: RegistryFile | None, notes: _Notes) -> None:
    others = file.others if file else ()
    notes.attempt(notes.remarks, unread_folders(root, deployed=bootstrap.deployed, others=others))
    for key in bootstrap.deployed:
        notes.attempt(notes.remarks, unread_files(root, key))
