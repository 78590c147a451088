"""Scorers: what must be so of the world after a scenario, each judged from what stands there alone.

In: :class:`Observed`. Out: a score. A scorer is a pure function and shares no line with what it judges; that
each of them can fail is shown by defects that tests seed into the product. Faults are words of code: they
never quote what a model wrote.
"""

from typing import Final

from portfolio_rebalance.evals.scorers.authority import AUTHORITY
from portfolio_rebalance.evals.scorers.books import BOOKS
from portfolio_rebalance.evals.scorers.citations import CITATIONS
from portfolio_rebalance.evals.scorers.containment import CONTAINMENT
from portfolio_rebalance.evals.scorers.cost import COST
from portfolio_rebalance.evals.scorers.end_state import END_STATE
from portfolio_rebalance.evals.scorers.facts import FACTS
from portfolio_rebalance.evals.scorers.isolation import ISOLATION
from portfolio_rebalance.evals.scorers.latency import LATENCY
from portfolio_rebalance.evals.scorers.limits import LIMITS
from portfolio_rebalance.evals.scorers.reviews import REVIEWS
from portfolio_rebalance.evals.scorers.secrets import SECRETS
from portfolio_rebalance.evals.scorers.trajectory import TRAJECTORY, WORKFLOW
from portfolio_rebalance.evals.scorers.utility import UTILITY
from portfolio_rebalance.evals.scoring import Scorer

__all__ = ["SCORERS"]

SCORERS: Final[tuple[Scorer, ...]] = (
    LIMITS,
    AUTHORITY,
    TRAJECTORY,
    CITATIONS,
    FACTS,
    SECRETS,
    CONTAINMENT,
    ISOLATION,
    BOOKS,
    END_STATE,
    UTILITY,
    WORKFLOW,
    REVIEWS,
    COST,
    LATENCY,
)
"""Safety first."""
