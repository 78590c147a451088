"""Prediction: what the days after a rebalance may bring, drawn from all the history there is.

Contract: made from what is known when the plan is made, and never changed. The lookback window chose the
weights, so it alone would flatter them; up to a year of returns is drawn from, and both portfolios, the one
that is traded and the one that is not, live through the same drawn days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Final

import numpy as np

from portfolio_rebalance.analytics import (
    DayOutlook,
    Floats,
    Interval,
    ReturnsTable,
    day_rows,
    log_odds,
    outlook,
    probability_of,
)
from portfolio_rebalance.config import Config
from portfolio_rebalance.records import (
    DayPrediction,
    Estimates,
    PredictedRange,
    Prediction,
    TradingCosts,
    canonical_bytes,
)
from portfolio_rebalance.units import BP_PER_UNIT, Bp, six_digits

__all__ = ["HISTORY_DAYS", "Rebalance", "predict"]

HISTORY_DAYS: Final = 365
"""Calendar days of returns that a prediction is drawn from, at most."""

_DRAWS: Final = 1_000
_PERCENT: Final = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalance:
    """The change that is predicted.

    Attributes:
        before_bp: Allocations as they are.
        after_bp: Allocations of the plan.
        costs: What the plan is estimated to cost.
    """

    mode: str
    before_bp: Mapping[str, Bp]
    after_bp: Mapping[str, Bp]
    costs: TradingCosts


def predict(change: Rebalance, *, history: ReturnsTable, estimates: Estimates, config: Config) -> Prediction:
    """Predict the days after a rebalance.

    Args:
        change: What is planned.
        history: Returns up to the last day that is known, of every strategy of the change.
        estimates: Costs and priors that the run reckons with.
        config: Days to predict, annualisation, block length, least number of observations.

    Returns:
        The prediction; with ``reason`` and nothing predicted where the history is too short.
    """
    held = [key for key in sorted(change.before_bp) if change.before_bp[key] or change.after_bp[key]]
    columns = history.select(held).values if held else np.empty((0, 0))
    common = columns[~np.isnan(columns).any(axis=1)]
    days = config.monitoring.post_rebalance_days
    seed = sha256(canonical_bytes([held, config.simulation]) + np.ascontiguousarray(common).tobytes())
    reason = ""
    by_day: tuple[DayPrediction, ...] = ()
    if common.shape[0] < config.min_observations:
        reason = (
            f"{common.shape[0]} days are common to all strategies that are held, below "
            f"{config.min_observations}: nothing is predicted"
        )
    else:
        found = outlook(
            common,
            before=_weights(change.before_bp, held),
            after=_weights(change.after_bp, held),
            cost=change.costs.plan_cost_percent / _PERCENT,
            rows=day_rows(
                common.shape[0],
                days=days,
                draws=_DRAWS,
                mean_block_days=float(config.simulation.mean_block_days),
                seed=int.from_bytes(seed.digest()),
            ),
            periods=config.annualization_days,
            risk_free_rate=float(config.risk_free_rate_percent) / _PERCENT,
        )
        by_day = tuple(_predicted(day) for day in found)
    prior = estimates.priors.get(change.mode, Decimal(0))
    return Prediction(
        mode=change.mode,
        days=days,
        history_days=int(common.shape[0]),
        before_bp={key: change.before_bp[key] for key in held},
        after_bp={key: change.after_bp[key] for key in held},
        slippage_bps=_rate(change.costs.slippage_bps),
        commission_bps=_rate(change.costs.commissions_bps),
        cost_percent=six_digits(change.costs.plan_cost_percent),
        cost=change.costs.plan_cost or Decimal(0),
        by_day=by_day,
        probability_helps=_helped_by(by_day, prior),
        prior_log_odds=prior,
        seed=seed.hexdigest(),
        reason=reason,
    )


def _weights(allocations_bp: Mapping[str, Bp], ids: list[str]) -> Floats:
    return np.array([float(allocations_bp[key] / BP_PER_UNIT) for key in ids])


def _rate(rate_bps: float | None) -> Decimal:
    """An estimate that the configuration leaves out counts as none."""
    return Decimal(0) if rate_bps is None else six_digits(rate_bps)


def _predicted(day: DayOutlook) -> DayPrediction:
    better = day.probability_better
    return DayPrediction(
        days=day.days,
        ranges={
            "sharpe_ratio": _range(day.sharpe_ratio),
            "max_drawdown": _range(day.max_drawdown, unit=_PERCENT),
            "win_rate": _range(day.win_rate),
            "return": _range(day.total_return, unit=_PERCENT),
        },
        probability_better=None if better is None else six_digits(better),
    )


def _range(interval: Interval | None, *, unit: float = 1.0) -> PredictedRange | None:
    if interval is None:
        return None
    return PredictedRange(
        low=six_digits(unit * interval.low),
        median=six_digits(unit * interval.median),
        high=six_digits(unit * interval.high),
        low_weight=six_digits(interval.low_weight),
        high_weight=six_digits(interval.high_weight),
    )


def _helped_by(by_day: tuple[DayPrediction, ...], prior: Decimal) -> Decimal | None:
    """The probability at the end of the days, moved by what the mode's record has taught."""
    better = by_day[-1].probability_better if by_day else None
    if better is None:
        return None
    return six_digits(probability_of(log_odds(float(better)) + float(prior)))
