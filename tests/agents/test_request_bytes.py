"""What a provider's cache can hold: prompts and tools are the same bytes in every run, and come first."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from executing import Told, example_1
from model_runs import (
    ask_both,
    healthy,
    led,
    look,
    many_strategies,
    request_bytes,
    short_of_history,
    submit,
    within_limits,
)
from workspaces import AS_OF

from portfolio_rebalance.agents.messages import Call
from portfolio_rebalance.agents.scripted import stops, uses

MARK = b'"cache_control"'
EXPLAINS = [uses(("submit_explanation", {"text": "All of it was executed."}))]


def fixed_part(call: Call) -> bytes:
    """What a run may not change: model, prompt and tools."""
    request = call.request
    return json.dumps([request["system"], request["tools"]], ensure_ascii=False).encode()


def by_agent(calls: tuple[Call, ...]) -> dict[str, set[bytes]]:
    found: dict[str, set[bytes]] = {}
    for call in calls:
        found.setdefault(call.agent.partition(":")[0], set()).add(fixed_part(call))
    return found


def test_prompts_and_tools_are_the_same_bytes_in_every_run(tmp_path):
    for name in "abcde":
        (tmp_path / name).mkdir()
    words = "It is the better one."
    runs = [
        led(example_1(tmp_path / "a"), healthy()),
        led(example_1(tmp_path / "b"), healthy(), at=AS_OF + timedelta(hours=1)),
        led(many_strategies(tmp_path / "c", 20), healthy(draft="D2")),
        led(short_of_history(tmp_path / "d", days=5), healthy(explanation=words), hold=("STR-001",)),
        led(within_limits(tmp_path / "e"), healthy(explanation=words), mode="risk-adjusted"),
    ]
    seen = [by_agent(run.calls) for run in runs]
    assert all(set(one) == {"orchestrator", "quantitative_analyst", "risk_manager"} for one in seen)
    assert all(one == seen[0] for one in seen)
    assert all(len(parts) == 1 for parts in seen[0].values())
    openings = {json.dumps(run.calls[0].request["messages"]) for run in runs}
    assert len(openings) == 4  # what differs stands in the messages; an hour is no difference at all


def test_a_run_that_executes_differs_by_one_tool_at_the_end(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plans = led(example_1(tmp_path / "a"), healthy()).calls[0].request
    script = healthy(orchestrator=[look(), ask_both(), submit(), stops("refusal")], order_executor=EXPLAINS)
    executes = led(example_1(tmp_path / "b"), script, person=Told(), execute=True).calls[0].request
    assert executes["system"] == plans["system"]
    assert executes["tools"][:-1] == plans["tools"]
    assert executes["tools"][-1]["name"] == "execute_rebalance_trades"


@pytest.mark.parametrize("count", [3, 40])
def test_most_of_every_request_stands_before_the_last_cache_breakpoint(tmp_path, count):
    root = example_1(tmp_path) if count == 3 else many_strategies(tmp_path, count)
    run = led(root, healthy())
    assert len(run.calls) == 5
    for call in run.calls:
        sent = request_bytes(call)
        assert sent.count(MARK) == 2
        assert sent.rindex(MARK) / len(sent) >= 0.70
        # The breakpoint stands at the end of the messages, whatever the order of the body's keys.
        messages = json.dumps(call.request["messages"], separators=(",", ":")).encode()
        assert messages.endswith(MARK + b':{"type":"ephemeral"}}]}]')


def test_a_conversation_only_grows_at_its_end(tmp_path):
    own = led(example_1(tmp_path), healthy()).of("orchestrator")
    for before, after in pairwise(own):
        old = request_bytes(before).replace(b',"cache_control":{"type":"ephemeral"}', b"")
        new = request_bytes(after).replace(b',"cache_control":{"type":"ephemeral"}', b"")
        end = old.rindex(b"]}]}") + 2  # the end of its last message
        assert new[:end] == old[:end]
        assert len(new) > len(old)


def test_nothing_of_the_machine_is_in_a_request(tmp_path: Path):
    run = led(example_1(tmp_path), healthy())
    for call in run.calls:
        sent = request_bytes(call).decode()
        for word in (str(tmp_path), ".crypto", "2025-02-05", "STR-001", "funding arb"):
            assert word not in sent
