"""A client that plays a part written in advance: for authored transcripts, evals and tests.

An unexpected call and a step left over both fail, so that a scene never passes because less happened than
was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from threading import Lock
from typing import Final, NoReturn, TypeAlias

from portfolio_rebalance.agents.messages import Call, Json, ModelError, Reply, Usage

__all__ = ["ScriptMismatchError", "ScriptedClient", "Step", "says", "stops", "uses"]

Step: TypeAlias = Reply | ModelError | Callable[[Call], Reply]
"""An answer, a failure, or what makes one of them out of the call."""

_NO_TOKENS: Final = Usage()


class ScriptMismatchError(AssertionError):
    """The run made a call that the script does not have, or left some of it out. No fault of a model."""


class ScriptedClient:
    """Plays each agent's steps in the order of its calls; agents do not wait for each other.

    Args:
        steps: For each agent that may ask, its answers in order, whatever turn and attempt they belong to.
    """

    def __init__(self, steps: Mapping[str, Sequence[Step]]) -> None:
        self._steps = {agent: tuple(given) for agent, given in steps.items()}
        self._next = dict.fromkeys(self._steps, 0)
        self._lock = Lock()
        self._calls: list[Call] = []
        self._mismatch: ScriptMismatchError | None = None

    @property
    def provider(self) -> str:
        """``scripted``."""
        return "scripted"

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call so far in the order they came, each as it was then."""
        with self._lock:
            return tuple(self._calls)

    def complete(self, call: Call) -> Reply:
        """The agent's next step.

        Raises:
            ModelError: The step is one, or raises one.
            ScriptMismatchError: The agent has no step left, or the step gave no reply.
        """
        kept = replace(call, request=deepcopy(call.request))  # the caller goes on to add to its messages
        with self._lock:
            self._calls.append(kept)
            steps = self._steps.get(call.agent, ())
            index = self._next.get(call.agent, 0)
            self._next[call.agent] = index + 1
        if index >= len(steps):
            self._refuse(
                f"{call.agent} turn {call.turn} attempt {call.attempt} is call {index + 1} of this agent, "
                f"and the script has {len(steps)}"
            )
        step = steps[index]
        if isinstance(step, ModelError):
            raise ModelError(step.kind, step.detail)  # a new one: the step's own would gather tracebacks
        if isinstance(step, Reply):
            return replace(step, content=deepcopy(step.content))
        reply = step(call)
        if not isinstance(reply, Reply):
            self._refuse(f"step {index + 1} of {call.agent} gave a {type(reply).__name__} and no reply")
        return reply

    def finish(self) -> None:
        """Call at the end of a run: every step was used, and no call was unexpected.

        Raises:
            ScriptMismatchError: The first mismatch again, should something have swallowed it; or the steps
                left over.
        """
        with self._lock:
            mismatch = self._mismatch
            left = {
                agent: len(steps) - self._next[agent]
                for agent, steps in sorted(self._steps.items())
                if self._next[agent] < len(steps)
            }
        if mismatch is not None:
            raise mismatch
        if left:
            unused = ", ".join(
                f"{count} of {len(self._steps[agent])} of {agent}" for agent, count in left.items()
            )
            raise ScriptMismatchError(f"steps were left unused: {unused}")

    def _refuse(self, what: str) -> NoReturn:
        mismatch = ScriptMismatchError(what)
        with self._lock:
            self._mismatch = self._mismatch or mismatch
        raise mismatch


def says(text: str, *, usage: Usage = _NO_TOKENS, model: str = "") -> Reply:
    """A message of one text that ends the turn."""
    return Reply(content=({"type": "text", "text": text},), stop_reason="end_turn", usage=usage, model=model)


def stops(reason: str | None, text: str = "", *, usage: Usage = _NO_TOKENS, model: str = "") -> Reply:
    """A message that ends for this reason, after a text if there is one."""
    return replace(says(text, usage=usage, model=model), stop_reason=reason, content=_text(text))


def uses(
    *tools: tuple[str, Json | str],
    text: str = "",
    stop_reason: str | None = "tool_use",
    usage: Usage = _NO_TOKENS,
    model: str = "",
) -> Callable[[Call], Reply]:
    """A message that asks for tools; their ids come from the call alone, so every run has the same.

    Args:
        tools: Name and input of each; a text where the input is no object.
        text: Before them.
        stop_reason: Something else for a message that was cut off in the middle of a tool.
        usage: Tokens.
        model: Which model says so.
    """

    def step(call: Call) -> Reply:
        asked = tuple(
            {
                "type": "tool_use",
                "id": f"toolu_{call.agent}_{call.turn}_{call.attempt}_{number}",
                "name": name,
                "input": deepcopy(given),
            }
            for number, (name, given) in enumerate(tools, start=1)
        )
        return Reply(content=(*_text(text), *asked), stop_reason=stop_reason, usage=usage, model=model)

    return step


def _text(text: str) -> tuple[Json, ...]:
    return ({"type": "text", "text": text},) if text else ()
