"""Names below ``live-performance`` that nobody reads, though somebody probably meant them to be read.

A snapshot under a name that is not looked for is no snapshot, and its strategy runs on older figures without
a word. Hidden files and ``*.md`` are people's own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from portfolio_rebalance.workspace import layout
from portfolio_rebalance.workspace.files import list_names
from portfolio_rebalance.workspace.remarks import Remark
from portfolio_rebalance.workspace.snapshots import is_snapshot_name

__all__ = ["unread_files", "unread_folders"]

_SNAPSHOT_LIKE: Final = re.compile(r"snap|\.ya?ml$", re.IGNORECASE)
_RETURNS_LIKE: Final = re.compile(r"return|\.(?:csv|tsv|parquet)$", re.IGNORECASE)
_MOST_NAMED: Final = 5


def unread_files(root: Path, strategy: str) -> Iterator[Remark]:
    """Files of one strategy that are neither snapshots nor its returns; one remark a kind.

    Raises:
        UnsafePathError: The folder passes a link, or is not one.
        BadDataError: The operating system refuses.
    """
    folder = layout.performance_folder(strategy)
    by_fix: dict[str, list[str]] = {}
    for name in list_names(root, folder):
        if not (is_snapshot_name(name) or name in layout.RETURN_FILES or _is_peoples_own(name)):
            by_fix.setdefault(_file_fix(name), []).append(name)
    for fix, names in by_fix.items():
        yield Remark(where=_label(root, folder, names[0]), what=f"Nobody reads {_listed(names)}.", fix=fix)


def unread_folders(root: Path, *, deployed: Collection[str], others: Collection[str]) -> Iterator[Remark]:
    """What stands among the strategies' folders without being one.

    Args:
        root: The workspace folder.
        deployed: The ids whose folders are read.
        others: Ids that the registry knows with another status: their folders may stay.

    Raises:
        UnsafePathError: The folder passes a link, or is not one.
        BadDataError: The operating system refuses.
    """
    by_fix: dict[str, list[str]] = {}
    for name in list_names(root, layout.PERFORMANCE):
        if name in deployed or name in others or _is_peoples_own(name):
            continue
        meant = next((key for key in sorted(deployed) if _letters(key) == _letters(name)), None)
        fix = f"Folders that are read are named after deployed strategies: {_listed(sorted(deployed))}."
        if meant:
            fix = f"Rename it to {meant}: ids are read as they are written."
        by_fix.setdefault(fix, []).append(name)
    for fix, names in by_fix.items():
        what = f"Nobody reads {_listed(names)}: no deployed strategy has this id."
        yield Remark(where=_label(root, layout.PERFORMANCE, names[0]), what=what, fix=fix)


def _file_fix(name: str) -> str:
    if _SNAPSHOT_LIKE.search(name):
        return (
            "If it is a snapshot, rename it to snapshot-<UTC>.yaml, such as snapshot-2019-10-01T020000Z.yaml."
        )
    if _RETURNS_LIKE.search(name):
        return "If it holds the returns, rename it to daily_returns.csv, with the columns date,return."
    return (
        f"Only snapshot-<UTC>.yaml and {' or '.join(layout.RETURN_FILES)} are read; leave it, if it is yours."
    )


def _is_peoples_own(name: str) -> bool:
    return name.startswith(".") or name.lower().endswith(".md")


def _letters(name: str) -> str:
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name)).casefold()


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(_printable, names[:_MOST_NAMED]))
    return f"{shown} and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else shown


def _label(root: Path, folder: str, name: str) -> str:
    return f"{root.name}/{folder}/{_printable(name)}"


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)
