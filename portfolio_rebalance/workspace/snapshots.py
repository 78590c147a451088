"""Snapshots: what a strategy was worth, and held, at one instant.

The newest ``as_of`` *inside* the files wins. A file's name is only a way to find it: where the newest name
states the instant that its file states too, the other names are believed; where it does not, or where a name
states nothing, the files themselves are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import Field

from portfolio_rebalance.clock import Clock, format_instant
from portfolio_rebalance.errors import BadDataError
from portfolio_rebalance.records import Money, Position, Quantity
from portfolio_rebalance.workspace import layout, strict_yaml
from portfolio_rebalance.workspace.bootstrap import Amount
from portfolio_rebalance.workspace.checks import agree, instant_at
from portfolio_rebalance.workspace.files import list_names, read_text
from portfolio_rebalance.workspace.open_models import Line, OpenModel, read_open, unknown_keys, value_at
from portfolio_rebalance.workspace.problems import Problems

__all__ = ["PNL_WINDOWS", "Snapshot", "is_snapshot_name", "newest_snapshot"]

PNL_WINDOWS: Final = ("1h", "4h", "1d")


class _Pnl(OpenModel):
    hour: Annotated[Money | None, Field(alias="1h")] = None
    four_hours: Annotated[Money | None, Field(alias="4h")] = None
    day: Annotated[Money | None, Field(alias="1d")] = None


class _Leg(OpenModel):
    asset: Line
    quantity: Quantity
    price: Amount
    market_value: Money


class _Snapshot(OpenModel):
    as_of: str
    pnl: _Pnl | None = None
    market_value: Amount
    positions: tuple[_Leg, ...] | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One snapshot, checked.

    Attributes:
        market_value: The strategy's equity: its positions and its own cash.
        pnl: By window, all three; None where unknown.
        positions: Empty where the file states none.
        where: ``file:line`` of the instant.
        where_value: ``file:line`` of the market value.
        mismatches: ``file:line`` and text of each position whose value is not quantity times price.
        unknown: ``file:line`` and path of each key that is accepted and not understood.
    """

    as_of: datetime
    market_value: Decimal
    positions: tuple[Position, ...]
    pnl: Mapping[str, Decimal | None]
    label: str
    sha256: str
    where: str
    where_value: str
    mismatches: tuple[tuple[str, str], ...]
    unknown: tuple[tuple[str, str], ...]


def newest_snapshot(root: Path, strategy: str, *, currency: tuple[str, str], clock: Clock) -> Snapshot | None:
    """The snapshot with the newest instant inside, or None if the strategy has none.

    Args:
        root: The workspace folder.
        strategy: Its id; checked before it becomes part of a path.
        currency: The portfolio's currency and the ``file:line`` that states it.
        clock: The run's clock.

    Raises:
        FutureDataError: It is later than the run.
        BadDataError: It cannot be trusted, or two different ones claim the same instant.
    """
    folder = layout.performance_folder(strategy)

    def read(names: Iterable[str]) -> list[Snapshot]:
        return [_read(root, f"{folder}/{name}", currency=currency, clock=clock) for name in names]

    names = [name for name in list_names(root, folder) if is_snapshot_name(name)]
    stamps = {name: stamp for name in names if (stamp := _stamp(name)) is not None}
    newest = max(stamps.values(), default=None)
    read_first = [name for name in names if name not in stamps or stamps[name] == newest]
    snapshots = read(read_first)
    if any(
        name in stamps and snapshot.as_of.replace(microsecond=0) != stamps[name]
        for name, snapshot in zip(read_first, snapshots, strict=True)
    ):
        snapshots += read(name for name in names if name not in read_first)
    return _the_newest(snapshots)


# --- which file ------------------------------------------------------------------------------------------

_NAME: Final = re.compile(r"snapshot-.+\.yaml")
_STAMPED: Final = re.compile(
    r"snapshot-(\d{4})-?(\d{2})-?(\d{2})T(\d{2})[:-]?(\d{2})[:-]?(\d{2})Z\.yaml", re.ASCII
)


def is_snapshot_name(name: str) -> bool:
    """Whether a file of this name is read as a snapshot."""
    return bool(_NAME.fullmatch(name))


def _stamp(name: str) -> datetime | None:
    """The instant that a file's name states: ``snapshot-2019-10-01T010000Z.yaml`` and its variants."""
    match = _STAMPED.fullmatch(name)
    if not match:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:  # a date that no calendar has
        return None


def _the_newest(snapshots: list[Snapshot]) -> Snapshot | None:
    newest = max(snapshots, key=lambda snapshot: snapshot.as_of, default=None)
    for other in snapshots:
        if newest and other.as_of == newest.as_of and other.sha256 != newest.sha256:
            raise BadDataError(
                f"Two different snapshots claim {format_instant(newest.as_of)}: this one and {other.where}.",
                where=newest.where,
                fix="Remove the one that does not hold.",
            )
    return newest


# --- what is in it ---------------------------------------------------------------------------------------


def _read(root: Path, relative: str, *, currency: tuple[str, str], clock: Clock) -> Snapshot:
    file = read_text(root, relative)
    document = strict_yaml.parse(file.text, label=file.label)
    problems = Problems()
    model = problems.attempt(read_open, document, _Snapshot)
    stated = value_at(document, ("as_of",))
    as_of = (
        problems.attempt(instant_at, document, ("as_of",), stated, clock=clock)
        if isinstance(stated, str)
        else None
    )
    if model:
        problems.attempt(_refuse_other_currency, model, document, currency)
        problems.attempt(_refuse_double_assets, model.positions or (), document)
    problems.raise_any()
    assert model is not None
    assert as_of is not None
    legs = model.positions or ()
    pnl = model.pnl or _Pnl()
    return Snapshot(
        as_of=as_of,
        market_value=model.market_value,
        positions=tuple(
            Position(asset=leg.asset, quantity=leg.quantity, price=leg.price, market_value=leg.market_value)
            for leg in legs
        ),
        pnl=MappingProxyType(dict(zip(PNL_WINDOWS, (pnl.hour, pnl.four_hours, pnl.day), strict=True))),
        label=file.label,
        sha256=file.sha256,
        where=document.where(("as_of",)),
        where_value=document.where(("market_value",)),
        mismatches=tuple(_mismatches(legs, document)),
        unknown=tuple(
            (document.where(path), ".".join(map(str, path))) for path in unknown_keys(document, _Snapshot)
        ),
    )


def _refuse_other_currency(
    model: _Snapshot, document: strict_yaml.Document, currency: tuple[str, str]
) -> None:
    if model.currency not in (None, currency[0]):
        raise BadDataError(
            f"The currency is {model.currency!r}, but {currency[0]!r} in {currency[1]}.",
            where=document.where(("currency",)),
            fix="State the value in the portfolio's currency.",
        )


def _refuse_double_assets(legs: Sequence[_Leg], document: strict_yaml.Document) -> None:
    """Quantities are kept by asset from here on; of two legs one would be lost."""
    first: dict[str, int] = {}
    for place, leg in enumerate(legs):
        if leg.asset in first:
            raise BadDataError(
                f"{leg.asset!r} stands in two positions, here and in "
                f"{document.where(('positions', first[leg.asset]))}.",
                where=document.where(("positions", place)),
                fix="Add them up, or name them apart (BTC, BTC-PERP).",
            )
        first[leg.asset] = place


def _mismatches(legs: Sequence[_Leg], document: strict_yaml.Document) -> Iterable[tuple[str, str]]:
    for place, leg in enumerate(legs):
        product = leg.quantity * leg.price
        if not agree(product, leg.market_value):
            yield (
                document.where(("positions", place, "market_value")),
                f"The market value of {leg.asset} is {leg.market_value:f}, "
                f"but quantity times price is {product:f}: more than 1 % apart.",
            )
