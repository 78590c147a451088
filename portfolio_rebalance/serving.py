"""Serving: what one request goes through, from what an earlier start left to an executed plan.

Rules or models lead the planning; nothing else differs between the two. Models are opened only where the
request, the configuration or the environment's key calls for them, and then a run by rules that nobody asked
a model for loads none of their code.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from portfolio_rebalance.clock import Clock
from portfolio_rebalance.config import Config
from portfolio_rebalance.config_llm import Llm
from portfolio_rebalance.errors import RebalanceError
from portfolio_rebalance.records import ErrorReport, Execution, RebalanceRequest, RebalanceResult
from portfolio_rebalance.run import Session, drive_by_rules, record
from portfolio_rebalance.run.queries import config_of, executes_by_itself, is_settled

if TYPE_CHECKING:
    from portfolio_rebalance.agents.models import Models
    from portfolio_rebalance.run.approval import Person
    from portfolio_rebalance.run.execute import Counter

__all__ = ["Service", "calls_for_models", "refused"]

_KEY: Final = "ANTHROPIC_API_KEY"


def refused(error: RebalanceError, planned: RebalanceResult | None = None) -> RebalanceResult:
    """The result of a request that was refused; a plan that was made before stays in it."""
    values = {} if planned is None else dict(planned)
    values |= {
        "status": "refused",
        "exit_code": error.exit_code,
        "error": ErrorReport(
            code=error.code,
            what=error.what,
            where=error.where,
            fix=error.fix,
            difference=getattr(error, "difference", ""),
        ),
    }
    return RebalanceResult.model_validate(values)


@dataclass(slots=True, kw_only=True)
class Service:
    """One request, served once.

    Attributes:
        now: The machine's time.
        person: Somebody at a terminal; None where nobody can be asked.
        models: Models that review and explain; opened where they are called for if None.
        environment: Holds the key of a model's provider.
    """

    request: RebalanceRequest
    root: Path
    clock: Clock
    now: Callable[[], datetime]
    progress: Callable[[str], None]
    person: Person | None
    models: Models | None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _asked_to_execute: bool = False
    _executed: Execution | None = None
    _refusal: RebalanceError | None = None
    _config: Config | None = None

    def serve(self) -> RebalanceResult:
        """Serve the request; whatever models took part are closed, also where it is refused.

        Raises:
            RebalanceError: It is refused, before any model took part.
        """
        try:
            result = self._served()
        except RebalanceError as error:
            closed = self._closed(refused(error))
            if closed.spend is None:
                raise
            return closed
        return self._closed(result)

    def config_in_force(self) -> Config:
        """The configuration that the request was served with; read again where no run came that far.

        Raises:
            RebalanceError: It cannot be read.
        """
        return self._config or config_of(self.root)

    def _served(self) -> RebalanceResult:
        """Finish what was left; execute what is approved, or plan; and execute the plan if that may be."""
        settled = is_settled(self.root)
        if settled and not self.request.execute and not executes_by_itself(self.root, self.request):
            return self._planned(None)
        from portfolio_rebalance.run import execute

        at = execute.Counter(
            root=self.root, clock=self.clock, now=self.now, person=self.person, progress=self.progress
        )
        finished = execute.settle_what_was_left(at)
        if finished is not None and not self.request.dry_run:
            # One thing at a time: what an earlier start left is over now; whoever wants more asks again.
            return self._watched(execute.result_of_execution(finished, planned=None))
        if self.request.execute:
            # Whatever is wrong with the models is said before anything moves.
            self._open_models(config_of(self.root).llm)
        approved = execute.execute_approved(self.request, at=at) if self.request.execute else None
        if approved is not None:
            return self._explained(self._watched(execute.result_of_execution(approved, planned=None)))
        planned = self._planned(at if self.request.execute else None)
        if planned.status != "planned" or self.request.dry_run:
            return planned
        if not self._asked_to_execute:
            self._execute(planned, at=at)
        if self._refusal is not None:
            return refused(self._refusal, planned)
        if self._executed is None:
            return planned
        return self._explained(self._watched(execute.result_of_execution(self._executed, planned=planned)))

    def _planned(self, at: Counter | None) -> RebalanceResult:
        """Plan, and store the plan.

        Args:
            at: Where a model may ask for the plan to be executed; None where no person asked for that.
        """
        session = Session(root=self.root, clock=self.clock, request=self.request)
        self.progress("bootstrap")
        session.advance()
        self._config = session.state.config
        self._open_models(session.state.config.llm)
        if self.models is None:
            drive_by_rules(session, progress=self.progress)
            return record(session)
        return self.models.drive(
            session,
            finish=lambda: record(session),
            execute=None if at is None else lambda planned: self._execute(planned, at=at),
            progress=self.progress,
        )

    def _execute(self, planned: RebalanceResult, *, at: Counter) -> None:
        """Execute a plan, if a person's word is there; keeps what it came to, and raises nothing."""
        from portfolio_rebalance.run import execute

        self._asked_to_execute = True
        try:
            self._executed = execute.execute_planned(planned, request=self.request, at=at)
        except RebalanceError as error:
            self._refusal = error

    def _watched(self, result: RebalanceResult) -> RebalanceResult:
        """Begin to watch what was executed, and learn what it cost; nothing of it undoes an execution."""
        execution = result.execution
        if execution is None or execution.status not in ("committed", "reverted"):
            return result
        from portfolio_rebalance.run.follow import follow

        at = Clock.at(execution.finished_at, now=max(self.now(), execution.finished_at))
        try:
            follow(self.root, clock=at)
        except RebalanceError as error:
            return result.model_copy(update={"warnings": (*result.warnings, str(error))})
        return result

    def _explained(self, result: RebalanceResult) -> RebalanceResult:
        """The result with the order executor's words, where a model takes part."""
        if result.execution is None:
            return result
        try:
            self._open_models(config_of(self.root).llm)
            if self.models is None:
                return result
            text = self.models.explain(result.execution, progress=self.progress)
        except RebalanceError as error:
            # What was executed is told, whatever becomes of its explanation.
            return result.model_copy(update={"warnings": (*result.warnings, str(error))})
        return result.model_copy(update={"batch_explained": text})

    def _open_models(self, settings: Llm) -> None:
        if self.models is not None or not calls_for_models(self.request, settings, self.environment):
            return
        from portfolio_rebalance.agents.models import open_models

        self.models = open_models(
            self.request, settings=settings, environment=self.environment, today=self.now().date()
        )

    def _closed(self, result: RebalanceResult) -> RebalanceResult:
        """End the models' part: transcript, replay, cost. What was executed stays so, whatever fails here."""
        if self.models is None:
            return result
        try:
            spend = self.models.close(name=_name_of(result))
        except RebalanceError as error:
            if result.execution is None:
                return refused(error, result)
            return result.model_copy(update={"warnings": (*result.warnings, str(error))})
        if (named := result.run_id or result.plan_id) is not None:
            from portfolio_rebalance.workspace.spending import keep_spend

            try:
                keep_spend(self.root, run_id=named, at=self.clock.as_of, spend=spend)
            except RebalanceError as error:
                warnings = (*spend.warnings, f"the cost was not stored: {error.what}")
                spend = spend.model_copy(update={"warnings": warnings})
        return result.model_copy(update={"spend": spend})


def _name_of(result: RebalanceResult) -> str:
    """Of the transcript's file: the run's id, or that of the plan that was executed."""
    return result.run_id or (result.plan_id or "refused")[:16]


def calls_for_models(request: RebalanceRequest, settings: Llm, environment: Mapping[str, str]) -> bool:
    """Whether a model may take part; what exactly is decided where models are known."""
    if request.replay is not None or request.record is not None:
        return True
    provider = request.provider or settings.provider
    return provider == "anthropic" or (provider == "auto" and bool(environment.get(_KEY, "").strip()))
