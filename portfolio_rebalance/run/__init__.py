"""Run: one rebalance from state to decision.

In: a workspace, a clock, a request. Out: a decided session, its result and plan. Only ``stages.py`` knows
the order; a driver advances the session and holds no stage logic. It never prints, never talks to a venue,
and writes nothing before the run is decided.
"""

from portfolio_rebalance.run.plans import build_plan, plan_id_of
from portfolio_rebalance.run.record import record
from portfolio_rebalance.run.rules import drive_by_rules
from portfolio_rebalance.run.session import Session
from portfolio_rebalance.run.stages import STAGES, Stage

__all__ = ["STAGES", "Session", "Stage", "build_plan", "drive_by_rules", "plan_id_of", "record"]
