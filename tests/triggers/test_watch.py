"""The watch: in a process of its own, told to end by signals; its times, and what it follows."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from executing import config_text, example_1
from triggers.calendars import instants_of_cron
from workspaces import AS_OF

from portfolio_rebalance.config import Config, Monitoring
from portfolio_rebalance.triggers.watch import Watch, _cron, _scheduler

REPOSITORY = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "portfolio_rebalance.cli")


class Watching:
    """A process and what it has said on standard error so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self.said: list[str] = []
        assert process.stderr is not None
        self._reader = threading.Thread(target=self._read, args=(process.stderr,))
        self._reader.start()

    def _read(self, stream: Iterator[str]) -> None:
        for line in stream:
            self._lines.put(line.rstrip("\n"))

    def until(self, words: str, *, seconds: float = 30) -> str:
        """Wait for a line with these words."""
        ends = time.monotonic() + seconds
        while True:
            line = self._lines.get(timeout=max(0.1, ends - time.monotonic()))
            self.said.append(line)
            if words in line:
                return line

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal, and wait for the end: exit code, standard output."""
        self.process.send_signal(number)
        assert self.process.stdout is not None
        out = self.process.stdout.read()
        code = self.process.wait(timeout=30)
        self._reader.join(timeout=30)
        while not self._lines.empty():
            self.said.append(self._lines.get())
        return code, out


@contextmanager
def watching(*words: str) -> Iterator[Watching]:
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    try:
        watch = Watching(process)
        yield watch
    finally:
        process.kill()
        process.wait()
        watch._reader.join()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_checks_says_what_went_wrong_goes_on_and_ends_when_told(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    root = example_1(tmp_path)  # of years ago: too old to be checked
    with watching(*COMMAND, "watch", "--workspace", str(root), "--json") as watch:
        assert "check at 0 2 * * * (UTC), look at what is watched at 30 * * * *" in watch.until("watching")
        assert "max_snapshot_age_days is 7" in watch.until("check: refused")
        ended, out = watch.end(number)
    assert ended == code
    assert json.loads(out) == {
        "schema_version": 1, "exit_code": code, "status": "ended", "signal": number.name
    }  # fmt: skip
    assert any("ending" in line for line in watch.said)
    assert not [line for line in watch.said if "Traceback" in line]


def test_enabled_false_does_nothing_and_says_so(tmp_path: Path) -> None:
    root = example_1(tmp_path, config=config_text("enabled: false"))
    with watching(*COMMAND, "watch", "--workspace", str(root)) as watch:
        assert "enabled: false" in watch.until("check: ")
        assert "enabled: false" in watch.until("tick: ")
        assert watch.end(signal.SIGTERM)[0] == 0
    assert not (root / "portfolio-rebalance").exists()


def test_a_configuration_that_cannot_be_read_at_the_start_is_an_error(tmp_path: Path) -> None:
    root = example_1(tmp_path, config=config_text("schedule: daily"))
    with watching(*COMMAND, "watch", "--workspace", str(root)) as watch:
        assert "is no cron line" in watch.until("error: ") or "has 1 fields" in watch.said[-1]
        assert watch.process.wait(timeout=30) == 14


_ACTS = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from portfolio_rebalance.config import Config
from portfolio_rebalance.triggers import watch

watch._LOOK_SECONDS = 0.2
folder = Path(sys.argv[1])
say = lambda line: print(line, file=sys.stderr, flush=True)

def config():
    text = (folder / "schedule").read_text()
    if text == "broken":
        raise ValueError("broken")
    return Config(schedule=text)

def check():
    say("act begins")
    time.sleep(1)
    (folder / "done").write_text("whole")
    return ("act ends",)

def tick():
    raise RuntimeError("a tick that fails")

ended = watch.Watch(config=config, check=check, tick=tick, say=say, now=lambda: datetime.now(UTC)).run()
print(ended.name)
"""


def test_an_act_under_way_is_finished_and_a_changed_configuration_is_followed(tmp_path: Path) -> None:
    (tmp_path / "schedule").write_text("0 2 * * *")
    with watching(sys.executable, "-c", _ACTS, str(tmp_path)) as watch:
        watch.until("act begins")
        watch.until("check: act ends")
        watch.until("tick: failed: a tick that fails")
        (tmp_path / "schedule").write_text("broken")
        watch.until("the configuration cannot be read, the old times go on: broken")
        (tmp_path / "done").unlink()
        (tmp_path / "schedule").write_text("* * * * *")
        watch.until("check: from now on at * * * * * (UTC)")
    (tmp_path / "schedule").write_text("0 2 * * *")
    with watching(sys.executable, "-c", _ACTS, str(tmp_path)) as watch:
        watch.until("act begins")
        code, out = watch.end(signal.SIGTERM)
    assert (code, out) == (0, "SIGTERM\n")
    assert (tmp_path / "done").read_text() == "whole"
    assert "check: act ends" in watch.said


@pytest.mark.parametrize("line", ["0 2 * * 0", "0 2 * * 1-5", "*/7 3 1,31 * MON", "30 */5 * * *"])
def test_its_times_are_those_of_cron_and_not_of_apscheduler(line: str) -> None:
    start, end = datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 3, 1, tzinfo=UTC)
    trigger, at = _cron(line), start - timedelta(seconds=1)
    found = []
    while (at := trigger.get_next_fire_time(at, at)) < end:
        found.append(at)
    assert found == sorted(instants_of_cron(line, start=start, end=end))


def test_schedule_and_interval_are_when_it_acts() -> None:
    config = Config(schedule="15 4 * * MON", monitoring=Monitoring(tracking_interval_hours=8))
    watch = Watch(config=lambda: config, check=tuple, tick=tuple, say=print, now=lambda: AS_OF)
    assert watch._lines() == {"check": "15 4 * * MON", "tick": "30 0,8,16 * * *"}


def test_a_time_that_was_set_back_is_followed() -> None:
    """What was to come years ahead, by a clock that was wrong, comes when it should."""
    watch = Watch(config=Config, check=tuple, tick=tuple, say=print, now=lambda: datetime.now(UTC))
    lines = watch._lines()
    scheduler = _scheduler()
    for name, line in lines.items():
        scheduler.add_job(tuple, _cron(line), id=name)
    scheduler.start(paused=True)
    try:
        scheduler.modify_job("check", next_run_time=datetime.now(UTC) + timedelta(days=4000))
        watch._look(scheduler, lines)
        assert scheduler.get_job("check").next_run_time < datetime.now(UTC) + timedelta(days=1, seconds=1)
        kept = scheduler.get_job("tick").next_run_time
        watch._look(scheduler, lines)
        assert scheduler.get_job("tick").next_run_time == kept
    finally:
        scheduler.shutdown()
