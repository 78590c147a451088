"""The real SDK over HTTP on this machine: a call ends when its time is over, and all that it began too."""

from __future__ import annotations

import threading
import time

import anthropic
import pytest
from loopback_messages import (
    Answer,
    Waits,
    a_call,
    client_of,
    event,
    eventually,
    failed,
    healthy,
    messages_api,
    outcome_of,
    started,
)

from portfolio_rebalance.agents.messages import ModelError

assert anthropic.__version__  # imported before any deadline runs

BUSY = failed(529, "overloaded_error", message="Overloaded")
HTML = {"content-type": "text/html"}
WHOLE = b"".join(healthy())


PING = event("ping")
HOLDS = {
    "never an answer": Answer(bare=True, parts=[30.0]),
    "headers byte by byte": Answer(bare=True, parts=[b"HTTP/1.1 200 OK\r\nx: ", *[0.02, b"a"] * 1500]),
    "pings for ever": Answer(parts=[started(), *[0.02, PING] * 1500]),
    "comments for ever": Answer(parts=[*[0.02, b":\n\n"] * 1500]),
    "a message byte by byte": Answer(parts=[one for at in range(1500) for one in (0.02, WHOLE[at : at + 1])]),
    "silence after the headers": Answer(parts=[30.0]),
    "an error byte by byte": Answer(status=500, headers=HTML, parts=[*[0.02, b"a"] * 1500]),
}


@pytest.mark.parametrize("name", HOLDS)
def test_the_deadline_holds_against_a_server_that_does_not_let_go(name: str) -> None:
    threads = threading.active_count()
    with messages_api([HOLDS[name]]) as api:
        begun = time.monotonic()
        error = outcome_of(client_of(api.url, clock=time.monotonic), a_call(seconds=0.3))
        took = time.monotonic() - begun
        assert isinstance(error, ModelError)
        assert (error.kind, error.detail) == ("timeout", "no complete answer in time")
        assert 0.3 <= took < 10
        assert len(api.seen) == 1
        # The request is given up, not left running: its thread ends, and a server that sends notices.
        assert eventually(lambda: not [one for one in threading.enumerate() if one.name == "model-call"])
        if "ever" in name.split() or "byte" in name.split():
            assert eventually(lambda: api.gone == [1])
    assert eventually(lambda: threading.active_count() <= threads)


def test_the_waits_count_against_the_deadline() -> None:
    waits = Waits()
    with messages_api([BUSY, BUSY]) as api:
        error = outcome_of(client_of(api.url, waits=waits), a_call(seconds=1.0))
        assert len(api.seen) == 2
    assert isinstance(error, ModelError)
    assert (error.kind, waits.waited) == ("overloaded", [0.375])  # 0.75 more would be too much


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_without_time_nothing_is_sent(seconds: float) -> None:
    with messages_api([]) as api:
        error = outcome_of(client_of(api.url), a_call(seconds=seconds))
        assert api.seen == []
    assert isinstance(error, ModelError)
    assert error.kind == "timeout"


def test_an_interrupt_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    with messages_api([BUSY]) as api:
        with pytest.raises(KeyboardInterrupt):
            client_of(api.url, sleep=interrupted).complete(a_call())
        assert len(api.seen) == 1
