"""From tools to a grammar: whatever the small model writes is one call of one of them.

The model is held to ``{"tool": name, "input": {...}}``, any of the tools on offer, without blanks between the
parts: left free, a small model writes blanks and line breaks until its answer is cut. For the same reason
free text and lists are bounded here where the tool's own schema does not bound them. Which tool it calls and
what it says in it stay the model's own, and are often wrong; that is what it is for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from messages_request import Request, ToolSpec

__all__ = [
    "MOST_CHARACTERS",
    "MOST_ITEMS",
    "answer_schema",
    "grammar",
    "left_over",
    "offered",
    "read_call",
    "was_held",
    "write_call",
]

MOST_CHARACTERS = 240
"""Of a text that the tool's schema does not bound: some seventy tokens."""
MOST_ITEMS = 2
"""Of a list that the tool's schema does not bound."""

_OWN_BOUND = frozenset({"enum", "const", "pattern", "format", "maxLength"})
_CALL = re.compile(r'\{"tool":"([a-zA-Z0-9_-]+)","input":(.*)', re.DOTALL)


def offered(request: Request) -> list[ToolSpec]:
    """The tools that may be called in the answer; none where it is to be text."""
    choice = request.tool_choice
    if choice.type == "none":
        return []
    return [tool for tool in request.tools if choice.type != "tool" or tool.name == choice.name]


def left_over(request: Request) -> list[ToolSpec]:
    """The offered tools without those that it has called already and was not refused, if any are left.

    Left free, a small model asks for the same thing until it is stopped.
    """
    refused = {
        result.tool_use_id for message in request.messages for result in message.results if result.is_error
    }
    done = {call.name for message in request.messages for call in message.calls if call.id not in refused}
    tools = offered(request)
    return [tool for tool in tools if tool.name not in done] or tools


def answer_schema(tools: Sequence[ToolSpec]) -> dict[str, Any]:
    """JSON schema of one call of any of some tools; references within a tool's schema lead there still."""
    definitions: dict[str, Any] = {}
    calls = []
    for tool in tools:
        schema = dict(tool.input_schema)
        for name, definition in schema.pop("$defs", {}).items():
            definitions[f"{tool.name}.{name}"] = _bounded(definition, tool.name)
        properties = {"tool": {"const": tool.name}, "input": _bounded(schema, tool.name)}
        calls.append(
            {
                "type": "object",
                "properties": properties,
                "required": [*properties],
                "additionalProperties": False,
            }
        )
    return {"anyOf": calls, **({"$defs": definitions} if definitions else {})}


def grammar(schema: dict[str, Any]) -> str:
    """A grammar of llguidance for the JSON texts of a schema, without blanks between their parts.

    As ``response_format`` the schema would be held to as well, but its ``x-guidance`` would be lost.
    """
    rules = {"x-guidance": {"whitespace_flexible": False}} | schema
    return f"%llguidance {{}}\nstart: %json {json.dumps(rules)}"


def write_call(name: str, arguments: dict[str, Any]) -> str:
    """A call as the model writes it, for the history that it reads."""
    return f'{{"tool":{json.dumps(name)},"input":{json.dumps(arguments, separators=(",", ":"))}}}'


def read_call(text: str) -> tuple[str, str] | None:
    """The name of the called tool and the text of its input, cut where the answer was cut.

    None where the answer ends before the name does.
    """
    found = _CALL.fullmatch(text)
    if found is None:
        return None
    name, rest = found[1], found[2]
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return name, rest
    return name, rest[:-1]  # the last brace closes the call, not its input


def was_held(text: str, tools: Sequence[ToolSpec], *, is_whole: bool) -> bool:
    """Whether an answer is a call of one of these tools, or the beginning of one where it is not whole.

    It is not where the schemas hold something that the grammar's engine does not know: it then ignores all.
    """
    starts = [f'{{"tool":"{tool.name}","input":{{' for tool in tools]
    if not any(text.startswith(start) or start.startswith(text) for start in starts):
        return False
    try:
        return bool(json.loads(text)) or not is_whole
    except json.JSONDecodeError:
        return not is_whole


def _bounded(node: Any, tool: str) -> Any:
    """A schema whose texts, lists and objects end, and whose references lead to the common definitions."""
    if isinstance(node, list):
        return [_bounded(one, tool) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": node["$ref"].replace("#/$defs/", f"#/$defs/{tool}.", 1)}
    found = dict(node)
    for key in ("items", "anyOf"):
        if key in found:
            found[key] = _bounded(found[key], tool)
    if "properties" in found:
        found["properties"] = {name: _bounded(one, tool) for name, one in found["properties"].items()}
    kinds = found.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "string" in kinds and not _OWN_BOUND & found.keys():
        found["maxLength"] = MOST_CHARACTERS
    if "array" in kinds:
        found.setdefault("maxItems", max(MOST_ITEMS, found.get("minItems", 0)))
    if "object" in kinds:
        found.setdefault("additionalProperties", False)
    return found
