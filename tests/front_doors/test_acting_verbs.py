"""Approve, reject, execute, confirm, halt, resume: as a person types them, and as a pipe must not."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from executing import EXAMPLE_1, config_text, example_1, planned
from front_doors.terminal import EOF, INTERRUPT, Ran, Terminals, process_environment, real_vault_untouched
from workspaces import AS_OF, changed, write_snapshot

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.execution.faults import FAULTS
from portfolio_rebalance.records import Approval
from portfolio_rebalance.run.approval import page_of
from portfolio_rebalance.workspace import Ledger, exclusive
from portfolio_rebalance.workspace.halt import clear_halt, read_halt

UNREVERTABLE = "2:partial=0.5\n3+:refuse\n"
"""The second order is filled by half, and nothing can be bought back."""


@dataclass(frozen=True)
class Scene:
    """A workspace with a plan, and whoever works at it."""

    root: Path
    plan_id: str
    terminals: Terminals

    @property
    def at(self) -> tuple[str, ...]:
        return ("--workspace", str(self.root), "--as-of", format_instant(AS_OF))

    def run(self, *words: str, **how: Any) -> Ran:
        """A command here, off a terminal unless said otherwise."""
        ran = self.terminals.run(*words, *self.at, **how)
        assert ran.hosts == ()
        assert "Traceback" not in ran.text
        return ran

    def type(self, *words: str, answers: tuple[str, ...] = (), **how: Any) -> Ran:
        """A command at a terminal."""
        return self.run(*words, at="terminal", answers=answers, **how)

    def halt(self, *words: str) -> Ran:
        """Pull the kill switch, which knows no time but now."""
        return self.terminals.run("halt", *words, "--workspace", str(self.root))

    def approve(self) -> None:
        assert self.type("approve", self.plan_id, answers=(self.plan_id[:4],)).exit_code == 0

    @property
    def approval(self) -> Approval | None:
        with Ledger.open(self.root) as ledger:
            return ledger.approvals.approval_of(self.plan_id)

    @property
    def status(self) -> str | None:
        """How the plan's execution stands; None where it was not started."""
        with Ledger.open(self.root) as ledger:
            execution = ledger.journal.get(self.plan_id)
            return None if execution is None else execution.status


class Scenes:
    """Makes scenes: a plan is made once for each kind of workspace, and copied."""

    def __init__(self, folder: Path, terminals: Terminals) -> None:
        self._folder = folder
        self._terminals = terminals
        self._made: dict[object, tuple[Path, str]] = {}

    def __call__(
        self, folder: Path, *config: str, faults: str = "", mode: str | None = None, bot: bool = False
    ) -> Scene:
        key = (config, mode, bot)
        if key not in self._made:
            strategies = changed(EXAMPLE_1, "STR-001", control="bot") if bot else EXAMPLE_1
            place = self._folder / str(len(self._made))
            root = example_1(place, strategies, config=config_text(*config) if config else None)
            plan_id = planned(root, mode=mode).plan_id
            assert plan_id is not None
            self._made[key] = (root, plan_id)
        root, plan_id = self._made[key]
        shutil.copytree(root, folder / ".crypto")
        if faults:
            (folder / ".crypto" / FAULTS).write_text(faults)
        return Scene((folder / ".crypto").resolve(), plan_id, self._terminals)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    with real_vault_untouched(), Terminals() as terminals:
        yield Scenes(tmp_path_factory.mktemp("scenes"), terminals)


# --- approve ---------------------------------------------------------------------------------------------


def test_a_person_reads_the_page_types_four_characters_and_their_word_is_kept(
    scenes: Scenes, tmp_path: Path
) -> None:
    scene = scenes(tmp_path)
    page = page_of(scene.root, scene.plan_id, now=AS_OF)
    ran = scene.type("approve", scene.plan_id[:8], answers=(scene.plan_id[:4],))
    assert ran.exit_code == 0
    assert len(ran.prompts) == 1
    assert f"Plan id {scene.plan_id}" in ran.shown
    assert "nothing has been sent yet" in ran.text
    where = f"--workspace {scene.root} --as-of {format_instant(AS_OF)}"
    assert f"What next: trading-portfolio-rebalance --execute {where}" in ran.text
    assert scene.approval == Approval(
        plan_id=scene.plan_id,
        user="tester",
        at=AS_OF,
        method="typed",
        shown_sha256=page.shown_sha256,
    )
    assert scene.status is None


@pytest.mark.parametrize("answer", ["", EOF, "y", "yes", "approve", "0000", "{id3}", "{id5}", "{ID}"])
def test_anything_but_the_four_characters_is_no_and_nothing_is_kept(
    scenes: Scenes, tmp_path: Path, answer: str
) -> None:
    scene = scenes(tmp_path)
    plan_id = scene.plan_id
    typed = answer.format(id3=plan_id[:3], id5=plan_id[:5], ID=plan_id[:4].upper())
    assert typed != plan_id[:4]
    ran = scene.type("approve", plan_id, "--json", answers=(typed,))
    assert (ran.exit_code, ran.document["error"]["code"]) == (11, "not_approved")
    assert plan_id[:4] in ran.document["error"]["fix"]
    assert scene.approval is None


def test_ctrl_c_at_the_question_is_an_interruption_and_nothing_is_kept(
    scenes: Scenes, tmp_path: Path
) -> None:
    scene = scenes(tmp_path)
    ran = scene.type("approve", scene.plan_id, "--json", answers=(INTERRUPT,))
    assert (ran.exit_code, ran.document["error"]["code"]) == (130, "interrupted")
    assert scene.approval is None


@pytest.mark.parametrize("verb", ["approve", "resume"])
def test_a_pipe_that_knows_the_answer_is_no_person(scenes: Scenes, tmp_path: Path, verb: str) -> None:
    scene = scenes(tmp_path)
    words = ("approve", scene.plan_id) if verb == "approve" else ("resume",)
    ran = scene.run(*words, "--json", piped=f"{scene.plan_id[:4]}\nresume\n")
    assert (ran.exit_code, ran.document["error"]["where"]) == (11, "terminal")
    assert scene.approval is None


def test_a_plan_that_is_not_there_cannot_be_approved(scenes: Scenes, tmp_path: Path) -> None:
    ran = scenes(tmp_path).type("approve", "0" * 12, "--json")
    assert (ran.exit_code, ran.document["error"]["code"]) == (2, "plan_not_found")
    assert ran.prompts == ()


# --- with --json -----------------------------------------------------------------------------------------


def test_every_verb_gives_one_object_and_asks_on_standard_error(scenes: Scenes, tmp_path: Path) -> None:
    scene = scenes(tmp_path)
    plan_id = scene.plan_id
    called = [
        (scene.type("approve", plan_id, "--json", answers=(plan_id[:4],)), 0, "approved"),
        (scene.halt("--json"), 0, "halted"),
        (scene.type("resume", "--json", answers=("resume",)), 0, "resumed"),
        (scene.type("--execute", "--json"), 0, "executed"),
        (scene.run("confirm", plan_id, "--json"), 2, "refused"),
        (scene.run("reject", plan_id, "--json"), 12, "refused"),
        (scene.run("reject", "0" * 9, "--json"), 2, "refused"),
    ]
    for ran, exit_code, status in called:
        assert (ran.exit_code, ran.document["status"]) == (exit_code, status), ran
        assert all(f"{prompt}: " in ran.shown for prompt in ran.prompts)
        assert "to go on" not in ran.out
    assert [len(ran.prompts) for ran, *_ in called] == [1, 0, 1, 0, 0, 0, 0]
    assert scene.run("status", "--json").document["standing"]["halt"] == "none"


# --- reject ----------------------------------------------------------------------------------------------


def test_a_rejected_plan_is_neither_approved_nor_executed(scenes: Scenes, tmp_path: Path) -> None:
    scene = scenes(tmp_path)
    scene.approve()
    ran = scene.run("reject", scene.plan_id[:6], "--reason", "not on a Friday")
    assert (ran.exit_code, ran.shown) == (0, "")
    with Ledger.open(scene.root) as ledger:
        assert ledger.rows("SELECT plan_id, user, reason FROM rejections") == [
            (scene.plan_id, "tester", "not on a Friday")
        ]
    for words in (("approve", scene.plan_id), ("--execute",)):
        ran = scene.type(*words, "--json", answers=(scene.plan_id[:4],))
        assert (ran.exit_code, ran.document["error"]["code"]) == (12, "plan_consumed")
        assert "was rejected" in ran.document["error"]["what"]
        assert ran.prompts == ()
    assert scene.status is None


def test_what_was_executed_cannot_be_rejected_or_approved_again(scenes: Scenes, tmp_path: Path) -> None:
    scene = scenes(tmp_path)
    scene.approve()
    assert scene.run("--execute").exit_code == 0
    for words in (("reject", scene.plan_id), ("approve", scene.plan_id)):
        ran = scene.type(*words, "--json", answers=(scene.plan_id[:4],))
        assert (ran.exit_code, ran.document["error"]["code"]) == (12, "plan_consumed")
    assert scene.status == "committed"


# --- execute ---------------------------------------------------------------------------------------------


def test_off_a_terminal_a_plan_that_nobody_approved_waits(scenes: Scenes, tmp_path: Path) -> None:
    scene = scenes(tmp_path)
    ran = scene.run("--execute", "--json", piped=f"{scene.plan_id[:4]}\n")
    assert (ran.exit_code, ran.document["error"]["code"]) == (11, "not_approved")
    assert ran.document["plan_id"] == scene.plan_id
    assert scene.status is None


def test_at_a_terminal_it_plans_shows_asks_and_executes(scenes: Scenes, tmp_path: Path) -> None:
    scene = scenes(tmp_path)
    declined = scene.type("--execute", "--json", answers=("no",))
    assert (declined.exit_code, declined.document["status"]) == (11, "refused")
    assert (scene.approval, scene.status) == (None, None)
    ran = scene.type("--execute", "--json", answers=(scene.plan_id[:4],))
    assert (ran.exit_code, ran.document["execution"]["status"]) == (0, "committed")
    assert f"Plan id {scene.plan_id}" in ran.shown
    assert scene.status == "committed"


def test_without_approval_required_execute_at_a_terminal_is_the_approval(
    scenes: Scenes, tmp_path: Path
) -> None:
    scene = scenes(tmp_path, "execution: {approval_required: false}")
    assert scene.run("--execute").exit_code == 11
    ran = scene.type("--execute")
    assert (ran.exit_code, ran.prompts) == (0, ())
    assert f"Plan id {scene.plan_id}" in ran.shown
    assert scene.approval is not None
    assert (scene.approval.method, scene.approval.user) == ("execute", "tester")


def test_auto_execute_asks_at_a_terminal_and_waits_off_one(scenes: Scenes, tmp_path: Path) -> None:
    scene = scenes(tmp_path, "execution: {mode: auto_execute}")
    waits = scene.run("--json")
    assert (waits.exit_code, waits.document["status"], scene.status) == (0, "planned", None)
    assert scene.type(answers=("no",)).exit_code == 11
    assert scene.type("--dry-run").prompts == ()
    assert scene.type(answers=(scene.plan_id[:4],)).exit_code == 0
    assert scene.status == "committed"


def test_pre_approval_executes_a_bare_run_and_a_dry_run_stays_dry(scenes: Scenes, tmp_path: Path) -> None:
    scene = scenes(tmp_path, "execution: {mode: auto_execute, approval_required: false}")
    assert (scene.run("--dry-run").exit_code, scene.status) == (0, None)
    ran = scene.run("--json")
    assert (ran.exit_code, ran.document["status"]) == (0, "executed")
    assert scene.approval is not None
    assert (scene.approval.method, scene.approval.user) == ("pre_approved", "configuration")


def test_a_batch_that_is_taken_back_exits_16_and_says_why(scenes: Scenes, tmp_path: Path) -> None:
    scene = scenes(tmp_path, faults="2:refuse")
    registry = (scene.root / "knowledge/registry.yaml").read_bytes()
    scene.approve()
    ran = scene.run("--execute", "--json")
    assert (ran.exit_code, ran.document["status"]) == (16, "reverted")
    assert "refused SELL" in ran.document["execution"]["reason"]
    assert scene.status == "reverted"
    assert (scene.root / "knowledge/registry.yaml").read_bytes() == registry
    assert scene.run("status", "--json").document["standing"]["unfinished"] == ""


def test_ctrl_c_within_a_batch_exits_130_and_the_next_start_finishes_it(
    scenes: Scenes, tmp_path: Path
) -> None:
    scene = scenes(tmp_path, faults="1+:slow_fill=3")
    scene.approve()
    process = subprocess.Popen(
        [sys.executable, "-m", "portfolio_rebalance.cli", "--execute", "--json", *scene.at],
        env=process_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while _orders_at_the_venue(scene.root) < 1:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    ran = Ran(exit_code=process.returncode, out=out, shown=err, prompts=(), hosts=())
    assert (ran.exit_code, ran.document["error"]["code"], ran.shown) == (130, "interrupted", "")
    assert scene.status == "running"
    assert scene.run("--dry-run").exit_code == 0
    assert scene.status == "committed"


def _orders_at_the_venue(root: Path) -> int:
    """Those that arrived: one that is only marked as sent may be found absent, and is taken back then."""
    path = root / "portfolio-rebalance/paper.db"
    if not path.exists():
        return 0
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM orders").fetchone()[0])
    except sqlite3.OperationalError:  # it is just being founded
        return 0
    finally:
        connection.close()


# --- halt and resume -------------------------------------------------------------------------------------


def test_halt_stops_execution_until_a_person_resumes(scenes: Scenes, tmp_path: Path) -> None:
    scene = scenes(tmp_path)
    scene.approve()
    with exclusive(scene.root):  # whoever works here, halting never waits
        ran = scene.halt("--reason", "exchange on fire")
    assert (ran.exit_code, ran.shown) == (0, "")
    assert "HALT stands: everything is stopped." in ran.out
    told = scene.run("status")
    assert told.out.startswith("HALT stands: nothing is sent.\n  reason: exchange on fire\n")
    for how in ("terminal", "pipe"):
        ran = scene.run("--execute", "--json", at=how)
        assert (ran.exit_code, ran.document["error"]["code"]) == (15, "halted")
        assert ran.document["error"]["what"] == "HALT stands: exchange on fire"
        assert "resume" in ran.document["error"]["fix"]
    assert scene.status is None
    assert scene.type("resume", answers=("no",)).exit_code == 11
    assert scene.type("resume", answers=(EOF,)).exit_code == 11
    assert read_halt(scene.root).level == "all"
    ran = scene.type("resume", answers=("resume",))
    assert (ran.exit_code, ran.prompts) == (0, ("anything else to stop",))
    assert "HALT stands: exchange on fire" in ran.shown
    assert read_halt(scene.root).level == "none"
    assert scene.run("--execute").exit_code == 0
    assert scene.status == "committed"


def test_a_halt_that_stops_more_is_not_weakened(scenes: Scenes, tmp_path: Path) -> None:
    scene = scenes(tmp_path)
    assert scene.halt("--json").document["level"] == "all"
    assert scene.halt("--reduce-only", "--json").document["level"] == "all"
    assert scene.run("status", "--json").document["standing"]["halt"] == "all"


def test_reduce_only_lets_reductions_go_and_stops_before_the_first_increase(
    scenes: Scenes, tmp_path: Path
) -> None:
    scene = scenes(tmp_path, mode="risk_adjusted")
    scene.approve()
    assert scene.halt("--reduce-only", "--json").document["level"] == "reduce_only"
    assert "HALT stands: only reductions are sent." in scene.run("status").out
    assert (scene.run("--execute").exit_code, scene.status) == (15, "running")
    with Ledger.open(scene.root) as ledger:
        orders = [one for one in ledger.journal.steps(scene.plan_id) if one.step.is_order]
    assert [(one.step.side, one.state) for one in orders] == [
        ("SELL", "done"),
        ("SELL", "done"),
        ("BUY", "planned"),
    ]
    assert scene.run("--dry-run").exit_code == 15
    assert f"NOT OVER: plan {scene.plan_id[:12]}" in scene.run("status").out
    ran = scene.type("resume", "--json", answers=("resume",))
    assert (ran.exit_code, ran.document["status"]) == (0, "executed")
    assert "orders will be sent" in ran.shown
    assert scene.status == "committed"


def test_what_cannot_be_taken_back_waits_for_a_person_who_closes_it(scenes: Scenes, tmp_path: Path) -> None:
    scene = scenes(tmp_path, faults=UNREVERTABLE)
    scene.approve()
    ran = scene.run("--execute", "--json")
    assert (ran.exit_code, ran.document["status"]) == (15, "needs_operator")
    assert (scene.root / "portfolio-rebalance/HALT").is_file()
    told = scene.run("status")
    assert f"NEEDS YOU: plan {scene.plan_id[:12]} could be neither finished nor taken back." in told.out
    standing = scene.run("status", "--json").document["standing"]
    assert (standing["halt"], standing["unfinished_status"]) == ("all", "needs_operator")
    assert standing["unfinished"] == scene.plan_id
    for words in (("--dry-run",), ("--execute",), ()):
        ran = scene.run(*words, "--json")
        assert (ran.exit_code, ran.document["error"]["code"]) == (15, "needs_operator")
        assert "resume" in ran.document["error"]["fix"]
    assert scene.type("resume", answers=("yes",)).exit_code == 11
    assert scene.status == "needs_operator"
    ran = scene.type("resume", answers=("resume",))
    assert ran.exit_code == 0
    assert "Have you looked at the venue?" in ran.shown
    assert (scene.status, read_halt(scene.root).level) == ("closed", "none")
    assert scene.run("--dry-run", "--json").document["status"] == "planned"


def test_a_start_that_finds_no_way_back_says_so_and_plans_nothing(scenes: Scenes, tmp_path: Path) -> None:
    scene = scenes(tmp_path, mode="risk_adjusted")
    scene.approve()
    scene.halt("--reduce-only")
    assert (scene.run("--execute").exit_code, scene.status) == (15, "running")
    clear_halt(scene.root)
    (scene.root / FAULTS).write_text("1+:refuse")
    ran = scene.run("--dry-run", "--json")
    assert (ran.exit_code, ran.document["error"]["code"]) == (15, "needs_operator")
    assert "could be neither finished nor taken back" in ran.document["error"]["what"]
    assert "plan" not in ran.document or ran.document["plan"] is None
    assert (scene.status, read_halt(scene.root).level) == ("needs_operator", "all")


# --- confirm ---------------------------------------------------------------------------------------------


def test_confirm_looks_at_the_next_snapshot_of_a_bot(scenes: Scenes, tmp_path: Path) -> None:
    scene = scenes(tmp_path, bot=True)
    scene.approve()
    assert scene.run("--execute").exit_code == 0
    ran = scene.run("confirm", scene.plan_id[:8], "--json")
    assert (ran.exit_code, ran.document["confirmed"], len(ran.document["open"])) == (0, [], 1)
    assert "STR-001" in scene.run("status").out.partition("Assessment")[0]
    later = AS_OF + timedelta(minutes=10)
    told = changed(EXAMPLE_1, "STR-001", capital=9_600, positions=())["STR-001"]
    write_snapshot(scene.root, "STR-001", told, as_of=later)
    at = ("--workspace", str(scene.root), "--as-of", format_instant(later))
    ran = scene.terminals.run("confirm", scene.plan_id[:8], "--json", *at)
    assert (ran.exit_code, ran.document["confirmed"], ran.document["open"]) == (0, ["STR-001"], [])
    assert "STR-001" not in scene.terminals.run("status", *at).out.partition("Assessment")[0]
