"""A second opinion on allocations, written apart from the product.

Everything here is derived from the specification (sections 1, 6 and 7) with `fractions.Fraction` and nothing
else: no numpy, no line shared with `portfolio_rebalance`, no cleverness. Where the product sorts breakpoints
once, this file looks at all of them; where the product enumerates nothing, this file enumerates everything.
It is slow on purpose, so that each function can be read beside the sentence it restates.

Unit: basis points of total capital (1 % = 100 bp), exact rationals. Whole basis points are Fractions with
denominator 1. A "cluster" of fewer than two strategies is no cluster: only the individual limit applies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from math import floor

Clusters = Sequence[Sequence[str]]
Weights = Mapping[str, Fraction]
Number = Fraction | Decimal | float
ExitOrder = Mapping[str, tuple[Fraction | str, ...]]

ZERO = Fraction(0)


# --- judging ---------------------------------------------------------------------------------------------


def breaches(
    weights: Mapping[str, Number], *, clusters: Clusters, total: int, cluster: int, maximum: int, minimum: int
) -> list[str]:
    """Every limit that the allocation breaks, one line each; an empty list means compliant.

    Each comparison is written as `not (x <= limit)`, so that a NaN breaks whatever it touches.
    """
    found = []
    for name in sorted(weights):
        weight = weights[name]
        if not weight >= 0:
            found.append(f"{name}: {weight} is negative or not a number")
        if not weight <= maximum:
            found.append(f"{name}: {weight} > {maximum}")
        if weight != 0 and not weight >= minimum:
            found.append(f"{name}: {weight} < {minimum}")
    for members in clusters:
        if len(set(members)) < 2:
            continue
        exposure = _sum(weights.get(name, ZERO) for name in set(members))
        if not exposure <= cluster:
            found.append(f"cluster {'+'.join(sorted(members))}: {exposure} > {cluster}")
    deployed = _sum(weights.values())
    if not deployed <= total:
        found.append(f"total: {deployed} > {total}")
    return found


def _sum(values: Iterable[Number]) -> Number:
    """An exact sum; NaN as soon as one value is NaN, and infinite as soon as one is infinite."""
    exact = ZERO
    for value in values:
        if value != value:  # only a NaN differs from itself
            return float("nan")
        if abs(value) == float("inf"):
            return float(value)
        exact += Fraction(value)
    return exact


# --- repair ----------------------------------------------------------------------------------------------


def repair(
    proposal: Weights,
    *,
    start: Weights | None = None,
    pinned: frozenset[str] = frozenset(),
    clusters: Clusters = (),
    total: int = 6000,
    cluster: int = 3000,
    maximum: int = 4000,
    minimum: int = 100,
    amended: bool = True,
) -> dict[str, Fraction]:
    """Lower the unpinned weights until the limits hold, in the order of the rule of repair.

    `start` is what the weights were before the mode; without it, the proposal as given, before steps 1 and 2.
    Where pins make compliance impossible the unpinned weights are as low as the rule takes them, and the
    result still breaches.

    `amended` is the rule that holds. Without its two small changes to its plain reading, one
    basis point of input can move an output by much more than the 1 % of an exit (`test_oracle.py` has the
    examples, with `amended=False`): (a) in step 3 a start below the minimum counts as the minimum; (b) in
    step 4, among equal current weights, the one that was smaller before step 3 exits first (then by start,
    then by id).
    """
    weights = {name: Fraction(weight) for name, weight in proposal.items()}
    before = weights if start is None else start
    starts = {name: Fraction(before.get(name, 0)) for name in weights}
    free = {name for name in weights if name not in pinned}

    # (1) below the minimum: out.  (2) above the maximum: capped.
    for name in free:
        if 0 < weights[name] < minimum:
            weights[name] = ZERO
        if weights[name] > maximum:
            weights[name] = Fraction(maximum)

    entered = dict(weights)
    bases = {name: max(starts[name], Fraction(minimum)) if amended else starts[name] for name in weights}

    # (3) each cluster of two or more, which are disjoint: their order does not matter.
    exit_order: ExitOrder = {name: (starts[name], name) for name in weights}
    for members in clusters:
        group = {name for name in members if name in weights}
        if len(group) >= 2:
            weights |= _fit(weights, group, free, bases, exit_order, limit=cluster, minimum=minimum)

    # (4) the total, with the values of this moment as the start; so among equals only the id is left.
    exit_order = {name: (weights[name], name) for name in weights}
    if amended:
        exit_order = {name: (entered[name], starts[name], name) for name in weights}
    weights |= _fit(weights, set(weights), free, dict(weights), exit_order, limit=total, minimum=minimum)
    return weights


def _fit(
    weights: Weights,
    group: set[str],
    free: set[str],
    starts: Weights,
    exit_order: ExitOrder,
    *,
    limit: int,
    minimum: int,
) -> dict[str, Fraction]:
    """New weights for the unpinned part of one group, so that the whole group sums to at most `limit`.

    `exit_order` decides between equal weights.
    """
    if sum((weights[name] for name in group), ZERO) <= limit:
        return {}
    budget = limit - sum((weights[name] for name in group if name not in free), ZERO)
    funded = {name for name in group if name in free and weights[name] > 0}
    if not funded:
        return {}  # the pinned alone are too many: nothing here can help

    # Do the floors alone fit? If not, the smallest leave one at a time and the survivors stay at the floor.
    survivors = set(funded)
    while survivors and minimum * len(survivors) > budget:
        survivors.remove(min(survivors, key=lambda name: (weights[name], *exit_order[name])))
    if survivors != funded:
        return {name: Fraction(minimum) if name in survivors else ZERO for name in funded}

    multiplier = largest_multiplier(
        {name: weights[name] for name in funded}, starts, budget=budget, minimum=minimum
    )
    exact = {name: scaled(weights[name], starts[name], multiplier, minimum=minimum) for name in funded}
    return whole_basis_points(exact, weights, budget=budget)


def scaled(weight: Fraction, start: Fraction, multiplier: Fraction | None, *, minimum: int) -> Fraction:
    """`min(weight, max(minimum, multiplier * start))`; a multiplier of None is "as large as you like"."""
    if multiplier is None:
        return weight if start > 0 else min(weight, Fraction(minimum))
    return min(weight, max(Fraction(minimum), multiplier * start))


def largest_multiplier(
    weights: Weights, starts: Weights, *, budget: Fraction, minimum: int
) -> Fraction | None:
    """The largest multiplier for which the scaled weights sum to at most `budget`; None when any one does.

    The sum never falls as the multiplier grows and is straight between the points where a weight leaves the
    floor (`minimum / start`) or reaches its own height (`weight / start`).
    """

    def sum_at(multiplier: Fraction | None) -> Fraction:
        return sum((scaled(weights[n], starts[n], multiplier, minimum=minimum) for n in weights), ZERO)

    if sum_at(None) <= budget:
        return None
    corners = {ZERO}
    for name in weights:
        if starts[name] > 0:
            corners |= {Fraction(minimum) / starts[name], weights[name] / starts[name]}
    ordered = sorted(corners)
    last_fit, first_miss = 0, len(ordered) - 1  # the floors fit and the full heights do not
    while first_miss - last_fit > 1:
        middle = (last_fit + first_miss) // 2
        if sum_at(ordered[middle]) <= budget:
            last_fit = middle
        else:
            first_miss = middle
    left, right = ordered[last_fit], ordered[first_miss]
    return left + (budget - sum_at(left)) * (right - left) / (sum_at(right) - sum_at(left))


def whole_basis_points(exact: Weights, ceiling: Weights, *, budget: Fraction) -> dict[str, Fraction]:
    """Round what was lowered; what the formula left at its ceiling keeps its exact value.

    Lowered weights go down to whole basis points; the whole basis points that the budget still holds then go
    out one each by largest remainder (ties by id), to weights that lost a remainder and stay at or below
    their ceiling with it.
    """
    rounded = {n: exact[n] if exact[n] == ceiling[n] else Fraction(floor(exact[n])) for n in exact}
    spare = floor(budget - sum(rounded.values(), ZERO))
    remainders = {n: exact[n] - rounded[n] for n in exact if exact[n] != rounded[n]}
    for name in sorted(remainders, key=lambda n: (-remainders[n], n)):
        if spare <= 0:
            break
        if rounded[name] + 1 <= ceiling[name]:
            rounded[name] += 1
            spare -= 1
    return rounded


# --- modes, exact and unrounded --------------------------------------------------------------------------


def proportional(start: Weights, *, pinned: frozenset[str], total: int) -> dict[str, Fraction]:
    """Mode 1: the unpinned times min(1, (total - pinned) / unpinned), never below 0."""
    held = sum((start[name] for name in start if name in pinned), ZERO)
    free = sum((start[name] for name in start if name not in pinned), ZERO)
    factor = Fraction(1)
    if free > 0:
        factor = max(ZERO, min(factor, (total - held) / free))
    return {name: start[name] if name in pinned else start[name] * factor for name in start}


def correlation_aware(
    start: Weights,
    *,
    pinned: frozenset[str],
    clusters: Clusters,
    cluster: int,
    cut_to_next: Fraction = Fraction(4, 5),
) -> dict[str, Fraction]:
    """Mode 2: in each cluster over its limit the largest unpinned member gives up (part of) the excess."""
    weights = dict(start)
    for members in clusters:
        group = sorted(set(members) & set(start))
        if len(group) < 2:
            continue
        excess = sum((start[name] for name in group), ZERO) - cluster
        by_size = sorted((n for n in group if n not in pinned), key=lambda n: (-start[n], n))
        if excess <= 0 or not by_size:
            continue
        largest = start[by_size[0]]
        following = start[by_size[1]] if len(by_size) > 1 else ZERO
        gift = min(excess, largest - cut_to_next * following, 2 * (largest - following))
        weights[by_size[0]] = largest - gift
    return weights


def performance_weighted(
    start: Weights,
    *,
    sharpe_ratios: Mapping[str, Number | None],
    pinned: frozenset[str] = frozenset(),
    clusters: Clusters = (),
    cluster: int = 3000,
    maximum: int = 4000,
    step: int = 500,
    max_trades: int | None = None,
) -> dict[str, Fraction]:
    """Mode 3: from the lowest to the highest Sharpe ratio, the total kept."""
    weights = {name: Fraction(weight) for name, weight in start.items()}
    ranked: dict[str, Number] = {}
    for name in weights:
        ratio = sharpe_ratios.get(name)
        if name not in pinned and weights[name] > 0 and ratio is not None:
            ranked[name] = ratio
    tilts = centred_ranks(ranked)

    # Who takes part: winner, loser, winner, loser, ... from the two ends; when one end is used up, the other.
    winners = sorted((n for n in tilts if tilts[n] > 0), key=lambda n: (-tilts[n], n))
    losers = sorted((n for n in tilts if tilts[n] < 0), key=lambda n: (tilts[n], n))
    order = []
    for place in range(max(len(winners), len(losers))):
        order += winners[place : place + 1] + losers[place : place + 1]
    chosen = set(order if max_trades is None else order[:max_trades])
    winners = [name for name in winners if name in chosen]
    losers = [name for name in losers if name in chosen]
    if not winners or not losers:
        return weights

    gifts = {name: min(step * -tilts[name], weights[name] / 2) for name in losers}
    given = sum(gifts.values(), ZERO)
    for name in losers:
        weights[name] -= gifts[name]
    wanted = sum((step * tilts[name] for name in winners), ZERO)

    def room(name: str) -> Fraction:
        """What the individual cap and the cluster still allow, as things stand now."""
        rooms = [maximum - weights[name]]
        for members in clusters:
            if name in members and len(set(members)) >= 2:
                # What losers inside give may come back to them: it is no room for a winner.
                inside = sum((weights.get(n, ZERO) + gifts.get(n, ZERO) for n in set(members)), ZERO)
                rooms.append(cluster - inside)
        return max(ZERO, min(rooms))

    carry = ZERO
    for name in winners:
        offer = step * tilts[name] * given / wanted + carry
        taken = min(offer, room(name))
        weights[name] += taken
        carry = offer - taken
    for name in winners:  # the rest is offered once more, from the top
        taken = min(carry, room(name))
        weights[name] += taken
        carry -= taken
    for name in losers:  # what nobody can take is kept, pro rata
        weights[name] += carry * gifts[name] / given
    return weights


def centred_ranks(values: Mapping[str, Number]) -> dict[str, Fraction]:
    """Mean rank (ties averaged) less its average, divided by the largest magnitude; all tied: all 0."""
    centre = Fraction(len(values) + 1, 2)
    centred = {}
    for name in values:
        places = [
            place for place, value in enumerate(sorted(values.values()), start=1) if value == values[name]
        ]
        centred[name] = Fraction(sum(places), len(places)) - centre
    largest = max((abs(rank) for rank in centred.values()), default=ZERO)
    return {name: rank / largest if largest > 0 else ZERO for name, rank in centred.items()}


def risk_adjusted(
    start: Weights,
    *,
    volatilities: Mapping[str, Number | None],
    psr: Mapping[str, Number | None] | None = None,
    pinned: frozenset[str] = frozenset(),
    total: int = 6000,
    maximum: int = 4000,
    min_psr: Fraction = Fraction(1, 10),
) -> dict[str, Fraction]:
    """Mode 4: `min(cap_i, theta / volatility_i)` theta such that the budget is spent, or all are capped."""
    weights = {name: Fraction(weight) for name, weight in start.items()}
    risks: dict[str, Fraction] = {}
    for name in weights:
        volatility = volatilities.get(name)
        if name not in pinned and weights[name] > 0 and volatility is not None and volatility > 0:
            risks[name] = Fraction(volatility)
    caps = {}
    for name in risks:
        probability = None if psr is None else psr.get(name)
        doubtful = probability is not None and Fraction(probability) < min_psr
        caps[name] = min(Fraction(maximum), weights[name]) if doubtful else Fraction(maximum)

    everything = sum(weights.values(), ZERO)
    outside = sum((weights[name] for name in weights if name not in risks), ZERO)  # pinned, or not weighted
    budget = max(ZERO, min(everything, Fraction(total)) - outside)

    # Cap one strategy after the other, tightest first (smallest theta at which its cap binds), until the rest
    # can share what is left by inverse volatility without touching a cap.
    waiting = sorted(risks, key=lambda name: (caps[name] * risks[name], name))
    left = budget
    while waiting:
        theta = left / sum((1 / risks[name] for name in waiting), ZERO)
        first = waiting[0]
        if theta <= caps[first] * risks[first]:
            return weights | {name: theta / risks[name] for name in waiting}
        weights[first] = caps[first]
        left -= caps[first]
        waiting = waiting[1:]
    return weights


# --- mode 5: the nearest compliant allocation -------------------------------------------------------------


def minimal_turnover_distance(
    start: Weights,
    *,
    pinned: frozenset[str],
    clusters: Clusters,
    total: int,
    cluster: int,
    maximum: int,
    minimum: int,
) -> Fraction | None:
    """The smallest squared Euclidean distance from the start to a compliant allocation that never raises.

    Every set of unpinned strategies is tried as the set that exits; the rest then lie between the floor and
    their start (or the cap), and the nearest point is exact. None when the pinned alone break a limit (being
    below the minimum is not held against a pinned strategy: it cannot be changed and adds nothing).
    """
    free = sorted(name for name in start if name not in pinned and start[name] > 0)
    if len(free) > 10:
        raise ValueError("2^n exit sets: give at most 10 unpinned strategies")
    held = {name: Fraction(start[name]) for name in start if name in pinned}
    if any(weight > maximum for weight in held.values()):
        return None
    budgets = []  # (unpinned members, what the pinned members leave of the limit)
    for members in clusters:
        if len(set(members)) >= 2:
            left = cluster - sum((held.get(name, ZERO) for name in set(members)), ZERO)
            budgets.append(([name for name in free if name in members], left))
    everything = total - sum(held.values(), ZERO)

    best: Fraction | None = None
    for exits in range(len(free) + 1):
        for leaving in combinations(free, exits):
            boxes = {
                name: (ZERO, ZERO)
                if name in leaving
                else (Fraction(minimum), min(Fraction(maximum), Fraction(start[name])))
                for name in free
            }
            nearest = nearest_point(start, boxes, budgets, everything)
            if nearest is not None:
                distance = sum(((start[name] - nearest[name]) ** 2 for name in free), ZERO)
                best = distance if best is None else min(best, distance)
    return best


def nearest_point(
    aim: Weights,
    boxes: Mapping[str, tuple[Fraction, Fraction]],
    budgets: Sequence[tuple[Sequence[str], Fraction]],
    total: Fraction,
) -> dict[str, Fraction] | None:
    """The point of the boxes nearest to `aim` within disjoint budgets and a total; None when there is none.

    By the optimality conditions x_i = clip(aim_i - shift of its budget - shift of the total), both shifts at
    least 0, and 0 where the limit is slack. So each budget needs a shift of its own, and where the total asks
    for more than that, the members move by the total's: by whichever of the two is larger.
    """
    if any(low > high for low, high in boxes.values()):
        return None
    groups = [list(members) for members, _ in budgets]
    grouped = {name for members in groups for name in members}
    shifts = []
    for members, (_, budget) in zip(groups, budgets, strict=True):
        shift = _smallest_shift(aim, boxes, dict.fromkeys(members, ZERO), budget)
        if shift is None:
            return None
        shifts.append(shift)
    own = dict.fromkeys((name for name in boxes if name not in grouped), ZERO)
    for members, shift in zip(groups, shifts, strict=True):
        own |= dict.fromkeys(members, shift)
    common = _smallest_shift(aim, boxes, own, total)
    if common is None:
        return None
    return {name: _clip(aim[name] - max(own[name], common), boxes[name]) for name in boxes}


def _smallest_shift(
    aim: Weights, boxes: Mapping[str, tuple[Fraction, Fraction]], own: Weights, budget: Fraction
) -> Fraction | None:
    """The smallest shift >= 0 at which the members of `own` sum to at most `budget`; None when none does."""

    def sum_at(shift: Fraction) -> Fraction:
        return sum((_clip(aim[n] - max(own[n], shift), boxes[n]) for n in own), ZERO)

    corners = {ZERO}
    for name in own:
        low, high = boxes[name]
        corners |= {aim[name] - low, aim[name] - high, own[name]}
    previous = None
    for corner in sorted(corner for corner in corners if corner >= 0):
        if sum_at(corner) <= budget:
            if previous is None:
                return corner
            slope = (sum_at(previous) - sum_at(corner)) / (corner - previous)
            return previous + (sum_at(previous) - budget) / slope
        previous = corner
    return None


def _clip(value: Fraction, box: tuple[Fraction, Fraction]) -> Fraction:
    return min(max(value, box[0]), box[1])
