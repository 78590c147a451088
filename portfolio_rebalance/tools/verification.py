"""Verification: what an execution came to, in exact money, against what was planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final

from portfolio_rebalance.execution.batch import Terms, final_faults
from portfolio_rebalance.execution.book import Book, Prices, book_of, prices_of
from portfolio_rebalance.execution.broker import Instrument
from portfolio_rebalance.execution.gate import exposure_of, overages
from portfolio_rebalance.records import (
    Execution,
    ExecutionStatus,
    Instruction,
    Market,
    OrderLine,
    PartialFill,
    Plan,
    PostAllocation,
    StartedExecution,
    StoredStep,
)
from portfolio_rebalance.units import exact_decimal

__all__ = ["Verified", "verify"]

_BP: Final = 10_000
_CENT: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A finished (or given up) batch, as it is looked at.

    Attributes:
        book: Our books after the last settled step.
        markets: Prices now; those of the start where the venue does not answer.
        steps: Every step.
    """

    started: StartedExecution
    book: Book
    markets: Mapping[Instrument, Market]
    steps: Sequence[StoredStep]
    terms: Terms

    @property
    def prices(self) -> Prices:
        """Mark prices."""
        return prices_of(self.markets.values())


def verify(
    seen: Verified,
    *,
    plan: Plan,
    status: ExecutionStatus,
    reason: str,
    finished_at: datetime,
    instructions: tuple[Instruction, ...] = (),
) -> Execution:
    """The report of an execution.

    Limits are judged at the prices of now; where one fails by price alone, a note says so.
    """
    exposure = exposure_of(seen.book, seen.prices)
    before = book_of(seen.started)
    changed = {one.strategy for one in plan.strategies if one.proposed_bp is not None}
    kept = {key for key in changed if key in seen.book.own_cash} if status == "committed" else set()
    orders = [stored for stored in seen.steps if stored.step.is_order]
    sent = [stored for stored in orders if stored.state != "planned" and stored.limit_price is not None]
    costs = _costs(sent)
    limits, notes = _limits(seen, plan)
    over = overages(exposure, clusters=seen.terms.clusters, limits=seen.terms.limits)
    clusters = [
        Fraction(overage + seen.terms.limits.cluster_bp * exposure.total) / exposure.total
        for (name, _), overage in over.items()
        if name == "correlated_exposure"
    ]
    deployed = sum(exposure.capital.values(), Fraction(0))
    return Execution(
        plan_id=plan_id_in(seen),
        status=status,
        broker=seen.started.broker,
        currency=plan.currency,
        mode=plan.mode,
        started_at=seen.started.at,
        finished_at=finished_at,
        reason=reason,
        executed_trades=len(changed) if _anything_done(seen.steps) or status == "committed" else 0,
        successful_trades=len(kept),
        orders_sent=len(sent),
        orders_filled=sum(1 for stored in sent if stored.state == "done"),
        partial_fills=_partial(sent),
        total_slippage_bps=_rate(costs.slippage, costs.quoted),
        total_commissions_bps=_rate(costs.commission, costs.traded),
        total_cost_bps=_rate(costs.slippage + costs.commission, costs.quoted),
        estimated_cost=plan.estimated_cost,
        actual_cost=exact_decimal(costs.slippage + costs.commission, places=8),
        total_capital_before=exact_decimal(
            exposure_of(before, prices_of(seen.started.markets)).total, places=8
        ),
        total_capital_after=exact_decimal(exposure.total, places=8),
        post_rebalance_allocations=_allocations(plan, exposure.capital, exposure.total, status=status),
        correlated_exposure_percent=_percent(max(clusters) / _BP) if clusters else None,
        total_deployed_percent=_percent(deployed / exposure.total),
        limits=limits,
        limits_note=notes,
        orders=tuple(_line(stored) for stored in seen.steps),
        instructions=instructions,
        notes=seen.started.notes,
    )


def plan_id_in(seen: Verified) -> str:
    """The plan that was executed."""
    return seen.started.plan_id


def _limits(seen: Verified, plan: Plan) -> tuple[dict[str, str], tuple[str, ...]]:
    """Each limit now, and what a failure means."""
    faults = final_faults(seen.book, prices=seen.prices, markets=seen.markets, terms=seen.terms)
    without_bots = final_faults(
        seen.book, prices=seen.prices, markets=seen.markets, terms=replace(seen.terms, bot_goals={})
    )
    verdicts = {
        name: "FAIL"
        if any(fault.startswith(name) for fault in faults)
        else "AWAITS_BOTS"
        if any(fault.startswith(name) for fault in without_bots)
        else "PASS"
        for name in ("total_deployed", "correlated_exposure", "individual_max", "individual_min")
    }
    if plan.correlated_exposure == "NOT_EVALUATED":
        verdicts["correlated_exposure"] = "NOT_EVALUATED"
    sized = {(one.account, one.asset): one for one in seen.started.markets}
    then = final_faults(seen.book, prices=prices_of(sized.values()), markets=sized, terms=seen.terms)
    by_price = [f"by price alone, after the batch was sized: {fault}" for fault in faults if not then]
    return verdicts, tuple(by_price or faults)


def _allocations(
    plan: Plan,
    capital: Mapping[str, Fraction],
    total: Fraction,
    *,
    status: ExecutionStatus,
) -> dict[str, PostAllocation]:
    found = {}
    for one in plan.strategies:
        approved = one.proposed_bp is not None and status == "committed"
        bp = Fraction(one.proposed_bp or 0) if approved else Fraction(one.target_percent) * 100
        target = bp * total / _BP
        found[one.strategy] = PostAllocation(
            capital=exact_decimal(capital[one.strategy], places=8),
            target=exact_decimal(target, places=_CENT),
            alloc=_percent(capital[one.strategy] / total),
            drift=_percent((capital[one.strategy] - target) / target) if target else None,
        )
    return found


@dataclass(frozen=True, slots=True)
class _Costs:
    """Slippage and commission as money; what was traded, at the quoted prices and at those of the fills."""

    slippage: Fraction
    commission: Fraction
    quoted: Fraction
    traded: Fraction


def _costs(sent: Sequence[StoredStep]) -> _Costs:
    slippage = commission = quoted = traded = Fraction(0)
    for stored in sent:
        fill = stored.fill
        if fill is None or fill.average_price is None or stored.reference_price is None:
            continue
        sign = 1 if stored.step.side == "BUY" else -1
        reference, filled = Fraction(stored.reference_price), Fraction(fill.filled)
        slippage += sign * (Fraction(fill.average_price) - reference) * filled
        commission += Fraction(fill.commission)
        quoted += reference * filled
        traded += Fraction(fill.average_price) * filled
    return _Costs(slippage, commission, quoted, traded)


def _partial(sent: Sequence[StoredStep]) -> tuple[PartialFill, ...]:
    found = []
    for stored in sent:
        step, actual = stored.step, stored.fill.filled if stored.fill else Decimal(0)
        if stored.state in ("cancelled", "refused") and step.strategy and step.asset:
            found.append(
                PartialFill(strategy=step.strategy, asset=step.asset, intended=step.quantity, actual=actual)
            )
    return tuple(found)


def _line(stored: StoredStep) -> OrderLine:
    step, fill = stored.step, stored.fill
    moved = "; ".join(
        f"{move.quantity:f} {move.asset or 'cash'}: {move.source or 'common cash'} to "
        f"{move.target or 'common cash'}"
        for move in step.transfers
    )
    return OrderLine(
        client_id=step.client_id,
        phase=step.phase,
        purpose=step.purpose,
        strategy=step.strategy,
        asset=step.asset,
        side=step.side,
        quantity=step.quantity,
        state=stored.state,
        filled=fill.filled if fill else Decimal(0),
        average_price=fill.average_price if fill else None,
        commission=fill.commission if fill else Decimal(0),
        slippage_bps=fill.slippage_bps if fill else None,
        note="; ".join(part for part in (moved, stored.note) if part),
    )


def _anything_done(steps: Sequence[StoredStep]) -> bool:
    return any(stored.state == "done" or stored.fill is not None for stored in steps)


def _rate(amount: Fraction, notional: Fraction) -> Decimal | None:
    return Decimal(round(amount * _BP / notional * 100)) / 100 if notional else None


def _percent(share: Fraction) -> Decimal:
    return Decimal(round(share * 1_000_000)) / _BP
