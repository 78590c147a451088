"""The wheel works alone, without the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(unpacked: Path, folder: Path, *words: str) -> str:
    return subprocess.run(
        [sys.executable, "-P", "-m", "portfolio_rebalance.cli", *words],
        env=os.environ | {"PYTHONPATH": str(unpacked)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_the_wheel_holds_the_package_and_its_data_only(unpacked: Path) -> None:
    tops = {path.name.partition("-")[0] for path in unpacked.iterdir()}
    assert tops == {"portfolio_rebalance", "trading_portfolio_rebalance"}
    for name in (
        "py.typed",
        "skill/SKILL.md",
        "workspace/demo_data/sample_returns.csv",
        "prompts/orchestrator.md",
    ):
        assert (unpacked / "portfolio_rebalance" / name).is_file()
    (licence,) = unpacked.glob("*.dist-info/licenses/LICENSE")
    assert "Apache License" in licence.read_text(encoding="utf-8")


def test_the_wheel_alone_makes_the_demo_and_plans(unpacked: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [sys.executable, "-P", "-c", "import portfolio_rebalance as p; print(p.__file__)"],
        env=os.environ | {"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert where.startswith(str(unpacked))
    run(unpacked, tmp_path, "init", "--demo")
    result = json.loads(run(unpacked, tmp_path, "--dry-run", "--as-of", "2019-10-01T02:00:00Z", "--json"))
    assert result["status"] == "planned"
    cluster = result["correlation"]["correlated_clusters"][0]
    assert cluster["strategies"] == ["STR-BTC-MEANREV", "STR-ETH-HOLD", "STR-TSMOM", "STR-VOLTARGET"]
    assert cluster["total_alloc"] == 34.76
    assert result["assessment"]["total_deployed"]["alloc_percent"] == "62.32"
