"""The calibration table: Brier scores, reliability and coverage, against formulas of one line."""

from __future__ import annotations

import random
from decimal import Decimal

import numpy as np
import pytest
from rebalance_samples import outcome, plan_id_of

from portfolio_rebalance.monitoring.calibration import calibration_of
from portfolio_rebalance.records import METRICS, Outcome


def drawn(seed: int, count: int) -> list[Outcome]:
    draw = random.Random(seed)
    return [
        outcome(
            plan_id_of(number),
            mode=draw.choice(("proportional", "risk_adjusted")),
            helped=draw.random() < 0.5,
            better=round(draw.random(), 3),
            helps=round(draw.random(), 3),
            covered={name: draw.choice((0, 1, 1, 1, "0.4")) for name in METRICS},
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_scores_against_one_line_formulas(seed: int) -> None:
    several = drawn(seed, 40)
    table = calibration_of(several)
    came = np.array([one.helped for one in several], dtype=float)
    for name in ("probability_better", "probability_helps"):
        predicted = np.array([float(getattr(one, name)) for one in several])
        found = getattr(table.all, name)
        assert found.count == 40
        assert float(found.brier) == pytest.approx(((predicted - came) ** 2).mean(), abs=5e-5)
        assert float(found.mean_predicted) == pytest.approx(predicted.mean(), abs=5e-5)
        assert float(found.frequency) == pytest.approx(came.mean(), abs=5e-5)
        assert sum(group.count for group in found.groups) == 40
        for group in found.groups:
            inside = (predicted >= float(group.low)) & (predicted < float(group.high) + (group.high == 1))
            assert group.count == inside.sum()
            assert float(group.frequency) == pytest.approx(came[inside].mean(), abs=5e-5)
            assert group.lower <= group.frequency <= group.upper
    for name in METRICS:
        covered = np.array([float(one.covered[name]) for one in several])
        assert float(table.all.coverage[name].inside) == pytest.approx(covered.mean(), abs=5e-5)


def test_each_mode_has_its_own_line_and_all_of_them_one() -> None:
    several = drawn(1, 30)
    table = calibration_of(several)
    assert list(table.by_mode) == ["proportional", "risk_adjusted"]
    assert sum(found.graded for found in table.by_mode.values()) == table.all.graded == 30
    for mode, found in table.by_mode.items():
        assert found == calibration_of([one for one in several if one.mode == mode]).all


def test_the_order_in_which_outcomes_come_does_not_matter() -> None:
    several = drawn(2, 60)
    assert calibration_of(several) == calibration_of(several[::-1])


def test_what_was_not_graded_or_has_no_prediction_does_not_count() -> None:
    several = [
        outcome(plan_id_of(1), graded=False, helped=None),
        outcome(plan_id_of(2), better=None, helps=None, covered={}),
        outcome(plan_id_of(3), helped=None, covered={"return": 0}),
        outcome(plan_id_of(4), better="0.5", helps="0.5", covered={"return": 1}),
    ]
    table = calibration_of(several)
    assert table.all.graded == 3
    assert (table.all.probability_helps.count, table.all.probability_helps.brier) == (1, Decimal("0.25"))
    assert table.all.coverage["return"].inside == Decimal("0.5")
    assert table.all.coverage["win_rate"].count == 0
    assert table.all.coverage["win_rate"].inside is None


def test_nothing_graded_is_no_calibration() -> None:
    table = calibration_of([])
    assert (table.all.graded, dict(table.by_mode)) == (0, {})
    assert table.all.probability_better.brier is None
    assert table.brier_of_a_coin == Decimal("0.25")


def test_an_interval_widens_where_outcomes_are_few() -> None:
    few, many = calibration_of(drawn(3, 4)), calibration_of(drawn(3, 200))
    spans = [table.all.coverage["return"].upper - table.all.coverage["return"].lower for table in (few, many)]
    assert spans[0] > 3 * spans[1]
