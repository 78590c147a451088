"""Each mode against its own derivation in the oracle, and the worked examples."""

from __future__ import annotations

import random
from fractions import Fraction

import oracle
import pytest
from portfolios import random_case

from portfolio_rebalance.allocation import (
    Limits,
    ModeSettings,
    Situation,
    choose_start,
    find_mode,
    mode_names,
    propose,
    repair,
)
from portfolio_rebalance.errors import UsageError


def bp(**percent: float) -> dict[str, Fraction]:
    return {key: Fraction(str(value)) * 100 for key, value in percent.items()}


def proposed(mode: str, situation: Situation) -> dict[str, Fraction]:
    return dict(propose(find_mode(mode), situation, current_bp=situation.start_bp).allocations_bp)


def wished(mode: str, situation: Situation) -> dict[str, Fraction]:
    wishes = find_mode(mode).propose(situation).wishes_bp
    return {key: wishes.get(key, start) for key, start in situation.start_bp.items()}


def test_proportional_reaches_the_total_exactly() -> None:
    start = {"A": Fraction(3400), "B": Fraction(12100, 6), "C": Fraction(6200, 6)}
    after = proposed("proportional", Situation(start_bp=start))
    assert sum(after.values()) == 6000
    assert after == {"A": 3163, "B": 1876, "C": 961}


def test_correlation_aware_cuts_the_largest_to_four_fifths_of_the_next() -> None:
    after = proposed("correlation_aware", Situation(start_bp=bp(A=34, B=20, C=10.3), clusters=(("A", "B"),)))
    assert after == bp(A=16, B=20, C=10.3)


def test_performance_weighted_moves_five_points_from_worst_to_best() -> None:
    situation = Situation(start_bp=bp(A=34, B=20, C=10.3), sharpe_ratios={"A": 0.55, "B": 0.32, "C": 0.48})
    assert proposed("performance_weighted", situation) == bp(A=39, B=15, C=10.3)


def test_performance_weighted_second_example_is_repaired_to_sixty_percent() -> None:
    start = bp(A=30, B=25, C=10)
    after = proposed(
        "performance_weighted", Situation(start_bp=start, sharpe_ratios={"A": 0.65, "B": 0.25, "C": 0.45})
    )
    assert after == bp(A=35, B=20, C=10)
    assert repair(after, limits=Limits(), start_bp=start).allocations_bp == {"A": 3231, "B": 1846, "C": 923}


def test_risk_adjusted_shares_the_deployed_total_by_inverse_volatility() -> None:
    start = bp(A=20, B=20, C=20)
    after = wished("risk_adjusted", Situation(start_bp=start, volatilities={"A": 0.15, "B": 0.20, "C": 0.18}))
    assert [round(float(after[key] / 60), 2) for key in "ABC"] == [38.71, 29.03, 32.26]


def test_risk_adjusted_does_not_raise_a_weak_record_and_offers_its_share_to_others() -> None:
    start = bp(A=20, B=20, C=20)
    vols = {"A": 0.05, "B": 0.20, "C": 0.20}
    free = wished("risk_adjusted", Situation(start_bp=start, volatilities=vols))
    capped = wished("risk_adjusted", Situation(start_bp=start, volatilities=vols, psr={"A": 0.05}))
    assert free["A"] == 4000
    assert capped["A"] == 2000
    assert capped["B"] == capped["C"] == 2000
    assert wished("risk_adjusted", Situation(start_bp=start, volatilities=vols, psr={"A": 0.10}))["A"] == 4000


@pytest.mark.parametrize("ratios", [{"A": 0.5}, {"A": 0.5, "B": 0.5, "C": 0.5}, {}, {"A": None, "B": None}])
def test_performance_weighted_changes_nothing_without_a_ranking(ratios: dict[str, float | None]) -> None:
    start = bp(A=30, B=20, C=5)
    assert proposed("performance_weighted", Situation(start_bp=start, sharpe_ratios=ratios)) == start


def derived(mode: str, situation: Situation) -> dict[str, Fraction]:
    start, pinned, limits = situation.start_bp, situation.fixed, situation.limits
    if mode == "proportional":
        return oracle.proportional(start, pinned=pinned, total=limits.total_bp)
    if mode == "correlation_aware":
        return oracle.correlation_aware(
            start, pinned=pinned, clusters=situation.clusters, cluster=limits.cluster_bp
        )
    if mode == "performance_weighted":
        return oracle.performance_weighted(
            start,
            sharpe_ratios=situation.sharpe_ratios,
            pinned=pinned,
            clusters=situation.clusters,
            cluster=limits.cluster_bp,
            maximum=limits.individual_max_bp,
            max_trades=situation.settings.max_trades,
        )
    return oracle.risk_adjusted(
        start,
        volatilities=situation.volatilities,
        psr=situation.psr,
        pinned=pinned,
        total=limits.total_bp,
        maximum=limits.individual_max_bp,
    )


@pytest.mark.parametrize(
    "mode", ["proportional", "correlation_aware", "performance_weighted", "risk_adjusted"]
)
def test_modes_agree_with_their_own_derivation(mode: str) -> None:
    rng = random.Random(mode)
    for _ in range(400):
        case = random_case(rng)
        ids = sorted(case.start)
        statistics = {key: rng.choice([None, rng.choice([0.1, 0.5, 1.5]), rng.uniform(-3, 5)]) for key in ids}
        vols = {key: rng.choice([None, 0.0, 0.5, rng.uniform(0.01, 2)]) for key in ids}
        psr = {key: rng.choice([None, rng.random(), 0.05]) for key in ids}
        most = rng.choice([1, 2, 3, 4, 10])
        limits = Limits(
            total_bp=case.limits["total"],
            cluster_bp=case.limits["cluster"],
            individual_max_bp=case.limits["maximum"],
            individual_min_bp=case.limits["minimum"],
        )
        clusters = tuple(sorted(tuple(sorted(group)) for group in case.clusters if len(group) > 1))
        situation = Situation(
            start_bp=case.start,
            fixed=case.pinned,
            clusters=clusters,
            limits=limits,
            sharpe_ratios=statistics,
            volatilities=vols,
            psr=psr,
            settings=ModeSettings(max_trades=most),
        )
        assert wished(mode, situation) == derived(mode, situation)


def test_performance_weighted_keeps_the_total_and_its_promises() -> None:
    rng = random.Random(3)
    for _ in range(400):
        case = random_case(rng)
        ratios = {key: rng.uniform(-3, 5) for key in case.start}
        clusters = tuple(group for group in case.clusters if len(group) > 1)
        after = wished(
            "performance_weighted",
            Situation(start_bp=case.start, fixed=case.pinned, clusters=clusters, sharpe_ratios=ratios),
        )
        assert sum(after.values()) == sum(case.start.values())
        changed = [key for key in after if after[key] != case.start[key]]
        assert len(changed) <= 10
        for key in changed:
            assert key not in case.pinned
            assert after[key] <= max(case.start[key], 4000)
            assert after[key] >= case.start[key] / 2


def test_what_is_fixed_and_what_starts_at_zero_never_move() -> None:
    start = bp(A=30, B=0, C=20, D=30)
    for mode in mode_names():
        after = proposed(
            mode,
            Situation(
                start_bp=start,
                fixed=frozenset("A"),
                clusters=(("A", "C", "D"),),
                sharpe_ratios={"A": 1.0, "B": 9.0, "C": 2.0, "D": 3.0},
                volatilities={"A": 0.1, "B": 0.01, "C": 0.2, "D": 0.3},
            ),
        )
        assert after["A"] == 3000
        assert after["B"] == 0


def test_near_ties_do_not_flip_who_pays() -> None:
    for lead in (-1, 0, 1):
        situation = Situation(
            start_bp={"A": Fraction(2000 + lead), "B": Fraction(2000)}, clusters=(("A", "B"),)
        )
        wish = wished("correlation_aware", situation)
        assert abs(wish["A"] - 2000) <= 2
        assert abs(wish["B"] - 2000) <= 2


def test_whole_basis_points_are_within_one_of_the_wish_and_keep_the_total() -> None:
    rng = random.Random(5)
    for _ in range(300):
        case = random_case(rng)
        situation = Situation(start_bp=case.start, fixed=case.pinned)
        exact = wished("proportional", situation)
        whole = proposed("proportional", situation)
        assert all(abs(whole[key] - exact[key]) < 1 for key in exact)
        assert 0 <= sum(exact.values()) - sum(whole.values()) < 1


def test_start_is_the_target_beyond_the_drift_threshold_only() -> None:
    start = choose_start(
        current_bp=bp(at=10.5, above=10.51, exited=5, new=0.5, pinned=20, untargeted=7, tiny=0.4),
        target_bp=bp(at=10, above=10, exited=0, new=1, pinned=10, tiny=0.4),
        fixed=frozenset({"pinned"}),
        drift_threshold=Fraction(5, 100),
        minimum_bp=100,
    )
    assert start == bp(at=10.5, above=10, exited=0, new=1, pinned=20, untargeted=7, tiny=0.4)


def test_names_take_hyphens_and_an_unknown_one_lists_the_known() -> None:
    assert find_mode("Correlation-Aware").name == "correlation_aware"
    with pytest.raises(UsageError, match="proportional"):
        find_mode("momentum")
