"""What a scenario must come to, reckoned apart from the product.

Everything is worked out of the files that a scenario's workspace consists of, with plain floats and Fractions:
windows, correlations, clusters, statistics, the five modes, rounding, repair, the trade limit, and the verdict.
No line is shared with the product; modes and repair are those of `oracle.py`, which restates the specification.
What this file cannot decide by itself it refuses to answer (:class:`Undecided`), instead of guessing: a
correlation at a threshold, a nearest allocation among too many exits.

Unit: basis points of total capital, exact.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from math import erfc, floor, sqrt
from pathlib import Path
from statistics import correlation, fmean, pstdev, stdev
from typing import Any

import oracle
import yaml

from portfolio_rebalance.evals.scenario import Scenario, StrategySpec

Weights = dict[str, Fraction]
MODES = ("proportional", "correlation_aware", "performance_weighted", "risk_adjusted", "minimal_turnover")
KEYWORDS = {"reduce correlation": "correlation_aware", "fix drift": "proportional"}
ZERO = Fraction(0)
HUGE = Fraction(10**9)
CLOSE = 1e-6


class Undecided(Exception):
    """A figure is so near a threshold, or a search so large, that a second opinion would be a guess."""


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


@dataclass
class Desk:
    """A workspace as a person with a pocket calculator reads it."""

    scenario: Scenario
    root: Path
    mode: str
    config: Mapping[str, Any]
    strategies: Mapping[str, StrategySpec]
    current: Weights
    target: Weights
    fixed: frozenset[str]
    window: Mapping[str, Mapping[date, float]]
    known: dict[tuple[str, str], float] = field(default_factory=dict)
    unknown: list[tuple[str, str]] = field(default_factory=list)


def reckon(scenario: Scenario, root: Path, *, mode: str | None = None) -> Reckoned:
    """Work a scenario out.

    Args:
        scenario: Whose request asks for a mode, unless ``mode`` says which.
        root: Its workspace, written by the builder.
        mode: Another mode than the one that is asked for.
    """
    desk = _desk(scenario, root)
    _correlate(desk)
    computed = bool(desk.known) or not desk.unknown
    name = mode or desk.mode
    if not computed:
        name = "proportional"
    high = [pair for pair, value in desk.known.items() if _above(value, _of(desk, "high", 0.7))]
    clusters = tuple(_components(desk.current, high)) if computed else ()
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
        exposure=_exposure(desk, final, clusters=clusters, computed=computed),
        improvement=improvement,
        recommendation=recommendation,
        basis=basis,
        trades=sum(final[key] != desk.current[key] for key in final),
    )


# --- reading ---------------------------------------------------------------------------------------------


def _desk(scenario: Scenario, root: Path) -> Desk:
    space = scenario.workspace
    strategies = dict(space.strategies)
    for number in range(space.many):
        strategies[f"STR-M{number:03d}"] = StrategySpec(capital=space.many_capital)
    total = Fraction(space.total_capital)
    registry = yaml.safe_load((root / "knowledge/registry.yaml").read_text())["strategies"]
    target = {key: Fraction(str(registry[key]["target_allocation_percent"])) * 100 for key in strategies}
    config = (yaml.safe_load(space.config) or {}) if space.config else {}
    pinned = {key for key, one in strategies.items() if one.pinned}
    lookback = config.get("correlation_analysis", {}).get("lookback_days", 30)
    last = date.fromisoformat(space.as_of[:10]) - timedelta(days=1)
    window = {}
    for key in strategies:
        file = root / f"live-monitoring/live-performance/{key}/daily_returns.csv"
        rows = list(csv.DictReader(file.read_text().splitlines())) if file.exists() else []
        series = {date.fromisoformat(row["date"]): float(row["return"]) for row in rows}
        window[key] = {day: value for day, value in series.items() if 0 <= (last - day).days < lookback}
    return Desk(
        scenario=scenario,
        root=root,
        mode=_asked(scenario, config),
        config=config,
        strategies=strategies,
        current={key: Fraction(one.capital) / total * 10_000 for key, one in strategies.items()},
        target=target,
        fixed=frozenset(pinned | set(scenario.request.hold)),
        window=window,
    )


def _asked(scenario: Scenario, config: Mapping[str, Any]) -> str:
    text = scenario.request.text or ""
    asked = scenario.request.mode
    if "--mode" in text:
        asked = text.split("--mode")[1].split()[0]
    asked = asked or next((mode for words, mode in KEYWORDS.items() if words in text), None)
    default = config.get("rebalancing_modes", {}).get("default", "correlation_aware")
    return (asked or default).replace("-", "_")


_PLACES = {
    "high": ("correlation_analysis", "high_correlation_threshold"),
    "total": ("circuit_breakers", "max_total_deployed_percent"),
    "cluster": ("circuit_breakers", "max_correlated_exposure_percent"),
    "maximum": ("circuit_breakers", "max_individual_allocation_percent"),
    "minimum": ("circuit_breakers", "min_allocation_percent"),
    "trades": ("execution", "max_trades_per_rebalance"),
    "drift": ("drift_thresholds", "individual_drift_percent"),
    "portfolio": ("drift_thresholds", "portfolio_drift_percent"),
    "auto": ("drift_thresholds", "auto_rebalance_threshold"),
    "threshold": ("impact_simulation", "improvement_threshold_percent"),
    "observations": ("min_observations",),
    "step": ("performance_step_percent",),
    "buffer": ("limit_buffer_bp",),
}


def _of(desk: Desk, name: str, default: float) -> float:
    node: Any = desk.config
    for step in _PLACES[name]:
        node = node.get(step, {}) if isinstance(node, Mapping) else {}
    return float(default) if node == {} else float(node)


def _limits(desk: Desk, *, buffer: bool = False) -> dict[str, int]:
    """In basis points, under the names that the oracle takes; the stricter of the two for clusters."""
    percent = {
        "total": _of(desk, "total", 60),
        "cluster": min(
            _of(desk, "cluster", 30),
            100
            * float(
                desk.config.get("correlation_analysis", {}).get("correlated_cluster_max_allocation", 0.3)
            ),
        ),
        "maximum": _of(desk, "maximum", 40),
        "minimum": _of(desk, "minimum", 1),
    }
    limits = {name: round(100 * value) for name, value in percent.items()}
    less = int(_of(desk, "buffer", 0)) if buffer else 0
    return {name: value if name == "minimum" else value - less for name, value in limits.items()}


# --- correlation and statistics --------------------------------------------------------------------------


def _correlate(desk: Desk) -> None:
    least = int(_of(desk, "observations", 20))
    idle = {
        key
        for key, series in desk.window.items()
        if len(series) >= least and all(value == 0 for value in series.values())
    }
    for pair in combinations(sorted(desk.window), 2):
        days = sorted(set(desk.window[pair[0]]) & set(desk.window[pair[1]]))
        left, right = ([desk.window[key][day] for day in days] for key in pair)
        if len(days) >= least and len(set(left)) > 1 and len(set(right)) > 1:
            desk.known[pair] = correlation(left, right)
        elif not idle.intersection(pair):
            desk.unknown.append(pair)


def _above(value: float, threshold: float) -> bool:
    if abs(value - threshold) < CLOSE:
        raise Undecided(f"a correlation of {value} is at the threshold")
    return value > threshold


def _components(keys: Mapping[str, object], edges: Sequence[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Groups of two or more that are joined by edges."""
    left, groups = set(keys), []
    while left:
        group, open_ = set(), {min(left)}
        while open_:
            key = open_.pop()
            group.add(key)
            open_ |= {one for edge in edges if key in edge for one in edge} - group
        left -= group
        if len(group) > 1:
            groups.append(tuple(sorted(group)))
    return groups


def _statistics(
    desk: Desk,
) -> tuple[dict[str, float | None], dict[str, float | None], dict[str, float | None]]:
    """Sharpe ratio, volatility of the days on which something happened, and PSR against 0."""
    least = int(_of(desk, "observations", 20))
    sharpe: dict[str, float | None] = {}
    volatility: dict[str, float | None] = {}
    psr: dict[str, float | None] = {}
    for key, series in desk.window.items():
        values = [series[day] for day in sorted(series)]
        sharpe[key] = volatility[key] = psr[key] = None
        if len(values) < least:
            continue
        moved = [value for value in values if value != 0]
        if len(moved) > 1:
            volatility[key] = stdev(moved) * sqrt(365) if len(set(moved)) > 1 else 0.0
        if len(set(values)) > 1:
            sharpe[key] = fmean(values) / stdev(values) * sqrt(365)
            psr[key] = _psr(values)
    return sharpe, volatility, psr


def _psr(values: Sequence[float]) -> float:
    ratio, mean, spread = fmean(values) / stdev(values), fmean(values), pstdev(values)
    skew = fmean([((value - mean) / spread) ** 3 for value in values])
    kurtosis = fmean([((value - mean) / spread) ** 4 for value in values])
    deviations = ratio * sqrt(len(values) - 1) / sqrt(1 - skew * ratio + (kurtosis - 1) * ratio**2 / 4)
    return 0.5 * erfc(-deviations / sqrt(2))


# --- proposing -------------------------------------------------------------------------------------------


def _start(desk: Desk) -> Weights:
    threshold, minimum = Fraction(str(_of(desk, "drift", 5))) / 100, _limits(desk)["minimum"]
    start = dict(desk.current)
    for key, target in desk.target.items():
        drifted = abs(desk.current[key] - target) > threshold * target
        if key not in desk.fixed and (drifted or (target >= minimum and desk.current[key] < minimum)):
            start[key] = target
    return start


def _wish(desk: Desk, mode: str, *, start: Weights, clusters: Sequence[Sequence[str]]) -> Weights:
    limits = _limits(desk, buffer=True)
    sharpe, volatility, psr = _statistics(desk)
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
            step=int(100 * _of(desk, "step", 5)),
            max_trades=int(_of(desk, "trades", 10)),
        )
    if mode == "risk_adjusted":
        if any(value is not None and abs(value - 0.1) < CLOSE for value in psr.values()):
            raise Undecided("a PSR is at the threshold")
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
    limits = _limits(desk, buffer=True)
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
        raise Undecided("too many sets of exits")
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
    """Repaired, and with as many changes as are allowed: forced ones, leaders of broken clusters, the largest."""
    limits, judged = _limits(desk, buffer=True), _limits(desk)
    most = int(_of(desk, "trades", 10))

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
        raise Undecided("the trade limit asks for another choice")
    return tried


def _exposure(desk: Desk, final: Weights, *, clusters: Sequence[Sequence[str]], computed: bool) -> str:
    """Judged with all unknown pairs taken as high, too."""
    if not computed:
        return "NOT_EVALUATED"
    limit = _limits(desk)["cluster"]
    if any(sum((final[key] for key in group), ZERO) > limit for group in clusters):
        return "FAIL"
    joined = [pair for group in clusters for pair in combinations(group, 2)]
    worst = _components(final, [*joined, *desk.unknown])
    if any(sum((final[key] for key in group), ZERO) > limit for group in worst):
        return "NOT_EVALUATED"
    return "PASS"


# --- the verdict -----------------------------------------------------------------------------------------


def _improvement(desk: Desk, final: Weights) -> float | None:
    """Percent of Sharpe ratio gained in the window; 0 where nothing changes, None where undefined."""
    weighted = [key for key in final if final[key] or desk.current[key]]
    days = set.intersection(*(set(desk.window[key]) for key in weighted))
    if len(days) < _of(desk, "observations", 20):
        return None
    if final == desk.current:
        return 0.0
    before, after = (
        [fsum_of(weights, desk, day) for day in sorted(days)] for weights in (desk.current, final)
    )
    if len(set(before)) == 1 or len(set(after)) == 1:
        return None
    base = fmean(before) / stdev(before) * sqrt(365)
    return 100 * (fmean(after) / stdev(after) * sqrt(365) - base) / max(abs(base), 0.1)


def fsum_of(weights: Weights, desk: Desk, day: date) -> float:
    """The portfolio's return of a day."""
    return sum(float(weight) / 10_000 * desk.window[key][day] for key, weight in weights.items() if weight)


def _verdict(
    desk: Desk, final: Weights, *, clusters: Sequence[Sequence[str]], improvement: float | None
) -> tuple[str, str]:
    limits = _limits(desk)
    impossible = bool(oracle.breaches(final, clusters=clusters, **limits))
    if impossible:
        return "BLOCKED", "compliance"
    if oracle.breaches(desk.current, clusters=clusters, **limits):
        return "REBALANCE", "compliance"
    if final == desk.current:
        return "HOLD", "none"
    threshold = _of(desk, "threshold", 5)
    if improvement is not None and min(abs(improvement - threshold), abs(improvement + threshold)) < CLOSE:
        raise Undecided("an improvement is at the threshold")
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
        raise Undecided("every target is 0")

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
    if most > _of(desk, "auto", 10):
        return "auto"
    winding_down = any(not target and final[key] < desk.current[key] for key, target in desk.target.items())
    if most > _of(desk, "drift", 5) or winding_down or away(desk.current) > _of(desk, "portfolio", 2):
        return "some"
    return None


def percent(bp: Fraction) -> Decimal:
    """Two decimals, half to even, as expectations are written."""
    return Decimal(round(bp)) / 100


def whole(bp: Fraction) -> bool:
    """Whether it is a whole number of basis points."""
    return bp == floor(bp)
