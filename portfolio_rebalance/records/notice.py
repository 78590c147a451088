"""What a person is told when nobody looks at a screen: one event, or one condition that lasts."""

from __future__ import annotations

from typing import Final, Literal

from portfolio_rebalance.config_notify import NoticeKind
from portfolio_rebalance.records.base import Instant, Record

__all__ = ["LASTING", "KeptNotice", "Notice"]

LASTING: Final[frozenset[NoticeKind]] = frozenset(
    {
        "blocked",
        "extreme_correlation",
        "halt",
        "needs_operator",
        "severe_drift",
        "stale_data",
        "unconfirmed_instruction",
        "unresolved_violation",
    }
)
"""Conditions, not events: told once a UTC day while they last, and out of date on the next."""


class Notice(Record):
    """One thing to tell.

    Attributes:
        key: The same key is told once: an event's has the plan in it, a condition's what it is about and the
            UTC day.
        title: One line.
        text: One or a few lines: ids, figures and words of our own, nothing that a file of the workspace or a
            venue said.
        plan_id: None where it is not about one plan.
        command: What to type next, whole.
    """

    kind: NoticeKind
    key: str
    title: str
    text: str
    plan_id: str | None
    command: str
    at: Instant


class KeptNotice(Record):
    """A notice as it stands for one target.

    Attributes:
        target: Its name in the configuration.
        state: ``silent``: kept and not sent, as configured; ``failed``: not sent yet, tried again.
    """

    target: str
    state: Literal["sent", "failed", "silent"]
    notice: Notice
