"""What must hold before a step is taken, and at the end: pure judgements, and the two ways to fail them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

from portfolio_rebalance.execution.batch import Terms, final_faults, reverted_faults
from portfolio_rebalance.execution.book import Book, Prices, book_after, prices_of
from portfolio_rebalance.execution.broker import Instrument, Order
from portfolio_rebalance.execution.gate import (
    allowances,
    broken,
    describe,
    exposure_of,
    overages,
    worst_cases,
)
from portfolio_rebalance.execution.orders import limit_price_of
from portfolio_rebalance.records import Market, OpenExecution, StartedExecution, Step, StoredStep

__all__ = [
    "Lost",
    "Stop",
    "instrument_of",
    "named",
    "order_of",
    "require_back",
    "require_gate",
    "require_limits",
    "require_price",
    "why_failed",
]

_PERCENT: Final = 100


class Stop(Exception):  # noqa: N818 - the reason why the batch goes back
    """The batch cannot go on forward."""


class Lost(Exception):  # noqa: N818
    """What is so cannot be found out, or cannot be put right: a person must look."""


def why_failed(stored: StoredStep, *, terms: Terms) -> str:
    """Why a settled step ends its phase; empty where it does not."""
    step, fill = stored.step, stored.fill
    if stored.state == "refused":
        return f"the venue refused {named(step)}: {stored.note}"
    if stored.state == "cancelled":
        done = fill.filled if fill else Decimal(0)
        return stored.note or f"{named(step)} was filled for {done:f} only"
    if fill is not None and fill.slippage_bps is not None and fill.slippage_bps > terms.tolerance_bps:
        return f"{named(step)} slipped by {fill.slippage_bps:.1f} bps, more than the tolerance"
    return ""


def require_gate(
    started: StartedExecution, step: Step, *, book: Book, markets: Mapping[Instrument, Market], terms: Terms
) -> None:
    """No overage above what was allowed at the start, at worst; increases stop if price alone did it.

    Raises:
        Stop: The step would break a limit, or make a broken one worse.
        Lost: The same on the way back.
    """
    prices = prices_of(markets.values())
    start = overages(
        exposure_of(book_after(started, ()), prices_of(started.markets)),
        clusters=terms.clusters,
        limits=terms.limits,
    )
    now = overages(exposure_of(book, prices), clusters=terms.clusters, limits=terms.limits)
    allowed = allowances(start, now=now if step.purpose == "reduce" else None)
    market = markets[instrument_of(step)] if step.is_order else None
    limit = Fraction(0)
    if market is not None and step.side is not None:
        limit = Fraction(limit_price_of(step.side, market.price, tolerance_bps=terms.tolerance_bps))
    for case in worst_cases(book, step, prices=prices, market=market, limit_price=limit):
        found = overages(case, clusters=terms.clusters, limits=terms.limits)
        for subject in broken(found, allowed):
            told = describe(subject, found[subject], case, terms.limits)
            raise (Stop if step.phase == "forward" else Lost)(f"{named(step)} would break {told}")


def require_price(started: StartedExecution, market: Market, *, most_percent: Decimal) -> None:
    """A price may not have left the envelope since the batch was sized.

    Raises:
        Stop: It has.
    """
    sized = next(
        Fraction(one.price)
        for one in started.markets
        if (one.account, one.asset) == (market.account, market.asset)
    )
    moved = abs(Fraction(market.price) - sized) / sized * _PERCENT
    if not (moved <= Fraction(most_percent)):
        raise Stop(
            f"{market.asset} moved by {float(moved):.2f} % since the batch was sized, more than "
            f"{most_percent:f} %"
        )


def require_limits(started: StartedExecution, *, book: Book, terms: Terms) -> None:
    """After the last order every limit holds, at the prices that the batch was sized with.

    What price alone broke since then, no order of this batch could have met; it is reported.

    Raises:
        Stop: A limit does not hold.
    """
    markets = {(one.account, one.asset): one for one in started.markets}
    for fault in final_faults(book, prices=prices_of(markets.values()), markets=markets, terms=terms):
        raise Stop(f"after the last order {fault}")


def require_back(
    state: OpenExecution, steps: Sequence[StoredStep], *, book: Book, prices: Prices, terms: Terms
) -> None:
    """What counts as reverted is where it was; a batch that is stuck between is for a person.

    Raises:
        Lost: It is not.
    """
    for fault in reverted_faults(state.started, book=book, prices=prices, steps=steps, terms=terms):
        raise Lost(f"it cannot be taken back wholly: {fault}; it went back because {state.reason}")


def named(step: Step) -> str:
    """A step in words."""
    if step.is_order:
        return f"{step.side} {step.quantity:f} {step.asset} of {step.strategy}"
    return f"the transfers of step {step.index}"


def instrument_of(step: Step) -> Instrument:
    """Account and asset of an order."""
    assert step.account is not None and step.asset is not None  # noqa: PT018
    return step.account, step.asset


def order_of(step: Step, limit: Decimal) -> Order:
    """An order as the venue is sent it."""
    account, asset = instrument_of(step)
    assert step.side is not None
    return Order(
        client_id=step.client_id,
        account=account,
        asset=asset,
        side=step.side,
        quantity=step.quantity,
        limit_price=limit,
    )
