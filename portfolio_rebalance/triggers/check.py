"""One drift check: what a schedule starts, and nobody watches.

It looks at the portfolio as a run would, by the same stages. Where a strategy has drifted beyond
``auto_rebalance_threshold``, a hard limit is broken now, or an execution was left unfinished, it asks for a
bare run, as a person would by typing the bare command: the plan waits for a person, or, where the user's own
pre-approval covers it, is executed on paper. A check never asks for an execution and never asks anybody.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal

from portfolio_rebalance.allocation import check_limits
from portfolio_rebalance.analytics import strategy_drift
from portfolio_rebalance.clock import Clock
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import (
    HaltedError,
    NeedsOperatorError,
    RebalanceError,
    UnusablePlanError,
    WorkspaceBusyError,
)
from portfolio_rebalance.records import ErrorReport, RebalanceRequest, RebalanceResult
from portfolio_rebalance.records.notice import Notice
from portfolio_rebalance.reporting import short_id
from portfolio_rebalance.reporting.notices import notice_of_refusal, notices_of_state
from portfolio_rebalance.run import Session
from portfolio_rebalance.run.pre_approval import has_rested, why_not_pre_approved
from portfolio_rebalance.run.queries import config_of, is_settled, show
from portfolio_rebalance.run.telling import tell, viewpoint
from portfolio_rebalance.skill import run_skill
from portfolio_rebalance.tools.bindings import plan_from, require_bound
from portfolio_rebalance.triggers.due import is_due
from portfolio_rebalance.triggers.waiting import when_free
from portfolio_rebalance.workspace.drift_checks import AwaitingPlan, awaiting_plans, keep_check, last_check

__all__ = ["Checked", "Checker"]

_LOOKS: Final = ("bootstrap", "assess", "correlate")
_SET_BACK: Final = timedelta(days=1)
"""A check that lies so little ahead was made before the machine's time was set back."""
_UNFINISHED: Final = "unfinished"
_TOLD_AS_STANDING: Final = frozenset({HaltedError.code, NeedsOperatorError.code})


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check came to.

    Attributes:
        status: ``disabled``: the configuration says ``enabled: false``; ``not_due``: no time of the schedule
            has come; ``quiet``: nothing demands a run; ``awaiting``: a plan of an earlier check answers the
            same reasons; ``ran``: see ``result``; ``refused``: see ``error``.
        reasons: Why a run is demanded, in words.
        plan_id: Of the plan that waits, or that the run came to.
        result: Of the run.
        warnings: Who could not be told, and why; those of the run are its own.
    """

    status: Literal["disabled", "not_due", "quiet", "awaiting", "ran", "refused"]
    at: datetime
    reasons: tuple[str, ...] = ()
    plan_id: str | None = None
    result: RebalanceResult | None = None
    error: ErrorReport | None = None
    warnings: tuple[str, ...] = ()
    exit_code: int = 0

    @property
    def summary(self) -> str:
        """One line for a log."""
        if self.status == "disabled":
            return "nothing was checked: the configuration says enabled: false"
        if self.status == "not_due":
            return "not due: no time of the schedule has come since the last check"
        if self.status == "quiet":
            return "nothing to do"
        if self.error is not None:
            return f"refused: {self.error.what}"
        why = "; ".join(self.reasons)
        if self.status == "awaiting":
            return f"plan {short_id(self.plan_id or '')} of an earlier check awaits you still: {why}"
        came_to = "" if self.result is None else self.result.status
        plan = "" if self.plan_id is None else f", plan {short_id(self.plan_id)}"
        return f"{came_to}{plan}: {why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Where checks are made.

    Attributes:
        root: The workspace.
        as_of: Fixes the clock; None for the machine's time.
        now: The machine's time, for tests; the real one where None.
        progress: Told the name of each stage.
        sleep: Waits for another process to end.
    """

    root: Path
    as_of: datetime | None = None
    now: datetime | None = None
    progress: Callable[[str], None] = lambda _stage: None
    sleep: Callable[[float], None] = time.sleep

    def check(self) -> Checked:
        """Make one check, whatever the time.

        Raises:
            RebalanceError: The configuration cannot be read, so that nobody can be told; or ``as_of`` has not
                come yet.
        """
        config = config_of(self.root)
        clock = self._clock()
        if not config.enabled:
            return Checked(status="disabled", at=clock.as_of)
        try:
            checked = self._checked(config, clock)
        except RebalanceError as error:
            report = ErrorReport(code=error.code, what=error.what, where=error.where, fix=error.fix)
            checked = self._refused(report, config, clock, exit_code=error.exit_code)
        return checked

    def check_if_due(self) -> Checked:
        """Make one check if a time of the schedule has come since the last one.

        Raises:
            RebalanceError: As :meth:`check`; or it cannot be read when the last one was made.
        """
        config, clock = config_of(self.root), self._clock()
        last = last_check(self.root, until=clock.as_of + _SET_BACK)
        if config.enabled and not is_due(config.schedule, last=last, now=clock.as_of):
            return Checked(status="not_due", at=clock.as_of)
        return self.check()

    def _clock(self) -> Clock:
        now = self.now or datetime.now(UTC)
        return Clock.live(now) if self.as_of is None else Clock.at(self.as_of, now=now)

    def _checked(self, config: Config, clock: Clock) -> Checked:
        if not is_settled(self.root):
            words = {_UNFINISHED: "an execution was left unfinished"}
            return self._run(words, config, clock)
        session = Session(root=self.root, clock=clock, request=RebalanceRequest())
        for stage in _LOOKS:
            self.progress(stage)
            session.advance()
        words = _reasons(session)
        if not words:
            self._keep(frozenset(), clock, plan_id=None)
            return Checked(status="quiet", at=clock.as_of, warnings=self._told_state(session, clock))
        waiting = self._awaiting(frozenset(words), session, clock)
        if waiting is None:
            return self._run(words, config, clock)
        self._keep(frozenset(words), clock, plan_id=None)
        return Checked(
            status="awaiting",
            at=clock.as_of,
            reasons=tuple(words.values()),
            plan_id=waiting.plan_id,
            warnings=self._told_state(session, clock),
        )

    def _run(self, words: Mapping[str, str], config: Config, clock: Clock) -> Checked:
        """A bare run, once nobody else is at work here."""
        request = {"workspace": str(self.root), "as_of": self.as_of}

        def run() -> RebalanceResult:
            made = run_skill(request, now=self.now, progress=self.progress, person=None)
            if made.error is not None and made.error.code == WorkspaceBusyError.code:
                raise WorkspaceBusyError(made.error.what, where=made.error.where, fix=made.error.fix)
            return made

        result = when_free(run, sleep=self.sleep)
        if result.error is not None and result.plan is None and result.execution is None:
            return self._refused(result.error, config, clock, exit_code=result.exit_code)
        self._keep(frozenset(words), clock, plan_id=None if result.plan is None else result.plan_id)
        return Checked(
            status="ran",
            at=clock.as_of,
            reasons=tuple(words.values()),
            plan_id=result.plan_id,
            result=result,
            exit_code=result.exit_code,
        )

    def _refused(self, error: ErrorReport, config: Config, clock: Clock, *, exit_code: int) -> Checked:
        """Told to a person, because nobody is there to read it; another process at work is no news."""
        warnings: tuple[str, ...] = ()
        if error.code != WorkspaceBusyError.code:
            notices = (
                []  # what stands in the way is told as such
                if error.code in _TOLD_AS_STANDING
                else [notice_of_refusal(error, seen=viewpoint(self.root, clock=clock))]
            )
            warnings = self._tell(notices, config, clock)
            try:
                self._keep(frozenset(), clock, plan_id=None)
            except RebalanceError as fault:
                warnings = (*warnings, f"the check was not stored: {fault.what}")
        return Checked(status="refused", at=clock.as_of, error=error, warnings=warnings, exit_code=exit_code)

    def _awaiting(self, reasons: frozenset[str], session: Session, clock: Clock) -> AwaitingPlan | None:
        """A plan of an earlier check that answers the same reasons and could still be executed as it is.

        One that was made on stale data, or that the user's pre-approval covers by now, is made again.
        """
        for waiting in awaiting_plans(self.root, now=clock.as_of):
            if not reasons <= waiting.reasons:
                continue
            try:
                plan = plan_from(waiting.content, plan_id=waiting.plan_id)
                require_bound(
                    plan,
                    portfolio=session.state.portfolio,
                    config_sha256=session.state.config_sha256,
                    correlation=session.correlation,
                )
            except UnusablePlanError:
                continue
            if plan.stale and not session.state.portfolio.stale:
                continue
            if self._is_covered(waiting.plan_id, session.state.config, clock):
                continue
            return waiting
        return None

    def _is_covered(self, plan_id: str, config: Config, clock: Clock) -> bool:
        """Whether the user's standing configuration would have the plan executed without a person by now."""
        if config.execution.mode != "auto_execute" or config.execution.approval_required:
            return False
        rested = has_rested(self.root, config=config, now=clock.as_of)
        return not why_not_pre_approved(show(self.root, plan_id), config=config, rested=rested)

    def _told_state(self, session: Session, clock: Clock) -> tuple[str, ...]:
        seen = viewpoint(self.root, clock=clock)
        notices = notices_of_state(session.assessment, session.correlation, seen=seen)
        return self._tell(notices, session.state.config, clock)

    def _tell(
        self, notices: tuple[Notice, ...] | list[Notice], config: Config, clock: Clock
    ) -> tuple[str, ...]:
        return tell(
            self.root,
            notices,
            clock=clock,
            config=config,
            environment=os.environ,
            now=self.now or datetime.now(UTC),
        )

    def _keep(self, reasons: frozenset[str], clock: Clock, *, plan_id: str | None) -> None:
        keep_check(self.root, at=clock.as_of, reasons=reasons, plan_id=plan_id)


def _reasons(session: Session) -> dict[str, str]:
    """Why a run is demanded: short keys, which stay the same while a reason lasts, and words.

    By the rules that a run decides by: what is pinned is no cause of drift, because no run may change it.
    """
    portfolio = session.state.portfolio
    threshold = session.state.config.drift_thresholds.auto_rebalance_threshold.normalize()
    found: dict[str, str] = {}
    for key, current in sorted(portfolio.current_bp.items()):
        drift = strategy_drift(current, portfolio.target_bp[key])
        if key not in session.fixed and drift is not None and abs(drift) > Fraction(threshold) / 100:
            found[f"drift:{key}"] = f"{key} drifted {float(drift) * 100:+.2f} %, more than {threshold:f} %"
    checks = check_limits(portfolio.current_bp, clusters=session.clusters or (), limits=session.limits)
    for one in checks:
        if not one.passed:
            about = "+".join(one.subject)
            share, limit = float(one.proposed_bp) / 100, float(one.limit_bp) / 100
            name = one.limit.replace("_", " ") + ("" if one.limit == "total_deployed" else f" of {about}")
            found[f"limit:{one.limit}:{about}"] = f"{name} is at {share:.2f} %, the limit is {limit:.2f} %"
    return found
