"""Follow-ups: what the ledger keeps of rebalances that are over: ticks, outcomes, estimates, learnings.

All of it is written once: a second tick of the same interval, a second outcome, a second lesson from the same
execution change nothing, so whoever comes twice, late or again after a crash does no harm.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from portfolio_rebalance.clock import parse_instant
from portfolio_rebalance.records import (
    Execution,
    Learned,
    Outcome,
    Record,
    Tick,
    TuningStep,
    canonical_bytes,
)
from portfolio_rebalance.workspace.ledger import LEDGER, Ledger, as_ledger_error, read_record, stamp
from portfolio_rebalance.workspace.outbox import Projection

__all__ = ["FollowUps", "Followed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """An execution that is over.

    Attributes:
        finished_at: The instant from which it counts.
        execution: Its report.
        outcome: What it came to; None while it is watched.
    """

    plan_id: str
    finished_at: datetime
    execution: Execution
    outcome: Outcome | None


class FollowUps:
    """The follow-ups in the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def executions(self) -> tuple[Followed, ...]:
        """Every execution that was committed or reverted, oldest first.

        Raises:
            LedgerError: What is stored cannot be read.
        """
        rows = self._ledger.rows(
            "SELECT executions.plan_id, finished_at, report, outcomes.content FROM executions"
            " LEFT JOIN outcomes ON outcomes.plan_id = executions.plan_id"
            " WHERE status IN ('committed', 'reverted') AND report IS NOT NULL"
            " ORDER BY finished_at, executions.rowid"
        )
        with as_ledger_error(LEDGER):
            return tuple(
                Followed(
                    plan_id=str(plan_id),
                    finished_at=parse_instant(str(finished_at), where=LEDGER),
                    execution=read_record(Execution, report, row=f"executions {plan_id}"),
                    outcome=None
                    if outcome is None
                    else read_record(Outcome, outcome, row=f"outcomes {plan_id}"),
                )
                for plan_id, finished_at, report, outcome in rows
            )

    def ticks(self, plan_id: str) -> tuple[Tick, ...]:
        """The ticks of one watch, in order.

        Raises:
            LedgerError: What is stored cannot be read.
        """
        rows = self._ledger.rows("SELECT content FROM ticks WHERE plan_id = ? ORDER BY number", (plan_id,))
        return tuple(read_record(Tick, content, row=f"ticks {plan_id}") for (content,) in rows)

    def newest_tick(self, plan_id: str) -> Tick | None:
        """The last tick of one watch; None before the first.

        Raises:
            LedgerError: What is stored cannot be read.
        """
        rows = self._ledger.rows(
            "SELECT content FROM ticks WHERE plan_id = ? ORDER BY number DESC LIMIT 1", (plan_id,)
        )
        return read_record(Tick, rows[0][0], row=f"ticks {plan_id}") if rows else None

    def alerting_ticks(self, plan_id: str) -> tuple[Tick, ...]:
        """The ticks of one watch that had something new to tell, in order.

        Raises:
            LedgerError: What is stored cannot be read.
        """
        rows = self._ledger.rows(
            "SELECT content FROM ticks WHERE plan_id = ? AND alerts > 0 ORDER BY number", (plan_id,)
        )
        return tuple(read_record(Tick, content, row=f"ticks {plan_id}") for (content,) in rows)

    def steps(self) -> tuple[TuningStep, ...]:
        """The log of estimates, in order.

        Raises:
            LedgerError: What is stored cannot be read.
        """
        rows = self._ledger.rows("SELECT number, content FROM tunings ORDER BY number")
        return tuple(
            read_record(TuningStep, content, row=f"tunings {number}").model_copy(
                update={"number": int(str(number))}
            )
            for number, content in rows
        )

    def learned(self) -> Mapping[str, tuple[Learned, ...]]:
        """What was learned, by plan.

        Raises:
            LedgerError: What is stored cannot be read.
        """
        found: dict[str, tuple[Learned, ...]] = {}
        for plan_id, content in self._ledger.rows("SELECT plan_id, content FROM learned ORDER BY rowid"):
            several = read_record(_Lessons, content, row=f"learned {plan_id}").learned
            found[str(plan_id)] = (*found.get(str(plan_id), ()), *several)
        return found

    def record(
        self,
        *,
        ticks: Sequence[Tick] = (),
        outcomes: Sequence[Outcome] = (),
        steps: Sequence[TuningStep] = (),
        learned: Sequence[Learned] = (),
        projections: Sequence[Projection] = (),
    ) -> None:
        """Store what is new, and the files that follow from it, in one transaction.

        Raises:
            LedgerError: The ledger cannot be used; nothing was stored.
        """
        with self._ledger.transaction() as connection:
            connection.executemany(
                "INSERT INTO ticks VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [
                    (one.plan_id, one.number, stamp(one.at), len(one.alerts), canonical_bytes(one))
                    for one in ticks
                ],
            )
            connection.executemany(
                "INSERT INTO outcomes VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                [(one.plan_id, stamp(one.at), canonical_bytes(one)) for one in outcomes],
            )
            connection.executemany(
                "INSERT INTO tunings (plan_id, parameter, content) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                [(one.plan_id, one.parameter, canonical_bytes(one)) for one in steps],
            )
            _add_learned(connection, learned)
            self._ledger.outbox.add(projections, plan_id=None, within=connection)

    def forget(self, *, before: datetime) -> None:
        """Drop ticks of watches that are over, notices and checks from before an instant; outcomes stay.

        The last check stays too: a schedule goes on from it.

        Raises:
            LedgerError: The ledger cannot be used; nothing was dropped.
        """
        with self._ledger.transaction() as connection:
            connection.execute(
                "DELETE FROM ticks WHERE at < ? AND plan_id IN (SELECT plan_id FROM outcomes)",
                (stamp(before),),
            )
            connection.execute("DELETE FROM notices WHERE at < ?", (stamp(before),))
            connection.execute(
                "DELETE FROM checks WHERE at < ? AND number < (SELECT max(number) FROM checks)",
                (stamp(before),),
            )


class _Lessons(Record):
    """What one source learned from one outcome."""

    learned: tuple[Learned, ...]


def _add_learned(connection: sqlite3.Connection, learned: Sequence[Learned]) -> None:
    by_source: dict[tuple[str, str, str], list[Learned]] = {}
    for one in learned:
        by_source.setdefault((one.plan_id, one.source, stamp(one.at)), []).append(one)
    connection.executemany(
        "INSERT INTO learned VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(*key, canonical_bytes(_Lessons(learned=tuple(several)))) for key, several in by_source.items()],
    )
