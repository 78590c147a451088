"""Correlation matrix, pairs worth naming, clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import computed_field

from portfolio_rebalance.records.base import ExactBp, FrozenMap, Instant, Record
from portfolio_rebalance.units import percent_from_bp

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Cluster", "CorrelatedPair", "CorrelationReport", "LaggedPair", "RedundantPair", "UnknownPair"]


class CorrelatedPair(Record):
    """A pair whose correlation is worth naming.

    Attributes:
        strategies: The two ids, sorted.
        correlation: Pearson; None for a pair that hysteresis keeps HIGH although it cannot be computed now.
        observations: Common days.
        low: Lower end of the 95 % Fisher interval.
        high: Upper end.
        kept_by_hysteresis: HIGH in the last committed run and not yet below the exit threshold.
    """

    strategies: tuple[str, str]
    correlation: float | None
    observations: int
    low: float | None
    high: float | None
    kept_by_hysteresis: bool = False


class UnknownPair(Record):
    """A pair whose correlation is undefined, and why."""

    strategies: tuple[str, str]
    observations: int
    reason: Literal["too_few_observations", "constant_series"]


class LaggedPair(Record):
    """A pair that correlates better a day apart: one of the two series is probably misdated.

    Attributes:
        lag_days: 1 when the second follows the first by a day, -1 when it leads.
    """

    strategies: tuple[str, str]
    correlation: float
    lag_days: Literal[-1, 1]
    lagged_correlation: float
    low: float
    high: float


class RedundantPair(Record):
    """A pair that is mostly one bet.

    Attributes:
        redundancy_score: Squared correlation of a positively correlated pair.
        weaker: The member with the lower Sharpe ratio; None where either is undefined.
    """

    strategies: tuple[str, str]
    redundancy_score: float
    weaker: str | None


class Cluster(Record):
    """A connected component of the HIGH graph; single strategies are clusters of one.

    Attributes:
        evaluated: False where correlation could not be computed at all: then this grouping means nothing.
        correlation_avg: Mean over all defined pairs inside; None for a single strategy.
        combined_bp: Total allocation; None when allocations were not given.
        limit_bp: The cluster limit; it binds clusters of two or more.
    """

    strategies: tuple[str, ...]
    evaluated: bool = True
    correlation_avg: float | None
    combined_bp: ExactBp | None
    limit_bp: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total_alloc(self) -> float | None:
        """Combined allocation in percent."""
        return None if self.combined_bp is None else percent_from_bp(self.combined_bp)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def exceeds_limit(self) -> bool | None:
        """Whether the cluster limit is broken; None when allocations were not given."""
        if self.combined_bp is None:
            return None
        return len(self.strategies) > 1 and not (self.combined_bp <= self.limit_bp)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def reduction_needed(self) -> float | None:
        """Percentage points above the limit; 0 when it holds."""
        if self.combined_bp is None:
            return None
        return percent_from_bp(self.combined_bp - self.limit_bp) if self.exceeds_limit else 0.0


class CorrelationReport(Record):
    """The correlation stage's output.

    Attributes:
        status: ``not_evaluated`` when not one pair could be computed; then ``reason`` says why.
        correlation_matrix: By id and id; None where undefined.
        high_correlation_pairs: Above the HIGH threshold, or kept there by hysteresis.
        correlated_clusters: Every strategy in exactly one, largest first.
        offsetting_pairs: Below minus the threshold: positions that cancel and pay costs twice.
        duplicated_pairs: The same series twice.
        misdated_pairs: Better correlated a day apart.
        redundant_pairs: One bet, with its weaker member.
        unknown_pairs: Undefined, with the reason.
        idle: Strategies whose returns are all zero; LOW with everybody.
    """

    status: Literal["evaluated", "not_evaluated"]
    reason: str
    as_of: Instant
    lookback_days: int
    min_observations: int
    strategies: tuple[str, ...]
    correlation_matrix: FrozenMap[FrozenMap[float | None]]
    high_correlation_pairs: tuple[CorrelatedPair, ...]
    correlated_clusters: tuple[Cluster, ...]
    offsetting_pairs: tuple[CorrelatedPair, ...]
    duplicated_pairs: tuple[tuple[str, str], ...]
    misdated_pairs: tuple[LaggedPair, ...]
    redundant_pairs: tuple[RedundantPair, ...]
    unknown_pairs: tuple[UnknownPair, ...]
    idle: tuple[str, ...]

    @property
    def clusters(self) -> tuple[tuple[str, ...], ...]:
        """Ids of every cluster."""
        return tuple(cluster.strategies for cluster in self.correlated_clusters)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def correlated_exposure(self) -> float | None:
        """Largest total of a cluster of two or more, in percent; None without allocations or correlation."""
        if self.status == "not_evaluated":
            return None
        totals = [cluster.total_alloc for cluster in self.correlated_clusters if len(cluster.strategies) > 1]
        if any(total is None for total in totals):
            return None
        return max((total for total in totals if total is not None), default=0.0)

    def to_frame(self) -> pd.DataFrame:
        """The matrix as a pandas frame, NaN where undefined."""
        import pandas as pd  # heavy: only for whoever asks for a frame

        ids = list(self.strategies)
        rows = [[self.correlation_matrix[a][b] for b in ids] for a in ids]
        return pd.DataFrame(rows, index=ids, columns=ids, dtype=float)
