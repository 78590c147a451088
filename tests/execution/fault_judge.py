"""What is wrong with how a run ended; nothing where money moved once or not at all.

Judged are the venue's own account of its fills, the books against its holdings, every prefix of the batch by
the oracle, the files, and what another start finds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from fault_runs import End, Run
from prefix_oracle import BookMove, BookMoves, Event, Holding, Tolerances, World, judge, overages
from recording import audit
from traces import dust_from, ending_from, trace_from, world_from_started
from workspaces import AS_OF, clock_at

from portfolio_rebalance.allocation import mode_names
from portfolio_rebalance.errors import NeedsOperatorError, PlanConsumedError
from portfolio_rebalance.execution.book import Book, book_after
from portfolio_rebalance.execution.faults import FAULTS, FaultScript
from portfolio_rebalance.execution.paper import PAPER, PaperVenue
from portfolio_rebalance.records import StoredStep
from portfolio_rebalance.tools.execution import execute_rebalance_trades
from portfolio_rebalance.workspace import Ledger, load_state
from portfolio_rebalance.workspace.halt import read_halt
from portfolio_rebalance.workspace.layout import BOOTSTRAP, HALT, REGISTRY

_LEDGER = "portfolio-rebalance/ledger.db"


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
        found += [
            f"{key} executed {times} times" for key, times in venue.times_executed().items() if times > 1
        ]
    status = end.execution.status
    if status in ("committed", "reverted"):
        found += end.book.differs_from(after, within={})
        found += [f"step {one.step.index} is still planned" for one in end.steps if one.state == "planned"]
    start = world_from_started(end.execution.started)
    violations = judge(
        start,
        _with_common_cash(trace_from(end.steps, run.log)),
        ending_from(status, end.steps, before=run.before, after=after, books=_world_of(end)),
        tolerances=Tolerances(
            dust=dust_from(end.execution.started),
            revert_bp=1 + _held_back(start, end) * 10_000 / start.total(),
        ),
    )
    return found + [f"{one.rule}: {one.subject} {one.detail}" for one in violations]


def _with_common_cash(trace: Sequence[Event]) -> Iterator[Event]:
    """Say of each netted asset where its cash is: proceeds go to the common cash, costs come out of it.

    The oracle lets the two parties pay each other out of their own cash.
    """
    for event in trace:
        if not isinstance(event, BookMoves):
            yield event
            continue
        moves: list[BookMove] = []
        for move in event.moves:
            moves.append(move)
            if move.asset is not None and move.price is not None:
                cash = BookMove(
                    source=move.source, target=None, asset=None, quantity=move.quantity * move.price
                )
                moves += (cash, replace(cash, source=None, target=move.target))
        yield BookMoves(moves=tuple(moves))


def _held_back(start: World, end: End) -> Fraction:
    """Money that compensation may leave missing: where a limit was broken before, costs are not bought back.

    They have lowered the total, so that the same capital would be a larger overage. What was paid counts, and
    what the orders of the last round might have cost at worst; of every round where the last was not filled.
    """
    if not any(overage > 0 for overage in overages(start).values()):
        return Fraction(0)
    back = [one for one in end.steps if one.step.phase == "revert"]
    last = max((one.step.round for one in back), default=0)
    if all(one.state == "done" for one in back if one.step.round == last):
        back = [one for one in back if one.step.round == last]
    return sum((_paid(one) for one in end.steps), sum((_at_worst(one, end) for one in back), Fraction(0)))


def _paid(stored: StoredStep) -> Fraction:
    fill, reference = stored.fill, stored.reference_price
    if fill is None or fill.average_price is None or reference is None:
        return Fraction(0)
    slipped = abs(Fraction(fill.average_price) - Fraction(reference))
    return Fraction(fill.commission) + slipped * Fraction(fill.filled)


def _at_worst(stored: StoredStep, end: End) -> Fraction:
    if stored.limit_price is None or stored.reference_price is None:
        return Fraction(0)
    (rate_bps,) = {
        Fraction(one.commission_bps)
        for one in end.execution.started.markets
        if (one.account, one.asset) == (stored.step.account, stored.step.asset)
    }
    limit, reference = Fraction(stored.limit_price), Fraction(stored.reference_price)
    return Fraction(stored.step.quantity) * (abs(limit - reference) + limit * rate_bps / 10_000)


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
    files = _files(run.root)
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
    if _files(run.root) != files:
        yield "another start changed a file"
    failed = [
        one for one in end.steps if one.step.phase == "revert" and one.state in ("refused", "cancelled")
    ]
    if end.execution.status == "needs_operator" and "price_jump" not in run.script and not failed:
        yield f"a person is called, and no compensation failed: {end.execution.reason}"


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
