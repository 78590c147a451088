"""The newest snapshot is found by what is in it, and is refused where it cannot be trusted."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from unittest import mock

import pytest
from workspaces import (
    AS_OF,
    MODES,
    STR_001,
    THREE,
    changed,
    clock_at,
    line_in,
    make_workspace,
    performance_folder,
    refused,
    write_snapshot,
)

from portfolio_rebalance.errors import (
    BadDataError,
    FutureDataError,
    StaleDataError,
    StrictYamlError,
    UnsafePathError,
)
from portfolio_rebalance.workspace import snapshots
from portfolio_rebalance.workspace.problems import each_problem
from portfolio_rebalance.workspace.snapshots import Snapshot, newest_snapshot
from portfolio_rebalance.workspace.state import LoadedState, load_state

LEG = {"asset": "BTC", "quantity": "0.5", "price": 40_000, "market_value": 20_000}


def newest(root: Path) -> Snapshot:
    snapshot = newest_snapshot(root, "STR-001", currency=("USD", "B.md:1"), clock=clock_at())
    assert snapshot is not None
    return snapshot


def load(root: Path, *, as_of: datetime = AS_OF) -> LoadedState:
    return load_state(root, clock=clock_at(as_of), mode_names=MODES)


def write(root: Path, text: str) -> Path:
    """The only snapshot of STR-001."""
    folder = performance_folder(root, "STR-001")
    for old in folder.glob("snapshot-*"):
        old.unlink()
    path = folder / "snapshot-2025-02-05T010000Z.yaml"
    path.write_text(text)
    return path


TEXT = "as_of: 2025-02-05T01:00:00Z\nmarket_value: 5\npositions: []\n"


def test_reads_what_is_written(tmp_path: Path) -> None:
    short = {"asset": "ETH", "quantity": "-2", "price": "1500.5", "market_value": "-3001.0"}
    strategies = changed(
        THREE,
        "STR-001",
        positions=(LEG, short),
        pnl={"1h": 12, "4h": None, "1d": "-3.50"},
        snapshot_currency="USD",
    )
    snapshot = newest(make_workspace(tmp_path, strategies))
    assert snapshot.market_value == 20_400
    assert [leg.quantity for leg in snapshot.positions] == [Decimal("0.5"), -2]
    assert snapshot.positions[1].market_value == -3001
    assert snapshot.pnl == {"1h": 12, "4h": None, "1d": Decimal("-3.50")}
    assert snapshot.mismatches == ()


@pytest.mark.parametrize("pnl", ["", "pnl: null\n", "pnl: {}\n", "pnl: {4h: null}\n"])
def test_unknown_windows_are_none(tmp_path: Path, pnl: str) -> None:
    root = make_workspace(tmp_path)
    write(root, TEXT + pnl)
    assert newest(root).pnl == {"1h": None, "4h": None, "1d": None}


def test_strategy_without_snapshots_has_none(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-001", snapshot=False))
    assert newest_snapshot(root, "STR-001", currency=("USD", ""), clock=clock_at()) is None
    assert newest_snapshot(root, "STR-NONE", currency=("USD", ""), clock=clock_at()) is None


@pytest.mark.parametrize("rest", ["", "positions:\npnl:\n"])
def test_instant_and_value_are_enough(tmp_path: Path, rest: str) -> None:
    root = make_workspace(tmp_path)
    write(root, f"as_of: 2025-02-05T01:00:00Z\nmarket_value: 5\n{rest}")
    snapshot = newest(root)
    assert (snapshot.market_value, snapshot.positions) == (5, ())
    assert set(snapshot.pnl.values()) == {None}


def test_every_problem_of_a_snapshot_is_carried(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    write(root, 'as_of: "yesterday"\nmarket_value: -1\ncurency: USD\npnl: {1h: lots}\n')
    with pytest.raises(BadDataError) as caught:
        newest(root)
    assert [one.where.rsplit(":", 1)[1] for one in each_problem(caught.value)] == ["1", "2", "3", "4"]
    write(root, TEXT.replace("2025-02-05", "2025-03-05") + "currency: EUR\n")
    with pytest.raises(BadDataError) as caught:
        newest(root)
    assert [type(one) for one in each_problem(caught.value)] == [FutureDataError, BadDataError]


# --- which one is newest ---------------------------------------------------------------------------------

HOUR = timedelta(hours=1)
STAMPS = ("%Y-%m-%dT%H%M%SZ", "%Y%m%dT%H%M%SZ", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H-%M-%SZ")


@pytest.mark.parametrize("stamp", STAMPS)
def test_only_the_newest_by_name_is_read_where_names_tell_the_truth(tmp_path: Path, stamp: str) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-001", snapshot=False))
    for hours in range(1, 200):
        at = AS_OF - hours * HOUR
        write_snapshot(root, "STR-001", STR_001, as_of=at, name=f"snapshot-{at:{stamp}}.yaml")
    with mock.patch.object(snapshots, "read_text", wraps=snapshots.read_text) as reading:
        assert newest(root).as_of == AS_OF - HOUR
    assert reading.call_count == 1


def test_what_is_inside_wins_where_a_name_does_not_tell_the_truth(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-001", snapshot=False))
    write_snapshot(root, "STR-001", STR_001, as_of=AS_OF - 9 * HOUR, name="snapshot-2025-02-05T015959Z.yaml")
    write_snapshot(root, "STR-001", STR_001, as_of=AS_OF - 2 * HOUR, name="snapshot-2020-01-01T000000Z.yaml")
    write_snapshot(root, "STR-001", STR_001, as_of=AS_OF - 4 * HOUR)
    assert newest(root).as_of == AS_OF - 2 * HOUR


@pytest.mark.parametrize(
    "name", ["snapshot-latest.yaml", "snapshot-2025-13-45T990000Z.yaml", "snapshot-1738717200.yaml"]
)
def test_name_without_an_instant_is_looked_into(tmp_path: Path, name: str) -> None:
    root = make_workspace(tmp_path)
    write_snapshot(root, "STR-001", STR_001, as_of=AS_OF - timedelta(minutes=1), name=name)
    assert newest(root).as_of == AS_OF - timedelta(minutes=1)
    write_snapshot(root, "STR-001", STR_001, as_of=AS_OF - 5 * HOUR, name=name)
    assert newest(root).as_of == AS_OF - HOUR


def test_fraction_of_a_second_is_no_lie(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    write(root, TEXT.replace("01:00:00Z", "01:00:00.25Z"))
    assert newest(root).as_of.microsecond == 250_000


def test_other_files_in_the_folder_are_not_snapshots(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    for name in (
        "snapshot-2025-02-05T013000Z.yaml.tmp",
        ".snapshot-x.yaml",
        "notes.md",
        "Snapshot-x.yaml",
        "snapshot.yaml",
    ):
        (performance_folder(root, "STR-001") / name).write_text("not yaml: [")
    assert newest(root).as_of == AS_OF - HOUR


def test_two_that_claim_the_same_instant_are_refused_naming_both(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    write_snapshot(
        root,
        "STR-001",
        changed(THREE, "STR-001", capital=1)["STR-001"],
        as_of=AS_OF - HOUR,
        name="snapshot-20250205T010000Z.yaml",
    )
    with refused(
        root,
        BadDataError,
        where="snapshot-2025-02-05T010000Z.yaml",
        saying="Two different snapshots claim .* and .*snapshot-2025",
    ):
        newest(root)


def test_same_snapshot_twice_is_harmless(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    write_snapshot(root, "STR-001", STR_001, as_of=AS_OF - HOUR, name="snapshot-20250205T010000Z.yaml")
    assert newest(root).as_of == AS_OF - HOUR


# --- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "saying"),
    [
        (TEXT.replace("market_value: 5", "market_value: -0.01"), 2, "0 or more"),
        (TEXT.replace("market_value: 5", "market_value: '5'"), 2, "number"),
        (TEXT.replace("market_value: 5", "market_value: null"), 2, "number"),
        (TEXT.replace("market_value: 5", "equity: 5"), 1, "market_value` is missing"),
        (TEXT.replace("positions: []", "positions: {}"), 3, "list"),
        (
            TEXT.replace("positions: []", "positions: [{asset: BTC, quantity: 1, price: 1}]"),
            3,
            "market_value` is missing",
        ),
        (TEXT.replace("[]", "[{asset: BTC, quantity: 1, price: -1, market_value: 1}]"), 3, "0 or more"),
        (TEXT.replace("[]", "[{asset: 7, quantity: 1, price: 1, market_value: 1}]"), 3, "text"),
        (TEXT.replace("as_of: 2025-02-05T01:00:00Z", "at: 2025-02-05T01:00:00Z"), 1, "as_of` is missing"),
        (TEXT.replace("2025-02-05T01:00:00Z", '"2025-02-05T01:00:00"'), 1, "not a UTC instant"),
        (TEXT + "pnl: {1h: lots}\n", 4, "number"),
        (TEXT + "pnl: [1, 2, 3]\n", 4, "mapping"),
        (TEXT + "pnl: {4H: 3}\n", 4, "`4H` looks like `4h`"),
        (TEXT + "Currency: USD\n", 4, "looks like `currency`"),
        (TEXT.replace("positions", "position"), 3, "looks like `positions`"),
        ("[1, 2]\n", 1, "mapping"),
    ],
)
def test_value_that_cannot_be_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, saying: str
) -> None:
    root = make_workspace(tmp_path)
    write(root, text)
    with refused(root, BadDataError, where=f"STR-001/snapshot-2025-02-05T010000Z.yaml:{line}", saying=saying):
        newest(root)


@pytest.mark.parametrize("text", ["", "as_of: [", TEXT + "x: 1e5\n", TEXT + "as_of: 1\n", TEXT + "x: &a 1\n"])
def test_what_two_readers_may_understand_differently_is_refused(tmp_path: Path, text: str) -> None:
    root = make_workspace(tmp_path)
    write(root, text)
    with refused(root, StrictYamlError, where="snapshot-2025-02-05T010000Z.yaml:"):
        newest(root)


def test_other_keys_are_accepted_and_reported(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    write(root, TEXT + "pnl: {12h: 3, 1h: 1}\nvenue: kraken\n")
    snapshot = newest(root)
    assert [key for _, key in snapshot.unknown] == ["venue", "pnl.12h"]
    assert snapshot.pnl["1h"] == 1


def test_other_currency_is_refused_naming_both_places(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-001", snapshot_currency="EUR"))
    with refused(
        root,
        BadDataError,
        where="STR-001/snapshot-2025-02-05T010000Z.yaml:2",
        saying=f"'EUR', but 'USD' in {line_in(root, 'BOOTSTRAP.md', 'currency')}",
    ):
        load(root)


def test_asset_in_two_positions_is_refused(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-001", positions=(LEG, LEG)))
    with refused(
        root, BadDataError, where="snapshot-2025-02-05T010000Z.yaml:5", saying=r"two positions, .*\.yaml:4"
    ):
        newest(root)


def test_value_that_is_not_quantity_times_price_is_noted_and_not_refused(tmp_path: Path) -> None:
    legs = ({**LEG, "market_value": 20_202}, {**LEG, "asset": "ETH", "market_value": 20_203})
    snapshot = newest(make_workspace(tmp_path, changed(THREE, "STR-001", positions=legs)))
    ((where, text),) = snapshot.mismatches
    assert where.endswith(":5")
    assert "20203" in text
    assert "20000" in text


def test_link_to_a_snapshot_is_refused(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    path = write(root, TEXT)
    path.rename(tmp_path / "outside.yaml")
    path.symlink_to(tmp_path / "outside.yaml")
    with refused(root, UnsafePathError, where="snapshot-2025-02-05T010000Z.yaml"):
        newest(root)


def test_linked_strategy_folder_is_refused(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    folder = performance_folder(root, "STR-001")
    folder.rename(tmp_path / "outside")
    folder.symlink_to(tmp_path / "outside")
    with refused(root, UnsafePathError, where="STR-001"):
        newest(root)


# --- age -------------------------------------------------------------------------------------------------


def test_future_snapshot_is_refused(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-003", snapshot_age=timedelta(seconds=-1)))
    with refused(root, FutureDataError, where="STR-003/snapshot-2025-02-05T020001Z.yaml:1"):
        load(root)


def stale_of(state: LoadedState, key: str) -> str:
    return next(one.stale for one in state.portfolio.strategies if one.strategy == key)


def test_snapshot_of_a_day_is_fresh_and_a_second_more_is_stale(tmp_path: Path) -> None:
    day = timedelta(hours=24)
    assert (
        stale_of(load(make_workspace(tmp_path / "a", changed(THREE, "STR-001", snapshot_age=day))), "STR-001")
        == ""
    )
    older = changed(THREE, "STR-001", snapshot_age=day + timedelta(seconds=1))
    state = load(make_workspace(tmp_path / "b", older))
    assert stale_of(state, "STR-001") == "snapshot of 2025-02-04T01:59:59Z is 24 hours old"
    assert stale_of(state, "STR-003") == ""
    assert state.portfolio.stale == ("STR-001: snapshot of 2025-02-04T01:59:59Z is 24 hours old",)


def test_snapshot_of_seven_days_is_stale_and_a_second_more_is_refused(tmp_path: Path) -> None:
    week = timedelta(days=7)
    state = load(make_workspace(tmp_path / "a", changed(THREE, "STR-001", snapshot_age=week)))
    assert "7 days old" in stale_of(state, "STR-001")
    root = make_workspace(tmp_path / "b", changed(THREE, "STR-001", snapshot_age=week + timedelta(seconds=1)))
    with refused(
        root,
        StaleDataError,
        where="STR-001/snapshot-2025-01-29T015959Z.yaml:1",
        saying="max_snapshot_age_days is 7",
    ):
        load(root)


def test_configured_age_is_the_limit(tmp_path: Path) -> None:
    strategies = changed(THREE, "STR-001", snapshot_age=timedelta(days=3))
    config = "portfolio_rebalance:\n  max_snapshot_age_days: 2\n"
    root = make_workspace(tmp_path, strategies, config=config)
    with refused(root, StaleDataError, where="STR-001/", saying="max_snapshot_age_days is 2"):
        load(root)


def test_refusal_of_old_state_offers_the_replay_that_works(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    with pytest.raises(StaleDataError) as caught:
        load(root, as_of=AS_OF + timedelta(days=30))
    assert caught.value.fix.endswith("--as-of 2025-02-05T01:30:00Z.")
    assert load(root, as_of=AS_OF - timedelta(minutes=30)).portfolio.stale == ()


def test_replay_is_not_offered_where_it_would_be_refused_too(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-001", snapshot_age=timedelta(days=8)))
    with pytest.raises(StaleDataError) as caught:
        load(root)
    assert "--as-of" not in caught.value.fix


def test_strategy_without_a_snapshot_has_the_capital_of_bootstrap_marked(tmp_path: Path) -> None:
    state = load(make_workspace(tmp_path, changed(THREE, "STR-001", snapshot=False, market_value=1)))
    strategy = state.portfolio.strategies[0]
    assert (strategy.capital, strategy.capital_source) == (20_400, "bootstrap")
    assert strategy.capital_as_of == AS_OF - timedelta(minutes=30)
    assert strategy.stale == "no snapshot: BOOTSTRAP capital of 2025-02-05T01:30:00Z"


def test_old_bootstrap_is_refused_only_where_its_capital_is_used(tmp_path: Path) -> None:
    old = timedelta(days=8)
    state = load(make_workspace(tmp_path / "a", bootstrap_age=old))
    assert "8 days ago" in state.portfolio.warnings[0]
    root = make_workspace(tmp_path / "b", changed(THREE, "STR-003", snapshot=False), bootstrap_age=old)
    place = line_in(root, "BOOTSTRAP.md", "STR-003")
    with refused(root, StaleDataError, where=place, saying="BOOTSTRAP capital of STR-003"):
        load(root)
