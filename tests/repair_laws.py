"""The laws of repair, checked on one case; the suite and the proof share them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from fractions import Fraction

import oracle
from portfolios import Case, neighbours

from portfolio_rebalance.allocation import Limits, Repair, repair


def limits_of(case: Case) -> Limits:
    given = case.limits
    return Limits(
        total_bp=given["total"],
        cluster_bp=given["cluster"],
        individual_max_bp=given["maximum"],
        individual_min_bp=given["minimum"],
    )


def repaired(case: Case, *, proposal: Mapping[str, Fraction] | None = None) -> Repair:
    return repair(
        case.proposal if proposal is None else proposal,
        limits=limits_of(case),
        clusters=case.clusters,
        start_bp=case.start,
        pinned=case.pinned,
    )


def by_oracle(case: Case) -> dict[str, Fraction]:
    return oracle.repair(
        case.proposal, start=case.start, pinned=case.pinned, clusters=case.clusters, **case.limits
    )


def check_laws(case: Case, rng: random.Random) -> Repair:
    """Every law except continuity; returns the repair."""
    made = repaired(case)
    after = made.allocations_bp
    assert dict(after) == by_oracle(case), "the oracle disagrees"

    pinned_only = {key: value if key in case.pinned else Fraction(0) for key, value in case.proposal.items()}
    possible = not oracle.breaches(pinned_only, clusters=case.clusters, **case.limits)
    breaches = oracle.breaches(after, clusters=case.clusters, **case.limits)
    assert made.compliant is possible is (not breaches), breaches

    for key, value in after.items():
        assert value <= case.proposal[key], f"{key} was raised"
        assert key not in case.pinned or value == case.proposal[key], f"pinned {key} was moved"
        assert value == case.proposal[key] or value.denominator == 1, f"{key} is not in whole basis points"
    assert dict(repaired(case, proposal=after).allocations_bp) == dict(after), "not idempotent"

    trail = dict(case.proposal)
    for step in made.steps:
        assert step.from_bp == trail[step.strategy]
        assert step.to_bp < step.from_bp
        trail[step.strategy] = step.to_bp
    assert trail == dict(after), "the trail does not lead from the proposal to the result"

    names = list(case.proposal)
    rng.shuffle(names)
    shuffled = repair(
        {key: case.proposal[key] for key in names},
        limits=limits_of(case),
        clusters=[tuple(reversed(group)) for group in reversed(case.clusters)],
        start_bp={key: case.start[key] for key in reversed(names)},
        pinned=sorted(case.pinned, reverse=True),
    )
    assert dict(shuffled.allocations_bp) == dict(after), "the order of strategies matters"
    return made


def allowed_movement(case: Case) -> int:
    """An exit; exact rationals are rounded in two steps, which may add a basis point each."""
    return case.limits["minimum"] + (0 if case.is_whole else 3)


def largest_movement(case: Case, rng: random.Random) -> Fraction:
    """How far one basis point of input moves any output."""
    before = repaired(case).allocations_bp
    after = repaired(neighbours(case, rng)).allocations_bp
    return max((abs(after[key] - before[key]) for key in before), default=Fraction(0))
