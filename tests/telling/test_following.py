"""What is told of a rebalance while it is watched, and of a look that a schedule starts."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from endpoints import dead_url
from executing import config_text
from front_doors.front_door_samples import command
from run.followed import add_returns, executed, hours_after
from workspaces import tree

from portfolio_rebalance.clock import Clock, format_instant
from portfolio_rebalance.errors import WorkspaceBusyError
from portfolio_rebalance.follow_up import monitor
from portfolio_rebalance.records import MonitorReport, Notice
from portfolio_rebalance.run import telling
from portfolio_rebalance.triggers.look import look
from portfolio_rebalance.workspace import exclusive

PHONE = "notifications: [{name: phone, url_env: PHONE_URL}]"
ENDS = 8 * 24


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Notice]:
    kept: list[Notice] = []

    def deliver(_root: Path, notices: Any, **_: object) -> tuple[str, ...]:
        kept.extend(notices)
        return ()

    monkeypatch.setattr(telling, "deliver", deliver)
    return kept


def looked(root: Path, hours: float, *, environment: dict[str, str] | None = None) -> MonitorReport:
    at = hours_after(hours)
    later = hours_after(24 * 400)  # the files may hold later returns already
    return monitor(
        root, clock=Clock.at(at, now=later), now=lambda: at, environment=environment or {"PHONE_URL": "x"}
    )


def test_the_outcome_is_told_with_the_end_of_the_watch(tmp_path: Path, told: list[Notice]) -> None:
    root, plan_id = executed(tmp_path, config=config_text(PHONE))
    add_returns(root, 9)
    for hours in (24, 25, ENDS, ENDS + 1):
        looked(root, hours)
    outcomes = [notice for notice in told if notice.kind == "outcome"]
    assert {notice.key for notice in outcomes} == {f"outcome/{plan_id}"}
    assert outcomes[0].command.startswith(f"trading-portfolio-rebalance show {plan_id[:12]} --workspace")


def test_an_alert_of_a_look_is_a_notice(tmp_path: Path, told: list[Notice]) -> None:
    root, plan_id = executed(tmp_path, config=config_text(PHONE))
    path = root / "live-monitoring/live-performance/STR-001/daily_returns.csv"
    add_returns(root, 9, without=("STR-001",))
    day = hours_after(0).date()
    rows = "".join(f"{day + timedelta(days=place)},-0.2\n" for place in range(9))
    path.write_text(path.read_text() + rows)
    report = looked(root, 5 * 24)
    assert report.ticks[0].alerts
    notice = next(notice for notice in told if notice.kind == "divergence")
    assert notice.plan_id == plan_id
    assert "against" in notice.text


def test_whoever_cannot_be_reached_is_a_note_and_what_is_found_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = executed(tmp_path, config=config_text(PHONE))
    add_returns(root, 9)
    copy = Path(shutil.copytree(root, tmp_path / "copy" / ".crypto"))
    report = looked(root, ENDS, environment={"PHONE_URL": dead_url()})
    assert "phone was not notified" in report.notes[-1]
    monkeypatch.setattr(telling, "deliver", lambda *_, **__: ())
    reached = looked(copy, ENDS)
    assert reached.outcomes
    assert reached.model_copy(update={"notes": report.notes}) == report
    assert reached.notes == report.notes[:-1]


def test_a_scheduled_look_does_nothing_where_nothing_may_run(tmp_path: Path) -> None:
    root, _ = executed(tmp_path)
    (root / "config").mkdir()
    (root / "config/portfolio-rebalance.yaml").write_text(config_text("enabled: false"))
    before = tree(root)
    at = format_instant(hours_after(30))
    ran = command("monitor", "--scheduled", "--json", "--workspace", str(root), "--as-of", at, cwd=tmp_path)
    document = json.loads(ran.stdout)
    assert (ran.returncode, document["ticks"]) == (0, [])
    assert "enabled: false" in document["notes"][0]
    assert tree(root) == before


def test_a_scheduled_look_waits_for_whoever_is_at_work(tmp_path: Path) -> None:
    root, _ = executed(tmp_path)
    clock = Clock.at(hours_after(30), now=hours_after(30))
    slept: list[float] = []
    with exclusive(root), pytest.raises(WorkspaceBusyError):
        look(root, clock=clock, sleep=slept.append)
    assert sum(slept) == 55
    found = look(root, clock=clock, sleep=slept.append)
    assert found is not None
    assert len(found.ticks) == 1
