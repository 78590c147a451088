"""Ticking: one look at a rebalance that is being watched.

A tick depends on the instant only by which days have closed and which interval it falls into. So it may come
twice, late, or after a gap: what a rebalance came to in the end is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from portfolio_rebalance.analytics import ReturnsTable, strategy_drift
from portfolio_rebalance.config import Config
from portfolio_rebalance.monitoring.comparing import Watch, compare, cost_check
from portfolio_rebalance.records import AllocationCheck, Comparison, CostCheck, Portfolio, Tick
from portfolio_rebalance.units import BP_PER_PERCENT, six_digits

__all__ = ["Look", "allocations_of", "number_of", "tick_of"]

_NAMES: Mapping[str, str] = {
    "sharpe_ratio": "Sharpe ratio",
    "max_drawdown": "maximum drawdown in percent",
    "win_rate": "win rate",
    "return": "return in percent",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is there to be seen at an instant.

    Attributes:
        at: The instant.
        number: Of the tick.
        returns: Of every strategy of the watch.
        earlier_bps: What earlier batches cost.
        earlier: Ticks of this watch that told something.
        portfolio: Current state; None where it cannot be read, and ``unreadable`` says why.
        replaced_by: A later rebalance that has changed the portfolio since; empty where there is none.
        is_last: Whether the watch ends with it.
    """

    at: datetime
    number: int
    returns: ReturnsTable
    earlier_bps: Sequence[Decimal]
    earlier: Sequence[Tick]
    portfolio: Portfolio | None
    unreadable: str
    replaced_by: str
    is_last: bool


def number_of(watch: Watch, *, at: datetime, interval_hours: int) -> int:
    """The tracking interval that an instant falls into; below 0 before the batch was finished."""
    return (at - watch.committed_at) // timedelta(hours=interval_hours)


def tick_of(watch: Watch, look: Look, *, config: Config) -> Tick:
    """Look once.

    Args:
        watch: At what.
        look: What is there.
        config: Threshold, interval, annualisation.
    """
    realised = compare(watch, returns=look.returns, days=watch.days_until(look.at), config=config)
    cost = cost_check(watch, earlier_bps=look.earlier_bps, config=config)
    told = {name for tick in look.earlier for name in _diverging(tick)}
    alerts = [
        *(_told(one, realised.observations) for one in realised.metrics if _is_news(one.metric, one, told)),
        *([_cost_told(cost)] if _is_news("cost", cost, told) else []),
    ]
    return Tick(
        plan_id=watch.plan_id,
        mode=watch.mode,
        number=look.number,
        at=look.at,
        committed_at=watch.committed_at,
        of_days=watch.days,
        realised=realised,
        cost=cost,
        allocations=None if look.portfolio is None else allocations_of(look.portfolio),
        alerts=tuple(alerts),
        notes=tuple(_notes(watch, look, observations=realised.observations, missing=realised.missing)),
        is_last=look.is_last,
    )


def allocations_of(portfolio: Portfolio) -> tuple[AllocationCheck, ...]:
    """Every strategy against its target, by its newest snapshot."""
    found = []
    for one in portfolio.strategies:
        current, target = portfolio.current_bp[one.strategy], portfolio.target_bp[one.strategy]
        drift = strategy_drift(current, target)
        found.append(
            AllocationCheck(
                strategy=one.strategy,
                capital=one.capital,
                alloc=_percent(current),
                target=one.target_percent,
                drift=None if drift is None else six_digits(float(100 * drift)),
            )
        )
    return tuple(found)


def _is_news(name: str, one: Comparison | CostCheck, told: set[str]) -> bool:
    return one.verdict == "alert" and name not in told


def _diverging(tick: Tick) -> Iterator[str]:
    """What a tick has alerted of, or would have, had an earlier one not."""
    yield from (one.metric for one in tick.realised.metrics if one.verdict == "alert")
    if tick.cost.verdict == "alert":
        yield "cost"


def _told(one: Comparison, days: int) -> str:
    after = "one day" if days == 1 else f"{days} days"
    return (
        f"{_NAMES[one.metric]} after {after}: {one.realised:.2f} against a projection of "
        f"{one.projected:.2f}, outside of {one.low:.2f} to {one.high:.2f} (90 %)"
    )


def _cost_told(cost: CostCheck) -> str:
    return (
        f"cost of the batch: {cost.actual_bps:f} bps against an estimate of {cost.estimated_bps:f}, outside "
        f"of {cost.low:f} to {cost.high:f} (90 % of earlier batches)"
    )


def _notes(watch: Watch, look: Look, *, observations: int, missing: Sequence[str]) -> Iterator[str]:
    prediction = watch.prediction
    if prediction is None:
        yield "the plan was made by an earlier version, without a prediction: nothing is compared"
    elif prediction.reason:
        yield prediction.reason
    if missing:
        yield f"no return on some day: {', '.join(missing)}; {observations} days can be compared"
    if watch.moved_by_bots:
        yield f"counted as their bots confirmed: {', '.join(sorted(watch.moved_by_bots))}"
    if watch.confirmed_late:
        yield f"confirmed late, so that it will not be graded: {', '.join(sorted(watch.confirmed_late))}"
    if watch.waiting_for_bots:
        waiting = ", ".join(sorted(watch.waiting_for_bots))
        yield f"not yet moved by their bots, so counted as before: {waiting}"
    if look.replaced_by:
        yield f"plan {look.replaced_by[:12]} was executed since: compared as if the portfolio had been held"
    if look.unreadable:
        yield f"allocations cannot be read now: {look.unreadable}"


def _percent(bp: Fraction) -> Decimal:
    return six_digits(float(bp / BP_PER_PERCENT))
