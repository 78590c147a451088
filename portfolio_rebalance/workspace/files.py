"""Reading inside the workspace, and nowhere else.

Other tools and people write the workspace, so a name in it is not yet a file one may read: it can be a link
that leads out, a second name of a file elsewhere, a pipe that blocks for ever, or a file without end. Every
read here walks from the root one folder at a time by descriptor and follows no link, so that what was checked
is what is read; a link that is swapped in between the two is refused like any other.

The root itself may be reached through a link: which folder is the workspace is its owner's decision.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from portfolio_rebalance.errors import BadDataError, MissingDataError, UnsafePathError

__all__ = ["FileBytes", "FileText", "exists", "list_names", "read_bytes", "read_text"]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
_CHUNK_BYTES: Final = 65_536
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class FileBytes:
    """One file as it was at one moment.

    Attributes:
        label: How errors name it: the path from the root's parent (``.crypto/knowledge/registry.yaml``).
        data: Its whole content.
        sha256: Hexadecimal digest of ``data``.
    """

    label: str
    data: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class FileText:
    """:class:`FileBytes` decoded; ``sha256`` is that of the bytes on disk."""

    label: str
    text: str
    sha256: str


def read_bytes(root: Path, relative: str, *, max_bytes: int) -> FileBytes:
    """The content of one regular, single-link file below ``root``.

    Size and time are compared before and after, because half of a file that is being written can look whole:
    ``0.01`` is a valid beginning of ``0.0123``.

    Args:
        root: The workspace folder.
        relative: Path below it with ``/`` between plain names; no ``.``, ``..``, ``//`` or leading ``/``.
        max_bytes: Largest size accepted.

    Raises:
        MissingDataError: There is no such file.
        UnsafePathError: The path leaves the root, passes a link, or is not such a file.
        BadDataError: The operating system refuses, or the file changed while it was read.
    """
    label = _label(root, relative)
    *folders, name = _parts(relative, label)
    try:
        with _folder(root, folders) as parent:
            descriptor = os.open(name, _FILE, dir_fd=parent)
            try:
                data = _read_plain_file(descriptor, label, max_bytes=max_bytes)
            finally:
                os.close(descriptor)
    except OSError as error:
        raise _refusal(error, label) from error
    return FileBytes(label=label, data=data, sha256=hashlib.sha256(data).hexdigest())


def read_text(root: Path, relative: str, *, max_bytes: int = 1_000_000) -> FileText:
    """:func:`read_bytes`, decoded as strict UTF-8.

    Raises:
        BadDataError: Not UTF-8, or with a byte order mark or a NUL; also all that :func:`read_bytes` raises.
    """
    content = read_bytes(root, relative, max_bytes=max_bytes)
    data = content.data
    if data.startswith(_BOM):
        raise BadDataError(
            "The file begins with a byte order mark.",
            where=f"{content.label}:1",
            fix="Save it as UTF-8 without BOM.",
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadDataError(
            f"Byte 0x{data[error.start]:02x} is not UTF-8.",
            where=f"{content.label}:{_line_of(data, error.start)}",
            fix="Save the file as UTF-8.",
        ) from None
    if "\0" in text:
        raise BadDataError(
            "The file holds a NUL byte.",
            where=f"{content.label}:{_line_of(data, data.index(0))}",
            fix="Restore it from a copy: text files hold no NUL.",
        )
    return FileText(label=content.label, text=text, sha256=content.sha256)


def exists(root: Path, relative: str) -> bool:
    """Whether something has this name below ``root``, whatever it is; a dangling link is there.

    What cannot be looked up is an error and not an absence: a kill switch that nobody may see must not read
    as "no kill switch".

    Raises:
        UnsafePathError: The path leaves the root or passes a link.
        BadDataError: The operating system refuses.
    """
    label = _label(root, relative)
    *folders, name = _parts(relative, label)
    try:
        with _folder(root, folders) as parent:
            os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _refusal(error, label) from error
    return True


def list_names(root: Path, relative_dir: str) -> tuple[str, ...]:
    """The sorted names in a folder below ``root``; none when there is no such folder.

    Raises:
        UnsafePathError: The path leaves the root, passes or is a link, or is not a folder.
        BadDataError: The operating system refuses.
    """
    label = _label(root, relative_dir)
    try:
        with _folder(root, _parts(relative_dir, label)) as folder:
            return tuple(sorted(os.listdir(folder)))  # noqa: PTH208 - by descriptor, as above
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _refusal(error, label) from error


def _label(root: Path, relative: str) -> str:
    name = root.name if root.name not in ("", "..") else root.resolve().name
    return f"{name}/{relative if relative.isprintable() else ascii(relative)}"


def _parts(relative: str, label: str) -> list[str]:
    """The names along a path, each of them plain; one file has one spelling."""
    parts = relative.split("/")
    if not relative.isprintable():
        what = "The path holds an invisible or control character."
    elif any(part in ("", ".", "..") for part in parts):
        what = f"{relative!r} is not a path of plain names below the workspace."
    else:
        return parts
    raise UnsafePathError(
        what, where=label, fix="Name a file below the workspace, such as knowledge/registry.yaml."
    )


@contextmanager
def _folder(root: Path, folders: Sequence[str]) -> Iterator[int]:
    """A descriptor of a folder, reached from ``root`` without passing a link."""
    descriptor = os.open(root, _FOLDER)
    try:
        for name in folders:
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _read_plain_file(descriptor: int, label: str, *, max_bytes: int) -> bytes:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise UnsafePathError(
            "This is not a regular file.", where=label, fix="Replace the folder, pipe or device by a file."
        )
    if before.st_nlink > 1:
        raise UnsafePathError(
            f"The file has {before.st_nlink} names (hard links), so that it can be changed from elsewhere.",
            where=label,
            fix="Replace it by a copy of its own: cp FILE FILE.new && mv FILE.new FILE.",
        )
    chunks: list[bytes] = []
    size = 0
    while max(size, before.st_size) <= max_bytes and (chunk := os.read(descriptor, _CHUNK_BYTES)):
        chunks.append(chunk)
        size += len(chunk)
    after = os.fstat(descriptor)
    if max(size, before.st_size, after.st_size) > max_bytes:
        raise UnsafePathError(
            f"The file is larger than {max_bytes} bytes.",
            where=label,
            fix="Check that this is the right file.",
        )
    if (before.st_size, before.st_mtime_ns, 1) != (size, after.st_mtime_ns, after.st_nlink):
        raise BadDataError(
            "The file changed while it was being read.",
            where=label,
            fix="Run again when its writer has finished.",
        )
    return b"".join(chunks)


def _refusal(error: OSError, label: str) -> BadDataError:
    match error.errno:
        case errno.ENOENT:
            return MissingDataError(
                "There is no such file.", where=label, fix="Create it, or check --workspace."
            )
        case errno.ELOOP:
            return UnsafePathError("This is a symbolic link.", where=label, fix="Put the file itself there.")
        case errno.ENOTDIR:
            return UnsafePathError(
                "A part of this path is a symbolic link, or a file where a folder should be.",
                where=label,
                fix="Put the folder itself there.",
            )
        case errno.ENXIO:
            return UnsafePathError("This is a socket or a device.", where=label, fix="Replace it by a file.")
        case errno.EACCES | errno.EPERM:
            return BadDataError("You may not read this.", where=label, fix="Allow it: chmod u+rX, or chown.")
        case _:
            return BadDataError(
                f"The operating system cannot read this: {error.strerror}.",
                where=label,
                fix="Check the name and the disk, then run again.",
            )


def _line_of(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1
