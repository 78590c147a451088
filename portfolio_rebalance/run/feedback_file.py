"""The feedback file: for people, what each rebalance came to and why; made of the ledger, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.records import Comparison, Learned, Outcome, Tick
from portfolio_rebalance.workspace import Ledger, Projection, to_yaml
from portfolio_rebalance.workspace.files import exists, read_bytes
from portfolio_rebalance.workspace.follow_ups import Followed
from portfolio_rebalance.workspace.layout import FEEDBACK

__all__ = ["feedback_projection"]

_MOST_REBALANCES: Final = 50
_MAX_BYTES: Final = 16_000_000
_WORTH_TELLING: Final = ("alert", "within_uncertainty", "not_judged")


def feedback_projection(
    root: Path,
    ledger: Ledger,
    *,
    ticks: Sequence[Tick] = (),
    outcomes: Sequence[Outcome] = (),
    learned: Sequence[Learned] = (),
) -> Projection | None:
    """The file as it should read; None where it does, or there is nothing to tell.

    Args:
        root: The workspace.
        ledger: What is stored already.
        ticks: New ones, stored in the same transaction.
        outcomes: Likewise.
        learned: Likewise.
    """
    followed = [one for one in ledger.follow_ups.executions() if one.execution.status == "committed"]
    graded = {one.plan_id: one for one in outcomes}
    causes = {key: list(found) for key, found in ledger.follow_ups.learned().items()}
    for lesson in learned:
        causes.setdefault(lesson.plan_id, []).append(lesson)
    entries = []
    for one in followed[: -_MOST_REBALANCES - 1 : -1]:
        own = [tick for tick in ticks if tick.plan_id == one.plan_id]
        newest = own[-1] if own else ledger.follow_ups.newest_tick(one.plan_id)
        told = [*ledger.follow_ups.alerting_ticks(one.plan_id), *(tick for tick in own if tick.alerts)]
        outcome = one.outcome or graded.get(one.plan_id)
        if outcome is not None or told or (newest is not None and _diverges(newest)):
            entries.append(_entry(one, newest, told, outcome, causes.get(one.plan_id, [])))
    if not entries:
        return None
    content = to_yaml({"rebalance_feedback": entries})
    old = read_bytes(root, FEEDBACK, max_bytes=_MAX_BYTES).sha256 if exists(root, FEEDBACK) else None
    if old == sha256(content).hexdigest():
        return None
    return Projection(path=FEEDBACK, old_sha256=old, content=content)


def _diverges(tick: Tick) -> bool:
    return any(one.verdict in _WORTH_TELLING for one in tick.realised.metrics)


def _entry(
    followed: Followed,
    newest: Tick | None,
    told: Sequence[Tick],
    outcome: Outcome | None,
    causes: Sequence[Learned],
) -> dict[str, object]:
    realised = outcome.realised if outcome is not None else newest.realised if newest is not None else None
    assert realised is not None
    return {
        "plan_id": followed.plan_id,
        "mode": followed.execution.mode,
        "committed_at": format_instant(followed.finished_at),
        "status": "watched" if outcome is None else "graded" if outcome.graded else "not graded",
        "reason": "" if outcome is None else outcome.reason,
        "days": realised.days,
        "observations": realised.observations,
        "ahead_of_do_nothing": realised.ahead_of_shadow,
        "helped": None if outcome is None else outcome.helped,
        "predicted_probability": None if outcome is None else outcome.probability_helps,
        "divergences": [_divergence(one) for one in realised.metrics if one.verdict in _WORTH_TELLING],
        "alerts": [{"at": format_instant(tick.at), "what": alert} for tick in told for alert in tick.alerts],
        "learnings": [
            {"cause": one.cause, "source": one.source, "what": one.text, "cited": list(one.cited)}
            for one in causes
        ],
    }


def _divergence(one: Comparison) -> dict[str, object]:
    return {
        "metric": one.metric,
        "projected": one.projected,
        "realised": one.realised,
        "do_nothing": one.shadow,
        "interval_90": [one.low, one.high],
        "divergence_percent": one.divergence_percent,
        "verdict": one.verdict.replace("_", " "),
    }
