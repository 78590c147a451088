"""One hundred thousand random proposals, half with pins, through every law of repair."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import pytest
from portfolios import Case, aimed_cases, moved, random_case
from repair_laws import allowed_movement, check_laws, largest_movement, limits_of, repaired

from portfolio_rebalance.allocation import Situation, find_mode, mode_names, propose, repair

CHUNKS = 50
CASES_PER_CHUNK = 2_000


@pytest.mark.proof
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_one_hundred_thousand_proposals_hold_every_law(chunk: int) -> None:
    rng = random.Random(f"repair-{chunk}")
    pinned = 0
    for _ in range(CASES_PER_CHUNK):
        case = random_case(rng)
        pinned += bool(case.pinned)
        check_laws(case, rng)
        assert largest_movement(case, rng) <= allowed_movement(case)
    assert 0.4 * CASES_PER_CHUNK < pinned < 0.6 * CASES_PER_CHUNK


@pytest.mark.proof
def test_every_single_step_around_every_aimed_case() -> None:
    rng = random.Random(1)
    for case in aimed_cases():
        before = check_laws(case, rng).allocations_bp
        for key in case.start:
            for step in (-1, 1):
                if case.start[key] + step < 0 or case.proposal[key] + step < 0:
                    continue
                after = repaired(moved(case, key, step)).allocations_bp
                assert max(abs(after[name] - before[name]) for name in before) <= allowed_movement(case)


# A mode has a slope of its own: a winner passes on what it cannot take, inverse volatility shares what a cap
# cuts. A few basis points, measured; the jump of an exit comes on top.
SLOPE_BP = 5


@pytest.mark.proof
@pytest.mark.parametrize("mode", mode_names())
def test_a_basis_point_of_start_moves_mode_and_repair_by_an_exit_at_most(mode: str) -> None:
    """The nearest allocation may have to swap who exits, and then the survivor has up to two minimums."""
    exits = 2 if mode == "minimal_turnover" else 1
    rng = random.Random(mode)
    for _ in range(6_000):
        case = random_case(rng)
        case = replace(case, proposal=case.start)
        ids = sorted(case.start)
        statistics = {key: rng.uniform(-3, 5) for key in ids}
        volatilities = {key: rng.uniform(0.05, 2) for key in ids}
        funded = [key for key in ids if case.start[key] > 0]
        if not funded:
            continue
        neighbour = moved(case, rng.choice(funded), 1)
        before, after = (_pipeline(mode, variant, statistics, volatilities) for variant in (case, neighbour))
        most = exits * case.limits["minimum"] + SLOPE_BP
        assert max(abs(after[name] - before[name]) for name in before) <= most


def _pipeline(
    mode: str, case: Case, statistics: dict[str, float], volatilities: dict[str, float]
) -> dict[str, Fraction]:
    limits = limits_of(case)
    clusters = tuple(sorted(tuple(sorted(group)) for group in case.clusters if len(group) > 1))
    situation = Situation(
        start_bp=case.start,
        fixed=case.pinned,
        clusters=clusters,
        limits=limits,
        sharpe_ratios=statistics,
        volatilities=volatilities,
    )
    proposal = propose(find_mode(mode), situation, current_bp=case.start)
    made = repair(
        proposal.allocations_bp, limits=limits, clusters=clusters, start_bp=case.start, pinned=case.pinned
    )
    return dict(made.allocations_bp)
