"""A request of the Messages API as a conversation that a small chat model can read.

It knows three roles and plain text: the tools go into the system text as signatures, its own calls come back
to it in the form it wrote them, results as the user's words.
"""

from __future__ import annotations

import json
from typing import Any, Literal, TypedDict

from constrained import offered, write_call
from messages_request import Message, Request, TextBlock, ToolSpec, ToolUseBlock

__all__ = ["Turn", "as_chat", "shortened"]

_KEPT_OF_A_TURN = 1000
"""Characters of a turn that are never left out, half of them at each end."""
_MARK = 60
"""Characters that the mark takes, at most."""


class Turn(TypedDict):
    """One turn of the chat."""

    role: Literal["system", "user", "assistant"]
    content: str


def as_chat(request: Request) -> list[Turn]:
    """The turns, the system text first."""
    tools = offered(request)
    system = request.system_text
    if tools:
        listed = "\n".join(f"- {tool.name}({_signature(tool)}): {tool.description}" for tool in tools)
        system += (
            f"\n\nYour tools:\n{listed}\n"
            'Answer with one call and nothing else, as JSON: {"tool":"name","input":{...}}'
        )
    names = {call.id: call.name for message in request.messages for call in message.calls}
    turns = [Turn(role=message.role, content=_words(message, names)) for message in request.messages]
    return [Turn(role="system", content=system.strip()), *turns] if system.strip() else turns


def shortened(chat: list[Turn], *, characters: int) -> list[Turn]:
    """The chat without some characters from the middle of what its user said first.

    Where the oldest turn of the user's does not hold so many, the next ones give the rest. Each keeps its two
    ends, and a mark where something is left out, so that the model is not told nonsense in good faith.

    Args:
        chat: All turns.
        characters: So many must go at least.

    Raises:
        ValueError: The user's turns do not hold so many.
    """
    found, left = list(chat), characters
    for index, turn in enumerate(found):
        spare = len(turn["content"]) - _KEPT_OF_A_TURN
        if left <= 0 or turn["role"] != "user" or spare <= _MARK:
            continue
        out = min(spare, left + _MARK)
        start = (len(turn["content"]) - out) // 2
        mark = f"\n[... {out} characters left out here ...]\n"
        text = turn["content"][:start] + mark + turn["content"][start + out :]
        left -= len(turn["content"]) - len(text)
        found[index] = Turn(role=turn["role"], content=text)
    if left > 0:
        raise ValueError(f"{left} more characters than the user's turns can give up")
    return found


def _words(message: Message, names: dict[str, str]) -> str:
    parts = []
    for block in message.blocks:
        if isinstance(block, TextBlock):
            parts.append(block.text)
        elif isinstance(block, ToolUseBlock):
            parts.append(write_call(block.name, block.input))
    results = [
        f"{'Refused' if result.is_error else 'Result'}, {names[result.tool_use_id]}: {result.text}"
        for result in message.results
    ]
    return "\n\n".join([*results, *parts])


def _signature(tool: ToolSpec) -> str:
    definitions = tool.input_schema.get("$defs", {})
    properties = tool.input_schema.get("properties", {})
    return ", ".join(f"{name}: {_kind(one, definitions)}" for name, one in properties.items())


def _kind(schema: Any, definitions: dict[str, Any]) -> str:
    """A schema in a few words: a small model has no room for all of it."""
    if not isinstance(schema, dict):
        return "any"
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        rest = {other: one for other, one in definitions.items() if other != name}  # a type may hold itself
        return _kind(definitions.get(name), rest)
    if "enum" in schema:
        return "|".join(json.dumps(one) for one in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "anyOf" in schema:
        return " or ".join(_kind(one, definitions) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"[{_kind(schema.get('items'), definitions)}]"
    if schema.get("type") == "object":
        inner = schema.get("properties", {}).items()
        return f"{{{', '.join(f'{name}: {_kind(one, definitions)}' for name, one in inner)}}}"
    return str(schema.get("type", "any"))
