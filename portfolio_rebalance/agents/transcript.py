"""Transcripts: what was asked of models and what came back, in a file that a person can read and compare.

One JSON object a line, keys sorted, ASCII. The first line is the header::

    {"entries": 2, "made_with": "0.1.0", "provenance": "authored", "transcript": 1}

with ``notes``, an object of texts, where there are any; no clock, no host. Every other line is one call, in
the order of agent, turn and attempt, whatever order they were made in: ``agent``, ``turn``, ``attempt``,
``request`` in the form of the Messages API, ``request_sha256`` of its canonical text, and either ``response``
as :meth:`Reply.as_message` gives it, or ``fault`` with ``kind`` and ``detail``. All of it is redacted before
it gets here.

A transcript is replayed in place of a model, so nothing in a file is taken on trust: what is not exactly of
this form is refused, with the line. Only responses may be edited by hand, in authored transcripts; the form
holds no proof against somebody who also computes digests anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, NoReturn, TypeAlias, get_args

from portfolio_rebalance.agents.json_form import (
    Redact,
    canonical_text,
    first_difference,
    parsed,
    redacted,
    request_sha256,
    spaced_text,
)
from portfolio_rebalance.agents.messages import Call, FaultKind, Json, ModelError, Reply, reply_from
from portfolio_rebalance.errors import BadDataError, UsageError

__all__ = [
    "CallId",
    "Entry",
    "Fault",
    "Provenance",
    "Transcript",
    "parse_transcript",
    "redacted_request",
    "require_authored",
]

Provenance: TypeAlias = Literal["live", "local-model", "authored"]
"""Who answered: a provider's model, a small model on this machine, or a person's script."""

_VERSION: Final = 1
_MOST_LINE_CHARACTERS: Final = 1_000_000
_MOST_COUNT: Final = 1_000_000
_AGENT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_ :-]{0,63}")

_EDITED: Final = "Restore it from a copy, or record it again."


class CallId(NamedTuple):
    """Which call of a run: an agent's name, its turn from 1, and the attempt at it from 1."""

    agent: str
    turn: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.agent} turn {self.turn} attempt {self.attempt}"

    @classmethod
    def of(cls, call: Call) -> CallId:
        """The id of a call."""
        return cls(call.agent, call.turn, call.attempt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A call that brought no message; see :class:`ModelError`."""

    kind: FaultKind
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One call and its answer.

    Attributes:
        id: Which call.
        request: Its body, redacted.
        answer: What came of it, redacted.
    """

    id: CallId
    request: Json
    answer: Reply | Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """All calls of one run.

    Attributes:
        provenance: Who answered.
        made_with: Version of the package that made the requests.
        entries: In the order of their ids.
        notes: Whatever else should be known of it; no secrets, and nothing that differs from run to run if
            recording a run twice is to give the same bytes.
        label: How errors name it.
    """

    provenance: Provenance
    made_with: str
    entries: tuple[Entry, ...]
    notes: Mapping[str, str] = field(default_factory=dict)
    label: str = field(default="transcript", compare=False)

    def where(self, call: CallId) -> str:
        """``file:line`` of a call; the file alone if it is not there."""
        lines = {entry.id: line for line, entry in enumerate(self.entries, start=2)}
        return f"{self.label}:{lines[call]}" if call in lines else self.label

    def text(self) -> str:
        """The content of its file.

        Raises:
            ValueError: Something in it is no JSON.
        """
        header: Json = {
            "entries": len(self.entries),
            "made_with": self.made_with,
            "provenance": self.provenance,
            "transcript": _VERSION,
        }
        if self.notes:
            header["notes"] = dict(self.notes)
        return "".join(f"{spaced_text(one)}\n" for one in (header, *map(_entry_json, self.entries)))


def parse_transcript(text: str, *, label: str) -> Transcript:
    """Read the content of a file.

    Args:
        text: All of it.
        label: How errors name it.

    Raises:
        BadDataError: It is not exactly of the form above; says in which line and why.
    """
    *lines, rest = text.split("\n")
    if rest or not lines:
        _refuse(
            "The file is empty or its last line has no end, so it was cut off.", f"{label}:{len(lines) + 1}"
        )
    header = _header(_object_in(lines[0], f"{label}:1"), f"{label}:1")
    entries: list[Entry] = []
    for number, line in enumerate(lines[1:], start=2):
        where = f"{label}:{number}"
        entry = _entry(_object_in(line, where), where)
        if entries and entry.id <= entries[-1].id:
            what = "stands twice" if entry.id == entries[-1].id else f"stands after {entries[-1].id}"
            _refuse(f"{entry.id} {what}.", where, "Keep one line a call, sorted by agent, turn and attempt.")
        entries.append(entry)
    if header["entries"] != len(entries):
        _refuse(f"The header says {header['entries']} entries, and {len(entries)} follow.", f"{label}:1")
    return Transcript(
        provenance=header["provenance"],
        made_with=header["made_with"],
        entries=tuple(entries),
        notes=header.get("notes", {}),
        label=label,
    )


def redacted_request(call: Call, redact: Redact) -> Json:
    """A call's request as transcripts keep it: a copy, redacted.

    Raises:
        ModelError: ``bad_request``: it is no JSON.
    """
    try:
        request: Json = redacted(call.request, redact)
        canonical_text(request)
    except ValueError as error:
        raise ModelError("bad_request", f"the request is no JSON: {error}") from None
    return request


def require_authored(transcript: Transcript) -> None:
    """Refuse what a model said.

    Raises:
        UsageError: The transcript was not authored.
    """
    if transcript.provenance != "authored":
        raise UsageError(
            f"Only authored transcripts are rewritten; this one is {transcript.provenance}.",
            where=transcript.label,
            fix="Record it again: what a model answered to another request proves nothing.",
        )


# --- lines -----------------------------------------------------------------------------------------------


def _entry_json(entry: Entry) -> Json:
    answer: Json = (
        {"fault": {"detail": entry.answer.detail, "kind": entry.answer.kind}}
        if isinstance(entry.answer, Fault)
        else {"response": entry.answer.as_message()}
    )
    digest = request_sha256(entry.request)
    return {**entry.id._asdict(), "request": entry.request, "request_sha256": digest, **answer}


def _refuse(what: str, where: str, fix: str = _EDITED) -> NoReturn:
    raise BadDataError(what, where=where, fix=fix)


def _object_in(line: str, where: str) -> Json:
    if len(line) > _MOST_LINE_CHARACTERS:
        _refuse(f"The line has {len(line)} characters; at most {_MOST_LINE_CHARACTERS} are read.", where)
    try:
        value = parsed(line)
    except ValueError as error:
        _refuse(f"The line is no JSON that may be read: {error}.", where)
    if not isinstance(value, dict):
        _refuse("The line is no JSON object.", where)
    return value


def _require_keys(found: Json, *, needed: Sequence[str], allowed: Sequence[str], where: str) -> None:
    if missing := [key for key in needed if key not in found]:
        _refuse(f"The line lacks {', '.join(missing)}.", where)
    if unknown := sorted(found.keys() - {*needed, *allowed}):
        _refuse(f"The line holds {unknown[0][:60]!a}, which is no part of a transcript.", where)


def _header(found: Json, where: str) -> Json:
    version = found.get("transcript")
    if version is None:
        _refuse("This is no header of a transcript.", where, "Begin with the header, or name another file.")
    if type(version) is not int or version != _VERSION:
        _refuse(
            f"This is version {_short(version)} of the form; {_VERSION} is known.",
            where,
            "Use the version of this program that made it.",
        )
    _require_keys(
        found,
        needed=("entries", "made_with", "provenance", "transcript"),
        allowed=("notes",),
        where=where,
    )
    _require_count(found["entries"], "entries", where, least=0)
    if found["provenance"] not in get_args(Provenance):
        known = ", ".join(get_args(Provenance))
        _refuse(f"The provenance is {_short(found['provenance'])}; it is one of {known}.", where)
    _require_text(found["made_with"], "made_with", where)
    notes = found.get("notes", {"": ""})
    if not isinstance(notes, dict) or not notes:
        _refuse("The notes are no object with a text in it.", where, "Leave them out, or write texts.")
    for text in notes.values():
        _require_text(text, "A note", where)
    return found


def _entry(found: Json, where: str) -> Entry:
    needed = ("agent", "turn", "attempt", "request", "request_sha256")
    _require_keys(found, needed=needed, allowed=("response", "fault"), where=where)
    if ("response" in found) == ("fault" in found):
        _refuse("A call has a response or a fault, one of the two.", where)
    agent = found["agent"]
    if not isinstance(agent, str) or not _AGENT.fullmatch(agent):
        _refuse(f"{_short(agent)} is no name of an agent.", where)
    for key in ("turn", "attempt"):
        _require_count(found[key], key, where, least=1)
    request = found["request"]
    if not isinstance(request, dict):
        _refuse("The request is no object.", where)
    if request_sha256(request) != found["request_sha256"]:
        _refuse(
            "The request is not the one that its digest was made of.",
            where,
            "Leave requests as they are; authored ones are made anew by: eval reauthor.",
        )
    answer = _response(found["response"], where) if "response" in found else _fault(found["fault"], where)
    return Entry(id=CallId(agent, found["turn"], found["attempt"]), request=request, answer=answer)


def _response(found: object, where: str) -> Reply:
    try:
        reply = reply_from(found)
    except ModelError as error:
        _refuse(f"The response is no message: {error.detail}.", where, "Write it in the form of the others.")
    kept = reply.as_message()
    if canonical_text(kept) != canonical_text(found):
        _refuse(
            f"The response is not in the form of a transcript; see {first_difference(kept, found)} in it.",
            where,
            "Write content, model, stop_reason and usage with its four counts, and nothing else.",
        )
    return reply


def _fault(found: object, where: str) -> Fault:
    if not isinstance(found, dict) or found.keys() != {"kind", "detail"}:
        _refuse("The fault is no object of kind and detail.", where)
    if found["kind"] not in get_args(FaultKind):
        _refuse(f"{_short(found['kind'])} is no kind of fault.", where)
    _require_text(found["detail"], "The fault's detail", where)
    return Fault(kind=found["kind"], detail=found["detail"])


def _require_count(value: Any, name: str, where: str, *, least: int) -> None:
    if type(value) is not int or not least <= value <= _MOST_COUNT:
        _refuse(f"{name} is {_short(value)}; it is a whole number from {least} on.", where)


def _require_text(value: Any, name: str, where: str) -> None:
    if not isinstance(value, str):
        _refuse(f"{name} is {_short(value)}, and no text.", where)


def _short(value: object) -> str:
    return canonical_text(value)[:60]
