"""Acts: what a mutation does to a workspace. Each gives a function of the scene, which changes it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from executing import DAYS, EXAMPLE_1, config_text, correlated_returns
from run.mutations import Scene
from workspaces import AS_OF, Strategy, bootstrap_text, registry_text, write_returns, write_snapshot

from portfolio_rebalance.clock import format_instant

__all__ = [
    "BOOTSTRAP",
    "CONFIG",
    "FIRST",
    "REGISTRY",
    "SECOND",
    "THIRD",
    "Act",
    "bootstrap",
    "both",
    "configures",
    "correlating",
    "dates",
    "double",
    "edits",
    "edits_config",
    "follows",
    "independent",
    "linked_config",
    "links",
    "older_snapshot",
    "registry",
    "removes",
    "returns",
    "second_block",
    "snapshots",
    "swaps",
    "without_returns",
    "without_snapshots",
]

BOOTSTRAP, REGISTRY, CONFIG = "BOOTSTRAP.md", "knowledge/registry.yaml", "config/portfolio-rebalance.yaml"
FIRST, SECOND, THIRD = EXAMPLE_1

Act = Callable[[Scene], object]


def snapshots(key: str, *legs: dict[str, str], own_cash: Decimal | None = None) -> Act:
    return lambda scene: scene.snapshot(key, *legs, own_cash=own_cash)


def older_snapshot(key: str) -> Act:
    """An older one of other content, which does not count."""
    other = replace(EXAMPLE_1[key], capital=1, positions=())
    return lambda scene: write_snapshot(scene.root, key, other, as_of=AS_OF - timedelta(hours=5))


def bootstrap(**changes: Decimal | str) -> Act:
    stated = format_instant(AS_OF - timedelta(minutes=30))
    text = bootstrap_text(EXAMPLE_1, as_of=stated, **changes)  # type: ignore[arg-type]
    return lambda scene: scene.write(BOOTSTRAP, text)


def registry(key: str, **changes: object) -> Act:
    return both({**EXAMPLE_1, key: replace(EXAMPLE_1[key], **changes)})  # type: ignore[arg-type]


def both(strategies: Mapping[str, Strategy]) -> Act:
    """Registry and BOOTSTRAP of these strategies."""

    def act(scene: Scene) -> None:
        scene.write(REGISTRY, registry_text(strategies))
        scene.write(
            BOOTSTRAP, bootstrap_text(strategies, as_of=format_instant(AS_OF - timedelta(minutes=30)))
        )

    return act


def returns(change: Callable[[list[float]], list[float]], *keys: str) -> Act:
    def act(scene: Scene) -> None:
        for key, values in correlated_returns().items():
            if key in (keys or EXAMPLE_1):
                _write_returns(scene, key, change(values))

    return act


def without_snapshots(key: str) -> Act:
    """None of a strategy is left."""
    return lambda scene: [path.unlink() for path in scene.snapshots(key)]


def without_returns(scene: Scene) -> None:
    for key in EXAMPLE_1:
        scene.path(f"live-monitoring/live-performance/{key}/daily_returns.csv").unlink()


def independent(seed: int) -> Act:
    def act(scene: Scene) -> None:
        for key in EXAMPLE_1:
            draw = random.Random(f"{key} {seed}")
            _write_returns(scene, key, [draw.gauss(0, 0.02) for _ in range(DAYS)])

    return act


def correlating(rho: float) -> Act:
    return lambda scene: _write_returns(scene, SECOND, correlated_returns(rho)[SECOND])


def follows(key: str, other: str) -> Act:
    return lambda scene: _write_returns(scene, key, correlated_returns()[other])


def swaps(one: str, other: str) -> Act:
    def act(scene: Scene) -> None:
        follows(one, other)(scene)
        follows(other, one)(scene)

    return act


def _write_returns(scene: Scene, key: str, values: list[float]) -> None:
    write_returns(scene.root, key, values, last_return=AS_OF.date() - timedelta(days=1))


def configures(*lines: str) -> Act:
    return edits_config(config_text(*lines))


def edits_config(text: str) -> Act:
    return lambda scene: scene.write(CONFIG, text)


def linked_config(scene: Scene) -> None:
    scene.write(CONFIG, config_text())
    links(CONFIG)(scene)


def edits(relative: str, old: str, new: str) -> Act:
    return lambda scene: scene.edit(relative, old, new)


def dates(relative: str, instant: str) -> Act:
    """Another instant instead of the first that a file states."""

    def act(scene: Scene) -> None:
        stated = re.search("2025-02-05T[0-9:]+Z", scene.path(relative).read_text())
        assert stated
        scene.edit(relative, stated[0], instant)

    return act


def removes(relative: str) -> Act:
    return lambda scene: scene.path(relative).unlink()


def links(relative: str) -> Act:
    def act(scene: Scene) -> None:
        target = scene.path(relative)
        target.symlink_to(target.rename(target.with_name("moved")))

    return act


def double(scene: Scene) -> None:
    other = replace(EXAMPLE_1[FIRST], market_value=20_401)
    write_snapshot(scene.root, FIRST, other, as_of=AS_OF - timedelta(hours=1), name="snapshot-double.yaml")


def second_block(scene: Scene) -> None:
    text = scene.path(BOOTSTRAP).read_text()
    scene.write(BOOTSTRAP, text + text)
