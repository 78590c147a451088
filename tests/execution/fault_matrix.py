"""A venue fault at an order, a crash at a point, another crash while it recovers: run for real, then judged.

Every combination goes through `execute_rebalance_trades` on a workspace of its own, with its real ledger, its
real files and the paper venue under the fault script. Points between which nothing on the disk changed lead
to the same next start, so that `Course.crash_points` names one of each kind.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fault_judge import faults_of
from fault_portfolios import Template
from fault_runs import Fuse, end_of, run_of

WHOLE = ("timeout_after", "disconnect=2", "duplicate_report", "slow_fill=3", "late=2", "late=3")
"""After these an order is filled whole, sooner or later."""

NOT_WHOLE = ("refuse", "timeout_before", "partial=0.4", "slow_fill=9", "partial=0.4 timeout_after")
"""After these a part of it at least is not."""

PRICES = ("price_jump=+3%", "price_jump=-3%", "price_jump=-0.15%", "price_jump_all=+6%", "price_jump_all=-1%")
TANGLED = ("slow_fill=9 disconnect=6", "price_jump=+0.1% late=2")
FAULTS = (*WHOLE, *NOT_WHOLE, *PRICES, *TANGLED)


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a script runs when nothing crashes.

    Attributes:
        crash_points: One of each stretch of points between which nothing on the disk changed.
        points: All of them, by name.
        orders: Sent forward, and back.
        faults: What is wrong with the end; empty where all is right.
    """

    status: str
    reason: str
    points: tuple[str, ...]
    crash_points: tuple[int, ...]
    orders: tuple[int, int]
    faults: tuple[str, ...]


def course_of(template: Template, script: str, *, folder: Path) -> Course:
    """Run a script whole, and look at the disk at each point."""
    with run_of(template, script, folder=folder) as run:
        fuse = Fuse(look=run.disk)
        assert run.start(fuse)
        end = end_of(run)
        faults = tuple(faults_of(run, end))
    first = {disk: number for number, disk in reversed(list(enumerate(fuse.seen, start=1)))}
    sent = [one.step.phase for one in end.steps if one.step.is_order and one.limit_price is not None]
    return Course(
        status=end.execution.status,
        reason=end.execution.reason,
        points=tuple(fuse.points),
        crash_points=tuple(sorted(first.values())),
        orders=(sent.count("forward"), sent.count("revert")),
        faults=faults,
    )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a combination.

    Attributes:
        crashed: Where it did, the first time and while recovering.
        faults: What is wrong with the end; empty where all is right.
    """

    status: str
    reason: str
    crashed: tuple[str, ...]
    faults: tuple[str, ...]


def crash_and_recover(template: Template, script: str, *, crashes: Sequence[int], folder: Path) -> Outcome:
    """Crash at one point, while recovering at the next, and so on; then start once more undisturbed."""
    with run_of(template, script, folder=folder) as run:
        for burns_at in (*crashes, 0):
            if run.start(Fuse(burns_at=burns_at)):
                break
        end = end_of(run)
        return Outcome(
            status=end.execution.status,
            reason=end.execution.reason,
            crashed=tuple(run.crashed),
            faults=tuple(faults_of(run, end)),
        )


def script_of(order: int, fault: str) -> str:
    """All that a fault is made of, at one order."""
    return ", ".join(f"{order}:{part}" for part in fault.split())


def scripts_of(template: Template, *, folder: Path) -> Iterator[str]:
    """None; every fault at each order of the batch; at each order of its compensation; and at all of those.

    Compensation is the longest where the last order is refused.
    """
    yield ""
    last, _ = course_of(template, "", folder=folder).orders
    for order in range(1, last + 1):
        yield from (script_of(order, fault) for fault in FAULTS)
    refused = script_of(last, "refuse")
    _, back = course_of(template, refused, folder=folder).orders
    for order in range(last + 1, last + back + 1):
        yield from (f"{refused}, {script_of(order, fault)}" for fault in FAULTS)
    yield from (f"{refused}, {last + 1}+:{fault}" for fault in ("refuse", "timeout_before", "partial=0.4"))


@dataclass(kw_only=True)
class Tally:
    """What came of many combinations.

    Attributes:
        undisturbed: Endings of scripts that ran without a crash.
        endings: Of combinations with one.
        crashes: Combinations by how often they crashed.
        called: Why a person was called, figures aside.
        faults: What was wrong, with the combination that shows it.
    """

    undisturbed: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    crashes: Counter[int] = field(default_factory=Counter)
    called: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome, *, combination: str) -> None:
        self.endings[outcome.status] += 1
        self.crashes[len(outcome.crashed)] += 1
        if outcome.status == "needs_operator":
            self.called[re.sub(r"[\d.]+|STR-\d+", "#", outcome.reason)] += 1
        self.faults += [f"{combination}: {fault}" for fault in outcome.faults]


def sweep(template: Template, scripts: Iterable[str], *, every: int, folder: Path) -> Tally:
    """Crash at one in ``every`` of each script's crash points, in turn; at each of them where nothing fails.

    While it recovers it crashes again, and once more, if it gets as far as the point that was drawn for it.
    """
    tally = Tally()
    for number, script in enumerate(scripts):
        course = course_of(template, script, folder=folder)
        tally.undisturbed[course.status] += 1
        tally.faults += [f"{script!r}: {fault}" for fault in course.faults]
        for place, point in enumerate(course.crash_points):
            if script and (number + place) % every:
                continue
            draw = random.Random(f"{script} {point}")
            crashes = (point, draw.randint(1, 40), draw.randint(1, 40))
            outcome = crash_and_recover(template, script, crashes=crashes, folder=folder)
            tally.add(outcome, combination=f"{script!r} {crashes} {outcome.crashed}")
    return tally
