"""The kill switch stops in any form, fails closed, and is strengthened by whoever writes last or first."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from workspaces import tree

from portfolio_rebalance.errors import BadDataError, UnsafePathError
from portfolio_rebalance.workspace import exclusive, halt
from portfolio_rebalance.workspace.halt import Halt, clear_halt, read_halt, write_halt

ROOT = os.geteuid() == 0
NOBODY = 65534
NONE = Halt(level="none", reason="")
NOTE = "While this file exists, nothing is sent. `trading-portfolio-rebalance resume` removes it.\n"
REDUCE_ONLY = Halt(level="reduce_only", reason="reduce-only")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / ".crypto"
    (root / "portfolio-rebalance").mkdir(parents=True)
    return root


def place_of(root: Path) -> Path:
    return root / "portfolio-rebalance/HALT"


def put(root: Path, data: bytes) -> Path:
    place_of(root).write_bytes(data)
    return place_of(root)


@contextmanager
def as_nobody() -> Iterator[None]:
    """With the rights of a user who has none; only root can take them on."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def make_link(root: Path) -> None:
    (root.parent / "outside").write_bytes(b"reduce-only\n")
    place_of(root).symlink_to(root.parent / "outside")


def make_hard_link(root: Path) -> None:
    put(root, b"reduce-only\n")
    (root.parent / "outside").hardlink_to(place_of(root))


def make_socket(root: Path) -> None:
    here = Path.cwd()
    os.chdir(place_of(root).parent)  # a socket's path must be short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("HALT")
    finally:
        os.chdir(here)


FORMS: dict[str, Callable[[Path], object]] = {
    "empty": lambda root: put(root, b""),
    "text": lambda root: put(root, b"the venue is down\n"),
    "folder": lambda root: place_of(root).mkdir(),
    "folder with files": lambda root: (place_of(root) / "inner").mkdir(parents=True),
    "dangling link": lambda root: place_of(root).symlink_to("nowhere"),
    "link to itself": lambda root: place_of(root).symlink_to("HALT"),
    "link to reduce-only": make_link,
    "hard link of reduce-only": make_hard_link,
    "pipe": lambda root: os.mkfifo(place_of(root)),
    "socket": make_socket,
    "larger than any reason": lambda root: put(root, b"x" * 65_537),
}
NO_FILE = (
    "folder",
    "folder with files",
    "dangling link",
    "link to itself",
    "link to reduce-only",
    "pipe",
    "socket",
)


# --- reading ---------------------------------------------------------------------------------------------


def test_nothing_is_stopped_where_nothing_has_its_name(root: Path) -> None:
    assert read_halt(root) == NONE
    (root / "portfolio-rebalance").rmdir()
    before = tree(root.parent)
    assert read_halt(root) == NONE
    assert tree(root.parent) == before


@pytest.mark.parametrize("form", FORMS)
def test_its_existence_in_any_form_stops_everything_and_blocks_nobody(root: Path, form: str) -> None:
    FORMS[form](root)
    before = tree(root.parent)
    found: list[Halt] = []
    thread = threading.Thread(target=lambda: found.append(read_halt(root)), daemon=True)
    thread.start()
    thread.join(timeout=20)
    assert [one.level for one in found] == ["all"]
    assert found[0].reason
    assert tree(root.parent) == before


def test_one_exact_content_leaves_reductions_open(root: Path) -> None:
    put(root, b"reduce-only\n")
    assert read_halt(root) == REDUCE_ONLY


@pytest.mark.parametrize(
    "data",
    [
        b"reduce-only",
        b"reduce-only\r\n",
        b"reduce-only \n",
        b" reduce-only\n",
        b"reduce-only\n\n",
        b"Reduce-only\n",
        b"REDUCE-ONLY\n",
        b"reduce_only\n",
        b"reduce only\n",
        b"reduce\xe2\x80\x91only\n",
        b"\xef\xbb\xbfreduce-only\n",
        b"reduce-only\nand more\n",
        b"reduce-only\0",
        b"reduce",
        b"\n",
        b"none\n",
        b"false\n",
        b"0",
    ],
)
def test_any_other_content_stops_everything(root: Path, data: bytes) -> None:
    put(root, data)
    assert read_halt(root).level == "all"


def test_a_link_or_a_file_on_the_way_stops_everything(root: Path, tmp_path: Path) -> None:
    (root / "portfolio-rebalance").rmdir()
    (tmp_path / "outside").mkdir()
    (root / "portfolio-rebalance").symlink_to(tmp_path / "outside")
    assert read_halt(root).level == "all"
    (root / "portfolio-rebalance").unlink()
    (root / "portfolio-rebalance").write_text("")
    assert read_halt(root).level == "all"


def test_a_workspace_that_is_gone_stops_everything(tmp_path: Path) -> None:
    assert read_halt(tmp_path / "gone") == Halt(level="all", reason="The workspace is not there.")
    (tmp_path / "gone").write_text("")
    assert read_halt(tmp_path / "gone").level == "all"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ESTALE])
@pytest.mark.parametrize("call", ["open", "stat", "fstat", "read"])
def test_a_fault_while_looking_stops_everything(
    root: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    put(root, b"reduce-only\n")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(os, call, fail)
        found = read_halt(root)
    assert found.level == "all"
    assert found.reason


def test_a_fault_of_ours_stops_everything(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> bool:
        raise RuntimeError("a bug\nof two lines")

    monkeypatch.setattr(halt, "exists", fail)
    found = read_halt(root)
    assert found.level == "all"
    assert found.reason == "The kill switch cannot be looked at: RuntimeError('a bug\\nof two lines')"


def test_a_halt_that_goes_away_while_we_look_still_counts(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(halt, "exists", lambda *_: True)
    assert read_halt(root).level == "all"


@pytest.mark.skipif(not ROOT, reason="only root can take on another user's rights")
@pytest.mark.parametrize("hidden", ["file", "folder", "workspace"])
def test_what_may_not_be_looked_at_stops_everything(hidden: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        root = Path(name) / ".crypto"
        (root / "portfolio-rebalance").mkdir(parents=True)
        if hidden == "file":
            put(root, b"reduce-only\n").chmod(0o600)
        else:
            (root / "portfolio-rebalance" if hidden == "folder" else root).chmod(0o600)
        with as_nobody():
            found = read_halt(root)
    assert found == Halt(level="all", reason="You may not read this.")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "No reason is given."),
        (b" \n\t\n", "No reason is given."),
        (b"\n\n  the venue is down  \nmore\n", "the venue is down"),
        (b"old Mac\rline", "old Mac"),
        (b"\x1b[31mred\x1b[0m\x07\x00 alert\n", "[31mred[0m alert"),
        ("a\u202eb\u200bc\u2028d".encode(), "abc"),
        (b"\xff\xfe bytes", "\ufffd\ufffd bytes"),
        (b"x" * 200, "x" * 200),
        (b"x" * 201, "x" * 197 + "..."),
    ],
)
def test_the_reason_is_one_short_line_that_can_be_shown(root: Path, data: bytes, reason: str) -> None:
    put(root, data)
    assert read_halt(root) == Halt(level="all", reason=reason)


# --- writing ---------------------------------------------------------------------------------------------


def test_a_full_halt_says_why_and_how_it_ends(root: Path) -> None:
    (root / "portfolio-rebalance").rmdir()
    assert write_halt(root, level="all", reason="STR-001 was not reverted") == Halt(
        level="all", reason="STR-001 was not reverted"
    )
    assert place_of(root).read_text() == f"STR-001 was not reverted\n{NOTE}"
    assert [path.name for path in place_of(root).parent.iterdir()] == ["HALT"]


def test_a_halt_of_increases_is_the_one_content(root: Path) -> None:
    (root / "portfolio-rebalance").rmdir()
    assert write_halt(root, level="reduce_only", reason="not kept") == REDUCE_ONLY
    assert place_of(root).read_bytes() == b"reduce-only\n"


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("", "No reason is given."),
        ("\n", "No reason is given."),
        ("reduce-only", "reduce-only"),
        ("reduce-only\n", "reduce-only"),
        ("one\ntwo", "one"),
        ("\x1b[2Jgone", "[2Jgone"),
    ],
)
def test_no_reason_makes_a_full_halt_less(root: Path, reason: str, line: str) -> None:
    assert write_halt(root, level="all", reason=reason) == Halt(level="all", reason=line)
    assert place_of(root).read_text() == f"{line}\n{NOTE}"


@pytest.mark.parametrize("form", FORMS)
def test_reduce_only_over_a_full_halt_leaves_it_as_it_is(root: Path, form: str) -> None:
    FORMS[form](root)
    before = tree(root.parent)
    assert write_halt(root, level="reduce_only").level == "all"
    assert tree(root.parent) == before


@pytest.mark.parametrize("form", NO_FILE)
def test_a_full_halt_over_what_is_no_file_leaves_it_and_follows_no_link(root: Path, form: str) -> None:
    FORMS[form](root)
    before = {name: state for name, state in tree(root.parent).items() if not name.endswith("rebalance")}
    assert write_halt(root, level="all", reason="mine").level == "all"
    after = {name: state for name, state in tree(root.parent).items() if not name.endswith("rebalance")}
    assert after == before


def test_a_full_halt_over_reduce_only_stops_everything(root: Path) -> None:
    write_halt(root, level="reduce_only")
    assert write_halt(root, level="all", reason="it got worse") == Halt(level="all", reason="it got worse")


def test_a_second_reduce_only_changes_nothing(root: Path) -> None:
    write_halt(root, level="reduce_only")
    before = tree(root)
    assert write_halt(root, level="reduce_only") == REDUCE_ONLY
    assert tree(root) == before


def test_the_first_reason_stays(root: Path) -> None:
    put(root, b"I am on a plane, do not touch\nAda\n")
    assert write_halt(root, level="all", reason="mine").reason == "I am on a plane, do not touch"
    assert place_of(root).read_bytes() == b"I am on a plane, do not touch\nAda\n"


@pytest.mark.parametrize("data", [b"", b"reduce", b"reduce-only", b"reduce-only\n"])
def test_what_may_become_reduce_only_in_a_moment_is_no_reason(root: Path, data: bytes) -> None:
    put(root, data)
    assert write_halt(root, level="all", reason="mine") == Halt(level="all", reason="mine")


def test_what_was_in_the_way_and_is_gone_is_no_halt(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> None:
        raise UnsafePathError("Something other than a file has this name.")

    monkeypatch.setattr(halt, "write_atomic", gone)
    with pytest.raises(UnsafePathError):
        write_halt(root, level="all")


def test_a_full_halt_takes_the_name_from_a_file_that_could_become_less(root: Path) -> None:
    """Were the other name removed, the file would be a plain one that says reduce-only."""
    make_hard_link(root)
    assert write_halt(root, level="all", reason="mine") == Halt(level="all", reason="mine")
    assert (root.parent / "outside").read_bytes() == b"reduce-only\n"
    (root.parent / "outside").unlink()
    assert read_halt(root) == Halt(level="all", reason="mine")


def test_a_halt_needs_no_lock(root: Path) -> None:
    with exclusive(root):
        assert write_halt(root, level="reduce_only") == REDUCE_ONLY
        assert write_halt(root, level="all").level == "all"


@pytest.mark.parametrize("level", ["reduce_only", "all"])
def test_a_linked_folder_is_refused(root: Path, tmp_path: Path, level: Literal["reduce_only", "all"]) -> None:
    (root / "portfolio-rebalance").rmdir()
    (tmp_path / "outside").mkdir()
    (root / "portfolio-rebalance").symlink_to(tmp_path / "outside")
    for act in (lambda: write_halt(root, level=level), lambda: clear_halt(root)):
        with pytest.raises(UnsafePathError):
            act()
    assert list((tmp_path / "outside").iterdir()) == []


def calls_during(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> list[str]:
    """Which of the calls that matter for durability were made, in order."""
    order: list[str] = []

    def spy(name: str, real: Callable[..., Any]) -> None:
        def called(*args: Any, **kwargs: Any) -> Any:
            kind = "folder" if name == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode) else "file"
            order.append(f"{name} {kind}" if name == "fsync" else name)
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, called)

    for name in ("write", "fsync", "rename", "unlink"):
        spy(name, getattr(os, name))
    act()
    monkeypatch.undo()
    return order


def test_what_is_said_to_be_so_is_on_disk(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    durable = ["write", "fsync file", "fsync folder"]
    assert calls_during(monkeypatch, lambda: write_halt(root, level="reduce_only")) == durable
    assert calls_during(monkeypatch, lambda: write_halt(root, level="reduce_only")) == ["fsync folder"]
    replaced = ["write", "fsync file", "rename", "fsync folder"]
    assert calls_during(monkeypatch, lambda: write_halt(root, level="all")) == replaced
    assert calls_during(monkeypatch, lambda: write_halt(root, level="all")) == replaced
    assert calls_during(monkeypatch, lambda: clear_halt(root)) == ["unlink", "fsync folder"]
    place_of(root).mkdir()
    assert calls_during(monkeypatch, lambda: write_halt(root, level="all")) == ["fsync folder"]


@pytest.mark.parametrize(("call", "number"), [("write", errno.ENOSPC), ("fsync", errno.EIO)])
def test_a_full_halt_that_fails_says_so_and_weakens_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    write_halt(root, level="reduce_only")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(BadDataError, match=os.strerror(number)):
        write_halt(root, level="all", reason="mine")
    monkeypatch.undo()
    assert read_halt(root) == REDUCE_ONLY
    assert [path.name for path in place_of(root).parent.iterdir()] == ["HALT"]


@pytest.mark.parametrize(
    ("call", "number", "left"), [("write", errno.ENOSPC, "all"), ("fsync", errno.EIO, "reduce_only")]
)
def test_a_halt_of_increases_that_fails_says_so_and_leaves_a_halt(
    root: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, left: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(BadDataError, match=os.strerror(number)):
        write_halt(root, level="reduce_only")
    monkeypatch.undo()
    assert read_halt(root).level == left


def test_a_part_of_reduce_only_stops_everything(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:6]))
    assert write_halt(root, level="reduce_only") == Halt(level="all", reason="reduce")


# --- several at the same time ----------------------------------------------------------------------------

STEPS = ("open", "write", "fsync", "rename", "close", "stat", "fstat", "read")


def interrupted(monkeypatch: pytest.MonkeyPatch, at: int, by: Callable[[], object]) -> list[int]:
    """Before the system call of this number, somebody else does something from beginning to end."""
    made = [0]

    def spy(real: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            made[0] += 1
            if made[0] == at:
                by()
            return real(*args, **kwargs)

        return called

    for name in STEPS:
        monkeypatch.setattr(os, name, spy(getattr(os, name)))
    return made


@pytest.mark.parametrize("first", ["reduce_only", "all"])
def test_two_writers_end_in_a_full_halt_wherever_one_interrupts_the_other(
    root: Path, monkeypatch: pytest.MonkeyPatch, first: Literal["reduce_only", "all"]
) -> None:
    second: Literal["reduce_only", "all"] = "all" if first == "reduce_only" else "reduce_only"
    at, made = 1, [1]
    while made[0] >= at:
        with monkeypatch.context() as patched:
            made = interrupted(patched, at, lambda: write_halt(root, level=second, reason="mine"))
            write_halt(root, level=first, reason="mine")
        assert made[0] < at or read_halt(root) == Halt(level="all", reason="mine"), f"{first}, call {at}"
        place_of(root).unlink()
        at += 1
    assert at > 10


def test_a_writer_that_fails_does_not_take_another_halt_away(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def overtaken(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", real)
        write_halt(root, level="all", reason="mine")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", overtaken)
    with pytest.raises(BadDataError):
        write_halt(root, level="reduce_only")
    assert read_halt(root) == Halt(level="all", reason="mine")


def test_threads_that_race_end_in_a_full_halt(root: Path) -> None:
    for _ in range(100):
        barrier = threading.Barrier(4)

        def write(level: Literal["reduce_only", "all"], barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            write_halt(root, level=level, reason="mine")

        levels: tuple[Literal["reduce_only", "all"], ...] = ("reduce_only", "all", "reduce_only", "all")
        threads = [threading.Thread(target=write, args=(level,)) for level in levels]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert read_halt(root) == Halt(level="all", reason="mine")
        assert [path.name for path in place_of(root).parent.iterdir()] == ["HALT"]
        clear_halt(root)


WRITE = """
import sys
from pathlib import Path
from portfolio_rebalance.workspace.halt import write_halt
for line in sys.stdin:
    write_halt(Path(sys.argv[1]), level=sys.argv[2], reason="mine")
    print("done", flush=True)
"""


def test_processes_that_race_end_in_a_full_halt(root: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, str(root), level],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for level in ("reduce_only", "all")
    ]
    for number in range(50):
        for writer in writers if number % 2 else reversed(writers):
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "done\n"
        assert read_halt(root) == Halt(level="all", reason="mine")
        clear_halt(root)
    for writer in writers:
        writer.communicate()


# --- clearing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [form for form in FORMS if not form.startswith("folder")])
def test_what_is_cleared_is_the_name_and_never_what_it_leads_to(root: Path, form: str) -> None:
    FORMS[form](root)
    outside = root.parent / "outside"
    content = outside.read_bytes() if outside.exists() else None
    assert clear_halt(root) is True
    assert read_halt(root) == NONE
    assert not os.path.lexists(place_of(root))
    assert (outside.read_bytes() if outside.exists() else None) == content
    assert clear_halt(root) is False


@pytest.mark.parametrize("form", ["folder", "folder with files"])
def test_a_folder_is_left_for_a_person_to_remove(root: Path, form: str) -> None:
    FORMS[form](root)
    before = tree(root)
    with pytest.raises(UnsafePathError) as caught:
        clear_halt(root)
    assert caught.value.where == ".crypto/portfolio-rebalance/HALT"
    assert caught.value.fix == f"Look into it, then remove it by hand: rm -r {place_of(root)}"
    assert tree(root) == before
    assert read_halt(root).level == "all"


def test_where_none_is_nothing_is_made(root: Path) -> None:
    (root / "portfolio-rebalance").rmdir()
    before = tree(root.parent)
    assert clear_halt(root) is False
    assert tree(root.parent) == before


def test_one_that_another_clears_first_is_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halt, "exists", lambda *_: True)
    assert clear_halt(root) is False


@pytest.mark.parametrize(("call", "number"), [("unlink", errno.EPERM), ("fsync", errno.EIO)])
def test_a_fault_while_clearing_is_an_error(
    root: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    put(root, b"x")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(BadDataError, match=os.strerror(number)):
        clear_halt(root)


def test_no_descriptor_is_left_open(root: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for form in FORMS.values():
        form(root)
        for act in (
            read_halt,
            lambda at: write_halt(at, level="all"),
            lambda at: write_halt(at, level="reduce_only"),
        ):
            act(root)
        if not place_of(root).is_dir() or place_of(root).is_symlink():
            clear_halt(root)
        else:
            with pytest.raises(UnsafePathError):
                clear_halt(root)
            place_of(root).rename(root / f"moved-{len(list(root.iterdir()))}")
        (root.parent / "outside").unlink(missing_ok=True)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
