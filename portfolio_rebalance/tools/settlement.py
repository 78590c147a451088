"""Settlement: the files that a finished execution changes, as projections for the ledger's outbox.

All are computed from what stands on disk at that moment, so that what a person edited during the batch is
kept; none is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from portfolio_rebalance.clock import Clock, format_instant
from portfolio_rebalance.execution.book import book_of
from portfolio_rebalance.execution.gate import exposure_of
from portfolio_rebalance.records import Execution, Plan
from portfolio_rebalance.tools.readable import readable
from portfolio_rebalance.tools.verification import Verified
from portfolio_rebalance.units import exact_decimal
from portfolio_rebalance.workspace import (
    Projection,
    RegistryChange,
    free_name,
    set_bootstrap_state,
    set_registry_targets,
    to_yaml,
)
from portfolio_rebalance.workspace.bootstrap import parse_bootstrap
from portfolio_rebalance.workspace.files import exists, read_text
from portfolio_rebalance.workspace.layout import BOOTSTRAP, RECORDS, REGISTRY, performance_folder

__all__ = ["Settlement", "freed_by_bots", "projections", "readable", "total_after"]

_MONEY_PLACES: Final = 8
_CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What is known when an execution has ended.

    Attributes:
        at: The instant from which the new state counts.
    """

    root: Path
    plan: Plan
    seen: Verified
    execution: Execution
    at: datetime


def projections(settled: Settlement) -> tuple[Projection, ...]:
    """Registry and BOOTSTRAP as they shall read, a snapshot of each strategy that was traded, the records.

    Raises:
        BadDataError: A file cannot be edited safely as it stands now; nothing was written.
    """
    return tuple(_files(settled))


def freed_by_bots(root: Path, *, capitals: Mapping[str, Decimal], clock: Clock) -> Projection | None:
    """BOOTSTRAP once bots hold what they were told to: what they gave up, or took, is the cash beside them.

    The total stays; the same again changes nothing, because the difference is taken from what the file says.

    Args:
        root: The workspace.
        capitals: Confirmed capital by strategy.
        clock: Of the run.

    Raises:
        BadDataError: The file cannot be edited safely as it stands, or there is not so much cash.
    """
    file = read_text(root, BOOTSTRAP)
    stated = parse_bootstrap(file, clock=clock)
    freed = {
        key: stated.deployed[key].capital - capital
        for key, capital in capitals.items()
        if key in stated.deployed
    }
    if not any(freed.values()):
        return None
    text = set_bootstrap_state(
        file.text,
        as_of=clock.as_of,
        total_capital=stated.cash + sum((one.capital for one in stated.deployed.values()), Decimal(0)),
        cash=stated.cash + sum(freed.values(), Decimal(0)),
        deployed={
            key: (one.capital - freed.get(key, Decimal(0)), one.target)
            for key, one in stated.deployed.items()
        },
    )
    return Projection(path=BOOTSTRAP, old_sha256=file.sha256, content=text.encode())


def total_after(settled: Settlement) -> Decimal:
    """Total capital after the execution."""
    return exact_decimal(exposure_of(settled.seen.book, settled.seen.prices).total, places=_MONEY_PLACES)


def _files(settled: Settlement) -> Iterator[Projection]:
    committed = settled.execution.status == "committed"
    moved = _moved(settled)
    if committed:
        yield _edited(settled.root, REGISTRY, lambda text: set_registry_targets(text, _targets(settled)))
    if committed or moved or _cash_changed(settled):
        yield _edited(settled.root, BOOTSTRAP, lambda text: _bootstrap(text, settled))
    for key in moved:
        yield _snapshot(settled, key)
    day = settled.at.date().isoformat()
    record = {"rebalance_execution": readable(settled.execution.model_dump())}
    yield _record(settled.root, f"{RECORDS}/execution-{day}", to_yaml(record))
    yield _record(settled.root, f"{RECORDS}/execution-summary-{day}", to_yaml(_summary(settled)))


def _moved(settled: Settlement) -> tuple[str, ...]:
    """Strategies whose holdings are not those of the start."""
    before, after = book_of(settled.seen.started), settled.seen.book
    return tuple(
        key
        for key in sorted(after.own_cash)
        if before.own_cash[key] != after.own_cash[key] or before.quantities[key] != after.quantities[key]
    )


def _cash_changed(settled: Settlement) -> bool:
    """A batch that was taken back wholly has cost something all the same."""
    return book_of(settled.seen.started).pool_cash != settled.seen.book.pool_cash


def _targets(settled: Settlement) -> dict[str, RegistryChange]:
    reason = f"{settled.plan.mode}: {settled.plan.decision.basis}"
    return {
        one.strategy: {
            "target_allocation_percent": Decimal(one.proposed_bp) / 100,
            "last_rebalance": {
                "at": settled.at,
                "reason": reason,
                "plan_id": settled.execution.plan_id,
            },
        }
        for one in settled.plan.strategies
        if one.proposed_bp is not None
    }


def _bootstrap(text: str, settled: Settlement) -> str:
    book, prices = settled.seen.book, settled.seen.prices
    capitals = {
        key: exact_decimal(capital, places=_MONEY_PLACES) for key, capital in book.capitals(prices).items()
    }
    cash = exact_decimal(book.pool_cash, places=_MONEY_PLACES)
    total = sum(capitals.values(), cash)
    percents = {one.strategy: one.target_percent for one in settled.plan.strategies}
    if settled.execution.status == "committed":
        percents |= {
            one.strategy: Decimal(one.proposed_bp) / 100
            for one in settled.plan.strategies
            if one.proposed_bp is not None
        }
    return set_bootstrap_state(
        text,
        as_of=settled.at,
        total_capital=total,
        cash=cash,
        deployed={
            key: (capital, (percents[key] * total / 100).quantize(_CENT)) for key, capital in capitals.items()
        },
    )


def _snapshot(settled: Settlement, key: str) -> Projection:
    """A strategy as the venue holds it now, so that the next run starts from what is so."""
    book, prices = settled.seen.book, settled.seen.prices
    account = book.accounts[key]
    content = {
        "as_of": format_instant(settled.at),
        "currency": settled.plan.currency,
        "pnl": {"1h": None, "4h": None, "1d": None},
        "market_value": exact_decimal(book.capital(key, prices), places=_MONEY_PLACES),
        "positions": [
            {
                "asset": asset,
                "quantity": exact_decimal(quantity),
                "price": exact_decimal(prices[account, asset], places=12),
                "market_value": exact_decimal(quantity * prices[account, asset], places=_MONEY_PLACES),
            }
            for asset, quantity in sorted(book.quantities[key].items())
            if quantity
        ],
    }
    name = f"snapshot-{settled.at:%Y-%m-%dT%H%M%SZ}.yaml"
    relative = f"{performance_folder(key)}/{name}"
    return Projection(path=relative, old_sha256=_sha_of(settled.root, relative), content=to_yaml(content))


def _summary(settled: Settlement) -> dict[str, object]:
    """The source's summary, with all its keys, and what a careful reader asks next."""
    execution, plan = settled.execution, settled.plan
    projected = plan.evidence.projected
    minutes = (execution.finished_at - execution.started_at).total_seconds() / 60
    exposure = exposure_of(settled.seen.book, settled.seen.prices)
    return {
        "rebalance_execution_summary": {
            "date": settled.at.date().isoformat(),
            "mode": plan.mode,
            "plan_id": execution.plan_id,
            "trades_executed": execution.executed_trades,
            "trades_successful": execution.successful_trades,
            "orders_sent": execution.orders_sent,
            "orders_filled": execution.orders_filled,
            "partial_fills": [readable(one.model_dump()) for one in execution.partial_fills],
            "total_slippage_bps": execution.total_slippage_bps,
            "total_commissions_bps": execution.total_commissions_bps,
            "total_cost_bps": execution.total_cost_bps,
            "estimated_cost": plan.estimated_cost,
            "actual_cost": execution.actual_cost,
            "execution_time_minutes": Decimal(round(minutes * 100)) / 100,
            # In-sample, as projected when the plan was made: what it comes to, monitoring tells.
            "new_portfolio_sharpe": None
            if projected is None or projected.sharpe is None
            else projected.sharpe,
            "new_correlated_exposure": execution.correlated_exposure_percent,
            "new_total_deployed": execution.total_deployed_percent,
            "total_capital": exact_decimal(exposure.total, places=_MONEY_PLACES),
            "limits": dict(execution.limits),
            "status": "SUCCESS" if execution.status == "committed" else execution.status.upper(),
            "reason": execution.reason,
        }
    }


def _edited(root: Path, relative: str, change: Callable[[str], str]) -> Projection:
    file = read_text(root, relative)
    return Projection(path=relative, old_sha256=file.sha256, content=change(file.text).encode())


def _record(root: Path, stem: str, content: bytes) -> Projection:
    relative = free_name(root, stem, same=lambda data: data == content)
    return Projection(path=relative, old_sha256=_sha_of(root, relative), content=content)


def _sha_of(root: Path, relative: str) -> str | None:
    return read_text(root, relative, max_bytes=16_000_000).sha256 if exists(root, relative) else None
