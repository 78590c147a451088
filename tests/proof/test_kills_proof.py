"""Twenty real `kill -9` and more of the command line within a batch: none is mixed, lost or done twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from front_doors.test_kills import killed, templates_in

KILLS = 24


@pytest.mark.proof
def test_two_dozen_kills_leave_nothing_twice_and_nothing_half_done(tmp_path: Path) -> None:
    templates = templates_in(tmp_path / "templates")
    told = []
    for seed in range(KILLS):
        template = templates[seed % len(templates)]
        told.append(killed(template, tmp_path / str(seed), seed=100 + seed, most_kills=3))
        if sum(one.kills for one in told) >= KILLS and seed >= len(templates):
            break
    assert [fault for one in told for fault in one.faults] == []
    assert sum(one.kills for one in told) >= KILLS
    assert sum(one.recoveries for one in told) >= KILLS // 3
    assert {one.ending for one in told} >= {"committed", "reverted"}
    assert sum(one.ending == "needs_operator" for one in told) <= len(told) // 4
