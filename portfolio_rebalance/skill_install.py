"""Install the slash skill where a coding agent looks for it.

Contract: the shipped file is copied byte for byte; what a person wrote is never overwritten. An older version
of ours, told by its marker line, is replaced; anything else that differs is refused.
"""

from __future__ import annotations

import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Final

from portfolio_rebalance.errors import UsageError

__all__ = ["SKILL_PATH", "install_skill"]

SKILL_PATH: Final = Path(".claude/skills/trading-portfolio-rebalance/SKILL.md")
"""Below a project's folder, or a person's home."""

_MARKER: Final = re.compile(rb"^<!-- trading-portfolio-rebalance skill, version (\d{1,6});", re.MULTILINE)


def install_skill(destination_root: Path) -> Path:
    """Copy the skill below ``destination_root`` and return where it stands; again changes nothing.

    Args:
        destination_root: A project's folder or a home folder; it must exist.

    Raises:
        UsageError: The folder is missing, or another file stands there.
    """
    if not destination_root.is_dir():
        raise UsageError(
            "There is no such folder.", where=str(destination_root), fix="Name a folder that exists."
        )
    shipped = files("portfolio_rebalance").joinpath("skill", "SKILL.md").read_bytes()
    target = destination_root / SKILL_PATH
    if target.is_symlink() or target.exists():
        if target.is_file() and target.read_bytes() == shipped:
            return target
        _require_older(target, shipped=shipped)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_bytes(shipped)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def _require_older(target: Path, *, shipped: bytes) -> None:
    """Refuse to replace anything but a regular file that an older version of ours wrote."""
    there = _version(target.read_bytes()) if target.is_file() and not target.is_symlink() else None
    ours = _version(shipped)
    assert ours is not None, "the shipped skill carries its marker"
    if there is None or there >= ours:
        raise UsageError(
            "Another file stands where the skill belongs.",
            where=str(target),
            fix="Move it away, then install again.",
        )


def _version(content: bytes) -> int | None:
    found = _MARKER.search(content)
    return int(found.group(1)) if found else None
