"""What a front door may import: help nothing heavy, a piped dry run neither frames nor terminal."""

from __future__ import annotations

import json

import front_door_samples as samples
import pytest

PROBE = """
import json, os, sys
from portfolio_rebalance.cli.main import main
out = sys.stdout
sys.stdout = open(os.devnull, "w")
code = main(sys.argv[1:])
out.write(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def imported(*words: str, cwd) -> tuple[int, set[str]]:
    import os
    import subprocess
    import sys

    ran = subprocess.run(
        [sys.executable, "-c", PROBE, *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(samples.REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    code, names = json.loads(ran.stdout)
    return code, set(names)


def test_help_imports_nothing_heavy(tmp_path):
    code, names = imported("--help", cwd=tmp_path)
    assert code == 0
    assert not names & {
        "numpy",
        "pandas",
        "anthropic",
        "scipy",
        "pydantic",
        "rich",
        "yaml",
        "ruamel",
        "sqlite3",
    }


@pytest.mark.parametrize("words", [("--version",), ("status", "--help"), ("reduce", "--help")])
def test_other_help_imports_nothing_heavy(words, tmp_path):
    code, names = imported(*words, cwd=tmp_path)
    assert code == 0
    assert not names & {"numpy", "pandas", "anthropic", "scipy", "rich"}  # typer itself takes pydantic


def test_a_piped_dry_run_imports_neither_frames_nor_models_nor_a_terminal(tmp_path):
    made = samples.command("init", "--demo", "--json", cwd=tmp_path)
    assert made.returncode == 0, made.stdout
    as_of = json.loads(made.stdout)["as_of"]
    code, names = imported("--dry-run", "--as-of", as_of, cwd=tmp_path)
    assert code in (0, 13)
    assert "numpy" in names
    assert not names & {"pandas", "anthropic", "scipy", "rich", "pyarrow"}
