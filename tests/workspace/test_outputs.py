"""Files are written whole or not at all, inside the workspace or nowhere."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from workspaces import tree

from portfolio_rebalance.errors import BadDataError, UnsafePathError
from portfolio_rebalance.workspace import free_name, write_atomic
from portfolio_rebalance.workspace.outputs import make_folder, write_new

NAME = "portfolio-rebalance/assessment-2019-10-01.yaml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / ".crypto"
    root.mkdir()
    return root


def files_below(root: Path) -> dict[str, str]:
    """The tree without its folders, whose times change with every file that comes and goes."""
    return {name: state for name, state in tree(root).items() if not (root / name).is_dir()}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_writes_a_file_and_the_folders_it_needs(root: Path) -> None:
    write_atomic(root, "a/b/c.yaml", b"content")
    assert (root / "a/b/c.yaml").read_bytes() == b"content"
    assert [path.name for path in root.rglob("*")] == ["a", "b", "c.yaml"]


def test_replaces_a_file_by_another_one(root: Path) -> None:
    """A new file under the old name: who has the old one open still reads the old one."""
    write_atomic(root, NAME, b"old")
    with (root / NAME).open("rb") as reader:
        write_atomic(root, NAME, b"new")
        assert reader.read() == b"old"
    assert (root / NAME).read_bytes() == b"new"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_keeps_the_old_mode(root: Path, mode: int) -> None:
    write_atomic(root, NAME, b"old")
    (root / NAME).chmod(mode)
    write_atomic(root, NAME, b"new")
    assert mode_of(root / NAME) == mode


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o644)])
def test_new_file_has_what_the_umask_allows(root: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_atomic(root, NAME, b"x")
        write_new(root, "other", b"x")
    finally:
        os.umask(before)
    assert mode_of(root / NAME) == mode_of(root / "other") == mode


def test_empty_and_large_files(root: Path) -> None:
    write_atomic(root, "empty", b"")
    write_atomic(root, "large", b"x" * 3_000_000)
    assert (root / "empty").read_bytes() == b""
    assert (root / "large").stat().st_size == 3_000_000


def test_everything_is_synced_before_and_after_the_rename(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename that reaches the disk before the bytes leaves an empty file after a power cut."""
    write_atomic(root, NAME, b"old")
    order: list[str] = []

    def spy(name: str, real: Callable[..., Any]) -> None:
        def called(*args: Any, **kwargs: Any) -> Any:
            kind = "folder" if name == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode) else "file"
            order.append(f"{name} {kind}" if name == "fsync" else name)
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, called)

    for name in ("write", "fsync", "rename"):
        spy(name, getattr(os, name))
    write_atomic(root, NAME, b"new")
    assert order == ["write", "fsync file", "rename", "fsync folder"]


FAULTS = [("write", errno.ENOSPC), ("fsync", errno.EIO), ("rename", errno.EACCES), ("fchmod", errno.EPERM)]


@pytest.mark.parametrize(("call", "number"), FAULTS)
def test_failure_leaves_the_old_file_and_nothing_beside_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    write_atomic(root, NAME, b"old")
    before = files_below(root)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(BadDataError) as caught:
        write_atomic(root, NAME, b"new")
    monkeypatch.undo()
    assert os.strerror(number) in caught.value.what
    assert caught.value.where == f".crypto/{NAME}"
    assert files_below(root) == before


def test_folder_that_cannot_be_synced_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomic(root, NAME, b"old")
    real = os.fsync

    def fail_for_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fail_for_folders)
    with pytest.raises(BadDataError):
        write_atomic(root, NAME, b"new")
    assert sorted(path.name for path in (root / "portfolio-rebalance").iterdir()) == [Path(NAME).name]


def test_interruption_leaves_the_old_file_and_nothing_beside_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomic(root, NAME, b"old")
    before = files_below(root)

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(root, NAME, b"new")
    assert files_below(root) == before


def test_short_writes_are_continued(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:3]))
    write_atomic(root, NAME, b"0123456789")
    assert (root / NAME).read_bytes() == b"0123456789"


@pytest.mark.parametrize(
    "relative", ["", ".", "..", "../x", "/etc/x", "a//b", "a/../../x", "a/", "a\nb", "a\u202e"]
)
def test_path_that_is_not_of_plain_names_is_refused(root: Path, relative: str) -> None:
    before = tree(root.parent)
    for act in (
        lambda: write_atomic(root, relative, b"x"),
        lambda: write_new(root, relative, b"x"),
        lambda: make_folder(root, relative),
        lambda: free_name(root, relative, "/..", same=lambda _: False),
    ):
        with pytest.raises(UnsafePathError):
            act()
    assert tree(root.parent) == before


def test_linked_folder_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (root / "portfolio-rebalance").symlink_to(tmp_path / "outside")
    before = tree(tmp_path)
    for act in (write_atomic, write_new):
        with pytest.raises(UnsafePathError):
            act(root, NAME, b"x")
    with pytest.raises(UnsafePathError):
        make_folder(root, "portfolio-rebalance/inner")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe"])
def test_what_is_not_a_file_is_not_replaced(root: Path, tmp_path: Path, kind: str) -> None:
    place = root / "x"
    (tmp_path / "outside").write_text("old")
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to(tmp_path / ("outside" if kind == "link" else "nowhere"))
    before = tree(tmp_path)
    with pytest.raises(UnsafePathError):
        write_atomic(root, "x", b"new")
    assert write_new(root, "x", b"new") is False
    assert tree(tmp_path) == before


def test_file_in_the_place_of_a_folder_is_refused(root: Path) -> None:
    (root / "portfolio-rebalance").write_text("")
    with pytest.raises(UnsafePathError):
        write_atomic(root, NAME, b"x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_may_not_be_written_is_refused(root: Path) -> None:
    root.chmod(0o555)
    try:
        with pytest.raises(BadDataError, match="Permission denied"):
            write_atomic(root, NAME, b"x")
    finally:
        root.chmod(0o755)


def test_new_file_is_created_once_and_never_overwritten(root: Path) -> None:
    assert write_new(root, NAME, b"mine") is True
    before = tree(root)
    assert write_new(root, NAME, b"yours") is False
    assert tree(root) == before


def test_new_file_that_fails_is_gone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(BadDataError):
        write_new(root, "x", b"content")
    assert tree(root) == {}


# --- names of records ------------------------------------------------------------------------------------

STEM = "portfolio-rebalance/assessment-2019-10-01"


def test_second_record_of_a_day_gets_the_next_number(root: Path) -> None:
    names = []
    for content in (b"one", b"two", b"three"):
        name = free_name(root, STEM, same=content.__eq__)
        write_atomic(root, name, content)
        names.append(name)
    assert names == [f"{STEM}.yaml", f"{STEM}-2.yaml", f"{STEM}-3.yaml"]


def test_same_record_keeps_its_name(root: Path) -> None:
    write_atomic(root, f"{STEM}.yaml", b"one")
    write_atomic(root, f"{STEM}-2.yaml", b"two")
    assert free_name(root, STEM, same=b"two".__eq__) == f"{STEM}-2.yaml"
    assert free_name(root, STEM, same=b"one".__eq__) == f"{STEM}.yaml"
    assert free_name(root, STEM, ".json", same=b"one".__eq__) == f"{STEM}.json"


def test_name_held_by_something_else_is_taken(root: Path, tmp_path: Path) -> None:
    make_folder(root, "portfolio-rebalance")
    (tmp_path / "outside").write_bytes(b"one")
    (root / f"{STEM}.yaml").symlink_to(tmp_path / "outside")
    (root / f"{STEM}-2.yaml").mkdir()
    assert free_name(root, STEM, same=b"one".__eq__) == f"{STEM}-3.yaml"
