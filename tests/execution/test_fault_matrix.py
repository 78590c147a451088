"""Venue faults and crashes, a small part of the matrix; `tests/proof` has the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_matrix import FAULTS, NOT_WHOLE, WHOLE, course_of, crash_and_recover, script_of, sweep
from fault_portfolios import PORTFOLIOS, Template, approved, scratch

from portfolio_rebalance.execution import faults


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with scratch(tmp_path_factory.mktemp("matrix")) as made:
        yield made


@pytest.fixture(scope="module")
def templates(folder: Path) -> dict[str, Template]:
    return {name: approved(portfolio, folder / name) for name, portfolio in PORTFOLIOS.items()}


def test_the_matrix_has_every_fault_of_the_paper_venue() -> None:
    kinds = {part.partition("=")[0] for fault in FAULTS for part in fault.split()}
    assert kinds == set(faults._FORMS)


@pytest.mark.parametrize("name", PORTFOLIOS)
def test_a_fault_that_leaves_prices_alone_ends_as_it_should_at_any_order(
    name: str, templates: dict[str, Template], folder: Path
) -> None:
    course = course_of(templates[name], "", folder=folder)
    assert (course.status, course.orders[1], course.faults) == ("committed", 0, ())
    for order in range(1, course.orders[0] + 1):
        for fault in (*WHOLE, *NOT_WHOLE):
            script = script_of(order, fault)
            outcome = crash_and_recover(templates[name], script, crashes=(), folder=folder)
            expected = "committed" if fault in WHOLE else "reverted"
            assert (outcome.status, outcome.faults) == (expected, ()), script


@pytest.mark.parametrize("name", PORTFOLIOS)
def test_after_any_crash_money_moved_once_or_not_at_all(
    name: str, templates: dict[str, Template], folder: Path
) -> None:
    scripts = ["", "1:late=3", "2:partial=0.4", "2:price_jump=+3%", "2:refuse, 3+:refuse"]
    tally = sweep(templates[name], scripts, every=12, folder=folder)
    assert tally.faults == []
    assert set(tally.endings) == {"committed", "reverted", "needs_operator"}
    assert tally.endings.total() >= 30
    assert max(tally.crashes) == 3


def test_points_between_which_nothing_changed_lead_to_the_same_end(
    templates: dict[str, Template], folder: Path
) -> None:
    template, script = templates["example_1"], "2:timeout_after"
    course = course_of(template, script, folder=folder)
    lasts = (*(first - 1 for first in course.crash_points[1:]), len(course.points))
    for first, last in zip(course.crash_points, lasts, strict=True):
        early, late = (
            crash_and_recover(template, script, crashes=(point,), folder=folder) for point in (first, last)
        )
        assert (early.status, early.reason, early.faults) == (late.status, late.reason, ())


def test_a_crash_before_anything_was_stored_leads_to_a_commit(
    templates: dict[str, Template], folder: Path
) -> None:
    course = course_of(templates["example_1"], "", folder=folder)
    before, after = (course.points.index(f"{moment} start") + 1 for moment in ("before", "after"))
    for point in (before, after):
        outcome = crash_and_recover(templates["example_1"], "", crashes=(point,), folder=folder)
        assert (outcome.status, outcome.crashed, outcome.faults) == (
            "committed",
            (course.points[point - 1],),
            (),
        )


def test_an_order_that_was_marked_and_never_sent_is_not_sent_by_the_next_start(
    templates: dict[str, Template], folder: Path
) -> None:
    course = course_of(templates["example_1"], "", folder=folder)
    point = course.points.index("before place") + 1
    outcome = crash_and_recover(templates["example_1"], "", crashes=(point,), folder=folder)
    assert (outcome.status, outcome.faults) == ("reverted", ())
    assert outcome.reason.endswith("of STR-001: it never reached the venue")


def test_a_crash_between_calling_a_person_and_halt_leaves_halt_to_the_next_start(
    templates: dict[str, Template], folder: Path
) -> None:
    template, script = templates["example_1"], "2:refuse, 3+:refuse"
    course = course_of(template, script, folder=folder)
    assert (course.status, course.faults) == ("needs_operator", ())
    point = course.points.index("before write_halt") + 1
    outcome = crash_and_recover(template, script, crashes=(point,), folder=folder)
    assert (outcome.status, outcome.crashed, outcome.faults) == ("needs_operator", ("before write_halt",), ())
