"""Analytics: the numbers, as a paper would write them.

In: numpy arrays and plain values. Out: the same. It never reads a file, a clock, a record or a model, and
draws random numbers only from a generator that is handed in.
"""

from portfolio_rebalance.analytics.bootstrap import (
    SharpeDifference,
    paired_sharpe_bootstrap,
    stationary_indices,
)
from portfolio_rebalance.analytics.calibration import (
    Reliability,
    brier_score,
    log_odds,
    probability_of,
    reliability,
    wilson_interval,
)
from portfolio_rebalance.analytics.clusters import connected_components
from portfolio_rebalance.analytics.correlation import (
    PairwiseCorrelation,
    correlate,
    duplicated,
    fisher_interval,
    lagged,
    self_correlate,
)
from portfolio_rebalance.analytics.drift import portfolio_drift, strategy_drift
from portfolio_rebalance.analytics.holding import held_returns
from portfolio_rebalance.analytics.metrics import (
    max_drawdown,
    non_flat,
    probabilistic_sharpe_ratio,
    sharpe_ratio,
    total_return,
    volatility,
    win_rate,
)
from portfolio_rebalance.analytics.outlook import (
    DayOutlook,
    Interval,
    coverage_of,
    day_rows,
    outlook,
    running_metrics,
)
from portfolio_rebalance.analytics.returns import Days, Floats, Integers, ReturnsTable, calendar_window

__all__ = [
    "DayOutlook",
    "Days",
    "Floats",
    "Integers",
    "Interval",
    "PairwiseCorrelation",
    "Reliability",
    "ReturnsTable",
    "SharpeDifference",
    "brier_score",
    "calendar_window",
    "connected_components",
    "correlate",
    "coverage_of",
    "day_rows",
    "duplicated",
    "fisher_interval",
    "held_returns",
    "lagged",
    "log_odds",
    "max_drawdown",
    "non_flat",
    "outlook",
    "paired_sharpe_bootstrap",
    "portfolio_drift",
    "probabilistic_sharpe_ratio",
    "probability_of",
    "reliability",
    "running_metrics",
    "self_correlate",
    "sharpe_ratio",
    "stationary_indices",
    "strategy_drift",
    "total_return",
    "volatility",
    "wilson_interval",
    "win_rate",
]
