"""Grading: a rebalance whose days are over, against what was predicted when it was planned.

An outcome is the same whenever it is graded: it is dated by the end of its days and not by who looked when.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Final

from portfolio_rebalance.analytics import Interval, coverage_of
from portfolio_rebalance.monitoring.comparing import Watch
from portfolio_rebalance.records import METRICS, Comparisons, CostCheck, Outcome, PredictedRange
from portfolio_rebalance.units import six_digits

__all__ = ["PATIENCE", "graded_at", "outcome_of"]

PATIENCE: Final = timedelta(days=2)
"""How long returns of the last days are waited for, before what is there is graded."""

_ENOUGH: Final = 0.7
"""Share of the days that must have returns."""


def graded_at(watch: Watch, *, at: datetime, observations: int, goes_on: bool) -> datetime | None:
    """The instant from which a watch can be graded, if that has come; None while it goes on.

    Args:
        watch: Which.
        at: Now.
        observations: Days of the whole watch on which every strategy has a return.
        goes_on: Whether any strategy has a return of the last day, or of a later one. Where too few days have
            returns and none has, the clock may be ahead, or no feed has run since: nothing is given up then.
    """
    if at < watch.ends_at:
        return None
    if observations == watch.days:
        return watch.ends_at
    if at < watch.ends_at + PATIENCE:
        return None
    return watch.ends_at + PATIENCE if goes_on or _are_enough(watch, observations) else None


def outcome_of(watch: Watch, *, at: datetime, realised: Comparisons, cost: CostCheck) -> Outcome:
    """Grade.

    Args:
        watch: A rebalance whose days are over.
        at: From :func:`graded_at`.
        realised: What all of its days came to.
        cost: Of its batch.
    """
    prediction = watch.prediction
    predicted = None if prediction is None else prediction.after(realised.observations)
    reason = _why_not(watch, realised)
    graded = not reason
    ranges = {} if predicted is None or not graded else predicted.ranges
    values = {one.metric: one.realised for one in realised.metrics}
    return Outcome(
        plan_id=watch.plan_id,
        mode=watch.mode,
        committed_at=watch.committed_at,
        at=at,
        graded=graded,
        reason=reason,
        realised=realised,
        cost=cost,
        helped=realised.ahead_of_shadow if graded else None,
        probability_better=None if predicted is None or not graded else predicted.probability_better,
        probability_helps=None if prediction is None or not graded else prediction.probability_helps,
        covered={name: _covered(values[name], ranges.get(name)) for name in METRICS},
    )


def _why_not(watch: Watch, realised: Comparisons) -> str:
    if watch.prediction is None:
        return "the plan was made without a prediction"
    if watch.prediction.reason:
        return watch.prediction.reason
    if watch.waiting_for_bots:
        return "capital that bots were to move was not confirmed: the portfolio is not the planned one"
    if watch.confirmed_late:
        return "capital that bots were to move was confirmed late: for days it was not where the plan put it"
    if not _are_enough(watch, realised.observations):
        return f"only {realised.observations} of {watch.days} days have a return of every strategy"
    return ""


def _are_enough(watch: Watch, observations: int) -> bool:
    return observations >= ceil(_ENOUGH * watch.days)


def _covered(realised: Decimal | None, predicted: PredictedRange | None) -> Decimal | None:
    if realised is None or predicted is None:
        return None
    interval = Interval(
        low=float(predicted.low),
        median=float(predicted.median),
        high=float(predicted.high),
        low_weight=float(predicted.low_weight),
        high_weight=float(predicted.high_weight),
    )
    return six_digits(coverage_of(float(realised), interval))
