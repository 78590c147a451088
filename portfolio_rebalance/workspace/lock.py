"""One run at a time: an advisory lock on a file that is never replaced.

The kernel releases it when its holder ends, however that happens, so there is no stale lock to clear away.
The file is neither replaced nor deleted: a lock on a file that has lost its name excludes nobody.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from portfolio_rebalance.errors import BadDataError, UnsafePathError, WorkspaceBusyError
from portfolio_rebalance.workspace import layout
from portfolio_rebalance.workspace.outputs import open_parent

__all__ = ["exclusive"]

_OPEN: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Hold the workspace's lock; whoever comes second is refused and does not wait.

    Raises:
        WorkspaceBusyError: Another process (or another place in this one) holds it.
        UnsafePathError: The lock is not a plain file, or its path passes a link.
        BadDataError: The file system cannot lock.
    """
    where = f"{root.name}/{layout.LOCK}"
    with open_parent(root, layout.LOCK) as (folder, name):
        descriptor = _open(folder, name, where)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkspaceBusyError(
                "Another run holds the workspace.",
                where=where,
                fix="Wait until it has ended, then run again; do not delete the lock file.",
            ) from None
        except OSError as error:
            raise BadDataError(
                f"This file system cannot lock a file: {error.strerror}.",
                where=where,
                fix="Keep the workspace on a local disk.",
            ) from error
        yield
    finally:
        os.close(descriptor)


def _open(folder: int, name: str, where: str) -> int:
    try:
        descriptor = os.open(name, _OPEN, 0o644, dir_fd=folder)
    except PermissionError as error:
        raise BadDataError(
            f"The workspace cannot be written: {error.strerror}.",
            where=where,
            fix="Let your user write to this folder and to what is in it.",
        ) from error
    except OSError as error:
        raise UnsafePathError(
            f"The lock cannot be opened: {error.strerror}.",
            where=where,
            fix="A plain file of yours belongs there; remove what stands in its place.",
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnsafePathError(
            "The lock is not a regular file.", where=where, fix="Remove what stands in its place."
        )
    return descriptor
