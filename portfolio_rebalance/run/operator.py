"""The operator: stop, go on, and look at what bots were told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from portfolio_rebalance.allocation import mode_names
from portfolio_rebalance.clock import Clock
from portfolio_rebalance.errors import HaltedError, NotApprovedError, UsageError
from portfolio_rebalance.execution.executor import Pace
from portfolio_rebalance.execution.instructions import TOLERANCE_BP, confirmed, overdue
from portfolio_rebalance.execution.venues import is_live
from portfolio_rebalance.records import Execution, Instruction, Standing
from portfolio_rebalance.run.execute import Counter
from portfolio_rebalance.tools.desk import open_desk
from portfolio_rebalance.tools.finishing import finish_unfinished
from portfolio_rebalance.tools.settlement import freed_by_bots
from portfolio_rebalance.workspace import Ledger, accept_edits, apply_outbox, exclusive, load_state
from portfolio_rebalance.workspace.halt import Halt, clear_halt, read_halt, write_halt

__all__ = ["Confirmations", "confirm", "halt", "resume", "standing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmations:
    """What came of looking at capital instructions.

    Attributes:
        confirmed: Strategies that hold what they were told to, now or before.
        open: The others, and why, in words.
    """

    plan_id: str
    confirmed: tuple[str, ...]
    open: tuple[str, ...]


def halt(root: Path, *, level: Literal["reduce_only", "all"], reason: str) -> Halt:
    """Stop execution here, at once; needs nobody's word and takes no lock, so that it always works."""
    return write_halt(root, level=level, reason=reason)


def resume(at: Counter) -> Execution | None:
    """A person has looked: accept edited files, close what waits for them, lift HALT, go on.

    Returns:
        The execution that HALT had stopped, now finished; None where there was none.

    Raises:
        NotApprovedError: Nobody is at a terminal, or they declined.
        RebalanceError: What was stopped cannot be gone on with.
    """
    if at.person is None:
        raise NotApprovedError(
            "Only a person at a terminal may resume.", where="terminal", fix="Run it in a terminal of yours."
        )
    now = standing(at.root, clock=at.clock)
    question = _question(now)
    seal = at.person.seal() if is_live(at.config) else None
    if not at.person.agrees(question, word="resume"):
        raise NotApprovedError("Not resumed; nothing was changed.", where="terminal", fix="Type: resume")
    with exclusive(at.root), Ledger.open(at.root) as ledger:
        accept_edits(at.root, ledger)
        left = ledger.journal.unfinished()
        if left is not None and left.status == "needs_operator":
            ledger.journal.close(
                left.started.plan_id, reason=f"taken over by {at.person.user}: {left.reason}"
            )
        _lift(at.root, shown=now)
    with open_desk(
        at.root, clock=at.clock, now=at.now, pace=Pace(sleep=at.sleep), seal=seal, progress=at.progress
    ) as desk:
        return finish_unfinished(desk)


def confirm(root: Path, prefix: str, *, clock: Clock) -> Confirmations:
    """Look whether bots hold what they were told to, by their newest snapshots.

    What they gave up, or took, becomes cash, or comes out of it, in BOOTSTRAP.

    Raises:
        PlanNotFoundError: No stored plan begins with ``prefix``.
        UsageError: The plan had no capital instructions.
    """
    with exclusive(root), Ledger.open(root) as ledger:
        plan_id = ledger.approvals.plan(prefix).plan_id
        issued = ledger.approvals.instructions_of(plan_id)
        if issued is None:
            raise UsageError(
                f"Plan {plan_id[:12]} gave no capital instructions.",
                where="PLAN",
                fix="Only an executed plan with strategies of `control: bot` has some.",
            )
        state = load_state(root, clock=clock, mode_names=mode_names())
        current = {one.strategy: one for one in state.portfolio.strategies}
        done, waiting, capitals = list(issued.confirmed), [], {}
        for instruction in _instructions(issued.content):
            key = instruction.strategy
            if key in issued.confirmed:
                continue
            if key not in current:
                waiting.append(f"{key} is not deployed any more")
                continue
            found = confirmed(
                instruction,
                capital=current[key].capital,
                as_of=current[key].capital_as_of,
                issued_at=issued.issued_at,
                tolerance_bp=TOLERANCE_BP,
            )
            if found.outcome == "confirmed":
                capitals[key] = current[key].capital
                done.append(key)
            else:
                waiting.append(found.what)
        # The file first: after a crash it says the confirmed capital already, and nothing moves twice.
        apply_outbox(root, ledger)
        if (file := freed_by_bots(root, capitals=capitals, clock=clock)) is not None:
            with ledger.transaction() as connection:
                ledger.outbox.add([file], plan_id=plan_id, within=connection)
            apply_outbox(root, ledger)
        for key in capitals:
            ledger.approvals.confirm(plan_id, strategy=key, at=clock.as_of)
    return Confirmations(plan_id=plan_id, confirmed=tuple(sorted(done)), open=tuple(waiting))


def standing(root: Path, *, clock: Clock) -> Standing:
    """What waits for a person, or stands in the way; writes nothing."""
    halted = read_halt(root)
    unfinished = unfinished_status = reason = ""
    awaiting: tuple[str, ...] = ()
    unconfirmed: list[str] = []
    late: list[str] = []
    late_plans: list[str] = []
    with Ledger.read(root) as ledger:
        if ledger is not None:
            left = ledger.journal.unfinished()
            if left is not None:
                unfinished, unfinished_status = left.started.plan_id, left.status
                reason = left.reason
            newest = ledger.approvals.newest_approved()
            awaiting = (newest,) if newest is not None else ()
            for issued in ledger.approvals.instructions():
                told = [
                    f"{one.strategy} shall come to {one.new_capital:f}: confirm {issued.plan_id[:12]}"
                    for one in _instructions(issued.content)
                    if one.strategy not in issued.confirmed
                ]
                if told and overdue(issued.issued_at, clock.as_of):
                    late += told
                    late_plans.append(issued.plan_id)
                else:
                    unconfirmed += told
    return Standing(
        halt=halted.level,
        halt_reason=halted.reason,
        unfinished=unfinished,
        unfinished_status=unfinished_status,
        reason=reason,
        awaiting=awaiting,
        unconfirmed=tuple(unconfirmed),
        overdue=tuple(late),
        overdue_plans=tuple(late_plans),
    )


def _lift(root: Path, *, shown: Standing) -> None:
    """Lift the HALT that the person was shown; one that came while they were asked stands."""
    stands = read_halt(root)
    if (stands.level, stands.reason) != (shown.halt, shown.halt_reason):
        raise HaltedError(
            f"HALT changed while you were asked: {stands.reason}",
            where="portfolio-rebalance/HALT",
            fix="Look at it, then: trading-portfolio-rebalance resume",
        )
    clear_halt(root)


def _question(now: Standing) -> str:
    parts = []
    if now.halt != "none":
        parts.append(f"HALT stands: {now.halt_reason}")
    if now.unfinished_status == "needs_operator":
        parts.append(
            f"The execution of plan {now.unfinished[:12]} could be neither finished nor reverted: "
            f"{now.reason}. Have you looked at the venue? From here on its holdings count as they are, and "
            "the next plan starts from your snapshots."
        )
    elif now.unfinished:
        parts.append(
            f"The execution of plan {now.unfinished[:12]} is {now.unfinished_status}: it will go on, and "
            "orders will be sent."
        )
    return " ".join(parts) or "Nothing is halted."


def _instructions(content: bytes) -> tuple[Instruction, ...]:
    return TypeAdapter(tuple[Instruction, ...]).validate_json(content)
