"""The oracle itself: its figures, and what it must let pass. `test_prefix_rules` has what it must not."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product

import oracle
import pytest
from prefix_cases import (
    ASSETS,
    BACK,
    BOT,
    COMMITTED,
    FORWARD,
    MILLION,
    ONE,
    PAIR,
    REVERTED,
    START,
    THREE,
    TWO,
    F,
    X,
    Y,
    buy,
    cash,
    done,
    filled,
    price,
    rules,
    sell,
    world,
)
from prefix_oracle import (
    BookMoves,
    Ended,
    Ending,
    Entry,
    Filled,
    Holding,
    assert_lawful,
    overages,
    shortfalls,
)
from prefix_walk import Walk

# --- figures ---------------------------------------------------------------------------------------------


def test_overages_are_exact_money_times_basis_points() -> None:
    assert overages(START) == {
        "total": F("4.3") * MILLION,
        "cluster STR-ONE+STR-THREE": 24 * MILLION,
        "maximum STR-ONE": -6 * MILLION,
        "maximum STR-TWO": F("-29.7") * MILLION,
        "maximum STR-THREE": -20 * MILLION,
    }
    assert shortfalls(world(340, "9.99", 0)) == {TWO: F("0.001") * MILLION}
    assert shortfalls(world(-1, 10, 0)) == {ONE: F("1.1") * MILLION}


def test_own_cash_short_legs_and_bots_count_and_a_cluster_of_one_does_not() -> None:
    held = Holding(account="main", own_cash=F(500), quantities={"X": F(50), "Y": F(-20), "GONE": F(0)})
    mixed = replace(world(0, 0, 0, bot=3500), holdings={ONE: held}, clusters=(frozenset({ONE}),))
    assert [mixed.capital(name) for name in (ONE, BOT, "STR-NONE")] == [800, 3500, 0]
    assert mixed.total() == 6500 + 3500 + 800
    assert overages(mixed)["total"] == 4300 * 10_000 - 6000 * 10_800
    assert set(overages(mixed)) == {"total", f"maximum {ONE}", f"maximum {BOT}"}
    with pytest.raises(ValueError, match="counted twice"):
        replace(mixed, bot_capital={ONE: F(1)})


def test_overages_and_shortfalls_agree_with_the_oracle_on_allocations() -> None:
    """The other oracle judges fractions of the total; on the same portfolio both must say the same."""
    rng, seen = random.Random(7), {True: 0, False: 0}
    for _ in range(600):
        units = [rng.choice((0, 1, 9, 10, 11, 100, 150, 199, 200, 201, 299, 300, 400, 401)) for _ in range(3)]
        portfolio = world(*units)
        weights = {name: portfolio.capital(name) / portfolio.total() * 10_000 for name in ASSETS}
        broken = oracle.breaches(
            weights, clusters=[sorted(PAIR)], total=6000, cluster=3000, maximum=4000, minimum=100
        )
        holds = all(value <= 0 for value in overages(portfolio).values()) and not shortfalls(portfolio)
        assert holds is (not broken), broken
        seen[holds] += 1
    assert min(seen.values()) > 100


# --- what must pass --------------------------------------------------------------------------------------


def test_a_lawful_batch_passes() -> None:
    assert_lawful(START, FORWARD, COMMITTED)


def test_a_lawful_reversal_passes_also_when_untouched_shares_grow_by_the_costs() -> None:
    assert_lawful(START, BACK, REVERTED, costs="aside_where_broken")


def test_an_operator_may_be_called_over_an_order_of_unknown_outcome() -> None:
    called = Ending(status="needs_operator", entries={"a": Entry(settled=False)}, venue=None)
    assert_lawful(START, FORWARD[:2], called)


@pytest.mark.parametrize("limit", ["9.9", "10", "10.1"])
def test_a_reduction_of_a_broken_limit_is_always_lawful(limit: str) -> None:
    assert rules(START, done(sell("a", ONE, 50, limit=limit), at=limit)) == set()


def test_a_broken_limit_may_fall_and_come_back_to_where_it_was_but_no_further() -> None:
    down = done(sell("a", ONE, 50))
    assert rules(START, (*down, *done(buy("b", ONE, 50, limit="10")))) == set()
    more = (*down, *done(buy("b", ONE, "50.000001", limit="10")))
    assert rules(START, more) == {
        ("overage gained", "total"),
        ("overage gained", "cluster STR-ONE+STR-THREE"),
    }


@pytest.mark.parametrize(
    ("limit", "fee_bps", "lawful"),
    [("10", 0, True), ("10.000001", 0, False), ("10", 1, False), ("9.99", 1, True)],
)
def test_an_increase_in_flight_is_counted_at_its_worst_cost(limit: str, fee_bps: int, lawful: bool) -> None:
    """40 % exactly, if it costs nothing: the least cost lowers the total and breaks the maximum."""
    start = world(390, 0, 0, fee_bps=fee_bps)
    expected = set() if lawful else {("limit broken", "maximum STR-ONE")}
    assert rules(replace(start, clusters=()), (buy("a", ONE, 10, limit=limit),)) == expected


def test_an_increase_counts_until_it_has_ended_and_a_reduction_only_once_filled() -> None:
    start = world(300, 0, 295, clustered=False)
    first, second = buy("a", ONE, 5, limit="10"), buy("b", TWO, 5, limit="10")
    assert rules(start, (first, second)) == {("limit broken", "total")}
    assert rules(start, (first, Ended(client_id="a"), second)) == set()
    freed = sell("c", THREE, 5)
    assert rules(start, (*done(first), freed, second)) == {("limit broken", "total")}
    assert rules(start, (*done(first), freed, filled("c", -5), second)) == set()


def test_transfers_of_one_group_are_one_event() -> None:
    """Cash passes through ONE, which alone would break its maximum on the way."""
    start = world(395, 100, 0, clustered=False)
    moves = (cash(None, ONE, 100), cash(ONE, TWO, 100))
    assert rules(start, (BookMoves(moves=moves),)) == set()
    apart = tuple(BookMoves(moves=(move,)) for move in moves)
    assert rules(start, apart) == {("limit broken", "maximum STR-ONE")}


def test_a_move_of_prices_is_never_charged_and_reductions_go_on_after_it() -> None:
    moved = (price(X, 12), price(Y, 20))
    assert rules(START, moved) == set()
    assert rules(START, (*moved, *done(sell("a", ONE, 50), at=12))) == set()
    assert rules(START, (sell("a", ONE, 50), price(X, 12), filled("a", -50, at=12))) == set()


def test_a_price_that_comes_back_gives_increases_back() -> None:
    held = world(299, 100, 0)
    there_and_back = (price(X, 20), price(X, 10), *done(buy("a", TWO, 10), at=10))
    assert rules(held, there_and_back) == set()


def test_splitting_a_fill_changes_no_verdict() -> None:
    rng = random.Random(3)
    for _ in range(200):
        start = world(rng.randrange(200, 400), rng.randrange(0, 200), rng.randrange(0, 100))
        order = rng.choice((buy, sell))("a", rng.choice((ONE, TWO, THREE)), rng.randrange(2, 100), limit="10")
        whole = done(order)
        fill = whole[1]
        assert isinstance(fill, Filled)
        half = replace(fill, asset_change=fill.asset_change / 2, cash_change=fill.cash_change / 2)
        assert rules(start, whole) == rules(start, (order, half, half, whole[2]))


def test_no_outcome_of_the_orders_in_flight_is_worse_than_the_one_that_is_counted() -> None:
    """Against brute force over every set of fills, without cost to the reductions."""
    rng = random.Random(5)
    for _ in range(40):
        start = world(rng.randrange(100, 400), rng.randrange(50, 200), rng.randrange(50, 200), fee_bps=5)
        orders = [
            buy(f"b{n}", rng.choice((ONE, TWO, THREE)), rng.randrange(1, 40)) for n in range(rng.randrange(3))
        ] + [sell(f"s{n}", rng.choice((ONE, TWO, THREE)), rng.randrange(1, 40)) for n in range(2)]
        walk = Walk(start)
        for place, order in enumerate(orders):
            walk.take(place, order)
        worst = overages(walk.as_it_may_be())
        outcomes = []
        for chosen in product((False, True), repeat=len(orders)):
            after = start
            for order, is_filled in zip(orders, chosen, strict=True):
                if is_filled and order.strategy is not None:
                    sign = 1 if order.side == "BUY" else -1
                    paid = order.limit_price * F("1.0005") if sign > 0 else F(10)
                    after = after.with_asset(order.strategy, order.asset, sign * order.quantity)
                    after = after.with_cash(None, -sign * order.quantity * paid)
            outcomes.append(overages(after))
        assert worst == {key: max(outcome[key] for outcome in outcomes) for key in worst}
