"""Limits held against a proposal, and the repaired proposal with its trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, computed_field

from portfolio_rebalance.records.base import ExactBp, FrozenMap, Record
from portfolio_rebalance.units import percent_from_bp

__all__ = ["Adjustment", "BlockedDiagnosis", "ComplianceReport", "LimitLine", "LimitStatus", "Violation"]

LimitStatus = Literal["PASS", "FAIL", "NOT_EVALUATED"]
_Limit = Literal["total_deployed", "correlated_exposure", "individual_max", "individual_min"]


class LimitLine(Record):
    """One limit held against one subject, in percent of total capital."""

    limit: _Limit
    strategies: tuple[str, ...]
    proposed: float
    limit_val: float
    status: LimitStatus
    buffer: float


class Violation(Record):
    """A broken limit: what was attempted, and by how much it is too much (or too little)."""

    limit: _Limit
    strategies: tuple[str, ...]
    proposed: float
    limit_val: float
    status: LimitStatus
    overage: float


class Adjustment(Record):
    """One step of repair, in percent."""

    strategy: str
    from_: float = Field(alias="from")
    to: float
    limit: _Limit
    reason: str


class BlockedDiagnosis(Record):
    """Why nothing compliant exists, and the least that would have to give."""

    binding: tuple[Violation, ...]
    largest_compliant_total: float
    release: tuple[str, ...]
    trades_needed: int
    relaxation: str


class ComplianceReport(Record):
    """The compliance stage's output.

    The ``..._ok`` flags, ``checks`` and ``violations`` speak of the allocations as given;
    ``repaired_...`` of what repair made of them.

    Attributes:
        correlated_exposure: Status of the cluster limit; NOT_EVALUATED is never a pass.
        not_evaluated_reason: Why it could not be evaluated.
        repaired_bp: Allocations after repair; equal to the given ones where nothing was broken.
        adjustments: Every step of repair, in order.
        repaired_violations: What repair could not fix.
        deferred: Strategies whose change was dropped to stay within the trade limit.
        blocked: Set when the limits cannot be met.
    """

    given_bp: FrozenMap[ExactBp]
    checks: tuple[LimitLine, ...]
    violations: tuple[Violation, ...]
    correlated_exposure: LimitStatus
    not_evaluated_reason: str
    repaired_bp: FrozenMap[ExactBp]
    repaired_checks: tuple[LimitLine, ...]
    repaired_violations: tuple[Violation, ...]
    repaired_correlated_exposure: LimitStatus
    adjustments: tuple[Adjustment, ...]
    deferred: tuple[str, ...]
    blocked: BlockedDiagnosis | None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total_deployed_ok(self) -> bool:
        """Whether the total holds."""
        return self._ok("total_deployed")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def correlated_exposure_ok(self) -> bool:
        """Whether every cluster holds; False when that could not be evaluated."""
        return self.correlated_exposure == "PASS"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def individual_max_ok(self) -> bool:
        """Whether no strategy exceeds the maximum."""
        return self._ok("individual_max")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def individual_min_ok(self) -> bool:
        """Whether no funded strategy is below the minimum."""
        return self._ok("individual_min")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def all_limits_met(self) -> bool:
        """Whether every limit was evaluated and holds."""
        return not self.violations and self.correlated_exposure_ok

    @computed_field  # type: ignore[prop-decorator]
    @property
    def repaired_allocations(self) -> Mapping[str, float]:
        """Allocations after repair, in percent."""
        return {key: percent_from_bp(value) for key, value in sorted(self.repaired_bp.items())}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def repaired_limits_met(self) -> bool:
        """Whether every limit was evaluated and holds after repair."""
        return not self.repaired_violations and self.repaired_correlated_exposure == "PASS"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def closest_to_tripping(self) -> LimitLine | None:
        """The limit with the least room after repair."""
        ceilings = [line for line in self.repaired_checks if line.limit != "individual_min"]
        return min(ceilings, key=lambda line: (line.buffer, line.limit, line.strategies), default=None)

    def _ok(self, limit: str) -> bool:
        return not any(violation.limit == limit for violation in self.violations)
