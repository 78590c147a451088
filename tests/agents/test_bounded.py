"""Work over the network ends when its time is over; its thread ends too."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any

import pytest

from portfolio_rebalance.agents.bounded import Line, Overdue, bounded


class Stream:
    def __init__(self, found: socket.socket) -> None:
        self._found = found

    def get_extra_info(self, info: str) -> socket.socket:
        assert info == "socket"
        return self._found


def model_calls() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "model-call"]


def wait_until_gone() -> None:
    end = time.monotonic() + 20
    while model_calls() and time.monotonic() < end:
        time.sleep(0.005)
    assert model_calls() == []


def test_what_the_work_finds_or_raises_is_passed_on() -> None:
    assert bounded(lambda _: 7, seconds=20) == 7

    def fails(_: Line) -> int:
        raise KeyError("a")

    with pytest.raises(KeyError, match="a"):
        bounded(fails, seconds=20)
    with pytest.raises(SystemExit):
        bounded(lambda _: exit_now(), seconds=20)


def exit_now() -> None:
    raise SystemExit(3)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_without_time_nothing_is_begun(seconds: float) -> None:
    begun: list[Line] = []
    with pytest.raises(Overdue):
        bounded(begun.append, seconds=seconds)
    assert begun == []


def test_more_than_a_day_counts_as_a_day() -> None:
    assert bounded(lambda _: 7, seconds=float("inf")) == 7


def test_a_thread_that_waits_for_the_other_side_is_woken_and_ends() -> None:
    ours, theirs = socket.socketpair()
    read: list[bytes] = []

    def waits(line: Line) -> None:
        line.watch("connection.connect_tcp.complete", {"return_value": Stream(ours)})
        read.append(ours.recv(1))  # without a timeout: for ever

    with ours, theirs:
        with pytest.raises(Overdue):
            bounded(waits, seconds=0.05)
        wait_until_gone()
    assert read == [b""]


def test_a_connection_made_too_late_is_shut_and_nothing_is_sent_over_it() -> None:
    ours, theirs = socket.socketpair()
    may_go_on = threading.Event()
    sent: list[object] = []

    def late(line: Line) -> None:
        may_go_on.wait(20)
        line.watch("connection.connect_tcp.complete", {"return_value": Stream(ours)})
        try:
            sent.append(ours.send(b"x"))
        except OSError as error:
            sent.append(type(error))

    with ours, theirs:
        with pytest.raises(Overdue):
            bounded(late, seconds=0.05)
        may_go_on.set()
        wait_until_gone()
        assert sent == [BrokenPipeError]
        assert theirs.recv(1) == b""


def test_whoever_is_interrupted_leaves_no_thread_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()

    def waits(line: Line) -> None:
        line.watch("connection.connect_tcp.complete", {"return_value": Stream(ours)})
        ours.recv(1)

    class Interrupted:
        def put(self, _: Any) -> None: ...

        def get(self, timeout: float) -> Any:
            time.sleep(0.05)
            raise KeyboardInterrupt

    monkeypatch.setattr("queue.SimpleQueue", Interrupted)
    with ours, theirs:
        with pytest.raises(KeyboardInterrupt):
            bounded(waits, seconds=20)
        wait_until_gone()


def test_cutting_a_closed_connection_is_harmless() -> None:
    line = Line()
    ours, theirs = socket.socketpair()
    line.watch("connection.start_tls.complete", {"return_value": Stream(ours)})
    with contextlib.closing(theirs):
        ours.close()
        line.cut()
        line.cut()


def test_whether_anything_was_begun_is_known() -> None:
    line = Line()
    assert not line.was_used
    line.watch("connection.connect_tcp.started", {})
    assert line.was_used


def test_the_threads_keep_no_process_alive() -> None:
    found: list[bool] = []
    bounded(lambda _: found.append(threading.current_thread().daemon), seconds=20)
    assert found == [True]
