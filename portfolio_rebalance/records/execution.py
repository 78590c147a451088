"""What an execution came to. Money is in the portfolio's currency, quantities in the asset's unit."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from portfolio_rebalance.records.base import FrozenMap, Instant, Money, Quantity, Record, StrategyId

__all__ = [
    "Execution",
    "ExecutionStatus",
    "Instruction",
    "OrderLine",
    "PartialFill",
    "PostAllocation",
]

ExecutionStatus = Literal["running", "reverting", "committed", "reverted", "needs_operator", "closed"]
"""``running``, ``reverting`` are unfinished; ``closed`` is a ``needs_operator`` that a person took over."""


class OrderLine(Record):
    """One order or transfer in the report for people."""

    client_id: str
    phase: str
    purpose: str
    strategy: str | None
    asset: str | None
    side: str | None
    quantity: Quantity
    state: str
    filled: Quantity
    average_price: Money | None
    commission: Money
    slippage_bps: Decimal | None
    note: str = ""


class PartialFill(Record):
    """An order that was not filled whole, in the asset's unit."""

    strategy: StrategyId
    asset: str
    intended: Quantity
    actual: Quantity


class PostAllocation(Record):
    """One strategy after the batch, in exact money at the venue's prices."""

    capital: Money
    target: Money
    alloc: Decimal
    drift: Decimal | None


class Instruction(Record):
    """What a running bot must be told by hand.

    Attributes:
        settings: The exact setting for each bot program, as text to paste.
    """

    strategy: StrategyId
    account: str | None
    old_capital: Money
    new_capital: Money
    settings: FrozenMap[str]


class Execution(Record):
    """What an execution came to.

    Attributes:
        executed_trades: Strategies whose change was started.
        successful_trades: Strategies whose change is complete and kept.
        total_slippage_bps: Notional-weighted, of all fills; None where nothing was filled.
        total_commissions_bps: Likewise.
        estimated_cost: Of the approved plan.
        actual_cost: Slippage and commissions, as money.
        limits: Each limit after the batch, in exact money: ``PASS``, ``FAIL``, ``NOT_EVALUATED``, or
            ``AWAITS_BOTS`` where it holds only once bots have done as they were told.
        limits_note: What a limit that fails by price alone, or dust below a lot, means.
    """

    schema_version: Literal[1] = 1
    plan_id: str
    status: ExecutionStatus
    broker: str
    currency: str
    mode: str
    started_at: Instant
    finished_at: Instant
    reason: str = ""
    executed_trades: int
    successful_trades: int
    orders_sent: int
    orders_filled: int
    partial_fills: tuple[PartialFill, ...]
    total_slippage_bps: Decimal | None
    total_commissions_bps: Decimal | None
    total_cost_bps: Decimal | None
    estimated_cost: Money
    actual_cost: Money
    total_capital_before: Money
    total_capital_after: Money
    post_rebalance_allocations: FrozenMap[PostAllocation]
    correlated_exposure_percent: Decimal | None
    total_deployed_percent: Decimal
    limits: FrozenMap[str]
    limits_note: tuple[str, ...] = ()
    orders: tuple[OrderLine, ...]
    instructions: tuple[Instruction, ...] = ()
    notes: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
