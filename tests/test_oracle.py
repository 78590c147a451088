"""The oracle against brute force, and what it says about continuity."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, product
from math import floor

import pytest
from oracle import (
    breaches,
    centred_ranks,
    correlation_aware,
    largest_multiplier,
    minimal_turnover_distance,
    nearest_point,
    performance_weighted,
    proportional,
    repair,
    risk_adjusted,
    scaled,
    whole_basis_points,
)
from portfolios import Case, aimed_cases, default_limits, moved, neighbours, random_case

A, B, C, D = "STR-A", "STR-B", "STR-C", "STR-D"
LIMITS = default_limits()


def bp(**weights: int | str) -> dict[str, Fraction]:
    """`bp(A=100)` is `{"STR-A": Fraction(100)}`."""
    return {f"STR-{name}": Fraction(weight) for name, weight in weights.items()}


def repaired(case: Case, *, amended: bool = False) -> dict[str, Fraction]:
    return repair(
        case.proposal,
        start=case.start,
        pinned=case.pinned,
        clusters=case.clusters,
        amended=amended,
        **case.limits,
    )


def random_cases(seed: int, count: int) -> Iterator[Case]:
    rng = random.Random(seed)
    for _ in range(count):
        yield random_case(rng)


def pins_allow(case: Case) -> bool:
    """True when the pinned alone, everything else at 0, break nothing."""
    held = {name: case.proposal[name] for name in case.pinned}
    return not breaches(held, clusters=case.clusters, **case.limits)


# --- judging ---------------------------------------------------------------------------------------------


def test_limits_themselves_are_allowed_and_a_hair_more_is_not() -> None:
    clusters = [(A, B), (C,)]
    assert breaches(bp(A=2900, B=100, C=3000), clusters=clusters, **LIMITS) == []
    assert breaches(bp(A=2000, B=0, C=4000), clusters=clusters, **LIMITS) == []
    for weights, words in [
        (bp(A=2900, B="200001/2000", C=100), ["cluster"]),
        (bp(A="4000001/1000", C=100), ["STR-A", "cluster"]),
        (bp(A="99999/1000"), ["STR-A"]),
        (bp(A=-1), ["STR-A", "STR-A"]),
        (bp(A=3000, C=3000, D="1001/10"), ["total"]),
    ]:
        found = breaches(weights, clusters=clusters, **LIMITS)
        assert len(found) == len(words), found
        assert all(line.startswith(word) for line, word in zip(found, words, strict=True)), found


def test_cluster_of_one_has_only_the_individual_limit() -> None:
    assert breaches(bp(A=4000), clusters=[(A,)], **LIMITS) == []
    assert breaches(bp(A=4000), clusters=[(A, A)], **LIMITS) == []


def test_not_a_number_breaks_everything_it_touches() -> None:
    weights: dict[str, Fraction | float] = {**bp(B=100, C=100, D=100), A: float("nan")}
    found = breaches(weights, clusters=[(A, B), (C, D)], **LIMITS)
    assert [line.split(":")[0] for line in found] == [A, A, A, "cluster STR-A+STR-B", "total"]
    assert breaches({A: float("inf")}, clusters=(), **LIMITS)


# --- repair: the worked examples and the properties ------------------------------------------------------


def test_worked_example_of_the_correlated_pair() -> None:
    start = bp(A=3400, B=2000, C=1030)
    proposal = correlation_aware(start, pinned=frozenset(), clusters=[(A, B)], cluster=3000)
    assert proposal == bp(A=1600, B=2000, C=1030)
    assert repair(proposal, start=start, clusters=[(A, B)]) == bp(A=1600, B=1400, C=1030)


def test_worked_example_of_the_total() -> None:
    assert repair(bp(A=3500, B=2000, C=1000)) == bp(A=3231, B=1846, C=923)


def test_the_total_scales_what_is_there_not_what_was_held_before() -> None:
    before = bp(A=1000, B=4000, C=0)
    assert repair(bp(A=4000, B=4000, C=2000), start=before) == bp(A=2400, B=2400, C=1200)


def test_exact_allocations_of_the_worked_example_scale_to_sixty_percent() -> None:
    start = bp(A=3400, B="6050/3", C="3100/3")
    exact = proportional(start, pinned=frozenset(), total=6000)
    assert sum(exact.values()) == 6000
    assert exact[A] / start[A] == Fraction(6000, 6450)
    assert repair(start) == bp(A=3163, B=1876, C=961)


@pytest.mark.parametrize("amended", [False, True])
def test_repair_complies_lowers_only_and_is_idempotent_and_order_free(amended: bool) -> None:
    rng = random.Random(71)
    seen_exits = seen_blocked = 0
    for case in [*random_cases(7, 600), *aimed_cases()]:
        after = repaired(case, amended=amended)
        assert set(after) == set(case.proposal)
        if pins_allow(case):
            assert breaches(after, clusters=case.clusters, **case.limits) == []
        else:
            seen_blocked += 1
        for name, weight in after.items():
            assert 0 <= weight <= case.proposal[name]
            if name in case.pinned:
                assert weight == case.proposal[name]
            if weight != case.proposal[name]:
                assert weight.denominator == 1
            seen_exits += weight == 0 < case.proposal[name]
        if breaches(case.proposal, clusters=case.clusters, **case.limits) == []:
            assert after == case.proposal
        assert repaired(replace(case, proposal=after), amended=amended) == after
        shuffled = replace(
            case,
            proposal=dict(rng.sample(sorted(case.proposal.items()), len(after))),
            clusters=tuple(
                tuple(rng.sample(members, len(members)))
                for members in rng.sample(case.clusters, len(case.clusters))
            ),
        )
        assert repaired(shuffled, amended=amended) == after
    assert seen_exits > 200
    assert seen_blocked > 50


def test_where_pins_fill_a_limit_the_rest_leaves() -> None:
    assert repair(bp(A=2950, B=500), pinned=frozenset({A}), clusters=[(A, B)]) == bp(A=2950, B=0)
    assert repair(bp(A=3100, B=500), pinned=frozenset({A}), clusters=[(A, B)]) == bp(A=3100, B=0)
    assert repair(bp(A=3500, B=3000), pinned=frozenset({A, B})) == bp(A=3500, B=3000)


def test_where_the_floors_do_not_fit_the_smallest_leaves_and_the_survivors_stay_at_the_floor() -> None:
    start = bp(A=2701, B=300, C=200, D=400)
    after = repair(start, pinned=frozenset({A}), clusters=[(A, B, C, D)])
    assert after == bp(A=2701, B=100, C=0, D=100)
    equal = bp(A=2701, B=300, C=300, D=300)
    assert repair(equal, pinned=frozenset({A}), clusters=[(A, B, C, D)])[B] == 0
    before = bp(A=2701, B=400, C=300, D=200)
    assert repair(equal, start=before, pinned=frozenset({A}), clusters=[(A, B, C, D)])[D] == 0


def test_as_many_survive_as_floors_fit_and_never_a_smaller_one_in_place_of_a_larger() -> None:
    for case in random_cases(8, 400):
        after = repaired(case)
        entering = {
            n: min(w, Fraction(case.limits["maximum"]))
            for n, w in case.proposal.items()
            if n not in case.pinned and w >= case.limits["minimum"]
        }
        for members in case.clusters:
            mine = [n for n in members if n in entering]
            if len(members) < 2 or not mine:
                continue
            held = sum(case.proposal[n] for n in members if n in case.pinned)
            if held + sum(entering[n] for n in mine) <= case.limits["cluster"]:
                continue
            room = max(0, floor((case.limits["cluster"] - held) / case.limits["minimum"]))
            # the same cluster alone, so that the total has no say
            alone = repair(
                {n: case.proposal[n] for n in members},
                start=case.start,
                pinned=case.pinned,
                clusters=[members],
                **(case.limits | {"total": 10**6}),
            )
            alive = [n for n in mine if alone[n] > 0]
            assert len(alive) == min(len(mine), room)
            for n in mine:
                assert alone[n] > 0 or all(entering[n] <= entering[m] for m in alive)
            if len(alive) < len(mine):
                assert {alone[n] for n in alive} <= {Fraction(case.limits["minimum"])}
            assert all(after[n] <= alone[n] for n in mine)


def test_whole_inputs_use_the_whole_limit_unless_the_floors_do_not_fit() -> None:
    filled = floored = 0
    for case in [*random_cases(9, 800), *aimed_cases()]:
        whole = {n: Fraction(round(w)) for n, w in case.proposal.items()}
        least, most, total = (case.limits[key] for key in ("minimum", "maximum", "total"))
        entering = {n: min(w, Fraction(most)) for n, w in whole.items() if w >= least}
        if sum(entering.values()) <= total:
            continue
        after = repair(whole, **case.limits)
        if least * len(entering) <= total:
            filled += 1
            assert sum(after.values()) == total
        else:
            floored += 1
            assert sum(after.values()) == least * (total // least)
    assert filled > 100
    assert floored >= 1


# --- the multiplier and the rounding, against plain search -----------------------------------------------


def numeric_total(
    weights: Mapping[str, Fraction], starts: Mapping[str, Fraction], multiplier: float
) -> float:
    return sum(min(float(weights[n]), max(100.0, multiplier * float(starts[n]))) for n in weights)


def test_largest_multiplier_is_what_a_fine_bisection_finds() -> None:
    rng = random.Random(11)
    bounded = 0
    for _ in range(400):
        names = [f"S{i}" for i in range(rng.randint(1, 12))]
        weights = {n: Fraction(rng.randint(200, 8000), 2) for n in names}
        starts = {n: Fraction(rng.choice((0, 1, rng.randint(1, 8000), rng.randint(1, 8000)))) for n in names}
        floors = 100 * len(names)
        budget = floors + (sum(weights.values()) - floors) * Fraction(rng.randint(0, 100), 100)
        exact = largest_multiplier(weights, starts, budget=budget, minimum=100)

        if exact is None:
            assert numeric_total(weights, starts, 1e9) <= budget + 1e-6
            continue
        bounded += 1
        low, high = 0.0, 1e6
        for _ in range(100):
            middle = (low + high) / 2
            fits = numeric_total(weights, starts, middle) <= budget + 1e-9
            low, high = (middle, high) if fits else (low, middle)
        assert float(exact) == pytest.approx(low, rel=1e-9, abs=1e-9)
        shared = sum(scaled(weights[n], starts[n], exact, minimum=100) for n in names)
        assert shared == budget
        above = exact + Fraction(1, 10**9)
        assert sum(scaled(weights[n], starts[n], above, minimum=100) for n in names) > budget
    assert bounded > 200


def test_repair_is_the_bisected_share_to_within_a_basis_point() -> None:
    for case in random_cases(12, 500):
        if any(case.start[n] == 0 < case.proposal[n] for n in case.start):
            continue
        entering = {n: min(float(w), 4000.0) for n, w in case.proposal.items() if w >= 100}
        if sum(entering.values()) <= 3000 or len(entering) > 30:
            continue
        starts = {n: max(100.0, float(case.start[n])) for n in entering}
        low, high = 0.0, 1e7
        for _ in range(120):
            middle = (low + high) / 2
            fits = sum(min(entering[n], max(100.0, middle * starts[n])) for n in entering) <= 3000
            low, high = (middle, high) if fits else (low, middle)
        after = repair(case.proposal, start=case.start, clusters=[tuple(case.proposal)], total=10**6)
        for n in entering:
            if len(entering) > 1:
                assert abs(float(after[n]) - min(entering[n], max(100.0, low * starts[n]))) < 1 + 1e-6


def test_rounding_is_the_largest_remainder_of_every_possible_choice() -> None:
    rng = random.Random(13)
    for _ in range(400):
        names = [f"S{i}" for i in range(rng.randint(1, 6))]
        exact, ceiling = {}, {}
        for n in names:
            ceiling[n] = Fraction(rng.randint(200, 900), rng.choice((1, 1, 2)))
            exact[n] = ceiling[n] - rng.choice((Fraction(0), Fraction(rng.randint(1, 12), 6)))
        budget = sum(exact.values(), Fraction(0))
        got = whole_basis_points(exact, ceiling, budget=budget)

        lowered = [n for n in names if exact[n] < ceiling[n]]
        floors = {n: Fraction(floor(exact[n])) if n in lowered else exact[n] for n in names}
        best = None
        for size in range(len(lowered) + 1):
            for up in combinations(lowered, size):
                fits = size <= budget - sum(floors.values())
                if fits and all(exact[n] != floors[n] and floors[n] + 1 <= ceiling[n] for n in up):
                    gain = sum((exact[n] - floors[n] for n in up), Fraction(0))
                    key = (size, gain, [-int(n[1:]) for n in up])
                    best = key if best is None or key > best else best
        assert best is not None
        raised = {f"S{-i}" for i in best[2]}
        assert got == {n: floors[n] + (n in raised) for n in names}


# --- continuity ------------------------------------------------------------------------------------------


def movement(one: Case, other: Case, *, amended: bool) -> Fraction:
    """The largest movement of an output between two cases, beyond the minimum (the movement of an exit)."""
    before, after = repaired(one, amended=amended), repaired(other, amended=amended)
    return max(abs(after[n] - before[n]) for n in before) - one.limits["minimum"]


def allowance(one: Case, other: Case) -> int:
    """Basis points beyond an exit. Seen in searches: 0 for whole inputs, 2 for rational ones.

    One for a remainder that changes hands; for rational inputs one more for the part of a basis point that
    the exit itself may have, and one for the second rounding (cluster, then total).
    """
    return 1 if one.is_whole and other.is_whole else 3


def aimed_neighbours() -> Iterator[tuple[Case, Case]]:
    for case in aimed_cases():
        for name in sorted(case.proposal)[:8]:
            for step in (-1, 1):
                yield case, moved(case, name, step)


def random_neighbours(seed: int, count: int) -> Iterator[tuple[Case, Case]]:
    rng = random.Random(seed)
    for _ in range(count):
        case = random_case(rng)
        yield case, neighbours(case, rng)


def test_amended_rule_moves_nothing_by_more_than_an_exit() -> None:
    for one, other in [*aimed_neighbours(), *random_neighbours(17, 2500)]:
        assert movement(one, other, amended=True) <= allowance(one, other), (one, other)


def test_settled_rule_moves_nothing_by_more_than_an_exit_without_pins_and_raises_from_nothing() -> None:
    for one, other in [*aimed_neighbours(), *random_neighbours(18, 2500)]:
        raised = any(one.start[n] == 0 < one.proposal[n] for n in one.start)
        if not one.pinned and not raised:
            assert movement(one, other, amended=False) <= allowance(one, other), (one, other)


def test_amended_rule_moves_nothing_by_more_than_an_exit_when_only_a_start_moves() -> None:
    rng = random.Random(19)
    for case in [*random_cases(19, 800), *aimed_cases()]:
        name = rng.choice(sorted(case.start))
        if name not in case.pinned:
            other = replace(case, start=case.start | {name: case.start[name] + 1})
            assert movement(case, other, amended=True) <= allowance(case, other), (case, other)


# What follows are the smallest examples found where the settled rule jumps, and what the amended one does.


def jump(case: Case, name: str, step: int) -> list[int]:
    """Movement of the settled and of the amended rule, in basis points."""
    other = moved(case, name, step)
    return [int(movement(case, other, amended=flag)) + 100 for flag in (False, True)]


def test_settled_rule_jumps_when_a_raise_from_nothing_meets_the_cluster_limit() -> None:
    # 25 % + 5 % is exactly the limit; one basis point more and the strategy that started from 0 falls to 1 %,
    # with 24 % of the limit left unused.
    case = Case(bp(A=0, B=500), bp(A=2500, B=500), clusters=((A, B),))
    assert repaired(moved(case, A, 1)) == bp(A=100, B=500)
    assert jump(case, A, 1) == [2400, 0]
    assert jump(case, B, 1) == [2400, 1]


def test_settled_rule_jumps_when_a_start_leaves_zero() -> None:
    one = Case(bp(A=0, B=2000), bp(A=2500, B=2000), clusters=((A, B),))
    other = replace(one, start=bp(A=1, B=2000))
    assert repaired(one) == bp(A=100, B=2000)
    assert repaired(other) == bp(A=1000, B=2000)
    assert repaired(one, amended=True) == repaired(other, amended=True) == bp(A=1000, B=2000)


def test_settled_rule_leans_hard_on_the_ratio_of_two_tiny_starts() -> None:
    one = Case(bp(A=1, B=1), bp(A=2000, B=2000), clusters=((A, B),))
    other = replace(one, start=bp(A=2, B=1))
    assert repaired(one) == bp(A=1500, B=1500)
    assert repaired(other) == bp(A=2000, B=1000)
    assert repaired(one, amended=True) == repaired(other, amended=True) == bp(A=1500, B=1500)


def test_settled_rule_jumps_when_a_cluster_levels_and_the_total_drops_the_one_that_was_larger() -> None:
    # D enters at 1 %: the cluster has room for two floors, so C goes from 1.99 % to 1 %; the total has room
    # for one, and by id C leaves, though D is the one that came.
    case = Case(
        bp(A=2800, B=3001, C=199, D=99),
        bp(A=2800, B=3001, C=199, D=99),
        pinned=frozenset({A, B}),
        clusters=((A, C, D),),
    )
    assert repaired(case) == bp(A=2800, B=3001, C=199, D=0)
    assert repaired(moved(case, D, 1)) == bp(A=2800, B=3001, C=0, D=100)
    assert repaired(moved(case, D, 1), amended=True) == bp(A=2800, B=3001, C=100, D=0)
    assert jump(case, D, 1) == [199, 99]


# --- modes -----------------------------------------------------------------------------------------------


def test_proportional_keeps_ratios_and_pins() -> None:
    for case in random_cases(21, 400):
        after = proportional(case.start, pinned=case.pinned, total=case.limits["total"])
        free = [n for n in case.start if n not in case.pinned]
        assert all(after[n] == case.start[n] for n in case.pinned)
        assert all(after[n] * case.start[m] == after[m] * case.start[n] for n, m in combinations(free[:6], 2))
        held = sum(case.start[n] for n in case.pinned)
        reachable = min(sum(case.start.values()), max(Fraction(case.limits["total"]), held))
        assert sum(after.values()) == (reachable if free else held)


def test_correlation_aware_gives_the_most_that_its_three_conditions_allow() -> None:
    rng = random.Random(22)
    for _ in range(200):
        weights = {n: Fraction(5 * rng.randint(0, 60)) for n in (A, B, C, D)}
        pinned = frozenset(n for n in weights if rng.random() < 0.2)
        after = correlation_aware(weights, pinned=pinned, clusters=[(A, B, C), (D,)], cluster=300)
        free = [n for n in (A, B, C) if n not in pinned]
        excess = sum(weights[n] for n in (A, B, C)) - 300
        changed = [n for n in weights if after[n] != weights[n]]
        if excess <= 0 or not free:
            assert changed == []
            continue
        payer = max(free, key=lambda n: (weights[n], -ord(n[-1])))
        following = max((weights[n] for n in free if n != payer), default=Fraction(0))
        possible = [
            gift
            for gift in map(Fraction, range(int(weights[payer]) + 1))
            if gift <= excess
            and weights[payer] - gift >= following * Fraction(4, 5)
            and gift <= 2 * (weights[payer] - following)
        ]
        assert weights[payer] - after[payer] == max(possible)
        assert set(changed) <= {payer}


def test_performance_weighted_moves_the_worked_example_by_five_points() -> None:
    start = bp(A=3400, B=2000, C=1030)
    sharpe = {A: 0.55, B: 0.32, C: 0.48}
    assert performance_weighted(start, sharpe_ratios=sharpe) == bp(A=3900, B=1500, C=1030)


def test_performance_weighted_stops_at_caps_and_clusters_and_hands_on() -> None:
    sharpe = {A: 4, B: 3, C: 2, D: 1}  # tilts 1, 1/3, -1/3, -1
    start = bp(A=3800, B=1000, C=1200, D=1500)
    given = Fraction(500) + Fraction(500, 3)
    after = performance_weighted(start, sharpe_ratios=sharpe)
    assert after == {A: 4000, B: 1000 + given - 200, C: 1200 - Fraction(500, 3), D: 1000}
    clusters = [(B, D)]  # 2500 before: what D gives may come back to it, so it is no room for B
    after = performance_weighted(start, sharpe_ratios=sharpe, clusters=clusters, cluster=2600)
    assert after[A] == 4000
    assert after[B] == 1100
    kept = given - 300
    assert after[D] == 1000 + kept * 500 / given
    assert sum(after.values()) == sum(start.values())
    # what the last cannot take goes back to the first
    start = bp(A=1000, B=3900, C=1200, D=1500)
    after = performance_weighted(start, sharpe_ratios=sharpe)
    assert after[B] == 4000
    assert after[A] == 1000 + given - 100


def test_performance_weighted_changes_nothing_without_a_ranking() -> None:
    start = bp(A=3400, B=2000, C=1030)
    for sharpe in ({}, {A: 1}, {A: 1, B: 1, C: 1}, {A: 1, B: None}):
        assert performance_weighted(start, sharpe_ratios=sharpe) == start
    assert performance_weighted(start, sharpe_ratios={A: 2, B: 1, C: 0}, max_trades=1) == start


def test_performance_weighted_takes_its_trades_from_both_ends_and_a_winner_first() -> None:
    start = bp(A=1000, B=1000, C=1000, D=1000)
    sharpe = {A: 4, B: 3, C: 2, D: 1}
    for trades, changed in [(1, ""), (2, "AD"), (3, "ABD"), (4, "ABCD"), (9, "ABCD")]:
        after = performance_weighted(start, sharpe_ratios=sharpe, max_trades=trades)
        assert [n[-1] for n in start if after[n] != start[n]] == list(changed)
    # when one end is used up, the other goes on: one winner, then the losers
    after = performance_weighted(start, sharpe_ratios={A: 2, B: 1, C: 1, D: 1}, max_trades=3)
    assert [n[-1] for n in start if after[n] != start[n]] == ["A", "B", "C"]


def test_performance_weighted_against_its_rules() -> None:
    rng = random.Random(23)
    for case in random_cases(23, 600):
        sharpe = {n: rng.choice((None, *range(8))) for n in case.start}
        trades = rng.choice((None, 1, 2, 3, 5))
        caps = {"cluster": case.limits["cluster"], "maximum": case.limits["maximum"]}
        after = performance_weighted(
            case.start,
            sharpe_ratios=sharpe,
            pinned=case.pinned,
            clusters=case.clusters,
            max_trades=trades,
            **caps,
        )
        assert sum(after.values()) == sum(case.start.values())
        ranked = {n: s for n in case.start if (s := sharpe[n]) is not None and case.start[n] > 0}
        ranked = {n: s for n, s in ranked.items() if n not in case.pinned}
        changed = [n for n in after if after[n] != case.start[n]]
        assert trades is None or len(changed) <= trades
        # twice a centred rank is: how many are below, less how many are above
        lead = {
            n: sum(o < s for o in ranked.values()) - sum(o > s for o in ranked.values())
            for n, s in ranked.items()
        }
        largest = max((abs(x) for x in lead.values()), default=0)
        for n in changed:
            tilt = Fraction(lead[n], largest)
            if tilt < 0:
                assert 0 < case.start[n] - after[n] <= min(-500 * tilt, case.start[n] / 2)
            else:
                assert tilt > 0
                assert case.start[n] < after[n] <= caps["maximum"]
        raised = [n for n in changed if after[n] > case.start[n]]
        for members in case.clusters:
            if len(members) >= 2 and any(n in raised for n in members):
                before = sum(case.start[n] for n in members)
                if not any(n in changed and n not in raised for n in members):
                    assert sum(after[n] for n in members) <= max(Fraction(caps["cluster"]), before)


def test_centred_ranks_average_ties() -> None:
    third = Fraction(1, 3)
    assert centred_ranks({"a": 1, "b": 2, "c": 3, "d": 4}) == {"a": -1, "b": -third, "c": third, "d": 1}
    assert centred_ranks({"a": 1, "b": 1, "c": 3}) == {"a": -Fraction(1, 2), "b": -Fraction(1, 2), "c": 1}
    assert centred_ranks({"a": 7, "b": 7}) == {"a": 0, "b": 0}


def test_risk_adjusted_worked_example() -> None:
    start = bp(A=3000, B=2000, C=1000)
    after = risk_adjusted(start, volatilities={A: 15, B: 20, C: 18})
    shares = [round(float(after[n] / 60), 2) for n in (A, B, C)]
    assert shares == [38.71, 29.03, 32.26]


def test_risk_adjusted_is_what_a_fine_bisection_finds() -> None:
    rng = random.Random(24)
    for case in random_cases(24, 500):
        vol: dict[str, Fraction | None] = {
            n: rng.choice((None, Fraction(0), *[Fraction(rng.randint(1, 400), 100) for _ in range(8)]))
            for n in case.start
        }
        psr = {n: rng.choice((None, 0.01, 0.5, 0.9)) for n in case.start}
        total, maximum = case.limits["total"], case.limits["maximum"]
        after = risk_adjusted(
            case.start, volatilities=vol, psr=psr, pinned=case.pinned, total=total, maximum=maximum
        )
        risks = {n: float(v) for n, v in vol.items() if v and case.start[n] > 0 and n not in case.pinned}
        assert all(after[n] == case.start[n] for n in after if n not in risks)
        caps = {
            n: float(maximum) if psr[n] != 0.01 else min(float(maximum), float(case.start[n])) for n in risks
        }
        others = float(sum(w for n, w in case.start.items() if n not in risks))
        budget = max(0.0, min(float(sum(case.start.values())), total) - others)
        low, high = 0.0, 1e6
        for _ in range(100):
            middle = (low + high) / 2
            fits = sum(min(caps[n], middle / risks[n]) for n in risks) <= budget
            low, high = (middle, high) if fits else (low, middle)
        for n in risks:
            assert float(after[n]) == pytest.approx(min(caps[n], low / risks[n]), rel=1e-9, abs=1e-6)


# --- minimal turnover ------------------------------------------------------------------------------------


def test_minimal_turnover_distance_is_the_best_of_every_point_of_a_grid() -> None:
    # In units of a sixth the nearest point of at most three strategies lies on the grid: shifts are shared by
    # two or by three, and starts and limits are multiples of six.
    rng = random.Random(31)
    limits = {"total": 36, "cluster": 18, "maximum": 24, "minimum": 6}
    blocked = 0
    for _ in range(120):
        names = (A, B, C)[: rng.randint(1, 3)]
        start = {n: Fraction(6 * rng.choice((0, 1, 1, 2, 2, 3, 4, 5))) for n in names}
        pinned = frozenset(n for n in names if rng.random() < 0.2)
        clusters = rng.choice(((), ((A, B),), ((B, C), (A,)), ((A, B, C),)))
        best: int | None = None
        for point in product(*(range(int(start[n]) + 1) for n in names)):
            weights = dict(zip(names, point, strict=True))
            if any(weights[n] != start[n] for n in pinned):
                continue
            distance = sum((int(start[n]) - weights[n]) ** 2 for n in names)
            if (best is None or distance < best) and not breaches(weights, clusters=clusters, **limits):
                best = distance
        got = minimal_turnover_distance(start, pinned=pinned, clusters=clusters, **limits)
        assert got == best
        blocked += best is None
    assert blocked


Boxes = Mapping[str, tuple[Fraction, Fraction]]
Budgets = Sequence[tuple[Sequence[str], Fraction]]


def inside(point: Mapping[str, Fraction], boxes: Boxes, budgets: Budgets, total: Fraction) -> bool:
    return (
        all(low <= point[n] <= high for n, (low, high) in boxes.items())
        and all(sum(point[n] for n in members) <= budget for members, budget in budgets)
        and sum(point.values()) <= total
    )


def test_nearest_point_has_every_other_point_behind_it() -> None:
    # x is nearest to s in a convex set if and only if (s - x)(y - x) <= 0 for every y of the set.
    rng = random.Random(32)
    for _ in range(150):
        names = [f"S{i}" for i in range(rng.randint(2, 8))]
        aim = {n: Fraction(rng.randint(100, 3000)) for n in names}
        boxes = {n: (Fraction(100), min(Fraction(2000), aim[n])) for n in names}
        half = len(names) // 2
        groups = (names[:half], names[half:-1])
        budgets = [(g, 100 * len(g) + Fraction(rng.randint(0, 2000))) for g in groups]
        total = 100 * len(names) + Fraction(rng.randint(0, 4000))

        nearest = nearest_point(aim, boxes, budgets, total)
        assert nearest is not None
        assert inside(nearest, boxes, budgets, total)
        for _ in range(15):
            far = {n: Fraction(rng.randint(100, int(high))) for n, (_, high) in boxes.items()}
            point = far
            while not inside(point, boxes, budgets, total):  # towards the floors
                point = {n: 100 + (point[n] - 100) * Fraction(3, 4) for n in names}
            for other in (point, {n: (point[n] + nearest[n]) / 2 for n in names}):
                assert sum((aim[n] - nearest[n]) * (other[n] - nearest[n]) for n in names) <= 0


def test_repair_is_never_nearer_than_the_nearest() -> None:
    compared = 0
    for case in random_cases(33, 500):
        if len(case.start) > 6 or any(0 < case.start[n] < 100 for n in case.pinned):
            continue
        best = minimal_turnover_distance(
            case.start, pinned=case.pinned, clusters=case.clusters, **case.limits
        )
        still = replace(case, proposal=case.start)
        assert (best is None) == (not pins_allow(still))
        if best is not None:
            after = repaired(still)
            assert sum((after[n] - case.start[n]) ** 2 for n in after) >= best
            assert (best == 0) == (breaches(case.start, clusters=case.clusters, **case.limits) == [])
            compared += 1
    assert compared > 60


# --- the generator ---------------------------------------------------------------------------------------


def test_generator_makes_what_it_says() -> None:
    cases = list(random_cases(41, 1500))
    for case in [*cases, *aimed_cases()]:
        members = [n for cluster in case.clusters for n in cluster]
        assert len(members) == len(set(members))
        assert set(members) | case.pinned <= set(case.start) == set(case.proposal)
        assert all(w >= 0 for w in (*case.start.values(), *case.proposal.values()))
        assert all(case.start[n] == case.proposal[n] for n in case.pinned)
    assert all(sum(case.start.values()) <= 10_000 for case in cases)
    kinds = {
        "whole": sum(case.is_whole for case in cases),
        "pinned": sum(bool(case.pinned) for case in cases),
        "unchanged": sum(case.start == case.proposal for case in cases),
        "large": sum(len(case.start) > 20 for case in cases),
        "single": sum(len(case.start) == 1 for case in cases),
        "compliant": sum(not breaches(c.proposal, clusters=c.clusters, **c.limits) for c in cases),
        "at a limit": sum(sum(c.start.values()) == c.limits["total"] for c in cases),
        "raised from 0": sum(any(c.start[n] == 0 < c.proposal[n] for n in c.start) for c in cases),
    }
    assert all(count >= 20 for count in kinds.values()), kinds
    assert list(random_cases(41, 20)) == cases[:20]


def test_neighbour_moves_one_strategy_by_one_basis_point() -> None:
    for one, other in random_neighbours(42, 500):
        changed = [n for n in one.proposal if one.proposal[n] != other.proposal[n]]
        assert len(changed) == 1
        name = changed[0]
        assert abs(other.proposal[name] - one.proposal[name]) == 1
        assert other.proposal[name] >= 0
        if one.start[name] == one.proposal[name]:
            assert other.start[name] == other.proposal[name]
        else:
            assert other.start == one.start
