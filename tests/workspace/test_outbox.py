"""Files that follow from a commit are written once, all of them, and never over a person's edit."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from workspaces import tree

from portfolio_rebalance.errors import BadDataError, EditedMeanwhileError, LedgerError, UnsafePathError
from portfolio_rebalance.workspace import Ledger, Projection, accept_edits, apply_outbox, outbox
from workspace.executions import add_plans, hours, projection, run_of, started

REGISTRY, BOOTSTRAP, RECORD = "knowledge/registry.yaml", "BOOTSTRAP.md", "portfolio-rebalance/execution.yaml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / ".crypto"
    for path in (REGISTRY, BOOTSTRAP):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"old " + path.encode())
    return root


@pytest.fixture
def ledger(root: Path) -> Iterator[Ledger]:
    with Ledger.open(root) as ledger:
        add_plans(ledger, "one", "two")
        yield ledger


def change(*paths: str, number: str = "new", before: str = "old") -> list[Projection]:
    """New bytes for files that there are, and for those that there are not."""
    return [
        projection(
            path,
            f"{number} {path}".encode(),
            old=None if path not in (REGISTRY, BOOTSTRAP) else f"{before} {path}".encode(),
        )
        for path in paths
    ]


def commit(ledger: Ledger, plan_id: str, files: list[Projection]) -> None:
    ledger.journal.start(started(plan_id), [])
    ledger.journal.finish(
        plan_id,
        status="committed",
        report=b"{}",
        total_after=None,
        finished_at=hours(3),
        projections=files,
    )


def contents(root: Path) -> dict[str, str]:
    paths = (path for path in sorted(root.rglob("*")) if path.is_file() and "ledger.db" not in path.name)
    return {str(path.relative_to(root)): path.read_text() for path in paths}


def states(folder: Path) -> dict[str, str]:
    """Mode, time, number and content of everything but the ledger."""
    return {name: state for name, state in tree(folder).items() if "ledger.db" not in name}


OLD = {REGISTRY: f"old {REGISTRY}", BOOTSTRAP: f"old {BOOTSTRAP}"}
NEW = {path: f"new {path}" for path in (REGISTRY, BOOTSTRAP, RECORD)}


def test_a_commit_writes_its_files_once_and_in_order(root: Path, ledger: Ledger) -> None:
    commit(ledger, "one", change(REGISTRY, BOOTSTRAP, RECORD))
    assert contents(root) == OLD
    assert apply_outbox(root, ledger) == (REGISTRY, BOOTSTRAP, RECORD)
    assert contents(root) == NEW
    before = states(root)
    assert apply_outbox(root, ledger) == ()
    assert ledger.outbox.pending() == ()
    assert states(root) == before
    (root / REGISTRY).write_text("edited since")  # what was applied is a person's to change
    assert apply_outbox(root, ledger) == ()
    assert (root / REGISTRY).read_text() == "edited since"


def test_a_file_of_a_run_is_written_like_any_other(root: Path, ledger: Ledger) -> None:
    ledger.add_run(run_of(None, number=3), projections=change(RECORD))
    assert apply_outbox(root, ledger) == (RECORD,)
    assert (root / RECORD).read_text() == NEW[RECORD]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_old_files_mode_is_kept(root: Path, ledger: Ledger, mode: int) -> None:
    (root / REGISTRY).chmod(mode)
    commit(ledger, "one", change(REGISTRY))
    apply_outbox(root, ledger)
    assert stat.S_IMODE((root / REGISTRY).stat().st_mode) == mode


def test_a_file_that_is_new_already_is_not_written_but_synced(
    root: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash may have come between the rename and the sync that makes it last."""
    commit(ledger, "one", change(REGISTRY))
    (root / REGISTRY).write_text(NEW[REGISTRY])
    inode = (root / REGISTRY).stat().st_ino
    synced = []
    real = os.fsync

    def spy(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    assert apply_outbox(root, ledger) == ()
    assert synced == [str(root), str(root / REGISTRY), str(root / "knowledge")]
    assert (root / REGISTRY).stat().st_ino == inode
    assert ledger.outbox.pending() == ()


EDITS: dict[str, Any] = {
    "edited": lambda path: path.write_bytes(b"my own"),
    "removed": lambda path: path.unlink(),
    "emptied": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("path", [REGISTRY, BOOTSTRAP])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_file_stops_its_change_before_any_of_it_is_written(
    root: Path, ledger: Ledger, path: str, edit: str
) -> None:
    commit(ledger, "one", change(REGISTRY, BOOTSTRAP, RECORD))
    EDITS[edit](root / path)
    before = contents(root)
    for _ in range(2):
        with pytest.raises(EditedMeanwhileError) as caught:
            apply_outbox(root, ledger)
        assert caught.value.where == f".crypto/{path}"
        assert caught.value.what.endswith(f": {path}.")
        assert "resume" in caught.value.fix
        assert caught.value.exit_code == 15
        assert contents(root) == before
        assert len(ledger.outbox.pending()) == 3


def test_a_file_that_appeared_where_there_was_none_stops_its_change(root: Path, ledger: Ledger) -> None:
    commit(ledger, "one", change(REGISTRY, RECORD))
    (root / RECORD).write_text("somebody's")
    with pytest.raises(EditedMeanwhileError, match=RECORD):
        apply_outbox(root, ledger)
    assert contents(root) == {**OLD, RECORD: "somebody's"}


def test_all_edited_files_are_named(root: Path, ledger: Ledger) -> None:
    commit(ledger, "one", change(REGISTRY, BOOTSTRAP))
    for path in (REGISTRY, BOOTSTRAP):
        (root / path).write_text("my own")
    with pytest.raises(EditedMeanwhileError, match=f"{REGISTRY}, {BOOTSTRAP}"):
        apply_outbox(root, ledger)


def test_an_edit_in_the_moment_between_look_and_write_is_seen(
    root: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(ledger, "one", change(REGISTRY, BOOTSTRAP))
    real = outbox.write_atomic

    def meddle(root: Path, path: str, content: bytes) -> None:
        real(root, path, content)
        (root / BOOTSTRAP).write_text("my own")

    monkeypatch.setattr(outbox, "write_atomic", meddle)
    with pytest.raises(EditedMeanwhileError, match=BOOTSTRAP):
        apply_outbox(root, ledger)
    assert contents(root) == {REGISTRY: NEW[REGISTRY], BOOTSTRAP: "my own"}
    assert [file.path for file in ledger.outbox.pending()] == [BOOTSTRAP]


def test_a_person_who_resumes_keeps_the_edit_and_gets_the_rest(root: Path, ledger: Ledger) -> None:
    commit(ledger, "one", change(REGISTRY, BOOTSTRAP, RECORD))
    (root / BOOTSTRAP).write_text("my own")
    assert accept_edits(root, ledger) == (BOOTSTRAP,)
    assert apply_outbox(root, ledger) == (REGISTRY, RECORD)
    assert contents(root) == {**NEW, BOOTSTRAP: "my own"}
    assert accept_edits(root, ledger) == ()
    assert ledger.rows("SELECT path, applied FROM outbox ORDER BY number") == [
        (REGISTRY, 1),
        (BOOTSTRAP, 2),
        (RECORD, 1),
    ]


def test_nothing_edited_leaves_nothing_to_accept(root: Path, ledger: Ledger) -> None:
    commit(ledger, "one", change(REGISTRY, RECORD))
    (root / REGISTRY).write_text(NEW[REGISTRY])
    assert accept_edits(root, ledger) == ()
    assert apply_outbox(root, ledger) == (RECORD,)


def test_changes_of_other_plans_are_written_and_those_that_build_on_an_edit_are_not(
    root: Path, ledger: Ledger
) -> None:
    commit(ledger, "one", change(BOOTSTRAP, REGISTRY))
    ledger.add_run(run_of(None, number=3), projections=change(RECORD))
    commit(ledger, "two", change(REGISTRY, number="newer", before="new"))
    (root / BOOTSTRAP).write_text("my own")
    with pytest.raises(EditedMeanwhileError, match=f": {BOOTSTRAP}, {REGISTRY}"):
        apply_outbox(root, ledger)
    assert contents(root) == {REGISTRY: OLD[REGISTRY], BOOTSTRAP: "my own", RECORD: NEW[RECORD]}
    assert accept_edits(root, ledger) == (BOOTSTRAP,)
    assert apply_outbox(root, ledger) == (REGISTRY, REGISTRY)
    assert (root / REGISTRY).read_text() == f"newer {REGISTRY}"


def test_an_edit_stops_whatever_else_the_same_plan_wants_to_write(root: Path, ledger: Ledger) -> None:
    ledger.journal.start(started("one"), [])
    end = {"status": "needs_operator", "report": b"{}", "total_after": None, "finished_at": hours(3)}
    ledger.journal.finish("one", projections=change(BOOTSTRAP), **end)  # type: ignore[arg-type]
    ledger.add_run(run_of(None, number=3), projections=change(RECORD))
    ledger.journal.finish("one", projections=change(REGISTRY), **end)  # type: ignore[arg-type]
    (root / BOOTSTRAP).write_text("my own")
    with pytest.raises(EditedMeanwhileError, match=f": {BOOTSTRAP}\\."):
        apply_outbox(root, ledger)
    assert contents(root) == {REGISTRY: OLD[REGISTRY], BOOTSTRAP: "my own", RECORD: NEW[RECORD]}


def test_two_commits_to_one_file_are_written_one_after_the_other(root: Path, ledger: Ledger) -> None:
    commit(ledger, "one", change(REGISTRY))
    commit(ledger, "two", change(REGISTRY, number="newer", before="new"))
    assert apply_outbox(root, ledger) == (REGISTRY, REGISTRY)
    assert (root / REGISTRY).read_text() == f"newer {REGISTRY}"


def test_a_second_report_of_one_execution_follows_the_first(root: Path, ledger: Ledger) -> None:
    """An execution that needs an operator may be reported twice, to the same file."""
    ledger.journal.start(started("one"), [])
    for before, after in ((None, b"first"), (b"first", b"second")):
        ledger.journal.finish(
            "one",
            status="needs_operator",
            report=b"{}",
            total_after=None,
            finished_at=hours(3),
            projections=[projection(RECORD, after, old=before)],
        )
    assert apply_outbox(root, ledger) == (RECORD, RECORD)
    assert (root / RECORD).read_bytes() == b"second"


@pytest.mark.parametrize("edit", ["content = x'00'", "new_sha256 = 'x'", "content = CAST('old' AS BLOB)"])
def test_damaged_bytes_are_never_written(root: Path, ledger: Ledger, edit: str) -> None:
    commit(ledger, "one", change(REGISTRY, BOOTSTRAP))
    ledger._connection.execute(f"UPDATE outbox SET {edit} WHERE path = ?", (BOOTSTRAP,))
    before = contents(root)
    for act in (apply_outbox, accept_edits):
        with pytest.raises(LedgerError, match=rf"outbox 2 \({BOOTSTRAP}\)"):
            act(root, ledger)
    assert contents(root) == before


@pytest.mark.parametrize("kind", ["link", "dangling link", "second name", "folder", "linked folder"])
def test_what_is_no_plain_file_is_refused_before_anything_is_written(
    root: Path, ledger: Ledger, tmp_path: Path, kind: str
) -> None:
    commit(ledger, "one", change(BOOTSTRAP, REGISTRY))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "registry.yaml").write_text(OLD[REGISTRY])
    path = root / REGISTRY
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "second name":
        path.hardlink_to(outside / "registry.yaml")
    elif kind == "linked folder":
        path.parent.rmdir()
        path.parent.symlink_to(outside)
    else:
        path.symlink_to(outside / ("registry.yaml" if kind == "link" else "absent"))
    before = states(tmp_path)
    with pytest.raises(UnsafePathError):
        apply_outbox(root, ledger)
    assert states(tmp_path) == before


@pytest.mark.parametrize("path", ["../outside", "/outside", "a//b", "", "knowledge/../../outside"])
def test_a_path_that_leads_out_is_refused(root: Path, ledger: Ledger, path: str) -> None:
    commit(ledger, "one", [projection(path, b"x")])
    with pytest.raises(UnsafePathError):
        apply_outbox(root, ledger)
    assert not (root.parent / "outside").exists()


def test_a_full_disk_is_tried_again_on_the_next_start(
    root: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(ledger, "one", change(REGISTRY, BOOTSTRAP))
    real = os.rename

    def full(old: str, new: str, **how: int) -> None:
        if new == BOOTSTRAP:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(old, new, **how)

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(BadDataError, match="No space left"):
        apply_outbox(root, ledger)
    monkeypatch.undo()
    assert contents(root) == {REGISTRY: NEW[REGISTRY], BOOTSTRAP: OLD[BOOTSTRAP]}
    assert apply_outbox(root, ledger) == (BOOTSTRAP,)


def test_what_a_killed_writer_left_beside_a_file_is_removed(root: Path, ledger: Ledger) -> None:
    leftovers = [f".registry.yaml.{'0123456789abcdef'}.tmp", f".registry.yaml.{'f' * 16}.tmp"]
    others = [".registry.yaml.tmp", f".registry.yaml.{'g' * 16}.tmp", f".other.yaml.{'0' * 16}.tmp"]
    for name in (*leftovers, *others):
        (root / "knowledge" / name).write_text("half")
    commit(ledger, "one", change(REGISTRY))
    apply_outbox(root, ledger)
    assert sorted(path.name for path in (root / "knowledge").iterdir()) == sorted((*others, "registry.yaml"))
