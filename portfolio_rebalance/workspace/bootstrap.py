"""``BOOTSTRAP.md``: what is deployed and how much money there is, in one YAML block of a person's document.

Amounts are refused where they cannot be: no capital at all, less than none, parts that do not make up the
total written beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, TypeAlias

from pydantic import BeforeValidator, Field

from portfolio_rebalance.clock import Clock
from portfolio_rebalance.errors import BadDataError, MissingDataError
from portfolio_rebalance.records import Money
from portfolio_rebalance.workspace import layout, strict_yaml
from portfolio_rebalance.workspace.checks import agree, instant_at, require_ids
from portfolio_rebalance.workspace.files import FileText, exists, read_text
from portfolio_rebalance.workspace.open_models import OpenModel, read_open, unknown_keys, value_at
from portfolio_rebalance.workspace.problems import Problems
from portfolio_rebalance.workspace.state_block import STATE, find_state_block

__all__ = [
    "DEPLOYED",
    "Amount",
    "Bootstrap",
    "BootstrapEntry",
    "parse_bootstrap",
    "read_bootstrap",
]

DEPLOYED: Final = "deployed_strategies"


Amount: TypeAlias = Annotated[Money, Field(ge=0)]
"""Money that cannot be owed."""


class _Deployed(OpenModel):
    capital: Amount
    target: Amount


def _nothing_is_empty(value: object) -> object:
    """The last strategy may have been commented out, which leaves a key with nothing under it."""
    return {} if value is None else value


class _State(OpenModel):
    as_of: str
    total_capital: Annotated[Money, Field(gt=0)]
    cash: Amount | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,11}$")]
    deployed_strategies: Annotated[dict[str, _Deployed], BeforeValidator(_nothing_is_empty)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapEntry:
    """One deployed strategy as BOOTSTRAP states it; both amounts in the portfolio's currency."""

    capital: Decimal
    target: Decimal
    where: str
    where_capital: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """The block, checked.

    Attributes:
        cash: As written, else what the total leaves beside the capital as written.
        where: ``file:line`` of the list of strategies.
        where_as_of: ``file:line`` of the instant.
        where_total: ``file:line`` of the total.
        where_currency: ``file:line`` of the currency.
        unknown: ``file:line`` and path of each key that is accepted and not understood.
    """

    as_of: datetime
    total_capital: Decimal
    cash: Decimal
    currency: str
    deployed: Mapping[str, BootstrapEntry]
    label: str
    sha256: str
    where: str
    where_as_of: str
    where_total: str
    where_currency: str
    unknown: tuple[tuple[str, str], ...]


def read_bootstrap(root: Path, *, clock: Clock) -> Bootstrap:
    """The state block of the workspace's BOOTSTRAP.md.

    Raises:
        MissingDataError: No such file, or no such block in it.
        FutureDataError: Its instant is later than the run.
        BadDataError: Anything else that cannot be trusted, with ``file:line``.
    """
    if not exists(root, layout.BOOTSTRAP):
        raise MissingDataError(
            "There is no BOOTSTRAP.md.",
            where=f"{root.name}/{layout.BOOTSTRAP}",
            fix="`trading-portfolio-rebalance init` writes an empty one; fill in what you have deployed.",
        )
    return parse_bootstrap(read_text(root, layout.BOOTSTRAP), clock=clock)


def parse_bootstrap(file: FileText, *, clock: Clock) -> Bootstrap:
    """:func:`read_bootstrap` on a text at hand."""
    block = find_state_block(file.text, label=file.label)
    document = strict_yaml.parse(block.text, label=file.label, first_line=block.first_line)
    at = (STATE,)
    problems = Problems()
    deployed = value_at(document, (*at, DEPLOYED))
    if isinstance(deployed, dict):
        problems.attempt(require_ids, document, (*at, DEPLOYED), deployed)
    model = problems.attempt(read_open, document, _State, at=at)
    stated = value_at(document, (*at, "as_of"))
    as_of = (
        problems.attempt(instant_at, document, (*at, "as_of"), stated, clock=clock)
        if isinstance(stated, str)
        else None
    )
    cash = problems.attempt(_cash, model, document) if model else None
    problems.raise_any()
    assert model is not None
    assert as_of is not None
    assert cash is not None
    return Bootstrap(
        as_of=as_of,
        total_capital=model.total_capital,
        cash=cash,
        currency=model.currency,
        deployed=MappingProxyType(
            {
                key: BootstrapEntry(
                    capital=entry.capital,
                    target=entry.target,
                    where=document.where((*at, DEPLOYED, key)),
                    where_capital=document.where((*at, DEPLOYED, key, "capital")),
                )
                for key, entry in model.deployed_strategies.items()
            }
        ),
        label=file.label,
        sha256=file.sha256,
        where=document.where((*at, DEPLOYED)),
        where_as_of=document.where((*at, "as_of")),
        where_total=document.where((*at, "total_capital")),
        where_currency=document.where((*at, "currency")),
        unknown=tuple(
            (document.where(path), ".".join(map(str, path))) for path in unknown_keys(document, _State, at=at)
        ),
    )


def _cash(model: _State, document: strict_yaml.Document) -> Decimal:
    """Cash as written or left over; the parts must make up the total that is written beside them."""
    capital = sum((entry.capital for entry in model.deployed_strategies.values()), Decimal(0))
    total = model.total_capital
    if model.cash is None:
        if capital > total:
            raise BadDataError(
                f"The capital of the strategies adds up to {capital:f}, more than total_capital, {total:f}.",
                where=document.where((STATE, "total_capital")),
                fix="Correct the total or the capitals.",
            )
        return total - capital
    if not agree(model.cash + capital, total):
        raise BadDataError(
            f"Cash {model.cash:f} and capital {capital:f} make {model.cash + capital:f}, "
            f"but total_capital is {total:f}: more than 1 % apart.",
            where=document.where((STATE, "total_capital")),
            fix="Correct whichever is wrong, or leave `cash` out to have it computed.",
        )
    return model.cash
