"""The outbox: files that follow from a committed change are written from the ledger, all of them, once.

A change and the files that show it to people cannot be written in one step, so the files' bytes are committed
with the change, and written afterwards: tried again on every start until each file's digest is the new one.
Whoever finds a file that is neither as it was nor as it should be has found a person's edit, and leaves it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Final, Literal

from portfolio_rebalance.errors import EditedMeanwhileError, LedgerError
from portfolio_rebalance.workspace.files import exists, read_bytes
from portfolio_rebalance.workspace.ledger import LEDGER, Ledger
from portfolio_rebalance.workspace.outputs import remove_leftovers, sync_file, sync_folders, write_atomic

__all__ = ["Outbox", "PendingFile", "Projection", "accept_edits", "apply_outbox"]

_MAX_BYTES: Final = 64_000_000
_APPLIED: Final = 1
_SUPERSEDED: Final = 2

Standing = Literal["old", "new", "edited"]
"""How a file stands to a pending change: as before it, as after it, or neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A file as a committed change wants it.

    Attributes:
        path: Below the workspace's root, of plain names.
        old_sha256: Digest of the bytes that ``content`` replaces; None where there is no such file.
        content: The whole file.
    """

    path: str
    old_sha256: str | None
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingFile:
    """A projection that was committed and not yet written.

    Attributes:
        number: Place in the outbox: files are written in this order.
        plan_id: The plan whose execution it follows from; None for a file that belongs to a run.
        new_sha256: Digest of ``content``.
    """

    number: int
    plan_id: str | None
    path: str
    old_sha256: str | None
    new_sha256: str
    content: bytes


class Outbox:
    """The outbox's rows in the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def add(
        self, projections: Sequence[Projection], *, plan_id: str | None, within: sqlite3.Connection
    ) -> None:
        """Store files to be written.

        Args:
            projections: The files, in the order in which they will be written.
            plan_id: The plan whose execution they follow from; None for files of a run.
            within: The open transaction of the change that they follow from.

        Raises:
            LedgerError: Two of them have the same path.
        """
        if len({projection.path for projection in projections}) != len(projections):
            raise LedgerError(
                "Two files of one change have the same path.", where=LEDGER, fix="Nothing was changed; stop."
            )
        within.executemany(
            "INSERT INTO outbox (plan_id, path, old_sha256, new_sha256, content, applied)"
            " VALUES (?, ?, ?, ?, ?, 0)",
            [
                (plan_id, file.path, file.old_sha256, sha256(file.content).hexdigest(), file.content)
                for file in projections
            ],
        )

    def pending(self) -> tuple[PendingFile, ...]:
        """What is not yet written, in order.

        Raises:
            LedgerError: The bytes of one are not those that were committed.
        """
        rows = self._ledger.rows(
            "SELECT number, plan_id, path, old_sha256, new_sha256, content FROM outbox"
            " WHERE applied = 0 ORDER BY number"
        )
        return tuple(_pending_file(*row) for row in rows)

    def mark_applied(self, number: int) -> None:
        """The file is as it should be, and safe from a power cut."""
        self._mark(number, _APPLIED)

    def mark_superseded(self, number: int) -> None:
        """A person keeps an edit; the file will not be written."""
        self._mark(number, _SUPERSEDED)

    def _mark(self, number: int, applied: int) -> None:
        with self._ledger.transaction() as connection:
            connection.execute("UPDATE outbox SET applied = ? WHERE number = ?", (applied, number))


def apply_outbox(root: Path, ledger: Ledger) -> tuple[str, ...]:
    """Write what is pending; called on every start, under the workspace's lock.

    The files of one change are looked at before the first of them is written: where one was edited, none is.
    Changes of other plans are still written.

    Args:
        root: The workspace folder.
        ledger: Open for writing.

    Returns:
        The paths that were written now; files that were as they should be are only synced.

    Raises:
        EditedMeanwhileError: A file is neither as it was nor as it should be; it was not touched.
        LedgerError: Pending bytes are damaged; nothing was written.
        UnsafePathError: A path passes a link, or names something that is not a file.
        BadDataError: The operating system refuses; what is left is tried again on the next start.
    """
    written: list[str] = []
    edited: list[PendingFile] = []
    for group in _by_change(ledger.outbox.pending()):
        stopped = {file.plan_id for file in edited if file.plan_id}
        conflicts = [file for file, standing in _standings(root, group) if standing == "edited"]
        if conflicts or group[0].plan_id in stopped:
            edited += conflicts
            continue
        for file in group:
            if _apply(root, file):
                written.append(file.path)
            ledger.outbox.mark_applied(file.number)
    if edited:
        raise _edited(root, edited)
    return tuple(written)


def accept_edits(root: Path, ledger: Ledger) -> tuple[str, ...]:
    """Keep the edits that :func:`apply_outbox` stops at: a person has seen them and says so.

    The other files of the same change are written by the next :func:`apply_outbox`.

    Returns:
        The paths that will not be written.

    Raises:
        LedgerError: Pending bytes are damaged.
        UnsafePathError: A path passes a link, or names something that is not a file.
    """
    pending = ledger.outbox.pending()
    edited = [file for file, standing in _standings(root, pending) if standing == "edited"]
    for file in edited:
        ledger.outbox.mark_superseded(file.number)
    return tuple(file.path for file in edited)


def _by_change(pending: Sequence[PendingFile]) -> Iterator[list[PendingFile]]:
    """Files of one plan that were stored together; a run's file stands for itself."""
    for _, group in groupby(pending, key=lambda file: file.plan_id or file.number):
        yield list(group)


def _standings(root: Path, files: Sequence[PendingFile]) -> Iterator[tuple[PendingFile, Standing]]:
    """How each file will be found when those before it are written."""
    digests: dict[str, str | None] = {}
    for file in files:
        if file.path not in digests:
            digests[file.path] = _digest_now(root, file.path)
        standing = _standing(file, digests[file.path])
        if standing != "edited":
            digests[file.path] = file.new_sha256
        yield file, standing


def _apply(root: Path, file: PendingFile) -> bool:
    """Make a file as it should be and safe from a power cut; says whether it had to be written."""
    standing = _standing(file, _digest_now(root, file.path))
    if standing == "edited":  # since it was looked at, a moment ago
        raise _edited(root, [file])
    sync_folders(root, file.path)
    remove_leftovers(root, file.path)
    if standing == "new":
        sync_file(root, file.path)  # it may have been written just before a crash
        return False
    write_atomic(root, file.path, file.content)
    return True


def _standing(file: PendingFile, digest: str | None) -> Standing:
    if digest == file.new_sha256:
        return "new"
    return "old" if digest == file.old_sha256 else "edited"


def _digest_now(root: Path, path: str) -> str | None:
    return read_bytes(root, path, max_bytes=_MAX_BYTES).sha256 if exists(root, path) else None


def _pending_file(
    number: object, plan_id: object, path: object, old_sha256: object, new_sha256: object, content: object
) -> PendingFile:
    if not isinstance(content, bytes) or sha256(content).hexdigest() != new_sha256:
        raise LedgerError(
            f"outbox {number} ({path}) does not hold the bytes that were committed.",
            where=LEDGER,
            fix="The ledger was edited or damaged; restore a backup.",
        )
    return PendingFile(
        number=int(str(number)),
        plan_id=None if plan_id is None else str(plan_id),
        path=str(path),
        old_sha256=None if old_sha256 is None else str(old_sha256),
        new_sha256=new_sha256,
        content=content,
    )


def _edited(root: Path, files: Sequence[PendingFile]) -> EditedMeanwhileError:
    names = ", ".join(dict.fromkeys(file.path for file in files))
    return EditedMeanwhileError(
        f"Edited after a change to it was committed, before that was written: {names}.",
        where=f"{root.name}/{files[0].path}",
        fix="Look at it; keep the edit with `trading-portfolio-rebalance resume`, or undo it and run again.",
    )
