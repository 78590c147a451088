"""Preparation: everything that must hold before the first order, and the batch that comes of it.

The plan is loaded by id and its digest recomputed; approval, expiry, what it binds, holdings and limits are
looked at afresh, with code that shares nothing with what made the plan but the records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Final

from portfolio_rebalance.allocation import mode_names
from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import (
    BrokerError,
    HaltedError,
    NotApprovedError,
    PlanChangedError,
    PlanConsumedError,
    PlanTamperedError,
)
from portfolio_rebalance.execution.batch import Batch, Terms, forward_batch
from portfolio_rebalance.execution.book import book_of, prices_of, reconcile_tolerance
from portfolio_rebalance.execution.broker import Broker, Instrument, OutcomeUnknown
from portfolio_rebalance.execution.gate import GateLimits
from portfolio_rebalance.execution.opening import OpeningBooks, marks_of, opening_books
from portfolio_rebalance.execution.sizing import Wanted
from portfolio_rebalance.records import (
    Approval,
    CorrelationReport,
    Market,
    Plan,
    Portfolio,
    StartedExecution,
    digest,
)
from portfolio_rebalance.tools.bindings import (
    PLAN_AGAIN,
    clusters_with_limit,
    plan_from,
    require_bound,
    require_not_expired,
)
from portfolio_rebalance.tools.correlation import correlation_report
from portfolio_rebalance.tools.desk import Desk
from portfolio_rebalance.tools.frames import window_of
from portfolio_rebalance.units import exact_decimal
from portfolio_rebalance.workspace import LoadedState, load_state
from portfolio_rebalance.workspace.halt import read_halt

__all__ = ["Prepared", "limits_on_disk", "prepare", "terms_of"]

_BP: Final = 10_000
_HYSTERESIS_AGE: Final = timedelta(days=7)
_ROOM_FOR_CASH: Final = Fraction(1, 10**6)
"""Cash is kept to eight places, prices and quantities to more: books may differ by this much money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A batch that may be started."""

    plan: Plan
    state: LoadedState
    started: StartedExecution
    batch: Batch


def prepare(desk: Desk, plan_id: str) -> Prepared:
    """Check an approved plan against what is so now, and size its batch.

    Raises:
        PlanNotFoundError: No stored plan has this id.
        NotApprovedError: Nobody approved it, or what the configuration says forbids executing.
        UnusablePlanError: It is expired, consumed, tampered with, or something it binds has changed.
        HaltedError: HALT stands.
        BrokerError: The venue does not answer, or may not be used for this plan.
    """
    _require_open(desk)
    plan = _approved_plan(desk, plan_id)
    state = load_state(desk.root, clock=desk.clock, mode_names=mode_names())
    require_bound(
        plan,
        portfolio=state.portfolio,
        config_sha256=state.config_sha256,
        correlation=_correlation_now(desk, state),
    )
    _require_stated(desk, plan)
    books = opening_books(state.portfolio, account_of=desk.venue.account_of)
    desk.venue.adopt(books, marks_of(state.portfolio, account_of=desk.venue.account_of))
    markets = _markets(desk.venue.broker, books)
    started = StartedExecution(
        plan_id=plan_id,
        at=desk.clock.as_of,
        broker=desk.venue.broker.name,
        currency=plan.currency,
        baseline=books.books,
        pool_cash=books.pool_cash,
        bot_capital=books.bot_capital,
        bot_goals=_bot_goals(plan, state.portfolio),
        markets=tuple(markets[place] for place in sorted(markets)),
        clusters=clusters_with_limit(plan.clusters),
        limits_bp=limits_on_disk(desk.config),
        targets_bp={one.strategy: one.proposed_bp for one in plan.strategies if one.proposed_bp is not None},
        slippage_tolerance_bps=desk.config.execution.slippage_tolerance_bps,
        one_by_one=not desk.config.execution.batch_execution,
    )
    _require_holdings(desk.venue.broker, started)
    batch = forward_batch(
        _wanted(plan),
        plan_id=plan_id,
        book=book_of(started),
        markets=markets,
        terms=terms_of(started),
    )
    notes = (*batch.notes, *_price_notes(plan, started))
    return Prepared(plan=plan, state=state, started=started.model_copy(update={"notes": notes}), batch=batch)


def limits_on_disk(config: Config) -> dict[str, int]:
    """The hard limits of a configuration that was just read, in whole basis points on the strict side."""
    breakers = config.circuit_breakers
    cluster = min(
        Fraction(breakers.max_correlated_exposure_percent) * 100,
        Fraction(config.correlation_analysis.correlated_cluster_max_allocation) * _BP,
    )
    return {
        "total": floor(Fraction(breakers.max_total_deployed_percent) * 100),
        "cluster": floor(cluster),
        "individual_max": floor(Fraction(breakers.max_individual_allocation_percent) * 100),
        "individual_min": max(1, ceil(Fraction(breakers.min_allocation_percent) * 100)),
    }


def terms_of(started: StartedExecution) -> Terms:
    """What the batch is held to."""
    return Terms(
        limits=GateLimits.of(started.limits_bp),
        clusters=started.clusters,
        tolerance_bps=Decimal(started.slippage_tolerance_bps),
        bot_goals={key: Fraction(goal) for key, goal in started.bot_goals.items()},
    )


def _require_open(desk: Desk) -> None:
    """Whether anything may be sent at all."""
    if not desk.config.enabled:
        raise HaltedError(
            "The configuration says enabled: false, so nothing is executed.",
            where="enabled",
            fix="Set it to true and plan again; a dry run works either way.",
        )
    halt = read_halt(desk.root)
    if halt.level == "all":
        raise HaltedError(
            f"HALT stands: {halt.reason}",
            where="portfolio-rebalance/HALT",
            fix="When it is safe: trading-portfolio-rebalance resume",
        )


def _approved_plan(desk: Desk, plan_id: str) -> Plan:
    approvals = desk.ledger.approvals
    stored = approvals.plan(plan_id)
    if stored.plan_id != plan_id:
        raise PlanTamperedError(
            f"{plan_id!r} is not the whole id of a plan.", where="plan_id", fix="Pass all 64 characters."
        )
    if desk.ledger.journal.get(plan_id) is not None:
        raise PlanConsumedError(
            f"Plan {plan_id[:12]} was executed before: a plan is used once.", where=plan_id, fix=PLAN_AGAIN
        )
    if approvals.is_rejected(plan_id):
        raise PlanConsumedError(f"Plan {plan_id[:12]} was rejected.", where=plan_id, fix=PLAN_AGAIN)
    approval = approvals.approval_of(plan_id)
    if approval is None:
        raise NotApprovedError(
            f"Nobody approved plan {plan_id[:12]}.",
            where=plan_id,
            fix=f"In a terminal of yours: trading-portfolio-rebalance approve {plan_id[:12]}",
        )
    plan = plan_from(stored.content, plan_id=plan_id)
    require_not_expired(plan, now=desk.now())
    _require_genuine(desk, approval, plan)
    _require_method(desk, approval)
    return plan


def _require_genuine(desk: Desk, approval: Approval, plan: Plan) -> None:
    """An approval of this plan, not later than now; for live money sealed by the passphrase."""
    if approval.plan_id != digest(plan):
        raise PlanTamperedError("The approval is of another plan.", where="ledger.db", fix=PLAN_AGAIN)
    if not (plan.as_of <= approval.at <= desk.now()):
        raise PlanTamperedError(
            f"The approval is dated {format_instant(approval.at)}, which is not between plan and now.",
            where="ledger.db",
            fix=PLAN_AGAIN,
        )
    if not desk.venue.broker.live:
        return
    if approval.method == "pre_approved":
        raise NotApprovedError(
            "Live money is never moved by pre-approval.",
            where="execution.approval_required",
            fix="Approve the plan in a terminal.",
        )
    if desk.seal is None:
        raise NotApprovedError(
            "A live venue asks for the passphrase.",
            where="terminal",
            fix="Execute in a terminal of yours, where it can be asked for.",
        )
    if not desk.seal.verify(approval):
        raise PlanTamperedError(
            "The approval was not sealed with this passphrase: it is forged, or was changed since.",
            where="ledger.db",
            fix="Approve the plan again in a terminal of yours.",
        )


def _require_method(desk: Desk, approval: Approval) -> None:
    """A word that only the configuration can give counts only where the configuration gives it."""
    settings = desk.config.execution
    given = {
        "typed": True,
        "execute": not settings.approval_required,
        "pre_approved": settings.mode == "auto_execute" and not settings.approval_required,
    }
    if not given[approval.method]:
        raise NotApprovedError(
            f"The approval is by {approval.method!r}, which the configuration does not provide for.",
            where="execution.approval_required",
            fix="Approve the plan in a terminal.",
        )


def _require_stated(desk: Desk, plan: Plan) -> None:
    """With live money, the registry says of every strategy who moves its capital."""
    if not desk.venue.broker.live:
        return
    unstated = [one.strategy for one in plan.strategies if one.control is None]
    if unstated:
        raise BrokerError(
            f"The registry does not say who moves the capital of {', '.join(unstated)}.",
            where="knowledge/registry.yaml",
            fix="State `control: positions` or `control: bot` for each deployed strategy, then plan again.",
        )


def _correlation_now(desk: Desk, state: LoadedState) -> CorrelationReport:
    window = window_of(
        state.returns,
        ids=sorted(state.portfolio.current_bp),
        last_day=desk.clock.last_closed_day,
        lookback_days=state.config.correlation_analysis.lookback_days,
    )
    return correlation_report(
        window,
        as_of=desk.clock.as_of,
        allocations_bp=state.portfolio.current_bp,
        previous_high_pairs=desk.ledger.last_committed_pairs(before=desk.clock.as_of, within=_HYSTERESIS_AGE),
        config=state.config,
    )


def _markets(broker: Broker, books: OpeningBooks) -> Mapping[Instrument, Market]:
    wanted = sorted({(book.account, asset) for book in books.books.values() for asset in book.quantities})
    try:
        return broker.markets(wanted)
    except OutcomeUnknown as unanswered:
        raise BrokerError(
            f"{broker.name} gives no prices: {unanswered}.", where=broker.name, fix="Try again later."
        ) from None


def _require_holdings(broker: Broker, started: StartedExecution) -> None:
    """The venue must hold what the snapshots say, or the plan was made for another portfolio."""
    try:
        holdings = broker.holdings()
    except OutcomeUnknown as unanswered:
        raise BrokerError(
            f"{broker.name} does not say what it holds: {unanswered}.",
            where=broker.name,
            fix="Try again later; nothing was sent.",
        ) from None
    within = {("", ""): _ROOM_FOR_CASH} | reconcile_tolerance(broker, started.markets)
    if found := book_of(started).differs_from(holdings, within=within):
        raise PlanChangedError(
            f"{broker.name} does not hold what the snapshots say: {'; '.join(found)}.",
            where="live-monitoring/live-performance",
            fix=f"Let the snapshots follow the venue, then: {PLAN_AGAIN}",
        )


def _wanted(plan: Plan) -> list[Wanted]:
    """The approved changes that orders are sent for; bots are told by hand."""
    return [
        Wanted(
            strategy=one.strategy,
            target_bp=Fraction(one.proposed_bp),
            approved=Fraction(one.proposed_bp) * Fraction(plan.total_capital) / _BP - Fraction(one.capital),
        )
        for one in plan.strategies
        if one.proposed_bp is not None and one.control != "bot"
    ]


def _bot_goals(plan: Plan, portfolio: Portfolio) -> dict[str, Decimal]:
    """What the bots of changed strategies are told to come to, at today's total."""
    total = Fraction(portfolio.total_capital)
    return {
        one.strategy: exact_decimal(Fraction(one.proposed_bp) * total / _BP, places=2)
        for one in plan.strategies
        if one.proposed_bp is not None and one.control == "bot"
    }


def _price_notes(plan: Plan, started: StartedExecution) -> tuple[str, ...]:
    """Both sides of the envelope, for the record: the plan's values, and the ones it is executed at."""
    now = book_of(started).capitals(prices_of(started.markets))
    return tuple(
        f"{one.strategy} was worth {one.capital:f} when the plan was made, "
        f"{float(now[one.strategy]):.2f} when it was executed"
        for one in plan.strategies
        if Fraction(one.capital) != now[one.strategy] and one.proposed_bp is not None
    )
