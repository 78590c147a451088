"""The session: one stage at a time, in order, each once."""

from __future__ import annotations

from pathlib import Path

import pytest
from workspaces import AS_OF, THREE, clock_at, make_workspace, tree

from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.records import Decision, RebalanceRequest
from portfolio_rebalance.run import STAGES, Session, build_plan, drive_by_rules


def session(folder: Path) -> Session:
    return Session(root=make_workspace(folder, THREE), clock=clock_at(AS_OF), request=RebalanceRequest())


def test_every_stage_requires_only_what_earlier_ones_produce() -> None:
    made: set[str] = set()
    for stage in STAGES:
        assert made.issuperset(stage.requires), stage.name
        assert stage.produces not in made
        made.add(stage.produces)
    assert [stage.name for stage in STAGES] == [
        "bootstrap", "assess", "correlate", "propose", "comply", "simulate", "review", "decide",
    ]  # fmt: skip


def test_stages_advance_in_the_order_of_the_table_and_end(tmp_path: Path) -> None:
    run = session(tmp_path)
    assert [run.advance().name for _ in STAGES] == [stage.name for stage in STAGES]
    assert run.next_stage is None
    assert isinstance(run.decision, Decision)
    with pytest.raises(UsageError, match="no next stage"):
        run.advance()


def test_what_is_not_made_yet_cannot_be_read(tmp_path: Path) -> None:
    run = session(tmp_path)
    with pytest.raises(UsageError, match="assessment is not there"):
        _ = run.assessment


def test_a_stage_taken_away_is_made_again_from_what_it_requires(tmp_path: Path) -> None:
    run = session(tmp_path)
    drive_by_rules(run, progress=lambda _stage: None)
    first = build_plan(run)
    del run.artifacts["decision"]
    drive_by_rules(run, progress=lambda _stage: None)
    assert build_plan(run) == first


def test_driving_tells_each_stage_and_writes_nothing(tmp_path: Path) -> None:
    run = session(tmp_path)
    before = tree(tmp_path)
    told: list[str] = []
    drive_by_rules(run, progress=told.append)
    assert told == [stage.name for stage in STAGES]
    assert tree(tmp_path) == before
