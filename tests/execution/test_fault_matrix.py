"""Venue faults and crashes, a small part of the matrix; `tests/proof` has the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_matrix import FAULTS, NOT_WHOLE, WHOLE, course_of, crash_and_recover, script_of, sweep
from fault_portfolios import PORTFOLIOS, Template, approved, scratch

from portfolio_rebalance.execution import faults

EVERY = 61
"""One crash point in so many."""


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
def test_without_a_fault_a_batch_is_committed(
    name: str, templates: dict[str, Template], folder: Path
) -> None:
    course = course_of(templates[name], "", folder=folder)
    assert (course.status, course.orders[1], course.faults) == ("committed", 0, ())


@pytest.mark.parametrize("name", PORTFOLIOS)
def test_a_fault_that_leaves_prices_alone_ends_as_it_should_at_any_order(
    name: str, templates: dict[str, Template], folder: Path
) -> None:
    orders, _ = course_of(templates[name], "", folder=folder).orders
    for order in range(1, orders + 1):
        for fault in (*WHOLE, *NOT_WHOLE):
            course = course_of(templates[name], script_of(order, fault), folder=folder)
            expected = "committed" if fault in WHOLE else "reverted"
            assert (course.status, course.faults) == (expected, ()), (order, fault)


@pytest.mark.parametrize("name", PORTFOLIOS)
def test_after_any_crash_money_moved_once_or_not_at_all(
    name: str, templates: dict[str, Template], folder: Path
) -> None:
    tally = sweep(templates[name], every=EVERY, folder=folder)
    assert tally.faults == []
    assert set(tally.endings) == {"committed", "reverted", "needs_operator"}


def test_a_crash_before_anything_was_sent_leads_to_a_commit(
    templates: dict[str, Template], folder: Path
) -> None:
    course = course_of(templates["example_1"], "", folder=folder)
    start = course.points.index("before start") + 1
    outcome = crash_and_recover(templates["example_1"], "", crashes=(start,), folder=folder)
    assert (outcome.status, outcome.crashed, outcome.faults) == ("committed", ("before start",), ())
