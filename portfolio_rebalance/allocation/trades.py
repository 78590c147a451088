"""The trade limit, and what to say when nothing fits.

Contract: at most ``max_trades`` strategies change. Forced changes come first (above the maximum, below the
minimum), then the largest member of each broken cluster, then the largest changes. Everybody else is pinned
where it stands and repair runs again. If that choice cannot be made compliant, the choice that frees most
with the fewest trades is tried: when that one fails too, no choice of this size works, and the proposal is
BLOCKED with its reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction

from portfolio_rebalance.allocation.limits import Clusters, LimitCheck, Limits, check_limits, funded_clusters
from portfolio_rebalance.allocation.repair import Repair, repair
from portfolio_rebalance.units import Bp

__all__ = ["Blockage", "TradePlan", "diagnose", "fit_to_limits"]

_ZERO = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blockage:
    """Why no allocation respects all limits, and the least that would have to give.

    Attributes:
        binding: The limits that stay broken however much is lowered.
        largest_compliant_total_bp: What could stay deployed if nothing were pinned and trades were unlimited.
        release: The fewest pins or holds whose release makes compliance possible; empty if none is needed.
        trades_needed: The fewest trades that reach compliance once ``release`` is granted.
        relaxation: The same in one sentence.
    """

    binding: tuple[LimitCheck, ...]
    largest_compliant_total_bp: Bp
    release: tuple[str, ...]
    trades_needed: int
    relaxation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TradePlan:
    """A repaired proposal within the trade limit.

    Attributes:
        repair: Allocations, trail and checks.
        deferred: Ids whose change was dropped to stay within the trade limit.
        blockage: Set when the limits cannot be met; then ``repair`` shows how far lowering came.
    """

    repair: Repair
    deferred: tuple[str, ...]
    blockage: Blockage | None


def fit_to_limits(
    proposal_bp: Mapping[str, Bp],
    *,
    current_bp: Mapping[str, Bp],
    start_bp: Mapping[str, Bp],
    pinned: Collection[str],
    clusters: Clusters,
    limits: Limits,
    max_trades: int,
) -> TradePlan:
    """Repair a proposal, keep it within ``max_trades`` changes, and diagnose where that is impossible.

    Args:
        proposal_bp: What a mode proposed.
        current_bp: What is held now; a change is measured against it.
        start_bp: What the mode started from.
        pinned: Ids that may not change (registry pins and one-run holds).
        clusters: Disjoint correlated clusters.
        limits: What must hold.
        max_trades: How many strategies may change at most.
    """

    def blocked(attempt: Repair) -> TradePlan:
        blockage = diagnose(
            attempt, current_bp, pinned=pinned, clusters=clusters, limits=limits, max_trades=max_trades
        )
        return TradePlan(repair=attempt, deferred=(), blockage=blockage)

    full = repair(proposal_bp, limits=limits, clusters=clusters, start_bp=start_bp, pinned=pinned)
    if not full.compliant:
        return blocked(full)
    changed = {key for key, value in full.allocations_bp.items() if value != current_bp[key]}
    if len(changed) <= max_trades:
        return TradePlan(repair=full, deferred=(), blockage=None)

    preferred = _preferred(full.allocations_bp, current_bp, pinned=pinned, clusters=clusters, limits=limits)
    fewest = _fewest_for_compliance(current_bp, pinned=pinned, clusters=clusters, limits=limits) or ()
    choices = [preferred[:max_trades]]
    if len(fewest) <= max_trades:
        spare = [key for key in preferred if key not in fewest]
        choices.append([*fewest, *spare[: max_trades - len(fewest)]])
    for chosen in choices:
        mixed = {key: proposal_bp[key] if key in chosen else current_bp[key] for key in proposal_bp}
        kept = set(current_bp) - set(chosen)
        tried = repair(mixed, limits=limits, clusters=clusters, start_bp=start_bp, pinned=kept)
        if tried.compliant:
            return TradePlan(repair=tried, deferred=tuple(sorted(changed - set(chosen))), blockage=None)
    return blocked(tried)


def _preferred(
    repaired_bp: Mapping[str, Bp],
    current_bp: Mapping[str, Bp],
    *,
    pinned: Collection[str],
    clusters: Clusters,
    limits: Limits,
) -> list[str]:
    """Ids that would change, in the order in which they are allowed to."""
    changed = [key for key in sorted(repaired_bp) if repaired_bp[key] != current_bp[key]]
    forced = set(_forced(current_bp, pinned=pinned, limits=limits))
    leaders = set()
    for group in funded_clusters(clusters, among=current_bp):
        if sum((current_bp[key] for key in group), _ZERO) > limits.cluster_bp:
            movable = [key for key in group if key in changed]
            leaders.update(sorted(movable, key=_largest(current_bp))[:1])
    return sorted(
        changed,
        key=lambda key: (
            key not in forced,
            key not in leaders,
            -abs(repaired_bp[key] - current_bp[key]),
            key,
        ),
    )


def _forced(current_bp: Mapping[str, Bp], *, pinned: Collection[str], limits: Limits) -> list[str]:
    """Ids that break a limit of their own."""
    return [
        key
        for key, value in sorted(current_bp.items())
        if key not in pinned and (value > limits.individual_max_bp or 0 < value < limits.individual_min_bp)
    ]


def _fewest_for_compliance(
    current_bp: Mapping[str, Bp], *, pinned: Collection[str], clusters: Clusters, limits: Limits
) -> tuple[str, ...] | None:
    """A smallest set of strategies whose reduction alone can meet every limit; None if no set can.

    Taking the largest first is optimal: of all sets with enough members in each broken cluster, the one made
    of the largest frees most, so no smaller set can meet the total either.
    """
    chosen = _forced(current_bp, pinned=pinned, limits=limits)

    def cover(group: Collection[str], limit_bp: int) -> bool:
        excess = sum((current_bp[key] for key in group if key not in chosen), _ZERO) - limit_bp
        spare = sorted(
            (key for key in group if key not in chosen and key not in pinned), key=_largest(current_bp)
        )
        while excess > 0 and spare:
            key = spare.pop(0)
            chosen.append(key)
            excess -= current_bp[key]
        return excess <= 0

    covered = [cover(group, limits.cluster_bp) for group in funded_clusters(clusters, among=current_bp)]
    covered.append(cover(tuple(current_bp), limits.total_bp))
    own = check_limits({key: current_bp[key] for key in pinned}, clusters=(), limits=limits)
    if not all(covered) or any(not check.passed for check in own):
        return None
    return tuple(chosen)


def _largest(current_bp: Mapping[str, Bp]) -> Callable[[str], tuple[Bp, str]]:
    """Sort key: largest allocation first, ties by id."""
    return lambda key: (-current_bp[key], key)


def diagnose(
    attempt: Repair,
    current_bp: Mapping[str, Bp],
    *,
    pinned: Collection[str],
    clusters: Clusters,
    limits: Limits,
    max_trades: int,
) -> Blockage:
    """Why ``attempt`` still breaks limits, and the least that would have to give.

    Args:
        attempt: A repair that is not compliant.
        current_bp: What is held now.
        pinned: Ids that may not change.
        clusters: Disjoint correlated clusters.
        limits: What must hold.
        max_trades: How many strategies may change at most.
    """
    free = repair(current_bp, limits=limits, clusters=clusters)
    release = _fewest_released(current_bp, pinned=pinned, clusters=clusters, limits=limits)
    kept = [key for key in pinned if key not in release]
    needed = len(_fewest_for_compliance(current_bp, pinned=kept, clusters=clusters, limits=limits) or ())
    wishes = []
    if release:
        wishes.append(f"release {', '.join(release)}")
    if needed > max_trades:
        wishes.append(f"allow {needed} trades instead of {max_trades}")
    return Blockage(
        binding=tuple(check for check in attempt.checks if not check.passed),
        largest_compliant_total_bp=sum(free.allocations_bp.values(), _ZERO),
        release=release,
        trades_needed=needed,
        relaxation=" and ".join(wishes),
    )


def _fewest_released(
    current_bp: Mapping[str, Bp], *, pinned: Collection[str], clusters: Clusters, limits: Limits
) -> tuple[str, ...]:
    """The smallest set of pins whose release makes compliance possible.

    Those that break a limit of their own, then the largest of each group that its pins alone overfill.
    """
    kept = {key for key in pinned if current_bp[key] > 0}
    own = check_limits({key: current_bp[key] for key in kept}, clusters=(), limits=limits)
    released = {check.subject[0] for check in own if check.limit != "total_deployed" and not check.passed}
    groups = [(group, limits.cluster_bp) for group in funded_clusters(clusters, among=current_bp)]
    for group, limit_bp in [*groups, (tuple(current_bp), limits.total_bp)]:
        members = sorted(
            (key for key in group if key in kept and key not in released), key=_largest(current_bp)
        )
        while sum((current_bp[key] for key in members), _ZERO) > limit_bp:
            released.add(members.pop(0))
    return tuple(sorted(released))
