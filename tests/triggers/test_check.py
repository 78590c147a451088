"""A drift check: when it plans, when it leaves a plan alone, and that it executes by pre-approval alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from executing import EXAMPLE_1, Told, config_text, example_1, hour_later, leg, run
from front_doors.front_door_samples import command
from workspaces import AS_OF, Strategy, changed, tree

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.config_notify import NoticeKind
from portfolio_rebalance.errors import ConfigError
from portfolio_rebalance.execution.faults import FAULTS
from portfolio_rebalance.records import ErrorReport, Notice, RebalanceResult
from portfolio_rebalance.run import approval, telling
from portfolio_rebalance.triggers import check as check_module
from portfolio_rebalance.triggers.check import Checked, Checker
from portfolio_rebalance.workspace import Ledger, exclusive
from portfolio_rebalance.workspace.drift_checks import last_check
from portfolio_rebalance.workspace.halt import write_halt

PHONE = "notifications: [{name: phone, url_env: PHONE_URL}]"
PRE_APPROVED = "execution: {mode: auto_execute, approval_required: false}"


def small(capital: int, target: str, asset: str) -> Strategy:
    return Strategy(
        capital=capital, target_percent=target, assets=(asset,), positions=[leg(asset, "1", str(capital))]
    )


CALM: Mapping[str, Strategy] = {
    "STR-001": small(6_000, "10", "BTC"),
    "STR-003": small(6_000, "10", "ETH"),
    "STR-007": small(6_000, "10", "SOL"),
}
"""Every limit is met, and nothing has drifted."""

DRIFTED = changed(CALM, "STR-007", target_percent="12")
"""One of them is a sixth below its target; the threshold is ten percent."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Notice]:
    """What is handed over to be delivered."""
    kept: list[Notice] = []

    def deliver(_root: Path, notices: Any, **_: object) -> tuple[str, ...]:
        kept.extend(notices)
        return ()

    monkeypatch.setattr(telling, "deliver", deliver)
    return kept


def kinds(told: list[Notice]) -> set[NoticeKind]:
    return {notice.kind for notice in told}


def checked(root: Path, *, hours: float = 0, sleep: Any = None) -> Checked:
    at = AS_OF + timedelta(hours=hours)
    return Checker(root=root, as_of=at, now=at, sleep=sleep or (lambda _seconds: None)).check()


def runs(root: Path) -> int:
    with Ledger.open(root) as ledger:
        return len(ledger.history())


# --- whether it plans ------------------------------------------------------------------------------------


def test_where_nothing_has_happened_nothing_is_run(tmp_path: Path, told: list[Notice]) -> None:
    root = example_1(tmp_path, CALM, config=config_text(PHONE))
    found = checked(root)
    assert (found.status, found.exit_code, found.reasons) == ("quiet", 0, ())
    assert runs(root) == 0
    assert told == []


def test_enabled_false_looks_at_nothing_and_writes_nothing(tmp_path: Path, told: list[Notice]) -> None:
    root = example_1(tmp_path, config=config_text("enabled: false", PHONE))
    write_halt(root, level="all", reason="")
    before = tree(root)
    found = checked(root)
    assert (found.status, found.exit_code) == ("disabled", 0)
    assert "enabled: false" in found.summary
    assert tree(root) == before
    assert told == []


def test_drift_beyond_the_threshold_makes_a_plan_and_tells(tmp_path: Path, told: list[Notice]) -> None:
    root = example_1(tmp_path, DRIFTED, config=config_text(PHONE))
    found = checked(root)
    assert found.status == "ran"
    assert found.reasons == ("STR-007 drifted -16.67 %, more than 10 %",)
    assert found.result is not None
    assert (found.result.status, found.exit_code) == ("planned", 0)
    assert {"plan_awaiting", "severe_drift"} <= kinds(told)
    with Ledger.open(root) as ledger:
        assert ledger.journal.get(found.plan_id or "") is None


def test_drift_within_the_threshold_makes_none(tmp_path: Path) -> None:
    root = example_1(
        tmp_path, DRIFTED, config=config_text("drift_thresholds: {auto_rebalance_threshold: 16.67}")
    )
    assert checked(root).status == "quiet"


def test_a_pinned_strategy_is_no_cause(tmp_path: Path) -> None:
    assert checked(example_1(tmp_path, changed(DRIFTED, "STR-007", pinned=True))).status == "quiet"


def test_a_limit_that_is_broken_now_makes_a_plan(tmp_path: Path) -> None:
    found = checked(example_1(tmp_path))
    assert found.status == "ran"
    assert found.reasons == (
        "total deployed is at 64.30 %, the limit is 60.00 %",
        "correlated exposure of STR-001+STR-003 is at 54.00 %, the limit is 30.00 %",
    )


def test_the_run_is_a_bare_one_and_nobody_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, Any]] = []

    def run_skill(request: Any, **how: Any) -> RebalanceResult:
        asked.append((request, how.get("person")))
        return run(root)

    root = example_1(tmp_path)
    monkeypatch.setattr(check_module, "run_skill", run_skill)
    checked(root)
    assert asked == [({"workspace": str(root), "as_of": AS_OF}, None)]


# --- whether it plans again ------------------------------------------------------------------------------


def test_a_plan_that_waits_is_not_made_again_every_hour(tmp_path: Path, told: list[Notice]) -> None:
    root = example_1(tmp_path, config=config_text(PHONE))
    first = checked(root)
    told.clear()
    for hours in (1, 12, 23):
        again = checked(root, hours=hours)
        assert (again.status, again.plan_id) == ("awaiting", first.plan_id)
        assert f"plan {str(first.plan_id)[:12]} of an earlier check awaits you still" in again.summary
    assert runs(root) == 1
    assert "plan_awaiting" not in kinds(told)


def rejected(root: Path, plan_id: str) -> None:
    approval.reject(root, plan_id, user="anna", at=AS_OF, reason="")


def configured(root: Path, _plan_id: str) -> None:
    (root / "config").mkdir(exist_ok=True)
    (root / "config/portfolio-rebalance.yaml").write_text(config_text("approval_ttl_hours: 20"))


def moved(root: Path, _plan_id: str) -> None:
    hour_later(root, 0, factor=lambda key: Decimal("1.05" if key == "STR-001" else 1))


@pytest.mark.parametrize("act", [rejected, configured, moved])
def test_a_plan_that_cannot_be_used_any_more_is_made_again(tmp_path: Path, act: Any) -> None:
    root = example_1(tmp_path)
    first = checked(root)
    act(root, first.plan_id)
    again = checked(root, hours=1)
    assert again.status == "ran"
    assert again.plan_id != first.plan_id


def test_an_expired_plan_is_made_again(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    first = checked(root)
    again = checked(root, hours=24)
    assert (again.status, again.plan_id == first.plan_id) == ("ran", False)


def test_another_reason_makes_another_plan(tmp_path: Path) -> None:
    root = example_1(tmp_path, DRIFTED)
    first = checked(root)
    for name, old, new in (
        ("knowledge/registry.yaml", "target_allocation_percent: 10 ", "target_allocation_percent: 12 "),
        ("BOOTSTRAP.md", "target: 6000.00", "target: 7200.00"),
    ):
        (root / name).write_text((root / name).read_text().replace(old, new, 1))
    again = checked(root, hours=1)
    assert (again.status, len(again.reasons)) == ("ran", 2)
    assert again.plan_id != first.plan_id


def test_a_plan_that_a_person_made_is_no_check_of_ours(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    run(root)
    assert checked(root, hours=1).status == "ran"


# --- whether it executes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "status"),
    [
        ("execution: {mode: dry_run_default, approval_required: true}", "planned"),
        ("execution: {mode: dry_run_default, approval_required: false}", "planned"),
        ("execution: {mode: auto_execute, approval_required: true}", "planned"),
        (PRE_APPROVED, "executed"),
    ],
)
def test_only_the_users_own_pre_approval_executes(
    tmp_path: Path, told: list[Notice], config: str, status: str
) -> None:
    root = example_1(tmp_path, config=config_text(config, PHONE))
    text = (root / "config/portfolio-rebalance.yaml").read_bytes()
    found = checked(root)
    assert found.result is not None
    assert found.result.status == status
    assert ("executed" in kinds(told)) == (status == "executed")
    assert (root / "config/portfolio-rebalance.yaml").read_bytes() == text
    if status == "executed":
        assert checked(root, hours=1).status == "quiet"


def test_pre_approval_does_not_cover_stale_data_and_does_once_it_is_fresh(tmp_path: Path) -> None:
    strategies = {key: replace(one, snapshot_age=timedelta(hours=25)) for key, one in EXAMPLE_1.items()}
    root = example_1(tmp_path, strategies, config=config_text(PRE_APPROVED))
    first = checked(root)
    assert (first.result and first.result.status) == "planned"
    assert checked(root, hours=1).status == "awaiting"
    hour_later(root, 2, factor=lambda _key: Decimal(1))
    second = checked(root, hours=2)
    assert (second.result and second.result.status) == "executed"


def test_halt_stops_a_pre_approved_plan_and_a_person_is_told(tmp_path: Path, told: list[Notice]) -> None:
    root = example_1(tmp_path, config=config_text(PRE_APPROVED, PHONE))
    write_halt(root, level="all", reason="")
    found = checked(root)
    assert (found.result and found.result.status, found.exit_code) == ("refused", 15)
    assert {"halt", "plan_awaiting"} <= kinds(told)


def test_an_execution_that_was_given_up_stays_a_persons_and_is_told_once(
    tmp_path: Path, told: list[Notice]
) -> None:
    root = example_1(tmp_path, config=config_text(PHONE))
    (root / FAULTS).parent.mkdir()
    (root / FAULTS).write_text("2:partial=0.5\n3+:refuse\n")
    assert run(root, execute=True, person=Told()).status == "needs_operator"
    told.clear()
    found = checked(root, hours=1)
    assert (found.status, found.exit_code) == ("refused", 15)
    assert len({notice.key for notice in told if notice.kind == "needs_operator"}) == 1


# --- whether somebody hears of it ------------------------------------------------------------------------


def test_a_check_that_is_refused_is_told_and_made_once(tmp_path: Path, told: list[Notice]) -> None:
    root = example_1(tmp_path, config=config_text(PHONE))
    found = checked(root, hours=24 * 8)
    assert (found.status, found.exit_code) == ("refused", 14)
    assert kinds(told) == {"stale_data"}
    told.clear()
    (root / "BOOTSTRAP.md").write_text("nothing here")
    found = checked(root)
    assert found.exit_code == 14
    (notice,) = told
    assert notice.kind == "needs_operator"
    assert notice.command == f"trading-portfolio-rebalance --dry-run --workspace {root}"
    assert "BOOTSTRAP" not in notice.text
    assert last_check(root, until=AS_OF + timedelta(days=9)) == AS_OF + timedelta(days=8)


def test_without_a_run_what_stands_is_told_all_the_same(tmp_path: Path, told: list[Notice]) -> None:
    strategies = {key: replace(one, snapshot_age=timedelta(hours=25)) for key, one in CALM.items()}
    root = example_1(tmp_path, strategies, config=config_text(PHONE))
    write_halt(root, level="reduce_only", reason="")
    assert checked(root).status == "quiet"
    assert kinds(told) == {"halt", "stale_data"}


def test_a_configuration_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        checked(example_1(tmp_path, config=config_text("schedule: daily")))


# --- other processes, other times ------------------------------------------------------------------------


def test_it_waits_for_another_process_to_end(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    lock = exclusive(root)
    lock.__enter__()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        lock.__exit__(None, None, None)

    assert checked(root, sleep=sleep).status == "ran"
    assert slept == [5.0]


def test_a_workspace_that_stays_busy_is_no_news_and_the_check_is_due_still(
    tmp_path: Path, told: list[Notice]
) -> None:
    root = example_1(tmp_path, config=config_text(PHONE))
    slept: list[float] = []
    with exclusive(root):
        found = checked(root, sleep=slept.append)
    assert (found.status, found.exit_code) == ("refused", 15)
    assert sum(slept) == 55
    assert "needs_operator" not in kinds(told)
    assert last_check(root, until=AS_OF) is None


def due(root: Path, at: datetime) -> str:
    return Checker(root=root, as_of=at, now=at).check_if_due().status


def test_due_is_once_for_each_time_of_the_schedule(tmp_path: Path) -> None:
    root = example_1(tmp_path, CALM)
    assert due(root, AS_OF - timedelta(minutes=10)) == "quiet"  # the first
    assert due(root, AS_OF - timedelta(minutes=5)) == "not_due"
    assert due(root, AS_OF) == "quiet"
    assert due(root, AS_OF) == "not_due"
    assert due(root, AS_OF + timedelta(hours=23)) == "not_due"
    assert due(root, AS_OF + timedelta(hours=49)) == "quiet"  # two times, one check
    assert due(root, AS_OF + timedelta(hours=48)) == "not_due"  # the machine's time was set back


def test_the_verb_says_what_it_found(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    words = ("schedule", "run", "--workspace", str(root), "--as-of", format_instant(AS_OF))
    ran = command(*words, "--json", cwd=tmp_path)
    document = json.loads(ran.stdout)
    assert (ran.returncode, document["status"], document["result"]["status"]) == (0, "ran", "planned")
    ran = command(*words, cwd=tmp_path)
    assert ran.stdout.startswith(f"Drift check: plan {document['plan_id'][:12]} of an earlier check awaits")
    ran = command(*words, "--due", cwd=tmp_path)
    assert "not due" in ran.stdout
    (root / "BOOTSTRAP.md").write_text("")
    ran = command(*words, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (14, "")
    assert ran.stderr.startswith("error: ")


def test_errors_of_a_run_reach_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ErrorReport(code="capital_jump", what="It jumped.", where="x", fix="Confirm it.")
    refused = RebalanceResult(status="refused", exit_code=14, error=error)
    monkeypatch.setattr(check_module, "run_skill", lambda *_, **__: refused)
    found = checked(example_1(tmp_path))
    assert (found.status, found.error, found.exit_code) == ("refused", error, 14)


def test_old_checks_are_forgotten_and_the_last_one_is_not(tmp_path: Path) -> None:
    root = example_1(tmp_path, CALM)
    for hours in (0, 1, 2):
        checked(root, hours=hours)
    with Ledger.open(root) as ledger:
        ledger.follow_ups.forget(before=AS_OF + timedelta(days=400))
        assert ledger.rows("SELECT count(*) FROM checks") == [(1,)]
    assert last_check(root, until=AS_OF + timedelta(days=1)) == AS_OF + timedelta(hours=2)
