"""The ledger: SQLite, the durable truth of runs, plans, approvals, executions and the files they change.

Opened with ``journal_mode=WAL`` and ``synchronous=FULL`` and asserted to be so: in WAL mode FULL syncs the
log on every commit, so what was committed is there after a power cut. Every write is one ``BEGIN IMMEDIATE``
transaction. What is stored is canonical: no wall-clock time is written beside it.

Approvals, the journal and the outbox have modules of their own, imported only when they are asked for.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

from pydantic import ValidationError

from portfolio_rebalance.clock import parse_instant
from portfolio_rebalance.errors import LedgerError, PlanNotFoundError, UsageError
from portfolio_rebalance.records import Record, RunSummary
from portfolio_rebalance.workspace.ledger_schema import VERSION, prepare, require_known, stand_in, version_of

if TYPE_CHECKING:
    from portfolio_rebalance.records import TuningStep
    from portfolio_rebalance.workspace.approvals import ApprovalStore
    from portfolio_rebalance.workspace.follow_ups import FollowUps
    from portfolio_rebalance.workspace.journal import ExecutionJournal
    from portfolio_rebalance.workspace.outbox import Outbox, Projection

__all__ = [
    "LEDGER",
    "Ledger",
    "RunEntry",
    "RunStore",
    "as_ledger_error",
    "read_record",
    "require_single",
    "stamp",
]

LEDGER: Final = "portfolio-rebalance/ledger.db"
_SQLITE_HEADER_BYTES: Final = 100
_MOST_CAPITAL: Final = Decimal(10) ** 20
_R = TypeVar("_R", bound=Record)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """One finished run, as stored.

    Attributes:
        state: ``planned``, ``hold`` or ``blocked``; ``committed`` once a plan was executed and verified.
        high_pairs: Pairs that were HIGH, for the hysteresis of later runs.
        result: The run's full result, JSON.
        plan: Plan id, expiry and canonical bytes; None where nothing awaits a person.
    """

    run_id: str
    as_of: datetime
    state: str
    mode: str
    recommendation: str
    basis: str
    total_capital: Decimal
    high_pairs: tuple[tuple[str, str], ...]
    result: bytes
    plan: tuple[str, datetime, bytes] | None


class RunStore(Protocol):
    """What a run needs of a ledger."""

    def add_run(self, entry: RunEntry, *, projections: Sequence[Projection] = ()) -> None:
        """Store a run and its plan in one transaction; the same run again changes nothing."""
        ...

    def last_total(self, *, until: datetime) -> tuple[datetime, Decimal] | None:
        """When and how large total capital was at the last run up to an instant."""
        ...

    def last_committed_pairs(self, *, before: datetime, within: timedelta) -> tuple[tuple[str, str], ...]:
        """HIGH pairs of the last committed run before an instant, if recent enough."""
        ...


class Ledger:
    """A connection to ``ledger.db``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, root: Path) -> Iterator[Self]:
        """Open for writing, creating the file if absent and migrating it if older.

        Raises:
            LedgerError: Not a plain file, unreadable, of a newer version, or not durable here.
        """
        path = root / LEDGER
        _require_plain(path)
        with as_ledger_error(path):
            path.parent.mkdir(exist_ok=True)
            connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        try:
            with as_ledger_error(path):
                prepare(connection, path)
            yield cls(connection)
        finally:
            connection.close()

    @classmethod
    @contextmanager
    def read(cls, root: Path) -> Iterator[Self | None]:
        """Open for reading only; None when there is no ledger yet. Never creates a file.

        An older ledger is read as it is: what its version did not know, it has none of.

        Raises:
            LedgerError: Not a plain file, unreadable, or of a newer version.
        """
        path = root / LEDGER
        _require_plain(path)
        if not path.exists():
            yield None
            return
        with as_ledger_error(path):
            connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        try:
            with as_ledger_error(path):
                found = version_of(connection)
                require_known(found, path)
                if 0 < found < VERSION:
                    stand_in(connection, found)
                connection.execute("PRAGMA query_only = ON")
            yield cls(connection) if found else None
        finally:
            connection.close()

    @cached_property
    def approvals(self) -> ApprovalStore:
        """Stored plans, and what people said of them."""
        from portfolio_rebalance.workspace.approvals import ApprovalStore

        return ApprovalStore(self)

    @cached_property
    def journal(self) -> ExecutionJournal:
        """Executions and their steps."""
        from portfolio_rebalance.workspace.journal import ExecutionJournal

        return ExecutionJournal(self)

    @cached_property
    def follow_ups(self) -> FollowUps:
        """What follows an execution: ticks, outcomes, steps of estimates, learnings."""
        from portfolio_rebalance.workspace.follow_ups import FollowUps

        return FollowUps(self)

    @cached_property
    def outbox(self) -> Outbox:
        """Files that a committed change has yet to write."""
        from portfolio_rebalance.workspace.outbox import Outbox

        return Outbox(self)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One durable change, or none: what leaves it without an error has reached the disk.

        Raises:
            LedgerError: The database refuses, and nothing was changed; unless the disk failed in the very
                last step, when the next start may find the change made. So nothing more is done then.
        """
        with as_ledger_error(LEDGER):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def rows(
        self, query: str, values: Sequence[str | int] | Mapping[str, str] = ()
    ) -> list[tuple[object, ...]]:
        """The rows that a query finds.

        Raises:
            LedgerError: The database refuses.
        """
        with as_ledger_error(LEDGER):
            return self._connection.execute(query, values).fetchall()

    def add_run(self, entry: RunEntry, *, projections: Sequence[Projection] = ()) -> None:
        """Store a run, its plan and the files it is to write in one transaction.

        The same run again changes nothing, and writes nothing either.
        """
        with self.transaction() as connection:
            plan_id = None
            if entry.plan is not None:
                plan_id, expires_at, content = entry.plan
                connection.execute(
                    "INSERT INTO plans VALUES (?, ?, ?, ?) ON CONFLICT (plan_id) DO NOTHING",
                    (plan_id, stamp(entry.as_of), stamp(expires_at), content),
                )
            added = connection.execute(
                "INSERT INTO runs (run_id, as_of, state, mode, recommendation, basis, total_capital,"
                " high_pairs, plan_id, result) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (run_id) DO NOTHING",
                (
                    entry.run_id,
                    stamp(entry.as_of),
                    entry.state,
                    entry.mode,
                    entry.recommendation,
                    entry.basis,
                    str(entry.total_capital),
                    json.dumps(entry.high_pairs),
                    plan_id,
                    entry.result,
                ),
            )
            if added.rowcount and projections:
                self.outbox.add(projections, plan_id=None, within=connection)

    def last_total(self, *, until: datetime) -> tuple[datetime, Decimal] | None:
        """When and how large total capital was at the last run or execution up to an instant."""
        rows = self.rows(
            "SELECT as_of, total_capital, 0 AS executed, number FROM runs WHERE as_of <= :until"
            " UNION ALL SELECT finished_at, total_after, 1, 0 FROM executions"
            " WHERE finished_at <= :until AND total_after IS NOT NULL"
            " ORDER BY as_of DESC, executed DESC, number DESC LIMIT 1",
            {"until": stamp(until)},
        )
        if not rows:
            return None
        with as_ledger_error(LEDGER):
            total = Decimal(str(rows[0][1]))
            if not (total.is_finite() and 0 < total < _MOST_CAPITAL):
                raise ValueError(f"total capital {rows[0][1]!r}")
            return parse_instant(str(rows[0][0]), where=LEDGER), total

    def last_committed_pairs(self, *, before: datetime, within: timedelta) -> tuple[tuple[str, str], ...]:
        """HIGH pairs of the last run committed before an instant, if recent enough.

        A run counts from the instant at which its plan's execution was committed.
        """
        rows = self.rows(
            "SELECT high_pairs, coalesce(finished_at, as_of) AS committed_at FROM runs"
            " LEFT JOIN executions ON executions.plan_id = runs.plan_id AND status = 'committed'"
            " WHERE state = 'committed' AND committed_at < ? AND committed_at >= ?"
            " ORDER BY committed_at DESC, number DESC LIMIT 1",
            (stamp(before), stamp(before - within)),
        )
        if not rows:
            return ()
        with as_ledger_error(LEDGER):
            return tuple((str(a), str(b)) for a, b in json.loads(str(rows[0][0])))

    def steps_until(self, until: datetime) -> tuple[TuningStep, ...]:
        """The log of estimates as it stood at an instant, in order."""
        if not self.rows("SELECT 1 FROM tunings LIMIT 1"):
            return ()
        return tuple(step for step in self.follow_ups.steps() if step.at <= until)

    def last_committed_at(self, *, before: datetime) -> datetime | None:
        """When the last execution was committed before an instant."""
        rows = self.rows(
            "SELECT finished_at FROM executions WHERE status = 'committed' AND finished_at < ?"
            " ORDER BY finished_at DESC LIMIT 1",
            (stamp(before),),
        )
        return parse_instant(str(rows[0][0]), where=LEDGER) if rows else None

    def is_settled(self) -> bool:
        """Whether no execution is unfinished, and no file of a committed change is left to be written."""
        return not self.rows(
            "SELECT 1 FROM executions WHERE status IN ('running', 'reverting', 'needs_operator')"
            " UNION ALL SELECT 1 FROM outbox WHERE applied = 0 LIMIT 1"
        )

    def history(self) -> tuple[RunSummary, ...]:
        """Every run, newest first; its status is what became of its plan."""
        names = ("run_id", "mode", "recommendation", "basis", "status", "plan_id")
        rows = self.rows(
            "SELECT run_id, mode, recommendation, basis,"
            " coalesce(executions.status, iif(rejections.at IS NULL, runs.state, 'rejected')),"
            " runs.plan_id, as_of FROM runs"
            " LEFT JOIN executions ON executions.plan_id = runs.plan_id"
            " LEFT JOIN rejections ON rejections.plan_id = runs.plan_id"
            " ORDER BY as_of DESC, number DESC"
        )
        with as_ledger_error(LEDGER):
            return tuple(
                RunSummary.model_validate(
                    {
                        **dict(zip(names, row, strict=False)),
                        "as_of": parse_instant(str(row[-1]), where=LEDGER),
                    }
                )
                for row in rows
            )

    def result(self, prefix: str) -> bytes:
        """The stored result of the run or plan whose id begins with ``prefix``.

        Of several runs that came to the same plan, the newest.

        Raises:
            PlanNotFoundError: No id does, or ids that differ do.
        """
        rows = self.rows(
            "SELECT CASE WHEN substr(run_id, 1, ?) = ? THEN run_id ELSE plan_id END, result FROM runs"
            " WHERE substr(plan_id, 1, ?) = ? OR substr(run_id, 1, ?) = ?"
            " ORDER BY as_of DESC, number DESC",
            (len(prefix), prefix if prefix.isascii() else "") * 3,
        )
        require_single(prefix, {str(row[0]) for row in rows}, what="plan or run")
        content = rows[0][1]
        assert isinstance(content, bytes)  # the column holds nothing else
        return content


def stamp(instant: datetime) -> str:
    """An instant as text that sorts by time: always six decimals."""
    return instant.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def require_single(prefix: str, ids: Collection[str], *, what: str) -> None:
    """Refuse a prefix unless exactly one id begins with it.

    Raises:
        PlanNotFoundError: None or several do, or it is no prefix at all.
    """
    if prefix and prefix.isascii() and len(ids) == 1:
        return
    raise PlanNotFoundError(
        f"{'More than one' if ids else 'No'} stored {what} begins with {prefix!r}.",
        where="PLAN",
        fix="List them with: trading-portfolio-rebalance history",
    )


def _require_plain(path: Path) -> None:
    """Refuse a ledger, or what SQLite keeps beside it, that is no plain file: it could lead outside."""
    beside = (path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))
    for place in (path.parent, path, *beside):
        try:
            found = os.lstat(place)
        except (FileNotFoundError, NotADirectoryError):
            continue
        plain = stat.S_ISDIR(found.st_mode) if place == path.parent else _is_plain_file(found)
        if not plain:
            raise LedgerError(
                f"{place.name} is a link or not what it should be.",
                where=place.name,
                fix="Remove or rename it.",
            )
    if path.exists() and 0 < path.stat().st_size < _SQLITE_HEADER_BYTES:
        raise LedgerError(
            f"{path.name} was cut off.", where=path.name, fix="Restore it from a backup, or move it away."
        )


def _is_plain_file(found: os.stat_result) -> bool:
    """A regular file with one name: SQLite writes to whatever stands beside its database."""
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


@contextmanager
def as_ledger_error(where: Path | str) -> Iterator[None]:
    """Whatever goes wrong inside with the database, or with what is stored in it, is a ``LedgerError``."""
    try:
        yield
    except PlanNotFoundError:
        raise
    except (sqlite3.Error, OSError, ValueError, ArithmeticError, TypeError, UsageError) as cause:
        raise LedgerError(
            f"The ledger cannot be used: {cause}.",
            where=Path(where).name,
            fix="Check that the workspace is writable and the file is a ledger, else restore a backup.",
        ) from cause


def read_record(kind: type[_R], content: object, *, row: str) -> _R:
    """A record as it was stored.

    Args:
        kind: Its class.
        content: Its JSON.
        row: How an error names it: table and key.

    Raises:
        LedgerError: It does not validate.
    """
    try:
        return kind.model_validate_json(bytes(content) if isinstance(content, bytes) else str(content))
    except ValidationError as invalid:
        first = invalid.errors()[0]
        fault = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
        raise LedgerError(
            f"{row} cannot be read: {fault}.",
            where=Path(LEDGER).name,
            fix="It was written by another version, or the ledger was edited; restore a backup.",
        ) from None
