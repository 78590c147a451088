"""A hand-made venue, journal and batch for the tests of the recording wrappers and of the traces."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from prefix_oracle import BookMove, BookMoves, Ended, Filled, Sent

from portfolio_rebalance.execution.broker import Holdings, Instrument, Order, OrderRefused, OrderReport
from portfolio_rebalance.records import OpenExecution
from portfolio_rebalance.records.batch import (
    Market,
    OrderFill,
    StartedExecution,
    Step,
    StepState,
    StoredStep,
    StrategyBook,
    Transfer,
)

ONE, TWO = "STR-ONE", "STR-TWO"
X = ("main", "X")
MARKET = Market(
    account="main",
    asset="X",
    price=Decimal(10),
    lot=Decimal(1),
    min_notional=Decimal(5),
    commission_bps=Decimal(4),
)


class Venue:
    """A venue of one asset that fills at 10, keeps every order, and answers as it is told to."""

    name, live, exact = "hand-made", False, True

    def __init__(self) -> None:
        self.cash, self.units, self.price = Decimal(4000), Decimal(600), Decimal(10)
        self.reports: dict[str, OrderReport] = {}
        self.faults: list[Exception] = []
        self.fills: list[Decimal] = []
        """Share of the order filled by each `place`, first to last; whole when it is empty."""

    def holdings(self) -> Holdings:
        return Holdings(cash=self.cash, quantities={X: self.units})

    def markets(self, instruments: Collection[Instrument]) -> Mapping[Instrument, Market]:
        return {X: MARKET.model_copy(update={"price": self.price})}

    def place(self, order: Order) -> OrderReport:
        if self.faults and isinstance(self.faults[0], OrderRefused):
            raise self.faults.pop(0)
        share = self.fills.pop(0) if self.fills else Decimal(1)
        report = self.fill(order, order.quantity * share)
        if self.faults:
            raise self.faults.pop(0)
        return report

    def fill(self, order: Order, filled: Decimal) -> OrderReport:
        """Fill so much more of an order."""
        units = filled if order.side == "BUY" else -filled
        self.units, self.cash = self.units + units, self.cash - 10 * units
        before = self.reports.get(order.client_id)
        known = before.asset_change if before else Decimal(0)
        report = OrderReport(
            client_id=order.client_id,
            state="filled" if abs(known + units) >= order.quantity else "open",
            filled=abs(known + units),
            average_price=Decimal(10),
            asset_change=known + units,
            cash_change=-10 * (known + units),
            commission=Decimal(0),
        )
        self.reports[order.client_id] = report
        return report

    def find(self, order: Order) -> OrderReport | None:
        if self.faults:
            raise self.faults.pop(0)
        return self.reports.get(order.client_id)

    def cancel(self, order: Order) -> None:
        self.reports[order.client_id] = replace(self.reports[order.client_id], state="closed")


class Pages:
    """A journal that remembers what it was told, for the wrapper to pass on to."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def start(self, started: StartedExecution, steps: Sequence[Step]) -> None:
        self.told.append(("start", len(steps)))

    def unfinished(self) -> OpenExecution | None:
        return None

    def steps(self, plan_id: str) -> tuple[StoredStep, ...]:
        return ()

    def mark_sent(self, plan_id: str, index: int, *, reference_price: Decimal, limit_price: Decimal) -> None:
        self.told.append(("sent", plan_id, index, reference_price, limit_price))

    def settle(
        self, plan_id: str, index: int, *, state: StepState, fill: OrderFill | None = None, note: str = ""
    ) -> None:
        self.told.append((state, plan_id, index, fill, note))

    def revert(self, plan_id: str, *, reason: str, steps: Sequence[Step]) -> None:
        self.told.append(("revert", plan_id, reason, len(steps)))

    def need_operator(self, plan_id: str, *, reason: str) -> None:
        self.told.append(("need_operator", plan_id, reason))


def order(client_id: str = "p-0", quantity: int = 100) -> Order:
    return Order(
        client_id=client_id,
        account="main",
        asset="X",
        side="SELL",
        quantity=Decimal(quantity),
        limit_price=Decimal("9.9"),
    )


def stored(index: int = 0, state: StepState = "done", *, filled: int | None = 100) -> StoredStep:
    """A sale of 100 units for ONE, as the journal has it."""
    step = Step(
        index=index,
        client_id=f"p-{index}",
        phase="forward",
        purpose="reduce",
        strategy=ONE,
        account="main",
        asset="X",
        side="SELL",
        quantity=Decimal(100),
    )
    fill = None
    if filled is not None:
        fill = OrderFill(
            filled=Decimal(filled),
            average_price=Decimal(10),
            asset_change=Decimal(-filled),
            cash_change=Decimal(10 * filled),
            commission=Decimal(0),
        )
    return StoredStep(step=step, state=state, fill=fill)


def netting(index: int, state: StepState = "done") -> StoredStep:
    moves = (
        Transfer(source=ONE, target=TWO, asset="X", quantity=Decimal(5), price=Decimal(10)),
        Transfer(source=ONE, target=None, asset=None, quantity=Decimal(50)),
        Transfer(source=None, target=TWO, asset=None, quantity=Decimal(50)),
    )
    step = Step(index=index, client_id=f"p-{index}", phase="forward", purpose="net", transfers=moves)
    return StoredStep(step=step, state=state)


NETTED = BookMoves(
    moves=(
        BookMove(source=ONE, target=TWO, asset="X", quantity=Fraction(5), price=Fraction(10)),
        BookMove(source=ONE, target=None, asset=None, quantity=Fraction(50)),
        BookMove(source=None, target=TWO, asset=None, quantity=Fraction(50)),
    )
)
STARTED = StartedExecution(
    plan_id="p",
    at=datetime(2025, 2, 5, tzinfo=UTC),
    broker="hand-made",
    currency="USDT",
    baseline={
        ONE: StrategyBook(account="main", own_cash=Decimal(20), quantities={"X": Decimal(400)}),
        TWO: StrategyBook(account="main", own_cash=Decimal(0), quantities={"X": Decimal(200)}),
    },
    pool_cash=Decimal(3980),
    bot_capital={"STR-BOT": Decimal(500)},
    bot_goals={},
    markets=(MARKET,),
    clusters=((ONE, TWO),),
    limits_bp={"total": 6000, "cluster": 3000, "individual_max": 4000, "individual_min": 100},
    targets_bp={ONE: 3000},
)


def sent(client_id: str = "p-0", *, strategy: str | None = ONE, quantity: int = 100) -> Sent:
    return Sent(
        client_id=client_id,
        strategy=strategy,
        account="main",
        asset="X",
        side="SELL",
        quantity=Fraction(quantity),
        limit_price=Fraction("9.9"),
    )


def sold(units: int, client_id: str = "p-0") -> Filled:
    return Filled(client_id=client_id, asset_change=Fraction(-units), cash_change=Fraction(10 * units))


def end(client_id: str = "p-0") -> Ended:
    return Ended(client_id=client_id)
