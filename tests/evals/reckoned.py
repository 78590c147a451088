"""What a scenario must come to, reckoned apart from the product.

Everything is worked out of the files that a scenario's workspace consists of, with plain floats and
Fractions: windows, correlations, clusters, statistics (`reckoned_statistics.py`), the five modes, rounding,
repair, the trade limit, and the verdict. No line is shared with the product; modes and repair are those of
`oracle.py`, which restates the specification. What this file cannot decide by itself it refuses to answer
(:class:`UndecidedError`), instead of guessing: a correlation at a threshold, a nearest allocation among too
many exits.

Unit: basis points of total capital, exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev

import oracle
from reckoned_desk import Desk, Weights, desk_of
from reckoned_statistics import (
    CLOSE,
    YEAR,
    Pair,
    UndecidedError,
    above,
    components,
    correlations,
    statistics,
)

from portfolio_rebalance.evals.scenario import Scenario

ZERO = Fraction(0)
HUGE = Fraction(10**9)


@dataclass(frozen=True)
class Reckoned:
    """One mode's outcome.

    Attributes:
        allocations: In basis points, exact.
        exposure: ``PASS``, ``FAIL`` or ``NOT_EVALUATED``, after repair.
        improvement: Of the Sharpe ratio in percent; None where it is undefined.
        trades: How many strategies change.
    """

    mode: str
    allocations: Weights
    clusters: tuple[tuple[str, ...], ...]
    exposure: str
    improvement: float | None
    recommendation: str
    basis: str
    trades: int


def reckon(scenario: Scenario, root: Path, *, mode: str | None = None) -> Reckoned:
    """Work a scenario out.

    Args:
        scenario: Whose request asks for a mode, unless ``mode`` says which.
        root: Its workspace, written by the builder.
        mode: Another mode than the one that is asked for.
    """
    desk = desk_of(scenario, root)
    known, unknown = correlations(desk.window, least=desk.least)
    computed = bool(known) or not unknown
    name = mode or desk.mode
    if not computed:
        name = "proportional"
    high = [pair for pair, value in known.items() if above(value, desk.number("high", 0.7))]
    clusters = tuple(components(desk.current, high)) if computed else ()
    start = _start(desk)
    wish = _wish(desk, name, start=start, clusters=clusters)
    rounded = _rounded(wish, current=desk.current)
    final = _within_limits(desk, rounded, start=start, clusters=clusters)
    improvement = _improvement(desk, final)
    recommendation, basis = _verdict(desk, final, clusters=clusters, improvement=improvement)
    return Reckoned(
        mode=name,
        allocations=final,
        clusters=clusters,
        exposure=_exposure(desk, final, clusters=clusters, unknown=unknown if computed else None),
        improvement=improvement,
        recommendation=recommendation,
        basis=basis,
        trades=sum(final[key] != desk.current[key] for key in final),
    )


# --- proposing -------------------------------------------------------------------------------------------


def _start(desk: Desk) -> Weights:
    threshold, minimum = Fraction(str(desk.number("drift", 5))) / 100, desk.limits()["minimum"]
    start = dict(desk.current)
    for key, target in desk.target.items():
        drifted = abs(desk.current[key] - target) > threshold * target
        if key not in desk.fixed and (drifted or (target >= minimum and desk.current[key] < minimum)):
            start[key] = target
    return start


def _wish(desk: Desk, mode: str, *, start: Weights, clusters: Sequence[Sequence[str]]) -> Weights:
    limits = desk.limits(buffer=True)
    sharpe, volatility, psr = statistics(desk.window, least=desk.least)
    if mode == "proportional":
        return oracle.proportional(start, pinned=desk.fixed, total=limits["total"])
    if mode == "correlation_aware":
        return oracle.correlation_aware(
            start, pinned=desk.fixed, clusters=clusters, cluster=limits["cluster"]
        )
    if mode == "performance_weighted":
        return oracle.performance_weighted(
            start,
            sharpe_ratios=sharpe,
            pinned=desk.fixed,
            clusters=clusters,
            cluster=limits["cluster"],
            maximum=limits["maximum"],
            step=int(100 * desk.number("step", 5)),
            max_trades=int(desk.number("trades", 10)),
        )
    if mode == "risk_adjusted":
        if any(value is not None and abs(value - 0.1) < CLOSE for value in psr.values()):
            raise UndecidedError("a PSR is at the threshold")
        return oracle.risk_adjusted(
            start,
            volatilities=volatility,
            psr=psr,
            pinned=desk.fixed,
            total=limits["total"],
            maximum=limits["maximum"],
        )
    assert mode == "minimal_turnover", mode
    return _nearest(desk, start=start, clusters=clusters)


def _nearest(desk: Desk, *, start: Weights, clusters: Sequence[Sequence[str]]) -> Weights:
    """The nearest compliant allocation that never raises.

    First without the minimum: where everybody keeps at least the minimum all the same, nothing can be nearer.
    Else by trying every set of exits, among ten strategies at most.
    """
    limits = desk.limits(buffer=True)
    free = [key for key in sorted(start) if key not in desk.fixed and start[key] >= limits["minimum"]]
    gone = {key: ZERO for key in start if key not in desk.fixed and key not in free}
    held = {key: start[key] for key in desk.fixed}
    budgets = [
        (
            [key for key in group if key in free],
            limits["cluster"] - sum((held.get(key, ZERO) for key in group), ZERO),
        )
        for group in clusters
    ]
    total = limits["total"] - sum(held.values(), ZERO)
    caps = {key: min(start[key], Fraction(limits["maximum"])) for key in free}

    def nearest(floor_of: Mapping[str, int], leaving: Sequence[str] = ()) -> Weights | None:
        boxes = {
            key: (ZERO, ZERO) if key in leaving else (Fraction(floor_of[key]), caps[key]) for key in free
        }
        return oracle.nearest_point(start, boxes, budgets, total)

    relaxed = nearest(dict.fromkeys(free, 0))
    if relaxed is not None and all(value >= limits["minimum"] for value in relaxed.values()):
        return held | gone | relaxed
    if len(free) > 10:
        raise UndecidedError("too many sets of exits")
    best: Weights | None = None
    for count in range(len(free) + 1):
        for leaving in combinations(free, count):
            found = nearest(dict.fromkeys(free, limits["minimum"]), leaving)
            if found is not None and (best is None or _distance(start, found) < _distance(start, best)):
                best = found
    assert best is not None
    return held | gone | best


def _distance(start: Weights, found: Weights) -> Fraction:
    return sum(((start[key] - value) ** 2 for key, value in found.items()), ZERO)


def _rounded(wish: Weights, *, current: Weights) -> Weights:
    """Whole basis points of what changes, by largest remainder within what the wishes sum to."""
    changed = {key: value for key, value in wish.items() if value != current[key]}
    budget = sum(changed.values(), ZERO)
    whole = oracle.whole_basis_points(changed, dict.fromkeys(changed, HUGE), budget=budget)
    return {**wish, **whole}


# --- limits ----------------------------------------------------------------------------------------------


def _within_limits(
    desk: Desk, wish: Weights, *, start: Weights, clusters: Sequence[Sequence[str]]
) -> Weights:
    """Repaired, with as many changes as are allowed: forced ones, leaders of broken clusters, the largest."""
    limits, judged = desk.limits(buffer=True), desk.limits()
    most = int(desk.number("trades", 10))

    def repair(weights: Weights, kept: frozenset[str]) -> Weights:
        return oracle.repair(weights, start=start, pinned=kept, clusters=clusters, **limits)

    full = repair(wish, desk.fixed)
    changed = [key for key in sorted(full) if full[key] != desk.current[key]]
    if len(changed) <= most or oracle.breaches(full, clusters=clusters, **judged):
        return full
    now = desk.current
    forced = {
        key
        for key in now
        if key not in desk.fixed and (now[key] > limits["maximum"] or 0 < now[key] < limits["minimum"])
    }
    leaders = set()
    for group in clusters:
        movable = [key for key in group if key in changed]
        if movable and sum((now[key] for key in group), ZERO) > limits["cluster"]:
            leaders.add(min(movable, key=lambda key: (-now[key], key)))
    order = sorted(
        changed, key=lambda key: (key not in forced, key not in leaders, -abs(full[key] - now[key]), key)
    )
    chosen = order[:most]
    kept = frozenset(set(now) - set(chosen))
    tried = repair({key: wish[key] if key in chosen else now[key] for key in now}, kept)
    if oracle.breaches(tried, clusters=clusters, **judged):
        raise UndecidedError("the trade limit asks for another choice")
    return tried


def _exposure(
    desk: Desk, final: Weights, *, clusters: Sequence[Sequence[str]], unknown: Sequence[Pair] | None
) -> str:
    """Judged with all unknown pairs taken as high, too; None of them where nothing could be computed."""
    if unknown is None:
        return "NOT_EVALUATED"
    limit = desk.limits()["cluster"]
    if any(sum((final[key] for key in group), ZERO) > limit for group in clusters):
        return "FAIL"
    joined = [pair for group in clusters for pair in combinations(group, 2)]
    worst = components(final, [*joined, *unknown])
    if any(sum((final[key] for key in group), ZERO) > limit for group in worst):
        return "NOT_EVALUATED"
    return "PASS"


# --- the verdict -----------------------------------------------------------------------------------------


def _improvement(desk: Desk, final: Weights) -> float | None:
    """Percent of Sharpe ratio gained in the window; 0 where nothing changes, None where undefined."""
    weighted = [key for key in final if final[key] or desk.current[key]]
    days = set.intersection(*(set(desk.window[key]) for key in weighted))
    if len(days) < desk.least:
        return None
    if final == desk.current:
        return 0.0
    before, after = (
        [_return(weights, desk, day) for day in sorted(days)] for weights in (desk.current, final)
    )
    if len(set(before)) == 1 or len(set(after)) == 1:
        return None
    base = fmean(before) / stdev(before) * YEAR
    return 100 * (fmean(after) / stdev(after) * YEAR - base) / max(abs(base), 0.1)


def _return(weights: Weights, desk: Desk, day: date) -> float:
    """The portfolio's return of a day."""
    return sum(float(weight) / 10_000 * desk.window[key][day] for key, weight in weights.items() if weight)


def _verdict(
    desk: Desk, final: Weights, *, clusters: Sequence[Sequence[str]], improvement: float | None
) -> tuple[str, str]:
    limits = desk.limits()
    impossible = bool(oracle.breaches(final, clusters=clusters, **limits))
    if impossible:
        return "BLOCKED", "compliance"
    if oracle.breaches(desk.current, clusters=clusters, **limits):
        return "REBALANCE", "compliance"
    if final == desk.current:
        return "HOLD", "none"
    threshold = desk.number("threshold", 5)
    if improvement is not None and min(abs(improvement - threshold), abs(improvement + threshold)) < CLOSE:
        raise UndecidedError("an improvement is at the threshold")
    gains = improvement is not None and improvement > threshold
    drifted = _drift(desk, final)
    if drifted is not None:
        return ("REBALANCE" if drifted == "auto" or gains else "OPTIONAL"), "drift"
    if improvement is None or improvement < -threshold:
        return "HOLD", "improvement"
    return ("REBALANCE" if gains else "OPTIONAL"), "improvement"


def _drift(desk: Desk, final: Weights) -> str | None:
    """Which drift demands the change; None where none does, or where the change does not lower it."""
    wanted = sum(desk.target.values(), ZERO)
    if not wanted:
        raise UndecidedError("every target is 0")

    def away(weights: Weights) -> Fraction:
        return 100 * sum((abs(weights[key] - target) for key, target in desk.target.items()), ZERO) / wanted

    if away(final) >= away(desk.current):
        return None
    own = [
        100 * abs(desk.current[key] - target) / target
        for key, target in desk.target.items()
        if target and key not in desk.fixed
    ]
    most = max(own, default=ZERO)
    if most > desk.number("auto", 10):
        return "auto"
    winding_down = any(not target and final[key] < desk.current[key] for key, target in desk.target.items())
    if most > desk.number("drift", 5) or winding_down or away(desk.current) > desk.number("portfolio", 2):
        return "some"
    return None


def percent(bp: Fraction) -> Decimal:
    """Two decimals, half to even, as expectations are written."""
    return Decimal(round(bp)) / 100
