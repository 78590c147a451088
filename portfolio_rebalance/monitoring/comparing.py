"""Comparing: what was realised, against the projection and against the portfolio that nobody traded.

Divergence = ``100 (realised - projected) / max(|projected|, floor)``, metric by metric. A few days prove
little: a divergence beyond the threshold is an alert only where the realised value is also outside of the
90 % interval that was predicted for so many days.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import isnan
from types import MappingProxyType
from typing import Final

import numpy as np

from portfolio_rebalance.analytics import Floats, ReturnsTable, held_returns, running_metrics
from portfolio_rebalance.config import Config
from portfolio_rebalance.records import (
    METRICS,
    Comparison,
    Comparisons,
    CostCheck,
    Metric,
    PredictedRange,
    Prediction,
)
from portfolio_rebalance.records.following import Divergence
from portfolio_rebalance.units import BP_PER_UNIT, six_digits

__all__ = ["Watch", "compare", "cost_check"]

FLOORS: Final[Mapping[Metric, Decimal]] = MappingProxyType(
    {
        "sharpe_ratio": Decimal("0.1"),
        "max_drawdown": Decimal("0.1"),
        "win_rate": Decimal("0.01"),
        "return": Decimal("0.1"),
    }
)
"""The least that a divergence is measured against: a relative difference from almost nothing says nothing."""

_LEAST_BPS: Final = Decimal(1)
_LEAST_EARLIER: Final = 10
_TAIL: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A rebalance that is followed.

    Attributes:
        committed_at: The instant from which the batch counts.
        prediction: Made with the plan; None for a plan of an earlier version, which has none.
        days: Full UTC days that are watched.
        total_before: Total capital before the batch.
        capitals: Capital of every strategy after it; of one that a bot was to move, as the bot confirmed.
        moved_by_bots: Strategies whose bots have confirmed that they did as they were told.
        waiting_for_bots: Those whose bots have not.
        confirmed_late: Those whose bots have, when days had passed that the watch counts as if they had.
        estimated_cost: Of the plan.
        actual_cost: Of the batch: slippage and commissions.
        actual_cost_bps: The same a unit traded; None where nothing was traded at the venue.
    """

    plan_id: str
    mode: str
    committed_at: datetime
    prediction: Prediction | None
    days: int
    total_before: Decimal
    capitals: Mapping[str, Decimal]
    moved_by_bots: Collection[str] = ()
    waiting_for_bots: Collection[str] = ()
    confirmed_late: Collection[str] = ()
    estimated_cost: Decimal
    actual_cost: Decimal
    actual_cost_bps: Decimal | None

    @property
    def last_day(self) -> date:
        """The last day that is watched; the first is the one after the batch was finished."""
        return self.committed_at.date() + timedelta(days=self.days)

    @property
    def ends_at(self) -> datetime:
        """When the last day has closed."""
        midnight = self.committed_at.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + timedelta(days=self.days + 1)

    def days_until(self, at: datetime) -> int:
        """Full days of the watch that have closed at an instant."""
        return max(0, min(self.days, (at.date() - self.committed_at.date()).days - 1))

    @property
    def ids(self) -> tuple[str, ...]:
        """Strategies held before or after."""
        before = {} if self.prediction is None else self.prediction.before_bp
        return tuple(
            key for key in sorted({*before, *self.capitals}) if before.get(key) or self.capitals.get(key)
        )


def compare(watch: Watch, *, returns: ReturnsTable, days: int, config: Config) -> Comparisons:
    """What the first days of a watch came to.

    Args:
        watch: Whose.
        returns: Of every strategy in ``watch.ids``; days that it does not reach are missing.
        days: How many have closed.
        config: Threshold, annualisation.
    """
    table = _rows_of(
        returns, ids=watch.ids, last_day=watch.committed_at.date() + timedelta(days=days), days=days
    )
    complete = ~np.isnan(table).any(axis=1)
    seen = table[complete]
    missing = [key for place, key in enumerate(watch.ids) if np.isnan(table[:, place]).any()]
    realised, shadow = _metrics(watch, seen, config=config)
    predicted = watch.prediction.after(len(seen)) if watch.prediction is not None else None
    ranges = {} if predicted is None else predicted.ranges
    threshold = config.monitoring.divergence_alert_threshold_percent
    ahead = None
    ratio, untraded = realised["sharpe_ratio"], shadow["sharpe_ratio"]
    if ratio is not None and untraded is not None and ratio != untraded:
        ahead = ratio > untraded
    return Comparisons(
        days=days,
        observations=len(seen),
        missing=tuple(missing),
        metrics=tuple(
            _comparison(name, realised[name], shadow[name], ranges.get(name), threshold=threshold)
            for name in METRICS
        ),
        ahead_of_shadow=ahead,
    )


def cost_check(watch: Watch, *, earlier_bps: Sequence[Decimal], config: Config) -> CostCheck:
    """The cost of a batch against its estimate.

    Args:
        watch: Whose.
        earlier_bps: What earlier batches cost, basis points of what they traded.
        config: Threshold.
    """
    prediction, actual_bps = watch.prediction, watch.actual_cost_bps
    estimated_bps = Decimal(0) if prediction is None else prediction.slippage_bps + prediction.commission_bps
    low = high = divergence = None
    if len(earlier_bps) >= _LEAST_EARLIER:
        ordered, place = sorted(earlier_bps), int(_TAIL * len(earlier_bps))
        low, high = ordered[place], ordered[-1 - place]
    verdict: Divergence = "undefined"
    if prediction is not None and actual_bps is not None:
        divergence = _divergence(actual_bps, estimated_bps, floor=_LEAST_BPS)
        verdict = _verdict(
            actual_bps, divergence, low, high, threshold=config.monitoring.divergence_alert_threshold_percent
        )
    return CostCheck(
        estimated=watch.estimated_cost,
        actual=watch.actual_cost,
        estimated_bps=estimated_bps,
        actual_bps=actual_bps,
        divergence_percent=divergence,
        low=low,
        high=high,
        verdict=verdict,
    )


def _rows_of(returns: ReturnsTable, *, ids: Sequence[str], last_day: date, days: int) -> Floats:
    """The last ``days`` rows up to a day; what the table does not reach is missing."""
    rows = returns.select(ids).values
    ahead = (last_day - returns.last_day).days  # days by which the table ends too early; too late if negative
    found: Floats = np.full((days, len(ids)), np.nan)
    for place in range(days):
        row = len(rows) - days + place + ahead
        if 0 <= row < len(rows):
            found[place] = rows[row]
    return found


def _metrics(
    watch: Watch, seen: Floats, *, config: Config
) -> tuple[Mapping[Metric, Decimal | None], Mapping[Metric, Decimal | None]]:
    """Measures of the portfolio as it is, cost included, and of the one that nobody traded."""
    undefined: Mapping[Metric, Decimal | None] = dict.fromkeys(METRICS)
    if not len(seen):
        return undefined, undefined
    total = Fraction(watch.total_before)
    weights = np.array([float(Fraction(watch.capitals.get(key, Decimal(0))) / total) for key in watch.ids])
    cost = float(Fraction(watch.actual_cost) / total)
    realised = _measured(held_returns(seen, weights=weights, cost=cost), config=config)
    if watch.prediction is None:
        return realised, undefined
    before = watch.prediction.before_bp
    held = np.array([float(before.get(key, Fraction(0)) / BP_PER_UNIT) for key in watch.ids])
    return realised, _measured(held_returns(seen, weights=held), config=config)


def _measured(returns: Floats, *, config: Config) -> Mapping[Metric, Decimal | None]:
    found = running_metrics(
        returns[None, :],
        periods=config.annualization_days,
        risk_free_rate=float(config.risk_free_rate_percent) / 100,
    )
    ratio, drawdown, wins, total = (float(one[0]) for one in found)
    return {
        "sharpe_ratio": _defined(ratio),
        "max_drawdown": _defined(100 * drawdown),
        "win_rate": _defined(wins),
        "return": _defined(100 * total),
    }


def _defined(value: float) -> Decimal | None:
    return None if isnan(value) else six_digits(value)


def _comparison(
    metric: Metric,
    realised: Decimal | None,
    shadow: Decimal | None,
    predicted: PredictedRange | None,
    *,
    threshold: Decimal,
) -> Comparison:
    verdict: Divergence = "undefined"
    divergence = None
    if realised is not None and predicted is not None:
        divergence = _divergence(realised, predicted.median, floor=FLOORS[metric])
        verdict = _verdict(realised, divergence, predicted.low, predicted.high, threshold=threshold)
    return Comparison(
        metric=metric,
        projected=None if predicted is None else predicted.median,
        realised=realised,
        shadow=shadow,
        low=None if predicted is None else predicted.low,
        high=None if predicted is None else predicted.high,
        divergence_percent=divergence,
        verdict=verdict,
    )


def _divergence(realised: Decimal, projected: Decimal, *, floor: Decimal) -> Decimal:
    return six_digits(float(100 * (realised - projected) / max(abs(projected), floor)))


def _verdict(
    realised: Decimal,
    divergence: Decimal,
    low: Decimal | None,
    high: Decimal | None,
    *,
    threshold: Decimal,
) -> Divergence:
    if abs(divergence) <= threshold:
        return "small"
    if low is None or high is None:
        return "not_judged"
    return "within_uncertainty" if low <= realised <= high else "alert"
