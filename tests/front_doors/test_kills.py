"""`kill -9` of the command line within a batch, within its recovery, and again: nothing twice, nothing lost.

The batch has nine orders, each of which takes half a second to be filled, so that it can be killed anywhere
in it. It is killed when the journal has come to a point that the seed chooses, or a moment later; then it is
started again.
"""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from executing import approved, execute, leg
from front_doors.terminal import process_environment
from workspaces import AS_OF, Strategy, make_workspace

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.execution.book import book_after
from portfolio_rebalance.execution.faults import FAULTS
from portfolio_rebalance.execution.paper import PAPER, PaperVenue
from portfolio_rebalance.workspace import Ledger, layout
from portfolio_rebalance.workspace.halt import read_halt

STRATEGIES: Mapping[str, Strategy] = {
    "STR-001": Strategy(
        capital=14_000,
        target_percent=20,
        account="desk",
        positions=[leg("BTC", "0.2", "50000"), leg("SOL", "30", "100")],
    ),
    "STR-002": Strategy(
        capital=10_000,
        target_percent=12,
        account="desk",
        positions=[leg("BTC", "0.07", "50000"), leg("ETH", "2", "3000")],
    ),
    "STR-003": Strategy(
        capital=9_000, target_percent=10, positions=[leg("ADA", "3000", "0.4"), leg("ETH", "2.5", "3000")]
    ),
    "STR-004": Strategy(
        capital=4_000,
        target_percent=8,
        account="desk",
        positions=[leg("ADA", "4500", "0.4"), leg("SOL", "20", "100")],
    ),
    "STR-005": Strategy(
        capital=3_000, target_percent=6, positions=[leg("BTC", "0.02", "50000"), leg("DOT", "300", "6")]
    ),
}
"""In mode risk_adjusted: four sales, transfers between three that share an account, five buys."""

LOST_ANSWERS = "2:timeout_after, 4:disconnect=2, 6:late=2, 8:duplicate_report"
SCENARIOS: Sequence[tuple[str, timedelta]] = (
    ("1+:slow_fill=2", timedelta(0)),
    (f"1+:slow_fill=2, {LOST_ANSWERS}", timedelta(0)),
    ("1+:slow_fill=2", timedelta(hours=25)),
)
"""A fault script, and how much later all starts but the first are: a plan that has expired is taken back."""

_MOST_SECONDS = 60
_ENDS_WITH: Mapping[str, tuple[int, ...]] = {
    "committed": (0, 11),
    "reverted": (0, 11, 16),
    "needs_operator": (15,),
}
"""How the last start may end: it tells what an earlier one left, or starts anew where nobody is asked."""


@dataclass(frozen=True, kw_only=True)
class Template:
    """A workspace with an approved plan.

    Attributes:
        later: How much later all starts but the first are.
        undisturbed: The files that come of the plan when nothing is killed.
    """

    root: Path
    plan_id: str
    later: timedelta
    undisturbed: Mapping[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Killed:
    """What came of one batch.

    Attributes:
        kills: How many times it was killed while it was not over.
        recoveries: So many of these while a later start was finishing it.
        faults: What is wrong in the end; empty where nothing is.
    """

    kills: int
    recoveries: int
    ending: str
    faults: tuple[str, ...]


def templates_in(folder: Path) -> list[Template]:
    """One for each scenario."""
    made = []
    for number, (script, later) in enumerate(SCENARIOS):
        root = make_workspace(folder / str(number), STRATEGIES)
        plan_id = approved(root, mode="risk_adjusted")
        (root / FAULTS).write_text(script)
        twin = folder / f"{number}-undisturbed/.crypto"
        shutil.copytree(root, twin)
        assert execute(twin, plan_id).status == "committed"
        made.append(Template(root=root, plan_id=plan_id, later=later, undisturbed=_files(twin)))
    return made


def killed(template: Template, folder: Path, *, seed: int, most_kills: int) -> Killed:
    """Execute it, kill it up to so many times, and then let it come to its end."""
    rng = random.Random(seed)
    root = folder / ".crypto"
    shutil.copytree(template.root, root)
    kills, later = 0, AS_OF + template.later
    for number in range(most_kills):
        words = "--execute" if number == 0 else rng.choice(("--execute", "--dry-run"))
        kills += _killed_once(root, words, at=later if number else AS_OF, rng=rng)
    faults = []
    ended = _started(root, rng.choice(("--execute", "--dry-run")), at=later)
    out, err = ended.communicate(timeout=_MOST_SECONDS)
    status, found = _judged(template, root)
    if ended.returncode not in _ENDS_WITH[status] or "Traceback" in out + err:
        faults.append(f"the last start ended with {ended.returncode}: {err}")
    shutil.rmtree(folder)
    return Killed(kills=kills, recoveries=max(0, kills - 1), ending=status, faults=(*faults, *found))


def _started(root: Path, words: str, *, at: datetime) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "portfolio_rebalance.cli", words),
            *("--workspace", str(root), "--as-of", format_instant(at)),
        ],
        env=process_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _killed_once(root: Path, words: str, *, at: datetime, rng: random.Random) -> bool:
    """Start it, and kill it after so many changes and a moment; says whether that was before its end."""
    changes = _changes(root) + rng.randint(1, 12)
    moment_seconds = rng.choice((0.0, rng.uniform(0, 0.4)))
    process = _started(root, words, at=at)
    deadline = time.monotonic() + _MOST_SECONDS
    while process.poll() is None and _changes(root) < changes:
        assert time.monotonic() < deadline, "the batch does not come to its end"
        time.sleep(0.001)
    if process.poll() is None:
        time.sleep(moment_seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=_MOST_SECONDS)
    return process.returncode == -signal.SIGKILL and not _is_over(root)


@contextmanager
def _looking(root: Path) -> Iterator[sqlite3.Connection]:
    """The ledger as a bystander sees it: one that writes nothing, not even when it leaves."""
    path = root / "portfolio-rebalance/ledger.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        yield connection


def _changes(root: Path) -> int:
    """How far an execution has come: each step counts when it is sent and when it is over."""
    with _looking(root) as ledger:
        ((steps,), (over,), (written,)) = (
            ledger.execute(query).fetchone()
            for query in (
                "SELECT coalesce(sum(CASE state WHEN 'planned' THEN 0 WHEN 'sent' THEN 1 WHEN 'unknown'"
                " THEN 1 ELSE 2 END), 0) FROM steps",
                "SELECT count(*) FROM executions WHERE status NOT IN ('running', 'reverting')",
                "SELECT count(*) FROM outbox WHERE applied = 1 AND plan_id IS NOT NULL",
            )
        )
    return int(steps) + int(over) + int(written)


def _is_over(root: Path) -> bool:
    with _looking(root) as ledger:
        (left,) = ledger.execute(
            "SELECT (SELECT count(*) FROM executions WHERE status IN ('running', 'reverting'))"
            " + (SELECT count(*) FROM outbox WHERE applied = 0)"
        ).fetchone()
    return int(left) == 0


def _judged(template: Template, root: Path) -> tuple[str, list[str]]:
    """How it ended, and whatever is wrong with that."""
    with Ledger.open(root) as ledger:
        execution = ledger.journal.get(template.plan_id)
        steps = ledger.journal.steps(template.plan_id)
        assert execution is not None
        pending = ledger.outbox.pending()
    with PaperVenue.open(
        root / PAPER,
        now=lambda: AS_OF,
        slippage_bps=Decimal(25),
        commission_bps=Decimal(5),
        seed="paper",
    ) as venue:
        times, fills, holdings = venue.times_executed(), venue.fills(), venue.balances()
    faults = [f"{client_id} was executed {count} times" for client_id, count in times.items() if count > 1]
    at_venue: dict[str, Decimal] = {}
    for fill in fills:
        at_venue[fill.client_id] = at_venue.get(fill.client_id, Decimal(0)) + fill.quantity
    in_journal = {one.step.client_id: one.fill.filled for one in steps if one.fill is not None}
    if at_venue != in_journal:
        faults.append(f"the venue filled {at_venue}, the journal has {in_journal}")
    faults += book_after(execution.started, steps).differs_from(holdings, within={})
    faults += [f"step {one.step.index} is {one.state}" for one in steps if one.state in ("sent", "unknown")]
    faults += [f"{file.path} was not written" for file in pending]
    if execution.status == "needs_operator":
        # Killed between the intent and the venue, on the way back: there is no further way back.
        if "it never reached the venue; while reverting" not in execution.reason:
            faults.append(f"it needs an operator: {execution.reason}")
        if read_halt(root).level != "all":
            faults.append("it needs an operator, and nothing is halted")
    elif any(one.state == "planned" for one in steps):
        faults.append("it ended with steps that are still planned")
    return execution.status, [*faults, *_faulty_files(template, root, status=execution.status)]


def _faulty_files(template: Template, root: Path, *, status: str) -> list[str]:
    """What is wrong with the files of an ending: all of them are there, and no others."""
    files, before = _files(root), _files(template.root)
    if status == "committed" and not template.later:
        names = sorted({*files, *template.undisturbed})
        changed = [name for name in names if files.get(name) != template.undisturbed.get(name)]
        return [f"{name} is not as it is where nothing is killed" for name in changed]
    new = sorted({*files} - {*before, layout.HALT})
    records = [name for name in new if name.startswith("portfolio-rebalance/execution-")]
    faults = [f"{name} was left over" for name in new if name.endswith(".tmp")]
    if len(records) != (0 if status == "needs_operator" else 2):
        faults.append(f"it ended {status}, and the records are {records}")
    if any(status.encode() not in files[name].lower().replace(b"success", b"committed") for name in records):
        faults.append(f"the records do not say {status}")
    targets_changed = files[layout.REGISTRY] != before[layout.REGISTRY]
    if targets_changed != (status == "committed"):
        faults.append(
            f"it ended {status}, and the targets {'were' if targets_changed else 'were not'} changed"
        )
    return faults


def _files(root: Path) -> dict[str, bytes]:
    """What people read, apart from the assessments of runs that planned again."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and "assessment-" not in path.name and ".db" not in path.name
    }


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> list[Template]:
    return templates_in(tmp_path_factory.mktemp("templates"))


@pytest.mark.parametrize(("number", "ending"), [(0, "committed"), (2, "reverted")])
def test_a_batch_that_is_killed_comes_to_its_end_and_nothing_happens_twice(
    templates: list[Template], tmp_path: Path, number: int, ending: str
) -> None:
    told = killed(templates[number], tmp_path / "one", seed=number, most_kills=2)
    assert told.faults == ()
    assert told.kills >= 1
    assert told.ending in (ending, "reverted", "needs_operator")
