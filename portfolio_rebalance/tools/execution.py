"""``execute_rebalance_trades``: one approved plan, executed completely or taken back.

It takes a plan's id and nothing that could raise a limit, force a mode or stand in for an approval. What an
earlier start left unfinished is finished or reverted first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from portfolio_rebalance.clock import Clock
from portfolio_rebalance.errors import PlanTamperedError
from portfolio_rebalance.execution.broker import Broker
from portfolio_rebalance.execution.executor import Pace
from portfolio_rebalance.records import Execution, RebalanceOrders, RebalanceTrade
from portfolio_rebalance.tools.bindings import PLAN_AGAIN, orders_from
from portfolio_rebalance.tools.desk import Desk, open_desk
from portfolio_rebalance.tools.finishing import finish, finish_unfinished, sealing_of
from portfolio_rebalance.tools.preparation import prepare
from portfolio_rebalance.vault import Seal
from portfolio_rebalance.workspace import workspace_at

__all__ = ["execute_at", "execute_rebalance_trades"]


def execute_rebalance_trades(
    orders: RebalanceOrders | str,
    *,
    workspace: str | Path,
    broker: Broker | None = None,
    as_of: datetime | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = time.sleep,
    seal: Seal | None = None,
    progress: Callable[[str], None] = lambda _what: None,
) -> Execution:
    """Execute an approved plan.

    Args:
        orders: The plan's id, or its trades as :func:`.bindings.orders_from` gives them.
        workspace: A ``.crypto`` folder, or the folder that holds one.
        broker: A venue that is open already; the configured one where None.
        as_of: Fixes the clock; refused with a live venue.
        now: The machine's time.
        sleep: Waits between questions to the venue.
        seal: Key of the live passphrase (:func:`portfolio_rebalance.vault.unlock`).
        progress: Told what is being done.

    Returns:
        What came of it; ``status`` is ``committed``, ``reverted`` or ``needs_operator``.

    Raises:
        PlanNotFoundError: No stored plan has this id.
        NotApprovedError: Nobody approved it.
        UnusablePlanError: It is expired, consumed, tampered with, or something it binds has changed.
        HaltedError: HALT stands; what was begun is gone on with after ``resume``.
        NeedsOperatorError: An earlier execution waits for a person.
        WorkspaceBusyError: Another process is at work.
        BrokerError: The venue cannot be used; nothing was sent.
    """
    instant = now()
    clock = Clock.live(instant) if as_of is None else Clock.at(as_of, now=instant)
    with open_desk(
        workspace_at(Path(workspace)),
        clock=clock,
        now=now,
        pace=Pace(sleep=sleep),
        broker=broker,
        seal=seal,
        progress=progress,
    ) as desk:
        return execute_at(desk, orders)


def execute_at(desk: Desk, orders: RebalanceOrders | str) -> Execution:
    """:func:`execute_rebalance_trades` at a desk that is open."""
    plan_id = orders if isinstance(orders, str) else orders.plan_id
    earlier = finish_unfinished(desk)
    if earlier is not None and earlier.plan_id == plan_id:
        return earlier
    prepared = prepare(desk, plan_id)
    if not isinstance(orders, str) and orders.rebalancing_trades:
        _require_same(orders.rebalancing_trades, orders_from(prepared.plan, plan_id).rebalancing_trades)
    sealing, started = sealing_of(desk), prepared.started
    if desk.venue.broker.live and desk.seal is not None:
        started = started.model_copy(update={"seal": desk.seal.sign(started)})
    desk.ledger.journal.start(started, [sealing.signed(step) for step in prepared.batch.steps])
    left = desk.ledger.journal.unfinished()
    assert left is not None
    return finish(desk, left)


def _require_same(given: tuple[RebalanceTrade, ...], planned: tuple[RebalanceTrade, ...]) -> None:
    """Trades that are passed along must be the plan's own: what is executed is what was approved."""
    if given != planned:
        raise PlanTamperedError(
            "The trades are not those of the plan.",
            where="rebalancing_trades",
            fix=f"Leave them out, or: {PLAN_AGAIN}",
        )
