"""Cron lines: what is one, when it comes, and what the configuration says of one that is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from workspaces import MODES, make_workspace, refused

from portfolio_rebalance.cron import every_hours, newest_until, next_after, require_cron
from portfolio_rebalance.errors import ConfigError
from portfolio_rebalance.workspace import load_config

NOON = datetime(2025, 3, 30, 12, tzinfo=UTC)
CONFIG = "config/portfolio-rebalance.yaml"


@pytest.mark.parametrize(
    "line", ["0 2 * * *", "*/5 0-6 1,15 JAN-JUN MON", "0 0 L,LW * 5L,MON#2", "59 23 31 12 7"]
)
def test_a_line_of_cron_is_accepted_as_it_is(tmp_path: Path, line: str) -> None:
    assert require_cron(line) == line
    root = make_workspace(tmp_path, config=f"portfolio_rebalance:\n  schedule: '{line}'\n")
    assert load_config(root, mode_names=MODES).config.schedule == line


@pytest.mark.parametrize(
    ("line", "saying"),
    [
        ("daily", "1 fields"),
        ("0 0 2 * * *", "6 fields"),
        ("", "0 fields"),
        ("60 2 * * *", "Bad minute"),
        ("0 2 * * FUNDAY", "Bad day-of-week"),
        ("0 2 30 2 *", "Bad day-of-month"),
        ("0 2 */40 * MON#5", "never comes"),
        ("*/0 2 * * *", "Bad minute"),
        ("5-1 2 * * *", "Bad minute"),
        ("0 2 * * 5L/2", "Bad day-of-week"),
    ],
)
def test_anything_else_is_refused_with_what_to_write(tmp_path: Path, line: str, saying: str) -> None:
    root = make_workspace(tmp_path, config=f"portfolio_rebalance:\n  schedule: '{line}'\n")
    with refused(root, ConfigError, where=f"{CONFIG}:2", saying=f"{saying}.*minute hour day month weekday"):
        load_config(root, mode_names=MODES)


def test_the_next_instant_is_later_and_the_newest_is_not() -> None:
    line = "0 12 * * *"
    assert next_after(line, NOON) == NOON + timedelta(days=1)
    assert newest_until(line, NOON) == NOON
    assert newest_until(line, NOON + timedelta(microseconds=1)) == NOON
    assert newest_until(line, NOON - timedelta(microseconds=1)) == NOON - timedelta(days=1)


@pytest.mark.parametrize("hours", range(1, 25))
def test_an_interval_is_never_longer_than_it_says(hours: int) -> None:
    line = require_cron(every_hours(hours))
    at = [datetime(2025, 1, 1, tzinfo=UTC)]
    while at[-1] < datetime(2025, 1, 4, tzinfo=UTC):
        at.append(next_after(line, at[-1]))
    gaps = [later - sooner for sooner, later in pairwise(at)]
    assert max(gaps) == timedelta(hours=hours)


@pytest.mark.parametrize("hours", [0, 25])
def test_an_interval_lies_within_a_day(tmp_path: Path, hours: int) -> None:
    root = make_workspace(
        tmp_path, config=f"portfolio_rebalance:\n  monitoring: {{tracking_interval_hours: {hours}}}\n"
    )
    with refused(root, ConfigError, where=f"{CONFIG}:2", saying="tracking_interval_hours"):
        load_config(root, mode_names=MODES)


@pytest.mark.parametrize(
    ("below", "saying", "fix"),
    [
        ("{name: phone, url_env: 'tgram://123456:TheWholeToken/42'}", "NAME of the environment variable", ""),
        ("{name: phone, url: 'tgram://123456:TheWholeToken/42'}", "url_env` is missing", "url_env"),
        ("{name: Phone 1, url_env: X}", "of the form", ""),
        ("{name: phone, url_env: X, events: {hlat: silent}}", "not a known key", "halt"),
        ("{name: phone, url_env: X, events: {halt: loud}}", "'on', 'silent' or 'off'", ""),
        ("{name: phone, url_env: X, events: {halt: off}}", "text to some", 'quotes if it is text: "off"'),
        ("{name: phone, url_env: X}, {name: phone, url_env: Z}", "stands twice", ""),
        (", ".join(f"{{name: a{n}, url_env: X}}" for n in range(11)), "at most 10", ""),
    ],
)
def test_a_target_that_is_none_is_refused_and_no_address_is_repeated(
    tmp_path: Path, below: str, saying: str, fix: str
) -> None:
    root = make_workspace(tmp_path, config=f"portfolio_rebalance:\n  notifications: [{below}]\n")
    with refused(root, ConfigError, where=f"{CONFIG}:2", saying=saying):
        load_config(root, mode_names=MODES)
    with pytest.raises(ConfigError) as caught:
        load_config(root, mode_names=MODES)
    assert fix in caught.value.fix
    assert "TheWholeToken" not in str(caught.value)
