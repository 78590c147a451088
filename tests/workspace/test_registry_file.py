"""The registry, and its agreement with BOOTSTRAP: half of the truth is refused, naming both places."""

from __future__ import annotations

import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

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
    refused,
    registry_text,
)

from portfolio_rebalance.errors import BadDataError, FutureDataError, MissingDataError, StrictYamlError
from portfolio_rebalance.workspace.problems import each_problem
from portfolio_rebalance.workspace.registry import Registry, read_registry
from portfolio_rebalance.workspace.state import LoadedState, load_state

BOOTSTRAP = "BOOTSTRAP.md"
REGISTRY = "knowledge/registry.yaml"
GOOD = registry_text(THREE)
LAST = "{at: 2025-02-01T02:00:00Z, reason: drift, plan_id: abc}"


def read(root: Path) -> Registry:
    return read_registry(root, clock=clock_at())


def load(root: Path) -> LoadedState:
    return load_state(root, clock=clock_at(), mode_names=MODES)


def with_text(tmp_path: Path, text: str) -> Path:
    return make_workspace(tmp_path, registry=text)


def line_of(text: str, words: str) -> str:
    return f".crypto/knowledge/registry.yaml:{text[: text.index(words)].count(chr(10)) + 1}"


def test_reads_what_is_written(tmp_path: Path) -> None:
    strategies = changed(
        THREE,
        "STR-003",
        pinned=True,
        control="bot",
        account="main",
        assets=("BTC", "ETH"),
        risk_profile=None,
        registry_extra={"last_rebalance": LAST},
    )
    registry = read(make_workspace(tmp_path, strategies))
    assert list(registry.deployed) == ["STR-001", "STR-003", "STR-007"]
    entry = registry.deployed["STR-003"]
    assert (entry.name, entry.target_percent, entry.pinned) == ("yield opt", 20, True)
    assert (entry.control, entry.account, entry.assets, entry.risk_profile) == (
        "bot",
        "main",
        ("BTC", "ETH"),
        None,
    )
    assert entry.last_rebalance is not None
    assert entry.last_rebalance.reason == "drift"
    assert registry.deployed["STR-001"].target_percent == Decimal("33.3333")
    assert registry.deployed["STR-001"].pinned is False


def test_only_deployed_ones_count_whatever_the_others_look_like(tmp_path: Path) -> None:
    others = "  STR-OLD: {status: retired}\n  STR-NEW: {status: backtest, target_allocation_percent: lots}\n"
    registry = read(with_text(tmp_path, GOOD + others))
    assert set(registry.deployed) == set(THREE)
    assert {key: status for key, (status, _) in registry.others.items()} == {
        "STR-OLD": "retired",
        "STR-NEW": "backtest",
    }


def test_thousands_may_be_registered(tmp_path: Path) -> None:
    others = "".join(f"  STR-X{n}: {{status: retired, name: x}}\n" for n in range(10_000))
    root = with_text(tmp_path, GOOD + others)
    started = time.perf_counter()
    assert len(read(root).others) == 10_000
    assert time.perf_counter() - started < 6


@pytest.mark.parametrize("text", ["strategies:\n", "strategies: {}\n", "# none yet\nstrategies: {}\n"])
def test_empty_registry_reads_as_none_deployed(tmp_path: Path, text: str) -> None:
    assert read(with_text(tmp_path, text)).deployed == {}


@pytest.mark.parametrize(
    "day", ["2025-02-05", "2025-02-05T02:00:00Z", '"2025-02-05"', "2024-02-29", "2024-02-29T10:00Z"]
)
def test_day_of_deployment_is_a_date_or_an_instant(tmp_path: Path, day: str) -> None:
    assert read(with_text(tmp_path, GOOD.replace("2024-01-01", day)))


@pytest.mark.parametrize("day", ["2025-02-06", "2025-02-05T02:00:01Z", "2031-01-01"])
def test_future_deployment_is_refused(tmp_path: Path, day: str) -> None:
    root = with_text(tmp_path, GOOD.replace("2024-01-01", day, 1))
    with refused(root, FutureDataError, where=line_of(GOOD, "deployed_on"), saying="later than"):
        read(root)


@pytest.mark.parametrize(
    "day", ['"2025-02-30"', '"20240101"', "soon", '"2024-01-01T02:00:00"', "T", '""', '"2024-W01-1"']
)
def test_day_of_deployment_that_is_none_is_refused(tmp_path: Path, day: str) -> None:
    root = with_text(tmp_path, GOOD.replace("2024-01-01", day, 1))
    with refused(root, BadDataError, where=line_of(GOOD, "deployed_on")):
        read(root)


@pytest.mark.parametrize(
    ("old", "new", "saying"),
    [
        ("33.3333", "-1", "0 or more"),
        ("33.3333", "100.01", "100 or less"),
        ("33.3333", '"33.3333"', "number"),
        ("33.3333", "true", "number"),
        ("33.3333", "~", "empty"),
        ("33.3333", "0.1234567890123", "decimals"),
        ("assets: [BTC]", "assets: BTC", "list"),
        ("assets: [BTC]", "assets: [1]", "text"),
        ('name: "funding arb"', "name: 7", "text"),
        ('name: "funding arb"', 'name: ""', "name"),
        ('name: "funding arb"', 'name: "a\\nb"', "name"),
        ('name: "funding arb"', f"name: {'x' * 121}", "name"),
        ("risk_profile: medium", "risk_profile: medium\n    pinned: maybe", "true or false"),
        ("risk_profile: medium", "risk_profile: medium\n    control: robot", "'positions' or 'bot'"),
        ("risk_profile: medium", "risk_profile: medium\n    last_rebalance: never", "mapping"),
        (
            "risk_profile: medium",
            "risk_profile: medium\n    last_rebalance: {at: 3, reason: x, plan_id: z}",
            "text",
        ),
        (
            "risk_profile: medium",
            "risk_profile: medium\n    last_rebalance: {at: x, reason: x, plan_id: z}",
            "UTC",
        ),
    ],
)
def test_value_that_cannot_be_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, saying: str
) -> None:
    text = GOOD.replace(old, new, 1)
    root = with_text(tmp_path, text)
    with refused(root, BadDataError, where=line_of(text, new.split("\n")[-1]), saying=saying):
        read(root)


def test_missing_target_is_refused(tmp_path: Path) -> None:
    key = "target_allocation_percent"
    root = with_text(tmp_path, GOOD.replace(f"    {key}:", "    x:", 1))
    with refused(root, BadDataError, where=line_of(GOOD, "STR-001"), saying=f"STR-001.{key}` is missing"):
        read(root)


@pytest.mark.parametrize("rest", ["", ", name: , assets: , risk_profile: , deployed_on: "])
def test_status_and_target_are_enough(tmp_path: Path, rest: str) -> None:
    text = f"strategies:\n  STR-A: {{status: deployed, target_allocation_percent: 3{rest}}}\n"
    entry = read(with_text(tmp_path, text)).deployed["STR-A"]
    assert (entry.name, entry.assets, entry.risk_profile, entry.target_percent) == ("STR-A", (), None, 3)


def test_every_problem_of_the_registry_is_carried(tmp_path: Path) -> None:
    text = (
        "strategies:\n"
        "  STR-A: {status: deployed, target_allocation_percent: lots, deployed_on: 2099-01-01}\n"
        "  STR-B: {status: deployed, target_allocation_percent: 101, pined: true}\n"
        "  STR-C:\n    status: deployed\n    target_allocation_percent: 60\n"
        "    last_rebalance: {at: never, reason: x, plan_id: z}\n"
    )
    root = with_text(tmp_path, text)
    with pytest.raises(BadDataError) as caught:
        read(root)
    assert [(one.where.split(":")[1], one.what.split("`")[1:2]) for one in each_problem(caught.value)] == [
        ("2", ["strategies.STR-A.target_allocation_percent"]),
        ("2", []),
        ("3", ["pined"]),
        ("3", ["strategies.STR-B.target_allocation_percent"]),
        ("7", []),
    ]


def test_every_bad_id_and_status_is_carried(tmp_path: Path) -> None:
    root = with_text(tmp_path, f"{GOOD}  BOT: {{status: 3}}\n  str-003: {{status: old}}\n  STR-X: 7\n")
    with pytest.raises(BadDataError) as caught:
        read(root)
    assert len(each_problem(caught.value)) == 4


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_empty_registry_file_is_refused_without_advice_to_remove_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(StrictYamlError) as caught:
        read(with_text(tmp_path, text))
    assert "remove" not in caught.value.fix.lower()
    assert "init" in caught.value.fix


@pytest.mark.parametrize("entry", ["{name: x}", "{status: }", "{status: 3}", "7", "", "[]"])
def test_entry_without_a_status_is_refused(tmp_path: Path, entry: str) -> None:
    text = f"{GOOD}  STR-X: {entry}\n"
    root = with_text(tmp_path, text)
    with refused(root, BadDataError, where=line_of(text, "STR-X")):
        read(root)


def test_future_rebalance_is_refused(tmp_path: Path) -> None:
    extra = {"last_rebalance": LAST.replace("02-01", "02-06")}
    root = make_workspace(tmp_path, changed(THREE, "STR-001", registry_extra=extra))
    with refused(root, FutureDataError, where=line_in(root, REGISTRY, "last_rebalance")):
        read(root)


@pytest.mark.parametrize("other", ["str-003", "Str-003", "\uff33TR-003"])
def test_double_id_is_refused_even_among_those_that_do_not_count(tmp_path: Path, other: str) -> None:
    text = f'{GOOD}  "{other}": {{status: retired}}\n'
    root = with_text(tmp_path, text)
    with refused(root, BadDataError, where=line_of(text, other), saying="the same id"):
        read(root)


def test_double_key_is_refused(tmp_path: Path) -> None:
    root = with_text(tmp_path, f"{GOOD}  STR-003: {{status: retired}}\n")
    with refused(root, StrictYamlError, where="registry.yaml:", saying="stands twice"):
        read(root)


def test_bad_id_is_refused(tmp_path: Path) -> None:
    root = with_text(tmp_path, f"{GOOD}  ../../etc: {{status: retired}}\n")
    with refused(root, BadDataError, where="registry.yaml:", saying="not a strategy id"):
        read(root)


def test_targets_of_more_than_everything_are_refused(tmp_path: Path) -> None:
    two = {
        "STR-A": Strategy(capital=1, target_percent="50.01"),
        "STR-B": Strategy(capital=1, target_percent=50),
    }
    root = make_workspace(tmp_path, two)
    with refused(root, BadDataError, where="registry.yaml:2", saying=r"100\.01 %"):
        read(root)
    assert read(make_workspace(tmp_path / "full", changed(two, "STR-A", target_percent=50)))


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("Pinned", "pinned"),
        ("pined", "pinned"),
        ("controll", "control"),
        ("last_rebalanced", "last_rebalance"),
    ],
)
def test_slip_of_the_pen_is_refused(tmp_path: Path, key: str, known: str) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-001", registry_extra={key: True}))
    with refused(
        root, BadDataError, where=line_in(root, REGISTRY, key), saying=f"`{key}` looks like `{known}`"
    ):
        read(root)


def test_similar_key_beside_the_known_one_is_somebodys_own(tmp_path: Path) -> None:
    strategies = changed(THREE, "STR-001", pinned=True, registry_extra={"pinned_by": "me"})
    registry = read(make_workspace(tmp_path, strategies))
    assert registry.deployed["STR-001"].pinned
    assert [key for _, key in registry.deployed["STR-001"].unknown] == ["strategies.STR-001.pinned_by"]


def test_no_registry_points_to_init(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    (root / "knowledge/registry.yaml").unlink()
    with refused(root, MissingDataError, where=".crypto/knowledge/registry.yaml"):
        read(root)


def test_registry_without_strategies_is_refused(tmp_path: Path) -> None:
    root = with_text(tmp_path, "strategy:\n  STR-001: {}\n")
    with refused(root, BadDataError, where="registry.yaml:1"):
        read(root)


# --- agreement with BOOTSTRAP ----------------------------------------------------------------------------


def test_deployed_but_unregistered_is_refused_naming_both_places(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-007", status=None))
    saying = r"STR-007 .* not registered in \.crypto/knowledge/registry\.yaml:2"
    with refused(root, MissingDataError, where=line_in(root, BOOTSTRAP, "STR-007"), saying=saying):
        load(root)


def test_deployed_with_another_status_is_refused_naming_both_places(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-007", status="Deployed"))
    saying = f"status 'Deployed' in {line_in(root, REGISTRY, 'STR-007')}"
    with refused(root, BadDataError, where=line_in(root, BOOTSTRAP, "STR-007"), saying=saying):
        load(root)


def test_registered_as_deployed_but_absent_from_bootstrap_is_refused_naming_both_places(
    tmp_path: Path,
) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-007", in_bootstrap=False))
    saying = line_in(root, BOOTSTRAP, "deployed_strategies")
    with refused(root, MissingDataError, where=line_in(root, REGISTRY, "STR-007"), saying=saying):
        load(root)


@pytest.mark.parametrize("target", [11_879, 12_122, 0, "11879.99"])
def test_targets_that_disagree_are_refused_showing_both(tmp_path: Path, target: int | str) -> None:
    root = make_workspace(tmp_path, changed(THREE, "STR-003", target=target))
    place = line_in(root, REGISTRY, "_percent: 20 ")
    saying = rf"{target} here, but 20 % of 60000, which is 12000\.00, in {place}"
    with refused(root, BadDataError, where=line_in(root, BOOTSTRAP, "STR-003"), saying=saying):
        load(root)


@pytest.mark.parametrize("target", [11_880, 12_121, "12000.01"])
def test_targets_may_be_one_percent_apart(tmp_path: Path, target: int | str) -> None:
    assert load(make_workspace(tmp_path, changed(THREE, "STR-003", target=target)))


def test_rounding_to_the_cent_is_no_disagreement(tmp_path: Path) -> None:
    tiny = {"STR-A": Strategy(capital=1, target_percent="0.0049", target="0.00")}
    assert load(make_workspace(tmp_path, tiny, total_capital=100))


def test_target_of_nothing_agrees_with_nothing_only(tmp_path: Path) -> None:
    assert load(make_workspace(tmp_path / "a", changed(THREE, "STR-003", target=0, target_percent=0)))
    root = make_workspace(tmp_path / "b", changed(THREE, "STR-003", target=0, target_percent="0.5"))
    with refused(root, BadDataError, where=line_in(root, BOOTSTRAP, "STR-003")):
        load(root)


def test_agreement_is_judged_at_the_total_that_bootstrap_states(tmp_path: Path) -> None:
    """A portfolio that grew since keeps its projection; the registry's percentage is what counts."""
    root = make_workspace(tmp_path, changed(THREE, "STR-001", market_value=90_000))
    assert load(root).portfolio.total_capital > 120_000


def test_old_state_needs_its_own_time(tmp_path: Path) -> None:
    root = make_workspace(tmp_path)
    late = clock_at(AS_OF + timedelta(days=1))
    assert read_registry(root, clock=late).deployed.keys() == THREE.keys()
