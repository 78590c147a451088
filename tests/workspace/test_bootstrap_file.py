"""BOOTSTRAP.md: amounts and instants that cannot be are refused, with the line and without a write."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from workspaces import AS_OF, THREE, Strategy, bootstrap_text, changed, clock_at, make_workspace, refused

from portfolio_rebalance.errors import BadDataError, FutureDataError, MissingDataError, StrictYamlError
from portfolio_rebalance.workspace.bootstrap import Bootstrap, read_bootstrap
from portfolio_rebalance.workspace.problems import each_problem

GOOD = bootstrap_text(THREE, as_of="2025-02-05T01:30:00Z")


def read(root: Path, *, as_of: datetime = AS_OF) -> Bootstrap:
    return read_bootstrap(root, clock=clock_at(as_of))


def with_text(tmp_path: Path, text: str) -> Path:
    return make_workspace(tmp_path, bootstrap=text)


def line_of(text: str, words: str) -> str:
    return f".crypto/BOOTSTRAP.md:{text[: text.index(words)].count(chr(10)) + 1}"


def test_reads_what_is_written(tmp_path: Path) -> None:
    state = read(make_workspace(tmp_path))
    assert state.as_of == AS_OF - timedelta(minutes=30)
    assert state.total_capital == 60_000
    assert state.currency == "USD"
    assert {key: entry.capital for key, entry in state.deployed.items()} == {
        "STR-001": 20_400,
        "STR-003": 12_100,
        "STR-007": 6_200,
    }
    assert state.deployed["STR-001"].target == 20_000
    assert state.deployed["STR-003"].where == line_of(GOOD, "STR-003")


def test_cash_is_what_the_total_leaves(tmp_path: Path) -> None:
    assert read(make_workspace(tmp_path)).cash == 60_000 - 38_700


def test_cash_as_written_wins_within_one_percent(tmp_path: Path) -> None:
    assert read(make_workspace(tmp_path, cash="21899.99")).cash == Decimal("21899.99")


def test_cents_stay_exact(tmp_path: Path) -> None:
    text = GOOD.replace("capital: 20400", "capital: 20400.10").replace(
        "total_capital: 60000", "total_capital: 60000.30"
    )
    state = read(with_text(tmp_path, text))
    assert state.cash == Decimal("60000.30") - Decimal("38700.10")


def test_flat_strategy_may_hold_nothing(tmp_path: Path) -> None:
    state = read(make_workspace(tmp_path, changed(THREE, "STR-007", capital=0, target=0, target_percent=0)))
    assert state.deployed["STR-007"].capital == 0


def test_empty_list_of_strategies_reads_as_none_deployed(tmp_path: Path) -> None:
    assert read(make_workspace(tmp_path, {})).deployed == {}
    commented_out = re.sub(r"(?m)^    STR", "    # STR", GOOD)
    assert read(with_text(tmp_path, commented_out)).deployed == {}


@pytest.mark.parametrize(
    ("old", "new", "saying"),
    [
        ("total_capital: 60000", "total_capital: 0", "total_capital` is 0, but should be more than 0"),
        ("total_capital: 60000", "total_capital: -1", "should be more than 0"),
        ("total_capital: 60000", "total_capital: '60000'", "should be .*number"),
        ("total_capital: 60000", "total_capital: true", "should be .*number"),
        ("total_capital: 60000", "total_capital:", "is empty"),
        ("total_capital: 60000", "total_capital: 0.0000000000001", "decimals"),
        ("capital: 20400", "capital: -0.01", "0 or more"),
        ("target: 20000", "target: -1", "0 or more"),
        ("currency: USD", "currency: usd", "currency"),
        ("currency: USD", "currency: ''", "currency"),
        ("currency: USD", "currency: 840", "currency"),
        ("{capital: 20400, target: 20000}", "20400", "mapping"),
        ("as_of: 2025-02-05T01:30:00Z", "as_of: 2025-02-05", "not a UTC instant"),
        ("as_of: 2025-02-05T01:30:00Z", 'as_of: "2025-02-05T01:30:00"', "not a UTC instant"),
        ("as_of: 2025-02-05T01:30:00Z", 'as_of: "2025-02-05T01:30:00+01:00"', "not a UTC instant"),
        ("as_of: 2025-02-05T01:30:00Z", 'as_of: "2025-02-30T01:30:00Z"', "not a date"),
        ("as_of: 2025-02-05T01:30:00Z", "as_of: 3", "should be text"),
    ],
)
def test_value_that_cannot_be_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, saying: str
) -> None:
    text = GOOD.replace(old, new)
    assert text != GOOD
    root = with_text(tmp_path, text)
    with refused(root, BadDataError, where=line_of(text, new), saying=saying):
        read(root)


@pytest.mark.parametrize(
    "naive", ["2025-02-05T01:30:00", "2025-02-05 01:30:00Z", "2025-02-05T01:30:00+00:00"]
)
def test_naive_timestamp_is_refused_without_quotes_too(tmp_path: Path, naive: str) -> None:
    root = with_text(tmp_path, GOOD.replace("2025-02-05T01:30:00Z", naive))
    with refused(root, StrictYamlError, where=line_of(GOOD, "as_of")):
        read(root)


@pytest.mark.parametrize("key", ["as_of", "total_capital", "currency", "deployed_strategies"])
def test_missing_key_is_refused(tmp_path: Path, key: str) -> None:
    root = with_text(tmp_path, GOOD.replace(f"  {key}:", f"  {key[::-1]}:"))
    with refused(root, BadDataError, where=".crypto/BOOTSTRAP.md:", saying=f"{key}` is missing"):
        read(root)


@pytest.mark.parametrize("key", ["capital", "target"])
def test_missing_amount_of_a_strategy_is_refused(tmp_path: Path, key: str) -> None:
    root = with_text(tmp_path, re.sub(rf"(STR-003: .*){key}: \d+", r"\1note: 1", GOOD))
    with refused(root, BadDataError, where=line_of(GOOD, "STR-003"), saying=f"STR-003.{key}` is missing"):
        read(root)


def test_future_instant_is_refused(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    with refused(root, FutureDataError, where=line_of(GOOD, "as_of"), saying="later than this run"):
        read(root, as_of=AS_OF - timedelta(minutes=31))
    assert read(root, as_of=AS_OF - timedelta(minutes=30))


def test_future_instant_of_a_live_run_blames_timestamp_or_machine(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    with pytest.raises(FutureDataError) as caught:
        read_bootstrap(root, clock=clock_at(datetime(2025, 1, 1, tzinfo=UTC), fixed=False))
    assert "--as-of" not in caught.value.fix


@pytest.mark.parametrize("other", ["STR-003", "str-003", "\uff33TR-003", "Str-003"])
def test_double_id_is_refused_with_both_lines(tmp_path: Path, other: str) -> None:
    text = GOOD.replace("STR-007", other)
    root = with_text(tmp_path, text)
    kind = StrictYamlError if other == "STR-003" else BadDataError
    with refused(root, kind, where=line_of(GOOD, "STR-007"), saying=line_of(GOOD, "STR-003").split(":")[1]):
        read(root)


@pytest.mark.parametrize("bad", ["STR-", "STR-007/..", "BOT-007", "STR_007", "STR-" + "7" * 33, '"STR-007 "'])
def test_bad_id_is_refused(tmp_path: Path, bad: str) -> None:
    root = with_text(tmp_path, GOOD.replace("STR-007", bad))
    with refused(root, BadDataError, where=line_of(GOOD, "STR-007"), saying="not a strategy id"):
        read(root)


def test_capital_beyond_the_total_is_refused_with_both(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-001", capital=41_700.01))
    with refused(root, BadDataError, where=line_of(GOOD, "total_capital"), saying="60000.01.*60000"):
        read(root)


def test_capital_of_exactly_the_total_is_no_cash(tmp_path: Path) -> None:
    assert read(make_workspace(tmp_path, changed(THREE, "STR-001", capital=41_700))).cash == 0


def test_negative_cash_is_refused(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, cash=-1)
    with refused(root, BadDataError, where="BOOTSTRAP.md:", saying="cash` is -1, but should be 0 or more"):
        read(root)


@pytest.mark.parametrize("cash", [21_300 + 607, 21_300 - 601, 0])
def test_parts_that_do_not_make_the_total_are_refused_with_all_figures(tmp_path: Path, cash: int) -> None:
    root = make_workspace(tmp_path, cash=cash)
    saying = f"{cash} and capital 38700 make {cash + 38_700}, but total_capital is 60000"
    with refused(root, BadDataError, where=line_of(GOOD, "total_capital"), saying=saying):
        read(root)


@pytest.mark.parametrize("cash", [21_300 + 600, 21_300 - 600, 21_300])
def test_parts_may_be_one_percent_off(tmp_path: Path, cash: int) -> None:
    assert read(make_workspace(tmp_path, cash=cash)).cash == cash


def test_unknown_keys_are_accepted_and_reported(tmp_path: Path) -> None:
    text = GOOD.replace("  currency: USD\n", "  currency: USD\n  venue: kraken\n").replace(
        "target: 6000}", "target: 6000, since: [1, {x: null}]}"
    )
    state = read(with_text(tmp_path, text))
    assert [key for _, key in state.unknown] == [
        "portfolio_state.venue",
        "portfolio_state.deployed_strategies.STR-007.since",
    ]
    assert state.unknown[0][0] == line_of(text, "  venue")


@pytest.mark.parametrize(
    ("old", "new", "known"),
    [
        ("currency:", "curency:", "currency"),
        ("currency:", "Currency:", "currency"),
        ("as_of:", "asOf:", "as_of"),
        ("total_capital:", "total-capital:", "total_capital"),
        ("currency: USD", "currency: USD\n  Cash: 21300", "cash"),
        ("target: 6000", "targets: 6000", "target"),
        ("deployed_strategies:", "deployed_strategy:", "deployed_strategies"),
    ],
)
def test_slip_of_the_pen_is_refused_with_the_known_key(
    tmp_path: Path, old: str, new: str, known: str
) -> None:
    text = GOOD.replace(old, new)
    root = with_text(tmp_path, text)
    wrong = new.splitlines()[-1].strip()
    with refused(root, BadDataError, where=line_of(text, wrong), saying=f"looks like `{known}`"):
        read(root)


def test_every_problem_of_the_block_is_carried(tmp_path: Path) -> None:
    text = (
        GOOD.replace("as_of: 2025-02-05T01:30:00Z", "as_of: soon")
        .replace("60000", "0")
        .replace("STR-001", "BOT-001")
        .replace("target: 12000", "target: -1")
        .replace("currency:", "curency:")
    )
    root = with_text(tmp_path, text)
    with pytest.raises(BadDataError) as caught:
        read(root)
    places = [line_of(text, words) for words in ("as_of", "total_cap", "curency", "BOT-001", "STR-003")]
    assert [one.where for one in each_problem(caught.value)] == places
    assert caught.value.what.endswith("(4 more problems after this one.)")


def test_no_file_points_to_init(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    (root / "BOOTSTRAP.md").unlink()
    with refused(root, MissingDataError, where=".crypto/BOOTSTRAP.md"):
        read(root)


def test_lines_are_those_of_the_document(tmp_path: Path) -> None:
    text = GOOD.replace("  currency: USD\n", "  currency: USD\n  x: 010\n")
    root = with_text(tmp_path, text)
    with refused(root, StrictYamlError, where=line_of(text, "x: 010")):
        read(root)


def test_document_with_carriage_returns_reads_the_same(tmp_path: Path) -> None:
    plain = read(make_workspace(tmp_path / "a"))
    dos = read(with_text(tmp_path / "b", GOOD.replace("\n", "\r\n")))
    assert (plain.deployed, plain.cash, plain.where) == (dos.deployed, dos.cash, dos.where)


def test_one_strategy_is_enough(tmp_path: Path) -> None:
    assert read(make_workspace(tmp_path, {"STR-X": Strategy(capital=1, target_percent=1)})).cash == 59_999
