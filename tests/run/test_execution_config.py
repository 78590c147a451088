"""What the configuration says about executing, and that it is so."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from executing import EXAMPLE_1, Told, approved, config_text, example_1, execute, hour_later, run
from workspaces import AS_OF, changed

from portfolio_rebalance.errors import ConfigError, HaltedError, PlanChangedError
from portfolio_rebalance.execution.executor import Executor
from portfolio_rebalance.workspace import Ledger


def test_enabled_false_executes_nothing_and_still_plans(tmp_path: Path) -> None:
    root = example_1(tmp_path, config=config_text("enabled: false"))
    assert run(root).status == "planned"
    refused = run(root, execute=True, person=Told())
    assert (refused.status, refused.exit_code) == ("refused", HaltedError.exit_code)
    assert refused.error is not None
    assert "enabled: false" in refused.error.what


def test_enabled_false_refuses_a_plan_that_was_approved(tmp_path: Path) -> None:
    root = example_1(tmp_path, config=config_text("enabled: false"))
    plan_id = approved(root)
    with pytest.raises(HaltedError, match="enabled: false"):
        execute(root, plan_id)


def test_by_default_a_bare_run_plans_even_where_a_person_could_be_asked(tmp_path: Path) -> None:
    person = Told()
    assert run(example_1(tmp_path), person=person).status == "planned"
    assert person.shown == []


def test_by_default_execute_asks_the_person(tmp_path: Path) -> None:
    person = Told()
    result = run(example_1(tmp_path), execute=True, person=person)
    assert (result.status, result.exit_code, len(person.shown)) == ("executed", 0, 1)


def test_by_default_execute_without_a_terminal_stores_the_plan_and_exits_11(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    result = run(root, execute=True)
    assert (result.status, result.exit_code) == ("refused", 11)
    assert result.plan_id is not None
    assert result.error is not None
    assert f"approve {result.plan_id[:12]}" in result.error.fix
    with Ledger.open(root) as ledger:
        assert ledger.journal.get(result.plan_id) is None


def test_a_person_who_declines_gets_11_and_nothing_is_sent(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    result = run(root, execute=True, person=Told(answers=False))
    assert (result.status, result.exit_code) == ("refused", 11)
    with Ledger.open(root) as ledger:
        assert ledger.journal.unfinished() is None
        assert ledger.approvals.newest_approved() is None


def test_without_approval_required_execute_at_a_terminal_is_the_approval(tmp_path: Path) -> None:
    root = example_1(tmp_path, config=config_text("execution: {approval_required: false}"))
    person = Told(answers=False)  # not asked
    result = run(root, execute=True, person=person)
    assert result.status == "executed"
    assert len(person.shown) == 1
    with Ledger.open(root) as ledger:
        given = ledger.approvals.approval_of(result.plan_id or "")
    assert given is not None
    assert given.method == "execute"


def test_without_approval_required_execute_off_a_terminal_is_still_refused(tmp_path: Path) -> None:
    root = example_1(tmp_path, config=config_text("execution: {approval_required: false}"))
    assert run(root, execute=True).exit_code == 11


def test_auto_execute_with_approval_asks_on_a_bare_run(tmp_path: Path) -> None:
    root = example_1(tmp_path, config=config_text("execution: {mode: auto_execute}"))
    assert run(root).status == "planned"
    assert run(root, dry_run=True, person=Told()).status == "planned"
    assert run(root, person=Told()).status == "executed"


def test_auto_execute_without_approval_is_pre_approval(tmp_path: Path) -> None:
    root = example_1(
        tmp_path, config=config_text("execution: {mode: auto_execute, approval_required: false}")
    )
    result = run(root)
    assert result.status == "executed"
    with Ledger.open(root) as ledger:
        given = ledger.approvals.approval_of(result.plan_id or "")
    assert given is not None
    assert (given.method, given.user) == ("pre_approved", "configuration")


def test_pre_approval_does_not_cover_another_mode(tmp_path: Path) -> None:
    root = example_1(
        tmp_path, config=config_text("execution: {mode: auto_execute, approval_required: false}")
    )
    assert run(root, mode="proportional").status == "planned"


def test_pre_approval_does_not_cover_stale_data(tmp_path: Path) -> None:
    root = example_1(
        tmp_path,
        changed(EXAMPLE_1, "STR-007", snapshot_age=timedelta(hours=30)),
        config=config_text("execution: {mode: auto_execute, approval_required: false}"),
    )
    result = run(root)
    assert result.plan is not None
    assert result.plan.stale
    assert result.status == "planned"


def test_pre_approval_does_not_cover_what_could_not_be_evaluated(tmp_path: Path) -> None:
    root = example_1(
        tmp_path, config=config_text("execution: {mode: auto_execute, approval_required: false}")
    )
    for csv in root.glob("live-monitoring/live-performance/*/daily_returns.csv"):
        csv.unlink()
    result = run(root)
    assert result.execution is None
    assert result.status in ("planned", "hold")


def test_cooldown_holds_pre_approval_except_for_compliance(tmp_path: Path) -> None:
    lines = ("execution: {mode: auto_execute, approval_required: false}", "cooldown_hours: 20")
    root = example_1(tmp_path, config=config_text(*lines))
    assert run(root).status == "executed"  # compliance
    # Half a day later one strategy has drifted by a fifth: a basis, but no limit is broken.
    at = hour_later(root, 12, factor=lambda key: Decimal("1.0"), strategies=_after_execution("1.25"))
    waiting = run(root, at=at)
    assert waiting.decision is not None
    assert (waiting.decision.basis, waiting.decision.recommendation) == ("drift", "REBALANCE")
    assert waiting.status == "planned"
    rested = AS_OF + timedelta(hours=21)
    hour_later(root, 21, factor=lambda key: Decimal("1.0"), strategies=_after_execution("1.25"))
    assert run(root, at=rested).status == "executed"


def _after_execution(factor: str) -> dict[str, object]:
    """Example 1 after its rebalance, the third strategy grown."""
    from dataclasses import replace

    from executing import leg

    grown = Decimal("103") * Decimal(factor)
    return {
        "STR-001": replace(EXAMPLE_1["STR-001"], capital=9_600, positions=[leg("BTC", "0.192", "50000")]),
        "STR-003": replace(EXAMPLE_1["STR-003"], capital=8_400, positions=[leg("ETH", "2.8", "3000")]),
        "STR-007": replace(
            EXAMPLE_1["STR-007"],
            capital=str(60 * grown),
            positions=[leg("SOL", "60", str(grown))],
        ),
    }


def test_slippage_tolerance_reverts_a_batch(tmp_path: Path) -> None:
    strict = example_1(tmp_path / "strict", config=config_text("execution: {slippage_tolerance_bps: 10}"))
    assert execute(strict, approved(strict)).status == "reverted"
    usual = example_1(tmp_path / "usual")
    assert execute(usual, approved(usual)).status == "committed"


def test_the_price_envelope_is_as_wide_as_it_says(tmp_path: Path) -> None:
    for percent, status in (("1", "refused"), ("2", "committed")):
        root = example_1(tmp_path / percent, config=config_text(f"max_plan_price_move_percent: {percent}"))
        plan_id = approved(root)
        at = hour_later(root, 1, factor=lambda key: Decimal("1.015"))
        if status == "refused":
            with pytest.raises(PlanChangedError, match="moved from 20400 to 20700"):
                execute(root, plan_id, at=at)
        else:
            assert execute(root, plan_id, at=at).status == "committed"


def test_batch_execution_false_looks_at_the_venue_between_strategies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    real = Executor._require_reconciled
    monkeypatch.setattr(
        Executor,
        "_require_reconciled",
        lambda self, book, state: (looked.append("looked"), real(self, book, state))[1],
    )
    together = example_1(tmp_path / "together")
    assert execute(together, approved(together)).status == "committed"
    assert len(looked) == 1  # at the end
    looked.clear()
    apart = example_1(tmp_path / "apart", config=config_text("execution: {batch_execution: false}"))
    assert execute(apart, approved(apart)).status == "committed"
    assert len(looked) == 2  # between the two strategies as well


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("broker: {kind: ccxt}", "exchange"),
        ("broker: {kind: ccxt, exchange: binance}", "symbols"),
        ("broker: {exchange: binance}", "ccxt"),
        ("broker: {sandbox: true}", "ccxt"),
        ("broker: {symbols: {BTC: BTC/USDT}}", "ccxt"),
        ("broker: {kind: binance}", "paper"),
    ],
)
def test_a_broker_that_is_half_named_is_refused(tmp_path: Path, line: str, words: str) -> None:
    result = run(example_1(tmp_path, config=config_text(line)))
    assert result.error is not None
    assert (result.error.code, result.exit_code) == (ConfigError.code, 14)
    assert words in result.error.what


def test_a_live_broker_needs_a_person(tmp_path: Path) -> None:
    line = "broker: {kind: ccxt, exchange: binance, symbols: {BTC: BTC/USD, ETH: ETH/USD, SOL: SOL/USD}}"
    root = example_1(tmp_path, config=config_text(line))
    plan_id = approved(root)
    from portfolio_rebalance import run_skill

    result = run_skill({"workspace": root, "execute": True}, now=AS_OF)
    assert result.error is not None
    assert (result.error.code, result.exit_code) == ("not_approved", 11)
    assert "passphrase" in result.error.what
    fixed = run(root, execute=True, person=Told())
    assert fixed.error is not None
    assert fixed.error.where == "--as-of"
    with Ledger.open(root) as ledger:
        assert ledger.journal.get(plan_id) is None
