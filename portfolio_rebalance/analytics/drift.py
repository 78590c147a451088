"""Drift: how far capital has moved from its target. Exact, in fractions."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from portfolio_rebalance.units import Bp

__all__ = ["portfolio_drift", "strategy_drift"]


def strategy_drift(current_bp: Bp, target_bp: Bp) -> Fraction | None:
    """``(capital - target) / target`` as a fraction; None for a target of 0, which has no drift."""
    return (current_bp - target_bp) / target_bp if target_bp else None


def portfolio_drift(current_bp: Mapping[str, Bp], target_bp: Mapping[str, Bp]) -> Fraction | None:
    """``sum |capital - target| / sum target`` as a fraction; None if all targets are 0."""
    wanted = sum(target_bp.values(), Fraction(0))
    moved = sum((abs(current_bp[key] - target) for key, target in target_bp.items()), Fraction(0))
    return moved / wanted if wanted else None
