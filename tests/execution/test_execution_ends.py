"""How an execution ends when something happens to its workspace in mid-batch: ledger, files and HALT."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from fault_portfolios import PORTFOLIOS, Template, approved
from workspaces import AS_OF

from portfolio_rebalance.errors import BadDataError, HaltedError, NeedsOperatorError, PlanConsumedError
from portfolio_rebalance.execution.paper import PAPER, PaperVenue
from portfolio_rebalance.records import Execution, StrategyBook
from portfolio_rebalance.tools.execution import execute_rebalance_trades
from portfolio_rebalance.workspace import Ledger
from portfolio_rebalance.workspace.halt import clear_halt, read_halt, write_halt


@pytest.fixture
def template(tmp_path: Path) -> Template:
    """Example 1: two sales."""
    return approved(PORTFOLIOS["example_1"], tmp_path)


def execute(
    template: Template, *, before_order: Mapping[int, Callable[[], object]] | None = None
) -> Execution:
    """Execute, and do something just before the n-th order is sent."""
    sent = 0

    def progress(what: str) -> None:
        nonlocal sent
        if " for STR-" in what:
            sent += 1
            (before_order or {}).get(sent, lambda: None)()

    return execute_rebalance_trades(
        template.plan_id, workspace=template.folder, as_of=AS_OF, sleep=lambda _: None, progress=progress
    )


@contextmanager
def venue_of(template: Template) -> Iterator[PaperVenue]:
    """A connection of our own to the paper venue."""
    with PaperVenue.open(
        template.folder / ".crypto" / PAPER,
        now=lambda: AS_OF,
        slippage_bps=Decimal(25),
        commission_bps=Decimal(5),
        seed="paper",
    ) as venue:
        yield venue


def times_executed(template: Template) -> set[int]:
    with venue_of(template) as venue:
        return set(venue.times_executed().values())


def files(template: Template) -> dict[str, bytes]:
    root = template.folder / ".crypto"
    paths = [*root.rglob("*.md"), *root.rglob("*.yaml"), *root.rglob("*.csv")]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def status_of(template: Template) -> str:
    with Ledger.open(template.folder / ".crypto") as ledger:
        found = ledger.journal.get(template.plan_id)
        assert found is not None
        return found.status


def test_holdings_that_are_not_ours_call_a_person_and_stop_everything(template: Template) -> None:
    old, root = files(template), template.folder / ".crypto"

    def deposit() -> None:
        with venue_of(template) as venue:
            held = venue.balances()
            books = {
                account: StrategyBook(account=account, own_cash=Decimal(0), quantities={asset: quantity})
                for (account, asset), quantity in held.quantities.items()
            }
            marks = {place: market.price for place, market in venue.markets(held.quantities).items()}
            venue.adopt(books, pool_cash=held.cash + 100, marks=marks)

    execution = execute(template, before_order={2: deposit})
    assert execution.status == "needs_operator"
    assert "the venue does not hold what our books say: cash: our books say" in execution.reason
    assert (read_halt(root).level, status_of(template)) == ("all", "needs_operator")
    assert files(template) == old
    with pytest.raises(NeedsOperatorError, match="waits for a person"):
        execute(template)


def test_a_batch_whose_registry_became_invalid_is_not_lost(template: Template) -> None:
    registry = template.folder / ".crypto/knowledge/registry.yaml"
    good, old = registry.read_bytes(), files(template)
    with pytest.raises(BadDataError):
        execute(template, before_order={2: lambda: registry.write_bytes(b"strategies: [1, 2\n")})
    assert status_of(template) == "running"
    with pytest.raises(BadDataError):
        execute(template)
    assert {key: text for key, text in files(template).items() if old[key] != text}.keys() == {
        "knowledge/registry.yaml"
    }
    registry.write_bytes(good + b"# a word of mine\n")
    execution = execute(template)
    assert (execution.status, execution.orders_sent, execution.orders_filled) == ("committed", 2, 2)
    assert times_executed(template) == {1}
    assert registry.read_bytes().endswith(b"# a word of mine\n")
    assert b"target_allocation_percent: 16 " in registry.read_bytes()
    with pytest.raises(PlanConsumedError):
        execute(template)


def test_a_halt_in_mid_batch_keeps_it_for_the_start_after_it_was_lifted(template: Template) -> None:
    old, root = files(template), template.folder / ".crypto"
    with pytest.raises(HaltedError):
        execute(template, before_order={1: lambda: write_halt(root, level="all", reason="wait")})
    assert (status_of(template), files(template)) == ("running", old)
    with pytest.raises(HaltedError):
        execute(template)
    clear_halt(root)
    assert execute(template).status == "committed"
    assert times_executed(template) == {1}


def test_a_plan_that_expires_in_mid_batch_is_taken_back(template: Template) -> None:
    times = [AS_OF]

    def sent(what: str) -> None:
        if " for STR-" in what:
            times.append(AS_OF + timedelta(hours=24))

    def now() -> datetime:
        return times[-1]

    execution = execute_rebalance_trades(
        template.plan_id, workspace=template.folder, now=now, sleep=lambda _: None, progress=sent
    )
    assert execution.status == "reverted"
    assert execution.reason == "the plan expired at 2025-02-06T02:00:00Z, before its batch was finished"
    assert [(one.side, one.state) for one in execution.orders if one.side] == [
        ("SELL", "done"),
        ("SELL", "cancelled"),
        ("BUY", "done"),
        ("BUY", "done"),
    ]
    assert execution.finished_at == AS_OF + timedelta(hours=24)


def test_what_a_reverted_batch_cost_is_gone_from_the_stated_cash(template: Template) -> None:
    (template.folder / ".crypto/portfolio-rebalance/paper-faults.txt").write_text("2:refuse")
    execution = execute(template)
    assert execution.status == "reverted"
    cost = execution.total_capital_before - execution.total_capital_after
    assert abs(cost - execution.actual_cost) < Decimal("0.00000002")
    assert cost > 40
    stated = (template.folder / ".crypto/BOOTSTRAP.md").read_text()
    assert f"total_capital: {execution.total_capital_after}\n" in stated
