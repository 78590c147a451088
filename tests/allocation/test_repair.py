"""Repair: worked examples, laws, and every line that bears a limit."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from portfolios import aimed_cases, random_case
from repair_laws import allowed_movement, check_laws, largest_movement

from portfolio_rebalance.allocation import Limits, check_limits, repair
from portfolio_rebalance.errors import ConfigError, UsageError

LIMITS = Limits()


def bp(**percent: float) -> dict[str, Fraction]:
    return {key: Fraction(str(value)) * 100 for key, value in percent.items()}


def test_worked_example_of_the_correlated_pair() -> None:
    made = repair(
        bp(A=16, B=20, C=10.3), limits=LIMITS, clusters=[("A", "B")], start_bp=bp(A=34, B=20, C=10.3)
    )
    assert made.allocations_bp == bp(A=16, B=14, C=10.3)
    assert [(step.strategy, step.from_bp, step.to_bp, step.limit) for step in made.steps] == [
        ("B", 2000, 1400, "correlated_exposure")
    ]


def test_total_is_scaled_by_largest_remainder() -> None:
    made = repair(bp(A=35, B=20, C=10), limits=LIMITS)
    assert made.allocations_bp == {"A": 3231, "B": 1846, "C": 923}
    assert sum(made.allocations_bp.values()) == 6000


def test_below_the_minimum_exits_and_at_the_minimum_stays() -> None:
    made = repair({"A": Fraction(99), "B": Fraction(100), "C": Fraction(199, 2)}, limits=LIMITS)
    assert made.allocations_bp == {"A": 0, "B": 100, "C": 0}


def test_above_the_maximum_is_capped_and_at_the_maximum_stays() -> None:
    made = repair({"A": Fraction(4001), "B": Fraction(1000)}, limits=LIMITS)
    assert made.allocations_bp == {"A": 4000, "B": 1000}
    assert repair({"A": Fraction(4000)}, limits=LIMITS).steps == ()


def test_the_smallest_exits_where_the_floors_do_not_fit_and_survivors_stay_at_the_minimum() -> None:
    proposal = {"A": Fraction(100), "B": Fraction(2000), "C": Fraction(1500), "P": Fraction(2750)}
    made = repair(proposal, limits=LIMITS, clusters=[("A", "B", "C", "P")], pinned={"P"})
    assert made.allocations_bp == {"A": 0, "B": 100, "C": 100, "P": 2750}


def test_pins_that_break_a_limit_leave_it_broken_and_say_so() -> None:
    made = repair({"A": Fraction(4500), "B": Fraction(3000)}, limits=LIMITS, pinned={"A"})
    assert made.allocations_bp == {"A": 4500, "B": 1500}
    assert not made.compliant
    assert [check.limit for check in made.checks if not check.passed] == ["individual_max"]


def test_a_start_below_the_minimum_counts_as_the_minimum() -> None:
    """Scaled from nothing, A would keep everything at a cluster of 30.00 % and fall to 1 % at 30.01 %."""
    for start_of_a in (0, 1, 99, 100):
        made = repair(
            {"A": Fraction(2000), "B": Fraction(2000)},
            limits=LIMITS,
            clusters=[("A", "B")],
            start_bp={"A": Fraction(start_of_a), "B": Fraction(2000)},
        )
        assert made.allocations_bp == {"A": 1000, "B": 2000}


def test_an_exact_rational_that_is_not_lowered_stays_exact() -> None:
    third = Fraction(100_000, 3) / 10
    made = repair({"A": third, "B": Fraction(1000)}, limits=LIMITS)
    assert made.allocations_bp["A"] == third


@pytest.mark.parametrize("edge", ["total", "cluster"])
def test_exactly_at_a_limit_holds_and_one_above_does_not(edge: str) -> None:
    at = (
        {"A": Fraction(3000), "B": Fraction(3000)}
        if edge == "total"
        else {"A": Fraction(1500), "B": Fraction(1500)}
    )
    clusters = [("A", "B")] if edge == "cluster" else []
    assert all(check.passed for check in check_limits(at, clusters=clusters, limits=LIMITS))
    above = at | {"A": at["A"] + Fraction(1, 1000)}
    assert not all(check.passed for check in check_limits(above, clusters=clusters, limits=LIMITS))


def test_a_cluster_of_one_carries_the_individual_limit_only() -> None:
    assert all(
        check.passed for check in check_limits({"A": Fraction(3500)}, clusters=[("A",)], limits=LIMITS)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"proposal_bp": {"A": Fraction(-1)}}, "negative"),
        ({"start_bp": {"B": Fraction(1)}}, "same strategies"),
        ({"pinned": {"X"}}, "Pinned but without"),
        ({"clusters": [("A", "X")]}, "no allocation"),
        ({"clusters": [("A", "B"), ("B", "C")]}, "two clusters"),
    ],
)
def test_inputs_that_do_not_match_are_refused(change: dict[str, object], words: str) -> None:
    given: dict[str, object] = {
        "proposal_bp": {"A": Fraction(1), "B": Fraction(1), "C": Fraction(1)}
    } | change
    with pytest.raises(UsageError, match=words):
        repair(**given, limits=LIMITS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"total_bp": 0},
        {"cluster_bp": 10_001},
        {"individual_max_bp": -1},
        {"individual_min_bp": 4001},
    ],
)
def test_limits_outside_their_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        Limits(**wrong)


def test_a_value_that_cannot_be_compared_fails_every_limit_it_touches() -> None:
    checks = check_limits({"A": float("nan")}, clusters=[], limits=LIMITS)  # type: ignore[dict-item]
    assert [check.passed for check in checks] == [False, False, False]


def test_laws_hold_on_random_portfolios_and_the_oracle_agrees() -> None:
    rng = random.Random(2026)
    for _ in range(1500):
        check_laws(random_case(rng), rng)


def test_laws_hold_on_aimed_portfolios() -> None:
    rng = random.Random(7)
    for case in aimed_cases():
        check_laws(case, rng)
        for _ in range(10):
            assert largest_movement(case, rng) <= allowed_movement(case)


def test_one_basis_point_moves_no_output_by_more_than_an_exit() -> None:
    rng = random.Random(11)
    for _ in range(1500):
        case = random_case(rng)
        assert largest_movement(case, rng) <= allowed_movement(case)
