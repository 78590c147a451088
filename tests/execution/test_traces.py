"""What is read out of the logs of a run: the trace, and the records that it is judged with."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hand_made import NETTED, ONE, STARTED, TWO, Pages, Venue, X, end, netting, order, sent, sold, stored
from prefix_oracle import (
    Entry,
    Event,
    Filled,
    Holding,
    PriceMove,
    Sent,
    VenueChange,
    World,
    assert_lawful,
    judge,
)
from recording import Call, Crash, RecordingBroker, RecordingJournal, audit, crash_at
from traces import books_from, dust_from, ending_from, entries_from, trace_from, world_from_started

from portfolio_rebalance.execution.broker import Holdings, OrderRefused, OutcomeUnknown
from portfolio_rebalance.records.batch import StepState, StrategyBook


def watched() -> tuple[Venue, RecordingBroker]:
    venue = Venue()
    return venue, RecordingBroker(venue)


def test_partial_and_repeated_reports_become_the_fills_that_they_add() -> None:
    venue, broker = watched()
    venue.fills = [Decimal("0.3")]
    broker.place(order())
    broker.find(order())
    venue.fill(order(), Decimal(70))
    broker.find(order())
    broker.find(order())
    assert trace_from([stored()], broker.log) == (sent(), sold(30), sold(70), end())


def test_a_late_copy_of_an_older_report_takes_nothing_back() -> None:
    venue, broker = watched()
    broker.place(order())
    venue.reports["p-0"] = replace(
        venue.reports["p-0"],
        filled=Decimal(30),
        asset_change=Decimal(-30),
        cash_change=Decimal(300),
        state="open",
    )
    broker.find(order())
    assert trace_from([stored()], broker.log) == (sent(), sold(100), end())


def test_a_fill_is_told_when_it_is_first_seen_and_by_the_audit_if_nobody_looked() -> None:
    venue, broker = watched()
    venue.faults = [OutcomeUnknown("timeout")]
    with pytest.raises(OutcomeUnknown):
        broker.place(order())
    forgot = [stored(state="cancelled", filled=None)]
    assert trace_from(forgot, broker.log) == (sent(), end())
    audit(venue, broker.log)
    assert trace_from(forgot, broker.log) == (sent(), sold(100), end())
    ending = ending_from("needs_operator", forgot, before=Venue().holdings(), after=venue.holdings())
    found = judge(world_from_started(STARTED), trace_from(forgot, broker.log), ending)
    assert [(item.rule, item.subject) for item in found] == [("lost fill", "p-0")]


def test_a_refused_order_has_ended_and_one_of_unknown_outcome_has_not() -> None:
    venue, broker = watched()
    venue.faults = [OrderRefused("no")]
    with pytest.raises(OrderRefused):
        broker.place(order())
    unsettled = [stored(state="unknown", filled=None)]
    assert trace_from(unsettled, broker.log) == (sent(), end())
    venue.fills, venue.faults = [Decimal(0)], [OutcomeUnknown("timeout")]
    second = RecordingBroker(venue)
    with pytest.raises(OutcomeUnknown):
        second.place(order())
    assert trace_from(unsettled, second.log) == (sent(),)


def test_an_order_that_is_filled_twice_counts_twice() -> None:
    venue, broker = watched()
    broker.place(order())
    venue.reports.clear()
    broker.place(order())
    assert venue.units == 400
    trace = trace_from([stored()], broker.log)
    assert trace == (sent(), sold(100), end(), sent(), sold(100), end())
    ending = ending_from("running", [stored()], before=Venue().holdings(), after=venue.holdings())
    found = {item.rule for item in judge(world_from_started(STARTED), trace, ending)}
    assert found == {"resent", "duplicate fill", "lost fill"}


def test_a_place_that_never_reached_the_venue_is_an_order_sent() -> None:
    broker = RecordingBroker(Venue(), on_call=crash_at(1, "before"))
    with pytest.raises(Crash):
        broker.place(order())
    assert trace_from([stored(state="sent", filled=None)], broker.log) == (sent(),)


def test_an_order_that_is_not_what_was_written_belongs_to_nobody() -> None:
    _, broker = watched()
    broker.place(order(quantity=101))
    broker.place(order("q-9"))
    strangers = [event.strategy for event in trace_from([stored()], broker.log) if isinstance(event, Sent)]
    assert strangers == [None, None]


@pytest.mark.parametrize(("marked", "owner"), [("in time", ONE), ("late", None), ("lost", None)])
def test_an_order_is_intended_only_if_the_journal_said_so_before(marked: str, owner: str | None) -> None:
    log: list[Call] = []
    crash = crash_at(1, "before") if marked == "lost" else None
    journal = RecordingJournal(Pages(), log=log, on_call=crash)
    broker = RecordingBroker(Venue(), log=log)
    if marked == "late":
        journal.unfinished()
        broker.place(order())
    try:
        journal.mark_sent("p", 0, reference_price=Decimal(10), limit_price=Decimal("9.9"))
    except Crash:
        assert marked == "lost"
    if marked != "late":
        broker.place(order())
    assert trace_from([stored()], log)[0] == sent(strategy=owner)


def test_transfers_stand_where_the_journal_wrote_them() -> None:
    log: list[Call] = []
    journal, broker = RecordingJournal(Pages(), log=log), RecordingBroker(Venue(), log=log)
    steps = [stored(0), netting(1), stored(2)]
    for index in (0, 2):
        journal.mark_sent("p", index, reference_price=Decimal(10), limit_price=Decimal("9.9"))
        broker.place(order(f"p-{index}"))
        journal.settle("p", index, state="done")
        if index == 0:
            journal.settle("p", 1, state="done")
            broker.markets([X])
            journal.settle("p", 1, state="done")
    moved = PriceMove(account="main", asset="X", price=Fraction(10))
    assert trace_from(steps, log) == (
        sent(),
        sold(100),
        end(),
        NETTED,
        moved,
        sent("p-2"),
        sold(100, "p-2"),
        end("p-2"),
    )


def test_a_transfer_that_the_journal_wrote_late_is_told_late() -> None:
    log: list[Call] = []
    journal, broker = RecordingJournal(Pages(), log=log), RecordingBroker(Venue(), log=log)
    journal.mark_sent("p", 2, reference_price=Decimal(10), limit_price=Decimal("9.9"))
    broker.place(order("p-2"))
    journal.settle("p", 1, state="done")
    told = trace_from([netting(1), stored(2)], log)
    assert told == (sent("p-2"), sold(100, "p-2"), end("p-2"), NETTED)


def test_what_the_journal_leaves_open_or_gives_up_unsent_ends_nothing_and_moves_nothing() -> None:
    log: list[Call] = []
    venue = Venue()
    venue.fills = [Decimal("0.3")]
    journal, broker = RecordingJournal(Pages(), log=log), RecordingBroker(venue, log=log)
    journal.mark_sent("p", 0, reference_price=Decimal(10), limit_price=Decimal("9.9"))
    broker.place(order())
    journal.settle("p", 0, state="unknown")
    journal.settle("p", 1, state="refused")
    journal.settle("p", 2, state="cancelled")
    journal.settle("p", 7, state="done")
    steps = [stored(0, "unknown"), netting(1, "refused"), stored(2, "cancelled", filled=None)]
    assert trace_from(steps, log) == (sent(), sold(30))


def test_a_fee_that_is_reported_later_is_told_as_cash_alone() -> None:
    venue, broker = watched()
    broker.place(order())
    venue.reports["p-0"] = replace(venue.reports["p-0"], cash_change=Decimal("999.5"))
    broker.find(order())
    fee = Filled(client_id="p-0", asset_change=Fraction(0), cash_change=Fraction("-0.5"))
    assert trace_from([stored()], broker.log) == (sent(), sold(100), end(), fee)


def test_without_the_journal_transfers_stand_by_their_index_and_planned_ones_nowhere() -> None:
    _, broker = watched()
    broker.place(order("p-2"))
    steps = [netting(3, "planned"), stored(2), netting(1), netting(0, "planned")]
    assert trace_from(steps, broker.log) == (NETTED, sent("p-2"), sold(100, "p-2"), end("p-2"))
    assert trace_from([netting(0)], []) == (NETTED,)


def test_an_order_that_the_journal_gave_up_has_ended_before_the_next_is_sent() -> None:
    venue, broker = watched()
    venue.fills, venue.faults = [Decimal(0)], [OutcomeUnknown("timeout")]
    with pytest.raises(OutcomeUnknown):
        broker.place(order("p-0"))
    broker.place(order("p-1"))
    steps = [stored(0, "cancelled", filled=None), stored(1)]
    assert trace_from(steps, broker.log) == (
        sent("p-0"),
        end("p-0"),
        sent("p-1"),
        sold(100, "p-1"),
        end("p-1"),
    )


def test_only_a_price_that_moved_is_told() -> None:
    venue, broker = watched()
    for value in (Decimal(10), Decimal(10), Decimal(11), Decimal(10)):
        venue.price = value
        broker.markets([X])
    expected: list[Event] = [
        PriceMove(account="main", asset="X", price=Fraction(value)) for value in (10, 11, 10)
    ]
    assert list(trace_from([], broker.log)) == expected


def test_a_batch_that_crashed_and_was_taken_up_again_is_lawful_from_end_to_end() -> None:
    """The venue fills the first order in the moment in which we end; the next start finds it."""
    venue, log = Venue(), list[Call]()
    pages = Pages()
    journal = RecordingJournal(pages, log=log)
    journal.mark_sent("p", 0, reference_price=Decimal(10), limit_price=Decimal("9.9"))
    with pytest.raises(Crash):
        RecordingBroker(venue, log=log, on_call=crash_at(2, "after")).place(order())
    broker = RecordingBroker(venue, log=log)
    broker.find(order())
    journal.settle("p", 0, state="done")
    journal.settle("p", 1, state="done")
    for index in (2, 3):
        journal.mark_sent("p", index, reference_price=Decimal(10), limit_price=Decimal("9.9"))
        broker.place(order(f"p-{index}"))
        journal.settle("p", index, state="done")
    audit(venue, log)
    steps = [stored(0), netting(1), stored(2), stored(3)]
    books = {
        ONE: StrategyBook(account="main", own_cash=Decimal(20), quantities={"X": Decimal(95)}),
        TWO: StrategyBook(account="main", own_cash=Decimal(0), quantities={"X": Decimal(205)}),
    }
    ending = ending_from(
        "committed",
        steps,
        before=Venue().holdings(),
        after=venue.holdings(),
        books=books_from(STARTED, books, Decimal(6980)),
    )
    # 970 + 2 050 of 10 500 in all: 28.76 %, under the 30 % of the cluster.
    assert_lawful(world_from_started(STARTED), trace_from(steps, log), ending)


# --- the records -----------------------------------------------------------------------------------------


def test_a_started_execution_becomes_a_world_digit_for_digit() -> None:
    assert world_from_started(STARTED) == World(
        holdings={
            ONE: Holding(account="main", own_cash=Fraction(20), quantities={"X": Fraction(400)}),
            TWO: Holding(account="main", own_cash=Fraction(0), quantities={"X": Fraction(200)}),
        },
        pool_cash=Fraction(3980),
        prices={X: Fraction(10)},
        limits_bp={"total": 6000, "cluster": 3000, "individual_max": 4000, "individual_min": 100},
        bot_capital={"STR-BOT": Fraction(500)},
        clusters=(frozenset({ONE, TWO}),),
        commission_bps={X: Fraction(4)},
    )
    assert dust_from(STARTED) == {ONE: 10, TWO: 10}
    books = {ONE: StrategyBook(account="main", own_cash=Decimal("0.1"), quantities={})}
    held = books_from(STARTED, books, Decimal(7))
    assert [held.pool_cash, held.capital(ONE), held.capital(TWO)] == [7, Fraction("0.1"), 0]


def test_journal_entries_are_settled_unless_sent_or_unknown() -> None:
    states: list[StepState] = ["planned", "sent", "unknown", "done", "refused", "cancelled"]
    steps = [stored(index, state, filled=None) for index, state in enumerate(states)]
    found = entries_from([*steps, netting(9)])
    assert [entry.settled for entry in found.values()] == [True, False, False, True, True, True]
    assert list(found) == [f"p-{index}" for index in range(6)]
    assert entries_from([stored()])["p-0"] == Entry(asset_change=Fraction(-100), cash_change=Fraction(1000))


def test_an_ending_carries_what_changed_at_the_venue() -> None:
    before = Holdings(cash=Decimal(10), quantities={X: Decimal(1)})
    after = Holdings(cash=Decimal(8), quantities={("main", "Y"): Decimal(2)})
    ending = ending_from("closed", [stored()], before=before, after=after)
    assert ending.status == "needs_operator"
    assert ending.venue == VenueChange(
        cash=Fraction(-2), quantities={X: Fraction(-1), ("main", "Y"): Fraction(2)}
    )
