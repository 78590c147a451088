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
from portfolio_rebalance.workspace import Ledger, Projection, RunEntry
from portfolio_rebalance.workspace.ledger_schema import VERSION

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


@pytest.mark.parametrize(
    ("pragma", "answer"), [("journal_mode", "memory"), ("synchronous", 1), ("foreign_keys", 0)]
)
def test_a_database_that_does_not_take_a_pragma_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, pragma: str, answer: object
) -> None:
    class Deaf(sqlite3.Connection):
        def execute(self, statement: str, *values: object) -> sqlite3.Cursor:  # type: ignore[override]
            if statement == f"PRAGMA {pragma}":
                statement = f"SELECT {answer!r}"
            return super().execute(statement, *values)  # type: ignore[arg-type]

    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *where, **how: real(*where, factory=Deaf, **how))
    with pytest.raises(LedgerError), Ledger.open(root):
        pass
    monkeypatch.undo()
    with sqlite3.connect(root / "portfolio-rebalance/ledger.db") as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_the_folder_of_a_new_ledger_is_synced_before_its_tables_are(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite syncs the folder of its file, and not the one that this folder was just made in."""
    synced: list[str] = []
    real = os.fsync

    def spy(descriptor: int) -> None:
        with sqlite3.connect(root / "portfolio-rebalance/ledger.db") as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (0,)
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    with Ledger.open(root):
        assert synced == [str(root)]
    with Ledger.open(root):
        assert synced == [str(root)]


def test_the_ledger_alone_is_read_without_what_only_an_execution_needs(root: Path) -> None:
    """A dry run stores a run and reads the last total: neither batches nor the journal are imported."""
    script = (
        "import sys; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[2]); from test_ledger import NOW, entry\n"
        "from portfolio_rebalance.workspace import Ledger\n"
        "with Ledger.open(Path(sys.argv[1])) as ledger:\n"
        "    ledger.add_run(entry(1)); ledger.last_total(until=NOW)\n"
        "print(sorted(name for name in sys.modules if name.startswith('portfolio_rebalance.')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(root), str(Path(__file__).parent)],
        check=True,
        capture_output=True,
        text=True,
    )
    for module in ("records.batch", "workspace.approvals", "workspace.journal"):
        assert f"'portfolio_rebalance.{module}'" not in done.stdout


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


def test_a_run_is_stored_with_its_files_and_the_same_run_again_without(root: Path) -> None:
    with Ledger.open(root) as ledger:
        for content in (b"first", b"second"):
            file = Projection(path="portfolio-rebalance/a.yaml", old_sha256=None, content=content)
            ledger.add_run(entry(1), projections=[file])
        assert [(file.plan_id, file.content) for file in ledger.outbox.pending()] == [(None, b"first")]


def test_a_transaction_whose_commit_fails_is_over(root: Path) -> None:
    with Ledger.open(root) as ledger:
        ledger._connection.executescript(
            "CREATE TABLE late (a REFERENCES plans (plan_id) DEFERRABLE INITIALLY DEFERRED)"
        )
        with pytest.raises(LedgerError, match="FOREIGN KEY"), ledger.transaction() as connection:
            connection.execute("INSERT INTO late VALUES ('none')")
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


@pytest.mark.parametrize("version", [VERSION + 1, 99, -1])
def test_a_newer_version_is_refused_and_left_alone(root: Path, version: int) -> None:
    with Ledger.open(root) as ledger:
        ledger._connection.execute(f"PRAGMA user_version = {version}")
    before = (root / "portfolio-rebalance/ledger.db").read_bytes()
    with pytest.raises(LedgerError, match=str(version)), Ledger.open(root):
        pass
    with pytest.raises(LedgerError, match=str(version)), Ledger.read(root):
        pass
    assert (root / "portfolio-rebalance/ledger.db").read_bytes() == before


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
