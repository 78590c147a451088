"""Cases that a hostile reading found; each held open a way to mislead a person."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from workspaces import AS_OF, THREE, Strategy, changed, make_workspace

from portfolio_rebalance import (
    calculate_correlation_matrix,
    generate_rebalance_proposal,
    run_skill,
    simulate_rebalance_impact,
    verify_allocation_compliance,
)
from portfolio_rebalance.errors import RebalanceError, UsageError
from portfolio_rebalance.records import RebalanceRequest, RebalanceResult
from portfolio_rebalance.run.queries import show


def run(root: Path, *, now: datetime = AS_OF, **request: object) -> RebalanceResult:
    return run_skill({"workspace": str(root), **request}, now=now)


def noise(seed: int, days: int = 60, mean: float = 0.0) -> list[float]:
    return list(np.random.default_rng(seed).normal(mean, 0.02, days))


def independent(count: int, days: int = 60) -> np.ndarray:
    """Columns that are exactly uncorrelated over the last thirty rows."""
    rng = np.random.default_rng(9)
    basis = np.linalg.qr(np.column_stack([np.ones(30), rng.normal(size=(30, count))]))[0][:, 1:]
    return np.vstack([0.02 * rng.normal(size=(days - 30, count)), 0.1 * basis])


def test_drift_is_no_basis_for_a_proposal_that_raises_drift(tmp_path: Path) -> None:
    strategies = {
        "STR-A": Strategy(capital=15_000, target_percent=15),
        "STR-B": Strategy(capital=15_000, target_percent=15),
        "STR-D": Strategy(capital=1_000, target_percent=0),
    }
    returns = {"STR-A": noise(1, mean=0.004), "STR-B": noise(2, mean=-0.004)}
    result = run(
        make_workspace(tmp_path, strategies, total_capital=100_000, returns=returns),
        mode="performance_weighted",
    )
    assert result.chosen is not None
    assert result.decision is not None
    assert result.chosen.drift_after > result.chosen.drift_before  # type: ignore[operator]
    assert result.decision.basis == "improvement"


def test_winding_everything_down_is_a_basis_although_there_is_no_drift(tmp_path: Path) -> None:
    strategies = {"STR-A": Strategy(capital=15_000, target_percent=0)}
    result = run(make_workspace(tmp_path, strategies, total_capital=100_000))
    assert result.decision is not None
    assert (result.decision.recommendation, result.decision.basis) == ("OPTIONAL", "drift")


def test_a_clock_in_the_future_is_refused(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, THREE, as_of=AS_OF + timedelta(days=30))
    refused = run(root, as_of="2025-03-07T02:00:00Z")
    assert refused.error is not None
    assert "has not come yet" in refused.error.what


def test_performance_weighted_never_pushes_a_cluster_over_its_limit() -> None:
    proposal = generate_rebalance_proposal(
        {"STR-W": 18, "STR-L": 12, "STR-X": 15, "STR-Y": 15, "STR-Z": 5},
        "performance_weighted",
        clusters=[["STR-W", "STR-L"], ["STR-X", "STR-Y"]],
        sharpe_ratios={"STR-W": 2, "STR-X": 1, "STR-L": -1, "STR-Z": -2},
    )
    assert proposal.summary.correlated_exposure_after == 30.0
    assert proposal.summary.total_reduction == 0


def test_unknown_correlation_stays_unknown_when_tools_are_composed(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, THREE, returns={key: [0.01, -0.01, 0.02, 0.01, 0.03] for key in THREE})
    report = calculate_correlation_matrix(list(THREE), workspace=root)
    assert report.status == "not_evaluated"
    assert report.correlated_exposure is None
    current = {"STR-001": 34, "STR-003": 20, "STR-007": 5}
    proposal = generate_rebalance_proposal(current, "correlation_aware", workspace=root)
    assert proposal.clusters is None
    assert proposal.summary.correlated_exposure_after is None
    compliance = verify_allocation_compliance(current, clusters=report.correlated_clusters)
    assert compliance.correlated_exposure == "NOT_EVALUATED"


def test_an_unknown_pair_through_an_unfunded_member_of_a_cluster_counts(tmp_path: Path) -> None:
    table = independent(2)
    a, c = table.T
    twin = a + 0.001 * c
    strategies = {
        "STR-A": Strategy(capital=20_000, target_percent=20),
        "STR-B": Strategy(capital=0, target_percent=0),
        "STR-C": Strategy(capital=20_000, target_percent=20),
    }
    returns = {"STR-A": list(a), "STR-B": list(twin[:-1]), "STR-C": [*([float("nan")] * 45), *c[-15:]]}
    root = make_workspace(tmp_path, strategies, total_capital=100_000, returns=returns)
    result = run(root)
    assert result.chosen is not None
    assert result.chosen.compliance.repaired_correlated_exposure == "NOT_EVALUATED"


def test_a_closed_strategy_without_data_does_not_leave_the_portfolio_unevaluated(tmp_path: Path) -> None:
    a, c = independent(2).T
    strategies = {
        "STR-A": Strategy(capital=20_000, target_percent=20),
        "STR-C": Strategy(capital=20_000, target_percent=20),
        "STR-OLD": Strategy(capital=0, target_percent=0),
    }
    returns = {"STR-A": list(a), "STR-C": list(c), "STR-OLD": None}
    result = run(make_workspace(tmp_path, strategies, total_capital=100_000, returns=returns))
    assert result.chosen is not None
    assert result.chosen.compliance.repaired_correlated_exposure == "PASS"


def test_the_plan_names_the_pairs_that_could_not_be_evaluated(tmp_path: Path) -> None:
    strategies = {
        "STR-A": Strategy(capital=20_000, target_percent=17),
        "STR-B": Strategy(capital=20_000, target_percent=20),
        "STR-C": Strategy(capital=5_000, target_percent=5),
    }
    root = make_workspace(tmp_path, strategies, total_capital=100_000, returns={"STR-B": noise(3, 12)})
    plan = run(root, mode="proportional").plan
    assert plan is not None
    assert plan.correlated_exposure == "NOT_EVALUATED"
    assert "STR-A/STR-B" in plan.not_evaluated_reason


def test_quantities_are_bound_to_the_last_digit(tmp_path: Path) -> None:
    quantity = "12345678901.123456789012345678"
    leg = {"asset": "SHIB", "quantity": quantity, "price": "0.00001", "market_value": 20_400}
    plan = run(make_workspace(tmp_path, changed(THREE, "STR-001", positions=[leg]))).plan
    assert plan is not None
    assert plan.strategies[0].quantities["SHIB"] == Decimal(quantity)


def test_the_same_run_asked_for_in_other_words_is_the_same_run(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, THREE)
    first = run(root)
    assert run(root, mode="correlation-aware") == first
    request = RebalanceRequest(workspace=str(root), hold=("STR-007", "STR-007"), mode="correlation-aware")
    held = run_skill(request, now=AS_OF)
    assert held == run(root, hold=["STR-007"])
    assert first.plan_id is not None
    assert show(root, first.plan_id) == first


def test_what_repair_could_not_fix_is_an_alert(tmp_path: Path) -> None:
    result = run(make_workspace(tmp_path, THREE), hold=list(THREE))
    assert result.status == "blocked"
    assert any("stays broken" in alert for alert in result.alerts)


def test_an_extreme_correlation_below_a_high_threshold_is_still_an_alert(tmp_path: Path) -> None:
    a, c = independent(2).T
    config = "portfolio_rebalance:\n  correlation_analysis: {high_correlation_threshold: 0.99}\n"
    returns = {"STR-001": list(a), "STR-003": list(0.97 * a + 0.243 * c), "STR-007": list(c)}
    result = run(make_workspace(tmp_path, THREE, returns=returns, config=config))
    assert any("STR-001/STR-003 correlate at 0.97" in alert for alert in result.alerts)


def test_an_undefined_improvement_says_why() -> None:
    impact = simulate_rebalance_impact(
        {"current_allocations": {"STR-A": 0}, "proposed_allocations": {"STR-A": 30}},
        returns={"STR-A": noise(1, 30)},
    )
    assert impact.computed
    assert impact.gross_improvement_percent is None
    assert "undefined" in impact.reason
    assert impact.recommendation == "HOLD"


@pytest.mark.parametrize(
    "given",
    [
        None,
        5,
        b"rebalance",
        ["--mode", 5],
        {"hold": ["STR-001", 1]},
        {"hold": [["a"]]},
        {"hold": 5},
        {"dry_run": "maybe"},
        {"confirm_capital": "1e9999999999999"},
        {"confirm_capital": "1e-9999999999"},
        {"confirm_capital": Decimal("1e300000000")},
        {"confirm_capital": Decimal(-5)},
        {"confirm_capital": True},
        "please do not rebalance anything",
        "rebalance STR-001 to 20 percent",
        "rebalance proportional or risk-adjusted",
    ],
)
def test_nonsense_is_refused_as_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: object
) -> None:
    monkeypatch.chdir(make_workspace(tmp_path, THREE).parent)
    result = run_skill(given, now=AS_OF)  # type: ignore[arg-type]
    assert (result.status, result.exit_code) == ("refused", 2)
    assert result.error is not None
    assert result.error.fix


def test_options_may_stand_between_plain_words(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, THREE)
    assert run_skill(f"fix --workspace {root} drift", now=AS_OF).mode == "proportional"


FRAME = pd.DataFrame(
    {"STR-A": noise(1, 30), "STR-B": noise(2, 30)}, index=pd.date_range("2024-01-01", periods=30)
)


@pytest.mark.parametrize(
    "returns",
    [
        FRAME.reset_index(drop=True),
        FRAME.reset_index().rename(columns={"index": "STR-C"}),
        FRAME.set_axis([*FRAME.index[:-1], pd.NaT]),
        {"STR-A": {20240101: 0.1}, "STR-B": {20240101: 0.1}},
        {"STR-A": {"today": 0.1}, "STR-B": {"today": 0.1}},
        {"STR-A": [0.1] * 30, "STR-B": {datetime(2024, 1, 1): 0.1}},
        {"STR-A": [1e300, -0.01] * 15, "STR-B": [0.1] * 30},
        {"STR-A": [-3.0] * 30, "STR-B": [0.1] * 30},
        {"STR-A": {datetime(9999, 12, 31): 0.1}, "STR-B": {datetime(9999, 12, 31): 0.1}},
        FRAME.to_numpy(),
    ],
)
def test_returns_that_are_not_clearly_days_and_fractions_are_refused(returns: object) -> None:
    with pytest.raises(UsageError):
        calculate_correlation_matrix(["STR-A", "STR-B"], returns=returns)  # type: ignore[arg-type]


def test_series_are_joined_by_day_and_not_by_position() -> None:
    series = pd.Series(noise(1, 40), index=pd.date_range("2024-01-01", periods=40))
    report = calculate_correlation_matrix(["STR-A", "STR-B"], returns={"STR-A": series[1:], "STR-B": series})
    assert report.correlation_matrix["STR-A"]["STR-B"] == pytest.approx(1.0)
    assert report.as_of == datetime(2024, 2, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "as_of", ["2024-01-01T00:00:00", "yesterday", datetime(2024, 1, 1), datetime(1, 1, 1, tzinfo=UTC), 5]
)
def test_an_instant_that_is_none_is_refused(as_of: object) -> None:
    with pytest.raises(UsageError):
        calculate_correlation_matrix(["STR-A"], returns=FRAME, as_of=as_of)  # type: ignore[arg-type]


def test_numbers_of_other_libraries_are_numbers() -> None:
    report = verify_allocation_compliance(
        {"STR-A": np.float64(10.3), "STR-B": np.int64(5), "STR-C": np.float32(10.3)}
    )
    assert dict(report.given_bp) == {"STR-A": 1030, "STR-B": 500, "STR-C": 1030}


def test_simulating_a_strategy_without_returns_names_it() -> None:
    with pytest.raises(UsageError, match="STR-X"):
        simulate_rebalance_impact(
            {"current_allocations": {"STR-X": 10}, "proposed_allocations": {"STR-X": 5}}, returns=FRAME
        )


def test_held_strategies_start_where_they_stand_in_the_assessment_too(tmp_path: Path) -> None:
    strategies = changed(THREE, "STR-003", market_value=14_000)
    assessment = run(make_workspace(tmp_path, strategies), hold=["STR-003"]).assessment
    assert assessment is not None
    assert assessment.current_allocations["STR-003"].starts_from == "current"


def test_a_tool_reads_a_workspace_whose_returns_go_on_after_its_state(tmp_path: Path) -> None:
    root = make_workspace(tmp_path, THREE)
    path = root / "live-monitoring/live-performance/STR-001/daily_returns.csv"
    path.write_text(path.read_text() + "2025-02-09,0.01\n")
    assert calculate_correlation_matrix(["STR-001", "STR-003"], workspace=root).status == "evaluated"


def test_random_typed_input_never_raises_anything_else() -> None:
    import random

    rng = random.Random(4)
    odd = [
        0,
        -1,
        34,
        10.3,
        1e308,
        float("nan"),
        float("inf"),
        Decimal("1e9999999"),
        Decimal("sNaN"),
        10**400,
        True,
        "x",
        None,
    ]
    ids = ["STR-A", "STR-B", "x"]
    for _ in range(3000):

        def mapping() -> dict[str, object]:
            return {key: rng.choice(odd) for key in rng.sample(ids, rng.randint(0, 3))}

        calls = (
            lambda: verify_allocation_compliance(
                mapping(),
                mapping() or None,
                clusters=rng.choice([(), None, [["STR-A", "STR-B"]], ["x"]]),
                start=rng.choice([None, mapping()]),
            ),
            lambda: (
                generate_rebalance_proposal(
                    mapping(),
                    rng.choice(["proportional", "risk_adjusted", "?"]),
                    targets=mapping(),
                    psr=mapping(),
                    volatilities=mapping(),
                ).summary
            ),
            lambda: simulate_rebalance_impact(
                {"current_allocations": mapping(), "proposed_allocations": mapping()}, returns=FRAME
            ),
            lambda: calculate_correlation_matrix(
                rng.sample(ids, 2),
                rng.choice([30, 5, 0, -1, 10**9, True, "x"]),
                returns=FRAME,
                allocations=mapping(),
            ),
        )
        with suppress(RebalanceError):
            rng.choice(calls)()
