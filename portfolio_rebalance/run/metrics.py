"""Metrics: what the rebalances of a workspace have come to, and what was learned from them; reads only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from portfolio_rebalance.monitoring.metrics import metrics_of
from portfolio_rebalance.records import Learned, TuningStep
from portfolio_rebalance.records.metrics import MetricsReport
from portfolio_rebalance.tools.metrics import metrics_in
from portfolio_rebalance.workspace import Ledger

__all__ = ["Feedback", "feedback", "metrics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What was learned here.

    Attributes:
        steps: The log of estimates, oldest first.
        learned: Why outcomes differ from their predictions, oldest first.
    """

    steps: tuple[TuningStep, ...]
    learned: tuple[Learned, ...]


def metrics(root: Path) -> MetricsReport:
    """The metrics of a workspace; empty where nothing was rebalanced yet.

    Raises:
        LedgerError: What is stored cannot be read.
    """
    with Ledger.read(root) as ledger:
        return metrics_of(()) if ledger is None else metrics_in(ledger)


def feedback(root: Path) -> Feedback:
    """The log of estimates and the learnings of a workspace.

    Raises:
        LedgerError: What is stored cannot be read.
    """
    with Ledger.read(root) as ledger:
        if ledger is None:
            return Feedback(steps=(), learned=())
        learned = [one for several in ledger.follow_ups.learned().values() for one in several]
        return Feedback(
            steps=ledger.follow_ups.steps(), learned=tuple(sorted(learned, key=lambda one: one.at))
        )
