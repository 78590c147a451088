"""Benign scenarios: each ends as it says, and what it says was reckoned apart from the product."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from reckoned import Reckoned, percent, reckon
from reckoned_desk import desk_of
from reckoned_statistics import UndecidedError, above, correlations

from portfolio_rebalance.evals.behaviour import client_of
from portfolio_rebalance.evals.builder import build
from portfolio_rebalance.evals.scenario import (
    ReturnsSpec,
    Scenario,
    StrategySpec,
    WorkspaceSpec,
    load_scenarios,
)
from portfolio_rebalance.evals.scorers import SCORERS
from portfolio_rebalance.evals.world import Observed, observe

LEAST = {"documented": 20, "real_returns": 20, "hard_data": 14, "long": 8}
MODES = ("proportional", "correlation_aware", "performance_weighted", "risk_adjusted", "minimal_turnover")
JUDGED = tuple(scorer for scorer in SCORERS if scorer.name != "latency")  # the machine may be busy
SCENARIOS = {
    one.name: one
    for one in load_scenarios()
    if one.family in LEAST and one.benign and not one.models.transcript
}
WITH_FIGURES = sorted(name for name, one in SCENARIOS.items() if one.expect.allocations)
LOWERED = ("downgrade_optional", "downgrade_hold")


def run(scenario: Scenario, folder: Path) -> Observed:
    models = scenario.models
    client = client_of(models) if models.healthy or models.script else None
    seen = observe(scenario, folder, client=client)
    if client is not None and seen.result.status != "refused":
        client.finish()  # every step was used: the model did all of its part
    return seen


def by_reckoning(scenario: Scenario, folder: Path) -> Reckoned:
    """What the mode that ends up chosen comes to, from the files alone."""
    taken = scenario.expect.mode if scenario.expect.mode_taken else None
    return reckon(scenario, build(scenario.workspace, folder), mode=taken)


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_the_world_stands_as_the_scenario_says(name: str, tmp_path: Path) -> None:
    seen = run(SCENARIOS[name], tmp_path)
    assert seen.crash == ""
    faults = {scorer.name: score.faults for scorer in JUDGED if (score := scorer.judge(seen)).passed is False}
    assert faults == {}
    if SCENARIOS[name].models.healthy and seen.result.status != "refused":
        assert seen.result.advice is not None
        assert seen.result.advice.explained_by == "model"


@pytest.mark.parametrize("name", WITH_FIGURES)
def test_what_a_scenario_expects_is_what_a_second_reckoning_comes_to(name: str, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    expected, found = scenario.expect, by_reckoning(scenario, tmp_path)
    assert expected.allocations == {key: percent(bp) for key, bp in found.allocations.items()}
    if expected.exposure is not None:
        assert expected.exposure == found.exposure
    if expected.recommendation is not None and scenario.models.verdict not in LOWERED:
        assert expected.recommendation == found.recommendation
    if expected.basis is not None:
        assert expected.basis == found.basis


def test_every_family_has_its_share_and_no_two_scenarios_are_the_same() -> None:
    counts = Counter(one.family for one in SCENARIOS.values())
    assert all(counts[family] >= least for family, least in LEAST.items()), counts
    situations = [
        one.model_dump_json(include={"workspace", "request", "models"}) for one in SCENARIOS.values()
    ]
    assert len(set(situations)) == len(situations)
    assert len({one.about for one in SCENARIOS.values()}) == len(SCENARIOS)


def test_every_mode_is_tried_on_real_returns_at_four_dates_at_least() -> None:
    dates = defaultdict(set)
    for one in SCENARIOS.values():
        if one.family == "real_returns":
            assert one.workspace.returns.kind == "real", one.name
            dates[one.expect.mode].add(one.workspace.returns.until)
    assert {mode: len(dates[mode]) >= 4 for mode in MODES} == dict.fromkeys(MODES, True)


def test_long_portfolios_have_thirty_strategies_or_more() -> None:
    sizes = {
        one.name: one.workspace.many + len(one.workspace.strategies)
        for one in SCENARIOS.values()
        if one.family == "long"
    }
    assert min(sizes.values()) >= 30, sizes
    assert max(sizes.values()) > 60, sizes


def test_planted_defects_are_found_by_rules_in_some_and_by_a_model_alone_in_others(tmp_path: Path) -> None:
    late, regime = (
        run(SCENARIOS[f"hard-{name}"], tmp_path / name) for name in ("late-copy", "regime-change")
    )
    told = {
        (key, review.source): " ".join(review.concerns)
        for key, seen in (("late", late), ("regime", regime))
        for review in seen.result.reviews
        if review.role == "quantitative_analyst"
    }
    assert "misdated" in told["late", "rules"]
    assert told["late", "model"] == ""
    assert "regime" not in told["regime", "rules"]
    assert told["regime", "model"].startswith("regime change: ")


# --- the second reckoning itself -------------------------------------------------------------------------


def test_the_reckoning_follows_its_input_to_the_basis_point(tmp_path: Path) -> None:
    """34 and 20 % come to 16 and 14; with 20.05 % the first is cut to 0.8 of that, and 13.96 are left."""
    example = SCENARIOS["documented-correlation-aware"]
    assert by_reckoning(example, tmp_path / "as-it-is").allocations["STR-003"] == 1400
    more = example.workspace.strategies | {"STR-003": StrategySpec(capital=Decimal(12_030))}
    moved = example.model_copy(
        update={"workspace": example.workspace.model_copy(update={"strategies": more})}
    )
    allocations = by_reckoning(moved, tmp_path / "moved").allocations
    assert (allocations["STR-001"], allocations["STR-003"]) == (1604, 1396)


def test_the_reckoning_does_not_answer_at_a_threshold() -> None:
    with pytest.raises(UndecidedError):
        above(0.7 + 1e-9, 0.7)
    assert above(0.71, 0.7)


# --- what the builder plants -----------------------------------------------------------------------------


def _scenario(returns: ReturnsSpec) -> Scenario:
    space = WorkspaceSpec(
        strategies={key: StrategySpec(capital=Decimal(9_000)) for key in ("STR-001", "STR-003")},
        returns=returns,
    )
    return SCENARIOS["documented-balanced"].model_copy(update={"workspace": space})


def _returns(root: Path, strategy: str) -> list[float]:
    file = root / f"live-monitoring/live-performance/{strategy}/daily_returns.csv"
    return [float(line.split(",")[1]) for line in file.read_text().splitlines()[1:]]


def test_a_strategy_that_joins_another_was_on_its_own_before(tmp_path: Path) -> None:
    scenario = _scenario(ReturnsSpec(defects={"STR-003": "joins:STR-001"}))
    root = build(scenario.workspace, tmp_path)
    desk = desk_of(scenario, root)
    pair = ("STR-001", "STR-003")
    now, _ = correlations(desk.window, least=20)
    assert now[pair] > 0.95
    first, second = _returns(root, "STR-001"), _returns(root, "STR-003")
    before = {
        key: dict(zip(desk.window[key], values[-60:-30], strict=True))
        for key, values in zip(pair, (first, second), strict=True)
    }
    assert abs(correlations(before, least=20)[0][pair]) < 0.4


def test_volatility_and_percent_scale_what_is_drawn(tmp_path: Path) -> None:
    quiet = ReturnsSpec(volatility={"STR-001": Decimal("0.01")}, drift={"STR-001": Decimal(0)})
    usual = ReturnsSpec(drift={"STR-001": Decimal(0)})
    wrong = ReturnsSpec(drift={"STR-001": Decimal(0)}, defects={"STR-001": "percent"})
    half, whole, hundredfold = (
        _returns(build(_scenario(returns).workspace, tmp_path / name), "STR-001")
        for name, returns in (("quiet", quiet), ("usual", usual), ("wrong", wrong))
    )
    assert half == pytest.approx([value / 2 for value in whole], abs=1e-8)
    assert hundredfold == pytest.approx([100 * value for value in whole], abs=1e-6)


def test_an_earlier_total_leaves_a_run_of_the_day_before(tmp_path: Path) -> None:
    jump = SCENARIOS["documented-capital-jump"]
    seen = run(jump, tmp_path)
    error = seen.result.error
    assert error is not None
    assert "45000 (run of 2025-02-04 02:00Z) to 60000" in error.what
    assert Fraction(60_000 - 45_000, 45_000) > Fraction(20, 100)
