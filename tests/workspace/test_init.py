"""A new workspace explains itself, cannot be mistaken for a real one, and never replaces anything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from workspaces import MODES, clock_at, line_in, refused, tree

from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import BadDataError, UnsafePathError, UsageError
from portfolio_rebalance.workspace import (
    config_template,
    examine,
    find_workspace,
    init_workspace,
    load_config,
    load_state,
)

FILES = (".crypto/BOOTSTRAP.md", ".crypto/knowledge/registry.yaml", ".crypto/config/portfolio-rebalance.yaml")


def test_creates_files_and_folders_and_tells_which(tmp_path: Path) -> None:
    assert init_workspace(tmp_path) == FILES
    root = find_workspace(tmp_path)
    assert (root / "live-monitoring/live-performance").is_dir()
    assert (root / "portfolio-rebalance").is_dir()


def test_folder_of_that_name_is_the_workspace_itself(tmp_path: Path) -> None:
    assert init_workspace(tmp_path / "new" / ".crypto") == FILES
    assert (tmp_path / "new" / ".crypto" / "BOOTSTRAP.md").exists()
    assert not (tmp_path / "new" / ".crypto" / ".crypto").exists()


def test_second_time_creates_nothing_and_changes_nothing(tmp_path: Path) -> None:
    init_workspace(tmp_path)
    before = tree(tmp_path)
    assert init_workspace(tmp_path) == ()
    assert tree(tmp_path) == before


def test_only_what_is_missing_is_created(tmp_path: Path) -> None:
    path = tmp_path / ".crypto/knowledge/registry.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    assert init_workspace(tmp_path) == (FILES[0], FILES[2])
    assert path.read_text() == "mine"


def test_link_in_the_place_of_a_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".crypto").mkdir()
    (tmp_path / ".crypto/BOOTSTRAP.md").symlink_to(tmp_path / "elsewhere.md")
    assert FILES[0] not in init_workspace(tmp_path)
    assert not (tmp_path / "elsewhere.md").exists()


def test_linked_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".crypto").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / ".crypto/knowledge").symlink_to(tmp_path / "outside")
    with pytest.raises(UnsafePathError):
        init_workspace(tmp_path)
    assert list((tmp_path / "outside").iterdir()) == []


def test_place_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file/inner"):
        with pytest.raises(UsageError):
            init_workspace(place)
    (tmp_path / ".crypto").write_text("")
    with pytest.raises(UsageError):
        init_workspace(tmp_path)


def test_empty_workspace_is_refused_where_it_is_to_be_filled_in(tmp_path: Path) -> None:
    init_workspace(tmp_path)
    root = find_workspace(tmp_path)
    place = line_in(root, "BOOTSTRAP.md", "  total_capital: 0")
    with refused(root, BadDataError, where=place, saying="total_capital` is 0"):
        load_state(root, clock=clock_at(), mode_names=MODES)
    findings = examine(root, clock=clock_at(), mode_names=MODES)
    assert [(finding.severity, finding.where) for finding in findings] == [("error", place)]


def test_filled_in_as_its_comments_say_it_works(tmp_path: Path) -> None:
    init_workspace(tmp_path)
    root = find_workspace(tmp_path)
    bootstrap, registry = root / "BOOTSTRAP.md", root / "knowledge/registry.yaml"
    (example,) = re.findall(r"`(STR-001: \{.*?\})`", bootstrap.read_text())
    text = bootstrap.read_text().replace("total_capital: 0", "total_capital: 100000")
    bootstrap.write_text(text.replace("deployed_strategies: {}", f"deployed_strategies:\n    {example}"))
    lines = registry.read_text().replace("strategies: {}\n", "").splitlines()
    start = lines.index("# strategies:")
    registry.write_text(
        "\n".join([*lines[:start], *(line.removeprefix("# ") for line in lines[start:])]) + "\n"
    )
    as_of = clock_at().as_of.replace(year=2019, month=10, day=1)
    (strategy,) = load_state(root, clock=clock_at(as_of), mode_names=MODES).portfolio.strategies
    assert (strategy.name, strategy.target_percent, strategy.control) == (
        "Funding arbitrage",
        20,
        "positions",
    )
    assert all(
        finding.severity == "warning" for finding in examine(root, clock=clock_at(as_of), mode_names=MODES)
    )


# --- the configuration template --------------------------------------------------------------------------


def load_text(tmp_path: Path, text: str) -> Config:
    path = tmp_path / ".crypto/config/portfolio-rebalance.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return load_config(find_workspace(tmp_path), mode_names=MODES).config


def test_template_states_nothing(tmp_path: Path) -> None:
    assert load_text(tmp_path, config_template()) == Config()


def test_template_with_every_key_brought_in_states_the_defaults(tmp_path: Path) -> None:
    text = re.sub(r"(?m)^( +)# ", r"\1", config_template())
    assert load_text(tmp_path, text) == Config()
    assert text.count(": ") >= len(list(keys_of(Config)))


def keys_of(model: type[BaseModel]) -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += keys_of(inner)
        else:
            found.append(field.alias or name)
    return found


def test_template_names_every_key_with_its_effect() -> None:
    template = config_template()
    for key in keys_of(Config):
        assert re.search(rf"(?m)^ +# {key}: ", template), key
    for field in (*Config.model_fields.values(), *Config().circuit_breakers.__class__.model_fields.values()):
        if field.description:
            assert field.description.split()[0] in template


@pytest.mark.parametrize("key", ["max_total_deployed_percent", "enabled", "min_psr_to_raise", "return"])
def test_each_line_can_be_brought_in_alone(tmp_path: Path, key: str) -> None:
    text, count = re.subn(rf"(?m)^( +)# ({key}: )", r"\1\2", config_template())
    assert count == 1
    assert load_text(tmp_path, text) == Config()
