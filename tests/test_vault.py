"""The passphrase for live money: kept apart, kept private, and the only way to a seal."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import hmac
import json
import os
import pwd
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from workspaces import tree

from portfolio_rebalance.errors import BadDataError, NotApprovedError, UsageError
from portfolio_rebalance.records import Approval
from portfolio_rebalance.vault import (
    FILE,
    Seal,
    change_passphrase,
    has_passphrase,
    set_passphrase,
    unlock,
    vault_folder,
)

PASSPHRASE = "correct horse battery"
SALT = bytes(range(32))
OTHER_SALT = bytes(range(1, 33))
APPROVAL = Approval(
    plan_id="ab" * 32,
    user="ada",
    at=datetime(2019, 10, 1, 2, tzinfo=UTC),
    method="typed",
    shown_sha256="cd" * 32,
)
ROOT = os.geteuid() == 0
NOBODY = 65534


@cache
def halves(passphrase: str = PASSPHRASE, salt: bytes = SALT) -> tuple[bytes, bytes]:
    """scrypt with the documented parameters, cut in two; apart from the code under test."""
    both = hashlib.scrypt(passphrase.encode(), salt=salt, n=2**15, r=8, p=3, maxmem=2**26, dklen=64)
    return both[:32], both[32:]


def stored(**changes: object) -> dict[str, object]:
    return {
        "schema_version": 1,
        "kdf": "scrypt",
        "n": 2**15,
        "r": 8,
        "p": 3,
        "salt": SALT.hex(),
        "verifier": hashlib.sha256(halves()[0]).hexdigest(),
        **changes,
    }


def put(folder: Path, data: bytes) -> Path:
    """A vault as it would be, but for its content."""
    folder.mkdir(0o700, parents=True, exist_ok=True)
    place = folder / FILE
    place.write_bytes(data)
    place.chmod(0o600)
    return place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a vault goes, in a home that exists; nothing is there yet."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home/.config/trading-portfolio-rebalance"


@pytest.fixture
def kept(folder: Path) -> Path:
    """A folder with :data:`PASSPHRASE` in it."""
    put(folder, json.dumps(stored()).encode())
    return folder


@contextmanager
def refused(folder: Path, kind: type[Exception], *, saying: str) -> Iterator[None]:
    """Refused in these words, with nothing changed."""
    before = tree(folder.parent.parent)
    with pytest.raises(kind, match=saying) as caught:
        yield
    assert caught.value.fix  # type: ignore[attr-defined]
    assert tree(folder.parent.parent) == before


@contextmanager
def as_nobody() -> Iterator[None]:
    """With the rights of a user who has none; only root can take them on."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# --- where it is -----------------------------------------------------------------------------------------


def test_the_folder_is_that_of_the_user_database_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "USERPROFILE", "USER", "LOGNAME"):
        monkeypatch.setenv(name, str(tmp_path))
    home = pwd.getpwuid(os.getuid()).pw_dir
    assert vault_folder() == Path(home, ".config", "trading-portfolio-rebalance")
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name)
    assert vault_folder() == Path(home, ".config", "trading-portfolio-rebalance")


def test_a_user_whom_the_system_does_not_know_has_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    with pytest.raises(NotApprovedError, match="names no home folder for user 2147483641"):
        vault_folder()


@pytest.mark.parametrize("home", ["", "home/ada"])
def test_a_home_that_is_no_absolute_path_is_none(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.struct_passwd(("ada", "x", os.getuid(), 0, "", home, "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: entry)
    with pytest.raises(NotApprovedError, match="names no home folder"):
        vault_folder()


# --- setting and changing --------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0, 0o022, 0o177])
def test_what_is_stored_is_a_salt_and_half_of_a_digest_for_the_user_alone(folder: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        folder.parent.mkdir(0o700)
        folder.parent.chmod(0o700)
        folder.mkdir(0o700)
        folder.chmod(0o700)
        set_passphrase(folder, PASSPHRASE, salt=SALT)
    finally:
        os.umask(before)
    assert json.loads((folder / FILE).read_bytes()) == stored()
    assert mode_of(folder / FILE) == 0o600
    assert [path.name for path in folder.iterdir()] == [FILE]
    text = (folder / FILE).read_text()
    assert not any(half.hex() in text for half in halves())
    assert PASSPHRASE not in text


def test_missing_folders_are_made_private(folder: Path) -> None:
    before = os.umask(0)
    try:
        set_passphrase(folder, PASSPHRASE, salt=SALT)
    finally:
        os.umask(before)
    assert (mode_of(folder.parent), mode_of(folder)) == (0o700, 0o700)
    assert repr(unlock(folder, PASSPHRASE)) == "Seal(key hidden)"


def test_a_home_is_never_made(tmp_path: Path) -> None:
    folder = tmp_path / "nobody/.config/trading-portfolio-rebalance"
    with pytest.raises(BadDataError, match="No such file or directory"):
        set_passphrase(folder, PASSPHRASE, salt=SALT)
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_set_is_not_set_again(kept: Path) -> None:
    assert has_passphrase(kept)
    with refused(kept, UsageError, saying="A passphrase is set already"):
        set_passphrase(kept, "another passphrase", salt=OTHER_SALT)


@pytest.mark.parametrize("kind", ["dangling", "folder", "damaged"])
def test_whatever_stands_in_its_place_is_not_replaced(folder: Path, kind: str) -> None:
    put(folder, b"")
    if kind != "damaged":
        (folder / FILE).unlink()
        (folder / FILE).mkdir() if kind == "folder" else (folder / FILE).symlink_to("nowhere")
    assert has_passphrase(folder)
    with refused(folder, UsageError, saying="A passphrase is set already"):
        set_passphrase(folder, PASSPHRASE, salt=SALT)


def test_a_change_takes_the_old_one_and_voids_what_it_sealed(kept: Path) -> None:
    old = unlock(kept, PASSPHRASE)
    sealed = APPROVAL.model_copy(update={"seal": old.sign(APPROVAL)})
    assert old.verify(sealed)
    with refused(kept, NotApprovedError, saying="This is not the passphrase"):
        change_passphrase(kept, old="not the old one", new="another passphrase", salt=OTHER_SALT)
    change_passphrase(kept, old=PASSPHRASE, new="another passphrase", salt=OTHER_SALT)
    assert mode_of(kept / FILE) == 0o600
    assert json.loads((kept / FILE).read_bytes())["salt"] == OTHER_SALT.hex()
    with refused(kept, NotApprovedError, saying="This is not the passphrase"):
        unlock(kept, PASSPHRASE)
    assert not unlock(kept, "another passphrase").verify(sealed)


def test_none_cannot_be_changed(folder: Path) -> None:
    with refused(folder, NotApprovedError, saying="No passphrase is set"):
        change_passphrase(folder, old=PASSPHRASE, new="another passphrase", salt=SALT)


@pytest.mark.parametrize("short", ["", "ninechars", "          ", "  ninechars  ", "123456789\n"])
def test_a_short_one_is_refused(folder: Path, kept: Path, short: str) -> None:
    with refused(kept, UsageError, saying="fewer than 10 characters"):
        change_passphrase(kept, old=PASSPHRASE, new=short, salt=SALT)
    with refused(folder, UsageError, saying="fewer than 10 characters"):
        set_passphrase(folder, short, salt=SALT)


def test_ten_characters_are_enough(folder: Path) -> None:
    set_passphrase(folder, "tencharact", salt=SALT)
    unlock(folder, "tencharact")


@pytest.mark.parametrize("length", [0, 15, 65])
def test_an_unfit_salt_is_refused(folder: Path, length: int) -> None:
    with refused(folder, UsageError, saying=f"A salt of {length} bytes"):
        set_passphrase(folder, PASSPHRASE, salt=bytes(length))


def test_an_accented_letter_is_one_however_it_is_typed(folder: Path) -> None:
    set_passphrase(folder, "caf\u00e9 au lait", salt=SALT)
    unlock(folder, "cafe\u0301 au lait")


# --- unlocking -------------------------------------------------------------------------------------------


def test_a_wrong_one_is_refused_and_told_so(kept: Path) -> None:
    for wrong in (PASSPHRASE + " ", PASSPHRASE.upper(), "", "\udc80 not text"):
        with refused(kept, NotApprovedError, saying="This is not the passphrase"):
            unlock(kept, wrong)


def test_the_comparison_takes_the_same_time_wherever_it_differs(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def spy(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", spy)
    seal = unlock(kept, PASSPHRASE)
    verifier = hashlib.sha256(halves()[0]).digest()
    assert compared == [(verifier, verifier)]
    seal.verify(APPROVAL)
    assert len(compared) == 2


@pytest.mark.parametrize("present", ["nothing", "folder"])
def test_where_none_is_set_the_command_that_sets_one_is_named(folder: Path, present: str) -> None:
    if present == "folder":
        folder.mkdir(0o700, parents=True)
    assert not has_passphrase(folder)
    with pytest.raises(NotApprovedError, match="No passphrase is set") as caught:
        unlock(folder, PASSPHRASE)
    assert "trading-portfolio-rebalance init --passphrase" in caught.value.fix
    assert caught.value.exit_code == 11


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666])
@pytest.mark.parametrize("which", ["file", "folder"])
def test_what_others_may_use_is_refused(kept: Path, mode: int, which: str) -> None:
    place = kept / FILE if which == "file" else kept
    mode = mode if which == "file" else mode | 0o100
    place.chmod(mode)
    with refused(kept, NotApprovedError, saying=f"its mode is {mode:o}"):
        unlock(kept, PASSPHRASE)
    with refused(kept, NotApprovedError, saying=f"its mode is {mode:o}"):
        change_passphrase(kept, old=PASSPHRASE, new="another passphrase", salt=OTHER_SALT)


def test_a_folder_that_others_may_use_takes_no_passphrase(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    with refused(folder, NotApprovedError, saying="its mode is 755"):
        set_passphrase(folder, PASSPHRASE, salt=SALT)


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
@pytest.mark.parametrize("which", ["file", "folder"])
def test_what_belongs_to_another_user_is_refused(kept: Path, which: str) -> None:
    os.chown(kept / FILE if which == "file" else kept, NOBODY, -1)
    with refused(kept, NotApprovedError, saying="belongs to user 65534, and not to you"):
        unlock(kept, PASSPHRASE)


def test_what_belongs_to_another_user_is_refused_from_the_other_side(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with refused(kept, NotApprovedError, saying=f"belongs to user {owner}, and not to you"):
        unlock(kept, PASSPHRASE)
    with refused(kept, NotApprovedError, saying=f"belongs to user {owner}, and not to you"):
        change_passphrase(kept, old=PASSPHRASE, new="another passphrase", salt=OTHER_SALT)


@pytest.mark.skipif(not ROOT, reason="only root can take on another user's rights")
def test_what_may_not_be_opened_is_refused() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "vault"
        put(folder, json.dumps(stored()).encode())
        with as_nobody(), pytest.raises(NotApprovedError, match="Permission denied"):
            unlock(folder, PASSPHRASE)


@pytest.mark.parametrize("kind", ["link", "dangling", "hard link", "folder", "pipe"])
def test_what_is_not_one_plain_file_is_refused_without_blocking(
    kept: Path, tmp_path: Path, kind: str
) -> None:
    place, elsewhere = kept / FILE, tmp_path / "elsewhere"
    if kind == "hard link":
        elsewhere.hardlink_to(place)
    elif kind == "link":
        place.rename(elsewhere)
        place.symlink_to(elsewhere)
    else:
        place.unlink()
        {
            "dangling": lambda: place.symlink_to("nowhere"),
            "folder": place.mkdir,
            "pipe": lambda: os.mkfifo(place),
        }[kind]()
    with refused(kept, NotApprovedError, saying="cannot be opened|not one regular file"):
        unlock(kept, PASSPHRASE)


def test_a_linked_folder_is_refused(kept: Path, tmp_path: Path) -> None:
    kept.rename(tmp_path / "elsewhere")
    kept.symlink_to(tmp_path / "elsewhere")
    for act in (
        lambda: unlock(kept, PASSPHRASE),
        lambda: set_passphrase(kept, PASSPHRASE, salt=SALT),
        lambda: change_passphrase(kept, old=PASSPHRASE, new="another passphrase", salt=OTHER_SALT),
    ):
        with refused(kept, NotApprovedError, saying="no folder that may be opened"):
            act()


WHOLE = json.dumps(stored()).encode()
DAMAGED = {
    "empty": b"",
    "cut off": WHOLE[:-1],
    "not JSON": b"passphrase",
    "not UTF-8": b"\xff" + WHOLE,
    "too large": WHOLE[:-1] + b" " * 5_000 + b"}",
    "one key more": json.dumps(stored(key="00" * 32)).encode(),
    "no salt": json.dumps({key: value for key, value in stored().items() if key != "salt"}).encode(),
    "later version": json.dumps(stored(schema_version=2)).encode(),
    "other method": json.dumps(stored(kdf="sha256")).encode(),
    "weak n": json.dumps(stored(n=2)).encode(),
    "strong n": json.dumps(stored(n=2**40)).encode(),
    "weak p": json.dumps(stored(p=1)).encode(),
    "n as text": json.dumps(stored(n="32768")).encode(),
    "short salt": json.dumps(stored(salt="00" * 15)).encode(),
    "salt not hexadecimal": json.dumps(stored(salt="zz" * 32)).encode(),
    "empty verifier": json.dumps(stored(verifier="")).encode(),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_file_that_was_tampered_with_is_refused_before_anything_is_derived(
    folder: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, data)
    monkeypatch.setattr(hashlib, "scrypt", lambda *_, **__: pytest.fail("derived"))
    with refused(folder, NotApprovedError, saying="This is not what was stored"):
        unlock(folder, PASSPHRASE)


@pytest.mark.parametrize(
    "changes", [{"salt": OTHER_SALT.hex()}, {"verifier": "00" * 32}, {"verifier": "00" * 16}]
)
def test_a_salt_or_verifier_of_another_makes_the_passphrase_wrong(
    folder: Path, changes: dict[str, object]
) -> None:
    put(folder, json.dumps(stored(**changes)).encode())
    with refused(folder, NotApprovedError, saying="This is not the passphrase"):
        unlock(folder, PASSPHRASE)


def test_a_passphrase_put_in_the_place_of_ours_does_not_know_our_seals(kept: Path) -> None:
    seal = unlock(kept, PASSPHRASE)
    sealed = APPROVAL.model_copy(update={"seal": seal.sign(APPROVAL)})
    (kept / FILE).unlink()
    set_passphrase(kept, PASSPHRASE, salt=OTHER_SALT)
    assert not unlock(kept, PASSPHRASE).verify(sealed)


# --- the seal --------------------------------------------------------------------------------------------


def test_a_seal_is_the_keyed_digest_of_the_approval_without_its_seal(kept: Path) -> None:
    content = (
        '{"at":"2019-10-01T02:00:00Z","method":"typed","plan_id":"' + "ab" * 32 + '","seal":"",'
        '"shown_sha256":"' + "cd" * 32 + '","user":"ada"}'
    )
    expected = hmac.new(halves()[1], content.encode(), "sha256").hexdigest()
    seal = unlock(kept, PASSPHRASE)
    assert seal.sign(APPROVAL) == expected
    assert seal.sign(APPROVAL.model_copy(update={"seal": "anything"})) == expected


CHANGED: list[dict[str, Any]] = [
    {"plan_id": "ab" * 31 + "ac"},
    {"user": "eve"},
    {"user": ""},
    {"at": APPROVAL.at + timedelta(microseconds=1)},
    {"method": "execute"},
    {"method": "pre_approved"},
    {"shown_sha256": "cd" * 31 + "ce"},
]


@pytest.mark.parametrize("changes", CHANGED, ids=str)
def test_a_seal_holds_for_exactly_one_content(changes: dict[str, Any]) -> None:
    seal = Seal(bytes(32))
    sealed = APPROVAL.model_copy(update={"seal": seal.sign(APPROVAL)})
    assert seal.verify(sealed)
    assert not seal.verify(sealed.model_copy(update=changes))


@pytest.mark.parametrize("carried", ["", "0" * 64, "\u00e9", "\udc80", "upper", "cut", "longer"])
def test_anything_but_the_seal_itself_is_none(carried: str) -> None:
    seal = Seal(bytes(32))
    true = seal.sign(APPROVAL)
    carried = {"upper": true.upper(), "cut": true[:-1], "longer": true + "0"}.get(carried, carried)
    assert not seal.verify(APPROVAL.model_copy(update={"seal": carried}))


def test_a_seal_of_another_key_is_none() -> None:
    sealed = APPROVAL.model_copy(update={"seal": Seal(b"\1" * 32).sign(APPROVAL)})
    assert not Seal(b"\2" * 32).verify(sealed)


def test_no_way_to_print_a_seal_shows_its_key() -> None:
    key = b"0123456789abcdef" * 2
    seal = Seal(key)
    for shown in (repr(seal), str(seal), f"{seal}", f"{[seal]!r}"):
        assert "key hidden" in shown
        assert key.decode() not in shown
        assert key.hex() not in shown
    assert not hasattr(seal, "__dict__")


# --- faults and others at the same time ------------------------------------------------------------------


def test_the_bytes_are_on_disk_before_the_name_and_the_name_before_we_say_so(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def spy(name: str, real: Callable[..., Any]) -> None:
        def called(*args: Any, **kwargs: Any) -> Any:
            kind = "folder" if name == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode) else "file"
            order.append(f"{name} {kind}" if name == "fsync" else name)
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, called)

    for name in ("write", "fsync", "rename"):
        spy(name, getattr(os, name))
    change_passphrase(kept, old=PASSPHRASE, new="another passphrase", salt=OTHER_SALT)
    assert order == ["write", "fsync file", "rename", "fsync folder"]


def test_the_bytes_are_private_before_they_are_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    real = os.fchmod

    def spy(descriptor: int, mode: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        real(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", spy)
    before = os.umask(0)
    try:
        set_passphrase(folder, PASSPHRASE, salt=SALT)
    finally:
        os.umask(before)
    assert modes == [0o600]


def test_folders_that_are_made_are_on_disk_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = os.fsync

    def spy(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    set_passphrase(folder, PASSPHRASE, salt=SALT)
    places = (folder.parent.parent, folder.parent, folder / FILE, folder)
    assert synced == [place.stat().st_ino for place in places]


FAULTS = [
    (os, "write", errno.ENOSPC),
    (os, "fsync", errno.EIO),
    (os, "rename", errno.EACCES),
    (os, "fchmod", errno.EPERM),
    (fcntl, "flock", errno.ENOLCK),
]


@pytest.mark.parametrize(
    ("module", "call", "number"), FAULTS, ids=lambda value: getattr(value, "__name__", value)
)
def test_a_fault_leaves_the_old_passphrase_and_nothing_beside_it(
    kept: Path, monkeypatch: pytest.MonkeyPatch, module: Any, call: str, number: int
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    before = (kept / FILE).read_bytes()
    monkeypatch.setattr(module, call, fail)
    with pytest.raises(BadDataError, match=os.strerror(number)):
        change_passphrase(kept, old=PASSPHRASE, new="another passphrase", salt=OTHER_SALT)
    monkeypatch.undo()
    assert [(path.name, path.read_bytes()) for path in kept.iterdir()] == [(FILE, before)]


def test_a_part_that_was_written_counts_as_nothing(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (kept / FILE).read_bytes()
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:20]))
    with pytest.raises(BadDataError, match="only a part was written"):
        change_passphrase(kept, old=PASSPHRASE, new="another passphrase", salt=OTHER_SALT)
    monkeypatch.undo()
    assert [(path.name, path.read_bytes()) for path in kept.iterdir()] == [(FILE, before)]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_a_writer_that_was_cut_off_left_is_removed_and_not_followed(
    kept: Path, tmp_path: Path, kind: str
) -> None:
    left = kept / f".{FILE}.tmp"
    (tmp_path / "outside").write_text("mine")
    left.write_text("half") if kind == "file" else left.symlink_to(tmp_path / "outside")
    change_passphrase(kept, old=PASSPHRASE, new="another passphrase", salt=OTHER_SALT)
    assert [path.name for path in kept.iterdir()] == [FILE]
    assert (tmp_path / "outside").read_text() == "mine"


def test_of_several_who_set_one_at_the_same_time_exactly_one_does(folder: Path) -> None:
    writers = 8
    barrier = threading.Barrier(writers)
    outcomes: dict[int, object] = {}

    def write(number: int) -> None:
        barrier.wait()
        try:
            outcomes[number] = set_passphrase(folder, f"passphrase {number}", salt=SALT)
        except UsageError as error:
            outcomes[number] = error.what

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = (number for number, outcome in outcomes.items() if outcome is None)
    assert sorted(map(str, outcomes.values())) == ["A passphrase is set already."] * (writers - 1) + ["None"]
    unlock(folder, f"passphrase {winner}")


SET = """
import sys
from pathlib import Path
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.vault import set_passphrase
folder, number = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
try:
    set_passphrase(folder, f"passphrase {number}", salt=bytes(32))
    print("set")
except UsageError:
    print("refused")
"""


def test_of_several_processes_exactly_one_sets_it(folder: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SET, str(folder), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate()[0] for process in processes]
    assert sorted(said) == ["refused\n", "refused\n", "set\n"]
    unlock(folder, f"passphrase {said.index('set' + chr(10))}")
