"""What a mode proposes, before any limit has its word."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from pydantic import Field, computed_field

from portfolio_rebalance.records.base import ExactBp, FrozenMap, Instant, Record
from portfolio_rebalance.units import percent_from_bp

__all__ = ["Change", "Proposal", "ProposalSummary"]


class Change(Record):
    """One strategy's change, in percent of total capital."""

    strategy: str
    from_: float = Field(alias="from")
    to: float
    change: float
    reason: str


class ProposalSummary(Record):
    """Totals before and after, in percent. Exposure is None when clusters are unknown."""

    total_deployed_before: float
    total_deployed_after: float
    total_reduction: float
    correlated_exposure_before: float | None
    correlated_exposure_after: float | None


class Proposal(Record):
    """An allocation proposed by a mode (unrepaired), or what repair made of it.

    Attributes:
        mode: Registered name of the mode.
        as_of: The run's instant; None outside a run.
        current_bp: Held now.
        start_bp: What the mode started from.
        proposed_bp: What it proposes; equal to ``current_bp`` where nothing changes.
        reasons: Why, for each strategy that changes or that the mode decided to leave.
        clusters: Correlated clusters of two or more; None when correlation is unknown.
        fixed: Pinned or held.
    """

    mode: str
    as_of: Instant | None
    current_bp: FrozenMap[ExactBp]
    start_bp: FrozenMap[ExactBp]
    proposed_bp: FrozenMap[ExactBp]
    reasons: FrozenMap[str]
    clusters: tuple[tuple[str, ...], ...] | None
    fixed: tuple[str, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def current_allocations(self) -> Mapping[str, float]:
        """Held now, in percent."""
        return _percent(self.current_bp)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def proposed_allocations(self) -> Mapping[str, float]:
        """Proposed, in percent."""
        return _percent(self.proposed_bp)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def changes_per_strategy(self) -> tuple[Change, ...]:
        """Every strategy by id, with its change and reason; unchanged ones too."""
        return tuple(
            Change.model_validate(
                {
                    "strategy": key,
                    "from": percent_from_bp(current),
                    "to": percent_from_bp(self.proposed_bp[key]),
                    "change": percent_from_bp(self.proposed_bp[key] - current),
                    "reason": self.reasons.get(key, self._why_unchanged(key)),
                }
            )
            for key, current in sorted(self.current_bp.items())
        )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def summary(self) -> ProposalSummary:
        """Totals before and after."""
        before = sum(self.current_bp.values(), Fraction(0))
        after = sum(self.proposed_bp.values(), Fraction(0))
        return ProposalSummary(
            total_deployed_before=percent_from_bp(before),
            total_deployed_after=percent_from_bp(after),
            total_reduction=percent_from_bp(before - after),
            correlated_exposure_before=self._exposure(self.current_bp),
            correlated_exposure_after=self._exposure(self.proposed_bp),
        )

    @property
    def traded(self) -> tuple[str, ...]:
        """Ids whose allocation changes."""
        return tuple(
            key for key, current in sorted(self.current_bp.items()) if self.proposed_bp[key] != current
        )

    def _why_unchanged(self, key: str) -> str:
        return "pinned or held" if key in self.fixed else "no change needed"

    def _exposure(self, allocations: Mapping[str, Fraction]) -> float | None:
        if self.clusters is None:
            return None
        totals = (
            sum((allocations[key] for key in group), Fraction(0)) for group in self.clusters if len(group) > 1
        )
        return percent_from_bp(max(totals, default=Fraction(0)))


def _percent(allocations: Mapping[str, Fraction]) -> dict[str, float]:
    return {key: percent_from_bp(value) for key, value in sorted(allocations.items())}
