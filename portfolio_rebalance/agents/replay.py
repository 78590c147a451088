"""Clients that answer from a transcript: strictly, or to write an authored one anew. No key, no network.

Each call is looked up by agent, turn and attempt: agents run side by side, and their order means nothing.
Requests are compared redacted, as they were kept: that is the form in which a run that replays would quote
the answers it gets. Their texts are compared, and not digests alone, so that a difference can be shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from threading import Lock
from typing import Final, NoReturn

from portfolio_rebalance import __version__
from portfolio_rebalance.agents.json_form import Redact, canonical_text, difference, first_difference
from portfolio_rebalance.agents.messages import Call, Json, ModelError, Reply
from portfolio_rebalance.agents.transcript import (
    CallId,
    Entry,
    Fault,
    Transcript,
    redacted_request,
    require_authored,
)
from portfolio_rebalance.errors import ReplayMismatchError

__all__ = ["ReauthoringClient", "ReplayClient", "reauthor"]

_MOST_NAMED: Final = 10
_RECORD_AGAIN: Final = (
    "Record the run again; after an edited prompt, eval reauthor renews authored transcripts."
)


class ReplayClient:
    """Gives each call the answer that was recorded for it, once, if the request is the recorded one.

    A mismatch is no :class:`ModelError`: a run must not carry on without the model and look healthy. Should
    something swallow it, :meth:`finish` raises it again.

    Args:
        transcript: What is replayed.
        redact: The redaction of the recording.
    """

    def __init__(self, transcript: Transcript, *, redact: Redact) -> None:
        self._transcript = transcript
        self._redact = redact
        self._entries = _Entries(transcript)

    @property
    def provider(self) -> str:
        """``replay``."""
        return "replay"

    def complete(self, call: Call) -> Reply:
        """The recorded answer.

        Raises:
            ModelError: A fault was recorded; or the request is no JSON, as when recording.
            ReplayMismatchError: There is no such call, it was made before, or its request differs.
        """
        request = redacted_request(call, self._redact)
        entry = self._entries.take(CallId.of(call))
        if canonical_text(request) != canonical_text(entry.request):
            self._entries.refuse(
                ReplayMismatchError(
                    f"The request of {entry.id} is not the recorded one; it first differs at "
                    f"{first_difference(entry.request, request)}.",
                    where=self._transcript.where(entry.id),
                    fix=_RECORD_AGAIN,
                    difference=difference(entry.request, request, names=("recorded", "this run")),
                )
            )
        return _answer(entry)

    def finish(self) -> None:
        """Call at the end of a run: every recorded call has been made, and nothing differed.

        Raises:
            ReplayMismatchError: The first mismatch, or the calls that were not made.
        """
        self._entries.finish()


class ReauthoringClient:
    """Gives each call the answer that was authored for it, whatever the request, and keeps the new requests.

    So a scenario whose prompts were edited runs as before, and its transcript is written anew.

    Args:
        transcript: An authored one.
        redact: The redaction of the recording.

    Raises:
        UsageError: It was not authored.
    """

    def __init__(self, transcript: Transcript, *, redact: Redact) -> None:
        require_authored(transcript)
        self._transcript = transcript
        self._redact = redact
        self._entries = _Entries(transcript)
        self._lock = Lock()
        self._requests: dict[CallId, Json] = {}

    @property
    def provider(self) -> str:
        """``replay``."""
        return "replay"

    def complete(self, call: Call) -> Reply:
        """The authored answer.

        Raises:
            ModelError: A fault was authored; or the request is no JSON, as when recording.
            ReplayMismatchError: There is no such call, or it was made before.
        """
        request = redacted_request(call, self._redact)
        entry = self._entries.take(CallId.of(call))
        with self._lock:
            self._requests[entry.id] = request
        return _answer(entry)

    def rewritten(self) -> Transcript:
        """The transcript with the requests that this run made; its ``text()`` goes into the file.

        Raises:
            ReplayMismatchError: As :meth:`ReplayClient.finish`.
        """
        self._entries.finish()
        with self._lock:
            return _with_requests(self._transcript, self._requests)


def reauthor(transcript: Transcript, calls: Iterable[Call], *, redact: Redact) -> Transcript:
    """An authored transcript with the requests of these calls, one for each entry; its answers stay.

    Raises:
        UsageError: It was not authored.
        ModelError: A request is no JSON.
        ReplayMismatchError: A call is not in it, stands twice, or is missing.
    """
    require_authored(transcript)
    entries = _Entries(transcript)
    requests = {
        entries.take(CallId.of(call)).id: request
        for call, request in ((call, redacted_request(call, redact)) for call in calls)
    }
    entries.finish()
    return _with_requests(transcript, requests)


class _Entries:
    """Hands each entry out once, and remembers the first thing that went wrong."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._entries = {entry.id: entry for entry in transcript.entries}
        self._lock = Lock()
        self._used: set[CallId] = set()
        self._mismatch: ReplayMismatchError | None = None

    def take(self, key: CallId) -> Entry:
        with self._lock:
            entry = self._entries.get(key)
            fresh = key not in self._used
            self._used.add(key)
        if entry is None:
            self.refuse(
                ReplayMismatchError(
                    f"The run asks {key}, which was not recorded; {self._recorded_of(key.agent)}.",
                    where=self._transcript.label,
                    fix=_RECORD_AGAIN,
                )
            )
        if not fresh:
            self.refuse(
                ReplayMismatchError(
                    f"The run asks {key} a second time.",
                    where=self._transcript.where(key),
                    fix="Count turns and attempts up.",
                )
            )
        return entry

    def refuse(self, mismatch: ReplayMismatchError) -> NoReturn:
        with self._lock:
            self._mismatch = self._mismatch or mismatch
        raise mismatch

    def finish(self) -> None:
        with self._lock:
            mismatch = self._mismatch
            unused = [key for key in self._entries if key not in self._used]
        if mismatch is not None:
            raise mismatch
        if unused:
            raise ReplayMismatchError(
                f"{len(unused)} of {len(self._entries)} recorded calls were not made: {_named(unused)}.",
                where=self._transcript.where(unused[0]),
                fix=_RECORD_AGAIN,
            )

    def _recorded_of(self, agent: str) -> str:
        known = [key for key in self._entries if key.agent == agent]
        return f"of this agent there is {_named(known)}" if known else "of this agent there is nothing"


def _answer(entry: Entry) -> Reply:
    if isinstance(entry.answer, Fault):
        raise ModelError(entry.answer.kind, entry.answer.detail)
    return replace(entry.answer, content=deepcopy(entry.answer.content))  # the transcript may be used again


def _with_requests(transcript: Transcript, requests: Mapping[CallId, Json]) -> Transcript:
    entries = tuple(replace(entry, request=requests[entry.id]) for entry in transcript.entries)
    return replace(transcript, entries=entries, made_with=__version__)


def _named(keys: list[CallId]) -> str:
    more = f" and {len(keys) - _MOST_NAMED} more" if len(keys) > _MOST_NAMED else ""
    return ", ".join(map(str, keys[:_MOST_NAMED])) + more
