"""Watches to try things on: two strategies, a prediction of three days, and returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np

from portfolio_rebalance.analytics import ReturnsTable
from portfolio_rebalance.config import Config
from portfolio_rebalance.monitoring.comparing import Watch
from portfolio_rebalance.records import METRICS, DayPrediction, Estimates, PredictedRange, Prediction

COMMITTED = datetime(2025, 2, 5, 2, 30, tzinfo=UTC)
CONFIG = Config()
ESTIMATES = Estimates(slippage_bps=Decimal(25), commission_bps=Decimal(5))
A, B = "STR-A", "STR-B"


def a_range(low: str, median: str, high: str) -> PredictedRange:
    return PredictedRange(low=Decimal(low), median=Decimal(median), high=Decimal(high))


def a_prediction(
    days: int = 3, *, ranges: Mapping[str, PredictedRange | None] | None = None, better: str | None = "0.6"
) -> Prediction:
    shown = dict.fromkeys(METRICS, a_range("-5", "0.5", "5")) if ranges is None else ranges
    probability = None if better is None else Decimal(better)
    return Prediction(
        mode="proportional",
        days=days,
        history_days=90,
        before_bp={A: Fraction(4000), B: Fraction(2000)},
        after_bp={A: Fraction(2000), B: Fraction(2000)},
        slippage_bps=Decimal(25),
        commission_bps=Decimal(5),
        cost_percent=Decimal("0.06"),
        cost=Decimal("0.6"),
        by_day=tuple(
            DayPrediction(days=day, ranges=shown, probability_better=probability)
            for day in range(1, days + 1)
        ),
        probability_helps=probability,
        prior_log_odds=Decimal(0),
        seed="0" * 64,
    )


def a_watch(prediction: Prediction | None = None, **changes: object) -> Watch:
    values: dict[str, object] = {
        "plan_id": "a" * 64,
        "mode": "proportional",
        "committed_at": COMMITTED,
        "prediction": prediction,
        "days": 3,
        "total_before": Decimal(1000),
        "capitals": {A: Decimal(200), B: Decimal(200)},
        "estimated_cost": Decimal("0.6"),
        "actual_cost": Decimal("0.8"),
        "actual_cost_bps": Decimal(40),
    }
    return Watch(**(values | changes))  # type: ignore[arg-type]


def table(rows: Sequence[Sequence[float]], *, last_day: date | None = None) -> ReturnsTable:
    """Returns of the days after the batch, the first one first."""
    first = COMMITTED.date() + timedelta(days=1)
    return ReturnsTable(
        ids=(A, B),
        last_day=last_day or first + timedelta(days=len(rows) - 1),
        values=np.array(rows, dtype=float).reshape(len(rows), 2),
    )
