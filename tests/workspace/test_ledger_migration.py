"""An older ledger opens: migrated when it is written, as it is when it is only read."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from portfolio_rebalance.errors import LedgerError
from portfolio_rebalance.workspace import Ledger, ledger_schema
from workspace.executions import NOW, approval, hours, run_of, started

LEDGER = "portfolio-rebalance/ledger.db"

VERSION_1 = """
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
"""As the first release made it; nothing here may ever change."""

NEW_TABLES = {"approvals", "rejections", "executions", "steps", "outbox", "confirmations", "instructions"} | {
    *("model_calls", "ticks", "outcomes", "tunings", "learned", "notices", "checks")
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """With a ledger of the first release: two runs of one plan, one of them committed by hand."""
    make_version_1(tmp_path)
    return tmp_path


def make_version_1(root: Path) -> None:
    (root / LEDGER).parent.mkdir()
    connection = sqlite3.connect(root / LEDGER, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(VERSION_1)
    connection.execute("PRAGMA user_version = 1")
    connection.execute(
        "INSERT INTO plans VALUES ('abc', '2025-02-05T02:00:00.000000Z', '2025-02-06T02:00:00.000000Z', ?)",
        (b"the plan",),
    )
    for number, state in ((1, "committed"), (2, "planned")):
        connection.execute(
            "INSERT INTO runs (run_id, as_of, state, mode, recommendation, basis, total_capital, high_pairs,"
            " plan_id, result) VALUES (?, ?, ?, 'proportional', 'REBALANCE', 'drift', '60000', ?, 'abc', ?)",
            (
                f"run-{number}",
                f"2025-02-05T0{number + 2}:00:00.000000Z",
                state,
                json.dumps([["STR-A", "STR-B"]]),
                b"result %d" % number,
            ),
        )
    connection.close()


def schema(root: Path) -> tuple[int, set[tuple[str, str, str]]]:
    connection = sqlite3.connect(root / LEDGER)
    try:
        rows = connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        ).fetchall()
        return connection.execute("PRAGMA user_version").fetchone()[0], set(rows)
    finally:
        connection.close()


def answers(ledger: Ledger) -> list[object]:
    """Whatever the first release could ask."""
    return [
        ledger.history(),
        ledger.result("ab"),
        ledger.result("run-1"),
        ledger.last_total(until=hours(9)),
        ledger.last_committed_pairs(before=hours(9), within=timedelta(days=7)),
    ]


def expect_answers(ledger: Ledger, *, started: bool = False) -> None:
    summaries, *others = answers(ledger)
    assert [(run.run_id, run.status, run.plan_id) for run in summaries] == [  # type: ignore[attr-defined]
        ("run-2", "running" if started else "planned", "abc"),
        ("run-1", "running" if started else "committed", "abc"),
    ]
    assert others == [b"result 2", b"result 1", (hours(2), Decimal(60_000)), (("STR-A", "STR-B"),)]


def test_opening_it_for_writing_makes_it_current_and_keeps_every_row(root: Path, tmp_path: Path) -> None:
    assert schema(root)[0] == 1
    with Ledger.open(root) as ledger:
        expect_answers(ledger)
        assert ledger.approvals.plan("abc").content == b"the plan"
    (tmp_path / "fresh").mkdir()
    with Ledger.open(tmp_path / "fresh"):
        pass
    assert schema(root) == schema(tmp_path / "fresh")
    assert schema(root)[0] == ledger_schema.VERSION == 5
    with Ledger.open(root) as ledger:
        ledger.approvals.approve(approval("abc"))
        ledger.journal.start(started("abc"), [])
        expect_answers(ledger, started=True)


def test_reading_it_answers_everything_and_changes_nothing(root: Path) -> None:
    before = schema(root), (root / LEDGER).read_bytes()
    with Ledger.read(root) as ledger:
        assert ledger is not None
        expect_answers(ledger)
        assert ledger.journal.unfinished() is None
        assert ledger.journal.get("abc") is None
        assert ledger.journal.steps("abc") == ()
        assert ledger.journal.reports() == ()
        assert ledger.approvals.plan("a").content == b"the plan"
        assert ledger.approvals.newest_approved() is None
        assert ledger.approvals.approval_of("abc") is None
        assert not ledger.approvals.is_rejected("abc")
        assert ledger.approvals.instructions() == ()
        assert ledger.outbox.pending() == ()
        assert ledger.is_settled()
        for write in (
            lambda: ledger.add_run(run_of(None)),
            lambda: ledger.approvals.approve(approval("abc")),
            lambda: ledger.approvals.reject("abc", user="anna", at=NOW),
        ):
            with pytest.raises(LedgerError, match="readonly"):
                write()
    assert (schema(root), (root / LEDGER).read_bytes()) == before


def test_every_table_that_it_lacks_stands_in_empty(root: Path) -> None:
    with Ledger.read(root) as ledger:
        assert ledger is not None
        assert {
            name for (name,) in ledger.rows("SELECT name FROM temp.sqlite_master WHERE type = 'table'")
        } == (NEW_TABLES)


def test_a_migration_that_fails_leaves_version_1(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = schema(root)
    monkeypatch.setattr(
        ledger_schema, "_SCRIPTS", (VERSION_1, f"{ledger_schema._SCRIPTS[1]}CREATE TABLE runs (a);\n")
    )
    with pytest.raises(LedgerError, match="runs already exists"), Ledger.open(root):
        pass
    assert schema(root) == before
    monkeypatch.undo()
    with Ledger.open(root) as ledger:
        expect_answers(ledger)


KILLED_AT_EACH_STATEMENT = """
import json, os, shutil, signal, sqlite3, sys
from pathlib import Path
from portfolio_rebalance.workspace import Ledger

template, folder = Path(sys.argv[1]), Path(sys.argv[2])
versions, number, finished = [], 0, False
while not finished:
    root = folder / str(number)
    shutil.copytree(template, root)
    child = os.fork()
    if child == 0:
        left, real = [number], sqlite3.connect

        def killed(statement):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

        def connect(*where, **how):
            connection = real(*where, **how)
            connection.set_trace_callback(killed)
            return connection

        sqlite3.connect = connect
        with Ledger.open(root):
            pass
        os._exit(0)
    finished = os.waitpid(child, 0)[1] == 0
    connection = sqlite3.connect(root / "portfolio-rebalance/ledger.db")
    tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0]
    versions.append([connection.execute("PRAGMA user_version").fetchone()[0], tables])
    connection.close()
    with Ledger.open(root) as ledger:
        assert len(ledger.history()) == 2
    number += 1
print(json.dumps(versions))
"""


def test_a_migration_that_is_killed_at_any_statement_leaves_version_1_and_is_done_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "template").mkdir()
    make_version_1(tmp_path / "template")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            KILLED_AT_EACH_STATEMENT,
            str(tmp_path / "template"),
            str(tmp_path / "killed"),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    *killed, finished = json.loads(done.stdout)
    assert finished == [5, 2 + len(NEW_TABLES)]
    assert len(killed) > len(NEW_TABLES)
    assert killed == [[1, 2]] * len(killed)


def test_two_that_open_it_at_once_migrate_it_once(root: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from portfolio_rebalance.workspace import Ledger\n"
        "with Ledger.open(Path(sys.argv[1])) as ledger:\n    assert len(ledger.history()) == 2\n"
    )
    openers = [subprocess.Popen([sys.executable, "-c", script, str(root)]) for _ in range(4)]
    assert [opener.wait(timeout=60) for opener in openers] == [0] * 4
    assert schema(root)[0] == 5


def test_two_that_create_it_at_once_wait_for_each_other(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from portfolio_rebalance.workspace import Ledger\n"
        "sys.stdin.readline()\n"
        "for number in range(10):\n"
        "    root = Path(sys.argv[1]) / str(number)\n"
        "    root.mkdir(exist_ok=True)\n"
        "    with Ledger.open(root) as ledger:\n        assert ledger.history() == ()\n"
    )
    words = [sys.executable, "-c", script, str(tmp_path)]
    creators = [subprocess.Popen(words, stdin=subprocess.PIPE, text=True) for _ in range(3)]
    for creator in creators:
        assert creator.stdin is not None
        creator.stdin.write("go\n")
        creator.stdin.flush()
    for creator in creators:
        creator.communicate(timeout=60)
    assert [creator.returncode for creator in creators] == [0, 0, 0]
