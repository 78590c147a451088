"""The rules driver: advances a session to its decision without a model."""

from __future__ import annotations

from collections.abc import Callable

from portfolio_rebalance.run.session import Session

__all__ = ["drive_by_rules"]


def drive_by_rules(session: Session, *, progress: Callable[[str], None]) -> None:
    """Advance stage by stage until the run is decided.

    Args:
        session: A fresh or half-advanced session.
        progress: Told the name of each stage before it runs.
    """
    while (stage := session.next_stage) is not None:
        progress(stage.name)
        session.advance()
