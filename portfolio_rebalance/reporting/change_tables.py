"""What would change: the change table, limits before and after, the trail of repair, why it is blocked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

from portfolio_rebalance.records import (
    BlockedDiagnosis,
    Candidate,
    ComplianceReport,
    LimitLine,
    Proposal,
    Violation,
)
from portfolio_rebalance.reporting.blocks import (
    Block,
    Paragraph,
    Table,
    ids,
    left,
    money,
    number,
    right,
    signed,
    whole,
)
from portfolio_rebalance.units import BP_PER_PERCENT, BP_PER_UNIT

__all__ = ["LIMIT_WORDS", "change_table", "limit_blocks"]

LIMIT_WORDS: Final = {
    "total_deployed": "total deployed",
    "correlated_exposure": "worst cluster",
    "individual_max": "largest single",
    "individual_min": "smallest funded",
}


def change_table(candidate: Candidate, *, total_capital: Decimal, currency: str) -> Table:
    """The change a person would approve, strategy by strategy."""
    proposal = candidate.proposal
    total = Fraction(total_capital)
    rows = []
    for change in proposal.changes_per_strategy:
        step = proposal.proposed_bp[change.strategy] - proposal.current_bp[change.strategy]
        rows.append(
            (
                change.strategy,
                number(change.from_),
                number(change.to),
                signed(change.change) if step else "",
                money(step * total / BP_PER_UNIT, total=total_capital) if step else "",
                change.reason,
            )
        )
    moved = sum(proposal.proposed_bp.values(), Fraction(0)) - sum(proposal.current_bp.values(), Fraction(0))
    rows.append(
        (
            "deployed",
            number(proposal.summary.total_deployed_before),
            number(proposal.summary.total_deployed_after),
            signed(moved / BP_PER_PERCENT),
            money(moved * total / BP_PER_UNIT, total=total_capital),
            "",
        )
    )
    costs = candidate.impact.trading_costs
    return Table(
        title=f"Change, {candidate.mode}",
        columns=(*whole("strategy"), *right("from %", "to %", "change", currency), *left("reason")),
        rows=tuple(rows),
        note=(
            f"Turnover {number(costs.turnover_percent)} % of the portfolio; estimated cost "
            f"{number(costs.plan_cost_percent)} %, {money(costs.plan_cost, total=total_capital)} {currency}."
            + _drift_words(candidate)
        ),
    )


def limit_blocks(candidate: Candidate) -> Iterator[Block]:
    """Limits now, as the mode wished and after repair; then everything that repair did or could not do."""
    report = candidate.compliance
    yield Table(
        title="Limits",
        columns=(
            *whole("limit"),
            *right("now %", "wished %", "after %", "limit %", "buffer"),
            *whole("status"),
            *left("after, of"),
        ),
        rows=tuple(_limit_rows(candidate)),
        note=_closest(report),
    )
    if report.repaired_correlated_exposure == "NOT_EVALUATED":
        yield Paragraph(f"Correlated exposure NOT_EVALUATED: {report.not_evaluated_reason}", "warn")
    yield from _trail(report)
    if report.deferred:
        yield Paragraph(f"Deferred to stay within the trade limit: {ids(report.deferred, most=8)}.", "warn")
    if report.blocked is not None:
        yield from _blocked(report.blocked)


def _drift_words(candidate: Candidate) -> str:
    if candidate.drift_before is None or candidate.drift_after is None:
        return ""
    return (
        f" Portfolio drift {number(100 * candidate.drift_before)} % now, "
        f"{number(100 * candidate.drift_after)} % after."
    )


def _limit_rows(candidate: Candidate) -> Iterator[tuple[str, ...]]:
    report = candidate.compliance
    now = _now(candidate.proposal)
    for limit, words in LIMIT_WORDS.items():
        after = _tightest(report.repaired_checks, limit)
        if after is None:
            continue
        wished = _tightest(report.checks, limit)
        subject = "" if limit == "total_deployed" else ids(after.strategies)
        held = now[limit]
        yield (
            words,
            "" if held is None else number(held / BP_PER_PERCENT),
            "" if wished is None else number(wished.proposed),
            number(after.proposed),
            number(after.limit_val),
            number(after.buffer),
            after.status,
            subject,
        )


def _now(proposal: Proposal) -> dict[str, Fraction | None]:
    """What is held now, in basis points, measured as each limit measures."""
    held = proposal.current_bp
    groups = [group for group in proposal.clusters or () if len(group) > 1]
    funded = [value for value in held.values() if value]
    return {
        "total_deployed": sum(held.values(), Fraction(0)),
        "correlated_exposure": max(
            (sum((held[key] for key in group), Fraction(0)) for group in groups), default=None
        ),
        "individual_max": max(held.values(), default=None),
        "individual_min": min(funded, default=None),
    }


def _tightest(lines: Sequence[LimitLine], limit: str) -> LimitLine | None:
    of_limit = (line for line in lines if line.limit == limit)
    return min(of_limit, key=lambda line: (line.buffer, line.strategies), default=None)


def _closest(report: ComplianceReport) -> str:
    line = report.closest_to_tripping
    if line is None:
        return ""
    subject = "" if line.limit == "total_deployed" else f" of {ids(line.strategies)}"
    return f"Closest to tripping: {LIMIT_WORDS[line.limit]}{subject}, {number(line.buffer)} points left."


def _trail(report: ComplianceReport) -> Iterator[Table]:
    if report.adjustments:
        yield Table(
            title="Repair",
            columns=(*whole("strategy"), *right("from %", "to %"), *whole("limit"), *left("reason")),
            rows=tuple(
                (step.strategy, number(step.from_), number(step.to), LIMIT_WORDS[step.limit], step.reason)
                for step in report.adjustments
            ),
        )
    if report.repaired_violations:
        yield _violations("Still broken after repair", report.repaired_violations)


def _blocked(diagnosis: BlockedDiagnosis) -> Iterator[Block]:
    yield Paragraph("Cannot rebalance while respecting all limits.", "bad")
    if diagnosis.binding:
        yield _violations("Binding limits", diagnosis.binding)
    yield Paragraph(f"Largest compliant total: {number(diagnosis.largest_compliant_total)} %.")
    if diagnosis.release:
        yield Paragraph(f"Would help: release {ids(diagnosis.release, most=8)}.")
    yield Paragraph(f"Trades needed: {diagnosis.trades_needed}.")
    yield Paragraph(f"Smallest relaxation: {diagnosis.relaxation}", "warn")


def _violations(title: str, violations: Sequence[Violation]) -> Table:
    return Table(
        title=title,
        columns=(*whole("limit"), *right("attempted %", "limit %", "overage"), *left("strategies")),
        rows=tuple(
            (
                LIMIT_WORDS[line.limit],
                number(line.proposed),
                number(line.limit_val),
                number(line.overage),
                ids(line.strategies),
            )
            for line in violations
        ),
    )
