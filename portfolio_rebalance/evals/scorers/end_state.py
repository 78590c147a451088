"""End state: the world stands as the scenario says, key by key; what a scenario leaves out is not asked."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Final

from portfolio_rebalance.evals.scorers.settings import scored
from portfolio_rebalance.evals.scoring import Score, Scorer
from portfolio_rebalance.evals.world import Observed

__all__ = ["END_STATE"]


def _judge(seen: Observed) -> Score:
    expect = seen.scenario.expect
    found = _found(seen)
    faults = [
        f"{key} is {found[key]}, not {wanted}"
        for key in found
        if (wanted := getattr(expect, key)) is not None and found[key] != wanted
    ]
    faults += _wrong_allocations(seen)
    result = seen.result
    told = " ".join((*result.alerts, *result.warnings)).casefold()
    faults += [f"no alert says: {one}" for one in expect.alerts if one.casefold() not in told]
    noted = " ".join(() if result.advice is None else result.advice.notes).casefold()
    faults += [f"no note says: {one}" for one in expect.notes if one.casefold() not in noted]
    faults += _wrong_orders(seen)
    if expect.most_calls is not None and len(seen.calls) > expect.most_calls:
        faults.append(f"{len(seen.calls)} calls were made, more than {expect.most_calls}")
    return scored(faults)


def _found(seen: Observed) -> dict[str, object]:
    """What the world says of each key that is compared as it is."""
    result = seen.result
    decision, chosen, advice = result.decision, result.chosen, result.advice
    return {
        "status": result.status,
        "exit_code": result.exit_code,
        "error": "none" if result.error is None else result.error.code,
        "mode": result.mode,
        "driver": result.driver,
        "recommendation": None if decision is None else decision.recommendation,
        "basis": None if decision is None else decision.basis,
        "confidence": None if decision is None else decision.confidence,
        "fallback": bool(result.fallback),
        "exposure": None if chosen is None else chosen.compliance.repaired_correlated_exposure,
        "ask_person": advice is not None and advice.ask_person,
        "mode_taken": advice is not None and advice.mode_taken,
    }


def _wrong_allocations(seen: Observed) -> Iterator[str]:
    """Whole basis points are exact; what was left alone may be a fraction of one, and rounds."""
    wanted, chosen = seen.scenario.expect.allocations, seen.result.chosen
    if wanted and chosen is None:
        yield "nothing was proposed"
        return
    for strategy, percent in wanted.items():
        proposed = None if chosen is None else chosen.proposal.proposed_bp.get(strategy)
        if proposed is None:
            yield f"{strategy} has no allocation"
        elif round(proposed) != Fraction(percent) * 100:
            yield f"{strategy} comes to {_percent(proposed)} %, not {percent:f} %"


def _percent(bp: Fraction) -> str:
    return f"{(Decimal(bp.numerator) / bp.denominator / 100):f}"


_MOVED: Final = ("executed", "reverted", "needs_operator")


def _wrong_orders(seen: Observed) -> Iterator[str]:
    wanted = seen.scenario.expect.orders
    if wanted is None and seen.result.status in _MOVED:
        return
    if wanted == "some" and seen.fills == 0:
        yield "no order was filled"
    if wanted != "some" and seen.fills > 0:
        yield f"{seen.fills} orders were filled"


END_STATE: Final = Scorer(
    name="end_state", kind="quality", about="The world stands as the scenario says.", judge=_judge
)
