"""Values of a strict document to checked models, each refusal with the line of the file."""

from __future__ import annotations

import collections.abc
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, RootModel, ValidationError

from portfolio_rebalance.errors import BadDataError, MissingDataError
from portfolio_rebalance.workspace.problems import combined
from portfolio_rebalance.workspace.strict_yaml import Document, NodePath, Value
from portfolio_rebalance.workspace.yaml_scalars import DECIMAL, INTEGER
from portfolio_rebalance.workspace.yaml_text import shortened

__all__ = ["validate"]

M = TypeVar("M", bound=BaseModel)
_LONGEST_NAME: Final = 120
_NOTHING: Final[Mapping[NodePath, BadDataError]] = types.MappingProxyType({})


def validate(
    document: Document,
    model: type[M],
    *,
    at: NodePath = (),
    error: type[BadDataError] = BadDataError,
    explained: Mapping[NodePath, BadDataError] = _NOTHING,
) -> M:
    """The value at ``at`` as a model; otherwise everything in the file that is wrong with it.

    Lists are handed over as tuples, since frozen models hold tuples. A key that the file spells differently
    from the field is the model's affair (``Field(alias="1h")``); errors then use the file's spelling.

    Args:
        document: What :func:`parse` returned.
        model: A strict model that forbids unknown keys.
        at: Path of the value inside the document.
        error: Class of the refusal.
        explained: What is wrong at some paths, for a reason that the model does not know.

    Raises:
        MissingDataError: Nothing stands at ``at``.
        BadDataError: (or ``error``) The value does not fit; tells the first place of the file, and carries
            every one of them (:func:`.problems.each_problem`).
    """
    value = _value_at(document, at)
    problems: list[_Problem] = []
    try:
        checked = model.model_validate(_with_tuples(value))
        if not explained:
            return checked
    except ValidationError as failure:
        problems = [_problem(detail, value, model, at) for detail in failure.errors(include_url=False)]
    raise combined([*explained.values(), *_refusals(problems, document, error, explained)])


@dataclass(frozen=True, slots=True)
class _Problem:
    """One complaint about a value.

    Attributes:
        path: Place in the document; a missing key's path ends in that key.
        node: What stands there.
        wanted: What should stand there, where that says it all.
        what: The whole sentence otherwise.
        fix: What to do, to go with ``what``.
    """

    path: NodePath
    node: Value = None
    wanted: str = ""
    what: str = ""
    fix: str = ""


_WANTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("string_type", "string_sub_type", "string_unicode"), "text"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "decimal_type", "decimal_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing"), "a date such as 2026-11-23"),
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "timezone_aware"),
        "an instant in UTC such as 2026-11-23T02:00:00Z",
    ),
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type", "iterable_type"), "a list"),
    **dict.fromkeys(
        ("dict_type", "mapping_type", "model_type", "model_attributes_type"), "a mapping of keys"
    ),
    "none_required": "empty",
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "multiple_of": "a multiple of {multiple_of}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "string_pattern_mismatch": "text of the form {pattern}",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "too_short": "at least {min_length} items",
    "too_long": "at most {max_length} items",
    "decimal_max_digits": "a number of at most {max_digits} digits",
    "decimal_max_places": "a number of at most {decimal_places} decimals",
    "decimal_whole_digits": "a number of at most {whole_digits} digits before the point",
}


def _problem(detail: Any, value: Value, model: type[BaseModel], at: NodePath) -> _Problem:
    """One pydantic complaint in plain words, at its place in the file."""
    kind: str = detail["type"]
    context: Mapping[str, Any] = detail.get("ctx", {})
    below, node = _place_in_file(detail["loc"], value)
    path = (*at, *below)
    if kind == "missing":
        missing = (*path, detail["loc"][-1])
        parent = f" under `{_dotted(path)}`" if path else ""
        return _Problem(
            missing, what=f"`{_dotted(missing)}` is missing.", fix=f"Add `{missing[-1]}`{parent}."
        )
    if kind == "extra_forbidden":
        name = str(detail["loc"][-1])
        level = below[:-1] if below and below[-1] == name else below
        fix = _nearest(name, tuple(dict.fromkeys(_known_keys(model, level))))
        return _Problem(path, what=f"`{_dotted((*at, *level, name))}` is not a known key.", fix=fix)
    if kind in _WANTED:
        return _Problem(path, node, wanted=_WANTED[kind].format(**context))
    if kind == "is_instance_of" and context.get("class") == "Decimal":
        return _Problem(path, node, wanted="a decimal number such as 10.0")
    message = str(context["error"]) if "error" in context else str(detail["msg"]).removeprefix("Input ")
    return _Problem(path, what=f"`{_dotted(path)}`: {message.rstrip('.')}.", fix="Correct the value.")


def _refusals(
    problems: Sequence[_Problem],
    document: Document,
    error: type[BadDataError],
    explained: Collection[NodePath],
) -> Iterator[BadDataError]:
    """An error a place; complaints about one place are the branches of a union, and count once."""
    by_path: dict[NodePath, list[_Problem]] = {}
    for problem in problems:
        by_path.setdefault(problem.path, []).append(problem)
    for path, (first, *others) in by_path.items():
        if path in explained:
            continue
        what, fix = first.what, first.fix
        if first.wanted:
            here = [problem.wanted for problem in (first, *others) if problem.wanted]
            wanted = " or ".join(dict.fromkeys(here))
            what = f"`{_dotted(path)}` is {_shown(first.node)}, but should be {wanted}."
            quoted_number = isinstance(first.node, str) and "number" in wanted and _is_number(first.node)
            fix = "Remove the quotes." if quoted_number else f"Write {wanted} there."
        yield error(what, where=document.where(path), fix=fix)


def _value_at(document: Document, at: NodePath) -> Value:
    node = document.value
    for depth, step in enumerate(at):
        reached, node = _place_in_file((step,), node)
        if not reached:
            raise MissingDataError(
                f"`{_dotted(at)}` is missing.", where=document.where(at[:depth]), fix=f"Add `{step}` there."
            )
    return node


def _place_in_file(steps: NodePath, node: Value) -> tuple[NodePath, Value]:
    """The path that ``steps`` take through a value, and where they end.

    pydantic's locations also hold names of union branches and ``[key]``, which are no places in the file:
    they are left out.
    """
    path: list[str | int] = []
    for step in steps:
        if isinstance(node, dict) and isinstance(step, str) and step in node:
            node = node[step]
            path.append(step)
        if isinstance(node, list) and isinstance(step, int) and 0 <= step < len(node):
            node = node[step]
            path.append(step)
    return tuple(path), node


def _with_tuples(value: Value) -> object:
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(map(_with_tuples, value))
    return value


def _known_keys(annotation: object, path: NodePath) -> Iterator[str]:
    """The keys that models reachable from ``annotation`` along ``path`` accept, in their own order."""
    annotation = getattr(annotation, "__value__", annotation)  # a named type alias
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _known_keys(arguments[0], path)
    elif origin in (Union, types.UnionType):
        for branch in arguments:
            yield from _known_keys(branch, path)
    elif isinstance(annotation, type) and issubclass(annotation, RootModel):
        yield from _known_keys(annotation.model_fields["root"].annotation, path)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            key = field.validation_alias if isinstance(field.validation_alias, str) else name
            if not path:
                yield key
            elif key == path[0]:
                yield from _known_keys(field.annotation, path[1:])
    elif path and isinstance(origin, type) and issubclass(origin, collections.abc.Mapping):
        yield from _known_keys(arguments[1], path[1:])
    elif path and isinstance(origin, type) and issubclass(origin, collections.abc.Iterable):
        position = path[0] if isinstance(path[0], int) and Ellipsis not in arguments else 0
        yield from _known_keys(arguments[min(position, len(arguments) - 1)], path[1:])


def _nearest(key: str, known: Sequence[str]) -> str:
    import difflib

    plain = {name.lower().replace("-", "_"): name for name in known}
    near = difflib.get_close_matches(key.lower().replace("-", "_"), plain, n=3)
    if near:
        return f"Did you mean {' or '.join(f'`{plain[name]}`' for name in near)}? Else remove it."
    return f"Remove it; known keys here: {', '.join(known)}." if known else "Remove it."


def _dotted(path: NodePath) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return shortened(text.removeprefix("."), most=_LONGEST_NAME) or "the whole document"


def _shown(node: Value) -> str:
    if node is None:
        return "empty"
    if isinstance(node, bool):
        return str(node).lower()
    if isinstance(node, dict | list):
        return "a mapping" if isinstance(node, dict) else "a list"
    return shortened(repr(node) if isinstance(node, str) else str(node))


def _is_number(text: str) -> bool:
    return bool(INTEGER.fullmatch(text) or DECIMAL.fullmatch(text))
