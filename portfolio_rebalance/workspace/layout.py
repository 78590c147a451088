"""Where everything stands in the workspace, and how the workspace is found.

Paths are relative to the root and use ``/``; :mod:`.files` and :mod:`.outputs` turn them into files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from portfolio_rebalance.errors import WorkspaceNotFoundError
from portfolio_rebalance.workspace.checks import require_strategy_id

__all__ = [
    "BOOTSTRAP",
    "CONFIG",
    "FEEDBACK",
    "FOLDER",
    "HALT",
    "LOCK",
    "METRICS",
    "PERFORMANCE",
    "PERFORMANCE_README",
    "RECORDS",
    "REGISTRY",
    "RETURN_FILES",
    "daily_returns_csv",
    "find_workspace",
    "performance_folder",
    "workspace_at",
]

FOLDER: Final = ".crypto"
BOOTSTRAP: Final = "BOOTSTRAP.md"
REGISTRY: Final = "knowledge/registry.yaml"
CONFIG: Final = "config/portfolio-rebalance.yaml"
PERFORMANCE: Final = "live-monitoring/live-performance"
PERFORMANCE_README: Final = f"{PERFORMANCE}/README.md"
RETURN_FILES: Final = ("daily_returns.csv", "daily_returns.parquet")
METRICS: Final = "live-monitoring/rebalance-metrics.yaml"
RECORDS: Final = "portfolio-rebalance"
FEEDBACK: Final = f"{RECORDS}/feedback.yaml"
HALT: Final = f"{RECORDS}/HALT"
LOCK: Final = f"{RECORDS}/lock"


def performance_folder(strategy_id: str) -> str:
    """Where a strategy's snapshots and returns stand; anything but a strategy id is refused."""
    return f"{PERFORMANCE}/{require_strategy_id(strategy_id)}"


def daily_returns_csv(strategy_id: str) -> str:
    """A strategy's return file in its usual format."""
    return f"{performance_folder(strategy_id)}/daily_returns.csv"


def find_workspace(start: Path) -> Path:
    """The workspace at ``start`` or at the nearest folder above it, resolved once.

    Args:
        start: Where the caller stands: anywhere in a project, or in the workspace itself.

    Raises:
        WorkspaceNotFoundError: Neither it nor any folder above holds a ``.crypto`` folder.
    """
    here = _existing_folder(start)
    for folder in (here, *here.parents):
        if found := _workspace_of(folder):
            return found
    raise WorkspaceNotFoundError(
        f"There is no {FOLDER} folder in {here} or any folder above it.", where=str(here), fix=_FIX
    )


def workspace_at(path: Path) -> Path:
    """The workspace that a person named: a ``.crypto`` folder, or the folder that holds one.

    Folders above are not searched: a mistyped ``--workspace`` must not rebalance another portfolio.

    Raises:
        WorkspaceNotFoundError: It is neither.
    """
    here = _existing_folder(path)
    if found := _workspace_of(here):
        return found
    raise WorkspaceNotFoundError(f"There is no {FOLDER} folder in {here}.", where=str(here), fix=_FIX)


_FIX: Final = "Create one with `trading-portfolio-rebalance init`, or name one with --workspace."


def _existing_folder(path: Path) -> Path:
    if not _is_folder(path):
        raise WorkspaceNotFoundError(f"There is no folder {path}.", where=str(path), fix=_FIX)
    # The name is looked at before links are followed: `.crypto` may be a link to a folder of another name.
    return path.absolute() if path.name == FOLDER else path.resolve()


def _workspace_of(folder: Path) -> Path | None:
    if folder.name == FOLDER:
        return folder.resolve()
    inner = folder / FOLDER
    return inner.resolve() if _is_folder(inner) else None


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - false, and no error, where one may not look
