"""How the prefix oracle judges an end: dust, bots, prices, what "reverted" may mean, counts at the venue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from prefix_cases import (
    BOT,
    COMMITTED,
    FORWARD,
    ONE,
    START,
    TWO,
    VENUE,
    F,
    X,
    buy,
    cash,
    done,
    filled,
    price,
    rules,
    sell,
    world,
)
from prefix_oracle import BookMoves, Ended, Ending, Entry, Event, Rule, Tolerances, World, judge

FINE = world(200, 100, 90)
"""20 / 10 / 9 %: every limit holds."""


def ends(start: World, *, dust: Mapping[str, int], status: str = "committed") -> set[tuple[Rule, str]]:
    ending = Ending(status=status, entries={}, venue=None)  # type: ignore[arg-type]
    tolerances = Tolerances(dust={name: F(value) for name, value in dust.items()})
    return rules(start, (), ending, tolerances=tolerances)


def test_less_than_the_dust_may_be_left_above_a_limit_that_was_broken() -> None:
    start = world(405, 0, 0, clustered=False)
    assert ends(start, dust={ONE: 51}) == set()
    assert ends(start, dust={ONE: 50}) == {("limit at end", "maximum STR-ONE")}
    assert ends(start, dust={TWO: 51}) == {("limit at end", "maximum STR-ONE")}


def test_a_limit_that_is_met_to_the_last_digit_holds() -> None:
    assert ends(world(400, 0, 0, clustered=False), dust={}) == set()
    assert ends(world(400, 10, 0, clustered=False), dust={}) == set()


def test_the_least_breach_at_the_start_is_a_breach_and_may_leave_dust() -> None:
    start = world("400.0000000001", 0, 0, clustered=False)
    assert ends(start, dust={ONE: 1}) == set()
    more = (buy("a", ONE, 1, limit="10"), Ended(client_id="a"))
    assert rules(start, more) == {("overage gained", "maximum STR-ONE")}


def test_dust_is_not_given_to_a_limit_that_held() -> None:
    ending = Ending(status="committed", entries={}, venue=None)
    broken = (BookMoves(moves=(cash(None, ONE, 1),)),)
    found = rules(world(400, 0, 0, clustered=False), broken, ending, tolerances=Tolerances(dust={ONE: F(50)}))
    assert found == {("limit broken", "maximum STR-ONE"), ("limit at end", "maximum STR-ONE")}


def test_dust_may_miss_the_minimum_or_be_left_of_an_exit() -> None:
    assert ends(world(200, "9.5", 0), dust={TWO: 6}) == set()
    assert ends(world(200, "9.5", 0), dust={TWO: 5}) == {("minimum at end", "minimum STR-TWO")}
    assert ends(world(200, "0.5", 0), dust={TWO: 6}) == set()
    assert ends(world(200, "0.5", 0), dust={TWO: 5}) == {("minimum at end", "minimum STR-TWO")}


def test_limits_left_to_a_bot_are_excused_by_name_only() -> None:
    start = world(0, 0, 0, bot=4100)
    ending = Ending(status="committed", entries={}, venue=None)
    assert rules(start, (), ending) == {("limit at end", f"maximum {BOT}")}
    assert rules(start, (), replace(ending, left_to_bots=frozenset({f"maximum {BOT}"}))) == set()


def test_a_minimum_left_to_a_bot_is_excused_by_name_only() -> None:
    start = world(0, 0, 0, bot=50)
    ending = Ending(status="committed", entries={}, venue=None)
    assert rules(start, (), ending) == {("minimum at end", f"minimum {BOT}")}
    assert rules(start, (), replace(ending, left_to_bots=frozenset({f"minimum {BOT}"}))) == set()


def test_an_order_that_is_filled_whole_needs_no_word_that_it_has_ended() -> None:
    trace = (sell("a", ONE, 10), filled("a", -10))
    entries = {"a": Entry(asset_change=F(-10), cash_change=F(100))}
    assert rules(FINE, trace, Ending(status="committed", entries=entries, venue=None)) == set()


def test_a_fill_may_be_reported_by_its_asset_and_its_cash_apart() -> None:
    for order, sign in ((sell("a", ONE, 10), -1), (buy("a", ONE, 10), 1)):
        whole = filled("a", 10 * sign)
        trace = (
            order,
            replace(whole, cash_change=F(0)),
            replace(whole, asset_change=F(0)),
            Ended(client_id="a"),
        )
        assert rules(world(100, 100, 90), trace) == set()


def test_a_commit_is_judged_at_the_prices_that_it_was_sized_with() -> None:
    ending = Ending(status="committed", entries={}, venue=None)
    assert rules(world(390, 0, 0, clustered=False), (price(X, 20),), ending) == set()
    falls = (price(X, 5),)
    assert rules(world(410, 0, 0, clustered=False), falls, ending) == {("limit at end", "maximum STR-ONE")}


def reverted(start: World, trace: tuple[Event, ...], *, revert_bp: int = 1) -> set[tuple[Rule, str]]:
    """The shares at the end alone; the books are told whatever the trace says."""
    ending = Ending(status="reverted", entries={}, venue=None)
    found = judge(start, trace, ending, tolerances=Tolerances(revert_bp=F(revert_bp)))
    return {(item.rule, item.subject) for item in found if item.rule == "not reverted"}


@pytest.mark.parametrize(("units", "back"), [("1", True), ("1.0001", False)])
def test_a_reverted_share_is_within_one_basis_point(units: str, back: bool) -> None:
    sale = done(sell("a", ONE, str(F(units) / 10)))
    assert (reverted(FINE, sale) == set()) is back
    assert reverted(FINE, sale, revert_bp=2) == set()
    by_default = judge(FINE, sale, Ending(status="reverted", entries={}, venue=None))
    assert ("not reverted" in {item.rule for item in by_default}) is not back


def test_a_reverted_share_may_be_of_what_the_costs_have_left_or_of_the_total_before() -> None:
    costly = done(sell("a", ONE, 100), at=9)
    # The total is 9 900 at the end, if all is bought back at 10: a share of 20 % of it is 198 units.
    assert reverted(FINE, (*costly, *done(buy("b", ONE, 98)))) == set()
    assert reverted(FINE, (*costly, *done(buy("b", ONE, 100)))) == set()
    assert reverted(FINE, (*costly, *done(buy("b", ONE, 96)))) == {("not reverted", ONE)}


def test_a_reverted_share_may_be_read_at_the_prices_of_either_moment_or_each_at_its_own() -> None:
    sale, rise = done(sell("a", ONE, 100)), price(X, 20)
    same_units = (*sale, rise, *done(buy("b", ONE, 100), at=20))
    assert reverted(FINE, same_units) == set()
    # 11 000 in all after the rise, of which 20 % are 110 units at 20.
    same_share = (*sale, rise, *done(buy("b", ONE, 10), at=20))
    assert reverted(FINE, same_share) == set()
    assert reverted(FINE, (*sale, rise, *done(buy("b", ONE, 50), at=20))) == {("not reverted", ONE)}


def test_a_count_at_the_venue_may_be_off_by_its_tolerance_and_no_more() -> None:
    off = replace(VENUE, cash=VENUE.cash + F("0.01"), quantities={**VENUE.quantities, X: F("-181.5")})
    ending = replace(COMMITTED, venue=off)
    enough = Tolerances(venue_cash=F("0.01"), venue_quantities={X: F("0.5")})
    assert rules(START, FORWARD, ending, tolerances=enough) == set()
    assert rules(START, FORWARD, ending) == {("conservation", "cash"), ("conservation", "main X")}
