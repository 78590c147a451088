"""The room as others see it: what it offers, and what it costs to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from portfolio_rebalance import workspace

HEAVY = ("pandas", "pyarrow", "ruamel", "scipy", "anthropic", "difflib")
HEAVY_UNUSED = """
import sys
import portfolio_rebalance.workspace
print([name for name in sys.argv[1:] if name in sys.modules])
print([name for name in ("demo", "doctor", "edit") if f"portfolio_rebalance.workspace.{name}" in sys.modules])
"""


def test_everything_offered_is_there() -> None:
    for name in workspace.__all__:
        assert getattr(workspace, name) is not None
    assert sorted(workspace.__all__) == workspace.__all__
    assert set(workspace._NOT_IN_A_RUN) <= set(workspace.__all__)


def test_nothing_else_is_offered() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = workspace.nothing


def test_importing_it_imports_nothing_heavy() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", HEAVY_UNUSED, *HEAVY], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == ["[]", "[]"]
