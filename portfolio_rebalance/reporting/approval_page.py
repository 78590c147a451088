"""What a person reads before they approve a plan.

Rendered from the plan alone, which is loaded from the very bytes whose digest is its id: nothing that could
differ from what is executed has a part in it. What others wrote (reasons, concerns, names) is shown as one
line of ASCII in the last column of a table, so it can neither begin a line of its own nor look like ours; and
what is hashed is what any terminal shows. What must not be missed stands at both ends of the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.records import Plan, PlannedMetrics, PlannedStrategy
from portfolio_rebalance.reporting.blocks import (
    Block,
    Paragraph,
    Table,
    Tone,
    clean,
    ids,
    left,
    limited,
    money,
    number,
    right,
    shorten,
    signed,
    whole,
)
from portfolio_rebalance.reporting.change_tables import LIMIT_WORDS
from portfolio_rebalance.units import BP_PER_PERCENT, BP_PER_UNIT

__all__ = ["approval_blocks", "one_line"]

_MOST_CHARACTERS: Final = 400
_MOST_LINES: Final = 8
_LOWER_IS_BETTER: Final = ("volatility %, a year",)
_EVIDENCE: Final = {
    "not_computed": "the mode's record on this history was not computed",
    "too_short": "this history is too short to judge the mode",
    "supported": "this history supports the mode",
    "contradicted": "this history speaks against the mode",
    "not_distinguishable": "this history cannot tell the mode from chance",
}


def approval_blocks(plan: Plan, plan_id: str) -> list[Block]:
    """The page that a person decides on.

    Args:
        plan: The plan, as read back from the bytes that ``plan_id`` is the digest of.
        plan_id: The whole id.
    """
    cautions = [*_cautions(plan)]
    return [
        Paragraph(
            f"A plan to approve: {plan.decision.recommendation} ({plan.decision.basis}), mode "
            f"{_name(plan.mode)}."
        ),
        Paragraph(
            f"Made at {format_instant(plan.as_of)}; its state is of {format_instant(plan.state_as_of)}."
        ),
        *(Paragraph(text, tone) for text, tone in cautions),
        _changes(plan),
        *_exposure(plan),
        *_unknown(plan),
        _decision(plan),
        _reviews(plan),
        *_risk(plan),
        _evidence(plan),
        *_validity(plan),
        *(Paragraph(text, tone) for text, tone in cautions),
        Paragraph(f"Plan id {_name(plan_id, most=64)}"),
    ]


def one_line(text: str) -> str:
    """What others wrote, as data: one line of ASCII, single blanks, at most 400 characters.

    Other letters are escaped: they could hide, overlay what stands beside them, or look like others.
    """
    seen = clean(text).encode("ascii", "backslashreplace").decode()
    return shorten(" ".join(seen.split()), most=_MOST_CHARACTERS)


def _name(text: str, *, most: int = 24) -> str:
    """A name of ours inside a sentence: letters, digits, ``_``, ``-``; too short and too plain to mislead."""
    known = (mark if mark.isascii() and (mark.isalnum() or mark in "_-") else "?" for mark in text)
    return shorten("".join(known), most=most)


def _cautions(plan: Plan) -> Iterator[tuple[str, Tone]]:
    """What must not be missed, in words of ours alone."""
    if plan.correlated_exposure == "NOT_EVALUATED":
        yield "MIND: correlated exposure is NOT_EVALUATED: this plan may break the cluster limit.", "bad"
    elif plan.correlated_exposure == "FAIL":
        yield "MIND: correlated exposure FAILS: a cluster stays above its limit.", "bad"
    if plan.stale:
        yield "MIND: based on STALE data.", "bad"
    if plan.fallback:
        yield "MIND: this is not the mode that was asked for.", "warn"
    for review in plan.reviews:
        role = review.role.replace("_", " ")
        if review.verdict == "reject":
            yield f"MIND: the {role} REJECTS it.", "bad"
        elif review.verdict == "concerns":
            yield f"MIND: the {role} has concerns.", "warn"
    if not plan.reviews:
        yield "MIND: nobody reviewed it.", "bad"
    if plan.decision.evidence == "contradicted":
        yield "MIND: this history speaks against the mode.", "warn"


# What would change.


def _changes(plan: Plan) -> Table:
    total, currency = plan.total_capital, _name(plan.currency)
    changed = [one for one in plan.strategies if one.proposed_bp is not None]
    alone = [one for one in plan.strategies if one.proposed_bp is None]
    moved = sum((_step(one) for one in changed), Fraction(0)) * Fraction(total) / BP_PER_UNIT
    deployed = sum((Fraction(one.capital) for one in plan.strategies), Fraction(0))
    rows = [_change(one, total) for one in (*changed, *alone)]
    rows += [
        _total_row("deployed", deployed, moved, total),
        _total_row("cash", Fraction(plan.cash), -moved, total),
    ]
    share = 100 * Fraction(plan.estimated_cost) / Fraction(total)
    return Table(
        title=f"Change, of total capital {money(total, total=total)} {currency}",
        columns=(
            *whole("strategy"),
            *right("now %", "proposed %", "change", "money now", "money then"),
            *left("who moves it"),
        ),
        rows=tuple(rows),
        note=(
            f"Turnover {number(plan.turnover_percent)} % of total capital; estimated cost "
            f"{money(plan.estimated_cost, total=total)} {currency}, {number(share)} % of it. "
            "Cash is before costs."
        ),
    )


def _change(one: PlannedStrategy, total: Decimal) -> tuple[str, ...]:
    step = _step(one)
    then = one.capital if one.proposed_bp is None else one.proposed_bp * Fraction(total) / BP_PER_UNIT
    return (
        one.strategy,
        number(one.current_bp / BP_PER_PERCENT),
        number((one.current_bp + step) / BP_PER_PERCENT),
        signed(step / BP_PER_PERCENT) if step else "",
        money(one.capital, total=total),
        money(then, total=total),
        ", ".join(_who(one)),
    )


def _total_row(name: str, now: Fraction, moved: Fraction, total: Decimal) -> tuple[str, ...]:
    whole_of_it = Fraction(total)
    return (
        name,
        number(100 * now / whole_of_it),
        number(100 * (now + moved) / whole_of_it),
        signed(100 * moved / whole_of_it),
        money(now, total=total),
        money(now + moved, total=total),
        "",
    )


def _who(one: PlannedStrategy) -> Iterator[str]:
    if one.proposed_bp is None:
        yield "left alone"
    elif one.control == "bot":
        yield "by hand (bot)"
    else:
        yield "orders" if one.control == "positions" else "orders (not stated)"
    if one.proposed_bp == 0:
        yield "exit"
    if one.pinned:
        yield "pinned"
    if one.held:
        yield "held"


def _step(one: PlannedStrategy) -> Fraction:
    """Change in basis points of total capital."""
    return Fraction(0) if one.proposed_bp is None else one.proposed_bp - one.current_bp


# Where it stands against the limits; and what is not known.


def _exposure(plan: Plan) -> Iterator[Block]:
    now = {one.strategy: one.current_bp for one in plan.strategies}
    then = {one.strategy: one.current_bp + _step(one) for one in plan.strategies}
    limits = plan.limits_bp
    rows = [_sum_row("total_deployed", tuple(now), now, then, limits["total"])]
    groups = [group for group in plan.clusters if len(group) > 1]
    rows += [_sum_row("correlated_exposure", group, now, then, limits["cluster"]) for group in groups]
    if funded := sorted((then[key], key) for key in then if then[key]):
        rows.append(_sum_row("individual_max", (funded[-1][1],), now, then, limits["individual_max"]))
        rows.append(_sum_row("individual_min", (funded[0][1],), now, then, limits["individual_min"]))
    note = "" if groups else "No correlated cluster of two or more is known."
    yield Table(
        title="Exposure",
        columns=(*left("what"), *right("now %", "proposed %", "limit %"), *left("of")),
        rows=tuple(rows),
        note=f"Correlated exposure after the change: {plan.correlated_exposure}. {note}".rstrip(),
    )


def _sum_row(
    limit: str, group: Sequence[str], now: dict[str, Fraction], then: dict[str, Fraction], limit_bp: int
) -> tuple[str, ...]:
    words = "correlated cluster" if limit == "correlated_exposure" else LIMIT_WORDS[limit]
    return (
        words,
        *(number(sum((side[key] for key in group), Fraction(0)) / BP_PER_PERCENT) for side in (now, then)),
        number(Fraction(limit_bp) / BP_PER_PERCENT),
        "" if limit == "total_deployed" else ids(group, most=_MOST_LINES),
    )


def _unknown(plan: Plan) -> Iterator[Table]:
    found = []
    if plan.correlated_exposure == "NOT_EVALUATED":
        found.append(("NOT_EVALUATED", one_line(plan.not_evaluated_reason) or "no reason is given"))
    if plan.fallback:
        found.append(("fallback", one_line(f"{plan.requested_mode} was asked for; {plan.fallback}")))
    found += [("stale data", one_line(text)) for text in plan.stale]
    if found:
        rows, note = limited(found, most=_MOST_LINES, what="such lines")
        yield Table("Not known for certain", (*whole("what"), *left("why")), rows, note)


# Who recommends it, and who does not.


def _decision(plan: Plan) -> Table:
    said = plan.decision
    reasons = [reason for reason in said.reasons if reason not in said.headline]
    rows, note = limited(
        [
            ("headline", one_line(said.headline)),
            ("improvement rule alone", said.improvement_verdict),
            *(("reason", one_line(reason)) for reason in reasons),
        ],
        most=_MOST_LINES,
        what="reasons",
    )
    return Table("Decision", (*whole("what"), *left("says")), rows, note)


def _reviews(plan: Plan) -> Table:
    found = [
        (review.role.replace("_", " "), review.source, review.verdict, one_line(concern))
        for review in plan.reviews
        for concern in review.concerns or ("none",)
    ]
    rows, note = limited(found, most=2 * _MOST_LINES, what="concerns")
    return Table(
        title="Reviews",
        columns=(*whole("role", "source", "verdict"), *left("concerns")),
        rows=rows,
        note=f"You may approve against a review, never against a limit. {note}".rstrip(),
    )


# What it would have meant.


@dataclass(frozen=True, slots=True)
class _Measure:
    """One measure before and after.

    Attributes:
        worse_by: How much worse it gets, in its own unit; 0 or less where it does not, None where unknown.
    """

    name: str
    before: Decimal | None
    after: Decimal | None

    @property
    def worse_by(self) -> Fraction | None:
        if self.before is None or self.after is None:
            return None
        lost = Fraction(self.before) - Fraction(self.after)
        return -lost if self.name in _LOWER_IS_BETTER else lost

    @property
    def relative(self) -> Fraction | None:
        """``worse_by`` in percent of the size before; None where that is unknown or 0."""
        if self.worse_by is None or not self.before:
            return None
        return 100 * self.worse_by / abs(Fraction(self.before))


def _risk(plan: Plan) -> Iterator[Block]:
    """Measures of the window that chose the change; the worst change is named even where all else is good."""
    baseline, projected = plan.evidence.baseline, plan.evidence.projected
    if baseline is None or projected is None:
        yield Paragraph("Worst risk change: not known, the measures could not be computed.", "bad")
        return
    before, after = _values(baseline), _values(projected)
    measures = [_Measure(name, before[name], after[name]) for name in before]
    yield Table(
        title="Risk, in-sample",
        columns=(*left("measure"), *right("now", "proposed", "change", "change %")),
        rows=tuple(_measure_row(one) for one in measures),
    )
    yield _worst(measures)
    unknown = [one.name for one in measures if one.worse_by is None]
    if unknown:
        yield Paragraph(f"Not compared, undefined: {', '.join(unknown)}.", "warn")


def _values(metrics: PlannedMetrics) -> dict[str, Decimal | None]:
    return {
        "Sharpe ratio, a year": metrics.sharpe,
        "maximum drawdown %": metrics.max_drawdown_percent,
        "volatility %, a year": metrics.volatility_percent,
        "win rate %": None if metrics.win_rate is None else 100 * metrics.win_rate,
        "return %": metrics.return_percent,
    }


def _measure_row(one: _Measure) -> tuple[str, ...]:
    if one.before is None or one.after is None:
        return (one.name, number(one.before), number(one.after), "undefined", "undefined")
    change = Fraction(one.after) - Fraction(one.before)
    share = signed(100 * change / abs(Fraction(one.before))) if one.before else "undefined"
    return (one.name, number(one.before), number(one.after), signed(change), share)


def _worst(measures: Sequence[_Measure]) -> Paragraph:
    """The measure that gets worst against its own size; one that was 0 has no size, so it comes first."""
    worse = [one for one in measures if (one.worse_by or 0) > 0]
    if not worse:
        known = "" if all(one.worse_by is not None for one in measures) else " of those that are known"
        return Paragraph(
            f"Worst risk change, in-sample: none{known} gets worse.", "plain" if known else "good"
        )
    worst = max(worse, key=lambda one: (one.relative is None, one.relative or Fraction(0)))
    size = "it was 0" if worst.relative is None else f"{number(worst.relative)} % worse"
    return Paragraph(
        f"Worst risk change, in-sample: {worst.name}, from {number(worst.before)} to "
        f"{number(worst.after)}: {size}.",
        "warn",
    )


def _evidence(plan: Plan) -> Table:
    found, said = plan.evidence, plan.decision
    rows = (
        ("net improvement, in-sample %", signed(found.net_improvement_percent)),
        (
            "probability of a better Sharpe ratio",
            "not computed" if found.probability_better is None else number(found.probability_better),
        ),
        ("walk-forward trials", str(found.trials)),
        ("of them won", str(found.wins) if found.trials else ""),
        ("confidence", said.confidence),
    )
    return Table(
        title="Evidence",
        columns=(*left("measure"), *right("value")),
        rows=rows,
        note=f"{_EVIDENCE[said.evidence][0].upper()}{_EVIDENCE[said.evidence][1:]}.",
    )


# What an approval is good for.


def _validity(plan: Plan) -> Iterator[Paragraph]:
    move = number(plan.max_plan_price_move_percent)
    yield Paragraph(f"Prices: it holds while no strategy and not the total moves by more than {move} %.")
    yield Paragraph(
        "All else must stay as it is: configuration, pins, targets, strategies, quantities, clusters."
    )
    changed = [one for one in plan.strategies if one.proposed_bp is not None]
    yield Paragraph("Executed, it makes the proposed % of what changes the new targets in the registry.")
    by_hand = [one.strategy for one in changed if one.control == "bot"]
    if by_hand:
        yield Paragraph(f"By hand: after the orders you tell the bots of {ids(by_hand, most=_MOST_LINES)}.")
    unstated = [one.strategy for one in changed if one.control is None]
    if unstated:
        yield Paragraph(
            f"Who moves {ids(unstated, most=_MOST_LINES)} is not stated in the registry: on paper orders do; "
            "a live venue refuses."
        )
    yield Paragraph(f"Expires at {format_instant(plan.expires_at)}; it is executed once, or not at all.")
