"""Kill the paper venue's process at every statement that it sends to its file, and look at what is left.

Run as a program: it forks, and a test process with threads should not.

    python paper_kills.py once FOLDER SCRIPT        kill every call of a session at every statement
    python paper_kills.py twice FOLDER SCRIPT       every eleventh, and again at every statement of going on
    python paper_kills.py place FOLDER NAME COUNT   place orders, one line for each that was answered

What is right is simple: a call that was cut off happened whole or not at all. After each kill the file must
hold what it held before the call, and the call made then must lead to what it led to without a kill, to the
last row.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

from paper_venues import BTC, D, buy, fund, open_venue, rows, sell

from portfolio_rebalance.execution.broker import OrderRefused, OutcomeUnknown
from portfolio_rebalance.execution.paper import PAPER, PaperVenue

Act = Callable[[PaperVenue], object]
ELEVENTH = 11
ORDERS = (buy("a", "0.09"), sell("b", "0.04"))


def acts() -> list[Act]:
    """What a session does, after the venue was founded and its script armed."""
    done: list[Act] = [fund]
    for order in ORDERS:
        done.append(partial(PaperVenue.place, order=order))
        done += [partial(PaperVenue.find, order=order)] * 3
        done.append(partial(PaperVenue.cancel, order=order))
    return [*done, PaperVenue.holdings, partial(PaperVenue.set_marks, marks={BTC: D(8400)})]


def call(root: Path, script: str | None, act: Act) -> None:
    """One call by a process of its own, as far as the venue can tell."""
    with (
        open_venue(root, slippage_bps=D(25), commission_bps=D(5), faults=script) as venue,
        suppress(OrderRefused, OutcomeUnknown),
    ):
        act(venue)


def calls(script: str) -> list[Callable[[Path], None]]:
    """A whole session, each call with a connection of its own."""
    founding = partial(call, script=None, act=_nothing)
    arming = partial(call, script=script, act=_nothing)
    return [founding, arming, *(partial(call, script=script, act=act) for act in acts())]


def _nothing(_venue: PaperVenue) -> None:
    """Opening is a call by itself."""


def killed_at(statement: int, do: Callable[[], None]) -> bool:
    """Do it in another process, killed right before its n-th statement; false where it ends before that."""
    child = os.fork()
    if child == 0:
        try:
            _traced(do, kill_at=statement)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def _traced(do: Callable[[], None], *, kill_at: int) -> None:
    """Every connection that is opened from now on counts its statements; the process ends at one of them."""
    connect, sent = sqlite3.connect, 0

    def on_statement(_statement: str) -> None:
        nonlocal sent
        sent += 1
        if sent == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(*args: object, **kwargs: object) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)  # type: ignore[call-overload]
        connection.set_trace_callback(on_statement)
        return connection  # type: ignore[no-any-return]

    sqlite3.connect = traced  # type: ignore[assignment]
    do()


def kills(folder: Path, script: str, *, twice: bool) -> int:
    """How many kills of a session were survived.

    Raises:
        AssertionError: One was not.
    """
    root, before = folder / "venue", folder / "before"
    for path in (root, before):
        shutil.rmtree(path, ignore_errors=True)
    root.mkdir(parents=True)
    survived = 0
    for number, do in enumerate(calls(script)):
        shutil.rmtree(before, ignore_errors=True)
        shutil.copytree(root, before)
        held = _left(root)
        do(root)
        expected = _left(root)
        for statement in count(1, ELEVENTH if twice else 1):
            shutil.rmtree(root)
            shutil.copytree(before, root)
            if not killed_at(statement, partial(do, root)):
                break
            where = (script, number, statement)
            assert _left(root) == held, where
            survived += 1
            again = 1
            while twice and killed_at(again, partial(do, root)):
                assert _left(root) == held, (*where, again)
                survived += 1
                again += 1
            if not twice:
                do(root)
            assert _left(root) == expected, where
        assert statement > 1, "a call without a statement"
        assert _left(root) == expected
    return survived


def _left(root: Path) -> dict[str, list[tuple[object, ...]]]:
    return rows(root) if (root / PAPER).exists() else {}


def place(folder: Path, name: str, orders: int) -> None:
    """Buy the smallest lot so many times; say which were answered, and how."""
    with open_venue(folder, slippage_bps=D(25), commission_bps=D(5)) as venue:
        for number in range(orders):
            order = buy(f"{name}-{number}", "0.00000001")
            try:
                answer: str = venue.place(order).state
            except OrderRefused:
                answer = "refused"
            sys.stdout.write(f"{order.client_id} {answer}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    command, where, *rest = sys.argv[1:]
    if command == "place":
        place(Path(where), rest[0], int(rest[1]))
    else:
        sys.stdout.write(str(kills(Path(where), rest[0], twice=command == "twice")))
