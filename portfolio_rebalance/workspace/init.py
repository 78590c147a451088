"""An empty workspace to fill in: every file explains itself, and none that exists is touched.

The templates are complete but state no capital, so that a run refuses them with the line to fill in. The
configuration holds every key as a comment, written from the model itself: it cannot promise what the loader
does not keep.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from portfolio_rebalance.config import CONFIG_ROOT, Config
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.workspace import layout
from portfolio_rebalance.workspace.outputs import make_folder, write_new
from portfolio_rebalance.workspace.plain_yaml import to_yaml

__all__ = ["config_template", "create_files", "init_workspace", "workspace_in"]

_FOLDERS: Final = (layout.PERFORMANCE, layout.RECORDS)

_BOOTSTRAP: Final = """\
# Portfolio

What is deployed, and how much money there is. This document is yours: write around the block below whatever
you like. Only the one `yaml` block that begins with `portfolio_state:` is read.

- `as_of`: the instant (UTC) at which these figures held.
- `total_capital`: all of it, what the strategies hold and what lies idle.
- `cash`: what no strategy holds. Leave it out to have it computed from the total.
- `currency`: of every amount here, such as `USD` or `USDT`.
- `deployed_strategies`: for each strategy that runs, its `capital` (equity: its positions and its own cash)
  and its `target`, both as money, such as `STR-001: {capital: 20400, target: 20000}`. The same target stands
  in `knowledge/registry.yaml` as a percentage; the two must agree.

```yaml
portfolio_state:
  as_of: 2019-10-01T02:00:00Z
  total_capital: 0
  currency: USD
  deployed_strategies: {}
```
"""

_REGISTRY: Final = """\
# Every strategy, deployed or not. Only those with `status: deployed` count; of the others nothing but the
# status is read. Comments, key order and keys of your own survive whatever this tool writes here.
#
# strategies:
#   STR-001:                            # STR- and up to 32 of A-Z, 0-9, _ and -
#     name: Funding arbitrage
#     status: deployed
#     target_allocation_percent: 20     # of total capital; 0 for one that is winding down
#     deployed_on: 2019-09-01
#     assets: [BTC, ETH]
#     risk_profile: medium
#     pinned: false                     # optional: true, and no rebalance changes it
#     control: positions                # optional: positions or bot, who moves its capital
#     account: main                     # optional: its account at the venue
strategies: {}
"""


def init_workspace(directory: Path) -> tuple[str, ...]:
    """Create ``directory/.crypto`` (or ``directory``, if that is its name) with empty, commented files.

    Returns:
        The files that were created, as paths from the workspace's parent; none that existed.

    Raises:
        UsageError: The folder cannot be made.
        UnsafePathError: A folder of the workspace is a link or a file.
        BadDataError: The operating system refuses a file.
    """
    return create_files(
        workspace_in(directory),
        {
            layout.BOOTSTRAP: _BOOTSTRAP.encode(),
            layout.REGISTRY: _REGISTRY.encode(),
            layout.CONFIG: config_template().encode(),
        },
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
# Every key is optional; what is commented out has the value shown. An unknown key is refused, and so is a
# value other than the default where the capability is not part of this version. Nothing of ours changes this
# file.
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
