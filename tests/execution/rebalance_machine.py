"""A rebalance as a state machine: orders, prices, faults, halts and crashes in any sequence Hypothesis finds.

What it drives is the executor on a real ledger. The venue is one of the tests': it fills anywhere between
the mark and the limit, in part, late, or without a word. What judges is the prefix oracle, after every
stretch and at the end, from the log of the venue.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from batch_laws import breached
from batches import PLAN_ID, Case, random_case
from fault_judge import _with_common_cash, _world_of
from fault_runs import End
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from prefix_oracle import Tolerances, Violation, World, judge, overages
from recording import Call, Crash, Moment, RecordingBroker, RecordingJournal, audit, crash_at
from traces import dust_from, ending_from, trace_from, world_from_started
from workspace.executions import add_plans

from portfolio_rebalance.errors import HaltedError, PlanChangedError
from portfolio_rebalance.execution.broker import (
    Holdings,
    Instrument,
    Order,
    OrderRefused,
    OrderReport,
    OutcomeUnknown,
)
from portfolio_rebalance.execution.executor import Executor, Pace
from portfolio_rebalance.records import ExecutionStatus, Market, Step
from portfolio_rebalance.units import exact_decimal
from portfolio_rebalance.workspace import Ledger

SEEN: Counter[str] = Counter()
"""How the sequences of this process went: how many, from a breach, and how they ended."""

FAULTS = ("refused", "in part", "lost before", "lost after", "slow")
_SHM = Path("/dev/shm")
"""Memory, where the machine has it: a ledger syncs with every call."""
_ZERO = Decimal(0)
_MONEY_PLACES = 12


@dataclass
class Placed:
    """An order at the venue; ``polls`` look-ups until the rest of it is filled."""

    order: Order
    wanted: Decimal
    filled: Decimal = _ZERO
    cash_change: Decimal = _ZERO
    price: Decimal | None = None
    commission: Decimal = _ZERO
    closed: bool = False
    polls: int = 0


@dataclass
class Bourse:
    """A venue that does as it is told."""

    rules: Mapping[Instrument, Market]
    cash: Decimal
    held: dict[Instrument, Decimal]
    faults: list[str] = field(default_factory=list)
    slip_percent: int = 0
    received: int = 0
    orders: dict[str, Placed] = field(default_factory=dict)
    name: str = "bourse"
    live: bool = False
    exact: bool = True

    def holdings(self) -> Holdings:
        return Holdings(cash=self.cash, quantities=dict(self.held))

    def markets(self, instruments: Collection[Instrument]) -> Mapping[Instrument, Market]:
        return {place: self.rules[place] for place in instruments}

    def place(self, order: Order) -> OrderReport:
        assert order.client_id not in self.orders, "the same order was sent twice"
        self.received += 1
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "refused":
            raise OrderRefused("it will not")
        if fault == "lost before":
            raise OutcomeUnknown("timeout")
        lot = self.rules[order.account, order.asset].lot
        share = order.quantity // 2 // lot * lot if fault == "in part" else order.quantity
        placed = Placed(order=order, wanted=share, polls=2 if fault == "slow" else 0)
        self.orders[order.client_id] = placed
        if not placed.polls:
            self._fill(placed)
        if fault == "lost after":
            raise OutcomeUnknown("timeout")
        return _told(placed)

    def find(self, order: Order) -> OrderReport | None:
        placed = self.orders.get(order.client_id)
        if placed is None:
            return None
        if placed.polls:
            placed.polls -= 1
            if not placed.polls:
                self._fill(placed)
        return _told(placed)

    def cancel(self, order: Order) -> None:
        self.orders[order.client_id].closed = True

    def move(self, asset: str, per_mille: int) -> None:
        """The price of an asset, everywhere."""
        self.rules = {
            place: one.model_copy(
                update={"price": exact_decimal(_moved(one.price, per_mille), places=_MONEY_PLACES)}
            )
            if place[1] == asset
            else one
            for place, one in self.rules.items()
        }

    def _fill(self, placed: Placed) -> None:
        """Anywhere between the mark and the limit; not at all where the mark has left the limit behind."""
        order, rules = placed.order, self.rules[placed.order.account, placed.order.asset]
        sign = 1 if order.side == "BUY" else -1
        placed.closed = True
        room = sign * (Fraction(order.limit_price) - Fraction(rules.price))
        if room < 0 or not placed.wanted:
            return
        placed.price = exact_decimal(
            Fraction(rules.price) + sign * room * self.slip_percent / 100, places=_MONEY_PLACES
        )
        paid = Fraction(placed.wanted) * Fraction(placed.price)
        placed.filled = placed.wanted
        placed.commission = exact_decimal(
            paid * Fraction(rules.commission_bps) / 10_000, places=_MONEY_PLACES
        )
        placed.cash_change = exact_decimal(-sign * paid, places=_MONEY_PLACES) - placed.commission
        self.cash += placed.cash_change
        self.held[order.account, order.asset] += sign * placed.filled


class Rebalance(RuleBasedStateMachine):
    """One rebalance, from its first order to its end."""

    @initialize(seed=st.integers(0, 2**64 - 1))
    def begins(self, seed: int) -> None:
        pick = random.Random(seed).randint
        self.open = self.over = False
        self.log: list[Call] = []
        case = random_case(pick, bot_odds=0)
        while case.blocked or not case.wanted or not _batch(case):
            case = random_case(pick, bot_odds=0)
        self.case, self.started = case, case.started()
        self.root = Path(tempfile.mkdtemp(dir=_SHM if _SHM.is_dir() else None))
        self.context = Ledger.open(self.root)
        self.ledger = self.context.__enter__()
        self.open = True
        add_plans(self.ledger, PLAN_ID)
        self.ledger.journal.start(self.started, self.steps_of(case))
        held = dict.fromkeys(case.markets, _ZERO)
        for book in self.started.baseline.values():
            for asset, quantity in book.quantities.items():
                held[book.account, asset] += quantity
        own = sum((book.own_cash for book in self.started.baseline.values()), _ZERO)
        self.bourse = Bourse(rules=case.markets, cash=self.started.pool_cash + own, held=held)
        self.before = self.bourse.holdings()
        SEEN["sequences"] += 1
        SEEN["from a breach"] += breached(case)

    def steps_of(self, case: Case) -> Sequence[Step]:
        """The batch that is started."""
        return case.batch().steps

    @rule(asset=st.sampled_from(("BTC", "ETH", "SOL", "XRP", "DOGE")), per_mille=st.integers(-15, 15))
    def a_price_moves(self, asset: str, per_mille: int) -> None:
        self.bourse.move(asset, per_mille)

    @rule(percent=st.integers(0, 100))
    def fills_become_worse_or_better(self, percent: int) -> None:
        self.bourse.slip_percent = percent

    @rule(fault=st.sampled_from(FAULTS), orders_before=st.integers(0, 2))
    def an_order_will_go_wrong(self, fault: str, orders_before: int) -> None:
        self.bourse.faults += [""] * orders_before + [fault]

    @precondition(lambda self: not self.over)
    @rule(orders=st.integers(1, 3))
    def goes_on_until_halted(self, orders: int) -> None:
        until = self.bourse.received + orders
        self._drive(halt="all", until=until)

    @precondition(lambda self: not self.over)
    @rule()
    def goes_on_with_reductions_alone(self) -> None:
        self._drive(halt="reduce_only", until=0)

    @precondition(lambda self: not self.over)
    @rule(calls=st.integers(1, 40), moment=st.sampled_from(("before", "after")))
    def goes_on_until_it_crashes(self, calls: int, moment: Moment) -> None:
        self._drive(crash=(len(self.log) + calls, moment))

    def teardown(self) -> None:
        if not self.open:
            return
        try:
            if not self.over:
                self._drive()
            assert self.over
        finally:
            self.context.__exit__(None, None, None)
            shutil.rmtree(self.root)

    def _drive(
        self, *, halt: str = "none", until: int | None = None, crash: tuple[int, Moment] | None = None
    ) -> None:
        def halted() -> str:
            return halt if until is not None and self.bourse.received >= until else "none"

        on_call = None if crash is None else crash_at(*crash)
        executor = Executor(
            broker=RecordingBroker(self.bourse, log=self.log, on_call=on_call),
            # It tells when a transfer was written: between two orders the prices may have moved.
            journal=RecordingJournal(self.ledger.journal, log=self.log, on_call=on_call),
            terms=self.case.terms,
            most_price_move_percent=Decimal(2),
            halted=halted,  # type: ignore[arg-type]
            pace=Pace(sleep=lambda _seconds: None),
        )
        try:
            ending = executor.drive(PLAN_ID)
        except (HaltedError, Crash):
            self._judge("running")
            return
        self.over = True
        status: ExecutionStatus = "committed" if ending == "filled" else ending
        SEEN[status] += 1
        self._judge(status)

    def _judge(self, status: ExecutionStatus) -> None:
        found = self._violations(status)
        assert found == (), found

    def _violations(self, status: ExecutionStatus) -> tuple[Violation, ...]:
        steps = self.ledger.journal.steps(PLAN_ID)
        log = list(self.log)
        if self.over:
            audit(self.bourse, log)
        execution = self.ledger.journal.get(PLAN_ID)
        assert execution is not None
        end = End(execution=execution, steps=steps)
        start, dust = world_from_started(self.started), dust_from(self.started)
        return judge(
            start,
            tuple(_with_common_cash(trace_from(steps, log))),
            replace(
                ending_from(
                    status, steps, before=self.before, after=self.bourse.holdings(), books=_world_of(end)
                ),
                **({} if self.over else {"venue": None, "books": None}),
            ),
            tolerances=Tolerances(
                dust=dust,
                revert_bp=self._may_be_away(start, dust=max(dust.values())),
            ),
        )

    def _may_be_away(self, start: World, *, dust: Fraction) -> Fraction:
        """How far a way back may end from where it began; what is less than an order cannot be bought back.

        Where a limit was broken before, or within a point of it, costs and prices let buying back stop short
        of where it was: the prefixes are what holds it then, and the fault matrix says how far it may be.
        """
        point = 100 * start.total()
        if any(overage > -point for overage in overages(start).values()):
            return Fraction(10_000)
        return 1 + dust * 10_000 / start.total()


def _told(placed: Placed) -> OrderReport:
    order = placed.order
    sign = 1 if order.side == "BUY" else -1
    whole = placed.filled == order.quantity
    return OrderReport(
        client_id=order.client_id,
        state="filled" if whole else "closed" if placed.closed else "open",
        filled=placed.filled,
        average_price=placed.price,
        asset_change=sign * placed.filled,
        cash_change=placed.cash_change,
        commission=placed.commission,
    )


def _moved(price: Decimal, per_mille: int) -> Fraction:
    return Fraction(price) * (1000 + per_mille) / 1000


def _batch(case: Case) -> bool:
    """Whether there is a batch to start."""
    try:
        return bool(case.batch().steps)
    except PlanChangedError:
        return False
