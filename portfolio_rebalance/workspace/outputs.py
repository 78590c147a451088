"""Writing inside the workspace: all of a file or nothing of it, and nothing outside.

A file is written beside its place, synced, and renamed over it, so that whoever reads finds the old bytes or
the new ones. Folders are walked by descriptor and no link is followed, as in :mod:`.files`: what may not be
read may not be written either.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from portfolio_rebalance.errors import BadDataError, UnsafePathError
from portfolio_rebalance.workspace.files import exists, read_bytes
from portfolio_rebalance.workspace.plain_yaml import to_yaml

__all__ = [
    "free_name",
    "make_folder",
    "open_parent",
    "remove_leftovers",
    "sync_file",
    "sync_folders",
    "to_yaml",
    "write_atomic",
    "write_new",
]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755
_MAX_RECORD_BYTES: Final = 16_000_000


def write_atomic(root: Path, relative: str, data: bytes) -> None:
    """Replace a file by ``data``, or create it; after a crash it holds the old bytes or the new ones.

    The old file's mode is kept; a new one is readable by all that the umask allows. Missing folders are made.

    Args:
        root: The workspace folder.
        relative: Path below it, of plain names.
        data: The whole content.

    Raises:
        UnsafePathError: The path leaves the root, passes a link, or names something that is not a file.
        BadDataError: The operating system refuses; the file is as it was and nothing is left beside it. Only
            where the folder cannot be synced is the file new already, and not yet safe from a power cut.
    """
    with open_parent(root, relative) as (folder, name), _refusing(root, relative):
        mode = _mode_of(folder, name, label=f"{root.name}/{relative}")
        temporary = f".{name}.{os.urandom(8).hex()}.tmp"
        with _removed_on_failure(folder, temporary, _create(folder, temporary)) as descriptor:
            _fill(descriptor, data, mode=mode)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def write_new(root: Path, relative: str, data: bytes) -> bool:
    """Create a file with ``data`` unless something has its name; says whether it was created.

    Raises:
        UnsafePathError: The path leaves the root or passes a link.
        BadDataError: The operating system refuses; there is no such file then.
    """
    with open_parent(root, relative) as (folder, name), _refusing(root, relative):
        try:
            descriptor = _create(folder, name)
        except FileExistsError:
            return False
        with _removed_on_failure(folder, name, descriptor):
            _fill(descriptor, data, mode=None)
        os.fsync(folder)
        return True


def make_folder(root: Path, relative: str) -> None:
    """Make a folder, and those above it; one that exists stays as it is.

    Raises:
        UnsafePathError: The path leaves the root or passes a link.
        BadDataError: The operating system refuses.
    """
    with open_parent(root, f"{relative}/name"):
        pass


def sync_folders(root: Path, relative: str) -> None:
    """Sync the names of the folders that a file is to stand in, whoever made them.

    A process that was killed may have made a folder without syncing the one above: its name, and all below
    it, would not survive a power cut, however well the file itself is synced.

    Raises:
        UnsafePathError: The path leaves the root or passes a link.
        BadDataError: The operating system refuses.
    """
    *folders, _ = relative.split("/")
    for depth in range(1, len(folders) + 1):
        with open_parent(root, "/".join(folders[:depth])) as (above, _), _refusing(root, relative):
            os.fsync(above)


def sync_file(root: Path, relative: str) -> None:
    """Sync a file that is there already, and its name: whoever wrote it may have been stopped before.

    Raises:
        UnsafePathError: The path leaves the root or passes a link.
        BadDataError: The operating system refuses.
    """
    with open_parent(root, relative) as (folder, name), _refusing(root, relative):
        descriptor = os.open(name, _OLD_FILE, dir_fd=folder)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.fsync(folder)


def remove_leftovers(root: Path, relative: str) -> None:
    """Remove what a killed :func:`write_atomic` of this file left beside it.

    Only where nobody else is writing it: the caller holds the workspace's lock.

    Raises:
        UnsafePathError: The path leaves the root or passes a link.
        BadDataError: The operating system refuses.
    """
    with open_parent(root, relative) as (folder, name), _refusing(root, relative):
        leftover = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{16}}\.tmp")
        for found in filter(leftover.fullmatch, os.listdir(folder)):  # noqa: PTH208 - by descriptor
            os.unlink(found, dir_fd=folder)


def free_name(root: Path, stem: str, suffix: str = ".yaml", *, same: Callable[[bytes], bool]) -> str:
    """The path under which a record of the day goes: ``stem.yaml``, else ``stem-2.yaml``, ``stem-3.yaml``.

    Args:
        root: The workspace folder.
        stem: Path without its ending, such as ``portfolio-rebalance/assessment-2019-10-01``.
        suffix: The ending.
        same: Whether these bytes are those of the record: it then keeps the name it has.

    Returns:
        The first of these paths that is free or holds the record already.
    """
    number = 1
    while True:
        relative = f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}"
        if not exists(root, relative):
            return relative
        with contextlib.suppress(BadDataError):  # not a file that may be read, so it is taken
            if same(read_bytes(root, relative, max_bytes=_MAX_RECORD_BYTES).data):
                return relative
        number += 1


@contextmanager
def open_parent(root: Path, relative: str) -> Iterator[tuple[int, str]]:
    """A descriptor of the folder that ``relative`` stands in, made if missing, and the last name.

    Raises:
        UnsafePathError: The path leaves the root or passes a link.
        BadDataError: The operating system refuses.
    """
    exists(root, relative)  # refuses a path that is not of plain names, or passes a link
    *folders, name = relative.split("/")
    with _refusing(root, relative):
        descriptor = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
    try:
        for inner in folders:
            with _refusing(root, relative):
                following = _open_or_make(descriptor, inner)
            os.close(descriptor)
            descriptor = following
        yield descriptor, name
    finally:
        os.close(descriptor)


def _open_or_make(parent: int, name: str) -> int:
    try:
        os.mkdir(name, _FOLDER_MODE, dir_fd=parent)
        os.fsync(parent)
    except FileExistsError:
        pass
    return os.open(name, _FOLDER, dir_fd=parent)


def _mode_of(folder: int, name: str, *, label: str) -> int | None:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise UnsafePathError(
            "Something other than a file has this name.", where=label, fix="Move it away, then run again."
        )
    return stat.S_IMODE(found.st_mode)


def _create(folder: int, name: str) -> int:
    return os.open(name, _NEW_FILE, _FILE_MODE, dir_fd=folder)


def _fill(descriptor: int, data: bytes, *, mode: int | None) -> None:
    if mode is not None:
        os.fchmod(descriptor, mode)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


@contextmanager
def _removed_on_failure(folder: int, name: str, descriptor: int) -> Iterator[int]:
    """Close a file that was just created; whatever goes wrong before, nothing of it is left behind."""
    try:
        yield descriptor
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder)
        raise
    finally:
        os.close(descriptor)


@contextmanager
def _refusing(root: Path, relative: str) -> Iterator[None]:
    label = f"{root.name}/{relative}"
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise UnsafePathError(
                "A part of this path is a symbolic link, or a file where a folder should be.",
                where=label,
                fix="Put the folder itself there.",
            ) from error
        raise BadDataError(
            f"The operating system cannot write this: {error.strerror}.",
            where=label,
            fix="Check permissions and free space, then run again.",
        ) from error
