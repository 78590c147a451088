"""Risk-adjusted: inverse-volatility weights of the deployed total.

``w_i = min(cap_i, theta / volatility_i)`` with the theta that spends the budget; what one cap cuts is
thereby offered to the uncapped in proportion, and what nobody can take stays cash. Volatility is measured
over non-flat days, because idle days hide risk; a strategy without one keeps its allocation, outside the
budget. A strategy whose probabilistic Sharpe ratio is too low is capped at its start: naive inverse
volatility would hand the most to whoever loses money quietly.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from portfolio_rebalance.allocation.mode import Draft, Mode, Situation
from portfolio_rebalance.units import Bp

__all__ = ["MODE"]


def _propose(situation: Situation) -> Draft:
    inverse = {
        key: 1 / Fraction(volatility)
        for key in situation.movable
        if (volatility := situation.volatilities.get(key)) is not None and volatility > 0
    }
    if not inverse:
        return Draft(wishes_bp={}, reasons={})
    outside = situation.total_bp(key for key in situation.start_bp if key not in inverse)
    deployed = min(situation.total_bp(situation.start_bp), Fraction(situation.limits.total_bp))
    budget = max(Fraction(0), deployed - outside)
    highest = Fraction(situation.limits.individual_max_bp)
    caps = {
        key: min(highest, situation.start_bp[key]) if _too_weak(situation, key) else highest
        for key in inverse
    }
    wishes = _fill(inverse, caps=caps, budget=budget)
    reasons = {
        key: "not raised: its record is too weak"
        if wish == caps[key] < highest
        else "inverse-volatility weight"
        for key, wish in wishes.items()
    }
    return Draft(wishes_bp=wishes, reasons=reasons)


def _too_weak(situation: Situation, key: str) -> bool:
    probability = situation.psr.get(key)
    return probability is not None and probability < situation.settings.min_psr_to_raise


def _fill(weights: Mapping[str, Fraction], *, caps: Mapping[str, Bp], budget: Bp) -> dict[str, Bp]:
    """Spend the budget in proportion to the weights under caps (water-filling, exact)."""
    filled: dict[str, Bp] = {}
    for key in sorted(
        weights, key=lambda key: (caps[key] / weights[key], key)
    ):  # first to reach its cap first
        open_weight = sum((weights[other] for other in weights if other not in filled), Fraction(0))
        left = budget - sum(filled.values(), Fraction(0))
        filled[key] = min(caps[key], left * weights[key] / open_weight)
    return filled


MODE = Mode(
    name="risk_adjusted",
    summary="Inverse-volatility weights of the deployed total.",
    propose=_propose,
)
