"""Allocation: modes, limits, repair.

In: exact basis points by strategy id, clusters, plain statistics. Out: proposed and repaired basis points
with their trail. It never reads a file, a clock, a record or a model, and nothing in it raises an
allocation that a limit took down.
"""

from portfolio_rebalance.allocation.limits import LimitCheck, Limits, check_limits
from portfolio_rebalance.allocation.mode import Draft, Mode, ModeSettings, Situation
from portfolio_rebalance.allocation.propose import Proposed, choose_start, propose
from portfolio_rebalance.allocation.registry import CHEAPEST, FALLBACK, find_mode, mode_names
from portfolio_rebalance.allocation.repair import Repair, RepairStep, repair
from portfolio_rebalance.allocation.trades import Blockage, TradePlan, diagnose, fit_to_limits

__all__ = [
    "CHEAPEST",
    "FALLBACK",
    "Blockage",
    "Draft",
    "LimitCheck",
    "Limits",
    "Mode",
    "ModeSettings",
    "Proposed",
    "Repair",
    "RepairStep",
    "Situation",
    "TradePlan",
    "check_limits",
    "choose_start",
    "diagnose",
    "find_mode",
    "fit_to_limits",
    "mode_names",
    "propose",
    "repair",
]
