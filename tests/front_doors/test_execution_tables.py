"""What a person reads after an execution, and what waits for them: status first, the next step last."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import front_door_samples as samples
import pytest
from executing import EXAMPLE_1, approved, example_1, execute, planned
from rich.console import Console

from portfolio_rebalance.records import Execution, OrderLine, RebalanceResult, RunSummary, Standing
from portfolio_rebalance.reporting import (
    Block,
    Paragraph,
    Table,
    execution_blocks,
    history_blocks,
    plain_text,
    result_blocks,
    standing_blocks,
)
from portfolio_rebalance.reporting.terminal import renderables
from portfolio_rebalance.run.execute import result_of_execution

AS_OF = datetime(2025, 2, 5, 2, tzinfo=UTC)
NOTHING = Standing(
    halt="none",
    halt_reason="",
    unfinished="",
    unfinished_status="",
    reason="",
    awaiting=(),
    unconfirmed=(),
    overdue=(),
)
PROGRAM = "trading-portfolio-rebalance"


def ran(folder: Path, *, faults: str = "", by_bot: str = "") -> Execution:
    """A real execution of the worked example on paper."""
    strategies = {
        key: replace(
            one, control="bot" if key == by_bot else None, account="sub 7" if key == by_bot else None
        )
        for key, one in EXAMPLE_1.items()
    }
    root = example_1(folder, strategies)
    plan_id = approved(root)
    (root / "portfolio-rebalance/paper-faults.txt").write_text(faults)
    return execute(root, plan_id)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Execution:
    return ran(tmp_path_factory.mktemp("done"))


@pytest.fixture(scope="module")
def taken_back(tmp_path_factory) -> Execution:
    return ran(tmp_path_factory.mktemp("taken_back"), faults="2:partial=0.4")


@pytest.fixture(scope="module")
def given_up(tmp_path_factory) -> Execution:
    return ran(tmp_path_factory.mktemp("given_up"), faults="2+:refuse")


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory) -> Execution:
    return ran(tmp_path_factory.mktemp("by_hand"), by_bot="STR-003")


def lines(execution: Execution, **more: str) -> list[str]:
    return plain_text(execution_blocks(execution, **more)).splitlines()


def table(execution: Execution, title: str) -> Table:
    return next(
        block
        for block in execution_blocks(execution)
        if isinstance(block, Table) and block.title.startswith(title)
    )


def titles(execution: Execution) -> list[str]:
    return [block.title for block in execution_blocks(execution) if isinstance(block, Table)]


def first(execution: Execution) -> Block:
    return execution_blocks(execution)[0]


def changed(execution: Execution, **changes: object) -> Execution:
    return execution.model_copy(update=changes)


# Status, in words


def test_done_is_said_first_and_without_reserve(done):
    assert done.status == "committed"
    short = done.plan_id[:12]
    words = f"DONE: plan {short} was executed on paper and verified; every limit is met."
    assert first(done) == Paragraph(words, "good")
    assert lines(done)[1] == (
        "2 of 2 orders filled, mode correlation_aware; 2025-02-05T02:00:00Z to 2025-02-05T02:00:00Z."
    )


def test_taken_back_says_why_and_how_to_plan_again(taken_back):
    assert taken_back.status == "reverted"
    short = taken_back.plan_id[:12]
    words = f"TAKEN BACK: plan {short} was stopped on paper; what was filled was undone, costs aside."
    assert first(taken_back) == Paragraph(words, "bad")
    assert lines(taken_back)[1] == f"  reason: {taken_back.reason}"
    assert "was filled for" in taken_back.reason
    assert lines(taken_back)[-2:] == [
        "What next: see to the reason, then plan again:",
        f"  {PROGRAM} --dry-run",
    ]


def test_needs_you_says_why_and_that_resume_comes_after_a_look(given_up):
    assert given_up.status == "needs_operator"
    short = given_up.plan_id[:12]
    words = f"NEEDS YOU: plan {short} could be neither finished nor taken back on paper; all is halted."
    assert first(given_up) == Paragraph(words, "bad")
    assert lines(given_up)[1].startswith("  reason: it cannot be taken back wholly: STR-001 is at 15.99 % ")
    assert lines(given_up)[-2:] == [
        "What next: look at what the venue holds and put it right there; then:",
        f"  {PROGRAM} resume",
    ]
    assert table(given_up, "Holdings").note.startswith("By our own books:")


@pytest.mark.parametrize(
    ("changes", "words", "tone"),
    [
        ({"limits": {"total_deployed": "FAIL"}}, "DONE, but a limit is broken now: ", "bad"),
        (
            {"limits": {"total_deployed": "PASS", "correlated_exposure": "NOT_EVALUATED"}},
            "DONE, with a limit that could not be evaluated: ",
            "warn",
        ),
        ({"limits": {}}, "DONE, with a limit that could not be evaluated: ", "warn"),
        ({"status": "running"}, "NOT OVER: ", "warn"),
        ({"status": "reverting"}, "NOT OVER: ", "warn"),
        ({"status": "closed"}, "CLOSED: ", "warn"),
    ],
)
def test_done_is_not_said_without_reserve_where_there_is_one(done, changes, words, tone):
    found = first(changed(done, **changes))
    assert isinstance(found, Paragraph)
    assert found.text.startswith(words)
    assert found.tone == tone
    assert "every limit is met" not in found.text


def test_what_was_stopped_before_any_fill_says_that_nothing_was_filled(done):
    stopped = changed(done, status="reverted", total_cost_bps=None, total_slippage_bps=None)
    assert "; nothing was filled." in lines(stopped)[0]
    assert dict(table(stopped, "What it cost").rows)["together, bps of what was traded"] == (
        "nothing was filled"
    )


def test_a_live_venue_is_named(done):
    assert " at binance and verified" in lines(changed(done, broker="binance"))[0]


# Cost, holdings, limits


def test_cost_is_held_against_the_estimate(done):
    given = changed(
        done,
        actual_cost=Decimal("39.80175422"),
        estimated_cost=Decimal("43.2"),
        total_slippage_bps=Decimal("-1.5"),
        total_commissions_bps=Decimal(5),
        total_cost_bps=Decimal("3.5"),
        total_capital_before=Decimal(60_000),
        total_capital_after=Decimal("59960.19824577"),
    )
    assert table(given, "What it cost").rows == (
        ("slippage and commissions", "39.80"),
        ("estimated for the whole plan", "43.20"),
        ("difference", "-3.40"),
        ("slippage, bps of what was traded", "-1.50"),
        ("commissions, bps of what was traded", "5.00"),
        ("together, bps of what was traded", "3.50"),
        ("total capital before", "60,000.00"),
        ("total capital after", "59,960.20"),
    )
    dearer = changed(given, actual_cost=Decimal("43.3"))
    assert dict(table(dearer, "What it cost").rows)["difference"] == "+0.10"
    same = changed(given, actual_cost=Decimal("43.2000001"))
    assert dict(table(same, "What it cost").rows)["difference"] == "0.00"


def test_holdings_add_up_to_total_capital(done):
    rows = {row[0]: row[1:] for row in table(done, "Holdings").rows}
    assert list(rows) == ["STR-001", "STR-003", "STR-007", "deployed", "cash"]
    money = {key: Decimal(cells[0].replace(",", "")) for key, cells in rows.items()}
    assert abs(money["deployed"] + money["cash"] - done.total_capital_after) <= Decimal("0.01")
    alloc = {key: Decimal(cells[2]) for key, cells in rows.items()}
    assert alloc["deployed"] + alloc["cash"] == 100
    assert abs(alloc["STR-001"] - 16) <= Decimal("0.05")
    assert abs(alloc["STR-003"] - 14) <= Decimal("0.05")


def test_a_strategy_without_target_has_no_drift(done):
    line = done.post_rebalance_allocations["STR-007"].model_copy(update={"target": Decimal(0), "drift": None})
    exited = changed(done, post_rebalance_allocations={**done.post_rebalance_allocations, "STR-007": line})
    assert table(exited, "Holdings").rows[2][-1] == "no target"


def test_limits_show_what_they_were_judged_at(done):
    found = table(done, "Limits").rows
    assert [(row[0], row[2]) for row in found] == [
        ("total deployed", "PASS"),
        ("worst cluster", "PASS"),
        ("largest single", "PASS"),
        ("smallest funded", "PASS"),
    ]
    assert [row[1] for row in found] == [
        f"{done.total_deployed_percent:.2f}",
        f"{done.correlated_exposure_percent:.2f}",
        f"{done.post_rebalance_allocations['STR-001'].alloc:.2f}",
        f"{done.post_rebalance_allocations['STR-007'].alloc:.2f}",
    ]


def test_a_limit_that_is_broken_or_unknown_is_explained_below(done):
    broken = changed(
        done,
        limits={"total_deployed": "FAIL", "correlated_exposure": "NOT_EVALUATED"},
        correlated_exposure_percent=None,
        limits_note=("by price alone: total_deployed at 60.01 %",),
    )
    assert table(broken, "Limits").rows[1] == ("worst cluster", "undefined", "NOT_EVALUATED")
    blocks = execution_blocks(broken)
    assert Paragraph("limit: by price alone: total_deployed at 60.01 %", "bad") in blocks
    assert Paragraph("NOT_EVALUATED is not a pass: nobody knows whether that limit is met.", "bad") in blocks


def test_what_was_narrowed_is_noted(done):
    noted = changed(done, notes=("STR-001 was sized at 15.98 %",))
    assert Paragraph("note: STR-001 was sized at 15.98 %", "warn") in execution_blocks(noted)


# Orders


def test_orders_show_every_digit_sent_and_eight_of_the_price(done):
    line = OrderLine(
        client_id="tpr-1",
        phase="forward",
        purpose="reduce",
        strategy="STR-001",
        asset="BTC",
        side="SELL",
        quantity=Decimal("0.208248980000000001"),
        state="done",
        filled=Decimal("0.208248980000000001"),
        average_price=Decimal("49895.39445155273"),
        commission=Decimal("5.195"),
        slippage_bps=Decimal("20.9211"),
    )
    cheap = line.model_copy(
        update={
            "asset": "SHIB",
            "side": "BUY",
            "quantity": Decimal("1500000.00"),
            "state": "cancelled",
            "filled": Decimal("600000"),
            "average_price": Decimal("0.0000123456789"),
            "slippage_bps": Decimal("-3"),
        }
    )
    nothing = line.model_copy(
        update={
            "state": "refused",
            "filled": Decimal(0),
            "average_price": None,
            "commission": Decimal(0),
            "slippage_bps": None,
            "note": "too small",
        }
    )
    orders = changed(done, orders=(line, cheap, nothing))
    quantity = "0.208248980000000001"
    assert table(orders, "Orders").rows == (
        ("SELL", f"{quantity} BTC", "STR-001", "filled", "all", "49,895.394", "+20.92", "5.20"),
        ("BUY", "1500000 SHIB", "STR-001", "cancelled", "40.00 %", "0.000012345679", "-3.00", "5.20"),
        ("SELL", f"{quantity} BTC", "STR-001", "refused", "none", "", "", ""),
    )
    assert table(orders, "Remarks").rows == ((f"SELL {quantity} BTC", "STR-001", "too small"),)


@pytest.mark.parametrize(
    ("state", "words"),
    [("planned", "not sent"), ("sent", "in flight"), ("unknown", "UNKNOWN"), ("refused", "refused")],
)
def test_the_state_of_an_order_is_said_in_words(done, state, words):
    order = next(line for line in done.orders if line.side is not None)
    odd = changed(done, orders=(order.model_copy(update={"state": state}),))
    assert table(odd, "Orders").rows[0][3] == words


def test_orders_and_those_that_took_them_back_stand_apart(taken_back):
    assert [title for title in titles(taken_back) if "rders" in title or "ransfers" in title] == [
        "Orders, slippage in bps",
        "Transfers in our books, no order",
        "Orders that took it back, slippage in bps",
        "Transfers back in our books, no order",
    ]
    assert {row[0] for row in table(taken_back, "Orders that").rows} == {"BUY"}
    assert table(taken_back, "Transfers in").rows == (("done", "400 cash: STR-001 to common cash"),)


def test_a_partial_fill_shows_what_is_missing(taken_back):
    (part,) = taken_back.partial_fills
    assert table(taken_back, "Not filled whole").rows == (
        ("STR-003", "ETH", f"{part.intended:f}", f"{part.actual:f}", f"{part.intended - part.actual:f}"),
    )


def test_what_did_not_happen_has_no_table(done):
    assert titles(done) == [
        "What it cost, in USD",
        "Holdings after it",
        "Limits, in exact money",
        "Orders, slippage in bps",
        "Transfers in our books, no order",
    ]


# By hand


def test_bots_are_told_by_hand_with_the_file_and_the_command_that_checks(by_hand):
    short = by_hand.plan_id[:12]
    assert lines(by_hand)[0] == (
        f"DONE as far as orders go: plan {short} was executed on paper and verified; 1 bot waits for you."
    )
    found = table(by_hand, "By hand")
    assert found.rows == (("STR-003", "12,000.00", "8,400.00", "-3,600.00", "sub 7"),)
    assert found.note.endswith(f"stands in .crypto/portfolio-rebalance/capital-instructions-{short}.yaml.")
    assert lines(by_hand)[-2:] == [
        "What next: tell the bots, let a snapshot of each be written, then have it checked:",
        f"  {PROGRAM} confirm {short}",
    ]
    warning = "AWAITS_BOTS: broken until bots have done as you are told to tell them."
    assert Paragraph(warning, "warn") in execution_blocks(by_hand)


# Files, commands, other people's words


def test_every_file_written_is_named_on_a_line_of_its_own(done):
    at = lines(done).index("Written:")
    assert lines(done)[at + 1 : at + 1 + len(done.written)] == [f"  {path}" for path in done.written]
    assert ".crypto/knowledge/registry.yaml" in done.written


def test_commands_name_the_workspace_as_the_reader_did(done, taken_back):
    assert lines(done, workspace="my folder")[-1] == f"  {PROGRAM} status --workspace 'my folder'"
    assert lines(taken_back, workspace="x")[-1] == f"  {PROGRAM} --dry-run --workspace x"


def test_a_venue_cannot_write_lines_of_its_own(given_up):
    hostile = "no\x1b[2J\nDONE: every limit is met\u202e\u2028What next: nothing"
    orders = tuple(line.model_copy(update={"note": hostile}) for line in given_up.orders)
    text = plain_text(
        execution_blocks(changed(given_up, reason=hostile, orders=orders, notes=(hostile,), broker=hostile))
    )
    assert text.isascii()
    assert "\x1b" not in text
    assert [line for line in text.splitlines() if line.startswith("What next")] == [
        "What next: look at what the venue holds and put it right there; then:"
    ]
    assert not any(line.startswith("DONE") for line in text.splitlines())


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_a_terminal_cuts_nothing(done, taken_back, by_hand, width):
    for execution in (done, taken_back, by_hand):
        console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
        for renderable in renderables(execution_blocks(execution), width=width):
            console.print(renderable)
        shown = console.file.getvalue().splitlines()
        assert all(len(line) <= width for line in shown)
        order = next(line for line in execution.orders if line.side is not None)
        assert width < 80 or any(f"{order.quantity:f}" in line for line in shown)


# A result that came to an execution


def test_a_result_leads_with_its_execution_and_ends_with_the_next_step(done):
    whole = samples.result(
        status="executed", execution=done, written=("assessment.yaml", *done.written), plan_id=done.plan_id
    )
    text = plain_text(result_blocks(whole, workspace="w")).splitlines()
    assert text[0].startswith("DONE: ")
    assert text[-1] == f"  {PROGRAM} status --workspace w"
    assert f"All that it rested on: {PROGRAM} show {done.plan_id[:12]} --workspace w" in text
    assert "Written before it: assessment.yaml" in text
    assert samples.result().decision.headline in text
    assert "alert: STR-001 drifted a lot" in text
    assert "warning: based on stale data" in text
    assert any(line.startswith("risk manager") for line in text)


def test_figures_from_before_an_execution_are_not_shown_as_those_of_now(done):
    text = plain_text(result_blocks(samples.result(status="executed", execution=done)))
    for title in ("Assessment at", "Change, ", "Impact, ", "All modes"):
        assert title not in text
    assert "only planned" not in text


@pytest.mark.parametrize("name", ["done", "taken_back", "given_up"])
def test_an_execution_without_a_run_is_a_result_too(name, request):
    execution: Execution = request.getfixturevalue(name)
    result: RebalanceResult = result_of_execution(execution, planned=None)
    shown = result_blocks(result)
    assert next(iter(shown)) == first(execution)
    assert plain_text(shown).splitlines()[-2:] == lines(execution)[-2:]


def test_a_plan_says_how_to_decide_on_it_and_that_nothing_moved(tmp_path):
    result = planned(example_1(tmp_path))
    text = plain_text(result_blocks(result, workspace="w")).splitlines()
    assert f"Decide on it: {PROGRAM} approve {result.plan_id[:12]} --workspace w" in text
    assert "This run only planned: no order was sent, no money moved." in text


def test_of_an_instant_that_was_fixed_a_plan_is_decided_on_at_that_instant(tmp_path):
    result = planned(example_1(tmp_path))
    text = plain_text(result_blocks(result, as_of=result.as_of)).splitlines()
    then = f"{result.as_of:%Y-%m-%dT%H:%M:%SZ}"
    assert f"Decide on it: {PROGRAM} approve {result.plan_id[:12]} --as-of {then}" in text


def test_history_calls_a_committed_run_executed():
    run = RunSummary(
        run_id="run-1",
        as_of=AS_OF,
        mode="proportional",
        recommendation="REBALANCE",
        basis="drift",
        status="committed",
        plan_id="3fa9" * 16,
    )
    assert "drift  executed  3fa93fa93fa9" in plain_text(history_blocks((run,)))


# What stands in the way


def standing(**changes: object) -> Standing:
    return NOTHING.model_copy(update=changes)


def said(**changes: object) -> list[str]:
    return plain_text(standing_blocks(standing(**changes))).splitlines()


def test_nothing_is_said_where_nothing_stands_in_the_way():
    assert standing_blocks(NOTHING) == []


@pytest.mark.parametrize(
    ("level", "what"), [("all", "nothing is sent"), ("reduce_only", "only reductions are sent")]
)
def test_halt_says_what_it_stops_why_and_how_it_is_lifted(level, what):
    assert said(halt=level, halt_reason="exchange is down") == [
        f"HALT stands: {what}.",
        "  reason: exchange is down",
        f"  when it is safe: {PROGRAM} resume",
    ]


@pytest.mark.parametrize(
    ("status", "halt", "expected"),
    [
        (
            "needs_operator",
            "none",
            [
                "NEEDS YOU: plan 3fa93fa93fa9 could be neither finished nor taken back.",
                "  reason: refused",
                f"  next: look at the venue, then: {PROGRAM} resume",
            ],
        ),
        (
            "running",
            "none",
            [
                "NOT OVER: plan 3fa93fa93fa9 is still being executed.",
                "  reason: refused",
                "  next: the next start goes on with it",
            ],
        ),
        (
            "reverting",
            "all",
            [
                "NOT OVER: plan 3fa93fa93fa9 is still being taken back.",
                "  reason: refused",
                f"  next: {PROGRAM} resume",
            ],
        ),
    ],
)
def test_an_unfinished_execution_says_how_it_stands_and_what_to_do(status, halt, expected):
    found = said(unfinished="3fa9" * 16, unfinished_status=status, reason="refused", halt=halt)
    assert found[-3:] == expected


def test_approved_plans_and_what_bots_were_told_are_listed_the_overdue_first():
    assert said(
        awaiting=("3fa9" * 16,), unconfirmed=("STR-001: confirm",), overdue=("STR-003: confirm",)
    ) == [
        "OVERDUE, not confirmed for 48 hours or more:",
        "  STR-003: confirm",
        "APPROVED, not executed yet: plan 3fa93fa93fa9.",
        f"  next: {PROGRAM} --execute",
        "By hand, not confirmed yet:",
        "  STR-001: confirm",
    ]


def test_commands_of_status_name_the_workspace():
    found = plain_text(standing_blocks(standing(halt="all"), workspace="my folder"))
    assert found.endswith(f"  when it is safe: {PROGRAM} resume --workspace 'my folder'\n")


def test_a_reason_in_the_halt_file_cannot_write_lines_of_its_own():
    found = said(halt="all", halt_reason="x\nNEEDS YOU: nothing\x1b[2J\u202e")
    assert len(found) == 3
    assert found[1] == "  reason: x NEEDS YOU: nothing?[2J?"
