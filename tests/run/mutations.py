"""What may be different between the approval of a plan and its execution, and what must come of it.

A `Template` is a workspace with example 1 planned and approved; a mutation changes a copy of it, a `Scene`.
What is refused must be refused in the right words and with the right exit code by both doors, the tool and
`run_skill`, and must leave nothing behind: no order at the venue, no row in the ledger, no file touched.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest
from executing import EXAMPLE_1, approved, example_1, execute, leg, planned
from workspaces import AS_OF, Strategy, write_snapshot

from portfolio_rebalance import run_skill
from portfolio_rebalance.errors import PlanChangedError, RebalanceError
from portfolio_rebalance.execution.paper import PAPER
from portfolio_rebalance.workspace.ledger import LEDGER

__all__ = [
    "LATER",
    "Mutation",
    "Scene",
    "Template",
    "as_changed",
    "check_executed",
    "check_refused",
    "copied",
    "every_nth",
    "make_template",
]

LATER = AS_OF + timedelta(hours=1)
"""When a mutated plan is executed, unless said otherwise."""

_SEEN = AS_OF + timedelta(minutes=30)
"""When a snapshot that a mutation adds was taken."""

_CENTS = Decimal("0.00000001")

_LEDGER_TABLES = ("plans", "approvals", "rejections", "executions", "steps", "instructions", "outbox", "runs")
_OF_SQLITE = re.compile(r"portfolio-rebalance/(ledger|paper)\.db|portfolio-rebalance/lock$")
_OF_A_RUN = re.compile(r"portfolio-rebalance/assessment-")


@dataclass(frozen=True, kw_only=True)
class Template:
    """A workspace to copy.

    Attributes:
        folder: That holds it.
        plan_id: Of the approved plan: 34 and 20 % to 16 and 14 %.
        other_id: Of a plan of another mode, which nobody approved.
    """

    folder: Path
    plan_id: str
    other_id: str
    content: bytes
    other_content: bytes


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A copy, to be changed."""

    root: Path
    template: Template

    @property
    def plan_id(self) -> str:
        """Of the approved plan."""
        return self.template.plan_id

    def sql(self, statement: str, *values: object) -> None:
        """Change the ledger behind the product's back; a statement that changes nothing is a mistake."""
        with closing(sqlite3.connect(self.root / LEDGER)) as connection, connection:
            assert connection.execute(statement, values).rowcount > 0, statement

    def store_plan(self, content: bytes, *, plan_id: str | None = None) -> str:
        """Put these bytes where a plan belongs; as a new plan, under its own digest, where no id is given."""
        if plan_id is not None:
            self.sql("UPDATE plans SET content = ? WHERE plan_id = ?", content, plan_id)
            return plan_id
        new_id = hashlib.sha256(content).hexdigest()
        times = "as_of, expires_at FROM plans WHERE plan_id = ?"
        self.sql(
            f"INSERT INTO plans (plan_id, content, as_of, expires_at) SELECT ?, ?, {times}",
            new_id,
            content,
            self.plan_id,
        )
        return new_id

    def approval(self, **changes: object) -> bytes:
        """The stored approval with other values."""
        with closing(sqlite3.connect(self.root / LEDGER)) as connection:
            (content,) = connection.execute(
                "SELECT content FROM approvals WHERE plan_id = ?", (self.plan_id,)
            ).fetchone()
        return canonical(json.loads(content) | changes)

    def path(self, relative: str) -> Path:
        """A file of the workspace."""
        return self.root / relative

    def write(self, relative: str, text: str) -> None:
        """Replace a file, or make it."""
        self.path(relative).parent.mkdir(parents=True, exist_ok=True)
        self.path(relative).write_bytes(text.encode())

    def edit(self, relative: str, old: str, new: str) -> None:
        """Replace the first occurrence of some text, which must be there."""
        text = self.path(relative).read_bytes().decode()
        assert old in text, (relative, old)
        self.write(relative, text.replace(old, new, 1))

    def edit_entry(self, key: str, old: str, new: str) -> None:
        """The same in one strategy's entry of the registry."""
        relative = "knowledge/registry.yaml"
        head, name, rest = self.path(relative).read_text().partition(f"  {key}:\n")
        assert old in rest, (key, old)
        self.write(relative, head + name + rest.replace(old, new, 1))

    def snapshot(self, key: str, *legs: dict[str, str], own_cash: Decimal | None = None) -> None:
        """A newer snapshot of a strategy: these legs, and its own cash as before unless given."""
        strategy = EXAMPLE_1[key]
        cash = own_cash_of(strategy) if own_cash is None else own_cash
        value = cash + sum((Decimal(one["market_value"]) for one in legs), Decimal(0))
        newer = replace(strategy, positions=legs, market_value=format(value, "f"))
        write_snapshot(self.root, key, newer, as_of=_SEEN)

    def snapshots(self, key: str) -> list[Path]:
        """Files of a strategy's snapshots, oldest first."""
        return sorted(self.path(f"live-monitoring/live-performance/{key}").glob("snapshot-*.yaml"))


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One difference, and what must come of it.

    Attributes:
        name: Family and case.
        act: Makes the difference; where it returns text, that is executed instead of the approved plan.
        kind: How it is refused.
        saying: What the refusal says, as a pattern.
        at: When the plan is executed.
        by_skill: Exit code and status of `run_skill` where it is not refused likewise: it looks for what is
            approved and plans anew where nothing is. None where the difference is in the call itself.
    """

    name: str
    act: Callable[[Scene], object]
    kind: type[RebalanceError]
    saying: str
    at: datetime = LATER
    by_skill: tuple[int, str] | Literal["likewise"] | None = "likewise"

    @property
    def family(self) -> str:
        """What its name begins with."""
        return self.name.partition(":")[0]


@dataclass(frozen=True)
class Standing:
    """What must be the same after a refusal as before.

    Attributes:
        files: Content by path, without those of SQLite.
        ledger: Every row.
        orders: That the venue ever received.
        fills: That it ever made.
    """

    files: dict[str, bytes | str]
    ledger: dict[str, list[tuple[Any, ...]]]
    orders: int
    fills: int

    @classmethod
    def of(cls, root: Path) -> Standing:
        """How a workspace stands."""
        files = {
            str(path.relative_to(root)): path.read_bytes() if path.is_file() else f"{path.lstat().st_mode:o}"
            for path in sorted(root.rglob("*"))
        }
        tables = {table: _rows(root / LEDGER, f"SELECT * FROM {table}") for table in _LEDGER_TABLES}
        return cls(
            {name: content for name, content in files.items() if not _OF_SQLITE.match(name)},
            tables,
            *(len(_rows(root / PAPER, f"SELECT * FROM {table}")) for table in ("orders", "fills")),
        )

    def beside_a_run(self) -> Standing:
        """Without what a dry run may add: a run, its plan and its assessment."""
        files = {name: content for name, content in self.files.items() if not _OF_A_RUN.match(name)}
        execution = ("approvals", "rejections", "executions", "steps", "instructions")
        ledger = {table: rows for table, rows in self.ledger.items() if table in execution}
        return replace(self, files=files, ledger=ledger)


def as_changed(name: str, act: Callable[[Scene], object], saying: str) -> Mutation:
    """A mutation of something that the plan binds."""
    return Mutation(name=name, act=act, kind=PlanChangedError, saying=saying)


def make_template(folder: Path) -> Template:
    """Example 1, planned in two modes, approved in one of them."""
    root = example_1(folder)
    other_id = planned(root, mode="proportional").plan_id
    plan_id = approved(root)
    assert other_id is not None
    contents = dict(_rows(root / LEDGER, "SELECT plan_id, content FROM plans"))
    return Template(
        folder=folder,
        plan_id=plan_id,
        other_id=other_id,
        content=contents[plan_id],
        other_content=contents[other_id],
    )


@contextmanager
def copied(template: Template, fallback: Path) -> Iterator[Scene]:
    """A copy, in memory where there is some: syncing it to a disk would prove nothing here."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else fallback) as folder:
        shutil.copytree(template.folder, Path(folder, "copy"))
        yield Scene(root=Path(folder, "copy/.crypto").resolve(), template=template)


def check_refused(mutation: Mutation, scene: Scene) -> None:
    """The tool refuses as it should, and so does `run_skill`; nothing is sent and nothing is written."""
    told = mutation.act(scene)
    plan_id = told if isinstance(told, str) else scene.plan_id
    before = Standing.of(scene.root)
    with pytest.raises(RebalanceError) as caught:
        execute(scene.root, plan_id, at=mutation.at)
    error = caught.value
    assert (type(error), error.exit_code) == (mutation.kind, mutation.kind.exit_code), error
    assert re.search(mutation.saying, error.what), error
    assert error.where, error
    assert error.fix, error
    assert Standing.of(scene.root) == before
    if mutation.by_skill is not None:
        _check_skill(mutation, scene, error)


def _check_skill(mutation: Mutation, scene: Scene, error: RebalanceError) -> None:
    before = Standing.of(scene.root)
    result = run_skill({"workspace": scene.root, "execute": True, "as_of": mutation.at}, now=mutation.at)
    told = (result.error, result.decision)
    assert result.execution is None
    assert Standing.of(scene.root).beside_a_run() == before.beside_a_run()
    if mutation.by_skill != "likewise":
        assert (result.exit_code, result.status) == mutation.by_skill, told
        return
    assert (result.status, result.exit_code) == ("refused", error.exit_code), told
    assert result.error is not None
    assert (result.error.code, result.error.what) == (error.code, error.what)
    assert Standing.of(scene.root) == before


def check_executed(scene: Scene, act: Callable[[Scene], object], *, at: datetime = LATER) -> None:
    """What is no difference that counts does not keep a plan from being executed."""
    act(scene)
    execution = execute(scene.root, scene.plan_id, at=at)
    assert (execution.status, set(execution.limits.values())) == ("committed", {"PASS"}), execution
    assert Standing.of(scene.root).orders == execution.orders_sent > 0


def canonical(content: object) -> bytes:
    """The canonical form, made without the product."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def own_cash_of(strategy: Strategy) -> Decimal:
    """What a strategy's positions do not account for."""
    legs = sum((Decimal(str(one["market_value"])) for one in strategy.positions), Decimal(0))
    return Decimal(str(strategy.capital)) - legs


def leg_of(key: str, *, factor: str = "1", **changes: str) -> dict[str, str]:
    """The one leg of a strategy of example 1, its price times a factor, or with other values."""
    (held,) = EXAMPLE_1[key].positions
    price = Decimal(str(held["price"])) * Decimal(factor)
    values = {"asset": str(held["asset"]), "quantity": str(held["quantity"]), "price": format(price, "f")}
    made = leg(**(values | changes))
    return {**made, "market_value": format(Decimal(made["market_value"]).quantize(_CENTS), "f")}


def every_nth(mutations: Sequence[Mutation], *, most: int) -> list[Mutation]:
    """So many, spread evenly."""
    step = max(1, -(-len(mutations) // most))
    return list(mutations[::step])


def _rows(database: Path, query: str) -> list[tuple[Any, ...]]:
    if not database.exists():
        return []
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()
