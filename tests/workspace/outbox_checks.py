"""What must hold of the outbox and of the writers below it, as a program: prints the faults it finds.

Run on the package it finds no fault; run on a copy that lacks one sync or one comparison it must find one.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from portfolio_rebalance.errors import EditedMeanwhileError, LedgerError, RebalanceError
from portfolio_rebalance.workspace import Ledger, apply_outbox, outputs
from workspace.outbox_scene import (
    LEDGER_FOLDER,
    PowerLoss,
    Scene,
    faults,
    finish,
    prepare,
    quick_folder,
    recorded,
    recovering,
)
from workspace.power_loss import Disk, left_after

SCENE = Scene(
    old={"knowledge/registry.yaml": (b"old registry", 0o640), "BOOTSTRAP.md": (b"old state", 0o644)},
    new={"knowledge/registry.yaml": b"new registry", "BOOTSTRAP.md": b"new state", "a/b.yaml": b"a record"},
)


def main() -> None:
    """``PACKAGE``: the folder that the package must come from; prints the first fault of each check."""
    assert Path(outputs.__file__).is_relative_to(sys.argv[1]), outputs.__file__
    found: dict[str, str] = {}
    with quick_folder(Path(sys.argv[1]) / "scratch") as folder:
        for check in CHECKS:
            (folder / check.__name__).mkdir(parents=True)
            try:
                fault = next(check(folder / check.__name__), None)
            except RebalanceError as error:
                fault = f"stuck: {error}"
            if fault is not None:
                found[check.__name__] = fault
    print(json.dumps(found))


def power_cuts(folder: Path) -> Iterator[str]:
    """A commit that survives neither whole nor not at all."""
    cuts = PowerLoss(folder, SCENE, seed=1, most_per_moment=24)
    yield from cuts.cut_a_commit().cut_after_kills(every=1, moments=0).found


def bytes_of_others(folder: Path) -> Iterator[str]:
    """A file that somebody wrote as it should be, without a sync, and that is taken for done."""
    root = _stopped_before_its_files(folder)
    disk = Disk(root, ledger_folder=LEDGER_FOLDER)
    with recorded(disk) as ledgers:
        above = disk.open(root, os.O_RDONLY | os.O_DIRECTORY)
        disk.unlink("BOOTSTRAP.md", dir_fd=above)
        theirs = disk.open("BOOTSTRAP.md", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=above)
        disk.write(theirs, SCENE.new["BOOTSTRAP.md"])
        disk.close(theirs)
        disk.close(above)
        recovering(root, ledgers)
    for number, left in enumerate(left_after(disk, len(disk.log), most=64, rng=random.Random(1))):
        left.put_into(folder / str(number), LEDGER_FOLDER)
        yield from faults(folder / str(number), SCENE)


def returned_writes(folder: Path) -> Iterator[str]:
    """What a writer returned from, and a power cut then takes back."""
    writers: dict[str, Callable[[Path], object]] = {
        "write_atomic": lambda root: outputs.write_atomic(root, "a/b/c", b"content"),
        "write_new": lambda root: outputs.write_new(root, "a/b/c", b"content"),
        "make_folder": lambda root: outputs.make_folder(root, "a/b"),
    }
    for name, write in writers.items():
        root = folder / name
        (root / LEDGER_FOLDER).mkdir(parents=True)
        disk = Disk(root, ledger_folder=LEDGER_FOLDER)
        with recorded(disk):
            write(root)
        for left in left_after(disk, len(disk.log), most=64, rng=random.Random(1)):
            kept = left.folders if name == "make_folder" else left.files.get("a/b/c", (b"", 0))[0]
            if kept not in (b"content", [LEDGER_FOLDER, "a", "a/b"]):
                yield f"{name} returned, and its work was lost: {left.folders} {left.files}"


def damaged_rows(folder: Path) -> Iterator[str]:
    """Bytes in the ledger that are not those that were committed, and are written all the same."""
    root = _stopped_before_its_files(folder)
    with sqlite3.connect(root / LEDGER_FOLDER / "ledger.db") as connection:
        connection.execute("UPDATE outbox SET content = x'00' WHERE path = 'a/b.yaml'")
    yield from _expect(LedgerError, root)


def edited_files(folder: Path) -> Iterator[str]:
    """A person's edit that is overwritten, or that leaves half of the change behind."""
    for path in (*SCENE.old, "a/b.yaml"):
        (folder / path.replace("/", "-")).mkdir()
        root = _stopped_before_its_files(folder / path.replace("/", "-"))
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(b"my own words")
        yield from _expect(EditedMeanwhileError, root)


def _stopped_before_its_files(folder: Path) -> Path:
    """A workspace whose commit is in the ledger and in no file."""
    root = folder / "root"
    prepare(root, SCENE)
    with Ledger.open(root) as ledger:
        finish(ledger, SCENE)
    return root


def _expect(refusal: type[RebalanceError], root: Path) -> Iterator[str]:
    def files() -> dict[Path, bytes]:
        inside = (path for path in root.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in inside if not path.name.startswith("ledger.db")}

    before = files()
    try:
        with Ledger.open(root) as ledger:
            apply_outbox(root, ledger)
        yield f"not refused: {refusal.__name__}"
    except RebalanceError as error:
        if type(error) is not refusal:
            yield f"refused as {error!r}"
    changed = sorted(str(path) for path in chain(before, files()) if before.get(path) != files().get(path))
    if changed:
        yield f"written in spite of {refusal.__name__}: {changed}"


CHECKS = (returned_writes, bytes_of_others, damaged_rows, edited_files, power_cuts)

if __name__ == "__main__":
    main()
