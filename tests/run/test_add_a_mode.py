"""Adding a mode is one new file and one registry line, as CONTRIBUTING shows it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from workspaces import THREE, make_workspace

ROOT = Path(__file__).resolve().parents[2]


def test_one_file_and_one_line_are_enough(tmp_path: Path) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- mode -->\n```python\n(.*?)```", text, re.DOTALL)
    assert shown
    copy = tmp_path / "copy"
    shutil.copytree(
        ROOT / "portfolio_rebalance",
        copy / "portfolio_rebalance",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    rooms = copy / "portfolio_rebalance/allocation"
    (rooms / "modes/equal_weight.py").write_text(shown[1], encoding="utf-8")
    registry = (rooms / "registry.py").read_text(encoding="utf-8")
    added = registry.replace('    "minimal_turnover",\n)', '    "minimal_turnover",\n    "equal_weight",\n)')
    assert added.count("\n") == registry.count("\n") + 1
    (rooms / "registry.py").write_text(added, encoding="utf-8")

    root = make_workspace(tmp_path, THREE)

    def cli(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "portfolio_rebalance.cli", *words],
            env=os.environ | {"PYTHONPATH": str(copy)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert "equal-weight" in cli("--help")
    result = json.loads(
        cli("--mode", "equal-weight", "--workspace", str(root), "--as-of", "2025-02-05T02:00:00Z", "--json")
    )
    assert result["mode"] == "equal_weight"
    assert result["candidates"][0]["compliance"]["repaired_limits_met"]
    after = result["candidates"][0]["proposal"]["proposed_allocations"]
    assert len({round(value, 1) for value in after.values()}) == 1
    assert set(after) == {"STR-001", "STR-003", "STR-007"}
