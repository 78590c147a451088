"""The configuration file: closed, every refusal with its line, and defaults for what it does not say."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from workspaces import MODES, line_in, make_workspace, refused, tree

from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import ConfigError, UnsafePathError
from portfolio_rebalance.workspace import LoadedConfig, load_config

CONFIG = "config/portfolio-rebalance.yaml"


def load(root: Path) -> LoadedConfig:
    return load_config(root, mode_names=MODES)


def with_text(tmp_path: Path, below: str) -> Path:
    return make_workspace(tmp_path, config=f"portfolio_rebalance:\n{below}")


def test_no_file_means_defaults_and_writes_none(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    before = tree(root)
    loaded = load(root)
    assert loaded.config == Config()
    assert loaded.sha256 is None
    assert loaded.label == ".crypto/config/portfolio-rebalance.yaml"
    assert tree(root) == before


def test_reads_what_is_written(tmp_path: Path) -> None:
    text = """\
  drift_thresholds: {individual_drift_percent: 4}
  circuit_breakers:
    max_total_deployed_percent: 50.5   # a decimal
    max_individual_allocation_percent: 40
  rebalancing_modes:
    default: proportional
    available: [risk_adjusted, proportional]
  improvement_weights: {sharpe: 0.5, return: 0.5}
"""
    loaded = load(with_text(tmp_path, text))
    config = loaded.config
    assert config.drift_thresholds.individual_drift_percent == 4
    assert config.circuit_breakers.max_total_deployed_percent == Decimal("50.5")
    assert config.rebalancing_modes.available == ("risk_adjusted", "proportional")
    assert config.improvement_weights.return_ == Decimal("0.5")
    assert config.correlation_analysis == Config().correlation_analysis
    assert loaded.sha256 is not None


@pytest.mark.parametrize(
    "below", ["", "  # enabled: true\n", "  drift_thresholds:\n  llm: {}\n  simulation: {}\n"]
)
def test_section_whose_keys_are_commented_out_is_one_of_defaults(tmp_path: Path, below: str) -> None:
    assert load(with_text(tmp_path, below)).config == Config()


@pytest.mark.parametrize(
    ("below", "line", "saying", "fix"),
    [
        ("  max_total_deployed_percent: 50\n", 2, "not a known key", "remove"),
        (
            "  circuit_breakers:\n    max_total_deployed: 50\n",
            3,
            "not a known key",
            "max_total_deployed_percent",
        ),
        ("  circuit_breaker: {}\n", 2, "not a known key", "circuit_breakers"),
        ("  circuit_breakers:\n    max_total_deployed_percent: 0\n", 3, "more than 0", ""),
        ("  circuit_breakers:\n    max_total_deployed_percent: 100.1\n", 3, "100 or less", ""),
        ("  circuit_breakers:\n    max_total_deployed_percent: '60'\n", 3, "number", "quotes"),
        ("  circuit_breakers:\n    max_total_deployed_percent:\n", 3, "empty", ""),
        ("  circuit_breakers:\n    min_allocation_percent: 50\n", 2, "min_allocation_percent", ""),
        ("  circuit_breakers: 60\n", 2, "mapping", ""),
        ("  enabled: yes\n", 2, "text to some", "true"),
        ("  enabled: 1\n", 2, "true or false", ""),
        ("  correlation_analysis:\n    lookback_days: 30.5\n", 3, "whole number", ""),
        ("  correlation_analysis:\n    lookback_days: 10\n", 1, "min_observations", ""),
        ("  # kept\n  retention_days: 29\n", 3, "30 or more", ""),
        ("  llm: {model: x}\n", 2, "not a known key", ""),
        ("  enabled: true\n  enabled: true\n", 3, "twice", ""),
        (
            "  rebalancing_modes:\n    default: correlation-aware\n",
            3,
            "no mode 'correlation-aware'",
            "Write correlation_aware",
        ),
        ("  rebalancing_modes:\n    default: clever\n", 3, "no mode", "proportional"),
        ("  rebalancing_modes:\n    available: []\n", 3, "at least 1", ""),
        (
            "  rebalancing_modes:\n    available:\n      - correlation_aware\n      - Risk-Adjusted\n",
            5,
            "no mode",
            "Write risk_adjusted",
        ),
        (
            "  rebalancing_modes:\n    available: [correlation_aware, correlation_aware]\n",
            3,
            "stands twice",
            "",
        ),
        (
            "  rebalancing_modes:\n    available: [proportional]\n",
            3,
            "'correlation_aware', is not among",
            "Add correlation_aware",
        ),
        (
            "  rebalancing_modes:\n    default: risk_adjusted\n    available: [proportional]\n",
            4,
            "is not among",
            "",
        ),
    ],
)
def test_what_is_not_understood_is_refused_with_its_line(
    tmp_path: Path, below: str, line: int, saying: str, fix: str
) -> None:
    root = with_text(tmp_path, below)
    with refused(root, ConfigError, where=f".crypto/{CONFIG}:{line}", saying=saying):
        load(root)
    with pytest.raises(ConfigError) as caught:
        load(root)
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("# nothing\n", 1),
        ("[]\n", 1),
        ("enabled: true\n", 1),
        ("portfolio_rebalance: {}\nportfolio-rebalance: {}\n", 2),
        ("portfolio_rebalance: 3\n", 1),
        ("portfolio_rebalance: {}\n---\nportfolio_rebalance: {}\n", 2),
        ("portfolio_rebalance:\n  x: [\n", 2),
        ("portfolio_rebalance:\n  x: \xff\ufeff\n", 2),
    ],
)
def test_file_of_another_shape_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    root = make_workspace(tmp_path, config=text)
    with refused(root, ConfigError, where=f".crypto/{CONFIG}:{line}"):
        load(root)


def test_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    root = with_text(tmp_path, "")
    (root / CONFIG).write_bytes(b"portfolio_rebalance:\n  schedule: \xff\n")
    with refused(root, ConfigError, where=f".crypto/{CONFIG}:2", saying="not UTF-8"):
        load(root)


def test_linked_file_is_refused(tmp_path: Path) -> None:
    root = with_text(tmp_path, "  enabled: false\n")
    (root / CONFIG).rename(tmp_path / "outside.yaml")
    (root / CONFIG).symlink_to(tmp_path / "outside.yaml")
    with refused(root, UnsafePathError, where=CONFIG):
        load(root)


def test_unreadable_limit_is_never_a_default(tmp_path: Path) -> None:
    """A limit that cannot be read must stop the run; the default might be laxer."""
    root = with_text(tmp_path, "  circuit_breakers: {max_individual_allocation_percent: 1e1}\n")
    with refused(root, ConfigError, where=line_in(root, CONFIG, "1e1")):
        load(root)


def test_two_cluster_limits_that_differ_are_a_warning(tmp_path: Path) -> None:
    root = with_text(tmp_path, "  circuit_breakers: {max_correlated_exposure_percent: 25}\n")
    (warning,) = load(root).warnings
    assert "25 %" in warning


def test_configuration_is_never_written(tmp_path: Path) -> None:
    root = with_text(tmp_path, "  enabled: false  # mine\n")
    before = tree(root)
    load(root)
    assert tree(root) == before
