"""How good probabilities and intervals have been: frequency, Brier score, coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Final

__all__ = ["Reliability", "brier_score", "log_odds", "probability_of", "reliability", "wilson_interval"]

_Z90: Final = 1.6448536269514722
"""95 % quantile of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Predictions of about the same probability, against how often they came true.

    Attributes:
        low: Bounds of the group: ``low <= p < high``, and 1 belongs to the last.
        count: Predictions in it.
        predicted: Their mean.
        frequency: Share that came true.
        lower: 90 % Wilson interval of that share.
        upper: Likewise.
    """

    low: float
    high: float
    count: int
    predicted: float
    frequency: float
    lower: float
    upper: float


def brier_score(probabilities: Sequence[float], outcomes: Sequence[bool]) -> float | None:
    """``mean((p - outcome)^2)`` (Brier 1950): 0 is perfect, 0.25 is a coin's; None without any."""
    if not probabilities:
        return None
    return sum((p - came) ** 2 for p, came in zip(probabilities, outcomes, strict=True)) / len(probabilities)


def reliability(
    probabilities: Sequence[float], outcomes: Sequence[bool], *, groups: int = 5
) -> tuple[Reliability, ...]:
    """Group predictions by their probability into equal ranges; empty groups are left out."""
    found = []
    for number in range(groups):
        low, high = number / groups, (number + 1) / groups
        inside = [
            (p, came)
            for p, came in zip(probabilities, outcomes, strict=True)
            if low <= p < high or (p == 1 and number == groups - 1)
        ]
        if not inside:
            continue
        came_true = sum(came for _, came in inside)
        lower, upper = wilson_interval(came_true, len(inside), deviations=_Z90)
        found.append(
            Reliability(
                low,
                high,
                len(inside),
                sum(p for p, _ in inside) / len(inside),
                came_true / len(inside),
                lower,
                upper,
            )
        )
    return tuple(found)


def wilson_interval(successes: float, trials: int, *, deviations: float) -> tuple[float, float]:
    """Interval of a share (Wilson 1927).

    Args:
        successes: How many came true; one may have come true in part.
        trials: Of how many, at least one.
        deviations: Standard normal quantile: 1.645 for 90 % on both sides.
    """
    share, square = successes / trials, deviations**2
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = deviations * sqrt(share * (1 - share) / trials + square / (4 * trials**2)) / (1 + square / trials)
    return middle - half, middle + half


def log_odds(probability: float, *, least: float = 0.01) -> float:
    """``ln(p / (1 - p))``, with ``p`` kept ``least`` away from 0 and 1."""
    kept = min(max(probability, least), 1 - least)
    return log(kept / (1 - kept))


def probability_of(odds: float) -> float:
    """The inverse of :func:`log_odds`."""
    return 1 / (1 + exp(-odds)) if odds >= 0 else exp(odds) / (1 + exp(odds))
