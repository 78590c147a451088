"""The workspace is found upward from where one stands; a named one is not searched for elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from portfolio_rebalance.errors import UnsafePathError, WorkspaceNotFoundError
from portfolio_rebalance.workspace import find_workspace, workspace_at
from portfolio_rebalance.workspace.layout import daily_returns_csv, performance_folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    (project / ".crypto" / "config").mkdir(parents=True)
    (project / "deep" / "deeper").mkdir(parents=True)
    return project


@pytest.mark.parametrize(
    "start", [".", "deep", "deep/deeper", ".crypto", ".crypto/config", "deep/../.crypto"]
)
def test_is_found_upward_from_any_folder_of_the_project(project: Path, start: str) -> None:
    assert find_workspace(project / start) == (project / ".crypto").resolve()


def test_is_found_from_the_working_directory(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / ".crypto")
    assert find_workspace(Path()) == (project / ".crypto").resolve()
    assert workspace_at(Path()) == (project / ".crypto").resolve()


def test_nearest_one_wins(project: Path) -> None:
    (project / "deep" / ".crypto").mkdir()
    assert find_workspace(project / "deep" / "deeper").parent.name == "deep"


def test_root_may_be_a_link_and_is_resolved_once(project: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / ".crypto").symlink_to(project / ".crypto")
    assert find_workspace(tmp_path / "elsewhere") == (project / ".crypto").resolve()
    assert find_workspace(tmp_path / "elsewhere" / ".crypto") == (project / ".crypto").resolve()


def test_link_named_like_a_workspace_may_lead_to_a_folder_of_another_name(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / ".crypto").symlink_to(tmp_path / "shared")
    assert workspace_at(tmp_path / ".crypto") == (tmp_path / "shared").resolve()


def test_no_workspace_names_where_it_looked_and_how_to_create_one(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceNotFoundError) as caught:
        find_workspace(tmp_path)
    assert str(tmp_path.resolve()) in str(caught.value)
    assert "trading-portfolio-rebalance init" in caught.value.fix


def test_file_of_that_name_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / ".crypto").write_text("")
    with pytest.raises(WorkspaceNotFoundError):
        find_workspace(tmp_path)


def test_folder_that_does_not_exist_is_refused_and_nothing_above_it_is_taken(project: Path) -> None:
    with pytest.raises(WorkspaceNotFoundError, match="no folder"):
        find_workspace(project / "mistyped")


def test_named_workspace_is_taken_from_the_folder_or_its_parent(project: Path) -> None:
    assert workspace_at(project) == workspace_at(project / ".crypto") == (project / ".crypto").resolve()


def test_named_workspace_is_not_searched_for_in_folders_above(project: Path) -> None:
    with pytest.raises(WorkspaceNotFoundError):
        workspace_at(project / "deep")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_folder_that_may_not_be_looked_into_holds_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "closed" / "inner").mkdir(parents=True)
    (tmp_path / "closed").chmod(0)
    try:
        with pytest.raises(WorkspaceNotFoundError):
            find_workspace(tmp_path / "closed" / "inner")
    finally:
        (tmp_path / "closed").chmod(0o755)


def test_strategy_folder_is_below_live_performance() -> None:
    assert performance_folder("STR-A_1-B") == "live-monitoring/live-performance/STR-A_1-B"
    assert daily_returns_csv("STR-A").endswith("/STR-A/daily_returns.csv")


@pytest.mark.parametrize(
    "identifier",
    [
        "",
        ".",
        "..",
        "STR-",
        "STR-a",
        "str-A",
        "STR-A/..",
        "STR-A\n",
        "STR-" + "A" * 33,
        "STR-Å",
        " STR-A",
        "STR--A",
    ],
)
def test_anything_but_a_strategy_id_is_refused_before_it_touches_a_path(identifier: str) -> None:
    with pytest.raises(UnsafePathError):
        performance_folder(identifier)
