"""Assess: where each strategy stands against its target."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

from portfolio_rebalance.allocation import choose_start
from portfolio_rebalance.analytics import portfolio_drift, strategy_drift
from portfolio_rebalance.config import Config
from portfolio_rebalance.config_notify import SEVERE_DRIFT_PERCENT
from portfolio_rebalance.records import (
    Assessment,
    DeployedTotal,
    Portfolio,
    StrategyAssessment,
    StrategyState,
)
from portfolio_rebalance.tools.settings import limits_from
from portfolio_rebalance.units import BP_PER_PERCENT, BP_PER_UNIT, Bp

__all__ = ["assess", "rounded_percent"]

_MEDIUM_DRIFT: Final = Fraction(2, 100)
_ALERT_DRIFT: Final = Fraction(SEVERE_DRIFT_PERCENT, 100)


def assess(
    portfolio: Portfolio, *, as_of: datetime, config: Config, fixed: frozenset[str] | None = None
) -> Assessment:
    """Drift of every strategy and of the portfolio, with priorities and alerts.

    Args:
        portfolio: The state.
        as_of: The run's instant.
        config: Thresholds.
        fixed: Ids that may not change; the registry's pins where None.
    """
    current, target = portfolio.current_bp, portfolio.target_bp
    thresholds = config.drift_thresholds
    high = Fraction(thresholds.individual_drift_percent) / 100
    start = choose_start(
        current_bp=current,
        target_bp=target,
        fixed=portfolio.pinned if fixed is None else fixed,
        drift_threshold=high,
        minimum_bp=limits_from(config).individual_min_bp,
    )
    drifts = {key: strategy_drift(current[key], target[key]) for key in current}
    rows = {
        state.strategy: _row(
            state,
            total=portfolio.total_capital,
            current_bp=current[state.strategy],
            drift=drifts[state.strategy],
            high=high,
            starts_from="current" if start[state.strategy] == current[state.strategy] else "target",
            windows=config.impact_simulation.lookback_windows,
        )
        for state in portfolio.strategies
    }
    whole = portfolio_drift(current, target)
    deployed = sum((state.capital for state in portfolio.strategies), Decimal(0))
    return Assessment(
        as_of=as_of,
        currency=portfolio.currency,
        total_capital=portfolio.total_capital,
        cash=portfolio.cash,
        current_allocations=rows,
        total_deployed=DeployedTotal(
            capital=deployed,
            alloc_percent=rounded_percent(sum(current.values(), Fraction(0)) / BP_PER_UNIT),
            target=rounded_percent(sum(target.values(), Fraction(0)) / BP_PER_UNIT),
        ),
        portfolio_drift_percent=None if whole is None else rounded_percent(whole),
        portfolio_drift_flagged=whole is not None
        and whole > Fraction(thresholds.portfolio_drift_percent) / 100,
        candidates=tuple(
            key for priority in ("high", "medium") for key in sorted(rows) if rows[key].priority == priority
        ),
        alerts=tuple(
            f"{key} drifted {rounded_percent(drift)} % from its target: severe imbalance"
            for key, drift in sorted(drifts.items())
            if drift is not None and abs(drift) > _ALERT_DRIFT
        ),
        warnings=portfolio.warnings,
        stale_data=bool(portfolio.stale),
    )


def rounded_percent(fraction: Fraction) -> Decimal:
    """A fraction as a percentage with two decimals, half to even."""
    return Decimal(round(fraction * BP_PER_UNIT)) / BP_PER_PERCENT


def _row(
    state: StrategyState,
    *,
    total: Decimal,
    current_bp: Bp,
    drift: Fraction | None,
    high: Fraction,
    starts_from: Literal["current", "target"],
    windows: tuple[str, ...],
) -> StrategyAssessment:
    target = Fraction(state.target_percent) / 100 * Fraction(total)
    return StrategyAssessment(
        strategy=state.strategy,
        name=state.name,
        capital=state.capital,
        target=Decimal(round(target * 100)) / 100,
        alloc_percent=rounded_percent(current_bp / BP_PER_UNIT),
        target_percent=state.target_percent,
        drift_percent=None if drift is None else rounded_percent(drift),
        priority=_priority(drift, high=high),
        starts_from=starts_from,
        pinned=state.pinned,
        pnl={window: state.pnl.get(window) for window in windows},
        stale=state.stale,
    )


def _priority(drift: Fraction | None, *, high: Fraction) -> Literal["high", "medium", "low"]:
    if drift is None or abs(drift) > high:
        return "high"
    return "medium" if abs(drift) >= _MEDIUM_DRIFT else "low"
