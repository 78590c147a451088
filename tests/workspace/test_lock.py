"""One run at a time; a lock never outlives its holder."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from workspaces import tree

from portfolio_rebalance.errors import BadDataError, UnsafePathError, WorkspaceBusyError
from portfolio_rebalance.workspace import exclusive

HOLD = """
import sys
from pathlib import Path
from portfolio_rebalance.workspace.lock import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / ".crypto"
    root.mkdir()
    return root


def test_second_holder_is_refused_and_told_what_to_do(root: Path) -> None:
    with exclusive(root):
        before = tree(root)
        with pytest.raises(WorkspaceBusyError) as caught, exclusive(root):
            pytest.fail("two hold the lock")
        assert caught.value.where == ".crypto/portfolio-rebalance/lock"
        assert "Wait" in caught.value.fix
        assert caught.value.exit_code == 15
        assert tree(root) == before


def test_is_free_again_afterwards_also_after_an_error(root: Path) -> None:
    with pytest.raises(ZeroDivisionError), exclusive(root):
        _ = 1 / 0
    with exclusive(root):
        pass


def test_file_is_neither_replaced_nor_deleted(root: Path) -> None:
    """A lock on a file that has lost its name excludes nobody."""
    inodes = set()
    for _ in range(3):
        with exclusive(root):
            inodes.add((root / "portfolio-rebalance/lock").stat().st_ino)
    assert len(inodes) == 1
    assert (root / "portfolio-rebalance/lock").exists()


def test_other_process_excludes_us_until_it_is_killed(root: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(WorkspaceBusyError), exclusive(root):
            pytest.fail("two hold the lock")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with exclusive(root):
            pass


def test_lock_that_is_a_link_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "portfolio-rebalance").mkdir()
    (root / "portfolio-rebalance/lock").symlink_to(tmp_path / "outside")
    with pytest.raises(UnsafePathError), exclusive(root):
        pytest.fail("locked through a link")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_lock_that_is_no_file_is_refused_without_blocking(root: Path, kind: str) -> None:
    place = root / "portfolio-rebalance/lock"
    place.parent.mkdir()
    if kind == "folder":
        place.mkdir()
    else:
        os.mkfifo(place)
    with pytest.raises(UnsafePathError), exclusive(root):
        pytest.fail("locked something else")


def test_file_system_that_cannot_lock_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(BadDataError, match="cannot lock"), exclusive(root):
        pytest.fail("not locked")


def test_is_not_inherited_by_programs_we_start(root: Path) -> None:
    with exclusive(root):
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
        )
    try:
        with exclusive(root):
            pass
    finally:
        child.communicate()
