"""From a dry run to a verified rebalance, as a person does it; and the ways that lead elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from executing import EXAMPLE_1, Told, approved, example_1, execute, leg, planned, run
from front_doors.terminal import Terminals, real_vault_untouched
from run.mutations import Standing
from workspaces import AS_OF, MODES, Strategy, changed, clock_at, write_snapshot

from portfolio_rebalance import run_skill
from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.errors import NotApprovedError, PlanChangedError, PlanConsumedError
from portfolio_rebalance.execution.paper import PAPER, PaperVenue
from portfolio_rebalance.records import RebalanceResult
from portfolio_rebalance.reporting import plain_text, stored_blocks
from portfolio_rebalance.run import approval, operator, queries
from portfolio_rebalance.workspace import Ledger, init_demo
from portfolio_rebalance.workspace.bootstrap import read_bootstrap
from portfolio_rebalance.workspace.halt import write_halt
from portfolio_rebalance.workspace.registry import read_registry

DAY = AS_OF.date().isoformat()
MINUTE = timedelta(minutes=1)
BP = Decimal("0.01")
APPROVED = {"STR-001": Decimal(16), "STR-003": Decimal(14), "STR-007": Decimal("10.3")}
SUMMARY_OF_THE_SOURCE = (
    "date",
    "mode",
    "trades_executed",
    "trades_successful",
    "total_slippage_bps",
    "total_commissions_bps",
    "total_cost_bps",
    "execution_time_minutes",
    "new_portfolio_sharpe",
    "new_correlated_exposure",
    "status",
)
BOTS = {key: replace(one, control="bot") for key, one in EXAMPLE_1.items()}


@pytest.fixture(scope="module")
def terminals() -> Iterator[Terminals]:
    with real_vault_untouched(), Terminals() as opened:
        yield opened


# --- example 1 -------------------------------------------------------------------------------------------


def test_example_1_is_planned_approved_executed_and_verified(tmp_path: Path) -> None:
    root, person = example_1(tmp_path), Told()
    first = run(root, dry_run=True)
    assert (first.status, first.exit_code) == ("planned", 0)
    assert first.plan_id is not None
    page = approval.page_of(root, first.plan_id, now=AS_OF + MINUTE)
    given = approval.ask(root, page, person=person, clock=clock_at(AS_OF + MINUTE), seal=None)
    assert (given.plan_id, given.user, given.method) == (first.plan_id, "tester", "typed")
    assert Standing.of(root).orders == 0  # an approval sends nothing

    result = run(root, at=AS_OF + 2 * MINUTE, execute=True)
    assert (result.status, result.exit_code, result.plan_id) == ("executed", 0, first.plan_id)
    assert len(person.shown) == 1
    _require_example_1(root, result)
    after = run(root, at=AS_OF + 3 * MINUTE, dry_run=True)
    assert (after.status, after.exit_code) == ("hold", 0)


def test_example_1_in_one_go_at_a_terminal(tmp_path: Path) -> None:
    root, person = example_1(tmp_path), Told()
    result = run(root, execute=True, person=person)
    assert (result.status, result.exit_code) == ("executed", 0)
    assert len(person.shown) == 1
    _require_example_1(root, result)


def test_example_1_by_the_command_line_on_a_terminal(tmp_path: Path, terminals: Terminals) -> None:
    root = example_1(tmp_path)

    def type_in(*words: str, after: timedelta, answers: tuple[str, ...] = ()) -> dict[str, Any]:
        ran = terminals.run(
            *words,
            "--json",
            "--workspace",
            str(root),
            at="terminal",
            answers=answers,
            now=format_instant(AS_OF + after),
        )
        assert (ran.exit_code, len(ran.prompts), ran.hosts) == (0, len(answers), ()), ran
        return ran.document

    plan_id = type_in("--dry-run", after=0 * MINUTE)["plan_id"]
    told = type_in("approve", plan_id[:8], after=MINUTE, answers=(plan_id[:4],))
    assert told["status"] == "approved"
    executed = type_in("--execute", after=2 * MINUTE)
    assert (executed["status"], executed["plan_id"]) == ("executed", plan_id)
    _require_example_1(root, run(root, at=AS_OF + 3 * MINUTE, dry_run=True))
    again = type_in("--dry-run", after=4 * MINUTE)
    assert again["status"] == "hold"


def _require_example_1(root: Path, result: RebalanceResult) -> None:
    """16, 14 and 10.3 % within 5 bp after costs, all limits in exact money, and every record says so."""
    capital, cash = _at_the_venue(root)
    total = sum(capital.values()) + cash
    for key, percent in APPROVED.items():
        assert abs(capital[key] / total * 100 - Fraction(percent)) <= Fraction(5 * BP), key
    assert sum(capital.values()) * 100 <= 60 * total
    assert (capital["STR-001"] + capital["STR-003"]) * 100 <= 30 * total
    assert all(total <= 100 * one <= 40 * total for one in capital.values())
    assert Fraction(59_900) < total < 60_000  # costs, and nothing else

    clock = clock_at(AS_OF + 3 * MINUTE)
    registry, bootstrap = read_registry(root, clock=clock), read_bootstrap(root, clock=clock)
    assert {key: one.target_percent for key, one in registry.deployed.items()} == APPROVED
    last = {key: one.last_rebalance for key, one in registry.deployed.items()}
    assert last["STR-007"] is None  # left alone
    for key in ("STR-001", "STR-003"):
        told = last[key]
        assert told is not None
        assert told.reason == "correlation_aware: compliance"
        assert AS_OF <= told.at <= AS_OF + 2 * MINUTE
    assert abs(Fraction(bootstrap.total_capital) - total) <= Fraction(1, 10**6)
    assert {
        key: round(Fraction(one.capital) - capital[key], 6) for key, one in bootstrap.deployed.items()
    } == dict.fromkeys(APPROVED, 0)

    record = _yaml(root, f"execution-{DAY}")["rebalance_execution"]
    summary = _yaml(root, f"execution-summary-{DAY}")["rebalance_execution_summary"]
    assert not set(SUMMARY_OF_THE_SOURCE) - set(summary)
    assert None not in [summary[name] for name in SUMMARY_OF_THE_SOURCE]
    assert (summary["date"], summary["mode"], summary["status"]) == (DAY, "correlation_aware", "SUCCESS")
    assert (summary["trades_executed"], summary["trades_successful"]) == (2, 2)
    assert summary["total_cost_bps"] == pytest.approx(
        summary["total_slippage_bps"] + summary["total_commissions_bps"], abs=0.1
    )
    assert summary["new_correlated_exposure"] == pytest.approx(29.99, abs=0.05)
    assert set(summary["limits"].values()) == {"PASS"}
    assert record["plan_id"] == summary["plan_id"]
    assert record["status"] == "committed"
    assert record["actual_cost"] == pytest.approx(float(60_000 - total), abs=1e-6)
    if result.execution is not None:
        assert result.execution.plan_id == record["plan_id"]
        assert set(result.execution.limits.values()) == {"PASS"}
        assert all((root.parent / name).is_file() for name in result.written)


# --- example 3: modified before approval -----------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_what_any_mode_proposes_for_the_demo_can_be_executed(tmp_path: Path, mode: str) -> None:
    """Its total and its cluster are both too large: what cures the cluster goes first."""
    init_demo(tmp_path)
    root, at = tmp_path / ".crypto", datetime(2019, 10, 1, 2, tzinfo=UTC)
    for path in root.rglob("daily_returns.csv"):  # its returns go on after that instant
        past = [row for row in path.read_text().splitlines() if row < "2019-10-01" or row == "date,return"]
        path.write_text("\n".join(past) + "\n")
    done = execute(root, approved(root, at=at, mode=mode), at=at)
    assert (done.status, set(done.limits.values())) == ("committed", {"PASS"})


def test_example_3_another_mode_and_a_hold_are_planned_anew_and_the_first_plan_goes_nowhere(
    tmp_path: Path,
) -> None:
    root = example_1(tmp_path)
    first = planned(root)
    modified = run(root, at=AS_OF + MINUTE, dry_run=True, mode="proportional", hold=("STR-003",))
    assert modified.status == "planned"
    assert modified.plan is not None
    assert modified.plan_id not in (None, first.plan_id)
    changes = {one.strategy: one.proposed_bp for one in modified.plan.strategies}
    assert changes["STR-003"] is None
    approved_id = approved(root, at=AS_OF + 2 * MINUTE, mode="proportional", hold=("STR-003",))
    result = run(root, at=AS_OF + 3 * MINUTE, execute=True)
    assert (result.status, result.plan_id, result.mode) == ("executed", approved_id, "proportional")
    capital, cash = _at_the_venue(root)
    assert capital["STR-003"] == 12_000
    total = sum(capital.values()) + cash
    for key, bp in changes.items():
        if bp is not None:
            assert abs(capital[key] / total * 10_000 - bp) <= 5

    assert first.plan_id is not None
    page = approval.page_of(root, first.plan_id, now=AS_OF)  # looked at before, and approved only now
    approval.approve(root, page, user="tester", at=AS_OF + 4 * MINUTE, method="typed", seal=None)
    with pytest.raises(PlanChangedError, match="changed from 34 to") as caught:
        execute(root, first.plan_id, at=AS_OF + 4 * MINUTE)
    assert "more." in caught.value.what


def test_what_was_approved_does_not_answer_a_request_for_another_mode(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    plan_id = approved(root)
    other = run(root, at=AS_OF + MINUTE, execute=True, mode="proportional")
    assert (other.status, other.exit_code) == ("refused", NotApprovedError.exit_code)
    assert other.plan_id not in (None, plan_id)
    held = run(root, at=AS_OF + MINUTE, execute=True, hold=("STR-003",))
    assert (held.status, held.exit_code) == ("refused", NotApprovedError.exit_code)
    assert Standing.of(root).orders == 0
    assert run(root, at=AS_OF + MINUTE, execute=True).plan_id == plan_id


# --- reject ----------------------------------------------------------------------------------------------


def test_an_approved_plan_that_is_rejected_is_never_executed(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    plan_id = approved(root)
    assert approval.reject(root, plan_id[:8], user="tester", at=AS_OF, reason="second thoughts") == plan_id
    with pytest.raises(PlanConsumedError, match="was rejected"):
        execute(root, plan_id, at=AS_OF + MINUTE)
    with pytest.raises(PlanConsumedError, match="rejected"):
        approval.page_of(root, plan_id, now=AS_OF + MINUTE)
    result = run(root, at=AS_OF + MINUTE, execute=True)
    assert (result.status, result.exit_code) == ("refused", NotApprovedError.exit_code)
    assert result.plan_id != plan_id
    assert Standing.of(root).orders == 0


def test_what_was_executed_cannot_be_rejected_any_more(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    plan_id = approved(root)
    assert execute(root, plan_id).status == "committed"
    with pytest.raises(PlanConsumedError, match="its execution is committed"):
        approval.reject(root, plan_id, user="tester", at=AS_OF + MINUTE, reason="")


# --- the total -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "status", "shown"),
    [
        ("", "committed", ("executed", "DONE")),
        ("2:refuse", "reverted", ("reverted", "TAKEN BACK")),
        ("2:partial=0.5\n3+:refuse", "needs_operator", ("needs_operator", "NEEDS YOU")),
    ],
)
def test_a_stored_plan_is_shown_with_what_became_of_it(
    tmp_path: Path, script: str, status: str, shown: tuple[str, str]
) -> None:
    root = example_1(tmp_path)
    plan_id = approved(root)
    before = queries.show(root, plan_id)
    assert (before.status, before.execution) == ("planned", None)
    assert "no money moved" in plain_text(stored_blocks(before))
    (root / "portfolio-rebalance/paper-faults.txt").write_text(script)
    done = execute(root, plan_id)
    stored = queries.show(root, plan_id)
    text = plain_text(stored_blocks(stored))
    assert stored.execution is not None
    assert (done.status, stored.status, stored.plan) == (status, shown[0], before.plan)
    assert (stored.execution.status, stored.execution.orders) == (status, done.orders)
    assert text.startswith(shown[1])
    assert "no money moved" not in text
    assert "All that it rested on, as it was planned at" in text
    assert [one.status for one in queries.history(root)] == [status]


def test_what_a_person_took_over_or_ruled_out_is_told_in_the_history(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    plan_id, other = approved(root), planned(root, mode="proportional").plan_id
    assert other is not None
    approval.reject(root, other, user="tester", at=AS_OF, reason="")
    (root / "portfolio-rebalance/paper-faults.txt").write_text("2:partial=0.5\n3+:refuse")
    execute(root, plan_id)
    with Ledger.open(root) as ledger:
        ledger.journal.close(plan_id, reason="taken over")
    assert {one.plan_id: one.status for one in queries.history(root)} == {
        plan_id: "closed",
        other: "rejected",
    }
    assert plain_text(stored_blocks(queries.show(root, plan_id))).startswith("CLOSED: a person took over")


def test_the_total_after_an_execution_is_what_a_jump_is_measured_from(tmp_path: Path) -> None:
    """71 980 is within 20 % of the 60 000 before, and beyond 20 % of the 59 956 after."""
    root = example_1(tmp_path)
    assert execute(root, approved(root)).status == "committed"
    after = read_bootstrap(root, clock=clock_at()).total_capital
    assert Decimal(59_950) < after < Decimal(59_960)
    assert run(root, at=AS_OF + MINUTE, dry_run=True).status == "hold"  # its own fills explain themselves
    _deposit(root, total=Decimal(71_980))
    result = run(root, at=AS_OF + 2 * MINUTE, dry_run=True)
    assert result.error is not None
    assert (result.error.code, result.exit_code) == ("capital_jump", 14)
    assert f"from {after:f}" in result.error.what
    assert "to 71980" in result.error.what
    confirmed = run(root, at=AS_OF + 3 * MINUTE, dry_run=True, confirm_capital="71980")
    assert confirmed.status in ("planned", "hold"), confirmed.error


def test_fills_that_lower_the_total_beyond_a_jump_explain_it(tmp_path: Path) -> None:
    """Costs of 1 % of what is traded: more than a jump of 0.1 % that nobody would have explained."""
    lines = ("max_capital_jump_percent: 0.1", "simulation: {slippage_bps: 30, commission_bps: 100}")
    config = "portfolio_rebalance:\n" + "".join(f"  {line}\n" for line in lines)
    root = example_1(tmp_path, config=config)
    assert execute(root, approved(root)).status == "committed"
    after = read_bootstrap(root, clock=clock_at()).total_capital
    assert after < 60_000 * (1 - Decimal("0.001"))
    assert run(root, at=AS_OF + MINUTE, dry_run=True).error is None


def _deposit(root: Path, *, total: Decimal) -> None:
    """Money that came in, and the targets as it makes them."""
    path = root / "BOOTSTRAP.md"
    state = read_bootstrap(root, clock=clock_at())
    text = path.read_text().replace(f"total_capital: {state.total_capital:f}", f"total_capital: {total}")
    targets = {key: one.target_percent for key, one in read_registry(root, clock=clock_at()).deployed.items()}
    for key, entry in state.deployed.items():
        money = (targets[key] * total / 100).quantize(Decimal("0.01"))
        old = f"{key}: {{capital: {entry.capital:f}, target: "
        assert old in text
        head, rest = text.split(old)
        text = f"{head}{old}{money}{rest[rest.index('}') :]}"
    path.write_text(text)


# --- bots ------------------------------------------------------------------------------------------------


def test_a_bot_is_told_and_gets_no_order(tmp_path: Path) -> None:
    root = example_1(tmp_path, changed(EXAMPLE_1, "STR-001", control="bot"))
    plan_id = approved(root)
    execution = execute(root, plan_id)
    assert (execution.status, execution.orders_sent) == ("committed", 1)
    assert {one.strategy for one in execution.orders if one.side} == {"STR-003"}
    assert execution.limits["correlated_exposure"] == "AWAITS_BOTS"
    told = _yaml(root, f"capital-instructions-{plan_id[:12]}")
    assert told["plan_id"] == plan_id
    (instruction,) = told["instructions"]
    figures = (instruction["strategy"], instruction["old_capital"], instruction["new_capital"])
    assert figures == ("STR-001", 20_400, 9_600)
    assert '"available_capital": 9600,' in instruction["settings"]["freqtrade"]
    assert "total_amount_quote: 9600" in instruction["settings"]["hummingbot_controller"]
    assert read_registry(root, clock=clock_at()).deployed["STR-001"].target_percent == 16


def test_where_bots_move_everything_nothing_is_sent(tmp_path: Path) -> None:
    root = example_1(tmp_path, BOTS)
    plan_id = approved(root)
    execution = execute(root, plan_id)
    assert (execution.status, execution.orders_sent) == ("committed", 0)
    assert Standing.of(root).orders == 0
    told = _yaml(root, f"capital-instructions-{plan_id[:12]}")["instructions"]
    assert [(one["strategy"], one["new_capital"]) for one in told] == [("STR-001", 9_600), ("STR-003", 8_400)]


def test_a_bot_is_confirmed_by_a_later_snapshot_and_overdue_after_two_days(
    tmp_path: Path, terminals: Terminals
) -> None:
    root = example_1(tmp_path, BOTS)
    plan_id = approved(root)
    execute(root, plan_id)
    early = operator.confirm(root, plan_id[:8], clock=clock_at(AS_OF + MINUTE))
    assert early.confirmed == ()
    assert len(early.open) == 2
    assert "shows nothing of what was instructed" in early.open[0]

    later = AS_OF + timedelta(hours=5)
    _bot_holds(root, "STR-001", "9600", at=later)
    _bot_holds(root, "STR-003", "11900", at=later)
    found = operator.confirm(root, plan_id[:8], clock=clock_at(later))
    assert found.confirmed == ("STR-001",)
    assert len(found.open) == 1
    assert "STR-003 holds 11900, not 8400" in found.open[0]

    waits = "STR-003 shall come to 8400"
    for hours, open_ones, overdue in ((47, 1, 0), (48, 0, 1)):
        standing = operator.standing(root, clock=clock_at(AS_OF + timedelta(hours=hours)))
        assert (len(standing.unconfirmed), len(standing.overdue)) == (open_ones, overdue)
        assert (standing.unconfirmed + standing.overdue)[0].startswith(waits)
    at = format_instant(AS_OF + timedelta(hours=49))
    told = terminals.run("status", "--json", "--workspace", str(root), "--as-of", at).document
    assert told["standing"]["overdue"] == [f"{waits}: confirm {plan_id[:12]}"]

    _bot_holds(root, "STR-003", "8410", at=later + MINUTE)  # within 1 %: a bot goes on trading
    done = operator.confirm(root, plan_id, clock=clock_at(later + MINUTE))
    assert (done.confirmed, done.open) == (("STR-001", "STR-003"), ())
    quiet = operator.standing(root, clock=clock_at(AS_OF + timedelta(days=9)))
    assert (quiet.unconfirmed, quiet.overdue) == ((), ())


def test_the_bots_own_trades_do_not_keep_a_plan_from_being_executed(tmp_path: Path) -> None:
    root = example_1(tmp_path, changed(EXAMPLE_1, "STR-001", control="bot"))
    plan_id = approved(root)
    traded = replace(EXAMPLE_1["STR-001"], positions=[leg("BTC", "0.1", "50000"), leg("ADA", "9", "1")])
    write_snapshot(root, "STR-001", traded, as_of=AS_OF + MINUTE)
    assert execute(root, plan_id, at=AS_OF + 2 * MINUTE).status == "committed"


def _bot_holds(root: Path, key: str, capital: str, *, at: object) -> None:
    held = Strategy(capital=capital, target_percent=0)
    write_snapshot(root, key, held, as_of=at)  # type: ignore[arg-type]


# --- what the venue and the files say --------------------------------------------------------------------


def _at_the_venue(root: Path) -> tuple[dict[str, Fraction], Fraction]:
    """Capital by strategy, each of which has an account and no cash of its own; and the cash."""
    with PaperVenue.open(
        root / PAPER, now=lambda: AS_OF, slippage_bps=Decimal(25), commission_bps=Decimal(5), seed="paper"
    ) as venue:
        held = venue.balances()
        markets = venue.markets(held.quantities)
    return {
        account: Fraction(quantity) * Fraction(markets[account, asset].price)
        for (account, asset), quantity in held.quantities.items()
    }, Fraction(held.cash)


def _yaml(root: Path, name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((root / f"portfolio-rebalance/{name}.yaml").read_text())
    return read


def test_nobody_is_asked_for_a_plan_while_all_is_halted(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    write_halt(root, level="all", reason="exchange on fire")
    person = Told()
    result = run(root, execute=True, person=person)
    assert (result.status, result.exit_code) == ("refused", 15)
    assert result.error is not None
    assert "exchange on fire" in result.error.what
    assert person.shown == []


def test_a_run_in_the_very_second_of_an_execution_is_not_earlier_than_it(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    at = AS_OF + timedelta(microseconds=658_006)
    given = {"workspace": str(root), "execute": True}
    assert run_skill(given, now=at, person=Told()).status == "executed"
    again = run_skill({"workspace": str(root), "dry_run": True}, now=at)
    assert again.error is None, again.error


def test_a_plan_that_another_execution_has_overtaken_is_not_put_before_a_person(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    first = planned(root).plan_id
    execute(root, approved(root, at=AS_OF + MINUTE, mode="proportional"), at=AS_OF + 2 * MINUTE)
    assert first is not None
    with pytest.raises(PlanChangedError, match="Another plan was executed at 2025-02-05T02:02:00Z"):
        approval.page_of(root, first, now=AS_OF + 3 * MINUTE)
