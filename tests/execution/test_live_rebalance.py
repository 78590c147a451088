"""A whole rebalance through a real exchange client over HTTP: sealed, sent once, verified, or taken back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ccxt")

from exchange_orders import Clock, a_broker, unthrottled  # noqa: F401
from executing import config_text, correlated_returns, leg
from loopback_exchange import Fault, LoopbackExchange
from workspaces import Strategy, make_workspace

from portfolio_rebalance import run_skill
from portfolio_rebalance.errors import (
    BrokerError,
    NeedsOperatorError,
    NotApprovedError,
    PlanTamperedError,
)
from portfolio_rebalance.records import Execution, Step
from portfolio_rebalance.run import approval
from portfolio_rebalance.tools.execution import execute_rebalance_trades
from portfolio_rebalance.vault import Seal
from portfolio_rebalance.workspace import Ledger

pytestmark = pytest.mark.usefixtures("unthrottled")

NOW = datetime.now(UTC).replace(microsecond=0)
SEAL = Seal(b"k" * 32)
SYMBOLS = {"BTC": "BTC/USDT", "ETH": "ETH/USDT", "SOL": "SOL/USDT"}
LIVE = config_text(
    "broker: {kind: ccxt, exchange: binance, symbols: {BTC: BTC/USDT, ETH: ETH/USDT, SOL: SOL/USDT}}"
)
THREE = {
    "STR-001": Strategy(
        capital=20_400, target_percent=34, control="positions", positions=[leg("BTC", "0.4", "50000")]
    ),
    "STR-003": Strategy(
        capital=12_000, target_percent=20, control="positions", positions=[leg("ETH", "4", "3000")]
    ),
    "STR-007": Strategy(
        capital=6_180, target_percent="10.3", control="positions", positions=[leg("SOL", "60", "103")]
    ),
}


def number(text: str) -> Decimal:
    return Decimal(text)


@contextmanager
def exchange() -> Iterator[LoopbackExchange]:
    """The exchange that holds what the three strategies hold, and the rest as money."""
    held = {"BTC": number("0.4"), "ETH": number("4"), "SOL": number("60")}
    with LoopbackExchange(
        prices={"BTC": number("50000"), "ETH": number("3000"), "SOL": number("103"), "BNB": number("300")},
        balances={"USDT": number("60000") - 20_000 - 12_000 - 6_180, **held},
    ) as venue:
        yield venue


def workspace(folder: Path, strategies: dict[str, Strategy] = THREE, *, config: str = LIVE) -> Path:
    return make_workspace(
        folder, strategies, as_of=NOW, currency="USDT", returns=correlated_returns(), config=config
    )


def approved(root: Path, *, seal: Seal | None = SEAL) -> str:
    result = run_skill({"workspace": root, "dry_run": True}, now=NOW)
    assert result.plan_id is not None, result.error or result.decision
    page = approval.page_of(root, result.plan_id, now=NOW)
    approval.approve(root, page, user="tester", at=NOW, method="typed", seal=seal)
    return result.plan_id


def execute(
    root: Path, plan_id: str, venue: LoopbackExchange, *, seal: Seal | None = SEAL, **more: Any
) -> Execution:
    return execute_rebalance_trades(
        plan_id,
        workspace=root,
        broker=a_broker(venue, symbols=SYMBOLS),
        seal=seal,
        now=lambda: NOW,
        sleep=lambda _seconds: None,
        **more,
    )


def test_a_sealed_plan_is_executed_with_one_post_an_order(tmp_path: Path) -> None:
    root = workspace(tmp_path)
    plan_id = approved(root)
    with exchange() as venue:
        done = execute(root, plan_id, venue)
        assert (done.status, done.broker) == ("committed", "ccxt:binance")
        assert venue.count("POST", "order") == done.orders_sent == 2
        after = {key: line.alloc for key, line in done.post_rebalance_allocations.items()}
        for key, wanted in (("STR-001", 16), ("STR-003", 14), ("STR-007", number("10.3"))):
            assert abs(after[key] - wanted) * 100 <= 5
        assert set(done.limits.values()) == {"PASS"}
        kept = venue.balances
        assert kept["SOL"] == 60
        assert abs(kept["BTC"] * 50_000 - number("9600")) < 20
        assert kept["USDT"] == done.total_capital_after - sum(
            kept[coin] * price for coin, price in (("BTC", 50_000), ("ETH", 3_000), ("SOL", 103))
        )


def test_without_the_passphrase_nothing_is_sent(tmp_path: Path) -> None:
    root = workspace(tmp_path)
    plan_id = approved(root)
    with exchange() as venue:
        with pytest.raises(NotApprovedError, match="passphrase"):
            execute(root, plan_id, venue, seal=None)
        assert venue.count("POST", "order") == 0


@pytest.mark.parametrize("given", [None, Seal(b"x" * 32)], ids=["unsealed", "sealed by another"])
def test_an_approval_that_this_passphrase_did_not_seal_is_refused(tmp_path: Path, given: Seal | None) -> None:
    root = workspace(tmp_path)
    plan_id = approved(root, seal=given)
    with exchange() as venue:
        with pytest.raises(PlanTamperedError, match="not sealed"):
            execute(root, plan_id, venue)
        assert venue.count("POST", "order") == 0


def test_pre_approval_never_moves_live_money(tmp_path: Path) -> None:
    root = workspace(tmp_path, config=LIVE + "  execution: {mode: auto_execute, approval_required: false}\n")
    result = run_skill({"workspace": root}, now=NOW)
    assert (result.status, result.execution) == ("planned", None)


def test_a_strategy_that_does_not_say_who_moves_it_is_refused(tmp_path: Path) -> None:
    root = workspace(tmp_path, THREE | {"STR-007": replace(THREE["STR-007"], control=None)})
    plan_id = approved(root)
    with exchange() as venue, pytest.raises(BrokerError, match="STR-007"):
        execute(root, plan_id, venue)


def test_a_fixed_clock_is_refused(tmp_path: Path) -> None:
    root = workspace(tmp_path)
    plan_id = approved(root)
    with exchange() as venue, pytest.raises(BrokerError, match="not at a time"):
        execute(root, plan_id, venue, as_of=NOW - timedelta(minutes=1))


def test_an_answer_that_never_comes_is_looked_up_and_not_sent_again(tmp_path: Path) -> None:
    root = workspace(tmp_path)
    plan_id = approved(root)
    with exchange() as venue:
        venue.script("POST", "order", Fault(status=503, body="<html>", accept=True))
        done = execute(root, plan_id, venue)
        assert done.status == "committed"
        assert venue.count("POST", "order") == 2


def test_a_refusal_takes_the_batch_back(tmp_path: Path) -> None:
    root = workspace(tmp_path)
    plan_id = approved(root)
    with exchange() as venue:
        refusal = '{"code": -2010, "msg": "Account has insufficient balance for requested action."}'
        venue.script("POST", "order", Fault(), Fault(status=400, body=refusal, accept=False))
        done = execute(root, plan_id, venue)
        assert done.status == "reverted", done.reason
        assert abs(venue.balances["BTC"] - number("0.4")) * 50_000 < 60  # costs aside


def test_another_holding_than_the_snapshots_say_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    root = workspace(tmp_path)
    plan_id = approved(root)
    with exchange() as venue:
        venue.free["BTC"] = number("0.3")
        with pytest.raises(Exception, match="BTC in account main") as caught:
            execute(root, plan_id, venue)
        assert caught.value.code == "plan_changed"  # type: ignore[attr-defined]
        assert venue.count("POST", "order") == 0


def test_a_venue_that_cannot_be_sure_at_once_is_asked_until_it_is(tmp_path: Path) -> None:
    """For some seconds after a start, a request of an earlier process might still be on its way."""
    root = workspace(tmp_path)
    plan_id = approved(root)
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.seconds += seconds

    with exchange() as venue:
        done = execute_rebalance_trades(
            plan_id,
            workspace=root,
            broker=a_broker(venue, symbols=SYMBOLS, clock=clock),
            seal=SEAL,
            now=lambda: NOW,
            sleep=sleep,
        )
        assert done.status == "committed", done.reason
        assert venue.count("POST", "order") == 2
        assert 5 < clock.seconds < 30


class _Crash(BaseException):
    pass


def _stopped_in_the_middle(root: Path, venue: LoopbackExchange) -> str:
    """A batch whose process dies after the first order."""
    plan_id = approved(root)
    broker = a_broker(venue, symbols=SYMBOLS)
    real, sent = broker.place, []

    def place(order: Any) -> Any:
        if sent:
            raise _Crash
        sent.append(order)
        return real(order)

    broker.place = place  # type: ignore[method-assign]
    with pytest.raises(_Crash):
        execute_rebalance_trades(
            plan_id, workspace=root, broker=broker, seal=SEAL, now=lambda: NOW, sleep=lambda _seconds: None
        )
    assert venue.count("POST", "order") == 1
    return plan_id


def test_what_a_crash_left_goes_on_only_with_the_passphrase(tmp_path: Path) -> None:
    root = workspace(tmp_path)
    with exchange() as venue:
        plan_id = _stopped_in_the_middle(root, venue)
        with pytest.raises(NeedsOperatorError, match="passphrase"):
            execute(root, plan_id, venue, seal=None)
        assert venue.count("POST", "order") == 1
        # The second order never reached the venue: it is taken back, not sent again.
        assert execute(root, plan_id, venue).status == "reverted"


def test_an_order_that_was_written_into_the_ledger_is_never_sent(tmp_path: Path) -> None:
    root = workspace(tmp_path)
    with exchange() as venue:
        plan_id = _stopped_in_the_middle(root, venue)
        with Ledger.open(root) as ledger:
            steps = ledger.journal.steps(plan_id)
            forged = Step(
                index=len(steps),
                client_id="tpr-forged",
                phase="forward",
                purpose="reduce",
                strategy="STR-007",
                account="main",
                asset="SOL",
                side="SELL",
                quantity=Decimal(50),
            )
            in_flight = next(one for one in steps if one.state == "sent")
            with ledger.transaction() as connection:
                connection.execute(
                    "UPDATE steps SET content = ?, state = 'planned' WHERE plan_id = ? AND idx = ?",
                    (
                        forged.model_copy(update={"index": in_flight.step.index}).model_dump_json().encode(),
                        plan_id,
                        in_flight.step.index,
                    ),
                )
        done = execute(root, plan_id, venue)
        assert done.status == "needs_operator"
        assert "not sealed" in done.reason
        assert venue.count("POST", "order") == 1
        assert venue.balances["SOL"] == 60


def test_an_order_that_the_ledger_forgot_is_not_sent_again(tmp_path: Path) -> None:
    root = workspace(tmp_path)
    with exchange() as venue:
        plan_id = _stopped_in_the_middle(root, venue)
        with Ledger.open(root) as ledger, ledger.transaction() as connection:
            connection.execute(
                "UPDATE steps SET state = 'planned', fill = NULL, reference_price = NULL, limit_price = NULL"
                " WHERE plan_id = ?",
                (plan_id,),
            )
        execute(root, plan_id, venue)
        ids = [order.client_id for order in venue.orders]
        assert len(ids) == len(set(ids))
