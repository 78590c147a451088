"""The configuration as a person reads it: the values in force, and the page of every key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from portfolio_rebalance.reporting.blocks import Block, Paragraph, Table, left

__all__ = ["config_blocks", "config_markdown"]

_KINDS: Final[dict[object, str]] = {
    bool: "`true` or `false`",
    int: "a whole number",
    Decimal: "a number",
    str: "text",
}


def config_blocks(config: BaseModel, label: str, warnings: Sequence[str]) -> tuple[Block, ...]:
    """Every value in force, and the default where it differs.

    Args:
        config: The configuration.
        label: Where it was read, or that defaults are in force.
        warnings: What is legal but probably not meant.
    """
    defaults = dict(_values(type(config)()))
    rows = tuple(
        (key, _plain(value), "" if value == defaults[key] else _plain(defaults[key]))
        for key, value in _values(config)
    )
    return (
        Table(title=f"Configuration: {label}", columns=left("key", "value", "default"), rows=rows),
        *(Paragraph(f"warning: {text}", "warn") for text in warnings),
    )


def config_markdown(model: type[BaseModel]) -> str:
    """The page ``docs/configuration.md``: every key, its default, what is accepted, its effect.

    Args:
        model: The configuration model; descriptions and ranges are read from its fields.
    """
    lines = [
        "# Configuration",
        "",
        "`.crypto/config/portfolio-rebalance.yaml`, below the one top-level key `portfolio_rebalance`. Every "
        "key is optional; an unknown key is an error.",
        "",
        "This page is generated: `trading-portfolio-rebalance config --markdown`.",
        "",
        "## Top level",
        "",
    ]
    lines += _markdown_table(model)
    for name, section in _all_sections(model):
        lines += ["", f"## `{name}`", "", _summary(section)]
        if table := list(_markdown_table(section)):
            lines += ["", *table]
    return "\n".join(lines) + "\n"


def _markdown_table(model: type[BaseModel]) -> Iterator[str]:
    sections = dict(_sections(model))
    fields = [(field.alias or name, name, field) for name, field in model.model_fields.items()]
    if all(key in sections for key, _, _ in fields):
        return
    yield "| key | default | accepted | effect |"
    yield "|---|---|---|---|"
    for key, name, field in fields:
        if key in sections:
            continue
        effect = field.description or f"Weight of {name.rstrip('_').replace('_', ' ')}."
        default = "required" if field.is_required() else f"`{_plain(field.default)}`"
        cells = (f"`{key}`", default, _accepted(field), effect)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _accepted(field: FieldInfo) -> str:
    bounds = [text for text in (_floor(field), _ceiling(field)) if text]
    kind = _kind(field.annotation)
    return f"{kind}, {', '.join(bounds)}" if bounds else kind


def _kind(annotation: object) -> str:
    if annotation in _KINDS:
        return _KINDS[annotation]
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{option}`" for option in get_args(annotation))
    if get_origin(annotation) is tuple:
        inside = get_args(annotation)[0]
        return "a list of sections (below)" if _is_section(inside) else f"a list of {_kind(inside)}"
    options = [option for option in get_args(annotation) if option is not type(None)]
    return _kind(options[0]) if options else "a value"


def _floor(field: FieldInfo) -> str:
    for mark in field.metadata:
        if isinstance(mark, Gt):
            return f"above {mark.gt}"
        if isinstance(mark, Ge):
            return f"at least {mark.ge}"
        if isinstance(mark, MinLen):
            return f"at least {mark.min_length}"
    return ""


def _ceiling(field: FieldInfo) -> str:
    most: list[Any] = [mark.le for mark in field.metadata if isinstance(mark, Le)]
    below: list[Any] = [mark.lt for mark in field.metadata if isinstance(mark, Lt)]
    longest: list[Any] = [mark.max_length for mark in field.metadata if isinstance(mark, MaxLen)]
    if longest:
        return f"at most {min(longest)}"
    if most:
        return f"at most {min(most)}"
    return f"below {min(below)}" if below else ""


def _sections(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield field.alias or name, field.annotation


def _all_sections(model: type[BaseModel], *, above: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section, each before those inside it, with its dotted name; one that a list holds has ``[]``."""
    listed = [
        (f"{field.alias or name}[]", inside)
        for name, field in model.model_fields.items()
        if get_origin(field.annotation) is tuple and _is_section(inside := get_args(field.annotation)[0])
    ]
    for name, section in (*_sections(model), *listed):
        yield f"{above}{name}", section
        yield from _all_sections(section, above=f"{above}{name}.")


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _summary(section: type[BaseModel]) -> str:
    return (section.__doc__ or "").strip().splitlines()[0]


def _values(config: BaseModel, prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        key = f"{prefix}{field.alias or name}"
        if isinstance(value, BaseModel):
            yield from _values(value, f"{key}.")
        else:
            yield key, value


def _plain(value: object) -> str:
    """A value as the file would write it."""
    if value is None:
        return "absent"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(_plain(item) for item in value)}]"
    if isinstance(value, BaseModel):
        stated = [(key, getattr(value, key)) for key in type(value).model_fields]
        told = [f"{key}: {_plain(item)}" for key, item in stated if key in value.model_fields_set]
        return f"{{{', '.join(told)}}}"
    return "{}" if value == {} else str(value)
