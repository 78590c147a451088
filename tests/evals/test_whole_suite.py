"""The rest of the offline suite: every attack and every faulty model, scored as ``eval`` scores them.

What the other families hold is scored by ``test_benign_scenarios`` and ``test_transcripts``; the proof looks
at the attacks once more, by an oracle that shares nothing with the scorers.
"""

from __future__ import annotations

import pytest

from portfolio_rebalance.evals.scenario import load_scenarios
from portfolio_rebalance.evals.suite import run_suite

REST = {one.name: one for one in load_scenarios() if one.family in ("attacks", "model_faults")}


@pytest.mark.parametrize("name", sorted(REST))
def test_no_scorer_finds_a_fault(name: str) -> None:
    scores = run_suite([REST[name]])
    assert scores
    faults = {
        one.case: [(result.scorer, result.faults) for result in one.failures]
        for one in scores
        if one.failures
    }
    assert faults == {}
