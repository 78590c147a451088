"""Hard limits on a proposal, judged in exact basis points.

Contract: an allocation goes in as exact rationals (basis points of total capital), a list of checks comes
out, one per limit and subject. Nothing here repairs, rounds or forgives. Every comparison is written
``not (x <= limit)``, so a value that cannot be compared fails instead of passing.

The gate over *holdings* (exact money, from the broker) is another function in another room, because its
inputs differ; neither imports the other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal, TypeAlias

from portfolio_rebalance.errors import ConfigError, UsageError
from portfolio_rebalance.units import BP_PER_UNIT, Bp

__all__ = [
    "Clusters",
    "LimitCheck",
    "LimitName",
    "Limits",
    "check_limits",
    "funded_clusters",
    "require_disjoint",
]

LimitName: TypeAlias = Literal["total_deployed", "correlated_exposure", "individual_max", "individual_min"]
Clusters: TypeAlias = Sequence[Sequence[str]]

_ZERO: Final = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The four hard limits, in basis points of total capital.

    Attributes:
        total_bp: Sum of all allocations, at most.
        cluster_bp: Sum over a correlated cluster of two or more, at most.
        individual_max_bp: One strategy, at most.
        individual_min_bp: One strategy that is not zero, at least.

    Raises:
        ConfigError: A limit outside (0, 10 000] or the minimum above the maximum.
    """

    total_bp: int = 6_000
    cluster_bp: int = 3_000
    individual_max_bp: int = 4_000
    individual_min_bp: int = 100

    def __post_init__(self) -> None:
        for name in ("total_bp", "cluster_bp", "individual_max_bp", "individual_min_bp"):
            value = getattr(self, name)
            if not (0 < value <= BP_PER_UNIT):
                raise ConfigError(
                    f"{name} is {value}; a limit lies in (0, {BP_PER_UNIT}].",
                    where=name,
                    fix="Set it above 0 and up to 100 %.",
                )
        if not (self.individual_min_bp <= self.individual_max_bp):
            raise ConfigError(
                f"The minimum allocation ({self.individual_min_bp} bp) exceeds the maximum "
                f"({self.individual_max_bp} bp).",
                where="individual_min_bp",
                fix="Lower the minimum or raise the maximum.",
            )

    def tightened(self, buffer_bp: int) -> Limits:
        """The limits that proposals aim at: each ceiling lower by ``buffer_bp``; the minimum stays.

        Raises:
            ConfigError: The buffer leaves no room below a ceiling.
        """
        return Limits(
            total_bp=self.total_bp - buffer_bp,
            cluster_bp=self.cluster_bp - buffer_bp,
            individual_max_bp=self.individual_max_bp - buffer_bp,
            individual_min_bp=self.individual_min_bp,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCheck:
    """One limit held against one subject.

    Attributes:
        limit: Which limit.
        subject: The strategies it was held against, by id.
        proposed_bp: What the proposal asks for.
        limit_bp: What the limit allows.
        passed: Whether it holds.
    """

    limit: LimitName
    subject: tuple[str, ...]
    proposed_bp: Bp
    limit_bp: int
    passed: bool

    @property
    def buffer_bp(self) -> Bp:
        """Room left before the limit trips; negative when it is broken."""
        if self.limit == "individual_min":
            return self.proposed_bp - self.limit_bp
        return self.limit_bp - self.proposed_bp


def check_limits(
    allocations_bp: Mapping[str, Bp], *, clusters: Clusters, limits: Limits
) -> tuple[LimitCheck, ...]:
    """Hold every limit against an allocation.

    Args:
        allocations_bp: Strategy id to basis points of total capital.
        clusters: Disjoint groups of ids; groups of one carry no cluster limit.
        limits: The limits to hold.

    Returns:
        The total, each cluster of two or more (ids sorted), then the maximum and, where the allocation is
        not zero, the minimum of each strategy by id.

    Raises:
        UsageError: Clusters overlap or name a strategy without an allocation.
    """
    groups = funded_clusters(clusters, among=allocations_bp)
    total = sum(allocations_bp.values(), _ZERO)
    ids = tuple(sorted(allocations_bp))
    checks = [_at_most("total_deployed", ids, total, limits.total_bp)]
    for group in groups:
        exposure = sum((allocations_bp[member] for member in group), _ZERO)
        checks.append(_at_most("correlated_exposure", group, exposure, limits.cluster_bp))
    for strategy in ids:
        allocation = allocations_bp[strategy]
        checks.append(_at_most("individual_max", (strategy,), allocation, limits.individual_max_bp))
        if allocation != 0:
            checks.append(
                LimitCheck(
                    limit="individual_min",
                    subject=(strategy,),
                    proposed_bp=allocation,
                    limit_bp=limits.individual_min_bp,
                    passed=bool(allocation >= limits.individual_min_bp),
                )
            )
    return tuple(checks)


def funded_clusters(clusters: Clusters, *, among: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """The clusters that carry a limit: two or more members, sorted inside and among themselves.

    Raises:
        UsageError: Two clusters share a strategy, or one names a strategy that is not ``among``.
    """
    require_disjoint(clusters, among=among)
    return tuple(sorted(tuple(sorted(group)) for group in clusters if len(group) > 1))


def require_disjoint(clusters: Clusters, *, among: Collection[str]) -> None:
    """Refuse clusters that overlap or name an unknown strategy: a typo must not switch a limit off."""
    seen: set[str] = set()
    for group in clusters:
        for member in group:
            if member not in among:
                raise UsageError(
                    f"Cluster {list(group)} names {member}, which has no allocation.",
                    where="clusters",
                    fix="List every member among the allocations, with 0 where it holds nothing.",
                )
            if member in seen:
                raise UsageError(
                    f"{member} stands in two clusters.",
                    where="clusters",
                    fix="Merge the clusters that share it.",
                )
            seen.add(member)


def _at_most(limit: LimitName, subject: tuple[str, ...], proposed: Bp, limit_bp: int) -> LimitCheck:
    broken = not (proposed <= limit_bp)
    return LimitCheck(
        limit=limit, subject=subject, proposed_bp=proposed, limit_bp=limit_bp, passed=not broken
    )
