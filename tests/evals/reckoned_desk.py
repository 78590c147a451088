"""A scenario's workspace as a person with a pocket calculator reads it: its files, and its configuration."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml
from reckoned_statistics import Window

from portfolio_rebalance.evals.scenario import Scenario, StrategySpec

Weights = dict[str, Fraction]
KEYWORDS = {"reduce correlation": "correlation_aware", "fix drift": "proportional"}
PLACES = {
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
    window: Window

    @property
    def least(self) -> int:
        """Observations below which a statistic is undefined."""
        return int(self.number("observations", 20))

    def number(self, name: str, default: float) -> float:
        """A key of the configuration, or its default."""
        node: Any = self.config
        for step in PLACES[name]:
            node = node.get(step, {}) if isinstance(node, Mapping) else {}
        return float(default) if node == {} else float(node)

    def limits(self, *, buffer: bool = False) -> dict[str, int]:
        """In basis points, under the names that the oracle takes; of two limits of a cluster the stricter."""
        fraction = self.config.get("correlation_analysis", {}).get("correlated_cluster_max_allocation", 0.3)
        percent = {
            "total": self.number("total", 60),
            "cluster": min(self.number("cluster", 30), 100 * float(fraction)),
            "maximum": self.number("maximum", 40),
            "minimum": self.number("minimum", 1),
        }
        limits = {name: round(100 * value) for name, value in percent.items()}
        less = int(self.number("buffer", 0)) if buffer else 0
        return {name: value if name == "minimum" else value - less for name, value in limits.items()}


def desk_of(scenario: Scenario, root: Path) -> Desk:
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
