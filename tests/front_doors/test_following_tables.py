"""What a person reads of what follows a rebalance: alerts first, a dash for what is not known."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
import rebalance_samples as samples
from rebalance_samples import START, comparison, execution, outcome, plan_id_of, rebalance
from rich.console import Console

from portfolio_rebalance.monitoring.metrics import metrics_of
from portfolio_rebalance.records import (
    AllocationCheck,
    Comparisons,
    Learned,
    MonitorReport,
    Tick,
    TuningStep,
)
from portfolio_rebalance.reporting import (
    Block,
    Table,
    calibration_blocks,
    learned_blocks,
    metrics_blocks,
    monitor_blocks,
    outcome_blocks,
    plain_text,
    tick_blocks,
    tuning_blocks,
)
from portfolio_rebalance.reporting.terminal import renderables

PLAN = plan_id_of(1)
SHORT = PLAN[:12]


def a_tick(**changes: object) -> Tick:
    tick = Tick(
        plan_id=PLAN,
        mode="proportional",
        number=3,
        at=START + timedelta(days=4),
        committed_at=START,
        of_days=7,
        realised=Comparisons(
            days=3,
            observations=3,
            missing=(),
            metrics=(
                comparison(
                    "sharpe_ratio",
                    projected="1.2",
                    realised="-4.5",
                    shadow="-3",
                    interval=(-3, 9),
                    divergence=-475,
                    verdict="alert",
                ),
                comparison(
                    "max_drawdown",
                    projected="-1.5",
                    realised="-2",
                    shadow="-2.5",
                    interval=(-4, 0),
                    divergence="-33.3",
                    verdict="within_uncertainty",
                ),
                comparison("win_rate", projected="0.5", realised="0.52", interval=(0, 1), verdict="small"),
                comparison("return"),
            ),
            ahead_of_shadow=False,
        ),
        cost=samples.cost(verdict="not_judged"),
        allocations=(
            AllocationCheck(
                strategy="STR-A",
                capital=Decimal(12_345),
                alloc=Decimal("20.58"),
                target=Decimal(20),
                drift=Decimal("2.88"),
            ),
            AllocationCheck(
                strategy="STR-B", capital=Decimal(0), alloc=Decimal(0), target=Decimal(0), drift=None
            ),
        ),
        alerts=("Sharpe ratio after 3 days: -4.5 against 1.2",),
        notes=("STR-B: no return on 2025-02-03",),
    )
    return tick.model_copy(update=changes)


def a_step(number: int, **changes: object) -> TuningStep:
    step = TuningStep(
        number=number,
        parameter="slippage_bps",
        at=START,
        plan_id=PLAN,
        observed=Decimal(33),
        before=Decimal(25),
        after=Decimal("26.8"),
        configured=Decimal(25),
        observations=number,
    )
    return step.model_copy(update=changes)


def rows(blocks: Sequence[Block], title: str) -> list[tuple[str, ...]]:
    return list(next(one.rows for one in blocks if isinstance(one, Table) and one.title.startswith(title)))


# --- a tick -----------------------------------------------------------------------------------------------


def test_alerts_come_first_and_notes_last() -> None:
    lines = plain_text(tick_blocks(a_tick())).splitlines()
    assert lines[0] == "alert: Sharpe ratio after 3 days: -4.5 against 1.2"
    assert lines[1].startswith(f"Day 3 of 7 after plan {SHORT}, mode proportional; seen at 2025-02-05T02:")
    assert lines[-1] == "note: STR-B: no return on 2025-02-03"


def test_every_measure_stands_beside_projection_interval_and_shadow() -> None:
    assert rows(tick_blocks(a_tick()), "Projected and realised") == [
        (
            "Sharpe ratio, a year",
            "1.20",
            "-3.00 to 9.00",
            "-4.50",
            "-3.00",
            "-475.00",
            "ALERT: outside of its interval",
        ),
        (
            "maximum drawdown %",
            "-1.50",
            "-4.00 to 0.00",
            "-2.00",
            "-2.50",
            "-33.30",
            "within its uncertainty",
        ),
        ("win rate %", "50.00", "0.00 to 100.00", "52.00", "–", "–", "as projected"),  # noqa: RUF001
        ("return %", "–", "–", "–", "–", "–", "cannot be compared"),  # noqa: RUF001
    ]


def test_a_target_of_zero_has_no_drift_and_not_a_drift_of_zero() -> None:
    held = rows(tick_blocks(a_tick()), "Held now")
    assert held == [
        ("STR-A", "12,345.00", "20.58", "20.00", "+2.88"),
        ("STR-B", "0.00", "0.00", "0.00", "–"),  # noqa: RUF001
    ]


def test_a_tick_without_a_readable_state_shows_none() -> None:
    text = plain_text(tick_blocks(a_tick(allocations=None, is_last=True)))
    assert "Held now" not in text
    assert text.endswith(f"The watch of plan {SHORT} ends with this look.\n")


def test_cost_is_shown_in_rate_and_money() -> None:
    assert rows(tick_blocks(a_tick()), "Cost") == [
        ("bps of what was traded", "30.00", "–", "32.00", "+6.67", "differs, and there is no interval yet"),  # noqa: RUF001
        ("money", "43.20", "", "46.08", "", ""),
    ]
    bare = a_tick(cost=samples.cost(actual_bps=None, verdict="undefined"))
    assert rows(tick_blocks(bare), "Cost")[0][3:] == ("–", "–", "cannot be compared")  # noqa: RUF001


# --- an outcome -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("helped", "words"),
    [
        (True, f"HELPED: plan {SHORT} beat, after costs, the portfolio that nobody traded, over 7 days."),
        (False, f"DID NOT HELP: plan {SHORT} did not beat the portfolio that nobody traded, over 7 days."),
        (None, f"GRADED: plan {SHORT} cannot be compared with the portfolio that nobody traded."),
    ],
)
def test_an_outcome_says_first_whether_it_helped(helped: bool | None, words: str) -> None:
    lines = plain_text(outcome_blocks(outcome(PLAN, helped=helped))).splitlines()
    assert lines[0] == words
    assert lines[1].startswith("Predicted probability that it helps: 0.70; before what was learned")


def test_what_was_not_graded_says_why() -> None:
    lines = plain_text(outcome_blocks(outcome(PLAN, graded=False, helped=None))).splitlines()
    assert lines[0] == f"NOT GRADED: plan {SHORT}: too few days have returns"


# --- the whole report -------------------------------------------------------------------------------------


def test_a_report_of_nothing_says_so() -> None:
    text = plain_text(monitor_blocks(MonitorReport(), workspace="/w"))
    assert text.startswith("Nothing is due")
    assert text.endswith("trading-portfolio-rebalance metrics --workspace /w\n")


def test_a_report_shows_looks_outcomes_steps_learnings_and_a_models_words() -> None:
    report = MonitorReport(
        ticks=(a_tick(),),
        outcomes=(outcome(PLAN),),
        steps=(a_step(0),),
        learned=(Learned(plan_id=PLAN, at=START, source="rules", cause="chance", text="within uncertainty"),),
        notes=("plan x was not looked at",),
        explained="All is\nwell.",
    )
    text = plain_text(monitor_blocks(report))
    order = (
        "alert:",
        "Day 3 of 7",
        "HELPED",
        "Estimates",
        "Learned",
        "In the words of the monitor",
        "note: plan x",
    )
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert "(a model): All is well." in text


def test_the_figures_of_the_last_look_are_not_shown_again_with_the_outcome() -> None:
    outcomes = (outcome(PLAN),)
    apart = plain_text(monitor_blocks(MonitorReport(ticks=(a_tick(),), outcomes=outcomes)))
    assert apart.count("Projected and realised") == 2
    ended = plain_text(monitor_blocks(MonitorReport(ticks=(a_tick(is_last=True),), outcomes=outcomes)))
    assert ended.count("Projected and realised") == 1
    assert "HELPED" in ended


# --- the logs ---------------------------------------------------------------------------------------------


def test_a_step_that_was_taken_back_says_so_and_so_do_those_after_it() -> None:
    steps = [
        a_step(1),
        a_step(2, parameter="prior:proportional"),
        a_step(3),
        a_step(4),
        a_step(5, plan_id=None, observed=None, reverts=3, observations=1),
        a_step(6),
    ]
    found = {row[0]: row for row in rows(tuning_blocks(steps), "Estimates")}
    assert list(found) == ["6", "5", "4", "3", "2", "1"]
    remarks = {number: row[-1] for number, row in found.items()}
    assert remarks == {
        "6": "6 observations",
        "5": "takes back step 3 and what followed it",
        "4": "taken back",
        "3": "taken back",
        "2": "2 observations",
        "1": "1 observation",
    }
    assert found["1"][1:6] == ("2025-02-01T02:00:00Z", "slippage_bps", "25.00 to 26.80", "33.00", SHORT)
    assert found["5"][4:6] == ("–", "–")  # noqa: RUF001


def test_a_step_from_another_configured_value_is_not_shown_as_taken_back() -> None:
    other = a_step(2, configured=Decimal(30))
    back = a_step(3, plan_id=None, observed=None, reverts=1)
    found = {row[0]: row[-1] for row in rows(tuning_blocks([a_step(1), other, back]), "Estimates")}
    assert (found["1"], found["2"]) == ("taken back", "2 observations")


def test_what_a_model_wrote_stays_one_line_in_the_last_column() -> None:
    text = "first\nalert: second\x1b[2J \N{RIGHT-TO-LEFT OVERRIDE}third"
    one = Learned(plan_id=PLAN, at=START, source="model", cause="regime", text=text, cited=("drift: 3 %",))
    (row,) = rows(learned_blocks([one]), "Learned")
    assert row[:4] == (SHORT, "2025-02-01T02:00:00Z", "market regime", "model")
    assert row[4] == "first alert: second?[2J ?third [drift: 3 %]"
    assert not any(line.startswith("alert") for line in plain_text(learned_blocks([one])).splitlines())


def test_empty_logs_say_so() -> None:
    assert plain_text(tuning_blocks([])).startswith("No estimate was tuned yet")
    assert plain_text(learned_blocks([])).startswith("Nothing was learned yet")


# --- metrics ----------------------------------------------------------------------------------------------


def some_metrics() -> list[Block]:
    several = [
        rebalance(number, came=outcome(plan_id_of(number), sharpe=(sharpe, 1), helped=sharpe > 1))
        for number, sharpe in enumerate((2, 3, 0))
    ]
    broken = execution(plan_id_of(9), limits={"total_deployed": "FAIL"}, status="reverted", bps=(None, None))
    return metrics_blocks(metrics_of([*several, rebalance(9, ended=broken)]))


def test_the_block_is_shown_with_the_interval_of_what_helped() -> None:
    found = dict(rows(some_metrics(), "Rebalances, 2025-02-01 to 2025-02-10"))
    assert found["rebalances"] == "4"
    assert found["successful: committed and verified"] == "3"
    assert found["success rate %"] == "75"
    assert found["helped %, with its 90 % interval"] == "66.7 (25.4 to 92.2)"
    assert found["Sharpe improvement %, median"] == "100"
    assert found["drift correction %"] == "–"  # noqa: RUF001
    assert found["limits broken after"] == "1"
    assert (
        rows(some_metrics(), "Rebalances, the newest")[:2]
        == [
            (plan_id_of(9)[:12], "2025-02-10", "proportional", "reverted", "0 to –", "–", "0 to 1", "–", "–"),  # noqa: RUF001
            (
                plan_id_of(2)[:12],
                "2025-02-03",
                "proportional",
                "committed",
                "0 to 0",
                "30",
                "0 to 0",
                "-100",
                "no",
            ),
        ]
    )


def test_success_metrics_are_shown_with_their_verdicts_and_why() -> None:
    found = {row[0]: row[3] for row in rows(some_metrics(), "Success metrics")}
    assert found == {
        "Rebalancing frequency": "FAIL",
        "Allocation compliance": "FAIL",
        "Performance improvement": "PASS",
        "Drift control": "PASS",
        "Limit maintenance": "FAIL",
    }


def test_the_calibration_table_shows_n_scores_groups_and_coverage() -> None:
    blocks = some_metrics()
    forecasts = rows(blocks, "Probability that a rebalance helps")
    assert forecasts[0] == ("all", "better, as drawn", "3", "0.60", "0.67", "0.2267")
    assert forecasts[1] == ("all", "helps, as learned", "3", "0.70", "0.67", "0.2233")
    assert [row[0] for row in forecasts] == ["all", "all", "proportional", "proportional"]
    assert rows(blocks, "Reliability") == [("0.6 to 0.8", "3", "0.70", "0.67", "0.25 to 0.92")]
    assert rows(blocks, "Share of realised")[0] == ("all", "Sharpe ratio", "3", "1.00", "0.53 to 1.00")
    assert "0.25 is what a coin's 0.5 scores" in plain_text(blocks)
    assert "3 graded outcomes. Few prove little" in plain_text(blocks)


def test_without_outcomes_nothing_is_said_of_predictions() -> None:
    text = plain_text(calibration_blocks(metrics_of([rebalance(1)]).calibration))
    assert text == "No outcome is graded yet, so nothing is known of how good predictions are.\n"


def test_without_rebalances_the_targets_stand_and_nothing_is_known() -> None:
    blocks = metrics_blocks(metrics_of([]))
    assert {row[2:4] for row in rows(blocks, "Success metrics")} == {("–", "unknown")}  # noqa: RUF001
    assert plain_text(blocks).endswith("trading-portfolio-rebalance --dry-run\n")


@pytest.mark.parametrize("width", [90, 110])
def test_a_narrow_terminal_cuts_no_figure(width: int) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=width, color_system=None)
    for renderable in renderables([*some_metrics(), *tick_blocks(a_tick())], width=width):
        console.print(renderable)
    shown = stream.getvalue()
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width
    for figure in ("25.4", "92.2", "-475.00", "0.2267"):
        assert figure in shown
