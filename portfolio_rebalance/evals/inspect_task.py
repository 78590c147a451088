"""The same scenarios as a task of Inspect AI, for its viewer; needs the extra ``inspect``.

Run it with ``inspect eval portfolio_rebalance/evals/inspect_task.py --model none/none`` (a part of it with
``-T family=documented``), and look with ``inspect view``. What models say comes from the scenarios: Inspect
asks none. Every conversation is shown as messages; every scorer of ours is one key of the score, with its
faults as the explanation, and what does not apply to a case has no value. The viewer shows what attacks say,
word for word: it is for the people who judge them.

This is the only module that knows Inspect, and nothing imports it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from anyio import to_thread
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageSystem, ChatMessageUser
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from portfolio_rebalance.agents.messages import Json
from portfolio_rebalance.agents.transcript import Entry, Fault, parse_transcript
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.evals.scenario import FAMILIES, load_scenarios
from portfolio_rebalance.evals.scorers import SCORERS
from portfolio_rebalance.evals.suite import Case, cases_of
from portfolio_rebalance.evals.world import Observed, observe

__all__ = ["rebalance_scenarios"]

_SCORES = "scores"
_FAULTS = "faults"
_NOT_ASKED = float("nan")
"""Inspect leaves it out of every mean."""


@task
def rebalance_scenarios(family: str = "") -> Task:
    """Every case of the suite, or of one family.

    Args:
        family: Such as ``model_faults``; all of them where empty.

    Raises:
        UsageError: There is no such family.
    """
    if family and family not in FAMILIES:
        raise UsageError(
            f"There is no family {family[:40]!a}.", where="family", fix=f"Name one of {', '.join(FAMILIES)}."
        )
    cases = {case.id: case for case in _cases(family)}
    samples = [
        Sample(
            id=case.id,
            input=case.scenario.about,
            target=case.scenario.expect.status,
            metadata={"family": case.scenario.family, "benign": case.scenario.benign},
        )
        for case in cases.values()
    ]
    return Task(dataset=MemoryDataset(samples), solver=runs_the_case(cases), scorer=our_scorers())


@solver
def runs_the_case(cases: Mapping[str, Case]) -> Solver:
    """Runs the case of a sample in a folder of its own, and keeps scores and conversations.

    Args:
        cases: By the sample's id.
    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        del generate  # the scenario says what models say
        found, messages = await to_thread.run_sync(_run, cases[str(state.sample_id)])
        state.metadata |= found
        state.messages = [*state.messages, *messages]
        state.completed = True
        return state

    return solve


@scorer(metrics={one.name: [mean()] for one in SCORERS})
def our_scorers() -> Scorer:
    """Our scorers, by name: 1 passed, 0 a fault, no value where it does not apply."""

    async def score(state: TaskState, target: Target) -> Score:
        del target  # what is expected is part of the scenario, and richer than a text
        return Score(
            value={name: state.metadata[_SCORES][name] for name in state.metadata[_SCORES]},
            answer=state.metadata["status"],
            explanation="\n".join(state.metadata[_FAULTS]) or "no fault",
        )

    return score


def _cases(family: str) -> Iterator[Case]:
    for scenario in load_scenarios():
        if family in ("", scenario.family):
            yield from cases_of(scenario)


def _run(case: Case) -> tuple[dict[str, Any], list[ChatMessage]]:
    with tempfile.TemporaryDirectory(prefix="inspect-") as folder:
        client = None if case.make_client is None else case.make_client()
        seen = observe(case.scenario, Path(folder), client=client)
        scores = {one.name: one.judge(seen) for one in SCORERS}
    return {
        _SCORES: {
            name: _NOT_ASKED if one.passed is None else float(one.passed) for name, one in scores.items()
        },
        _FAULTS: [f"{name}: {fault}" for name, one in scores.items() for fault in one.faults],
        "status": seen.result.status,
    }, list(_conversations(seen))


def _conversations(seen: Observed) -> Iterator[ChatMessage]:
    """Each agent's last request, which holds all before it, and the answer to it."""
    if not seen.texts["transcript"]:
        return
    last: dict[str, Entry] = {}
    for entry in parse_transcript(seen.texts["transcript"], label=seen.scenario.name).entries:
        last[entry.id.agent] = entry
    for agent, entry in last.items():
        yield ChatMessageSystem(content=f"{agent}\n\n{entry.request['system'][0]['text']}")
        for message in entry.request["messages"]:
            kind = ChatMessageUser if message["role"] == "user" else ChatMessageAssistant
            yield kind(content="\n\n".join(_block(block) for block in message["content"]) or "(nothing)")
        answer = entry.answer
        if isinstance(answer, Fault):
            yield ChatMessageAssistant(content=f"(no answer: {answer.kind}: {answer.detail})")
        else:
            yield ChatMessageAssistant(content="\n\n".join(map(_block, answer.content)) or "(nothing)")


def _block(block: Json) -> str:
    if block["type"] == "text":
        return str(block["text"])
    if block["type"] == "tool_result":
        return str(block["content"])
    if block["type"] == "tool_use":
        return f"{block['name']} {json.dumps(block['input'])}"
    return f"({block['type']})"
