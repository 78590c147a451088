"""A commit of several files survives kills and power cuts: all of it is there, or none.

Small counts; the large ones, and the proof that these checks find what they should, are among the proofs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from workspace.executions import with_tests_on_path
from workspace.outbox_scene import (
    LEDGER_FOLDER,
    PowerLoss,
    committing,
    prepare,
    quick_folder,
    recorded,
    scene,
)
from workspace.power_loss import Disk

KILLS = 60
STATES = 150


def killed(otherwise: Path, *, kills: int, seed: int) -> dict[str, Any]:
    """Kill commits, and those who recover from it, in a process of its own; what became of them."""
    with quick_folder(otherwise) as folder:
        done = subprocess.run(
            [sys.executable, "-m", "workspace.outbox_kills", str(folder), str(kills), str(seed)],
            env=with_tests_on_path(),
            capture_output=True,
            text=True,
            timeout=900,
        )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


def cut(otherwise: Path, *, states: int, most_per_moment: int, kill_every: int) -> tuple[int, list[str]]:
    """Cut the power in one scene after another; how many states that made, and their faults."""
    seed, count, found = 0, 0, list[str]()
    while count < states and not found:
        with quick_folder(otherwise) as folder:
            cuts = PowerLoss(folder, scene(seed), seed=seed, most_per_moment=most_per_moment)
            cuts.cut_a_commit().cut_after_kills(every=kill_every, moments=2)
        seed, count = seed + 1, count + cuts.states
        found += [f"scene {seed - 1}: {fault}" for fault in cuts.found]
    return count, found


def test_killed_at_any_point_the_files_are_all_new_or_all_old(tmp_path: Path) -> None:
    told = killed(tmp_path, kills=KILLS, seed=100)
    assert told["faults"] == []
    assert told["kills"] >= KILLS
    assert min(told["old"], told["new"], told["kills of recovery"]) > KILLS // 10


def test_without_power_at_any_moment_the_files_are_all_new_or_all_old(tmp_path: Path) -> None:
    states, found = cut(tmp_path, states=STATES, most_per_moment=8, kill_every=7)
    assert found == []
    assert states >= STATES


def test_the_log_of_a_commit_shows_every_file_synced_before_and_after_its_rename(tmp_path: Path) -> None:
    """What the power cuts are drawn from is what the code really asks for, in this order."""
    made = scene(0)
    prepare(tmp_path / "root", made)
    disk = Disk(tmp_path / "root", ledger_folder=LEDGER_FOLDER)
    with recorded(disk) as ledgers:
        committing(made)(disk.root, ledgers)
    kinds = [type(entry).__name__ for entry in disk.log]
    assert kinds.count("Rename") == len(made.new)
    assert kinds.count("Commit") == 2 + len(made.new)  # as it was, the execution's end, each file's mark
    for place, kind in enumerate(kinds):
        if kind == "Rename":
            assert kinds[place - 1 : place + 3] == ["Sync", "Rename", "Sync", "Commit"]
