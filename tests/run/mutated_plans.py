"""Mutations of the stored bytes of a plan, and plans that are put in its place."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from run.mutations import Mutation, Scene, Template, canonical

from portfolio_rebalance.errors import NotApprovedError, PlanChangedError, PlanTamperedError

__all__ = ["plan_mutations"]

Path = tuple[str | int, ...]


def plan_mutations(template: Template) -> list[Mutation]:
    """All of them, family by family; the same for the same template."""
    return [*_of_bytes(template), *_signed_again(template)]


# --- the bytes -------------------------------------------------------------------------------------------


def _of_bytes(template: Template) -> Iterator[Mutation]:
    """Whatever is changed in the stored bytes, they are not those whose digest is the id."""
    cases = {
        **{f"changed {name}": canonical(content) for name, content in _changed(template)},
        **{f"removed {name}": canonical(content) for name, content in _removed(template)},
        **_damaged(template),
        "swapped with another plan's content": template.other_content,
    }
    assert template.content not in cases.values()
    for name, content in cases.items():
        yield Mutation(
            name=f"bytes: {name}",
            act=_stores(content, plan_id=template.plan_id),
            kind=PlanTamperedError,
            saying=f"^What is stored as plan {template.plan_id[:12]} has the digest [0-9a-f]{{12}}",
        )


def _signed_again(template: Template) -> Iterator[Mutation]:
    """Under its own digest a changed plan is another plan, which nobody approved."""
    for name, content in _changed(template):
        yield Mutation(
            name=f"signed again: {name}",
            act=_stores(canonical(content), plan_id=None),
            kind=NotApprovedError,
            saying="^Nobody approved plan [0-9a-f]{12}",
            by_skill=None,
        )
    first = json.loads(template.content)
    over = deepcopy(first)
    over["strategies"][0]["proposed_bp"] = 4_500
    for name, content, saying in (
        ("no plan", b"{}", "is no plan of this version"),
        ("not canonical", json.dumps(first, indent=1).encode(), "has the digest"),
        ("with a NaN", canonical(first | {"turnover_percent": "NaN"}), "is no plan of this version"),
        ("with a key more", canonical(first | {"limits": {}}), "is no plan of this version"),
        ("of version 9", canonical(first | {"schema_version": 9}), "is no plan of this version"),
    ):
        yield Mutation(
            name=f"signed again and its approval forged: {name}",
            act=_forges(content),
            kind=PlanTamperedError,
            saying=saying,
        )
    yield Mutation(
        name="signed again and its approval forged: of version 1",
        act=_forges(canonical(first | {"schema_version": 1})),
        kind=PlanChangedError,
        saying="older version",
    )
    yield Mutation(
        name="signed again and its approval forged: beyond a limit",
        act=_forges(canonical(over)),
        kind=PlanChangedError,
        saying="limit|above|same direction",
    )


def _changed(template: Template) -> Iterator[tuple[str, Any]]:
    """The plan with one value different, for each of its values."""
    plan = json.loads(template.content)
    for path, value in _leaves(plan):
        yield ".".join(map(str, path)), _with(plan, path, _other(value))


def _removed(template: Template) -> Iterator[tuple[str, Any]]:
    """The plan without one of its keys or items."""
    plan = json.loads(template.content)
    for path, _ in _nodes(plan):
        without = deepcopy(plan)
        del _at(without, path[:-1])[path[-1]]
        yield ".".join(map(str, path)), without


def _damaged(template: Template) -> dict[str, bytes]:
    content, draw = template.content, random.Random("damage")
    cases: dict[str, bytes] = {"nothing": b"", "a space behind": content + b" ", "twice": content * 2}
    cases["a key twice"] = b'{"as_of":"2020-01-01T00:00:00Z",' + content[1:]
    cases["wide"] = json.dumps(json.loads(content)).encode()
    cases["other order"] = json.dumps(json.loads(content), separators=(",", ":"))[::1].encode() + b"\n"
    cases["too deep"] = b"[" * 100_000
    for length in sorted(draw.sample(range(1, len(content)), 20)):
        cases[f"truncated to {length}"] = content[:length]
    for place in sorted(draw.sample(range(len(content)), 20)):
        flipped = bytes([content[place] ^ (1 << draw.randrange(7))])
        cases[f"flipped bit at {place}"] = content[:place] + flipped + content[place + 1 :]
    return cases


# --- acts ------------------------------------------------------------------------------------------------


def _stores(content: bytes, *, plan_id: str | None) -> Callable[[Scene], str]:
    return lambda scene: scene.store_plan(content, plan_id=plan_id)


def _forges(content: bytes) -> Callable[[Scene], str]:
    """Store another plan, and move the approval to it as if it had been given for that."""

    def act(scene: Scene) -> str:
        new_id = scene.store_plan(content)
        scene.sql("UPDATE approvals SET plan_id = ?, content = ?", new_id, scene.approval(plan_id=new_id))
        return new_id

    return act


# --- walking a plan --------------------------------------------------------------------------------------


def _nodes(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value inside, with where it is."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key), value
        yield from _nodes(value, (*path, key))


def _leaves(node: Any) -> Iterator[tuple[Path, Any]]:
    return ((path, value) for path, value in _nodes(node) if not isinstance(value, dict | list) or not value)


def _at(node: Any, path: Path) -> Any:
    for key in path:
        node = node[key]
    return node


def _with(node: Any, path: Path, value: object) -> Any:
    changed = deepcopy(node)
    _at(changed, path[:-1])[path[-1]] = value
    return changed


def _other(value: object) -> object:
    """Another value of the same kind."""
    if value is None or value == [] or value == {}:
        return "0"
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    assert isinstance(value, str)
    try:
        return format(datetime.fromisoformat(value) + timedelta(seconds=1), "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        pass
    try:
        return format(Decimal(value) + 1, "f")
    except InvalidOperation:
        return value + "x"
