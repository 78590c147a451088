"""The loop: one agent, its tools, its turns. Small, because safety depends on reading it.

What a model may return, and what is done then, is one table (docs/agents.md). Only a complete message that
ended in ``tool_use`` has its calls run; whatever else comes is asked for once more at most, and then the run
goes on by rules. Nothing that a model or a network does leaves here as an exception.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from portfolio_rebalance.agents.budget import BudgetExceededError, Purse
from portfolio_rebalance.agents.messages import Call, Json, ModelClient, ModelError, Reply, ToolUse
from portfolio_rebalance.agents.tool import Refused, Tool, parsed
from portfolio_rebalance.config_llm import AgentSettings

__all__ = ["Agent", "converse"]

_MOST_REPAIRS: Final = 2
_MOST_PAUSES: Final = 3
_MOST_EQUAL: Final = 3
_MOST_CALLS_IN_A_MESSAGE: Final = 16
_REASONS: Final = ("end_turn", "max_tokens", "model_context_window_exceeded", "stop_sequence")
_ENDED: Final = ("end_turn", "stop_sequence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Who talks to a model.

    Attributes:
        role: Its name.
        system: Its prompt; the same bytes in every run of one configuration.
        tools: What it may call.
        output: The tool whose accepted call ends its work.
        finished: Whether that has happened.
        settings: Model, effort, length of an answer.
        most_turns: So many times it may speak.
    """

    role: str
    system: str
    tools: tuple[Tool[Any], ...]
    output: str
    finished: Callable[[], bool]
    settings: AgentSettings
    most_turns: int


@dataclass(slots=True)
class _Talk:
    """A conversation under way."""

    agent: Agent
    client: ModelClient
    purse: Purse
    messages: list[Json]
    tools: list[Json] = field(init=False)
    repairs: int = 0
    asked: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.tools = [tool.spec() for tool in self.agent.tools]


class _Over(Exception):  # noqa: N818 - an ending, not a fault
    """The conversation ends without an accepted result; says why."""


def converse(
    agent: Agent,
    *,
    opening: str,
    client: ModelClient,
    purse: Purse,
    progress: Callable[[str], None] = lambda _stage: None,
) -> str:
    """Let an agent work until a call that ends its work was accepted.

    Args:
        agent: Who.
        opening: Its first message.
        client: Answers.
        purse: What it may use.
        progress: Told of each turn before it begins.

    Returns:
        Why it came to nothing; empty where its work is done.
    """
    talk = _Talk(agent, client, purse, [{"role": "user", "content": [{"type": "text", "text": opening}]}])
    nudged = False
    try:
        for turn in range(1, agent.most_turns + 1):
            progress(f"{agent.role.replace('_', ' ')}, turn {turn}")
            reply = _message(talk, turn)
            if reply.tool_uses:
                if _called(talk, reply):
                    return ""
            elif nudged:
                raise _Over("it did not finish with a call of its tool")
            else:
                nudged = True
                _answer(talk, reply, [{"type": "text", "text": _nudge(agent)}])
        raise _Over(f"it came to no result in {agent.most_turns} turns")
    except _Over as over:
        return str(over)
    except ModelError as fault:
        return f"{fault.kind.replace('_', ' ')}: {fault.detail}"
    except BudgetExceededError as stop:
        return f"the budget ended it: {stop}"


def _message(talk: _Talk, turn: int) -> Reply:
    """A complete message: an incomplete one is asked for once more, a pause is waited out."""
    attempt = incomplete = pauses = 0
    while True:
        attempt += 1
        reason = ""
        try:
            reply = _asked(talk, turn=turn, attempt=attempt)
        except ModelError as fault:
            if fault.kind != "incomplete" or incomplete:
                raise
            reply, reason = None, fault.detail
        if reply is not None:
            if reply.stop_reason == "refusal":
                raise _Over("the model refused")
            if reply.stop_reason == "pause_turn" and not reply.tool_uses:
                pauses += 1
                if pauses > _MOST_PAUSES:
                    raise _Over("the model paused too often")
                if content := _sendable(reply):
                    talk.messages.append({"role": "assistant", "content": content})
                continue
            if _is_complete(reply):
                return reply
            reason = f"the message is not complete (stop reason {_word(reply.stop_reason)})"
        incomplete += 1
        if incomplete > 1:
            raise _Over(reason)


def _is_complete(reply: Reply) -> bool:
    if reply.stop_reason == "tool_use":
        return True
    return reply.stop_reason in _ENDED and not reply.tool_uses


def _asked(talk: _Talk, *, turn: int, attempt: int) -> Reply:
    agent = talk.agent
    request = _request(agent, talk.tools, talk.messages)
    length = len(json.dumps(request, separators=(",", ":")).encode())
    settings = agent.settings
    with talk.purse.call(
        agent.role, model=settings.model, request_bytes=length, max_tokens=settings.max_tokens
    ) as paid:
        call = Call(agent=agent.role, turn=turn, attempt=attempt, request=request, seconds=paid.seconds)
        reply = talk.client.complete(call)
        paid.usage = reply.usage
    return reply


def _request(agent: Agent, tools: Sequence[Json], messages: Sequence[Json]) -> Json:
    """The request: what never changes comes first, and the cache holds all of it up to the last message."""
    *before, last = messages
    *blocks, end = last["content"]
    marked = {**last, "content": [*blocks, {**end, "cache_control": {"type": "ephemeral"}}]}
    return {
        "model": agent.settings.model,
        "max_tokens": agent.settings.max_tokens,
        "system": [{"type": "text", "text": agent.system, "cache_control": {"type": "ephemeral"}}],
        "tools": [*tools],
        "tool_choice": {"type": "auto"},
        "output_config": {"effort": agent.settings.effort},
        "messages": [*before, marked] if last["role"] == "user" else [*before, last],
    }


def _called(talk: _Talk, reply: Reply) -> bool:
    """Run the calls of a message; says whether the agent's work is done."""
    uses = reply.tool_uses
    if len({use.id for use in uses}) != len(uses):
        raise _Over("two calls of one message have the same id")
    if len(uses) > _MOST_CALLS_IN_A_MESSAGE:
        raise _Over(f"more than {_MOST_CALLS_IN_A_MESSAGE} calls in one message")
    _count_repeats(talk, uses)
    results: dict[str, str | Refused] = {}
    ready: list[tuple[ToolUse, Tool[Any], Any]] = []
    tools = {tool.name: tool for tool in talk.agent.tools}
    flawed = False
    for use in uses:
        tool = tools.get(use.name)
        if tool is None:
            results[use.id] = Refused(f"There is no such tool. Your tools are {', '.join(tools)}.")
            flawed = True
            continue
        try:
            ready.append((use, tool, parsed(tool, use.input)))
        except Refused as refused:
            results[use.id] = refused
            flawed = True
    _run(ready, results)
    done = talk.agent.finished()
    if flawed and not done:
        talk.repairs += 1
        if talk.repairs > _MOST_REPAIRS:
            raise _Over("its calls stayed malformed")
    if not done:
        _answer(talk, reply, [_result(use, results[use.id]) for use in uses])
    return done


def _run(ready: Sequence[tuple[ToolUse, Tool[Any], Any]], results: dict[str, str | Refused]) -> None:
    """Reads first, together where they can be; then the one call that changes something, if it is one."""
    reads = [one for one in ready if not one[1].changes_state]
    changes = [one for one in ready if one[1].changes_state]
    for use, tool, arguments in reads:
        if tool.run_together is None:
            results[use.id] = _outcome(tool, arguments)
    for tool in dict.fromkeys(tool for _, tool, _ in reads if tool.run_together is not None):
        group = [(use, arguments) for use, other, arguments in reads if other is tool]
        assert tool.run_together is not None
        answers = tool.run_together([arguments for _, arguments in group])
        results |= {use.id: answer for (use, _), answer in zip(group, answers, strict=True)}
    if len(changes) > 1:
        names = " and ".join(dict.fromkeys(tool.name for _, tool, _ in changes))
        refused = Refused(f"Only one call of {names} may stand in a message; none was done. Send one.")
        results |= {use.id: refused for use, _, _ in changes}
    elif changes:
        use, tool, arguments = changes[0]
        results[use.id] = _outcome(tool, arguments)


def _outcome(tool: Tool[Any], arguments: Any) -> str | Refused:
    try:
        return tool.run(arguments)
    except Refused as refused:
        return refused


def _count_repeats(talk: _Talk, uses: Sequence[ToolUse]) -> None:
    for use in uses:
        key = json.dumps([use.name, use.input], sort_keys=True, default=str)
        talk.asked[key] += 1
        if talk.asked[key] >= _MOST_EQUAL:
            raise _Over("it asked the same three times")


def _answer(talk: _Talk, reply: Reply, blocks: list[Json]) -> None:
    content = _sendable(reply)
    if content:
        talk.messages.append({"role": "assistant", "content": content})
    talk.messages.append({"role": "user", "content": blocks})


def _sendable(reply: Reply) -> list[Json]:
    """The message's blocks as the API takes them back: what was no object becomes an empty one."""
    return [
        {**block, "input": {}} if isinstance(block.get("input"), str) else block
        for block in reply.content
        if not (block.get("type") == "text" and not block["text"].strip())
    ]


def _result(use: ToolUse, answer: str | Refused) -> Json:
    refused = isinstance(answer, Refused)
    block: Json = {"type": "tool_result", "tool_use_id": use.id, "content": str(answer)}
    return {**block, "is_error": True} if refused else block


def _nudge(agent: Agent) -> str:
    return f"Finish with a call of {agent.output}; text outside of it is not read."


def _word(reason: str | None) -> str:
    """A stop reason of a stranger, as one short word."""
    return "none" if reason is None else reason if reason in _REASONS else "unknown"
