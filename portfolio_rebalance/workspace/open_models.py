"""Models of files that other tools and people write too.

Keys that we do not know are theirs: accepted here, kept by our writers, reported by ``doctor``. But a key
that nearly spells one of ours, while ours is absent, is a slip of the pen and not an extension: if
``pined: true`` were accepted in silence, the strategy would not be pinned. The configuration is not open: it
is ours alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, TypeAlias, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field

from portfolio_rebalance.errors import BadDataError
from portfolio_rebalance.workspace.schema import validate
from portfolio_rebalance.workspace.strict_yaml import Document, Value

__all__ = ["Line", "OpenModel", "read_open", "unknown_keys", "value_at"]

Path: TypeAlias = tuple[str | int, ...]
M = TypeVar("M", bound="OpenModel")

Line: TypeAlias = Annotated[str, Field(pattern=r"^[^\r\n]+$", max_length=120)]
"""Text that fits in a table: one line, not empty, not long."""

_SIMILAR = 0.8
_SHORTEST = 4
"""For shorter keys a ratio says nothing: ``12h`` is as near to ``1h`` as a typo would be."""


class OpenModel(BaseModel):
    """Strict about the keys it knows, indifferent to the others."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, allow_inf_nan=False)


def read_open(document: Document, model: type[M], *, at: Path = ()) -> M:
    """:func:`.schema.validate`, after a look at the keys that the model does not know.

    Raises:
        BadDataError: A key is a probable slip, with its line and the known key; or a value does not fit.
            Carries every such place.
    """
    slips: dict[Path, BadDataError] = {}
    for path, keys, level in _levels(model, value_at(document, at), at):
        known = _known(level)
        absent = [name for name in known if name not in keys]
        for key in keys:
            near = _nearest(key, absent) if key not in known else None
            if near:
                slips[*path, near] = BadDataError(
                    f"`{key}` looks like `{near}`, which is absent.",
                    where=document.where((*path, key)),
                    fix=f"Write `{near}` if that is meant; if `{key}` is a key of its own, add `{near}` too.",
                )
    return validate(document, model, at=at, explained=slips)


def unknown_keys(document: Document, model: type[OpenModel], *, at: Path = ()) -> tuple[Path, ...]:
    """The paths of the keys that are accepted and not understood, in the order of the file."""
    return tuple(
        (*path, key)
        for path, keys, level in _levels(model, value_at(document, at), at)
        for key in keys
        if key not in _known(level)
    )


def _levels(annotation: Any, value: Value, at: Path) -> Iterator[tuple[Path, dict[str, Value], Any]]:
    """Every mapping inside ``value`` that an open model describes: its path, itself, its model."""
    arguments = get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, OpenModel):
        if isinstance(value, dict):
            yield at, value, annotation
            for key, inner in _known(annotation).items():
                if key in value:
                    yield from _levels(inner, value[key], (*at, key))
    elif get_origin(annotation) is dict:
        if isinstance(value, dict):
            for key, item in value.items():
                yield from _levels(arguments[1], item, (*at, key))
    elif get_origin(annotation) is tuple:
        if isinstance(value, list):
            for place, item in enumerate(value):
                yield from _levels(arguments[0], item, (*at, place))
    else:
        for branch in arguments:  # of a union, or what is annotated
            yield from _levels(branch, value, at)


def _known(model: type[OpenModel]) -> dict[str, Any]:
    """The keys of a model as they stand in a file, and the types of their values."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def value_at(document: Document, at: Path) -> Value:
    """The value at ``at``, None where there is none: then :func:`read_open` says so."""
    node: Value = document.value
    for step in at:
        if isinstance(node, dict) and isinstance(step, str):
            node = node.get(step)
        elif isinstance(node, list) and isinstance(step, int) and step < len(node):
            node = node[step]
        else:
            return None
    return node


def _nearest(key: str, absent: list[str]) -> str | None:
    from difflib import SequenceMatcher  # rarely needed: only where a key is unknown

    letters = _letters(key)
    for name in absent:
        if letters == _letters(name):
            return name
    ratios = {
        name: SequenceMatcher(None, key.lower(), name.lower()).ratio()
        for name in absent
        if len(name) >= _SHORTEST
    }
    best = max(ratios, key=lambda name: (ratios[name], name), default=None)
    return best if best is not None and ratios[best] >= _SIMILAR else None


def _letters(key: str) -> str:
    return re.sub(r"[\s_-]+", "", key).casefold()
