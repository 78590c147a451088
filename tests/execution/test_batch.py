"""Batches: sized at current prices, lawful at every prefix and at the end, or refused with a reason."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import pytest
from batch_laws import (
    at_best,
    at_worst,
    breached,
    check_by_oracle,
    check_case,
    check_conservation,
    check_end,
    check_orders,
    check_prefixes,
    check_way_back,
)
from batches import (
    BP,
    LIMITS,
    Case,
    F,
    book_of_legs,
    cases,
    market,
    markets_of,
    terms,
    wanted,
)
from hypothesis import event, given, settings

from portfolio_rebalance.errors import PlanChangedError
from portfolio_rebalance.execution.batch import Batch, Terms, final_faults, revert_steps
from portfolio_rebalance.execution.book import Book, prices_of
from portfolio_rebalance.execution.broker import Instrument
from portfolio_rebalance.execution.sizing import Wanted
from portfolio_rebalance.records import Market, Step

ONE, THREE, SEVEN = "STR-001", "STR-003", "STR-007"
BTC = market("BTC", "50000", lot="0.00001", commission_bps="5")
ETH = market("ETH", "3000", lot="0.0001", commission_bps="5")
SOL = market("SOL", "103", lot="0.01", commission_bps="5")
MARKETS = markets_of(BTC, ETH, SOL)
BOOK = book_of_legs({ONE: {"BTC": "0.408"}, THREE: {"ETH": "4"}, SEVEN: {"SOL": "60"}}, cash="21420")
"""34 / 20 / 10.3 % of 60 000."""

EXAMPLE = terms((ONE, THREE))


def case_of(
    targets_bp: Mapping[str, int | str],
    *,
    book: Book = BOOK,
    markets: Mapping[Instrument, Market] = MARKETS,
    held_to: Terms = EXAMPLE,
    approved: Sequence[Wanted] | None = None,
) -> Case:
    """A case by hand; what was approved is what the targets come to at these prices, unless given."""
    return Case(
        book=book,
        markets=markets,
        terms=held_to,
        wanted=tuple(wanted(targets_bp, book=book, markets=markets) if approved is None else approved),
        pinned=frozenset(),
        blocked=False,
    )


def told(steps: Sequence[Step]) -> list[str]:
    return [
        f"{step.strategy} {step.side} {step.quantity} {step.asset}"
        if step.is_order
        else ", ".join(
            f"{one.source or 'pool'}>{one.target or 'pool'} {one.quantity} {one.asset or 'cash'}"
            for one in step.transfers
        )
        for step in steps
    ]


def lawful(case: Case) -> Batch:
    """The batch, after every law was held against it."""
    made = case.batch()
    check_orders(case, made.steps)
    for filling in (at_worst(case), at_best(case)):
        end = check_prefixes(case, made.steps, filling)
        check_end(case, end)
        check_conservation(case, made.steps, end)
        check_by_oracle(case, made.steps, filling)
    return made


def refused(case: Case) -> PlanChangedError:
    with pytest.raises(PlanChangedError) as caught:
        case.batch()
    assert caught.value.where
    return caught.value


def refusal(case: Case) -> str:
    error = refused(case)
    assert error.fix == "Plan again: trading-portfolio-rebalance --dry-run"
    return error.what


# --- sized for the worst ---------------------------------------------------------------------------------


def test_worked_example_of_the_correlated_pair() -> None:
    """14 415.70 are sold; at 30 bps of slippage and 5 of commission that costs 50.48 at most.

    So 16 % and 14 % of 59 949.02 are what may stay: 9 591.84 and 8 392.86, whole lots below.
    """
    case = case_of({ONE: 1600, THREE: 1400})
    made = lawful(case)
    assert told(made.steps) == ["STR-001 SELL 0.21617 BTC", "STR-003 SELL 1.2024 ETH"]
    assert made.notes == ()
    for filling in (at_worst(case), at_best(case)):
        end = check_prefixes(case, made.steps, filling)
        for key, bp in ((ONE, 1600), (THREE, 1400), (SEVEN, 1030)):
            assert abs(end.capital()[key] * BP / end.total() - bp) <= 5


def test_a_strategy_that_the_plan_does_not_change_gets_no_step() -> None:
    assert not any(SEVEN in line for line in told(lawful(case_of({ONE: 1600, THREE: 1400})).steps))


def test_without_costs_nothing_is_set_aside() -> None:
    free = {place: one.model_copy(update={"commission_bps": Decimal(0)}) for place, one in MARKETS.items()}
    case = case_of({ONE: 1600, THREE: 1400}, markets=free, held_to=terms((ONE, THREE), tolerance_bps="0"))
    assert told(lawful(case).steps) == ["STR-001 SELL 0.216 BTC", "STR-003 SELL 1.2 ETH"]


def test_dearer_orders_leave_smaller_holdings() -> None:
    dear = {place: one.model_copy(update={"commission_bps": Decimal(100)}) for place, one in MARKETS.items()}
    case = case_of({ONE: 1600, THREE: 1400}, markets=dear)
    assert told(lawful(case).steps) == ["STR-001 SELL 0.21661 BTC", "STR-003 SELL 1.2089 ETH"]


def test_a_plan_of_no_change_is_an_empty_batch() -> None:
    calm = book_of_legs({ONE: {"BTC": "0.12"}, THREE: {"ETH": "2"}}, cash="48000")
    assert case_of({}, book=calm).batch() == Batch(steps=(), notes=())


def test_the_minimum_is_kept_through_rounding_and_costs_whether_they_come_or_not() -> None:
    markets = markets_of(BTC, market("ETH", "3000", lot="0.03", commission_bps="5"))
    book = book_of_legs({ONE: {"BTC": "0.48"}, THREE: {"ETH": "0.3"}}, cash="35100")
    case = case_of({ONE: 2000, THREE: 100}, book=book, markets=markets, held_to=terms())
    made = lawful(case)
    assert told(made.steps)[1:] == ["STR-003 SELL 0.12 ETH", "pool>STR-003 60 cash"]
    assert check_prefixes(case, made.steps, at_best(case)).capital()[THREE] == 600


def test_shorts_are_reduced_with_their_cash_and_end_below_the_ceiling() -> None:
    """60 % of 10 000: 12 000 long, 6 000 short. Rounding the cover up would leave it above 40 %."""
    markets = markets_of(market("BTC", "100", lot="0.01"), market("ETH", "10", lot="7"))
    book = book_of_legs({ONE: {"BTC": "120", "ETH": "-600"}}, cash="4000")
    case = case_of({ONE: 4000}, book=book, markets=markets, held_to=terms())
    made = lawful(case)
    assert told(made.steps) == ["STR-001 SELL 40.2 BTC", "STR-001 BUY 196 ETH"]


def test_idle_cash_is_given_before_anything_is_sold_and_costs_nothing() -> None:
    book = book_of_legs({ONE: {"BTC": "0.1"}}, own_cash={ONE: "5000"}, cash="10000")
    case = case_of({ONE: 4000}, book=book, held_to=terms())
    assert told(lawful(case).steps) == ["STR-001>pool 2000 cash"]


def test_netting_saves_orders_and_their_costs() -> None:
    book = book_of_legs({ONE: {"BTC": "0.4"}, THREE: {"BTC": "0.1"}}, cash="75000")
    case = case_of({ONE: 1500, THREE: 1000}, book=book, held_to=terms())
    assert told(lawful(case).steps) == ["STR-001>STR-003 0.1 BTC"]


def test_borrowed_cash_and_netting_pass_no_ceiling_on_the_way() -> None:
    """ONE at 40 % repays what it borrowed only after its sale was netted."""
    book = book_of_legs({ONE: {"BTC": "0.5"}, THREE: {"BTC": "0.1"}}, own_cash={ONE: "-5000"}, cash="25000")
    case = case_of({ONE: 3000, THREE: 2000}, book=book, held_to=terms())
    assert [re.sub(r" [\d.]+ ", " ", line) for line in told(lawful(case).steps)] == [
        "STR-001 SELL BTC",
        "STR-001>STR-003 BTC",
        "pool>STR-001 cash",
    ]


# --- what was approved -----------------------------------------------------------------------------------


def approve(key: str, bp: int, change: str) -> Wanted:
    return Wanted(strategy=key, target_bp=F(bp), approved=F(change))


def test_a_price_that_moved_is_sized_again_within_five_percent_and_noted() -> None:
    """7 200 were approved to be sold of ONE; at its new price 16 % would take 9 080."""
    dearer = markets_of(market("BTC", "55000", lot="0.00001", commission_bps="5"), ETH, SOL)
    case = case_of({}, markets=dearer, approved=[approve(ONE, 1600, "-10800")], held_to=terms())
    made = lawful(case)
    end = check_prefixes(case, made.steps, at_best(case))
    start = BOOK.capital(ONE, prices_of(dearer.values()))
    assert F(10_800) * F("1.05") <= start - end.capital()[ONE] <= F(10_800) * F("1.05") + 20
    (note,) = made.notes
    assert note.startswith("STR-001: sized at -113")
    assert note.endswith("to stay within 5 % of the approved -10800.00")


def test_a_change_to_the_other_side_is_refused() -> None:
    alone = book_of_legs({SEVEN: {"SOL": "60"}}, cash="53820")
    case = case_of({}, book=alone, approved=[approve(SEVEN, 1000, "300")], held_to=terms())
    assert refusal(case) == (
        "STR-007 was to change by 300.00, at current prices by -180.00: no longer the same direction."
    )


def test_narrowing_that_would_leave_a_limit_broken_is_refused() -> None:
    """Only 1 000 of ONE were approved; it is too far above its maximum for that by now."""
    book = book_of_legs({ONE: {"BTC": "0.6"}}, cash="30000")
    case = case_of({}, book=book, approved=[approve(ONE, 4000, "-1000")], held_to=terms())
    assert refusal(case) == (
        "At current prices and after costs STR-001 would stay above 40.00 % of total capital."
    )


def test_what_does_not_change_may_leave_no_room_for_the_rest() -> None:
    """THREE alone is at 33 % of a cluster that may come to 30."""
    book = book_of_legs({ONE: {"BTC": "0.2"}, THREE: {"ETH": "11"}}, cash="57000")
    assert refusal(case_of({ONE: 100}, book=book)) == (
        "At current prices and after costs STR-001+STR-003 would stay above 30.00 % of total capital."
    )


# --- every prefix, and the costs -------------------------------------------------------------------------


def at_its_maximum(spare: str) -> Book:
    """SEVEN untouched, so much below 40 % of 100 000; ONE at 15 %."""
    return book_of_legs(
        {ONE: {"BTC": "0.3"}, SEVEN: {}},
        own_cash={SEVEN: str(40_000 - Decimal(spare))},
        cash=str(45_000 + Decimal(spare)),
    )


def test_costs_must_not_break_a_limit_that_the_plan_does_not_change() -> None:
    """5 000 sold cost 17.55 at most: SEVEN at 40 % would be 7.02 above. Taking it back costs that again."""
    for spare in ("0", "7"):
        assert refusal(case_of({ONE: 1000}, book=at_its_maximum(spare), held_to=terms())) == (
            "At current prices and after costs STR-007 would stay above 40.00 % of total capital."
        )
    for spare in ("7.1", "14.1"):
        assert refusal(case_of({ONE: 1000}, book=at_its_maximum(spare), held_to=terms())).startswith(
            "The costs of the batch would break a limit that the plan does not change: individual_max of "
            "STR-007 at 40.00"
        )
    lawful(case_of({ONE: 1000}, book=at_its_maximum("14.3"), held_to=terms()))


def test_what_costs_nothing_may_be_done_beside_a_strategy_at_its_limit() -> None:
    book = replace(
        at_its_maximum("0"), quantities={ONE: {}, SEVEN: {}}, own_cash={ONE: F(15_000), SEVEN: F(40_000)}
    )
    assert told(lawful(case_of({ONE: 1000}, book=book, held_to=terms())).steps) == ["STR-001>pool 5000 cash"]


def test_an_increase_waits_for_the_reductions_that_make_room_for_it() -> None:
    book = book_of_legs({ONE: {"BTC": "0.4"}, THREE: {"ETH": "13"}}, cash="41000")
    case = case_of({ONE: 3900, THREE: 2000}, book=book, held_to=terms())
    lines = told(lawful(case).steps)
    assert [line.split()[:2] for line in lines] == [[THREE, "SELL"], [ONE, "BUY"]]


# --- more than one limit is broken -----------------------------------------------------------------------

HEAVY = book_of_legs({ONE: {"BTC": "0.9"}, THREE: {"ETH": "14.5"}, SEVEN: {"SOL": "60"}}, cash="5320")
"""45 / 43.5 / 6.18 % of 100 000: two are above the maximum, and all together above the total."""


def test_the_cost_of_what_only_the_total_needs_does_not_weigh_on_a_broken_cluster() -> None:
    """SEVEN first, as the order of ids has it, would cost the cluster a little more overage."""
    book = book_of_legs({ONE: {"SOL": "60"}, THREE: {"ETH": "9"}, SEVEN: {"BTC": "0.7"}}, cash="31820")
    held_to = terms((THREE, SEVEN))
    case = case_of({ONE: 500, THREE: 1000, SEVEN: 2000}, book=book, held_to=held_to)
    assert [line.split()[:2] for line in told(lawful(case).steps)] == [
        [THREE, "SELL"],
        [SEVEN, "SELL"],
        [ONE, "SELL"],
    ]


def test_idle_cash_makes_room_for_the_costs_where_two_strategies_are_above_the_maximum() -> None:
    cash = {ONE: "500", THREE: "500"}
    book = replace(HEAVY, own_cash={key: F(cash.get(key, "0")) for key in HEAVY.own_cash})
    case = case_of({ONE: 2900, THREE: 2400}, book=book, held_to=terms())
    lines = told(lawful(case).steps)
    assert lines[:2] == ["STR-001>pool 500 cash", "STR-003>pool 500 cash"]
    assert [line.split()[:2] for line in lines[2:]] == [[ONE, "SELL"], [THREE, "SELL"]]


def test_where_no_order_of_trades_helps_the_refusal_says_what_does() -> None:
    error = refused(case_of({ONE: 2900, THREE: 2400}, book=HEAVY, held_to=terms()))
    assert error.what.startswith(
        "At current prices a limit would break during step 0: individual_max of STR-003"
    )
    assert "share no strategy" in error.fix
    assert "Take some capital out of STR-003 by hand" in error.fix


# --- bots ------------------------------------------------------------------------------------------------

BOT = "STR-BOT"


def with_bot(capital: str, *, one: str = "0.4") -> Book:
    return book_of_legs(
        {ONE: {"BTC": one}}, cash=str(100_000 - Decimal(capital) - Decimal(one) * 50_000), bots={BOT: capital}
    )


def test_a_bot_counts_at_what_it_holds_at_every_prefix() -> None:
    """It will give 20 000 back once a person has told it to; until then there is no room for them."""
    case = case_of({ONE: 3900}, book=with_bot("39000"), held_to=terms(bot_goals={BOT: "20000"}))
    error = refused(case)
    assert error.what.startswith(
        "At current prices a limit would break during step 0: total_deployed at 78.0"
    )
    assert error.fix.startswith("Brought down by bots, after the orders: STR-BOT.")
    assert error.fix.endswith("trading-portfolio-rebalance --dry-run --hold STR-001")
    lawful(case_of({ONE: 1900}, book=with_bot("39000"), held_to=terms(bot_goals={BOT: "20000"})))


def test_a_bot_counts_at_its_goal_at_the_end() -> None:
    """At 30 % it leaves ONE 30; told to come to 40 % it leaves 20, and nobody may be above that."""
    lawful(case_of({ONE: 2500}, book=with_bot("30000"), held_to=terms()))
    less = case_of({ONE: 2500}, book=with_bot("30000"), held_to=terms(bot_goals={BOT: "39900"}))
    assert refusal(less).endswith("STR-001+STR-BOT would stay above 60.00 % of total capital.")


def test_a_bot_at_its_goal_above_the_maximum_is_refused() -> None:
    case = case_of({ONE: 1000}, book=with_bot("30000"), held_to=terms(bot_goals={BOT: "41000"}))
    assert refusal(case) == (
        "At current prices and after costs STR-BOT would stay above 40.00 % of total capital."
    )


# --- the end in words ------------------------------------------------------------------------------------


def faults(
    book: Book, *, held_to: Terms = EXAMPLE, markets: Mapping[Instrument, Market] = MARKETS
) -> list[str]:
    return list(final_faults(book, prices=prices_of(markets.values()), markets=markets, terms=held_to))


def test_every_limit_that_does_not_hold_at_the_end_is_told() -> None:
    assert faults(BOOK) == [
        "total_deployed at 64.3000 % against 60.00 % (2580.00 too much)",
        "correlated_exposure of STR-001+STR-003 at 54.0000 % against 30.00 % (14400.00 too much)",
    ]
    small = book_of_legs({ONE: {"BTC": "0.002"}, SEVEN: {"SOL": "60"}}, cash="13720")
    assert faults(small, held_to=terms()) == ["individual_min of STR-001 at 0.5000 % against 1.00 %"]


def test_exactly_at_each_limit_holds_and_the_least_beyond_does_not() -> None:
    at = book_of_legs(
        {ONE: {}, THREE: {}, SEVEN: {}}, own_cash={ONE: "2900", THREE: "100", SEVEN: "3000"}, cash="4000"
    )
    assert faults(at) == []
    tiny = F(1, 10**30)
    for key, names in ((THREE, {"total_deployed", "correlated_exposure"}), (SEVEN, {"total_deployed"})):
        above = replace(
            at, own_cash={**at.own_cash, key: at.own_cash[key] + tiny}, pool_cash=at.pool_cash - tiny
        )
        assert {fault.split()[0] for fault in faults(above)} == names
    below = replace(
        at, own_cash={**at.own_cash, THREE: at.own_cash[THREE] - tiny}, pool_cash=at.pool_cash + tiny
    )
    assert {fault.split()[0] for fault in faults(below)} == {"individual_min"}
    wide = replace(EXAMPLE, limits=replace(LIMITS, individual_max_bp=3000))
    assert faults(at, held_to=wide) == []
    most = replace(at, own_cash={**at.own_cash, SEVEN: F(3000) + tiny, ONE: F(2900) - tiny})
    assert {fault.split()[0] for fault in faults(most, held_to=wide)} == {"individual_max"}


def test_what_no_order_can_sell_is_not_held_against_the_minimum() -> None:
    left = book_of_legs({ONE: {"BTC": "0.000009"}, SEVEN: {"SOL": "60"}}, cash="13720")
    assert faults(left, held_to=terms()) == []
    a_lot = book_of_legs({ONE: {"BTC": "0.00001"}, SEVEN: {"SOL": "60"}}, cash="13720")
    assert len(faults(a_lot, held_to=terms())) == 1


# --- the way back ----------------------------------------------------------------------------------------


def after_filling(case: Case, steps: Sequence[Step]) -> Book:
    purse = check_prefixes(case, steps, at_worst(case))
    return replace(case.book, own_cash=purse.cash, quantities=purse.legs, pool_cash=purse.pool)


def way_back(case: Case, book: Book, *, next_index: int = 2) -> tuple[Step, ...]:
    return revert_steps(
        case.started(), book=book, markets=case.markets, terms=case.terms, next_index=next_index
    )


def test_the_way_back_buys_what_was_sold() -> None:
    case = case_of({ONE: 1600, THREE: 1400})
    steps = case.batch().steps
    back = way_back(case, after_filling(case, steps[:1]))
    assert [(step.index, step.phase, step.client_id[-5:]) for step in back] == [(2, "revert", "-0002")]
    (line,) = told(back)
    assert line.startswith("STR-001 BUY 0.21")
    check_way_back(case, after_filling(case, steps[:1]), back)


def test_nothing_done_is_nothing_to_take_back() -> None:
    case = case_of({ONE: 1600, THREE: 1400})
    assert way_back(case, case.book) == ()


def test_only_what_was_changed_is_taken_back() -> None:
    case = case_of({ONE: 1600, THREE: 1400, SEVEN: 900})
    back = way_back(case, after_filling(case, case.batch().steps[:2]))
    assert {step.strategy for step in back} == {ONE, THREE}


def test_the_way_back_is_counted_on_from_where_the_batch_ended() -> None:
    case = case_of({ONE: 1600, THREE: 1400})
    book = after_filling(case, case.batch().steps)
    back = way_back(case, book, next_index=17)
    assert [step.index for step in back] == [17, 18]
    assert len({step.client_id for step in (*case.batch().steps, *back)}) == 4


def test_the_way_back_stops_at_what_a_limit_allowed_at_the_start() -> None:
    """ONE at exactly 40 %: after two costs its old quantity would be more than that."""
    book = book_of_legs({ONE: {"BTC": "0.8"}}, cash="60000")
    case = case_of({ONE: 3000}, book=book, held_to=terms())
    now = after_filling(case, case.batch().steps)
    back = way_back(case, now)
    check_way_back(case, now, back)
    (line,) = told(back)
    bought = F(line.split()[2])
    assert bought < F("0.8") - now.quantities[ONE]["BTC"]
    assert bought > (F("0.8") - now.quantities[ONE]["BTC"]) * F("0.99")


# --- whatever is held ------------------------------------------------------------------------------------


def test_random_batches_hold_every_law_or_are_refused() -> None:
    """A third and more start in breach; `make proof` tries five thousand."""
    seen: Counter[str] = Counter()

    @settings(max_examples=150)
    @given(cases())
    def hold(case: Case) -> None:
        outcome = check_case(case, random.Random(1))
        seen[outcome] += 1
        seen["in breach"] += breached(case) and outcome in ("made", "refused")
        event(outcome)

    hold()
    tried = seen["made"] + seen["refused"]
    assert seen["in breach"] * 3 >= tried
    assert seen["made"] * 10 >= tried * 7
