"""Paper venues to try things on, and orders for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

from portfolio_rebalance.execution.broker import Order
from portfolio_rebalance.execution.faults import FaultScript
from portfolio_rebalance.execution.paper import PAPER, AssetRules, PaperVenue
from portfolio_rebalance.records import StrategyBook

D = Decimal
NOW = datetime(2025, 2, 5, 2, tzinfo=UTC)
BTC, ETH, OTHER_BTC = ("main", "BTC"), ("main", "ETH"), ("second", "BTC")
MARKS = {BTC: D(8300), ETH: D(180), OTHER_BTC: D(8300)}
FREE, CASH = D(0), D(10_000)
BOOKS = {
    "STR-001": StrategyBook(account="main", own_cash=D(0), quantities={"BTC": D("0.5"), "ETH": D(-3)}),
    "STR-002": StrategyBook(account="second", own_cash=D(0), quantities={"BTC": D("0.25")}),
}


@contextmanager
def open_venue(
    root: Path,
    *,
    slippage_bps: Decimal = FREE,
    commission_bps: Decimal = FREE,
    seed: str = "seed",
    rules: Mapping[str, AssetRules] | None = None,
    faults: str | None = None,
) -> Iterator[PaperVenue]:
    """The venue of a workspace, which is made if missing; free of cost unless told otherwise."""
    root.mkdir(exist_ok=True)
    with PaperVenue.open(
        root / PAPER,
        now=lambda: NOW,
        slippage_bps=slippage_bps,
        commission_bps=commission_bps,
        seed=seed,
        rules=rules,
        faults=None if faults is None else FaultScript.parse(faults),
    ) as venue:
        yield venue


def fund(venue: PaperVenue, *, cash: Decimal = CASH) -> None:
    """10 000 in cash, half a BTC and three ETH short in one account, a quarter of a BTC in another."""
    venue.adopt(BOOKS, pool_cash=cash, marks=MARKS)


def buy(client_id: str, quantity: str, *, limit: str = "9000", asset: str = "BTC") -> Order:
    return Order(
        client_id=client_id,
        account="main",
        asset=asset,
        side="BUY",
        quantity=D(quantity),
        limit_price=D(limit),
    )


def sell(client_id: str, quantity: str, *, limit: str = "7000", asset: str = "BTC") -> Order:
    return Order(
        client_id=client_id,
        account="main",
        asset=asset,
        side="SELL",
        quantity=D(quantity),
        limit_price=D(limit),
    )


def slippage(client_id: str, *, mean_bps: str, seed: str) -> Fraction:
    """The documented formula, written again: basis points between 0.6 and 1.4 of the mean."""
    drawn = int(sha256(f"{seed}\0{client_id}".encode()).hexdigest()[:16], 16)
    return Fraction(mean_bps) * (3 + 4 * Fraction(drawn, 2**64 - 1)) / 5


def rows(root: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that stands in the venue's file, by table."""
    with closing(sqlite3.connect(root / PAPER)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # whoever looks need not wait for the disk
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in tables}
