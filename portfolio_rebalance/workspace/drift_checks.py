"""Drift checks that nobody watched, in the ledger: when each was made, what it found, what it planned."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from portfolio_rebalance.clock import parse_instant
from portfolio_rebalance.workspace.ledger import LEDGER, Ledger, as_ledger_error, stamp

__all__ = ["AwaitingPlan", "awaiting_plans", "keep_check", "last_check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitingPlan:
    """A plan that a check made, and that was neither rejected nor started.

    Attributes:
        reasons: Why the check planned, as short keys.
        content: The plan's stored bytes.
    """

    plan_id: str
    reasons: frozenset[str]
    content: bytes


def keep_check(root: Path, *, at: datetime, reasons: frozenset[str], plan_id: str | None) -> None:
    """Store that a check was made.

    Args:
        root: The workspace folder.
        at: Its instant.
        reasons: Why it planned, as short keys; empty where it found nothing to do.
        plan_id: The stored plan that it came to.

    Raises:
        LedgerError: The ledger cannot be used; nothing was stored.
    """
    with Ledger.open(root) as ledger, ledger.transaction() as connection:
        connection.execute(
            "INSERT INTO checks (at, reasons, plan_id) VALUES (?, ?, ?)",
            (stamp(at), json.dumps(sorted(reasons)), plan_id),
        )


def last_check(root: Path, *, until: datetime) -> datetime | None:
    """When the last check up to an instant was made; None where none was.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with Ledger.read(root) as ledger:
        rows = (
            []
            if ledger is None
            else ledger.rows("SELECT at FROM checks WHERE at <= ? ORDER BY at DESC LIMIT 1", (stamp(until),))
        )
    with as_ledger_error(LEDGER):
        return parse_instant(str(rows[0][0]), where=LEDGER) if rows else None


def awaiting_plans(root: Path, *, now: datetime) -> tuple[AwaitingPlan, ...]:
    """Plans of checks that a person may still decide on, newest first.

    Args:
        root: The workspace folder.
        now: Plans that have expired by then, or are later, are left out.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with Ledger.read(root) as ledger:
        rows = (
            []
            if ledger is None
            else ledger.rows(
                "SELECT checks.plan_id, reasons, content FROM checks"
                " JOIN plans ON plans.plan_id = checks.plan_id"
                " WHERE plans.as_of <= :now AND plans.expires_at > :now"
                " AND checks.plan_id NOT IN (SELECT plan_id FROM rejections)"
                " AND checks.plan_id NOT IN (SELECT plan_id FROM executions)"
                " ORDER BY number DESC",
                {"now": stamp(now)},
            )
        )
    with as_ledger_error(LEDGER):
        return tuple(
            AwaitingPlan(
                plan_id=str(plan_id), reasons=frozenset(json.loads(str(reasons))), content=bytes(content)
            )
            for plan_id, reasons, content in rows
            if isinstance(content, bytes)
        )
