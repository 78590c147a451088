"""Performance-weighted: move capital from the lowest Sharpe ratios to the highest, total kept.

Scores are mean ranks, centred and divided by the largest magnitude, so they lie in [-1, 1] and do not
depend on how far apart the ratios are: at 30 observations the distance between two Sharpe ratios is mostly
noise. A loser gives ``step * |score|``, never more than half of what it has. Winners share what was given
in proportion to their scores, stop at the individual maximum and at their cluster's headroom, and pass on
what they cannot take; what nobody can take, the losers keep in proportion to what they gave. Headroom is what
the cluster leaves now: what its own losers give may come back to them, so it is not room for a winner.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import chain, zip_longest

from portfolio_rebalance.allocation.mode import Draft, Mode, Situation
from portfolio_rebalance.units import Bp

__all__ = ["MODE"]

_ZERO = Fraction(0)


def _propose(situation: Situation) -> Draft:
    scores = _scores(
        {key: ratio for key in situation.movable if (ratio := situation.sharpe_ratios.get(key)) is not None}
    )
    winners, losers = _participants(scores, most=situation.settings.max_trades)
    step = situation.settings.performance_step_bp
    given = {key: min(-scores[key] * step, situation.start_bp[key] / 2) for key in losers}
    pool = sum(given.values(), _ZERO)
    if not winners or not pool:
        return Draft(wishes_bp={}, reasons={})

    taken = _share(situation, pool=pool, scores=scores, winners=winners)
    kept = 1 - sum(taken.values(), _ZERO) / pool
    wishes = {key: situation.start_bp[key] - amount * (1 - kept) for key, amount in given.items()}
    wishes |= {key: situation.start_bp[key] + amount for key, amount in taken.items()}
    reasons = dict.fromkeys(losers, "low Sharpe ratio: gives") | dict.fromkeys(
        winners, "high Sharpe ratio: takes"
    )
    return Draft(wishes_bp=wishes, reasons=reasons)


def _scores(ratios: Mapping[str, float]) -> dict[str, Fraction]:
    """Centred mean ranks divided by their largest magnitude; all 0 when tied or alone."""
    ordered = sorted(ratios.values())
    doubled = {
        key: 2 * ordered.index(ratio) + ordered.count(ratio) + 1 - (len(ordered) + 1)
        for key, ratio in ratios.items()
    }
    largest = max((abs(rank) for rank in doubled.values()), default=0)
    return {key: Fraction(rank, largest) if largest else _ZERO for key, rank in doubled.items()}


def _participants(scores: Mapping[str, Fraction], *, most: int) -> tuple[list[str], list[str]]:
    """Winners and losers, best and worst first, taken in turn from both ends of the ranking."""
    winners = sorted((key for key in scores if scores[key] > 0), key=lambda key: (-scores[key], key))
    losers = sorted((key for key in scores if scores[key] < 0), key=lambda key: (scores[key], key))
    in_turn = [key for key in chain.from_iterable(zip_longest(winners, losers)) if key is not None][:most]
    return [key for key in winners if key in in_turn], [key for key in losers if key in in_turn]


def _share(
    situation: Situation, *, pool: Bp, scores: Mapping[str, Fraction], winners: list[str]
) -> dict[str, Bp]:
    """What each winner takes of the pool within its maximum and its cluster's headroom."""
    cluster_of = {key: group for group in situation.clusters for key in group}
    headroom = {
        group: situation.limits.cluster_bp - situation.total_bp(group) for group in situation.clusters
    }
    taken = dict.fromkeys(winners, _ZERO)

    def take(key: str, offer: Bp) -> Bp:
        """Accept what fits; return what does not."""
        room = situation.limits.individual_max_bp - situation.start_bp[key] - taken[key]
        group = cluster_of.get(key)
        if group is not None:
            room = min(room, headroom[group])
        accepted = max(_ZERO, min(offer, room))
        taken[key] += accepted
        if group is not None:
            headroom[group] -= accepted
        return offer - accepted

    all_scores = sum((scores[key] for key in winners), _ZERO)
    carry = _ZERO
    for key in winners:
        carry = take(key, pool * scores[key] / all_scores + carry)
    for key in winners:  # what the last could not take, the first may still have room for
        carry = take(key, carry)
    return taken


MODE = Mode(
    name="performance_weighted",
    summary="Move capital from the lowest Sharpe ratios to the highest, total kept.",
    propose=_propose,
)
