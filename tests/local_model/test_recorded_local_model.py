"""Runs that a small model led, recorded beforehand and replayed here: no key, no network, no model."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_scenes import make_scene
from record import RECORDED, REDACT, SCENES, judged

from portfolio_rebalance.agents.replay import ReplayClient
from portfolio_rebalance.agents.transcript import Transcript
from portfolio_rebalance.agents.transcript_files import open_transcript
from portfolio_rebalance.records import canonical_bytes


def transcript_of(name: str) -> Transcript:
    return open_transcript(RECORDED / SCENES[name])


def test_every_scene_is_recorded_and_nothing_else_is():
    assert sorted(file.name for file in RECORDED.iterdir()) == sorted(SCENES.values())


@pytest.mark.parametrize("name", SCENES)
def test_a_recording_says_that_a_model_on_this_machine_answered(name):
    transcript = transcript_of(name)
    assert (transcript.provenance, dict(transcript.notes)) == ("local-model", {"scene": name})
    assert {entry.answer.model for entry in transcript.entries} == {"smollm2-135m-instruct-q4_1"}
    assert {entry.answer.stop_reason for entry in transcript.entries} == {"tool_use"}


@pytest.mark.parametrize("name", SCENES)
def test_a_recorded_run_is_replayed_twice_to_the_same_bytes_and_breaks_nothing(name, tmp_path):
    """Where a prompt, a tool or a fact has changed: ``python tests/local_model/record.py``."""
    transcript = transcript_of(name)
    seen = []
    for number in ("first", "second"):
        (tmp_path / number).mkdir()
        replay = ReplayClient(transcript, redact=REDACT)
        played, faults = judged(make_scene(name, Path(tmp_path, number)), replay)
        replay.finish()
        assert faults == []
        assert sum(one.calls for one in played.spent) == len(transcript.entries)
        seen.append((canonical_bytes(played.result.plan), canonical_bytes(played.result)))
    assert seen[0] == seen[1]
