"""The metrics of a ledger, and ``rebalance-metrics.yaml`` as a file that follows from a committed change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from portfolio_rebalance.monitoring.metrics import metrics_of
from portfolio_rebalance.monitoring.rebalances import LAST, Rebalance
from portfolio_rebalance.records import Plan
from portfolio_rebalance.records.metrics import MetricsReport
from portfolio_rebalance.tools.readable import readable
from portfolio_rebalance.workspace import Ledger, Projection, to_yaml
from portfolio_rebalance.workspace.files import exists, read_bytes
from portfolio_rebalance.workspace.follow_ups import Followed
from portfolio_rebalance.workspace.layout import METRICS
from portfolio_rebalance.workspace.ledger import read_record

__all__ = ["metrics_in", "metrics_projection", "metrics_yaml"]

_MAX_BYTES: Final = 16_000_000


def metrics_in(ledger: Ledger, *, also: Sequence[Followed] = ()) -> MetricsReport:
    """The metrics of what a ledger holds.

    Args:
        ledger: Open.
        also: What is about to be committed: an execution that has ended, or one with the outcome that it was
            graded with. It stands in for what is stored of the same plan.

    Raises:
        LedgerError: What is stored cannot be read.
    """
    return metrics_of(_last(ledger, also))


def metrics_projection(root: Path, ledger: Ledger, *, also: Sequence[Followed] = ()) -> Projection:
    """``rebalance-metrics.yaml`` as it shall read once ``also`` is committed, for the same transaction.

    The same ledger gives the same bytes. What an earlier commit left to write has to be written before: the
    file is replaced as it stands now.

    Args:
        root: The workspace.
        ledger: Open.
        also: As in :func:`metrics_in`.

    Raises:
        LedgerError: What is stored cannot be read.
        BadDataError: Something stands in the file's place that cannot be replaced.
    """
    old = read_bytes(root, METRICS, max_bytes=_MAX_BYTES).sha256 if exists(root, METRICS) else None
    return Projection(path=METRICS, old_sha256=old, content=metrics_yaml(metrics_in(ledger, also=also)))


def metrics_yaml(report: MetricsReport) -> bytes:
    """The file: the source's block, its keys first."""
    return to_yaml({"portfolio_rebalance_metrics": readable(report.model_dump())})


def _last(ledger: Ledger, also: Sequence[Followed]) -> list[Rebalance]:
    """The last rebalances; of the others not even the plan is read."""
    ended = {one.plan_id: one for one in (*ledger.follow_ups.executions(), *also)}
    begun = {key: one.finished_at for key, one in ended.items()}
    left = {
        one.started.plan_id: one
        for one in ledger.journal.left_to_a_person()
        if one.started.plan_id not in ended
    }
    begun |= {key: one.started.at for key, one in left.items()}
    found = []
    for plan_id in sorted(begun, key=lambda key: (begun[key], key))[-LAST:]:
        one = ended.get(plan_id)
        found.append(
            Rebalance(
                plan_id=plan_id,
                at=begun[plan_id],
                status=left[plan_id].status if one is None else one.execution.status,
                plan=_plan(ledger, plan_id),
                execution=None if one is None else one.execution,
                outcome=None if one is None else one.outcome,
            )
        )
    return found


def _plan(ledger: Ledger, plan_id: str) -> Plan:
    return read_record(Plan, ledger.approvals.plan(plan_id).content, row=f"plans {plan_id}")
