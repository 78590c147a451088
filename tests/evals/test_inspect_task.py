"""The Inspect task: Inspect runs the scenarios, and its scores are ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    find_spec("inspect_ai") is None, reason="inspect-ai is not installed; it comes with the extra: inspect"
)

# In a process of its own: Inspect patches the event loop, and its imports warn.
RUN = """
import json, math, sys
from inspect_ai import eval
from portfolio_rebalance.evals.inspect_task import rebalance_scenarios

(log,) = eval(
    rebalance_scenarios(), model="none/none", sample_id=["replayed-worked-example", "fault-refusal"],
    log_dir=sys.argv[1], display="none",
)
print(json.dumps({
    "status": log.status,
    "samples": {
        str(one.id): {
            "scores": {
                key: None if value is None or math.isnan(value) else value
                for key, value in one.scores["our_scorers"].value.items()
            },
            "answer": one.scores["our_scorers"].answer,
            "explanation": one.scores["our_scorers"].explanation,
            "said": [message.text for message in one.messages if message.role == "assistant"],
        }
        for one in log.samples
    },
}))
"""


def test_inspect_runs_scenarios_and_scores_them_as_we_do(tmp_path: Path) -> None:
    from portfolio_rebalance.evals.scorers import SCORERS

    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "INSPECT_LOG_LEVEL": "error"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    log = json.loads(done.stdout.splitlines()[-1])
    assert log["status"] == "success"
    assert set(log["samples"]) == {"replayed-worked-example", "fault-refusal"}
    for sample in log["samples"].values():
        assert set(sample["scores"]) == {one.name for one in SCORERS}
        assert set(sample["scores"].values()) <= {1.0, None}
        assert (sample["answer"], sample["explanation"]) == ("planned", "no fault")
    worked = log["samples"]["replayed-worked-example"]
    assert worked["scores"]["limits"] == 1.0
    assert any(said.startswith("submit {") for said in worked["said"])
    assert log["samples"]["fault-refusal"]["said"] == ["I cannot help with that."]
