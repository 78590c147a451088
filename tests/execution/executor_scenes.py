"""Small batches on a real ledger and a real paper venue, for the executor to drive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from recording import Call, CallName, RecordingBroker
from workspace.executions import NOW, add_plans

from portfolio_rebalance.execution.batch import Terms, forward_batch
from portfolio_rebalance.execution.book import Book, book_after, book_of
from portfolio_rebalance.execution.broker import Order
from portfolio_rebalance.execution.executor import Executor, Pace
from portfolio_rebalance.execution.faults import FaultScript
from portfolio_rebalance.execution.gate import GateLimits
from portfolio_rebalance.execution.paper import PAPER, PaperVenue
from portfolio_rebalance.execution.sizing import Wanted
from portfolio_rebalance.records import OpenExecution, StartedExecution, StoredStep, StrategyBook
from portfolio_rebalance.workspace import Ledger

D, F = Decimal, Fraction
ONE, TWO, THREE = "STR-ONE", "STR-TWO", "STR-THREE"
PLAN = "plan"
LIMITS = {"total": 9000, "cluster": 5000, "individual_max": 4000, "individual_min": 100}
BTC, ETH, SOL = (ONE, "BTC"), (TWO, "ETH"), (THREE, "SOL")
MARKS = {BTC: D(50_000), ETH: D(2_500), SOL: D(100)}
TOLERANCE_BPS = D(50)

HELD: Mapping[str, StrategyBook] = {
    ONE: StrategyBook(account=ONE, own_cash=D(0), quantities={"BTC": D("0.6")}),
    TWO: StrategyBook(account=TWO, own_cash=D(0), quantities={"ETH": D(8)}),
    THREE: StrategyBook(account=THREE, own_cash=D(0), quantities={"SOL": D(100)}),
}
"""30, 20 and 10 % of 100 000, the rest in cash."""

POOL = D(40_000)
TARGETS = {ONE: 2000, TWO: 2500}
"""One order down, one up."""


@dataclass(kw_only=True)
class Scene:
    """A batch that was started.

    Attributes:
        log: What the venue was asked.
        slept: Seconds between two questions.
        before: The book before the first step.
    """

    root: Path
    ledger: Ledger
    venue: PaperVenue
    started: StartedExecution
    log: list[Call] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    @property
    def executor(self) -> Executor:
        """As the product makes it; change it with `dataclasses.replace`."""
        return Executor(
            broker=RecordingBroker(self.venue, log=self.log),
            journal=self.ledger.journal,
            terms=terms(),
            most_price_move_percent=D(2),
            halted=lambda: "none",
            pace=Pace(sleep=self.slept.append),
        )

    @property
    def before(self) -> Book:
        return book_of(self.started)

    @property
    def book(self) -> Book:
        return book_after(self.started, self.steps)

    @property
    def steps(self) -> tuple[StoredStep, ...]:
        return self.ledger.journal.steps(PLAN)

    @property
    def states(self) -> list[tuple[str, str]]:
        """Phase and state of each step."""
        return [(one.step.phase, one.state) for one in self.steps]

    @property
    def execution(self) -> OpenExecution:
        found = self.ledger.journal.get(PLAN)
        assert found is not None
        return found

    @property
    def sent(self) -> list[tuple[str, str, Decimal]]:
        """Side, asset and quantity of each order that was placed."""
        orders = [call.argument for call in self.log if call.name == "place"]
        return [(one.side, one.asset, one.quantity) for one in orders if isinstance(one, Order)]

    def calls(self, *names: CallName) -> list[str]:
        """The calls of these names, in order."""
        return [call.name for call in self.log if call.name in names]

    @property
    def executed(self) -> set[int]:
        """How often orders were executed that were executed at all."""
        return set(self.venue.times_executed().values())


@contextmanager
def scene(
    root: Path,
    faults: str = "",
    *,
    targets: Mapping[str, int] = TARGETS,
    held: Mapping[str, StrategyBook] = HELD,
    pool: Decimal = POOL,
    commission_bps: str = "0",
) -> Iterator[Scene]:
    """A batch from 30 / 20 / 10 % of 100 000 towards these targets, started; fills are at the mark."""
    with Ledger.open(root) as ledger, _venue(root, faults, commission_bps=D(commission_bps)) as venue:
        venue.adopt(held, pool_cash=pool, marks=MARKS)
        markets = venue.markets(MARKS)
        started = StartedExecution(
            plan_id=PLAN,
            at=NOW,
            broker="paper",
            currency="USD",
            baseline=held,
            pool_cash=pool,
            bot_capital={},
            bot_goals={},
            markets=tuple(markets[place] for place in sorted(markets)),
            clusters=(),
            limits_bp=LIMITS,
            targets_bp=targets,
        )
        book = book_of(started)
        prices = {place: F(price) for place, price in MARKS.items()}
        total = book.total(prices)
        wanted = [
            Wanted(
                strategy=key,
                target_bp=F(target_bp),
                approved=target_bp * total / 10_000 - book.capital(key, prices),
            )
            for key, target_bp in targets.items()
        ]
        batch = forward_batch(wanted, plan_id=PLAN, book=book, markets=markets, terms=terms())
        add_plans(ledger, PLAN)
        ledger.journal.start(started, batch.steps)
        yield Scene(root=root, ledger=ledger, venue=venue, started=started)


def terms() -> Terms:
    return Terms(limits=GateLimits.of(LIMITS), clusters=(), tolerance_bps=TOLERANCE_BPS, bot_goals={})


def when_sending(asset: str, act: Callable[[], object]) -> Callable[[str], None]:
    """A progress callback that acts once, just before the first order in an asset is sent."""
    done: list[str] = []

    def progress(what: str) -> None:
        if not done and f" {asset} for " in what:
            done.append(what)
            act()

    return progress


def told(executor: Executor, progress: Callable[[str], None]) -> Executor:
    return replace(executor, progress=progress)


@contextmanager
def _venue(root: Path, faults: str, *, commission_bps: Decimal) -> Iterator[PaperVenue]:
    with PaperVenue.open(
        root / PAPER,
        now=lambda: NOW,
        slippage_bps=D(0),
        commission_bps=commission_bps,
        seed="paper",
        faults=FaultScript.parse(faults),
    ) as venue:
        yield venue
