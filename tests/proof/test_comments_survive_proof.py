"""Fifty rebalances in a row keep every comment, key and byte that is not theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
from run.test_comments_survive import Ends, desk_at, work
from workspaces import MODES

REBALANCES = 50


@pytest.mark.proof
@pytest.mark.parametrize(("ends", "seed"), [("\n", 1), ("\r\n", 2)], ids=["LF", "CRLF"])
def test_what_people_wrote_survives_fifty_rebalances(tmp_path: Path, ends: Ends, seed: int) -> None:
    desk = desk_at(tmp_path, ends, seed=seed)
    work(desk, REBALANCES)
    assert sum(desk.done.values()) == REBALANCES
    assert set(desk.done) == set(MODES)
    assert len(desk.remarks) == REBALANCES // 3
