"""What a rebalance changes in the two files that people keep: registry and BOOTSTRAP.

Text in, text out. Every byte that is not a changed value stays as it is; how, and when an edit is refused
instead, :mod:`.yaml_edit` says. When a file on disk changes is not decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypedDict

from pydantic import TypeAdapter, ValidationError

from portfolio_rebalance.errors import BadDataError
from portfolio_rebalance.workspace import layout
from portfolio_rebalance.workspace.bootstrap import DEPLOYED, Amount
from portfolio_rebalance.workspace.registry import STRATEGIES, TargetPercent
from portfolio_rebalance.workspace.state_block import STATE, find_state_block
from portfolio_rebalance.workspace.yaml_edit import YamlEdit

__all__ = ["LastRebalanceChange", "RegistryChange", "set_bootstrap_state", "set_registry_targets"]


class LastRebalanceChange(TypedDict):
    """When, why and by which plan a target was set."""

    at: datetime
    reason: str
    plan_id: str


class RegistryChange(TypedDict, total=False):
    """What a rebalance sets for one strategy; what is left out stays."""

    target_allocation_percent: Decimal
    last_rebalance: LastRebalanceChange


def set_registry_targets(text: str, changes: Mapping[str, RegistryChange]) -> str:
    """The registry with new targets, and the rebalance that set them.

    Args:
        text: The whole file.
        changes: By id; each must be registered and have a target.

    Raises:
        MissingDataError: A strategy, or its target, is not in the file.
        BadDataError: A target that the reader would refuse; the file is not strict YAML, or is written so
            that it cannot be edited safely.
    """
    edit = YamlEdit(text, label=layout.REGISTRY)
    for key, change in changes.items():
        target = (STRATEGIES, key, "target_allocation_percent")
        if "target_allocation_percent" in change:
            edit.set_value(target, _fitting(change["target_allocation_percent"], TargetPercent, key))
        if "last_rebalance" in change:
            last = change["last_rebalance"]
            edit.set_mapping(
                (STRATEGIES, key, "last_rebalance"),
                {"at": last["at"], "reason": last["reason"], "plan_id": last["plan_id"]},
                after=target,
            )
    return edit.result()


def set_bootstrap_state(
    text: str,
    *,
    as_of: datetime,
    total_capital: Decimal,
    cash: Decimal,
    deployed: Mapping[str, tuple[Decimal, Decimal]],
) -> str:
    """BOOTSTRAP.md with a new state in its block; the document around it stays.

    Where the block has no ``cash`` none is added: the total implies it.

    Args:
        text: The whole document.
        as_of: The state's instant.
        total_capital: Cash plus the capital of every strategy, exactly.
        cash: What no strategy holds.
        deployed: Capital and target, both money, by id: exactly the strategies that the block lists.

    Raises:
        MissingDataError: No block of ours, or a key that belongs in it is absent.
        BadDataError: The strategies differ from those in the block, the amounts do not add up or would be
            refused by the reader, or the block is written so that it cannot be edited safely.
    """
    block = find_state_block(text, label=layout.BOOTSTRAP)
    edit = YamlEdit(block.text, label=layout.BOOTSTRAP, first_line=block.first_line)
    _require_same_strategies(edit, deployed)
    capital = sum((amounts[0] for amounts in deployed.values()), Decimal(0))
    if cash + capital != total_capital:
        raise BadDataError(
            f"Cash {cash:f} and capital {capital:f} do not make the new total, {total_capital:f}.",
            where="set_bootstrap_state",
            fix="Pass amounts that add up.",
        )
    edit.set_value((STATE, "as_of"), as_of)
    edit.set_value((STATE, "total_capital"), _fitting(total_capital, Amount, "total_capital"))
    if edit.has((STATE, "cash")):
        edit.set_value((STATE, "cash"), _fitting(cash, Amount, "cash"))
    for key, (own_capital, target) in deployed.items():
        edit.set_value((STATE, DEPLOYED, key, "capital"), _fitting(own_capital, Amount, f"{key}.capital"))
        edit.set_value((STATE, DEPLOYED, key, "target"), _fitting(target, Amount, f"{key}.target"))
    return text[: block.start] + edit.result() + text[block.start + len(block.text) :]


def _fitting(value: Decimal, kind: Any, name: str) -> Decimal:
    """``value``, if our own reader will take it: a quotient may have more digits than a file may hold."""
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        raise BadDataError(
            f"{value} does not fit: {error.errors()[0]['msg']}.", where=name, fix="Correct it, or round it."
        ) from None
    return value


def _require_same_strategies(edit: YamlEdit, deployed: Mapping[str, object]) -> None:
    differing = sorted(set(edit.keys((STATE, DEPLOYED))) ^ set(deployed))
    if differing:
        raise BadDataError(
            f"The deployed strategies are not those of the new state: {', '.join(differing)}.",
            where=edit.where((STATE, DEPLOYED)),
            fix="See what was edited meanwhile, then plan again.",
        )
