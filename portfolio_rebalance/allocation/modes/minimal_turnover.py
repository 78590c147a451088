"""Minimal turnover: the compliant allocation nearest to the start, in Euclidean distance; never raises.

Without the rule "zero or at least the minimum" this is a projection onto a convex set, whose optimality
conditions lower every member of a group by the same amount down to its floor (Boyd & Vandenberghe 2004,
section 8.1): one shift for each broken cluster, one more for the total, both solved exactly along
their kinks. The rule makes it combinatorial, but within a group that shares a shift the larger of two
strategies never leaves before the smaller, so only the number of exits in each group is open: the search
branches on that, deepest first, and drops every branch whose bound is no better than the best found.
At most three clusters can be above 30 % at once, which keeps the tree small; ``_MOST_NODES`` bounds it
for configured limits that are much lower, where the best allocation found is returned.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Final

from portfolio_rebalance.allocation.apportion import apportion
from portfolio_rebalance.allocation.mode import Draft, Mode, Situation
from portfolio_rebalance.units import Bp

__all__ = ["MODE", "nearest_compliant"]

_ZERO: Final = Fraction(0)
_MOST_NODES: Final = 2_000


@dataclass(frozen=True, slots=True)
class _Group:
    """Strategies that one budget binds together, largest first."""

    members: tuple[str, ...]
    budget: Bp | None


def _propose(situation: Situation) -> Draft:
    exact = nearest_compliant(situation)
    wishes = _whole(exact, situation=situation)
    return Draft(
        wishes_bp=wishes, reasons=dict.fromkeys(wishes, "nearest allocation that respects every limit")
    )


def nearest_compliant(situation: Situation) -> dict[str, Bp]:
    """The exact nearest compliant allocation; where pins alone fill a group, everybody else in it leaves."""
    limits = situation.limits
    groups = _groups(situation)
    total = max(_ZERO, limits.total_bp - situation.total_bp(situation.fixed))
    members = [key for group in groups for key in group.members]
    caps = {key: min(situation.start_bp[key], Fraction(limits.individual_max_bp)) for key in members}
    nearest = _search(
        situation.start_bp, caps=caps, groups=groups, total=total, minimum=limits.individual_min_bp
    )
    exits = {key: _ZERO for key in situation.movable if key not in nearest}
    return dict(situation.start_bp) | nearest | exits


def _groups(situation: Situation) -> list[_Group]:
    """Each cluster that its budget binds, and everybody else as one group; below the minimum has left."""
    minimum = situation.limits.individual_min_bp
    rest = {key for key in situation.movable if situation.start_bp[key] >= minimum}
    groups = []

    def ordered(keys: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(keys, key=lambda key: (-situation.start_bp[key], key)))

    for cluster in situation.clusters:
        held = situation.total_bp(key for key in cluster if key in situation.fixed)
        budget = max(_ZERO, situation.limits.cluster_bp - held)
        members = [key for key in cluster if key in rest]
        if situation.total_bp(members) > budget:
            groups.append(_Group(members=ordered(members), budget=budget))
            rest.difference_update(members)
    return [*groups, _Group(members=ordered(rest), budget=None)]


def _search(
    start: Mapping[str, Bp], *, caps: Mapping[str, Bp], groups: Sequence[_Group], total: Bp, minimum: int
) -> dict[str, Bp]:
    """Branch on the number of survivors a group keeps at or above the minimum."""
    best: tuple[Bp, dict[str, Bp]] | None = None
    nodes = 0

    def distance(values: Mapping[str, Bp]) -> Bp:
        return sum(((start[key] - values[key]) ** 2 for key in caps), _ZERO)

    # A node is, for each group, (at least this many stay, at most this many stay).
    stack = [tuple((0, len(group.members)) for group in groups)]
    while stack and nodes < _MOST_NODES:
        bounds = stack.pop()
        nodes += 1
        floors: dict[str, Bp] = {}
        for group, (least, most) in zip(groups, bounds, strict=True):
            floors |= dict.fromkeys(group.members[:least], Fraction(minimum))
            floors |= dict.fromkeys(group.members[least:most], _ZERO)
        values = _project(start, floors=floors, caps=caps, groups=groups, total=total)
        if values is None:
            continue
        if best is not None and distance(values) >= best[0]:
            continue
        for index, group in enumerate(groups):
            stuck = [place for place, key in enumerate(group.members) if 0 < values[key] < minimum]
            if stuck:
                least, most = bounds[index]
                leaves = (*bounds[:index], (least, stuck[-1]), *bounds[index + 1 :])
                stays = (*bounds[:index], (stuck[-1] + 1, most), *bounds[index + 1 :])
                stack += [leaves, stays]  # the last in is tried first: keep before exit
                break
        else:
            best = (distance(values), values)
    return best[1] if best is not None else dict.fromkeys(caps, _ZERO)


def _project(
    start: Mapping[str, Bp],
    *,
    floors: Mapping[str, Bp],
    caps: Mapping[str, Bp],
    groups: Sequence[_Group],
    total: Bp,
) -> dict[str, Bp] | None:
    """Nearest point between floors and caps under each group's budget and the total; None if there is none.

    Ids without a floor have left and are 0.
    """
    bounds = {start[key] - bound[key] for key in floors for bound in (floors, caps)}

    def at(shift_of: Mapping[str, Bp]) -> dict[str, Bp]:
        return {
            key: max(floors[key], min(caps[key], start[key] - shift)) if key in floors else _ZERO
            for key, shift in shift_of.items()
        }

    own: dict[str, Bp] = {}
    for group in groups:
        alone: Bp | None = _ZERO
        if group.budget is not None:
            members = group.members
            alone = _smallest_shift(partial(_same_shift, at, members), budget=group.budget, kinks=bounds)
        if alone is None:
            return None
        own |= dict.fromkeys(group.members, alone)

    def together(shift: Bp) -> dict[str, Bp]:
        # Where the total needs a larger shift than a cluster did, the cluster is no longer tight.
        return at({key: max(shift, alone) for key, alone in own.items()})

    shift = _smallest_shift(together, budget=total, kinks=bounds | set(own.values()))
    return None if shift is None else together(shift)


def _same_shift(
    at: Callable[[Mapping[str, Bp]], dict[str, Bp]], members: Iterable[str], shift: Bp
) -> dict[str, Bp]:
    return at(dict.fromkeys(members, shift))


def _smallest_shift(at: Callable[[Bp], Mapping[str, Bp]], *, budget: Bp, kinks: Iterable[Bp]) -> Bp | None:
    """The smallest shift of 0 or more whose values fit the budget; None if none does.

    The sum falls along straight lines between kinks, so the crossing is exact.
    """

    def excess(shift: Bp) -> Bp:
        return sum(at(shift).values(), _ZERO) - budget

    if excess(_ZERO) <= 0:
        return _ZERO
    ordered = sorted({_ZERO, *kinks})
    place = bisect_left(ordered, _ZERO, key=lambda shift: -excess(shift))
    if place == len(ordered):
        return None
    low, high = ordered[place - 1], ordered[place]
    return low + (high - low) * excess(low) / (excess(low) - excess(high))


def _whole(exact: Mapping[str, Bp], *, situation: Situation) -> dict[str, Bp]:
    """Whole basis points, group by group, so that rounding never breaks a budget that exact values met."""
    wishes: dict[str, Bp] = {
        key: value for key, value in exact.items() if value == 0 < situation.start_bp[key]
    }
    for group in _groups(situation):
        changed = {key: exact[key] for key in group.members if 0 < exact[key] < situation.start_bp[key]}
        budget = sum(changed.values(), _ZERO)
        wishes |= apportion(changed, budget_bp=budget, ceilings_bp=situation.start_bp)
    return wishes


MODE = Mode(
    name="minimal_turnover",
    summary="The compliant allocation nearest to the start; never raises.",
    propose=_propose,
)
