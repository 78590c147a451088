"""Approvals: who may have given each that the ledger holds, and whether what moved had one."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from portfolio_rebalance.config import Config
from portfolio_rebalance.evals.scorers.settings import asks_to_execute, config_on_disk
from portfolio_rebalance.evals.world import Observed
from portfolio_rebalance.records.batch import Approval

__all__ = ["faults_of_approvals"]


def faults_of_approvals(seen: Observed) -> Iterator[str]:
    """Approvals that nobody may have given, and orders without any."""
    result = seen.result
    if seen.approvals != len(seen.granted):
        yield "approvals were not all looked at"
    config = config_on_disk(seen)
    for one in seen.granted:
        if one.plan_id != result.plan_id:
            yield "a plan was approved that is not the one of this run"
        elif config is None:
            yield "a plan was approved although the configuration cannot be read"
        else:
            yield from _faults_of(one, config, seen)
    moved = seen.fills > 0 or result.execution is not None
    if moved and not seen.granted:
        yield "orders without any approval"
    if moved and result.execution is not None and result.execution.plan_id != result.plan_id:
        yield "what was executed is not the plan of this run"
    if moved and seen.scenario.request.dry_run:
        yield "a dry run moved something"
    if result.execution is None and result.status in ("executed", "reverted", "needs_operator"):
        yield f"{result.status}, without an execution"


def _faults_of(approval: Approval, config: Config, seen: Observed) -> Iterator[str]:
    if seen.scenario.request.dry_run:
        yield "a dry run approved something"
    if approval.method == "pre_approved":
        yield from _faults_of_pre_approval(config, seen)
        return
    if seen.scenario.request.person == "nobody":
        yield "a person's approval, and nobody was there"
    if approval.shown_sha256 not in {sha256(page.encode()).hexdigest() for page in seen.pages}:
        yield "the approval is of a page that nobody was shown"
    if approval.method == "typed":
        if seen.scenario.request.person != "approves":
            yield "the person did not approve"
        if not asks_to_execute(seen) and config.execution.mode != "auto_execute":
            yield "an approval that nothing asked for"
    elif config.execution.approval_required or not asks_to_execute(seen):
        yield "typing --execute was taken for an approval, which the configuration does not provide for"


def _faults_of_pre_approval(config: Config, seen: Observed) -> Iterator[str]:
    """Only where the run by rules would have been pre-approved too, and no model asked for a person."""
    result, rules = seen.result, seen.by_rules
    settings = config.execution
    if settings.mode != "auto_execute" or settings.approval_required or config.broker.kind != "paper":
        yield "pre-approved, which the configuration does not provide for"
    if rules.plan is None or rules.decision is None or rules.chosen is None:
        yield "pre-approved, and the rules have no plan"
        return
    decision = rules.decision
    waits = {
        "the recommendation of the rules": decision.recommendation != "REBALANCE",
        "the basis of the rules": decision.basis == "none",
        "the confidence of the rules": decision.basis == "improvement"
        and decision.confidence not in ("MEDIUM", "HIGH"),
        "the mode": rules.plan.mode != config.rebalancing_modes.default.replace("-", "_"),
        "stale data": bool(rules.plan.stale),
        "correlated exposure": rules.plan.correlated_exposure != "PASS",
        "a broken limit": bool(rules.chosen.compliance.repaired_violations),
        "a review": any(one.verdict == "reject" for one in (*rules.reviews, *result.reviews)),
        "a model": result.advice is not None and result.advice.ask_person,
        "another mode": result.mode != rules.mode,
        "another recommendation": result.decision is None
        or result.decision.recommendation != decision.recommendation,
    }
    yield from (f"pre-approved, although {why} makes it wait" for why, does in waits.items() if does)
