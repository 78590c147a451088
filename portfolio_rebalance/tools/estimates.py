"""What a run reckons with: costs and priors as configured, or as learned from earlier executions."""

from __future__ import annotations

from datetime import datetime

from portfolio_rebalance.config import Config
from portfolio_rebalance.records import Estimates
from portfolio_rebalance.workspace import Ledger

__all__ = ["estimates_at"]


def estimates_at(ledger: Ledger | None, *, until: datetime, config: Config) -> Estimates:
    """The estimates as they stood at an instant.

    Args:
        ledger: Holds the log of estimates; None where there is none yet.
        until: Steps that were taken later are left out.
        config: What is configured.

    Raises:
        LedgerError: What is stored cannot be read.
    """
    steps = () if ledger is None else ledger.steps_until(until)
    if not steps:
        rates = config.simulation
        return Estimates(slippage_bps=rates.slippage_bps, commission_bps=rates.commission_bps)
    from portfolio_rebalance.monitoring.tuning import estimates_from  # a first dry run needs none of it

    return estimates_from(steps, config=config)
