"""Approval: a person's act on one plan. Nothing here prompts; a front door brings the person.

What the person is shown is rendered from the very bytes whose digest is the plan's id, and the digest of
what was shown is kept with their word.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, Protocol

from portfolio_rebalance.clock import Clock, format_instant
from portfolio_rebalance.errors import NotApprovedError, PlanChangedError, PlanConsumedError
from portfolio_rebalance.records import Approval, Plan
from portfolio_rebalance.reporting import Block, approval_blocks, plain_text
from portfolio_rebalance.tools.bindings import PLAN_AGAIN, plan_from, require_not_expired
from portfolio_rebalance.vault import Seal
from portfolio_rebalance.workspace import Ledger, exclusive

__all__ = ["ApprovalPage", "Person", "approve", "ask", "page_of", "reject"]

_TYPED: Final = 4
"""So many first characters of the id a person types: a habit cannot answer them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalPage:
    """What a person decides on.

    Attributes:
        blocks: For a terminal.
        text: The same as plain rows; ``shown_sha256`` is its digest.
    """

    plan_id: str
    plan: Plan
    blocks: tuple[Block, ...]
    text: str

    @property
    def shown_sha256(self) -> str:
        """Digest of the text."""
        return sha256(self.text.encode()).hexdigest()

    @property
    def asked_for(self) -> str:
        """What the person types to approve: the first characters of the id."""
        return self.plan_id[:_TYPED]


class Person(Protocol):
    """Somebody at a terminal."""

    @property
    def user(self) -> str:
        """Their name, for the record."""
        ...

    def confirms(self, page: ApprovalPage) -> bool:
        """Show the page and ask for its characters; anything else, EOF included, is no."""
        ...

    def sees(self, page: ApprovalPage) -> None:
        """Show the page without asking."""
        ...

    def agrees(self, question: str, *, word: str) -> bool:
        """Ask for a word; anything else, EOF included, is no."""
        ...

    def seal(self) -> Seal:
        """Ask for the live passphrase.

        Raises:
            NotApprovedError: It is wrong, none was set, or there is no terminal to ask at.
        """
        ...


def page_of(root: Path, prefix: str, *, now: datetime) -> ApprovalPage:
    """The page of a stored plan that may still be approved.

    Raises:
        PlanNotFoundError: None or several stored plans begin with ``prefix``.
        UnusablePlanError: It is expired, consumed, rejected, tampered with or overtaken by another one.
    """
    with Ledger.open(root) as ledger:
        stored = ledger.approvals.plan(prefix)
        rejected = ledger.approvals.is_rejected(stored.plan_id)
        started = ledger.journal.get(stored.plan_id) is not None
        executed_at = ledger.last_committed_at(before=now + timedelta(seconds=1))
    if rejected or started:
        raise PlanConsumedError(
            f"Plan {stored.plan_id[:12]} was {'rejected' if rejected else 'executed before'}: "
            "a plan is used once.",
            where=stored.plan_id,
            fix=PLAN_AGAIN,
        )
    plan = plan_from(stored.content, plan_id=stored.plan_id)
    require_not_expired(plan, now=now)
    if executed_at is not None and executed_at > plan.as_of:
        raise PlanChangedError(
            f"Another plan was executed at {format_instant(executed_at)}, after this one was made at "
            f"{format_instant(plan.as_of)}: holdings and targets are others by now.",
            where=stored.plan_id,
            fix=PLAN_AGAIN,
        )
    blocks = tuple(approval_blocks(plan, stored.plan_id))
    return ApprovalPage(plan_id=stored.plan_id, plan=plan, blocks=blocks, text=plain_text(blocks))


def approve(
    root: Path,
    page: ApprovalPage,
    *,
    user: str,
    at: datetime,
    method: Literal["typed", "execute", "pre_approved"],
    seal: Seal | None,
) -> Approval:
    """Store a person's word on a page.

    Args:
        root: The workspace.
        page: What they were shown.
        user: Who.
        at: When.
        method: How they said so.
        seal: Key of the passphrase they gave, where live money is at stake.

    Raises:
        PlanConsumedError: The plan was executed or rejected meanwhile.
        WorkspaceBusyError: Another process is at work.
    """
    approval = Approval(plan_id=page.plan_id, user=user, at=at, method=method, shown_sha256=page.shown_sha256)
    if seal is not None:
        approval = approval.model_copy(update={"seal": seal.sign(approval)})
    with exclusive(root), Ledger.open(root) as ledger:
        ledger.approvals.approve(approval)
    return approval


def ask(root: Path, page: ApprovalPage, *, person: Person, clock: Clock, seal: Seal | None) -> Approval:
    """Show a page to a person, and store their word if it is yes.

    Raises:
        NotApprovedError: They declined.
    """
    if not person.confirms(page):
        raise NotApprovedError(
            f"Plan {page.plan_id[:12]} was not approved; nothing was sent.",
            where=page.plan_id,
            fix=f"To approve it, type {page.asked_for} when asked: trading-portfolio-rebalance approve "
            f"{page.plan_id[:12]}",
        )
    return approve(root, page, user=person.user, at=clock.as_of, method="typed", seal=seal)


def reject(root: Path, prefix: str, *, user: str, at: datetime, reason: str) -> str:
    """Store that a plan shall never be executed, and return its id.

    Raises:
        PlanNotFoundError: None or several stored plans begin with ``prefix``.
        PlanConsumedError: It was executed.
    """
    with exclusive(root), Ledger.open(root) as ledger:
        plan_id = ledger.approvals.plan(prefix).plan_id
        ledger.approvals.reject(plan_id, user=user, at=at, reason=reason)
    return plan_id
