"""Thousands of damaged streams against the real SDK over HTTP on this machine."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import anthropic
import pytest
from client_fuzz import fuzzed

assert anthropic.__version__  # imported before any deadline runs


@pytest.mark.proof
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_thousands_of_mutated_streams_give_a_reply_or_a_named_error(seed: int) -> None:
    kinds = fuzzed(1500, draw=random.Random(seed))
    assert sum(kinds.values()) == 1500
    assert kinds["reply"] > 25
    assert kinds["malformed"] > 150
    assert kinds["incomplete"] > 150
    assert kinds["overloaded"] > 50


@pytest.mark.proof
def test_a_call_that_was_given_up_keeps_no_process_alive() -> None:
    code = (
        "import time\n"
        "from loopback_messages import *\n"
        "server = LoopbackMessages([Answer(bare=True, parts=[60.0])])\n"
        "import anthropic\n"
        "error = outcome_of(client_of(server.url, clock=time.monotonic), a_call(seconds=0.2))\n"
        "print(error.kind)\n"
    )
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1] / "agents",
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "timeout\n", "")
    assert time.monotonic() - begun < 40
