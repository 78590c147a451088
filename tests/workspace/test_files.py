"""Reading below the root: what is refused, what is read, and that nothing blocks."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from portfolio_rebalance.errors import BadDataError, MissingDataError, RebalanceError, UnsafePathError
from portfolio_rebalance.workspace.files import exists, list_names, read_bytes, read_text

LIMIT = 1_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / ".crypto"
    (root / "knowledge").mkdir(parents=True)
    (root / "knowledge" / "registry.yaml").write_bytes(b"strategies: {}\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.yaml").write_text("key: 1\n")
    return root


def refusal(kind: type[RebalanceError], read: Callable[[], object]) -> RebalanceError:
    with pytest.raises(RebalanceError) as caught:
        read()
    assert type(caught.value) is kind
    assert caught.value.what
    assert caught.value.fix
    return caught.value


def within_twenty_seconds(read: Callable[[], object]) -> list[object]:
    """Outcomes of a call that might block for ever; empty if it did."""
    outcomes: list[object] = []

    def run() -> None:
        try:
            outcomes.append(read())
        except BaseException as error:
            outcomes.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout=20)
    return outcomes


def test_a_file_is_read_with_its_label_and_digest(root: Path) -> None:
    content = read_bytes(root, "knowledge/registry.yaml", max_bytes=LIMIT)
    assert content.label == ".crypto/knowledge/registry.yaml"
    assert content.data == b"strategies: {}\n"
    assert content.sha256 == hashlib.sha256(content.data).hexdigest()
    text = read_text(root, "knowledge/registry.yaml")
    assert (text.label, text.text, text.sha256) == (content.label, "strategies: {}\n", content.sha256)


def test_the_label_names_the_root_however_it_is_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "knowledge")
    assert read_text(Path(".."), "knowledge/registry.yaml").label == ".crypto/knowledge/registry.yaml"
    assert read_text(Path(), "registry.yaml").label == "knowledge/registry.yaml"


PATH_CORPUS = [
    "",
    ".",
    "..",
    "/",
    "/etc/passwd",
    "../outside/secret.yaml",
    "knowledge/../../outside/secret.yaml",
    "knowledge/../knowledge/registry.yaml",
    "./knowledge/registry.yaml",
    "knowledge/./registry.yaml",
    "knowledge//registry.yaml",
    "knowledge/registry.yaml/",
    "knowledge/registry.yaml\0",
    "knowledge/registry.yaml\n",
    "knowledge/\u202eregistry.yaml",
    "knowledge/\udce9.yaml",
    "knowledge/\ud800.yaml",
]


@pytest.mark.parametrize("relative", PATH_CORPUS, ids=ascii)
def test_a_path_that_is_not_plain_names_is_refused(root: Path, relative: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: read_bytes(root, relative, max_bytes=LIMIT),
        lambda: read_text(root, relative),
        lambda: exists(root, relative),
        lambda: list_names(root, relative),
    ]
    for call in calls:
        error = refusal(UnsafePathError, call)
        assert error.where.isprintable()


def test_an_absent_file_is_missing_and_not_unsafe(root: Path) -> None:
    error = refusal(MissingDataError, lambda: read_text(root, "knowledge/none.yaml"))
    assert error.where == ".crypto/knowledge/none.yaml"
    refusal(MissingDataError, lambda: read_text(root, "no/such/folder.yaml"))
    refusal(MissingDataError, lambda: read_text(root / "nowhere", "BOOTSTRAP.md"))


def test_a_fifo_never_blocks(root: Path) -> None:
    os.mkfifo(root / "BOOTSTRAP.md")
    (outcome,) = within_twenty_seconds(lambda: read_text(root, "BOOTSTRAP.md"))
    assert isinstance(outcome, UnsafePathError)
    assert outcome.where == ".crypto/BOOTSTRAP.md"
    (outcome,) = within_twenty_seconds(lambda: read_text(root, "BOOTSTRAP.md/registry.yaml"))
    assert isinstance(outcome, UnsafePathError)
    (outcome,) = within_twenty_seconds(lambda: list_names(root, "BOOTSTRAP.md"))
    assert isinstance(outcome, UnsafePathError)


def test_a_folder_a_socket_and_a_device_are_not_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal(UnsafePathError, lambda: read_text(root, "knowledge"))
    monkeypatch.chdir(root)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        refusal(UnsafePathError, lambda: read_text(root, "socket"))
    refusal(UnsafePathError, lambda: read_bytes(Path("/dev"), "null", max_bytes=LIMIT))


def test_a_link_to_a_file_is_refused_wherever_it_leads(root: Path) -> None:
    (root / "out.yaml").symlink_to(root.parent / "outside" / "secret.yaml")
    (root / "in.yaml").symlink_to("knowledge/registry.yaml")
    (root / "dangling.yaml").symlink_to("nowhere")
    (root / "loop.yaml").symlink_to("loop.yaml")
    for name in ("out.yaml", "in.yaml", "dangling.yaml", "loop.yaml"):
        error = refusal(UnsafePathError, partial(read_text, root, name))
        assert error.what == "This is a symbolic link."
        assert exists(root, name)


def test_a_link_to_a_folder_is_refused_on_the_way(root: Path) -> None:
    (root / "out").symlink_to(root.parent / "outside", target_is_directory=True)
    (root / "in").symlink_to("knowledge", target_is_directory=True)
    calls: list[Callable[[], object]] = [
        lambda: read_text(root, "out/secret.yaml"),
        lambda: read_text(root, "in/registry.yaml"),
        lambda: exists(root, "out/secret.yaml"),
        lambda: exists(root, "out/none.yaml"),
        lambda: list_names(root, "out"),
        lambda: list_names(root, "in"),
    ]
    for call in calls:
        refusal(UnsafePathError, call)


def test_a_folder_swapped_for_a_link_after_the_check_is_not_followed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root.parent / "outside" / "registry.yaml").write_text("stolen: 1\n")
    genuine_open = os.open

    def swapping_open(path: object, flags: int, **keywords: int) -> int:
        if path == "registry.yaml":
            (root / "knowledge").rename(root / "moved")
            (root / "knowledge").symlink_to(root.parent / "outside", target_is_directory=True)
        return genuine_open(path, flags, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", swapping_open)
    assert read_text(root, "knowledge/registry.yaml").text == "strategies: {}\n"


def test_the_root_itself_may_be_a_link(root: Path) -> None:
    (root.parent / "link").symlink_to(root, target_is_directory=True)
    assert read_text(root.parent / "link", "knowledge/registry.yaml").label == "link/knowledge/registry.yaml"


def test_a_hard_link_is_refused(root: Path) -> None:
    (root / "BOOTSTRAP.md").hardlink_to(root.parent / "outside" / "secret.yaml")
    error = refusal(UnsafePathError, lambda: read_text(root, "BOOTSTRAP.md"))
    assert "2 names" in error.what


def test_size_is_capped_to_the_byte(root: Path) -> None:
    (root / "file").write_bytes(b"x" * LIMIT)
    assert len(read_bytes(root, "file", max_bytes=LIMIT).data) == LIMIT
    (root / "file").write_bytes(b"x" * (LIMIT + 1))
    error = refusal(UnsafePathError, lambda: read_bytes(root, "file", max_bytes=LIMIT))
    assert error.what == "The file is larger than 1000 bytes."
    os.truncate(root / "file", 1 << 40)  # sparse: refused without reading a terabyte
    refusal(UnsafePathError, lambda: read_bytes(root, "file", max_bytes=LIMIT))
    (root / "text").write_bytes(b"x" * 1_000_001)
    refusal(UnsafePathError, lambda: read_text(root, "text"))


def test_an_empty_file_and_one_of_many_chunks_are_read_whole(root: Path) -> None:
    (root / "empty").touch()
    assert read_bytes(root, "empty", max_bytes=LIMIT).data == b""
    data = os.urandom(300_001)
    (root / "large").write_bytes(data)
    assert read_bytes(root, "large", max_bytes=1_000_000).data == data


def while_reading(monkeypatch: pytest.MonkeyPatch, interfere: Callable[[], object]) -> None:
    """Let another process act once, just before the content is read."""
    genuine_read, pending = os.read, [interfere]

    def read(descriptor: int, length: int) -> bytes:
        if pending:
            pending.pop()()
        return genuine_read(descriptor, length)

    monkeypatch.setattr(os, "read", read)


def test_a_file_that_grows_past_the_cap_while_it_is_read_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "file").write_bytes(b"x" * LIMIT)
    while_reading(monkeypatch, lambda: (root / "file").write_bytes(b"x" * 200_000))
    refusal(UnsafePathError, lambda: read_bytes(root, "file", max_bytes=LIMIT))


@pytest.mark.parametrize("size_after", [0, 5, 20])
def test_a_file_that_changes_while_it_is_read_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, size_after: int
) -> None:
    (root / "file").write_bytes(b"x" * 10)
    while_reading(monkeypatch, lambda: (root / "file").write_bytes(b"y" * size_after))
    error = refusal(BadDataError, lambda: read_bytes(root, "file", max_bytes=LIMIT))
    assert error.what == "The file changed while it was being read."


def test_a_file_that_grows_with_its_time_set_back_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = root / "file"
    file.write_bytes(b"0.01")
    os.utime(file, ns=(0, 0))

    def grow() -> None:
        file.write_bytes(b"0.0123")
        os.utime(file, ns=(0, 0))

    while_reading(monkeypatch, grow)
    refusal(BadDataError, lambda: read_bytes(root, "file", max_bytes=LIMIT))


def test_a_file_rewritten_in_place_at_the_same_size_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "file").write_bytes(b"x" * 10)
    os.utime(root / "file", ns=(0, 0))
    while_reading(monkeypatch, lambda: (root / "file").write_bytes(b"y" * 10))
    refusal(BadDataError, lambda: read_bytes(root, "file", max_bytes=LIMIT))


def test_a_file_replaced_while_it_is_read_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "file").write_bytes(b"old")
    (root / "new").write_bytes(b"new")
    while_reading(monkeypatch, lambda: (root / "new").rename(root / "file"))
    refusal(BadDataError, lambda: read_bytes(root, "file", max_bytes=LIMIT))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE])
def test_a_refusal_of_the_system_is_bad_data_and_never_absence(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def failing(*_arguments: object, **_keywords: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", failing)
    assert refusal(BadDataError, lambda: read_text(root, "HALT")).where == ".crypto/HALT"
    refusal(BadDataError, lambda: exists(root, "HALT"))
    refusal(BadDataError, lambda: list_names(root, "knowledge"))


def test_a_name_that_is_too_long_is_bad_data(root: Path) -> None:
    refusal(BadDataError, lambda: read_text(root, "x" * 300))


def test_no_descriptor_is_left_open(root: Path) -> None:
    os.mkfifo(root / "pipe")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for relative in ("knowledge/registry.yaml", "pipe", "knowledge/none", "knowledge", "pipe/x"):
        for call in (read_text, exists, list_names):
            try:
                call(root, relative)
            except RebalanceError:
                continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("data", "line", "what"),
    [
        (b"a: 1\nb: \xff\n", 2, "Byte 0xff is not UTF-8."),
        (b"a: 1\nb: 2\nc: \xed\xa0\x80", 3, "Byte 0xed is not UTF-8."),
        (b"\xc0\xaf", 1, "Byte 0xc0 is not UTF-8."),
        (b"a: \xe2\x82", 1, "Byte 0xe2 is not UTF-8."),
        (b"\xef\xbb\xbfa: 1\n", 1, "The file begins with a byte order mark."),
        ("a: 1\n".encode("utf-16"), 1, "Byte 0xff is not UTF-8."),
        (b"a: 1\r\nb: 2\r\n\0", 3, "The file holds a NUL byte."),
    ],
)
def test_text_that_is_not_plain_utf8_is_refused_with_its_line(
    root: Path, data: bytes, line: int, what: str
) -> None:
    (root / "BOOTSTRAP.md").write_bytes(data)
    error = refusal(BadDataError, lambda: read_text(root, "BOOTSTRAP.md"))
    assert (error.where, error.what) == (f".crypto/BOOTSTRAP.md:{line}", what)


def test_names_are_sorted_and_an_absent_folder_has_none(root: Path) -> None:
    for name in ("b", "a", "B", "é"):
        (root / "knowledge" / name).touch()
    assert list_names(root, "knowledge") == ("B", "a", "b", "registry.yaml", "é")
    assert list_names(root, "live-monitoring") == ()
    assert list_names(root, "live-monitoring/live-performance") == ()
    refusal(UnsafePathError, lambda: list_names(root, "knowledge/registry.yaml"))


def test_existence_counts_in_any_form(root: Path) -> None:
    assert not exists(root, "HALT")
    assert not exists(root, "portfolio-rebalance/HALT")
    (root / "HALT").mkdir()
    assert exists(root, "HALT")
    (root / "HALT").rmdir()
    os.mkfifo(root / "HALT")
    assert exists(root, "HALT")
    refusal(UnsafePathError, lambda: exists(root, "knowledge/registry.yaml/HALT"))
