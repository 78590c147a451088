"""Finishing: a started execution driven to its end, verified, and committed with all its files, or none.

The same code finishes what was just started and what a crash left behind.
"""

from __future__ import annotations

from collections.abc import Mapping

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.errors import BrokerError, LedgerError, NeedsOperatorError, PlanTamperedError
from portfolio_rebalance.execution.book import Book, book_after
from portfolio_rebalance.execution.broker import Instrument, OutcomeUnknown
from portfolio_rebalance.execution.executor import Executor, NoSealing, Sealing
from portfolio_rebalance.execution.instructions import (
    instruction_for,
    instructions_path,
    instructions_yaml,
)
from portfolio_rebalance.records import (
    Execution,
    ExecutionStatus,
    Instruction,
    Market,
    OpenExecution,
    Plan,
    StartedExecution,
    canonical_bytes,
)
from portfolio_rebalance.tools.bindings import plan_from
from portfolio_rebalance.tools.desk import Desk
from portfolio_rebalance.tools.metrics import metrics_projection
from portfolio_rebalance.tools.preparation import terms_of
from portfolio_rebalance.tools.settlement import Settlement, projections, total_after
from portfolio_rebalance.tools.verification import Verified, verify
from portfolio_rebalance.vault import StepSeals
from portfolio_rebalance.workspace import Projection, apply_outbox
from portfolio_rebalance.workspace.follow_ups import Followed
from portfolio_rebalance.workspace.halt import read_halt, write_halt
from portfolio_rebalance.workspace.layout import METRICS

__all__ = ["finish", "finish_unfinished", "sealing_of"]


def finish_unfinished(desk: Desk) -> Execution | None:
    """Finish or revert what an earlier start left; None where it left nothing.

    Raises:
        NeedsOperatorError: An earlier execution waits for a person.
        HaltedError: HALT stands, and it stays unfinished.
    """
    left = desk.ledger.journal.unfinished()
    if left is None:
        return None
    if left.status == "needs_operator":
        if read_halt(desk.root).level != "all":  # the crash came between the two
            write_halt(desk.root, level="all", reason=left.reason)
        raise NeedsOperatorError(
            f"The execution of plan {left.started.plan_id[:12]} waits for a person: {left.reason}.",
            where=left.started.plan_id,
            fix="Look at the venue, then: trading-portfolio-rebalance resume",
        )
    desk.progress("finishing what was left")
    return finish(desk, left)


def finish(desk: Desk, left: OpenExecution) -> Execution:
    """Drive an execution to its end and settle it.

    Raises:
        HaltedError: HALT stands; it stays as it is and is gone on with after ``resume``.
        BadDataError: All is done, but a file cannot be edited as it stands; the next start tries again.
    """
    plan_id = left.started.plan_id
    plan = plan_from(desk.ledger.approvals.plan(plan_id).content, plan_id=plan_id)
    _require_same_venue(desk, left.started)
    sealing = sealing_of(desk)
    _require_genuine(desk, left.started)
    executor = Executor(
        broker=desk.venue.broker,
        journal=desk.ledger.journal,
        terms=terms_of(left.started),
        most_price_move_percent=plan.max_plan_price_move_percent,
        halted=lambda: read_halt(desk.root).level,
        pace=desk.pace,
        sealing=sealing,
        may_go_on=lambda: _why_not(plan, desk),
        one_by_one=left.started.one_by_one,
        progress=desk.progress,
    )
    ending = executor.drive(plan_id)
    steps = desk.ledger.journal.steps(plan_id)
    book = book_after(left.started, steps)
    seen = Verified(
        started=left.started,
        book=book,
        markets=_markets(desk, book, left.started),
        steps=steps,
        terms=terms_of(left.started),
    )
    if ending == "needs_operator":
        return _give_up(desk, plan, seen)
    return _settle(desk, plan, seen, status="committed" if ending == "filled" else "reverted")


def sealing_of(desk: Desk) -> Sealing:
    """How steps are marked: under the passphrase's key where live money is at stake.

    Raises:
        NeedsOperatorError: Live money, and nobody has given the passphrase.
    """
    if not desk.venue.broker.live:
        return NoSealing()
    if desk.seal is None:
        raise NeedsOperatorError(
            "An execution with live money is unfinished, and it goes on only with the passphrase.",
            where="ledger.db",
            fix="At a terminal of yours: trading-portfolio-rebalance resume",
        )
    return StepSeals(desk.seal)


def _require_same_venue(desk: Desk, started: StartedExecution) -> None:
    """Elsewhere it would seem that no order ever arrived, and what was bought would be forgotten."""
    if desk.venue.broker.name != started.broker:
        raise BrokerError(
            f"The unfinished execution was started at {started.broker}; the configuration now names "
            f"{desk.venue.broker.name}.",
            where="broker",
            fix=f"Name {started.broker} again until it is finished.",
        )


def _require_genuine(desk: Desk, started: StartedExecution) -> None:
    """With live money, a batch that was only written into the ledger is not gone on with."""
    if not desk.venue.broker.live:
        return
    approval = desk.ledger.approvals.approval_of(started.plan_id)
    assert desk.seal is not None
    if approval is None or not desk.seal.verify(approval) or not desk.seal.verify(started):
        raise PlanTamperedError(
            "The unfinished execution is not sealed with this passphrase: somebody wrote it there.",
            where="ledger.db",
            fix="Restore the ledger from a backup; nothing was sent.",
        )


def _settle(desk: Desk, plan: Plan, seen: Verified, *, status: ExecutionStatus) -> Execution:
    """Verify and commit: the ledger and all files, in one transaction."""
    plan_id, at = seen.started.plan_id, desk.now()
    instructions = _instructions(plan, seen.started) if status == "committed" else ()
    reason = _reason(desk)
    execution = verify(
        seen, plan=plan, status=status, reason=reason, finished_at=at, instructions=instructions
    )
    execution, metrics_file = _with_metrics(desk, execution)
    settled = Settlement(root=desk.root, plan=plan, seen=seen, execution=execution, at=at)
    files = (*projections(settled), *metrics_file)
    if instructions:
        files = (*files, _instruction_file(plan_id, settled, instructions))
    execution = execution.model_copy(
        update={"written": tuple(f"{desk.root.name}/{one.path}" for one in files)}
    )
    desk.ledger.journal.finish(
        plan_id,
        status=status,
        report=canonical_bytes(execution),
        total_after=total_after(settled),
        finished_at=at,
        projections=files,
        reason=reason,
        instructions=canonical_bytes(instructions) if instructions else None,
    )
    apply_outbox(desk.root, desk.ledger)
    return execution


def _give_up(desk: Desk, plan: Plan, seen: Verified) -> Execution:
    """Stop everything until a person has looked; the execution keeps its place in the ledger."""
    reason = _reason(desk)
    write_halt(desk.root, level="all", reason=reason)
    return verify(seen, plan=plan, status="needs_operator", reason=reason, finished_at=desk.now())


def _why_not(plan: Plan, desk: Desk) -> str:
    if desk.now() < plan.expires_at:
        return ""
    return f"the plan expired at {format_instant(plan.expires_at)}, before its batch was finished"


def _reason(desk: Desk) -> str:
    left = desk.ledger.journal.unfinished()
    return "" if left is None else left.reason


def _markets(desk: Desk, book: Book, started: StartedExecution) -> Mapping[Instrument, Market]:
    """Prices now; those that the batch was sized with where the venue does not answer."""
    try:
        return desk.venue.broker.markets(book.instruments)
    except OutcomeUnknown:
        return {(market.account, market.asset): market for market in started.markets}


def _instructions(plan: Plan, started: StartedExecution) -> tuple[Instruction, ...]:
    """Reductions first: what is raised needs the room that they make."""
    changed = sorted(
        started.bot_goals, key=lambda key: (started.bot_goals[key] > started.bot_capital[key], key)
    )
    accounts = {one.strategy: one.account for one in plan.strategies}
    return tuple(
        instruction_for(
            strategy=key,
            account=accounts[key],
            old_capital=started.bot_capital[key],
            new_capital=started.bot_goals[key],
            currency=plan.currency,
        )
        for key in changed
    )


def _with_metrics(desk: Desk, execution: Execution) -> tuple[Execution, tuple[Projection, ...]]:
    """The metrics with this execution among them, as a file; what keeps it from being made is noted.

    What is stored of other executions must not keep this one, whose money has moved, from being settled.
    """
    ended = Followed(
        plan_id=execution.plan_id, finished_at=execution.finished_at, execution=execution, outcome=None
    )
    try:
        return execution, (metrics_projection(desk.root, desk.ledger, also=(ended,)),)
    except LedgerError as unreadable:
        note = f"{METRICS} was not written: {unreadable.what}"
        return execution.model_copy(update={"notes": (*execution.notes, note)}), ()


def _instruction_file(plan_id: str, settled: Settlement, instructions: tuple[Instruction, ...]) -> Projection:
    return Projection(
        path=instructions_path(plan_id),
        old_sha256=None,
        content=instructions_yaml(plan_id, settled.at, instructions),
    )
