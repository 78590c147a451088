"""The metrics of real paper executions, and their file, which is written with the commit it follows from."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from executing import Told, approved, example_1, execute, run
from rebalance_samples import outcome
from workspaces import AS_OF, clock_at, tree

from portfolio_rebalance.errors import UnsafePathError
from portfolio_rebalance.monitoring.metrics import metrics_of
from portfolio_rebalance.records import Execution
from portfolio_rebalance.records.metrics import MetricsReport
from portfolio_rebalance.run import execute as run_execute
from portfolio_rebalance.run import operator
from portfolio_rebalance.run.metrics import feedback, metrics
from portfolio_rebalance.tools import finishing
from portfolio_rebalance.tools.metrics import metrics_projection, metrics_yaml
from portfolio_rebalance.workspace import Ledger, apply_outbox, strict_yaml
from portfolio_rebalance.workspace.layout import METRICS

MINUTE = timedelta(minutes=1)
TAKEN_BACK, GIVEN_UP = "2:partial=0.4", "2+:refuse"
WRITTEN = f".crypto/{METRICS}"


def rebalanced(root: Path, *, at: datetime = AS_OF, faults: str = "") -> Execution:
    """One real execution on paper."""
    plan_id = approved(root, at=at)
    (root / "portfolio-rebalance/paper-faults.txt").write_text(faults)
    return execute(root, plan_id, at=at)


def content(root: Path) -> bytes:
    return (root / METRICS).read_bytes()


def resumed(root: Path, *, at: datetime) -> None:
    operator.resume(
        run_execute.Counter(
            root=root,
            clock=clock_at(at),
            now=lambda: at,
            person=Told(),
            progress=lambda _stage: None,
            sleep=lambda _seconds: None,
        )
    )


# --- without and with executions --------------------------------------------------------------------------


def test_without_a_ledger_there_are_no_metrics_and_none_is_made(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    before = tree(root)
    assert metrics(root) == metrics_of([])
    assert feedback(root).steps == feedback(root).learned == ()
    assert tree(root) == before


def test_the_file_of_one_rebalance_says_what_its_report_says(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    execution = rebalanced(root)
    assert WRITTEN in execution.written
    block = strict_yaml.parse(content(root).decode(), label=METRICS).value["portfolio_rebalance_metrics"]
    assert MetricsReport.model_validate_json(json.dumps(block, default=str)) == metrics(root)
    assert (block["total_rebalances"], block["successful_rebalances"]) == (1, 1)
    assert block["by_mode"] == {"correlation_aware": {"triggered": 1, "successful": 1}}
    assert block["run_period"] == "2025-02-05 to 2025-02-05"
    assert block["limit_compliance"] == {
        "all_limits_respected": 100,
        "violations_pre_rebalance": 2,  # 64.3 % deployed, and 54 % in one cluster
        "violations_post_rebalance": 0,
    }
    assert execution.total_cost_bps is not None
    assert block["trading_costs"]["avg_total_cost_bps"] == round(execution.total_cost_bps, 1)
    held = execution.post_rebalance_allocations.values()
    off = 100 * sum(abs(one.capital - one.target) for one in held) / sum(one.target for one in held)
    assert block["drift_management"]["avg_drift_after_rebalance"] == pytest.approx(off, abs=Decimal("0.0001"))
    assert block["improvements_achieved"]["avg_sharpe_improvement"] is None  # nothing is graded yet
    assert content(root) == metrics_yaml(metrics(root))


def test_what_was_taken_back_and_what_was_given_up_count_as_begun(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    reverted = rebalanced(root, faults=TAKEN_BACK)
    assert reverted.status == "reverted"
    assert WRITTEN in reverted.written
    assert content(root) == metrics_yaml(metrics(root))

    given_up = rebalanced(root, at=AS_OF + MINUTE, faults=GIVEN_UP)
    assert given_up.status == "needs_operator"
    now = metrics(root)
    assert [line.status for line in now.rebalances] == ["needs_operator", "reverted"]
    assert (now.total_rebalances, now.successful_rebalances) == (2, 0)

    resumed(root, at=AS_OF + 2 * MINUTE)
    assert [line.status for line in metrics(root).rebalances] == ["closed", "reverted"]
    done = rebalanced(root, at=AS_OF + 3 * MINUTE)
    assert done.status == "committed"
    report = metrics(root)
    assert [line.status for line in report.rebalances] == ["committed", "closed", "reverted"]
    assert (report.total_rebalances, report.successful_rebalances) == (3, 1)
    assert report.success_rate_percent == Decimal("33.3")
    assert report.by_mode["correlation_aware"].model_dump() == {"triggered": 3, "successful": 1}
    assert report.trading_costs.avg_total_cost_bps is not None
    assert content(root) == metrics_yaml(report)


def test_the_same_ledger_gives_the_same_bytes(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    rebalanced(root)
    with Ledger.open(root) as ledger:
        again = [metrics_projection(root, ledger).content for _ in range(2)]
    assert again == [content(root)] * 2


# --- an outcome -------------------------------------------------------------------------------------------


def test_an_outcome_is_in_the_file_that_is_committed_with_it(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    execution = rebalanced(root)
    graded = outcome(execution.plan_id, mode=execution.mode, at=AS_OF, sharpe=("1.1", 1), helped=True)
    with Ledger.open(root) as ledger:
        (followed,) = ledger.follow_ups.executions()
        file = metrics_projection(root, ledger, also=[replace(followed, outcome=graded)])
        ledger.follow_ups.record(outcomes=[graded], projections=[file])
        assert apply_outbox(root, ledger) == (METRICS,)
    report = metrics(root)
    assert (report.helped.graded, report.helped.helped) == (1, 1)
    assert report.improvements_achieved.avg_sharpe_improvement == 10
    assert report.calibration.by_mode["correlation_aware"].graded == 1
    assert content(root) == metrics_yaml(report)


# --- crashes and people -----------------------------------------------------------------------------------


def test_after_a_crash_between_commit_and_write_the_next_start_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = example_1(tmp_path)
    plan_id = approved(root)
    with monkeypatch.context() as patched:
        patched.setattr(finishing, "apply_outbox", _crash)
        with pytest.raises(KeyboardInterrupt):
            execute(root, plan_id)
    assert not (root / METRICS).exists()
    assert metrics(root).successful_rebalances == 1  # the ledger is the truth
    run(root, at=AS_OF + MINUTE, dry_run=True)
    assert content(root) == metrics_yaml(metrics(root))


def test_what_somebody_wrote_into_the_file_gives_way_to_the_next_rebalance(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    (root / METRICS).write_bytes(b"\xff not ours")
    rebalanced(root)
    assert content(root) == metrics_yaml(metrics(root))


def test_what_stands_in_its_place_and_is_no_file_keeps_the_execution_unsettled_until_it_is_gone(
    tmp_path: Path,
) -> None:
    root = example_1(tmp_path)
    (root / METRICS).mkdir()
    plan_id = approved(root)
    with pytest.raises(UnsafePathError):
        execute(root, plan_id)
    assert metrics(root).total_rebalances == 0
    (root / METRICS).rmdir()
    assert execute(root, plan_id, at=AS_OF + MINUTE).status == "committed"
    assert content(root) == metrics_yaml(metrics(root))


def test_an_old_row_that_cannot_be_read_does_not_keep_new_money_from_being_settled(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    old = rebalanced(root, faults=TAKEN_BACK)
    before = content(root)
    with sqlite3.connect(root / "portfolio-rebalance/ledger.db") as ledger:
        ledger.execute("UPDATE executions SET report = ? WHERE plan_id = ?", (b"{}", old.plan_id))
    ledger.close()
    done = rebalanced(root, at=AS_OF + MINUTE)
    assert done.status == "committed"
    assert WRITTEN not in done.written
    assert any("rebalance-metrics.yaml was not written" in note for note in done.notes)
    assert content(root) == before


def _crash(*_: object) -> None:
    raise KeyboardInterrupt
