"""One workspace, started, ended at a point, started afresh: everything real, everything watched.

Whatever leaves a trace passes a *fuse* before and after: each call to the venue, to the journal and its end,
each file written, each outbox row, HALT. A burnt fuse raises `Crash`, which nothing catches; then everything
is started afresh, with new objects on the same files.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from fault_portfolios import Template
from recording import Call, Crash, RecordingBroker, RecordingJournal
from workspaces import AS_OF

from portfolio_rebalance.errors import NeedsOperatorError, PlanConsumedError
from portfolio_rebalance.execution import venues
from portfolio_rebalance.execution.book import Book, book_after
from portfolio_rebalance.execution.broker import Holdings
from portfolio_rebalance.execution.executor import Pace
from portfolio_rebalance.execution.faults import FAULTS
from portfolio_rebalance.execution.paper import PaperVenue
from portfolio_rebalance.records import OpenExecution, StoredStep
from portfolio_rebalance.tools import desk as desk_module
from portfolio_rebalance.tools import execution as execution_module
from portfolio_rebalance.tools import finishing as finishing_module
from portfolio_rebalance.tools.execution import execute_rebalance_trades
from portfolio_rebalance.workspace import Ledger
from portfolio_rebalance.workspace import outbox as outbox_module
from portfolio_rebalance.workspace.journal import ExecutionJournal
from portfolio_rebalance.workspace.outbox import Outbox

_OPEN_POLLS = 5
"""An order that fills in nine parts is then cancelled before the last of them."""


class Fuse:
    """Counts points, from 1; burns at one of them, and from then on at every one."""

    def __init__(self, *, burns_at: int = 0, look: Callable[[], str] | None = None) -> None:
        self.points: list[str] = []
        self.seen: list[str] = []
        self._burns_at = burns_at
        self._look = look

    def __call__(self, _number: int, moment: str, name: str) -> None:
        self.points.append(f"{moment} {name}")
        if self._look is not None:
            self.seen.append(self._look())
        if 0 < self._burns_at <= len(self.points):
            raise Crash(self.points[self._burns_at - 1])

    def around(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        """The same act, with a point before and one after."""

        def watched(*args: Any, **named: Any) -> Any:
            self(0, "before", name)
            result = act(*args, **named)
            self(0, "after", name)
            return result

        return watched


class _WatchedJournal(RecordingJournal):
    """The ledger's journal; what the executor does not call passes through."""

    def __init__(self, ledger: Ledger, *, log: list[Call], fuse: Fuse) -> None:
        journal = ExecutionJournal(ledger)
        super().__init__(journal, log=log, on_call=fuse)
        self.get, self.close, self.report_of = journal.get, journal.close, journal.report_of
        self.left_to_a_person = journal.left_to_a_person
        self.finish = fuse.around("finish", journal.finish)


@dataclass(kw_only=True)
class Run:
    """One workspace, started as often as it takes.

    Attributes:
        log: What venue and journal were asked, over all starts.
        before: What the venue held before the first order.
        crashed: The points at which it did.
    """

    template: Template
    script: str
    root: Path
    log: list[Call] = field(default_factory=list)
    before: Holdings | None = None
    crashed: list[str] = field(default_factory=list)

    @contextmanager
    def watched(self, fuse: Fuse) -> Iterator[None]:
        """Let everything that leaves a trace pass the fuse."""

        @contextmanager
        def open_venue(*args: Any, **named: Any) -> Iterator[venues.Venue]:
            with venues.open_venue(*args, **named) as venue:

                def adopt(*books: Any) -> None:
                    venue.adopt(*books)
                    assert isinstance(venue.broker, PaperVenue)
                    self.before = venue.broker.balances()

                broker = RecordingBroker(venue.broker, log=self.log, on_call=fuse)
                yield replace(venue, broker=broker, adopt=fuse.around("adopt", adopt))

        journal = property(partial(_WatchedJournal, log=self.log, fuse=fuse))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(desk_module, "open_venue", open_venue)
            patch.setattr(Ledger, "journal", journal)
            patch.setattr(execution_module, "Pace", partial(Pace, open_polls=_OPEN_POLLS))
            for module, name in ((outbox_module, "write_atomic"), (finishing_module, "write_halt")):
                patch.setattr(module, name, fuse.around(name, getattr(module, name)))
            patch.setattr(Outbox, "mark_applied", fuse.around("mark_applied", Outbox.mark_applied))
            yield

    def start(self, fuse: Fuse) -> bool:
        """Start afresh, like a new process on the same files; false if it crashed on the way."""
        with self.watched(fuse):
            try:
                execute_rebalance_trades(
                    self.template.plan_id, workspace=self.root, as_of=AS_OF, sleep=lambda _seconds: None
                )
            except Crash as crash:
                self.crashed.append(str(crash))
                return False
            except (PlanConsumedError, NeedsOperatorError):
                assert self.crashed, "only what was started before may be over"
        return True

    def disk(self) -> str:
        """What changes whenever anything does: what SQLite appended, and which files stand there."""
        seen = []
        for folder, _, names in os.walk(self.root):
            for name in names:
                if name.endswith("-wal"):
                    seen.append(Path(folder, name).read_bytes())
                elif not name.endswith(".db"):  # every commit goes to its -wal first
                    seen.append(f"{name} {os.stat(f'{folder}/{name}').st_ino}".encode())  # noqa: PTH116 - fast
        return sha256(b"\n".join(seen)).hexdigest()


@contextmanager
def run_of(template: Template, script: str, *, folder: Path) -> Iterator[Run]:
    """A copy of the template with a fault script, removed afterwards."""
    with tempfile.TemporaryDirectory(dir=folder) as copy:
        root = Path(copy) / ".crypto"
        shutil.copytree(template.folder / ".crypto", root)
        (root / FAULTS).write_text(script)
        yield Run(template=template, script=script, root=root)


@dataclass(frozen=True, kw_only=True)
class End:
    """What a run left in the ledger."""

    execution: OpenExecution
    steps: tuple[StoredStep, ...]

    @property
    def book(self) -> Book:
        return book_after(self.execution.started, self.steps)


def end_of(run: Run) -> End:
    with Ledger.open(run.root) as ledger:
        execution = ledger.journal.get(run.template.plan_id)
        assert execution is not None
        return End(execution=execution, steps=ledger.journal.steps(run.template.plan_id))
