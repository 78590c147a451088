"""What an approved plan binds, held against what is so now.

Exactly: configuration, strategy set, pins, targets, control, accounts, position quantities, cluster
membership. By an envelope: no strategy's value, and not the total, may have moved by more than
``max_plan_price_move_percent``. A refusal names what changed, from what to what.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from typing import Final

from pydantic import ValidationError

from portfolio_rebalance.allocation import Limits
from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.errors import PlanChangedError, PlanExpiredError, PlanTamperedError
from portfolio_rebalance.records import (
    CorrelationReport,
    Plan,
    PlannedStrategy,
    Portfolio,
    RebalanceOrders,
    RebalanceTrade,
    StrategyState,
    digest,
)
from portfolio_rebalance.tools.compliance import exposure_unknown

__all__ = [
    "PLAN_AGAIN",
    "clusters_with_limit",
    "orders_from",
    "plan_from",
    "require_bound",
    "require_not_expired",
]

_VERSION: Final = 2
PLAN_AGAIN: Final = "Plan again: trading-portfolio-rebalance --dry-run"


def plan_from(content: bytes, *, plan_id: str) -> Plan:
    """The plan that these stored bytes are.

    Raises:
        PlanTamperedError: The bytes are not those that the id was computed from, or are no plan of this
            version.
        PlanChangedError: It was made by an older version.
    """
    _require_digest(sha256(content).hexdigest(), plan_id)
    try:
        plan = Plan.model_validate_json(content)
    except ValidationError as invalid:
        raise PlanTamperedError(
            f"What is stored as plan {plan_id[:12]} is no plan of this version "
            f"({invalid.error_count()} faults).",
            where="ledger.db",
            fix=PLAN_AGAIN,
        ) from None
    if plan.schema_version != _VERSION:
        raise PlanChangedError(
            f"Plan {plan_id[:12]} was made by an older version, which showed less of what it rests on.",
            where="ledger.db",
            fix=PLAN_AGAIN,
        )
    _require_digest(digest(plan), plan_id)
    return plan


def orders_from(plan: Plan, plan_id: str) -> RebalanceOrders:
    """A plan's trades as a person reads them, in the source's form; a strategy left alone is HOLD."""
    return RebalanceOrders(
        plan_id=plan_id, rebalancing_trades=tuple(_trade(one, plan) for one in plan.strategies)
    )


def require_not_expired(plan: Plan, *, now: datetime) -> None:
    """Refuse a plan whose time has run out, or has not come.

    Raises:
        PlanExpiredError: ``now`` is not between the plan's instant and its expiry.
    """
    if not (plan.as_of <= now < plan.expires_at):
        raise PlanExpiredError(
            f"The plan of {format_instant(plan.as_of)} is good until {format_instant(plan.expires_at)}; "
            f"now it is {format_instant(now)}.",
            where="approval_ttl_hours",
            fix=PLAN_AGAIN,
        )


def require_bound(
    plan: Plan, *, portfolio: Portfolio, config_sha256: str, correlation: CorrelationReport
) -> None:
    """Refuse a plan when something that it binds is no longer so.

    Raises:
        PlanChangedError: Names the first thing that changed, and how many more did.
    """
    changes = [*_exactly(plan, portfolio, config_sha256, correlation), *_by_envelope(plan, portfolio)]
    if not changes:
        return
    where, what = changes[0]
    more = f" And {len(changes) - 1} more." if len(changes) > 1 else ""
    raise PlanChangedError(f"{what}{more}", where=where, fix=PLAN_AGAIN)


def clusters_with_limit(clusters: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """The clusters of two or more, sorted."""
    return tuple(sorted(tuple(sorted(group)) for group in clusters if len(group) > 1))


def _require_digest(found: str, plan_id: str) -> None:
    if found != plan_id:
        raise PlanTamperedError(
            f"What is stored as plan {plan_id[:12]} has the digest {found[:12]}.",
            where="ledger.db",
            fix=PLAN_AGAIN,
        )


def _trade(one: PlannedStrategy, plan: Plan) -> RebalanceTrade:
    if one.proposed_bp is None:
        return RebalanceTrade(
            strategy=one.strategy, action="HOLD", percent_of_portfolio=Decimal(0), reason="left alone"
        )
    change = Fraction(one.proposed_bp) - one.current_bp
    return RebalanceTrade(
        strategy=one.strategy,
        action="BUY" if change > 0 else "SELL",
        percent_of_portfolio=Decimal(round(abs(change))) / 100,
        reason=f"{plan.mode}: {plan.decision.basis}",
    )


def _exactly(
    plan: Plan, portfolio: Portfolio, config_sha256: str, correlation: CorrelationReport
) -> Iterator[tuple[str, str]]:
    if plan.config_sha256 != config_sha256:
        yield (
            "config/portfolio-rebalance.yaml",
            f"The configuration changed from {plan.config_sha256[:12]} to {config_sha256[:12]}.",
        )
    if plan.currency != portfolio.currency:
        yield "BOOTSTRAP.md", f"The currency changed from {plan.currency} to {portfolio.currency}."
    planned = {one.strategy: one for one in plan.strategies}
    current = {one.strategy: one for one in portfolio.strategies}
    if set(planned) != set(current):
        yield (
            "BOOTSTRAP.md",
            f"The deployed strategies changed from {', '.join(sorted(planned))} "
            f"to {', '.join(sorted(current))}.",
        )
    for key in sorted(set(planned) & set(current)):
        yield from _of_strategy(planned[key], current[key])
    then, now = clusters_with_limit(plan.clusters), clusters_with_limit(correlation.clusters)
    if then != now:
        yield "correlation", f"Cluster membership changed from {_groups(then)} to {_groups(now)}."
    elif plan.correlated_exposure != "NOT_EVALUATED" and (why := _unknown_now(plan, portfolio, correlation)):
        yield "correlation", f"The cluster limit was evaluated, and cannot be now: {why}."


def _of_strategy(planned: PlannedStrategy, current: StrategyState) -> Iterator[tuple[str, str]]:
    key = planned.strategy
    for name, then, now in (
        ("pin", planned.pinned, current.pinned),
        ("target", planned.target_percent, current.target_percent),
        ("control", planned.control, current.control),
        ("account", planned.account, current.account),
    ):
        if then != now:
            yield (
                "knowledge/registry.yaml",
                f"The {name} of {key} changed from {_said(then)} to {_said(now)}.",
            )
    if planned.control == "bot":
        return  # its bot trades all the time; only its value is held to the envelope
    held = {position.asset: position.quantity for position in current.positions}
    for asset in sorted({*planned.quantities, *held}):
        then, now = planned.quantities.get(asset, Decimal(0)), held.get(asset, Decimal(0))
        if then != now:
            yield (
                f"live-monitoring/live-performance/{key}",
                f"The quantity of {asset} in {key} changed from {then:f} to {now:f}.",
            )


def _by_envelope(plan: Plan, portfolio: Portfolio) -> Iterator[tuple[str, str]]:
    most = Fraction(plan.max_plan_price_move_percent)
    current = {one.strategy: one.capital for one in portfolio.strategies}
    values = [
        (one.strategy, f"The value of {one.strategy}", one.capital, current[one.strategy])
        for one in plan.strategies
        if one.strategy in current
    ]
    values.append(("total capital", "Total capital", plan.total_capital, portfolio.total_capital))
    for where, name, then, now in values:
        if not (abs(Fraction(now) - Fraction(then)) * 100 <= most * Fraction(then)):
            yield (
                where,
                f"{name} moved from {then:f} to {now:f}, more than "
                f"{plan.max_plan_price_move_percent:f} % since the plan.",
            )


def _unknown_now(plan: Plan, portfolio: Portfolio, correlation: CorrelationReport) -> str:
    """Why clusters that seem unchanged mean nothing now: an unknown correlation is not a low one."""
    current_bp = portfolio.current_bp
    after = {
        one.strategy: current_bp.get(one.strategy, one.current_bp)
        if one.proposed_bp is None
        else Fraction(one.proposed_bp)
        for one in plan.strategies
    }
    return exposure_unknown(
        after,
        high_pairs=[pair.strategies for pair in correlation.high_correlation_pairs],
        unknown_pairs=[pair.strategies for pair in correlation.unknown_pairs],
        limits=Limits(
            total_bp=plan.limits_bp["total"],
            cluster_bp=plan.limits_bp["cluster"],
            individual_max_bp=plan.limits_bp["individual_max"],
            individual_min_bp=plan.limits_bp["individual_min"],
        ),
    )


def _groups(clusters: tuple[tuple[str, ...], ...]) -> str:
    return ", ".join("+".join(group) for group in clusters) or "none"


def _said(value: object) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else "unstated" if value is None else str(value)
