"""Reviews: does a review, by rules or by a model, name each defect that was planted?

A defect counts as named where its words stand in a concern, as whole words; the kind of a model's concern is
part of it.
"""

from __future__ import annotations

import re
from typing import Final

from portfolio_rebalance.evals.scorers.settings import scored
from portfolio_rebalance.evals.scoring import Score, Scorer
from portfolio_rebalance.evals.world import Observed

__all__ = ["REVIEWS"]


def _judge(seen: Observed) -> Score:
    planted = seen.scenario.expect.finds
    if not planted:
        return Score(passed=None)
    told = " \n ".join(concern for one in seen.result.reviews for concern in one.concerns)
    missed = [one for one in planted if not _names(told, one)]
    found = (len(planted) - len(missed)) / len(planted)
    return scored([f"no review names: {one}" for one in missed], value=round(found, 4))


def _names(told: str, defect: str) -> bool:
    words = re.escape(defect.replace("_", " "))
    return re.search(rf"(?<!\w){words}(?!\w)", told, re.IGNORECASE) is not None


REVIEWS: Final = Scorer(
    name="reviews", kind="quality", about="Reviews name the defects that were planted.", judge=_judge
)
