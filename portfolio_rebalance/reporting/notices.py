"""Notices: what is worth telling a person who is not looking, of a run, of what stands, of what is watched.

Pure: records in, notices out. A notice is made of typed fields alone: ids, figures, names of limits, words of
our own. What a file of the workspace or a venue says in words (a strategy's name, a HALT's reason, why an
order was refused) stays out, so that nothing written there reaches a phone; the command shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import combinations

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.config_notify import (
    EXTREME_CORRELATION,
    MARGINAL_IMPROVEMENT_PERCENT,
    SEVERE_DRIFT_PERCENT,
    NoticeKind,
)
from portfolio_rebalance.records import (
    Assessment,
    CorrelationReport,
    ErrorReport,
    Execution,
    Outcome,
    Plan,
    RebalanceResult,
    Standing,
    Tick,
    Violation,
)
from portfolio_rebalance.records.notice import Notice
from portfolio_rebalance.reporting.blocks import ids, money, number, signed
from portfolio_rebalance.reporting.change_tables import LIMIT_WORDS
from portfolio_rebalance.reporting.commands import short_id, suggested

__all__ = [
    "Viewpoint",
    "notice_of_refusal",
    "notices_of_outcome",
    "notices_of_result",
    "notices_of_standing",
    "notices_of_state",
    "notices_of_tick",
]

_STALE = "stale_data"
_MOST_IDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewpoint:
    """From where and when a notice is written.

    Attributes:
        workspace: Absolute path: whoever reads a notice stands anywhere.
        at: The instant; its UTC day is that of a condition's key.
    """

    workspace: str
    at: datetime

    def event(
        self, kind: NoticeKind, plan_id: str, *, title: str, text: str, command: str, part: str = ""
    ) -> Notice:
        """Told once for a plan, or for a part of what becomes of it."""
        return self._notice(kind, f"{kind}/{plan_id}{part and f'/{part}'}", plan_id, title, text, command)

    def condition(
        self, kind: NoticeKind, about: str, *, title: str, text: str, command: str, plan_id: str | None = None
    ) -> Notice:
        """Told once a day about the same thing."""
        key = f"{kind}/{about}/{self.at.date().isoformat()}"
        return self._notice(kind, key, plan_id, title, text, command)

    def _notice(
        self, kind: NoticeKind, key: str, plan_id: str | None, title: str, text: str, words: str
    ) -> Notice:
        command = suggested(words, workspace=self.workspace)
        return Notice(
            kind=kind, key=key, title=title, text=text, plan_id=plan_id, command=command, at=self.at
        )


def notices_of_result(result: RebalanceResult, *, seen: Viewpoint) -> tuple[Notice, ...]:
    """Of a run: a plan that awaits, what an execution came to, or BLOCKED; and what was found on the way.

    Args:
        result: As the front door returns it. After an execution the state before it is not told any more.
        seen: From where.
    """
    if result.execution is not None:
        return tuple(_of_execution(result.execution, seen=seen))
    return tuple(_of_planning(result, seen=seen))


def notices_of_state(
    assessment: Assessment, correlation: CorrelationReport | None, *, seen: Viewpoint
) -> tuple[Notice, ...]:
    """Of where a portfolio stands: severe drift, extreme correlation, stale data."""
    return (
        *_drifts(
            {key: line.drift_percent for key, line in assessment.current_allocations.items()}, seen=seen
        ),
        *([] if correlation is None else _correlations(correlation, seen=seen)),
        *_stale(assessment, seen=seen),
    )


def notices_of_standing(standing: Standing, *, seen: Viewpoint) -> tuple[Notice, ...]:
    """Of what stands in the way or waits: HALT, an execution given up, bots that were not told."""
    return tuple(_of_standing(standing, seen=seen))


def notices_of_tick(tick: Tick, *, seen: Viewpoint) -> tuple[Notice, ...]:
    """Of one look at a watched rebalance: divergences not told before, drift, a state that cannot be read."""
    return tuple(_of_tick(tick, seen=seen))


def notices_of_outcome(outcome: Outcome, *, seen: Viewpoint) -> tuple[Notice, ...]:
    """Of a rebalance that was graded."""
    plan, days = short_id(outcome.plan_id), outcome.realised.days
    if not outcome.graded:
        verdict, text = (
            "cannot be graded",
            (
                f"Days with a return of every strategy: {outcome.realised.observations} of {days}. "
                "portfolio-rebalance/feedback.yaml says why it is not graded."
            ),
        )
    elif outcome.helped is None:
        verdict, text = "was graded", "Whether it beat the portfolio that nobody traded is undefined."
    else:
        verdict = "helped" if outcome.helped else "did not help"
        beat = "beat" if outcome.helped else "did not beat"
        text = f"After costs it {beat} the portfolio that nobody traded, over {days} days."
    return (
        seen.event(
            "outcome",
            outcome.plan_id,
            title=f"Plan {plan} {verdict}",
            text=text,
            command=f"show {plan}",
        ),
    )


def notice_of_refusal(error: ErrorReport, *, seen: Viewpoint) -> Notice:
    """Of a check that was refused while nobody looked: the state is too old, or a person must see to it."""
    if error.code == _STALE:
        return seen.condition(
            "stale_data",
            "refused",
            title="State is too old: nothing can be checked",
            text="The newest state of a strategy is older than is accepted, so the drift check was refused.",
            command="doctor",
        )
    return seen.condition(
        "needs_operator",
        f"refused-{error.code}",
        title=f"The drift check was refused: {error.code}",
        text="Until that is put right nothing is checked. What is wrong, and where, the command says.",
        command="--dry-run",
    )


# A run.


def _of_planning(result: RebalanceResult, *, seen: Viewpoint) -> Iterator[Notice]:
    if result.plan is not None and result.plan_id is not None:
        yield _awaiting(result.plan, result.plan_id, seen=seen)
        yield from _marginal(result, result.plan_id, seen=seen)
    chosen = result.chosen
    if chosen is not None:
        blocked = chosen.compliance.blocked
        if result.status == "blocked" and blocked is not None:
            yield seen.condition(
                "blocked",
                _about(blocked.binding),
                title="Cannot rebalance while respecting all limits",
                text=_in_words(blocked.binding),
                command=f"show {result.run_id}",
            )
        if broken := chosen.compliance.repaired_violations:
            yield seen.condition(
                "unresolved_violation",
                _about(broken),
                title="A limit stays broken: manual action is needed",
                text=_in_words(broken),
                command=f"show {result.run_id}",
            )
    if result.assessment is not None:
        yield from notices_of_state(result.assessment, result.correlation, seen=seen)


def _awaiting(plan: Plan, plan_id: str, *, seen: Viewpoint) -> Notice:
    cost = money(plan.estimated_cost, total=plan.total_capital)
    text = (
        f"{plan.decision.recommendation} ({plan.decision.basis}), mode {plan.mode}: turnover "
        f"{number(plan.turnover_percent)} %, estimated cost {cost} {plan.currency}. Good until "
        f"{format_instant(plan.expires_at)}."
    )
    if plan.correlated_exposure != "PASS":
        text += f" Correlated exposure is {plan.correlated_exposure}, which is no pass."
    return seen.event(
        "plan_awaiting",
        plan_id,
        title=f"Plan {short_id(plan_id)} awaits you",
        text=text,
        command=f"approve {short_id(plan_id)}",
    )


def _marginal(result: RebalanceResult, plan_id: str, *, seen: Viewpoint) -> Iterator[Notice]:
    chosen = result.chosen
    net = None if chosen is None else chosen.impact.net_improvement_percent
    if net is not None and net < MARGINAL_IMPROVEMENT_PERCENT:
        yield seen.event(
            "marginal_improvement",
            plan_id,
            title=f"Plan {short_id(plan_id)} improves little",
            text=f"Its net improvement is {number(net)} %, below {MARGINAL_IMPROVEMENT_PERCENT} %.",
            command=f"show {short_id(plan_id)}",
        )


def _of_execution(execution: Execution, *, seen: Viewpoint) -> Iterator[Notice]:
    plan, plan_id = short_id(execution.plan_id), execution.plan_id
    cost = (
        f"It cost {money(execution.actual_cost, total=execution.total_capital_before)} {execution.currency}; "
        f"{execution.orders_filled} of {execution.orders_sent} orders were filled."
    )
    if execution.status == "committed":
        open_limits = sorted(limit for limit, verdict in execution.limits.items() if verdict != "PASS")
        state = f"Not passed: {_limit_names(open_limits)}." if open_limits else "Every limit is met."
        bots = len(execution.instructions)
        waiting = f" Bots that wait to be told: {bots}." if bots else ""
        yield seen.event(
            "executed",
            plan_id,
            title=f"Plan {plan} was executed and verified",
            text=f"{cost} {state}{waiting}",
            command=f"confirm {plan}" if bots else "status",
        )
    elif execution.status == "reverted":
        yield seen.event(
            "reverted",
            plan_id,
            title=f"Plan {plan} was taken back",
            text=f"{cost} The command plans again; `show {plan}` says what was planned.",
            command="--dry-run",
        )
    elif execution.status == "needs_operator":
        yield _given_up(plan_id, seen=seen)


def _given_up(plan_id: str, *, seen: Viewpoint) -> Notice:
    return seen.condition(
        "needs_operator",
        plan_id,
        title=f"Plan {short_id(plan_id)} needs you: neither finished nor taken back",
        text="All is halted. Look at what the venue holds and put it right there first.",
        command="resume",
        plan_id=plan_id,
    )


# Where a portfolio stands.


def _drifts(drift_percent: Mapping[str, Decimal | None], *, seen: Viewpoint) -> Iterator[Notice]:
    for key, drift in sorted(drift_percent.items()):
        if drift is not None and abs(drift) > SEVERE_DRIFT_PERCENT:
            yield seen.condition(
                "severe_drift",
                key,
                title=f"{key} drifted {signed(drift)} % from its target",
                text=f"More than {SEVERE_DRIFT_PERCENT} % is a severe imbalance.",
                command="status",
            )


def _correlations(report: CorrelationReport, *, seen: Viewpoint) -> Iterator[Notice]:
    for first, second in combinations(report.strategies, 2):
        rho = report.correlation_matrix[first][second]
        if rho is not None and rho > EXTREME_CORRELATION:
            yield seen.condition(
                "extreme_correlation",
                f"{first}+{second}",
                title=f"{first} and {second} correlate at {number(rho)}",
                text=f"Above {EXTREME_CORRELATION} two strategies are one bet.",
                command="status",
            )


def _stale(assessment: Assessment, *, seen: Viewpoint) -> Iterator[Notice]:
    if not assessment.stale_data:
        return
    stale = [key for key, line in assessment.current_allocations.items() if line.stale]
    yield seen.condition(
        "stale_data",
        "portfolio",
        title="State is stale",
        text=f"Too long without new data: {ids(stale, most=_MOST_IDS)}.",
        command="doctor",
    )


# What stands in the way.


def _of_standing(standing: Standing, *, seen: Viewpoint) -> Iterator[Notice]:
    if standing.halt != "none":
        what = "nothing is sent" if standing.halt == "all" else "only reductions are sent"
        yield seen.condition(
            "halt",
            standing.halt,
            title=f"HALT stands: {what}",
            text="`status` says why. When it is safe, lift it at a terminal.",
            command="resume",
        )
    if standing.unfinished_status == "needs_operator":
        yield _given_up(standing.unfinished, seen=seen)
    for plan_id in standing.overdue_plans:
        plan = short_id(plan_id)
        yield seen.condition(
            "unconfirmed_instruction",
            plan_id,
            title=f"Bots were not told what plan {plan} says",
            text="For 48 hours nobody has followed its capital instructions. Once they are, have it checked.",
            command=f"confirm {plan}",
            plan_id=plan_id,
        )


# A rebalance that is watched.


def _of_tick(tick: Tick, *, seen: Viewpoint) -> Iterator[Notice]:
    plan = short_id(tick.plan_id)
    if tick.alerts:
        yield seen.event(
            "divergence",
            tick.plan_id,
            title=f"Plan {plan} turns out differently",
            text=_divergences(tick),
            command=f"show {plan}",
            part=str(tick.number),
        )
    if tick.allocations is None:
        yield seen.condition(
            "stale_data",
            f"watch-{tick.plan_id}",
            title=f"The watch of plan {plan} cannot read where the portfolio stands",
            text="What its strategies hold now is not compared with their targets until that is put right.",
            command="doctor",
            plan_id=tick.plan_id,
        )
    else:
        yield from _drifts({line.strategy: line.drift for line in tick.allocations}, seen=seen)


def _divergences(tick: Tick) -> str:
    """What diverges, from the comparisons themselves."""
    lines = [
        f"{one.metric.replace('_', ' ')} {number(one.realised)} against {number(one.projected)} projected "
        f"(90 % interval {number(one.low)} to {number(one.high)})"
        for one in tick.realised.metrics
        if one.verdict == "alert"
    ]
    if tick.cost.verdict == "alert":
        lines.append(
            f"cost {number(tick.cost.actual_bps)} bps against {number(tick.cost.estimated_bps)} estimated"
        )
    told = "; ".join(lines) or f"divergences that are new: {len(tick.alerts)}"
    return f"After {tick.realised.days} of {tick.of_days} days: {told}."


# Words.


def _about(violations: Sequence[Violation]) -> str:
    return ",".join(sorted(f"{one.limit}:{'+'.join(one.strategies)}" for one in violations))


def _in_words(violations: Sequence[Violation]) -> str:
    told = (
        f"{_limit_names([one.limit])} ({ids(one.strategies, most=_MOST_IDS) or 'all'}) at "
        f"{number(one.proposed)} % against {number(one.limit_val)} %"
        for one in violations
    )
    return f"{'; '.join(told)}."


def _limit_names(limits: Sequence[str]) -> str:
    return ", ".join(LIMIT_WORDS.get(limit, limit) for limit in limits)
