"""The state a run starts from: everything read once, nothing filled in, what is missing marked."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from workspaces import (
    AS_OF,
    MODES,
    THREE,
    Strategy,
    changed,
    clock_at,
    line_in,
    make_workspace,
    performance_folder,
    random_returns,
    refused,
    tree,
    write_snapshot,
)

from portfolio_rebalance.clock import Clock
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import BadDataError, ConfigError, FutureDataError, MissingDataError
from portfolio_rebalance.records import canonical_bytes, digest
from portfolio_rebalance.workspace import LoadedState, load_state, state_instant

LAST_CLOSED = date(2025, 2, 4)


def load(root: Path, clock: Clock | None = None) -> LoadedState:
    return load_state(root, clock=clock or clock_at(), mode_names=MODES)


def test_worked_example_of_the_specification(tmp_path: Path) -> None:
    portfolio = load(make_workspace(tmp_path)).portfolio
    assert portfolio.total_capital == 60_000
    percents = [round(float(bp) / 100, 2) for bp in portfolio.current_bp.values()]
    assert percents == [34.00, 20.17, 10.33]
    drifts = [
        round(float(100 * (portfolio.current_bp[key] - target) / target), 2)
        for key, target in portfolio.target_bp.items()
    ]
    assert drifts == [2.00, 0.83, 3.33]
    assert portfolio.stale == ()
    assert portfolio.warnings == ()


def test_every_field_arrives(tmp_path: Path) -> None:
    leg = {"asset": "BTC", "quantity": "0.5", "price": 40_000, "market_value": 20_000}
    strategies = changed(
        THREE,
        "STR-001",
        pinned=True,
        control="positions",
        account="main",
        assets=("BTC", "ETH"),
        positions=(leg,),
        pnl={"1h": 1, "1d": "-2.5"},
        market_value="20500.25",
        risk_profile="high",
    )
    portfolio = load(make_workspace(tmp_path, strategies, cash="21300")).portfolio
    first = portfolio.strategies[0]
    assert first.model_dump(exclude={"positions", "pnl"}) == {
        "strategy": "STR-001",
        "name": "funding arb",
        "capital": Decimal("20500.25"),
        "capital_source": "snapshot",
        "capital_as_of": AS_OF - timedelta(hours=1),
        "target_percent": Decimal("33.3333"),
        "pinned": True,
        "control": "positions",
        "account": "main",
        "assets": ("BTC", "ETH"),
        "risk_profile": "high",
        "stale": "",
    }
    assert first.positions[0].quantity == Decimal("0.5")
    assert dict(first.pnl) == {"1h": 1, "4h": None, "1d": Decimal("-2.5")}
    assert portfolio.pinned == {"STR-001"}
    assert portfolio.cash == 21_300
    assert portfolio.total_capital == Decimal("21300") + Decimal("20500.25") + 12_100 + 6_200


def test_cash_is_of_bootstrap_whatever_the_snapshots_say(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-001", market_value=30_400))
    portfolio = load(root).portfolio
    assert portfolio.cash == 21_300
    assert portfolio.total_capital == 70_000
    assert portfolio.current_bp["STR-001"] == Fraction(304_000, 70)


def test_strategies_come_sorted_whatever_the_order_of_the_files(tmp_path: Path) -> None:
    one = load(make_workspace(tmp_path / "a", THREE))
    two = load(make_workspace(tmp_path / "b", dict(reversed(THREE.items()))))
    assert [state.strategy for state in two.portfolio.strategies] == sorted(THREE)
    assert list(two.returns) == sorted(THREE)
    assert one.portfolio.strategies == two.portfolio.strategies


def test_inputs_are_the_digests_of_every_file_that_was_read(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, config="portfolio_rebalance: {}\n")
    write_snapshot(root, "STR-001", THREE["STR-001"], as_of=AS_OF - timedelta(days=3))  # older, not read
    inputs = load(root).portfolio.inputs
    assert all(
        inputs[f".crypto/{name}"] == sha256((root / name).read_bytes()).hexdigest()
        for name in ("BOOTSTRAP.md", "knowledge/registry.yaml", "config/portfolio-rebalance.yaml")
    )
    assert len(inputs) == 3 + 2 * 3
    assert {label.rsplit("/", 1)[-1] for label in inputs if "STR-001" in label} == {
        "snapshot-2025-02-05T010000Z.yaml",
        "daily_returns.csv",
    }


def test_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = (load(make_workspace(tmp_path / name)) for name in "ab")
    assert canonical_bytes(one.portfolio) == canonical_bytes(two.portfolio)
    assert one.config_sha256 == two.config_sha256


def test_configuration_digest_is_that_of_what_holds(tmp_path: Path) -> None:
    plain = load(make_workspace(tmp_path / "a"))
    stated = load(
        make_workspace(tmp_path / "b", config="portfolio_rebalance: {enabled: true, min_observations: 20}\n")
    )
    other = load(make_workspace(tmp_path / "c", config="portfolio_rebalance: {min_observations: 21}\n"))
    assert plain.config_sha256 == stated.config_sha256 == digest(Config())
    assert plain.config_sha256 != other.config_sha256


def test_loading_writes_nothing(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    before = tree(tmp_path)
    load(root)
    state_instant(root)
    assert tree(tmp_path) == before


def test_places_are_told(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    state = load(root)
    assert state.where_total == line_in(root, "BOOTSTRAP.md", "total_capital")
    assert state.where["STR-003"] == line_in(root, "knowledge/registry.yaml", "STR-003")


def test_registry_may_know_many_more(tmp_path: Path) -> None:
    strategies = {
        **THREE,
        "STR-OLD": Strategy(capital=1, target_percent=1, status="retired", in_bootstrap=False),
    }
    assert len(load(make_workspace(tmp_path, strategies)).portfolio.strategies) == 3


def test_configuration_warnings_are_passed_on(tmp_path: Path) -> None:
    config = "portfolio_rebalance: {circuit_breakers: {max_correlated_exposure_percent: 25}}\n"
    (warning,) = load(make_workspace(tmp_path, config=config)).portfolio.warnings
    assert "max_correlated_exposure_percent" in warning


# --- warnings: figures that have grown apart -------------------------------------------------------------


def test_snapshot_older_than_bootstrap_that_says_otherwise_counts_with_a_warning(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-003", market_value="12222.50"))
    portfolio = load(root).portfolio
    assert portfolio.strategies[1].capital == Decimal("12222.50")
    (warning,) = portfolio.warnings
    snapshot = "live-monitoring/live-performance/STR-003/snapshot-2025-02-05T010000Z.yaml"
    for words in (
        line_in(root, snapshot, "market_value"),
        "12222.50",
        line_in(root, "BOOTSTRAP.md", "STR-003"),
    ):
        assert words in warning
    assert "12100" in warning
    assert warning.endswith("Write a new snapshot, or correct BOOTSTRAP.")


@pytest.mark.parametrize(
    "changes",
    [
        {"market_value": "12220"},  # within 1 %
        {"market_value": "13000", "snapshot_age": timedelta(minutes=30)},  # as new as BOOTSTRAP
        {"market_value": "13000", "snapshot_age": timedelta(minutes=5)},
    ],
)
def test_snapshot_that_agrees_or_is_newer_is_no_warning(tmp_path: Path, changes: dict[str, object]) -> None:
    assert load(make_workspace(tmp_path, changed(THREE, "STR-003", **changes))).portfolio.warnings == ()


@pytest.mark.parametrize(
    ("value", "warned"), [(23_400, False), (23_401, True), (17_400, False), (17_399, True)]
)
def test_total_that_moved_more_than_five_percent_is_a_warning_with_the_figures(
    tmp_path: Path, value: int, warned: bool
) -> None:
    newer = changed(THREE, "STR-001", market_value=value, snapshot_age=timedelta(minutes=5))
    root = make_workspace(tmp_path, newer)
    warnings = load(root).portfolio.warnings
    assert len(warnings) == warned
    for warning in warnings:
        assert warning.startswith(line_in(root, "BOOTSTRAP.md", "total_capital"))
        assert "60000" in warning
        assert str(60_000 + value - 20_400) in warning


def test_stale_state_says_what_to_write(tmp_path: Path) -> None:
    strategies = changed(changed(THREE, "STR-001", snapshot=False), "STR-007", snapshot=False)
    portfolio = load(make_workspace(tmp_path, strategies, returns={"STR-003": None})).portfolio
    folder = "live-monitoring/live-performance"
    both = f"{folder}/{{STR-001,STR-007}}/snapshot-<UTC>.yaml"
    assert portfolio.warnings == (
        f"To have fresh capital, write {both} with as_of, market_value.",
        f"To have fresh returns, write {folder}/STR-003/daily_returns.csv with date,return up to 2025-02-04.",
    )


# --- refusals --------------------------------------------------------------------------------------------


def test_nothing_deployed_is_refused(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, {})
    with refused(
        root,
        MissingDataError,
        where=line_in(root, "BOOTSTRAP.md", "deployed_strategies"),
        saying="No strategy",
    ):
        load(root)


def test_no_capital_at_all_is_refused(tmp_path: Path) -> None:
    root = make_workspace(
        tmp_path, {"STR-A": Strategy(capital=100, target_percent=9, market_value=0)}, total_capital=100
    )
    with refused(
        root, BadDataError, where=line_in(root, "BOOTSTRAP.md", "total_capital"), saying="Total capital is 0"
    ):
        load(root)


def test_all_flat_beside_cash_is_no_refusal(tmp_path: Path) -> None:
    state = load(make_workspace(tmp_path, changed(THREE, "STR-001", market_value=0)))
    assert state.portfolio.current_bp["STR-001"] == 0


def test_configuration_is_read_before_anything_else(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, {}, bootstrap="", registry="", config="")
    with refused(root, ConfigError, where="config/portfolio-rebalance.yaml:1"):
        load(root)


def test_bootstrap_is_read_before_the_registry(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, bootstrap="", registry="")
    with refused(root, MissingDataError, where="BOOTSTRAP.md:1"):
        load(root)


@pytest.mark.parametrize("row", ["2025-02-04,nan", "2025-02-04,1%", "2025-02-04,-1.5", "2025-02-04,11"])
def test_bad_return_is_refused_with_its_line(tmp_path: Path, row: str) -> None:
    root = make_workspace(tmp_path)
    (performance_folder(root, "STR-003") / "daily_returns.csv").write_text(
        f"date,return\n2025-02-03,0.1\n{row}\n"
    )
    with refused(root, BadDataError, where="STR-003/daily_returns.csv:3"):
        load(root)


# --- returns and the clock -------------------------------------------------------------------------------


def days_of(state: LoadedState, key: str = "STR-001") -> list[date]:
    return state.returns[key][0].tolist()


def test_returns_end_on_the_last_closed_day(tmp_path: Path) -> None:
    state = load(make_workspace(tmp_path, return_days=40))
    days, values = state.returns["STR-001"]
    assert days.dtype == "datetime64[D]"
    assert values.dtype == np.float64
    assert (len(days), days_of(state)[-1]) == (40, LAST_CLOSED)
    assert values.tolist() == random_returns("STR-001", 40)
    assert not days.flags.writeable
    assert not values.flags.writeable


def test_replay_leaves_out_what_the_file_gained_since(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, last_return=date(2025, 3, 1))
    state = load(root, clock_at(AS_OF, now=datetime(2025, 3, 2, tzinfo=UTC)))
    assert days_of(state)[-1] == LAST_CLOSED
    assert state.portfolio.stale == ()


def test_day_of_the_run_has_not_closed(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, last_return=AS_OF.date())
    assert days_of(load(root, clock_at(fixed=False)))[-1] == LAST_CLOSED


def test_return_after_the_machines_day_is_refused(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, last_return=AS_OF.date() + timedelta(days=1))
    for fixed in (True, False):
        with refused(root, FutureDataError, where="STR-001/daily_returns.csv:91"):
            load(root, clock_at(fixed=fixed))


def test_missing_last_day_is_stale(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, returns={"STR-003": [0.1, 0.2, float("nan")]})
    state = load(root)
    assert state.portfolio.stale == ("STR-003: no return for 2025-02-04",)
    assert days_of(state, "STR-003")[-1] == date(2025, 2, 3)


def test_stated_absence_of_the_last_return_is_stale_too(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    (performance_folder(root, "STR-003") / "daily_returns.csv").write_text(
        "date,return\n2025-02-03,0.1\n2025-02-04,\n"
    )
    assert load(root).portfolio.stale == ("STR-003: no return for 2025-02-04",)


def test_no_return_file_is_stale_and_an_empty_series(tmp_path: Path) -> None:
    state = load(make_workspace(tmp_path, returns={"STR-003": None}))
    assert state.portfolio.stale == ("STR-003: no return for 2025-02-04",)
    days, values = state.returns["STR-003"]
    assert len(days) == len(values) == 0
    assert days.dtype == "datetime64[D]"


def test_missing_days_stay_missing(tmp_path: Path) -> None:
    """Thirty rows are not thirty days: nothing is filled in, nothing moves up."""
    hole = {LAST_CLOSED - timedelta(days=n): 0.01 for n in (*range(5), *range(18, 43))}
    state = load(make_workspace(tmp_path, returns={"STR-001": hole}))
    assert days_of(state) == sorted(hole)


def test_two_reasons_are_both_told(tmp_path: Path) -> None:
    strategies = changed(THREE, "STR-001", snapshot=False)
    (reason,) = load(make_workspace(tmp_path, strategies, returns={"STR-001": None})).portfolio.stale
    assert (
        reason == "STR-001: no snapshot: BOOTSTRAP capital of 2025-02-05T01:30:00Z; no return for 2025-02-04"
    )


# --- the workspace's own instant -------------------------------------------------------------------------


def test_own_instant_is_the_newest_of_bootstrap_and_snapshots(tmp_path: Path) -> None:
    assert state_instant(make_workspace(tmp_path / "a")) == AS_OF - timedelta(minutes=30)
    fresh = changed(THREE, "STR-007", snapshot_age=timedelta(minutes=5))
    assert state_instant(make_workspace(tmp_path / "b", fresh)) == AS_OF - timedelta(minutes=5)
    bare = {key: replace(strategy, snapshot=False) for key, strategy in THREE.items()}
    assert state_instant(make_workspace(tmp_path / "c", bare)) == AS_OF - timedelta(minutes=30)


def test_state_can_be_loaded_at_its_own_instant(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    instant = state_instant(root)
    assert load(root, Clock.at(instant, now=instant)).portfolio.stale == ()


# --- order of files does not matter ----------------------------------------------------------------------


def test_order_of_creation_does_not_matter(tmp_path: Path) -> None:
    """The file system lists names in its own order; results must not depend on it."""
    expected = canonical_bytes(load(make_workspace(tmp_path / "0")).portfolio)
    for seed in range(1, 4):
        keys = list(THREE)
        random.Random(seed).shuffle(keys)
        root = make_workspace(tmp_path / str(seed))
        for key in keys:
            folder = performance_folder(root, key)
            folder.rename(folder.with_name("moved"))
            folder.with_name("moved").rename(folder)
        assert canonical_bytes(load(root).portfolio) == expected
