"""The trade limit and the BLOCKED diagnosis, against brute force over every choice of strategies."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import combinations

import oracle
from portfolios import Case, random_case

from portfolio_rebalance.allocation import Limits, check_limits, fit_to_limits, repair


def small_case(rng: random.Random) -> Case:
    while True:
        case = random_case(rng)
        if 2 <= len(case.start) <= 8:
            return case


def limits_of(case: Case) -> Limits:
    return Limits(
        total_bp=case.limits["total"],
        cluster_bp=case.limits["cluster"],
        individual_max_bp=case.limits["maximum"],
        individual_min_bp=case.limits["minimum"],
    )


def compliant_if_only(changing: tuple[str, ...], case: Case) -> bool:
    """Whether exits of these strategies alone could meet every limit."""
    left = {key: Fraction(0) if key in changing else value for key, value in case.start.items()}
    return not oracle.breaches(left, clusters=case.clusters, **case.limits)


def fewest_changes(case: Case, *, pinned: frozenset[str]) -> int | None:
    free = [key for key in case.start if key not in pinned]
    for count in range(len(free) + 1):
        if any(compliant_if_only(choice, case) for choice in combinations(free, count)):
            return count
    return None


def test_blocked_exactly_when_no_choice_within_the_trade_limit_is_compliant() -> None:
    rng = random.Random(31)
    seen = {"blocked": 0, "deferred": 0}
    for _ in range(1200):
        case = small_case(rng)
        most = rng.randint(1, 4)
        plan = fit_to_limits(
            case.proposal,
            current_bp=case.start,
            start_bp=case.start,
            pinned=case.pinned,
            clusters=case.clusters,
            limits=limits_of(case),
            max_trades=most,
        )
        after = plan.repair.allocations_bp
        changed = [key for key in after if after[key] != case.start[key]]
        fewest = fewest_changes(case, pinned=case.pinned)
        possible = fewest is not None and fewest <= most
        assert (plan.blockage is None) is possible
        if plan.blockage is None:
            assert len(changed) <= most
            assert not set(changed) & case.pinned
            assert not oracle.breaches(after, clusters=case.clusters, **case.limits)
            seen["deferred"] += bool(plan.deferred)
            continue
        seen["blocked"] += 1
        released = set(plan.blockage.release)
        assert plan.blockage.binding
        assert plan.blockage.relaxation
        kept = case.pinned - released
        assert fewest_changes(case, pinned=kept) == plan.blockage.trades_needed
        smaller = (
            case.pinned - set(choice)
            for choice in combinations(sorted(case.pinned), max(0, len(released) - 1))
        )
        assert not released or all(fewest_changes(case, pinned=pins) is None for pins in smaller)
        assert released or plan.blockage.trades_needed > most
    assert min(seen.values()) > 50


def test_the_largest_compliant_total_is_what_repair_without_pins_keeps() -> None:
    rng = random.Random(32)
    for _ in range(300):
        case = small_case(rng)
        plan = fit_to_limits(
            case.start,
            current_bp=case.start,
            start_bp=case.start,
            pinned=case.start,
            clusters=case.clusters,
            limits=limits_of(case),
            max_trades=10,
        )
        compliant = all(
            check.passed for check in check_limits(case.start, clusters=case.clusters, limits=limits_of(case))
        )
        assert (plan.blockage is None) is compliant
        if plan.blockage is not None:
            free = repair(case.start, limits=limits_of(case), clusters=case.clusters)
            assert plan.blockage.largest_compliant_total_bp == sum(free.allocations_bp.values())


def test_forced_changes_come_before_leaders_and_leaders_before_large_changes() -> None:
    current = {
        "TINY": Fraction(50),  # below the minimum: forced
        "LEAD": Fraction(1200),  # largest of the broken cluster
        "MATE": Fraction(1100),
        "PAL": Fraction(1000),
        "LARGE": Fraction(1500),  # the largest change
    }
    proposal = current | {"LARGE": Fraction(500), "MATE": Fraction(1000)}
    plan = fit_to_limits(
        proposal,
        current_bp=current,
        start_bp=current,
        pinned=(),
        clusters=[("LEAD", "MATE", "PAL")],
        limits=Limits(),
        max_trades=2,
    )
    after = plan.repair.allocations_bp
    assert [key for key in sorted(after) if after[key] != current[key]] == ["LEAD", "TINY"]
    assert after["LEAD"] == 900
    assert plan.deferred == ("LARGE", "MATE", "PAL")
