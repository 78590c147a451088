"""The passphrase for live money: a key that no file of the workspace holds.

A person's approval of a live plan is sealed with a key that only the passphrase gives. What is stored lies
outside the workspace, below the home that the system's user database names: whoever starts us could point an
environment variable elsewhere. It tells whether a passphrase is right, and not the key. So a program that
sees the whole workspace and types on a terminal cannot approve.

What this does not keep out is a program with all the rights of its user: it can put a passphrase of its own
in the place of this one. Approvals sealed before are void then, as they are after every change.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import pwd
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, ValidationError

from portfolio_rebalance.errors import BadDataError, NotApprovedError, UsageError
from portfolio_rebalance.records import Approval, Record, StartedExecution, Step, canonical_bytes

__all__ = [
    "FILE",
    "Seal",
    "StepSeals",
    "change_passphrase",
    "has_passphrase",
    "set_passphrase",
    "unlock",
    "vault_folder",
]

FILE: Final = "passphrase.json"

_MOST_BYTES: Final = 4_096
_FEWEST_CHARACTERS: Final = 10
_FEWEST_SALT_BYTES: Final = 16
_HALF: Final = 32
# One of the settings that OWASP's cheat sheet on password storage holds equal to n=2**17, p=1, for a quarter
# of the memory: 32 MiB.
_N: Final = 32_768
_R: Final = 8
_P: Final = 3
_MAX_MEMORY_BYTES: Final = 64 * 1024 * 1024

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SET_ONE: Final = "Set one on a terminal: trading-portfolio-rebalance init --passphrase"

_Hex: TypeAlias = Annotated[str, Field(pattern=r"^(?:[0-9a-f]{2}){16,64}$")]


class _Stored(Record):
    """The file. Other parameters than ours are refused: weaker ones would make guessing cheap."""

    schema_version: Literal[1]
    kdf: Literal["scrypt"]
    n: Literal[32_768]
    r: Literal[8]
    p: Literal[3]
    salt: _Hex
    verifier: _Hex


Sealable: TypeAlias = Approval | StartedExecution | Step
"""What carries a seal: a person's word, the batch that was started on it, each order of it."""


class Seal:
    """The key that a passphrase gives; it seals records and knows its own seals again."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "Seal(key hidden)"

    def sign(self, record: Sealable) -> str:
        """HMAC-SHA256, in hexadecimal, over the canonical bytes of a record whose own seal is left out."""
        unsealed = record.model_copy(update={"seal": ""})
        return hmac.new(self._key, canonical_bytes(unsealed), hashlib.sha256).hexdigest()

    def verify(self, record: Sealable) -> bool:
        """Whether a record carries the seal of exactly this content, made with this key."""
        carried = record.seal.encode("utf-8", "surrogatepass")
        return hmac.compare_digest(self.sign(record).encode(), carried)


class StepSeals:
    """Seals the steps of a batch, and tells its own from what was only written into the ledger."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def signed(self, step: Step) -> Step:
        """The step with its seal."""
        return step.model_copy(update={"seal": self._seal.sign(step)})

    def is_genuine(self, step: Step) -> bool:
        """Whether the seal is this step's own."""
        return self._seal.verify(step)


def vault_folder() -> Path:
    """``~/.config/trading-portfolio-rebalance`` of the user whose process this is, whatever ``HOME`` says.

    Raises:
        NotApprovedError: The system does not know this user, or no home of theirs.
    """
    number = os.getuid()
    try:
        home = Path(pwd.getpwuid(number).pw_dir)
    except KeyError:
        home = Path()
    if not home.is_absolute():
        raise NotApprovedError(
            f"The system names no home folder for user {number}.",
            where="passwd",
            fix="Run as a user with an entry there: live money needs a passphrase, and that a place.",
        )
    return home / ".config" / "trading-portfolio-rebalance"


def has_passphrase(folder: Path) -> bool:
    """Whether something stands where the passphrase would, whatever it is."""
    return os.path.lexists(folder / FILE)


def set_passphrase(folder: Path, passphrase: str, *, salt: bytes) -> None:
    """Set the first passphrase.

    Args:
        folder: From :func:`vault_folder`; made if missing, and the one above it.
        passphrase: Ten characters or more, spaces around it aside.
        salt: Random; 16 bytes or more.

    Raises:
        UsageError: Too short, or one is set already.
        NotApprovedError: The folder is not private.
        BadDataError: The operating system refuses; nothing is set then.
    """
    _require_fit(passphrase, salt)
    with _refusing(folder):
        _make(folder)
    with _locked(folder) as descriptor:
        if FILE in os.listdir(descriptor):  # noqa: PTH208 - by descriptor: the folder that we hold
            raise UsageError(
                "A passphrase is set already.",
                where=str(folder / FILE),
                fix="Change it instead: that takes the old one.",
            )
        _write(descriptor, folder, _stored(passphrase, salt))


def change_passphrase(folder: Path, *, old: str, new: str, salt: bytes) -> None:
    """Replace the passphrase. Approvals sealed with the old one are void from then on.

    Raises:
        UsageError: The new one is too short.
        NotApprovedError: The old one is wrong, none is set, or its file is not private.
        BadDataError: The operating system refuses; the old one holds then.
    """
    _require_fit(new, salt)
    with _locked(folder) as descriptor:
        _seal(_read(descriptor, folder), old, where=str(folder / FILE))
        _write(descriptor, folder, _stored(new, salt))


def unlock(folder: Path, passphrase: str) -> Seal:
    """The key that belongs to the passphrase.

    Raises:
        NotApprovedError: It is wrong, none is set, or the file is damaged, a link, or not the user's alone.
    """
    descriptor = _open_folder(folder)
    try:
        stored = _read(descriptor, folder)
    finally:
        os.close(descriptor)
    return _seal(stored, passphrase, where=str(folder / FILE))


# --- the key ---------------------------------------------------------------------------------------------


def _require_fit(passphrase: str, salt: bytes) -> None:
    if len(_normal(passphrase).strip()) < _FEWEST_CHARACTERS:
        raise UsageError(
            f"The passphrase has fewer than {_FEWEST_CHARACTERS} characters.",
            where="passphrase",
            fix="Take several words.",
        )
    if not _FEWEST_SALT_BYTES <= len(salt) <= 2 * _HALF:
        raise UsageError(
            f"A salt of {len(salt)} bytes.", where="salt", fix="Pass 16 to 64 random bytes, such as 32."
        )


def _normal(passphrase: str) -> str:
    """One spelling: an accented letter may reach us as one character or as two."""
    return unicodedata.normalize("NFKC", passphrase)


def _derived(passphrase: str, salt: bytes) -> tuple[bytes, bytes]:
    """What the file may know (the digest of one half), and the key (the other half)."""
    both = hashlib.scrypt(
        _normal(passphrase).encode("utf-8", "surrogatepass"),
        salt=salt,
        n=_N,
        r=_R,
        p=_P,
        maxmem=_MAX_MEMORY_BYTES,
        dklen=2 * _HALF,
    )
    return hashlib.sha256(both[:_HALF]).digest(), both[_HALF:]


def _stored(passphrase: str, salt: bytes) -> _Stored:
    verifier, _ = _derived(passphrase, salt)
    return _Stored(schema_version=1, kdf="scrypt", n=_N, r=_R, p=_P, salt=salt.hex(), verifier=verifier.hex())


def _seal(stored: _Stored, passphrase: str, *, where: str) -> Seal:
    verifier, key = _derived(passphrase, bytes.fromhex(stored.salt))
    if not hmac.compare_digest(verifier, bytes.fromhex(stored.verifier)):
        raise NotApprovedError("This is not the passphrase.", where=where, fix="Try again.")
    return Seal(key)


# --- the file --------------------------------------------------------------------------------------------


def _make(folder: Path) -> None:
    """The folder and the one above it, but never a home."""
    for place in (folder.parent, folder):
        with contextlib.suppress(FileExistsError):
            place.mkdir(0o700)
            _sync(place.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_folder(folder: Path) -> int:
    """A descriptor of the folder: a folder itself, the user's, and for nobody else to look into."""
    try:
        descriptor = os.open(folder, _FOLDER)
    except FileNotFoundError:
        raise NotApprovedError("No passphrase is set.", where=str(folder), fix=_SET_ONE) from None
    except OSError as error:
        raise NotApprovedError(
            f"This is no folder that may be opened: {error.strerror}.",
            where=str(folder),
            fix="Put a folder of your own there, and no link.",
        ) from error
    try:
        _require_private(os.fstat(descriptor), folder)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """The folder, with other writers kept out until we are done."""
    descriptor = _open_folder(folder)
    try:
        with _refusing(folder):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _read(descriptor: int, folder: Path) -> _Stored:
    place = folder / FILE
    try:
        file = os.open(FILE, _FILE, dir_fd=descriptor)
    except FileNotFoundError:
        raise NotApprovedError("No passphrase is set.", where=str(place), fix=_SET_ONE) from None
    except OSError as error:
        raise _unusable(f"This file cannot be opened: {error.strerror}.", place) from error
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise _unusable("This is not one regular file with one name.", place)
        _require_private(found, place)
        return _Stored.model_validate_json(os.read(file, _MOST_BYTES))
    except OSError as error:
        raise _unusable(f"This file cannot be read: {error.strerror}.", place) from error
    except ValidationError:
        raise _unusable("This is not what was stored.", place) from None
    finally:
        os.close(file)


def _require_private(found: os.stat_result, place: Path) -> None:
    if found.st_uid != os.getuid():
        raise _unusable(f"This belongs to user {found.st_uid}, and not to you.", place)
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise NotApprovedError(
            f"Others may use this: its mode is {stat.S_IMODE(found.st_mode):o}.",
            where=str(place),
            fix=f"Run chmod go= {place}; if anybody may have changed it, remove {FILE} and "
            "set the passphrase anew: trading-portfolio-rebalance init --passphrase",
        )


def _unusable(what: str, place: Path) -> NotApprovedError:
    return NotApprovedError(what, where=str(place), fix=f"Find out why, then remove it. {_SET_ONE}")


def _write(descriptor: int, folder: Path, stored: _Stored) -> None:
    """Beside its place, synced, renamed over it, and the folder synced."""
    data = stored.model_dump_json(indent=2).encode() + b"\n"
    temporary = f".{FILE}.tmp"
    with _refusing(folder):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=descriptor)  # of a writer that was cut off; we hold the lock
        file = os.open(temporary, _NEW_FILE, 0o600, dir_fd=descriptor)
        try:
            os.fchmod(file, 0o600)  # whatever the umask takes away
            if os.write(file, data) != len(data):
                raise OSError(0, "only a part was written")
            os.fsync(file)
            os.rename(temporary, FILE, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=descriptor)
            raise
        finally:
            os.close(file)
        os.fsync(descriptor)


@contextmanager
def _refusing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadDataError(
            f"The operating system cannot keep a passphrase here: {error.strerror}.",
            where=str(folder),
            fix="Check permissions, free space and that the home is on a local disk, then run again.",
        ) from error
