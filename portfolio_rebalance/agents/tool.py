"""A tool as a model sees it: a name, a description, a strict schema generated from a pydantic model.

No tool has an argument for a limit, for live money, for an approval, for a path or for a quantity: what a
model can pass is an enum, a draft's name, a plan's id, or prose that is checked for citations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from portfolio_rebalance.agents.messages import Json
from portfolio_rebalance.agents.strict_json import strict_json

__all__ = ["Arguments", "Refused", "Tool", "parsed"]

_KEPT: Final = frozenset(
    {"type", "properties", "required", "enum", "const", "items", "description", "additionalProperties"}
)
"""What strict schemas of the Messages API hold; lengths and patterns are checked here instead."""


class Arguments(BaseModel):
    """Base of every tool's arguments."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Refused(Exception):  # noqa: N818 - a word to the model, not a fault
    """A call that is not done. Its text tells the model what to do instead."""


_A = TypeVar("_A", bound=Arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool(Generic[_A]):
    """One tool.

    Attributes:
        arguments: Class of its arguments.
        run: Does it, and returns what the model reads.
        run_together: Does several at once, each answered or refused; None where they are done in turn.
        changes_state: Whether at most one such call may stand in a message.
    """

    name: str
    description: str
    arguments: type[_A]
    run: Callable[[_A], str]
    run_together: Callable[[Sequence[_A]], Sequence[str | Refused]] | None = None
    changes_state: bool = False

    def spec(self) -> Json:
        """As the request lists it."""
        schema = self.arguments.model_json_schema()
        return {
            "name": self.name,
            "description": self.description,
            "input_schema": _plain(schema, schema.get("$defs", {})),
            "strict": True,
        }


def parsed(tool: Tool[Any], given: Json | str) -> Any:
    """A tool's arguments, from what a model wrote.

    Raises:
        Refused: They are not acceptable; says which and why.
    """
    try:
        content = strict_json(given) if isinstance(given, str) else given
    except ValueError as fault:
        raise Refused(f"The arguments are not valid JSON: {fault}. Write one JSON object.") from None
    try:
        # By way of JSON: lists become tuples there, and nothing is converted that is not meant.
        return tool.arguments.model_validate_json(_as_json(content))
    except ValidationError as invalid:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in one['loc']) or 'arguments'}: {one['msg']}"
            for one in invalid.errors(include_url=False, include_input=False, include_context=False)[:4]
        )
        raise Refused(f"The arguments of {tool.name} are not acceptable: {faults}.") from None
    except ValueError as fault:
        raise Refused(f"The arguments of {tool.name} are not acceptable: {fault}.") from None


def _as_json(content: object) -> str:
    import json

    try:
        return json.dumps(content, allow_nan=False)
    except (TypeError, RecursionError):
        raise ValueError("they are no JSON") from None


def _plain(node: Any, definitions: Json) -> Any:
    """A schema without references, titles and what strict schemas do not hold."""
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _plain(definitions[node["$ref"].rpartition("/")[2]], definitions)
    plain: Json = {}
    for key, value in node.items():
        if key not in _KEPT:
            continue
        if key == "properties":
            plain[key] = {name: _plain(one, definitions) for name, one in value.items()}
        elif key == "items":
            plain[key] = _plain(value, definitions)
        else:
            plain[key] = value
    return plain
