"""What the executor does about each thing that can happen to an order, a batch or the machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from executor_scenes import HELD, MARKS, ONE, PLAN, POOL, THREE, TWO, Scene, scene, when_sending
from recording import RecordingBroker

from portfolio_rebalance.errors import HaltedError, LedgerError
from portfolio_rebalance.execution.broker import Holdings, Order, OrderReport, OutcomeUnknown
from portfolio_rebalance.execution.executor import Executor, Pace
from portfolio_rebalance.records import StoredStep, StrategyBook
from portfolio_rebalance.workspace import journal as journal_module
from portfolio_rebalance.workspace.halt import clear_halt, read_halt, write_halt

D, F = Decimal, Fraction


def halted_by_file(at: Scene) -> Executor:
    return replace(at.executor, halted=lambda: read_halt(at.root).level)


# --- what becomes of an order ----------------------------------------------------------------------------


def test_a_batch_that_nothing_happens_to_is_filled_in_order(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        assert at.executor.drive(PLAN) == "filled"
        (sell, btc, sold), (buy, eth, bought) = at.sent
        assert (sell, btc, buy, eth) == ("SELL", "BTC", "BUY", "ETH")
        prices = {place: F(price) for place, price in MARKS.items()}
        capitals = at.book.capitals(prices)
        assert capitals == {ONE: 30_000 - 50_000 * F(sold), TWO: 20_000 + 2_500 * F(bought), THREE: 10_000}
        # Sized on the worst total: 50 bps of 15 000 and a hundredth of that leave 20 and 25 % of 99 924.25.
        assert [round(float(capitals[key]), 2) for key in (ONE, TWO)] == [19_984.85, 24_981.06]
        assert at.book.differs_from(at.venue.balances(), within={}) == ()
        assert at.slept == []


def test_an_order_that_times_out_after_it_was_accepted_is_found_and_not_sent_again(tmp_path: Path) -> None:
    with scene(tmp_path, "1:timeout_after") as at:
        assert at.executor.drive(PLAN) == "filled"
        assert at.calls("place", "find") == ["place", "find", "place"]
        assert at.executed == {1}
        assert at.states == [("forward", "done"), ("forward", "done")]


def test_an_order_is_absent_only_after_three_looks_with_no_balance_changed(tmp_path: Path) -> None:
    with scene(tmp_path, "1:timeout_before") as at:
        assert at.executor.drive(PLAN) == "reverted"
        assert at.calls("place", "find", "holdings") == ["place", *(3 * ["find", "holdings"]), "holdings"]
        assert at.slept == [0.5, 1.0]
        assert (at.steps[0].state, at.steps[0].note) == ("refused", "it never reached the venue")
        assert at.venue.fills() == ()


def test_an_order_is_not_absent_while_a_balance_has_moved(tmp_path: Path) -> None:
    with scene(tmp_path, "1:timeout_before") as at:

        def sleep(seconds: float) -> None:
            at.slept.append(seconds)
            if len(at.slept) in (1, 5):  # something else came in, and went out again
                cash = POOL + 100 if len(at.slept) == 1 else POOL
                at.venue.adopt(HELD, pool_cash=cash, marks=MARKS)

        assert replace(at.executor, pace=Pace(sleep=sleep)).drive(PLAN) == "reverted"
        assert len(at.calls("find")) == 1 + 4 + 2


def test_an_order_that_arrives_late_is_waited_for(tmp_path: Path) -> None:
    with scene(tmp_path, "1:late=3") as at:
        assert at.executor.drive(PLAN) == "filled"
        assert at.calls("place", "find") == ["place", "find", "find", "find", "place"]
        assert at.executed == {1}


def test_a_stale_report_of_an_order_is_not_its_end(tmp_path: Path) -> None:
    with scene(tmp_path, "1:duplicate_report") as at:
        assert at.executor.drive(PLAN) == "filled"
        assert at.steps[0].fill is not None
        assert at.steps[0].fill.filled == at.steps[0].step.quantity


def test_an_order_that_fills_slowly_is_cancelled_when_patience_ends_and_all_is_taken_back(
    tmp_path: Path,
) -> None:
    with scene(tmp_path, "1:slow_fill=9") as at:
        executor = replace(at.executor, pace=Pace(sleep=at.slept.append, open_polls=4))
        assert executor.drive(PLAN) == "reverted"
        assert at.calls("place", "find", "cancel") == ["place", *(4 * ["find"]), "cancel", "find", "place"]
        filled = at.steps[0].fill
        assert filled is not None
        assert filled.filled == D(int(at.steps[0].step.quantity * 10**8) * 4 // 9) / 10**8
        assert at.sent[1] == ("BUY", "BTC", filled.filled)
        assert at.book == at.before
        assert (
            at.execution.reason
            == f"SELL {at.steps[0].step.quantity} BTC of {ONE} was filled for {filled.filled} only"
        )


def test_a_price_beyond_the_tolerance_fills_nothing_and_all_is_taken_back(tmp_path: Path) -> None:
    with scene(tmp_path, "2:price_jump=+0.6%") as at:
        assert at.executor.drive(PLAN) == "reverted"
        assert at.steps[1].limit_price == D("2512.5")
        assert at.steps[1].fill is None
        assert at.execution.reason.endswith(f"ETH of {TWO} was filled for 0 only")
        assert at.book == at.before


class Slipping(RecordingBroker):
    """A venue that breaks the limit price of the first order: 1 % of what it brings is gone."""

    lost = D(0)

    def place(self, order: Order) -> OrderReport:
        report = super().place(order)
        if self.lost or report.average_price is None:
            return report
        self.lost = report.cash_change / 100
        return replace(
            report,
            average_price=report.average_price * D("0.99"),
            cash_change=report.cash_change - self.lost,
        )

    def holdings(self) -> Holdings:
        held = super().holdings()
        return replace(held, cash=held.cash - self.lost)


def test_a_fill_that_slipped_beyond_the_tolerance_takes_all_back(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        assert replace(at.executor, broker=Slipping(at.venue, log=at.log)).drive(PLAN) == "reverted"
        assert [side for side, _, _ in at.sent] == ["SELL", "BUY"]
        assert at.execution.reason.endswith(f"of {ONE} slipped by 100.0 bps, more than the tolerance")
        assert at.book.quantities == at.before.quantities


def test_a_refusal_takes_back_the_very_quantities_and_costs_its_commissions(tmp_path: Path) -> None:
    with scene(tmp_path, "2:refuse", commission_bps="4") as at:
        assert at.executor.drive(PLAN) == "reverted"
        (_, _, sold), _, (side, asset, back) = at.sent
        assert (side, asset, back) == ("BUY", "BTC", sold)
        assert at.book.quantities == at.before.quantities
        assert at.before.pool_cash - at.book.pool_cash == 2 * F(sold) * 50_000 * F(4, 10_000)
        assert at.states == [("forward", "done"), ("forward", "refused"), ("revert", "done")]
        assert (
            at.execution.reason
            == f"the venue refused BUY {at.sent[1][2]} ETH of {TWO}: the fault script says so"
        )


def test_a_compensation_that_is_refused_every_time_is_for_a_person(tmp_path: Path) -> None:
    with scene(tmp_path, "2+:refuse") as at:
        assert at.executor.drive(PLAN) == "needs_operator"
        assert at.execution.status == "needs_operator"
        assert at.executor.drive(PLAN) == "needs_operator"
        assert at.executed == {1}


class Silent(RecordingBroker):
    """A venue that answers nothing once an order was sent."""

    def place(self, order: Order) -> OrderReport:
        super().place(order)
        raise OutcomeUnknown("timeout")

    def find(self, order: Order) -> OrderReport | None:
        super().find(order)
        raise OutcomeUnknown("timeout")


def test_a_venue_that_never_says_what_became_of_an_order_is_for_a_person(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        assert replace(at.executor, broker=Silent(at.venue, log=at.log)).drive(PLAN) == "needs_operator"
        assert at.calls("place", "find") == ["place", *(30 * ["find"])]
        assert at.slept == [0.5, 1.0, 2.0, 4.0, 8.0, *(25 * [10.0])]
        assert "does not say what became of SELL" in at.execution.reason
        assert at.steps[0].step.client_id in at.execution.reason


# --- what stops a batch ----------------------------------------------------------------------------------


def test_halt_stops_a_batch_where_it_is_and_it_goes_on_when_halt_is_removed(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        stop = when_sending("BTC", lambda: write_halt(at.root, level="all", reason="stop"))
        with pytest.raises(HaltedError):
            replace(halted_by_file(at), progress=stop).drive(PLAN)
        assert at.states == [("forward", "done"), ("forward", "planned")]
        assert at.execution.status == "running"
        with pytest.raises(HaltedError):
            halted_by_file(at).drive(PLAN)
        assert clear_halt(at.root)
        assert halted_by_file(at).drive(PLAN) == "filled"
        assert at.calls("place") == ["place", "place"]


def test_a_halt_of_increases_lets_reductions_go_on(tmp_path: Path) -> None:
    with scene(tmp_path, targets={ONE: 2000, TWO: 1500, THREE: 2000}) as at:
        write_halt(at.root, level="reduce_only")
        with pytest.raises(HaltedError):
            halted_by_file(at).drive(PLAN)
        assert [(side, asset) for side, asset, _ in at.sent] == [("SELL", "BTC"), ("SELL", "ETH")]
        assert at.states == [("forward", "done"), ("forward", "done"), ("forward", "planned")]
        clear_halt(at.root)
        assert halted_by_file(at).drive(PLAN) == "filled"
        assert at.sent[2][:2] == ("BUY", "SOL")


def test_halt_does_not_keep_an_order_in_flight_unknown(tmp_path: Path) -> None:
    with scene(tmp_path, "1:timeout_after") as at:
        stop = when_sending("BTC", lambda: write_halt(at.root, level="all", reason="stop"))
        with pytest.raises(HaltedError):
            replace(halted_by_file(at), progress=stop).drive(PLAN)
        assert at.states == [("forward", "done"), ("forward", "planned")]


NEAR_ITS_LIMIT: Mapping[str, StrategyBook] = {
    ONE: StrategyBook(account=ONE, own_cash=D(0), quantities={"BTC": D("0.5")}),
    TWO: StrategyBook(account=TWO, own_cash=D(0), quantities={"ETH": D(4)}),
    THREE: StrategyBook(account=THREE, own_cash=D(0), quantities={"SOL": D(399)}),
}
"""25, 10 and 39.9 % of 100 000; nobody may have more than 40."""


def test_where_price_alone_enlarges_an_overage_reductions_go_on_and_increases_stop(tmp_path: Path) -> None:
    held, pool = NEAR_ITS_LIMIT, D(25_100)
    with scene(tmp_path, targets={ONE: 1500, TWO: 1200}, held=held, pool=pool) as at:
        dearer = when_sending("BTC", lambda: at.venue.set_marks({(THREE, "SOL"): D(101)}))
        ending = replace(at.executor, progress=dearer).drive(PLAN)
        assert [side for side, _, _ in at.sent] == ["SELL"]
        # Not even the way back may raise anything then: a person decides.
        assert ending == "needs_operator"
        assert "would break individual_max of STR-THREE at 40.1" in at.execution.reason


def test_what_price_alone_has_carried_over_its_limit_is_reduced_all_the_same(tmp_path: Path) -> None:
    held = {**HELD, TWO: StrategyBook(account=TWO, own_cash=D(0), quantities={"ETH": D("15.96")})}
    with scene(tmp_path, targets={ONE: 2000, TWO: 3000}, held=held, pool=D(20_100)) as at:
        dearer = when_sending("BTC", lambda: at.venue.set_marks({(TWO, "ETH"): D(2_525)}))
        assert replace(at.executor, progress=dearer).drive(PLAN) == "filled"
        assert [(side, asset) for side, asset, _ in at.sent] == [("SELL", "BTC"), ("SELL", "ETH")]


def test_a_price_that_moved_too_far_since_the_batch_was_sized_takes_all_back(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        dearer = when_sending("BTC", lambda: at.venue.set_marks({(TWO, "ETH"): D("2550.01")}))
        assert replace(at.executor, progress=dearer).drive(PLAN) == "reverted"
        assert at.execution.reason == "ETH moved by 2.00 % since the batch was sized, more than 2 %"
        assert at.book == at.before


def test_a_plan_that_expires_in_mid_batch_takes_all_back(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        expired: list[str] = []
        executor = replace(
            at.executor,
            may_go_on=lambda: "".join(expired),
            progress=when_sending("BTC", lambda: expired.append("the plan expired")),
        )
        assert executor.drive(PLAN) == "reverted"
        assert at.states == [("forward", "done"), ("forward", "cancelled"), ("revert", "done")]
        assert (at.execution.reason, at.steps[1].note) == ("the plan expired", "not sent: the plan expired")
        assert at.book == at.before


def test_what_price_keeps_from_being_bought_back_is_for_a_person(tmp_path: Path) -> None:
    held = {
        ONE: StrategyBook(account=ONE, own_cash=D(0), quantities={"BTC": D("0.8")}),
        TWO: StrategyBook(account=TWO, own_cash=D(0), quantities={"ETH": D(14)}),
        THREE: StrategyBook(account=THREE, own_cash=D(0), quantities={"SOL": D(200)}),
    }
    with scene(tmp_path, "2:refuse", held=held, pool=D(5_000), targets={ONE: 3500, TWO: 3400}) as at:
        # 95 % were deployed and 90 are allowed; what SOL gains uses up the room that they had.
        dearer = when_sending("ETH", lambda: at.venue.set_marks({(THREE, "SOL"): D(130)}))
        assert replace(at.executor, progress=dearer).drive(PLAN) == "needs_operator"
        assert at.states == [("forward", "done"), ("forward", "refused"), *(2 * [("revert", "done")])]
        assert at.execution.reason == (
            "it cannot be taken back wholly: STR-ONE is at 37.17 % of total capital, 40.00 % before; it went "
            f"back because the venue refused SELL {at.sent[1][2]} ETH of STR-TWO: the fault script says so"
        )
        assert at.book.differs_from(at.venue.balances(), within={}) == ()


# --- holdings that are not ours --------------------------------------------------------------------------


def test_holdings_that_are_not_ours_at_the_end_are_for_a_person(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        more = when_sending("ETH", lambda: deposit(at, D(100)))
        assert replace(at.executor, progress=more).drive(PLAN) == "needs_operator"
        assert "the venue does not hold what our books say: cash: our books say" in at.execution.reason


@pytest.mark.parametrize(("one_by_one", "orders"), [(True, 1), (False, 2)])
def test_one_strategy_at_a_time_the_venue_is_reconciled_in_between(
    one_by_one: bool, orders: int, tmp_path: Path
) -> None:
    with scene(tmp_path) as at:
        more = when_sending("BTC", lambda: deposit(at, D(100)))
        ending = replace(at.executor, one_by_one=one_by_one, progress=more).drive(PLAN)
        assert ending == "needs_operator"
        assert len(at.sent) == orders


def test_one_strategy_at_a_time_holdings_are_asked_for_once_between_two(tmp_path: Path) -> None:
    with scene(tmp_path) as at:
        assert replace(at.executor, one_by_one=True).drive(PLAN) == "filled"
        assert at.calls("place", "holdings") == ["place", "holdings", "place", "holdings"]


def deposit(at: Scene, amount: Decimal) -> None:
    """Cash that comes from outside."""
    held = at.venue.balances()
    books = {
        account: StrategyBook(account=account, own_cash=D(0), quantities={asset: quantity})
        for (account, asset), quantity in held.quantities.items()
    }
    at.venue.adopt(books, pool_cash=held.cash + amount, marks=MARKS)


# --- a journal that fails --------------------------------------------------------------------------------


def failing(state: str) -> Callable[[sqlite3.Connection, str, StoredStep], None]:
    """The journal's write, on a disk that fails once a step is to become this."""
    store = journal_module._store

    def stored(connection: sqlite3.Connection, plan_id: str, step: StoredStep) -> None:
        if step.state == state:
            raise sqlite3.OperationalError("disk I/O error")
        store(connection, plan_id, step)

    return stored


@pytest.mark.parametrize("sent_before", [0, 1])
def test_when_the_disk_fails_before_a_send_nothing_is_sent(
    sent_before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scene(tmp_path) as at:
        broken = failing("sent")

        def may_go_on() -> str:
            if len(at.sent) == sent_before:
                monkeypatch.setattr(journal_module, "_store", broken)
            return ""

        with pytest.raises(LedgerError, match="disk I/O error"):
            replace(at.executor, may_go_on=may_go_on).drive(PLAN)
        monkeypatch.undo()
        assert len(at.sent) == sent_before
        assert at.steps[sent_before].state == "planned"
        assert at.execution.status == "running"
        assert at.executor.drive(PLAN) == "filled"
        assert at.executed == {1}


def test_when_the_disk_fails_after_a_send_the_order_is_found_and_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scene(tmp_path) as at:
        monkeypatch.setattr(journal_module, "_store", failing("done"))
        with pytest.raises(LedgerError, match="disk I/O error"):
            at.executor.drive(PLAN)
        monkeypatch.undo()
        assert at.states == [("forward", "sent"), ("forward", "planned")]
        assert at.executor.drive(PLAN) == "filled"
        assert at.calls("place", "find") == ["place", "find", "place"]
        assert at.executed == {1}
