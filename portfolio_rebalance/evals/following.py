"""A client that gives authored answers to whatever is asked now, with citations that follow their facts.

Ids of facts are numbers in the order of a run's facts: add one, and all that come after it move. An authored
answer means a figure, not a number; so each id that it cites is looked up in the request it was written for,
and becomes the id under which the same label stands in the request that is made now.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Lock
from typing import Any, Final, TypeAlias

from portfolio_rebalance.agents.messages import Call, Json, Reply
from portfolio_rebalance.agents.replay import ReauthoringClient
from portfolio_rebalance.agents.transcript import CallId, Transcript
from portfolio_rebalance.errors import BadDataError

__all__ = ["FollowingClient"]

_FACT: Final = re.compile(r"^(F\d+) \| (.+?) \| ", re.MULTILINE)
_CITATION: Final = re.compile(r"\{(F\d+)\}")

_Meaning: TypeAlias = tuple[str, int]
"""A label, and which fact of this label it is: windows of correlation share theirs."""


class FollowingClient:
    """Gives each call the answer that was authored for it, and keeps the new requests and citations.

    Args:
        transcript: An authored one.
        redact: The redaction of the recording.

    Raises:
        UsageError: It was not authored.
    """

    def __init__(self, transcript: Transcript, *, redact: Callable[[str], str]) -> None:
        self._inner = ReauthoringClient(transcript, redact=redact)
        self._where = transcript.where
        self._old = {entry.id: entry.request for entry in transcript.entries}
        self._lock = Lock()
        self._answers: dict[CallId, Reply] = {}
        self._lost: dict[CallId, str] = {}

    @property
    def provider(self) -> str:
        """``replay``."""
        return self._inner.provider

    def complete(self, call: Call) -> Reply:
        """The authored answer, citing what it cited by the ids of this run.

        Raises:
            ModelError: A fault was authored.
            ReplayMismatchError: There is no such call, or it was made before.
        """
        reply = self._inner.complete(call)
        key = CallId.of(call)
        was = _meanings(self._old[key])
        now = {meaning: fact for fact, meaning in _meanings(call.request).items()}

        def moved(match: re.Match[str]) -> str:
            if match[1] not in was:  # an id that nobody was shown is what some answers are about
                return match[0]
            meaning = was[match[1]]
            if meaning not in now:
                with self._lock:
                    self._lost.setdefault(key, f"{key} cites {match[1]}, {meaning[0]!r}")
                return match[0]
            return f"{{{now[meaning]}}}"

        answer = replace(reply, content=tuple(_mapped(block, moved) for block in reply.content))
        with self._lock:
            self._answers[key] = answer
        return answer

    def renewed(self) -> Transcript:
        """The transcript with this run's requests, and with answers that cite by its ids.

        Raises:
            BadDataError: An answer cites a fact that is not shown any more.
            ReplayMismatchError: A call was not made, or is not in the transcript.
        """
        if self._lost:
            first = min(self._lost)
            raise BadDataError(
                f"An answer cites a fact that is not shown any more: {self._lost[first]}.",
                where=self._where(first),
                fix="Let the answer in the transcript cite another fact, then run eval reauthor again.",
            )
        rewritten = self._inner.rewritten()
        return replace(
            rewritten,
            entries=tuple(
                replace(entry, answer=self._answers.get(entry.id, entry.answer))
                for entry in rewritten.entries
            ),
        )


def _meanings(request: Json) -> Mapping[str, _Meaning]:
    """What each fact means that an agent was shown, by its id."""
    seen: Counter[str] = Counter()
    found: dict[str, _Meaning] = {}
    for message in request["messages"]:
        for block in message["content"]:
            for fact, label in _FACT.findall(str(block.get("text") or block.get("content") or "")):
                if fact not in found:
                    seen[label] += 1
                    found[fact] = (label, seen[label])
    return found


def _mapped(node: Any, moved: Callable[[re.Match[str]], str]) -> Any:
    if isinstance(node, str):
        return _CITATION.sub(moved, node)
    if isinstance(node, dict):
        return {key: _mapped(value, moved) for key, value in node.items()}
    if isinstance(node, list):
        return [_mapped(value, moved) for value in node]
    return node
