"""A batch: sized at current prices, judged at every prefix, and handed out only if all of it may be sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Final

from portfolio_rebalance.errors import PlanChangedError
from portfolio_rebalance.execution.book import Book, Prices, book_of, prices_of
from portfolio_rebalance.execution.broker import Instrument
from portfolio_rebalance.execution.gate import (
    Exposure,
    GateLimits,
    Overages,
    Subject,
    allowances,
    below_minimum,
    broken,
    describe,
    exposure_of,
    overages,
    worst_cases,
)
from portfolio_rebalance.execution.legs import Move, move_back, moves_to, value_below_a_lot
from portfolio_rebalance.execution.orders import limit_price_of, steps_of, worst_cost
from portfolio_rebalance.execution.sizing import Wanted, fitting, least_approved, require_approved
from portfolio_rebalance.records import Market, StartedExecution, Step, StoredStep

__all__ = ["Batch", "Terms", "final_faults", "forward_batch", "revert_steps", "reverted_faults"]

_BP: Final = 10_000
_PLAN_AGAIN: Final = "Plan again: trading-portfolio-rebalance --dry-run"
_ROUNDS: Final = 12
_SPARE: Final = Fraction(101, 100)
"""So much more than the last round's cost is set aside: sizing for a cost changes the cost a little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a batch is held to.

    Attributes:
        limits: Re-read from disk.
        clusters: Of two or more.
        tolerance_bps: Slippage beyond which an order is not filled.
        bot_goals: Capital that bots are told to come to once the batch is done: the end is judged by it,
            every prefix by what they hold now.
    """

    limits: GateLimits
    clusters: tuple[tuple[str, ...], ...]
    tolerance_bps: Decimal
    bot_goals: Mapping[str, Fraction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Steps in order, and what was narrowed to make them."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...]


def forward_batch(
    wanted: Sequence[Wanted],
    *,
    plan_id: str,
    book: Book,
    markets: Mapping[Instrument, Market],
    terms: Terms,
) -> Batch:
    """The batch that brings each strategy to its target.

    Args:
        wanted: Strategies that orders can be sent for.
        plan_id: Of the approved plan.
        book: Current holdings.
        markets: Of every instrument held.
        terms: Limits and tolerance.

    Raises:
        PlanChangedError: At current prices the approved changes cannot be made within the limits, at every
            prefix and at the end, at the worst cost; nothing was sent.
    """
    prices = prices_of(markets.values())
    now = exposure_of(book, prices)
    start = overages(now, clusters=terms.clusters, limits=terms.limits)
    worst_total = now.total
    for _ in range(_ROUNDS):
        goals, notes = _goals(wanted, now=now, worst_total=worst_total, terms=terms)
        steps = steps_of(
            _moves(
                goals, book=book, prices=prices, markets=markets, minimum_bp=terms.limits.individual_min_bp
            ),
            plan_id=plan_id,
            phase="forward",
            book=book,
            markets=markets,
            cures=_cures(start),
        )
        cost = worst_cost(steps, markets=markets, tolerance_bps=terms.tolerance_bps)
        if now.total - cost >= worst_total:
            _require_safe(steps, book=book, prices=prices, markets=markets, terms=terms)
            return Batch(steps=steps, notes=notes)
        worst_total = now.total - cost * _SPARE
    raise PlanChangedError(
        "The costs of the batch cannot be provided for at current prices.",
        where="orders",
        fix=_PLAN_AGAIN,
    )


def revert_steps(
    started: StartedExecution,
    *,
    book: Book,
    markets: Mapping[Instrument, Market],
    terms: Terms,
    next_index: int,
) -> tuple[Step, ...]:
    """Compensation: each strategy that was changed back to what it held, less where a limit demands it.

    Costs have lowered the total, and what was held before is a larger share of it: a ceiling may come to what
    it allowed at the start and no more.
    """
    prices = prices_of(markets.values())
    before = book_of(started)
    changed = tuple(
        key
        for key in sorted(before.own_cash)
        if before.own_cash[key] != book.own_cash[key] or before.quantities[key] != book.quantities[key]
    )
    now, then = exposure_of(book, prices), exposure_of(before, prices)
    at_start = exposure_of(before, prices_of(started.markets))
    start = overages(at_start, clusters=terms.clusters, limits=terms.limits)
    most = max(at_start.total, now.total)
    ceilings = [
        (subject[1], terms.limits.ceiling_bp(subject) + max(Fraction(0), start[subject]) / most)
        for subject in _inside_out(start)
    ]
    worst_total = now.total
    steps: tuple[Step, ...] = ()
    for _ in range(_ROUNDS):
        shares = {key: then.capital[key] * _BP / worst_total for key in changed}
        goals = fitting(shares, now=now, worst_total=worst_total, ceilings=ceilings, minimum_bp=0).capital
        moves = [
            move_back(
                goals[key] / then.capital[key] if then.capital[key] else Fraction(0),
                strategy=key,
                book=book,
                before=before,
                prices=prices,
                markets=markets,
            )
            for key in changed
        ]
        steps = steps_of(
            moves, plan_id=started.plan_id, phase="revert", book=book, markets=markets, next_index=next_index
        )
        cost = worst_cost(steps, markets=markets, tolerance_bps=terms.tolerance_bps)
        if now.total - cost >= worst_total:
            break
        worst_total = now.total - cost * _SPARE
    return steps


def final_faults(
    book: Book, *, prices: Prices, markets: Mapping[Instrument, Market], terms: Terms
) -> tuple[str, ...]:
    """What a finished batch leaves broken, in words; empty where every limit holds in exact money."""
    exposure = _with_bots(exposure_of(book, prices), terms)
    found = overages(exposure, clusters=terms.clusters, limits=terms.limits)
    dust = {
        key: value_below_a_lot(key, book=book, prices=prices, markets=markets)
        for key in sorted(book.own_cash)
    }
    too_much = [
        describe(subject, found[subject], exposure, terms.limits)
        for subject in broken(found, dict.fromkeys(found, Fraction(0)))
    ]
    too_little = [
        f"individual_min of {key} at {float(exposure.capital[key] / exposure.total) * 100:.4f} % against "
        f"{terms.limits.individual_min_bp / 100:.2f} %"
        for key in below_minimum(exposure, limits=terms.limits, dust=dust)
    ]
    return (*too_much, *too_little)


def reverted_faults(
    started: StartedExecution, *, book: Book, prices: Prices, steps: Sequence[StoredStep], terms: Terms
) -> tuple[str, ...]:
    """Strategies that compensation did not bring back, in words: to within a basis point, costs aside.

    Back is what holds what it held, or has the share of total capital that it had. Neither is so where prices
    alone have enlarged an overage, and what is bought back had to stop short.
    """
    markets = {(one.account, one.asset): one for one in started.markets}
    before = book_of(started)
    then = exposure_of(before, prices_of(markets.values()))
    same_prices, now = exposure_of(book, prices_of(markets.values())), exposure_of(book, prices)
    sent = [stored.step for stored in steps if stored.limit_price is not None]
    aside = then.total / _BP + worst_cost(sent, markets=markets, tolerance_bps=terms.tolerance_bps)
    faults = []
    for key in sorted(before.own_cash):
        share, share_before = now.capital[key] / now.total, then.capital[key] / then.total
        gap = min(abs(same_prices.capital[key] - then.capital[key]), abs(share - share_before) * then.total)
        if not (gap <= aside + _smallest_orders(key, book=before, markets=markets)):
            faults.append(
                f"{key} is at {float(share) * 100:.2f} % of total capital, {float(share_before) * 100:.2f} % "
                "before"
            )
    return tuple(faults)


def _smallest_orders(strategy: str, *, book: Book, markets: Mapping[Instrument, Market]) -> Fraction:
    """The value of the smallest order in each leg: what is less cannot be bought back."""
    places = [(book.accounts[strategy], asset) for asset in book.quantities[strategy]]
    return sum(
        (
            max(
                Fraction(markets[place].lot) * Fraction(markets[place].price),
                Fraction(markets[place].min_notional),
            )
            for place in places
        ),
        Fraction(0),
    )


def _with_bots(exposure: Exposure, terms: Terms) -> Exposure:
    """The exposure once bots have done as they are told; what they give or take is cash."""
    return replace(exposure, capital={**exposure.capital, **terms.bot_goals})


def _goals(
    wanted: Sequence[Wanted], *, now: Exposure, worst_total: Fraction, terms: Terms
) -> tuple[dict[str, Fraction], tuple[str, ...]]:
    """Capital for each strategy, within the limits and within what was approved; and what was narrowed."""
    held = overages(now, clusters=terms.clusters, limits=terms.limits)
    shares = {one.strategy: one.target_bp * (now.total - worst_total) / _BP for one in wanted}
    fit_to = partial(
        fitting,
        {one.strategy: one.target_bp for one in wanted},
        now=_with_bots(now, terms),
        worst_total=worst_total,
        ceilings=[(subject[1], Fraction(terms.limits.ceiling_bp(subject))) for subject in _inside_out(held)],
        minimum_bp=terms.limits.individual_min_bp,
    )
    # What one may not give within what was approved, the others give; what nobody can give is refused.
    least = {
        one.strategy: least_approved(one, now=now.capital[one.strategy], cost_share=shares[one.strategy])
        for one in wanted
    }
    freely, fit = fit_to().capital, fit_to(least=least)
    for members, ceiling_bp in fit.unmet:
        raise PlanChangedError(
            f"At current prices and after costs {'+'.join(members)} would stay above "
            f"{float(ceiling_bp) / 100:.2f} % of total capital.",
            where="limits",
            fix=_PLAN_AGAIN,
        )
    goals: dict[str, Fraction] = {}
    notes = []
    for one in wanted:
        goal, note = require_approved(
            one,
            now=now.capital[one.strategy],
            goal=freely[one.strategy],
            cost_share=shares[one.strategy],
        )
        goals[one.strategy] = min(goal, fit.capital[one.strategy])
        notes += [note] if note else []
    return goals, tuple(notes)


def _moves(
    goals: Mapping[str, Fraction],
    *,
    book: Book,
    prices: Prices,
    markets: Mapping[Instrument, Market],
    minimum_bp: int,
) -> list[Move]:
    least = minimum_bp * book.total(prices) / _BP
    return [
        moves_to(
            goal,
            strategy=key,
            book=book,
            prices=prices,
            markets=markets,
            keep_at_least=least if goal >= least else Fraction(0),
        )
        for key, goal in sorted(goals.items())
    ]


def _require_safe(
    steps: Sequence[Step], *, book: Book, prices: Prices, markets: Mapping[Instrument, Market], terms: Terms
) -> None:
    """Walk the batch at its worst: every prefix, the end, and the cost of taking all of it back.

    Raises:
        PlanChangedError: Somewhere a limit would break, or a broken one get worse.
    """
    now = exposure_of(book, prices)
    start = overages(now, clusters=terms.clusters, limits=terms.limits)
    allowed = allowances(start)
    worst = book
    for step in steps:
        limit = _limit_of(step, markets, terms)
        market = _market_of(step, markets)
        for case in worst_cases(worst, step, prices=prices, market=market, limit_price=limit):
            _require_allowed(case, allowed, terms=terms, step=step, now=now)
        worst = _filled_at_worst(worst, step, market=market, limit_price=limit)
    if faults := final_faults(worst, prices=prices, markets=markets, terms=terms):
        raise PlanChangedError(
            f"After the last order a limit would not hold: {faults[0]}.", where="limits", fix=_PLAN_AGAIN
        )
    # Compensation brings changed strategies back only as far as limits allow; for the others its cost,
    # which makes their share larger, must fit in beforehand.
    changed = {key for step in steps for key in _parties(step)}
    cost = worst_cost(steps, markets=markets, tolerance_bps=terms.tolerance_bps)
    after_both = Exposure(capital=now.capital, total=now.total - 2 * cost * _SPARE)
    untouched = {
        subject: overage
        for subject, overage in overages(after_both, clusters=terms.clusters, limits=terms.limits).items()
        if not changed & set(subject[1])
    }
    for subject in broken(untouched, allowed):
        told = describe(subject, untouched[subject], after_both, terms.limits)
        raise PlanChangedError(
            f"The costs of the batch would break a limit that the plan does not change: {told}.",
            where="limits",
            fix=_PLAN_AGAIN,
        )


def _require_allowed(case: Exposure, allowed: Overages, *, terms: Terms, step: Step, now: Exposure) -> None:
    found = overages(case, clusters=terms.clusters, limits=terms.limits)
    for subject in broken(found, allowed):
        raise PlanChangedError(
            f"At current prices a limit would break during step {step.index}: "
            f"{describe(subject, found[subject], case, terms.limits)}.",
            where="limits",
            fix=_way_out(subject, allowed=allowed, terms=terms, step=step, now=now),
        )


def _way_out(subject: Subject, *, allowed: Overages, terms: Terms, step: Step, now: Exposure) -> str:
    """What helps where the same plan, made again, would be refused again."""
    moved = _parties(step)
    slow = [key for key in subject[1] if key in terms.bot_goals and terms.bot_goals[key] < now.capital[key]]
    if step.purpose != "reduce" and slow:
        held = " ".join(f"--hold {key}" for key in sorted(moved))
        return (
            f"Brought down by bots, after the orders: {', '.join(slow)}. Until that is confirmed, plan "
            f"without what needs their room: trading-portfolio-rebalance --dry-run {held}"
        )
    if allowed[subject] > 0 and not moved & set(subject[1]):
        return (
            "Two limits are broken that share no strategy, and what curing one costs weighs on the other: no "
            f"order of trades avoids that. Take some capital out of {'+'.join(subject[1])} by hand, then "
            "plan again: trading-portfolio-rebalance --dry-run"
        )
    return _PLAN_AGAIN


def _filled_at_worst(book: Book, step: Step, *, market: Market | None, limit_price: Fraction) -> Book:
    if not step.is_order:
        return book.moved(step.transfers)
    assert step.strategy is not None and step.asset is not None and market is not None  # noqa: PT018
    sign = 1 if step.side == "BUY" else -1
    quantity = Fraction(step.quantity)
    fee = quantity * max(limit_price, Fraction(market.price)) * Fraction(market.commission_bps) / _BP
    held = book.quantities[step.strategy]
    return replace(
        book,
        quantities={
            **book.quantities,
            step.strategy: {**held, step.asset: held.get(step.asset, Fraction(0)) + sign * quantity},
        },
        pool_cash=book.pool_cash - sign * quantity * limit_price - fee,
    )


def _limit_of(step: Step, markets: Mapping[Instrument, Market], terms: Terms) -> Fraction:
    market = _market_of(step, markets)
    if market is None or step.side is None:
        return Fraction(0)
    return Fraction(limit_price_of(step.side, market.price, tolerance_bps=terms.tolerance_bps))


def _market_of(step: Step, markets: Mapping[Instrument, Market]) -> Market | None:
    return markets[step.account, step.asset] if step.account and step.asset else None


def _parties(step: Step) -> frozenset[str]:
    if step.strategy is not None:
        return frozenset({step.strategy})
    return frozenset(
        party for move in step.transfers for party in (move.source, move.target) if party is not None
    )


def _cures(start: Overages) -> Mapping[str, int]:
    """How many ceilings that are broken now the reduction of each strategy cures."""
    return Counter(key for subject, overage in start.items() if overage > 0 for key in subject[1])


def _inside_out(found: Overages) -> list[Subject]:
    """Single strategies, then clusters, then the total: lowering a later one cannot break an earlier."""
    order = {"individual_max": 0, "correlated_exposure": 1, "total_deployed": 2}
    return sorted(found, key=lambda subject: (order[subject[0]], subject[1]))
