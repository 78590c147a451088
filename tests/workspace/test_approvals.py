"""What people say of plans is kept; a plan that was used or refused takes no more of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from portfolio_rebalance.errors import LedgerError, PlanConsumedError, PlanNotFoundError
from portfolio_rebalance.workspace import Ledger, StoredPlan
from workspace.executions import NOW, add_plans, approval, hours, started

LEDGER = "portfolio-rebalance/ledger.db"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path) as ledger:
        add_plans(ledger, "aaa1", "aaa2", "bbb1")
        yield ledger


def test_a_plan_is_found_by_the_beginning_of_its_id(ledger: Ledger) -> None:
    found = ledger.approvals.plan("b")
    assert found == StoredPlan(plan_id="bbb1", as_of=hours(3), expires_at=hours(24), content=b"the plan bbb1")
    assert ledger.approvals.plan("aaa1").plan_id == "aaa1"


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("", "More than one"),
        ("aaa", "More than one"),
        ("c", "No"),
        ("run-1", "No"),
        ("%", "No"),
        ("\udcff", "No"),
        ("ä", "No"),
    ],
)
def test_a_prefix_that_names_no_single_plan_is_refused(ledger: Ledger, prefix: str, words: str) -> None:
    with pytest.raises(PlanNotFoundError) as caught:
        ledger.approvals.plan(prefix)
    assert caught.value.exit_code == 2
    assert caught.value.fix
    if prefix:
        assert caught.value.what.startswith(words)


def test_an_approval_is_read_back_as_it_was_given(ledger: Ledger) -> None:
    assert ledger.approvals.approval_of("aaa1") is None
    ledger.approvals.approve(approval("aaa1"))
    assert ledger.approvals.approval_of("aaa1") == approval("aaa1")


def test_a_second_approval_replaces_the_first(ledger: Ledger) -> None:
    ledger.approvals.approve(approval("aaa1"))
    ledger.approvals.approve(approval("aaa1", at=hours(2), user="ben"))
    assert ledger.approvals.approval_of("aaa1") == approval("aaa1", at=hours(2), user="ben")


def test_a_plan_that_is_not_stored_can_be_neither_approved_nor_rejected(ledger: Ledger) -> None:
    with pytest.raises(PlanNotFoundError, match="'aaa'"):
        ledger.approvals.approve(approval("aaa"))
    with pytest.raises(PlanNotFoundError, match="'aaa'"):
        ledger.approvals.reject("aaa", user="anna", at=NOW)


def test_a_rejected_plan_takes_no_approval(ledger: Ledger) -> None:
    ledger.approvals.approve(approval("aaa1"))
    ledger.approvals.reject("aaa1", user="ben", at=hours(1))
    assert ledger.approvals.is_rejected("aaa1")
    assert not ledger.approvals.is_rejected("aaa2")
    with pytest.raises(PlanConsumedError, match=r"rejected by ben at 2025-02-05T03:00:00") as caught:
        ledger.approvals.approve(approval("aaa1", at=hours(2)))
    assert (caught.value.exit_code, caught.value.where) == (12, "aaa1")
    assert ledger.approvals.approval_of("aaa1") == approval("aaa1")


def test_the_first_rejection_stands(ledger: Ledger) -> None:
    ledger.approvals.reject("aaa1", user="anna", at=NOW, reason="too dear")
    ledger.approvals.reject("aaa1", user="ben", at=hours(1))
    assert ledger.rows("SELECT * FROM rejections") == [
        ("aaa1", "anna", "2025-02-05T02:00:00.000000Z", "too dear")
    ]


def test_a_started_plan_takes_neither_approval_nor_rejection(ledger: Ledger) -> None:
    ledger.approvals.approve(approval("aaa1"))
    ledger.journal.start(started("aaa1"), [])
    with pytest.raises(PlanConsumedError, match="started already; its execution is running"):
        ledger.approvals.approve(approval("aaa1", user="ben"))
    with pytest.raises(PlanConsumedError, match="started already"):
        ledger.approvals.reject("aaa1", user="ben", at=NOW)
    assert ledger.approvals.approval_of("aaa1") == approval("aaa1")
    assert not ledger.approvals.is_rejected("aaa1")


def test_the_newest_approved_plan_is_the_one_approved_last(ledger: Ledger) -> None:
    assert ledger.approvals.newest_approved() is None
    ledger.approvals.approve(approval("aaa2", at=hours(5)))
    ledger.approvals.approve(approval("aaa1", at=hours(4)))
    assert ledger.approvals.newest_approved() == "aaa2"
    ledger.approvals.approve(approval("aaa1", at=hours(5)))  # at the same instant: the later word
    assert ledger.approvals.newest_approved() == "aaa1"
    ledger.approvals.reject("aaa1", user="anna", at=hours(6))
    assert ledger.approvals.newest_approved() == "aaa2"
    ledger.journal.start(started("aaa2"), [])
    assert ledger.approvals.newest_approved() is None


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ("UPDATE approvals SET content = x'7b7d'", r"approvals aaa1 cannot be read: plan_id"),
        (
            "UPDATE approvals SET content = CAST(replace(CAST(content AS TEXT), 'typed', 'forged') AS BLOB)",
            r"approvals aaa1 cannot be read: method: Input should be 'typed', 'execute' or 'pre_approved'",
        ),
        ("UPDATE approvals SET content = x'ff'", r"approvals aaa1 cannot be read: Invalid JSON"),
        ("UPDATE approvals SET plan_id = 'aaa2'", r"approvals aaa2 holds the approval of aaa1"),
    ],
)
def test_an_edited_approval_is_refused_by_its_row(tmp_path: Path, edit: str, words: str) -> None:
    with Ledger.open(tmp_path) as ledger:
        add_plans(ledger, "aaa1", "aaa2")
        ledger.approvals.approve(approval("aaa1"))
    with sqlite3.connect(tmp_path / LEDGER) as connection:
        connection.execute(edit)
    with Ledger.open(tmp_path) as ledger:
        for ask in (
            ledger.approvals.newest_approved,
            lambda: [ledger.approvals.approval_of(key) for key in ("aaa1", "aaa2")],
        ):
            with pytest.raises(LedgerError, match=words):
                ask()


def test_instructions_are_issued_with_the_commit_and_confirmed_one_by_one(ledger: Ledger) -> None:
    ledger.journal.start(started("aaa1"), [])
    assert ledger.approvals.instructions_of("aaa1") is None
    ledger.journal.finish(
        "aaa1",
        status="committed",
        report=b"{}",
        total_after=None,
        finished_at=hours(2),
        projections=(),
        instructions=b"[1]",
    )
    issued = ledger.approvals.instructions_of("aaa1")
    assert issued is not None
    assert (issued.issued_at, issued.content, dict(issued.confirmed)) == (hours(2), b"[1]", {})
    ledger.approvals.confirm("aaa1", strategy="STR-C", at=hours(3))
    ledger.approvals.confirm("aaa1", strategy="STR-C", at=hours(4))
    (issued,) = ledger.approvals.instructions()
    assert dict(issued.confirmed) == {"STR-C": hours(3)}
    with pytest.raises(LedgerError, match="FOREIGN KEY"):
        ledger.approvals.confirm("aaa2", strategy="STR-C", at=hours(3))
