"""What modes need to know about each strategy: Sharpe ratio, volatility, PSR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from portfolio_rebalance.analytics import (
    Floats,
    ReturnsTable,
    non_flat,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
    volatility,
)
from portfolio_rebalance.config import Config

__all__ = ["StrategyStatistics", "strategy_statistics"]


@dataclass(frozen=True, slots=True)
class StrategyStatistics:
    """By id; None where undefined or resting on fewer than ``min_observations`` days.

    Attributes:
        sharpe_ratios: Annualised.
        volatilities: Annualised, over non-flat days, because idle days hide risk.
        psr: Probability that the true Sharpe ratio exceeds 0.
    """

    sharpe_ratios: Mapping[str, float | None]
    volatilities: Mapping[str, float | None]
    psr: Mapping[str, float | None]


def strategy_statistics(window: ReturnsTable, *, config: Config) -> StrategyStatistics:
    """Statistics of every column of a window. A handful of days would rank first or last by luck alone."""
    days, rate = config.annualization_days, float(config.risk_free_rate_percent) / 100

    def enough(key: str) -> Floats | None:
        observed = window.column(key)
        return observed if observed.size >= config.min_observations else None

    columns = {key: enough(key) for key in window.ids}
    return StrategyStatistics(
        sharpe_ratios={
            key: None if column is None else sharpe_ratio(column, periods=days, risk_free_rate=rate)
            for key, column in columns.items()
        },
        volatilities={
            key: None if column is None else volatility(non_flat(column), periods=days)
            for key, column in columns.items()
        },
        psr={
            key: None if column is None else probabilistic_sharpe_ratio(column)
            for key, column in columns.items()
        },
    )
