"""A disk that forgets: what may be left of a folder after a power cut.

:class:`Disk` stands in for the ``os`` module in the code that writes files. It does on a real folder what it
is asked to, and keeps a log of it. :func:`left_after` then says what that log may have left on the disk: what
was synced is there; of everything else any part may be there and any part not, in any order. Data may be
missing, torn or zeroed, a new name may be missing, a rename may have happened, not happened, or left both
names. Only what POSIX promises is believed: syncing a file does not sync its name, syncing a folder does not
sync what its files hold, and a folder's own name is synced by the folder above.

The ledger is SQLite's business: a commit that returned is durable, and here it is a copy of the database's
files at that moment.
"""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from typing import Any

__all__ = ["Disk", "Killed", "Left", "left_after"]

ROOT = 0
SHORT_WRITE_BYTES = 400
"""So that one file takes several writes, of which some are lost and others not."""


class Killed(BaseException):
    """The process is gone: no handler may catch this, and nothing that it cleans up still happens."""


@dataclass(frozen=True)
class Write:
    node: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class Mode:
    node: int
    mode: int


@dataclass(frozen=True)
class Name:
    """A new file, or a new folder, under a name that was free."""

    folder: int
    name: str
    node: int
    is_folder: bool


@dataclass(frozen=True)
class Rename:
    folder: int
    old: str
    new: str
    node: int


@dataclass(frozen=True)
class Unlink:
    folder: int
    name: str


@dataclass(frozen=True)
class Sync:
    node: int


@dataclass(frozen=True)
class Commit:
    """The ledger's files, by name.

    Attributes:
        says: What they say, to tell states apart by.
    """

    files: Mapping[str, bytes]
    says: object


Change = Write | Mode | Name | Rename | Unlink
OPTIONS: dict[type, tuple[str, ...]] = {
    Write: ("whole", "lost", "torn", "zeroed"),
    Mode: ("whole", "lost"),
    Name: ("whole", "lost"),
    Rename: ("whole", "lost", "both names", "neither name"),
    Unlink: ("whole", "lost"),
}
"""What may have come of a change that was not synced; the first is that it reached the disk."""


@dataclass
class Left:
    """A folder as a power cut left it."""

    files: dict[str, tuple[bytes, int]]
    folders: list[str]
    ledger: Commit

    def put_into(self, root: Path, ledger_folder: str) -> None:
        """Make it a real folder."""
        root.mkdir(parents=True)
        for path in self.folders:
            (root / path).mkdir(parents=True, exist_ok=True)
        for path, (data, mode) in self.files.items():
            (root / path).write_bytes(data)
            (root / path).chmod(mode)
        (root / ledger_folder).mkdir(exist_ok=True)
        for name, data in self.ledger.files.items():
            (root / ledger_folder / name).write_bytes(data)


@dataclass
class _Tree:
    """Folders and files by number: names come and go, what they name stays."""

    names: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    folders: set[int] = field(default_factory=set)
    data: dict[int, bytearray] = field(default_factory=dict)
    modes: dict[int, int] = field(default_factory=dict)

    def apply(self, change: Change, how: str = "whole") -> None:
        if isinstance(change, Name) and change.is_folder:
            self.folders.add(change.node)
        match change:
            case Write(node, offset, data) if how != "lost":
                kept = {"whole": data, "torn": data[: len(data) // 2], "zeroed": bytes(len(data))}[how]
                held = self.data.setdefault(node, bytearray())
                held.extend(bytes(max(0, offset - len(held))))
                held[offset : offset + len(kept)] = kept
            case Mode(node, mode) if how != "lost":
                self.modes[node] = mode
            case Name(folder, name, node) if how != "lost":
                self.names.setdefault(folder, {})[name] = node
            case Rename(folder, old, new, node) if how != "lost":
                names = self.names.setdefault(folder, {})
                if how != "neither name":
                    names[new] = node
                if how != "both names" and names.get(old) == node:
                    del names[old]
            case Unlink(folder, name) if how != "lost":
                self.names.setdefault(folder, {}).pop(name, None)

    def copy(self) -> _Tree:
        return _Tree(
            {folder: dict(names) for folder, names in self.names.items()},
            set(self.folders),
            {node: bytearray(data) for node, data in self.data.items()},
            dict(self.modes),
        )


class Disk:
    """Stands in for ``os``: does what it is asked to, and remembers it.

    Args:
        root: The folder that is written to; what stands in it now is taken to be on the disk.
        ledger_folder: Where the ledger is, which is left out of the log.
        kill: What to do at the moment of death.
    """

    def __init__(self, root: Path, *, ledger_folder: str, kill: Callable[[], None] | None = None) -> None:
        self.root = root
        self.log: list[Change | Sync | Commit] = []
        self.points = 0
        self.dead = False
        self._ledger_folder = root / ledger_folder
        self._kill = kill
        self._kill_at: int | None = None
        self._nodes: dict[int, int] = {}  # by descriptor
        self._ends: dict[int, int] = {}
        self._next = ROOT + 1
        self._before = _Tree()
        self._read_in(root, ROOT)
        self._now = self._before.copy()
        self.commit(says=None)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def kill_at(self, point: int | None) -> None:
        """Die just before the call of this number, counted from now; None lives on."""
        self.points, self._kill_at, self.dead = 0, point, False
        self._nodes.clear()

    def point(self) -> None:
        """A moment at which the process may be killed."""
        if self.dead:
            raise Killed
        if self.points == self._kill_at:
            self.dead = True
            if self._kill:
                self._kill()
            raise Killed
        self.points += 1

    def commit(self, says: object) -> None:
        """The ledger has committed: its files as they are now."""
        paths = (self._ledger_folder / name for name in ("ledger.db", "ledger.db-wal"))
        files = {path.name: path.read_bytes() for path in paths if path.exists()}
        self.log.append(Commit(files, says))

    # --- what is asked of the operating system ----------------------------------------------------------

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT:
            self.point()
        elif self.dead:
            raise Killed
        descriptor = os.open(path, flags, mode, dir_fd=dir_fd)
        if dir_fd is None:
            self._nodes[descriptor] = ROOT
            return descriptor
        folder = self._nodes[dir_fd]
        if flags & os.O_CREAT:
            node = self._new()
            self._nodes[descriptor], self._ends[descriptor] = node, 0
            self._do(Mode(node, stat.S_IMODE(os.fstat(descriptor).st_mode)))
            self._do(Name(folder, path, node, is_folder=False))
        else:
            self._nodes[descriptor] = self._now.names[folder][path]
        return descriptor

    def close(self, descriptor: int) -> None:
        os.close(descriptor)
        self._nodes.pop(descriptor, None)

    def write(self, descriptor: int, data: Any) -> int:
        self.point()
        written = os.write(descriptor, bytes(data)[:SHORT_WRITE_BYTES])
        offset = self._ends[descriptor]
        self._ends[descriptor] += written
        self._do(Write(self._nodes[descriptor], offset, bytes(data)[:written]))
        return written

    def fchmod(self, descriptor: int, mode: int) -> None:
        self.point()
        os.fchmod(descriptor, mode)
        self._do(Mode(self._nodes[descriptor], mode))

    def fsync(self, descriptor: int) -> None:
        self.point()
        self.log.append(Sync(self._nodes[descriptor]))  # a real sync would only cost time

    def mkdir(self, name: str, mode: int = 0o777, *, dir_fd: int) -> None:
        self.point()
        os.mkdir(name, mode, dir_fd=dir_fd)
        self._do(Name(self._nodes[dir_fd], name, self._new(), is_folder=True))

    def rename(self, old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        self.point()
        folder = self._nodes[src_dir_fd]
        assert folder == self._nodes[dst_dir_fd], "a rename across folders is another model"
        os.rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        self._do(Rename(folder, old, new, self._now.names[folder][old]))

    def unlink(self, name: str, *, dir_fd: int) -> None:
        self.point()
        os.unlink(name, dir_fd=dir_fd)
        self._do(Unlink(self._nodes[dir_fd], name))

    # ----------------------------------------------------------------------------------------------------

    def before(self) -> _Tree:
        """What was on the disk when recording began."""
        return self._before.copy()

    def _do(self, change: Change) -> None:
        self._now.apply(change)
        self.log.append(change)

    def _new(self) -> int:
        self._next += 1
        return self._next

    def _read_in(self, folder: Path, number: int) -> None:
        self._before.names.setdefault(number, {})
        for path in sorted(folder.iterdir()):
            if path.parent == self._ledger_folder and path.name.startswith("ledger.db"):
                continue
            node = self._new()
            self._before.names[number][path.name] = node
            if path.is_dir():
                self._before.folders.add(node)
                self._read_in(path, node)
            else:
                self._before.data[node] = bytearray(path.read_bytes())
                self._before.modes[node] = stat.S_IMODE(path.stat().st_mode)


def left_after(disk: Disk, end: int, *, most: int, rng: random.Random) -> Iterator[Left]:
    """What a power cut after the first ``end`` entries of the log may have left.

    Everything that is possible, where that is at most ``most`` states; else so many of them: nothing lost,
    all lost, each change lost alone and kept alone, then any.
    """
    log = disk.log[:end]
    synced_at = {entry.node: place for place, entry in enumerate(log) if isinstance(entry, Sync)}
    changes = [
        (entry, place < synced_at.get(_where(entry), -1))
        for place, entry in enumerate(log)
        if not isinstance(entry, Sync | Commit)
    ]
    ledger = next(entry for entry in reversed(log) if isinstance(entry, Commit))
    open_ones = [OPTIONS[type(change)] for change, durable in changes if not durable]
    for chosen in islice(_choices(open_ones, most, rng), most):
        tree, remaining = disk.before(), iter(chosen)
        for change, durable in changes:
            tree.apply(change, "whole" if durable else next(remaining))
        yield _left(tree, ledger)


def _where(change: Change) -> int:
    """What has to be synced for a change to be durable."""
    return change.node if isinstance(change, Write | Mode) else change.folder


def _choices(open_ones: Sequence[Sequence[str]], most: int, rng: random.Random) -> Iterator[tuple[str, ...]]:
    count = 1
    for options in open_ones:
        count *= len(options)
    if count <= most:
        yield from product(*open_ones)
        return
    kept, lost = tuple("whole" for _ in open_ones), tuple("lost" for _ in open_ones)
    yield from (kept, lost)
    for place in range(len(open_ones)):
        yield (*kept[:place], "lost", *kept[place + 1 :])
        yield (*lost[:place], "whole", *lost[place + 1 :])
    while True:
        yield tuple(map(rng.choice, open_ones))


def _left(tree: _Tree, ledger: Commit) -> Left:
    left = Left(files={}, folders=[], ledger=ledger)

    def walk(folder: int, path: str) -> None:
        for name, node in tree.names.get(folder, {}).items():
            inner = f"{path}{name}"
            if node in tree.folders:
                left.folders.append(inner)
                walk(node, f"{inner}/")
            else:
                left.files[inner] = (bytes(tree.data.get(node, b"")), tree.modes.get(node, 0o600))

    walk(ROOT, "")
    return left
