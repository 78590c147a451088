"""Following a rebalance: safe twice, late, after a gap; the same in the end; and unable to touch a limit."""

from __future__ import annotations

import hashlib
import shutil
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from executing import Told, approved, config_text, example_1, execute, run
from followed import add_returns, executed, hours_after, looked
from workspaces import AS_OF

from portfolio_rebalance.clock import Clock
from portfolio_rebalance.errors import EditedMeanwhileError, UsageError, WorkspaceBusyError
from portfolio_rebalance.records import canonical_bytes
from portfolio_rebalance.run.follow import revert
from portfolio_rebalance.run.queries import show
from portfolio_rebalance.workspace import Ledger, exclusive
from portfolio_rebalance.workspace.follow_ups import FollowUps
from portfolio_rebalance.workspace.layout import CONFIG, FEEDBACK
from portfolio_rebalance.workspace.strict_yaml import parse

ENDS = AS_OF.replace(hour=0) + timedelta(days=8)


def stored(root: Path) -> tuple[bytes, bytes, bytes]:
    """What a follow-up leaves in the end: outcome, steps, file."""
    with Ledger.read(root) as ledger:
        assert ledger is not None
        outcomes = [one.outcome for one in ledger.follow_ups.executions()]
        steps = [step.model_copy(update={"plan_id": "x"}) for step in ledger.follow_ups.steps()]
    assert outcomes[0] is not None
    return canonical_bytes(outcomes), canonical_bytes(steps), (root / FEEDBACK).read_bytes()


def without_alerts(feedback: bytes) -> object:
    """The feedback file but for when alerts were first seen: who looks late sees them late."""
    (entry,) = parse(feedback.decode(), label="f").value["rebalance_feedback"]  # type: ignore[index, call-overload]
    return {key: value for key, value in entry.items() if key != "alerts"}


def test_the_prediction_is_stored_with_the_plan_and_starts_from_its_weights(tmp_path: Path) -> None:
    root, plan_id = executed(tmp_path)
    prediction = show(root, plan_id).prediction
    assert prediction is not None
    assert (prediction.days, len(prediction.by_day), prediction.history_days) == (7, 7, 90)
    assert {key: int(bp) for key, bp in prediction.after_bp.items()} == {
        "STR-001": 1600,
        "STR-003": 1400,
        "STR-007": 1030,
    }
    assert prediction.cost > 0
    assert prediction.by_day[-1].probability_better == prediction.probability_helps


def test_a_week_of_ticks_ends_in_one_outcome(tmp_path: Path) -> None:
    root, plan_id = executed(tmp_path)
    first = looked(root, AS_OF)
    assert [step.parameter for step in first.steps] == ["slippage_bps", "commission_bps"]
    assert first.ticks[0].realised.days == 0
    add_returns(root, 8)
    report = looked(root, ENDS - timedelta(seconds=1))
    assert (report.ticks[0].realised.days, report.outcomes) == (6, ())
    report = looked(root, ENDS)
    (outcome,) = report.outcomes
    assert (outcome.plan_id, outcome.graded, outcome.realised.observations) == (plan_id, True, 7)
    assert report.ticks[0].is_last
    assert [step.parameter for step in report.steps] == ["prior:correlation_aware"]
    after = looked(root, ENDS + timedelta(days=30))
    assert (after.ticks, after.outcomes, after.steps) == ((), (), ())


def test_the_same_interval_again_changes_nothing(tmp_path: Path) -> None:
    root, plan_id = executed(tmp_path)
    add_returns(root, 2)
    first = looked(root, hours_after(50))
    ledger = hashlib.sha256(repr(dump(root)).encode()).hexdigest()
    again = looked(root, hours_after(50.9))
    assert again.ticks == first.ticks
    assert hashlib.sha256(repr(dump(root)).encode()).hexdigest() == ledger
    with Ledger.read(root) as opened:
        assert opened is not None
        assert len(opened.follow_ups.ticks(plan_id)) == 1


def dump(root: Path) -> list[object]:
    with Ledger.read(root) as ledger:
        assert ledger is not None
        return [
            ledger.rows(f"SELECT * FROM {name} ORDER BY rowid")
            for name in ("ticks", "outcomes", "tunings", "learned", "outbox", "executions", "plans", "runs")
        ]


LOCAL = ZoneInfo("America/New_York")
CLOCKS = {
    "every hour": [hours_after(hour) for hour in range(24 * 8 + 1)],
    "once, a month late": [hours_after(24 * 38)],
    "a gap of five days": [hours_after(1), hours_after(24 * 6), hours_after(24 * 9)],
    "each twice": [hours_after(hour) for hour in range(0, 24 * 9, 12) for _ in range(2)],
    "a clock that goes back": [hours_after(h) for h in (60, 20, 100, 3, 130, 90, 24 * 8, 24 * 7, 24 * 9)],
    "a clock that goes back before the batch": [hours_after(h) for h in (30, -20, 24 * 9)],
    "local wall clock over a change of time": [
        datetime(2025, 2, 5 + day, 2, 30, tzinfo=LOCAL).astimezone(UTC) for day in range(9)
    ],
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, object]:
    root, _ = executed(tmp_path_factory.mktemp("reference"))
    add_returns(root, 9)
    looked(root, ENDS)
    outcome, steps, feedback = stored(root)
    return outcome, steps, without_alerts(feedback)


@pytest.mark.parametrize("name", CLOCKS)
def test_in_the_end_it_does_not_matter_when_anybody_looked(
    tmp_path: Path, name: str, reference: tuple[bytes, bytes, object]
) -> None:
    root, _ = executed(tmp_path)
    add_returns(root, 9)
    instants = CLOCKS[name] if name != "every hour" else [*CLOCKS[name][::6], ENDS]
    for at in instants:
        if at < AS_OF:
            assert "it is not looked at" in looked(root, at).notes[0]
        else:
            looked(root, at)
    outcome, steps, feedback = stored(root)
    assert (outcome, steps, without_alerts(feedback)) == reference


def test_returns_that_come_late_are_waited_for_and_then_graded_without(tmp_path: Path) -> None:
    root, _ = executed(tmp_path)
    add_returns(root, 6)
    assert looked(root, ENDS).outcomes == ()
    assert looked(root, ENDS + timedelta(hours=47)).outcomes == ()
    (outcome,) = looked(root, ENDS + timedelta(hours=48)).outcomes
    assert (outcome.graded, outcome.realised.observations, outcome.realised.days) == (True, 5, 7)
    assert outcome.at == ENDS + timedelta(hours=48)


def test_a_clock_that_was_a_year_ahead_ends_no_watch(
    tmp_path: Path, reference: tuple[bytes, bytes, object]
) -> None:
    root, _ = executed(tmp_path)
    add_returns(root, 2)
    report = looked(root, hours_after(24 * 366))
    assert (report.ticks, report.outcomes) == ((), ())
    assert "it is graded once returns are there" in report.notes[0]
    assert looked(root, hours_after(49)).ticks[0].realised.days == 1
    shutil.rmtree(root.parent)
    root, _ = executed(tmp_path)
    looked(root, hours_after(24 * 366))
    add_returns(root, 9)
    looked(root, ENDS)
    outcome, steps, feedback = stored(root)
    assert (outcome, steps, without_alerts(feedback)) == reference


def test_another_interval_during_a_watch_is_followed_at_once(tmp_path: Path) -> None:
    root, plan_id = executed(tmp_path)
    add_returns(root, 5)
    looked(root, hours_after(50))
    (root / CONFIG).parent.mkdir(exist_ok=True)
    (root / CONFIG).write_text(config_text("monitoring: {tracking_interval_hours: 24}"))
    assert looked(root, hours_after(60)).ticks[0].at == hours_after(50)  # the same day of the watch
    assert looked(root, hours_after(80)).ticks[0].realised.days == 2
    (root / CONFIG).write_text(config_text("monitoring: {tracking_interval_hours: 1}"))
    assert looked(root, hours_after(104)).ticks[0].realised.days == 3
    with Ledger.read(root) as ledger:
        assert ledger is not None
        ticks = ledger.follow_ups.ticks(plan_id)
    assert [tick.at for tick in ticks] == [hours_after(hour) for hour in (50, 80, 104)]


def test_the_look_that_ends_a_watch_is_kept_where_its_interval_was_looked_at(tmp_path: Path) -> None:
    root, plan_id = executed(tmp_path)
    add_returns(root, 7)
    looked(root, hours_after(24 * 8))
    add_returns(root, 1, first=AS_OF.date() + timedelta(days=7))
    assert len(looked(root, hours_after(24 * 8 + 0.5)).outcomes) == 1
    with Ledger.read(root) as ledger:
        assert ledger is not None
        assert [tick.is_last for tick in ledger.follow_ups.ticks(plan_id)] == [False, True]


def test_what_is_stored_of_executions_is_read_once_however_many_are_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = executed(tmp_path)
    for hours in (3, 6):
        at = hours_after(hours)
        execute(root, approved(root, at=at, mode="performance-weighted"), at=at)
    read: list[FollowUps] = []
    executions = FollowUps.executions
    monkeypatch.setattr(FollowUps, "executions", lambda self: read.append(self) or executions(self))
    assert len(looked(root, hours_after(7)).ticks) == 3
    assert len(read) == 2  # by the look, and by the file for people


def test_a_strategy_without_returns_leaves_nothing_to_grade_and_says_so(tmp_path: Path) -> None:
    root, _ = executed(tmp_path)
    add_returns(root, 9, without=["STR-007"])
    (outcome,) = looked(root, ENDS + timedelta(days=3)).outcomes
    assert not outcome.graded
    assert outcome.reason == "only 0 of 7 days have a return of every strategy"
    assert [one.cause for one in looked(root, ENDS + timedelta(days=4)).learned] == []


def test_a_state_that_cannot_be_read_ends_no_watch(tmp_path: Path) -> None:
    root, _ = executed(tmp_path)
    (root / "BOOTSTRAP.md").write_text("nothing of ours\n")
    tick = looked(root, hours_after(5)).ticks[0]
    assert tick.allocations is None
    assert any("allocations cannot be read now" in note for note in tick.notes)


def test_a_later_rebalance_is_told_and_both_are_watched(tmp_path: Path) -> None:
    root, first = executed(tmp_path)
    at = hours_after(3)
    second = approved(root, at=at, mode="performance-weighted")
    execute(root, second, at=at)
    report = looked(root, at + timedelta(hours=1))
    assert [tick.plan_id for tick in report.ticks] == [second, first]
    assert any(second[:12] in note for note in report.ticks[1].notes)


def test_costs_that_were_learned_are_reckoned_with_and_said(tmp_path: Path) -> None:
    root, _ = executed(tmp_path)
    looked(root, AS_OF)
    result = run(root, at=hours_after(3), dry_run=True, mode="performance-weighted")
    assert result.chosen is not None
    with Ledger.read(root) as ledger:
        assert ledger is not None
        learned = ledger.follow_ups.steps()[0].after
    costs = result.chosen.impact.trading_costs
    assert (costs.slippage_bps, costs.commissions_bps) == (float(learned), 5.0)
    assert learned != 25
    assert any(
        f"slippage of {learned} bps is learned from 1 exec" in one for one in result.chosen.impact.notes
    )


@pytest.mark.parametrize(
    ("line", "learned"),
    [
        ("learning: {update_algorithm_on_divergence: false}", (0, 1)),
        ("learning: {extract_learnings: false}", (3, 0)),
    ],
)
def test_what_is_switched_off_is_neither_tuned_nor_explained(
    tmp_path: Path, line: str, learned: tuple[int, int]
) -> None:
    root, _ = executed(tmp_path, config=config_text(line))
    add_returns(root, 8)
    report = looked(root, ENDS)
    assert len(report.outcomes) == 1
    assert (len(report.steps), min(1, len(report.learned))) == learned


def test_a_longer_watch_and_another_threshold_are_what_they_say(tmp_path: Path) -> None:
    text = config_text("monitoring: {post_rebalance_days: 3, divergence_alert_threshold_percent: 100000}")
    root, _ = executed(tmp_path, config=text)
    add_returns(root, 4)
    (outcome,) = looked(root, AS_OF.replace(hour=0) + timedelta(days=4)).outcomes
    assert outcome.realised.days == 3
    assert {one.verdict for one in outcome.realised.metrics} == {"small"}


def test_ticks_of_old_watches_are_dropped_and_outcomes_stay(tmp_path: Path) -> None:
    root, plan_id = executed(tmp_path, config=config_text("retention_days: 30"))
    add_returns(root, 8)
    for hour in (10, 100, 24 * 9):
        looked(root, hours_after(hour))
    with Ledger.read(root) as ledger:
        assert ledger is not None
        assert len(ledger.follow_ups.ticks(plan_id)) == 3
    looked(root, hours_after(24 * 36))
    with Ledger.read(root) as ledger:
        assert ledger is not None
        assert [tick.number for tick in ledger.follow_ups.ticks(plan_id)] == [24 * 9]
        assert ledger.follow_ups.executions()[0].outcome is not None


def test_an_execution_begins_its_watch_at_once(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    result = run(root, execute=True, person=Told())
    assert result.status == "executed"
    with Ledger.read(root) as ledger:
        assert ledger is not None
        assert [tick.number for tick in ledger.follow_ups.ticks(result.plan_id or "")] == [0]
        assert len(ledger.follow_ups.steps()) == 2


def test_a_step_is_taken_back_by_its_number(tmp_path: Path) -> None:
    root, _ = executed(tmp_path)
    looked(root, AS_OF)
    step = revert(root, 1, clock=Clock.live(hours_after(1)))
    assert (step.reverts, step.after, step.number) == (1, Decimal(25), 3)
    with pytest.raises(UsageError):
        revert(root, 1, clock=Clock.live(hours_after(1)))
    assert looked(root, hours_after(2)).steps == ()  # the same execution does not teach it again


def test_nothing_is_looked_at_while_another_process_is_at_work(tmp_path: Path) -> None:
    root, _ = executed(tmp_path)
    with exclusive(root), pytest.raises(WorkspaceBusyError):
        looked(root, AS_OF)


def test_a_feedback_file_that_was_committed_and_not_written_is_written_by_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = executed(tmp_path)
    add_returns(root, 8)

    from portfolio_rebalance.run import follow as module

    calls: list[int] = []
    real = module.apply_outbox

    def once(root: Path, ledger: Ledger) -> tuple[str, ...]:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(root, ledger)

    monkeypatch.setattr(module, "apply_outbox", once)
    with pytest.raises(KeyboardInterrupt):
        looked(root, ENDS)
    assert not (root / FEEDBACK).exists()
    monkeypatch.undo()
    looked(root, ENDS + timedelta(hours=1))
    assert b"status: graded" in (root / FEEDBACK).read_bytes()


def test_a_persons_edit_of_the_feedback_file_between_commit_and_write_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portfolio_rebalance.run import follow as module

    root, _ = executed(tmp_path)
    add_returns(root, 8)
    real = module.apply_outbox
    calls: list[int] = []

    def edited(root: Path, ledger: Ledger) -> tuple[str, ...]:
        calls.append(1)
        if len(calls) == 2:
            (root / FEEDBACK).write_text("mine: true\n")
        return real(root, ledger)

    monkeypatch.setattr(module, "apply_outbox", edited)
    with pytest.raises(EditedMeanwhileError):
        looked(root, ENDS)
    assert (root / FEEDBACK).read_text() == "mine: true\n"


def test_following_writes_neither_the_configuration_nor_anything_a_limit_is_read_from(tmp_path: Path) -> None:
    text = config_text("circuit_breakers: {max_total_deployed_percent: 55}")
    root, _ = executed(tmp_path, config=text)
    add_returns(root, 9)
    allowed = {FEEDBACK, "live-monitoring/rebalance-metrics.yaml"}
    before = snapshot(root)
    (root / CONFIG).chmod(0o444)
    for hour in range(0, 24 * 12, 24):
        looked(root, hours_after(hour))
    revert(root, 1, clock=Clock.live(hours_after(24 * 13)))
    after = snapshot(root)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert {name for name in changed if "ledger.db" not in name and not name.endswith("lock")} <= allowed
    assert (root / CONFIG).read_text() == text


def snapshot(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_an_older_plan_without_a_prediction_is_watched_and_not_graded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = sys.modules["portfolio_rebalance.run.record"]
    monkeypatch.setattr(record, "_predicted", lambda _session: None)
    root, _ = executed(tmp_path)
    monkeypatch.undo()
    add_returns(root, 8)
    assert "without a prediction" in looked(root, hours_after(3)).ticks[0].notes[0]
    (outcome,) = looked(root, ENDS).outcomes
    assert (outcome.graded, outcome.reason) == (False, "the plan was made without a prediction")


def test_there_is_no_feedback_before_there_is_something_to_tell(tmp_path: Path) -> None:
    root, _ = executed(tmp_path)
    looked(root, hours_after(1))
    assert not (root / FEEDBACK).exists()


def test_where_nothing_was_executed_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    root = example_1(tmp_path)
    assert looked(root, AS_OF).notes == ("nothing was executed here yet",)
