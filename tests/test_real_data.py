"""What real data teaches: each fact is a test on the shipped returns."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from real_data import as_of_after, real_workspace, sample, strategy_id

from portfolio_rebalance import (
    calculate_correlation_matrix,
    generate_rebalance_proposal,
    run_skill,
    simulate_rebalance_impact,
)

DATA = sample()
ALL = list(DATA)


def clusters_on(last_day: date, *, names: list[str] = ALL) -> list[int]:
    """Sizes of the clusters of two or more, largest first."""
    report = calculate_correlation_matrix(
        names, 30, returns={name: DATA[name] for name in names}, as_of=as_of_after(last_day)
    )
    return [len(group) for group in report.clusters if len(group) > 1]


def test_clusters_on_three_dates() -> None:
    assert clusters_on(date(2019, 9, 30)) == [6]
    assert clusters_on(date(2019, 9, 29)) == [8]
    assert clusters_on(date(2018, 11, 25)) == [6]


def test_membership_changes_on_about_one_day_in_five() -> None:
    days = [date(2018, 6, 1) + timedelta(days=place) for place in range(200)]
    reports = [
        calculate_correlation_matrix(ALL, 30, returns=DATA, as_of=as_of_after(day)).clusters for day in days
    ]
    changes = sum(before != after for before, after in pairwise(reports))
    assert 0.1 < changes / (len(days) - 1) < 0.5


def test_thirty_calendar_days_across_the_hole_hold_seventeen_rows_and_are_undefined() -> None:
    report = calculate_correlation_matrix(ALL, 30, returns=DATA, as_of=as_of_after(date(2019, 4, 15)))
    assert report.status == "not_evaluated"
    assert {pair.observations for pair in report.unknown_pairs} == {17}


def test_a_constant_window_leaves_correlation_undefined_with_its_reason() -> None:
    """The trend strategy sat in cash for whole windows: idle, so LOW with everybody and not unknown."""
    quiet = next(
        day
        for day in sorted(DATA["btc_trend_sma50"])[40:]
        if not any(DATA["btc_trend_sma50"].get(day - timedelta(days=back), 0.0) for back in range(30))
    )
    report = calculate_correlation_matrix(
        ["btc_hold", "btc_trend_sma50"], 30, returns=DATA, as_of=as_of_after(quiet)
    )
    assert report.idle == ("btc_trend_sma50",)
    assert report.correlation_matrix["btc_hold"]["btc_trend_sma50"] is None
    assert report.unknown_pairs == ()
    assert report.clusters == (("btc_hold",), ("btc_trend_sma50",))


def test_a_fully_invested_trend_strategy_is_the_same_series_as_holding() -> None:
    window = [day for day in sorted(DATA["btc_hold"]) if date(2019, 5, 1) <= day <= date(2019, 5, 30)]
    assert all(DATA["btc_hold"][day] == DATA["btc_trend_sma50"][day] for day in window)
    report = calculate_correlation_matrix(
        ["btc_hold", "btc_trend_sma50"], 30, returns=DATA, as_of=as_of_after(date(2019, 5, 30))
    )
    assert report.duplicated_pairs == (("btc_hold", "btc_trend_sma50"),)
    assert report.high_correlation_pairs[0].correlation == 1.0


def test_opposite_series_are_reported_as_offsetting_and_form_no_cluster() -> None:
    mirrored = {
        "long": DATA["eth_hold"],
        "short": {day: -0.95 * value for day, value in DATA["eth_hold"].items()},
    }
    report = calculate_correlation_matrix(
        list(mirrored), 30, returns=mirrored, as_of=as_of_after(date(2019, 9, 30))
    )
    assert report.offsetting_pairs[0].strategies == ("long", "short")
    assert all(len(group) == 1 for group in report.clusters)


def test_a_series_misdated_by_a_day_is_found() -> None:
    late = {day + timedelta(days=1): value for day, value in DATA["btc_hold"].items()}
    report = calculate_correlation_matrix(
        ["btc", "late"],
        30,
        returns={"btc": DATA["btc_hold"], "late": late},
        as_of=as_of_after(date(2019, 9, 30)),
    )
    (pair,) = report.misdated_pairs
    assert abs(pair.correlation) < 0.5
    assert pair.lag_days == 1
    assert pair.lagged_correlation == pytest.approx(1.0)


def test_two_venues_with_identical_closes_are_found() -> None:
    report = calculate_correlation_matrix(
        ["a", "b"],
        30,
        returns={"a": DATA["ltc_hold"], "b": dict(DATA["ltc_hold"])},
        as_of=as_of_after(date(2019, 9, 30)),
    )
    assert report.duplicated_pairs == (("a", "b"),)


def test_inverse_volatility_does_not_raise_a_quiet_loser(tmp_path: Path) -> None:
    """Naive inverse volatility would hand the most to a strategy that loses money quietly."""
    calm = np.random.default_rng(1).normal(-0.0006, 0.001, 30)
    loud = np.random.default_rng(2).normal(0.001, 0.03, 30)
    current = {"STR-QUIET-LOSER": 10, "STR-LOUD": 20}
    vols = {"STR-QUIET-LOSER": float(calm.std()), "STR-LOUD": float(loud.std())}
    naive = generate_rebalance_proposal(current, "risk_adjusted", volatilities=vols)
    guarded = generate_rebalance_proposal(
        current, "risk_adjusted", volatilities=vols, psr={"STR-QUIET-LOSER": 0.01, "STR-LOUD": 0.6}
    )
    assert naive.proposed_allocations["STR-QUIET-LOSER"] > 25
    assert guarded.proposed_allocations["STR-QUIET-LOSER"] == 10


def test_scaling_a_portfolio_leaves_its_sharpe_ratio_and_halves_its_drawdown() -> None:
    impact = simulate_rebalance_impact(
        {"current_allocations": {"eth_hold": 20.0}, "proposed_allocations": {"eth_hold": 10.0}},
        returns={"eth_hold": DATA["eth_hold"]},
        as_of=as_of_after(date(2019, 9, 30)),
    )
    assert impact.gross_improvement_percent == pytest.approx(0.0, abs=1e-9)
    assert impact.improvements is not None
    assert impact.improvements.dd_improvement is not None
    assert impact.improvements.dd_improvement > 0


CAPITAL = {
    "eth_hold": 15_000,
    "voltarget_basket": 12_000,
    "tsmom_basket": 9_000,
    "btc_meanrev_5d": 8_000,
    "btc_hourly_fade": 7_000,
    "xs_momentum_ls": 6_000,
    "ethbtc_pairs": 4_000,
    "bfx_premium_arb": 2_000,
}
DATES = [date(2018, 6, 30), date(2018, 11, 25), date(2019, 3, 10), date(2019, 4, 15), date(2019, 9, 30)]
MODES = ["proportional", "correlation-aware", "performance-weighted", "risk-adjusted", "minimal-turnover"]


@pytest.mark.parametrize("last_day", DATES)
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_ends_compliant_on_real_returns(tmp_path: Path, mode: str, last_day: date) -> None:
    root = real_workspace(tmp_path, CAPITAL, last_day=last_day)
    as_of = as_of_after(last_day).isoformat().replace("+00:00", "Z")
    result = run_skill(
        ["--mode", mode, "--workspace", str(root), "--as-of", as_of], now=as_of_after(last_day)
    )
    assert result.status in {"planned", "hold"}, result.error
    chosen = result.chosen
    assert chosen is not None
    assert result.decision is not None
    assert not chosen.compliance.repaired_violations
    assert chosen.proposal.summary.total_deployed_after <= 60
    assert len(chosen.proposal.traded) <= 10
    if last_day == date(2019, 4, 15):  # across the hole nothing can be correlated
        assert result.mode == "proportional"
        assert chosen.compliance.repaired_correlated_exposure == "NOT_EVALUATED"
        assert not chosen.compliance.repaired_limits_met
        assert any("NOT_EVALUATED" in warning for warning in result.warnings)
    else:
        assert chosen.compliance.repaired_limits_met
    assert result.decision.basis == "compliance"  # 63 % deployed
    assert result.cheapest is not None
    cheapest = result.cheapest.impact.trading_costs.turnover_percent
    assert cheapest <= chosen.impact.trading_costs.turnover_percent + 0.02
    assert strategy_id("eth_hold") in chosen.proposal.current_bp
