"""One run: advances one stage at a time and holds what the stages made.

Contract: a stage runs once, in the order of the table, and only when what it requires is there. Drivers
(rules, later a model) call :meth:`Session.advance`; they hold no stage logic, and a stage never reaches
back to change what an earlier one made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from portfolio_rebalance.allocation import CHEAPEST, FALLBACK, Limits, find_mode, mode_names
from portfolio_rebalance.analytics import ReturnsTable
from portfolio_rebalance.clock import Clock
from portfolio_rebalance.errors import CapitalJumpError, ConfigError, UsageError
from portfolio_rebalance.records import (
    Advice,
    Assessment,
    Candidate,
    CorrelationReport,
    Decision,
    Estimates,
    Proposal,
    RebalanceRequest,
    Review,
)
from portfolio_rebalance.run.advice import Situation, Submission, admitted, lowered
from portfolio_rebalance.run.assess import assess
from portfolio_rebalance.run.candidates import Complied, candidate_of, comply
from portfolio_rebalance.run.decide import decide
from portfolio_rebalance.run.review import review_by_rules
from portfolio_rebalance.run.stages import STAGES, Stage
from portfolio_rebalance.tools.correlation import correlation_report
from portfolio_rebalance.tools.estimates import estimates_at
from portfolio_rebalance.tools.frames import window_of
from portfolio_rebalance.tools.proposal import propose_with
from portfolio_rebalance.tools.settings import limits_from
from portfolio_rebalance.tools.simulation import Draws
from portfolio_rebalance.tools.statistics import strategy_statistics
from portfolio_rebalance.units import Bp
from portfolio_rebalance.workspace import Ledger, LoadedState, load_state

__all__ = ["Session"]

_HYSTERESIS_AGE = timedelta(days=7)


@dataclass(slots=True)
class Session:
    """The state of one run.

    Attributes:
        root: The workspace.
        clock: The run's clock.
        request: What was asked for.
        artifacts: What the stages made so far, by name.
        previous_high_pairs: HIGH in the last committed run, for hysteresis.
        learned: Estimates of costs and modes, as earlier executions taught them; None before bootstrap.
        draws: Resampled rows, shared by the candidates.
        advice: What models contributed, cut down to what they may change; None where none was asked.
    """

    root: Path
    clock: Clock
    request: RebalanceRequest
    artifacts: dict[str, object] = field(default_factory=dict)
    previous_high_pairs: tuple[tuple[str, str], ...] = ()
    learned: Estimates | None = None
    draws: Draws = field(default_factory=Draws)
    advice: Advice | None = None

    @property
    def next_stage(self) -> Stage | None:
        """The stage that comes next; None when the run is decided."""
        return next((stage for stage in STAGES if stage.produces not in self.artifacts), None)

    def advance(self) -> Stage:
        """Run the next stage.

        Raises:
            RebalanceError: The stage refused; nothing was written and no artifact was made.
            UsageError: The run is decided already.
        """
        stage = self.next_stage
        if stage is None:
            raise UsageError(
                "The run is decided; there is no next stage.", where="session", fix="Start a new run."
            )
        missing = [name for name in stage.requires if name not in self.artifacts]
        if missing:
            raise UsageError(f"{stage.name} requires {missing}.", where="session", fix="Advance in order.")
        self.artifacts[stage.produces] = self._steps()[stage.name]()
        return stage

    def take(self, submission: Submission) -> Advice:
        """Let models have their say, once, between the candidates and the reviews.

        Raises:
            UsageError: The candidates are not there yet, the run is past that, or models spoke already.
        """
        stage = self.next_stage
        if self.advice is not None or stage is None or stage.name != "review":
            raise UsageError(
                "Models have their say once, before the review.", where="session", fix="Start a new run."
            )
        self.advice = admitted(
            submission,
            Situation(
                request=self.request,
                config=self.state.config,
                mode=self.configured_mode,
                fallback="" if self.correlation.status == "evaluated" else self.correlation.reason,
                candidates={candidate.mode: candidate for candidate in self.candidates},
                rule=self.ruled,
            ),
        )
        return self.advice

    def ruled(self, candidate: Candidate) -> Decision:
        """What code decides on a candidate; no model has a part in it."""
        return decide(
            candidate,
            assessment=self.assessment,
            portfolio=self.state.portfolio,
            fixed=self.fixed,
            config=self.state.config,
        )

    # What the stages made, typed.

    @property
    def state(self) -> LoadedState:
        """Configuration, portfolio and returns."""
        state: LoadedState = self._made("state")
        return state

    @property
    def assessment(self) -> Assessment:
        """Current state and drift."""
        assessment: Assessment = self._made("assessment")
        return assessment

    @property
    def correlation(self) -> CorrelationReport:
        """Matrix, pairs, clusters."""
        correlation: CorrelationReport = self._made("correlation")
        return correlation

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """One for each available mode, the chosen one first."""
        candidates: tuple[Candidate, ...] = self._made("candidates")
        return tuple(sorted(candidates, key=lambda candidate: candidate.mode != self.chosen_mode))

    @property
    def reviews(self) -> tuple[Review, ...]:
        """Verdicts on the chosen candidate."""
        reviews: tuple[Review, ...] = self._made("reviews")
        return reviews

    @property
    def decision(self) -> Decision:
        """What the run came to."""
        decision: Decision = self._made("decision")
        return decision

    # What follows from the request and the state.

    @property
    def estimates(self) -> Estimates:
        """What the run reckons with: as learned, or as configured."""
        configured = estimates_at(None, until=self.clock.as_of, config=self.state.config)
        return configured if self.learned is None else self.learned

    @property
    def limits(self) -> Limits:
        """The limits everything is judged by."""
        return limits_from(self.state.config)

    @property
    def requested_mode(self) -> str:
        """The mode that was asked for, or the configured default."""
        return find_mode(self.request.mode or self.state.config.rebalancing_modes.default).name

    @property
    def fallback(self) -> str:
        """Why the chosen mode is not the requested one; empty when it is."""
        if self.advice is not None and self.advice.mode_taken:
            return f"the orchestrator recommends {self.advice.recommended_mode} over {self.configured_mode}"
        if self.correlation.status == "evaluated" or self.requested_mode == FALLBACK:
            return ""
        return f"correlation cannot be computed ({self.correlation.reason}): {FALLBACK} with drift correction"

    @property
    def configured_mode(self) -> str:
        """The requested mode, or the one that stands in for it; no model has a part in it."""
        unknown = self.correlation.status != "evaluated"
        return FALLBACK if unknown else self.requested_mode

    @property
    def chosen_mode(self) -> str:
        """The mode whose candidate is decided on."""
        if self.advice is not None and self.advice.mode_taken and self.advice.recommended_mode is not None:
            return self.advice.recommended_mode
        return self.configured_mode

    @property
    def fixed(self) -> frozenset[str]:
        """Pinned by the registry or held for this run."""
        return self.state.portfolio.pinned | frozenset(self.request.hold)

    @property
    def clusters(self) -> tuple[tuple[str, ...], ...] | None:
        """Clusters of the deployed strategies; None when correlation is unknown."""
        return self.correlation.clusters if self.correlation.status == "evaluated" else None

    @property
    def window(self) -> ReturnsTable:
        """The lookback's returns of every deployed strategy."""
        return window_of(
            self.state.returns,
            ids=sorted(self.state.portfolio.current_bp),
            last_day=self.clock.last_closed_day,
            lookback_days=self.state.config.correlation_analysis.lookback_days,
        )

    @property
    def cheapest(self) -> Candidate | None:
        """The least that would restore compliance; None where compliance demands nothing."""
        if self.decision.basis != "compliance":
            return None
        return self._candidate(self._comply(self._propose(CHEAPEST, target_bp={})))

    def _steps(self) -> Mapping[str, Callable[[], object]]:
        return {
            "bootstrap": self._bootstrap,
            "assess": lambda: assess(
                self.state.portfolio, as_of=self.clock.as_of, config=self.state.config, fixed=self.fixed
            ),
            "correlate": self._correlate,
            "propose": self._propose_all,
            "comply": lambda: tuple(self._comply(proposal) for proposal in self._made("proposals")),
            "simulate": lambda: tuple(self._candidate(complied) for complied in self._made("compliance")),
            "review": lambda: (
                *review_by_rules(
                    self.candidates[0], correlation=self.correlation, portfolio=self.state.portfolio
                ),
                *(self.advice.reviews if self.advice is not None else ()),
            ),
            "decide": lambda: lowered(self.ruled(self.candidates[0]), self.advice),
        }

    def _bootstrap(self) -> LoadedState:
        state = load_state(self.root, clock=self.clock, mode_names=mode_names())
        deployed = {strategy.strategy for strategy in state.portfolio.strategies}
        unknown = sorted(set(self.request.hold) - deployed)
        if unknown:
            raise UsageError(
                f"Cannot hold {', '.join(unknown)}: not deployed.",
                where="--hold",
                fix=f"Deployed are {', '.join(sorted(deployed))}.",
            )
        mode = find_mode(self.request.mode or state.config.rebalancing_modes.default).name
        allowed = state.config.rebalancing_modes.available
        if allowed is not None and mode not in allowed:
            raise ConfigError(
                f"Mode {mode} is not among rebalancing_modes.available.",
                where="rebalancing_modes.available",
                fix=f"Choose one of {', '.join(allowed)}, or add it to the list.",
            )
        with Ledger.read(self.root) as ledger:
            if ledger is not None:
                _require_explained(
                    ledger.last_total(until=self.clock.as_of),
                    total=state.portfolio.total_capital,
                    most_percent=state.config.max_capital_jump_percent,
                    confirmed=self.request.confirm_capital,
                )
                self.previous_high_pairs = ledger.last_committed_pairs(
                    before=self.clock.as_of, within=_HYSTERESIS_AGE
                )
            self.learned = estimates_at(ledger, until=self.clock.as_of, config=state.config)
        return state

    def _correlate(self) -> CorrelationReport:
        return correlation_report(
            self.window,
            as_of=self.clock.as_of,
            allocations_bp=self.state.portfolio.current_bp,
            previous_high_pairs=self.previous_high_pairs,
            config=self.state.config,
        )

    def _propose_all(self) -> tuple[Proposal, ...]:
        """One proposal for each available mode, the chosen one first."""
        available = self.state.config.rebalancing_modes.available or mode_names()
        modes = dict.fromkeys([self.chosen_mode, self.requested_mode, *available])
        targets = self.state.portfolio.target_bp
        return tuple(self._propose(mode, target_bp=targets) for mode in modes)

    def _propose(self, mode: str, *, target_bp: Mapping[str, Bp]) -> Proposal:
        return propose_with(
            mode,
            current_bp=self.state.portfolio.current_bp,
            target_bp=target_bp,
            fixed=self.fixed,
            clusters=self.clusters,
            statistics=strategy_statistics(self.window, config=self.state.config),
            config=self.state.config,
            limits=self.limits.tightened(self.state.config.limit_buffer_bp),
            as_of=self.clock.as_of,
        )

    def _comply(self, proposal: Proposal) -> Complied:
        return comply(
            proposal,
            correlation=self.correlation,
            limits=self.limits,
            buffer_bp=self.state.config.limit_buffer_bp,
            max_trades=self.state.config.execution.max_trades_per_rebalance,
        )

    def _candidate(self, complied: Complied) -> Candidate:
        return candidate_of(
            complied,
            window=self.window,
            portfolio=self.state.portfolio,
            config=self.state.config,
            draws=self.draws,
            estimates=self.estimates,
        )

    def _made(self, name: str) -> Any:
        """An artifact; the properties above give it its type.

        Raises:
            UsageError: The stage that makes it has not run yet.
        """
        if name not in self.artifacts:
            raise UsageError(f"{name} is not there yet.", where="session", fix="Advance the session first.")
        return self.artifacts[name]


def _require_explained(
    last: tuple[datetime, Decimal] | None, *, total: Decimal, most_percent: Decimal, confirmed: Decimal | None
) -> None:
    """Refuse a jump of total capital that nobody confirmed: deposit, withdrawal, or the wrong file?"""
    if last is None or confirmed == total:
        return
    then, before = last
    if abs(total - before) * 100 > most_percent * before:
        raise CapitalJumpError(
            f"Total capital went from {before:f} (run of {then:%Y-%m-%d %H:%M}Z) to {total:f}, more than "
            f"{most_percent:f} %.",
            where="BOOTSTRAP.md and snapshots",
            fix=f"If that is a deposit or a withdrawal, run again with --confirm-capital {total:f}",
        )
