"""Recorded runs: replayed to the same bytes without key or SDK, or refused. Nothing hides an execution."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from executing import approved, config_text, example_1
from model_runs import ask_both, healthy, look, submit
from workspaces import AS_OF

from portfolio_rebalance import run_skill
from portfolio_rebalance.agents.messages import ModelError
from portfolio_rebalance.agents.models import KEY_VARIABLE, Models
from portfolio_rebalance.agents.recording import RecordingClient
from portfolio_rebalance.agents.scripted import ScriptedClient, stops, uses
from portfolio_rebalance.config_llm import Llm
from portfolio_rebalance.records import RebalanceResult, canonical_bytes
from portfolio_rebalance.run.queries import config_of
from portfolio_rebalance.workspace import Ledger

NO_KEY = "A model is asked for, and there is no key."


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


# --- record and replay -----------------------------------------------------------------------------------


def as_it_is(text: str) -> str:
    return text


def recorded(root: Path, folder: Path, script: dict) -> RebalanceResult:
    """A run under a script, recorded as a live one is."""
    client = ScriptedClient(script)
    kept = RecordingClient(client, provenance="authored", redact=as_it_is)
    models = Models(kept, settings=config_of(root).llm, clock=lambda: 0.0, recording=(kept, folder))
    result = run_skill({"workspace": root, "as_of": AS_OF}, now=AS_OF, models=models)
    client.finish()
    assert result.error is None, result.error
    return result


def canonical_parts(result: RebalanceResult, root: Path) -> list[str]:
    """Digests of what a run leaves behind."""
    assert result.plan is not None
    stored = result.model_copy(update={"spend": None})
    (file,) = (root / "portfolio-rebalance").glob("assessment-*")
    parts = (canonical_bytes(result.plan), canonical_bytes(stored), file.read_bytes())
    return [hashlib.sha256(part).hexdigest() for part in parts]


def twins(folder: Path, **made: object) -> tuple[Path, Path]:
    roots = []
    for name in ("first", "second"):
        (folder / name).mkdir()
        roots.append(example_1(folder / name, **made))
    return roots[0], roots[1]


REPLAYS = """
import builtins, hashlib, sys
from pathlib import Path
from portfolio_rebalance import run_skill
from portfolio_rebalance.workspace import Ledger
from test_recorded_runs import canonical_parts, ledger_result
from workspaces import AS_OF
sys.modules["anthropic"] = None  # any import of it fails
root = Path(sys.argv[1])
result = run_skill({"workspace": root, "as_of": AS_OF, "replay": sys.argv[2]}, now=AS_OF)
assert result.error is None, result.error
assert result.spend.provider == "replay", result.spend
print(*canonical_parts(result, root), ledger_result(root, result), result.spend.calls)
"""


def ledger_result(root: Path, result: RebalanceResult) -> str:
    """Digest of the bytes that the ledger holds of a run."""
    with Ledger.read(root) as ledger:
        assert ledger is not None
        assert result.run_id is not None
        return hashlib.sha256(bytes(ledger.result(result.run_id))).hexdigest()


def test_a_replay_needs_no_key_and_no_sdk_and_leaves_the_same_bytes(tmp_path):
    first, second = twins(tmp_path)
    result = recorded(first, tmp_path / "tape", healthy())
    (tape,) = (tmp_path / "tape").iterdir()
    assert tape.name == f"{result.run_id}.jsonl"
    tests = Path(__file__).parent.parent
    paths = [tests, tests / "agents", tests / "execution", os.environ.get("PYTHONPATH", "")]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANTHROPIC")}
    done = subprocess.run(
        [sys.executable, "-c", REPLAYS, str(second), str(tmp_path / "tape")],
        env={**environment, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    expected = [*canonical_parts(result, first), ledger_result(first, result), "5"]
    assert done.stdout.split() == expected


def test_a_run_that_failed_is_replayed_with_its_failure(tmp_path):
    first, second = twins(tmp_path)
    script = healthy(
        orchestrator=[look(), ask_both(), stops("max_tokens"), submit("accept_ask_person")],
        risk_manager=[ModelError("overloaded", "HTTP 529 overloaded_error")],
    )
    before = recorded(first, tmp_path / "tape", script)
    after = run_skill({"workspace": second, "as_of": AS_OF, "replay": tmp_path / "tape"}, now=AS_OF)
    assert after.error is None
    assert canonical_parts(after, second) == canonical_parts(before, first)
    assert after.advice == before.advice


def test_two_drafts_with_the_same_reviewer_can_be_recorded_and_replayed(tmp_path):
    first, second = twins(tmp_path)
    asks = uses(*(("request_review", {"role": "risk_manager", "draft_id": draft}) for draft in ("D1", "D2")))
    analyst = uses(("request_review", {"role": "quantitative_analyst", "draft_id": "D1"}))
    review = uses(("submit_review", {"verdict": "approve", "concerns": []}))
    script = healthy(
        orchestrator=[look(), asks, analyst, submit()], risk_manager=[review], **{"risk_manager:D2": [review]}
    )
    before = recorded(first, tmp_path / "tape", script)
    after = run_skill({"workspace": second, "as_of": AS_OF, "replay": tmp_path / "tape"}, now=AS_OF)
    assert after.error is None, after.error
    assert canonical_parts(after, second) == canonical_parts(before, first)


def test_another_workspace_does_not_replay(tmp_path):
    first, _ = twins(tmp_path)
    recorded(first, tmp_path / "tape", healthy())
    (tmp_path / "other").mkdir()
    other = example_1(tmp_path / "other", config=config_text("correlation_analysis: {lookback_days: 31}"))
    result = run_skill({"workspace": other, "as_of": AS_OF, "replay": tmp_path / "tape"}, now=AS_OF)
    assert result.status == "refused"
    assert result.error is not None
    assert result.error.code == "replay_mismatch"
    assert "The request of orchestrator turn 1 attempt 1 is not the recorded one" in result.error.what
    assert "messages[0]" in result.error.what
    assert not (other / "portfolio-rebalance").exists()


def test_a_recorded_call_that_is_not_made_is_a_mismatch(tmp_path):
    first, _ = twins(tmp_path)
    recorded(first, tmp_path / "tape", healthy())
    (tmp_path / "other").mkdir()
    other = example_1(tmp_path / "other", config=config_text("llm: {max_calls: 1}"))
    result = run_skill({"workspace": other, "as_of": AS_OF, "replay": tmp_path / "tape"}, now=AS_OF)
    assert result.error is not None
    assert result.error.code == "replay_mismatch"
    assert "4 of 5 recorded calls were not made" in result.error.what


def test_the_rules_load_nothing_of_models(tmp_path):
    root = example_1(tmp_path)
    script = (
        "import sys\n"
        "from portfolio_rebalance import run_skill\n"
        "result = run_skill({'workspace': sys.argv[1], 'as_of': sys.argv[2]})\n"
        "assert result.status == 'planned', result.error\n"
        "of_models = ('anthropic', 'portfolio_rebalance.agents')\n"
        "print(sorted(name for name in sys.modules if name.startswith(of_models)))\n"
    )
    environment = {key: value for key, value in os.environ.items() if key not in (KEY_VARIABLE, "PYTHONPATH")}
    done = subprocess.run(
        [sys.executable, "-c", script, str(root), "2025-02-05T02:00:00Z"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]", done.stderr


# --- what models do never hides what was executed --------------------------------------------------------


def test_what_is_wrong_with_the_models_is_said_before_anything_is_executed(tmp_path):
    root = example_1(tmp_path, config=config_text("llm: {provider: anthropic}"))
    approved(root, provider="rules")
    result = run_skill({"workspace": root, "as_of": AS_OF, "execute": True}, now=AS_OF)
    assert result.error is not None
    assert (result.status, result.error.what, result.execution) == ("refused", NO_KEY, None)
    assert list((root / "portfolio-rebalance").glob("execution-*")) == []
    again = run_skill({"workspace": root, "as_of": AS_OF, "execute": True, "provider": "rules"}, now=AS_OF)
    assert again.status == "executed", again.error  # the approval was not used up


def test_an_execution_is_told_though_its_transcript_cannot_be_written(tmp_path):
    root = example_1(tmp_path)
    plan_id = approved(root)
    (tmp_path / "in-the-way").write_text("a file")
    client = ScriptedClient({"order_executor": [stops("refusal")]})
    kept = RecordingClient(client, provenance="authored", redact=as_it_is)
    models = Models(kept, settings=Llm(), clock=lambda: 0.0, recording=(kept, tmp_path / "in-the-way"))
    result = run_skill({"workspace": root, "as_of": AS_OF, "execute": True}, now=AS_OF, models=models)
    client.finish()
    assert result.execution is not None
    assert (result.status, result.plan_id) == ("executed", plan_id)
    assert any("in-the-way" in warning for warning in result.warnings)


def test_an_execution_is_told_though_a_replay_does_not_fit_it(tmp_path):
    first, second = twins(tmp_path)
    recorded(first, tmp_path / "tape", healthy())
    plan_id = approved(second)
    result = run_skill(
        {"workspace": second, "as_of": AS_OF, "execute": True, "replay": tmp_path / "tape"}, now=AS_OF
    )
    assert result.error is None
    assert (result.status, result.plan_id) == ("executed", plan_id)
    assert any("The run asks order_executor turn 1 attempt 1" in warning for warning in result.warnings)


def test_a_plan_is_told_though_its_transcript_cannot_be_written(tmp_path):
    root = example_1(tmp_path)
    (tmp_path / "in-the-way").write_text("a file")
    client = ScriptedClient(healthy())
    kept = RecordingClient(client, provenance="authored", redact=as_it_is)
    models = Models(kept, settings=Llm(), clock=lambda: 0.0, recording=(kept, tmp_path / "in-the-way"))
    result = run_skill({"workspace": root, "as_of": AS_OF}, now=AS_OF, models=models)
    assert result.status == "refused"
    assert result.error is not None
    assert "in-the-way" in result.error.where
    assert result.plan_id is not None  # it is stored, and can be approved
