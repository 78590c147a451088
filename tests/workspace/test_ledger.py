"""The ledger: durable, transactional, strict about what it opens."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from portfolio_rebalance.errors import LedgerError, PlanNotFoundError
from portfolio_rebalance.workspace import Ledger, RunEntry

NOW = datetime(2025, 2, 5, 2, tzinfo=UTC)


def entry(number: int, *, plan: bool = True, state: str = "planned") -> RunEntry:
    return RunEntry(
        run_id=f"run-{number}",
        as_of=NOW + timedelta(hours=number),
        state=state,
        mode="proportional",
        recommendation="REBALANCE",
        basis="drift",
        total_capital=Decimal("60000.10") + number,
        high_pairs=(("STR-A", "STR-B"),),
        result=b'{"number": %d}' % number,
        plan=(f"{number}abc", NOW + timedelta(days=1), b"plan") if plan else None,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def test_pragmas_are_what_durability_needs(root: Path) -> None:
    with Ledger.open(root) as ledger:
        connection = ledger._connection
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_commits_are_synced_as_a_system_call_trace_shows(root: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.txt"
    script = (
        "import sys; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[2]); from test_ledger import entry\n"
        "from portfolio_rebalance.workspace import Ledger\n"
        "with Ledger.open(Path(sys.argv[1])) as ledger:\n    ledger.add_run(entry(1))\n"
    )
    command = [sys.executable, "-c", script, str(root), str(Path(__file__).parent)]
    try:
        subprocess.run(
            ["strace", "-f", "-e", "trace=fsync,fdatasync", "-o", str(trace), *command],
            check=True,
            capture_output=True,
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("no system-call trace on this machine")
    assert trace.read_text().count("sync(") >= 2


def test_what_was_added_is_found_again(root: Path) -> None:
    with Ledger.open(root) as ledger:
        for number in (1, 2):
            ledger.add_run(entry(number))
        ledger.add_run(entry(3, plan=False, state="hold"))
    with Ledger.read(root) as ledger:
        assert ledger is not None
        assert [(run.run_id, run.status, run.plan_id) for run in ledger.history()] == [
            ("run-3", "hold", None),
            ("run-2", "planned", "2abc"),
            ("run-1", "planned", "1abc"),
        ]
        assert ledger.result("2a") == b'{"number": 2}'
        assert ledger.result("run-3") == b'{"number": 3}'
        assert ledger.last_total(until=NOW + timedelta(hours=2)) == (
            NOW + timedelta(hours=2),
            Decimal("60002.10"),
        )
        assert ledger.last_total(until=NOW) is None


@pytest.mark.parametrize("prefix", ["", "zzz", "run-", "%", "_"])
def test_a_prefix_that_names_no_single_run_is_refused(root: Path, prefix: str) -> None:
    with Ledger.open(root) as ledger:
        ledger.add_run(entry(1))
        ledger.add_run(entry(2))
        with pytest.raises(PlanNotFoundError):
            ledger.result(prefix)


def test_the_same_run_again_changes_nothing(root: Path) -> None:
    with Ledger.open(root) as ledger:
        ledger.add_run(entry(1))
        ledger.add_run(entry(1))
        assert len(ledger.history()) == 1


def test_a_failing_statement_leaves_neither_plan_nor_run(root: Path) -> None:
    with Ledger.open(root) as ledger:
        ledger._connection.execute(
            "CREATE TRIGGER stop BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        with pytest.raises(LedgerError, match="no"):
            ledger.add_run(entry(1))
        assert ledger._connection.execute("SELECT count(*) FROM plans").fetchone() == (0,)


def test_reading_never_creates_and_cannot_write(root: Path) -> None:
    with Ledger.read(root) as ledger:
        assert ledger is None
    assert list(root.iterdir()) == []
    with Ledger.open(root):
        pass
    with Ledger.read(root) as ledger:
        assert ledger is not None
        with pytest.raises(LedgerError, match="readonly"):
            ledger.add_run(entry(1))


def test_a_newer_version_is_refused_and_left_alone(root: Path) -> None:
    with Ledger.open(root) as ledger:
        ledger._connection.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="99"), Ledger.open(root):
        pass
    with pytest.raises(LedgerError, match="99"), Ledger.read(root):
        pass


def test_what_is_no_ledger_is_refused(root: Path) -> None:
    (root / "portfolio-rebalance").mkdir()
    (root / "portfolio-rebalance/ledger.db").write_bytes(
        b"not a database, but long enough to be looked at" * 50
    )
    with pytest.raises(LedgerError), Ledger.open(root):
        pass


@pytest.mark.parametrize("kind", ["file link", "folder link", "dangling link", "directory", "fifo"])
def test_a_ledger_that_leads_outside_or_is_no_file_is_refused(
    root: Path, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    folder = root / "portfolio-rebalance"
    if kind == "folder link":
        folder.symlink_to(outside)
    else:
        folder.mkdir()
        path = folder / "ledger.db"
        if kind == "file link":
            (outside / "other.db").touch()
            path.symlink_to(outside / "other.db")
        elif kind == "dangling link":
            path.symlink_to(outside / "absent.db")
        elif kind == "directory":
            path.mkdir()
        else:
            os.mkfifo(path)
    with pytest.raises(LedgerError, match="link or not"), Ledger.open(root):
        pass
    assert not (outside / "absent.db").exists()


def test_two_writers_wait_for_each_other(root: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[3]); from test_ledger import entry\n"
        "from portfolio_rebalance.workspace import Ledger\n"
        "for number in range(int(sys.argv[2]), int(sys.argv[2]) + 10):\n"
        "    with Ledger.open(Path(sys.argv[1])) as ledger:\n        ledger.add_run(entry(number))\n"
    )
    here = str(Path(__file__).parent)
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(root), start, here]) for start in ("100", "200")
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    with sqlite3.connect(root / "portfolio-rebalance/ledger.db") as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (20,)
