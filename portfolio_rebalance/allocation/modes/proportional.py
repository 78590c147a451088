"""Proportional: scale everything that may move by one factor until the total fits.

``w_i = start_i * min(1, (limit - pinned) / unpinned)``.
"""

from __future__ import annotations

from fractions import Fraction

from portfolio_rebalance.allocation.mode import Draft, Mode, Situation

__all__ = ["MODE"]


def _propose(situation: Situation) -> Draft:
    movable = situation.movable
    unpinned = situation.total_bp(movable)
    room = situation.limits.total_bp - situation.total_bp(situation.fixed)
    if not movable or unpinned <= room:
        return Draft(wishes_bp={}, reasons={})
    factor = max(Fraction(0), room / unpinned)
    return Draft(
        wishes_bp={key: situation.start_bp[key] * factor for key in movable},
        reasons=dict.fromkeys(movable, f"scale all by {float(factor):.5f} to meet the total limit"),
    )


MODE = Mode(
    name="proportional",
    summary="Scale every strategy by one factor until the total fits.",
    propose=_propose,
)
