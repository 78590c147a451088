"""An empty workspace to fill in: every file explains itself, and none that exists is touched.

The templates are complete but state no capital, so that a run refuses them with the line to fill in. The
configuration holds every key as a comment, written from the model itself: it cannot promise what the loader
does not keep.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from portfolio_rebalance.config import CONFIG_ROOT, Config
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.workspace import layout
from portfolio_rebalance.workspace.outputs import make_folder, write_new
from portfolio_rebalance.workspace.plain_yaml import to_yaml
from portfolio_rebalance.workspace.templates import (
    bootstrap_template,
    performance_template,
    registry_template,
)

__all__ = ["config_template", "create_files", "init_workspace", "workspace_in"]

_FOLDERS: Final = (layout.PERFORMANCE, layout.RECORDS)


def init_workspace(directory: Path, *, now: datetime) -> tuple[str, ...]:
    """Create ``directory/.crypto`` (or ``directory``, if that is its name) with empty, commented files.

    Args:
        directory: Where the workspace goes; made if missing.
        now: The instant, aware and in UTC, that BOOTSTRAP states; cut to whole seconds.

    Returns:
        The files that were created, as paths from the workspace's parent; none that existed.

    Raises:
        UsageError: The folder cannot be made, or ``now`` is not in UTC.
        UnsafePathError: A folder of the workspace is a link or a file.
        BadDataError: The operating system refuses a file.
    """
    instant = now.replace(microsecond=0)
    contents = {
        layout.BOOTSTRAP: bootstrap_template(instant),
        layout.REGISTRY: registry_template(),
        layout.CONFIG: config_template(),
        layout.PERFORMANCE_README: performance_template(instant),
    }
    return create_files(
        workspace_in(directory), {relative: text.encode() for relative, text in contents.items()}
    )


def workspace_in(directory: Path) -> Path:
    """The workspace folder that belongs to ``directory``, made if missing.

    Raises:
        UsageError: It cannot be made.
    """
    named = directory.absolute()
    root = named if named.name == layout.FOLDER else named / layout.FOLDER
    try:
        root.mkdir(parents=True, exist_ok=True)
        return root.resolve(strict=True)
    except OSError as error:
        raise UsageError(
            f"The folder cannot be made: {error.strerror}.",
            where=str(root),
            fix="Name a folder that you may write to.",
        ) from error


def create_files(root: Path, contents: dict[str, bytes]) -> tuple[str, ...]:
    """Create the usual folders and these files, each only where nothing has its name."""
    for folder in _FOLDERS:
        make_folder(root, folder)
    return tuple(
        f"{root.name}/{relative}" for relative, data in contents.items() if write_new(root, relative, data)
    )


# --- the configuration, every key of it as a comment -----------------------------------------------------

_INTRODUCTION: Final = """\
# Every key is optional; what is commented out has the value shown. An unknown key is refused. Nothing of ours
# changes this file.
"""


def config_template(model: type[BaseModel] = Config) -> str:
    """A configuration file that states nothing, and every key with its default and effect as a comment."""
    return f"{_INTRODUCTION}{CONFIG_ROOT}:\n" + "".join(_keys(model, "  "))


def _keys(model: type[BaseModel], indent: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = field.alias or name
        section = field.annotation
        yield "\n" if len(indent) == len("  ") else ""
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from _comment((section.__doc__ or "").strip(), indent)
            yield f"{indent}{key}:\n"
            yield from _keys(section, indent + "  ")
        else:
            yield from _comment(field.description or "", indent)
            yield f"{indent}# {key}: {_default_text(field)}\n"


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(text, width=100 - len(indent)):
        yield f"{indent}## {line}\n"


def _default_text(field: FieldInfo) -> str:
    """The default as the file would write it, on one line."""
    (line,) = to_yaml({"default": field.get_default()}).decode().splitlines()
    return line.removeprefix("default: ")
