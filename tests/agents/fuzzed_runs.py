"""Play behaviours in a scene and judge each; what was found is kept by seed, so that it can be played again."""

from __future__ import annotations

import random
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from behaviours import Behaviour, settings_of
from judging_runs import faults_of, kind_of
from model_scenes import Played, Scene

__all__ = ["Tally", "fuzz", "play"]


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
    """One run: the seed says how the model behaves, what its budget is, and whether ``--execute`` was typed."""
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
