"""The ledger: SQLite, the durable truth of runs and plans.

Opened with ``journal_mode=WAL`` and ``synchronous=FULL`` and asserted to be so: in WAL mode FULL syncs the
log on every commit, so what was committed is there after a power cut. Every write is one ``BEGIN IMMEDIATE``
transaction. What is stored is canonical: no wall-clock time is written beside it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, Protocol, Self

from portfolio_rebalance.clock import parse_instant
from portfolio_rebalance.errors import LedgerError, PlanNotFoundError, UsageError
from portfolio_rebalance.records import RunSummary

__all__ = ["LEDGER", "Ledger", "RunEntry", "RunStore"]

LEDGER: Final = "portfolio-rebalance/ledger.db"
_VERSION: Final = 1
_SQLITE_HEADER_BYTES: Final = 100
_MOST_CAPITAL: Final = Decimal(10) ** 20
_SCHEMA: Final = """
CREATE TABLE plans (
    plan_id    TEXT PRIMARY KEY,
    as_of      TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    content    BLOB NOT NULL
) STRICT;
CREATE TABLE runs (
    number         INTEGER PRIMARY KEY,
    run_id         TEXT NOT NULL UNIQUE,
    as_of          TEXT NOT NULL,
    state          TEXT NOT NULL,
    mode           TEXT NOT NULL,
    recommendation TEXT NOT NULL,
    basis          TEXT NOT NULL,
    total_capital  TEXT NOT NULL,
    high_pairs     TEXT NOT NULL,
    plan_id        TEXT REFERENCES plans (plan_id),
    result         BLOB NOT NULL
) STRICT;
CREATE INDEX runs_by_time ON runs (as_of);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """One finished run, as stored.

    Attributes:
        state: ``planned``, ``hold`` or ``blocked``; ``committed`` once a plan was executed and verified.
        high_pairs: Pairs that were HIGH, for the hysteresis of later runs.
        result: The run's full result, JSON.
        plan: Plan id, expiry and canonical bytes; None where nothing awaits a person.
    """

    run_id: str
    as_of: datetime
    state: str
    mode: str
    recommendation: str
    basis: str
    total_capital: Decimal
    high_pairs: tuple[tuple[str, str], ...]
    result: bytes
    plan: tuple[str, datetime, bytes] | None


class RunStore(Protocol):
    """What a run needs of a ledger."""

    def add_run(self, entry: RunEntry) -> None:
        """Store a run and its plan in one transaction; the same run again changes nothing."""
        ...

    def last_total(self, *, until: datetime) -> tuple[datetime, Decimal] | None:
        """When and how large total capital was at the last run up to an instant."""
        ...

    def last_committed_pairs(self, *, before: datetime, within: timedelta) -> tuple[tuple[str, str], ...]:
        """HIGH pairs of the last committed run before an instant, if recent enough."""
        ...


class Ledger:
    """A connection to ``ledger.db``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, root: Path) -> Iterator[Self]:
        """Open for writing, creating the file and its tables if absent.

        Raises:
            LedgerError: Not a plain file, unreadable, of another version, or not durable here.
        """
        path = root / LEDGER
        _require_plain(path)
        with _as_ledger_error(path):
            path.parent.mkdir(exist_ok=True)
            connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        try:
            with _as_ledger_error(path):
                _prepare(connection, path)
            yield cls(connection)
        finally:
            connection.close()

    @classmethod
    @contextmanager
    def read(cls, root: Path) -> Iterator[Self | None]:
        """Open for reading only; None when there is no ledger yet. Never creates a file.

        Raises:
            LedgerError: Not a plain file, unreadable, or of another version.
        """
        path = root / LEDGER
        _require_plain(path)
        if not path.exists():
            yield None
            return
        with _as_ledger_error(path):
            connection = sqlite3.connect(path, isolation_level=None, timeout=10)
            connection.execute("PRAGMA query_only = ON")
        try:
            with _as_ledger_error(path):
                found = _version(connection)
            if found == 0:
                yield None
                return
            _require_version(found, path)
            yield cls(connection)
        finally:
            connection.close()

    def add_run(self, entry: RunEntry) -> None:
        """Store a run and its plan in one transaction; the same run again changes nothing."""
        with _as_ledger_error(LEDGER), self._transaction():
            plan_id = None
            if entry.plan is not None:
                plan_id, expires_at, content = entry.plan
                self._connection.execute(
                    "INSERT INTO plans VALUES (?, ?, ?, ?) ON CONFLICT (plan_id) DO NOTHING",
                    (plan_id, _stamp(entry.as_of), _stamp(expires_at), content),
                )
            self._connection.execute(
                "INSERT INTO runs (run_id, as_of, state, mode, recommendation, basis, total_capital,"
                " high_pairs, plan_id, result) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (run_id) DO NOTHING",
                (
                    entry.run_id,
                    _stamp(entry.as_of),
                    entry.state,
                    entry.mode,
                    entry.recommendation,
                    entry.basis,
                    str(entry.total_capital),
                    json.dumps(entry.high_pairs),
                    plan_id,
                    entry.result,
                ),
            )

    def last_total(self, *, until: datetime) -> tuple[datetime, Decimal] | None:
        """When and how large total capital was at the last run up to an instant."""
        row = self._one(
            "SELECT as_of, total_capital FROM runs WHERE as_of <= ? ORDER BY as_of DESC, number DESC LIMIT 1",
            (_stamp(until),),
        )
        if row is None:
            return None
        with _as_ledger_error(LEDGER):
            total = Decimal(str(row[1]))
            if not (total.is_finite() and 0 < total < _MOST_CAPITAL):
                raise ValueError(f"total capital {row[1]!r}")
            return parse_instant(str(row[0]), where=LEDGER), total

    def last_committed_pairs(self, *, before: datetime, within: timedelta) -> tuple[tuple[str, str], ...]:
        """HIGH pairs of the last committed run before an instant, if recent enough."""
        row = self._one(
            "SELECT high_pairs FROM runs WHERE state = 'committed' AND as_of < ? AND as_of >= ?"
            " ORDER BY as_of DESC, number DESC LIMIT 1",
            (_stamp(before), _stamp(before - within)),
        )
        if row is None:
            return ()
        with _as_ledger_error(LEDGER):
            return tuple((str(a), str(b)) for a, b in json.loads(str(row[0])))

    def history(self) -> tuple[RunSummary, ...]:
        """Every run, newest first."""
        with _as_ledger_error(LEDGER):
            rows = self._connection.execute(
                "SELECT run_id, as_of, mode, recommendation, basis, state, plan_id FROM runs"
                " ORDER BY as_of DESC, number DESC"
            ).fetchall()
            return tuple(
                RunSummary(
                    run_id=row[0],
                    as_of=parse_instant(row[1], where=LEDGER),
                    mode=row[2],
                    recommendation=row[3],
                    basis=row[4],
                    status=row[5],
                    plan_id=row[6],
                )
                for row in rows
            )

    def result(self, prefix: str) -> bytes:
        """The stored result of the run or plan whose id begins with ``prefix``.

        Of several runs that came to the same plan, the newest.

        Raises:
            PlanNotFoundError: No id does, or ids that differ do.
        """
        rows = []
        with _as_ledger_error(LEDGER):
            rows = self._connection.execute(
                "SELECT CASE WHEN substr(run_id, 1, ?) = ? THEN run_id ELSE plan_id END, result FROM runs"
                " WHERE substr(plan_id, 1, ?) = ? OR substr(run_id, 1, ?) = ?"
                " ORDER BY as_of DESC, number DESC",
                (len(prefix), prefix if prefix.isascii() else "") * 3,
            ).fetchall()
        if not prefix.isascii() or not prefix or len({row[0] for row in rows}) != 1:
            found = "No" if not rows else "More than one"
            raise PlanNotFoundError(
                f"{found} stored plan or run begins with {prefix!r}.",
                where="PLAN",
                fix="List them with: trading-portfolio-rebalance history",
            )
        return bytes(rows[0][1])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _one(self, query: str, values: tuple[str, ...]) -> tuple[object, ...] | None:
        with _as_ledger_error(LEDGER):
            row: tuple[object, ...] | None = self._connection.execute(query, values).fetchone()
        return row


def _stamp(instant: datetime) -> str:
    """An instant as text that sorts by time: always six decimals."""
    return instant.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and _version(connection) == 0:
        raise LedgerError(
            "This is another program's database.", where=path.name, fix="Move it away; it was not touched."
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    if journal != "wal" or synchronous != 2:
        raise LedgerError(
            f"The ledger is not durable here (journal {journal}, synchronous {synchronous}).",
            where=str(path.name),
            fix="Keep the workspace on a local disk that supports write-ahead logging.",
        )
    connection.execute("BEGIN IMMEDIATE")
    found = _version(connection)
    if found == 0:
        for statement in _SCHEMA.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("COMMIT")
    if found:
        _require_version(found, path)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _require_version(found: int, path: Path) -> None:
    if found != _VERSION:
        raise LedgerError(
            f"The ledger has schema version {found}; this version reads {_VERSION}.",
            where=path.name,
            fix="Use the version of trading-portfolio-rebalance that wrote it, or a newer one.",
        )


def _require_plain(path: Path) -> None:
    """Refuse a ledger, or what SQLite keeps beside it, that is no plain file: it could lead outside."""
    beside = (path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))
    for place in (path.parent, path, *beside):
        try:
            found = os.lstat(place)
        except (FileNotFoundError, NotADirectoryError):
            continue
        plain = stat.S_ISDIR(found.st_mode) if place == path.parent else _is_plain_file(found)
        if not plain:
            raise LedgerError(
                f"{place.name} is a link or not what it should be.",
                where=place.name,
                fix="Remove or rename it.",
            )
    if path.exists() and 0 < path.stat().st_size < _SQLITE_HEADER_BYTES:
        raise LedgerError(
            f"{path.name} was cut off.", where=path.name, fix="Restore it from a backup, or move it away."
        )


def _is_plain_file(found: os.stat_result) -> bool:
    """A regular file with one name: SQLite writes to whatever stands beside its database."""
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


@contextmanager
def _as_ledger_error(where: Path | str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, ValueError, ArithmeticError, TypeError, UsageError) as cause:
        raise LedgerError(
            f"The ledger cannot be used: {cause}.",
            where=Path(where).name,
            fix="Check that the workspace is writable and the file is a ledger, else restore a backup.",
        ) from cause
