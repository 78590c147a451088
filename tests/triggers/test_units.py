"""Unit files: they come when the schedule says, wherever the machine is, and quote what they hold."""

from __future__ import annotations

import plistlib
import random
import re
import shlex
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from triggers.calendars import instants_of_cron, instants_of_systemd, random_lines

from portfolio_rebalance.config import Config, Monitoring
from portfolio_rebalance.cron import every_hours
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.triggers.crontab import crontab_fields
from portfolio_rebalance.triggers.due import is_due, poll_minutes
from portfolio_rebalance.triggers.systemd import calendar_of
from portfolio_rebalance.triggers.units import KINDS, Kind, UnitFiles, unit_files, write_units

START = datetime(2027, 10, 1, tzinfo=UTC)
END = datetime(2028, 10, 1, tzinfo=UTC)
"""A year with a 29th of February in it."""

PROGRAM = "/opt/bin/trading-portfolio-rebalance"
ODD = Path('/srv/a b/50% "$HOME" \\x/.crypto')
SYSTEMD = shutil.which("systemd-analyze")
without_systemd = pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze is not installed")


def made(kind: Kind, *, workspace: Path = Path("/w/.crypto"), **changes: object) -> UnitFiles:
    config = Config.model_validate(changes)
    return unit_files(
        kind, config=config, workspace=workspace, program=["/opt/bin/trading-portfolio-rebalance"]
    )


def on_calendar(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"^OnCalendar=(.*)$", text, re.MULTILINE))


def held_against_cron(seed: int, *, count: int) -> tuple[int, int]:
    """How many random lines systemd says exactly, and how many it only comes near; asserts both."""
    exact = near = 0
    for line in random_lines(random.Random(seed), count=count):
        calendar = calendar_of(line)
        said = instants_of_systemd(calendar.lines, start=START, end=END)
        meant = instants_of_cron(line, start=START, end=END)
        if calendar.exact:
            assert said == meant, (line, calendar)
            exact += 1
        else:
            assert said >= meant, (line, calendar)
            assert {at for at in said if is_due(line, last=at - timedelta(minutes=1), now=at)} == meant
            near += 1
        plain = crontab_fields(line)
        if plain is not None:
            assert instants_of_cron(plain, start=START, end=END) == meant, (line, plain)
    return exact, near


@pytest.mark.parametrize(
    "line",
    [
        "0 2 * * *",
        "0 2 1,15 * MON",
        "0 2 */2 * MON",
        "0 2 * * 7",
        "0 2 L * *",
        "0 2 LW * *",
        "0 2 LW * FRI",
        "0 2 * * 5L",
        "0 2 * * MON#5",
        "0 2 31 * MON#1",
        "0 2 29 2 *",
        "0 2 L 2 *",
        "0 2 1-31 * 1",
    ],
)
def test_systemd_comes_exactly_when_cron_does(line: str) -> None:
    calendar = calendar_of(line)
    assert calendar.exact
    assert instants_of_systemd(calendar.lines, start=START, end=END) == instants_of_cron(
        line, start=START, end=END
    )


def test_random_lines_come_when_cron_does() -> None:
    exact, _ = held_against_cron(1, count=60)
    assert exact > 50


@pytest.mark.proof
def test_many_random_lines_come_when_cron_does() -> None:
    exact, near = held_against_cron(2, count=1500)
    assert exact > 1000
    assert near > 5


@without_systemd
def test_systemd_itself_reads_the_lines_as_cron_does() -> None:
    """In another time zone: its own answer is held against what is reckoned here."""
    assert SYSTEMD is not None
    horizon = END + timedelta(days=366)
    for line in random_lines(random.Random(3), count=12):
        for text in calendar_of(line).lines:
            words = ["calendar", text, f"--base-time={START:%Y-%m-%d %H:%M:%S} UTC", "--iterations=40"]
            told = subprocess.run(
                [SYSTEMD, *words],
                capture_output=True,
                text=True,
                check=True,
                env={"TZ": "America/New_York", "LC_ALL": "C"},
            ).stdout
            elapses = re.findall(r"\(in UTC\): \w{3} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", told)
            found = [datetime.fromisoformat(at).replace(tzinfo=UTC) for at in elapses]
            end = min(horizon, found[-1] + timedelta(seconds=1))
            reckoned = instants_of_systemd((text,), start=START, end=end + timedelta(days=1))
            assert {at for at in found if at < end} == {at for at in reckoned if START < at < end}, text


@without_systemd
def test_systemd_finds_no_fault_in_the_files(tmp_path: Path) -> None:
    assert SYSTEMD is not None
    program = tmp_path / "a program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for config in (Config(), Config(schedule="0 2 1 * MON"), Config(schedule="0 2 */2 * 5L")):
        units = unit_files("systemd", config=config, workspace=ODD, program=[str(program)])
        for path in write_units(units, tmp_path / str(len(config.schedule))):
            ran = subprocess.run([SYSTEMD, "verify", "--man=no", str(path)], capture_output=True, text=True)
            ours = [line for line in ran.stderr.splitlines() if "portfolio" in line]
            assert ours == [], ran.stderr


def test_a_check_is_due_once_for_each_time_that_has_come_in_any_time_zone() -> None:
    """launchd starts it at any distance, and lets some starts out; none of its clocks matters."""
    rng = random.Random(4)
    for line in [*random_lines(rng, count=20), "30 2 * * *", "*/3 * * * *"]:
        poll = timedelta(minutes=poll_minutes(line))
        start = datetime(2028, 3, 25, tzinfo=UTC)
        last = start
        now = start + timedelta(seconds=rng.randrange(300))
        times = sorted(instants_of_cron(line, start=start, end=start + timedelta(days=4)))
        while now < start + timedelta(days=3):
            local = now.astimezone(ZoneInfo("Europe/Berlin"))  # changes to summer time on the 26th
            came = [at for at in times if last < at <= now]
            assert is_due(line, last=last, now=local) == bool(came), (line, now)
            if came:
                assert now - came[0] < poll or now - last > poll
                last = now
            now += poll if rng.random() < 0.97 else timedelta(hours=rng.randint(1, 30))


def test_the_first_check_is_due_at_once() -> None:
    assert is_due("0 2 1 1 *", last=None, now=START)


@pytest.mark.parametrize(("line", "minutes"), [("0 2 * * *", 5), ("*/5 * * * *", 5), ("*/4 * * * *", 1)])
def test_it_looks_often_enough(line: str, minutes: int) -> None:
    assert poll_minutes(line) == minutes


def test_schedule_and_interval_are_what_the_files_say() -> None:
    default = made("systemd").files
    assert on_calendar(default["trading-portfolio-rebalance-check.timer"]) == ("*-*-* 02:00:00 UTC",)
    assert on_calendar(default["trading-portfolio-rebalance-monitor.timer"]) == ("*-*-* *:30:00 UTC",)
    other = made("systemd", schedule="15 4 * * MON", monitoring=Monitoring(tracking_interval_hours=6)).files
    assert on_calendar(other["trading-portfolio-rebalance-check.timer"]) == ("Mon *-*-* 04:15:00 UTC",)
    (monitor,) = on_calendar(other["trading-portfolio-rebalance-monitor.timer"])
    assert monitor == "*-*-* 00,06,12,18:30:00 UTC"
    launchd = made("launchd", monitoring=Monitoring(tracking_interval_hours=6)).files
    plist = plistlib.loads(launchd["trading-portfolio-rebalance.monitor.plist"].encode())
    assert plist["StartInterval"] == 6 * 3600


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_configuration_says_so(kind: Kind) -> None:
    assert "enabled: false" in made(kind, enabled=False).notes[0]
    assert "enabled" not in " ".join(made(kind).notes)


def test_words_reach_the_program_as_they_are() -> None:
    meant = [PROGRAM, "schedule", "run", "--workspace", str(ODD)]
    systemd = made("systemd", workspace=ODD).files["trading-portfolio-rebalance-check.service"]
    (start,) = re.findall(r"^ExecStart=(.*)$", systemd, re.MULTILINE)
    assert [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(start)] == meant
    crontab = made("cron", workspace=ODD).files["trading-portfolio-rebalance.crontab"]
    line = next(line for line in crontab.splitlines() if line.startswith("0 2 "))
    assert "%" not in line.replace("\\%", "")
    assert shlex.split(line.split(maxsplit=5)[5].replace("\\%", "%")) == meant
    launchd = made("launchd", workspace=ODD).files["trading-portfolio-rebalance.check.plist"]
    words = plistlib.loads(launchd.encode())["ProgramArguments"]
    assert [word for word in words if word != "--due"] == meant


def test_a_path_that_would_end_a_line_is_refused() -> None:
    with pytest.raises(UsageError, match="no unit file can hold"):
        made("cron", workspace=Path("/a\nb/.crypto"))


def test_what_only_cronsim_understands_is_looked_for_by_due() -> None:
    crontab = made("cron", schedule="0 2 * * 5L").files["trading-portfolio-rebalance.crontab"]
    active = [line for line in crontab.splitlines() if not line.startswith("#")]
    assert "CRON_TZ" not in crontab
    assert "schedule run --due" in active[0]
    service = made("systemd", schedule="0 2 */2 * 5L").files["trading-portfolio-rebalance-check.service"]
    assert "schedule run --due" in service
    assert "--due" not in made("systemd").files["trading-portfolio-rebalance-check.service"]


def test_files_are_written_and_never_over_others(tmp_path: Path) -> None:
    units = made("systemd")
    paths = write_units(units, tmp_path / "units")
    assert {path.name: path.read_text() for path in paths} == dict(units.files)
    assert write_units(units, tmp_path / "units") == paths
    paths[-1].write_text("mine")
    paths[0].unlink()
    with pytest.raises(UsageError, match="says something else"):
        write_units(units, tmp_path / "units")
    assert paths[-1].read_text() == "mine"
    assert not paths[0].exists()
    with pytest.raises(UsageError, match="cannot be written"):
        write_units(units, paths[-1])


@pytest.mark.parametrize("hours", [1, 5, 24])
def test_an_interval_is_said_by_every_scheduler(hours: int) -> None:
    line = every_hours(hours)
    calendar = calendar_of(line)
    assert (calendar.exact, len(calendar.lines)) == (True, 1)
    assert crontab_fields(line) is not None
