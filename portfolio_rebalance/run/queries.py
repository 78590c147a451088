"""Read-only questions: where do we stand, what was run, what was in a plan."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from portfolio_rebalance.allocation import mode_names
from portfolio_rebalance.clock import Clock
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import LedgerError, PlanNotFoundError
from portfolio_rebalance.records import Assessment, RebalanceRequest, RebalanceResult, RunSummary
from portfolio_rebalance.run.assess import assess
from portfolio_rebalance.workspace import Ledger, load_config, load_state

__all__ = ["config_of", "executes_by_itself", "history", "is_settled", "show", "status"]


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
    """The stored result whose plan id or run id begins with ``prefix``.

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
            return RebalanceResult.model_validate_json(ledger.result(prefix))
        except ValidationError as invalid:
            raise LedgerError(
                f"The stored result cannot be read ({invalid.error_count()} faults).",
                where="ledger.db",
                fix="It was written by another version, or the ledger was edited; plan again.",
            ) from None
