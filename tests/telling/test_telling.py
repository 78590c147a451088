"""What a run tells to whom the configuration names, and that it changes nothing about the run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from endpoints import Endpoint, dead_url, endpoint
from executing import EXAMPLE_1, Told, config_text, example_1, run
from front_doors.front_door_samples import command
from workspaces import AS_OF, changed, tree

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.config_notify import Events, NoticeKind
from portfolio_rebalance.execution.faults import FAULTS
from portfolio_rebalance.records import Notice
from portfolio_rebalance.run import telling
from portfolio_rebalance.workspace import Ledger
from portfolio_rebalance.workspace.halt import write_halt
from portfolio_rebalance.workspace.notify import kept_notices

PHONE = "notifications: [{name: phone, url_env: PHONE_URL}]"


@pytest.fixture(scope="module")
def phone() -> Iterator[Endpoint]:
    with endpoint() as listening:
        yield listening


@pytest.fixture
def calls(phone: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """A real endpoint, at the address that the environment holds."""
    monkeypatch.setenv("PHONE_URL", phone.url)
    phone.posts.clear()
    return phone


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Notice]:
    """What is handed over to be delivered, without an endpoint."""
    kept: list[Notice] = []

    def deliver(_root: Path, notices: Any, **_: object) -> tuple[str, ...]:
        kept.extend(notices)
        return ()

    monkeypatch.setattr(telling, "deliver", deliver)
    return kept


def kinds(told: list[Notice]) -> list[str]:
    return [notice.kind for notice in told]


def test_a_plan_that_awaits_and_what_became_of_it_reach_the_phone(tmp_path: Path, calls: Endpoint) -> None:
    root = example_1(tmp_path, config=config_text(PHONE))
    planned = run(root)
    plan = str(planned.plan_id)[:12]
    assert planned.warnings == run(root).warnings  # the same run again tells nothing again
    assert calls.titles == [f"Plan {plan} awaits you"]
    assert calls.texts[0].endswith(f"\n\ntrading-portfolio-rebalance approve {plan} --workspace {root}")
    executed = run(root, execute=True, person=Told())
    assert executed.status == "executed"
    assert calls.titles[-1] == f"Plan {str(executed.plan_id)[:12]} was executed and verified"


def test_a_plan_that_nobody_could_be_told_of_is_not_told_once_it_is_overtaken(
    tmp_path: Path, calls: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = example_1(tmp_path, config=config_text(PHONE))
    monkeypatch.delenv("PHONE_URL")
    overtaken, newest = run(root), run(root, mode="proportional")
    assert "PHONE_URL is not set" in " ".join(newest.warnings)
    monkeypatch.setenv("PHONE_URL", calls.url)
    run(root, mode="proportional")
    assert str(newest.plan_id)[:12] in calls.titles[-1] + calls.texts[-1]
    assert str(overtaken.plan_id)[:12] not in "".join((*calls.titles, *calls.texts))


def test_what_is_stored_of_a_run_is_the_same_whether_anybody_is_reached(
    tmp_path: Path, calls: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stored(folder: Path) -> tuple[str, bytes, tuple[str, ...]]:
        root = example_1(folder, config=config_text(PHONE))
        result = run(root)
        with Ledger.open(root) as ledger:
            return str(result.plan_id), ledger.result(str(result.plan_id)), result.warnings

    reached = stored(tmp_path / "reached")
    monkeypatch.setenv("PHONE_URL", dead_url())
    missed = stored(tmp_path / "missed")
    assert missed[:2] == reached[:2]
    assert missed[2] == (
        *reached[2],
        "phone was not notified: its endpoint did not take the message; it is tried again",
    )
    assert len(calls.posts) == 1


def test_nobody_is_told_of_anything_by_default(tmp_path: Path, told: list[Notice]) -> None:
    run(example_1(tmp_path))
    assert told == []


def test_without_notifications_no_code_of_theirs_is_loaded(tmp_path: Path) -> None:
    root = example_1(tmp_path, config=config_text("enabled: true"))
    probe = (
        "import sys; from portfolio_rebalance import run_skill;"
        f"run_skill({{'workspace': {str(root)!r}, 'as_of': {format_instant(AS_OF)!r}}});"
        "print(sorted(name for name in sys.modules if 'notice' in name or 'telling' in name"
        " or name.endswith(('.notify', '.courier')) or name == 'cronsim'))"
    )
    ran = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize(
    ("faults", "kind", "ends"),
    [
        ("2:partial=0.4", "reverted", " --dry-run"),
        ("2:partial=0.5\n3+:refuse\n", "needs_operator", " resume"),
    ],
)
def test_a_batch_that_goes_wrong_is_told_with_the_command_that_helps(
    tmp_path: Path, told: list[Notice], faults: str, kind: str, ends: str
) -> None:
    root = example_1(tmp_path, config=config_text(PHONE))
    (root / FAULTS).parent.mkdir()
    (root / FAULTS).write_text(faults)
    result = run(root, execute=True, person=Told())
    first = next(notice for notice in told if notice.kind == kind)
    assert first.plan_id == result.plan_id
    assert first.command == f"trading-portfolio-rebalance{ends} --workspace {root}"
    if kind == "needs_operator":
        assert kinds(told).count("halt") == 1
        again = [notice for notice in told if notice.kind == kind]
        assert len({notice.key for notice in again}) == 1  # of the execution and of what stands: one


def test_a_blocked_run_names_its_limits(tmp_path: Path, told: list[Notice]) -> None:
    strategies = {key: changed(EXAMPLE_1, key, pinned=True)[key] for key in EXAMPLE_1}
    result = run(example_1(tmp_path, strategies, config=config_text(PHONE)))
    assert result.status == "blocked"
    blocked = next(notice for notice in told if notice.kind == "blocked")
    assert blocked.title == "Cannot rebalance while respecting all limits"
    assert "STR-001, STR-003" in blocked.text
    assert blocked.command.startswith(f"trading-portfolio-rebalance show {result.run_id}")
    assert "unresolved_violation" in kinds(told)


def test_drift_correlation_and_stale_state_are_told_once_a_day_each(
    tmp_path: Path, told: list[Notice]
) -> None:
    strategies = changed(
        changed(EXAMPLE_1, "STR-007", target_percent=20), "STR-003", snapshot_age=timedelta(hours=30)
    )
    root = example_1(tmp_path, strategies, config=config_text(PHONE))
    result = run(root)
    assert "severe imbalance" in str(result.alerts)
    by_kind = {notice.kind: notice for notice in told}
    assert by_kind["severe_drift"].key == "severe_drift/STR-007/2025-02-05"
    assert by_kind["severe_drift"].title == "STR-007 drifted -48.50 % from its target"
    assert by_kind["stale_data"].text == "Too long without new data: STR-003."
    assert kinds(told).count("severe_drift") == 1


def test_halt_is_told_without_the_words_of_whoever_pulled_it(tmp_path: Path, told: list[Notice]) -> None:
    root = example_1(tmp_path, config=config_text(PHONE))
    write_halt(root, level="all", reason="<b>call 555-0100</b>")
    run(root)
    halt = next(notice for notice in told if notice.kind == "halt")
    assert halt.title == "HALT stands: nothing is sent"
    assert "555" not in halt.model_dump_json()


def test_names_of_strategies_stay_at_home(tmp_path: Path, told: list[Notice]) -> None:
    strategies = {
        key: changed(EXAMPLE_1, key, name=f"[click](http://evil) {key}", target_percent=1)[key]
        for key in EXAMPLE_1
    }
    run(example_1(tmp_path, strategies, config=config_text(PHONE)))
    assert told
    assert "evil" not in str(told)


def test_a_refused_request_still_tells_what_stands(tmp_path: Path, told: list[Notice]) -> None:
    root = example_1(tmp_path, config=config_text(PHONE))
    write_halt(root, level="all", reason="")
    (root / "BOOTSTRAP.md").write_text("nothing")
    assert run(root).status == "refused"
    assert kinds(told) == ["halt"]


def test_a_configuration_that_cannot_be_read_names_nobody(tmp_path: Path, told: list[Notice]) -> None:
    root = example_1(tmp_path, config=config_text(PHONE, "schedule: daily"))
    assert run(root).status == "refused"
    assert told == []


def test_bots_that_were_not_told_are_an_alert_after_48_hours(tmp_path: Path, told: list[Notice]) -> None:
    strategies = changed(EXAMPLE_1, "STR-003", control="bot")
    root = example_1(tmp_path, strategies, config=config_text(PHONE))
    plan_id = str(run(root, execute=True, person=Told()).plan_id)
    executed = next(notice for notice in told if notice.kind == "executed")
    assert f" confirm {plan_id[:12]} " in executed.command
    told.clear()
    run(root, at=AS_OF + timedelta(hours=47))
    assert "unconfirmed_instruction" not in kinds(told)
    run(root, at=AS_OF + timedelta(hours=48))
    late = next(notice for notice in told if notice.kind == "unconfirmed_instruction")
    assert (late.plan_id, f" confirm {plan_id[:12]} " in late.command) == (plan_id, True)


def test_every_kind_can_be_configured() -> None:
    assert set(Events.model_fields) == set(get_args(NoticeKind))
    assert {field.default for field in Events.model_fields.values()} == {"on"}


@pytest.mark.parametrize("word", ['"on"', "true", "silent", '"off"', "false"])
def test_on_silent_and_off_do_what_they_say(tmp_path: Path, calls: Endpoint, word: str) -> None:
    one = f"notifications: [{{name: phone, url_env: PHONE_URL, events: {{plan_awaiting: {word}}}}}]"
    root = example_1(tmp_path, config=config_text(one))
    run(root)
    kept = [one.state for one in kept_notices(root, since=AS_OF)]
    assert (len(calls.posts), kept) == {
        '"on"': (1, []),
        "true": (1, []),
        "silent": (0, ["silent"]),
        '"off"': (0, []),
        "false": (0, []),
    }[word]


def test_status_shows_what_was_not_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PHONE_URL", raising=False)
    root = example_1(tmp_path, config=config_text(PHONE))
    plan = str(run(root).plan_id)[:12]
    before = tree(root / "portfolio-rebalance")
    shown = command("status", "--workspace", str(root), "--as-of", format_instant(AS_OF), cwd=tmp_path)
    assert f"Plan {plan} awaits you" in shown.stdout
    assert "NOT DELIVERED" in shown.stdout
    assert tree(root / "portfolio-rebalance") == before
