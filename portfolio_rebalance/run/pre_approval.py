"""Pre-approval: what the user's standing configuration covers. Whatever it does not, waits for a person."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from portfolio_rebalance.allocation import find_mode
from portfolio_rebalance.config import Config
from portfolio_rebalance.execution.venues import is_live
from portfolio_rebalance.records import RebalanceResult
from portfolio_rebalance.workspace import Ledger

__all__ = ["has_rested", "why_not_pre_approved"]

_ENOUGH = ("MEDIUM", "HIGH")


def has_rested(root: Path, *, config: Config, now: datetime) -> bool:
    """Whether ``cooldown_hours`` have passed since the last rebalance."""
    with Ledger.read(root) as ledger:
        last = None if ledger is None else ledger.last_committed_at(before=now)
    return last is None or now - last >= timedelta(hours=config.cooldown_hours)


def why_not_pre_approved(result: RebalanceResult, *, config: Config, rested: bool) -> str:
    """Why a plan waits for a person although the configuration pre-approves; empty where it does not.

    Args:
        result: A run that came to a plan.
        config: As it stands on disk now.
        rested: Whether ``cooldown_hours`` have passed since the last rebalance.
    """
    plan, decision = result.plan, result.decision
    assert plan is not None and decision is not None  # noqa: PT018
    default = find_mode(config.rebalancing_modes.default).name
    chosen = result.chosen
    assert chosen is not None
    reasons = (
        (is_live(config), "live money always waits for a person"),
        (decision.recommendation != "REBALANCE", f"the recommendation is {decision.recommendation}"),
        (plan.mode != default, f"the mode is {plan.mode}, not the configured {default}"),
        (result.advice is not None and result.advice.ask_person, "a model asks for a person"),
        (any(review.verdict == "reject" for review in plan.reviews), "a review rejects it"),
        (bool(plan.stale), "the data is stale"),
        (plan.correlated_exposure != "PASS", f"correlated exposure is {plan.correlated_exposure}"),
        (bool(chosen.compliance.repaired_violations), "a limit is not met"),
        (
            decision.basis == "improvement" and decision.confidence not in _ENOUGH,
            f"the confidence is {decision.confidence}",
        ),
        (decision.basis == "none", "nothing demands it"),
        (
            decision.basis != "compliance" and not rested,
            f"fewer than {config.cooldown_hours} hours since the last rebalance",
        ),
    )
    return next((why for applies, why in reasons if applies), "")
