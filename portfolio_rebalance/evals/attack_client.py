"""A client that plays an attack: messages written in advance for each agent, the last one for ever after.

Messages are data in the API's form, so that what a model does can be compared and told apart. Two things are
filled in when they are sent: ids of tool calls that have none, and ``<plan>``, the id of the plan that the
agent was told last, or one that does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, Final, TypeAlias

from portfolio_rebalance.agents.messages import Call, Json, Reply, reply_from

__all__ = ["NO_PLAN", "AttackClient", "Moves"]

Moves: TypeAlias = Mapping[str, Sequence[Json]]
"""By agent, its messages in order."""

NO_PLAN: Final = "0" * 64
_PLAN: Final = "<plan>"
_TOLD: Final = re.compile(r"The plan is ([0-9a-f]{64})")


class AttackClient:
    """Plays an attack.

    Args:
        moves: By agent; an agent that is asked about a second draft plays the same from the start.
    """

    def __init__(self, moves: Moves) -> None:
        self._moves = moves
        self._made: dict[str, int] = {}
        self._lock = Lock()

    @property
    def provider(self) -> str:
        """``scripted``."""
        return "scripted"

    def complete(self, call: Call) -> Reply:
        """The agent's next message.

        Raises:
            ModelError: The message is none.
        """
        moves = self._moves[call.agent.partition(":")[0]]
        with self._lock:
            number = self._made.get(call.agent, 0)
            self._made[call.agent] = number + 1
        move = moves[min(number, len(moves) - 1)]
        told = _TOLD.findall(str(call.request["messages"]))
        message = _filled(move, plan=told[-1] if told else NO_PLAN)
        who = re.sub("[^a-z_0-9]", "_", call.agent.lower())
        for place, block in enumerate(message["content"], start=1):
            if block["type"] == "tool_use":
                block.setdefault("id", f"toolu_{who}_{call.turn}_{call.attempt}_{place}")
        usage = {
            "input_tokens": len(str(call.request["messages"])) // 4,
            "output_tokens": len(str(message["content"])) // 4,
        }
        return reply_from({"model": call.request["model"], "usage": usage, **message})


def _filled(node: Any, *, plan: str) -> Any:
    if isinstance(node, str):
        return node.replace(_PLAN, plan)
    if isinstance(node, Mapping):
        return {key: _filled(value, plan=plan) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_filled(value, plan=plan) for value in node]
    return node
