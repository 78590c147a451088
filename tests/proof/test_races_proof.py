"""Two processes at one workspace: never two executions, and whoever loses is told so in words.

Both start from a warm process within a few milliseconds of each other, so that they meet anywhere; a few meet
as processes of their own.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from executing import approved, planned
from front_doors.terminal import Command, Ran, Terminals, process_environment, real_vault_untouched
from front_doors.test_kills import STRATEGIES
from workspaces import AS_OF, make_workspace

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.execution.book import book_after
from portfolio_rebalance.execution.broker import Holdings
from portfolio_rebalance.execution.paper import PAPER, PaperVenue
from portfolio_rebalance.workspace import Ledger
from portfolio_rebalance.workspace.halt import read_halt

RIVALS: Mapping[str, tuple[str, ...]] = {
    "execute": ("--execute",),
    "reject": ("reject", "{plan}"),
    "approve another": ("approve", "{other}"),
    "approve the same": ("approve", "{plan}"),
    "dry run": ("--dry-run",),
    "halt": ("halt",),
}
"""Who meets an ``--execute`` of the approved plan."""

_LOST = frozenset({11, 12, 15})


@dataclass(frozen=True, kw_only=True)
class Template:
    """A workspace with an approved plan, and another that nobody has approved."""

    root: Path
    plan_id: str
    other_id: str
    terminals: Terminals


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    root = make_workspace(tmp_path_factory.mktemp("races"), STRATEGIES)
    other = planned(root, mode="proportional").plan_id
    assert other is not None
    plan_id = approved(root, mode="risk_adjusted")
    with real_vault_untouched(), Terminals() as terminals:
        yield Template(root=root, plan_id=plan_id, other_id=other, terminals=terminals)


def raced(template: Template, folder: Path, rival: str, *, seed: int) -> str:
    """Let them meet once; says how it came out.

    Raises:
        AssertionError: Something is wrong with that.
    """
    rng = random.Random(f"{rival} {seed}")
    root = folder / ".crypto"
    shutil.copytree(template.root, root)
    words = [word.format(plan=template.plan_id, other=template.other_id) for word in RIVALS[rival]]
    asked = template.other_id if rival == "approve another" else template.plan_id
    late_ms = rng.choice((0.0, rng.uniform(0, 250)))
    first_late = rng.random() < (0.1 if rival == "halt" else 0.5)
    ran = template.terminals.together(
        Command(words=("--execute", "--json", *_at(root)), after_ms=late_ms if first_late else 0),
        Command(
            words=(*words, "--json", *_at(root, clock=rival != "halt")),
            at="terminal" if rival.startswith("approve") else "pipe",
            answers=(asked[:4],),
            after_ms=0 if first_late else late_ms,
        ),
    )
    _require_told(ran)
    with Ledger.open(root) as ledger:
        started = [str(row[0]) for row in ledger.rows("SELECT status FROM executions")]
        rejected = ledger.approvals.is_rejected(template.plan_id)
    said = [one.document["status"] for one in ran]
    assert started in ([], ["committed"], ["running"]), (ran, started)
    assert said.count("executed") == started.count("committed"), (ran, started)
    if rival == "halt":
        assert (said[1], read_halt(root).level) == ("halted", "all")
        done = template.terminals.run("resume", *_at(root), at="terminal", answers=("resume",))
        assert done.exit_code == 0, done
    elif rival == "reject":
        assert (started, rejected) in ((["committed"], False), ([], True)), (ran, started)
        assert rejected == (said[1] == "rejected"), ran
    elif not started:  # it came while the other held the workspace for a moment, and was told so
        assert rival != "execute", ran
        assert ran[0].document["error"]["code"] == "workspace_busy", ran
        assert template.terminals.run("--execute", *_at(root)).exit_code == 0
    _require_settled(template, root)
    shutil.rmtree(folder)
    return f"{started} {[one.exit_code for one in ran]}"


def _at(root: Path, *, clock: bool = True) -> tuple[str, ...]:
    return ("--workspace", str(root), *(("--as-of", format_instant(AS_OF)) if clock else ()))


def _require_told(ran: Sequence[Ran]) -> None:
    """Each says what it came to; a loser says why, and what to do."""
    for one in ran:
        assert "Traceback" not in one.text, one
        assert one.exit_code in {0, *_LOST}, one
        assert one.document["status"] in {
            "executed",
            "hold",
            "planned",
            "rejected",
            "approved",
            "halted",
            "refused",
        }
        if one.exit_code:
            assert one.document["error"]["what"], one
            assert one.document["error"]["fix"], one


def _require_settled(template: Template, root: Path) -> None:
    """A later start finds nothing to do; books and venue agree; every order was filled once."""
    ran = template.terminals.run("--dry-run", *_at(root))
    assert ran.exit_code == 0, ran
    with Ledger.open(root) as ledger:
        assert ledger.is_settled()
        executions = [str(row[0]) for row in ledger.rows("SELECT plan_id FROM executions")]
        assert len(executions) <= 1
        if not executions:
            assert not (root / PAPER).exists() or not _fills(root)[0]
            return
        execution = ledger.journal.get(executions[0])
        steps = ledger.journal.steps(executions[0])
    assert execution is not None
    assert execution.status == "committed"
    times, holdings = _fills(root)
    assert times == dict.fromkeys((one.step.client_id for one in steps if one.step.is_order), 1)
    assert book_after(execution.started, steps).differs_from(holdings, within={}) == ()


def _fills(root: Path) -> tuple[Mapping[str, int], Holdings]:
    with PaperVenue.open(
        root / PAPER, now=lambda: AS_OF, slippage_bps=Decimal(25), commission_bps=Decimal(5), seed="paper"
    ) as venue:
        return venue.times_executed(), venue.balances()


@pytest.mark.parametrize("rival", RIVALS)
def test_whoever_meets_an_execution_there_is_never_a_second_one(
    template: Template, tmp_path: Path, rival: str
) -> None:
    raced(template, tmp_path / "once", rival, seed=1)


@pytest.mark.proof
@pytest.mark.parametrize("rival", RIVALS)
def test_hundreds_of_meetings_come_to_one_execution_each(
    template: Template, tmp_path: Path, rival: str
) -> None:
    times = 100 if rival == "execute" else 30
    came_out = Counter(raced(template, tmp_path / str(seed), rival, seed=seed) for seed in range(times))
    assert came_out.total() == times
    assert len(came_out) > 1, f"they never met: {came_out}"


@pytest.mark.parametrize("times", [1, pytest.param(4, marks=pytest.mark.proof)])
def test_two_processes_of_their_own_execute_once(template: Template, tmp_path: Path, times: int) -> None:
    for number in range(times):
        root = tmp_path / str(number) / ".crypto"
        shutil.copytree(template.root, root)
        both = [
            subprocess.Popen(
                [sys.executable, "-m", "portfolio_rebalance.cli", "--execute", "--json", *_at(root)],
                env=process_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        ran = []
        for process in both:
            out, err = process.communicate(timeout=120)
            ran.append(Ran(exit_code=process.returncode, out=out, shown=err, prompts=(), hosts=()))
        _require_told(ran)
        assert [one.document["status"] for one in ran].count("executed") == 1
        _require_settled(template, root)
