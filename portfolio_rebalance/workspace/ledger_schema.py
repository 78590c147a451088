"""The ledger's tables: what each version added, and how an older file becomes a current one.

A version is a script that leads to it from the one before. A new file runs them all, an older one those that
it lacks, in one transaction: a crash on the way leaves the version that was there. Scripts of released
versions never change.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from portfolio_rebalance.errors import LedgerError

__all__ = ["VERSION", "prepare", "require_known", "stand_in", "version_of"]

_TRIES: Final = 100
_PAUSE_SECONDS: Final = 0.02

_RUNS_AND_PLANS: Final = """
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

_EXECUTIONS: Final = """
CREATE TABLE approvals (
    plan_id TEXT PRIMARY KEY REFERENCES plans (plan_id),
    content BLOB NOT NULL
) STRICT;
CREATE TABLE rejections (
    plan_id TEXT PRIMARY KEY REFERENCES plans (plan_id),
    user    TEXT NOT NULL,
    at      TEXT NOT NULL,
    reason  TEXT NOT NULL
) STRICT;
CREATE TABLE executions (
    plan_id     TEXT PRIMARY KEY REFERENCES plans (plan_id),
    status      TEXT NOT NULL
        CHECK (status IN ('running', 'reverting', 'committed', 'reverted', 'needs_operator', 'closed')),
    reason      TEXT NOT NULL,
    started     BLOB NOT NULL,
    report      BLOB,
    total_after TEXT,
    finished_at TEXT
) STRICT;
CREATE UNIQUE INDEX one_unfinished_execution ON executions ((1))
    WHERE status IN ('running', 'reverting', 'needs_operator');
CREATE TABLE steps (
    plan_id         TEXT NOT NULL REFERENCES executions (plan_id),
    idx             INTEGER NOT NULL,
    content         BLOB NOT NULL,
    state           TEXT NOT NULL
        CHECK (state IN ('planned', 'sent', 'unknown', 'done', 'refused', 'cancelled')),
    reference_price TEXT,
    limit_price     TEXT,
    fill            BLOB,
    note            TEXT NOT NULL,
    PRIMARY KEY (plan_id, idx)
) STRICT;
CREATE TABLE outbox (
    number     INTEGER PRIMARY KEY,
    plan_id    TEXT REFERENCES plans (plan_id),
    path       TEXT NOT NULL,
    old_sha256 TEXT,
    new_sha256 TEXT NOT NULL,
    content    BLOB NOT NULL,
    applied    INTEGER NOT NULL CHECK (applied IN (0, 1, 2))
) STRICT;
CREATE INDEX outbox_unapplied ON outbox (number) WHERE applied = 0;
CREATE TABLE instructions (
    plan_id   TEXT PRIMARY KEY REFERENCES plans (plan_id),
    content   BLOB NOT NULL,
    issued_at TEXT NOT NULL
) STRICT;
CREATE TABLE confirmations (
    plan_id  TEXT NOT NULL REFERENCES instructions (plan_id),
    strategy TEXT NOT NULL,
    at       TEXT NOT NULL,
    PRIMARY KEY (plan_id, strategy)
) STRICT;
CREATE INDEX runs_by_plan ON runs (plan_id);
"""

_MODEL_CALLS = """
CREATE TABLE model_calls (
    number             INTEGER PRIMARY KEY,
    run_id             TEXT NOT NULL,
    at                 TEXT NOT NULL,
    provider           TEXT NOT NULL,
    agent              TEXT NOT NULL,
    model              TEXT NOT NULL,
    calls              INTEGER NOT NULL,
    input_tokens       INTEGER NOT NULL,
    output_tokens      INTEGER NOT NULL,
    cache_read_tokens  INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    dollars            TEXT NOT NULL,
    seconds            REAL NOT NULL
) STRICT;
"""

_FOLLOWING: Final = """
CREATE TABLE ticks (
    plan_id TEXT NOT NULL REFERENCES executions (plan_id),
    number  INTEGER NOT NULL,
    at      TEXT NOT NULL,
    alerts  INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (plan_id, number)
) STRICT;
CREATE TABLE outcomes (
    plan_id TEXT PRIMARY KEY REFERENCES executions (plan_id),
    at      TEXT NOT NULL,
    content BLOB NOT NULL
) STRICT;
CREATE TABLE tunings (
    number    INTEGER PRIMARY KEY,
    plan_id   TEXT REFERENCES executions (plan_id),
    parameter TEXT NOT NULL,
    content   BLOB NOT NULL,
    UNIQUE (plan_id, parameter)
) STRICT;
CREATE TABLE learned (
    plan_id TEXT NOT NULL REFERENCES executions (plan_id),
    source  TEXT NOT NULL CHECK (source IN ('rules', 'model')),
    at      TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (plan_id, source, at)
) STRICT;
CREATE TABLE notices (
    key     TEXT PRIMARY KEY,
    at      TEXT NOT NULL,
    state   TEXT NOT NULL CHECK (state IN ('sent', 'failed', 'silent')),
    content BLOB NOT NULL
) STRICT;
"""

_CHECKS: Final = """
CREATE TABLE checks (
    number  INTEGER PRIMARY KEY,
    at      TEXT NOT NULL,
    reasons TEXT NOT NULL,
    plan_id TEXT REFERENCES plans (plan_id)
) STRICT;
CREATE INDEX checks_by_time ON checks (at);
"""

_SCRIPTS: Final = (_RUNS_AND_PLANS, _EXECUTIONS, _MODEL_CALLS, _FOLLOWING, _CHECKS)
VERSION: Final = len(_SCRIPTS)
"""What this package reads and writes."""


def version_of(connection: sqlite3.Connection) -> int:
    """The file's schema version; 0 for an empty file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def require_known(found: int, path: Path) -> None:
    """Refuse a ledger that a newer version wrote.

    Raises:
        LedgerError: It is newer than :data:`VERSION`, or no version at all.
    """
    if not 0 <= found <= VERSION:
        raise LedgerError(
            f"The ledger has schema version {found}; this version reads {VERSION}.",
            where=path.name,
            fix="Use the version of trading-portfolio-rebalance that wrote it, or a newer one.",
        )


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make a connection durable and its file current: created, or migrated from an older version.

    Raises:
        LedgerError: Another program's database, a newer version, or a disk that cannot be relied on.
    """
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and version_of(connection) == 0:
        raise LedgerError(
            "This is another program's database.", where=path.name, fix="Move it away; it was not touched."
        )
    require_known(version_of(connection), path)
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    _require_durable(connection, path)
    if version_of(connection) != VERSION:
        _migrate(connection, path)


def stand_in(connection: sqlite3.Connection, found: int) -> None:
    """Let an older ledger that is only read answer every question: tables that it lacks are there, empty."""
    connection.execute("PRAGMA temp_store = MEMORY")
    for statement in _statements(found):
        if statement.startswith("CREATE TABLE"):
            connection.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE", 1))


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log; SQLite does not wait by itself for another that does the same."""
    for left in reversed(range(_TRIES)):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if not left:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _require_durable(connection: sqlite3.Connection, path: Path) -> None:
    journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    if journal != "wal" or synchronous != 2:
        raise LedgerError(
            f"The ledger is not durable here (journal {journal}, synchronous {synchronous}).",
            where=path.name,
            fix="Keep the workspace on a local disk that supports write-ahead logging.",
        )
    if connection.execute("PRAGMA foreign_keys").fetchone() != (1,):
        raise LedgerError(
            "This SQLite does not hold rows to the rows that they refer to (foreign_keys).",
            where=path.name,
            fix="Use a Python whose SQLite was built with foreign keys.",
        )


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    found = version_of(connection)  # another process may have migrated it meanwhile
    require_known(found, path)
    if found == 0:
        _sync_folder(path.parent.parent)
    for statement in _statements(found):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _statements(found: int) -> Iterator[str]:
    """What leads from a version to the current one."""
    for script in _SCRIPTS[found:]:
        yield from filter(None, map(str.strip, script.split(";\n")))


def _sync_folder(folder: Path) -> None:
    """SQLite syncs the folder that its file is in, and not the one above, which may have just got it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
