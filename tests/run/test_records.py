"""What a run leaves behind: deterministic, durable, and nothing at all when it refuses."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from workspaces import AS_OF, THREE, changed, make_workspace, tree

from portfolio_rebalance import run_skill
from portfolio_rebalance.records import Plan, canonical_bytes, digest
from portfolio_rebalance.run.queries import history, show
from portfolio_rebalance.workspace import Ledger, RunEntry

AS_OF_TEXT = "2025-02-05T02:00:00Z"
SCRIPT = """
import sys
from portfolio_rebalance import run_skill
result = run_skill(["--workspace", sys.argv[1], "--as-of", sys.argv[2]])
print(result.model_dump_json())
"""


def run(root: Path, *words: str, as_of: str = AS_OF_TEXT):  # type: ignore[no-untyped-def]
    return run_skill(["--workspace", str(root), "--as-of", as_of, *words], now=AS_OF + timedelta(days=5))


def plan_bytes(root: Path) -> dict[str, bytes]:
    with sqlite3.connect(root / "portfolio-rebalance/ledger.db") as connection:
        return dict(connection.execute("SELECT plan_id, content FROM plans").fetchall())


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_two_processes_write_the_same_plan_and_records_byte_for_byte(tmp_path: Path) -> None:
    outputs, plans, records = [], [], []
    for name, seed in (("one", "1"), ("two", "2")):
        (tmp_path / name).mkdir()
        root = make_workspace(tmp_path / name, THREE)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(root), AS_OF_TEXT],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        )
        outputs.append(done.stdout)
        plans.append(plan_bytes(root))
        records.append(
            {path.name: path.read_bytes() for path in (root / "portfolio-rebalance").glob("*.yaml")}
        )
    assert outputs[0] == outputs[1]
    assert plans[0] == plans[1] != {}
    assert records[0] == records[1]
    assert list(records[0]) == ["assessment-2025-02-05.yaml"]


def test_the_plan_id_is_the_digest_of_the_stored_bytes(tmp_path: Path) -> None:
    result = run(make_workspace(tmp_path, THREE))
    ((plan_id, content),) = plan_bytes(tmp_path / ".crypto").items()
    assert plan_id == result.plan_id == digest(result.plan)
    assert content == canonical_bytes(result.plan)
    assert all(not isinstance(value, float) for value in _leaves(json.loads(content)))


def _leaves(node: object) -> list[object]:
    if isinstance(node, dict):
        return [leaf for value in node.values() for leaf in _leaves(value)]
    if isinstance(node, list):
        return [leaf for value in node for leaf in _leaves(value)]
    return [node]


def test_the_plan_binds_what_an_execution_must_find_again(tmp_path: Path) -> None:
    legs = [{"asset": "BTC", "quantity": "0.5", "price": 40_000, "market_value": 20_000}]
    root = make_workspace(
        tmp_path, changed(THREE, "STR-001", positions=legs, control="positions", account="main")
    )
    plan = run(root).plan
    assert isinstance(plan, Plan)
    assert plan.expires_at - plan.as_of == timedelta(hours=24)
    first = plan.strategies[0]
    assert (first.strategy, first.control, first.account) == ("STR-001", "positions", "main")
    assert dict(first.quantities) == {"BTC": Decimal("0.5")}
    assert set(plan.inputs) >= {".crypto/BOOTSTRAP.md", ".crypto/knowledge/registry.yaml"}


def test_the_same_run_again_changes_nothing(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, THREE)
    first = run(root)
    files = {path.name for path in (root / "portfolio-rebalance").iterdir()}
    second = run(root)
    assert first == second
    assert {path.name for path in (root / "portfolio-rebalance").iterdir()} == files
    assert len(history(root)) == 1


def test_a_second_run_of_a_day_gets_a_numbered_record(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, THREE)
    run(root)
    later = run(root, as_of="2025-02-05T09:00:00Z")
    assert later.written == (".crypto/portfolio-rebalance/assessment-2025-02-05-2.yaml",)
    assert [entry.as_of.hour for entry in history(root)] == [9, 2]


def test_a_stored_run_is_shown_as_it_was(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, THREE)
    result = run(root)
    assert result.plan_id is not None
    assert show(root, result.plan_id[:8]) == result
    assert result.run_id is not None
    assert show(root, result.run_id) == result


def test_a_jump_of_total_capital_waits_for_a_person(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, THREE)
    assert run(root).status == "planned"
    text = (root / "BOOTSTRAP.md").read_text()
    (root / "BOOTSTRAP.md").write_text(
        text.replace("total_capital: 60000", "total_capital: 60000\n  cash: 41300")
    )
    (root / "BOOTSTRAP.md").write_text(
        (root / "BOOTSTRAP.md")
        .read_text()
        .replace("total_capital: 60000", "total_capital: 80000")
        .replace("target: 20000", "target: 26666.64")
        .replace("target: 12000", "target: 16000")
        .replace("target: 6000", "target: 8000")
    )
    before = contents(root)
    refused = run(root, as_of="2025-02-05T03:00:00Z")
    assert refused.error is not None
    assert (refused.error.code, refused.exit_code) == ("capital_jump", 14)
    assert "60000" in refused.error.what
    assert "80000" in refused.error.what
    assert contents(root) == before
    assert run(root, "--confirm-capital", "79999", as_of="2025-02-05T03:00:00Z").status == "refused"
    assert run(root, "--confirm-capital", "80000", as_of="2025-02-05T03:00:00Z").status == "planned"


def entry(run_id: str, *, as_of=AS_OF, state: str, pairs: tuple[tuple[str, str], ...]) -> RunEntry:  # type: ignore[no-untyped-def]
    return RunEntry(
        run_id=run_id,
        as_of=as_of,
        state=state,
        mode="proportional",
        recommendation="REBALANCE",
        basis="drift",
        total_capital=Decimal(60_000),
        high_pairs=pairs,
        result=b"{}",
        plan=None,
    )


def test_hysteresis_comes_from_the_last_committed_run_within_seven_days(tmp_path: Path) -> None:
    import numpy as np

    basis = np.linalg.qr(np.column_stack([np.ones(30), np.random.default_rng(1).normal(size=(30, 3))]))[0][
        :, 1:
    ]
    a, b, c = 0.05 * basis.T
    returns = {"STR-001": list(a), "STR-003": list(0.65 * a + np.sqrt(1 - 0.65**2) * b), "STR-007": list(c)}
    pair = (("STR-001", "STR-003"),)

    def clusters_after(*entries: RunEntry) -> tuple[tuple[str, ...], ...]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        root = make_workspace(folder, THREE, returns=returns)
        with Ledger.open(root) as ledger:
            for stored in entries:
                ledger.add_run(stored)
        report = run(root).correlation
        assert report is not None
        return tuple(group for group in report.clusters if len(group) > 1)

    recent, old = AS_OF - timedelta(days=6), AS_OF - timedelta(days=8)
    assert clusters_after() == ()
    assert clusters_after(entry("run-1", as_of=recent, state="committed", pairs=pair)) == pair
    assert clusters_after(entry("run-1", as_of=recent, state="planned", pairs=pair)) == ()
    assert clusters_after(entry("run-1", as_of=old, state="committed", pairs=pair)) == ()
    assert (
        clusters_after(
            entry("run-1", as_of=recent, state="committed", pairs=pair),
            entry("run-2", as_of=recent + timedelta(hours=1), state="committed", pairs=()),
        )
        == ()
    )


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (["--mode", "momentum"], "usage", 2),
        (["--hold", "STR-404"], "usage", 2),
        (["--hold", "../etc"], "usage", 2),
        (["--dry-run", "--execute"], "usage", 2),
        (["--nonsense"], "usage", 2),
        (["--as-of", "2025-02-05"], "usage", 2),
        (["--as-of", "2025-02-05T02:00:00"], "usage", 2),
        (["make me rich"], "usage", 2),
        (["--confirm-capital", "lots"], "usage", 2),
    ],
)
def test_a_refused_request_writes_nothing(
    tmp_path: Path, words: list[str], code: str, exit_code: int
) -> None:
    root = make_workspace(tmp_path, THREE)
    before = tree(root)
    result = run_skill(["--workspace", str(root), "--as-of", AS_OF_TEXT, *words], now=AS_OF)
    assert result.status == "refused"
    assert result.error is not None
    assert (result.error.code, result.exit_code) == (code, exit_code)
    assert result.error.fix
    assert tree(root) == before


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        ("reduce correlation", "correlation_aware"),
        ("please fix drift", "proportional"),
        ("rebalance", "correlation_aware"),
        ("adjust positions", "correlation_aware"),
        ("/trading-portfolio-rebalance --mode risk-adjusted --dry-run", "risk_adjusted"),
        ("/trading-portfolio-rebalance", "correlation_aware"),
    ],
)
def test_plain_words_choose_a_mode(tmp_path: Path, words: str, mode: str) -> None:
    root = make_workspace(tmp_path, THREE)
    result = run_skill(f"{words} --workspace {root} --as-of {AS_OF_TEXT}", now=AS_OF)
    assert (result.status, result.requested_mode) == ("planned", mode)


def test_a_mapping_and_a_request_do_the_same_as_words(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, THREE)
    by_words = run(root, "--mode", "proportional", "--hold", "STR-007")
    by_mapping = run_skill(
        {"mode": "proportional", "hold": ["STR-007"], "workspace": root, "as_of": AS_OF_TEXT}, now=AS_OF
    )
    assert by_mapping == by_words


def test_a_mode_left_out_of_available_is_refused(tmp_path: Path) -> None:
    config = "portfolio_rebalance:\n  rebalancing_modes: {default: proportional, available: [proportional]}\n"
    root = make_workspace(tmp_path, THREE, config=config)
    result = run(root, "--mode", "risk-adjusted")
    assert result.error is not None
    assert result.error.code == "config"
    assert run(root).mode == "proportional"
    assert [candidate.mode for candidate in run(root).candidates] == ["proportional"]


def test_disabled_still_plans(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, THREE, config="portfolio_rebalance:\n  enabled: false\n")
    assert run(root).status == "planned"


@pytest.mark.parametrize("factor", ["7", "0.001", "1000000", "0.37"])
@pytest.mark.parametrize(
    "mode", ["correlation-aware", "risk-adjusted", "performance-weighted", "minimal-turnover"]
)
def test_the_scale_of_capital_does_not_matter(tmp_path: Path, factor: str, mode: str) -> None:
    from dataclasses import replace

    def scaled(by: Decimal) -> dict[str, object]:
        folder = tmp_path / f"by-{by}"
        folder.mkdir()
        strategies = {
            key: replace(one, capital=Decimal(str(one.capital)) * by, target=Decimal(str(one.target)) * by)
            for key, one in THREE.items()
        }
        result = run(make_workspace(folder, strategies, total_capital=60_000 * by), "--mode", mode)
        assert result.chosen is not None, result.error
        assert result.chosen.impact.resampling is not None
        return {
            "proposal": dict(result.chosen.proposal.proposed_bp),
            "probability": result.chosen.impact.resampling.probability_better,
            "decision": result.decision,
        }

    assert scaled(Decimal(factor)) == scaled(Decimal(1))


def test_the_order_of_strategies_in_the_files_does_not_matter(tmp_path: Path) -> None:
    def chosen(order: list[str]) -> object:
        folder = tmp_path / "-".join(order)
        folder.mkdir()
        result = run(make_workspace(folder, {key: THREE[key] for key in order}))
        return (result.candidates, result.decision)

    assert chosen(["STR-007", "STR-001", "STR-003"]) == chosen(["STR-001", "STR-003", "STR-007"])
