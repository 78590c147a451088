"""Runs that models lead: scripts of what models say, and what a run under a script came to.

``led(root, healthy())`` is the run where all goes well: it looks, asks both reviewers, and submits. Every
other case is that script with something changed.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from executing import EXAMPLE_1, Told
from workspaces import AS_OF, Strategy, clock_at, make_workspace

from portfolio_rebalance import run_skill
from portfolio_rebalance.agents.messages import Call, Json, ModelClient, ModelError
from portfolio_rebalance.agents.models import Models
from portfolio_rebalance.agents.scripted import ScriptedClient, Step, uses
from portfolio_rebalance.records import RebalanceRequest, RebalanceResult
from portfolio_rebalance.run import Session
from portfolio_rebalance.run.queries import config_of

Script = dict[str, Sequence[Step]]

EXPLANATION = "S1 and S2 move together and hold more than their limit. D1 lowers it. Deployed now: {F4}."
WITHOUT_CITATION = "D1 lowers the cluster by 24 points."
"""Prose with a figure that is no citation."""

NOT_REACHED = ModelError("credentials", "HTTP 401 authentication_error")
"""What a client says that never gets an answer."""

REVIEWERS = ("quantitative_analyst", "risk_manager")


# --- what models say -------------------------------------------------------------------------------------


def look(draft: str = "D1") -> Step:
    """The orchestrator reads what it has to read about a draft."""
    return uses(
        ("calculate_correlation_matrix", {"window": "lookback"}),
        ("verify_allocation_compliance", {"draft_id": draft}),
        ("simulate_rebalance_impact", {"draft_id": draft}),
    )


def ask_both(draft: str = "D1") -> Step:
    """It asks both reviewers, in one message."""
    return uses(*(("request_review", {"role": role, "draft_id": draft}) for role in REVIEWERS))


def submit(verdict: str = "accept", draft: str = "D1", explanation: str = EXPLANATION) -> Step:
    """It hands in its verdict."""
    return uses(("submit", {"draft_id": draft, "verdict": verdict, "explanation": explanation}))


def reviewed(verdict: str = "approve", *concerns: tuple[str, str]) -> Step:
    """A reviewer hands in a review: kind and text of each concern."""
    listed = [{"kind": kind, "text": text} for kind, text in concerns]
    return uses(("submit_review", {"verdict": verdict, "concerns": listed}))


def healthy(
    verdict: str = "accept", *, draft: str = "D1", explanation: str = EXPLANATION, **changes: Sequence[Step]
) -> Script:
    """All goes well, in five calls.

    Args:
        verdict: The orchestrator's.
        draft: That it looks at, has reviewed, and submits.
        explanation: Its words.
        changes: Other steps of an agent, by its name.
    """
    analyst, manager = reviewers_of(draft)
    steps: Script = {
        "orchestrator": [look(draft), ask_both(draft), submit(verdict, draft, explanation)],
        analyst: [reviewed()],
        manager: [reviewed("concerns", ("concentration", "S1 stays the largest at {F15}."))],
    }
    return {**steps, **changes}


def reviewers_of(draft: str) -> tuple[str, str]:
    """The names under which the reviewers of a draft ask: only the first draft's have their role's own."""
    analyst, manager = REVIEWERS
    return (analyst, manager) if draft == "D1" else (f"{analyst}:{draft}", f"{manager}:{draft}")


def unreachable() -> Script:
    """The very first call fails."""
    return {"orchestrator": [NOT_REACHED]}


# --- runs ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Led:
    """What a run under a script came to.

    Attributes:
        calls: Every call, in the order they came.
        stages: What ``progress`` was told.
    """

    result: RebalanceResult
    calls: tuple[Call, ...]
    stages: tuple[str, ...]

    def of(self, agent: str) -> tuple[Call, ...]:
        """The calls of one agent."""
        return tuple(call for call in self.calls if call.agent == agent)

    @property
    def advice(self):  # type: ignore[no-untyped-def]
        """What models contributed."""
        assert self.result.advice is not None
        return self.result.advice


def led(
    root: Path,
    script: Mapping[str, Sequence[Step]] | ScriptedClient,
    *,
    at: datetime = AS_OF,
    person: Told | None = None,
    clock: Callable[[], float] = lambda: 0.0,
    **request: object,
) -> Led:
    """Run a workspace under a script, all of which has to be used.

    Args:
        root: The workspace; its ``llm`` block says which models and what budget.
        script: For each agent its steps.
        at: The machine's time and the run's.
        person: Somebody at a terminal.
        clock: Seconds of the budget; they stand still unless told.
        request: More of the request.
    """
    client = script if isinstance(script, ScriptedClient) else ScriptedClient(script)
    stages: list[str] = []
    result = run_skill(
        {"workspace": root, "as_of": at, **request},
        now=at,
        progress=stages.append,
        person=person,
        models=models_of(root, client, clock=clock),
    )
    client.finish()
    return Led(result=result, calls=client.calls, stages=tuple(stages))


def models_of(root: Path, client: ModelClient, *, clock: Callable[[], float] = lambda: 0.0) -> Models:
    """Models that this client answers for, with the workspace's own settings."""
    return Models(client, settings=config_of(root).llm, clock=clock)


def by_rules(
    root: Path, *, at: datetime = AS_OF, person: Told | None = None, **request: object
) -> RebalanceResult:
    """The same run without any model."""
    return run_skill({"workspace": root, "as_of": at, "provider": "rules", **request}, now=at, person=person)


def ready(root: Path, *, at: datetime = AS_OF, **request: object) -> Session:
    """A session whose candidates are there: where models are asked."""
    given = RebalanceRequest.model_validate({"workspace": str(root), "as_of": at, **request})
    session = Session(root=root, clock=clock_at(at), request=given)
    while (stage := session.next_stage) is not None and stage.name != "review":
        session.advance()
    return session


# --- requests --------------------------------------------------------------------------------------------


def request_bytes(call: Call) -> bytes:
    """The body of a request as it leaves the machine."""
    return json.dumps(call.request, ensure_ascii=False, separators=(",", ":")).encode()


def answers(call: Call) -> list[Json]:
    """The blocks of a request's last message, without the mark of the cache."""
    last = call.request["messages"][-1]
    assert last["role"] == "user", last
    return [
        {key: value for key, value in block.items() if key != "cache_control"} for block in last["content"]
    ]


def answer_texts(call: Call) -> list[str]:
    """What the last message of a request says, block by block."""
    return [block["text"] if block["type"] == "text" else block["content"] for block in answers(call)]


def fact_id(text: str, label: str) -> str:
    """Id of the fact of this label in a text of facts."""
    found = re.findall(rf"^(F\d+) \| {re.escape(label)} \| ", text, re.MULTILINE)
    assert len(found) == 1, (label, found)
    return str(found[0])


def fact_values(text: str) -> dict[str, str]:
    """Label to what is shown, of a text of facts; a label that stands twice keeps the last."""
    lines = (line.split(" | ") for line in text.splitlines() if re.match(r"F\d+ \| ", line))
    return {label: shown for _, label, shown in lines}


# --- portfolios ------------------------------------------------------------------------------------------


def many_strategies(
    folder: Path, count: int, *, groups: int = 6, days: int = 120, config: str | None = None
) -> Path:
    """A portfolio of many: in each group all move together, and every target is missed."""
    draw = random.Random(7)
    ids = [f"STR-{number:03d}" for number in range(1, count + 1)]
    factors = [[draw.gauss(0.001, 0.02) for _ in range(days)] for _ in range(groups)]
    returns = {
        key: [round(0.95 * value + 0.2 * draw.gauss(0, 0.02), 8) for value in factors[number % groups]]
        for number, key in enumerate(ids)
    }
    each = 54_000 // count
    strategies = {
        key: Strategy(capital=each + (number % 7) * 10, target_percent="1.25", name=f"bot {key}")
        for number, key in enumerate(ids)
    }
    return make_workspace(folder, strategies, returns=returns, config=config)


def short_of_history(folder: Path, *, days: int) -> Path:
    """Example 1 with so few days of returns that correlation may be unknown."""
    draw = random.Random(3)
    returns = {key: [round(draw.gauss(0.001, 0.02), 8) for _ in range(days)] for key in EXAMPLE_1}
    return make_workspace(folder, EXAMPLE_1, returns=returns)


def within_limits(folder: Path, *, drifted: bool = False, config: str | None = None, seed: int = 11) -> Path:
    """Three uncorrelated strategies that break no limit; on target, unless one is to have drifted."""
    draw = random.Random(seed)
    means = {"STR-001": 0.0005, "STR-003": 0.004, "STR-007": -0.002}
    returns = {key: [round(draw.gauss(mean, 0.015), 8) for _ in range(120)] for key, mean in means.items()}
    strategies = {
        key: replace(
            EXAMPLE_1[key],
            capital=capital,
            target_percent=target,
            positions=(),
            snapshot_age=timedelta(hours=1),
        )
        for key, capital, target in (
            ("STR-001", 12_000, 20 if not drifted else 17),
            ("STR-003", 9_000, 15),
            ("STR-007", 9_000, 15),
        )
    }
    return make_workspace(folder, strategies, returns=returns, config=config)
