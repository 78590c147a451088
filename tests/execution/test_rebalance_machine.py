"""Some sequences of orders, prices, faults, halts and crashes; `make proof` runs five thousand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from batches import Case
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from rebalance_machine import SEEN, Rebalance

from portfolio_rebalance.execution import executor
from portfolio_rebalance.records import Step


def test_no_sequence_of_events_lifts_a_limit_above_where_it_was() -> None:
    before = SEEN.copy()
    run_state_machine_as_test(
        Rebalance, settings=settings(max_examples=40, stateful_step_count=10, database=None)
    )
    seen = SEEN - before
    assert seen["sequences"] >= 40
    assert {"committed", "reverted"} <= set(seen)


class Backwards(Rebalance):
    """Increases first."""

    def steps_of(self, case: Case) -> Sequence[Step]:
        turned = reversed(case.batch().steps)
        return [step.model_copy(update={"index": index}) for index, step in enumerate(turned)]


def test_the_judge_finds_what_the_gate_would_have_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "require_gate", lambda *_args, **_more: None)
    with pytest.raises(AssertionError, match=r"limit broken|overage gained"):
        run_state_machine_as_test(
            Backwards,
            settings=settings(
                max_examples=200, stateful_step_count=4, database=None, phases=(Phase.generate,)
            ),
        )
