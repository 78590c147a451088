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
from portfolio_rebalance.execution.batch import Terms, revert_steps
from portfolio_rebalance.execution.book import Book, book_after, prices_of, reconcile_tolerance
from portfolio_rebalance.execution.broker import (
    Broker,
    Instrument,
    Order,
    OrderRefused,
    OrderReport,
    OutcomeUnknown,
)
from portfolio_rebalance.execution.checks import (
    Lost,
    Stop,
    instrument_of,
    named,
    order_of,
    require_back,
    require_gate,
    require_limits,
    require_price,
    why_failed,
)
from portfolio_rebalance.execution.journal import Journal
from portfolio_rebalance.execution.orders import limit_price_of
from portfolio_rebalance.records import Market, OpenExecution, OrderFill, Step, StoredStep

__all__ = ["Ending", "Executor", "NoSealing", "Pace", "Sealing"]

_BP: Final = 10_000
_WAY_BACK: Final = 1
_REMAINDER: Final = 2
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
            except Stop as reason:
                self._turn_back(state, str(reason))
            except Lost as reason:
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
        latest = max((stored.step.round for stored in current), default=_WAY_BACK)
        current = [stored for stored in current if stored.step.round == latest]
        failed = next((why for stored in current if (why := why_failed(stored, terms=self.terms))), "")
        if failed and phase == "forward":
            raise Stop(failed)
        following = next((stored for stored in current if stored.state == "planned"), None)
        if following is not None and not failed:
            self._perform(state, steps, following.step)
            return None
        book = book_after(state.started, steps)
        self._require_reconciled(book, state)
        if phase == "revert":
            self._leave_out(state, current, why=failed)
            if latest < _REMAINDER and self._plan_remainder(state, steps, book):
                return None
            prices = prices_of(self._all_markets(book).values())
            require_back(state, steps, book=book, prices=prices, terms=self.terms)
            return "reverted"
        require_limits(state.started, book=book, terms=self.terms)
        return "filled"

    def _perform(self, state: OpenExecution, steps: Sequence[StoredStep], step: Step) -> None:
        self._require_not_halted(step)
        if not self.sealing.is_genuine(step):
            raise Lost(f"{named(step)} is not sealed: somebody wrote it into the ledger")
        if step.phase == "forward" and (why_not := self.may_go_on()):
            raise Stop(why_not)
        plan_id, book = state.started.plan_id, book_after(state.started, steps)
        self._reconcile_between(state, steps, step, book)
        known = self._known_already(step)
        markets = self._markets(book, step)
        try:
            require_gate(state.started, step, book=book, markets=markets, terms=self.terms)
        except Lost as lost:
            if step.round < _REMAINDER:
                raise
            # Prices have moved since it was planned; without it the way back may be long enough already.
            self.journal.settle(plan_id, step.index, state="cancelled", note=f"left out: {lost}")
            return
        if not step.is_order:
            self.journal.settle(plan_id, step.index, state="done")
            return
        market = markets[instrument_of(step)]
        if step.phase == "forward":
            require_price(state.started, market, most_percent=self.most_price_move_percent)
        assert step.side is not None
        limit = limit_price_of(step.side, market.price, tolerance_bps=self.terms.tolerance_bps)
        self.progress(f"{step.side} {step.quantity:f} {step.asset} for {step.strategy}")
        self.journal.mark_sent(plan_id, step.index, reference_price=market.price, limit_price=limit)
        if known is None:
            self._send(plan_id, step, reference=market.price, limit=limit)
        elif known.state != "open":
            self._settle(plan_id, step, known, reference=market.price)

    def _known_already(self, step: Step) -> OrderReport | None:
        """Whether a live venue has this order already, whatever the ledger says.

        Asked before the price is looked at, and patiently: for some seconds a venue cannot rule out that a
        request of an earlier process is still on its way.
        """
        if not (step.is_order and self.broker.live):
            return None
        return self._patiently(lambda: self.broker.find(order_of(step, Decimal(1))))

    def _send(self, plan_id: str, step: Step, *, reference: Decimal, limit: Decimal) -> None:
        """Send once. What is not known for certain afterwards is found out, never sent again."""
        order = order_of(step, limit)
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
        order = order_of(step, stored.limit_price)
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
            self.progress(f"asking the venue about {named(step)}")
            self.pace.sleep(wait)
            wait = min(2 * wait, self.pace.most_seconds)
        raise Lost(f"the venue does not say what became of {named(step)} ({step.client_id})")

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
        """Leave the rest of the batch, and plan the way back."""
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
        except Lost as lost:
            self.journal.need_operator(plan_id, reason=f"{reason}; {lost}")
            return
        self._leave_out(state, steps, why=reason)
        self._plan_back(plan_id, reason, back, of_round=_WAY_BACK)

    def _leave_out(self, state: OpenExecution, steps: Sequence[StoredStep], *, why: str) -> None:
        """What is not done any more is not left as if it were still to come."""
        for stored in steps:
            if stored.state == "planned":
                index = stored.step.index
                self.journal.settle(state.started.plan_id, index, state="cancelled", note=f"not sent: {why}")

    def _plan_remainder(self, state: OpenExecution, steps: Sequence[StoredStep], book: Book) -> bool:
        """What the way back left out: it was sized for the worst cost, and an order of it may have failed.

        What became of each is known by now, so this sends nothing twice. There is no third attempt.
        """
        markets = self._all_markets(book)
        rest = revert_steps(
            state.started, book=book, markets=markets, terms=self.terms, next_index=len(steps)
        )
        prices = prices_of(markets.values())
        missing = sum(
            (Fraction(step.quantity) * prices[instrument_of(step)] for step in rest if step.is_order),
            Fraction(0),
        )
        if not (missing * 2 * _BP > book.total(prices)):  # less than half a basis point is not worth a fee
            return False
        self._plan_back(state.started.plan_id, state.reason, rest, of_round=_REMAINDER)
        return True

    def _plan_back(self, plan_id: str, reason: str, steps: Sequence[Step], *, of_round: int) -> None:
        planned = [self.sealing.signed(step.model_copy(update={"round": of_round})) for step in steps]
        self.journal.revert(plan_id, reason=reason, steps=planned)

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

    def _require_reconciled(self, book: Book, state: OpenExecution) -> None:
        holdings = self._patiently(self.broker.holdings)
        if found := book.differs_from(holdings, within=self._tolerance(state)):
            raise Lost(f"the venue does not hold what our books say: {'; '.join(found)}")

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
        except Lost as lost:
            if step.phase == "revert":
                raise
            raise Lost(f"{lost} before {named(step)}") from None

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
        raise Lost(f"the venue does not answer: {last}")

    def _tolerance(self, state: OpenExecution) -> Mapping[Instrument, Fraction]:
        return reconcile_tolerance(self.broker, state.started.markets)
