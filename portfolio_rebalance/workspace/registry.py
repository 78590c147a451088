"""``knowledge/registry.yaml``: every strategy anybody ever wrote, and the targets of those that are deployed.

Only ``status: deployed`` counts. Thousands of others may stand beside them in whatever shape their tools give
them, so of those nothing but the id and the status is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field

from portfolio_rebalance.clock import Clock
from portfolio_rebalance.config import Number
from portfolio_rebalance.errors import BadDataError, FutureDataError, MissingDataError
from portfolio_rebalance.workspace import layout, strict_yaml
from portfolio_rebalance.workspace.checks import instant_at, require_ids
from portfolio_rebalance.workspace.files import exists, read_text
from portfolio_rebalance.workspace.open_models import Line, OpenModel, read_open, unknown_keys, value_at
from portfolio_rebalance.workspace.problems import Problems
from portfolio_rebalance.workspace.strict_yaml import Document

__all__ = [
    "STRATEGIES",
    "LastRebalance",
    "RegisteredStrategy",
    "Registry",
    "RegistryFile",
    "TargetPercent",
    "open_registry",
    "read_registry",
    "refuse_targets_over_total",
]

STRATEGIES: Final = "strategies"
DEPLOYED: Final = "deployed"

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

TargetPercent: TypeAlias = Annotated[Number, Field(ge=0, le=100, max_digits=20, decimal_places=12)]
"""A target in percent of total capital."""


class _LastRebalance(OpenModel):
    at: str
    reason: str
    plan_id: str


class _Entry(OpenModel):
    name: Line | None = None
    status: str
    target_allocation_percent: TargetPercent
    deployed_on: str | None = None
    assets: tuple[Line, ...] | None = None
    risk_profile: Line | None = None
    pinned: bool = False
    control: Literal["positions", "bot"] | None = None
    account: Line | None = None
    last_rebalance: _LastRebalance | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRebalance:
    """What we wrote when the target was last set."""

    at: datetime
    reason: str
    plan_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredStrategy:
    """One deployed strategy as the registry states it.

    Attributes:
        name: Its id, where it has no name.
        target_percent: In percent of total capital.
        pinned: No rebalance may change it.
        where: ``file:line`` of the entry.
        where_target: ``file:line`` of its target.
        unknown: ``file:line`` and path of each key that is accepted and not understood.
    """

    name: str
    target_percent: Decimal
    assets: tuple[str, ...]
    risk_profile: str | None
    pinned: bool
    control: Literal["positions", "bot"] | None
    account: str | None
    last_rebalance: LastRebalance | None
    where: str
    where_target: str
    unknown: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The registry, checked.

    Attributes:
        deployed: The strategies that count, by id.
        others: ``status`` and ``file:line`` of the rest, by id.
        where: ``file:line`` of the list.
    """

    deployed: Mapping[str, RegisteredStrategy]
    others: Mapping[str, tuple[str, str]]
    label: str
    sha256: str
    where: str


def read_registry(root: Path, *, clock: Clock) -> Registry:
    """The workspace's registry.

    Raises:
        MissingDataError: There is none.
        FutureDataError: A date in it is later than the run.
        BadDataError: Anything else that cannot be trusted, with ``file:line``.
    """
    file = open_registry(root)
    problems = Problems()
    entries = {key: problems.attempt(file.entry, key, clock=clock) for key in file.deployed_ids}
    registry = file.with_deployed({key: entry for key, entry in entries.items() if entry})
    problems.attempt(refuse_targets_over_total, registry)
    problems.raise_any()
    return registry


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryFile:
    """The registry with ids and statuses checked, its entries not yet: they can be read one by one."""

    document: Document
    deployed_ids: tuple[str, ...]
    others: Mapping[str, tuple[str, str]]
    sha256: str

    def entry(self, strategy: str, *, clock: Clock) -> RegisteredStrategy:
        """One deployed strategy.

        Raises:
            FutureDataError: Deployed, or last rebalanced, later than the run.
            BadDataError: A value does not fit.
        """
        document, at = self.document, (STRATEGIES, strategy)
        problems = Problems()
        model = problems.attempt(read_open, document, _Entry, at=at)
        deployed_on = value_at(document, (*at, "deployed_on"))
        if isinstance(deployed_on, str):
            where = (*at, "deployed_on")
            problems.attempt(_refuse_future_deployment, deployed_on, document, where, clock=clock)
        last_rebalance = (
            problems.attempt(_last_rebalance, model.last_rebalance, document, at, clock=clock)
            if model
            else None
        )
        problems.raise_any()
        assert model is not None
        return RegisteredStrategy(
            name=model.name or strategy,
            target_percent=model.target_allocation_percent,
            assets=model.assets or (),
            risk_profile=model.risk_profile,
            pinned=model.pinned,
            control=model.control,
            account=model.account,
            last_rebalance=last_rebalance,
            where=document.where(at),
            where_target=document.where((*at, "target_allocation_percent")),
            unknown=tuple(
                (document.where(path), ".".join(map(str, path)))
                for path in unknown_keys(document, _Entry, at=at)
            ),
        )

    def with_deployed(self, deployed: Mapping[str, RegisteredStrategy]) -> Registry:
        """The registry that consists of these entries, read before."""
        return Registry(
            deployed=MappingProxyType(dict(deployed)),
            others=self.others,
            label=self.document.label,
            sha256=self.sha256,
            where=self.document.where((STRATEGIES,)),
        )


def open_registry(root: Path) -> RegistryFile:
    """The registry, checked as far as ids and statuses.

    Raises:
        MissingDataError: There is no such file, or no ``strategies`` in it.
        BadDataError: An id or a status does not fit.
    """
    if not exists(root, layout.REGISTRY):
        raise MissingDataError(
            "There is no registry.",
            where=f"{root.name}/{layout.REGISTRY}",
            fix="`trading-portfolio-rebalance init` writes an empty one; register what you have deployed.",
        )
    file = read_text(root, layout.REGISTRY)
    document = strict_yaml.parse(file.text, label=file.label)
    problems = Problems()
    entries = problems.attempt(_entries, document, problems) or {}
    statuses = {key: problems.attempt(_status, document, key) for key in entries}
    problems.raise_any()
    return RegistryFile(
        document=document,
        deployed_ids=tuple(key for key, status in statuses.items() if status == DEPLOYED),
        others=MappingProxyType(
            {
                key: (status, document.where((STRATEGIES, key)))
                for key, status in statuses.items()
                if status is not None and status != DEPLOYED
            }
        ),
        sha256=file.sha256,
    )


class _Status(OpenModel):
    status: str


class _File(OpenModel):
    strategies: dict[str, object] | None


def _entries(document: Document, problems: Problems) -> Mapping[str, object]:
    entries = read_open(document, _File).strategies or {}
    problems.attempt(require_ids, document, (STRATEGIES,), entries)
    return entries


def _status(document: Document, strategy: str) -> str:
    """Thousands of entries pass here, so only one without a plain status goes through the model."""
    at = (STRATEGIES, strategy)
    entry = document.value[STRATEGIES][strategy]  # type: ignore[index,call-overload]
    status = entry.get("status") if isinstance(entry, dict) else None
    return status if isinstance(status, str) else read_open(document, _Status, at=at).status


def _refuse_future_deployment(
    text: str, document: Document, at: tuple[str | int, ...], *, clock: Clock
) -> None:
    """``deployed_on`` is a day or an instant, whichever its writer knew."""
    if "T" in text:
        instant_at(document, at, text, clock=clock)
        return
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        raise BadDataError(
            f"{text!r} is not a date.",
            where=document.where(at),
            fix="Write the day of deployment, such as 2019-10-01.",
        )
    if day > clock.today:  # a replayed run may be older than a deployment; today never is
        raise FutureDataError(
            f"Deployed on {day}, later than today, {clock.today}.",
            where=document.where(at),
            fix="Correct the date, or set another status until then.",
        )


def _last_rebalance(
    model: _LastRebalance | None, document: Document, at: tuple[str | int, ...], *, clock: Clock
) -> LastRebalance | None:
    if model is None:
        return None
    at = (*at, "last_rebalance", "at")
    return LastRebalance(
        at=instant_at(document, at, model.at, clock=clock), reason=model.reason, plan_id=model.plan_id
    )


def refuse_targets_over_total(registry: Registry) -> None:
    """Targets are shares of one portfolio.

    Raises:
        BadDataError: They add up to more than 100 %.
    """
    total = sum((entry.target_percent for entry in registry.deployed.values()), Decimal(0))
    if total > 100:
        raise BadDataError(
            f"The targets of the deployed strategies add up to {total.normalize():f} %, more than 100 %.",
            where=registry.where,
            fix="Lower target_allocation_percent, or change the status of what is no longer deployed.",
        )
