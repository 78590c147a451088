"""What agents were shown and what they wrote, read from the requests and the transcript alone.

Scorers judge the product, so nothing of its own reading of conversations is used here: a fact is a line of
the form ``F12 | label | value``, a draft is what the opening message names, and a tool was answered where the
next message holds its result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

from portfolio_rebalance.evals.world import Observed

__all__ = [
    "Asked",
    "Exchange",
    "Fact",
    "answers_in",
    "drafts_of",
    "exchanges_of",
    "facts_of",
    "role_of",
    "shown_by_code",
    "strings_in",
    "tools_of",
]

Json: TypeAlias = dict[str, Any]

_FACT: Final = re.compile(r"^(F\d+) \| (.+?) \| (.*)$", re.MULTILINE)
_DRAFT: Final = re.compile(r"\b(D\d+) is ([a-z_]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of facts, as an agent read it."""

    id: str
    label: str
    shown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One tool that a model asked for.

    Attributes:
        given: Its arguments; a text where they were no object.
        refused: Whether the answer was an error; None where the conversation ended before any answer.
    """

    name: str
    given: Json | str
    refused: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One call and its answer, as the transcript keeps them.

    Attributes:
        agent: Such as ``risk_manager``, or ``risk_manager:D2``.
        response: None where the call failed.
    """

    agent: str
    turn: int
    attempt: int
    request: Json
    response: Json | None


def exchanges_of(seen: Observed) -> tuple[Exchange, ...]:
    """Every call in the order of agent, turn and attempt."""
    return _exchanges(seen.texts.get("transcript", ""))


@lru_cache(maxsize=4)
def _exchanges(transcript: str) -> tuple[Exchange, ...]:
    # Several scorers read the same transcript, one after another.
    return tuple(
        Exchange(
            agent=entry["agent"],
            turn=entry["turn"],
            attempt=entry["attempt"],
            request=entry["request"],
            response=entry.get("response"),
        )
        for entry in map(json.loads, transcript.splitlines()[1:])
    )


def role_of(agent: str) -> str:
    """The role of an agent: a second draft's reviewer is called ``risk_manager:D2``."""
    return agent.partition(":")[0]


def strings_in(node: object) -> Iterator[str]:
    """Every text of a JSON value, keys included."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield str(key)
            yield from strings_in(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from strings_in(value)


def shown_by_code(request: Json, *, refusals: bool = True) -> Iterator[str]:
    """What code tells a model in a request: prompt, tools, messages and results; not the model's own words.

    Args:
        request: Body of the request.
        refusals: Whether results that are errors belong to it: those quote what the model wrote.
    """
    yield from (block["text"] for block in request.get("system", ()))
    yield from strings_in(request.get("tools", ()))
    for message in request["messages"]:
        if message["role"] != "user":
            continue
        for block in message["content"]:
            if refusals or not block.get("is_error"):
                yield str(block.get("text") or block.get("content") or "")


def facts_of(exchanges: Sequence[Exchange]) -> dict[str, Fact]:
    """Facts that requests showed, by id."""
    found: dict[str, Fact] = {}
    for exchange in exchanges:
        for text in shown_by_code(exchange.request, refusals=False):
            for fact_id, label, shown in _FACT.findall(text):
                found.setdefault(fact_id, Fact(id=fact_id, label=label, shown=shown))
    return found


def drafts_of(seen: Observed) -> dict[str, str]:
    """From a draft's name to its mode, as the orchestrator was told; empty where none was asked."""
    for call in seen.calls:
        if call.agent == "orchestrator":
            opening = call.request["messages"][0]["content"][0]["text"].split("\n\n")[0]
            return dict(_DRAFT.findall(opening))
    return {}


def tools_of(response: Json | None) -> tuple[Asked, ...]:
    """The tools that a message asks for, whatever became of them; none where it did not end in that."""
    if response is None or response.get("stop_reason") != "tool_use":
        return ()
    return tuple(
        Asked(name=block["name"], given=block["input"], refused=None)
        for block in response["content"]
        if block.get("type") == "tool_use"
    )


def answers_in(request: Json) -> Iterator[tuple[Asked, ...]]:
    """For each message of a model in a conversation, the tools it asked for, with what became of them."""
    messages = request["messages"]
    for message, following in zip(messages, [*messages[1:], None], strict=True):
        if message["role"] != "assistant":
            continue
        results = {
            block["tool_use_id"]: bool(block.get("is_error"))
            for block in (following["content"] if following is not None else ())
            if block.get("type") == "tool_result"
        }
        yield tuple(
            Asked(name=block["name"], given=block["input"], refused=results.get(block["id"]))
            for block in message["content"]
            if block.get("type") == "tool_use"
        )
