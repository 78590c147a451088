"""Verification: what an execution came to, in exact money, against what was planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from executing import example_1, planned
from workspaces import AS_OF

from portfolio_rebalance.execution.batch import Terms
from portfolio_rebalance.execution.book import book_after
from portfolio_rebalance.execution.gate import GateLimits
from portfolio_rebalance.records import (
    Execution,
    ExecutionStatus,
    Market,
    OrderFill,
    PartialFill,
    Plan,
    PostAllocation,
    StartedExecution,
    Step,
    StepState,
    StoredStep,
    StrategyBook,
    Transfer,
)
from portfolio_rebalance.tools.bindings import plan_from
from portfolio_rebalance.tools.verification import Verified, verify
from portfolio_rebalance.workspace import Ledger

D = Decimal
LIMITS = {"total": 6000, "cluster": 3000, "individual_max": 4000, "individual_min": 100}
PRICES = {"BTC": "50000", "ETH": "3000", "SOL": "103"}
HELD = {"STR-001": ("BTC", "0.4", "400"), "STR-003": ("ETH", "4", "0"), "STR-007": ("SOL", "60", "0")}
"""Asset, quantity and own cash: 34 / 20 / 10.3 % of 60 000."""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Example 1: STR-001 to 16 %, STR-003 to 14 %, STR-007 left alone."""
    root = example_1(tmp_path_factory.mktemp("verification"))
    plan_id = str(planned(root).plan_id)
    with Ledger.open(root) as ledger:
        return plan_from(ledger.approvals.plan(plan_id).content, plan_id=plan_id)


def markets(**prices: str) -> tuple[Market, ...]:
    return tuple(
        Market(
            account=key,
            asset=asset,
            price=D({**PRICES, **prices}[asset]),
            lot=D("0.00001"),
            min_notional=D(0),
            commission_bps=D(5),
        )
        for key, (asset, _, _) in HELD.items()
    )


def started(
    *, bots: Mapping[str, str] | None = None, goals: Mapping[str, str] | None = None
) -> StartedExecution:
    bots = bots or {}
    return StartedExecution(
        plan_id="3f9a" * 16,
        at=AS_OF,
        broker="paper",
        currency="USD",
        baseline={
            key: StrategyBook(account=key, own_cash=D(own_cash), quantities={asset: D(quantity)})
            for key, (asset, quantity, own_cash) in HELD.items()
            if key not in bots
        },
        pool_cash=D(21_420),
        bot_capital={key: D(capital) for key, capital in bots.items()},
        bot_goals={key: D(goal) for key, goal in (goals or {}).items()},
        markets=markets(),
        clusters=(("STR-001", "STR-003"),),
        limits_bp=LIMITS,
        targets_bp={"STR-001": 1600, "STR-003": 1400},
        notes=("STR-001 was narrowed",),
    )


def order(
    index: int,
    key: str,
    quantity: str,
    state: StepState,
    *,
    side: str = "SELL",
    filled: str | None = None,
    at: str = "0",
    commission: str = "0",
    phase: str = "forward",
) -> StoredStep:
    """An order that was sent at the usual price, and what became of it."""
    asset = HELD[key][0]
    sign = 1 if side == "BUY" else -1
    fill = None
    if filled is not None:
        fill = OrderFill(
            filled=D(filled),
            average_price=D(at),
            asset_change=sign * D(filled),
            cash_change=-sign * D(filled) * D(at) - D(commission),
            commission=D(commission),
            slippage_bps=D("1.5"),
        )
    step = Step.model_validate(
        {
            "index": index,
            "client_id": f"tpr-{index}",
            "phase": phase,
            "purpose": "reduce",
            "strategy": key,
            "account": key,
            "asset": asset,
            "side": side,
            "quantity": D(quantity),
        }
    )
    sent = state not in ("planned",)
    return StoredStep(
        step=step,
        state=state,
        reference_price=D(PRICES[asset]) if sent else None,
        limit_price=D(PRICES[asset]) if sent else None,
        fill=fill,
    )


def cash_out(index: int, amount: str) -> StoredStep:
    move = Transfer(source="STR-001", target=None, asset=None, quantity=D(amount))
    step = Step(index=index, client_id=f"tpr-{index}", phase="forward", purpose="reduce", transfers=(move,))
    return StoredStep(step=step, state="done", note="at once")


DONE = (
    cash_out(0, "400"),
    order(1, "STR-001", "0.21", "done", filled="0.21", at="49950", commission="5.24475"),
    order(2, "STR-003", "1.21", "done", filled="1.21", at="2997", commission="1.813185"),
)
"""10.50 and 3.63 of slippage, 7.057935 of commission: STR-001 at 9 500, STR-003 at 8 370 of 59 978.81."""

COST = D("21.187935")


def report(
    plan: Plan,
    steps: Sequence[StoredStep] = DONE,
    *,
    status: ExecutionStatus = "committed",
    now: tuple[Market, ...] | None = None,
    of: StartedExecution | None = None,
    **changes: object,
) -> Execution:
    of = of or started()
    seen = Verified(
        started=of,
        book=book_after(of, steps),
        markets={(one.account, one.asset): one for one in now or markets()},
        steps=steps,
        terms=Terms(
            limits=GateLimits.of(LIMITS),
            clusters=of.clusters,
            tolerance_bps=D(30),
            bot_goals={key: Fraction(goal) for key, goal in of.bot_goals.items()},
        ),
    )
    finished = AS_OF + timedelta(minutes=3)
    return verify(replace(seen, **changes), plan=plan, status=status, reason="", finished_at=finished)


# --- what it came to -------------------------------------------------------------------------------------


def test_capital_after_is_exact_and_less_by_the_costs(plan: Plan) -> None:
    made = report(plan)
    assert made.total_capital_before == 60_000
    assert made.total_capital_after == 60_000 - COST
    assert made.actual_cost == COST
    assert made.estimated_cost == plan.estimated_cost


def test_allocations_after_are_told_against_their_targets(plan: Plan) -> None:
    """Targets are cut to cents: 16 % of 59 978.812065 is 9 596.6099."""
    assert report(plan).post_rebalance_allocations == {
        "STR-001": PostAllocation(
            capital=D(9_500), target=D("9596.60"), alloc=D("15.8389"), drift=D("-1.0067")
        ),
        "STR-003": PostAllocation(
            capital=D(8_370), target=D("8397.03"), alloc=D("13.9549"), drift=D("-0.3219")
        ),
        "STR-007": PostAllocation(
            capital=D(6_180), target=D("6177.81"), alloc=D("10.3036"), drift=D("0.0353")
        ),
    }


def test_a_reverted_batch_is_told_against_the_targets_of_the_registry(plan: Plan) -> None:
    made = report(plan, (), status="reverted").post_rebalance_allocations
    assert made["STR-001"].target == 60_000 * plan.strategies[0].target_percent / 100
    assert made["STR-001"].alloc == 34


def test_a_target_of_nothing_has_no_drift(plan: Plan) -> None:
    exits = plan.model_copy(
        update={
            "strategies": tuple(
                one.model_copy(update={"proposed_bp": 0}) if one.strategy == "STR-007" else one
                for one in plan.strategies
            )
        }
    )
    gone = report(exits).post_rebalance_allocations["STR-007"]
    assert (gone.target, gone.drift, gone.alloc) == (0, None, D("10.3036"))


def test_exposures_are_in_percent_of_what_is_there(plan: Plan) -> None:
    made = report(plan)
    assert made.correlated_exposure_percent == D("29.7939")
    assert made.total_deployed_percent == D("40.0975")
    assert report(plan, terms=replace(_terms(), clusters=())).correlated_exposure_percent is None


def _terms() -> Terms:
    return Terms(limits=GateLimits.of(LIMITS), clusters=(), tolerance_bps=D(30), bot_goals={})


def test_of_several_clusters_the_largest_counts(plan: Plan) -> None:
    two = replace(_terms(), clusters=(("STR-003", "STR-007"), ("STR-001", "STR-003")))
    assert report(plan, terms=two).correlated_exposure_percent == D("29.7939")


# --- costs -----------------------------------------------------------------------------------------------


def test_slippage_and_commission_are_weighted_by_what_was_traded(plan: Plan) -> None:
    """14.13 of slippage on 14 130 at the quotes; 7.06 of commission on 14 115.87 as filled."""
    made = report(plan)
    assert made.total_slippage_bps == D("10.00")
    assert made.total_commissions_bps == D("5.00")
    assert made.total_cost_bps == D("15.00")


def test_a_purchase_slips_upwards_and_a_better_price_is_a_gain(plan: Plan) -> None:
    bought = (order(0, "STR-007", "10", "done", side="BUY", filled="10", at="104"),)
    assert report(plan, bought).total_slippage_bps == D("97.09")
    assert report(plan, bought).actual_cost == 10
    cheaper = (order(0, "STR-007", "10", "done", side="BUY", filled="10", at="102"),)
    assert report(plan, cheaper).total_slippage_bps == D("-97.09")
    assert report(plan, cheaper).actual_cost == -10


def test_where_nothing_was_filled_there_is_no_rate(plan: Plan) -> None:
    made = report(plan, (order(0, "STR-001", "0.21", "refused"),), status="reverted")
    assert (made.total_slippage_bps, made.total_commissions_bps, made.total_cost_bps) == (None, None, None)
    assert made.actual_cost == 0


def test_the_way_back_is_part_of_the_cost(plan: Plan) -> None:
    back = order(3, "STR-001", "0.21", "done", side="BUY", filled="0.21", at="50050", phase="revert")
    made = report(plan, (*DONE, back), status="reverted")
    assert made.actual_cost == COST + D("10.5")
    assert made.orders_sent == 3


# --- orders ----------------------------------------------------------------------------------------------


def test_orders_are_counted_and_transfers_are_not(plan: Plan) -> None:
    made = report(plan)
    assert (made.orders_sent, made.orders_filled, made.partial_fills) == (2, 2, ())
    assert (made.executed_trades, made.successful_trades) == (2, 2)


def test_what_was_not_filled_whole_is_told_with_what_was_meant(plan: Plan) -> None:
    steps = (
        order(0, "STR-001", "0.21", "cancelled", filled="0.1", at="50000"),
        order(1, "STR-003", "1.21", "refused"),
        order(2, "STR-007", "5", "planned"),
    )
    made = report(plan, steps, status="reverted")
    assert made.partial_fills == (
        PartialFill(strategy="STR-001", asset="BTC", intended=D("0.21"), actual=D("0.1")),
        PartialFill(strategy="STR-003", asset="ETH", intended=D("1.21"), actual=D(0)),
    )
    assert (made.orders_sent, made.orders_filled) == (2, 0)


@pytest.mark.parametrize(
    ("status", "steps", "counts"),
    [
        ("committed", DONE, (2, 2)),
        ("committed", (), (2, 2)),
        ("reverted", DONE, (2, 0)),
        ("reverted", (), (0, 0)),
        ("reverted", (order(0, "STR-001", "0.21", "refused"),), (0, 0)),
        ("needs_operator", (cash_out(0, "1"),), (2, 0)),
        ("needs_operator", (order(0, "STR-001", "0.21", "cancelled", filled="0.1", at="1"),), (2, 0)),
    ],
)
def test_a_change_succeeds_only_where_it_is_kept(
    plan: Plan, status: ExecutionStatus, steps: Sequence[StoredStep], counts: tuple[int, int]
) -> None:
    made = report(plan, steps, status=status)
    assert (made.executed_trades, made.successful_trades) == counts


def test_a_bots_change_is_not_ours_to_have_succeeded_in(plan: Plan) -> None:
    made = report(plan, (), of=started(bots={"STR-003": "12000"}, goals={"STR-003": "8400"}))
    assert (made.executed_trades, made.successful_trades) == (2, 1)
    assert made.post_rebalance_allocations["STR-003"].capital == 12_000


def test_each_step_is_a_line_with_its_transfers_in_words(plan: Plan) -> None:
    moved, sold, _ = report(plan).orders
    assert (moved.client_id, moved.state, moved.strategy) == ("tpr-0", "done", None)
    assert moved.note == "400 cash: STR-001 to common cash; at once"
    assert (sold.strategy, sold.asset, sold.side, sold.quantity) == ("STR-001", "BTC", "SELL", D("0.21"))
    assert (sold.filled, sold.average_price, sold.commission) == (D("0.21"), D(49_950), D("5.24475"))
    assert (sold.slippage_bps, sold.note) == (D("1.5"), "")
    (waiting,) = report(plan, (order(0, "STR-001", "0.21", "planned"),)).orders
    assert (waiting.filled, waiting.average_price, waiting.commission) == (0, None, 0)


def test_what_was_narrowed_stays_on_the_record(plan: Plan) -> None:
    made = report(plan)
    assert made.notes == ("STR-001 was narrowed",)
    assert (made.plan_id, made.broker, made.mode, made.currency) == ("3f9a" * 16, "paper", plan.mode, "USD")
    assert (made.started_at, made.finished_at) == (AS_OF, AS_OF + timedelta(minutes=3))


# --- limits ----------------------------------------------------------------------------------------------

ALL_PASS = dict.fromkeys(
    ("total_deployed", "correlated_exposure", "individual_max", "individual_min"), "PASS"
)


def test_every_limit_is_judged_in_exact_money(plan: Plan) -> None:
    assert report(plan).limits == ALL_PASS
    assert report(plan).limits_note == ()
    before = report(plan, (), status="reverted")
    assert before.limits == ALL_PASS | {"total_deployed": "FAIL", "correlated_exposure": "FAIL"}
    assert before.limits_note == (
        "total_deployed at 64.3000 % against 60.00 % (2580.00 too much)",
        "correlated_exposure of STR-001+STR-003 at 54.0000 % against 30.00 % (14400.00 too much)",
    )


def test_a_limit_that_price_alone_broke_fails_and_a_note_says_so(plan: Plan) -> None:
    made = report(plan, now=markets(BTC="51000"))
    assert made.limits == ALL_PASS | {"correlated_exposure": "FAIL"}
    (note,) = made.limits_note
    assert note.startswith(
        "by price alone, after the batch was sized: correlated_exposure of STR-001+STR-003 at 30.01"
    )


def test_a_cluster_limit_that_was_not_evaluated_does_not_pass(plan: Plan) -> None:
    blind = plan.model_copy(update={"correlated_exposure": "NOT_EVALUATED"})
    assert report(blind).limits["correlated_exposure"] == "NOT_EVALUATED"


def test_a_limit_that_waits_for_a_bot_neither_passes_nor_fails(plan: Plan) -> None:
    waiting = started(bots={"STR-003": "12000"}, goals={"STR-003": "8400"})
    made = report(plan, DONE[:2], of=waiting)
    assert made.limits == ALL_PASS | {"correlated_exposure": "AWAITS_BOTS"}
    assert made.limits_note == ()
    told_too_much = started(bots={"STR-003": "12000"}, goals={"STR-003": "9000"})
    assert report(plan, DONE[:2], of=told_too_much).limits["correlated_exposure"] == "FAIL"
