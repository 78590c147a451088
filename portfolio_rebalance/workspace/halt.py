"""The kill switch: a file whose mere existence stops execution.

Whoever can make a file can pull it, with any tool and in any form: empty, a folder, a link to nowhere, a
pipe. Looking fails closed: what cannot be looked at counts as a full halt. Only one exact content, in one
plain file, leaves reductions open. Writing strengthens and never weakens, whoever writes at the same time;
only ``clear_halt`` lets execution go on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from portfolio_rebalance.errors import BadDataError, RebalanceError, UnsafePathError
from portfolio_rebalance.workspace import layout
from portfolio_rebalance.workspace.files import exists, read_bytes
from portfolio_rebalance.workspace.outputs import open_parent, write_atomic

__all__ = ["REDUCE_ONLY", "Halt", "HaltLevel", "clear_halt", "read_halt", "write_halt"]

HaltLevel = Literal["none", "reduce_only", "all"]
"""What is stopped: nothing, whatever raises an allocation, everything."""

REDUCE_ONLY: Final = b"reduce-only\n"
"""The one content that leaves reductions open."""

_MOST_BYTES: Final = 65_536
_MOST_CHARACTERS: Final = 200
_NO_REASON: Final = "No reason is given."
_NOTE: Final = "While this file exists, nothing is sent. `trading-portfolio-rebalance resume` removes it.\n"
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """The kill switch as it stood at one moment.

    Attributes:
        level: What is stopped.
        reason: One printable line of at most 200 characters: the file's first, or why it cannot be read;
            empty where nothing is stopped.
    """

    level: HaltLevel
    reason: str = ""


def read_halt(root: Path) -> Halt:
    """Whether execution is stopped, now. Raises nothing: each fault is an answer, and the answer is yes."""
    try:
        if not exists(root, layout.HALT):
            if root.is_dir():
                return Halt(level="none")
            return Halt(level="all", reason="The workspace is not there.")
        data = read_bytes(root, layout.HALT, max_bytes=_MOST_BYTES).data
    except RebalanceError as error:
        return Halt(level="all", reason=_line(error.what))
    except Exception as error:  # a kill switch that fails must not read as "go on"
        return Halt(level="all", reason=_line(f"The kill switch cannot be looked at: {error!r}"))
    level: HaltLevel = "reduce_only" if data == REDUCE_ONLY else "all"
    return Halt(level=level, reason=_line(data.decode("utf-8", "replace")) or _NO_REASON)


def write_halt(root: Path, *, level: Literal["reduce_only", "all"], reason: str = "") -> Halt:
    """Stop execution, durably. A halt that stops more, or says why already, stays as it is.

    Args:
        root: The workspace folder.
        level: What to stop.
        reason: One line for people; a halt of increases alone has no room for it.

    Returns:
        The kill switch as it stands afterwards.

    Raises:
        UnsafePathError: The folder it belongs in is a link.
        BadDataError: The operating system refuses. What was begun counts as a halt and is left.
    """
    if level == "reduce_only":
        _stop_increases(root)
    else:
        _stop_all(root, _standing(root) or f"{_line(reason) or _NO_REASON}\n{_NOTE}".encode())
    return read_halt(root)


def clear_halt(root: Path) -> bool:
    """Remove the kill switch itself, durably, and never what a link leads to; says whether there was one.

    Raises:
        UnsafePathError: It is a folder, or its path passes a link.
        BadDataError: The operating system refuses; where the folder cannot be synced, the halt is gone and
            may be back after a power cut.
    """
    if not exists(root, layout.HALT):
        return False
    with open_parent(root, layout.HALT) as (folder, name), _refusing(root):
        try:
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise UnsafePathError(
                    "This is a folder, with whatever is in it.",
                    where=_label(root),
                    fix=f"Look into it, then remove it by hand: rm -r {root / layout.HALT}",
                )
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return False
        os.fsync(folder)
    return True


def _standing(root: Path) -> bytes | None:
    """What a plain file says that stops everything; None where it may be, or become, less than that.

    A beginning of ``reduce-only`` may be one that is being written at this moment.
    """
    try:
        data = read_bytes(root, layout.HALT, max_bytes=_MOST_BYTES).data
    except BadDataError:
        return None
    return None if REDUCE_ONLY.startswith(data) else data


def _stop_all(root: Path, data: bytes) -> None:
    """Take the name, whatever file has it: who is still writing that one writes to a file without a name."""
    try:
        write_atomic(root, layout.HALT, data)
    except UnsafePathError:
        if not exists(root, layout.HALT):
            raise
        # A folder, link or pipe is a full halt as it is.
        with open_parent(root, layout.HALT) as (folder, _), _refusing(root):
            os.fsync(folder)


def _stop_increases(root: Path) -> None:
    """Take the name only if it is free. Nothing is removed on failure: by then the name may be another's."""
    with open_parent(root, layout.HALT) as (folder, name), _refusing(root):
        try:
            descriptor = os.open(name, _NEW_FILE, 0o644, dir_fd=folder)
        except FileExistsError:
            os.fsync(folder)
            return
        try:
            os.write(descriptor, REDUCE_ONLY)  # a part of it would stop everything
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.fsync(folder)


def _line(text: str) -> str:
    """The first line that says something, without what cannot be seen, and not long."""
    lines = ("".join(filter(str.isprintable, line)).strip() for line in text.splitlines())
    first = next(filter(None, lines), "")
    return first if len(first) <= _MOST_CHARACTERS else f"{first[: _MOST_CHARACTERS - 3]}..."


def _label(root: Path) -> str:
    return f"{root.name}/{layout.HALT}"


@contextmanager
def _refusing(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadDataError(
            f"The operating system cannot change the kill switch: {error.strerror}.",
            where=_label(root),
            fix="Check permissions and the disk, then run again.",
        ) from error
