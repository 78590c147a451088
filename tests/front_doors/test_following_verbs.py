"""The verbs monitor, metrics and feedback: one object, plain rows, and the way to what does the work."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from executing import approved, example_1, execute
from rebalance_samples import START, outcome, plan_id_of

from portfolio_rebalance import follow_up
from portfolio_rebalance.cli import main as cli
from portfolio_rebalance.clock import Clock
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.monitoring.metrics import metrics_of
from portfolio_rebalance.records import Learned, MonitorReport, TuningStep
from portfolio_rebalance.records.metrics import MetricsReport
from portfolio_rebalance.run import follow
from portfolio_rebalance.workspace import Ledger

AS_OF = ("--as-of", "2025-02-09T02:00:00Z")
STEP = TuningStep(
    number=2,
    parameter="slippage_bps",
    at=START,
    plan_id=None,
    observed=None,
    before=Decimal(30),
    after=Decimal(25),
    configured=Decimal(25),
    observations=0,
    reverts=1,
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a workspace that was never rebalanced, as the working directory."""
    root = example_1(tmp_path)
    monkeypatch.chdir(tmp_path)
    return root


@pytest.fixture(scope="module")
def rebalanced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = example_1(tmp_path_factory.mktemp("rebalanced"))
    execute(root, approved(root))
    return root


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the verbs ask of what does the work, which answers with samples."""
    calls: list[dict[str, Any]] = []

    def monitor(root: Path, **more: Any) -> MonitorReport:
        more["progress"]("looking")
        calls.append({"root": root, **more})
        return MonitorReport(outcomes=(outcome(plan_id_of(1)),), steps=(STEP,))

    def revert(root: Path, number: int, *, clock: Clock) -> TuningStep:
        calls.append({"root": root, "number": number, "clock": clock})
        if number > 9:
            raise UsageError(f"There is no step {number} to take back.", where="NUMBER", fix="List them.")
        return STEP

    monkeypatch.setattr(follow_up, "monitor", monitor)
    monkeypatch.setattr(follow, "revert", revert)
    return calls


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(list(words))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def call_json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    code, out, err = call(capsys, *words, "--json")
    assert err == ""
    assert "\n" not in out[:-1]
    document: dict[str, Any] = json.loads(out)
    assert (document["schema_version"], document["exit_code"]) == (1, code)
    return document


def reported(document: dict[str, Any]) -> MetricsReport:
    return MetricsReport.model_validate_json(json.dumps(document["portfolio_rebalance_metrics"]))


# --- metrics ----------------------------------------------------------------------------------------------


def test_metrics_without_a_ledger_is_an_empty_report(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reported(call_json(capsys, "metrics")) == metrics_of([])
    code, out, _ = call(capsys, "metrics")
    assert code == 0
    assert out.startswith("No rebalance yet")
    assert not (place / "portfolio-rebalance").exists()


def test_metrics_of_a_rebalance_as_json_and_as_plain_rows(
    rebalanced: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = reported(call_json(capsys, "metrics", "--workspace", str(rebalanced)))
    assert (report.total_rebalances, report.successful_rebalances) == (1, 1)
    code, out, err = call(capsys, "metrics", "--workspace", str(rebalanced))
    assert (code, err) == (0, "")
    assert not set(out) & set("│┃─━╭╰|\x1b")
    assert "Limit maintenance        Never exceed 60% total, 30% correlated, 40% individual  0" in out


def test_metrics_knows_no_other_instant_than_now(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ("metrics", "--as-of", "2025-02-05T02:00:00Z"),
        ("--as-of", "2025-02-05T02:00:00Z", "metrics"),
    ):
        assert call_json(capsys, *words)["error"]["code"] == "usage"


# --- monitor ----------------------------------------------------------------------------------------------


def test_monitor_looks_at_the_workspace_from_the_instant_it_is_given(
    place: Path, capsys: pytest.CaptureFixture[str], asked: list[dict[str, Any]]
) -> None:
    before, after = (
        ("--as-of", "2025-02-09T02:00:00Z", "monitor"),
        ("monitor", "--as-of", "2025-02-09T02:00:00Z"),
    )
    for words in (before, after):
        document = call_json(capsys, *words)
        report = {name: document[name] for name in MonitorReport.model_fields}
        assert MonitorReport.model_validate_json(json.dumps(report)).steps == (STEP,)
        (found,) = asked
        assert found["root"] == place
        assert found["clock"].as_of == datetime(2025, 2, 9, 2, tzinfo=UTC)
        assert found["clock"].fixed
        assert found["now"]().tzinfo is UTC
        asked.clear()
    assert call(capsys, "monitor")[1].startswith("HELPED: plan 000000000000")
    assert not asked[0]["clock"].fixed


def test_monitor_refuses_what_belongs_to_a_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call_json(capsys, "--execute", "monitor")["error"]["code"] == "usage"
    assert call_json(capsys, "monitor", "--execute")["error"]["code"] == "usage"


# --- feedback ---------------------------------------------------------------------------------------------


def test_feedback_lists_what_was_learned_with_or_without_the_word(
    rebalanced: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ledger.open(rebalanced) as ledger:
        (followed,) = ledger.follow_ups.executions()
        step = STEP.model_copy(update={"plan_id": followed.plan_id, "number": 0, "reverts": None})
        lesson = Learned(
            plan_id=followed.plan_id, at=START, source="rules", cause="chance", text="within its uncertainty"
        )
        ledger.follow_ups.record(steps=[step], learned=[lesson])
    for words in (("feedback", "list"), ("feedback",)):
        document = call_json(capsys, *words, "--workspace", str(rebalanced))
        assert [one["number"] for one in document["steps"]] == [1]
        assert [one["cause"] for one in document["learned"]] == ["chance"]
        _, out, _ = call(capsys, *words, "--workspace", str(rebalanced))
        assert "slippage_bps  30.00 to 25.00" in out
        assert "within its uncertainty" in out


def test_a_workspace_may_be_named_before_every_word(
    place: Path, rebalanced: Path, capsys: pytest.CaptureFixture[str], asked: list[dict[str, Any]]
) -> None:
    there = ("--workspace", str(rebalanced))
    for words in (
        (*there, "feedback", "revert", "1"),
        ("feedback", *there, "revert", "1"),
        ("feedback", "revert", "1", *there),
        ("feedback", "--workspace", "/nowhere", "revert", "1", *there),
        (*there, "monitor"),
    ):
        call_json(capsys, *words)
        assert asked.pop()["root"] == rebalanced, words


def test_feedback_of_nothing_says_so(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = call_json(capsys, "feedback")
    assert (document["steps"], document["learned"]) == ([], [])
    assert call(capsys, "feedback", "list")[1].startswith("No estimate was tuned yet")


def test_a_step_is_taken_back_anywhere_and_the_log_shows_it(
    place: Path, capsys: pytest.CaptureFixture[str], asked: list[dict[str, Any]]
) -> None:
    assert call_json(capsys, "feedback", "revert", "1")["step"]["reverts"] == 1
    assert (asked[0]["root"], asked[0]["number"], asked[0]["clock"].fixed) == (place, 1, False)
    out = call(capsys, "feedback", "revert", "1")[1]
    assert out.startswith("Step 1 is taken back: slippage_bps is 25 again.")


@pytest.mark.parametrize("word", ["0", "-1", "two", "10"])
def test_a_step_that_is_none_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], asked: list[dict[str, Any]], word: str
) -> None:
    document = call_json(capsys, "feedback", "revert", word)
    assert (document["exit_code"], document["error"]["code"]) == (2, "usage")
