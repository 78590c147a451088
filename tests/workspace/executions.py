"""Samples of what the ledger keeps of executions, small enough to read."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

from portfolio_rebalance.records.batch import (
    Approval,
    Market,
    OrderFill,
    StartedExecution,
    Step,
    StrategyBook,
    Transfer,
)
from portfolio_rebalance.workspace import Ledger, Projection, RunEntry

NOW = datetime(2025, 2, 5, 2, tzinfo=UTC)


def hours(number: float) -> datetime:
    """So many hours after the samples' plan."""
    return NOW + timedelta(hours=number)


def with_tests_on_path() -> dict[str, str]:
    """The environment of a process that imports these samples."""
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    here = str(Path(__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (*inherited, here)))}


def run_of(plan_id: str | None, *, number: int = 1, pairs: tuple[tuple[str, str], ...] = ()) -> RunEntry:
    """A run as of hour ``number``, with a plan of its own."""
    return RunEntry(
        run_id=f"run-{number}",
        as_of=hours(number),
        state="planned",
        mode="proportional",
        recommendation="REBALANCE",
        basis="drift",
        total_capital=Decimal(60_000),
        high_pairs=pairs,
        result=b"{}",
        plan=None if plan_id is None else (plan_id, hours(24), b"the plan " + plan_id.encode()),
    )


def add_plans(ledger: Ledger, *plan_ids: str) -> None:
    for number, plan_id in enumerate(plan_ids, start=1):
        ledger.add_run(run_of(plan_id, number=number))


def approval(plan_id: str, *, at: datetime = NOW, user: str = "anna") -> Approval:
    return Approval(plan_id=plan_id, user=user, at=at, method="typed", shown_sha256="0" * 64)


def started(plan_id: str) -> StartedExecution:
    """Two strategies, one of them short of a coin that it paid for with borrowed cash."""
    return StartedExecution(
        plan_id=plan_id,
        at=hours(1.5),
        broker="paper",
        currency="USD",
        baseline={
            "STR-A": StrategyBook(
                account="main", own_cash=Decimal("-1200.50"), quantities={"BTC": Decimal("0.10")}
            ),
            "STR-B": StrategyBook(account="STR-B", own_cash=Decimal(0), quantities={"ETH": Decimal(-2)}),
        },
        pool_cash=Decimal("21000.123456789012"),
        bot_capital={"STR-C": Decimal(500)},
        bot_goals={"STR-C": Decimal("750.5")},
        markets=(
            Market(
                account="main",
                asset="BTC",
                price=Decimal("60000.10"),
                lot=Decimal("0.00001"),
                min_notional=Decimal(10),
                commission_bps=Decimal("7.5"),
            ),
        ),
        clusters=(("STR-A", "STR-B"),),
        limits_bp={"total": 6000, "cluster": 3000, "individual_max": 4000, "individual_min": 100},
        targets_bp={"STR-A": 1600},
        notes=("STR-B was narrowed",),
    )


def order(index: int, *, phase: str = "forward") -> Step:
    return Step.model_validate(
        {
            "index": index,
            "client_id": f"plan-{index}",
            "phase": phase,
            "purpose": "reduce",
            "strategy": "STR-A",
            "account": "main",
            "asset": "BTC",
            "side": "SELL" if phase == "forward" else "BUY",
            "quantity": Decimal("0.05"),
        }
    )


def transfer(index: int) -> Step:
    move = Transfer(source="STR-A", target=None, asset=None, quantity=Decimal("12.50"))
    return Step(index=index, client_id=f"plan-{index}", phase="forward", purpose="reduce", transfers=(move,))


def fill(quantity: str = "0.05") -> OrderFill:
    return OrderFill(
        filled=Decimal(quantity),
        average_price=Decimal("59990.0000"),
        asset_change=-Decimal(quantity),
        cash_change=Decimal("2997.25"),
        commission=Decimal("2.25"),
        slippage_bps=Decimal("1.68"),
    )


def projection(path: str, content: bytes, *, old: bytes | None = None) -> Projection:
    return Projection(path=path, old_sha256=None if old is None else sha256(old).hexdigest(), content=content)
