"""Each tool alone, as in a notebook: what it accepts, what it returns, what it refuses."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from skfolio.optimization import InverseVolatility

from portfolio_rebalance import (
    calculate_correlation_matrix,
    generate_rebalance_proposal,
    simulate_rebalance_impact,
    verify_allocation_compliance,
)
from portfolio_rebalance.errors import ConfigError, UsageError

RNG = np.random.default_rng(42)
FRAME = pd.DataFrame(
    RNG.normal(0.001, 0.02, (40, 3)),
    index=pd.date_range("2024-01-01", periods=40, tz="UTC"),
    columns=["STR-A", "STR-B", "STR-C"],
)


def test_frame_mapping_and_sequences_give_the_same_report() -> None:
    by_frame = calculate_correlation_matrix(["STR-A", "STR-B"], 30, returns=FRAME)
    dated = {name: {day.date(): value for day, value in FRAME[name].items()} for name in FRAME}
    by_mapping = calculate_correlation_matrix(["STR-A", "STR-B"], 30, returns=dated)
    by_sequence = calculate_correlation_matrix(
        ["STR-A", "STR-B"],
        30,
        returns={name: FRAME[name].tolist() for name in FRAME},
        as_of=datetime(2024, 2, 10, tzinfo=UTC),
    )
    assert by_frame == by_mapping == by_sequence
    assert by_frame.as_of == datetime(2024, 2, 10, tzinfo=UTC)


def test_an_instant_may_be_text_or_a_day() -> None:
    same = (datetime(2024, 2, 5, tzinfo=UTC), date(2024, 2, 5), "2024-02-05", "2024-02-05T00:00:00Z")
    reports = [
        calculate_correlation_matrix(["STR-A", "STR-B"], 30, returns=FRAME, as_of=as_of) for as_of in same
    ]
    assert reports == [reports[0]] * 4


def test_frame_of_the_matrix_equals_pandas() -> None:
    holes = FRAME.mask(RNG.random(FRAME.shape) < 0.1)
    report = calculate_correlation_matrix(list(FRAME), 40, returns=holes)
    expected = holes.corr(min_periods=20)
    assert np.allclose(report.to_frame().to_numpy(), expected.to_numpy(), atol=1e-10, equal_nan=True)


def test_the_window_is_calendar_days_and_ends_on_the_last_closed_day() -> None:
    as_of = datetime(2024, 2, 5, 23, 0, tzinfo=UTC)  # the fifth has not closed
    report = calculate_correlation_matrix(["STR-A", "STR-B"], 30, returns=FRAME, as_of=as_of)
    rows = FRAME.loc["2024-01-06":"2024-02-04"]
    assert len(rows) == 30
    assert report.correlation_matrix["STR-A"]["STR-B"] == pytest.approx(rows.corr().loc["STR-A", "STR-B"])


def test_a_hole_shortens_the_window_instead_of_reaching_back() -> None:
    holes = FRAME.copy()
    holes.iloc[-15:-2] = np.nan
    report = calculate_correlation_matrix(["STR-A", "STR-B"], 30, returns=holes)
    assert report.status == "not_evaluated"
    assert report.unknown_pairs[0].observations == 17
    assert report.unknown_pairs[0].reason == "too_few_observations"


def test_hysteresis_keeps_a_pair_high_until_the_exit_threshold() -> None:
    rng = np.random.default_rng(3)
    basis = np.linalg.qr(np.column_stack([np.ones(30), rng.normal(size=(30, 2))]))[0][:, 1:]

    def report_at(rho: float, before: list[tuple[str, str]]):  # type: ignore[no-untyped-def]
        a, b = basis.T
        returns = {"STR-A": list(a), "STR-B": list(rho * a + math.sqrt(1 - rho**2) * b)}
        return calculate_correlation_matrix(
            ["STR-A", "STR-B"], 30, returns=returns, previous_high_pairs=before
        )

    assert report_at(0.65, []).high_correlation_pairs == ()
    (kept,) = report_at(0.65, [("STR-B", "STR-A")]).high_correlation_pairs
    assert kept.kept_by_hysteresis
    assert report_at(0.65, [("STR-B", "STR-A")]).clusters == (("STR-A", "STR-B"),)
    assert report_at(0.59, [("STR-A", "STR-B")]).high_correlation_pairs == ()
    assert not report_at(0.71, [("STR-A", "STR-B")]).high_correlation_pairs[0].kept_by_hysteresis


def test_the_weaker_of_a_redundant_pair_is_named_by_sharpe() -> None:
    base = np.random.default_rng(5).normal(0, 0.02, 30)
    returns = {"STR-GOOD": list(base + 0.002), "STR-WEAK": list(base * 1.1 - 0.002)}
    (pair,) = calculate_correlation_matrix(list(returns), 30, returns=returns).redundant_pairs
    assert pair.weaker == "STR-WEAK"
    assert pair.redundancy_score == pytest.approx(1.0)


def test_inverse_volatility_agrees_with_a_peer_on_random_portfolios() -> None:
    rng = np.random.default_rng(8)
    for _ in range(60):
        values = rng.normal(0, rng.uniform(0.005, 0.05, 5), (40, 5))
        peer = InverseVolatility().fit(values).weights_
        vols = {f"S{i}": float(values[:, i].std(ddof=1)) for i in range(5)}
        if peer.max() * 60 > 40:
            continue  # the cap cuts, which the peer does not know
        exact = {key: Fraction(12) for key in vols}
        proposal = generate_rebalance_proposal(exact, "risk_adjusted", volatilities=vols)
        ours = np.array([float(proposal.proposed_bp[key]) / 6000 for key in vols])
        assert np.abs(ours - peer).max() < 1 / 6000  # whole basis points


def test_inverse_volatility_weights_of_the_golden_table() -> None:
    from portfolio_rebalance.allocation import Situation, find_mode
    from portfolio_rebalance.analytics import volatility

    golden = np.random.default_rng(20240229).normal(0.001, 0.02, (30, 5))
    vols = {name: volatility(golden[:, place], periods=365) for place, name in enumerate("ABCDE")}
    start = dict.fromkeys("ABCDE", Fraction(1000))
    wishes = find_mode("risk_adjusted").propose(Situation(start_bp=start, volatilities=vols)).wishes_bp
    expected = [0.17304951, 0.27399194, 0.16787894, 0.19325597, 0.19182365]
    assert [float(wishes[name] / 5000) for name in "ABCDE"] == pytest.approx(expected, abs=1e-8)
    peer = InverseVolatility().fit(golden).weights_
    assert [float(wishes[name] / 5000) for name in "ABCDE"] == pytest.approx(list(peer), abs=1e-10)


@pytest.mark.parametrize("number", [10.3, Decimal("10.3"), Fraction(103, 10)])
def test_percentages_are_read_exactly_whatever_their_type(number: object) -> None:
    report = verify_allocation_compliance({"STR-A": number})  # type: ignore[dict-item]
    assert report.given_bp["STR-A"] == 1030


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, "34", None, True, Decimal("NaN")])
def test_what_is_no_finite_number_is_refused(number: object) -> None:
    with pytest.raises(UsageError, match="not a"):
        verify_allocation_compliance({"STR-A": number})  # type: ignore[dict-item]


def test_unknown_clusters_are_never_a_pass() -> None:
    report = verify_allocation_compliance({"STR-A": 10, "STR-B": 10}, clusters=None)
    assert report.correlated_exposure == "NOT_EVALUATED"
    assert not report.correlated_exposure_ok
    assert not report.all_limits_met


def test_pins_that_make_compliance_impossible_are_diagnosed() -> None:
    report = verify_allocation_compliance(
        {"STR-A": 35, "STR-B": 20, "STR-C": 15}, clusters=[("STR-A", "STR-B")], pinned=["STR-A", "STR-B"]
    )
    assert report.blocked is not None
    assert [violation.limit for violation in report.blocked.binding] == ["correlated_exposure"]
    assert report.blocked.release == ("STR-A",)
    assert report.blocked.largest_compliant_total == 45.0
    assert not report.repaired_limits_met


@pytest.mark.parametrize("limits", [{"max_total_deployed_percent": 0}, {"min_allocation_percent": 50}])
def test_limits_out_of_range_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        verify_allocation_compliance({"STR-A": 10}, limits)


def test_a_mistyped_limit_is_refused_and_not_ignored() -> None:
    with pytest.raises(UsageError, match="max_total_deployed_percen"):
        verify_allocation_compliance({"STR-A": 10}, {"max_total_deployed_percen": 60})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"algorithm_mode": "momentum"}, "no mode"),
        ({"current_allocations": {}}, "No allocations"),
        ({"current_allocations": {"STR-A": -1}}, "0 or more"),
        ({"targets": {"STR-A": -50}}, "0 or more"),
        ({"volatilities": {"STR-A": -0.1}}, "no number"),
        ({"psr": {"STR-A": 7}}, "no number"),
        ({"current_allocations": {"STR-A": 10**400}}, "far too long"),
        ({"held": ["STR-X"]}, "STR-X"),
        ({"sharpe_ratios": {"STR-X": 1.0}}, "STR-X"),
        ({"sharpe_ratios": {"STR-A": math.nan}}, "nan"),
        ({"targets": {"STR-X": 1}}, "STR-X"),
        ({"clusters": ["STR-A"]}, "not a cluster"),
    ],
)
def test_proposals_from_inputs_that_do_not_match_are_refused(
    arguments: dict[str, object], words: str
) -> None:
    given: dict[str, object] = {"current_allocations": {"STR-A": 10}, "algorithm_mode": "proportional"}
    with pytest.raises(UsageError, match=words):
        generate_rebalance_proposal(**(given | arguments))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "returns", [None, {}, {"STR-A": [math.inf] * 30}, {"STR-A": [0.1], "STR-B": [0.1, 0.2]}]
)
def test_returns_that_cannot_be_used_are_refused(returns: object) -> None:
    with pytest.raises(UsageError):
        calculate_correlation_matrix(["STR-A"], 30, returns=returns)  # type: ignore[arg-type]


def test_held_strategies_do_not_change_and_drifted_ones_start_from_their_target() -> None:
    proposal = generate_rebalance_proposal(
        {"STR-A": 34, "STR-B": 20, "STR-C": 12},
        "proportional",
        targets={"STR-A": 34, "STR-B": 20, "STR-C": 10},
        held=["STR-B"],
    )
    assert proposal.start_bp["STR-C"] == 1000
    assert proposal.proposed_bp["STR-B"] == 2000
    assert proposal.summary.total_deployed_after == 60.0


def impact_of(before: float, after: float, returns: np.ndarray, other: np.ndarray):  # type: ignore[no-untyped-def]
    return simulate_rebalance_impact(
        {
            "current_allocations": {"STR-A": before, "STR-B": 10},
            "proposed_allocations": {"STR-A": after, "STR-B": 10},
        },
        returns={"STR-A": list(returns), "STR-B": list(other)},
    )


def test_impact_matches_a_one_liner_and_cost_is_charged_once() -> None:
    a, b = RNG.normal(0.001, 0.02, 30), RNG.normal(0.001, 0.03, 30)
    impact = impact_of(30, 10, a, b)
    before, after = 0.3 * a + 0.1 * b, 0.1 * a + 0.1 * b
    assert impact.baseline_metrics.sharpe == pytest.approx(
        before.mean() / before.std(ddof=1) * math.sqrt(365)
    )
    assert impact.projected_metrics.return_ == pytest.approx(100 * (np.prod(1 + after) - 1))
    assert impact.trading_costs.turnover_percent == 20.0
    assert impact.trading_costs.plan_cost_percent == pytest.approx(20 * 0.0030)
    charged = after.copy()
    charged[0] -= 0.20 * 0.0030
    assert impact.projected_after_cost.return_ == pytest.approx(100 * (np.prod(1 + charged) - 1))


def test_too_few_common_days_leave_impact_undefined_and_hold() -> None:
    impact = impact_of(30, 10, RNG.normal(0, 0.02, 19), RNG.normal(0, 0.02, 19))
    assert not impact.computed
    assert impact.baseline_metrics is None
    assert impact.recommendation == "HOLD"
    assert "19" in impact.reason


def test_no_change_is_hold_with_no_probability() -> None:
    impact = impact_of(30, 30, RNG.normal(0, 0.02, 30), RNG.normal(0, 0.02, 30))
    assert impact.recommendation == "HOLD"
    assert impact.resampling.probability_better is None
    assert impact.gross_improvement_percent == 0.0


def test_days_outside_the_common_ones_and_unweighted_strategies_do_not_count() -> None:
    days = [date(2024, 1, 1) + timedelta(days=place) for place in range(30)]
    a = dict(zip(days, RNG.normal(0, 0.02, 30), strict=True))
    b = {day: value for day, value in a.items() if day.day % 7}
    impact = simulate_rebalance_impact(
        {
            "current_allocations": {"STR-A": 20, "STR-B": 10, "STR-C": 0},
            "proposed_allocations": {"STR-A": 10, "STR-B": 10, "STR-C": 0},
        },
        returns={"STR-A": a, "STR-B": b, "STR-C": {days[0]: 0.5}},
    )
    assert impact.observations == len(b)


def test_draws_depend_on_the_inputs_alone() -> None:
    a, b = RNG.normal(0.001, 0.02, 30), RNG.normal(0.001, 0.03, 30)
    assert impact_of(30, 10, a, b) == impact_of(30, 10, a, b)
    assert impact_of(30, 10, a, b).resampling.seed == impact_of(30, 11, a, b).resampling.seed
    assert impact_of(30, 10, a, b).resampling.seed != impact_of(30, 10, b, a).resampling.seed
