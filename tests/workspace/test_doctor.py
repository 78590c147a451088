"""The doctor shows everything at once, says what a run would refuse, and touches nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from workspaces import (
    AS_OF,
    MODES,
    THREE,
    Strategy,
    changed,
    clock_at,
    line_in,
    make_workspace,
    performance_folder,
    random_returns,
    tree,
)

from portfolio_rebalance.errors import RebalanceError
from portfolio_rebalance.records import Finding
from portfolio_rebalance.workspace import examine, load_state
from portfolio_rebalance.workspace.problems import each_problem


def findings(root: Path, **clock: bool) -> tuple[Finding, ...]:
    before = tree(root.parent)
    found = examine(root, clock=clock_at(**clock), mode_names=MODES)
    assert tree(root.parent) == before
    assert all(finding.where and finding.what and finding.fix for finding in found)
    return found


def only(root: Path, severity: str) -> Finding:
    (finding,) = findings(root)
    assert finding.severity == severity
    return finding


def test_healthy_workspace_has_no_findings(tmp_path: Path) -> None:
    assert findings(make_workspace(tmp_path)) == ()


def test_shows_all_errors_at_once(tmp_path: Path) -> None:
    strategies = {
        **changed(THREE, "STR-001", market_value=-1, pinned=True),
        "STR-X": Strategy(capital=1, target_percent="0.01", status=None),
    }
    root = make_workspace(tmp_path, strategies, config="portfolio_rebalance: {enable: true}\n")
    registry = root / "knowledge/registry.yaml"
    registry.write_text(
        registry.read_text().replace("target_allocation_percent: 10 ", "target_allocation_percent: ten ")
    )
    (performance_folder(root, "STR-003") / "daily_returns.csv").write_text("date,return\n2025-02-04,x\n")
    found = findings(root)
    assert [finding.where for finding in found if finding.severity == "error"] == [
        ".crypto/config/portfolio-rebalance.yaml:1",
        line_in(root, "knowledge/registry.yaml", "ten"),
        line_in(
            root, "live-monitoring/live-performance/STR-001/snapshot-2025-02-05T010000Z.yaml", "market_value"
        ),
        ".crypto/live-monitoring/live-performance/STR-003/daily_returns.csv:2",
    ]
    registry.write_text(registry.read_text().replace("ten ", "10 "))
    assert any("STR-X is deployed here, but not registered" in finding.what for finding in findings(root))


def test_everything_missing_is_told_file_by_file(tmp_path: Path) -> None:
    (tmp_path / ".crypto").mkdir()
    assert [finding.where for finding in findings(tmp_path / ".crypto")] == [
        ".crypto/BOOTSTRAP.md",
        ".crypto/knowledge/registry.yaml",
    ]


BROKEN = {
    "bootstrap": lambda root: (root / "BOOTSTRAP.md").write_text(""),
    "registry": lambda root: (root / "knowledge/registry.yaml").write_text("strategies: 3\n"),
    "status": lambda root: replaced(root / "knowledge/registry.yaml", "status: deployed", "status: retired"),
    "targets": lambda root: replaced(root / "BOOTSTRAP.md", "target: 6000", "target: 7000"),
    "over 100": lambda root: (
        replaced(root / "knowledge/registry.yaml", "33.3333", "83.3333"),
        replaced(root / "BOOTSTRAP.md", "target: 20000", "target: 50000"),
    ),
    "config": lambda root: (
        (root / "config").mkdir() or (root / "config/portfolio-rebalance.yaml").write_text("x: 1\n")
    ),
    "snapshot": lambda root: next(performance_folder(root, "STR-001").glob("snap*")).write_text("as_of: 3\n"),
    "returns": lambda root: (performance_folder(root, "STR-001") / "daily_returns.csv").write_text("x\n"),
    "folder": lambda root: (
        (performance_folder(root, "STR-001") / "daily_returns.csv").unlink()
        or (performance_folder(root, "STR-001") / "daily_returns.csv").symlink_to("/etc/hostname")
    ),
}


def replaced(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


@pytest.mark.parametrize("part", BROKEN)
def test_finds_what_a_run_would_refuse(tmp_path: Path, part: str) -> None:
    root = make_workspace(tmp_path)
    BROKEN[part](root)
    with pytest.raises(RebalanceError) as caught:
        load_state(root, clock=clock_at(), mode_names=MODES)
    errors = [finding for finding in findings(root) if finding.severity == "error"]
    problems = {(one.where, one.what) for one in each_problem(caught.value)}
    assert problems <= {(error.where, error.what) for error in errors}


def test_nothing_deployed_is_an_error(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, {})
    assert only(root, "error").where == line_in(root, "BOOTSTRAP.md", "deployed_strategies")


def test_state_that_is_too_old_is_an_error_for_each_strategy(tmp_path: Path) -> None:
    old = timedelta(days=9)
    strategies = changed(changed(THREE, "STR-001", snapshot_age=old), "STR-007", snapshot_age=old)
    errors = [
        finding for finding in findings(make_workspace(tmp_path, strategies)) if finding.severity == "error"
    ]
    assert [error.where.split("/")[3] for error in errors] == ["STR-001", "STR-007"]


def test_stale_state_is_a_warning(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-001", snapshot=False))
    finding = only(root, "warning")
    assert finding.where == line_in(root, "BOOTSTRAP.md", "STR-001")
    assert "no snapshot" in finding.what


def test_missing_last_return_is_a_warning(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, returns={"STR-001": [*random_returns("x", 30), float("nan")]})
    assert "no return for 2025-02-04" in only(root, "warning").what


def test_position_that_does_not_multiply_is_a_warning(tmp_path: Path) -> None:
    leg = {"asset": "BTC", "quantity": 1, "price": 100, "market_value": 102}
    finding = only(make_workspace(tmp_path, changed(THREE, "STR-001", positions=(leg,))), "warning")
    assert "quantity times price" in finding.what
    assert finding.where.endswith("snapshot-2025-02-05T010000Z.yaml:4")


def test_hole_in_the_recent_returns_is_a_warning(tmp_path: Path) -> None:
    values = random_returns("x", 60)
    values[-10] = values[-11] = values[-40] = float("nan")
    finding = only(make_workspace(tmp_path, returns={"STR-001": values}), "warning")
    assert finding.what.startswith("2 of the days from 2025-01-06 to 2025-02-04")


def test_young_strategy_has_no_hole(tmp_path: Path) -> None:
    assert findings(make_workspace(tmp_path, returns={"STR-001": random_returns("x", 5)})) == ()


@pytest.mark.parametrize("value", [0.0, 0.01])
def test_constant_returns_are_a_warning(tmp_path: Path, value: float) -> None:
    finding = only(
        make_workspace(tmp_path, returns={"STR-001": [*random_returns("x", 9), *[value] * 30]}), "warning"
    )
    assert f"{value!r} on each of the last 30 days" in finding.what


def test_two_strategies_with_the_same_returns_are_a_warning(tmp_path: Path) -> None:
    """Two "venues" with identical closes are one series, and one bet."""
    same = random_returns("x", 90)
    other = [0.5, *same[1:]]
    root = make_workspace(tmp_path, returns={"STR-001": same, "STR-007": other})
    finding = only(root, "warning")
    assert finding.where.endswith("STR-007/daily_returns.csv")
    assert "exactly those of STR-001" in finding.what


def test_two_idle_strategies_are_not_each_others_copy(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, returns={"STR-001": [0.0] * 40, "STR-003": [0.0] * 40})
    assert not any("exactly those" in finding.what for finding in findings(root))


def test_unknown_keys_are_warnings_everywhere(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-001", registry_extra={"venue": "kraken"}))
    replaced(root / "BOOTSTRAP.md", "  currency: USD\n", "  currency: USD\n  owner: me\n")
    snapshot = next(performance_folder(root, "STR-001").glob("snap*"))
    snapshot.write_text(snapshot.read_text() + "source: x\n")
    found = findings(root)
    assert all(finding.severity == "warning" for finding in found)
    assert [finding.what.split("`")[1] for finding in found] == [
        "portfolio_state.owner",
        "strategies.STR-001.venue",
        "source",
    ]


def test_two_cluster_limits_that_differ_are_a_warning(tmp_path: Path) -> None:
    config = "portfolio_rebalance: {circuit_breakers: {max_correlated_exposure_percent: 25}}\n"
    assert "differ" in only(make_workspace(tmp_path, config=config), "warning").what


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_halt_in_any_form_is_a_warning(tmp_path: Path, kind: str) -> None:
    root = make_workspace(tmp_path)
    halt = root / "portfolio-rebalance/HALT"
    halt.parent.mkdir()
    if kind == "file":
        halt.write_text("")
    elif kind == "folder":
        halt.mkdir()
    else:
        halt.symlink_to("nowhere")
    assert only(root, "warning").where == ".crypto/portfolio-rebalance/HALT"


def test_more_strategies_than_can_be_funded_are_a_warning(tmp_path: Path) -> None:
    many = {f"STR-{n:03}": Strategy(capital=900, target_percent="1.5") for n in range(61)}
    finding = only(make_workspace(tmp_path, many), "warning")
    assert "61 strategies are deployed; the limits leave room for 60" in finding.what


def test_old_bootstrap_is_a_warning(tmp_path: Path) -> None:
    assert (
        "its cash is taken as it stands"
        in only(make_workspace(tmp_path, bootstrap_age=timedelta(days=8)), "warning").what
    )


def test_future_state_is_an_error(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, as_of=AS_OF + timedelta(hours=3))
    assert any("later than this run" in finding.what for finding in findings(root, fixed=False))


def test_a_ledger_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    (root / "portfolio-rebalance").mkdir()
    (root / "portfolio-rebalance/ledger.db").write_text("junk\n")
    assert "cut off" in only(root, "error").what


def test_whoever_cannot_be_notified_is_named(tmp_path: Path) -> None:
    target = "notifications: [{name: phone, url_env: PHONE_URL}]"
    root = make_workspace(tmp_path, config=f"portfolio_rebalance:\n  {target}\n")
    assert "phone cannot be notified: PHONE_URL is not set here" in only(root, "warning").what
    known = examine(root, clock=clock_at(), mode_names=MODES, environment={"PHONE_URL": "json://localhost"})
    assert known == ()


@pytest.mark.parametrize(
    ("content", "what"), [("reduce-only", "Increases are halted"), ("x", "Execution is")]
)
def test_a_halt_is_told_with_what_it_stops(tmp_path: Path, content: str, what: str) -> None:
    from portfolio_rebalance.workspace.halt import write_halt

    root = make_workspace(tmp_path)
    write_halt(root, level="reduce_only" if content == "reduce-only" else "all", reason=content)
    assert only(root, "warning").what.startswith(what)
