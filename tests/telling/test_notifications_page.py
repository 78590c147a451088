"""``docs/notifications.md``: its configuration is one, it names every kind, and its verbs exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

from front_doors.front_door_samples import command
from workspaces import MODES, make_workspace

from portfolio_rebalance.config_notify import NoticeKind
from portfolio_rebalance.workspace import load_config

PAGE = (Path(__file__).parents[2] / "docs/notifications.md").read_text()


def test_its_configuration_is_one(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    config = load_config(make_workspace(tmp_path, config=text), mode_names=MODES).config
    phone, mail = config.notifications
    assert (phone.url_env, mail.events.outcome, mail.events.plan_awaiting) == ("PHONE_URL", "off", "on")


def test_it_names_every_kind() -> None:
    assert [kind for kind in get_args(NoticeKind) if f"`{kind}`" not in PAGE] == []


def test_the_files_it_speaks_of_are_printed_and_written(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    there = ("--workspace", str(root))
    printed = command("schedule", "print", *there, cwd=tmp_path)
    assert "OnCalendar=*-*-* 02:00:00 UTC" in printed.stdout
    assert f"monitor --scheduled --workspace {root}" in printed.stdout
    written = command("schedule", "print", "launchd", "--write", "units", "--json", *there, cwd=tmp_path)
    document = json.loads(written.stdout)
    assert written.returncode == 0
    assert {Path(path).name for path in document["written"]} == set(document["files"])
    assert sorted(path.name for path in (tmp_path / "units").iterdir()) == sorted(document["files"])
    unknown = command("schedule", "print", "windows", *there, cwd=tmp_path)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "systemd, cron, launchd" in unknown.stderr
