"""The paper venue's own file: what it holds, what it was asked, what it did.

The file belongs to the venue and not to us: our ledger never looks into it, and what is in it outlives our
process. WAL and ``synchronous=FULL``, asserted; every change of the venue is one ``BEGIN IMMEDIATE``
transaction, so that a kill leaves either no order or the order with its fills and balances.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal, Self, cast

from portfolio_rebalance.clock import format_instant, parse_instant
from portfolio_rebalance.errors import BrokerError, UsageError
from portfolio_rebalance.execution.broker import Instrument, Order
from portfolio_rebalance.execution.paper_fills import PaperFill
from portfolio_rebalance.records import Side

__all__ = ["OrderStatus", "PaperStore", "VenueOrder", "VenueState"]

OrderStatus = Literal["in_flight", "open", "filled", "closed", "rejected"]
"""``in_flight`` has not arrived yet; ``rejected`` arrived late and was refused: neither can be found."""

_APPLICATION: Final = 0x70617072
_VERSION: Final = 1
_SQLITE_HEADER_BYTES: Final = 100
_SCHEMA: Final = """
CREATE TABLE venue (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    cash         TEXT NOT NULL,
    script       TEXT NOT NULL,
    received     INTEGER NOT NULL,
    silent_calls INTEGER NOT NULL
) STRICT;
CREATE TABLE holdings (
    account  TEXT NOT NULL,
    asset    TEXT NOT NULL,
    quantity TEXT NOT NULL,
    PRIMARY KEY (account, asset)
) STRICT;
CREATE TABLE marks (
    account TEXT NOT NULL,
    asset   TEXT NOT NULL,
    price   TEXT NOT NULL,
    PRIMARY KEY (account, asset)
) STRICT;
CREATE TABLE orders (
    number        INTEGER PRIMARY KEY,
    client_id     TEXT NOT NULL,
    account       TEXT NOT NULL,
    asset         TEXT NOT NULL,
    side          TEXT NOT NULL,
    quantity      TEXT NOT NULL,
    limit_price   TEXT NOT NULL,
    status        TEXT NOT NULL,
    share         TEXT NOT NULL,
    parts_left    INTEGER NOT NULL,
    polls_left    INTEGER NOT NULL,
    stale_reports INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_by_client_id ON orders (client_id);
CREATE TABLE fills (
    number       INTEGER PRIMARY KEY,
    order_number INTEGER NOT NULL REFERENCES orders (number),
    quantity     TEXT NOT NULL,
    price        TEXT NOT NULL,
    cash_change  TEXT NOT NULL,
    commission   TEXT NOT NULL,
    at           TEXT NOT NULL
) STRICT;
CREATE INDEX fills_by_order ON fills (order_number);
INSERT INTO venue VALUES (1, '0', '', 0, 0);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueState:
    """What the venue knows beside holdings, marks and orders.

    Attributes:
        script: Canonical text of the fault script in force; empty for none.
        received: Orders received since that script was armed.
        silent_calls: Calls that will get no answer before the line is back.
    """

    cash: Decimal
    script: str
    received: int
    silent_calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """An order as the venue keeps it.

    Attributes:
        number: The venue's own, from 1; the same client id may occur under several.
        share: Of the quantity, that it will fill at most; the rest is closed.
        parts_left: Parts that are still to be filled, one at each look-up.
        polls_left: Look-ups until it arrives.
        stale_reports: Reports that will tell of its first fill only.
    """

    number: int
    order: Order
    status: OrderStatus
    share: Decimal
    parts_left: int
    polls_left: int
    stale_reports: int


class PaperStore:
    """A connection to the venue's file. Writes belong inside :meth:`transaction`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open the file, creating it, its folder and its tables if absent.

        Raises:
            BrokerError: Not a plain file, not ours, of another version, or not durable here.
        """
        _require_plain(path)
        with _as_broker_error(path):
            path.parent.mkdir(exist_ok=True)
            connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        try:
            with _as_broker_error(path):
                _prepare(connection, path)
            yield cls(connection, path)
        finally:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is read and written inside, or nothing of it.

        Raises:
            BrokerError: The file cannot be used, or holds what it cannot hold; nothing was changed.
        """
        with _as_broker_error(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def state(self) -> VenueState:
        """Cash, and how far the fault script is used up."""
        cash, script, received, silent_calls = self._connection.execute(
            "SELECT cash, script, received, silent_calls FROM venue"
        ).fetchone()
        return VenueState(cash=Decimal(cash), script=script, received=received, silent_calls=silent_calls)

    def set_state(self, state: VenueState) -> None:
        """Replace :meth:`state`."""
        self._connection.execute(
            "UPDATE venue SET cash = ?, script = ?, received = ?, silent_calls = ?",
            (str(state.cash), state.script, state.received, state.silent_calls),
        )

    def holdings(self) -> dict[Instrument, Decimal]:
        """Quantities that are not 0, negative when short."""
        rows = self._connection.execute("SELECT account, asset, quantity FROM holdings").fetchall()
        return {(row[0], row[1]): Decimal(row[2]) for row in rows if Decimal(row[2])}

    def set_holding(self, instrument: Instrument, quantity: Decimal) -> None:
        """What one account holds of an asset."""
        self._connection.execute(
            "INSERT INTO holdings VALUES (?, ?, ?)"
            " ON CONFLICT (account, asset) DO UPDATE SET quantity = excluded.quantity",
            (*instrument, str(quantity)),
        )

    def marks(self) -> dict[Instrument, Decimal]:
        """Price by instrument."""
        rows = self._connection.execute("SELECT account, asset, price FROM marks").fetchall()
        return {(row[0], row[1]): Decimal(row[2]) for row in rows}

    def set_marks(self, marks: Mapping[Instrument, Decimal]) -> None:
        """Set these prices; others stay."""
        self._connection.executemany(
            "INSERT INTO marks VALUES (?, ?, ?)"
            " ON CONFLICT (account, asset) DO UPDATE SET price = excluded.price",
            [(*instrument, str(price)) for instrument, price in marks.items()],
        )

    def forget_holdings_and_marks(self) -> None:
        """Before others are adopted."""
        self._connection.execute("DELETE FROM holdings")
        self._connection.execute("DELETE FROM marks")

    def next_order_number(self) -> int:
        """The number of the next order."""
        return int(self._connection.execute("SELECT coalesce(max(number), 0) + 1 FROM orders").fetchone()[0])

    def put_order(self, kept: VenueOrder) -> None:
        """Store a new order, or how one stands now; another may have had its client id."""
        order = kept.order
        self._connection.execute(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number) DO UPDATE"
            " SET status = excluded.status, parts_left = excluded.parts_left,"
            " polls_left = excluded.polls_left, stale_reports = excluded.stale_reports",
            (
                kept.number,
                order.client_id,
                order.account,
                order.asset,
                order.side,
                str(order.quantity),
                str(order.limit_price),
                kept.status,
                str(kept.share),
                kept.parts_left,
                kept.polls_left,
                kept.stale_reports,
            ),
        )

    def orders(self, client_id: str) -> tuple[VenueOrder, ...]:
        """Every order of a client id, newest first."""
        return self._orders("WHERE client_id = ? ORDER BY number DESC", (client_id,))

    def pending(self) -> tuple[VenueOrder, ...]:
        """Orders that are open or on their way, oldest first."""
        return self._orders("WHERE status IN ('open', 'in_flight') ORDER BY number", ())

    def add_fill(self, fill: PaperFill) -> None:
        """One execution of an order."""
        self._connection.execute(
            "INSERT INTO fills (order_number, quantity, price, cash_change, commission, at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                fill.order_number,
                str(fill.quantity),
                str(fill.price),
                str(fill.cash_change),
                str(fill.commission),
                format_instant(fill.at),
            ),
        )

    def fills(self, *, order_number: int | None = None) -> tuple[PaperFill, ...]:
        """Executions, oldest first: of one order, or all."""
        rows = self._connection.execute(
            "SELECT order_number, client_id, account, asset, side, fills.quantity, price, cash_change,"
            " commission, at FROM fills JOIN orders ON orders.number = order_number"
            " WHERE order_number = coalesce(?, order_number) ORDER BY fills.number",
            (order_number,),
        ).fetchall()
        return tuple(
            PaperFill(
                order_number=row[0],
                client_id=row[1],
                account=row[2],
                asset=row[3],
                side=cast(Side, row[4]),
                quantity=Decimal(row[5]),
                price=Decimal(row[6]),
                cash_change=Decimal(row[7]),
                commission=Decimal(row[8]),
                at=parse_instant(row[9], where=self._path.name),
            )
            for row in rows
        )

    def _orders(self, which: str, values: tuple[str, ...]) -> tuple[VenueOrder, ...]:
        rows = self._connection.execute(f"SELECT * FROM orders {which}", values).fetchall()  # noqa: S608
        return tuple(
            VenueOrder(
                number=row[0],
                order=Order(
                    client_id=row[1],
                    account=row[2],
                    asset=row[3],
                    side=cast(Side, row[4]),
                    quantity=Decimal(row[5]),
                    limit_price=Decimal(row[6]),
                ),
                status=cast(OrderStatus, row[7]),
                share=Decimal(row[8]),
                parts_left=row[9],
                polls_left=row[10],
                stale_reports=row[11],
            )
            for row in rows
        )


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    _require_ours(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    if journal != "wal" or synchronous != 2:
        raise BrokerError(
            f"The paper venue is not durable here (journal {journal}, synchronous {synchronous}).",
            where=path.name,
            fix="Keep the workspace on a local disk that supports write-ahead logging.",
        )
    connection.execute("BEGIN IMMEDIATE")
    if _pragma(connection, "user_version") == 0:
        for statement in _SCHEMA.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {_VERSION}")
    connection.execute("COMMIT")


def _require_ours(connection: sqlite3.Connection, path: Path) -> None:
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and _pragma(connection, "application_id") != _APPLICATION:
        raise BrokerError(
            "This is another program's database.", where=path.name, fix="Move it away; it was not touched."
        )
    found = _pragma(connection, "user_version")
    if found not in (0, _VERSION):
        raise BrokerError(
            f"The paper venue has schema version {found}; this version reads {_VERSION}.",
            where=path.name,
            fix="Use the version of trading-portfolio-rebalance that wrote it, or a newer one.",
        )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _require_plain(path: Path) -> None:
    """Refuse a file, or what SQLite keeps beside it, that is no plain file: it could lead outside."""
    beside = (path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))
    for place in (path.parent, path, *beside):
        try:
            found = os.lstat(place)
        except (FileNotFoundError, NotADirectoryError):
            continue
        plain = (
            stat.S_ISDIR(found.st_mode)
            if place == path.parent
            else stat.S_ISREG(found.st_mode) and found.st_nlink == 1
        )
        if not plain:
            raise BrokerError(
                f"{place.name} is a link or not what it should be.",
                where=place.name,
                fix="Remove or rename it.",
            )
        if place == path and 0 < found.st_size < _SQLITE_HEADER_BYTES:
            raise BrokerError(
                f"{path.name} was cut off.", where=path.name, fix="Restore it from a backup, or move it away."
            )


@contextmanager
def _as_broker_error(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, ArithmeticError, ValueError, TypeError, UsageError) as cause:
        raise BrokerError(
            f"The paper venue cannot be used: {cause}.",
            where=path.name,
            fix="Check that the workspace is writable and the file is the venue's, else restore a backup.",
        ) from cause
