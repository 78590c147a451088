"""The paper venue under kill -9: an order is there with its fill, or not at all; what was answered stays."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import paper_kills
import pytest
from paper_venues import BTC, CASH, fund, open_venue

from portfolio_rebalance.execution.paper import PAPER

SCRIPTS = (
    "",
    "1:slow_fill=3, 2:timeout_after",
    "1:disconnect=3, 2:duplicate_report",
    "1:late=2, 1:partial=0.4, 2:refuse",
    "1:timeout_before, 2:price_jump=-3%, 2:late=3, 2:slow_fill=2",
    "1:price_jump_all=+1%, 1:duplicate_report, 1:partial=0.7, 2:disconnect=9",
)


def _program(*arguments: object) -> list[str]:
    return [sys.executable, str(Path(paper_kills.__file__)), *map(str, arguments)]


def _survived(command: str, script: str) -> int:
    """A kill loses nothing that was written, synced or not: memory serves as well as a disk, and is fast."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(dir=memory) as folder:
        ran = subprocess.run(_program(command, folder, script), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout)


def test_killed_at_any_statement_a_call_happened_whole_or_not_at_all() -> None:
    assert _survived("once", "1:slow_fill=2, 1:price_jump=+1%, 2:disconnect=2") > 250


@pytest.mark.proof
@pytest.mark.parametrize("script", SCRIPTS)
def test_killed_at_any_statement_and_again_while_going_on(script: str) -> None:
    assert _survived("once", script) > 250
    assert _survived("twice", script) > 500


def _kill_while_placing(root: Path, *, after_seconds: float) -> None:
    with open_venue(root) as venue:
        fund(venue)
    child = subprocess.Popen(_program("place", root, "a", 1_000_000), stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    answered = [child.stdout.readline().split()[0]]
    time.sleep(after_seconds)
    child.kill()
    answered += [
        line.split()[0] for line in child.stdout.read().splitlines(keepends=True) if line[-1:] == "\n"
    ]
    child.stdout.close()
    assert child.wait() == -9
    with closing(sqlite3.connect(root / PAPER)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        states = connection.execute("SELECT client_id, status FROM orders ORDER BY number").fetchall()
    with open_venue(root) as venue:
        fills, found = venue.fills(), venue.balances()
    assert states == [(fill.client_id, "filled") for fill in fills]
    told = [fill.client_id for fill in fills]
    assert told[: len(answered)] == answered
    assert len(told) - len(answered) <= 1  # the one that was cut off
    assert Fraction(found.cash) == Fraction(CASH) + sum(Fraction(fill.cash_change) for fill in fills)
    assert Fraction(found.quantities[BTC]) == Fraction(1, 2) + sum(Fraction(fill.quantity) for fill in fills)


def test_killed_at_any_moment_what_was_answered_is_there_and_adds_up(tmp_path: Path) -> None:
    rng = random.Random(1)
    for number in range(3):
        _kill_while_placing(tmp_path / str(number), after_seconds=rng.uniform(0, 0.1))


@pytest.mark.proof
def test_killed_at_twenty_moments_what_was_answered_is_there_and_adds_up(tmp_path: Path) -> None:
    rng = random.Random(2)
    for number in range(20):
        _kill_while_placing(tmp_path / str(number), after_seconds=rng.uniform(0, 0.3))


def test_two_processes_at_one_venue_lose_nothing_and_use_a_fault_up_once(tmp_path: Path) -> None:
    with open_venue(tmp_path, faults="1:refuse, 7:refuse, 60:refuse") as venue:
        fund(venue)
    children = [
        subprocess.Popen(_program("place", tmp_path, name, 40), stdout=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    answers = [line.split()[1] for child in children for line in child.communicate()[0].splitlines()]
    assert [child.returncode for child in children] == [0, 0]
    assert (answers.count("refused"), answers.count("filled")) == (3, 77)
    with open_venue(tmp_path) as venue:
        fills, found = venue.fills(), venue.balances()
        assert set(venue.times_executed().values()) == {1}
    assert len(fills) == 77
    assert Fraction(found.cash) == Fraction(CASH) + sum(Fraction(fill.cash_change) for fill in fills)
