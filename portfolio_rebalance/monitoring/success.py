"""Success metrics: the source's five, each with its figure, a verdict, and what the verdict rests on.

A verdict is of the figure alone; where too little is known to tell the figure from chance, the reason says
so. What nobody evaluated is never a pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from math import sqrt
from statistics import stdev
from types import MappingProxyType
from typing import Final

from portfolio_rebalance.monitoring.calibration import Z90
from portfolio_rebalance.monitoring.figures import figure, mean, percent_of
from portfolio_rebalance.monitoring.rebalances import Rebalance
from portfolio_rebalance.records.metrics import SuccessMetric, SuccessVerdict

__all__ = ["success_metrics"]

_WEEK: Final = timedelta(weeks=1)
_MICROSECOND: Final = timedelta(microseconds=1)
_LEAST_A_WEEK, _MOST_A_WEEK = 1, 2
_LEAST_IMPROVEMENT_PERCENT: Final = 3
_MOST_DRIFT_PERCENT: Final = 5
_CEILINGS: Final = ("total_deployed", "correlated_exposure", "individual_max")
_CEILINGS_BP: Final[Mapping[str, int]] = MappingProxyType(
    {"total": 6_000, "cluster": 3_000, "individual_max": 4_000}
)
_NONE_YET: Final = "no rebalance yet"


def success_metrics(last: Sequence[Rebalance]) -> tuple[SuccessMetric, ...]:
    """The five, in the source's order.

    Args:
        last: Rebalances, oldest first.
    """
    return (_frequency(last), _adherence(last), _improvement(last), _drift(last), _limits(last))


def _frequency(last: Sequence[Rebalance]) -> SuccessMetric:
    """Intervals that ended, over the weeks from the first rebalance to the last: ``(n - 1) / weeks``."""
    name, target, unit = "Rebalancing frequency", "1-2 times per week", "a week"
    if not last:
        return _unknown(name, target, unit, _NONE_YET)
    weeks = Fraction((last[-1].at - last[0].at) // _MICROSECOND, _WEEK // _MICROSECOND)
    count = _several(len(last), "rebalance")
    if weeks < 1:
        return _unknown(name, target, unit, f"{count} in less than a week")
    rate = (len(last) - 1) / weeks
    return SuccessMetric(
        name=name,
        target=target,
        value=figure(rate),
        unit=unit,
        verdict=_passes(_LEAST_A_WEEK <= rate <= _MOST_A_WEEK),
        reason=f"{count} in {float(weeks):.1f} weeks",
    )


def _adherence(last: Sequence[Rebalance]) -> SuccessMetric:
    name, target, unit = "Allocation compliance", "100% adherence to circuit breakers", "%"
    if not last:
        return _unknown(name, target, unit, _NONE_YET)
    verdicts = [one.compliance for one in last]
    respected, broken = verdicts.count("respected"), verdicts.count("broken")
    parts = [f"every limit was met after {respected} of {_several(len(last), 'rebalance')}"]
    parts += _open(verdicts.count("open"))
    return SuccessMetric(
        name=name,
        target=target,
        value=figure(percent_of(respected, respected + broken)),
        unit=unit,
        verdict="fail" if broken else "pass" if respected == len(last) else "unknown",
        reason="; ".join(parts),
    )


def _improvement(last: Sequence[Rebalance]) -> SuccessMetric:
    name, unit = "Performance improvement", "%"
    target = "Average >3% Sharpe improvement post-rebalance"
    found = [change for one in last if (change := one.sharpe_improvement_percent) is not None]
    average = mean(found)
    if average is None:
        return _unknown(name, target, unit, "no rebalance has been graded yet")
    return SuccessMetric(
        name=name,
        target=target,
        value=figure(average),
        unit=unit,
        verdict=_passes(average > _LEAST_IMPROVEMENT_PERCENT),
        reason=f"realised, against the portfolio that nobody traded; {_certainty(found, average)}",
    )


def _drift(last: Sequence[Rebalance]) -> SuccessMetric:
    """The largest that was left just after a rebalance; what bots have yet to move does not count."""
    name, unit = "Drift control", "%"
    target = "Keep all individual strategies <5% drift from target"
    found = sorted((size, key) for one in last for key, size in _drifts(one))
    if not found:
        return _unknown(name, target, unit, "no rebalance has been committed yet")
    size, key = found[-1]
    return SuccessMetric(
        name=name,
        target=target,
        value=figure(Fraction(size)),
        unit=unit,
        verdict=_passes(size < _MOST_DRIFT_PERCENT),
        reason=f"{key}, the largest that was left just after a rebalance",
    )


def _limits(last: Sequence[Rebalance]) -> SuccessMetric:
    name, unit = "Limit maintenance", "broken"
    limits_bp = (last[-1].plan.limits_bp if last else None) or _CEILINGS_BP
    total, cluster, individual = (_percent(limits_bp[key]) for key in _CEILINGS_BP)
    target = f"Never exceed {total}% total, {cluster}% correlated, {individual}% individual"
    if not last:
        return _unknown(name, target, unit, _NONE_YET)
    reports = [one.execution for one in last if one.execution is not None]
    verdicts = [[report.limits.get(limit) for limit in _CEILINGS] for report in reports]
    broken = sum(several.count("FAIL") for several in verdicts)
    unclear = sum(set(several) != {"PASS"} and "FAIL" not in several for several in verdicts)
    unclear += len(last) - len(reports)
    parts = [f"{_several(broken, 'ceiling')} broken after {_several(len(last), 'rebalance')}"]
    parts += _open(unclear)
    return SuccessMetric(
        name=name,
        target=target,
        value=Decimal(broken),
        unit=unit,
        verdict="fail" if broken else "unknown" if unclear else "pass",
        reason="; ".join(parts),
    )


def _drifts(one: Rebalance) -> Iterator[tuple[str, Decimal]]:
    if one.execution is None or one.execution.status != "committed":
        return
    waits = {told.strategy for told in one.execution.instructions}
    for key, held in one.execution.post_rebalance_allocations.items():
        if held.drift is not None and key not in waits:
            yield key, abs(held.drift)


def _certainty(found: Sequence[Fraction], average: Fraction) -> str:
    """How far an average can be believed."""
    count = _several(len(found), "graded rebalance")
    if len(found) == 1:
        return f"{count} proves nothing"
    error = stdev(map(float, found)) / sqrt(len(found))
    words = f"{count}, standard error {error:.1f}"
    if abs(float(average) - _LEAST_IMPROVEMENT_PERCENT) < Z90 * error:
        return f"{words}: too few to tell it from chance"
    return words


def _open(count: int) -> list[str]:
    """What is never a pass."""
    return [f"{count} waits for bots, was not evaluated, or was left to a person"] if count else []


def _unknown(name: str, target: str, unit: str, reason: str) -> SuccessMetric:
    return SuccessMetric(name=name, target=target, value=None, unit=unit, verdict="unknown", reason=reason)


def _passes(holds: bool) -> SuccessVerdict:  # noqa: FBT001 - the verdict in another word
    return "pass" if holds else "fail"


def _several(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _percent(limit_bp: int) -> str:
    return f"{limit_bp / 100:g}"
