"""A call of the ledger that has returned has reached the disk: the system calls show it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from workspace.executions import with_tests_on_path

CALLS = """
import os, sys
from pathlib import Path
from portfolio_rebalance.workspace import Ledger
from workspace.executions import *

def traced(name, call):
    os.write(1, f"before {name}\\n".encode())
    call()
    os.write(1, f"after {name}\\n".encode())

end = dict(report=b"{}", total_after=None, finished_at=hours(2))
files = [projection("x", b"x")]
prices = dict(reference_price=Decimal(1), limit_price=Decimal(1))
with Ledger.open(Path(sys.argv[1])) as ledger:
    say, run = ledger.approvals, ledger.journal
    traced("add_run", lambda: add_plans(ledger, "one"))
    add_plans(ledger, "one", "two", "three")
    traced("approve", lambda: say.approve(approval("one")))
    traced("reject", lambda: say.reject("three", user="anna", at=NOW))
    traced("start", lambda: run.start(started("one"), [order(0), order(1)]))
    traced("mark_sent", lambda: run.mark_sent("one", 0, **prices))
    traced("settle", lambda: run.settle("one", 0, state="done", fill=fill()))
    traced("revert", lambda: run.revert("one", reason="r", steps=[order(2, phase="revert")]))
    traced("need_operator", lambda: run.need_operator("one", reason="r"))
    traced("close", lambda: run.close("one", reason="r"))
    run.start(started("two"), [])
    traced("finish", lambda: run.finish("two", status="committed", projections=files,
                                        instructions=b"[]", **end))
    traced("confirm", lambda: say.confirm("two", strategy="STR-C", at=NOW))
    traced("mark_applied", lambda: ledger.outbox.mark_applied(1))
    traced("nothing", lambda: None)
"""


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """By call: the files that were synced while it ran."""
    if shutil.which("strace") is None:
        pytest.skip("no strace on this machine")
    folder = tmp_path_factory.mktemp("traced")
    trace = folder / "trace.txt"
    options = ["-f", "-y", "-s", "100", "-e", "trace=fsync,fdatasync,write", "-o", str(trace)]
    done = subprocess.run(
        ["strace", *options, sys.executable, "-c", CALLS, str(folder)],
        env=with_tests_on_path(),
        capture_output=True,
        text=True,
    )
    if done.returncode and "ptrace" in done.stderr.lower():
        pytest.skip("this machine does not let a process be traced")
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = {}
    running = ""
    for line in trace.read_text().splitlines():
        if mark := re.search(r'write\(1<.*>, "(before|after) (\w+)', line):
            running = mark[2] if mark[1] == "before" else ""
            found.setdefault(mark[2], [])
        elif running and (sync := re.search(r"f(?:data)?sync\(\d+<.*/([^/>]+)>\) += 0", line)):
            found[running].append(sync[1])
    return found


def test_every_call_has_synced_its_log_before_it_returns(synced: dict[str, list[str]]) -> None:
    assert synced.pop("nothing") == []
    assert len(synced) == 12
    assert {call for call, files in synced.items() if "ledger.db-wal" not in files} == set()


def test_a_commit_of_many_rows_is_one_sync(synced: dict[str, list[str]]) -> None:
    """One transaction, and so nothing that a power cut could leave half done."""
    assert synced["finish"] == synced["mark_sent"] == ["ledger.db-wal"]
