"""Five thousand stateful sequences, a third and more of them from a breach: no prefix adds to any overage."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

# The rooms of the tests are no packages: a proof that shares the machine of one says where they stand.
sys.path.append(str(Path(__file__).parents[1] / "execution"))

from rebalance_machine import SEEN, Rebalance

CHUNKS = 20
SEQUENCES_PER_CHUNK = 250


@pytest.mark.proof
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_five_thousand_sequences_lift_no_limit_above_where_it_was(chunk: int) -> None:
    before = SEEN.copy()
    run_state_machine_as_test(
        seed(chunk)(type(f"Rebalance{chunk}", (Rebalance,), {})),
        settings=settings(
            max_examples=SEQUENCES_PER_CHUNK,
            stateful_step_count=10,
            derandomize=False,
            database=None,
            phases=(Phase.generate, Phase.shrink),
        ),
    )
    seen = SEEN - before
    assert seen["sequences"] >= SEQUENCES_PER_CHUNK
    assert seen["from a breach"] * 3 >= seen["sequences"]
    assert seen["committed"] + seen["reverted"] + seen["needs_operator"] >= SEQUENCES_PER_CHUNK
    assert seen["reverted"] >= SEQUENCES_PER_CHUNK // 20
    assert seen["needs_operator"] < seen["sequences"] // 4
