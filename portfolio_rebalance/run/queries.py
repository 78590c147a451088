"""Read-only questions: where do we stand, what was run, what was in a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from portfolio_rebalance.allocation import mode_names
from portfolio_rebalance.clock import Clock
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import LedgerError, PlanNotFoundError
from portfolio_rebalance.records import (
    Assessment,
    Execution,
    Plan,
    RebalanceRequest,
    RebalanceResult,
    RunSummary,
)
from portfolio_rebalance.run.assess import assess
from portfolio_rebalance.workspace import Ledger, load_config, load_state

__all__ = ["config_of", "executes_by_itself", "history", "is_settled", "show", "status"]

_OVER: Final = {
    "committed": "executed",
    "reverted": "reverted",
    "needs_operator": "needs_operator",
    "closed": "needs_operator",
}


def status(workspace: Path, *, clock: Clock) -> Assessment:
    """The current assessment; writes nothing."""
    state = load_state(workspace, clock=clock, mode_names=mode_names())
    return assess(state.portfolio, as_of=clock.as_of, config=state.config)


def is_settled(workspace: Path) -> bool:
    """Whether no execution is unfinished and no file of a committed change is left to be written."""
    with Ledger.read(workspace) as ledger:
        return ledger is None or ledger.is_settled()


def executes_by_itself(workspace: Path, request: RebalanceRequest) -> bool:
    """Whether the configuration lets a bare run go on to ask, or to execute."""
    if request.dry_run:
        return False
    return config_of(workspace).execution.mode == "auto_execute"


def config_of(workspace: Path) -> Config:
    """The configuration as it stands on disk."""
    return load_config(workspace, mode_names=mode_names()).config


def history(workspace: Path) -> tuple[RunSummary, ...]:
    """Every stored run, newest first; none where there is no ledger yet."""
    with Ledger.read(workspace) as ledger:
        return () if ledger is None else ledger.history()


def show(workspace: Path, prefix: str) -> RebalanceResult:
    """The stored result whose plan id or run id begins with ``prefix``, and what became of its plan.

    Raises:
        PlanNotFoundError: None or several do.
        LedgerError: What is stored cannot be read.
    """
    with Ledger.read(workspace) as ledger:
        if ledger is None:
            raise PlanNotFoundError(
                "Nothing was run here yet.",
                where="PLAN",
                fix="Make a plan with: trading-portfolio-rebalance --dry-run",
            )
        try:
            result = RebalanceResult.model_validate_json(ledger.result(prefix))
            execution = None if result.plan is None else _execution_of(ledger, result.plan_id, result.plan)
        except ValidationError as invalid:
            raise LedgerError(
                f"The stored result cannot be read ({invalid.error_count()} faults).",
                where="ledger.db",
                fix="It was written by another version, or the ledger was edited; plan again.",
            ) from None
    if execution is None:
        return result
    status = _OVER.get(execution.status, result.status)
    return result.model_copy(update={"status": status, "execution": execution})


def _execution_of(ledger: Ledger, plan_id: str | None, plan: Plan) -> Execution | None:
    """What came of a plan: its report, or as far as the journal knows, at the prices it was sized with."""
    left = None if plan_id is None else ledger.journal.get(plan_id)
    if left is None or plan_id is None:
        return None
    if (report := ledger.journal.report_of(plan_id)) is not None:
        return Execution.model_validate_json(report).model_copy(update={"status": left.status})

    from portfolio_rebalance.execution.book import book_after  # most plans were never executed
    from portfolio_rebalance.tools.preparation import terms_of
    from portfolio_rebalance.tools.verification import Verified, verify

    started, steps = left.started, ledger.journal.steps(plan_id)
    seen = Verified(
        started=started,
        book=book_after(started, steps),
        markets={(market.account, market.asset): market for market in started.markets},
        steps=steps,
        terms=terms_of(started),
    )
    return verify(seen, plan=plan, status=left.status, reason=left.reason, finished_at=started.at)
