"""Rebalances that ended somehow, made by hand: as small as a metric needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from portfolio_rebalance.monitoring.rebalances import Rebalance
from portfolio_rebalance.records import (
    METRICS,
    Comparison,
    Comparisons,
    CostCheck,
    Decision,
    Execution,
    Instruction,
    Metric,
    Outcome,
    Plan,
    PlannedStrategy,
    PostAllocation,
)

START = datetime(2025, 2, 1, 2, tzinfo=UTC)
TOTAL = Decimal(60_000)
PASSES = {
    "total_deployed": "PASS",
    "correlated_exposure": "PASS",
    "individual_max": "PASS",
    "individual_min": "PASS",
}
LIMITS_BP = {"total": 6_000, "cluster": 3_000, "individual_max": 4_000, "individual_min": 100}
Number = int | float | str | Decimal


def plan(
    *,
    mode: str = "proportional",
    now: Mapping[str, Number] | None = None,
    targets: Mapping[str, Number] | None = None,
    clusters: Sequence[Sequence[str]] = (),
    limits_bp: Mapping[str, int] | None = None,
) -> Plan:
    """A plan of strategies in percent of total capital; 20 % each of two, at their targets, unless told."""
    now = now or {"STR-A": 20, "STR-B": 20}
    targets = targets or dict.fromkeys(now, 20)
    return Plan(
        as_of=START,
        expires_at=START + timedelta(days=1),
        state_as_of=START,
        mode=mode,
        requested_mode=mode,
        fallback="",
        currency="USD",
        total_capital=TOTAL,
        cash=Decimal(0),
        max_plan_price_move_percent=Decimal(2),
        config_sha256="0" * 64,
        inputs={},
        limits_bp=LIMITS_BP if limits_bp is None else limits_bp,
        clusters=tuple(tuple(group) for group in clusters),
        high_pairs=(),
        correlated_exposure="PASS",
        strategies=tuple(
            PlannedStrategy(
                strategy=key,
                capital=exact(share) * TOTAL / 100,
                current_bp=Fraction(exact(share)) * 100,
                target_percent=exact(targets[key]),
                proposed_bp=None,
                pinned=False,
                held=False,
                control=None,
                account=None,
                quantities={},
            )
            for key, share in now.items()
        ),
        decision=Decision(
            recommendation="REBALANCE",
            basis="drift",
            improvement_verdict="HOLD",
            confidence="LOW",
            evidence="not_computed",
            headline="",
            reasons=(),
        ),
        stale=(),
        evidence_seed="",
        turnover_percent=Decimal(0),
        estimated_cost=Decimal(0),
    )


def execution(
    plan_id: str,
    *,
    mode: str = "proportional",
    at: datetime = START,
    status: str = "committed",
    held: Mapping[str, tuple[Number, Number]] | None = None,
    limits: Mapping[str, str] | None = None,
    bps: tuple[Number | None, Number | None] = (25, 5),
    bots: Sequence[str] = (),
) -> Execution:
    """An execution.

    Args:
        plan_id: Of what.
        mode: Of the plan.
        at: When it ended.
        status: How.
        held: Capital and target of each strategy afterwards.
        limits: Those that are not met, by name.
        bps: Slippage and commissions; None where nothing was filled.
        bots: Strategies whose bots wait to be told.
    """
    held = held or {"STR-A": (12_000, 12_000), "STR-B": (12_000, 12_000)}
    slippage, commission = (None if one is None else exact(one) for one in bps)
    return Execution(
        plan_id=plan_id,
        status=status,  # type: ignore[arg-type]
        broker="paper",
        currency="USD",
        mode=mode,
        started_at=at,
        finished_at=at,
        executed_trades=1,
        successful_trades=1,
        orders_sent=1,
        orders_filled=1,
        partial_fills=(),
        total_slippage_bps=slippage,
        total_commissions_bps=commission,
        total_cost_bps=None if slippage is None or commission is None else slippage + commission,
        estimated_cost=Decimal(10),
        actual_cost=Decimal(12),
        total_capital_before=TOTAL,
        total_capital_after=TOTAL,
        post_rebalance_allocations={
            key: PostAllocation(
                capital=exact(capital),
                target=exact(target),
                alloc=exact(capital) * 100 / TOTAL,
                drift=100 * (exact(capital) - exact(target)) / exact(target) if target else None,
            )
            for key, (capital, target) in held.items()
        },
        correlated_exposure_percent=None,
        total_deployed_percent=Decimal(40),
        limits={**PASSES, **(limits or {})},
        orders=(),
        instructions=tuple(
            Instruction(
                strategy=key, account=None, old_capital=Decimal(1), new_capital=Decimal(2), settings={}
            )
            for key in bots
        ),
    )


def outcome(
    plan_id: str,
    *,
    mode: str = "proportional",
    at: datetime = START,
    sharpe: tuple[Number | None, Number | None] = (2, 1),
    drawdown: tuple[Number | None, Number | None] = (-3, -5),
    graded: bool = True,
    helped: bool | None = True,
    better: Number | None = "0.6",
    helps: Number | None = "0.7",
    covered: Mapping[Metric, Number | None] | None = None,
) -> Outcome:
    """An outcome: realised and shadow of two metrics, what was predicted, and what came."""
    sides: Mapping[str, tuple[Number | None, Number | None]] = {
        "sharpe_ratio": sharpe,
        "max_drawdown": drawdown,
    }
    inside: Mapping[Metric, Number | None] = dict.fromkeys(METRICS, 1) if covered is None else covered
    return Outcome(
        plan_id=plan_id,
        mode=mode,
        committed_at=at,
        at=at + timedelta(days=8),
        graded=graded,
        reason="" if graded else "too few days have returns",
        realised=Comparisons(
            days=7,
            observations=7,
            missing=(),
            metrics=tuple(
                comparison(name, realised=realised, shadow=shadow)
                for name in METRICS
                for realised, shadow in [sides.get(name, (None, None))]
            ),
            ahead_of_shadow=helped,
        ),
        cost=cost(),
        helped=helped,
        probability_better=None if better is None else exact(better),
        probability_helps=None if helps is None else exact(helps),
        covered={
            name: None if (found := inside.get(name)) is None else exact(found)  # type: ignore[call-overload]
            for name in METRICS
        },
    )


def comparison(
    metric: Metric,
    *,
    projected: Number | None = None,
    realised: Number | None = None,
    shadow: Number | None = None,
    interval: tuple[Number, Number] | None = None,
    divergence: Number | None = None,
    verdict: str = "undefined",
) -> Comparison:
    low, high = interval or (None, None)
    figures = {
        "projected": projected,
        "realised": realised,
        "shadow": shadow,
        "low": low,
        "high": high,
        "divergence_percent": divergence,
    }
    return Comparison(
        metric=metric,
        verdict=verdict,  # type: ignore[arg-type]
        **{name: None if value is None else exact(value) for name, value in figures.items()},
    )


def cost(*, actual_bps: Number | None = 32, verdict: str = "small") -> CostCheck:
    return CostCheck(
        estimated=Decimal("43.20"),
        actual=Decimal("46.08"),
        estimated_bps=Decimal(30),
        actual_bps=None if actual_bps is None else exact(actual_bps),
        divergence_percent=None if actual_bps is None else (exact(actual_bps) - 30) / 30 * 100,
        low=None,
        high=None,
        verdict=verdict,  # type: ignore[arg-type]
    )


def rebalance(
    number: int,
    *,
    at: datetime | None = None,
    planned: Plan | None = None,
    ended: Execution | None = None,
    came: Outcome | None = None,
    status: str | None = None,
) -> Rebalance:
    """Number ``number``, a day after the one before unless told when; committed, with nothing to remark."""
    at = at or START + timedelta(days=number)
    planned = planned or plan()
    plan_id = plan_id_of(number)
    if ended is None and status in (None, "committed", "reverted"):
        ended = execution(plan_id, mode=planned.mode, at=at, status=status or "committed")
    return Rebalance(
        plan_id=plan_id,
        at=at,
        status=status or (ended.status if ended else "closed"),  # type: ignore[arg-type]
        plan=planned,
        execution=ended,
        outcome=came,
    )


def plan_id_of(number: int) -> str:
    return f"{number:064x}"


def exact(value: Number) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))
