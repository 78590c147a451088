"""The proofs bite: without any one sync, comparison or order a check of the outbox finds what it should.

Each test runs the checks on a copy of the package that lacks one of them. Syncs are found in the source, so
that none that is added later goes unproven.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from workspace.executions import with_tests_on_path

import portfolio_rebalance

PACKAGE = Path(portfolio_rebalance.__file__).parent
OUTPUTS, OUTBOX = "workspace/outputs.py", "workspace/outbox.py"

SYNCS = [
    (module, number)
    for module in (OUTPUTS, OUTBOX)
    for number, line in enumerate((PACKAGE / module).read_text().splitlines(), start=1)
    if "os.fsync(" in line
]

COMPARISONS = {
    "the bytes in the ledger are those that were committed": (
        "or sha256(content).hexdigest() != new_sha256",
        "or new_sha256 is None",
    ),
    "a file that is new already is known as such": (
        "if digest == file.new_sha256:",
        "if digest is file:",
    ),
    "a file that is new already is not taken for granted": (
        "if digest == file.new_sha256:",
        "if digest:",
    ),
    "only a file that is still the old one is replaced": (
        'return "old" if digest == file.old_sha256 else "edited"',
        'return "old"',
    ),
    "a file that is still the old one may be replaced": (
        'return "old" if digest == file.old_sha256 else "edited"',
        'return "edited"',
    ),
    "a file is marked when it is written and not before": (
        """            if _apply(root, file):
                written.append(file.path)
            ledger.outbox.mark_applied(file.number)
""",
        """            ledger.outbox.mark_applied(file.number)
            if _apply(root, file):
                written.append(file.path)
""",
    ),
    "all files are looked at before the first is written": (
        'if standing == "edited"]\n        if conflicts',
        "if standing is file]\n        if conflicts",
    ),
}

EVERYDAY = {
    "the bytes in the ledger are those that were committed",
    "only a file that is still the old one is replaced",
    "a file that is new already is known as such",
}
"""Run with the suite; the others, and every sync, with the proofs."""


def faults_of(folder: Path, module: str, changed: str) -> dict[str, str]:
    """What the checks find in a copy of the package that has another text for a module."""
    copy = folder / "portfolio_rebalance"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / module).write_text(changed)
    environment = with_tests_on_path()
    environment["PYTHONPATH"] = f"{folder}:{environment['PYTHONPATH']}"
    done = subprocess.run(
        [sys.executable, "-c", "from workspace.outbox_checks import main; main()", str(copy)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_nothing_is_found_in_the_package_itself(tmp_path: Path) -> None:
    assert faults_of(tmp_path, OUTBOX, (PACKAGE / OUTBOX).read_text()) == {}


def test_there_are_as_many_syncs_and_comparisons_as_are_proven() -> None:
    assert len(SYNCS) == 7
    source = (PACKAGE / OUTBOX).read_text()
    assert len(re.findall(r"sha256\b.*[!=]= |[!=]= \S*sha256\b", source)) == 3  # each of them is above
    assert set(COMPARISONS) >= EVERYDAY


@pytest.mark.proof
@pytest.mark.parametrize(("module", "number"), SYNCS)
def test_without_one_sync_something_is_lost(tmp_path: Path, module: str, number: int) -> None:
    lines = (PACKAGE / module).read_text().splitlines(keepends=True)
    removed = re.sub(r"os\.fsync\(\w+\)", "None", lines[number - 1])
    assert removed != lines[number - 1]
    lines[number - 1] = removed
    found = faults_of(tmp_path, module, "".join(lines))
    assert found.keys() & {"power_cuts", "returned_writes", "bytes_of_others"}


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(what, marks=() if what in EVERYDAY else pytest.mark.proof, id=what.replace(" ", "-"))
        for what in COMPARISONS
    ],
)
def test_without_one_comparison_something_is_wrong(tmp_path: Path, what: str) -> None:
    text, instead = COMPARISONS[what]
    source = (PACKAGE / OUTBOX).read_text()
    assert source.count(text) == 1
    assert faults_of(tmp_path, OUTBOX, source.replace(text, instead)) != {}
