"""One rebalance that was begun, and the measures that its records hold. Exact, until they are shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Final, Literal

from portfolio_rebalance.allocation import Limits, check_limits
from portfolio_rebalance.analytics import portfolio_drift
from portfolio_rebalance.records import Execution, ExecutionStatus, Metric, Outcome, Plan
from portfolio_rebalance.units import BP_PER_PERCENT

__all__ = ["LAST", "Rebalance", "last_of"]

LAST: Final = 50
"""So many rebalances are looked back upon."""

_SHARPE_FLOOR: Final = Fraction(1, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalance:
    """A rebalance that was begun.

    Attributes:
        at: When it ended; when it began where it was left to a person.
        status: Of its execution.
        execution: Its report; None where it was left to a person, who alone knows what came of it.
        outcome: None before it is graded.
    """

    plan_id: str
    at: datetime
    status: ExecutionStatus
    plan: Plan
    execution: Execution | None
    outcome: Outcome | None = None

    @property
    def is_successful(self) -> bool:
        """Committed and verified: no limit was broken afterwards."""
        return self.status == "committed" and self.execution is not None and not self.broken_after

    @property
    def drift_before(self) -> Fraction | None:
        """Portfolio drift when the plan was made, percent; None if every target is 0."""
        current = {one.strategy: one.current_bp for one in self.plan.strategies}
        targets = {
            one.strategy: Fraction(one.target_percent) * BP_PER_PERCENT for one in self.plan.strategies
        }
        return _percent(portfolio_drift(current, targets))

    @property
    def drift_after(self) -> Fraction | None:
        """Portfolio drift from the new targets, percent; None unless all of the capital has moved."""
        if self.execution is None or self.execution.status != "committed" or self.execution.instructions:
            return None
        held = self.execution.post_rebalance_allocations
        return _percent(
            portfolio_drift(
                {key: Fraction(one.capital) for key, one in held.items()},
                {key: Fraction(one.target) for key, one in held.items()},
            )
        )

    @property
    def broken_before(self) -> frozenset[str] | None:
        """Limits that the holdings of the plan broke; None where the plan does not say its limits."""
        limits_bp = self.plan.limits_bp
        if not limits_bp:
            return None
        checks = check_limits(
            {one.strategy: one.current_bp for one in self.plan.strategies},
            clusters=self.plan.clusters,
            limits=Limits(
                total_bp=limits_bp["total"],
                cluster_bp=limits_bp["cluster"],
                individual_max_bp=limits_bp["individual_max"],
                individual_min_bp=limits_bp["individual_min"],
            ),
        )
        return frozenset(check.limit for check in checks if not check.passed)

    @property
    def broken_after(self) -> frozenset[str]:
        """Limits that were broken when the execution ended."""
        if self.execution is None:
            return frozenset()
        return frozenset(limit for limit, verdict in self.execution.limits.items() if verdict == "FAIL")

    @property
    def compliance(self) -> Literal["respected", "broken", "open"]:
        """Of all limits afterwards; ``open`` where one waits for bots, was not evaluated, or nobody knows."""
        if self.broken_after:
            return "broken"
        verdicts = set() if self.execution is None else set(self.execution.limits.values())
        return "respected" if verdicts == {"PASS"} else "open"

    @property
    def sharpe_improvement_percent(self) -> Fraction | None:
        """Of the realised ratio on that of the portfolio nobody traded; None before it is graded."""
        sides = self._graded("sharpe_ratio")
        if sides is None:
            return None
        realised, shadow = sides
        return 100 * (realised - shadow) / max(abs(shadow), _SHARPE_FLOOR)

    @property
    def drawdown_improvement(self) -> Fraction | None:
        """Percentage points of maximum drawdown less than the portfolio nobody traded."""
        sides = self._graded("max_drawdown")
        return None if sides is None else sides[0] - sides[1]

    def _graded(self, metric: Metric) -> tuple[Fraction, Fraction] | None:
        """Realised, and had nobody traded; None where one is undefined."""
        if self.outcome is None or not self.outcome.graded:
            return None
        for one in self.outcome.realised.metrics:
            if one.metric == metric and one.realised is not None and one.shadow is not None:
                return Fraction(one.realised), Fraction(one.shadow)
        return None


def last_of(rebalances: Iterable[Rebalance]) -> tuple[Rebalance, ...]:
    """The last 50, oldest first, whatever order they come in."""
    return tuple(sorted(rebalances, key=lambda one: (one.at, one.plan_id))[-LAST:])


def _percent(drift: Fraction | None) -> Fraction | None:
    return None if drift is None else 100 * drift
