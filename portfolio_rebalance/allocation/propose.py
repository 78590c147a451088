"""From a mode's exact wish to a proposal in whole basis points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from portfolio_rebalance.allocation.apportion import apportion
from portfolio_rebalance.allocation.mode import Mode, Situation
from portfolio_rebalance.units import Bp

__all__ = ["Proposed", "choose_start", "propose"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """An unrepaired proposal.

    Attributes:
        allocations_bp: Every strategy; whole basis points, or exactly what is held now where nothing changes.
        reasons: Why, for every strategy that changes or that the mode decided to leave.
    """

    allocations_bp: Mapping[str, Bp]
    reasons: Mapping[str, str]


def choose_start(
    *,
    current_bp: Mapping[str, Bp],
    target_bp: Mapping[str, Bp],
    fixed: frozenset[str],
    drift_threshold: Fraction,
    minimum_bp: int,
) -> dict[str, Bp]:
    """Where each strategy starts: its current allocation, or its target if it drifted too far.

    A target of 0 (winding down) starts from 0. A holding below the minimum with a target of at least the
    minimum starts from its target. What is fixed starts where it stands.

    Args:
        current_bp: Held now.
        target_bp: Wanted, by the registry; ids without a target start from what they hold.
        fixed: Pinned or held ids.
        drift_threshold: Relative drift (1/20 = 5 %) beyond which the target is the start.
        minimum_bp: The minimum allocation.
    """
    start: dict[str, Bp] = {}
    for key, current in current_bp.items():
        target = target_bp.get(key)
        start[key] = current
        if target is None or key in fixed:
            continue
        drifted = abs(current - target) > drift_threshold * target
        if drifted or (target >= minimum_bp and current < minimum_bp):
            start[key] = target
    return start


def propose(mode: Mode, situation: Situation, *, current_bp: Mapping[str, Bp]) -> Proposed:
    """Ask a mode and round its wish: largest remainder, within the total that the mode itself chose.

    A strategy left exactly where it is held keeps its exact allocation, so that it gets no order.
    """
    draft = mode.propose(situation)
    exact = {key: Fraction(draft.wishes_bp.get(key, start)) for key, start in situation.start_bp.items()}
    changed = {key: value for key, value in exact.items() if value != current_bp[key]}
    whole = apportion(changed, budget_bp=sum(changed.values(), Fraction(0)), ceilings_bp={})
    allocations = {key: whole.get(key, value) for key, value in exact.items()}
    moved = [key for key in changed if allocations[key] != current_bp[key]]
    drifted = dict.fromkeys(moved, "drifted too far: starts from its target")
    return Proposed(allocations_bp=allocations, reasons=drifted | dict(draft.reasons))
