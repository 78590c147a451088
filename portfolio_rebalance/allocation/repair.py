"""Repair: lower a proposal until every limit holds, and say why at each step.

Contract: allocations only go down, pinned ones never move, arithmetic is exact, ids and not positions
decide ties, so that neither the order of strategies nor the scale of capital matters. What repair frees
stays cash: exposure that a limit took away is not handed to somebody else.

Order of steps, on unpinned strategies:

1. below the minimum -> 0;
2. above the maximum -> the maximum;
3. each broken cluster: ``w_i = min(w_i, max(minimum, lambda * start_i))`` with the largest lambda that fits;
4. the total, by the same rule, with the values so far as start.

Where not even the minimum for everybody fits, the smallest strategies exit to 0 first and the survivors of
that group stay at the minimum. They are not raised again to use up what an exit freed.

One basis point of input moves no output by more than an exit (and its rounding). Two details serve that: a
start below the minimum counts as the minimum, because scaling from almost nothing would let a basis point of
start decide over everything; and equal values exit by what they were before step 3, so that a cluster that
was just levelled does not lose its larger member.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from portfolio_rebalance.allocation.apportion import apportion
from portfolio_rebalance.allocation.limits import (
    Clusters,
    LimitCheck,
    LimitName,
    Limits,
    check_limits,
    funded_clusters,
)
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.units import Bp

__all__ = ["Repair", "RepairStep", "repair"]

_ZERO: Final = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairStep:
    """One strategy lowered by one limit."""

    strategy: str
    from_bp: Bp
    to_bp: Bp
    limit: LimitName
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """A repaired allocation with its trail.

    Attributes:
        allocations_bp: By id; whole basis points wherever repair lowered something.
        steps: Every change, in the order it was made.
        checks: All limits held against ``allocations_bp``.
    """

    allocations_bp: Mapping[str, Bp]
    steps: tuple[RepairStep, ...]
    checks: tuple[LimitCheck, ...]

    @property
    def compliant(self) -> bool:
        """Whether every limit holds; False only where pins leave no way."""
        return all(check.passed for check in self.checks)


def repair(
    proposal_bp: Mapping[str, Bp],
    *,
    limits: Limits,
    clusters: Clusters = (),
    start_bp: Mapping[str, Bp] | None = None,
    pinned: Collection[str] = (),
) -> Repair:
    """Lower ``proposal_bp`` until it respects ``limits``.

    Args:
        proposal_bp: Proposed basis points by id, not negative.
        limits: What must hold.
        clusters: Disjoint correlated clusters; only those of two or more carry a limit.
        start_bp: Allocation before a mode changed it; what a broken cluster is scaled from. The proposal
            itself when absent.
        pinned: Ids that may not change.

    Raises:
        UsageError: A negative allocation; ids in ``start_bp``, ``pinned`` or ``clusters`` that do not match.
    """
    start = proposal_bp if start_bp is None else start_bp
    _require_consistent(proposal_bp, start=start, pinned=pinned)
    groups = funded_clusters(clusters, among=proposal_bp)
    work = _Work(proposal=proposal_bp, start=start, pinned=frozenset(pinned))

    for key in work.free():
        if work.values[key] < limits.individual_min_bp:
            work.lower(key, _ZERO, "individual_min", "below the minimum allocation")
    for key in work.free():
        if not (work.values[key] <= limits.individual_max_bp):
            work.lower(
                key, Fraction(limits.individual_max_bp), "individual_max", "above the individual maximum"
            )
    work.before_scaling = dict(work.values)
    least = Fraction(limits.individual_min_bp)
    scale_from = {key: max(start[key], least) for key in start}
    for group in groups:
        work.fit(group, scale_from=scale_from, limit="correlated_exposure", limits=limits)
    work.fit(tuple(work.values), scale_from=dict(work.values), limit="total_deployed", limits=limits)

    checks = check_limits(work.values, clusters=groups, limits=limits)
    return Repair(allocations_bp=work.values, steps=tuple(work.steps), checks=checks)


class _Work:
    """The allocation under repair and the trail so far."""

    def __init__(
        self, *, proposal: Mapping[str, Bp], start: Mapping[str, Bp], pinned: frozenset[str]
    ) -> None:
        self.values = {key: Fraction(proposal[key]) for key in sorted(proposal)}
        self.before_scaling: Mapping[str, Bp] = self.values
        self.steps: list[RepairStep] = []
        self._start = start
        self._pinned = pinned

    def free(self, among: Iterable[str] | None = None) -> list[str]:
        """Unpinned, funded ids, in the order given."""
        keys = self.values if among is None else among
        return [key for key in keys if key not in self._pinned and self.values[key] > 0]

    def lower(self, key: str, to_bp: Bp, limit: LimitName, reason: str) -> None:
        """Record and apply one reduction."""
        self.steps.append(
            RepairStep(strategy=key, from_bp=self.values[key], to_bp=to_bp, limit=limit, reason=reason)
        )
        self.values[key] = to_bp

    def fit(
        self, group: Sequence[str], *, scale_from: Mapping[str, Bp], limit: LimitName, limits: Limits
    ) -> None:
        """Bring a group under its limit: scale from start, keep the floors, exit the smallest if need be."""
        of_cluster = limit == "correlated_exposure"
        limit_bp = limits.cluster_bp if of_cluster else limits.total_bp
        minimum_bp = limits.individual_min_bp
        if sum((self.values[key] for key in group), _ZERO) <= limit_bp:
            return
        name = "cluster " + "+".join(group) if of_cluster else "total deployed"
        budget = limit_bp - sum((self.values[key] for key in group if key in self._pinned), _ZERO)
        free = self.free(group)
        if not free:
            return  # only pins are left: nothing here can be lowered
        survivors = self._survivors(free, room=max(0, int(budget // minimum_bp)))
        if len(survivors) < len(free):
            for key in free:
                if key not in survivors:
                    self.lower(
                        key, _ZERO, limit, f"{name} has no room for everybody's minimum: the smallest exits"
                    )
                elif self.values[key] > minimum_bp:
                    self.lower(key, Fraction(minimum_bp), limit, f"{name} has room for the minimum only")
            return
        caps = {key: self.values[key] for key in free}
        scaled = _scaled(caps, start=scale_from, budget=budget, minimum_bp=minimum_bp)
        kept = {key for key in free if scaled[key] == caps[key]}
        lowered = apportion(
            {key: scaled[key] for key in free if key not in kept},
            budget_bp=budget - sum((caps[key] for key in sorted(kept)), _ZERO),
            ceilings_bp=caps,
        )
        for key, value in lowered.items():
            if value != caps[key]:
                self.lower(key, value, limit, f"{name} is above its limit: scaled from its start")

    def _survivors(self, free: Sequence[str], *, room: int) -> frozenset[str]:
        """The ``room`` largest: those who can keep the minimum when the smallest leave first."""
        largest_first = sorted(
            free,
            key=lambda key: (self.values[key], self.before_scaling[key], self._start[key], key),
            reverse=True,
        )
        return frozenset(largest_first[:room])


def _scaled(caps: Mapping[str, Bp], *, start: Mapping[str, Bp], budget: Bp, minimum_bp: int) -> dict[str, Bp]:
    """``min(cap_i, max(minimum, lambda * start_i))`` with the largest lambda whose sum fits the budget.

    The sum grows with lambda along straight lines whose kinks are where a member leaves the minimum or
    reaches its cap, so the segment that holds the budget gives lambda exactly. Callers guarantee that
    every start is positive, that the minimum of everybody fits and that the caps do not.
    """

    def at(scale: Fraction) -> dict[str, Bp]:
        return {key: min(cap, max(Fraction(minimum_bp), scale * start[key])) for key, cap in caps.items()}

    bounds = {bound / start[key] for key, cap in caps.items() for bound in (minimum_bp, cap)}
    kinks = [_ZERO, *sorted(bounds)]
    beyond = bisect_right(kinks, budget, key=lambda scale: sum(at(scale).values(), _ZERO))
    below = kinks[beyond - 1]
    inside = at((below + kinks[beyond]) / 2)
    moving = {key for key, value in inside.items() if minimum_bp < value < caps[key]}
    fixed = sum((value for key, value in inside.items() if key not in moving), _ZERO)
    return at((budget - fixed) / sum((start[key] for key in moving), _ZERO))


def _require_consistent(
    proposal_bp: Mapping[str, Bp], *, start: Mapping[str, Bp], pinned: Collection[str]
) -> None:
    for key, value in proposal_bp.items():
        if not (value >= 0):
            raise UsageError(
                f"{key} has a negative allocation ({value} bp).", where="allocations", fix="Use 0 or more."
            )
    missing = sorted(set(proposal_bp) ^ set(start))
    if missing:
        raise UsageError(
            f"Proposal and start do not name the same strategies: {', '.join(missing)}.",
            where="start",
            fix="Give every proposed strategy its start, and no other.",
        )
    unknown = sorted(set(pinned) - set(proposal_bp))
    if unknown:
        raise UsageError(
            f"Pinned but without an allocation: {', '.join(unknown)}.", where="pinned", fix="Check the ids."
        )
