"""The doctor on what a person gets wrong file by file: all of it, in order, with the path to write."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from workspaces import THREE, Strategy, changed, line_in, make_workspace, performance_folder, random_returns

from .test_doctor import findings, only

MONITORED = "live-monitoring/live-performance"
REGISTRY = "knowledge/registry.yaml"


def test_every_problem_of_a_file_is_a_finding_of_its_own(tmp_path: Path) -> None:
    text = "strategies:\n" + "".join(
        f"  STR-00{n}: {{status: deployed, target_allocation_percent: {value}}}\n"
        for n, value in ((1, "lots"), (3, "-1"), (7, "101"))
    )
    found = findings(make_workspace(tmp_path, registry=text))
    assert [finding.where for finding in found] == [f".crypto/{REGISTRY}:{line}" for line in (2, 3, 4)]
    assert not any("more problem" in finding.what for finding in found)


def test_every_ambiguous_number_of_a_file_is_a_finding(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    path = root / "BOOTSTRAP.md"
    path.write_text(path.read_text().replace("60000", "60_000").replace("20400", "20_400"))
    assert [(finding.where, finding.fix) for finding in findings(root)] == [
        (line_in(root, "BOOTSTRAP.md", "60_000"), "Write 60000."),
        (line_in(root, "BOOTSTRAP.md", "20_400"), "Write 20400."),
    ]


def test_findings_are_sorted_by_file_and_by_the_number_of_the_line(tmp_path: Path) -> None:
    many = {f"STR-{n:03}": Strategy(capital=10, target_percent="0.5") for n in range(12)}
    root = make_workspace(tmp_path, many, config="portfolio_rebalance: {enable: true}\n")
    path = root / "BOOTSTRAP.md"
    path.write_text(path.read_text().replace("capital: 10,", "capital: -1,"))
    lines = [
        int(finding.where.rsplit(":", 1)[1]) for finding in findings(root) if "BOOTSTRAP" in finding.where
    ]
    assert len(lines) == 12
    assert lines == sorted(lines)
    files = [finding.where.rsplit(":", 1)[0] for finding in findings(root)]
    assert files == sorted(files)


# --- what to write ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("age", [None, timedelta(hours=25), timedelta(days=9)])
def test_missing_stale_or_refused_snapshot_names_the_path_and_keys_to_write(
    tmp_path: Path, age: timedelta | None
) -> None:
    changes = {"snapshot": False} if age is None else {"snapshot_age": age}
    root = make_workspace(tmp_path, changed(THREE, "STR-001", **changes))
    wanted = f"Write {MONITORED}/STR-001/snapshot-<UTC>.yaml with as_of, market_value."
    assert all(finding.fix.startswith(wanted) for finding in findings(root))
    assert findings(root)


def test_missing_return_names_the_row_or_the_file_to_write(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, returns={"STR-001": None, "STR-003": [0.01, -0.02, float("nan")]})
    none, short = findings(root)
    assert none.where == f".crypto/{MONITORED}/STR-001/daily_returns.csv"
    assert none.fix == (
        f"Write {MONITORED}/STR-001/daily_returns.csv with the columns date,return and rows up to 2025-02-04."
    )
    assert short.where == f".crypto/{MONITORED}/STR-003/daily_returns.csv"
    assert short.fix == "Add the row `2025-02-04,<fraction>` to it."


# --- names nobody reads ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "read_instead"),
    [
        ("snapshot.yml", "snapshot-<UTC>.yaml"),
        ("snapshot.yaml", "snapshot-<UTC>.yaml"),
        ("Snapshot-2025-02-05T010000Z.yaml", "snapshot-<UTC>.yaml"),
        ("state.yaml", "snapshot-<UTC>.yaml"),
        ("returns.csv", "daily_returns.csv"),
        ("daily_returns.tsv", "daily_returns.csv"),
        ("Daily_Returns.CSV", "daily_returns.csv"),
        ("x.bin", "daily_returns.parquet"),
        ("\u202ex.yaml", "snapshot-<UTC>.yaml"),
    ],
    ids=ascii,
)
def test_file_that_nobody_reads_is_a_warning_saying_what_would_be(
    tmp_path: Path, name: str, read_instead: str
) -> None:
    root = make_workspace(tmp_path)
    (performance_folder(root, "STR-003") / name).write_text("")
    finding = only(root, "warning")
    assert finding.where.startswith(f".crypto/{MONITORED}/STR-003/")
    assert finding.what.startswith("Nobody reads ")
    assert finding.what.isprintable()
    assert read_instead in finding.fix


def test_many_such_files_are_one_warning_a_kind(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    for n in range(9):
        (performance_folder(root, "STR-003") / f"snap{n}.json").write_text("")
    assert "snap4.json and 4 more" in only(root, "warning").what


def test_readme_and_hidden_files_are_peoples_own(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    for folder in (performance_folder(root, "STR-003"), root / MONITORED):
        for name in ("README.md", ".DS_Store", "notes.md"):
            (folder / name).write_text("")
    assert findings(root) == ()


@pytest.mark.parametrize("name", ["str-001", "STR_001", "Str 001", "STR001"])
def test_folder_that_nearly_has_the_id_of_a_strategy_is_a_warning(tmp_path: Path, name: str) -> None:
    root = make_workspace(tmp_path)
    (root / MONITORED / name).mkdir()
    finding = only(root, "warning")
    assert finding.where == f".crypto/{MONITORED}/{name}"
    assert finding.fix.startswith("Rename it to STR-001")


def test_folder_of_no_strategy_is_a_warning_naming_those_that_are_read(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    (root / MONITORED / "funding").mkdir()
    assert only(root, "warning").fix.endswith("deployed strategies: STR-001, STR-003, STR-007.")


def test_folder_of_a_retired_strategy_may_stay(tmp_path: Path) -> None:
    old = Strategy(capital=1, target_percent=1, status="retired", in_bootstrap=False)
    root = make_workspace(tmp_path, {**THREE, "STR-OLD": old})
    (root / MONITORED / "STR-OLD").mkdir()
    assert findings(root) == ()


# --- percent for fractions -------------------------------------------------------------------------------


def test_returns_in_percent_are_a_warning_with_the_fix(tmp_path: Path) -> None:
    percent = [round(100 * value, 4) for value in random_returns("x", 90)]
    percent = [max(value / 6, -0.9) for value in percent]  # quiet ones: beyond -1 they are refused anyway
    finding = only(make_workspace(tmp_path, returns={"STR-001": percent}), "warning")
    assert "look like percent" in finding.what
    assert "divide every value by 100" in finding.fix


@pytest.mark.parametrize(("large", "warned"), [(4, False), (5, True)])
def test_more_than_one_row_in_twenty_beyond_half_is_a_warning_too(
    tmp_path: Path, large: int, warned: bool
) -> None:
    values = [0.51 if place < large else 0.001 * (-1) ** place for place in range(90)]
    found = findings(make_workspace(tmp_path, returns={"STR-001": values}))
    assert any("look like percent" in finding.what for finding in found) is warned


def test_wild_but_fractional_returns_are_no_warning(tmp_path: Path) -> None:
    wild = [5 * value for value in random_returns("x", 90)]
    assert findings(make_workspace(tmp_path, returns={"STR-001": wild})) == ()


def test_only_the_last_ninety_rows_tell_the_unit(tmp_path: Path) -> None:
    values = [9.0, -0.9] * 20 + random_returns("x", 90)
    assert findings(make_workspace(tmp_path, returns={"STR-001": values})) == ()


# --- figures that have grown apart -----------------------------------------------------------------------


def test_doctor_tells_of_a_snapshot_that_lags_bootstrap(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-003", market_value=12_300))
    finding = only(root, "warning")
    snapshot = f"{MONITORED}/STR-003/snapshot-2025-02-05T010000Z.yaml"
    assert finding.where == line_in(root, snapshot, "market_value")
    assert all(
        words in finding.what for words in ("12300", "12100", line_in(root, "BOOTSTRAP.md", "STR-003"))
    )
    assert finding.fix == "Write a new snapshot, or correct BOOTSTRAP."


def test_doctor_tells_of_a_total_that_moved(tmp_path: Path) -> None:
    newer = timedelta(minutes=10)
    root = make_workspace(tmp_path, changed(THREE, "STR-001", market_value=23_401, snapshot_age=newer))
    finding = only(root, "warning")
    assert finding.where == line_in(root, "BOOTSTRAP.md", "total_capital")
    assert all(words in finding.what for words in ("60000", "63001", "21300", "41701", "+5.0 %"))


def test_doctor_does_not_judge_the_total_where_a_snapshot_cannot_be_read(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-001", market_value=-1))
    assert only(root, "error")
