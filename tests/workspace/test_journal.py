"""An execution begins once, goes forward only, and ends in one transaction."""

from __future__ import annotations

import inspect
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest

from portfolio_rebalance.errors import (
    LedgerError,
    NeedsOperatorError,
    PlanConsumedError,
    PlanNotFoundError,
    RebalanceError,
)
from portfolio_rebalance.execution.journal import Journal
from portfolio_rebalance.records.batch import OpenExecution, StepState, StoredStep
from portfolio_rebalance.workspace import ExecutionJournal, Ledger, apply_outbox
from workspace.executions import (
    NOW,
    add_plans,
    fill,
    hours,
    order,
    projection,
    run_of,
    started,
    transfer,
)

PRICES = {"reference_price": Decimal("60000.10"), "limit_price": Decimal("59700.0995")}
PAIR = (("STR-A", "STR-B"),)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path) as ledger:
        add_plans(ledger, "one", "two")
        yield ledger


@pytest.fixture
def journal(ledger: Ledger) -> ExecutionJournal:
    """With an execution of an order, a transfer and an order."""
    ledger.journal.start(started("one"), [order(0), transfer(1), order(2)])
    return ledger.journal


def finish(
    journal: ExecutionJournal, plan_id: str = "one", *, status: Any = "committed", **more: Any
) -> None:
    values = {"report": b"{}", "total_after": Decimal(59_900), "finished_at": hours(2), "projections": ()}
    journal.finish(plan_id, status=status, **(values | more))


def settle_all(journal: ExecutionJournal) -> None:
    for index in (0, 2):
        journal.mark_sent("one", index, **PRICES)
        journal.settle("one", index, state="done", fill=fill())
    journal.settle("one", 1, state="done")


def all_rows(ledger: Ledger) -> list[object]:
    tables = ("executions", "steps", "outbox", "instructions", "runs")
    return [ledger.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]


def test_has_every_call_that_execution_asks_for() -> None:
    calls = {name: call for name, call in vars(Journal).items() if not name.startswith("_")}
    assert len(calls) == 7
    for name, call in calls.items():
        assert inspect.signature(getattr(ExecutionJournal, name)) == inspect.signature(call), name


# --- beginning ----------------------------------------------------------------------------------------------


def test_what_was_started_is_read_back_to_the_last_digit(tmp_path: Path, journal: ExecutionJournal) -> None:
    expected = OpenExecution(started=started("one"), status="running")
    assert journal.unfinished() == journal.get("one") == expected
    assert journal.steps("one") == tuple(
        StoredStep(step=step, state="planned") for step in (order(0), transfer(1), order(2))
    )
    with Ledger.read(tmp_path) as reader:
        assert reader is not None
        assert reader.journal.unfinished() == expected


def test_nothing_is_unfinished_before_the_first(ledger: Ledger) -> None:
    assert ledger.journal.unfinished() is None
    assert ledger.journal.get("one") is None
    assert ledger.journal.steps("one") == ()
    assert ledger.journal.report_of("one") is None
    assert ledger.journal.reports() == ()


def test_a_plan_is_consumed_once(ledger: Ledger, journal: ExecutionJournal) -> None:
    with pytest.raises(PlanConsumedError, match="its execution is running"):
        journal.start(started("one"), [])
    settle_all(journal)
    finish(journal)
    with pytest.raises(PlanConsumedError, match="its execution is committed"):
        journal.start(started("one"), [])


def test_a_rejected_or_unknown_plan_is_not_started(ledger: Ledger) -> None:
    ledger.approvals.reject("one", user="anna", at=NOW)
    with pytest.raises(PlanConsumedError, match="rejected by anna"):
        ledger.journal.start(started("one"), [order(0)])
    with pytest.raises(PlanNotFoundError):
        ledger.journal.start(started("three"), [order(0)])
    assert ledger.journal.unfinished() is None


@pytest.mark.parametrize("status", ["running", "reverting", "needs_operator"])
def test_no_second_execution_begins_while_one_is_unfinished(
    ledger: Ledger, journal: ExecutionJournal, status: str
) -> None:
    if status == "reverting":
        journal.revert("one", reason="refused", steps=[])
    elif status == "needs_operator":
        journal.need_operator("one", reason="lost")
    with pytest.raises(NeedsOperatorError, match=rf"execution of one is unfinished \({status}\)"):
        journal.start(started("two"), [])
    with pytest.raises(sqlite3.IntegrityError, match="one_unfinished_execution"):  # were the check to fail
        ledger._connection.execute(
            "INSERT INTO executions (plan_id, status, reason, started) VALUES ('two', 'running', '', x'')"
        )


@pytest.mark.parametrize("steps", [[order(1)], [order(0), order(2)], [order(0), order(0)]])
def test_steps_that_do_not_count_from_0_leave_the_plan_unused(ledger: Ledger, steps: list[Any]) -> None:
    with pytest.raises(LedgerError, match=r"Step \d stands where step \d belongs"):
        ledger.journal.start(started("one"), steps)
    assert ledger.journal.get("one") is None
    ledger.journal.start(started("one"), [order(0)])


def test_of_two_that_begin_at_once_one_does(tmp_path: Path) -> None:
    for number in range(20):
        root = tmp_path / str(number)
        root.mkdir()
        with Ledger.open(root) as ledger:
            add_plans(ledger, "one", "two")
        barrier = threading.Barrier(2)
        outcomes: list[str] = []

        def begin(plan_id: str, root: Path = root, barrier: Any = barrier, outcomes: Any = outcomes) -> None:
            with Ledger.open(root) as ledger:
                barrier.wait()
                try:
                    ledger.journal.start(started(plan_id), [order(0)])
                    outcomes.append("started")
                except RebalanceError as refusal:
                    outcomes.append(refusal.code)

        plans = ("one", "two") if number % 2 else ("one", "one")
        threads = [threading.Thread(target=begin, args=(plan_id,)) for plan_id in plans]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == sorted(["started", "needs_operator" if number % 2 else "plan_consumed"])


# --- steps --------------------------------------------------------------------------------------------------


def test_a_step_is_followed_to_its_fill(journal: ExecutionJournal) -> None:
    journal.mark_sent("one", 0, **PRICES)
    assert journal.steps("one")[0] == StoredStep(step=order(0), state="sent", **PRICES)
    journal.settle("one", 0, state="unknown", note="no answer")
    assert journal.steps("one")[0] == StoredStep(step=order(0), state="unknown", note="no answer", **PRICES)
    journal.settle("one", 0, state="unknown", note="asked again")
    journal.settle("one", 0, state="cancelled", fill=fill("0.01"), note="the rest was cancelled")
    assert journal.steps("one") == (
        StoredStep(
            step=order(0), state="cancelled", fill=fill("0.01"), note="the rest was cancelled", **PRICES
        ),
        StoredStep(step=transfer(1), state="planned"),
        StoredStep(step=order(2), state="planned"),
    )


STATES: tuple[StepState, ...] = get_args(StepState)
FINAL = ("done", "refused", "cancelled")
ORDER_MAY_GO = {
    ("planned", "cancelled"),
    *product(("sent", "unknown"), (*FINAL, "unknown")),
}
TRANSFER_MAY_GO = {("planned", "done"), ("planned", "cancelled")}


def bring_to(journal: ExecutionJournal, ledger: Ledger, index: int, state: str) -> None:
    """Some of these states no transfer reaches: what is tested is that it leaves none of them either."""
    ledger._connection.execute(
        "UPDATE steps SET state = ?, reference_price = '1', limit_price = '1' WHERE idx = ?", (state, index)
    )


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(("before", "after"), list(product(STATES, STATES)))
def test_a_step_goes_forward_only(
    ledger: Ledger, journal: ExecutionJournal, index: int, before: str, after: Any
) -> None:
    bring_to(journal, ledger, index, before)
    stored = journal.steps("one")
    filled = fill() if index == 0 else None
    if (before, after) in (ORDER_MAY_GO if index == 0 else TRANSFER_MAY_GO):
        journal.settle("one", index, state=after, fill=filled, note="so")
        changed = journal.steps("one")[index]
        assert (changed.state, changed.fill, changed.note) == (after, filled, "so")
        return
    with pytest.raises(LedgerError, match=rf"Step {index}, a .* that is {before}, cannot become {after}"):
        journal.settle("one", index, state=after, fill=filled, note="so")
    assert journal.steps("one") == stored


@pytest.mark.parametrize("state", FINAL)
def test_the_same_end_again_changes_nothing_and_another_is_refused(
    journal: ExecutionJournal, state: Any
) -> None:
    journal.mark_sent("one", 0, **PRICES)
    journal.settle("one", 0, state=state, fill=fill(), note="so")
    before = journal.steps("one")
    journal.settle("one", 0, state=state, fill=fill("0.050"), note="so")  # the same number
    for changes in ({"fill": fill("0.01")}, {"note": "else"}, {"fill": None}):
        with pytest.raises(LedgerError, match="cannot become"):
            journal.settle("one", 0, state=state, **({"fill": fill(), "note": "so"} | changes))
    assert journal.steps("one") == before


def test_an_order_is_sent_once_and_a_transfer_never(journal: ExecutionJournal) -> None:
    journal.mark_sent("one", 0, **PRICES)
    with pytest.raises(LedgerError, match="a SELL order that is sent, cannot become sent"):
        journal.mark_sent("one", 0, **PRICES)
    with pytest.raises(LedgerError, match="a book transfer that is planned, cannot become sent"):
        journal.mark_sent("one", 1, **PRICES)
    journal.settle("one", 2, state="cancelled")
    with pytest.raises(LedgerError, match="that is cancelled, cannot become sent"):
        journal.mark_sent("one", 2, **PRICES)
    with pytest.raises(LedgerError, match="no step 3"):
        journal.mark_sent("one", 3, **PRICES)


def test_what_is_not_over_is_not_settled_as_it_stands(journal: ExecutionJournal) -> None:
    with pytest.raises(LedgerError, match="that is planned, cannot become planned"):
        journal.settle("one", 0, state="planned")
    journal.mark_sent("one", 0, **PRICES)
    with pytest.raises(LedgerError, match="that is sent, cannot become sent"):
        journal.settle("one", 0, state="sent")


def test_an_order_is_not_done_without_a_fill(journal: ExecutionJournal) -> None:
    journal.mark_sent("one", 0, **PRICES)
    with pytest.raises(LedgerError, match="without a fill"):
        journal.settle("one", 0, state="done")


@pytest.mark.parametrize("price", ["0.1234567890123", "NaN", "1e30"])
def test_what_could_not_be_read_back_is_not_stored(journal: ExecutionJournal, price: str) -> None:
    before = journal.steps("one")
    with pytest.raises(LedgerError, match="Step 0 cannot be stored so"):
        journal.mark_sent("one", 0, reference_price=Decimal(price), limit_price=Decimal(1))
    assert journal.steps("one") == before


def test_nothing_is_sent_once_an_operator_is_needed_and_answers_are_still_taken(
    journal: ExecutionJournal,
) -> None:
    journal.mark_sent("one", 0, **PRICES)
    journal.need_operator("one", reason="lost")
    with pytest.raises(LedgerError, match="needs_operator; this needs one that is running or reverting"):
        journal.mark_sent("one", 2, **PRICES)
    journal.settle("one", 0, state="done", fill=fill())
    journal.close("one", reason="seen")
    with pytest.raises(LedgerError, match="is closed"):
        journal.settle("one", 2, state="cancelled")


# --- compensation and giving up ---------------------------------------------------------------------------


def test_compensation_goes_on_counting(journal: ExecutionJournal) -> None:
    journal.revert("one", reason="refused", steps=[order(3, phase="revert")])
    execution = journal.unfinished()
    assert execution is not None
    assert (execution.status, execution.reason) == ("reverting", "refused")
    assert [stored.step.index for stored in journal.steps("one")] == [0, 1, 2, 3]
    with pytest.raises(LedgerError, match="Step 3 stands where step 4 belongs"):
        journal.revert("one", reason="again", steps=[order(3, phase="revert")])
    journal.revert("one", reason="", steps=[order(4, phase="revert")])
    execution = journal.get("one")
    assert execution is not None
    assert execution.reason == "refused"


def test_who_gave_up_does_not_go_on(journal: ExecutionJournal) -> None:
    journal.need_operator("one", reason="lost")
    with pytest.raises(LedgerError, match="is needs_operator"):
        journal.revert("one", reason="refused", steps=[])
    with pytest.raises(LedgerError, match="is needs_operator"):
        finish(journal)
    journal.need_operator("one", reason="still lost")
    execution = journal.get("one")
    assert execution is not None
    assert (execution.status, execution.reason) == ("needs_operator", "still lost")


def test_a_person_closes_what_needs_an_operator_and_another_may_begin(
    ledger: Ledger, journal: ExecutionJournal
) -> None:
    with pytest.raises(LedgerError, match="is running"):
        journal.close("one", reason="seen")
    journal.need_operator("one", reason="lost")
    journal.close("one", reason="seen at the venue")
    execution = journal.get("one")
    assert execution is not None
    assert (execution.status, execution.reason) == ("closed", "seen at the venue")
    assert journal.unfinished() is None
    journal.start(started("two"), [])


def test_a_plan_without_execution_is_named(ledger: Ledger) -> None:
    for ask in (
        lambda: ledger.journal.revert("two", reason="", steps=[]),
        lambda: ledger.journal.need_operator("two", reason=""),
        lambda: ledger.journal.close("two", reason=""),
        lambda: finish(ledger.journal, "two"),
        lambda: ledger.journal.mark_sent("two", 0, **PRICES),
    ):
        with pytest.raises(LedgerError, match="no execution") as caught:
            ask()
        assert caught.value.where == "two"


# --- the end ------------------------------------------------------------------------------------------------


def test_a_commit_is_one_transaction_of_execution_runs_and_files(
    ledger: Ledger, journal: ExecutionJournal
) -> None:
    ledger.add_run(run_of("one", number=9))  # another run that came to the same plan
    settle_all(journal)
    files = (projection("BOOTSTRAP.md", b"new", old=b"old"), projection("portfolio-rebalance/x.yaml", b"x"))
    finish(journal, projections=files, report=b'{"a":1}')
    assert {run.run_id: run.status for run in ledger.history()} == {
        "run-1": "committed",
        "run-2": "planned",
        "run-9": "committed",
    }
    assert [(file.path, file.content, file.plan_id) for file in ledger.outbox.pending()] == [
        ("BOOTSTRAP.md", b"new", "one"),
        ("portfolio-rebalance/x.yaml", b"x", "one"),
    ]
    assert journal.report_of("one") == b'{"a":1}'
    assert journal.unfinished() is None
    execution = journal.get("one")
    assert execution is not None
    assert (execution.status, execution.reason) == ("committed", "")


@pytest.mark.parametrize("table", ["runs", "outbox", "instructions", "executions"])
def test_a_commit_that_fails_anywhere_changes_nothing(
    ledger: Ledger, journal: ExecutionJournal, table: str
) -> None:
    settle_all(journal)
    verb = "UPDATE" if table in ("runs", "executions") else "INSERT"
    ledger._connection.execute(
        f"CREATE TRIGGER stop BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    before = all_rows(ledger)
    with pytest.raises(LedgerError, match="disk full"):
        finish(journal, projections=[projection("x", b"x")], instructions=b"[]")
    assert all_rows(ledger) == before
    ledger._connection.execute("DROP TRIGGER stop")
    finish(journal, projections=[projection("x", b"x")], instructions=b"[]")


def test_two_files_of_one_path_are_refused(ledger: Ledger, journal: ExecutionJournal) -> None:
    settle_all(journal)
    with pytest.raises(LedgerError, match="same path"):
        finish(journal, projections=[projection("x", b"1"), projection("x", b"2")])
    assert journal.unfinished() is not None


@pytest.mark.parametrize(
    ("state", "refused"),
    [("planned", {"committed"}), ("sent", {"committed", "reverted"}), ("unknown", {"committed", "reverted"})],
)
def test_nothing_ends_while_a_step_is_open(
    ledger: Ledger, journal: ExecutionJournal, state: str, refused: set[str]
) -> None:
    settle_all(journal)
    bring_to(journal, ledger, 2, state)
    for status in ("committed", "reverted", "needs_operator"):
        if status in refused:
            with pytest.raises(LedgerError, match=f"cannot be {status}: step 2 is {state}"):
                finish(journal, status=status)
            assert journal.get("one") == OpenExecution(started=started("one"), status="running")
    finish(journal, status="needs_operator")


@pytest.mark.parametrize("status", ["running", "reverting", "closed"])
def test_an_execution_does_not_finish_as_what_is_no_end(journal: ExecutionJournal, status: str) -> None:
    settle_all(journal)
    with pytest.raises(LedgerError, match=status):
        finish(journal, status=status)


def test_a_reverted_execution_is_told_with_its_runs_and_none_of_them_counts_as_committed(
    ledger: Ledger, journal: ExecutionJournal
) -> None:
    settle_all(journal)
    journal.revert("one", reason="slippage", steps=[])
    with pytest.raises(LedgerError, match="is reverting"):
        finish(journal)
    finish(journal, status="reverted")
    assert {(run.plan_id == "one", run.status) for run in ledger.history()} == {
        (True, "reverted"),
        (False, "planned"),
    }
    assert {state for (state,) in ledger.rows("SELECT state FROM runs")} == {"planned"}
    execution = journal.get("one")
    assert execution is not None
    assert (execution.status, execution.reason) == ("reverted", "slippage")
    with pytest.raises(LedgerError, match="is reverted"):
        finish(journal, status="reverted")


def test_an_execution_that_needs_an_operator_may_have_a_report(journal: ExecutionJournal) -> None:
    journal.need_operator("one", reason="lost")
    finish(journal, status="needs_operator", report=b"[]", total_after=None)
    assert journal.report_of("one") == b"[]"
    execution = journal.unfinished()
    assert execution is not None
    assert (execution.status, execution.reason) == ("needs_operator", "lost")


def test_reports_are_listed_newest_first(ledger: Ledger, journal: ExecutionJournal) -> None:
    settle_all(journal)
    finish(journal, report=b"first", finished_at=hours(5))
    journal.start(started("two"), [])
    assert journal.reports() == (b"first",)
    assert journal.report_of("two") is None
    finish(journal, "two", report=b"second", finished_at=hours(6))
    assert journal.reports() == (b"second", b"first")


def test_what_was_left_is_told_until_it_is_finished_and_its_files_are_written(
    ledger: Ledger, journal: ExecutionJournal, tmp_path: Path
) -> None:
    assert not ledger.is_settled()
    settle_all(journal)
    finish(journal, projections=[projection("x", b"x")])
    assert not ledger.is_settled()
    apply_outbox(tmp_path, ledger)
    assert ledger.is_settled()
    journal.start(started("two"), [])
    journal.need_operator("two", reason="lost")
    assert not ledger.is_settled()
    journal.close("two", reason="seen")
    assert ledger.is_settled()


# --- what later runs learn of it ----------------------------------------------------------------------------


def test_the_last_total_is_that_of_the_newest_run_or_execution(
    ledger: Ledger, journal: ExecutionJournal
) -> None:
    settle_all(journal)
    assert ledger.last_total(until=hours(9)) == (hours(2), Decimal(60_000))
    finish(journal, total_after=Decimal("59987.650"), finished_at=hours(2))
    assert ledger.last_total(until=hours(1.9)) == (hours(1), Decimal(60_000))
    assert ledger.last_total(until=hours(9)) == (hours(2), Decimal("59987.65"))  # after the run of that hour
    ledger.add_run(run_of(None, number=3))
    assert ledger.last_total(until=hours(2.9)) == (hours(2), Decimal("59987.65"))
    assert ledger.last_total(until=hours(9)) == (hours(3), Decimal(60_000))


def test_an_execution_that_does_not_know_its_total_is_passed_over(
    ledger: Ledger, journal: ExecutionJournal
) -> None:
    settle_all(journal)
    finish(journal, total_after=None, finished_at=hours(8))
    assert ledger.last_total(until=hours(9)) == (hours(2), Decimal(60_000))


@pytest.mark.parametrize("edit", ["total_after = 'abc'", "total_after = 'NaN'", "finished_at = '2025-01-01'"])
def test_an_edited_total_is_refused(ledger: Ledger, journal: ExecutionJournal, edit: str) -> None:
    settle_all(journal)
    finish(journal)
    ledger._connection.execute(f"UPDATE executions SET {edit}")
    ledger._connection.execute("DELETE FROM runs")
    with pytest.raises(LedgerError):
        ledger.last_total(until=hours(9))


@dataclass(frozen=True)
class Committed:
    plan_id: str
    run_hour: int
    commit_hour: float
    pairs: tuple[tuple[str, str], ...]


def test_pairs_are_those_of_the_last_commit_and_not_of_the_last_run(tmp_path: Path) -> None:
    late, early = Committed("late", 1, 30, PAIR), Committed("early", 2, 10, (("STR-C", "STR-D"),))
    with Ledger.open(tmp_path) as ledger:
        for one in (late, early):
            ledger.add_run(run_of(one.plan_id, number=one.run_hour, pairs=one.pairs))
        for one in (early, late):
            ledger.journal.start(started(one.plan_id), [])
            finish(ledger.journal, one.plan_id, finished_at=hours(one.commit_hour))
        within = hours(168) - NOW
        ask = ledger.last_committed_pairs
        assert ask(before=hours(31), within=within) == PAIR
        assert ask(before=hours(30), within=within) == early.pairs  # strictly before
        assert ask(before=hours(10), within=within) == ()
        assert ask(before=hours(198), within=within) == PAIR  # the week counts from the commit
        assert ask(before=hours(198.1), within=within) == ()


def test_a_plan_that_was_only_reverted_leaves_no_pairs(ledger: Ledger) -> None:
    ledger.add_run(run_of("three", number=3, pairs=PAIR))
    ledger.journal.start(started("three"), [])
    finish(ledger.journal, "three", status="reverted")
    assert ledger.last_committed_pairs(before=hours(9), within=hours(9) - NOW) == ()


# --- what is stored is not trusted --------------------------------------------------------------------------

EDITS = [
    ("UPDATE executions SET started = x'7b7d'", r"executions one cannot be read: plan_id: Field required"),
    ("UPDATE executions SET started = x''", r"executions one cannot be read"),
    ("UPDATE steps SET content = x'5b5d' WHERE idx = 1", r"steps one/1 cannot be read"),
    ("UPDATE steps SET idx = 7 WHERE idx = 1", r"steps one/7 holds step 1"),
    ("UPDATE steps SET reference_price = 'x' WHERE idx = 0", r"steps one/0 holds a price that is no number"),
    ("UPDATE steps SET limit_price = 'NaN' WHERE idx = 0", r"steps one/0 cannot be read"),
    ("UPDATE steps SET fill = x'7b7d' WHERE idx = 0", r"steps one/0 cannot be read: filled"),
    (
        "PRAGMA foreign_keys = OFF; UPDATE executions SET plan_id = 'two'; UPDATE steps SET plan_id = 'two'",
        r"executions two holds the execution of one",
    ),
]


@pytest.mark.parametrize(("edit", "words"), EDITS)
def test_an_edited_row_is_refused_by_its_name(
    ledger: Ledger, journal: ExecutionJournal, edit: str, words: str
) -> None:
    journal.mark_sent("one", 0, **PRICES)
    ledger._connection.executescript(edit)

    def ask() -> None:
        for plan_id in ("one", "two"):
            journal.get(plan_id)
            journal.steps(plan_id)
        journal.unfinished()

    with pytest.raises(LedgerError, match=words) as caught:
        ask()
    assert caught.value.fix


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE executions SET status = 'paused'",
        "UPDATE steps SET state = 'lost'",
        "UPDATE steps SET note = NULL",
    ],
)
def test_a_state_that_does_not_exist_is_kept_out_by_the_database(
    ledger: Ledger, journal: ExecutionJournal, edit: str
) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        ledger._connection.execute(edit)
