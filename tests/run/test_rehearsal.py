"""Follow-ups simulated on real returns: predictions keep what they promise, and nothing is written."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from real_data import as_of_after, real_workspace

from portfolio_rebalance.cli.main import main
from portfolio_rebalance.clock import Clock
from portfolio_rebalance.errors import MissingDataError
from portfolio_rebalance.monitoring.calibration import calibration_of
from portfolio_rebalance.records import METRICS, canonical_bytes
from portfolio_rebalance.run.rehearsal import Rehearsal, rehearse
from portfolio_rebalance.workspace import init_demo

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def rehearsed(root: Path, last_day: date) -> Rehearsal:
    return rehearse(root, clock=Clock.at(as_of_after(last_day), now=NOW))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    init_demo(folder)
    return folder / ".crypto"


def test_at_least_a_hundred_follow_ups_keep_the_coverage_that_intervals_promise(demo: Path) -> None:
    before = {
        path: hashlib.sha256(path.read_bytes()).hexdigest() for path in demo.rglob("*") if path.is_file()
    }
    found = rehearsed(demo, date(2019, 9, 30))
    graded = [one for one in found.outcomes if one.graded]
    assert len(graded) >= 100
    assert found.dates == len({one.committed_at for one in found.outcomes}) >= 50
    table = calibration_of(found.outcomes)
    for metric in METRICS:
        inside = table.all.coverage[metric].inside
        assert inside is not None
        assert 0.85 <= inside <= 0.95, metric
    after = {
        path: hashlib.sha256(path.read_bytes()).hexdigest() for path in demo.rglob("*") if path.is_file()
    }
    assert after == before


LAST_DAY = date(2018, 8, 31)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Three strategies and eight months."""
    capital = {"btc_hold": 20_000, "eth_hold": 18_000, "xs_momentum_ls": 12_000}
    return real_workspace(tmp_path, capital, last_day=LAST_DAY)


def test_no_prediction_knows_a_day_after_it(small: Path) -> None:
    """What came later is changed wholly; what was predicted stays, to the byte."""
    before = rehearsed(small, LAST_DAY)
    for path in small.rglob("daily_returns.csv"):
        rows = path.read_text().splitlines()
        changed = [
            row if row < "2018-08-01" or row == rows[0] else f"{row.split(',')[0]},0.02" for row in rows
        ]
        path.write_text("\n".join(changed) + "\n")
    after = rehearsed(small, LAST_DAY)

    def early(found: Rehearsal) -> bytes:
        return canonical_bytes([one for one in found.outcomes if one.at < datetime(2018, 8, 1, tzinfo=UTC)])

    assert early(before) == early(after) != b"[]"
    assert canonical_bytes(before.outcomes) != canonical_bytes(after.outcomes)


def test_a_history_that_is_too_short_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    last_day = date(2018, 3, 31)
    root = real_workspace(tmp_path, {"btc_hold": 20_000, "eth_hold": 18_000}, last_day=last_day)
    with pytest.raises(MissingDataError, match="fewer than 97 days"):
        rehearsed(root, last_day)


def test_one_command_prints_the_table(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["metrics", "--rehearse", "--workspace", str(small), "--as-of", "2018-09-01T02:00:00Z"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "follow-ups were simulated from today's allocations at" in text
    assert "Share of realised values inside of their intervals; 0.9 is promised" in text
    assert main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["follow_ups"] >= 20
    assert set(document["calibration"]["all"]["coverage"]) == set(METRICS)
    assert main(["metrics", "--as-of", "2018-09-01T02:00:00Z", "--workspace", str(small)]) == 2
