"""A commit of several files, done, interrupted, recovered and judged.

Before a scene's commit a workspace holds its old files; after it all the new ones. Whatever happens on the
way, whoever starts next must find, or make, one of the two: :func:`faults` says what is wrong with the rest.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from portfolio_rebalance.errors import RebalanceError
from portfolio_rebalance.workspace import Ledger, apply_outbox, outputs
from workspace.executions import add_plans, fill, hours, order, projection, started
from workspace.power_loss import Disk, Killed, Left, left_after

LEDGER_FOLDER = "portfolio-rebalance"
NEW_MODE = 0o644
_CUT_TWICE = 0.2
"""Share of the states in which the power fails again while the next start recovers."""


@dataclass(frozen=True)
class Scene:
    """Files of one commit.

    Attributes:
        old: Bytes and mode by path, before.
        new: Bytes by path, in the order in which they are written.
    """

    old: Mapping[str, tuple[bytes, int]]
    new: Mapping[str, bytes]


def scene(seed: int) -> Scene:
    """What a rebalance writes, in sizes and numbers that vary with the seed."""
    draw = random.Random(f"scene-{seed}")

    def text(title: str) -> bytes:
        return f"# {title}\n".encode() + draw.randbytes(draw.choice((0, 30, 300, 900, 1300))).hex().encode()

    old = {
        "knowledge/registry.yaml": (text("old registry"), draw.choice((0o644, 0o640, 0o600))),
        "BOOTSTRAP.md": (text("old state"), draw.choice((0o644, 0o664))),
        "untouched.md": (b"nobody's business", 0o644),
    }
    new = {
        "knowledge/registry.yaml": text("new registry"),
        "BOOTSTRAP.md": text("new state"),
        "portfolio-rebalance/execution-2025-02-05.yaml": text("execution"),
        "portfolio-rebalance/execution-summary-2025-02-05.yaml": text("summary"),
        "live-monitoring/live-performance/STR-A/snapshot-2025-02-05T040000Z.yaml": text("snapshot"),
    }
    if draw.random() < 0.5:  # a folder that is there already
        old["live-monitoring/live-performance/STR-A/snapshot-2025-02-04T040000Z.yaml"] = (
            text("older"),
            0o644,
        )
    kept = draw.sample(sorted(new), draw.randint(2, len(new)))
    return Scene(old=old, new={path: new[path] for path in new if path in kept})


def prepare(root: Path, made: Scene) -> None:
    """A workspace with the old files, and an execution that is about to be committed."""
    (root / LEDGER_FOLDER).mkdir(parents=True)
    for path, (data, mode) in made.old.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
        (root / path).chmod(mode)
    with Ledger.open(root) as ledger:
        add_plans(ledger, "one")
        ledger.journal.start(started("one"), [order(0)])
        ledger.journal.mark_sent("one", 0, reference_price=Decimal(1), limit_price=Decimal(1))
        ledger.journal.settle("one", 0, state="done", fill=fill())


def finish(ledger: Ledger, made: Scene) -> None:
    """The end of an execution: one transaction, and no file yet."""
    files = [
        projection(path, data, old=made.old[path][0] if path in made.old else None)
        for path, data in made.new.items()
    ]
    ledger.journal.finish(
        "one",
        status="committed",
        report=b"{}",
        total_after=Decimal(59_000),
        finished_at=hours(3),
        projections=files,
    )


def committing(made: Scene) -> Callable[[Path, type[Ledger]], None]:
    """A commit with its files, as a process of its own does it."""

    def act(root: Path, ledgers: type[Ledger]) -> None:
        with ledgers.open(root) as ledger:
            finish(ledger, made)
            apply_outbox(root, ledger)

    return act


def recovering(root: Path, ledgers: type[Ledger]) -> None:
    """What every start does."""
    with ledgers.open(root) as ledger:
        apply_outbox(root, ledger)


def faults(root: Path, made: Scene) -> list[str]:
    """Recover, and say what is wrong afterwards: neither all new nor all old, torn, lost, left over."""
    try:
        recovering(root, Ledger)
        with Ledger.open(root) as ledger:
            execution = ledger.journal.get("one")
            again = apply_outbox(root, ledger)
    except (RebalanceError, OSError) as error:
        return [f"stuck: {error}"]
    assert execution is not None
    committed = execution.status == "committed"
    wanted = dict(made.old)
    if committed:
        for path, data in made.new.items():
            wanted[path] = (data, made.old[path][1] if path in made.old else NEW_MODE)
    found = {
        str(path.relative_to(root)): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith("ledger.db")
    }
    return [
        *(f"written again: {path}" for path in again),
        *(f"lost: {path}" for path in wanted.keys() - found.keys()),
        *(f"left over: {path}" for path in found.keys() - wanted.keys()),
        *(
            f"{'not new' if committed else 'not old'}: {path}"
            for path in wanted.keys() & found.keys()
            if wanted[path] != found[path]
        ),
    ]


@contextmanager
def quick_folder(otherwise: Path) -> Iterator[Path]:
    """A folder in memory where there is one: what is proven here does not depend on a real disk's syncs."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield otherwise
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


# --- power cuts -----------------------------------------------------------------------------------------


class RecordedLedger(Ledger):
    """Tells the disk of each commit."""

    disk: Disk

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        self.disk.point()
        with super().transaction() as connection:
            yield connection
        self.disk.commit(says=tuple(self.rows("SELECT number, applied FROM outbox ORDER BY number")))


@contextmanager
def recorded(disk: Disk) -> Iterator[type[RecordedLedger]]:
    """While it lasts, files are written through ``disk``."""
    real = outputs.os
    outputs.os = disk  # type: ignore[assignment]
    try:
        yield type("Recorded", (RecordedLedger,), {"disk": disk})
    finally:
        outputs.os = real


class PowerLoss:
    """Counts the states that power cuts leave of a scene, and what is wrong with any.

    Attributes:
        states: How many different ones were recovered from.
        found: Their faults; the search ends at the first state that has any.
    """

    def __init__(self, folder: Path, made: Scene, *, seed: int, most_per_moment: int) -> None:
        self.states = 0
        self.found: list[str] = []
        self._folder = folder
        self._scene = made
        self._rng = random.Random(f"power-{seed}")
        self._most = most_per_moment
        self._seen: set[object] = set()
        self._numbers = 0

    def cut_a_commit(self) -> PowerLoss:
        """Cut the power at each moment of a commit."""
        disk, _ = self._recorded(killed_at=None)
        self._cut(disk, range(1, len(disk.log) + 1))
        return self

    def cut_after_kills(self, *, every: int, moments: int) -> PowerLoss:
        """Kill a commit at every n-th point; cut the power during the start after it, and at its end."""
        points = self._recorded(killed_at=None)[0].points
        for killed_at in range(self._rng.randrange(every), points, every):
            disk, first = self._recorded(killed_at=killed_at)
            within = range(max(1, first), len(disk.log))
            self._cut(disk, [*self._rng.sample(within, min(moments, len(within))), len(disk.log)])
        return self

    def _recorded(self, *, killed_at: int | None) -> tuple[Disk, int]:
        """The log of a commit; where that was killed also of the start after it, and where that begins."""
        root = self._next_folder()
        prepare(root, self._scene)
        disk = Disk(root, ledger_folder=LEDGER_FOLDER)
        with recorded(disk) as ledgers:
            disk.kill_at(killed_at)
            try:
                committing(self._scene)(root, ledgers)
                return disk, 0
            except Killed:
                first = len(disk.log)
                disk.kill_at(None)
                recovering(root, ledgers)
                return disk, first

    def _cut(self, disk: Disk, moments: Iterable[int]) -> None:
        for end in moments:
            for left in left_after(disk, end, most=self._most, rng=self._rng):
                key = (tuple(sorted(left.files.items())), tuple(left.folders), left.ledger.says)
                if self.found:
                    return
                if key not in self._seen:
                    self._seen.add(key)
                    self._judge(left)

    def _judge(self, left: Left) -> None:
        root = self._next_folder()
        left.put_into(root, LEDGER_FOLDER)
        if self._rng.random() < _CUT_TWICE:
            root = self._cut_again(root)
        self.states += 1
        self.found += faults(root, self._scene)
        shutil.rmtree(root)

    def _cut_again(self, root: Path) -> Path:
        """The power fails once more, while the start after the first cut recovers."""
        disk = Disk(root, ledger_folder=LEDGER_FOLDER)
        with recorded(disk) as ledgers, suppress(RebalanceError):  # who is stuck now is so again, and judged
            recovering(root, ledgers)
        end = self._rng.randint(1, len(disk.log))
        left = self._rng.choice(list(left_after(disk, end, most=8, rng=self._rng)))
        shutil.rmtree(root)
        again = self._next_folder()
        left.put_into(again, LEDGER_FOLDER)
        return again

    def _next_folder(self) -> Path:
        self._numbers += 1
        return self._folder / str(self._numbers)
