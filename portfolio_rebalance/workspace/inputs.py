"""What a run read, held against what stands there now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from portfolio_rebalance.errors import BadDataError
from portfolio_rebalance.workspace import layout
from portfolio_rebalance.workspace.files import exists, read_bytes

__all__ = ["require_unchanged"]

_MOST_BYTES: Final = 16_000_000


def require_unchanged(root: Path, inputs: Mapping[str, str]) -> None:
    """Refuse to go on when a file differs from what was read, or a configuration has appeared.

    Args:
        root: The workspace.
        inputs: Label to SHA-256, as a portfolio records them.

    Raises:
        BadDataError: Something changed.
    """
    known = {label.partition("/")[2]: digest for label, digest in inputs.items()}
    changed = [
        relative
        for relative, digest in sorted(known.items())
        if not exists(root, relative) or read_bytes(root, relative, max_bytes=_MOST_BYTES).sha256 != digest
    ]
    if layout.CONFIG not in known and exists(root, layout.CONFIG):
        changed.append(layout.CONFIG)
    if changed:
        raise BadDataError(
            "Changed while the run was at work.",
            where=f"{root.name}/{changed[0]}",
            fix="Run again: it then plans with what stands there now.",
        )
