"""Large counts of what follows a rebalance: coverage on many portfolios, costs learned at a real venue."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from executing import approved, example_1, execute, hour_later
from real_data import as_of_after, real_workspace, sample

from portfolio_rebalance.clock import Clock
from portfolio_rebalance.execution.paper import PaperVenue
from portfolio_rebalance.monitoring.calibration import calibration_of
from portfolio_rebalance.records import METRICS, Outcome
from portfolio_rebalance.run.follow import follow
from portfolio_rebalance.run.rehearsal import rehearse
from portfolio_rebalance.workspace import Ledger

pytestmark = pytest.mark.proof

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_portfolio(draw: random.Random) -> dict[str, int]:
    """Three to nine of the real strategies, 40 to 80 % of the capital in them."""
    names = draw.sample(sorted(sample()), draw.randint(3, 9))
    shares = [draw.expovariate(1) + 0.2 for _ in names]
    deployed = draw.uniform(40_000, 80_000)
    return {
        name: max(1_000, round(deployed * share / sum(shares), -1))
        for name, share in zip(names, shares, strict=True)
    }


def test_intervals_keep_their_coverage_on_portfolios_of_every_kind(tmp_path: Path) -> None:
    draw = random.Random(20261130)
    outcomes: list[Outcome] = []
    for number in range(25):
        last_day = date(2019, 10, 15) - timedelta(days=draw.randint(0, 200))
        root = real_workspace(tmp_path / str(number), a_portfolio(draw), last_day=last_day)
        found = rehearse(root, clock=Clock.at(as_of_after(last_day), now=NOW))
        outcomes += [one for one in found.outcomes if one.graded]
        own = calibration_of(found.outcomes).all
        for metric in METRICS:
            inside = own.coverage[metric].inside
            assert inside is not None
            assert 0.75 <= inside <= 1.0, (number, metric)  # some fifty dates that five modes share
    assert len(outcomes) >= 4_000
    table = calibration_of(outcomes).all
    for metric in METRICS:
        inside = table.coverage[metric].inside
        assert inside is not None
        assert 0.85 <= inside <= 0.95, (metric, inside)


@pytest.mark.parametrize(("first", "second"), [("8", "32"), ("34", "10")])
def test_costs_at_a_venue_are_learned_within_twenty_rebalances_and_again_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    root = example_1(tmp_path)
    drifted = {path: path.read_bytes() for path in (root / "BOOTSTRAP.md", root / "knowledge/registry.yaml")}
    real = PaperVenue.open
    at_the_venue = {"slippage_bps": Decimal(first)}
    monkeypatch.setattr(PaperVenue, "open", lambda path, **given: real(path, **(given | at_the_venue)))
    errors, number = [], 0
    for true_bps in (first, second):
        at_the_venue["slippage_bps"] = Decimal(true_bps)  # whatever the configuration says
        for _ in range(20):
            for path, content in drifted.items():  # the same breach again
                path.write_bytes(content)
            at = hour_later(root, number + 1, factor=lambda _key: Decimal(1))
            plan_id = approved(root, at=at)
            assert execute(root, plan_id, at=at).status == "committed"
            follow(root, clock=Clock.at(at, now=NOW))
            errors.append(abs(_estimate(root) - Decimal(true_bps)))
            number += 1
    assert errors[19] <= abs(Decimal(25) - Decimal(first)) / 2
    assert errors[39] <= abs(Decimal(first) - Decimal(second)) / 2


def _estimate(root: Path) -> Decimal:
    with Ledger.read(root) as ledger:
        assert ledger is not None
        return [step for step in ledger.follow_ups.steps() if step.parameter == "slippage_bps"][-1].after
