"""The executor: drives a started batch, step by step, to its end or back to its beginning.

One loop over durable state. It looks at the journal, does the one thing that comes next, writes down what
came of it, and looks again; so starting, going on after a crash and going on after a crash while going on
are the same code. At most one order is in flight. No model, no prompt, no configuration is read here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal, Protocol, TypeVar

from portfolio_rebalance.errors import HaltedError
from portfolio_rebalance.execution.batch import Terms, final_faults, revert_steps, reverted_faults
from portfolio_rebalance.execution.book import Book, book_after, prices_of, reconcile_tolerance
from portfolio_rebalance.execution.broker import (
    Broker,
    Instrument,
    Order,
    OrderRefused,
    OrderReport,
    OutcomeUnknown,
)
from portfolio_rebalance.execution.gate import (
    allowances,
    broken,
    describe,
    exposure_of,
    overages,
    worst_cases,
)
from portfolio_rebalance.execution.journal import Journal
from portfolio_rebalance.execution.orders import limit_price_of
from portfolio_rebalance.records import Market, OpenExecution, OrderFill, Step, StoredStep

__all__ = ["Ending", "Executor", "NoSealing", "Pace", "Sealing"]

_BP: Final = 10_000
_ABSENT_POLLS: Final = 3
"""So often must the venue know nothing of an order, and no balance have moved, before it counts as absent."""

_T = TypeVar("_T")

Ending = Literal["filled", "reverted", "needs_operator"]


class Sealing(Protocol):
    """Marks what may be sent, so that a step that was only written into the ledger is told apart."""

    def signed(self, step: Step) -> Step:
        """The step with its seal."""
        ...

    def is_genuine(self, step: Step) -> bool:
        """Whether the seal is this step's own."""
        ...


class NoSealing:
    """On paper nothing is sealed: there is no secret that the workspace does not hold as well."""

    def signed(self, step: Step) -> Step:
        """The step as it is."""
        return step

    def is_genuine(self, step: Step) -> bool:
        """Always."""
        return bool(step)


class _Stop(Exception):  # noqa: N818 - the reason why the batch goes back
    """The batch cannot go on forward."""


class _Lost(Exception):  # noqa: N818
    """What is so cannot be found out, or cannot be put right: a person must look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How patient the executor is.

    Attributes:
        polls: Questions asked about one order before a person is called.
        open_polls: Of these, while the order is open, before the rest of it is cancelled.
        wait_seconds: Between two questions; doubled each time up to ``most_seconds``.
        sleep: Waits so many seconds.
    """

    sleep: Callable[[float], None]
    polls: int = 30
    open_polls: int = 10
    wait_seconds: float = 0.5
    most_seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """Drives executions.

    Attributes:
        broker: The venue.
        journal: Durable intents.
        terms: Limits, clusters and slippage tolerance.
        most_price_move_percent: How far a price may move from the one the batch was sized with.
        halted: Says whether nothing (``all``), or nothing but reductions, may be sent.
        pace: Patience.
        sealing: Marks steps, and tells which are marked.
        may_go_on: Says why the batch may not go on forward (its plan has expired); empty while it may.
        one_by_one: Reconcile with the venue after every strategy.
        progress: Told what is being done.
    """

    broker: Broker
    journal: Journal
    terms: Terms
    most_price_move_percent: Decimal
    halted: Callable[[], Literal["none", "reduce_only", "all"]]
    pace: Pace
    sealing: Sealing = field(default_factory=NoSealing)
    may_go_on: Callable[[], str] = lambda: ""
    one_by_one: bool = False
    progress: Callable[[str], None] = lambda _what: None

    def drive(self, plan_id: str) -> Ending:
        """Go on with an execution until it is filled, reverted, or a person must look.

        Raises:
            HaltedError: HALT stands; the execution stays as it is and can be gone on with later.
        """
        while True:
            state = self._state(plan_id)
            if state.status == "needs_operator":
                return "needs_operator"
            try:
                ending = self._advance(state)
            except _Stop as reason:
                self._turn_back(state, str(reason))
            except _Lost as reason:
                self.journal.need_operator(plan_id, reason=str(reason))
            else:
                if ending is not None:
                    return ending

    def book(self, plan_id: str) -> Book:
        """The book as the journal has it now."""
        return book_after(self._state(plan_id).started, self.journal.steps(plan_id))

    def _state(self, plan_id: str) -> OpenExecution:
        state = self.journal.unfinished()
        assert state is not None and state.started.plan_id == plan_id, "only what was started is driven"  # noqa: PT018
        return state

    def _advance(self, state: OpenExecution) -> Ending | None:
        """Do the one thing that comes next; None while there is more."""
        steps = self.journal.steps(state.started.plan_id)
        in_flight = next((stored for stored in steps if stored.state in ("sent", "unknown")), None)
        if in_flight is not None:
            self._find_out(state, in_flight)
            return None
        phase = "forward" if state.status == "running" else "revert"
        current = [stored for stored in steps if stored.step.phase == phase]
        failed = next((why for stored in current if (why := self._failure(stored))), "")
        if failed:
            raise (_Stop if phase == "forward" else _Lost)(failed)
        following = next((stored for stored in current if stored.state == "planned"), None)
        if following is not None:
            self._perform(state, steps, following.step)
            return None
        book = book_after(state.started, steps)
        self._require_reconciled(book, state)
        if phase == "revert":
            self._require_back(state, steps, book)
            return "reverted"
        self._require_limits(state, steps)
        return "filled"

    def _failure(self, stored: StoredStep) -> str:
        """Why a settled step ends the phase; empty where it does not."""
        step, fill = stored.step, stored.fill
        if stored.state == "refused":
            return f"the venue refused {_named(step)}: {stored.note}"
        if stored.state == "cancelled":
            done = fill.filled if fill else Decimal(0)
            return stored.note or f"{_named(step)} was filled for {done:f} only"
        if (
            fill is not None
            and fill.slippage_bps is not None
            and fill.slippage_bps > self.terms.tolerance_bps
        ):
            return f"{_named(step)} slipped by {fill.slippage_bps:.1f} bps, more than the tolerance"
        return ""

    def _perform(self, state: OpenExecution, steps: Sequence[StoredStep], step: Step) -> None:
        self._require_not_halted(step)
        if not self.sealing.is_genuine(step):
            raise _Lost(f"{_named(step)} is not sealed: somebody wrote it into the ledger")
        if step.phase == "forward" and (why_not := self.may_go_on()):
            raise _Stop(why_not)
        plan_id, book = state.started.plan_id, book_after(state.started, steps)
        self._reconcile_between(state, steps, step, book)
        markets = self._markets(book, step)
        self._require_gate(state, step, book, markets)
        if not step.is_order:
            self.journal.settle(plan_id, step.index, state="done")
            return
        market = markets[_instrument(step)]
        if step.phase == "forward":
            self._require_price(state, market)
        assert step.side is not None
        limit = limit_price_of(step.side, market.price, tolerance_bps=self.terms.tolerance_bps)
        self.progress(f"{step.side} {step.quantity:f} {step.asset} for {step.strategy}")
        self.journal.mark_sent(plan_id, step.index, reference_price=market.price, limit_price=limit)
        self._send(plan_id, step, reference=market.price, limit=limit)

    def _send(self, plan_id: str, step: Step, *, reference: Decimal, limit: Decimal) -> None:
        """Send once. What is not known for certain afterwards is found out, never sent again."""
        order = _order(step, limit)
        if self.broker.live and (known := self._answer(order)) != "absent":
            # Whatever the ledger says: the venue has this order already, or does not tell.
            if known == "unanswered" or known.state == "open":
                self.journal.settle(plan_id, step.index, state="unknown", note="asked before it was sent")
            else:
                self._settle(plan_id, step, known, reference=reference)
            return
        try:
            report = self.broker.place(order)
        except OrderRefused as refusal:
            self.journal.settle(plan_id, step.index, state="refused", note=str(refusal))
        except OutcomeUnknown as unknown:
            self.journal.settle(plan_id, step.index, state="unknown", note=str(unknown))
        else:
            if report.state != "open":
                self._settle(plan_id, step, report, reference=reference)

    def _find_out(self, state: OpenExecution, stored: StoredStep) -> None:
        """Ask until the venue says what became of an order that may have reached it."""
        plan_id, step = state.started.plan_id, stored.step
        assert stored.limit_price is not None and stored.reference_price is not None  # noqa: PT018
        order = _order(step, stored.limit_price)
        absent, seen_open, wait = 0, 0, self.pace.wait_seconds
        for _ in range(self.pace.polls):
            report = self._answer(order)
            if report == "absent":
                absent += 1 if self._nothing_moved(state) else 0
                if absent >= _ABSENT_POLLS:
                    self.journal.settle(
                        plan_id, step.index, state="refused", note="it never reached the venue"
                    )
                    return
            elif report != "unanswered":
                if report.state != "open":
                    self._settle(plan_id, step, report, reference=stored.reference_price)
                    return
                seen_open += 1
                if seen_open >= self.pace.open_polls:
                    self._cancel(order)
            self.progress(f"asking the venue about {_named(step)}")
            self.pace.sleep(wait)
            wait = min(2 * wait, self.pace.most_seconds)
        raise _Lost(f"the venue does not say what became of {_named(step)} ({step.client_id})")

    def _answer(self, order: Order) -> OrderReport | Literal["absent", "unanswered"]:
        try:
            return self.broker.find(order) or "absent"
        except OutcomeUnknown:
            return "unanswered"

    def _cancel(self, order: Order) -> None:
        try:
            self.broker.cancel(order)
        except OutcomeUnknown:
            return  # the next question tells

    def _nothing_moved(self, state: OpenExecution) -> bool:
        """Whether the venue holds just what our books say without the order in flight."""
        book = book_after(state.started, self.journal.steps(state.started.plan_id))
        try:
            return not book.differs_from(self.broker.holdings(), within=self._tolerance(state))
        except OutcomeUnknown:
            return False

    def _settle(self, plan_id: str, step: Step, report: OrderReport, *, reference: Decimal) -> None:
        fill = None
        if report.filled:
            assert report.average_price is not None
            sign = 1 if step.side == "BUY" else -1
            slip = sign * (Fraction(report.average_price) - Fraction(reference)) / Fraction(reference) * _BP
            fill = OrderFill(
                filled=report.filled,
                average_price=report.average_price,
                asset_change=report.asset_change,
                cash_change=report.cash_change,
                commission=report.commission,
                slippage_bps=Decimal(round(slip * 10_000)) / 10_000,
            )
        whole = report.filled == step.quantity
        self.journal.settle(plan_id, step.index, state="done" if whole else "cancelled", fill=fill)

    def _turn_back(self, state: OpenExecution, reason: str) -> None:
        """Leave the rest of the batch, and plan the way back; from there no further way back leads."""
        plan_id = state.started.plan_id
        if state.status == "reverting":
            self.journal.need_operator(plan_id, reason=f"{reason}; while reverting: {state.reason}")
            return
        steps = self.journal.steps(plan_id)
        book = book_after(state.started, steps)
        try:
            back = revert_steps(
                state.started,
                book=book,
                markets=self._all_markets(book),
                terms=self.terms,
                next_index=len(steps),
            )
        except _Lost as lost:
            self.journal.need_operator(plan_id, reason=f"{reason}; {lost}")
            return
        for stored in steps:
            if stored.state == "planned":
                self.journal.settle(plan_id, stored.step.index, state="cancelled", note=f"not sent: {reason}")
        self.journal.revert(plan_id, reason=reason, steps=[self.sealing.signed(step) for step in back])

    # What must hold before a step.

    def _require_not_halted(self, step: Step) -> None:
        halt = self.halted()
        lowers = step.side == "SELL" or (not step.is_order and step.purpose == "reduce")
        if halt == "none" or (halt == "reduce_only" and step.purpose == "reduce" and lowers):
            return
        raise HaltedError(
            "HALT stands: the batch stops where it is.",
            where="portfolio-rebalance/HALT",
            fix="When it is safe: trading-portfolio-rebalance resume",
        )

    def _require_gate(
        self,
        state: OpenExecution,
        step: Step,
        book: Book,
        markets: Mapping[Instrument, Market],
    ) -> None:
        """No overage above what was allowed at the start, at worst; increases stop if price alone did it."""
        prices = prices_of(markets.values())
        terms = self.terms
        start = overages(
            exposure_of(book_after(state.started, ()), prices_of(state.started.markets)),
            clusters=terms.clusters,
            limits=terms.limits,
        )
        now = overages(exposure_of(book, prices), clusters=terms.clusters, limits=terms.limits)
        allowed = allowances(start, now=now if step.purpose == "reduce" else None)
        market = markets[_instrument(step)] if step.is_order else None
        limit = Fraction(0)
        if market is not None and step.side is not None:
            limit = Fraction(limit_price_of(step.side, market.price, tolerance_bps=terms.tolerance_bps))
        for case in worst_cases(book, step, prices=prices, market=market, limit_price=limit):
            found = overages(case, clusters=terms.clusters, limits=terms.limits)
            for subject in broken(found, allowed):
                told = describe(subject, found[subject], case, terms.limits)
                raise (_Stop if step.phase == "forward" else _Lost)(f"{_named(step)} would break {told}")

    def _require_price(self, state: OpenExecution, market: Market) -> None:
        sized = next(
            Fraction(one.price)
            for one in state.started.markets
            if (one.account, one.asset) == (market.account, market.asset)
        )
        moved = abs(Fraction(market.price) - sized) / sized * 100
        if not (moved <= Fraction(self.most_price_move_percent)):
            raise _Stop(
                f"{market.asset} moved by {float(moved):.2f} % since the batch was sized, more than "
                f"{self.most_price_move_percent:f} %"
            )

    def _require_limits(self, state: OpenExecution, steps: Sequence[StoredStep]) -> None:
        """After the last order every limit holds, at the prices that the batch was sized with.

        What price alone broke since then, no order of this batch could have met; it is reported.
        """
        book = book_after(state.started, steps)
        markets = {(one.account, one.asset): one for one in state.started.markets}
        faults = final_faults(book, prices=prices_of(markets.values()), markets=markets, terms=self.terms)
        if faults:
            raise _Stop(f"after the last order {faults[0]}")

    def _require_back(self, state: OpenExecution, steps: Sequence[StoredStep], book: Book) -> None:
        """What counts as reverted is where it was; a batch that is stuck between is for a person."""
        prices = prices_of(self._all_markets(book).values())
        for fault in reverted_faults(state.started, book=book, prices=prices, steps=steps, terms=self.terms):
            raise _Lost(f"it cannot be taken back wholly: {fault}; it went back because {state.reason}")

    def _require_reconciled(self, book: Book, state: OpenExecution) -> None:
        holdings = self._patiently(self.broker.holdings)
        if found := book.differs_from(holdings, within=self._tolerance(state)):
            raise _Lost(f"the venue does not hold what our books say: {'; '.join(found)}")

    def _reconcile_between(
        self, state: OpenExecution, steps: Sequence[StoredStep], step: Step, book: Book
    ) -> None:
        """With ``batch_execution: false``: look at the venue before the next strategy's turn."""
        if not self.one_by_one or step.strategy is None:
            return
        before = [stored.step.strategy for stored in steps if stored.state == "done" and stored.step.is_order]
        if before and before[-1] != step.strategy:
            self._require_reconciled(book, state)

    def _markets(self, book: Book, step: Step) -> Mapping[Instrument, Market]:
        try:
            return self._all_markets(book)
        except _Lost as lost:
            if step.phase == "revert":
                raise
            raise _Lost(f"{lost} before {_named(step)}") from None

    def _all_markets(self, book: Book) -> Mapping[Instrument, Market]:
        return self._patiently(lambda: self.broker.markets(book.instruments))

    def _patiently(self, ask: Callable[[], _T]) -> _T:
        """Ask a question that changes nothing until it is answered, or patience ends."""
        wait = self.pace.wait_seconds
        for _ in range(self.pace.polls):
            try:
                return ask()
            except OutcomeUnknown as unanswered:
                last = str(unanswered)
            self.pace.sleep(wait)
            wait = min(2 * wait, self.pace.most_seconds)
        raise _Lost(f"the venue does not answer: {last}")

    def _tolerance(self, state: OpenExecution) -> Mapping[Instrument, Fraction]:
        return reconcile_tolerance(self.broker, state.started.markets)


def _named(step: Step) -> str:
    if step.is_order:
        return f"{step.side} {step.quantity:f} {step.asset} of {step.strategy}"
    return f"the transfers of step {step.index}"


def _instrument(step: Step) -> Instrument:
    assert step.account is not None and step.asset is not None  # noqa: PT018
    return step.account, step.asset


def _order(step: Step, limit: Decimal) -> Order:
    account, asset = _instrument(step)
    assert step.side is not None
    return Order(
        client_id=step.client_id,
        account=account,
        asset=asset,
        side=step.side,
        quantity=step.quantity,
        limit_price=limit,
    )
