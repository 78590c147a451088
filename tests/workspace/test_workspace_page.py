"""The page on the workspace cannot rot: every example on it is loaded."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import BaseModel
from workspaces import MODES, clock_at

from portfolio_rebalance.workspace import LoadedState, examine, load_state
from portfolio_rebalance.workspace.bootstrap import _Deployed, _State
from portfolio_rebalance.workspace.registry import _Entry
from portfolio_rebalance.workspace.snapshots import _Leg, _Snapshot

PAGE = (Path(__file__).parents[2] / "docs/workspace.md").read_text()
CLOCK = clock_at(datetime(2026, 11, 23, 2, tzinfo=UTC))
FENCED = re.compile(
    r"((?:^<!-- file: [^\n]+ -->\n)*)^(?P<fence>`{3,})(\w+)\n(.*?)^(?P=fence)\n", re.MULTILINE | re.DOTALL
)


def examples() -> list[tuple[str, str, str]]:
    """Workspace, path in it, and text of each example."""
    return [
        (workspace, path, text)
        for marks, _, _, text in FENCED.findall(PAGE)
        for workspace, path in re.findall(r"<!-- file: (\w+) (\S+) -->", marks)
    ]


def build(folder: Path, workspace: str) -> Path:
    for name, path, text in examples():
        if name == workspace:
            file = folder / ".crypto" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            assert not file.exists()
            file.write_text(text)
    return folder / ".crypto"


def load(root: Path) -> LoadedState:
    return load_state(root, clock=CLOCK, mode_names=MODES)


def test_every_fenced_block_is_an_example_that_is_loaded() -> None:
    blocks = FENCED.findall(PAGE)
    assert all(marks for marks, *_ in blocks)
    assert len(blocks) == 8
    assert PAGE.count("<!-- file:") == len(examples()) == 10


def test_full_examples_are_one_workspace_with_nothing_to_mend(tmp_path: Path) -> None:
    root = build(tmp_path, "full")
    portfolio = load(root).portfolio
    assert (portfolio.total_capital, portfolio.cash, portfolio.stale) == (60_000, 27_500, ())
    assert portfolio.strategies[0].positions[1].quantity == -1
    assert portfolio.warnings == ()
    (note,) = examine(root, clock=CLOCK, mode_names=MODES)
    assert "have no return" in note.what  # the hole that the page shows


def test_shortest_examples_are_a_workspace_too(tmp_path: Path) -> None:
    (strategy,) = load(build(tmp_path, "shortest")).portfolio.strategies
    assert (strategy.name, strategy.assets, strategy.risk_profile) == ("STR-001", (), None)
    assert (strategy.capital, strategy.positions, strategy.stale) == (12_100, (), "")


@pytest.mark.parametrize(
    ("heading", "model"),
    [("BOOTSTRAP.md", _State), ("knowledge/registry.yaml", _Entry), ("Snapshots", _Snapshot)],
)
def test_page_names_every_key_and_whether_it_is_required(heading: str, model: type[BaseModel]) -> None:
    section = re.split(r"(?m)^## ", PAGE.split(f"\n## {heading}\n")[1])[0]
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| (\w+) \|", section))
    assert {name: rows[name] == "required" for name in rows} == {
        name: field.is_required() for name, field in model.model_fields.items()
    }


def test_page_names_the_keys_of_strategies_and_positions() -> None:
    for name in (*_Deployed.model_fields, *_Leg.model_fields):
        assert f"`{name}`" in PAGE
