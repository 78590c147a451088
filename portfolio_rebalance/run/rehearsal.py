"""Rehearsal: follow-ups simulated on the workspace's own history, to see how well predictions hold.

At each of many earlier dates every mode plans from today's allocations with what was known then, the days
that followed are compared with what was predicted, and what each outcome teaches moves the next prediction.
The same functions predict, compare and grade as in a real follow-up. Nothing is written; no dates overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Final

from portfolio_rebalance.allocation import mode_names
from portfolio_rebalance.analytics import ReturnsTable
from portfolio_rebalance.clock import Clock
from portfolio_rebalance.errors import MissingDataError
from portfolio_rebalance.monitoring.comparing import Watch, compare, cost_check
from portfolio_rebalance.monitoring.grading import PATIENCE, outcome_of
from portfolio_rebalance.monitoring.prediction import HISTORY_DAYS, Rebalance, predict
from portfolio_rebalance.monitoring.tuning import estimates_from, lessons_of_outcome
from portfolio_rebalance.records import Outcome, Proposal, TuningStep, digest
from portfolio_rebalance.run.candidates import comply
from portfolio_rebalance.tools.correlation import correlation_report
from portfolio_rebalance.tools.frames import window_of
from portfolio_rebalance.tools.proposal import propose_with
from portfolio_rebalance.tools.settings import limits_from
from portfolio_rebalance.tools.simulation import trading_costs
from portfolio_rebalance.tools.statistics import strategy_statistics
from portfolio_rebalance.units import BP_PER_UNIT, exact_decimal
from portfolio_rebalance.workspace import LoadedState, load_state

__all__ = ["Rehearsal", "rehearse"]

_LEAST_HISTORY: Final = 90
"""Days before the first date: a prediction of a week from less is no prediction."""

_PLACES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """Simulated follow-ups.

    Attributes:
        outcomes: Oldest first.
        steps: What they taught, in order.
        first: The first date.
        last: The last one.
        dates: How many.
    """

    outcomes: tuple[Outcome, ...]
    steps: tuple[TuningStep, ...]
    first: date
    last: date
    dates: int


def rehearse(root: Path, *, clock: Clock, progress: Callable[[str], None] = lambda _what: None) -> Rehearsal:
    """Simulate follow-ups at dates that do not overlap.

    Args:
        root: The workspace; nothing is written to it.
        clock: Only days that had closed by then are used.
        progress: Told which date it is.

    Raises:
        MissingDataError: The history is too short for a single date.
        BadDataError: The workspace cannot be trusted.
    """
    state = load_state(root, clock=clock, mode_names=mode_names())
    scene = _Scene(state=state, last_day=clock.last_closed_day)
    dates = scene.dates()
    if not dates:
        raise MissingDataError(
            f"The returns reach back fewer than {_LEAST_HISTORY + scene.days} days.",
            where="live-monitoring/live-performance",
            fix="Keep longer return files; a rehearsal needs a past to look at.",
        )
    outcomes: list[Outcome] = []
    steps: list[TuningStep] = []
    for number, day in enumerate(dates, start=1):
        progress(f"date {number} of {len(dates)}")
        found = tuple(scene.follow_ups(day, steps))
        for outcome in found:
            outcomes.append(outcome)
            steps += lessons_of_outcome(outcome, steps=steps, config=state.config)
    return Rehearsal(
        outcomes=tuple(outcomes), steps=tuple(steps), first=dates[0], last=dates[-1], dates=len(dates)
    )


@dataclass(frozen=True, slots=True)
class _Scene:
    """The portfolio of today, at earlier dates."""

    state: LoadedState
    last_day: date

    @property
    def days(self) -> int:
        """Days that are predicted."""
        return self.state.config.monitoring.post_rebalance_days

    def dates(self) -> tuple[date, ...]:
        """Dates on which something could have been planned, so that the days after them have closed."""
        first_days = [series[0].min().item() for series in self.state.returns.values() if series[0].size]
        if len(first_days) < len(self.state.portfolio.current_bp):
            return ()
        first = max(first_days) + timedelta(days=_LEAST_HISTORY)
        last = self.last_day - timedelta(days=self.days)
        count = max(0, (last - first).days // self.days + 1)
        return tuple(last - timedelta(days=self.days * number) for number in reversed(range(count)))

    def follow_ups(self, day: date, steps: list[TuningStep]) -> Iterator[Outcome]:
        """Each mode's follow-up, had it been executed at the end of a day; none where it changes nothing."""
        config, portfolio = self.state.config, self.state.portfolio
        at = datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)
        window = self._table(day, days=config.correlation_analysis.lookback_days)
        correlation = correlation_report(
            window, as_of=at, allocations_bp=portfolio.current_bp, previous_high_pairs=(), config=config
        )
        clusters = correlation.clusters if correlation.status == "evaluated" else None
        statistics = strategy_statistics(window, config=config)
        history = self._table(day, days=HISTORY_DAYS)
        estimates = estimates_from(steps, config=config)
        for mode in config.rebalancing_modes.available or mode_names():
            proposal = propose_with(
                mode,
                current_bp=portfolio.current_bp,
                target_bp=portfolio.target_bp,
                fixed=portfolio.pinned,
                clusters=clusters,
                statistics=statistics,
                config=config,
                limits=limits_from(config).tightened(config.limit_buffer_bp),
                as_of=at,
            )
            complied = comply(
                proposal,
                correlation=correlation,
                limits=limits_from(config),
                buffer_bp=config.limit_buffer_bp,
                max_trades=config.execution.max_trades_per_rebalance,
            ).proposal
            if not complied.traded:
                continue
            costs = trading_costs(
                complied.current_bp,
                complied.proposed_bp,
                config=config,
                estimates=estimates,
                total_capital=portfolio.total_capital,
            )
            change = Rebalance(
                mode=mode, before_bp=complied.current_bp, after_bp=complied.proposed_bp, costs=costs
            )
            prediction = predict(change, history=history, estimates=estimates, config=config)
            watch = Watch(
                plan_id=digest([mode, day.isoformat()]),
                mode=mode,
                committed_at=at - timedelta(seconds=1),
                prediction=prediction,
                days=self.days,
                total_before=portfolio.total_capital,
                capitals=self._capitals(complied),
                estimated_cost=prediction.cost,
                actual_cost=prediction.cost,
                actual_cost_bps=prediction.slippage_bps + prediction.commission_bps,
            )
            returns = self._table(day + timedelta(days=self.days), days=self.days)
            realised = compare(watch, returns=returns, days=self.days, config=config)
            cost = cost_check(watch, earlier_bps=(), config=config)
            yield outcome_of(watch, at=watch.ends_at + PATIENCE, realised=realised, cost=cost)

    def _table(self, last_day: date, *, days: int) -> ReturnsTable:
        return window_of(
            self.state.returns,
            ids=sorted(self.state.portfolio.current_bp),
            last_day=last_day,
            lookback_days=days,
        )

    def _capitals(self, proposal: Proposal) -> Mapping[str, Decimal]:
        total = Fraction(self.state.portfolio.total_capital)
        return {
            key: exact_decimal(bp * total / BP_PER_UNIT, places=_PLACES)
            for key, bp in proposal.proposed_bp.items()
        }
