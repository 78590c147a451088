"""Models that misbehave in every way we could think of: the run ends, and ends in what code allows."""

from __future__ import annotations

import pytest
from fuzzed_runs import Tally, fuzz
from model_scenes import Scene, make_scene, quickly

SMALL = (
    "breach",
    "breach, pre-approved",
    "improvement",
    "improvement, pre-approved",
    "drift",
    "blocked",
    "fallback",
    "hold",
)
EACH = 50


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scene]:
    return {name: make_scene(name, tmp_path_factory.mktemp("scene")) for name in SMALL}


@pytest.mark.parametrize("name", SMALL)
def test_a_model_that_misbehaves_changes_only_what_it_may(scenes: dict[str, Scene], name: str) -> None:
    with quickly(scenes[name]):
        tally = fuzz(scenes[name], (f"plain/{name}/{number}" for number in range(EACH)))
    assert tally.found == {}
    assert tally.runs == EACH
    assert scenes[name].untouched
    assert {"model", "rules", "reviewed", "a note"} <= set(tally.seen)


def test_in_these_runs_things_do_happen(scenes: dict[str, Scene]) -> None:
    """Where the basis is improvement, models lower and change the mode; elsewhere they try, in vain."""
    free, bound = Tally(), Tally()
    with quickly(*scenes.values()):
        fuzz(scenes["improvement"], (f"busy/{number}" for number in range(60)), tally=free)
        fuzz(scenes["breach, pre-approved"], (f"busy/{number}" for number in range(60)), tally=bound)
    assert (free.found, bound.found) == ({}, {})
    for kind in (
        "lowered",
        "another mode",
        "explained",
        "completed by code",
        "executed",
        "a person is asked",
    ):
        assert free.seen[kind] >= 2, kind
    assert bound.seen["stays"] >= 5
    assert bound.seen["lowered"] == bound.seen["another mode"] == 0
