"""The journal: executions and their steps, so that every next start knows what was sent and what came of it.

An execution begins by consuming its plan, in the transaction that stores its steps as planned; a second one
cannot begin while it is unfinished. A step goes forward only: planned, sent, and then done, refused or
cancelled, by way of unknown where nobody could tell. What is over never changes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Final, NoReturn

from pydantic import ValidationError

from portfolio_rebalance.errors import LedgerError, NeedsOperatorError
from portfolio_rebalance.records import ExecutionStatus, canonical_bytes
from portfolio_rebalance.records.batch import (
    OpenExecution,
    OrderFill,
    StartedExecution,
    Step,
    StepState,
    StoredStep,
)
from portfolio_rebalance.workspace.approvals import require_unconsumed
from portfolio_rebalance.workspace.ledger import LEDGER, Ledger, read_record, stamp
from portfolio_rebalance.workspace.outbox import Projection

__all__ = ["ExecutionJournal"]

_ACTIVE: Final = ("running", "reverting")
_UNFINISHED: Final = (*_ACTIVE, "needs_operator")
_IN_FLIGHT: Final = frozenset({"sent", "unknown"})
_FINAL: Final = frozenset({"done", "refused", "cancelled"})
_ORDER_MAY_BECOME: Final[Mapping[str, frozenset[str]]] = {
    "planned": frozenset({"cancelled"}),  # never sent: the batch was abandoned
    "sent": _FINAL | {"unknown"},
    "unknown": _FINAL | {"unknown"},  # asked again, and still nobody knows
}
_TRANSFER_MAY_BECOME: Final[Mapping[str, frozenset[str]]] = {"planned": frozenset({"done", "cancelled"})}
_MAY_FINISH_FROM: Final[Mapping[str, tuple[str, ...]]] = {
    "committed": ("running",),
    "reverted": _ACTIVE,
    "needs_operator": _UNFINISHED,
}
_FIX: Final = "Nothing was changed. See where it stands with: trading-portfolio-rebalance status"


class ExecutionJournal:
    """Executions in the ledger; every call is one transaction that has reached the disk when it returns."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def start(self, started: StartedExecution, steps: Sequence[Step]) -> None:
        """Consume the plan and store its steps as planned, in one transaction.

        Raises:
            PlanNotFoundError: There is no such plan.
            PlanConsumedError: The plan was started before, or was rejected.
            NeedsOperatorError: Another execution is unfinished.
            LedgerError: The steps do not count from 0.
        """
        with self._ledger.transaction() as connection:
            require_unconsumed(connection, started.plan_id)
            _require_none_unfinished(connection)
            connection.execute(
                "INSERT INTO executions (plan_id, status, reason, started) VALUES (?, 'running', '', ?)",
                (started.plan_id, canonical_bytes(started)),
            )
            _plan_steps(connection, started.plan_id, steps)

    def unfinished(self) -> OpenExecution | None:
        """The one execution that is ``running``, ``reverting`` or ``needs_operator``.

        Raises:
            LedgerError: What is stored cannot be read.
        """
        rows = self._ledger.rows(f"{_SELECT} WHERE status IN (?, ?, ?)", _UNFINISHED)
        return _execution(rows[0]) if rows else None

    def get(self, plan_id: str) -> OpenExecution | None:
        """The execution of a plan, finished or not; None where it was never started.

        Raises:
            LedgerError: What is stored cannot be read.
        """
        rows = self._ledger.rows(f"{_SELECT} WHERE plan_id = ?", (plan_id,))
        return _execution(rows[0]) if rows else None

    def left_to_a_person(self) -> tuple[OpenExecution, ...]:
        """Executions that could be neither finished nor reverted, whether a person took them over yet or not.

        Raises:
            LedgerError: What is stored cannot be read.
        """
        rows = self._ledger.rows(f"{_SELECT} WHERE status IN ('needs_operator', 'closed') ORDER BY rowid")
        return tuple(_execution(row) for row in rows)

    def steps(self, plan_id: str) -> tuple[StoredStep, ...]:
        """Every step of an execution, by index.

        Raises:
            LedgerError: What is stored cannot be read.
        """
        rows = self._ledger.rows(f"{_SELECT_STEPS} WHERE plan_id = ? ORDER BY idx", (plan_id,))
        return tuple(_stored_step(row) for row in rows)

    def mark_sent(self, plan_id: str, index: int, *, reference_price: Decimal, limit_price: Decimal) -> None:
        """Before the venue hears of it: the order is about to be sent.

        Raises:
            LedgerError: It was sent or cancelled before, is no order, or its execution does not run.
        """
        with self._ledger.transaction() as connection:
            before = _step_of(connection, plan_id, index, while_in=_ACTIVE)
            if before.state != "planned" or not before.step.is_order:
                _refuse_step(plan_id, before, "sent")
            _store(
                connection,
                plan_id,
                _changed(before, state="sent", reference_price=reference_price, limit_price=limit_price),
            )

    def settle(
        self, plan_id: str, index: int, *, state: StepState, fill: OrderFill | None = None, note: str = ""
    ) -> None:
        """What became of a step; the same again changes nothing.

        Raises:
            LedgerError: The step is final already, and this says otherwise; or it cannot become that from
                where it stands, an order cannot be done without a fill, or its execution is over.
        """
        with self._ledger.transaction() as connection:
            before = _step_of(connection, plan_id, index, while_in=None)
            if before.state in _FINAL and (before.state, before.fill, before.note) == (state, fill, note):
                return
            _require_status(connection, plan_id, _UNFINISHED)
            rules = _ORDER_MAY_BECOME if before.step.is_order else _TRANSFER_MAY_BECOME
            if state not in rules.get(before.state, ()):
                _refuse_step(plan_id, before, state)
            if state == "done" and before.step.is_order and fill is None:
                raise LedgerError(
                    f"Step {index} cannot be done without a fill: its effect would be unknown.",
                    where=plan_id,
                    fix=_FIX,
                )
            _store(connection, plan_id, _changed(before, state=state, fill=fill, note=note))

    def revert(self, plan_id: str, *, reason: str, steps: Sequence[Step]) -> None:
        """Turn to compensation: status ``reverting``, and its steps as planned.

        Raises:
            LedgerError: The execution is not active, or the steps do not go on counting.
        """
        with self._ledger.transaction() as connection:
            _require_status(connection, plan_id, _ACTIVE)
            _set_status(connection, plan_id, "reverting", reason)
            _plan_steps(connection, plan_id, steps)

    def need_operator(self, plan_id: str, *, reason: str) -> None:
        """Give up: status ``needs_operator``.

        Raises:
            LedgerError: The execution is over.
        """
        with self._ledger.transaction() as connection:
            _require_status(connection, plan_id, _UNFINISHED)
            _set_status(connection, plan_id, "needs_operator", reason)

    def finish(
        self,
        plan_id: str,
        *,
        status: ExecutionStatus,
        report: bytes,
        total_after: Decimal | None,
        finished_at: datetime,
        projections: Sequence[Projection],
        reason: str = "",
        instructions: bytes | None = None,
    ) -> None:
        """End an execution: its status, its report and the files that follow from it, in one transaction.

        Args:
            plan_id: Whose execution.
            status: ``committed``, ``reverted`` or ``needs_operator``; the plan's runs become committed too.
            report: What it came to, JSON.
            total_after: Total capital after it; None where it is not known.
            finished_at: The instant from which it counts.
            projections: The files to be written, all of them or none.
            reason: Why it was not committed; the one given before stays where this is empty.
            instructions: What bots must be told by hand, JSON.

        Raises:
            LedgerError: The execution cannot end so: it is over, an order is in flight, or a step of a
                committed one is still planned.
        """
        if status not in _MAY_FINISH_FROM:
            raise LedgerError(f"An execution does not finish as {status!r}.", where=plan_id, fix=_FIX)
        with self._ledger.transaction() as connection:
            _require_status(connection, plan_id, _MAY_FINISH_FROM[status])
            _require_over(connection, plan_id, status)
            _set_status(connection, plan_id, status, reason)
            connection.execute(
                "UPDATE executions SET report = ?, total_after = ?, finished_at = ? WHERE plan_id = ?",
                (report, None if total_after is None else f"{total_after:f}", stamp(finished_at), plan_id),
            )
            if status == "committed":
                connection.execute("UPDATE runs SET state = 'committed' WHERE plan_id = ?", (plan_id,))
            if instructions is not None:
                connection.execute(
                    "INSERT INTO instructions (plan_id, content, issued_at) VALUES (?, ?, ?)",
                    (plan_id, instructions, stamp(finished_at)),
                )
            self._ledger.outbox.add(projections, plan_id=plan_id, within=connection)

    def close(self, plan_id: str, *, reason: str) -> None:
        """A person took over: ``needs_operator`` becomes ``closed``, and another execution may begin.

        Raises:
            LedgerError: The execution does not wait for an operator.
        """
        with self._ledger.transaction() as connection:
            _require_status(connection, plan_id, ("needs_operator",))
            _set_status(connection, plan_id, "closed", reason)

    def report_of(self, plan_id: str) -> bytes | None:
        """What the execution of a plan came to, JSON; None where it has no report (yet)."""
        rows = self._ledger.rows("SELECT report FROM executions WHERE plan_id = ?", (plan_id,))
        return _bytes_or_none(rows[0][0]) if rows else None

    def reports(self) -> tuple[bytes, ...]:
        """The report of every execution that has one, newest first."""
        rows = self._ledger.rows(
            "SELECT report FROM executions WHERE report IS NOT NULL ORDER BY finished_at DESC, rowid DESC"
        )
        return tuple(report for row in rows if (report := _bytes_or_none(row[0])) is not None)


_SELECT: Final = "SELECT plan_id, status, reason, started FROM executions"
_SELECT_STEPS: Final = (
    "SELECT plan_id, idx, content, state, reference_price, limit_price, fill, note FROM steps"
)


def _require_none_unfinished(connection: sqlite3.Connection) -> None:
    other = connection.execute(
        "SELECT plan_id, status FROM executions WHERE status IN (?, ?, ?)", _UNFINISHED
    ).fetchone()
    if other:
        raise NeedsOperatorError(
            f"The execution of {other[0][:12]} is unfinished ({other[1]}).",
            where=other[0],
            fix="Let it be finished first: trading-portfolio-rebalance resume",
        )


def _require_status(connection: sqlite3.Connection, plan_id: str, allowed: Sequence[str]) -> None:
    row = connection.execute("SELECT status FROM executions WHERE plan_id = ?", (plan_id,)).fetchone()
    if row is None:
        raise LedgerError("This plan has no execution.", where=plan_id, fix=_FIX)
    if row[0] not in allowed:
        raise LedgerError(
            f"The execution is {row[0]}; this needs one that is {' or '.join(allowed)}.",
            where=plan_id,
            fix=_FIX,
        )


def _require_over(connection: sqlite3.Connection, plan_id: str, status: str) -> None:
    """What is committed or reverted has no order in flight; what is committed has no step left to do."""
    if status == "needs_operator":
        return
    for index, state in connection.execute(
        "SELECT idx, state FROM steps WHERE plan_id = ? ORDER BY idx", (plan_id,)
    ):
        if state in _IN_FLIGHT or (status == "committed" and state == "planned"):
            raise LedgerError(
                f"The execution cannot be {status}: step {index} is {state}.", where=plan_id, fix=_FIX
            )


def _set_status(connection: sqlite3.Connection, plan_id: str, status: str, reason: str) -> None:
    connection.execute(
        "UPDATE executions SET status = ?, reason = CASE ? WHEN '' THEN reason ELSE ? END WHERE plan_id = ?",
        (status, reason, reason, plan_id),
    )


def _plan_steps(connection: sqlite3.Connection, plan_id: str, steps: Sequence[Step]) -> None:
    (known,) = connection.execute("SELECT count(*) FROM steps WHERE plan_id = ?", (plan_id,)).fetchone()
    for index, step in enumerate(steps, start=known):
        if step.index != index:
            raise LedgerError(
                f"Step {step.index} stands where step {index} belongs.", where=plan_id, fix=_FIX
            )
        connection.execute(
            "INSERT INTO steps (plan_id, idx, content, state, note) VALUES (?, ?, ?, 'planned', '')",
            (plan_id, index, canonical_bytes(step)),
        )


def _step_of(
    connection: sqlite3.Connection, plan_id: str, index: int, *, while_in: Sequence[str] | None
) -> StoredStep:
    if while_in is not None:
        _require_status(connection, plan_id, while_in)
    row = connection.execute(f"{_SELECT_STEPS} WHERE plan_id = ? AND idx = ?", (plan_id, index)).fetchone()
    if row is None:
        raise LedgerError(f"There is no step {index}.", where=plan_id, fix=_FIX)
    return _stored_step(row)


def _changed(before: StoredStep, **changes: object) -> StoredStep:
    """A step with other values, validated: what could not be read back is refused before it is stored."""
    values = {name: getattr(before, name) for name in StoredStep.model_fields} | changes
    try:
        return StoredStep.model_validate(values)
    except ValidationError as invalid:
        raise LedgerError(
            f"Step {before.step.index} cannot be stored so: {invalid.errors()[0]['msg']}.",
            where=before.step.client_id,
            fix=_FIX,
        ) from None


def _store(connection: sqlite3.Connection, plan_id: str, stored: StoredStep) -> None:
    connection.execute(
        "UPDATE steps SET state = ?, reference_price = ?, limit_price = ?, fill = ?, note = ?"
        " WHERE plan_id = ? AND idx = ?",
        (
            stored.state,
            _text_or_none(stored.reference_price),
            _text_or_none(stored.limit_price),
            None if stored.fill is None else canonical_bytes(stored.fill),
            stored.note,
            plan_id,
            stored.step.index,
        ),
    )


def _refuse_step(plan_id: str, before: StoredStep, state: str) -> NoReturn:
    kind = f"{before.step.side} order" if before.step.is_order else "book transfer"
    raise LedgerError(
        f"Step {before.step.index}, a {kind} that is {before.state}, cannot become {state}.",
        where=plan_id,
        fix=_FIX,
    )


def _execution(row: tuple[object, ...]) -> OpenExecution:
    plan_id, status, reason, content = row
    name = f"executions {plan_id}"
    started = read_record(StartedExecution, content, row=name)
    if started.plan_id != plan_id:
        _refuse_row(name, f"holds the execution of {started.plan_id}")
    try:
        return OpenExecution.model_validate({"started": started, "status": status, "reason": reason})
    except ValidationError as invalid:
        _refuse_row(name, f"cannot be read ({invalid.errors()[0]['msg']})")


def _stored_step(row: tuple[object, ...]) -> StoredStep:
    plan_id, index, content, state, reference_price, limit_price, fill, note = row
    name = f"steps {plan_id}/{index}"
    step = read_record(Step, content, row=name)
    if step.index != index:
        _refuse_row(name, f"holds step {step.index}")
    try:
        return StoredStep.model_validate(
            {
                "step": step,
                "state": state,
                "reference_price": None if reference_price is None else Decimal(str(reference_price)),
                "limit_price": None if limit_price is None else Decimal(str(limit_price)),
                "fill": None if fill is None else read_record(OrderFill, fill, row=name),
                "note": note,
            }
        )
    except InvalidOperation:
        _refuse_row(name, f"holds a price that is no number ({reference_price!r}, {limit_price!r})")
    except ValidationError as invalid:
        _refuse_row(name, f"cannot be read ({invalid.errors()[0]['msg']})")


def _refuse_row(name: str, what: str) -> NoReturn:
    raise LedgerError(
        f"{name} {what}.", where=LEDGER, fix="The ledger was edited or damaged; restore a backup."
    )


def _text_or_none(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _bytes_or_none(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None
