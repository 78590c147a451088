"""Portfolios to try limits on: seeded random ones, and some aimed at the edges.

Weights are exact basis points (`Fraction`), as in `oracle.py`. A case says what was held before the mode
(`start`), what the mode wants (`proposal`), what must not change (`pinned`), what moves together (`clusters`,
disjoint, some of a single strategy) and the limits. A pinned strategy's proposal is always its start.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import floor
from typing import TypedDict


class Limits(TypedDict):
    """The four limits under the names that the oracle's functions take."""

    total: int
    cluster: int
    maximum: int
    minimum: int


def default_limits() -> Limits:
    return {"total": 6000, "cluster": 3000, "maximum": 4000, "minimum": 100}


@dataclass(frozen=True)
class Case:
    start: dict[str, Fraction]
    proposal: dict[str, Fraction]
    pinned: frozenset[str] = frozenset()
    clusters: tuple[tuple[str, ...], ...] = ()
    limits: Limits = field(default_factory=default_limits)

    @property
    def is_whole(self) -> bool:
        """True when every weight is a whole number of basis points."""
        return all(w.denominator == 1 for w in (*self.start.values(), *self.proposal.values()))


# --- random ----------------------------------------------------------------------------------------------

EDGES = (99, 100, 101, 150, 199, 200, 201, 3000, 3999, 4000, 4001)


def random_case(rng: random.Random) -> Case:
    """One to sixty strategies (mostly two to twenty), of every kind that has an edge nearby."""
    names = _names(rng, _count(rng))
    rational = rng.random() < 0.3
    clusters = _clusters(rng, names)
    limits = _limits(rng)
    start = _on_an_edge(rng, _start(rng, names, rational=rational), clusters, limits)
    pinned = _pinned(rng, start)
    start = _nearly_full(rng, start, pinned, clusters, limits)
    proposal = _proposal(rng, start, rational=rational)
    proposal |= {name: start[name] for name in pinned}
    return Case(start, proposal, pinned, clusters, limits)


def neighbours(case: Case, rng: random.Random) -> Case:
    """The case with one strategy's proposal (and start, when they are equal) one basis point up or down."""
    return moved(case, rng.choice(sorted(case.proposal)), rng.choice((-1, 1)))


def moved(case: Case, name: str, step: int) -> Case:
    """The case with `name` moved by `step` basis points; up instead of down where it would go below 0."""
    if case.proposal[name] + step < 0:
        step = -step
    proposal = case.proposal | {name: case.proposal[name] + step}
    start = case.start
    if start[name] == case.proposal[name]:
        start = start | {name: proposal[name]}
    return replace(case, start=start, proposal=proposal)


def _count(rng: random.Random) -> int:
    kind = rng.random()
    if kind < 0.05:
        return 1
    if kind < 0.92:
        return rng.randint(2, 20)
    return rng.randint(21, 60)


def _names(rng: random.Random, count: int) -> list[str]:
    """Ids whose order of appearance is not their alphabetical order."""
    return [f"STR-{number:03d}" for number in rng.sample(range(1, 1000), count)]


def _limits(rng: random.Random) -> Limits:
    limits = default_limits()
    if rng.random() < 0.15:  # as a limit buffer, or another configuration, would have it
        limits["total"] -= rng.randint(0, 1500)
        limits["cluster"] -= rng.randint(0, 1500)
        limits["maximum"] -= rng.randint(0, 1500)
        limits["minimum"] = rng.choice((1, 50, 100, 100, 150, 250))
    return limits


def _clusters(rng: random.Random, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """A partition of some of the names: few large clusters, many small ones, or none at all."""
    left = rng.sample(list(names), len(names))
    largest = rng.choice((1, 2, 3, 5, len(names)))
    clusters = []
    while left and rng.random() < 0.9:
        size = rng.randint(1, min(largest, len(left)))
        clusters.append(tuple(left[:size]))
        left = left[size:]
    return tuple(clusters)


def _start(rng: random.Random, names: Sequence[str], *, rational: bool) -> dict[str, Fraction]:
    """Shares of what is deployed: even or lopsided, with ties, zeros and weights at the edges."""
    deployed = rng.choice((10_000, 6000, rng.randint(200, 10_000), rng.randint(5900, 6200)))
    skew = rng.choice((0.3, 1.0, 3.0))
    shares = [rng.random() ** skew + 1e-3 for _ in names]
    start = {}
    for name, share in zip(names, shares, strict=True):
        start[name] = _weight(rng, deployed * share / sum(shares), rational=rational)
    for name in names:
        kind = rng.random()
        if kind < 0.05:
            start[name] = Fraction(0)
        elif kind < 0.15:
            start[name] = Fraction(rng.choice(EDGES))
        elif kind < 0.30:
            start[name] = start[rng.choice(names)]
    return _within_capital(start)


def _weight(rng: random.Random, basis_points: float, *, rational: bool) -> Fraction:
    if not rational or rng.random() < 0.3:
        return Fraction(round(basis_points))
    kind = rng.random()
    if kind < 0.5:
        return Fraction(round(basis_points)) + Fraction(1, 2)
    # an allocation as capital gives it: cents over cents
    total_cents = rng.randint(1_000_000, 900_000_000)
    return Fraction(10_000 * int(total_cents * basis_points / 10_000), total_cents)


def _within_capital(weights: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """At most 100 % together: the largest give way."""
    weights = dict(weights)
    excess = sum(weights.values()) - 10_000
    for name in sorted(weights, key=lambda n: -weights[n]):
        if excess <= 0:
            break
        cut = min(excess, weights[name])
        weights[name] -= cut
        excess -= cut
    return weights


def _on_an_edge(
    rng: random.Random, start: dict[str, Fraction], clusters: Sequence[Sequence[str]], limits: Limits
) -> dict[str, Fraction]:
    """Sometimes: one cluster, or the total, exactly at its limit or one basis point beside it."""
    kind = rng.random()
    if kind < 0.15 and clusters:
        members, limit = list(rng.choice(clusters)), limits["cluster"]
    elif kind < 0.30:
        members, limit = list(start), limits["total"]
    else:
        return start
    wanted = limit + rng.choice((-1, 0, 0, 1)) - sum(start[name] for name in members)
    name = rng.choice(members)
    if start[name] + wanted < 0:
        return start
    return _within_capital(start | {name: start[name] + wanted})


def _pinned(rng: random.Random, start: Mapping[str, Fraction]) -> frozenset[str]:
    """Half of the cases have none; of the rest a few pin nearly everything."""
    if rng.random() < 0.5:
        return frozenset()
    share = rng.choice((0.1, 0.3, 0.3, 0.9))
    return frozenset(name for name in start if rng.random() < share)


def _nearly_full(
    rng: random.Random,
    start: dict[str, Fraction],
    pinned: frozenset[str],
    clusters: Sequence[Sequence[str]],
    limits: Limits,
) -> dict[str, Fraction]:
    """Sometimes: one pin leaves a few floors' worth, just about, of its cluster or of the total."""
    if not pinned or rng.random() < 0.5:
        return start
    name = rng.choice(sorted(pinned))
    members, limit = list(start), limits["total"]
    if rng.random() < 0.5:
        members = next((list(c) for c in clusters if name in c), members)
        limit = limits["cluster"] if len(members) < len(start) else limit
    unpinned = len(set(members) - pinned)
    left = limits["minimum"] * rng.randint(0, unpinned) + rng.choice((-1, 0, 0, 1, 50, 99))
    others = sum((start[n] for n in members if n in pinned and n != name), Fraction(0))
    return _within_capital(start | {name: max(Fraction(0), limit - left - others)})


def _proposal(rng: random.Random, start: Mapping[str, Fraction], *, rational: bool) -> dict[str, Fraction]:
    """The start itself, a perturbation of it, or what a mode might make of it."""
    kind = rng.random()
    names = sorted(start)
    proposal = dict(start)
    if kind < 0.35:
        return proposal
    if kind < 0.55:  # small steps
        for name in names:
            if rng.random() < 0.5:
                proposal[name] = max(Fraction(0), start[name] + rng.randint(-300, 300))
    elif kind < 0.70:  # winners take from losers
        for loser, winner in zip(names[::2], names[1::2], strict=False):
            step = Fraction(floor(min(Fraction(500), start[loser] / 2)))
            proposal[loser] -= step
            proposal[winner] += step
    elif kind < 0.85:  # inverse volatility: what was held hardly matters
        pull = {name: 1 / rng.uniform(0.05, 0.8) for name in names}
        for name in names:
            if start[name] > 0:
                proposal[name] = Fraction(round(6000 * pull[name] / sum(pull.values())))
    elif kind < 0.93:  # one gives up a large part
        largest = max(names, key=lambda n: (start[n], n))
        proposal[largest] = Fraction(floor(start[largest] * rng.randint(1, 9) / 10))
    else:  # somebody's own idea, without regard to what was held
        for name in names:
            proposal[name] = _weight(rng, rng.uniform(0, 20_000 / len(names)), rational=rational)
    return proposal


# --- aimed -----------------------------------------------------------------------------------------------


def aimed_cases() -> Iterator[Case]:
    """Small cases, each on an edge: where a rule switches, one basis point must not matter much."""
    # a single strategy
    for weight in (0, 1, 99, 100, 101, 3999, 4000, 4001, 6000, 6001, 10_000, "199/2", "201/2", "8001/2"):
        yield _case([weight])
        yield _case([weight], pinned="A")
        yield _case([weight], clusters=["A"])

    # the worked examples of section 15
    yield _case([3400, 2000, 1030], [1600, 2000, 1030], clusters=["AB"])
    yield _case([3000, 2500, 1000], [3500, 2000, 1000])
    yield _case([3400, "6050/3", "3100/3"], clusters=["AB"])

    # near-ties for who is largest, who is smallest, and who gets the last basis point
    for gap in (-1, 0, 1):
        yield _case([2000 + gap, 2000, 1000], clusters=["ABC"])
        yield _case([2000, 2000 + gap, 2000, 2000 + gap, 1999], clusters=["AC", "BD"])
        yield _case([1001 + gap, 1001, 1001, 1001, 1001, 1001, 1001])
        yield _case([2950, 100 + gap, 100, 100], pinned="A", clusters=["ABCD"])
        yield _case([2799, 101, 101 + gap, 101], pinned="A", clusters=["ABCD"])
        yield _case([5750, 100, 100 + gap, 100], pinned="A")

    # a cluster at 30 %, a total at 60 %, or one basis point (or half of one) beside it
    for beside in (-1, 0, 1, "1/2", "-1/2"):
        yield _case([2000, 1000 + Fraction(beside), 500], clusters=["AB"])
        yield _case([2900 + Fraction(beside), 100], clusters=["AB"])
        yield _case([2800 + Fraction(beside), 100, 100, 3000], clusters=["ABC"])
        yield _case([2000, 2000, 2000 + Fraction(beside)])
        yield _case([3000 + Fraction(beside), 100, 2900, 100], clusters=["AB", "CD"])
        yield _case([1500, 1500, 1500 + Fraction(beside), 1500], clusters=["AB", "CD"])
        yield _case([1500 + Fraction(beside), 1500, 1600, 1500, 99], clusters=["ABE", "CD"])

    # pins that fill a limit to the floor of one, two or three strategies, just about
    for count in (1, 2, 3):
        for spare in (-1, 0, 1, 50, 99, "1/2", "-1/2"):
            left = 100 * count + Fraction(spare)
            yield _case([3000 - left, *[200] * count], pinned="A", clusters=["ABCD"[: count + 1]])
            yield _case([3000 - left, 400, *[100] * count], pinned="A", clusters=["ABCDE"[: count + 2]])
            yield _case([3500, 2500 - left, *[200] * count], pinned="AB")
            yield _case([3500, 2500 - left, 400, *[100] * count], pinned="AB", clusters=["BCDE"])
            yield _case([2800, 3200 - left, 150, *[100] * count], pinned="AB", clusters=["ACD", "B"])
    yield _case([2900, 3000, 300, 300], pinned="AB", clusters=["AC", "BD"])
    yield _case([3100, 300, 300], pinned="A", clusters=["AB"])
    yield _case([3500, 2600, 300], pinned="AB")

    # everything pinned, within the limits and beyond them
    yield _case([2000, 2000, 1000], pinned="ABC", clusters=["AC"])
    yield _case([4100, 2000, 1000, 50], pinned="ABCD", clusters=["AB"])

    # 100.5 bp and its like
    for weight in ("201/2", "199/2", "601/6", "100001/1000"):
        yield _case([2900, weight, weight], clusters=["ABC"])
        yield _case([*[weight] * 30, 3000], clusters=[])
        yield _case(["20001/7", weight, 200], pinned="A", clusters=["ABC"])
    yield _case([1, 4000, 4000], ["12001/3", "12001/3", "11999/3"], clusters=["AB"])

    # two roundings (cluster, then total) on top of an exit: the largest movement found, 102 bp
    yield _case(
        [2317, 100, "1110/11", 100],
        ["175342/99", "298027/99", "1110/11", "121658/99"],
        clusters=["ACD"],
    )

    # forty to sixty strategies: the floors of the total just fit, or just do not
    for count in (59, 60, 61):
        yield _case([100] * count)
        yield _case([150] * count)
    yield _case([100] * 59 + [101])
    yield _case([100] * 59 + [99])
    yield _case([200] * 59 + [99])
    yield _case([100] * 40, clusters=[list(range(31)), list(range(31, 40))])

    # entering: one basis point below the minimum, with everything else full
    yield _case([2000, 901, 99], clusters=["ABC"])
    yield _case([2950, 50, 99], [2801, 199, 99], clusters=["ABC"])
    yield _case([2801, 199, 99], pinned="A", clusters=["ABC"])
    yield _case([3000, 3000, 99], clusters=[])
    yield _case([3000, 3000, 99, 99, 99], clusters=["ACD", "BE"])

    # a cluster brings its members level at the floor, and then the total has no room for all of them
    yield _case([2800, 3001, 199, 99], pinned="AB", clusters=["ACD"])
    yield _case([2800, 3001, 99, 199], pinned="AB", clusters=["ACD"])
    yield _case([2800, 3001, 50, 100], [2800, 3001, 199, 99], pinned="AB", clusters=["ACD"])

    # a mode that raises: from nothing, from little, from much
    yield _case([0, 500], [2500, 500], clusters=["AB"])
    yield _case([0, 2000], [2500, 2000], clusters=["AB"])
    yield _case([0, 0, 1000], [2000, 2000, 1000], clusters=["AB"])
    yield _case([1, 1, 1000], [2000, 2000, 1000], clusters=["AB"])
    yield _case([100, 100, 1000], [2000, 2000, 1000], clusters=["AB"])
    yield _case([50, 3500], [3500, 50], clusters=["AB"])
    yield _case([0, 4000, 2000], [2001, 2000, 2000])


def _case(
    start: Sequence[int | str | Fraction],
    proposal: Sequence[int | str | Fraction] | None = None,
    *,
    pinned: str = "",
    clusters: Sequence[str | Sequence[int]] = (),
) -> Case:
    """A case by position: the first strategy is A, the second B, and so on."""
    width = len(start)
    names = [f"STR-{chr(65 + place)}" if width <= 26 else f"STR-{place:02d}" for place in range(width)]

    def name_of(mark: str | int) -> str:
        return names[ord(mark) - 65 if isinstance(mark, str) else mark]

    before = {name: Fraction(weight) for name, weight in zip(names, start, strict=True)}
    after = before
    if proposal is not None:
        after = {name: Fraction(weight) for name, weight in zip(names, proposal, strict=True)}
    return Case(
        start=before,
        proposal=dict(after),
        pinned=frozenset(name_of(mark) for mark in pinned),
        clusters=tuple(
            tuple(name_of(mark) for mark in members if not isinstance(mark, str) or ord(mark) - 65 < width)
            for members in clusters
        ),
    )
