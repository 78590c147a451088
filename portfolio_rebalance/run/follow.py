"""Follow: look at every rebalance that is watched, grade those whose days are over, learn from both.

A driver: what is compared, graded and learned is :mod:`portfolio_rebalance.monitoring`'s. What one look
finds is stored in one transaction; the same look again changes nothing. It reads the configuration and can
write none of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from portfolio_rebalance.allocation import mode_names
from portfolio_rebalance.analytics import ReturnsTable
from portfolio_rebalance.clock import Clock, format_instant
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import PlanNotFoundError, RebalanceError
from portfolio_rebalance.execution.instructions import CONFIRM_WITHIN
from portfolio_rebalance.monitoring.comparing import Watch, compare, cost_check
from portfolio_rebalance.monitoring.grading import PATIENCE, graded_at, outcome_of
from portfolio_rebalance.monitoring.learning import causes_by_rules
from portfolio_rebalance.monitoring.ticking import Look, number_of, tick_of
from portfolio_rebalance.monitoring.tuning import lessons_of_execution, lessons_of_outcome, taken_back
from portfolio_rebalance.records import (
    Instruction,
    Learned,
    MonitorReport,
    Outcome,
    Portfolio,
    Prediction,
    RebalanceResult,
    Tick,
    TuningStep,
)
from portfolio_rebalance.run.feedback_file import feedback_projection
from portfolio_rebalance.tools.frames import window_of
from portfolio_rebalance.tools.metrics import metrics_projection
from portfolio_rebalance.workspace import (
    Ledger,
    Projection,
    apply_outbox,
    exclusive,
    load_config,
    load_state,
)
from portfolio_rebalance.workspace.follow_ups import Followed
from portfolio_rebalance.workspace.returns import read_returns

__all__ = ["follow", "learn", "revert"]


def follow(root: Path, *, clock: Clock) -> MonitorReport:
    """Look once at everything that is watched.

    Args:
        root: The workspace.
        clock: Now; only which days have closed and which interval it is matters.

    Raises:
        WorkspaceBusyError: Another process is at work here.
        LedgerError: The ledger cannot be used; nothing was stored.
        BadDataError: A return file or the configuration cannot be trusted; nothing was stored.
    """
    with Ledger.read(root) as known:
        if known is None:
            return MonitorReport(notes=("nothing was executed here yet",))
    with exclusive(root), Ledger.open(root) as ledger:
        apply_outbox(root, ledger)
        config = load_config(root, mode_names=mode_names()).config
        look = _Round(
            root=root, ledger=ledger, clock=clock, config=config, executions=ledger.follow_ups.executions()
        )
        look.learn_from_executions()
        for followed in look.watched():
            look.look_at(followed)
        look.store()
        return look.report()


def learn(root: Path, *, learned: Sequence[Learned]) -> None:
    """Store what the feedback agent named of a divergence; the first time counts.

    Raises:
        WorkspaceBusyError: Another process is at work here.
        LedgerError: The ledger cannot be used; nothing was stored.
    """
    with exclusive(root), Ledger.open(root) as ledger:
        apply_outbox(root, ledger)
        kept = ledger.follow_ups.learned()
        known = {(old.plan_id, old.source, old.at) for several in kept.values() for old in several}
        new = [one for one in learned if (one.plan_id, one.source, one.at) not in known]
        file = feedback_projection(root, ledger, learned=new)
        ledger.follow_ups.record(learned=new, projections=() if file is None else (file,))
        apply_outbox(root, ledger)


def revert(root: Path, number: int, *, clock: Clock) -> TuningStep:
    """Take a step of an estimate back, and with it every later one of the same estimate.

    Raises:
        UsageError: There is no such step, or it counts no more.
        WorkspaceBusyError: Another process is at work here.
        LedgerError: The ledger cannot be used; nothing was changed.
    """
    with exclusive(root), Ledger.open(root) as ledger:
        config = load_config(root, mode_names=mode_names()).config
        step = taken_back(number, steps=ledger.follow_ups.steps(), at=clock.as_of, config=config)
        ledger.follow_ups.record(steps=(step,))
        return ledger.follow_ups.steps()[-1]


@dataclass(slots=True, kw_only=True)
class _Round:
    """One look, and what it finds; stored all at once."""

    root: Path
    ledger: Ledger
    clock: Clock
    config: Config
    executions: tuple[Followed, ...]  # all of them, read once: they are many, and each watch asks for them
    ticks: list[Tick] = field(default_factory=list)
    new_ticks: list[Tick] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    steps: list[TuningStep] = field(default_factory=list)
    learned: list[Learned] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _state: tuple[Portfolio | None, str] | None = None

    def learn_from_executions(self) -> None:
        """Costs, of every execution that has not taught them yet."""
        if not self.config.learning.update_algorithm_on_divergence:
            return
        log = self._log()
        taught = {step.plan_id for step in log if step.parameter.endswith("_bps")}
        for followed in self.executions:
            if followed.plan_id not in taught and followed.finished_at <= self.clock.as_of:
                self.steps += lessons_of_execution(followed.execution, steps=self._log(), config=self.config)

    def watched(self) -> Iterator[Followed]:
        """What is committed and has no outcome yet, newest first."""
        for followed in reversed(self.executions):
            if followed.execution.status == "committed" and followed.outcome is None:
                yield followed

    def look_at(self, followed: Followed) -> None:
        """One tick of one rebalance, and its outcome where its days are over."""
        watch = self._watch(followed)
        hours = self.config.monitoring.tracking_interval_hours
        number = number_of(watch, at=self.clock.as_of, interval_hours=hours)
        if number < 0:
            self.notes.append(
                f"plan {watch.plan_id[:12]} was finished at {format_instant(watch.committed_at)}, after now: "
                "it is not looked at"
            )
            return
        returns, goes_on = self._returns(watch)
        newest = self.ledger.follow_ups.newest_tick(watch.plan_id)
        outcome = self._outcome(watch, returns, goes_on=goes_on)
        if newest is not None:
            # By its instant: its number may be of intervals of another length.
            seen = number_of(watch, at=newest.at, interval_hours=hours)
            if outcome is None and seen >= number:
                self.ticks.append(newest)  # this interval was looked at, or the clock went back
                return
            number = max(number, newest.number + 1)
        if outcome is None and self.clock.as_of >= watch.ends_at + PATIENCE:
            self._wait_for_returns(watch, newest)
            return
        portfolio, unreadable = self._portfolio()
        tick = tick_of(
            watch,
            Look(
                at=self.clock.as_of,
                number=number,
                returns=returns,
                earlier_bps=self._earlier_bps(watch.plan_id),
                earlier=self.ledger.follow_ups.alerting_ticks(watch.plan_id),
                portfolio=portfolio,
                unreadable=unreadable,
                replaced_by=self._replaced_by(followed),
                is_last=outcome is not None,
            ),
            config=self.config,
        )
        self.ticks.append(tick)
        self.new_ticks.append(tick)
        if outcome is not None:
            self._learn_from(outcome)

    def _wait_for_returns(self, watch: Watch, newest: Tick | None) -> None:
        """Its days are over and nothing new came: there is nothing to look at, or the clock is ahead."""
        if newest is not None:
            self.ticks.append(newest)
        self.notes.append(
            f"the days of plan {watch.plan_id[:12]} ended at {format_instant(watch.ends_at)}, and no return "
            "of the last of them or later has come: it is graded once returns are there. Bring the "
            "daily_returns files up to date, or correct the clock of the machine"
        )

    def store(self) -> None:
        """Everything that is new, in one transaction, with the files that show it."""
        file = feedback_projection(
            self.root, self.ledger, ticks=self.new_ticks, outcomes=self.outcomes, learned=self.learned
        )
        files = () if file is None else (file,)
        if self.outcomes:
            files = (*files, self._metrics_file())
        if files or self.new_ticks or self.outcomes or self.steps or self.learned:
            self.ledger.follow_ups.record(
                ticks=self.new_ticks,
                outcomes=self.outcomes,
                steps=self.steps,
                learned=self.learned,
                projections=files,
            )
            apply_outbox(self.root, self.ledger)
        kept_from = self.clock.as_of - timedelta(days=self.config.retention_days)
        self.ledger.follow_ups.forget(before=kept_from)

    def _metrics_file(self) -> Projection:
        """The metrics with the outcomes that are stored in the same transaction."""
        graded = {one.plan_id: one for one in self.outcomes}
        ended = [one for one in self.executions if one.plan_id in graded]
        also = [replace(one, outcome=graded[one.plan_id]) for one in ended]
        return metrics_projection(self.root, self.ledger, also=also)

    def report(self) -> MonitorReport:
        """What this look came to."""
        return MonitorReport(
            ticks=tuple(self.ticks),
            outcomes=tuple(self.outcomes),
            steps=tuple(self.steps),
            learned=tuple(self.learned),
            notes=tuple(self.notes),
        )

    def _learn_from(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if self.config.learning.update_algorithm_on_divergence:
            self.steps += lessons_of_outcome(outcome, steps=self._log(), config=self.config)
        if self.config.learning.extract_learnings:
            self.learned += causes_by_rules(outcome)

    def _outcome(self, watch: Watch, returns: ReturnsTable, *, goes_on: bool) -> Outcome | None:
        if self.clock.as_of < watch.ends_at:
            return None
        realised = compare(watch, returns=returns, days=watch.days, config=self.config)
        at = graded_at(watch, at=self.clock.as_of, observations=realised.observations, goes_on=goes_on)
        if at is None:
            return None
        cost = cost_check(watch, earlier_bps=self._earlier_bps(watch.plan_id), config=self.config)
        return outcome_of(watch, at=at, realised=realised, cost=cost)

    def _log(self) -> tuple[TuningStep, ...]:
        return (*self.ledger.follow_ups.steps(), *self.steps)

    def _watch(self, followed: Followed) -> Watch:
        prediction, execution = _prediction(self.ledger, followed.plan_id), followed.execution
        moved, confirmed_at = _moved_by_bots(self.ledger, followed.plan_id)
        after = {key: one.capital for key, one in execution.post_rebalance_allocations.items()}
        watch = Watch(
            plan_id=followed.plan_id,
            mode=execution.mode,
            committed_at=followed.finished_at,
            prediction=prediction,
            days=self.config.monitoring.post_rebalance_days if prediction is None else prediction.days,
            total_before=execution.total_capital_before,
            capitals=after | moved,
            moved_by_bots=frozenset(moved),
            waiting_for_bots={one.strategy for one in execution.instructions} - moved.keys(),
            estimated_cost=execution.estimated_cost,
            actual_cost=execution.actual_cost,
            actual_cost_bps=execution.total_cost_bps,
        )
        # When it was confirmed decides, and not who looked when: a watch that ends unconfirmed stays so.
        latest = min(followed.finished_at + CONFIRM_WITHIN, watch.ends_at)
        late = frozenset(key for key, at in confirmed_at.items() if at > latest)
        return replace(watch, confirmed_late=late)

    def _returns(self, watch: Watch) -> tuple[ReturnsTable, bool]:
        """Of every strategy of a watch, on its days as far as they have closed.

        Also whether any of them has a return of the last day or of a later one that has closed.
        """
        read = {key: read_returns(self.root, key, today=self.clock.today) for key in watch.ids}
        last_day = min(watch.last_day, self.clock.last_closed_day)
        known = {key: (one.days, one.values) for key, one in read.items() if one is not None}
        table = window_of(known, ids=watch.ids, last_day=last_day, lookback_days=watch.days)
        end, closed = np.datetime64(watch.last_day), np.datetime64(self.clock.last_closed_day)
        goes_on = any(
            bool(((days >= end) & (days <= closed) & ~np.isnan(values)).any())
            for days, values in known.values()
        )
        return table, goes_on

    def _portfolio(self) -> tuple[Portfolio | None, str]:
        """The current state, read once; what cannot be trusted ends no watch."""
        if self._state is None:
            try:
                state = load_state(self.root, clock=self.clock, mode_names=mode_names())
                self._state = (state.portfolio, "")
            except RebalanceError as error:
                self._state = (None, error.what)
        return self._state

    def _earlier_bps(self, plan_id: str) -> tuple[Decimal, ...]:
        """What batches before this one cost."""
        found: list[Decimal] = []
        for one in self.executions:
            if one.plan_id == plan_id:
                break
            if one.execution.total_cost_bps is not None:
                found.append(one.execution.total_cost_bps)
        return tuple(found)

    def _replaced_by(self, followed: Followed) -> str:
        later = [
            one.plan_id
            for one in self.executions
            if one.execution.status == "committed" and one.finished_at > followed.finished_at
        ]
        return later[0] if later else ""


def _prediction(ledger: Ledger, plan_id: str) -> Prediction | None:
    """As it was stored with the plan; None where an earlier version made it."""
    try:
        return RebalanceResult.model_validate_json(ledger.result(plan_id)).prediction
    except (ValidationError, PlanNotFoundError):
        return None


def _moved_by_bots(ledger: Ledger, plan_id: str) -> tuple[dict[str, Decimal], dict[str, datetime]]:
    """What bots have confirmed to hold, and when."""
    issued = ledger.approvals.instructions_of(plan_id)
    if issued is None:
        return {}, {}
    told = TypeAdapter(tuple[Instruction, ...]).validate_json(issued.content)
    moved = {one.strategy: one.new_capital for one in told if one.strategy in issued.confirmed}
    return moved, {key: issued.confirmed[key] for key in moved}
