"""A client that keeps what another one is asked and what it answers, as a transcript.

The caller gets the answer as it came; what is kept of request, response and fault is redacted first. A run
that replays the transcript sees redacted answers, so its own requests quote those: replaying therefore
compares both sides redacted, and redaction must leave alone what it has redacted before. It must also leave
alone ids of tool calls, or two of them become one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from portfolio_rebalance import __version__
from portfolio_rebalance.agents.json_form import Redact, canonical_text, redacted
from portfolio_rebalance.agents.messages import Call, Json, ModelClient, ModelError, Reply, reply_from
from portfolio_rebalance.agents.transcript import (
    CallId,
    Entry,
    Fault,
    Provenance,
    Transcript,
    redacted_request,
)
from portfolio_rebalance.agents.transcript_files import write_transcript
from portfolio_rebalance.errors import BadDataError

__all__ = ["RecordingClient"]


class RecordingClient:
    """Passes calls on and keeps them, from any number of threads. Nothing is written until it is told to.

    Args:
        inner: What answers.
        provenance: What kind of answers these are.
        redact: Takes secrets out of a text; applied twice it does what it does once.
    """

    def __init__(self, inner: ModelClient, *, provenance: Provenance, redact: Redact) -> None:
        self._inner = inner
        self._provenance = provenance
        self._redact = redact
        self._lock = Lock()
        self._entries: dict[CallId, Entry | None] = {}

    @property
    def provider(self) -> str:
        """The one whose answers are kept."""
        return self._inner.provider

    def complete(self, call: Call) -> Reply:
        """The answer of the client within.

        Raises:
            ModelError: That client raised it; or the request or the reply is no JSON (NaN, or nested without
                end), which no file could keep and no real client sends or gets.
            ValueError: A call of this agent, turn and attempt was made before; it is not passed on.
        """
        key = CallId.of(call)
        request = redacted_request(call, self._redact)  # now: the caller goes on to add to its messages
        with self._lock:
            if key in self._entries:
                raise ValueError(f"{key} is asked a second time")
            self._entries[key] = None
        try:
            reply = self._inner.complete(call)
            kept = _kept(reply, self._redact)
        except ModelError as error:
            self._keep(key, request, Fault(kind=error.kind, detail=self._redact(error.detail)))
            raise
        self._keep(key, request, kept)
        return reply

    def transcript(self, *, notes: Mapping[str, str] | None = None) -> Transcript:
        """All calls so far, sorted.

        Args:
            notes: What else should be known of the recording; redacted too.

        Raises:
            BadDataError: A call has not come back, or ended in an error of the program: what lacks it could
                not be replayed.
        """
        with self._lock:
            entries = dict(self._entries)
        if open_calls := sorted(key for key, entry in entries.items() if entry is None):
            raise BadDataError(
                f"The recording has no answer to {', '.join(map(str, open_calls))}.",
                where="transcript",
                fix="Run again, and let the run come to its end.",
            )
        return Transcript(
            provenance=self._provenance,
            made_with=__version__,
            entries=tuple(entry for _, entry in sorted(entries.items()) if entry is not None),
            notes={} if notes is None else redacted(notes, self._redact),
        )

    def write(self, *, folder: Path, name: str, notes: Mapping[str, str] | None = None) -> Path:
        """Write the transcript, as :func:`write_transcript` does, and say where it is.

        Nothing is lost where that fails: it can be called again with another place.

        Raises:
            BadDataError: What :meth:`transcript` and :func:`write_transcript` raise.
        """
        return write_transcript(self.transcript(notes=notes), folder=folder, name=name)

    def _keep(self, key: CallId, request: Json, answer: Reply | Fault) -> None:
        with self._lock:
            self._entries[key] = Entry(id=key, request=request, answer=answer)


def _kept(reply: Reply, redact: Redact) -> Reply:
    """A copy of a reply, redacted, that reads back as what it is."""
    try:
        message = redacted(reply.as_message(), redact)
        kept = reply_from(message)
        if canonical_text(kept.as_message()) != canonical_text(message):
            raise ValueError("its stop reason, model or usage is of another type")
    except ValueError as error:
        raise ModelError("malformed", f"the answer is no message: {error}") from None
    return kept
