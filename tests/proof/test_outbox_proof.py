"""A thousand kills and five thousand power cuts: no commit is mixed, torn or lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from workspace.test_outbox_crashes import cut, killed

KILLS = 1_000
STATES = 5_000


@pytest.mark.proof
def test_a_thousand_kills_leave_all_new_or_all_old(tmp_path: Path) -> None:
    told = killed(tmp_path, kills=KILLS, seed=1)
    assert told["faults"] == []
    assert told["kills"] >= KILLS
    assert told["kills of recovery"] >= KILLS // 2
    assert told["old"] + told["new"] == told["kills"]
    assert min(told["old"], told["new"]) > KILLS // 10


@pytest.mark.proof
def test_five_thousand_power_cuts_leave_all_new_or_all_old(tmp_path: Path) -> None:
    states, found = cut(tmp_path, states=STATES, most_per_moment=40, kill_every=2)
    assert found == []
    assert states >= STATES
