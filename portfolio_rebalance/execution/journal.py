"""What the executor needs of durable storage. The ledger implements it; every call is one transaction.

A call that returns has reached the disk: what is marked ``sent`` here is known after a power cut, whatever
became of the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from portfolio_rebalance.records import (
    OpenExecution,
    OrderFill,
    StartedExecution,
    Step,
    StepState,
    StoredStep,
)

__all__ = ["Journal"]


class Journal(Protocol):
    """Executions and their steps."""

    def start(self, started: StartedExecution, steps: Sequence[Step]) -> None:
        """Consume the plan and store its steps as planned, in one transaction.

        Raises:
            PlanConsumedError: The plan was started before, or was rejected.
            NeedsOperatorError: Another execution is unfinished.
        """
        ...

    def unfinished(self) -> OpenExecution | None:
        """The one execution that is ``running``, ``reverting`` or ``needs_operator``."""
        ...

    def steps(self, plan_id: str) -> tuple[StoredStep, ...]:
        """Every step of an execution, by index."""
        ...

    def mark_sent(self, plan_id: str, index: int, *, reference_price: Decimal, limit_price: Decimal) -> None:
        """Before the venue hears of it: the order is about to be sent."""
        ...

    def settle(
        self, plan_id: str, index: int, *, state: StepState, fill: OrderFill | None = None, note: str = ""
    ) -> None:
        """What became of a step. A step that is done, refused or cancelled never changes again.

        Raises:
            LedgerError: The step is final already, and this says otherwise.
        """
        ...

    def revert(self, plan_id: str, *, reason: str, steps: Sequence[Step]) -> None:
        """Turn to compensation: status ``reverting``, and its steps as planned."""
        ...

    def need_operator(self, plan_id: str, *, reason: str) -> None:
        """Give up: status ``needs_operator``."""
        ...
