"""What a front door passes in and gets back."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field

from portfolio_rebalance.records.advice import Advice, Spend
from portfolio_rebalance.records.assessment import Assessment
from portfolio_rebalance.records.base import Instant, Record, StrategyId
from portfolio_rebalance.records.correlation import CorrelationReport
from portfolio_rebalance.records.execution import Execution
from portfolio_rebalance.records.plan import Candidate, Decision, Plan, Review
from portfolio_rebalance.records.prediction import Prediction

__all__ = ["ErrorReport", "Finding", "RebalanceRequest", "RebalanceResult", "RunSummary", "Standing"]


class RebalanceRequest(Record):
    """One request to rebalance.

    Attributes:
        mode: Registered name; None for the configured default.
        execute: Whether the caller asked to execute the approved plan.
        dry_run: Whether only a plan was asked for, whatever the configuration says.
        hold: Strategies that must not change in this run.
        as_of: Fixes the clock.
        workspace: Path of a ``.crypto`` folder, or of the folder that holds one; None to search upward.
        confirm_capital: Total capital as a person typed it, to confirm a jump.
        provider: Who leads the run, whatever the configuration says; None for what it says.
        record: Folder that gets a transcript of what models were asked and answered.
        replay: Transcript to answer from instead of a model.
    """

    mode: str | None = None
    execute: bool = False
    dry_run: bool = False
    hold: tuple[StrategyId, ...] = ()
    as_of: Instant | None = None
    workspace: str | None = None
    confirm_capital: Decimal | None = None
    provider: Literal["anthropic", "rules"] | None = None
    record: str | None = None
    replay: str | None = None


class ErrorReport(Record):
    """A refusal: what, where, what to do.

    Attributes:
        difference: Of two texts that should be the same, line by line; empty where it is not about any.
    """

    code: str
    what: str
    where: str
    fix: str
    difference: str = Field(default="", exclude_if=lambda text: not text)


class RebalanceResult(Record):
    """What a run came to. Never raised, printed or exited by the function that returns it.

    Attributes:
        status: ``planned`` (a plan awaits a person), ``hold`` (nothing to do), ``blocked`` or ``refused``;
            after an execution ``executed``, ``reverted`` or ``needs_operator``.
        candidates: One for each available mode, the chosen one first.
        cheapest: The least that would do, where compliance demands a change.
        prediction: What the days after the plan may bring; None where there is no plan.
        plan_id: Of the stored plan.
        alerts: What needs a person's eye: severe drift, extreme correlation, a limit that stays broken.
        driver: Who led the run: ``model`` where the orchestrator came to a verdict, else ``rules``.
        advice: What models contributed; None where none was asked.
        spend: What they cost; not part of what is stored.
        batch_explained: The order executor's words on the execution; empty where none were given.
        written: Files written, relative to the workspace's parent.
    """

    schema_version: Literal[1] = 1
    status: Literal["planned", "hold", "blocked", "refused", "executed", "reverted", "needs_operator"]
    exit_code: int
    driver: Literal["rules", "model"] = "rules"
    run_id: str | None = None
    plan_id: str | None = None
    as_of: Instant | None = None
    requested_mode: str | None = None
    mode: str | None = None
    fallback: str = ""
    assessment: Assessment | None = None
    correlation: CorrelationReport | None = None
    candidates: tuple[Candidate, ...] = ()
    cheapest: Candidate | None = None
    reviews: tuple[Review, ...] = ()
    decision: Decision | None = None
    plan: Plan | None = None
    prediction: Prediction | None = None
    execution: Execution | None = None
    advice: Advice | None = None
    spend: Spend | None = None
    batch_explained: str = ""
    alerts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    error: ErrorReport | None = None

    @property
    def chosen(self) -> Candidate | None:
        """The candidate that was decided on."""
        return self.candidates[0] if self.candidates else None


class Standing(Record):
    """What waits for a person, or stands in the way.

    Attributes:
        unfinished: Plan id of an execution that is not over; empty where there is none.
        awaiting: Approved plans that were not executed yet.
        unconfirmed: Capital instructions nobody has followed yet, in words.
        overdue: Those of them that are older than 48 hours.
        overdue_plans: Ids of the plans that these belong to.
    """

    halt: Literal["none", "reduce_only", "all"]
    halt_reason: str
    unfinished: str
    unfinished_status: str
    reason: str
    awaiting: tuple[str, ...]
    unconfirmed: tuple[str, ...]
    overdue: tuple[str, ...]
    overdue_plans: tuple[str, ...] = ()


class RunSummary(Record):
    """One line of ``history``."""

    run_id: str
    as_of: Instant
    mode: str
    recommendation: str
    basis: str
    status: str
    plan_id: str | None


class Finding(Record):
    """One thing that ``doctor`` found."""

    severity: Literal["error", "warning"]
    where: str
    what: str
    fix: str
