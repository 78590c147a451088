"""A new workspace explains itself, cannot be mistaken for a real one, and never replaces anything."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
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

NOW = datetime(2025, 2, 5, 2, 0, 0, 123, tzinfo=UTC)
FILES = (
    ".crypto/BOOTSTRAP.md",
    ".crypto/knowledge/registry.yaml",
    ".crypto/config/portfolio-rebalance.yaml",
    ".crypto/live-monitoring/live-performance/README.md",
)


def test_creates_files_and_folders_and_tells_which(tmp_path: Path) -> None:
    assert init_workspace(tmp_path, now=NOW) == FILES
    root = find_workspace(tmp_path)
    assert (root / "live-monitoring/live-performance").is_dir()
    assert (root / "portfolio-rebalance").is_dir()


def test_folder_of_that_name_is_the_workspace_itself(tmp_path: Path) -> None:
    assert init_workspace(tmp_path / "new" / ".crypto", now=NOW) == FILES
    assert (tmp_path / "new" / ".crypto" / "BOOTSTRAP.md").exists()
    assert not (tmp_path / "new" / ".crypto" / ".crypto").exists()


def test_second_time_creates_nothing_and_changes_nothing(tmp_path: Path) -> None:
    init_workspace(tmp_path, now=NOW)
    before = tree(tmp_path)
    assert init_workspace(tmp_path, now=NOW) == ()
    assert tree(tmp_path) == before


def test_only_what_is_missing_is_created(tmp_path: Path) -> None:
    path = tmp_path / ".crypto/knowledge/registry.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    assert init_workspace(tmp_path, now=NOW) == (FILES[0], *FILES[2:])
    assert path.read_text() == "mine"


def test_link_in_the_place_of_a_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".crypto").mkdir()
    (tmp_path / ".crypto/BOOTSTRAP.md").symlink_to(tmp_path / "elsewhere.md")
    assert FILES[0] not in init_workspace(tmp_path, now=NOW)
    assert not (tmp_path / "elsewhere.md").exists()


def test_linked_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".crypto").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / ".crypto/knowledge").symlink_to(tmp_path / "outside")
    with pytest.raises(UnsafePathError):
        init_workspace(tmp_path, now=NOW)
    assert list((tmp_path / "outside").iterdir()) == []


def test_place_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file/inner"):
        with pytest.raises(UsageError):
            init_workspace(place, now=NOW)
    (tmp_path / ".crypto").write_text("")
    with pytest.raises(UsageError):
        init_workspace(tmp_path, now=NOW)


def test_empty_workspace_is_refused_where_it_is_to_be_filled_in(tmp_path: Path) -> None:
    init_workspace(tmp_path, now=NOW)
    root = find_workspace(tmp_path)
    place = line_in(root, "BOOTSTRAP.md", "  total_capital: 0")
    with refused(root, BadDataError, where=place, saying="total_capital` is 0"):
        load_state(root, clock=clock_at(), mode_names=MODES)
    findings = examine(root, clock=clock_at(), mode_names=MODES)
    assert [(finding.severity, finding.where) for finding in findings] == [("error", place)]


def brought_in(path: Path, *changes: tuple[str, str]) -> None:
    """Do to a template what its comments say: no braces, and the example without its ``# ``."""
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text)


def fill_in(root: Path) -> None:
    example = (root / "BOOTSTRAP.md").read_text()
    lines = re.findall(r"(?m)^  #   .*$", example)
    assert len(lines) == 3
    brought_in(
        root / "BOOTSTRAP.md",
        ("total_capital: 0 ", "total_capital: 100000 "),
        ("deployed_strategies: {}", "deployed_strategies:"),
        ("  # cash:", "  cash:"),
        *((line, line.replace("# ", "", 1)) for line in lines),
    )
    registry = root / "knowledge/registry.yaml"
    _, listed = registry.read_text().split("strategies: {}\n")
    brought_in(registry, ("strategies: {}\n" + listed, "strategies:\n" + re.sub("(?m)^# ", "", listed)))


def test_filled_in_as_its_comments_say_it_works(tmp_path: Path) -> None:
    init_workspace(tmp_path, now=NOW)
    root = find_workspace(tmp_path)
    fill_in(root)
    (strategy,) = load_state(root, clock=clock_at(), mode_names=MODES).portfolio.strategies
    assert (strategy.name, strategy.target_percent, strategy.control) == (
        "Funding arbitrage",
        20,
        "positions",
    )
    assert strategy.capital == 20_400
    assert all(finding.severity == "warning" for finding in examine(root, clock=clock_at(), mode_names=MODES))


def test_examples_of_the_performance_folder_are_files_that_load(tmp_path: Path) -> None:
    init_workspace(tmp_path, now=NOW)
    root = find_workspace(tmp_path)
    fill_in(root)
    folder = root / "live-monitoring/live-performance"
    found = re.findall(r"(?ms)^## (\S+)$.*?^```\w+\n(.*?)^```", (folder / "README.md").read_text())
    assert [name.split("/")[1] for name, _ in found] == [
        "snapshot-2025-02-05T020000Z.yaml",
        "daily_returns.csv",
    ]
    for name, text in found:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    portfolio = load_state(root, clock=clock_at(), mode_names=MODES).portfolio
    assert (portfolio.stale, portfolio.warnings) == ((), ())
    assert portfolio.strategies[0].positions[0].quantity == Decimal("0.5")
    (finding,) = examine(root, clock=clock_at(), mode_names=MODES)
    assert finding.what.startswith("1 of the days")  # the day that the example leaves out


def test_bootstrap_states_the_given_instant_in_whole_seconds(tmp_path: Path) -> None:
    init_workspace(tmp_path, now=NOW)
    assert "  as_of: 2025-02-05T02:00:00Z  #" in (tmp_path / FILES[0]).read_text()


def test_instant_that_is_not_utc_is_refused_and_creates_nothing(tmp_path: Path) -> None:
    for now in (NOW.replace(tzinfo=None), NOW.astimezone(timezone(timedelta(hours=1)))):
        with pytest.raises(UsageError):
            init_workspace(tmp_path / "new", now=now)
    assert not (tmp_path / "new").exists()


def test_templates_mark_what_is_required_and_what_is_optional(tmp_path: Path) -> None:
    init_workspace(tmp_path, now=NOW)
    for name in (FILES[0], FILES[1], FILES[3]):
        text = (tmp_path / name).read_text()
        assert "# required" in text
        assert "# optional" in text


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
