"""Scenes for tests of scorers: small scenarios, run for real, and the worlds they leave.

A world that nothing was seeded into is run once and shared: what is judged is never changed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from portfolio_rebalance.agents.messages import ModelClient
from portfolio_rebalance.evals.behaviour import client_of
from portfolio_rebalance.evals.scenario import Scenario, scenario_from
from portfolio_rebalance.evals.scorers import SCORERS
from portfolio_rebalance.evals.scoring import Score, Scorer
from portfolio_rebalance.evals.world import Observed, observe

BROKEN = """
  strategies:
    STR-001: {capital: 20400, name: "Harbour lantern momentum", positions: [BTC 0.4 50000]}
    STR-003: {capital: 12000, name: "Quarry sparrow carry", positions: [ETH 4 3000]}
    STR-007: {capital: 6180, positions: [SOL 60 103]}
  returns: {groups: [[STR-001, STR-003]]}
  bootstrap_note: "Kept by hand on the third floor."
"""
"""Two strategies correlate, and their cluster is above its limit: a plan that compliance demands."""

BETTER = """
  strategies:
    STR-001: {capital: 9000, positions: [BTC 0.18 50000]}
    STR-003: {capital: 9000, positions: [ETH 3 3000]}
    STR-007: {capital: 9000, positions: [SOL 90 100]}
  returns: {drift: {STR-001: 0.015, STR-003: -0.015, STR-007: 0}}
  config: "rebalancing_modes: {default: performance_weighted}"
"""
"""Nothing is broken, and a plan would improve the portfolio."""

HEALTHY = """
  healthy: true
  concerns:
    risk_manager: [{kind: concentration, text: "S1 falls to [[S1 allocation after in D1]], and the book still leans on the same bet."}]
"""  # noqa: E501 - one line of the file


def scene(
    *, workspace: str = BROKEN, models: str = HEALTHY, request: str = "", expect: str = "status: planned"
) -> Scenario:
    """A scenario from its parts, each as it would stand in a file."""
    parts = [
        "name: a-scene",
        "family: documented",
        "about: A scene of a test.",
        f"workspace: {workspace.rstrip()}",
        *([f"models: {models.rstrip()}"] if models else []),
        *([f"request: {request}"] if request else []),
        f"expect: {{{expect}}}",
    ]
    return scenario_from("\n".join(parts) + "\n", label="a-scene.yaml")


def run(
    scenario: Scenario,
    *,
    client: Callable[[], ModelClient] | None = None,
    clock: Callable[[], float] | None = None,
) -> Observed:
    """Run a scenario in a folder of its own."""
    models = scenario.models
    plays = client() if client is not None else None
    if plays is None and (models.healthy or models.script):
        plays = client_of(models)
    with tempfile.TemporaryDirectory() as folder:
        if clock is not None:
            return observe(scenario, Path(folder), client=plays, clock=clock)
        return observe(scenario, Path(folder), client=plays)


@cache
def healthy() -> Observed:
    """A healthy model leads a run that compliance demands."""
    return run(scene(expect="status: planned, driver: model"))


@cache
def executed() -> Observed:
    """The same by rules, approved by the person who is there, and executed."""
    return run(
        scene(models="", request="{execute: true, person: approves}", expect="status: executed, orders: some")
    )


@cache
def lowered() -> Observed:
    """A model lowers an improvement."""
    return run(
        scene(
            workspace=BETTER,
            models='{healthy: true, verdict: downgrade_hold, explanation: "Waiting costs nothing."}',
            expect="status: hold, driver: model",
        )
    )


def scorer(name: str) -> Scorer:
    """A scorer by its name."""
    (found,) = (one for one in SCORERS if one.name == name)
    return found


def judge(name: str, seen: Observed) -> Score:
    """What a scorer says of a world."""
    return scorer(name).judge(seen)
