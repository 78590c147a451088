"""Latency: what a run takes, and that models took no longer than the configuration allows."""

from __future__ import annotations

from typing import Final

from portfolio_rebalance.evals.scorers.settings import config_on_disk, scored
from portfolio_rebalance.evals.scoring import Score, Scorer
from portfolio_rebalance.evals.world import Observed

__all__ = ["LATENCY"]


def _judge(seen: Observed) -> Score:
    config, spend = config_on_disk(seen), seen.result.spend
    faults = []
    if config is not None and spend is not None and spend.seconds > config.llm.max_seconds:
        faults.append(f"models took {spend.seconds:.1f} s of {config.llm.max_seconds} s")
    return scored(faults, value=round(seen.seconds, 3))


LATENCY: Final = Scorer(
    name="latency", kind="quality", about="Models stay within the seconds allowed.", judge=_judge
)
