"""BOOTSTRAP and registry must speak of the same strategies and the same targets.

BOOTSTRAP says what is deployed and with how much; the registry says what it should be. A strategy that only
one of them knows has no target, or no known capital (and everybody else's share is then unknown too), and
rebalancing around it would move money on half of the truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from portfolio_rebalance.errors import BadDataError, MissingDataError
from portfolio_rebalance.workspace.bootstrap import Bootstrap
from portfolio_rebalance.workspace.checks import agree
from portfolio_rebalance.workspace.registry import RegisteredStrategy, Registry

__all__ = ["disagreements"]

_ONE_CENT: Final = Decimal("0.01")


def disagreements(bootstrap: Bootstrap, registry: Registry) -> Iterator[BadDataError]:
    """Where the two files contradict each other: a strategy that one lacks, then targets that differ.

    Each error names both places.
    """
    for key, entry in bootstrap.deployed.items():
        if key not in registry.deployed:
            yield _not_deployed(key, entry.where, registry)
    for key, registered in registry.deployed.items():
        if key not in bootstrap.deployed:
            yield MissingDataError(
                f"{key} is registered as deployed, but is not among the deployed strategies of "
                f"{bootstrap.where}.",
                where=registered.where,
                fix="Add it there with its capital and target, or change its status.",
            )
    for key, registered in registry.deployed.items():
        if key in bootstrap.deployed:
            yield from _target_mismatch(key, bootstrap, registered)


def _not_deployed(key: str, where: str, registry: Registry) -> BadDataError:
    if key in registry.others:
        status, place = registry.others[key]
        return BadDataError(
            f"{key} is deployed here, but has status {status!r} in {place}.",
            where=where,
            fix="Write `status: deployed` there, or remove it here.",
        )
    return MissingDataError(
        f"{key} is deployed here, but not registered in {registry.where}.",
        where=where,
        fix="Add it to the registry with its target, or remove it here.",
    )


def _target_mismatch(
    key: str, bootstrap: Bootstrap, registered: RegisteredStrategy
) -> Iterator[BadDataError]:
    stated = bootstrap.deployed[key]
    projected = registered.target_percent * bootstrap.total_capital / 100
    if agree(stated.target, projected) or abs(stated.target - projected) <= _ONE_CENT:
        return
    percent = registered.target_percent.normalize()
    yield BadDataError(
        f"The target of {key} is {stated.target:f} here, but {percent:f} % of {bootstrap.total_capital:f}, "
        f"which is {projected.quantize(_ONE_CENT):f}, in {registered.where_target}.",
        where=stated.where,
        fix="Correct whichever is wrong; they may be 1 % apart.",
    )
