"""What people said of plans: approvals, rejections, and the confirmations of capital instructions.

A plan that was rejected, or whose execution was started, takes no approval any more. Whether an approval is
genuine and the plan still fits is judged where it is executed; here it is kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from portfolio_rebalance.clock import parse_instant
from portfolio_rebalance.errors import LedgerError, PlanConsumedError, PlanNotFoundError
from portfolio_rebalance.records import canonical_bytes
from portfolio_rebalance.records.batch import Approval
from portfolio_rebalance.workspace.ledger import (
    LEDGER,
    Ledger,
    as_ledger_error,
    read_record,
    require_single,
    stamp,
)

__all__ = ["ApprovalStore", "IssuedInstructions", "StoredPlan", "require_unconsumed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """A plan as it was stored.

    Attributes:
        content: Its canonical bytes; ``plan_id`` was their digest.
    """

    plan_id: str
    as_of: datetime
    expires_at: datetime
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedInstructions:
    """What the bots of one plan must be told by hand.

    Attributes:
        content: The instructions, JSON.
        confirmed: When each strategy was confirmed, by id; those not yet confirmed are absent.
    """

    plan_id: str
    issued_at: datetime
    content: bytes
    confirmed: Mapping[str, datetime]


class ApprovalStore:
    """Plans, and what people said of them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def plan(self, prefix: str) -> StoredPlan:
        """The stored plan whose id begins with ``prefix``.

        Raises:
            PlanNotFoundError: None does, or several do.
            LedgerError: What is stored cannot be read.
        """
        rows = self._ledger.rows(
            "SELECT plan_id, as_of, expires_at, content FROM plans WHERE substr(plan_id, 1, ?) = ? LIMIT 2",
            (len(prefix), prefix if prefix.isascii() else ""),
        )
        require_single(prefix, [str(row[0]) for row in rows], what="plan")
        plan_id, as_of, expires_at, content = rows[0]
        assert isinstance(content, bytes)  # the column holds nothing else
        return StoredPlan(
            plan_id=str(plan_id), as_of=_instant(as_of), expires_at=_instant(expires_at), content=content
        )

    def approve(self, approval: Approval) -> None:
        """Store an approval; one given before is replaced, as long as nothing was started on it.

        Raises:
            PlanNotFoundError: There is no such plan.
            PlanConsumedError: It was rejected, or its execution was started.
        """
        with self._ledger.transaction() as connection:
            require_unconsumed(connection, approval.plan_id)
            connection.execute("DELETE FROM approvals WHERE plan_id = ?", (approval.plan_id,))
            connection.execute(
                "INSERT INTO approvals (plan_id, content) VALUES (?, ?)",
                (approval.plan_id, canonical_bytes(approval)),
            )

    def approval_of(self, plan_id: str) -> Approval | None:
        """The approval of a plan, used or not; None where nobody approved it.

        Raises:
            LedgerError: What is stored cannot be read, or is the approval of another plan.
        """
        rows = self._ledger.rows("SELECT content FROM approvals WHERE plan_id = ?", (plan_id,))
        return _approval(plan_id, rows[0][0]) if rows else None

    def newest_approved(self) -> str | None:
        """Of the plans that are approved, and neither rejected nor started, the one approved last."""
        rows = self._ledger.rows(
            "SELECT plan_id, content FROM approvals"
            " WHERE plan_id NOT IN (SELECT plan_id FROM rejections)"
            " AND plan_id NOT IN (SELECT plan_id FROM executions) ORDER BY rowid"
        )
        approvals = [_approval(str(plan_id), content) for plan_id, content in rows]
        newest = max(enumerate(approvals), key=lambda placed: (placed[1].at, placed[0]), default=None)
        return newest and newest[1].plan_id

    def reject(self, plan_id: str, *, user: str, at: datetime, reason: str = "") -> None:
        """Store a rejection, which is final; a second one changes nothing.

        Raises:
            PlanNotFoundError: There is no such plan.
            PlanConsumedError: Its execution was started.
        """
        with self._ledger.transaction() as connection:
            _require_plan(connection, plan_id)
            _require_not_started(connection, plan_id)
            connection.execute(
                "INSERT INTO rejections (plan_id, user, at, reason) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (plan_id) DO NOTHING",
                (plan_id, user, stamp(at), reason),
            )

    def is_rejected(self, plan_id: str) -> bool:
        """Whether a person rejected the plan."""
        return bool(self._ledger.rows("SELECT 1 FROM rejections WHERE plan_id = ?", (plan_id,)))

    def instructions(self) -> tuple[IssuedInstructions, ...]:
        """The capital instructions of every plan that had any, newest first."""
        rows = self._ledger.rows(
            "SELECT plan_id, issued_at, content FROM instructions ORDER BY issued_at DESC, rowid DESC"
        )
        return tuple(self._issued(*row) for row in rows)

    def instructions_of(self, plan_id: str) -> IssuedInstructions | None:
        """The capital instructions of a plan; None where it had none."""
        rows = self._ledger.rows(
            "SELECT plan_id, issued_at, content FROM instructions WHERE plan_id = ?", (plan_id,)
        )
        return self._issued(*rows[0]) if rows else None

    def confirm(self, plan_id: str, *, strategy: str, at: datetime) -> None:
        """Store that a bot was told; the first time counts.

        Raises:
            LedgerError: The plan has no instructions.
        """
        with self._ledger.transaction() as connection:
            connection.execute(
                "INSERT INTO confirmations (plan_id, strategy, at) VALUES (?, ?, ?)"
                " ON CONFLICT (plan_id, strategy) DO NOTHING",
                (plan_id, strategy, stamp(at)),
            )

    def _issued(self, plan_id: object, issued_at: object, content: object) -> IssuedInstructions:
        assert isinstance(content, bytes)  # the column holds nothing else
        confirmed = self._ledger.rows(
            "SELECT strategy, at FROM confirmations WHERE plan_id = ? ORDER BY strategy", (str(plan_id),)
        )
        return IssuedInstructions(
            plan_id=str(plan_id),
            issued_at=_instant(issued_at),
            content=content,
            confirmed=MappingProxyType({str(strategy): _instant(at) for strategy, at in confirmed}),
        )


def require_unconsumed(connection: sqlite3.Connection, plan_id: str) -> None:
    """Refuse a plan that cannot be used (any more); called inside the transaction that uses it.

    Raises:
        PlanNotFoundError: There is no such plan.
        PlanConsumedError: It was rejected, or its execution was started.
    """
    _require_plan(connection, plan_id)
    _require_not_started(connection, plan_id)
    rejected = connection.execute("SELECT user, at FROM rejections WHERE plan_id = ?", (plan_id,)).fetchone()
    if rejected:
        raise PlanConsumedError(
            f"The plan was rejected by {rejected[0]} at {rejected[1]}.",
            where=plan_id,
            fix="Plan again: trading-portfolio-rebalance --dry-run",
        )


def _require_plan(connection: sqlite3.Connection, plan_id: str) -> None:
    if connection.execute("SELECT 1 FROM plans WHERE plan_id = ?", (plan_id,)).fetchone() is None:
        raise PlanNotFoundError(
            f"There is no stored plan {plan_id!r}.",
            where="PLAN",
            fix="List them with: trading-portfolio-rebalance history",
        )


def _require_not_started(connection: sqlite3.Connection, plan_id: str) -> None:
    started = connection.execute("SELECT status FROM executions WHERE plan_id = ?", (plan_id,)).fetchone()
    if started:
        raise PlanConsumedError(
            f"The plan was started already; its execution is {started[0]}.",
            where=plan_id,
            fix="A plan is used once; plan again: trading-portfolio-rebalance --dry-run",
        )


def _approval(plan_id: str, content: object) -> Approval:
    approval = read_record(Approval, content, row=f"approvals {plan_id}")
    if approval.plan_id != plan_id:
        raise LedgerError(
            f"approvals {plan_id} holds the approval of {approval.plan_id}.",
            where=LEDGER,
            fix="The ledger was edited; restore a backup, or reject the plan and plan again.",
        )
    return approval


def _instant(text: object) -> datetime:
    with as_ledger_error(LEDGER):
        return parse_instant(str(text), where=LEDGER)
