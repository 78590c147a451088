"""From what a real run left behind to what the prefix oracle judges.

The trace is told by the venue's log alone as far as orders go: who an order was for comes from the journal's
steps, what became of it never does. What the journal believes goes into `entries_from`, and the oracle holds
the one against the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from prefix_world import (
    ZERO,
    BookMove,
    BookMoves,
    Ended,
    Ending,
    Entry,
    Event,
    Filled,
    Holding,
    Instrument,
    PriceMove,
    Sent,
    VenueChange,
    World,
)
from recording import JOURNAL_CALLS, Call, StepMark

from portfolio_rebalance.execution.broker import Holdings, Order, OrderRefused, OrderReport
from portfolio_rebalance.records import (
    ExecutionStatus,
    Market,
    StartedExecution,
    Step,
    StoredStep,
    StrategyBook,
)

_FINAL = ("done", "refused", "cancelled")


# --- what it started from, what it came to ---------------------------------------------------------------


def world_from_started(started: StartedExecution) -> World:
    """The portfolio before the first step, at the prices that the batch was sized with."""
    markets = {(market.account, market.asset): market for market in started.markets}
    return World(
        holdings=_holdings(started.baseline),
        pool_cash=Fraction(started.pool_cash),
        prices={instrument: Fraction(market.price) for instrument, market in markets.items()},
        limits_bp=dict(started.limits_bp),
        bot_capital={name: Fraction(capital) for name, capital in started.bot_capital.items()},
        clusters=tuple(frozenset(members) for members in started.clusters),
        commission_bps={name: Fraction(market.commission_bps) for name, market in markets.items()},
    )


def books_from(started: StartedExecution, books: Mapping[str, StrategyBook], pool_cash: Decimal) -> World:
    """The product's own account of who holds what, to be held against the walk."""
    start = world_from_started(started)
    return replace(start, holdings=_holdings(books), pool_cash=Fraction(pool_cash))


def dust_from(started: StartedExecution) -> dict[str, Fraction]:
    """By strategy, money that no order can move: of each of its legs, a lot or the smallest order."""
    found: dict[str, Fraction] = {}
    for name, book in started.baseline.items():
        markets = [market for market in started.markets if market.account == book.account]
        found[name] = sum(
            (
                max(Fraction(market.lot) * Fraction(market.price), Fraction(market.min_notional))
                for market in markets
                if market.asset in book.quantities
            ),
            ZERO,
        )
    return found


def entries_from(steps: Sequence[StoredStep]) -> dict[str, Entry]:
    """What the journal says of each order. One that is still planned is settled: it says nothing was sent."""
    return {
        stored.step.client_id: Entry(
            asset_change=Fraction(stored.fill.asset_change) if stored.fill else ZERO,
            cash_change=Fraction(stored.fill.cash_change) if stored.fill else ZERO,
            settled=stored.state in (*_FINAL, "planned"),
        )
        for stored in steps
        if stored.step.is_order
    }


def ending_from(
    status: ExecutionStatus,
    steps: Sequence[StoredStep],
    *,
    before: Holdings,
    after: Holdings,
    books: World | None = None,
    left_to_bots: frozenset[str] = frozenset(),
) -> Ending:
    """How it ended, with what a truthful venue held before the first step and holds now."""
    instruments = set(before.quantities) | set(after.quantities)
    change = VenueChange(
        cash=Fraction(after.cash) - Fraction(before.cash),
        quantities={
            name: Fraction(after.quantities.get(name, 0)) - Fraction(before.quantities.get(name, 0))
            for name in instruments
        },
    )
    return Ending(
        status=_ENDS[status],
        entries=entries_from(steps),
        venue=change,
        books=books,
        left_to_bots=left_to_bots,
    )


_ENDS: dict[ExecutionStatus, Literal["committed", "reverted", "needs_operator", "unfinished"]] = {
    "running": "unfinished",
    "reverting": "unfinished",
    "committed": "committed",
    "reverted": "reverted",
    "needs_operator": "needs_operator",
    "closed": "needs_operator",
}


def _holdings(books: Mapping[str, StrategyBook]) -> dict[str, Holding]:
    return {
        name: Holding(
            account=book.account,
            own_cash=Fraction(book.own_cash),
            quantities={asset: Fraction(quantity) for asset, quantity in book.quantities.items()},
        )
        for name, book in books.items()
    }


# --- what happened ---------------------------------------------------------------------------------------


def trace_from(steps: Sequence[StoredStep], venue_log: Sequence[Call]) -> tuple[Event, ...]:
    """The events of one batch, in the order in which they happened.

    Args:
        steps: The journal's, as they ended.
        venue_log: What the recording broker saw, over all restarts, closed by an `audit`; and what the
            recording journal saw, where there was one. With it, transfers and ends stand where the journal
            wrote them, and an order counts as intended only if it was marked as sent before. Without it,
            steps are taken to have run by index: a transfer stands just before the next order, as late as can
            be.

    A `place` that never reached the venue is an order sent all the same: whoever was cut off there cannot
    know. An order that differs from its step in anything belongs to nobody. A report never takes back what an
    earlier one said: a copy of an old one that comes late says nothing new.
    """
    scribe = _Scribe(steps, journal_seen=any(call.name in JOURNAL_CALLS for call in venue_log))
    for call in venue_log:
        scribe.read(call)
    scribe.catch_up(before_index=None)
    return tuple(scribe.events)


class _Scribe:
    def __init__(self, steps: Sequence[StoredStep], *, journal_seen: bool) -> None:
        self.events: list[Event] = []
        self._steps = sorted(steps, key=lambda stored: stored.step.index)
        self._by_client = {stored.step.client_id: stored.step for stored in steps}
        self._by_index = {stored.step.index: stored.step for stored in steps}
        self._journal_seen = journal_seen
        self._intended: set[int] = set()
        self._moved: set[int] = set()
        self._sent: set[str] = set()
        self._ended: set[str] = set()
        self._reported: dict[str, tuple[Fraction, Fraction]] = {}
        self._prices: dict[Instrument, Fraction] = {}

    def read(self, call: Call) -> None:
        argument = call.argument
        if call.name == "markets" and isinstance(call.result, Mapping):
            for market in call.result.values():
                self._quote(market)
        elif isinstance(argument, StepMark) and call.answered:
            self._mark(call.name, argument)
        elif call.name == "place" and isinstance(argument, Order):
            self._place(argument)
            if isinstance(call.error, OrderRefused):
                self._end(argument.client_id)
        if isinstance(argument, Order) and isinstance(call.result, OrderReport):
            self._report(argument.client_id, call.result)

    def catch_up(self, *, before_index: int | None) -> None:
        """Tell what the journal holds as final, of steps before one or of all, and has not been told yet."""
        for stored in self._steps:
            if before_index is not None and stored.step.index >= before_index:
                break
            if stored.state in _FINAL:
                self._finish(stored.step, done=stored.state == "done")

    def _quote(self, market: Market) -> None:
        instrument, price = (market.account, market.asset), Fraction(market.price)
        if self._prices.get(instrument) != price:
            self._prices[instrument] = price
            self.events.append(PriceMove(account=market.account, asset=market.asset, price=price))

    def _mark(self, name: str, mark: StepMark) -> None:
        if name == "mark_sent":
            self._intended.add(mark.index)
        elif mark.state in _FINAL and mark.index in self._by_index:
            self._finish(self._by_index[mark.index], done=mark.state == "done")

    def _finish(self, step: Step, *, done: bool) -> None:
        if step.is_order:
            self._end(step.client_id)
        elif done and step.index not in self._moved:
            self._moved.add(step.index)
            self.events.append(
                BookMoves(
                    moves=tuple(
                        BookMove(
                            source=move.source,
                            target=move.target,
                            asset=move.asset,
                            quantity=Fraction(move.quantity),
                            price=None if move.price is None else Fraction(move.price),
                        )
                        for move in step.transfers
                    )
                )
            )

    def _place(self, order: Order) -> None:
        step = self._by_client.get(order.client_id)
        if step is not None and not self._journal_seen:
            self.catch_up(before_index=step.index)
        self.events.append(
            Sent(
                client_id=order.client_id,
                strategy=step.strategy if step is not None and self._is_meant(order, step) else None,
                account=order.account,
                asset=order.asset,
                side=order.side,
                quantity=Fraction(order.quantity),
                limit_price=Fraction(order.limit_price),
            )
        )
        self._sent.add(order.client_id)
        self._ended.discard(order.client_id)
        # What is placed again is another order to the venue: its reports count from nothing.
        self._reported.pop(order.client_id, None)

    def _is_meant(self, order: Order, step: Step) -> bool:
        meant = (step.account, step.asset, step.side, step.quantity)
        is_so = (order.account, order.asset, order.side, order.quantity) == meant
        return is_so and (step.index in self._intended or not self._journal_seen)

    def _report(self, client_id: str, report: OrderReport) -> None:
        asset, cash = Fraction(report.asset_change), Fraction(report.cash_change)
        known_asset, known_cash = self._reported.get(client_id, (ZERO, ZERO))
        if (asset, cash) != (known_asset, known_cash) and abs(asset) >= abs(known_asset):
            self._reported[client_id] = (asset, cash)
            self.events.append(
                Filled(client_id=client_id, asset_change=asset - known_asset, cash_change=cash - known_cash)
            )
        if report.state != "open":
            self._end(client_id)

    def _end(self, client_id: str) -> None:
        if client_id in self._sent and client_id not in self._ended:
            self._ended.add(client_id)
            self.events.append(Ended(client_id=client_id))
