"""Learning: why an outcome differs from its prediction, as far as code can tell.

Where nothing left its interval the cause is chance, whatever story could be told: a model is not asked then,
and what one says of a metric that stayed inside is replaced by that. Code names a cause only where it can
show it; a change of regime or of correlation is for the feedback agent to argue.
"""

from __future__ import annotations

from collections.abc import Iterator

from portfolio_rebalance.records import Learned, Outcome, Tick

__all__ = ["WITHIN", "causes_by_rules", "diverged", "within_uncertainty"]

WITHIN = "within its own uncertainty: so few days bring such differences by chance"
"""What code says of a difference that proves nothing."""


def diverged(seen: Tick | Outcome) -> tuple[str, ...]:
    """Metrics, and ``cost``, that left their interval."""
    metrics = tuple(one.metric for one in seen.realised.metrics if one.verdict == "alert")
    return (*metrics, *(("cost",) if seen.cost.verdict == "alert" else ()))


def within_uncertainty(seen: Tick | Outcome) -> tuple[str, ...]:
    """Metrics, and ``cost``, that differ from their projection and stayed inside of their interval."""
    metrics = tuple(one.metric for one in seen.realised.metrics if one.verdict == "within_uncertainty")
    return (*metrics, *(("cost",) if seen.cost.verdict == "within_uncertainty" else ()))


def causes_by_rules(outcome: Outcome) -> tuple[Learned, ...]:
    """The causes that code can show; none where an outcome diverged and nothing shows why."""
    return tuple(_causes(outcome))


def _causes(outcome: Outcome) -> Iterator[Learned]:
    if outcome.realised.missing:
        yield _learned(outcome, "data_fault", f"no return on some day: {', '.join(outcome.realised.missing)}")
    if outcome.cost.verdict == "alert":
        cost = outcome.cost
        yield _learned(
            outcome,
            "execution_cost",
            f"the batch cost {cost.actual_bps} bps of what it traded, estimated were {cost.estimated_bps}",
        )
    inside = within_uncertainty(outcome)
    if outcome.graded and not diverged(outcome) and inside:
        names = ", ".join(name.replace("_", " ") for name in inside)
        yield _learned(outcome, "chance", f"{names}: {WITHIN}")


def _learned(outcome: Outcome, cause: str, text: str) -> Learned:
    return Learned.model_validate(
        {"plan_id": outcome.plan_id, "at": outcome.at, "source": "rules", "cause": cause, "text": text}
    )
