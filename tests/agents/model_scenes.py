"""Scenes for runs that models lead: each is planned by rules once, and then played as often as one likes.

A scene holds what code made up to its candidates. Those are frozen records, so every play begins from the
very same ones, and what a play came to can be compared with them by identity. Two things that depend on them
alone are not computed again for each play: the fact sheet, and the cheapest plan; `test_malicious_model.py`
and the last part of the proof run the whole skill, with nothing spared.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from executing import config_text, example_1
from workspaces import AS_OF, Strategy, changed, clock_at, make_workspace, tree

from portfolio_rebalance.agents import orchestrator
from portfolio_rebalance.agents.budget import Budget
from portfolio_rebalance.agents.fact_sheet import FactSheet, fact_sheet
from portfolio_rebalance.agents.messages import Json, ModelClient
from portfolio_rebalance.agents.orchestrator import drive_by_model
from portfolio_rebalance.agents.tool import Tool
from portfolio_rebalance.config_llm import Llm
from portfolio_rebalance.records import AgentSpend, Candidate, Decision, RebalanceRequest, RebalanceResult
from portfolio_rebalance.run import Session, build_plan, drive_by_rules
from portfolio_rebalance.run.record import result_of

__all__ = ["PRE_APPROVED", "SCENES", "Played", "Scene", "make_scene", "quickly"]

PRE_APPROVED = config_text("execution: {mode: auto_execute, approval_required: false}")
"""On paper, a plan of the configured mode is executed without asking."""


class _Session(Session):
    """A session that knows the cheapest plan beforehand."""

    __slots__ = ("known_cheapest",)
    known_cheapest: Candidate | None

    @property
    def cheapest(self) -> Candidate | None:
        return self.known_cheapest


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One workspace with one request.

    Attributes:
        base: Advanced to its candidates.
        by_rules: What the run comes to without a model.
        asked_for: What it comes to by rules where a person asks for a mode, by that mode.
        rulings: What code decides on each candidate, by mode.
        files: Everything in the workspace before any play.
    """

    name: str
    base: Session
    sheet: FactSheet
    by_rules: RebalanceResult
    asked_for: Mapping[str, RebalanceResult]
    rulings: Mapping[str, Decision]
    files: Mapping[str, str]

    @property
    def untouched(self) -> bool:
        """Whether the workspace is as it was, to the byte and to the second."""
        return tree(self.base.root.parent) == self.files

    def play(
        self,
        client: ModelClient,
        *,
        settings: Llm,
        clock: Callable[[], float],
        asked_to_execute: bool = False,
    ) -> Played:
        """Let this client lead the run; nothing is stored, and nothing executed.

        Args:
            client: Answers.
            settings: Models and budget.
            clock: Of the budget.
            asked_to_execute: Whether a person typed ``--execute``.
        """
        session = _session(self.base, self.base.request)
        state = self.base.state
        session.artifacts["state"] = replace(state, config=state.config.model_copy(update={"llm": settings}))
        session.known_cheapest = self.by_rules.cheapest
        executed: list[RebalanceResult] = []
        budget = Budget(settings, clock=clock)
        result = drive_by_model(
            session,
            client=client,
            budget=budget,
            finish=lambda: result_of(session, plan=build_plan(session), written=()),
            execute=executed.append if asked_to_execute else None,
        )
        return Played(result=result, executed=tuple(executed), spent=budget.spent())


@dataclass(frozen=True, kw_only=True)
class Played:
    """What a play came to.

    Attributes:
        executed: What the desk that executes was handed.
        spent: What the budget counted.
    """

    result: RebalanceResult
    executed: tuple[RebalanceResult, ...]
    spent: tuple[AgentSpend, ...]


def make_scene(name: str, folder: Path) -> Scene:
    """The scene of this name, its workspace in this folder."""
    made = SCENES[name]
    root = made.workspace(folder)
    request = RebalanceRequest.model_validate({"workspace": str(root), "as_of": AS_OF, **made.request})
    base = Session(root=root, clock=clock_at(AS_OF), request=request)
    while (stage := base.next_stage) is not None and stage.name != "review":
        base.advance()
    by_rules = _by_rules(base, request)
    ruling = by_rules.decision
    assert ruling is not None
    assert (ruling.recommendation, ruling.basis) == made.ruled, name
    assert base.configured_mode == made.mode, name
    return Scene(
        name=name,
        base=base,
        sheet=fact_sheet(base),
        by_rules=by_rules,
        asked_for={
            one.mode: _by_rules(base, request.model_copy(update={"mode": one.mode}))
            for one in base.candidates
        },
        rulings={one.mode: base.ruled(one) for one in base.candidates},
        files=tree(root.parent),
    )


@contextmanager
def quickly(*scenes: Scene) -> Iterator[None]:
    """Hand out each scene's fact sheet, and the schema of a tool, instead of making them anew each time."""
    sheets = {id(scene.base.artifacts["candidates"]): scene.sheet for scene in scenes}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orchestrator, "fact_sheet", lambda session: sheets[id(session.artifacts["candidates"])])
        kinds: dict[tuple[str, type], Json] = {}

        def spec(tool: Tool) -> Json:  # type: ignore[type-arg]
            key = (tool.name, tool.arguments)
            if key not in kinds:
                kinds[key] = _SPEC(tool)
            return kinds[key]

        patch.setattr(Tool, "spec", spec)
        yield


_SPEC = Tool.spec


def _session(base: Session, request: RebalanceRequest) -> _Session:
    return _Session(
        root=base.root,
        clock=base.clock,
        request=request,
        artifacts=dict(base.artifacts),
        previous_high_pairs=base.previous_high_pairs,
        draws=base.draws,
    )


def _by_rules(base: Session, request: RebalanceRequest) -> RebalanceResult:
    session = Session(
        root=base.root,
        clock=base.clock,
        request=request,
        artifacts=dict(base.artifacts),
        previous_high_pairs=base.previous_high_pairs,
        draws=base.draws,
    )
    drive_by_rules(session, progress=lambda _stage: None)
    return result_of(session, plan=build_plan(session), written=())


# --- workspaces ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Made:
    """How a scene is made, and what rules come to in it: a scene that changed its kind proves nothing."""

    workspace: Callable[[Path], Path]
    ruled: tuple[str, str]
    mode: str = "correlation_aware"
    request: Mapping[str, object] = field(default_factory=dict)


def _on_target(**capital: int) -> dict[str, Strategy]:
    """Strategies of a portfolio of 100 000 that hold exactly their targets."""
    return {
        "STR-" + key.upper(): Strategy(capital=amount, target_percent=f"{amount / 1000:.3f}")
        for key, amount in capital.items()
    }


def _hundred_thousand(strategies: Mapping[str, Strategy], **more: object) -> Callable[[Path], Path]:
    return lambda folder: make_workspace(folder, strategies, total_capital=100_000, **more)  # type: ignore[arg-type]


def _draws(mean: float, deviation: float, seed: str) -> list[float]:
    draw = random.Random(seed)
    return [round(draw.gauss(mean, deviation), 8) for _ in range(90)]


_UNEQUAL = {
    "STR-A": _draws(0.004, 0.02, "a"),
    "STR-B": _draws(-0.003, 0.03, "b"),
    "STR-C": _draws(0.001, 0.01, "c"),
}
"""Returns so different that moving capital between them improves the simulation."""

_UNKNOWN = {"STR-A": None, "STR-B": None}
_THREE_EQUAL = _on_target(a=15_000, b=15_000, c=15_000)
_SIXTY = {
    f"STR-{number:03d}": Strategy(capital=1_000 + number % 7 * 3, target_percent="1.0")
    for number in range(60)
}

SCENES: Mapping[str, _Made] = {
    "breach": _Made(workspace=example_1, ruled=("REBALANCE", "compliance")),
    "breach, pre-approved": _Made(
        workspace=lambda folder: example_1(folder, config=PRE_APPROVED), ruled=("REBALANCE", "compliance")
    ),
    "breach, mode asked for": _Made(
        workspace=example_1,
        ruled=("REBALANCE", "compliance"),
        mode="proportional",
        request={"mode": "proportional"},
    ),
    "breach, one held": _Made(
        workspace=example_1, ruled=("REBALANCE", "compliance"), request={"hold": ("STR-003",)}
    ),
    "improvement": _Made(
        workspace=_hundred_thousand(
            _THREE_EQUAL,
            returns=_UNEQUAL,
            config=config_text("rebalancing_modes: {default: performance_weighted}"),
        ),
        ruled=("REBALANCE", "improvement"),
        mode="performance_weighted",
    ),
    "improvement, pre-approved": _Made(
        workspace=_hundred_thousand(
            _THREE_EQUAL,
            returns=_UNEQUAL,
            config=config_text(
                "rebalancing_modes: {default: risk_adjusted}",
                "execution: {mode: auto_execute, approval_required: false}",
            ),
        ),
        ruled=("REBALANCE", "improvement"),
        mode="risk_adjusted",
    ),
    "drift": _Made(
        workspace=_hundred_thousand(changed(_on_target(a=20_000, b=10_000), "STR-B", market_value=11_300)),
        ruled=("REBALANCE", "drift"),
    ),
    "drift, optional": _Made(
        workspace=_hundred_thousand(
            changed(_on_target(a=20_000, b=10_000, c=8_000), "STR-B", market_value=10_900)
        ),
        ruled=("OPTIONAL", "drift"),
    ),
    "blocked": _Made(
        workspace=_hundred_thousand(changed(_on_target(a=45_000, b=10_000), "STR-A", pinned=True)),
        ruled=("BLOCKED", "compliance"),
    ),
    "fallback": _Made(
        workspace=_hundred_thousand(
            changed(_on_target(a=35_000, b=30_000), "STR-B", market_value=36_000), returns=_UNKNOWN
        ),
        ruled=("REBALANCE", "compliance"),
        mode="proportional",
    ),
    "correlation unknown, proportional configured": _Made(
        workspace=_hundred_thousand(
            changed(_on_target(a=20_000, b=20_000), "STR-B", market_value=21_500),
            returns=_UNKNOWN,
            config=config_text("rebalancing_modes: {default: proportional}"),
        ),
        ruled=("OPTIONAL", "drift"),
        mode="proportional",
    ),
    "hold": _Made(workspace=_hundred_thousand(_on_target(a=20_000, b=10_000)), ruled=("HOLD", "none")),
    "sixty strategies": _Made(workspace=_hundred_thousand(_SIXTY), ruled=("REBALANCE", "compliance")),
}
