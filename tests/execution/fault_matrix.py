"""A venue fault at an order, a crash at a point, another crash while it recovers: run for real, then judged.

Every combination goes through `execute_rebalance_trades` on a workspace of its own, with its real ledger, its
real files and the paper venue under the fault script. Whatever leaves a trace passes a *fuse* before and
after: each call to the venue, to the journal and its end, each file written, each outbox row, HALT. A burnt
fuse raises `Crash`, which nothing catches; then everything is started afresh on the same files.

Points between which nothing on the disk changed lead to the same next start, so that `Course.crash_points`
names one of each kind. What is right at the end is said in `faults_of`.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from prefix_oracle import Holding, Tolerances, World, judge
from recording import Call, Crash, RecordingBroker, RecordingJournal, audit
from traces import dust_from, ending_from, trace_from, world_from_started

from portfolio_rebalance import run_skill
from portfolio_rebalance.allocation import mode_names
from portfolio_rebalance.errors import NeedsOperatorError, PlanConsumedError
from portfolio_rebalance.execution import venues
from portfolio_rebalance.execution.book import Book, book_after
from portfolio_rebalance.execution.broker import Holdings
from portfolio_rebalance.execution.executor import Pace
from portfolio_rebalance.execution.faults import FAULTS, FaultScript
from portfolio_rebalance.execution.paper import PAPER, PaperVenue
from portfolio_rebalance.records import Approval, OpenExecution, StoredStep
from portfolio_rebalance.tools import desk as desk_module
from portfolio_rebalance.tools import execution as execution_module
from portfolio_rebalance.tools import finishing as finishing_module
from portfolio_rebalance.tools.execution import execute_rebalance_trades
from portfolio_rebalance.workspace import Ledger, load_state
from portfolio_rebalance.workspace import outbox as outbox_module
from portfolio_rebalance.workspace.halt import read_halt
from portfolio_rebalance.workspace.journal import ExecutionJournal
from portfolio_rebalance.workspace.layout import BOOTSTRAP, HALT, REGISTRY
from portfolio_rebalance.workspace.outbox import Outbox
from workspaces import AS_OF, Returns, Strategy, clock_at, make_workspace

_LEDGER = "portfolio-rebalance/ledger.db"
_MOST_STARTS = 6
_OPEN_POLLS = 5
"""An order that fills in nine parts is then cancelled before the last of them."""


# --- portfolios ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Portfolio:
    """A workspace to plan in."""

    strategies: Mapping[str, Strategy]
    returns: Mapping[str, Returns]
    mode: str
    config: str | None = None


def _leg(asset: str, quantity: str, price: int) -> dict[str, str]:
    value = Decimal(quantity) * price
    return {"asset": asset, "quantity": quantity, "price": str(price), "market_value": f"{value:f}"}


def _btc(quantity: str) -> dict[str, str]:
    return _leg("BTC", quantity, 50_000)


def _eth(quantity: str) -> dict[str, str]:
    return _leg("ETH", quantity, 3_000)


def _sol(quantity: str) -> dict[str, str]:
    return _leg("SOL", quantity, 100)


_DRAW = random.Random(1)
_BASE, _OTHER, _THIRD = ([_DRAW.gauss(0.001, 0.02) for _ in range(90)] for _ in range(3))
_LIKE_BASE = [0.78 * value + 0.62 * _DRAW.gauss(0.001, 0.02) for value in _BASE]
_RISING = [_DRAW.gauss(0.004, 0.01) for _ in range(90)]
_FALLING = [_DRAW.gauss(-0.002, 0.02) for _ in range(90)]
_ALONE: Mapping[str, Returns] = {"STR-001": _BASE, "STR-003": _OTHER, "STR-007": _THIRD}
_SPOT = Strategy(capital=6180, target_percent="10.3", positions=[_sol("61.8")])

PORTFOLIOS: Mapping[str, Portfolio] = {
    # 34 / 20 / 10.3 % with a cluster at 54 %: 16 / 14 / 10.3 is two sales and idle cash.
    "example_1": Portfolio(
        strategies={
            "STR-001": Strategy(
                capital=20_400, target_percent="33.3333", target=20_000, positions=[_btc("0.4")]
            ),
            "STR-003": Strategy(capital=12_000, target_percent=20, positions=[_eth("4")]),
            "STR-007": _SPOT,
        },
        returns={**_ALONE, "STR-003": _LIKE_BASE},
        mode="correlation_aware",
    ),
    # 40 and 15 % to 20 each, both with a short leg: one is covered, the other enlarged.
    "shorts": Portfolio(
        strategies={
            "STR-001": Strategy(capital=24_000, target_percent=20, positions=[_btc("0.4"), _eth("-2")]),
            "STR-003": Strategy(capital=9_000, target_percent=20, positions=[_sol("-30"), _eth("2.5")]),
            "STR-007": _SPOT,
        },
        returns=_ALONE,
        mode="proportional",
    ),
    # One gives BTC to the other inside their account; both trade another asset besides.
    "shared_account": Portfolio(
        strategies={
            "STR-001": Strategy(
                capital=18_000, target_percent=20, account="main", positions=[_btc("0.3"), _eth("1")]
            ),
            "STR-003": Strategy(
                capital=9_000, target_percent=20, account="main", positions=[_btc("0.1"), _sol("40")]
            ),
            "STR-007": _SPOT,
        },
        returns=_ALONE,
        mode="proportional",
    ),
    # 5 points from the worse to the better; one strategy at a time, each reconciled.
    "both_ways": Portfolio(
        strategies={
            "STR-001": Strategy(capital=12_000, target_percent=20, positions=[_btc("0.2"), _eth("0.5")]),
            "STR-003": Strategy(capital=12_000, target_percent=20, positions=[_eth("4")]),
            "STR-007": Strategy(capital=6_180, target_percent="10.3", positions=[_sol("41.8"), _eth("0.5")]),
        },
        returns={**_ALONE, "STR-001": _FALLING, "STR-007": _RISING},
        mode="performance_weighted",
        config="portfolio_rebalance:\n  execution:\n    batch_execution: false\n",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Template:
    """A workspace with an approved plan; combinations run on copies of it."""

    folder: Path
    plan_id: str
    targets_bp: Mapping[str, int]


@contextmanager
def scratch(fallback: Path) -> Iterator[Path]:
    """A folder in memory where there is one: thousands of commits are synced there for nothing."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield fallback
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def approved(portfolio: Portfolio, folder: Path) -> Template:
    """Plan by the product's own dry run, and approve."""
    root = make_workspace(folder, portfolio.strategies, returns=portfolio.returns, config=portfolio.config)
    result = run_skill({"workspace": str(root), "as_of": AS_OF, "mode": portfolio.mode})
    assert result.plan_id is not None and result.plan is not None, result.error
    with Ledger.open(root) as ledger:
        ledger.approvals.approve(
            Approval(
                plan_id=result.plan_id, user="anna", at=AS_OF, method="typed", shown_sha256="0" * 64
            )
        )
    targets = {one.strategy: one.proposed_bp for one in result.plan.strategies if one.proposed_bp is not None}
    return Template(folder=folder, plan_id=result.plan_id, targets_bp=targets)


# --- running ---------------------------------------------------------------------------------------------


class Fuse:
    """Counts points, from 1; burns at one of them, and from then on at every one."""

    def __init__(self, *, burns_at: int = 0, look: Callable[[], str] | None = None) -> None:
        self.points: list[str] = []
        self.seen: list[str] = []
        self._burns_at = burns_at
        self._look = look

    def __call__(self, _number: int, moment: str, name: str) -> None:
        self.points.append(f"{moment} {name}")
        if self._look is not None:
            self.seen.append(self._look())
        if 0 < self._burns_at <= len(self.points):
            raise Crash(self.points[self._burns_at - 1])

    def around(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        """The same act, with a point before and one after."""

        def watched(*args: Any, **named: Any) -> Any:
            self(0, "before", name)
            result = act(*args, **named)
            self(0, "after", name)
            return result

        return watched


class _WatchedJournal(RecordingJournal):
    """The ledger's journal; what the executor does not call passes through."""

    def __init__(self, ledger: Ledger, *, log: list[Call], fuse: Fuse) -> None:
        journal = ExecutionJournal(ledger)
        super().__init__(journal, log=log, on_call=fuse)
        self.get, self.close, self.report_of = journal.get, journal.close, journal.report_of
        self.finish = fuse.around("finish", journal.finish)


@dataclass(kw_only=True)
class Run:
    """One workspace, started as often as it takes.

    Attributes:
        log: What venue and journal were asked, over all starts.
        before: What the venue held before the first order.
        crashed: The points at which it did.
    """

    template: Template
    root: Path
    log: list[Call] = field(default_factory=list)
    before: Holdings | None = None
    crashed: list[str] = field(default_factory=list)

    @contextmanager
    def watched(self, fuse: Fuse) -> Iterator[None]:
        """Let everything that leaves a trace pass the fuse."""

        @contextmanager
        def open_venue(*args: Any, **named: Any) -> Iterator[venues.Venue]:
            with venues.open_venue(*args, **named) as venue:

                def adopt(*books: Any) -> None:
                    venue.adopt(*books)
                    assert isinstance(venue.broker, PaperVenue)
                    self.before = venue.broker.balances()

                broker = RecordingBroker(venue.broker, log=self.log, on_call=fuse)
                yield replace(venue, broker=broker, adopt=fuse.around("adopt", adopt))

        journal = property(partial(_WatchedJournal, log=self.log, fuse=fuse))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(desk_module, "open_venue", open_venue)
            patch.setattr(Ledger, "journal", journal)
            patch.setattr(execution_module, "Pace", partial(Pace, open_polls=_OPEN_POLLS))
            for module, name in ((outbox_module, "write_atomic"), (finishing_module, "write_halt")):
                patch.setattr(module, name, fuse.around(name, getattr(module, name)))
            patch.setattr(Outbox, "mark_applied", fuse.around("mark_applied", Outbox.mark_applied))
            yield

    def start(self, fuse: Fuse) -> bool:
        """Start afresh, like a new process on the same files; false if it crashed on the way."""
        with self.watched(fuse):
            try:
                execute_rebalance_trades(
                    self.template.plan_id, workspace=self.root, as_of=AS_OF, sleep=lambda _seconds: None
                )
            except Crash as crash:
                self.crashed.append(str(crash))
                return False
            except (PlanConsumedError, NeedsOperatorError):
                assert self.crashed, "only what was started before may be over"
        return True

    def disk(self) -> str:
        """A digest of every byte below the workspace."""
        digest = sha256()
        for path in sorted(self.root.rglob("*")):
            if path.is_file() and not path.name.endswith("-shm"):
                digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()


@contextmanager
def run_of(template: Template, script: str, *, folder: Path) -> Iterator[Run]:
    """A copy of the template with a fault script, removed afterwards."""
    with tempfile.TemporaryDirectory(dir=folder) as copy:
        root = Path(copy) / ".crypto"
        shutil.copytree(template.folder / ".crypto", root)
        (root / FAULTS).write_text(script)
        yield Run(template=template, root=root)


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a script runs when nothing crashes.

    Attributes:
        crash_points: One of each stretch of points between which nothing on the disk changed.
        points: All of them, by name.
        orders: Sent forward, and back.
    """

    status: str
    reason: str
    points: tuple[str, ...]
    crash_points: tuple[int, ...]
    orders: tuple[int, int]


def course_of(template: Template, script: str, *, folder: Path) -> Course:
    """Run a script whole, and look at the disk at each point."""
    with run_of(template, script, folder=folder) as run:
        fuse = Fuse(look=run.disk)
        assert run.start(fuse)
        end = end_of(run)
        assert faults_of(run, end) == [], script
    first = {disk: number for number, disk in reversed(list(enumerate(fuse.seen, start=1)))}
    sent = [one.step.phase for one in end.steps if one.step.is_order and one.limit_price is not None]
    return Course(
        status=end.execution.status,
        reason=end.execution.reason,
        points=tuple(fuse.points),
        crash_points=tuple(sorted(first.values())),
        orders=(sent.count("forward"), sent.count("revert")),
    )


def crash_and_recover(
    template: Template, script: str, *, crashes: Sequence[int], folder: Path
) -> tuple[End, list[str], list[str]]:
    """Crash at one point, while recovering at the next, and so on; then start once more undisturbed.

    Returns:
        How it ended, where it crashed, and what is wrong with it.
    """
    with run_of(template, script, folder=folder) as run:
        for burns_at in (*crashes, 0):
            if run.start(Fuse(burns_at=burns_at)):
                break
        end = end_of(run)
        return end, run.crashed, faults_of(run, end)


# --- judging ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class End:
    """What a run left in the ledger."""

    execution: OpenExecution
    steps: tuple[StoredStep, ...]

    @property
    def book(self) -> Book:
        return book_after(self.execution.started, self.steps)


def end_of(run: Run) -> End:
    with Ledger.open(run.root) as ledger:
        execution = ledger.journal.get(run.template.plan_id)
        assert execution is not None
        return End(execution=execution, steps=ledger.journal.steps(run.template.plan_id))


def faults_of(run: Run, end: End) -> list[str]:
    """Everything that is wrong with an end; empty where money moved once or not at all."""
    found = [*_restart_faults(run, end), *_file_faults(run, end)]
    assert run.before is not None
    with PaperVenue.open(
        run.root / PAPER,
        now=lambda: AS_OF,
        slippage_bps=Decimal(25),
        commission_bps=Decimal(5),
        seed="paper",
        faults=FaultScript(),
    ) as venue:
        for _ in range(10):  # an order that is late, or fills slowly, moves on at each question
            audit(venue, run.log)
        after = venue.balances()
        found += [f"{key} executed {times} times" for key, times in venue.times_executed().items() if times > 1]
    status = end.execution.status
    if status in ("committed", "reverted"):
        found += end.book.differs_from(after, within={})
    ending = ending_from(status, end.steps, before=run.before, after=after, books=_world_of(end))
    violations = judge(
        world_from_started(end.execution.started),
        trace_from(end.steps, run.log),
        ending,
        tolerances=Tolerances(dust=dust_from(end.execution.started)),
    )
    return found + [f"{one.rule}: {one.subject} {one.detail}" for one in violations]


def _world_of(end: End) -> World:
    book = end.book
    return replace(
        world_from_started(end.execution.started),
        holdings={
            key: Holding(account=book.accounts[key], own_cash=cash, quantities=book.quantities[key])
            for key, cash in book.own_cash.items()
        },
        pool_cash=book.pool_cash,
    )


def _restart_faults(run: Run, end: End) -> Iterator[str]:
    """Another start finds nothing left to do, or refuses and points at a person."""
    disk = run.disk()
    refusal = NeedsOperatorError if end.execution.status == "needs_operator" else PlanConsumedError
    try:
        execute_rebalance_trades(run.template.plan_id, workspace=run.root, as_of=AS_OF)
    except refusal:
        pass
    else:
        yield f"{end.execution.status}, and yet another start was not refused"
    with Ledger.open(run.root) as ledger:
        settled = ledger.is_settled()
    if settled != (end.execution.status in ("committed", "reverted")):
        yield f"{end.execution.status}, and settled is {settled}"
    if (read_halt(run.root).level == "all") != (end.execution.status == "needs_operator"):
        yield f"{end.execution.status}, and HALT says {read_halt(run.root).level}"
    if run.disk() != disk:
        yield "another start changed something"


def _file_faults(run: Run, end: End) -> Iterator[str]:
    """The files are all new, as the ledger wants them, or all as they were."""
    with closing(sqlite3.connect(run.root / _LEDGER)) as connection:
        rows = connection.execute(
            "SELECT path, content, applied FROM outbox WHERE plan_id = ?", (run.template.plan_id,)
        ).fetchall()
    old, now = _files(run.template.folder / ".crypto"), _files(run.root)
    wanted = {**old, **{path: content for path, content, _ in rows}}
    yield from (f"{path} is not as it should be" for path in wanted if now.get(path) != wanted[path])
    yield from (f"{path} is not accounted for" for path in now if path not in wanted)
    yield from (f"{path} was not written" for path, _, applied in rows if applied != 1)
    status, paths = end.execution.status, {path for path, _, _ in rows}
    records = {path for path in paths if path.startswith("portfolio-rebalance/execution-")}
    if (REGISTRY in paths) != (status == "committed"):
        yield f"{status}, and the registry is {'new' if REGISTRY in paths else 'old'}"
    if len(records) != (0 if status == "needs_operator" else 2):
        yield f"{status}, and there are {len(records)} records"
    if (BOOTSTRAP in paths) != (status == "committed" or (status == "reverted" and end.book != _start(end))):
        yield f"{status}, and BOOTSTRAP is {'new' if BOOTSTRAP in paths else 'old'}"
    if status == "committed":
        yield from _state_faults(run, end)


def _state_faults(run: Run, end: End) -> Iterator[str]:
    """What the next dry run reads is what the venue holds, with the targets that were approved."""
    portfolio = load_state(run.root, clock=clock_at(), mode_names=mode_names()).portfolio
    for one in portfolio.strategies:
        target_bp = run.template.targets_bp.get(one.strategy)
        if target_bp is not None and Fraction(one.target_percent) * 100 != target_bp:
            yield f"the target of {one.strategy} is {one.target_percent}"
        held = {leg.asset: Fraction(leg.quantity) for leg in one.positions}
        if held != {asset: size for asset, size in end.book.quantities[one.strategy].items() if size}:
            yield f"the snapshot of {one.strategy} says {held}"


def _start(end: End) -> Book:
    return book_after(end.execution.started, ())


def _files(root: Path) -> dict[str, bytes]:
    ours = ("ledger.db", "paper.db", "lock", Path(HALT).name, Path(FAULTS).name)
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(ours)
    }
