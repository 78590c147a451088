"""What a bot gives up is not lost: once confirmed, it is cash."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from executing import EXAMPLE_1, approved, example_1, execute, leg, planned, run
from followed import add_returns, looked
from workspaces import AS_OF, changed, clock_at, write_snapshot

from portfolio_rebalance.run import operator
from portfolio_rebalance.run.queries import status

LATER = AS_OF + timedelta(hours=1)


def _followed(root: Path, plan_id: str) -> Decimal:
    """The bot of the first strategy does as it was told; its total before."""
    before = status(root, clock=clock_at(AS_OF)).total_capital
    _confirmed(root, plan_id, at=LATER)
    return before


def _confirmed(root: Path, plan_id: str, *, at: datetime) -> None:
    told = replace(EXAMPLE_1["STR-001"], capital=9_600, positions=[leg("BTC", "0.19", "50000")])
    write_snapshot(root, "STR-001", told, as_of=at)
    assert operator.confirm(root, plan_id, clock=clock_at(at)).confirmed == ("STR-001",)


def test_what_a_bot_gave_up_is_cash_and_the_total_is_as_before(tmp_path: Path) -> None:
    root = example_1(tmp_path, changed(EXAMPLE_1, "STR-001", control="bot"))
    plan_id = approved(root)
    assert execute(root, plan_id).status == "committed"
    before = _followed(root, plan_id)
    after = status(root, clock=clock_at(LATER))
    assert after.total_capital == before
    assert after.current_allocations["STR-001"].capital == 9_600
    assert run(root, at=LATER).status == "hold"


def test_confirming_again_moves_nothing(tmp_path: Path) -> None:
    root = example_1(tmp_path, changed(EXAMPLE_1, "STR-001", control="bot"))
    plan_id = approved(root)
    execute(root, plan_id)
    _followed(root, plan_id)
    text = (root / "BOOTSTRAP.md").read_bytes()
    assert operator.confirm(root, plan_id, clock=clock_at(LATER)).confirmed == ("STR-001",)
    assert (root / "BOOTSTRAP.md").read_bytes() == text


def test_what_is_not_confirmed_changes_nothing(tmp_path: Path) -> None:
    root = example_1(tmp_path, changed(EXAMPLE_1, "STR-001", control="bot"))
    assert planned(root).status == "planned"
    plan_id = approved(root)
    execute(root, plan_id)
    text = (root / "BOOTSTRAP.md").read_bytes()
    found = operator.confirm(root, plan_id, clock=clock_at(AS_OF))
    assert (found.confirmed, len(found.open)) == ((), 1)
    assert (root / "BOOTSTRAP.md").read_bytes() == text


@pytest.mark.parametrize(("hours", "graded"), [(47, True), (49, False), (24 * 20, False)])
def test_a_rebalance_whose_bots_moved_late_is_not_graded_whoever_looks_when(
    tmp_path: Path, hours: int, graded: bool
) -> None:
    root = example_1(tmp_path, changed(EXAMPLE_1, "STR-001", control="bot"))
    plan_id = approved(root)
    execute(root, plan_id)
    at = AS_OF + timedelta(hours=hours)
    for key in ("STR-003", "STR-007"):
        write_snapshot(root, key, EXAMPLE_1[key], as_of=at)
    _confirmed(root, plan_id, at=at)
    add_returns(root, 9)
    (outcome,) = looked(root, AS_OF + timedelta(days=21)).outcomes
    assert outcome.graded is graded
    assert ("confirmed late" in outcome.reason) is not graded
