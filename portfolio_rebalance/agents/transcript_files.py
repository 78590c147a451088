"""Transcripts on disk: read from where the user says, written once and whole, and never over another one."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from portfolio_rebalance.agents.transcript import Transcript, parse_transcript, require_authored
from portfolio_rebalance.errors import BadDataError, MissingDataError, UnsafePathError
from portfolio_rebalance.workspace.files import read_text
from portfolio_rebalance.workspace.outputs import write_atomic

__all__ = ["open_transcript", "overwrite_transcript", "write_transcript"]

_ENDING: Final = ".jsonl"
_MOST_BYTES: Final = 16_000_000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}\.jsonl")
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_NO_FILE_OF_OURS: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EEXIST, errno.EISDIR})
_NO_SECOND_NAMES: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})


def open_transcript(path: Path) -> Transcript:
    """Read a transcript.

    Args:
        path: Its file, or a folder that holds exactly one (a name that ends in ``.jsonl``).

    Raises:
        MissingDataError: There is none.
        BadDataError: It is not one plain file, or its content is refused.
    """
    file = _file_at(path)
    content = read_text(file.parent, file.name, max_bytes=_MOST_BYTES)
    return parse_transcript(content.text, label=content.label)


def write_transcript(transcript: Transcript, *, folder: Path, name: str) -> Path:
    """Write a new file, readable by its user alone: all of it or nothing, and never over another one.

    A file that is there already with the same bytes is left as it is.

    Args:
        transcript: What to write.
        folder: Made if missing. The user named it, so it may be a link to a folder; what is in it may not.
        name: Of the file, ending in ``.jsonl``.

    Returns:
        The file.

    Raises:
        UnsafePathError: The name is no plain name, or a link or something else has it.
        BadDataError: Another recording has this name, the transcript could not be read back, or the operating
            system refuses. Nothing is written then, and it can be written under another name.
    """
    if not _NAME.fullmatch(name):
        raise UnsafePathError(
            f"{name[:80]!a} is no name for a transcript.",
            where=str(folder),
            fix="Take letters, digits, '.', '_' and '-', and end it in .jsonl.",
        )
    place = folder / name
    data = _checked_bytes(transcript, str(place))
    with _refusing(place):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, _FOLDER)
        try:
            if not _create(descriptor, name, data) and not _holds(descriptor, name, data):
                raise BadDataError(
                    "Another recording has this name.", where=str(place), fix="Record into another folder."
                )
        finally:
            os.close(descriptor)
    return place


def overwrite_transcript(transcript: Transcript, path: Path) -> None:
    """Put an authored transcript in the place of an authored one; whoever reads finds the old or the new.

    Raises:
        UsageError: One of the two was not authored: what a model said is not rewritten.
        BadDataError: There is no transcript there, or the operating system refuses; nothing has changed then.
    """
    file = _file_at(path)
    for one in (open_transcript(file), transcript):
        require_authored(one)
    write_atomic(file.parent, file.name, _checked_bytes(transcript, str(file)))


def _file_at(path: Path) -> Path:
    with _refusing(path):
        if not path.is_dir():
            return path
        found = sorted(
            one for one in path.iterdir() if one.suffix == _ENDING and not one.name.startswith(".")
        )
    if not found:
        raise MissingDataError(
            "No transcript is in this folder.", where=str(path), fix="Record one: --record DIR."
        )
    if len(found) > 1:
        names = ", ".join(ascii(one.name) for one in found[:5])
        raise BadDataError(
            f"{len(found)} transcripts are in this folder: {names}.",
            where=str(path),
            fix="Name one of the files.",
        )
    return found[0]


def _checked_bytes(transcript: Transcript, where: str) -> bytes:
    """What is written, once it is sure that it can be read back."""
    try:
        text = transcript.text()
    except ValueError as error:
        raise BadDataError(
            f"The transcript cannot be written: {error}.", where=where, fix="Record what is JSON alone."
        ) from None
    if len(text) > _MOST_BYTES:
        raise BadDataError(
            f"The transcript has more than {_MOST_BYTES} bytes.", where=where, fix="Record a smaller run."
        )
    parse_transcript(text, label=where)
    return text.encode("ascii")


def _create(folder: int, name: str, data: bytes) -> bool:
    """Write a file beside its place, sync it, then give it its name; False if the name is taken."""
    temporary = f".{name}.{os.urandom(8).hex()}.tmp"
    descriptor = os.open(temporary, _NEW_FILE, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        _give_name(folder, temporary, name)
    except FileExistsError:
        return False
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
    os.fsync(folder)
    return True


def _give_name(folder: int, temporary: str, name: str) -> None:
    """Give a file its name; FileExistsError where something has it, a link that leads nowhere included."""
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_SECOND_NAMES:
            raise
        # No file has two names on this disk: take the name first, then put the file in its place.
        os.close(os.open(name, _NEW_FILE, 0o600, dir_fd=folder))
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)


def _holds(folder: int, name: str, data: bytes) -> bool:
    descriptor = os.open(name, _OLD_FILE, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(len(data) + 1) == data
    finally:
        os.close(descriptor)


@contextmanager
def _refusing(place: Path) -> Iterator[None]:
    try:
        yield
    except ValueError:  # a NUL in it
        raise UnsafePathError("This is no path.", where=ascii(str(place)), fix="Name a folder.") from None
    except OSError as error:
        if error.errno in _NO_FILE_OF_OURS:
            raise UnsafePathError(
                f"Something else is in the way: {error.strerror}.",
                where=str(place),
                fix="Name a folder of your own, and no link where the file goes.",
            ) from error
        raise BadDataError(
            f"The operating system refuses: {error.strerror}.",
            where=str(place),
            fix="Check permissions and free space, then run again.",
        ) from error
