"""An approved plan is executed as it was approved, where it was approved, once; or it is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from executing import approved, config_text, example_1, execute
from front_doors.terminal import exchange
from run.envelope import PORTFOLIOS, wander
from run.indifferent import indifferent
from run.mutated import all_mutations
from run.mutated_config import ANOTHER_VALUE, REFUSED_VALUE
from run.mutations import (
    LATER,
    Scene,
    Template,
    check_executed,
    check_refused,
    copied,
    every_nth,
    make_template,
)
from workspaces import AS_OF, make_workspace

from portfolio_rebalance.config import Config, Section
from portfolio_rebalance.errors import PlanChangedError, PlanTamperedError, StaleDataError
from portfolio_rebalance.records import Approval, Plan
from portfolio_rebalance.tools.bindings import orders_from
from portfolio_rebalance.tools.execution import execute_rebalance_trades
from portfolio_rebalance.vault import Seal
from portfolio_rebalance.workspace import Ledger

SAMPLE = 35
WALKS = 3
SEAL = Seal(b"k" * 32)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def scene(template: Template, tmp_path: Path) -> Iterator[Scene]:
    with copied(template, tmp_path) as found:
        yield found


def test_every_kind_of_mutation_is_refused_for_its_own_reason(template: Template, tmp_path: Path) -> None:
    """Two of each family; the proof takes them all."""
    everything = all_mutations(template)
    families = dict.fromkeys(mutation.family for mutation in everything)
    sample = [
        mutation
        for family in families
        for mutation in every_nth([one for one in everything if one.family == family], most=2)
    ]
    assert len(sample) >= SAMPLE
    for mutation in sample:
        with copied(template, tmp_path) as scene:
            check_refused(mutation, scene)


def test_every_key_of_the_configuration_is_mutated() -> None:
    assert set(_keys(Config)) == {*ANOTHER_VALUE, *REFUSED_VALUE}


@pytest.mark.parametrize("name", ["price: STR-001 by 1.2 %", "registry: comments"])
def test_what_is_no_difference_does_not_keep_a_plan_from_being_executed(scene: Scene, name: str) -> None:
    check_executed(scene, indifferent()[name])


def test_a_value_that_moved_by_the_whole_envelope_is_executed(scene: Scene) -> None:
    check_executed(scene, indifferent()["price: a value by 2 % exactly, through own cash"])


def test_clusters_that_were_none_and_are_unknown_now_are_not_none(tmp_path: Path) -> None:
    """Nobody correlated when the plan was made; without returns nobody can say so any more."""
    root = make_workspace(tmp_path, PORTFOLIOS["three scaled"].strategies)
    plan_id = approved(root, mode="proportional")
    for returns in root.glob("live-monitoring/live-performance/*/daily_returns.csv"):
        returns.unlink()
    with pytest.raises(PlanChangedError, match="was evaluated, and cannot be now"):
        execute(root, plan_id)


@pytest.mark.parametrize("name", PORTFOLIOS)
def test_a_plan_survives_a_day_of_hourly_prices_inside_the_envelope(tmp_path: Path, name: str) -> None:
    """It is executed wherever sizes within 5 % of what was approved meet the limits."""
    found = wander(name, tmp_path, walks=WALKS)
    assert found.wrong == {}
    assert found.executed > 0


def test_trades_that_are_not_the_plans_own_are_refused(scene: Scene) -> None:
    with Ledger.open(scene.root) as ledger:
        stored = ledger.approvals.plan(scene.plan_id)
    orders = orders_from(Plan.model_validate_json(stored.content), scene.plan_id)
    trades = orders.rebalancing_trades
    assert [one.action for one in trades] == ["SELL", "SELL", "HOLD"]
    for other in (
        trades[:2],
        tuple(reversed(trades)),
        (trades[0].model_copy(update={"percent_of_portfolio": Decimal("17.99")}), *trades[1:]),
        (trades[0].model_copy(update={"action": "BUY"}), *trades[1:]),
        (trades[0].model_copy(update={"strategy": "STR-007"}), *trades[1:]),
        (trades[0].model_copy(update={"reason": "because"}), *trades[1:]),
    ):
        with pytest.raises(PlanTamperedError, match="not those of the plan"):
            _execute(scene, orders.model_copy(update={"rebalancing_trades": other}))
    assert _execute(scene, orders).status == "committed"


def test_a_plan_that_outlives_its_data_is_refused_as_stale(tmp_path: Path) -> None:
    root = example_1(tmp_path, config=config_text("approval_ttl_hours: 720"))
    plan_id = approved(root)
    with pytest.raises(StaleDataError, match="max_snapshot_age_days is 7"):
        execute(root, plan_id, at=AS_OF + timedelta(days=8))


@pytest.mark.parametrize(
    "change",
    [
        {"user": "mallory"},
        {"at": AS_OF + timedelta(seconds=1)},
        {"method": "execute"},
        {"shown_sha256": "0" * 64},
        {"seal": ""},
        {"seal": "0" * 64},
        {"seal": "é" * 64},
    ],
    ids=lambda change: "-".join(map(str, change)),
)
def test_with_live_money_every_field_of_the_approval_is_sealed(
    scene: Scene, tmp_path: Path, change: dict[str, object]
) -> None:
    with Ledger.open(scene.root) as ledger:
        given = ledger.approvals.approval_of(scene.plan_id)
        assert given is not None
        sealed = given.model_copy(update={"seal": SEAL.sign(given)})
        ledger.approvals.approve(sealed)
    with exchange(tmp_path, now=LATER) as broker:

        def attempt() -> object:
            return execute_rebalance_trades(
                scene.plan_id, workspace=scene.root, broker=broker, now=lambda: LATER, seal=SEAL
            )

        with pytest.raises(Exception, match="who moves the capital"):
            attempt()  # the seal is good: what is missing comes later
        with Ledger.open(scene.root) as ledger:
            ledger.approvals.approve(Approval.model_validate(dict(sealed) | change))
        with pytest.raises(PlanTamperedError, match="not sealed with this passphrase"):
            attempt()
        assert broker.fills() == ()


def _execute(scene: Scene, orders: object) -> object:
    act: Callable[..., object] = execute_rebalance_trades
    return act(orders, workspace=scene.root, as_of=LATER, now=lambda: LATER, sleep=lambda _seconds: None)


def _keys(section: type[Section], prefix: str = "") -> Iterator[str]:
    """Every key of the configuration, with its section."""
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from _keys(kind, f"{prefix}{field.alias or name}.")
        else:
            yield f"{prefix}{field.alias or name}"
