"""Real kills: a forked process commits a scene and sends itself SIGKILL at a numbered point.

The points are every call that changes or syncs a file, every part of a write, and every statement that the
ledger sends to SQLite. Whoever starts next is killed at a point of its own, at times the one after it too;
then one is left alive, and judged. A program of its own: it has no threads that a fork would leave behind.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from portfolio_rebalance.workspace import Ledger
from workspace.outbox_scene import LEDGER_FOLDER, committing, faults, prepare, recorded, recovering, scene
from workspace.power_loss import Disk

MOST_POINTS_OF_A_START = 30


def main() -> None:
    """``FOLDER KILLS SEED``: kill so often, and print what was found as JSON."""
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(seed)
    told = {"kills": 0, "kills of recovery": 0, "old": 0, "new": 0, "faults": []}
    number = 0
    while told["kills"] < kills:
        made = scene(seed + number)
        template = folder / f"template-{number}"
        prepare(template, made)
        number += 1
        for point in range(10_000):
            root = folder / "root"
            shutil.copytree(template, root)
            if not _killed(root, committing(made), point=point):
                shutil.rmtree(root)
                break
            told["kills"] += 1
            for _ in range(rng.choice((1, 1, 1, 2))):
                told["kills of recovery"] += _killed(
                    root, recovering, point=rng.randrange(MOST_POINTS_OF_A_START)
                )
            told["faults"] += [
                f"scene {seed + number - 1}, point {point}: {fault}" for fault in faults(root, made)
            ]
            told["new" if _is_committed(root) else "old"] += 1
            shutil.rmtree(root)
    print(json.dumps(told))


def _killed(root: Path, act: Callable[[Path, type[Ledger]], None], *, point: int) -> bool:
    """Let a process of its own do it; says whether that reached the point, and so did not live."""
    child = os.fork()
    if child == 0:
        _do_and_exit(root, act, point)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert status == 0, f"the process failed by itself: {status}"
    return False


def _do_and_exit(root: Path, act: Callable[[Path, type[Ledger]], None], point: int) -> NoReturn:
    try:
        disk = Disk(root, ledger_folder=LEDGER_FOLDER, kill=lambda: os.kill(os.getpid(), signal.SIGKILL))
        with recorded(disk) as ledgers, _statements_told(disk):
            disk.kill_at(point)
            act(root, ledgers)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


@contextmanager
def _statements_told(disk: Disk) -> Iterator[None]:
    """While it lasts, every statement sent to SQLite is a point too."""
    real = sqlite3.connect

    def connect(*where: str, **how: float) -> sqlite3.Connection:
        connection = real(*where, **how)
        connection.set_trace_callback(lambda _: disk.point())
        return connection

    sqlite3.connect = connect  # type: ignore[assignment]
    try:
        yield
    finally:
        sqlite3.connect = real


def _is_committed(root: Path) -> bool:
    with Ledger.open(root) as ledger:
        execution = ledger.journal.get("one")
    assert execution is not None
    return execution.status == "committed"


if __name__ == "__main__":
    main()
