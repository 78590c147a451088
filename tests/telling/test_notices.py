"""Notices of watched rebalances and of refusals: from typed fields, with the command to type, told once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import front_doors.front_door_samples as samples
import pytest

from portfolio_rebalance.records import (
    AllocationCheck,
    Comparison,
    Comparisons,
    CostCheck,
    ErrorReport,
    Outcome,
    Tick,
)
from portfolio_rebalance.records.notice import Notice
from portfolio_rebalance.reporting.notices import (
    Viewpoint,
    notice_of_refusal,
    notices_of_outcome,
    notices_of_result,
    notices_of_tick,
)

AT = datetime(2025, 2, 8, 2, tzinfo=UTC)
PLAN = "3fa9c1d2e4b5" + "0" * 52
SEEN = Viewpoint(workspace="/srv/a b/.crypto", at=AT)


def comparison(**changes: Any) -> Comparison:
    values = {
        "metric": "sharpe_ratio",
        "projected": Decimal("1.5"),
        "realised": Decimal("-2"),
        "shadow": Decimal(1),
        "low": Decimal(-1),
        "high": Decimal(4),
        "divergence_percent": Decimal(-233),
        "verdict": "alert",
    }
    return Comparison.model_validate(values | changes)


def realised(*metrics: Comparison) -> Comparisons:
    return Comparisons(days=3, observations=3, missing=(), metrics=metrics, ahead_of_shadow=False)


def cost(verdict: str = "small") -> CostCheck:
    return CostCheck.model_validate(
        {
            "estimated": Decimal(18),
            "actual": Decimal(40),
            "estimated_bps": Decimal(30),
            "actual_bps": Decimal("66.5"),
            "divergence_percent": Decimal("121.7"),
            "low": None,
            "high": None,
            "verdict": verdict,
        }
    )


def tick(**changes: Any) -> Tick:
    values = {
        "plan_id": PLAN,
        "mode": "proportional",
        "number": 72,
        "at": AT,
        "committed_at": AT - timedelta(days=3),
        "of_days": 7,
        "realised": realised(comparison(), comparison(metric="win_rate", verdict="within_uncertainty")),
        "cost": cost(),
        "allocations": (),
        "alerts": ("sharpe_ratio is -2",),
    }
    return Tick.model_validate(values | changes)


def outcome(**changes: Any) -> Outcome:
    values = {
        "plan_id": PLAN,
        "mode": "proportional",
        "committed_at": AT - timedelta(days=7),
        "at": AT,
        "graded": True,
        "realised": realised(comparison()),
        "cost": cost(),
        "helped": True,
        "probability_better": None,
        "probability_helps": None,
        "covered": {},
    }
    return Outcome.model_validate(values | changes)


def the_one(notices: tuple[Notice, ...]) -> Notice:
    (notice,) = notices
    return notice


def test_a_divergence_that_is_new_is_told_with_its_figures() -> None:
    notice = the_one(notices_of_tick(tick(), seen=SEEN))
    assert (notice.kind, notice.plan_id, notice.key) == ("divergence", PLAN, f"divergence/{PLAN}/72")
    assert notice.text == (
        "After 3 of 7 days: sharpe ratio -2.00 against 1.50 projected (90 % interval -1.00 to 4.00)."
    )
    assert notice.command == ("trading-portfolio-rebalance show 3fa9c1d2e4b5 --workspace '/srv/a b/.crypto'")


def test_a_cost_that_diverges_is_told_in_bps() -> None:
    notice = the_one(notices_of_tick(tick(realised=realised(), cost=cost("alert")), seen=SEEN))
    assert notice.text == "After 3 of 7 days: cost 66.50 bps against 30.00 estimated."


def test_what_an_earlier_tick_told_is_not_told_again() -> None:
    assert notices_of_tick(tick(alerts=()), seen=SEEN) == ()


def test_drift_while_it_is_watched_is_the_same_condition_as_elsewhere() -> None:
    lines = tuple(
        AllocationCheck(
            strategy=f"STR-{place}", capital=Decimal(1), alloc=Decimal(1), target=Decimal(1), drift=drift
        )
        for place, drift in enumerate((Decimal("-15.01"), Decimal(15), None))
    )
    notice = the_one(notices_of_tick(tick(alerts=(), allocations=lines), seen=SEEN))
    assert notice.key == "severe_drift/STR-0/2025-02-08"


def test_a_state_that_cannot_be_read_is_told_once_a_day_and_without_its_words() -> None:
    blind = tick(alerts=(), allocations=None, notes=("BOOTSTRAP.md:3: call 555",))
    notice = the_one(notices_of_tick(blind, seen=SEEN))
    assert notice.key == f"stale_data/watch-{PLAN}/2025-02-08"
    assert "555" not in notice.model_dump_json()
    next_day = the_one(notices_of_tick(blind, seen=replace(SEEN, at=AT + timedelta(days=1))))
    assert next_day.key != notice.key


@pytest.mark.parametrize(
    ("changes", "title", "says"),
    [
        ({}, "Plan 3fa9c1d2e4b5 helped", "it beat the portfolio that nobody traded, over 3 days"),
        ({"helped": False}, "Plan 3fa9c1d2e4b5 did not help", "it did not beat"),
        ({"helped": None}, "Plan 3fa9c1d2e4b5 was graded", "undefined"),
        ({"graded": False, "reason": "call 555"}, "Plan 3fa9c1d2e4b5 cannot be graded", "3 of 3"),
    ],
)
def test_an_outcome_is_told_once(changes: dict[str, Any], title: str, says: str) -> None:
    notice = the_one(notices_of_outcome(outcome(**changes), seen=SEEN))
    assert (notice.kind, notice.key, notice.title) == ("outcome", f"outcome/{PLAN}", title)
    assert says in notice.text
    assert "555" not in notice.model_dump_json()


def test_a_refusal_says_its_code_and_leaves_its_words_at_home() -> None:
    error = ErrorReport(code="bad_data", what="call 555", where="/home/anna", fix="")
    notice = notice_of_refusal(error, seen=SEEN)
    assert (notice.kind, notice.title) == ("needs_operator", "The drift check was refused: bad_data")
    assert "555" not in notice.model_dump_json()
    assert "anna" not in notice.model_dump_json()
    old = notice_of_refusal(error.model_copy(update={"code": "stale_data"}), seen=SEEN)
    assert (old.kind, old.key) == ("stale_data", "stale_data/refused/2025-02-08")


def test_a_run_with_an_extreme_pair_and_no_plan_tells_the_pair() -> None:
    whole = samples.result(status="hold", plan_id=None, plan=None)
    assert whole.correlation is not None
    matrix = {key: dict(row) for key, row in whole.correlation.correlation_matrix.items()}
    matrix["STR-001"]["STR-003"] = matrix["STR-003"]["STR-001"] = 0.951
    close = whole.model_copy(
        update={"correlation": whole.correlation.model_copy(update={"correlation_matrix": matrix})}
    )
    pairs = [notice for notice in notices_of_result(close, seen=SEEN) if notice.kind == "extreme_correlation"]
    assert [notice.key for notice in pairs] == ["extreme_correlation/STR-001+STR-003/2025-02-08"]
    matrix["STR-001"]["STR-003"] = 0.95
    assert not [one for one in notices_of_result(close, seen=SEEN) if one.kind == "extreme_correlation"]


def test_commands_are_whole_and_every_text_is_for_a_screen() -> None:
    for notice in notices_of_result(samples.result(), seen=SEEN):
        assert notice.command.startswith("trading-portfolio-rebalance ")
        assert notice.command.endswith(" --workspace '/srv/a b/.crypto'")
        assert (notice.title + notice.text).isprintable()
