"""What an approved plan binds: exactly, or by an envelope; and each refusal names from what to what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256

import pytest
from executing import example_1, planned
from workspaces import AS_OF, clock_at

from portfolio_rebalance import calculate_correlation_matrix
from portfolio_rebalance.allocation import mode_names
from portfolio_rebalance.errors import (
    PlanChangedError,
    PlanExpiredError,
    PlanTamperedError,
    RebalanceError,
    UnusablePlanError,
)
from portfolio_rebalance.records import (
    CorrelationReport,
    Plan,
    Portfolio,
    Position,
    RebalanceTrade,
    StrategyState,
    UnknownPair,
    digest,
)
from portfolio_rebalance.tools.bindings import (
    PLAN_AGAIN,
    clusters_with_limit,
    orders_from,
    plan_from,
    require_bound,
    require_not_expired,
)
from portfolio_rebalance.workspace import Ledger, load_state

TINY = Decimal("0.000000000001")


@dataclass(frozen=True)
class Now:
    """A plan as it was stored, and what is so at the time that it is looked at."""

    plan: Plan
    content: bytes
    portfolio: Portfolio
    config_sha256: str
    correlation: CorrelationReport


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> Now:
    """Example 1: 34 / 20 / 10.3 % of 60 000; the plan leaves STR-007 alone."""
    root = example_1(tmp_path_factory.mktemp("bindings"))
    result = planned(root)
    with Ledger.open(root) as ledger:
        content = ledger.approvals.plan(str(result.plan_id)).content
    state = load_state(root, clock=clock_at(), mode_names=mode_names())
    return Now(
        plan=plan_from(content, plan_id=str(result.plan_id)),
        content=content,
        portfolio=state.portfolio,
        config_sha256=state.config_sha256,
        correlation=calculate_correlation_matrix(
            sorted(state.portfolio.current_bp), workspace=root, as_of=AS_OF
        ),
    )


def changes(now: Now, **updates: object) -> str:
    """What the refusal says; nothing where the plan is still good."""
    held = {
        "portfolio": now.portfolio,
        "config_sha256": now.config_sha256,
        "correlation": now.correlation,
    } | updates
    try:
        require_bound(now.plan, **held)  # type: ignore[arg-type]
    except PlanChangedError as caught:
        refusal = caught
    else:
        return ""
    assert refusal.fix == PLAN_AGAIN == "Plan again: trading-portfolio-rebalance --dry-run"
    return f"{refusal.where}: {refusal.what}"


def with_strategy(now: Now, key: str, change: Callable[[StrategyState], dict[str, object]]) -> Portfolio:
    return now.portfolio.model_copy(
        update={
            "strategies": tuple(
                one.model_copy(update=change(one)) if one.strategy == key else one
                for one in now.portfolio.strategies
            )
        }
    )


def test_a_plan_that_nothing_changed_for_is_good(now: Now) -> None:
    assert changes(now) == ""


# --- bound exactly ---------------------------------------------------------------------------------------


def test_the_configuration_is_bound(now: Now) -> None:
    was = now.config_sha256[:12]
    assert changes(now, config_sha256="f" * 64) == (
        f"config/portfolio-rebalance.yaml: The configuration changed from {was} to ffffffffffff."
    )


def test_the_currency_is_bound(now: Now) -> None:
    other = now.portfolio.model_copy(update={"currency": "EUR"})
    assert changes(now, portfolio=other) == "BOOTSTRAP.md: The currency changed from USD to EUR."


def test_the_strategy_set_is_bound(now: Now) -> None:
    fewer = now.portfolio.model_copy(update={"strategies": now.portfolio.strategies[:2]})
    assert changes(now, portfolio=fewer).startswith(
        "BOOTSTRAP.md: The deployed strategies changed from STR-001, STR-003, STR-007 to STR-001, STR-003."
    )
    newcomer = now.portfolio.strategies[0].model_copy(
        update={"strategy": "STR-009", "capital": Decimal(0), "positions": ()}
    )
    more = now.portfolio.model_copy(update={"strategies": (*now.portfolio.strategies, newcomer)})
    assert changes(now, portfolio=more) == (
        "BOOTSTRAP.md: The deployed strategies changed from STR-001, STR-003, STR-007 "
        "to STR-001, STR-003, STR-007, STR-009."
    )


@pytest.mark.parametrize(
    ("update", "said"),
    [
        ({"pinned": True}, "The pin of STR-007 changed from False to True."),
        (
            {"target_percent": Decimal("10.3000000001")},
            "The target of STR-007 changed from 10.3 to 10.3000000001.",
        ),
        ({"control": "bot"}, "The control of STR-007 changed from unstated to bot."),
        ({"account": "main"}, "The account of STR-007 changed from unstated to main."),
    ],
)
def test_what_the_registry_says_of_a_strategy_is_bound(
    now: Now, update: dict[str, object], said: str
) -> None:
    """Of one that the plan leaves alone as well."""
    changed = with_strategy(now, "STR-007", lambda _one: update)
    assert changes(now, portfolio=changed) == f"knowledge/registry.yaml: {said}"


def positions(one: StrategyState, quantity: Decimal) -> dict[str, object]:
    (leg,) = one.positions
    return {"positions": (leg.model_copy(update={"quantity": quantity}),)}


def test_position_quantities_are_bound_to_the_last_digit(now: Now) -> None:
    where = "live-monitoring/live-performance/STR-007: The quantity of SOL in STR-007 changed from 60 to "
    moved = with_strategy(now, "STR-007", lambda one: positions(one, 60 + TINY))
    assert changes(now, portfolio=moved) == f"{where}60.000000000001."
    gone = with_strategy(now, "STR-007", lambda _one: {"positions": ()})
    assert changes(now, portfolio=gone) == f"{where}0."
    same = with_strategy(now, "STR-007", lambda one: positions(one, Decimal("60.000")))
    assert changes(now, portfolio=same) == ""


def test_a_position_that_was_not_there_is_a_change(now: Now) -> None:
    extra = Position(asset="BTC", quantity=Decimal("0.1"), price=Decimal(1), market_value=Decimal("0.1"))
    held = with_strategy(now, "STR-007", lambda one: {"positions": (*one.positions, extra)})
    assert changes(now, portfolio=held) == (
        "live-monitoring/live-performance/STR-007: The quantity of BTC in STR-007 changed from 0 to 0.1."
    )


def test_what_a_bot_holds_is_not_bound_and_what_it_is_worth_is(now: Now) -> None:
    as_bot = now.plan.model_copy(
        update={
            "strategies": tuple(
                one.model_copy(update={"control": "bot"}) if one.strategy == "STR-007" else one
                for one in now.plan.strategies
            )
        }
    )
    bots = Now(as_bot, now.content, now.portfolio, now.config_sha256, now.correlation)
    traded = with_strategy(bots, "STR-007", lambda one: positions(one, Decimal(1)) | {"control": "bot"})
    assert changes(bots, portfolio=traded) == ""
    lost = with_strategy(bots, "STR-007", lambda _one: {"control": "bot", "capital": Decimal(6000)})
    assert changes(bots, portfolio=lost).startswith("STR-007: The value of STR-007 moved from 6180 to 6000")


def test_cluster_membership_is_bound(now: Now) -> None:
    assert now.correlation.clusters == (("STR-001", "STR-003"), ("STR-007",))
    with_seven = _with_clusters(now.correlation, (("STR-007", "STR-001", "STR-003"),))
    assert changes(now, correlation=with_seven) == (
        "correlation: Cluster membership changed from STR-001+STR-003 to STR-001+STR-003+STR-007."
    )
    none = _with_clusters(now.correlation, (("STR-001",), ("STR-003",), ("STR-007",)))
    assert changes(now, correlation=none) == (
        "correlation: Cluster membership changed from STR-001+STR-003 to none."
    )


def test_clusters_of_one_and_the_order_inside_do_not_matter(now: Now) -> None:
    same = _with_clusters(now.correlation, (("STR-003", "STR-001"),))
    assert changes(now, correlation=same) == ""
    assert clusters_with_limit((("C",), ("B", "A"), ("E", "D", "F"), ())) == (("A", "B"), ("D", "E", "F"))


def _with_clusters(report: CorrelationReport, groups: tuple[tuple[str, ...], ...]) -> CorrelationReport:
    (first, *_) = report.correlated_clusters
    clusters = tuple(first.model_copy(update={"strategies": group}) for group in groups)
    return report.model_copy(update={"correlated_clusters": clusters})


def test_a_pair_that_has_become_unknown_is_not_taken_for_a_low_one(now: Now) -> None:
    """STR-007 would belong to the cluster if it were HIGH with STR-003: 16 + 14 + 10.3 is more than 30."""
    unknown = UnknownPair(strategies=("STR-003", "STR-007"), observations=3, reason="too_few_observations")
    blind = now.correlation.model_copy(update={"unknown_pairs": (unknown,)})
    assert changes(now, correlation=blind) == (
        "correlation: The cluster limit was evaluated, and cannot be now: correlation is undefined for "
        "STR-003/STR-007; taken as HIGH they would break the cluster limit."
    )
    told_so = now.plan.model_copy(update={"correlated_exposure": "NOT_EVALUATED"})
    was_blind = Now(told_so, now.content, now.portfolio, now.config_sha256, now.correlation)
    assert changes(was_blind, correlation=blind) == ""


# --- bound by an envelope --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["STR-001", "STR-007"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_value_may_move_by_two_percent_and_not_by_the_least_more(now: Now, key: str, sign: int) -> None:
    capital = next(one.capital for one in now.portfolio.strategies if one.strategy == key)
    at = capital + sign * capital / 50
    assert changes(now, portfolio=with_strategy(now, key, lambda _one: {"capital": at})) == ""
    beyond = at + sign * TINY
    told = changes(now, portfolio=with_strategy(now, key, lambda _one: {"capital": beyond}))
    assert told == (
        f"{key}: The value of {key} moved from {capital:f} to {beyond:f}, more than 2 % since the plan."
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_the_total_may_move_by_two_percent_and_not_by_the_least_more(now: Now, sign: int) -> None:
    """Every strategy within its own envelope, and cash that came or went."""
    at = now.portfolio.model_copy(update={"cash": now.portfolio.cash + sign * 1200})
    assert changes(now, portfolio=at) == ""
    beyond = now.portfolio.model_copy(update={"cash": now.portfolio.cash + sign * (1200 + TINY)})
    assert changes(now, portfolio=beyond) == (
        f"total capital: Total capital moved from 60000 to {60_000 + sign * (1200 + TINY):f}, more than 2 % "
        "since the plan."
    )


def test_a_strategy_that_was_worth_nothing_may_not_be_worth_anything(now: Now) -> None:
    flat = {"capital": Decimal(0)}
    plan = now.plan.model_copy(
        update={
            "strategies": tuple(
                one.model_copy(update=flat) if one.strategy == "STR-007" else one
                for one in now.plan.strategies
            )
        }
    )
    empty = Now(plan, now.content, now.portfolio, now.config_sha256, now.correlation)
    assert changes(empty).startswith("STR-007: The value of STR-007 moved from 0 to 6180")


def test_the_first_change_is_named_and_the_others_are_counted(now: Now) -> None:
    moved = with_strategy(now, "STR-007", lambda _one: {"pinned": True, "account": "main"})
    told = changes(now, portfolio=moved, config_sha256="f" * 64)
    assert told.startswith("config/portfolio-rebalance.yaml: The configuration changed from ")
    assert told.endswith("to ffffffffffff. And 2 more.")


# --- time ------------------------------------------------------------------------------------------------


def test_a_plan_is_good_from_its_instant_until_just_before_its_expiry(now: Now) -> None:
    plan, moment = now.plan, timedelta(microseconds=1)
    assert plan.expires_at == plan.as_of + timedelta(hours=24)
    require_not_expired(plan, now=plan.as_of)
    require_not_expired(plan, now=plan.expires_at - moment)
    for outside in (plan.as_of - moment, plan.expires_at, plan.expires_at + timedelta(days=1)):
        with pytest.raises(PlanExpiredError, match="is good until 2025-02-06T02:00:00Z; now it is") as caught:
            require_not_expired(plan, now=outside)
        assert (caught.value.where, caught.value.fix) == ("approval_ttl_hours", PLAN_AGAIN)


# --- the bytes -------------------------------------------------------------------------------------------


def test_a_plan_is_the_bytes_that_its_id_was_computed_from(now: Now) -> None:
    assert plan_from(now.content, plan_id=digest(now.plan)) == now.plan


@pytest.mark.parametrize(
    "tampered",
    [
        lambda content: content.replace(b'"proposed_bp":1600', b'"proposed_bp":1700'),
        lambda content: content + b" ",
        lambda content: content[:-1],
        lambda _content: b"{}",
        lambda _content: b"\xff",
        lambda _content: b"",
    ],
)
def test_other_bytes_under_a_plans_id_are_refused(now: Now, tampered: Callable[[bytes], bytes]) -> None:
    assert tampered(now.content) != now.content
    with pytest.raises(PlanTamperedError) as caught:
        plan_from(tampered(now.content), plan_id=digest(now.plan))
    assert (caught.value.where, caught.value.fix) == ("ledger.db", PLAN_AGAIN)
    assert digest(now.plan)[:12] in caught.value.what


def test_a_plan_of_another_id_is_refused(now: Now) -> None:
    with pytest.raises(PlanTamperedError, match=f"has the digest {digest(now.plan)[:12]}"):
        plan_from(now.content, plan_id="0" * 64)


def test_a_plan_of_another_version_is_not_executed_though_its_id_is_its_own(now: Now) -> None:
    other = now.content.replace(b'"schema_version":2', b'"schema_version":3')
    with pytest.raises(UnusablePlanError):
        plan_from(other, plan_id=sha256(other).hexdigest())


def test_every_refusal_is_of_one_family_and_says_how_to_plan_again(now: Now) -> None:
    for kind in (PlanChangedError, PlanExpiredError, PlanTamperedError):
        assert issubclass(kind, UnusablePlanError)
        assert issubclass(kind, RebalanceError)
        assert kind.exit_code == 12


# --- as orders -------------------------------------------------------------------------------------------


def test_a_plan_is_read_as_trades_in_percent_of_the_portfolio(now: Now) -> None:
    orders = orders_from(now.plan, "abc")
    assert orders.plan_id == "abc"
    reason = f"{now.plan.mode}: compliance"
    assert orders.rebalancing_trades == (
        RebalanceTrade(strategy="STR-001", action="SELL", percent_of_portfolio=Decimal(18), reason=reason),
        RebalanceTrade(strategy="STR-003", action="SELL", percent_of_portfolio=Decimal(6), reason=reason),
        RebalanceTrade(
            strategy="STR-007", action="HOLD", percent_of_portfolio=Decimal(0), reason="left alone"
        ),
    )
    raised = now.plan.model_copy(
        update={
            "strategies": tuple(
                one.model_copy(update={"proposed_bp": 1100}) if one.strategy == "STR-007" else one
                for one in now.plan.strategies
            )
        }
    )
    assert orders_from(raised, "abc").rebalancing_trades[2] == RebalanceTrade(
        strategy="STR-007", action="BUY", percent_of_portfolio=Decimal("0.7"), reason=reason
    )
