"""Correlation-aware: in each cluster above its limit, the largest member gives first.

It gives up the excess, but not below ``max_single_cut_to_next`` of the next largest member, and at most
twice its lead over it: with a lead of nothing it gives nothing, so that two nearly equal members do not
swap roles when one of them moves by a basis point. What is left over is for repair, which scales all
members from their start.
"""

from __future__ import annotations

from fractions import Fraction

from portfolio_rebalance.allocation.mode import Draft, Mode, Situation
from portfolio_rebalance.units import Bp

__all__ = ["MODE"]


def _propose(situation: Situation) -> Draft:
    wishes: dict[str, Bp] = {}
    reasons: dict[str, str] = {}
    movable = situation.movable
    for group in situation.clusters:
        excess = situation.total_bp(group) - situation.limits.cluster_bp
        members = sorted(
            (key for key in group if key in movable), key=lambda key: (-situation.start_bp[key], key)
        )
        if excess <= 0 or not members:
            continue
        largest = situation.start_bp[members[0]]
        following = situation.start_bp[members[1]] if len(members) > 1 else Fraction(0)
        floor = situation.settings.max_single_cut_to_next * following
        cut = min(excess, largest - floor, 2 * (largest - following))
        if cut > 0:
            wishes[members[0]] = largest - cut
            reasons[members[0]] = f"largest member of cluster {'+'.join(group)} that may change"
    return Draft(wishes_bp=wishes, reasons=reasons)


MODE = Mode(
    name="correlation_aware",
    summary="Reduce the largest member of each correlated cluster above its limit.",
    propose=_propose,
)
