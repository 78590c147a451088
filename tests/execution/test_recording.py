"""The recording wrappers: same answers, every call logged, a crash where it was asked for."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hand_made import MARKET, STARTED, Pages, Venue, X, order, stored
from recording import (
    Call,
    CallName,
    Crash,
    Moment,
    RecordingBroker,
    RecordingJournal,
    StepMark,
    crash_at,
)

from portfolio_rebalance.execution.broker import Broker, OrderRefused, OutcomeUnknown
from portfolio_rebalance.execution.journal import Journal


def test_a_recorded_broker_answers_like_the_one_inside_and_logs_every_call() -> None:
    venue = Venue()
    log: list[Call] = []
    broker: Broker = RecordingBroker(venue, log=log)
    assert (broker.name, broker.live, broker.exact) == ("hand-made", False, True)
    assert broker.holdings() == venue.holdings()
    assert broker.markets([X])[X] == MARKET
    report = broker.place(order())
    assert broker.find(order()) == report == venue.reports["p-0"]
    broker.cancel(order())
    venue.faults = [OutcomeUnknown("no answer")]
    with pytest.raises(OutcomeUnknown, match="no answer"):
        broker.find(order())
    assert [(call.number, call.name, call.argument, call.answered) for call in log] == [
        (1, "holdings", None, True),
        (2, "markets", frozenset({X}), True),
        (3, "place", order(), True),
        (4, "find", order(), True),
        (5, "cancel", order(), True),
        (6, "find", order(), False),
    ]
    assert log[2].result == report
    assert isinstance(log[5].error, OutcomeUnknown)
    assert log[5].reached


@pytest.mark.parametrize(("moment", "units", "reached"), [("before", "600", False), ("after", "500", True)])
def test_a_crash_before_leaves_the_venue_untouched_and_one_after_leaves_it_changed(
    moment: Moment, units: str, reached: bool
) -> None:
    venue = Venue()
    broker = RecordingBroker(venue, on_call=crash_at(2, moment))
    broker.holdings()
    with pytest.raises(Crash, match=f"{moment} call 2, place"):
        broker.place(order())
    assert (str(venue.units), broker.log[1].reached) == (units, reached)
    assert len(broker.log) == 2
    assert not issubclass(Crash, Exception)


def test_a_crash_after_a_refusal_hides_the_refusal_but_the_log_has_it() -> None:
    venue = Venue()
    venue.faults = [OrderRefused("no")]
    broker = RecordingBroker(venue, on_call=crash_at(1, "after"))
    with pytest.raises(Crash):
        broker.place(order())
    assert isinstance(broker.log[0].error, OrderRefused)


def test_broker_journal_and_restarts_share_one_count_of_calls() -> None:
    log: list[Call] = []
    seen: list[tuple[int, str, str]] = []

    def on_call(number: int, moment: Moment, name: CallName) -> None:
        seen.append((number, moment, name))

    pages = Pages()
    journal: Journal = RecordingJournal(pages, log=log, on_call=on_call)
    journal.start(STARTED, [stored().step])
    journal.mark_sent("p", 0, reference_price=Decimal(10), limit_price=Decimal("9.9"))
    RecordingBroker(Venue(), log=log, on_call=on_call).place(order())
    again = RecordingJournal(pages, log=log, on_call=crash_at(6, "before"))
    assert again.unfinished() is None
    again.settle("p", 0, state="done", note="whole")
    with pytest.raises(Crash):
        again.need_operator("p", reason="why")
    again.revert("p", reason="why", steps=[])
    assert again.steps("p") == ()
    assert seen == [
        (number, moment, name)
        for number, name in enumerate(["start", "mark_sent", "place"], start=1)
        for moment in ("before", "after")
    ]
    assert [call.number for call in log] == list(range(1, 9))
    assert [log[at].argument for at in (1, 4)] == [
        StepMark(plan_id="p", index=0, state="sent"),
        StepMark(plan_id="p", index=0, state="done"),
    ]
    assert pages.told == [
        ("start", 1), ("sent", "p", 0, Decimal(10), Decimal("9.9")), ("done", "p", 0, None, "whole"),
        ("revert", "p", "why", 0),
    ]  # fmt: skip
