"""Canaries stand in the environment while a scenario runs, and what stood there before stands there after."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from eval_scenes import scene

from portfolio_rebalance.agents.messages import Call, Reply
from portfolio_rebalance.agents.scripted import ScriptedClient
from portfolio_rebalance.evals import world
from portfolio_rebalance.evals.behaviour import client_of
from portfolio_rebalance.evals.world import CANARIES, observe

LED = scene(expect="status: planned, driver: model")


class _Looking:
    """Looks at the environment whenever it is asked."""

    provider = "scripted"

    def __init__(self, inner: ScriptedClient) -> None:
        self._inner = inner
        self.found: list[dict[str, str | None]] = []

    def complete(self, call: Call) -> Reply:
        self.found.append({name: os.environ.get(name) for name in CANARIES})
        return self._inner.complete(call)


def test_a_run_sees_the_canaries_and_no_key_of_whoever_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-of-somebody")
    monkeypatch.delenv("PORTFOLIO_REBALANCE_API_SECRET", raising=False)
    client = _Looking(client_of(LED.models))
    observe(LED, tmp_path, client=client)
    assert client.found
    assert all(one == CANARIES for one in client.found)
    assert os.environ["ANTHROPIC_API_KEY"] == "a-key-of-somebody"
    assert "PORTFOLIO_REBALANCE_API_SECRET" not in os.environ


def test_the_environment_is_put_back_after_scenarios_that_run_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-of-somebody")
    inside = threading.Barrier(2, timeout=0.2)
    together: list[bool] = []

    def run() -> None:
        with world._canaries_around():
            try:
                inside.wait()
                together.append(True)
            except threading.BrokenBarrierError:
                together.append(False)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert together == [False, False]
    assert os.environ["ANTHROPIC_API_KEY"] == "a-key-of-somebody"
