"""Execute: from a request to money that moved once, or not at all.

A driver like the others: it holds no limit and no order logic. It decides *which* plan is executed and
*whether a person's word* is there; the rest is :mod:`portfolio_rebalance.tools.execution`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from portfolio_rebalance.allocation import mode_names
from portfolio_rebalance.clock import Clock
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import (
    BrokerError,
    HaltedError,
    NeedsOperatorError,
    NotApprovedError,
    PlanExpiredError,
    RebalanceError,
    RevertedError,
)
from portfolio_rebalance.execution.executor import Pace
from portfolio_rebalance.execution.venues import is_live
from portfolio_rebalance.records import Execution, Plan, RebalanceRequest, RebalanceResult
from portfolio_rebalance.run.approval import ApprovalPage, Person, approve, ask, page_of
from portfolio_rebalance.run.pre_approval import has_rested, why_not_pre_approved
from portfolio_rebalance.tools.bindings import plan_from, require_not_expired
from portfolio_rebalance.tools.desk import open_desk
from portfolio_rebalance.tools.execution import execute_at
from portfolio_rebalance.tools.finishing import finish_unfinished
from portfolio_rebalance.vault import Seal
from portfolio_rebalance.workspace import Ledger, load_config
from portfolio_rebalance.workspace.halt import read_halt

__all__ = ["Counter", "execute_approved", "execute_planned", "result_of_execution", "settle_what_was_left"]

_STATUS = {"committed": "executed", "reverted": "reverted", "needs_operator": "needs_operator"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """Where requests to execute are served.

    Attributes:
        now: The machine's time.
        person: Somebody at a terminal; None where nobody can be asked.
        sleep: Waits between questions to a venue.
    """

    root: Path
    clock: Clock
    now: Callable[[], datetime]
    person: Person | None
    progress: Callable[[str], None]
    sleep: Callable[[float], None] = time.sleep

    @property
    def config(self) -> Config:
        """As it stands on disk now."""
        return load_config(self.root, mode_names=mode_names()).config


def settle_what_was_left(at: Counter) -> Execution | None:
    """Before anything else: finish or revert what an earlier start left, and write what it has to write.

    Nobody is asked for anything here: a batch with live money goes on with ``resume`` alone, which says that
    orders will be sent. A passphrase given to a dry run would send them unannounced.

    Raises:
        NeedsOperatorError: It waits for a person, since before or from now on.
        HaltedError: HALT stands, so it stays unfinished.
    """
    with Ledger.read(at.root) as ledger:
        if ledger is None or ledger.is_settled():
            return None
    with open_desk(
        at.root, clock=at.clock, now=at.now, pace=Pace(sleep=at.sleep), progress=at.progress
    ) as desk:
        finished = finish_unfinished(desk)
    if finished is not None and finished.status == "needs_operator":
        raise NeedsOperatorError(
            f"The execution of plan {finished.plan_id[:12]} could be neither finished nor taken back: "
            f"{finished.reason}.",
            where=finished.plan_id,
            fix="Look at the venue, then: trading-portfolio-rebalance resume",
        )
    return finished


def execute_approved(request: RebalanceRequest, *, at: Counter) -> Execution | None:
    """Execute the plan that was approved last, if it is the one that is asked for; None if there is none.

    Raises:
        RebalanceError: It may not, or cannot, be executed; nothing was sent.
    """
    _require_may_execute(at)
    with Ledger.read(at.root) as ledger:
        plan_id = None if ledger is None else ledger.approvals.newest_approved()
        if ledger is None or plan_id is None:
            return None
        plan = plan_from(ledger.approvals.plan(plan_id).content, plan_id=plan_id)
    if not _asked_for(plan, request):
        return None
    try:
        require_not_expired(plan, now=at.clock.as_of)
    except PlanExpiredError:
        if at.person is None:
            raise
        return None  # a person at a terminal can look at a new one
    return _execute(plan_id, at=at, seal=_seal(at))


def execute_planned(result: RebalanceResult, *, request: RebalanceRequest, at: Counter) -> Execution | None:
    """Get a person's word on a plan that was just made, and execute it; None where it stays a plan.

    Raises:
        NotApprovedError: Nobody can be asked, or the person declined.
        RebalanceError: It cannot be executed; nothing was sent.
    """
    assert result.plan_id is not None and result.plan is not None  # noqa: PT018
    config = at.config
    if not request.execute and config.execution.mode != "auto_execute":
        return None
    _require_may_execute(at)
    _require_not_halted(at)
    page = page_of(at.root, result.plan_id, now=at.clock.as_of)
    if not request.execute and not config.execution.approval_required:
        return _pre_approved(result, page, config=config, at=at)
    if at.person is None:
        if not request.execute:
            return None  # auto_execute with approval: the plan waits
        raise _nobody_approved(page)
    seal = _approved_by_person(page, config=config, at=at)
    return _execute(page.plan_id, at=at, seal=seal)


def result_of_execution(execution: Execution, *, planned: RebalanceResult | None) -> RebalanceResult:
    """The result of a request that came to an execution."""
    base = planned if planned is not None and planned.plan_id == execution.plan_id else None
    values: dict[str, object] = {} if base is None else dict(base)
    values |= {
        "status": _STATUS[execution.status],
        "exit_code": _exit_code(execution),
        "plan_id": execution.plan_id,
        "mode": execution.mode,
        "execution": execution,
        "written": (*(base.written if base else ()), *execution.written),
    }
    return RebalanceResult.model_validate(values)


def _exit_code(execution: Execution) -> int:
    if execution.status == "committed":
        return 0
    return RevertedError.exit_code if execution.status == "reverted" else NeedsOperatorError.exit_code


def _require_not_halted(at: Counter) -> None:
    """Before anybody is asked: what they approve could not be executed."""
    halted = read_halt(at.root)
    if halted.level == "all":
        raise HaltedError(
            f"HALT stands: {halted.reason}",
            where="portfolio-rebalance/HALT",
            fix="Look at it, then: trading-portfolio-rebalance resume",
        )


def _require_may_execute(at: Counter) -> None:
    config = at.config
    if not config.enabled:
        raise HaltedError(
            "The configuration says enabled: false, so nothing is executed.",
            where="enabled",
            fix="Set it to true and plan again; a dry run works either way.",
        )
    if is_live(config) and at.clock.fixed:
        raise BrokerError(
            f"{config.broker.exchange} trades now, not at a time that was fixed.",
            where="--as-of",
            fix="Leave --as-of out.",
        )


def _asked_for(plan: Plan, request: RebalanceRequest) -> bool:
    """Whether an approved plan answers the request: words about mode or holds must be the plan's own."""
    if request.mode is not None and request.mode != plan.requested_mode:
        return False
    held = tuple(one.strategy for one in plan.strategies if one.held)
    return not request.hold or tuple(sorted(request.hold)) == held


def _approved_by_person(page: ApprovalPage, *, config: Config, at: Counter) -> Seal | None:
    """A person's word; with ``approval_required: false`` typing ``--execute`` on a terminal was it."""
    assert at.person is not None
    live = is_live(config)
    if config.execution.approval_required:
        seal = at.person.seal() if live else None
        ask(at.root, page, person=at.person, clock=at.clock, seal=seal)
        return seal
    at.person.sees(page)
    seal = at.person.seal() if live else None
    approve(at.root, page, user=at.person.user, at=at.clock.as_of, method="execute", seal=seal)
    return seal


def _pre_approved(
    result: RebalanceResult, page: ApprovalPage, *, config: Config, at: Counter
) -> Execution | None:
    """The user's standing word, in their own configuration; a plan that it does not cover waits."""
    rested = has_rested(at.root, config=config, now=at.clock.as_of)
    if why_not_pre_approved(result, config=config, rested=rested):
        return None
    approve(at.root, page, user="configuration", at=at.clock.as_of, method="pre_approved", seal=None)
    return _execute(page.plan_id, at=at, seal=None)


def _seal(at: Counter) -> Seal | None:
    if not is_live(at.config):
        return None
    if at.person is None:
        raise NotApprovedError(
            "A live venue asks for the passphrase.",
            where="terminal",
            fix="Execute in a terminal of yours, where it can be asked for.",
        )
    return at.person.seal()


def _execute(plan_id: str, *, at: Counter, seal: Seal | None) -> Execution:
    with open_desk(
        at.root, clock=at.clock, now=at.now, pace=Pace(sleep=at.sleep), seal=seal, progress=at.progress
    ) as desk:
        return execute_at(desk, plan_id)


def _nobody_approved(page: ApprovalPage) -> RebalanceError:
    return NotApprovedError(
        f"Nobody approved plan {page.plan_id[:12]} yet, and there is no terminal to ask at.",
        where=page.plan_id,
        fix=f"In a terminal of yours: trading-portfolio-rebalance approve {page.plan_id[:12]}",
    )
