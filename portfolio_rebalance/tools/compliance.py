"""The compliance tool: hold every limit against allocations, and repair them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Literal, TypeAlias

from portfolio_rebalance.allocation import (
    Blockage,
    LimitCheck,
    Limits,
    Repair,
    check_limits,
    diagnose,
    repair,
)
from portfolio_rebalance.analytics import connected_components
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.records import (
    Adjustment,
    BlockedDiagnosis,
    Cluster,
    ComplianceReport,
    LimitLine,
    LimitStatus,
    Violation,
)
from portfolio_rebalance.units import Bp, PercentLike, bp_from_percent, bp_map_from_percent, percent_from_bp

__all__ = [
    "ClustersLike",
    "LimitsLike",
    "cluster_ids",
    "compliance_report",
    "exposure_unknown",
    "verify_allocation_compliance",
]

ClustersLike: TypeAlias = Sequence[Sequence[str] | Cluster]
LimitsLike: TypeAlias = Limits | Mapping[str, PercentLike]

_LIMIT_KEYS = {
    "max_total_deployed_percent": "total_bp",
    "max_correlated_exposure_percent": "cluster_bp",
    "max_individual_allocation_percent": "individual_max_bp",
    "min_allocation_percent": "individual_min_bp",
}


def verify_allocation_compliance(
    allocations: Mapping[str, PercentLike],
    limits: LimitsLike | None = None,
    *,
    clusters: ClustersLike | None = (),
    start: Mapping[str, PercentLike] | None = None,
    pinned: Collection[str] = (),
) -> ComplianceReport:
    """Judge allocations by every limit and repair them by lowering only.

    Args:
        allocations: Percent of total capital by id.
        limits: As in the configuration's ``circuit_breakers`` (percent), or a ``Limits``; defaults otherwise.
        clusters: Correlated clusters: ids, or the clusters of a correlation report. ``None`` says that
            they are unknown, and the cluster limit is reported as NOT_EVALUATED.
        start: Percent by id before a mode changed it; what a broken cluster is scaled from. The allocations
            themselves by default.
        pinned: Ids that may not change.

    Returns:
        The report on the allocations as given, and the repaired allocations with their trail. Where pins
        make compliance impossible, ``blocked`` says why.

    Raises:
        UsageError: Not finite, negative, overlapping clusters, ids that do not match.
        ConfigError: A limit outside (0, 100].
    """
    judged = _limits(limits)
    given = bp_map_from_percent(allocations, where="allocations")
    groups = cluster_ids(clusters)
    begun = None if start is None else bp_map_from_percent(start, where="start")
    made = repair(given, limits=judged, clusters=groups or (), start_bp=begun, pinned=pinned)
    blockage = None
    if not made.compliant:
        blockage = diagnose(
            made, given, pinned=pinned, clusters=groups or (), limits=judged, max_trades=len(given)
        )
    return compliance_report(
        given_bp=given,
        repaired=made,
        clusters=groups,
        limits=judged,
        unknown="the clusters are unknown" if groups is None else "",
        unknown_after="the clusters are unknown" if groups is None else "",
        deferred=(),
        blockage=blockage,
    )


def compliance_report(
    *,
    given_bp: Mapping[str, Bp],
    repaired: Repair,
    clusters: Sequence[Sequence[str]] | None,
    limits: Limits,
    unknown: str,
    unknown_after: str,
    deferred: tuple[str, ...],
    blockage: Blockage | None,
) -> ComplianceReport:
    """The report of one repair, judged by ``limits`` (which may be looser than those repair aimed at).

    Args:
        given_bp: Allocations before repair.
        repaired: What repair made of them.
        clusters: None when correlation is unknown.
        limits: The limits to judge by.
        unknown: Why the cluster limit cannot be evaluated for ``given_bp``; empty when it can.
        unknown_after: The same for the repaired allocations.
        deferred: Ids dropped by the trade limit.
        blockage: Why nothing compliant exists.
    """
    before = check_limits(given_bp, clusters=clusters or (), limits=limits)
    after = check_limits(repaired.allocations_bp, clusters=clusters or (), limits=limits)
    return ComplianceReport(
        given_bp=given_bp,
        checks=tuple(_line(check) for check in before),
        violations=_violations(before),
        correlated_exposure=_status(before, unknown=unknown),
        not_evaluated_reason=unknown or unknown_after,
        repaired_bp=repaired.allocations_bp,
        repaired_checks=tuple(_line(check) for check in after),
        repaired_violations=_violations(after),
        repaired_correlated_exposure=_status(after, unknown=unknown_after),
        adjustments=tuple(
            Adjustment.model_validate(
                {
                    "strategy": step.strategy,
                    "from": percent_from_bp(step.from_bp),
                    "to": percent_from_bp(step.to_bp),
                    "limit": step.limit,
                    "reason": step.reason,
                }
            )
            for step in repaired.steps
        ),
        deferred=deferred,
        blocked=None if blockage is None else _diagnosis(blockage),
    )


def exposure_unknown(
    allocations_bp: Mapping[str, Bp],
    *,
    high_pairs: Iterable[tuple[str, str]],
    unknown_pairs: Sequence[tuple[str, str]],
    limits: Limits,
) -> str:
    """Why the cluster limit cannot be evaluated, or nothing.

    Unknown pairs matter only if taking all of them as HIGH would break the limit. A strategy that holds
    nothing and is HIGH with nobody cannot link two others by its own lack of data: one that was closed long
    ago would otherwise leave the whole portfolio unevaluated.
    """
    high = list(high_pairs)
    linked = {key for pair in high for key in pair}
    matters = {key for key, value in allocations_bp.items() if value > 0 or key in linked}
    open_pairs = [pair for pair in unknown_pairs if matters.issuperset(pair)]
    if not open_pairs:
        return ""
    for group in connected_components(sorted(allocations_bp), [*high, *open_pairs]):
        exposure = sum((allocations_bp[key] for key in group), Fraction(0))
        inside = [pair for pair in open_pairs if pair[0] in group]
        if inside and len(group) > 1 and not (exposure <= limits.cluster_bp):
            names = ", ".join("/".join(pair) for pair in inside)
            return f"correlation is undefined for {names}; taken as HIGH they would break the cluster limit"
    return ""


def cluster_ids(clusters: ClustersLike | None) -> tuple[tuple[str, ...], ...] | None:
    """Ids of clusters given as ids or as records; None where they are unknown or were not evaluated."""
    if clusters is None or any(
        isinstance(cluster, Cluster) and not cluster.evaluated for cluster in clusters
    ):
        return None
    groups = []
    for cluster in clusters:
        if isinstance(cluster, str):
            raise UsageError(
                f"{cluster!r} is one id, not a cluster.",
                where="clusters",
                fix="Give each cluster as a list of ids.",
            )
        groups.append(tuple(cluster.strategies if isinstance(cluster, Cluster) else cluster))
    return tuple(groups)


def _limits(limits: LimitsLike | None) -> Limits:
    if limits is None:
        return Limits()
    if isinstance(limits, Limits):
        return limits
    unknown = sorted(set(limits) - set(_LIMIT_KEYS))
    if unknown:
        raise UsageError(
            f"Unknown limit {unknown[0]!r}.",
            where="limits",
            fix=f"Known are {', '.join(sorted(_LIMIT_KEYS))}.",
        )
    strict = {}
    for key, value in limits.items():
        exact = bp_from_percent(value, where=f"limits[{key}]")
        floor = int(exact // 1)
        strict[_LIMIT_KEYS[key]] = -int(-exact // 1) if key == "min_allocation_percent" else floor
    return Limits(**strict)


def _status(checks: Sequence[LimitCheck], *, unknown: str) -> LimitStatus:
    """FAIL outweighs what is unknown: a limit known to be broken is broken."""
    if any(check.limit == "correlated_exposure" and not check.passed for check in checks):
        return "FAIL"
    return "NOT_EVALUATED" if unknown else "PASS"


def _line(check: LimitCheck) -> LimitLine:
    return LimitLine(
        limit=check.limit,
        strategies=check.subject,
        proposed=percent_from_bp(check.proposed_bp),
        limit_val=percent_from_bp(check.limit_bp),
        status=_word(check),
        buffer=percent_from_bp(check.buffer_bp),
    )


def _word(check: LimitCheck) -> Literal["PASS", "FAIL"]:
    return "PASS" if check.passed else "FAIL"


def _violations(checks: Sequence[LimitCheck]) -> tuple[Violation, ...]:
    return tuple(
        Violation(
            limit=check.limit,
            strategies=check.subject,
            proposed=percent_from_bp(check.proposed_bp),
            limit_val=percent_from_bp(check.limit_bp),
            status="FAIL",
            overage=percent_from_bp(abs(check.buffer_bp)),
        )
        for check in checks
        if not check.passed
    )


def _diagnosis(blockage: Blockage) -> BlockedDiagnosis:
    return BlockedDiagnosis(
        binding=_violations(blockage.binding),
        largest_compliant_total=percent_from_bp(blockage.largest_compliant_total_bp),
        release=blockage.release,
        trades_needed=blockage.trades_needed,
        relaxation=blockage.relaxation,
    )
