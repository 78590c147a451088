"""Live money and an agent: it has a terminal, every file of the workspace, and not the passphrase.

The exchange that stands in fills whatever reaches it, so a refusal here is ours and not the exchange's. What
the agent does is tried twice: by itself, guessing; and by the person who comes later, and gives their
passphrase to what they find.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from executing import EXAMPLE_1, config_text, correlated_returns
from front_doors.terminal import EOF, LIVE, TESTNET, Ran, Terminals, exchange, real_vault_untouched
from workspaces import AS_OF, clock_at, make_workspace

from portfolio_rebalance.allocation import mode_names
from portfolio_rebalance.execution.opening import marks_of, opening_books
from portfolio_rebalance.execution.venues import LIVE_ACCOUNT
from portfolio_rebalance.records import Approval, Plan, StartedExecution, Step, canonical_bytes, digest
from portfolio_rebalance.vault import FILE, Seal, set_passphrase, unlock
from portfolio_rebalance.workspace import Ledger, load_state
from portfolio_rebalance.workspace.halt import read_halt, write_halt

PASSPHRASE = "correct horse battery"
AGENTS_OWN = "the agent's own words"
GUESSES = ("", EOF, "wrong passphrase", f"{PASSPHRASE} ", PASSPHRASE.title())
BROKER = "broker: {kind: ccxt, exchange: binance, symbols: {BTC: BTC/USDT, ETH: ETH/USDT, SOL: SOL/USDT}}"
CREDENTIALS = {"PORTFOLIO_REBALANCE_API_KEY": "k" * 20, "PORTFOLIO_REBALANCE_API_SECRET": "s" * 20}
REFUSED = {11, 12, 14, 15}
VAULT = ".config/trading-portfolio-rebalance"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A live workspace with two plans, the person's home, and the exchange.

    Attributes:
        plan_id: Of the plan that everything is about.
        other_id: Of another one, which sells and buys.
    """

    folder: Path
    plan_id: str
    other_id: str
    terminals: Terminals

    @property
    def root(self) -> Path:
        return self.folder / ".crypto"

    def run(self, *words: str, **how: Any) -> Ran:
        """A command here, by whoever."""
        given: dict[str, Any] = {
            "home": str(self.folder / "home"),
            "now": AS_OF.isoformat(),
            "exchange": str(self.folder / "exchange"),
            **how,
        }
        given["env"] = {**CREDENTIALS, **how.get("env", {})}
        ran = self.terminals.run(*words, "--workspace", str(self.root), **given)
        assert "Traceback" not in ran.text
        assert PASSPHRASE not in ran.text
        return ran

    def type(self, *words: str, answers: tuple[str, ...], **how: Any) -> Ran:
        """A command at a terminal that controls it."""
        return self.run(*words, at="terminal", answers=answers, **how)

    def person_approves(self, plan_id: str | None = None) -> None:
        chosen = plan_id or self.plan_id
        assert self.type("approve", chosen, answers=(PASSPHRASE, chosen[:4])).exit_code == 0

    def orders(self, file: str = LIVE) -> list[str]:
        """The client id of every order that moved money, again for each time that it did."""
        with exchange(self.folder / "exchange", now=AS_OF, file=file) as venue:
            return sorted(
                {(fill.client_id, fill.order_number): fill.client_id for fill in venue.fills()}.values()
            )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.root / "portfolio-rebalance/ledger.db")) as connection:
            return connection.execute(query).fetchall()

    def write(self, statement: str, *values: object) -> None:
        """As an agent writes: into the ledger's file, past everything that guards it."""
        with closing(sqlite3.connect(self.root / "portfolio-rebalance/ledger.db")) as connection, connection:
            assert connection.execute(statement, values).rowcount > 0, statement

    def approval(self, plan_id: str | None = None) -> Approval | None:
        with Ledger.open(self.root) as ledger:
            return ledger.approvals.approval_of(plan_id or self.plan_id)

    def plan(self) -> Plan:
        with Ledger.open(self.root) as ledger:
            return Plan.model_validate_json(ledger.approvals.plan(self.plan_id).content)

    @property
    def vault(self) -> bytes:
        return (self.folder / "home" / VAULT / FILE).read_bytes()


class Scenes:
    """Copies of scenes that were made once."""

    def __init__(self, folder: Path, terminals: Terminals) -> None:
        self._folder = folder
        self.fresh = _made(folder / "fresh", terminals)
        self.approved = self._after(self.fresh, "approved")
        self.approved.person_approves()
        self.cut = self._after(self.approved, "cut")
        ran = self.cut.type("--execute", answers=(PASSPHRASE,), cut_at=1)
        assert (ran.exit_code, len(self.cut.orders())) == (130, 1)
        self.done = self._after(self.approved, "done")
        assert self.done.type("--execute", answers=(PASSPHRASE,)).exit_code == 0

    def _after(self, scene: Scene, name: str) -> Scene:
        return copied(scene, self._folder / name)


def copied(scene: Scene, folder: Path) -> Scene:
    shutil.copytree(scene.folder, folder)
    return replace(scene, folder=folder)


def _made(folder: Path, terminals: Terminals) -> Scene:
    strategies = {key: replace(one, control="positions") for key, one in EXAMPLE_1.items()}
    root = make_workspace(
        folder, strategies, returns=correlated_returns(), config=config_text(BROKER), currency="USDT"
    )
    for home, words in (("home", PASSPHRASE), ("agent", AGENTS_OWN)):
        (folder / home / ".config").mkdir(parents=True, mode=0o700)
        set_passphrase(folder / home / VAULT, words, salt=bytes(32))
    portfolio = load_state(root, clock=clock_at(fixed=False), mode_names=mode_names()).portfolio
    books = opening_books(portfolio, account_of=lambda _: LIVE_ACCOUNT)
    marks = marks_of(portfolio, account_of=lambda _: LIVE_ACCOUNT)
    (folder / "exchange").mkdir()
    for file in (LIVE, TESTNET):
        with exchange(folder / "exchange", now=AS_OF, file=file) as venue:
            venue.adopt(books.books, pool_cash=books.pool_cash, marks=marks)
    scene = Scene(folder=folder, plan_id="", other_id="", terminals=terminals)
    other = scene.run("--mode", "risk-adjusted", "--json").document["plan_id"]
    return replace(scene, plan_id=scene.run("--json").document["plan_id"], other_id=other)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    with real_vault_untouched(), Terminals() as terminals:
        yield Scenes(tmp_path_factory.mktemp("live"), terminals)


@pytest.fixture
def scene(scenes: Scenes, tmp_path: Path) -> Scene:
    """Two plans, and nobody has said anything."""
    return copied(scenes.fresh, tmp_path / "scene")


@pytest.fixture
def approved(scenes: Scenes, tmp_path: Path) -> Scene:
    """The person has approved the plan."""
    return copied(scenes.approved, tmp_path / "scene")


@pytest.fixture
def cut(scenes: Scenes, tmp_path: Path) -> Scene:
    """The person executed it, and the process ended after the first of two orders was filled."""
    return copied(scenes.cut, tmp_path / "scene")


@pytest.fixture
def done(scenes: Scenes, tmp_path: Path) -> Scene:
    """The person executed it, and it is over."""
    return copied(scenes.done, tmp_path / "scene")


def agent_tries(scene: Scene) -> None:
    """Every door, with the characters of the id and words that are not the passphrase; all stay shut."""
    before, characters = scene.orders(), scene.plan_id[:4]
    for words, answers in (
        (("--execute",), (AGENTS_OWN, characters)),
        (("approve", scene.plan_id), (AGENTS_OWN, characters)),
        (("resume",), (AGENTS_OWN, "resume")),
    ):
        for how in ({"at": "terminal", "answers": answers}, {"piped": "\n".join(answers)}):
            ran = scene.run(*words, **how)
            assert (ran.exit_code in REFUSED, ran.hosts) == (True, ()), ran
    assert scene.orders() == before


# --- the person ------------------------------------------------------------------------------------------


def test_the_person_with_the_passphrase_approves_and_executes(scene: Scene) -> None:
    scene.person_approves()
    approval = scene.approval()
    assert approval is not None
    assert unlock(scene.folder / "home" / VAULT, PASSPHRASE).verify(approval)
    assert scene.orders() == []
    ran = scene.type("--execute", "--json", answers=(PASSPHRASE,))
    assert (ran.exit_code, ran.document["execution"]["status"]) == (0, "committed")
    assert len(scene.orders()) == 2
    kept = [path for path in scene.folder.rglob("*") if path.is_file()]
    assert not [path for path in kept if PASSPHRASE.encode() in path.read_bytes()]


def test_after_a_crash_only_resume_goes_on_which_says_that_orders_will_be_sent(cut: Scene) -> None:
    for words in (("--dry-run",), ("--execute",), ()):
        ran = cut.type(*words, "--json", answers=(PASSPHRASE,))
        assert (ran.exit_code, ran.document["error"]["code"]) == (15, "needs_operator")
        assert "resume" in ran.document["error"]["fix"]
        assert ran.prompts == ()
    assert len(cut.orders()) == 1
    declined = cut.type("resume", answers=(PASSPHRASE, "no"))
    assert (declined.exit_code, "orders will be sent" in declined.text) == (11, True)
    assert len(cut.orders()) == 1
    ran = cut.type("resume", "--json", answers=(PASSPHRASE, "resume"))
    assert (ran.exit_code, ran.document["execution"]["status"]) == (0, "committed")
    assert len(cut.orders()) == 2
    assert len(set(cut.orders())) == 2


def test_files_that_are_left_to_be_written_ask_for_no_passphrase(done: Scene) -> None:
    done.write("UPDATE outbox SET applied = 0")
    ran = done.type("--dry-run", answers=())
    assert (ran.exit_code, ran.prompts) == (0, ())
    assert done.rows("SELECT count(*) FROM outbox WHERE applied = 0") == [(0,)]


def test_without_the_stand_in_an_approved_plan_goes_to_the_exchange_and_the_counter_sees_it(
    approved: Scene,
) -> None:
    ran = approved.type("--execute", answers=(PASSPHRASE,), exchange=None)
    assert (ran.exit_code, set(ran.hosts)) == (15, {"api.binance.com"})
    unapproved = approved.type("--execute", answers=("wrong passphrase",), exchange=None)
    assert (unapproved.exit_code, unapproved.hosts) == (11, ())


# --- typing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "guess"), [*(("approve", guess) for guess in GUESSES), ("execute", ""), ("execute", GUESSES[2])]
)
def test_the_right_characters_without_the_passphrase_are_no_approval(
    scene: Scene, verb: str, guess: str
) -> None:
    words = ("approve", scene.plan_id) if verb == "approve" else ("--execute",)
    ran = scene.type(*words, "--json", answers=(guess, scene.plan_id[:4]))
    assert (ran.exit_code, ran.document["error"]["code"]) == (11, "not_approved")
    assert ran.prompts == ("Passphrase for live money",)
    assert (scene.approval(), scene.orders(), ran.hosts) == (None, [], ())


@pytest.mark.parametrize("at", ["pipe", "elsewhere"])
@pytest.mark.parametrize("verb", ["approve", "execute", "resume"])
def test_even_the_right_passphrase_counts_only_at_the_terminal_that_controls_the_process(
    approved: Scene, verb: str, at: str
) -> None:
    words = {"approve": ("approve", approved.other_id), "execute": ("--execute",), "resume": ("resume",)}
    typed = (PASSPHRASE, approved.other_id[:4], "resume")
    ran = approved.run(
        *words[verb], "--json", at=at, answers=typed, piped="".join(f"{line}\n" for line in typed)
    )
    assert (ran.exit_code, ran.document["error"]["code"]) == (11, "not_approved")
    assert (approved.approval(approved.other_id), approved.orders()) == (None, [])


def test_no_variable_and_no_argument_gives_a_passphrase(approved: Scene) -> None:
    names = ("PASSPHRASE", "PORTFOLIO_REBALANCE_PASSPHRASE", "TRADING_PORTFOLIO_REBALANCE_PASSPHRASE")
    env = dict.fromkeys((*names, "SSH_ASKPASS", "SUDO_ASKPASS"), PASSPHRASE)
    assert approved.run("--execute", env=env).exit_code == 11
    assert approved.type("--execute", answers=("",), env=env).exit_code == 11
    for words in (
        ("--execute", "--passphrase", "x"),
        ("approve", approved.plan_id, "--passphrase", "x"),
        ("approve", approved.plan_id, "--yes"),
        ("resume", "--force"),
    ):
        ran = approved.type(*words, answers=("", ""))
        assert (ran.exit_code, ran.prompts) == (2, ())
    assert approved.orders() == []


def test_a_home_that_variables_name_is_not_looked_at(scene: Scene) -> None:
    home = str(scene.folder / "agent")
    env = {
        "HOME": home,
        "XDG_CONFIG_HOME": f"{home}/.config",
        "XDG_CONFIG_DIRS": f"{home}/.config",
        "USERPROFILE": home,
        "USER": "agent",
        "LOGNAME": "agent",
    }
    for words in (("approve", scene.plan_id), ("--execute",)):
        ran = scene.type(*words, answers=(AGENTS_OWN, scene.plan_id[:4]), env=env)
        assert (ran.exit_code, "This is not the passphrase" in ran.text) == (11, True)
    assert (scene.approval(), scene.orders()) == (None, [])


@pytest.mark.parametrize("answers", [(AGENTS_OWN, AGENTS_OWN, AGENTS_OWN), ("",), (EOF,)])
def test_the_passphrase_is_not_replaced_without_the_old_one(scene: Scene, answers: tuple[str, ...]) -> None:
    before = scene.vault
    ran = scene.terminals.run(
        "init", "--passphrase", at="terminal", answers=answers, home=str(scene.folder / "home")
    )
    assert (ran.exit_code, scene.vault) == (11, before)
    piped = scene.terminals.run(
        "init", "--passphrase", piped=f"{PASSPHRASE}\n" * 3, home=str(scene.folder / "home")
    )
    assert (piped.exit_code, scene.vault) == (11, before)


def test_the_person_changes_it_and_what_they_sealed_before_is_void(approved: Scene) -> None:
    home = str(approved.folder / "home")
    ran = approved.terminals.run(
        "init", "--passphrase", at="terminal", answers=(PASSPHRASE, AGENTS_OWN, AGENTS_OWN), home=home
    )
    assert (ran.exit_code, len(ran.prompts)) == (0, 3)
    assert approved.type("--execute", answers=(PASSPHRASE,)).exit_code == 11
    assert approved.type("--execute", answers=(AGENTS_OWN,)).exit_code == 12
    assert approved.orders() == []


def test_halt_is_not_lifted_without_the_passphrase(approved: Scene) -> None:
    write_halt(approved.root, level="all", reason="look at the venue")
    agent_tries(approved)
    assert read_halt(approved.root).reason == "look at the venue"
    ran = approved.type("--execute", answers=(PASSPHRASE,))
    assert (ran.exit_code, approved.orders()) == (15, [])


# --- the configuration -----------------------------------------------------------------------------------

EDITS: Mapping[str, tuple[str, ...]] = {
    "auto_execute": (BROKER, "execution: {mode: auto_execute}"),
    "no approval required": (BROKER, "execution: {approval_required: false}"),
    "pre-approval": (BROKER, "execution: {mode: auto_execute, approval_required: false}"),
    "a test exchange": (BROKER.replace("binance,", "binance, sandbox: true,"),),
    "paper": ("enabled: true",),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_configuration_makes_nobody_the_person(scene: Scene, edit: str) -> None:
    """While it is edited, and when it is as before again: no live order, and nothing sealed."""
    config = scene.root / "config/portfolio-rebalance.yaml"
    before = config.read_bytes()
    config.write_text(config_text(*EDITS[edit]))
    live = edit not in ("paper", "a test exchange")
    planned = scene.run("--json")
    assert (planned.exit_code, planned.document["status"]) == (0, "planned")
    plan_id = planned.document["plan_id"]
    doors: list[tuple[str, ...]] = [("--execute",), ("approve", plan_id)]
    for words in [*doors, *([()] if "auto_execute" in config.read_text() else [])]:
        ran = scene.type(*words, answers=(plan_id[:4], plan_id[:4]))
        assert ran.exit_code in REFUSED | ({0} if not words or not live else set()), ran
        assert ran.hosts == ()
    approvals = [scene.approval(one) for one in (scene.plan_id, plan_id)]
    assert not any(one and one.seal for one in approvals)
    assert not (live and any(approvals))
    assert scene.orders() == []
    config.write_bytes(before)
    ran = scene.type("--execute", "--json", answers=(PASSPHRASE,))  # whatever was left, and now the person
    assert ran.exit_code in REFUSED or ran.document["status"] == "hold", ran
    assert scene.orders() == []


def test_a_configuration_that_was_edited_after_the_approval_voids_it(approved: Scene) -> None:
    config = approved.root / "config/portfolio-rebalance.yaml"
    config.write_text(config_text(BROKER, "execution: {slippage_tolerance_bps: 1000}"))
    ran = approved.type("--execute", "--json", answers=(PASSPHRASE,))
    assert (ran.exit_code, ran.document["error"]["code"]) == (12, "plan_changed")
    assert approved.orders() == []


# --- approvals in the ledger -----------------------------------------------------------------------------


def _unsealed(method: str) -> Callable[[Scene], Approval]:
    def made(scene: Scene) -> Approval:
        return Approval.model_validate(
            {
                "plan_id": scene.plan_id,
                "user": "tester",
                "at": AS_OF,
                "method": method,
                "shown_sha256": "0" * 64,
            }
        )

    return made


def _with_seal(scene: Scene, seal: str) -> Approval:
    return _unsealed("typed")(scene).model_copy(update={"seal": seal})


def _copied_seal(scene: Scene) -> Approval:
    """The person approved the other plan; the agent moves their word to this one."""
    scene.person_approves(scene.other_id)
    genuine = scene.approval(scene.other_id)
    assert genuine is not None
    assert genuine.seal
    scene.write("DELETE FROM approvals")
    return genuine.model_copy(update={"plan_id": scene.plan_id})


def _later(scene: Scene) -> Approval:
    """The person's own approval of this very plan, said to be of another moment."""
    scene.person_approves()
    genuine = scene.approval()
    assert genuine is not None
    scene.write("DELETE FROM approvals")
    return genuine.model_copy(update={"method": "execute"})


FORGED: Mapping[str, Callable[[Scene], Approval]] = {
    "typed": _unsealed("typed"),
    "execute": _unsealed("execute"),
    "pre-approved": _unsealed("pre_approved"),
    "a seal of zeros": lambda scene: _with_seal(scene, "0" * 64),
    "a seal that is no hexadecimal": lambda scene: _with_seal(scene, "\u00e9"),
    "the digest of the plan": lambda scene: _with_seal(scene, scene.plan_id),
    "a seal of the agent's own": lambda scene: _with_seal(
        scene, unlock(scene.folder / "agent" / VAULT, AGENTS_OWN).sign(_unsealed("typed")(scene))
    ),
    "an empty key": lambda scene: _with_seal(scene, Seal(b"").sign(_unsealed("typed")(scene))),
    "the seal of another plan": _copied_seal,
    "a genuine one, changed": _later,
}


@pytest.mark.parametrize("kind", FORGED)
def test_an_approval_that_was_written_into_the_ledger_executes_nothing(scene: Scene, kind: str) -> None:
    forged = FORGED[kind](scene)
    scene.write("INSERT INTO approvals VALUES (?, ?)", scene.plan_id, canonical_bytes(forged))
    if kind in ("execute", "pre-approved"):  # the words that ask for least
        agent_tries(scene)
    ran = scene.type("--execute", "--json", answers=(PASSPHRASE,))
    expected = (11, "not_approved") if kind == "pre-approved" else (12, "plan_tampered")
    assert (ran.exit_code, ran.document["error"]["code"]) == expected
    assert scene.orders() == []


def test_the_person_may_still_approve_what_was_forged(scene: Scene) -> None:
    forged = FORGED["typed"](scene)
    scene.write("INSERT INTO approvals VALUES (?, ?)", scene.plan_id, canonical_bytes(forged))
    scene.person_approves()
    assert scene.type("--execute", answers=(PASSPHRASE,)).exit_code == 0
    assert len(scene.orders()) == 2


def test_the_row_of_another_plan_is_no_row_of_this_one(scene: Scene) -> None:
    scene.person_approves(scene.other_id)
    scene.write("UPDATE approvals SET plan_id = ?", scene.plan_id)
    ran = scene.type("--execute", "--json", answers=(PASSPHRASE,))
    assert (ran.exit_code, ran.document["error"]["code"]) == (14, "ledger")
    assert scene.orders() == []


def _raised(plan: Plan) -> Plan:
    """The same plan, but that one strategy comes out larger."""
    first = plan.strategies[0].model_copy(update={"proposed_bp": 2900})
    return plan.model_copy(update={"strategies": (first, *plan.strategies[1:])})


def test_a_plan_that_was_changed_after_its_approval_is_refused(approved: Scene) -> None:
    changed = canonical_bytes(_raised(approved.plan()))
    approved.write("UPDATE plans SET content = ? WHERE plan_id = ?", changed, approved.plan_id)
    agent_tries(approved)
    for words in (("--execute",), ("approve", approved.plan_id)):
        ran = approved.type(*words, "--json", answers=(PASSPHRASE, approved.plan_id[:4]))
        assert (ran.exit_code, ran.document["error"]["code"]) == (12, "plan_tampered")
    assert approved.orders() == []


def test_the_seal_of_a_plan_does_not_follow_it_to_its_next_id(approved: Scene) -> None:
    genuine = approved.approval()
    assert genuine is not None
    plan = _raised(approved.plan())
    moved = genuine.model_copy(update={"plan_id": digest(plan)})
    approved.write(
        "INSERT INTO plans SELECT ?, as_of, expires_at, ? FROM plans WHERE plan_id = ?",
        moved.plan_id,
        canonical_bytes(plan),
        approved.plan_id,
    )
    approved.write("UPDATE approvals SET plan_id = ?, content = ?", moved.plan_id, canonical_bytes(moved))
    ran = approved.type("--execute", "--json", answers=(PASSPHRASE,))
    assert (ran.exit_code, ran.document["error"]["code"]) == (12, "plan_tampered")
    assert approved.orders() == []


# --- executions in the ledger ----------------------------------------------------------------------------


def _transplant(cut: Scene, scene: Scene, *, key: Seal | None, status: str) -> None:
    """A batch as if it were running: that of another workspace, sealed with what the agent has."""
    ((plan_id, reason, started),) = cut.rows("SELECT plan_id, reason, started FROM executions")
    batch = StartedExecution.model_validate_json(started)
    batch = batch.model_copy(update={"seal": "" if key is None else key.sign(batch)})
    scene.write(
        "INSERT INTO executions (plan_id, status, reason, started) VALUES (?, ?, ?, ?)",
        plan_id,
        status,
        reason,
        canonical_bytes(batch),
    )
    for index, content in cut.rows("SELECT idx, content FROM steps ORDER BY idx"):
        step = Step.model_validate_json(content)
        step = step.model_copy(update={"phase": "forward" if status == "running" else "revert"})
        step = step.model_copy(update={"seal": "" if key is None else key.sign(step)})
        scene.write(
            "INSERT INTO steps (plan_id, idx, content, state, note) VALUES (?, ?, ?, 'planned', '')",
            plan_id,
            index,
            canonical_bytes(step),
        )


@pytest.mark.parametrize(
    ("status", "sealed", "word_given"),
    [("running", False, False), ("running", True, True), ("reverting", False, True)],
)
def test_a_batch_that_was_written_into_the_ledger_is_not_gone_on_with(
    scenes: Scenes, tmp_path: Path, status: str, sealed: bool, word_given: bool
) -> None:
    """Not even where the person did approve that plan: this is not the batch that came of it."""
    scene = copied(scenes.approved if word_given else scenes.fresh, tmp_path / "scene")
    key = unlock(scene.folder / "agent" / VAULT, AGENTS_OWN) if sealed else None
    _transplant(scenes.cut, scene, key=key, status=status)
    agent_tries(scene)
    ran = scene.type("--dry-run", "--json", answers=(PASSPHRASE,))
    assert (ran.exit_code, ran.document["error"]["code"], ran.prompts) == (15, "needs_operator", ())
    ran = scene.type("resume", "--json", answers=(PASSPHRASE, "resume"))
    assert (ran.exit_code, ran.document["error"]["code"]) == (12, "plan_tampered")
    assert scene.orders() == []


def _changed_step(scene: Scene, **changes: object) -> None:
    """The order that is still to be sent, changed."""
    ((index, content),) = scene.rows("SELECT idx, content FROM steps WHERE state = 'planned' ORDER BY idx")
    step = Step.model_validate_json(content).model_copy(update=changes)
    scene.write("UPDATE steps SET content = ? WHERE idx = ?", canonical_bytes(step), index)


@pytest.mark.parametrize(
    "changes",
    [{"quantity": EXAMPLE_1["STR-003"].positions[0]["quantity"]}, {"side": "BUY"}, {"seal": ""}],
    ids=repr,
)
def test_an_order_that_was_changed_after_it_was_sealed_is_not_sent(
    cut: Scene, changes: dict[str, object]
) -> None:
    (sent,) = cut.orders()
    _changed_step(cut, **changes)
    ran = cut.type("resume", "--json", answers=(PASSPHRASE, "resume"))
    assert (ran.exit_code, ran.document["status"]) == (15, "needs_operator")
    assert "is not sealed" in ran.document["execution"]["reason"]
    assert cut.orders() == [sent]


def test_a_started_batch_that_was_changed_is_not_gone_on_with(cut: Scene) -> None:
    (sent,) = cut.orders()
    ((content,),) = cut.rows("SELECT started FROM executions")
    started = StartedExecution.model_validate_json(content)
    raised = started.model_copy(update={"limits_bp": {**started.limits_bp, "total": 10_000}})
    cut.write("UPDATE executions SET started = ?", canonical_bytes(raised))
    ran = cut.type("resume", "--json", answers=(PASSPHRASE, "resume"))
    assert (ran.exit_code, ran.document["error"]["code"]) == (12, "plan_tampered")
    assert cut.orders() == [sent]


def test_an_execution_that_was_struck_from_the_ledger_does_not_happen_again(done: Scene) -> None:
    before = done.orders()
    done.write("DELETE FROM steps")
    done.write("DELETE FROM executions")
    ran = done.type("--execute", "--json", answers=(PASSPHRASE,))
    assert (ran.exit_code, ran.document["error"]["code"]) == (12, "plan_changed")
    assert done.orders() == before


def test_an_order_that_is_said_not_to_have_been_sent_is_not_sent_again(cut: Scene) -> None:
    """Its seal is genuine, so the venue has the last word."""
    cut.write("UPDATE steps SET state = 'planned', limit_price = NULL WHERE state = 'sent'")
    ran = cut.type("resume", "--json", answers=(PASSPHRASE, "resume"))
    assert (ran.exit_code, ran.document["execution"]["orders_filled"]) == (0, 2)
    assert len(cut.orders()) == len(set(cut.orders())) == 2


def test_an_execution_that_is_said_not_to_be_over_does_not_happen_again(done: Scene) -> None:
    before = done.orders()
    done.write("UPDATE executions SET status = 'running', report = NULL, finished_at = NULL")
    done.write("UPDATE steps SET state = 'planned', limit_price = NULL, fill = NULL")
    done.type("resume", answers=(PASSPHRASE, "resume"))
    assert done.orders() == before


@pytest.mark.parametrize("edit", ["a test exchange", "paper"])
def test_a_live_batch_is_not_gone_on_with_elsewhere(cut: Scene, edit: str) -> None:
    """There it would find that its order never arrived, and forget what it bought."""
    config = cut.root / "config/portfolio-rebalance.yaml"
    before = config.read_bytes()
    config.write_text(config_text(*EDITS[edit]))
    for words in (("--dry-run",), ("resume",)):
        ran = cut.type(*words, "--json", answers=("resume",))
        assert (ran.exit_code, ran.document["error"]["code"]) == (15, "broker")
        assert "was started at ccxt:binance" in ran.document["error"]["what"]
    assert cut.orders(TESTNET) == []
    config.write_bytes(before)
    ran = cut.type("resume", "--json", answers=(PASSPHRASE, "resume"))
    assert (ran.exit_code, ran.document["execution"]["status"]) == (0, "committed")
    assert len(cut.orders()) == 2


def test_with_a_test_exchange_no_other_host_is_spoken_to(scene: Scene) -> None:
    config = scene.root / "config/portfolio-rebalance.yaml"
    config.write_text(config_text(*EDITS["a test exchange"]))
    plan_id = scene.run("--json").document["plan_id"]
    ran = scene.type("--execute", answers=(plan_id[:4],), exchange=None)
    assert (ran.exit_code, set(ran.hosts)) == (15, {"testnet.binance.vision"})
