"""Calibration: what was predicted, held against what came of it.

A prediction that helped came true; a tie or an undefined comparison is no outcome and does not count. Few
outcomes prove little, so every frequency carries its 90 % Wilson interval.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final

from portfolio_rebalance.analytics import brier_score, reliability, wilson_interval
from portfolio_rebalance.monitoring.figures import share
from portfolio_rebalance.records import METRICS, Metric, Outcome
from portfolio_rebalance.records.metrics import (
    Calibration,
    CalibrationTable,
    Coverage,
    Forecast,
    ReliabilityGroup,
)

__all__ = ["Z90", "calibration_of"]

Z90: Final = 1.6448536269514722
"""95 % quantile of the normal distribution: a 90 % interval leaves 5 % on each side."""


def calibration_of(outcomes: Iterable[Outcome]) -> CalibrationTable:
    """The calibration of all modes together, and of each; outcomes that could not be graded do not count."""
    # Sums of floats depend on their order in the last bit, so the order is always the same.
    graded = sorted((one for one in outcomes if one.graded), key=lambda one: (one.at, one.plan_id))
    return CalibrationTable(
        all=_calibration(graded),
        by_mode={
            mode: _calibration([one for one in graded if one.mode == mode])
            for mode in sorted({one.mode for one in graded})
        },
    )


def _calibration(graded: Sequence[Outcome]) -> Calibration:
    return Calibration(
        graded=len(graded),
        probability_better=_forecast(graded, lambda one: one.probability_better),
        probability_helps=_forecast(graded, lambda one: one.probability_helps),
        coverage={metric: _coverage(graded, metric) for metric in METRICS},
    )


def _forecast(graded: Sequence[Outcome], probability: Callable[[Outcome], Decimal | None]) -> Forecast:
    known = [
        (float(predicted), one.helped)
        for one in graded
        if one.helped is not None and (predicted := probability(one)) is not None
    ]
    probabilities, helped = [predicted for predicted, _ in known], [came for _, came in known]
    groups = []
    for group in reliability(probabilities, helped):
        numbers = (group.low, group.high, group.predicted, group.frequency, group.lower, group.upper)
        low, high, predicted, frequency, lower, upper = (_number(value) for value in numbers)
        groups.append(
            ReliabilityGroup(
                low=low,
                high=high,
                count=group.count,
                predicted=predicted,
                frequency=frequency,
                lower=lower,
                upper=upper,
            )
        )
    return Forecast(
        count=len(known),
        mean_predicted=share(_mean(probabilities)),
        frequency=share(_mean(helped)),
        brier=share(brier_score(probabilities, helped)),
        groups=tuple(groups),
    )


def _coverage(graded: Sequence[Outcome], metric: Metric) -> Coverage:
    inside = [float(found) for one in graded if (found := one.covered.get(metric)) is not None]
    if not inside:
        return Coverage(count=0, inside=None, lower=None, upper=None)
    lower, upper = wilson_interval(sum(inside), len(inside), deviations=Z90)
    return Coverage(count=len(inside), inside=share(_mean(inside)), lower=share(lower), upper=share(upper))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _number(value: float) -> Decimal:
    rounded = share(value)
    assert rounded is not None  # only None becomes None
    return rounded
