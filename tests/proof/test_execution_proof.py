"""A thousand and more combinations of venue fault, order and crash: money moves once, or not at all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "execution"))

from fault_matrix import Tally, course_of, crash_and_recover, scripts_of, sweep
from fault_portfolios import PORTFOLIOS, approved, scratch

EVERY = {"example_1": 5, "shorts": 24, "shared_account": 7, "both_ways": 12}
"""One crash point of a script in so many, so that each portfolio has its share."""

COMBINATIONS = 300
"""Of each portfolio at least."""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with scratch(tmp_path) as made:
        yield made


@pytest.mark.proof
@pytest.mark.parametrize("name", PORTFOLIOS)
def test_after_any_fault_and_any_crash_money_moved_once_or_not_at_all(name: str, folder: Path) -> None:
    template = approved(PORTFOLIOS[name], folder / name)
    tally = sweep(template, scripts_of(template, folder=folder), every=EVERY[name], folder=folder)
    print(f"\n{name}: {tally}")
    assert tally.faults == []
    assert tally.endings.total() >= COMBINATIONS
    assert tally.crashes.total() - tally.crashes[1] >= COMBINATIONS / 2
    assert set(tally.endings) == {"committed", "reverted", "needs_operator"}
    assert tally.endings["needs_operator"] < tally.endings.total() / 3


@pytest.mark.proof
@pytest.mark.parametrize("script", ["2:timeout_after", "2:partial=0.4"])
def test_a_recovery_may_crash_at_every_point(script: str, folder: Path) -> None:
    template = approved(PORTFOLIOS["example_1"], folder / "example_1")
    course = course_of(template, script, folder=folder)
    first = course.points.index("after place", course.points.index("after place") + 1) + 1
    tally, point = Tally(), 0
    while True:
        point += 1
        outcome = crash_and_recover(template, script, crashes=(first, point), folder=folder)
        if len(outcome.crashed) == 1:
            break
        tally.add(outcome, combination=f"{script!r} {point}")
    print(f"\n{script}: {tally}")
    assert tally.faults == []
    assert point > 30
