"""More than ten thousand models that misbehave: every run ends, and ends in what code allows."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

# The rooms of the tests are no packages: a proof that shares the judge of one says where it stands.
sys.path.append(str(Path(__file__).parents[1] / "agents"))

from fuzzed_runs import Tally, check_whole_run, fuzz
from model_scenes import SCENES, make_scene, quickly

EACH = 840
OF_SIXTY_STRATEGIES = 300
WHOLE_RUNS = 30

RUNS = {name: OF_SIXTY_STRATEGIES if name == "sixty strategies" else EACH for name in SCENES}

FREE = {"breach", "breach, one held", "improvement", "drift", "drift, optional", "hold", "sixty strategies"}
"""Where a model may recommend another mode to a person."""

LOWERED = {"improvement", "improvement, pre-approved", "hold"}
"""Where a model may lower a recommendation: its basis is improvement, or that of another mode's is."""


@pytest.mark.proof
def test_that_is_more_than_ten_thousand_in_all() -> None:
    assert sum(RUNS.values()) >= 10_000
    assert set(SCENES) >= FREE | LOWERED


@pytest.mark.proof
@pytest.mark.parametrize("name", SCENES)
def test_no_model_changes_more_than_it_may(tmp_path: Path, name: str) -> None:
    scene = make_scene(name, tmp_path)
    with quickly(scene):
        tally = fuzz(scene, (f"proof/{name}/{number}" for number in range(RUNS[name])))
    assert tally.found == {}
    assert tally.runs == RUNS[name]
    assert scene.untouched
    _require_that_things_happened(tally, name)


@pytest.mark.proof
@pytest.mark.parametrize("name", SCENES)
def test_whole_runs_come_to_the_same_and_leave_only_their_records(tmp_path: Path, name: str) -> None:
    """The skill itself, with ledger and files: what it stores is what the run came to."""
    scene = make_scene(name, tmp_path)
    found: dict[str, list[str]] = {}
    for number in range(WHOLE_RUNS if name != "sixty strategies" else WHOLE_RUNS // 3):
        seed = f"whole/{name}/{number}"
        if faults := check_whole_run(scene, seed):
            found[seed] = faults
    assert found == {}


def _require_that_things_happened(tally: Tally, name: str) -> None:
    seen: Counter[str] = tally.seen
    least = tally.runs // 20
    for kind in (
        "model",
        "rules",
        "explained",
        "reviewed",
        "a person is asked",
        "a note",
        "completed by code",
    ):
        assert seen[kind] >= least, (kind, seen)
    assert (seen["another mode"] > 0) is (name in FREE), seen
    assert (seen["lowered"] > 0) is (name in LOWERED), seen
    assert seen["stays"] > 0, seen
