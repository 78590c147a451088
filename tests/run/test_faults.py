"""Faults around a run: what a full disk, a strange ledger, an edit or an interrupt may leave behind."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from workspaces import AS_OF, THREE, make_workspace

from portfolio_rebalance import run_skill
from portfolio_rebalance.errors import LedgerError
from portfolio_rebalance.run.queries import history
from portfolio_rebalance.workspace import Ledger

AS_OF_TEXT = "2025-02-05T02:00:00Z"
LEDGER = "portfolio-rebalance/ledger.db"


def run(root: Path, as_of: str = AS_OF_TEXT, **more: object):  # type: ignore[no-untyped-def]
    return run_skill({"workspace": root, "as_of": as_of}, now=AS_OF + timedelta(days=5), **more)


def cli(*words: str, **how: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "portfolio_rebalance.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **how)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db-journal"])
@pytest.mark.parametrize("kind", ["hard link", "link", "fifo"])
def test_a_ledger_file_that_is_shared_with_outside_is_never_touched(
    tmp_path: Path, name: str, kind: str
) -> None:
    root = make_workspace(tmp_path, THREE)
    assert run(root).error is None
    path = root / "portfolio-rebalance" / name
    outside = tmp_path / "outside"
    outside.write_text("keep")
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    else:
        (path.hardlink_to if kind == "hard link" else path.symlink_to)(outside)
    refused = run(root, "2025-02-05T03:00:00Z")
    assert refused.error is not None
    assert (refused.error.code, refused.exit_code) == ("ledger", 14)
    with pytest.raises(LedgerError):
        history(root)
    assert outside.read_text() == "keep"


def test_a_ledger_that_fails_leaves_no_record_behind(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, THREE)
    with Ledger.open(root) as ledger:
        ledger._connection.execute(
            "CREATE TRIGGER stop BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    assert run(root).exit_code == 14
    assert list((root / "portfolio-rebalance").glob("*.yaml")) == []
    assert history(root) == ()


def test_a_record_that_cannot_be_written_leaves_no_run_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_workspace(tmp_path, THREE)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    refused = run(root)
    monkeypatch.undo()
    assert refused.exit_code == 14
    assert history(root) == ()
    assert not list((root / "portfolio-rebalance").glob("*.yaml"))


@pytest.mark.parametrize("edit", ["BOOTSTRAP.md", "config/portfolio-rebalance.yaml"])
def test_an_edit_while_the_run_is_at_work_aborts_it(tmp_path: Path, edit: str) -> None:
    root = make_workspace(tmp_path, THREE)

    def meddle(stage: str) -> None:
        if stage == "simulate":
            path = root / edit
            path.parent.mkdir(exist_ok=True)
            path.write_text((path.read_text() if path.exists() else "") + "\n# later\n")

    refused = run(root, progress=meddle)
    assert refused.error is not None
    assert "Changed while" in refused.error.what
    assert refused.error.where == f".crypto/{edit}"
    assert history(root) == ()


def test_a_fraction_of_a_second_does_not_hide_the_last_total(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, THREE)
    assert run(root).error is None
    with sqlite3.connect(root / LEDGER) as connection:
        connection.execute("UPDATE runs SET total_capital = '30000'")
    for as_of in ("2025-02-05T02:00:00.5Z", "2025-02-05T02:00:01Z"):
        refused = run(root, as_of)
        assert refused.error is not None
        assert refused.error.code == "capital_jump"


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE runs SET total_capital = 'abc'",
        "UPDATE runs SET total_capital = 'NaN'",
        "UPDATE runs SET total_capital = 'sNaN'",
        "UPDATE runs SET total_capital = '1e999999999'",
        "UPDATE runs SET as_of = '2025-01-01'",
        "UPDATE runs SET state = 'committed', as_of = '2025-02-04T00:00:00Z', high_pairs = 'nojson'",
        "UPDATE runs SET state = 'committed', as_of = '2025-02-04T00:00:00Z', high_pairs = '[[1]]'",
    ],
)
def test_an_edited_ledger_is_refused_as_bad_data(tmp_path: Path, edit: str) -> None:
    root = make_workspace(tmp_path, THREE)
    run(root)
    with sqlite3.connect(root / LEDGER) as connection:
        connection.execute(edit)
    refused = run(root, "2025-02-05T03:00:00Z")
    assert refused.error is not None
    assert (refused.error.code, refused.exit_code) == ("ledger", 14)


def test_a_cut_off_ledger_and_a_foreign_database_are_refused_and_left_alone(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, THREE)
    (root / "portfolio-rebalance").mkdir()
    (root / LEDGER).write_bytes(b"S")
    assert run(root).exit_code == 14
    (root / LEDGER).unlink()
    with sqlite3.connect(root / LEDGER) as connection:
        connection.execute("CREATE TABLE runs (a)")
    before = (root / LEDGER).read_bytes()
    assert run(root).exit_code == 14
    assert (root / LEDGER).read_bytes() == before


def test_bytes_that_are_no_text_are_refused_and_not_a_fault(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, THREE)
    run(root)
    for words in (
        ["--workspace", "\udcff", "--json"],
        ["show", "\udcff", "--workspace", str(root), "--json"],
    ):
        done = cli(*words, cwd=tmp_path)
        assert done.returncode == 2, done
        assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_does_not_stop_a_run(tmp_path: Path, closed: str) -> None:
    root = make_workspace(tmp_path, THREE)
    command = (
        f"{sys.executable} -m portfolio_rebalance.cli --workspace {root} --as-of {AS_OF_TEXT} --json {closed}"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    assert "Traceback" not in done.stderr
    assert len(history(root)) == 1


def test_a_deleted_working_directory_and_a_naive_clock_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run_skill("", now=AS_OF).exit_code == 2
    root = make_workspace(tmp_path, THREE)
    assert run_skill({"workspace": root}, now=AS_OF.replace(tzinfo=None)).exit_code == 2
    assert run_skill({"workspace": root, "confirm_capital": 10**5000}, now=AS_OF).exit_code == 2
