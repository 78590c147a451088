"""Facts of a watch: what the monitor and the feedback agent may speak of. Nothing that a person wrote."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from portfolio_rebalance.agents.facts import FactBuilder
from portfolio_rebalance.records import Comparisons, CostCheck, Outcome, Tick

__all__ = ["facts_of_divergence", "facts_of_tick", "metric_of_label"]

_MOST_STRATEGIES: Final = 12
_UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {"sharpe_ratio": "", "max_drawdown": "%", "win_rate": "", "return": "%"}
)
_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sharpe_ratio": "Sharpe ratio",
        "max_drawdown": "maximum drawdown",
        "win_rate": "win rate",
        "return": "return",
    }
)
_COST: Final = "cost of the batch"


def facts_of_tick(tick: Tick) -> FactBuilder:
    """What may be said of one look at a rebalance that is watched."""
    allocations = tick.allocations or ()
    build = FactBuilder({one.strategy: f"S{number}" for number, one in enumerate(allocations, start=1)})
    build.section("watch")
    build.add("mode", tick.mode.replace("_", " "))
    build.add("days of the watch", tick.of_days)
    build.add("whether the watch is over", "yes" if tick.is_last else "no")
    build.add("new alerts", len(tick.alerts))
    _add_comparisons(build, tick.realised)
    _add_cost(build, tick.cost)
    build.section("allocations and targets")
    build.add("state of the portfolio", "readable" if tick.allocations is not None else "cannot be read")
    furthest = sorted(allocations, key=lambda one: (-abs(one.drift or Decimal(0)), one.strategy))
    for one in furthest[:_MOST_STRATEGIES]:
        name = build.aliases[one.strategy]
        build.add(f"{name} allocation", one.alloc, "%")
        build.add(f"{name} target", one.target, "%")
        build.add(f"{name} drift from its target", one.drift, "%")
    return build


def facts_of_divergence(seen: Tick | Outcome) -> FactBuilder:
    """What may be said of a rebalance that diverged, while it is watched or when its days are over."""
    build = FactBuilder({})
    build.section("rebalance")
    build.add("mode", seen.mode.replace("_", " "))
    build.add("its days are over", "yes" if isinstance(seen, Outcome) else "no")
    if isinstance(seen, Outcome):
        build.add("graded", "yes" if seen.graded else "no")
        build.add("predicted probability that it would help", seen.probability_helps)
    _add_comparisons(build, seen.realised)
    _add_cost(build, seen.cost)
    return build


def metric_of_label(label: str) -> str | None:
    """The metric, or ``cost``, that a fact's label belongs to; None for a fact about something else."""
    if label.startswith(_COST):
        return "cost"
    return next((metric for metric, name in _NAMES.items() if label.startswith(f"{name}, ")), None)


def _add_comparisons(build: FactBuilder, found: Comparisons) -> None:
    build.section("days")
    build.add("full days that have closed", found.days)
    build.add("days on which every strategy has a return", found.observations)
    build.add("strategies without a return on some day", len(found.missing))
    build.add(
        "ahead of the portfolio that nobody traded",
        None if found.ahead_of_shadow is None else "yes" if found.ahead_of_shadow else "no",
    )
    for one in found.metrics:
        name, unit = _NAMES[one.metric], _UNITS[one.metric]
        build.section(name)
        build.add(f"{name}, projected", one.projected, unit)
        build.add(f"{name}, realised", one.realised, unit)
        build.add(f"{name}, of the portfolio that nobody traded", one.shadow, unit)
        build.add(f"{name}, low end of its interval", one.low, unit)
        build.add(f"{name}, high end of its interval", one.high, unit)
        build.add(f"{name}, divergence from the projection", one.divergence_percent, "%")
        build.add(f"{name}, as code judges it", one.verdict.replace("_", " "))


def _add_cost(build: FactBuilder, cost: CostCheck) -> None:
    build.section("cost")
    build.add(f"{_COST}, estimated", cost.estimated_bps, "bp")
    build.add(f"{_COST}, actual", cost.actual_bps, "bp")
    build.add(f"{_COST}, divergence from the estimate", cost.divergence_percent, "%")
    build.add(f"{_COST}, as code judges it", cost.verdict.replace("_", " "))
