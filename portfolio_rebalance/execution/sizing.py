"""Sizing: from approved basis points to the capital each strategy shall have, at current prices.

The total that shares are taken of is the worst one: after the cost of every order at its limit price. Then
the final holdings meet the limits in exact money, whatever the fills turn out to be. Prices have moved since
the plan was approved: each change keeps its sign and stays within 5 % of the approved notional (and what
costs take from that strategy's share), and the limits are judged afresh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from portfolio_rebalance.errors import PlanChangedError
from portfolio_rebalance.execution.gate import Exposure

__all__ = ["Ceiling", "Fit", "Wanted", "fitting", "least_approved", "require_approved", "scaled_to_fit"]

_BP: Final = 10_000
_BAND: Final = Fraction(5, 100)
_ZERO: Final = Fraction(0)


Ceiling = tuple[tuple[str, ...], Fraction]
"""Strategies, and the most that they may come to together, in basis points of total capital."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What came of fitting: capital by strategy, and the ceilings that even the least does not meet."""

    capital: Mapping[str, Fraction]
    unmet: tuple[Ceiling, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One strategy's approved change.

    Attributes:
        target_bp: Of total capital.
        approved: The change of its capital that was approved, signed money.
    """

    strategy: str
    target_bp: Fraction
    approved: Fraction


def fitting(
    wanted: Mapping[str, Fraction],
    *,
    now: Exposure,
    worst_total: Fraction,
    ceilings: Sequence[Ceiling],
    minimum_bp: int,
    least: Mapping[str, Fraction] | None = None,
) -> Fit:
    """Capital for each strategy that changes, lowered until every ceiling holds.

    Args:
        wanted: By strategy, basis points of total capital.
        now: Current capital and total.
        worst_total: Total capital after the worst cost.
        ceilings: From the inside out: what a later one lowers, an earlier one need not look at again.
        minimum_bp: What is not zero is at least this, of the total before any cost.
        least: Capital by strategy that it is not lowered below: the end of what was approved.
    """
    floors = {
        key: max(Fraction(minimum_bp) * now.total / _BP, (least or {}).get(key, _ZERO)) if bp > 0 else _ZERO
        for key, bp in wanted.items()
    }
    capital = {key: max(floors[key], bp * worst_total / _BP) for key, bp in wanted.items()}
    unmet: list[Ceiling] = []
    for ceiling in ceilings:
        members, ceiling_bp = ceiling
        fixed = sum((now.capital[key] for key in members if key not in wanted), _ZERO)
        movable = {key: capital[key] for key in sorted(members) if key in wanted}
        room = ceiling_bp * worst_total / _BP - fixed
        if not (sum(movable.values(), _ZERO) <= room):
            scaled = scaled_to_fit(movable, room=room, floors=floors)
            capital.update({key: floors[key] for key in movable} if scaled is None else scaled)
            if scaled is None:
                unmet.append(ceiling)
    return Fit(capital=capital, unmet=tuple(unmet))


def scaled_to_fit(
    values: Mapping[str, Fraction], *, room: Fraction, floors: Mapping[str, Fraction]
) -> dict[str, Fraction] | None:
    """``max(floor, lambda * value)`` with the largest lambda whose sum fits; None where the floors do not."""
    at_floor: set[str] = set()
    while True:
        free = {key: value for key, value in values.items() if key not in at_floor and value > 0}
        left = room - sum((floors[key] for key in at_floor), _ZERO)
        if left < 0:
            return None
        total = sum(free.values(), _ZERO)
        factor = min(Fraction(1), left / total) if total else Fraction(1)
        below = {key for key, value in free.items() if value * factor < floors[key]}
        if not below:
            return {key: floors[key] if key in at_floor else value * factor for key, value in values.items()}
        at_floor |= below


def least_approved(wanted: Wanted, *, now: Fraction, cost_share: Fraction) -> Fraction:
    """The smallest capital that lies within what was approved; see :func:`require_approved`."""
    share = 1 + _BAND if wanted.approved < 0 else 1 - _BAND
    return max(_ZERO, now + wanted.approved * share - cost_share)


def require_approved(
    wanted: Wanted, *, now: Fraction, goal: Fraction, cost_share: Fraction
) -> tuple[Fraction, str]:
    """The goal, within what was approved; and a note where it was narrowed.

    Args:
        wanted: What was approved.
        now: The strategy's current capital.
        goal: The capital that its target comes to.
        cost_share: What the worst cost takes from its share: room beside the 5 %.

    Returns:
        The goal, brought into the band where it was outside; the limits are judged on what comes out.

    Raises:
        PlanChangedError: The change would have the other sign.
    """
    change = goal - now
    if goal == 0 and wanted.target_bp == 0:
        return goal, ""  # an exit sells what there is
    if not (change * wanted.approved > 0):
        raise PlanChangedError(
            f"{wanted.strategy} was to change by {float(wanted.approved):.2f}, at current prices by "
            f"{float(change):.2f}: no longer the same direction.",
            where=wanted.strategy,
            fix="Plan again: trading-portfolio-rebalance --dry-run",
        )
    least = abs(wanted.approved) * (1 - _BAND) - cost_share
    most = abs(wanted.approved) * (1 + _BAND) + cost_share
    sign = 1 if change > 0 else -1
    within = sign * min(max(abs(change), least), most)
    if within == change:
        return goal, ""
    return now + within, (
        f"{wanted.strategy}: sized at {float(within):.2f} instead of {float(change):.2f}, to stay within 5 % "
        f"of the approved {float(wanted.approved):.2f}"
    )
