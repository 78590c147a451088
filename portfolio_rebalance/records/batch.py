"""What a batch is made of: orders, book transfers, and all that it was started from.

Not imported by a dry run, which needs none of it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from portfolio_rebalance.records.base import FrozenMap, Instant, Money, Quantity, Record, StrategyId
from portfolio_rebalance.records.execution import ExecutionStatus

__all__ = [
    "Approval",
    "Market",
    "OpenExecution",
    "OrderFill",
    "RebalanceOrders",
    "RebalanceTrade",
    "Side",
    "StartedExecution",
    "Step",
    "StepState",
    "StoredStep",
    "StrategyBook",
    "Transfer",
]

Side = Literal["BUY", "SELL"]
StepState = Literal["planned", "sent", "unknown", "done", "refused", "cancelled"]
"""``sent`` is durable before the venue hears of it; ``done``, ``refused``, ``cancelled`` are final."""


class RebalanceTrade(Record):
    """One strategy's change, as a person reads it."""

    strategy: StrategyId
    action: Literal["BUY", "SELL", "HOLD"]
    percent_of_portfolio: Decimal
    reason: str


class RebalanceOrders(Record):
    """The trades of one approved plan: what ``execute_rebalance_trades`` takes."""

    plan_id: str
    rebalancing_trades: tuple[RebalanceTrade, ...] = ()


class Approval(Record):
    """A person's word on one plan.

    Attributes:
        method: ``typed`` (a person typed the id's first characters), ``execute`` (``--execute`` on a
            terminal is itself the approval) or ``pre_approved`` (the user's standing configuration).
        shown_sha256: Digest of the very text that the person was shown.
        seal: HMAC over plan, user, time and text under the passphrase's key; empty where no passphrase is
            asked for (paper).
    """

    plan_id: str
    user: str
    at: Instant
    method: Literal["typed", "execute", "pre_approved"]
    shown_sha256: str
    seal: str = ""


class StrategyBook(Record):
    """What one strategy holds: quantities by asset, and its own cash (may be negative: borrowed)."""

    account: str
    own_cash: Money
    quantities: FrozenMap[Quantity]


class Market(Record):
    """One instrument as quoted when the batch was sized.

    Attributes:
        lot: Quantities are multiples of it; above 0.
        min_notional: Smallest value of one order.
        commission_bps: What the venue charges a taker.
    """

    account: str
    asset: str
    price: Money
    lot: Quantity
    min_notional: Money
    commission_bps: Decimal


class Transfer(Record):
    """A move in our own books that no venue sees, inside one account.

    Attributes:
        source: Strategy that gives; None for the common cash.
        target: Strategy that takes; None for the common cash.
        asset: None for cash.
        quantity: Above 0; money where it is cash.
        price: What an asset is counted at. Its cash side is the common cash, as that of an order is: who
            gives is paid into it and who takes pays out of it, so that none moves.
    """

    source: StrategyId | None
    target: StrategyId | None
    asset: str | None
    quantity: Quantity
    price: Money | None = None


class Step(Record):
    """One step of a batch: one order to the venue, or one atomic set of book transfers.

    Attributes:
        index: Place in the batch, from 0; compensation goes on counting.
        client_id: Derived from plan id and index; the venue's handle on the order.
        phase: ``forward``, or ``revert`` for compensation.
        round: 0 forward; 1 for the way back, 2 for what it left out.
        purpose: Whether the strategy's allocation falls, rises, or two strategies are netted.
        strategy: Whose order it is; None for transfers.
        quantity: Above 0.
        seal: Where live money is at stake: HMAC under the passphrase's key, so that no order is sent that
            was only written into the ledger.
    """

    index: int
    client_id: str
    phase: Literal["forward", "revert"]
    round: int = 0
    purpose: Literal["reduce", "net", "increase"]
    strategy: StrategyId | None = None
    account: str | None = None
    asset: str | None = None
    side: Side | None = None
    quantity: Quantity = Decimal(0)
    transfers: tuple[Transfer, ...] = ()
    seal: str = ""

    @property
    def is_order(self) -> bool:
        """Whether the venue sees it."""
        return self.side is not None


class OrderFill(Record):
    """What came of one order.

    Attributes:
        filled: Executed quantity, before fees.
        average_price: None where nothing was filled.
        asset_change: What the account holds more (or less), after fees taken in the asset.
        cash_change: What its cash holds more (or less), after fees taken in cash.
        commission: All fees, as money.
        slippage_bps: Against the reference price, positive when worse; None where nothing was filled.
    """

    filled: Quantity
    average_price: Money | None
    asset_change: Quantity
    cash_change: Money
    commission: Money
    slippage_bps: Decimal | None = None


class StoredStep(Record):
    """A step and where it stands.

    Attributes:
        reference_price: Quoted when it was sent.
        limit_price: The worst price that was allowed.
        fill: What came of it, once known; also of a cancelled order that was filled in part.
        note: Why it was refused, or what is unknown.
    """

    step: Step
    state: StepState
    reference_price: Money | None = None
    limit_price: Money | None = None
    fill: OrderFill | None = None
    note: str = ""


class StartedExecution(Record):
    """All that a batch was started from: what it is finished, reverted and verified against.

    Attributes:
        baseline: Holdings by strategy before the first step.
        pool_cash: Cash that no strategy holds.
        bot_capital: Capital of strategies whose bots trade for themselves: they get no orders.
        bot_goals: Capital that those of them shall have that change; told by hand after the batch.
        markets: Prices and rules that the batch was sized with.
        clusters: Correlated clusters of two or more that carry a limit.
        limits_bp: ``total``, ``cluster``, ``individual_max``, ``individual_min``, re-read from disk.
        targets_bp: Approved whole basis points of the strategies that change.
        slippage_tolerance_bps: From the configuration as it stood; what is edited later does not count.
        one_by_one: Likewise: whether the venue is looked at between strategies.
        notes: What was narrowed when the batch was sized again at current prices.
        seal: As of a step, over all of this.
    """

    plan_id: str
    at: Instant
    broker: str
    currency: str
    baseline: FrozenMap[StrategyBook]
    pool_cash: Money
    bot_capital: FrozenMap[Money]
    bot_goals: FrozenMap[Money]
    markets: tuple[Market, ...]
    clusters: tuple[tuple[StrategyId, ...], ...]
    limits_bp: FrozenMap[int]
    targets_bp: FrozenMap[int]
    slippage_tolerance_bps: int = 50
    one_by_one: bool = False
    notes: tuple[str, ...] = ()
    seal: str = ""


class OpenExecution(Record):
    """An execution as the ledger holds it, finished or not.

    Attributes:
        reason: Why it is being reverted, was reverted, or needs an operator; empty otherwise.
    """

    started: StartedExecution
    status: ExecutionStatus
    reason: str = ""
