"""The nearest compliant allocation, against brute force over every exit set."""

from __future__ import annotations

import random
from fractions import Fraction

import oracle

from portfolio_rebalance.allocation import Limits, Situation, check_limits, find_mode
from portfolio_rebalance.allocation.modes import minimal_turnover

MODE = find_mode("minimal_turnover")


def random_situation(rng: random.Random) -> Situation:
    count = rng.randint(1, 6)
    ids = [f"S{place}" for place in range(count)]
    shares = [rng.choice([rng.randint(0, 150), rng.randint(100, 4500)]) for _ in ids]
    scale = Fraction(10_000, max(10_000, sum(shares)))
    start = {key: Fraction(int(share * scale)) for key, share in zip(ids, shares, strict=True)}
    pool = rng.sample(ids, count)
    clusters = []
    while len(pool) > 1 and rng.random() < 0.8:
        size = rng.randint(2, len(pool))
        clusters.append(tuple(sorted(pool[:size])))
        pool = pool[size:]
    return Situation(
        start_bp=start,
        fixed=frozenset(key for key in ids if rng.random() < 0.2),
        clusters=tuple(sorted(clusters)),
        limits=Limits(total_bp=rng.choice([6000, 2000, 700]), cluster_bp=rng.choice([3000, 500, 250])),
    )


def test_distance_equals_brute_force_and_rounding_stays_compliant() -> None:
    rng = random.Random(17)
    compared = 0
    for _ in range(400):
        situation = random_situation(rng)
        limits = situation.limits
        shortest = oracle.minimal_turnover_distance(
            situation.start_bp,
            pinned=situation.fixed,
            clusters=situation.clusters,
            total=limits.total_bp,
            cluster=limits.cluster_bp,
            maximum=limits.individual_max_bp,
            minimum=limits.individual_min_bp,
        )
        if shortest is None:
            continue
        compared += 1
        exact = minimal_turnover.nearest_compliant(situation)
        assert sum((exact[key] - start) ** 2 for key, start in situation.start_bp.items()) == shortest
        wishes = MODE.propose(situation).wishes_bp
        whole = {key: wishes.get(key, start) for key, start in situation.start_bp.items()}
        broken = [c for c in check_limits(whole, clusters=situation.clusters, limits=limits) if not c.passed]
        assert not [check for check in broken if not situation.fixed.issuperset(check.subject)]
        assert all(abs(whole[key] - exact[key]) < 1 for key in whole)
        assert all(whole[key] <= start for key, start in situation.start_bp.items())
    assert compared > 200


def test_a_compliant_start_is_left_alone() -> None:
    situation = Situation(start_bp={"A": Fraction(2000), "B": Fraction(1000)}, clusters=(("A", "B"),))
    assert MODE.propose(situation).wishes_bp == {}


def test_sixty_strategies_in_small_clusters_stay_fast_and_compliant() -> None:
    start = {f"S{place:02}": Fraction(150 + place % 3) for place in range(60)}
    ids = sorted(start)
    clusters = tuple(tuple(ids[place : place + 20]) for place in range(0, 60, 20))
    situation = Situation(start_bp=start, clusters=clusters, limits=Limits(total_bp=3000, cluster_bp=1500))
    wishes = MODE.propose(situation).wishes_bp
    whole = {key: wishes.get(key, value) for key, value in start.items()}
    assert all(check.passed for check in check_limits(whole, clusters=clusters, limits=situation.limits))
