"""``config/portfolio-rebalance.yaml``: read, never written.

No file means the defaults; so does a key or a whole section that is commented out. Everything else in it must
be understood: an unknown key is refused, because a limit that is mistyped and ignored is no limit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from portfolio_rebalance.config import CONFIG_ROOT, Config
from portfolio_rebalance.errors import BadDataError, ConfigError, UnsafePathError
from portfolio_rebalance.workspace import layout, schema, strict_yaml
from portfolio_rebalance.workspace.files import exists, read_text
from portfolio_rebalance.workspace.problems import carrying, each_problem
from portfolio_rebalance.workspace.strict_yaml import Document, Value

__all__ = ["LoadedConfig", "load_config"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """The effective configuration.

    Attributes:
        sha256: Digest of the file's bytes; None where there is no file.
        label: How errors name the file, whether it exists or not.
    """

    config: Config
    sha256: str | None
    warnings: tuple[str, ...]
    label: str


def load_config(root: Path, *, mode_names: Sequence[str]) -> LoadedConfig:
    """The configuration in force.

    Args:
        root: The workspace folder.
        mode_names: The registered modes; this room knows none itself.

    Raises:
        ConfigError: Anything in the file that does not fit, with ``file:line``.
        UnsafePathError: It is not a plain file.
    """
    label = f"{root.name}/{layout.CONFIG}"
    if not exists(root, layout.CONFIG):
        config, sha256, document = Config(), None, Document(None, {(): 1}, label)
    else:
        try:
            file = read_text(root, layout.CONFIG)
            document = _with_empty_sections(strict_yaml.parse(file.text, label=label))
        except UnsafePathError:
            raise
        except BadDataError as error:
            raise _as_config_error(error) from error
        config = schema.validate(document, Config, at=(CONFIG_ROOT,), error=ConfigError)
        sha256 = file.sha256
    _refuse_unknown_modes(config, document, mode_names)
    return LoadedConfig(config=config, sha256=sha256, warnings=config.warnings(), label=label)


def _as_config_error(error: BadDataError) -> ConfigError:
    problems = [ConfigError(one.what, where=one.where, fix=one.fix) for one in each_problem(error)]
    return carrying(ConfigError(error.what, where=error.where, fix=error.fix), problems)


def _with_empty_sections(document: Document) -> Document:
    """A section whose keys are all commented out is nothing to YAML, and to us a section of defaults."""
    if not isinstance(document.value, dict):
        raise ConfigError(
            "The file holds no keys.", where=document.where(), fix=f"Begin it with `{CONFIG_ROOT}:`."
        )
    for key in document.value:
        if key != CONFIG_ROOT:
            raise ConfigError(
                f"`{key}` is not a known key at the top.",
                where=document.where((key,)),
                fix=f"The one key at the top is `{CONFIG_ROOT}`; indent what belongs under it.",
            )
    return dataclasses.replace(document, value={CONFIG_ROOT: _filled(document.value[CONFIG_ROOT], Config)})


def _filled(value: Value, model: type[BaseModel]) -> Value:
    if value is None:
        return {}
    if not isinstance(value, dict):
        return value
    sections = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    return {
        key: _filled(item, inner) if (inner := _section(sections.get(key))) else item
        for key, item in value.items()
    }


def _section(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _refuse_unknown_modes(config: Config, document: Document, mode_names: Sequence[str]) -> None:
    at = (CONFIG_ROOT, "rebalancing_modes")
    modes = config.rebalancing_modes
    _refuse_unknown_mode(modes.default, document.where((*at, "default")), mode_names)
    for place, name in enumerate(modes.available or ()):
        where = document.where((*at, "available", place))
        _refuse_unknown_mode(name, where, mode_names)
        if name in (modes.available or ())[:place]:
            raise ConfigError(f"The mode {name!r} stands twice.", where=where, fix="Remove one of the two.")
    if modes.available is not None and modes.default not in modes.available:
        raise ConfigError(
            f"The default mode, {modes.default!r}, is not among the available ones.",
            where=document.where((*at, "available")),
            fix=f"Add {modes.default} to the list, or set `default` to a mode that is in it.",
        )


def _refuse_unknown_mode(name: str, where: str, mode_names: Sequence[str]) -> None:
    if name in mode_names:
        return
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    known = ", ".join(mode_names)
    fix = f"Write {plain}." if plain in mode_names else f"Choose among {known}."
    raise ConfigError(f"There is no mode {name!r}.", where=where, fix=fix)
