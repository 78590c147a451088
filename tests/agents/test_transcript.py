"""Transcripts: one form, read strictly, written whole and never over another."""

from __future__ import annotations

import copy
import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transcript_samples import entry, reply, transcript

from portfolio_rebalance.agents import transcript_files
from portfolio_rebalance.agents.json_form import request_sha256
from portfolio_rebalance.agents.transcript import CallId, Fault, Transcript, parse_transcript
from portfolio_rebalance.agents.transcript_files import (
    open_transcript,
    overwrite_transcript,
    write_transcript,
)
from portfolio_rebalance.errors import BadDataError, MissingDataError, UnsafePathError, UsageError

TEXT = transcript().text()
LINES = TEXT.splitlines()
NAME = "run.jsonl"


def refused(text: str) -> BadDataError:
    """Refused with a line, what is wrong, and what to do."""
    with pytest.raises(BadDataError) as caught:
        parse_transcript(text, label="a.jsonl")
    error = caught.value
    assert error.where.startswith("a.jsonl:")
    assert error.what
    assert error.fix
    assert str(error).isprintable()
    assert len(str(error)) < 500
    return error


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def with_line(number: int, content: object) -> str:
    """The sample with one line, counted from 1, replaced."""
    line = content if isinstance(content, str) else json.dumps(content)
    return "\n".join([*LINES[: number - 1], line, *LINES[number:], ""])


# --- the form --------------------------------------------------------------------------------------------


def test_the_form_is_this():
    small = Transcript(
        provenance="authored",
        made_with="0.1.0",
        entries=(
            replace(entry("monitor", 1, 1, reply("é")), request={"b": 1, "a": 0.5}),
            replace(entry("monitor", 2, 1, Fault(kind="timeout", detail="30 s")), request={}),
        ),
    )
    assert small.text() == (
        '{"entries": 2, "made_with": "0.1.0", "provenance": "authored", "transcript": 1}\n'
        '{"agent": "monitor", "attempt": 1, "request": {"a": 0.5, "b": 1}, "request_sha256": '
        '"0d51f1cc985d8c22acf7a91cbbfd8e1e01bddfd3741f1d6f6d6aff76254b7426", "response": {"content": '
        '[{"text": "\\u00e9", "type": "text"}], "model": "claude-sonnet-5-5", "stop_reason": "end_turn", '
        '"usage": {"cache_creation_input_tokens": 2, "cache_read_input_tokens": 3, "input_tokens": 7, '
        '"output_tokens": 5}}, "turn": 1}\n'
        '{"agent": "monitor", "attempt": 1, "fault": {"detail": "30 s", "kind": "timeout"}, "request": {}, '
        '"request_sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "turn": 2}\n'
    )


def test_what_is_written_reads_back():
    read = parse_transcript(TEXT, label="a.jsonl")
    assert read == transcript()
    assert read.text() == TEXT
    assert read.where(CallId("monitor", 1, 2)) == "a.jsonl:3"
    assert read.where(CallId("monitor", 9, 1)) == "a.jsonl"


def test_a_transcript_of_no_calls_reads_back():
    empty = replace(transcript(), entries=(), notes={})
    assert parse_transcript(empty.text(), label="a.jsonl") == empty


def test_spaces_and_the_order_of_keys_do_not_matter_to_the_reader():
    text = "".join(
        f"{json.dumps(dict(reversed(json.loads(line).items())), indent=None)} \n" for line in LINES
    )
    assert text != TEXT
    assert parse_transcript(text, label="a.jsonl") == transcript()


def test_a_response_may_be_edited_by_hand():
    text = TEXT.replace("Done.", "Done, and well.")
    assert parse_transcript(text, label="a.jsonl").entries[3].answer == reply("Done, and well.")


# --- what is refused -------------------------------------------------------------------------------------


def paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Of every value in a value, itself included."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, inner in pairs for found in paths(inner, (*path, key)))]


def changed(value: Any, path: tuple[str | int, ...], new: object) -> Any:
    if not path:
        return new
    outside = copy.deepcopy(value)
    inside = outside
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = new
    return outside


# What no digest binds, and a person may edit, as long as it stays of its kind.
FREE = {"made_with", "notes", "scene", "agent", "turn", "attempt", "detail", "response"}
NEW_VALUES: list[object] = [
    None,
    True,
    False,
    -1,
    0,
    2,
    1.5,
    "",
    "x",
    [],
    {},
    [[]],
    {"x": 1},
    10**13,
    "\u001b[2J",
]


def test_every_field_changed_to_anything_is_refused_or_was_free():
    tried = taken = 0
    for number, line in enumerate(LINES, start=1):
        content = json.loads(line)
        for path in paths(content):
            for new in NEW_VALUES:
                text = with_line(number, json.dumps(changed(content, path, new)))
                if json.dumps(changed(content, path, new)) == json.dumps(content):
                    continue
                tried += 1
                try:
                    read = parse_transcript(text, label="a.jsonl")
                except BadDataError:
                    assert refused(text).where in (f"a.jsonl:{number}", f"a.jsonl:{number + 1}", "a.jsonl:1")
                    continue
                taken += 1
                assert FREE & set(path), (path, new)
                assert "usage" not in path or type(new) is int, (path, new)
                assert not {"request", "request_sha256", "entries"} & set(path), (path, new)
                # It is what it says: nothing was dropped or turned into something else on the way.
                kept, given = (json.loads(one.splitlines()[number - 1]) for one in (read.text(), text))
                assert json.dumps(kept, sort_keys=True) == json.dumps(given, sort_keys=True)
    assert tried > 1_000
    assert 0 < taken < tried // 5


def test_no_part_of_a_request_may_change():
    content = json.loads(LINES[2])
    inside = [path for path in paths(content) if path[:1] == ("request",)]
    assert len(inside) > 10
    for path in inside:
        for new in NEW_VALUES:
            error = refused(with_line(3, json.dumps(changed(content, path, new))))
            assert error.where == "a.jsonl:3"
            assert "request" in error.what


def test_every_field_left_out_or_added_is_refused():
    for number, line in enumerate(LINES, start=1):
        content = json.loads(line)
        for key in content.keys() - {"notes"}:
            rest = {name: value for name, value in content.items() if name != key}
            assert refused(with_line(number, rest)).where == f"a.jsonl:{number}"
        error = refused(with_line(number, {**content, "extra": 1}))
        assert (error.where, "extra" in error.what) == (f"a.jsonl:{number}", True)


def test_a_file_cut_anywhere_is_refused():
    for length in range(len(TEXT)):
        refused(TEXT[:length])


def test_lines_left_out_doubled_or_exchanged_are_refused():
    for number in range(len(LINES)):
        refused("\n".join([*LINES[:number], *LINES[number + 1 :], ""]))
        refused("\n".join([*LINES[: number + 1], *LINES[number:], ""]))
    for number in range(len(LINES) - 1):
        refused("\n".join([*LINES[:number], LINES[number + 1], LINES[number], *LINES[number + 2 :], ""]))


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("", 1, "empty"),
        ("\n", 1, "no JSON"),
        (TEXT[:-1], 5, "cut off"),
        (TEXT + "\n", 6, "no JSON"),
        (with_line(2, "not json"), 2, "no JSON"),
        (with_line(2, "[]"), 2, "no JSON object"),
        (with_line(2, '{"agent": "a", "agent": "b"}'), 2, "twice"),
        (with_line(2, '{"turn": NaN}'), 2, "NaN"),
        (with_line(2, '{"turn": 1e999}'), 2, "1e999"),
        (with_line(2, '{"turn": ' + "9" * 5000 + "}"), 2, "digits"),
        (with_line(2, "[" * 500_000), 2, "deeper"),
        (with_line(2, '{"a": "' + "x" * 2_000_000 + '"}'), 2, "2000009 characters"),
        (with_line(3, LINES[1]), 3, "monitor turn 1 attempt 1 stands twice"),
        (
            "\n".join([LINES[0], LINES[3], LINES[1], LINES[2], LINES[4], ""]),
            3,
            "monitor turn 1 attempt 1 stands after orchestrator turn 1 attempt 1",
        ),
        ("\n".join([*LINES[1:], ""]), 1, "no header"),
        (with_line(1, {**json.loads(LINES[0]), "transcript": 2}), 1, "version 2"),
        (with_line(1, {**json.loads(LINES[0]), "transcript": True}), 1, "version true"),
        (with_line(1, {**json.loads(LINES[0]), "provenance": "dreamt"}), 1, '"dreamt"; it is one of live'),
        (with_line(1, {**json.loads(LINES[0]), "entries": 5}), 1, "says 5 entries, and 4 follow"),
        (with_line(1, {**json.loads(LINES[0]), "notes": {"at": 1}}), 1, "A note is 1"),
        (with_line(2, {**json.loads(LINES[1]), "agent": "\u001b[2J"}), 2, "no name of an agent"),
        (with_line(2, {**json.loads(LINES[1]), "turn": 0}), 2, "turn is 0"),
        (with_line(2, {**json.loads(LINES[1]), "attempt": 1.0}), 2, "attempt is 1.0"),
        (with_line(2, {**json.loads(LINES[1]), "turn": True}), 2, "turn is true"),
        (with_line(2, {**json.loads(LINES[1]), "request": {}}), 2, "not the one that its digest"),
        (with_line(2, {**json.loads(LINES[1]), "fault": {}}), 2, "one of the two"),
        (with_line(4, {**json.loads(LINES[3]), "fault": {"kind": "x", "detail": ""}}), 4, '"x" is no kind'),
        (with_line(4, {**json.loads(LINES[3]), "fault": {"kind": "timeout", "detail": 1}}), 4, "detail is 1"),
        (TEXT.replace('"input_tokens": 7', '"input_tokens": -7', 1), 2, "usage.input_tokens"),
        (TEXT.replace('"input_tokens": 7', '"input_tokens": "7"', 1), 2, "usage.input_tokens"),
        (TEXT.replace('"id": "toolu_1"', '"id": ""', 1), 3, "no id or no name"),
        (TEXT.replace('{"n": 1, "share": 0.35}', "null", 1), 3, "no input"),
    ],
)  # fmt: skip
def test_damage_is_named_with_its_line(text, where, words):
    error = refused(text)
    assert error.where == f"a.jsonl:{where}"
    assert words in error.what


def test_a_digest_of_another_request_does_not_help():
    content = json.loads(LINES[1])
    other = request_sha256({**content["request"], "max_tokens": 2048})
    assert "digest" in refused(with_line(2, {**content, "request_sha256": other})).what


# --- reading files ---------------------------------------------------------------------------------------


def test_a_file_or_the_folder_it_is_alone_in_is_opened(tmp_path):
    write_transcript(transcript(), folder=tmp_path, name=NAME)
    (tmp_path / "notes.txt").write_text("not one")
    (tmp_path / ".run.jsonl.0011223344556677.tmp").write_text("left over")
    (tmp_path / ".hidden.jsonl").write_text("not one either")
    for path in (tmp_path, tmp_path / NAME):
        assert open_transcript(path) == transcript()
        assert open_transcript(path).label == f"{tmp_path.name}/{NAME}"


def test_a_folder_with_none_or_several_is_refused(tmp_path):
    with pytest.raises(MissingDataError, match="No transcript"):
        open_transcript(tmp_path)
    for name in ("a.jsonl", "b.jsonl"):
        write_transcript(transcript(), folder=tmp_path, name=name)
    with pytest.raises(BadDataError, match=r"2 transcripts are in this folder: 'a\.jsonl', 'b\.jsonl'"):
        open_transcript(tmp_path)


def test_what_is_no_plain_file_is_refused(tmp_path):
    write_transcript(transcript(), folder=tmp_path / "there", name=NAME)
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "there" / NAME)
    os.mkfifo(tmp_path / "pipe.jsonl")
    os.link(tmp_path / "there" / NAME, tmp_path / "second.jsonl")
    for name in ("link.jsonl", "pipe.jsonl", "second.jsonl"):
        with pytest.raises(UnsafePathError) as caught:
            open_transcript(tmp_path / name)
        assert caught.value.fix
    with pytest.raises(MissingDataError):
        open_transcript(tmp_path / "absent.jsonl")


@pytest.mark.parametrize("data", [b"\xef\xbb\xbf{}", b"\xff\xfe", b"{}\0\n", b"", bytes(range(256))])
def test_bytes_that_are_no_text_are_refused(data, tmp_path):
    (tmp_path / NAME).write_bytes(data)
    with pytest.raises(BadDataError) as caught:
        open_transcript(tmp_path)
    assert caught.value.where.startswith(f"{tmp_path.name}/{NAME}:")


# --- writing files ---------------------------------------------------------------------------------------


def test_a_file_is_its_users_alone_whatever_the_mask(tmp_path):
    old = os.umask(0)
    try:
        place = write_transcript(transcript(), folder=tmp_path / "deep" / "down", name=NAME)
    finally:
        os.umask(old)
    assert place == tmp_path / "deep" / "down" / NAME
    assert place.read_text() == TEXT
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert names_in(place.parent) == [NAME]


def test_the_same_bytes_again_leave_the_file_alone(tmp_path):
    place = write_transcript(transcript(), folder=tmp_path, name=NAME)
    before = place.stat()
    assert write_transcript(transcript(), folder=tmp_path, name=NAME) == place
    assert place.stat() == before
    assert names_in(tmp_path) == [NAME]


@pytest.mark.parametrize("old", ["", TEXT[:-1], TEXT + "\n", "something else"])
def test_another_file_is_never_written_over(old, tmp_path):
    (tmp_path / NAME).write_text(old)
    with pytest.raises(BadDataError, match="Another recording has this name"):
        write_transcript(transcript(), folder=tmp_path, name=NAME)
    assert (tmp_path / NAME).read_text() == old
    assert names_in(tmp_path) == [NAME]


def test_no_link_is_followed(tmp_path):
    (tmp_path / "out").mkdir()
    target = tmp_path / "target"
    (tmp_path / "out" / NAME).symlink_to(target)
    with pytest.raises(UnsafePathError):
        write_transcript(transcript(), folder=tmp_path / "out", name=NAME)
    assert not target.exists()
    target.write_text(TEXT)  # not even where it holds what would be written
    with pytest.raises(UnsafePathError):
        write_transcript(transcript(), folder=tmp_path / "out", name=NAME)
    assert names_in(tmp_path / "out") == [NAME]


def test_what_is_no_file_is_left_alone(tmp_path):
    (tmp_path / "folder.jsonl").mkdir()
    os.mkfifo(tmp_path / "pipe.jsonl")
    for name in ("folder.jsonl", "pipe.jsonl"):
        with pytest.raises(BadDataError, match="Another recording has this name"):
            write_transcript(transcript(), folder=tmp_path, name=name)
    assert names_in(tmp_path) == ["folder.jsonl", "pipe.jsonl"]


def test_a_file_where_the_folder_should_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("here")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(UnsafePathError):
            write_transcript(transcript(), folder=folder, name=NAME)
    assert (tmp_path / "file").read_text() == "here"


@pytest.mark.parametrize(
    "name",
    ["", ".jsonl", "..", "../a.jsonl", "a/b.jsonl", ".a.jsonl", "a.json", "a\n.jsonl", "a.jsonl\n",
     "-a.jsonl", "a\0.jsonl", f"{'a' * 121}.jsonl", "é.jsonl"],
)  # fmt: skip
def test_only_plain_names_are_taken(name, tmp_path):
    with pytest.raises(UnsafePathError):
        write_transcript(transcript(), folder=tmp_path / "in", name=name)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "wrong",
    [
        replace(transcript(), entries=(replace(transcript().entries[0], request={"a": float("nan")}),)),
        replace(transcript(), entries=transcript().entries[::-1]),
        replace(transcript(), entries=(entry("", 1, 1, reply()),)),
        replace(transcript(), entries=(entry("monitor", 1, 1, reply("x" * 1_000_001)),)),
        replace(transcript(), entries=(entry("monitor", 1, 1, reply(content=({"type": "text"},))),)),
    ],
    ids=["nan", "order", "agent", "long", "shape"],
)
def test_what_could_not_be_read_back_is_not_written(wrong, tmp_path):
    with pytest.raises(BadDataError):
        write_transcript(wrong, folder=tmp_path / "in", name=NAME)
    assert names_in(tmp_path) == []


def test_a_disk_on_which_no_file_has_two_names_is_written_to_all_the_same(tmp_path, monkeypatch):
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(transcript_files.os, "link", no_links)
    place = write_transcript(transcript(), folder=tmp_path, name=NAME)
    assert place.read_text() == TEXT
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    with pytest.raises(BadDataError, match="Another recording"):
        write_transcript(transcript("live"), folder=tmp_path, name=NAME)
    assert place.read_text() == TEXT
    assert names_in(tmp_path) == [NAME]


@pytest.mark.parametrize("failing", ["fsync", "link", "fchmod"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_a_failure_leaves_nothing(failing, error, tmp_path, monkeypatch):
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(transcript_files.os, failing, fails)
    with pytest.raises((BadDataError, KeyboardInterrupt)) as caught:
        write_transcript(transcript(), folder=tmp_path, name=NAME)
    assert isinstance(caught.value, KeyboardInterrupt) == isinstance(error, KeyboardInterrupt)
    assert names_in(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from transcript_samples import transcript
from portfolio_rebalance.agents.transcript_files import write_transcript
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
setattr(os, sys.argv[1], die)
write_transcript(transcript(), folder=Path(sys.argv[2]), name="run.jsonl")
"""


@pytest.mark.parametrize(("at", "written"), [("fsync", False), ("link", False), ("unlink", True)])
def test_a_killed_writer_leaves_all_of_the_file_or_none(at, written, tmp_path):
    here = Path(__file__).parent
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, at, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": f"{here}:{here.parents[1]}"},
        timeout=120,
    )
    assert ran.returncode == -signal.SIGKILL
    assert (tmp_path / NAME).exists() == written
    assert not written or (tmp_path / NAME).read_text() == TEXT
    assert write_transcript(transcript(), folder=tmp_path, name=NAME).read_text() == TEXT


# --- writing anew ----------------------------------------------------------------------------------------


def test_an_authored_transcript_takes_the_place_of_an_authored_one(tmp_path):
    place = write_transcript(transcript(), folder=tmp_path, name=NAME)
    place.chmod(0o644)
    new = replace(transcript(), notes={"scene": "another"})
    overwrite_transcript(new, tmp_path)
    assert open_transcript(place) == new
    assert stat.S_IMODE(place.stat().st_mode) == 0o644
    assert names_in(tmp_path) == [NAME]


@pytest.mark.parametrize(
    ("old", "new"), [("live", "authored"), ("authored", "live"), ("local-model", "authored")]
)
def test_what_a_model_said_is_not_rewritten(old, new, tmp_path):
    place = write_transcript(transcript(old), folder=tmp_path, name=NAME)
    before = place.read_bytes()
    with pytest.raises(UsageError, match="Only authored transcripts are rewritten"):
        overwrite_transcript(transcript(new), place)
    assert place.read_bytes() == before


def test_nothing_is_overwritten_where_no_transcript_is(tmp_path):
    (tmp_path / NAME).write_text("precious")
    with pytest.raises(BadDataError):
        overwrite_transcript(transcript(), tmp_path / NAME)
    with pytest.raises(MissingDataError):
        overwrite_transcript(transcript(), tmp_path / "new.jsonl")
    assert (tmp_path / NAME).read_text() == "precious"
    assert names_in(tmp_path) == [NAME]
