"""For each rule of the prefix oracle a batch that breaks it, and no other, next to one that does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

import pytest
from prefix_cases import (
    BOOKS,
    BOT,
    COMMITTED,
    ENTRIES,
    FORWARD,
    ONE,
    START,
    THREE,
    TWO,
    UNFINISHED,
    VENUE,
    F,
    X,
    Y,
    asset,
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
    Costs,
    Ended,
    Ending,
    Entry,
    Event,
    Holding,
    Rule,
    World,
    assert_lawful,
)

CLUSTER = "cluster STR-ONE+STR-THREE"
FINE = world(200, 100, 90)
"""20 / 10 / 9 %: every limit holds."""


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A batch that breaks one rule, on the subjects named, and nothing else."""

    rule: Rule
    subjects: frozenset[str]
    start: World = START
    trace: tuple[Event, ...] = FORWARD
    ending: Ending = COMMITTED


def bad(rule: Rule, *subjects: str, **more: object) -> Bad:
    return Bad(rule=rule, subjects=frozenset(subjects), **more)  # type: ignore[arg-type]


def without(*left_out: int) -> tuple[Event, ...]:
    return tuple(event for place, event in enumerate(FORWARD) if place not in left_out)


def entries(**changed: Entry) -> Ending:
    return replace(COMMITTED, entries={**ENTRIES, **changed})


def quiet(trace: tuple[Event, ...], *, start: World = FINE) -> dict[str, object]:
    """Looked at half-way: only the events are judged."""
    return {"start": start, "trace": trace, "ending": UNFINISHED}


def ended_with(start: World) -> dict[str, object]:
    """A batch that commits without having done anything."""
    return {"start": start, "trace": (), "ending": Ending(status="committed", entries={}, venue=None)}


BAD = {
    # --- at every prefix: limits
    "an increase breaks a maximum while in flight": bad(
        "limit broken",
        "maximum STR-TWO",
        **quiet((buy("a", TWO, 301, limit="10"),), start=world(100, 100, 90)),
    ),
    "a reduction's cost breaks another's maximum": bad(
        "limit broken",
        "maximum STR-ONE",
        **quiet(done(sell("a", THREE, 10), at="9.99"), start=world(400, 0, 90, clustered=False)),
    ),
    "cash is booked to a strategy past the total": bad(
        "limit broken", "total", **quiet((BookMoves(moves=(cash(None, TWO, 2101),)),))
    ),
    "an increase adds to a broken cluster": bad(
        "overage gained", "total", CLUSTER, **quiet((buy("a", THREE, 1, limit="10"),), start=START)
    ),
    "another's increase adds by its cost alone": bad(
        "overage gained",
        CLUSTER,
        **quiet((buy("a", TWO, 1, limit="10.1"),), start=world(340, 0, 200)),
    ),
    "an asset booked above its price adds to a maximum": bad(
        "overage gained",
        "maximum STR-ONE",
        **quiet(
            (BookMoves(moves=(asset(ONE, TWO, "X", 1, price=11),)),),
            start=world(410, 100, 0, clustered=False),
        ),
    ),
    "after a rise a reduction's cost enlarges what it does not reduce": bad(
        "overage enlarged",
        "maximum STR-ONE",
        **quiet(
            (price(X, 20), *done(sell("a", TWO, 10), at="9.99")), start=world(300, 100, 0, clustered=False)
        ),
    ),
    "after a rise cash is booked to what it broke": bad(
        "overage enlarged",
        "maximum STR-ONE",
        **quiet(
            (price(X, 20), BookMoves(moves=(cash(None, ONE, 1),))),
            start=world(290, 0, 0, clustered=False),
        ),
    ),
    "after a rise an increase elsewhere is sent": bad(
        "increase while beyond",
        "maximum STR-ONE",
        **quiet((price(X, 20), buy("a", TWO, 1, limit="10")), start=world(290, 0, 0, clustered=False)),
    ),
    # --- at every prefix: orders
    "an order that nobody wrote down": bad("no intent", "x", **quiet((sell("x", None, 1),))),
    "an order for an unknown strategy": bad("no intent", "x", **quiet((sell("x", "STR-NEW", 1),))),
    "an order behind a bot's back": bad(
        "behind a bot", "x", **quiet((buy("x", BOT, 1),), start=world(100, 100, 90, bot=1000))
    ),
    "an order in another's account": bad(
        "wrong account", "x", **quiet((replace(sell("x", ONE, 1), account="other"),))
    ),
    "an order sent again while it is open": bad(
        "resent", "x", **quiet((sell("x", ONE, 1), sell("x", ONE, 1)))
    ),
    "an order sent again after it ended without a fill": bad(
        "resent",
        "x",
        **quiet((sell("x", ONE, 1), Ended(client_id="x"), sell("x", ONE, 1), filled("x", -1))),
    ),
    "a fill of an order never sent": bad("never sent", "x", **quiet((filled("x", 1),))),
    "an end of an order never sent": bad("never sent", "x", **quiet((Ended(client_id="x"),))),
    "one fill twice": bad(
        "duplicate fill", "x", **quiet((sell("x", ONE, 10), filled("x", -10), filled("x", -10)))
    ),
    "a fill a hair beyond the order": bad(
        "duplicate fill", "x", **quiet((buy("x", TWO, 10), filled("x", "10.000000001")))
    ),
    "a sale that brought assets": bad(
        "wrong way", "x", **quiet((sell("x", ONE, 10), replace(filled("x", -10), asset_change=F(10))))
    ),
    "a sale that cost cash": bad(
        "wrong way", "x", **quiet((sell("x", ONE, 10), replace(filled("x", -10), cash_change=F("-0.1"))))
    ),
    "a purchase that took assets": bad(
        "wrong way", "x", **quiet((buy("x", TWO, 10), replace(filled("x", 10), asset_change=F("-0.1"))))
    ),
    "a purchase that paid us": bad(
        "wrong way", "x", **quiet((buy("x", TWO, 10), replace(filled("x", 10), cash_change=F(1))))
    ),
    "a fill after the end": bad(
        "fill after end", "x", **quiet((sell("x", ONE, 10), Ended(client_id="x"), filled("x", -10)))
    ),
    # --- at every prefix: transfers
    **{
        f"a transfer {why}": bad(
            "impossible transfer", f"{move.source} to {move.target}", **quiet((BookMoves(moves=(move,)),))
        )
        for why, move in {
            "of an asset out of the pool": asset(None, ONE, "X", 1),
            "of an asset into the pool": asset(ONE, None, "X", 1),
            "of an asset without its price": asset(ONE, TWO, "X", 1, price=None),
            "of nothing": cash(None, ONE, 0),
            "backwards": cash(None, ONE, -1),
            "of an asset backwards": asset(ONE, TWO, "X", -1),
            "to itself": cash(ONE, ONE, 1),
            "to a stranger": cash(None, "STR-NEW", 1),
        }.items()
    },
    "a transfer between accounts": bad(
        "impossible transfer",
        f"{ONE} to {TWO}",
        **quiet(
            (BookMoves(moves=(asset(ONE, TWO, "X", 1),)),),
            start=replace(
                FINE,
                holdings={
                    **FINE.holdings,
                    TWO: Holding(account="other", own_cash=F(1000), quantities={}),
                },
            ),
        ),
    ),
    # --- at the end: orders
    "committed with an order open": bad(
        "unsettled",
        "z",
        trace=(*FORWARD, sell("z", ONE, 1)),
    ),
    "committed with an order unknown to the books": bad(
        "unsettled", "c", ending=entries(c=replace(ENTRIES["c"], settled=False))
    ),
    "reverted with an order open": bad(
        "unsettled",
        "z",
        start=FINE,
        trace=(sell("z", ONE, 1),),
        ending=Ending(status="reverted", entries={}, venue=None),
    ),
    "a fill that the books forgot": bad(
        "lost fill",
        "c",
        ending=replace(COMMITTED, entries={key: ENTRIES[key] for key in ("a", "b")}),
    ),
    "a fill that the books hold in part": bad(
        "lost fill", "a", ending=entries(a=Entry(asset_change=F(-100), cash_change=F(995)))
    ),
    "a fee that the books forgot": bad(
        "lost fill", "c", ending=entries(c=replace(ENTRIES["c"], cash_change=F(-100)))
    ),
    "a lost fill, although an operator was called": bad(
        "lost fill", "b", ending=replace(entries(b=Entry()), status="needs_operator")
    ),
    "a fill that the books made up": bad(
        "phantom fill", "q", ending=entries(q=Entry(asset_change=F(1), cash_change=F(-10)))
    ),
    # --- at the end: holdings
    "cash that came from nowhere": bad(
        "conservation", "cash", ending=replace(COMMITTED, venue=replace(VENUE, cash=VENUE.cash + 1))
    ),
    "cash that went nowhere": bad(
        "conservation", "cash", ending=replace(COMMITTED, venue=replace(VENUE, cash=VENUE.cash - 1))
    ),
    "an asset bought twice behind the reports": bad(
        "conservation",
        "main Y",
        ending=replace(COMMITTED, venue=replace(VENUE, quantities={**VENUE.quantities, Y: F(20)})),
    ),
    "an asset that no order touched": bad(
        "conservation",
        "main W",
        ending=replace(COMMITTED, venue=replace(VENUE, quantities={**VENUE.quantities, ("main", "W"): F(1)})),
    ),
    "a pool that the books count otherwise": bad(
        "books differ", "pool", ending=replace(COMMITTED, books=BOOKS.with_cash(None, F(1)))
    ),
    "an asset that the books give to another": bad(
        "books differ",
        ONE,
        TWO,
        ending=replace(COMMITTED, books=BOOKS.with_asset(ONE, "X", F(1)).with_asset(TWO, "X", F(-1))),
    ),
    "own cash that the books give to the wrong one": bad(
        "books differ",
        ONE,
        TWO,
        ending=replace(COMMITTED, books=BOOKS.with_cash(ONE, F(1)).with_cash(TWO, F(-1))),
    ),
    "a strategy that the books lost": bad(
        "books differ",
        THREE,
        ending=replace(
            COMMITTED, books=replace(BOOKS, holdings={key: BOOKS.holdings[key] for key in (ONE, TWO)})
        ),
    ),
    # --- at the end: limits and shares
    "committed without having done anything": bad("limit at end", "total", CLUSTER, **ended_with(START)),
    "committed a hair above": bad("limit at end", CLUSTER, **ended_with(world("200.0000000001", 0, 100))),
    "committed below the minimum": bad(
        "minimum at end", "minimum STR-TWO", **ended_with(world(200, "9.9", 0))
    ),
    "committed with a negative capital": bad(
        "minimum at end", "minimum STR-TWO", **ended_with(world(200, -1, 0))
    ),
    "reverted half-way": bad(
        "not reverted",
        ONE,
        trace=done(sell("a", ONE, 100)),
        ending=Ending(
            status="reverted",
            entries={"a": Entry(asset_change=F(-100), cash_change=F(1000))},
            venue=None,
        ),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_batch_that_breaks_one_rule_is_named_by_that_rule_alone(name: str) -> None:
    case = BAD[name]
    expected = {(case.rule, subject) for subject in case.subjects}
    assert rules(case.start, case.trace, case.ending) == expected


def test_every_rule_has_a_batch_that_breaks_it() -> None:
    assert {case.rule for case in BAD.values()} == set(get_args(Rule))


def test_a_failure_names_the_event_the_rule_and_the_figures() -> None:
    with pytest.raises(AssertionError, match=r"\[0\] overage gained: total 4400000 > 4300000"):
        assert_lawful(START, (buy("a", ONE, 1, limit="10"), Ended(client_id="a")), UNFINISHED)


# --- costs -----------------------------------------------------------------------------------------------

HEAVY = world(450, 0, 450, clustered=False)
"""45 / 0 / 45 %: selling the one weighs on the other by its cost."""
SALE = done(sell("a", ONE, 50), at="9.9")


@pytest.mark.parametrize(
    ("costs", "expected"),
    [("charged", {("overage gained", "maximum STR-THREE")}), ("aside_where_broken", set())],
)
def test_the_cost_of_a_sale_weighs_on_another_broken_limit_unless_set_aside(
    costs: Costs, expected: set[tuple[Rule, str]]
) -> None:
    assert rules(HEAVY, SALE, costs=costs) == expected


def test_costs_set_aside_excuse_no_purchase_and_no_limit_that_held() -> None:
    more = (*SALE, *done(buy("b", THREE, "0.0001", limit="10")))
    assert rules(HEAVY, more, costs="aside_where_broken") == {("overage enlarged", "maximum STR-THREE")}
    at_the_edge = world(400, 0, 450, clustered=False)
    sale = done(sell("a", THREE, 50), at="9.9")
    assert rules(at_the_edge, sale, costs="aside_where_broken") == {("limit broken", "maximum STR-ONE")}


def test_costs_set_aside_leave_room_for_increases_elsewhere_but_not_after_prices_rose() -> None:
    back = (*SALE, *done(buy("b", ONE, 20), at="10.1"))
    assert rules(HEAVY, back, costs="aside_where_broken") == set()
    assert ("increase while beyond", "maximum STR-THREE") in rules(HEAVY, back)
    risen = (*SALE, price(("main", "Z"), "10.01"), buy("b", ONE, 20))
    assert ("increase while beyond", "maximum STR-THREE") in rules(HEAVY, risen, costs="aside_where_broken")


def test_costs_set_aside_never_excuse_an_increase_over_a_limit_that_held_before_prices_broke_it() -> None:
    """30 of costs weigh more than the rise: before costs the maximum would hold, after them it does not."""
    start = world(300, 100, 0, clustered=False)
    broken = (*done(sell("a", TWO, 30), at=9), price(X, "15.55"))
    beyond = (*broken, buy("b", TWO, 1, limit="10"))
    assert rules(start, beyond, costs="aside_where_broken") == {("increase while beyond", "maximum STR-ONE")}
    booked = (*broken, BookMoves(moves=(cash(None, ONE, 1),)))
    assert rules(start, booked, costs="aside_where_broken") == {("overage enlarged", "maximum STR-ONE")}


def test_room_that_a_gain_made_may_be_used_and_stops_no_further_increase() -> None:
    """A sale above the mark lifts the total by 10, and so makes room of 4 for THREE; 3 of it are used."""
    gain = (*done(sell("a", ONE, 10), at=11), *done(buy("b", THREE, "0.3", limit="10")))
    further = (*gain, buy("c", TWO, "0.001", limit="10"))
    assert rules(HEAVY, further, costs="aside_where_broken") == set()


def test_costs_set_aside_reach_a_limit_that_prices_broke_but_no_further_than_the_cost() -> None:
    start = world(300, 100, 0, clustered=False)
    rise = (price(X, 20), *done(sell("a", TWO, 10), at="9.99"))
    assert rules(start, rise, costs="aside_where_broken") == set()
    booked = (*rise, BookMoves(moves=(cash(None, ONE, 1),)))
    assert rules(start, booked, costs="aside_where_broken") == {("overage enlarged", "maximum STR-ONE")}
