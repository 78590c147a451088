"""Play behaviours in a scene and judge each; what was found is kept by seed, to be played again."""

from __future__ import annotations

import random
import re
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from behaviours import Behaviour, settings_of
from judging_runs import faults_of, kind_of
from model_scenes import Played, Scene
from workspaces import AS_OF, tree

from portfolio_rebalance import run_skill
from portfolio_rebalance.agents.models import Models
from portfolio_rebalance.config_llm import Llm
from portfolio_rebalance.records import RebalanceResult
from portfolio_rebalance.run.queries import show

__all__ = ["Tally", "check_whole_run", "fuzz", "play"]


@dataclass(slots=True)
class Tally:
    """What came of many runs.

    Attributes:
        found: Faults by seed.
        seen: How often what happened.
    """

    runs: int = 0
    found: dict[str, list[str]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)


def play(scene: Scene, seed: str) -> tuple[Behaviour, Played]:
    """One run: the seed says how the model behaves, its budget, and whether ``--execute`` was typed."""
    behaviour = Behaviour(seed)
    played = scene.play(
        behaviour,
        settings=settings_of(seed),
        clock=behaviour.clock,
        asked_to_execute=random.Random(f"execute/{seed}").random() < 0.4,
    )
    return behaviour, played


def fuzz(scene: Scene, seeds: Iterable[str], *, tally: Tally | None = None) -> Tally:
    """Play and judge one run for each seed."""
    tally = Tally() if tally is None else tally
    for seed in seeds:
        tally.runs += 1
        try:
            behaviour, played = play(scene, seed)
        except Exception:  # nothing that a model does may raise, so whatever was raised is a fault
            tally.found[f"{scene.name}: {seed}"] = traceback.format_exc().splitlines()[-6:]
            continue
        faults = faults_of(scene, behaviour, settings_of(seed), played)
        if faults:
            tally.found[f"{scene.name}: {seed}"] = faults
        tally.seen.update(set(kind_of(scene, played)))
    return tally


def check_whole_run(scene: Scene, seed: str) -> list[str]:
    """Run the whole skill under a behaviour, and compare it with the same played in the scene.

    Args:
        scene: Its workspace gets the records of the run.
        seed: Of the behaviour; the budget is the default one.
    """
    played_by = Behaviour(seed)
    played = scene.play(played_by, settings=Llm(), clock=played_by.clock)
    behaviour = Behaviour(seed)
    result = run_skill(
        scene.base.request.model_copy(update={"dry_run": True}),
        now=AS_OF,
        models=Models(behaviour, settings=Llm(), clock=behaviour.clock),
    )
    faults = faults_of_the_files(scene, result)
    if result.spend is None or result.spend.calls != len(behaviour.made):
        faults.append("what the run cost is not told")
    told = {"written": (), "spend": None}
    if result.model_copy(update=told) != played.result:
        faults.append(f"it came to something else: {_differences(result, played.result, told)}")
    assert result.run_id is not None
    if show(scene.base.root, result.run_id) != result.model_copy(update={"spend": None}):
        faults.append("what is stored is something else")
    return faults


def faults_of_the_files(scene: Scene, result: RebalanceResult) -> list[str]:
    """Files that are not as before, beside the records that a run by rules would write."""
    after = tree(scene.base.root.parent)
    gone = [f"gone: {name}" for name in scene.files if name not in after]
    touched = [name for name, state in after.items() if scene.files.get(name) != state]
    if len(result.written) != 1:
        gone.append(f"written: {result.written}")
    return gone + [f"touched: {name}" for name in touched if not _A_RECORD.fullmatch(name)]


_A_RECORD = re.compile(r"\.crypto(/portfolio-rebalance(/(ledger\.db.*|lock|assessment-[0-9-]+\.yaml))?)?")


def _differences(one: RebalanceResult, other: RebalanceResult, told: dict[str, object]) -> list[str]:
    fields = (name for name in RebalanceResult.model_fields if name not in told)
    return [name for name in fields if getattr(one, name) != getattr(other, name)]
