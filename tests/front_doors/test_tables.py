"""What a person reads: complete, honest, harmless, and within a hundred columns."""

from __future__ import annotations

import io
from decimal import Decimal
from fractions import Fraction
from typing import get_args

import front_door_samples as samples
import pytest
from rich.console import Console
from watches import a_prediction, a_range

from portfolio_rebalance.config import Config
from portfolio_rebalance.records import METRICS, Finding, RunSummary, WalkForwardEvidence
from portfolio_rebalance.reporting import (
    Column,
    Paragraph,
    Table,
    assessment_blocks,
    clean,
    findings_blocks,
    history_blocks,
    plain_text,
    result_blocks,
)
from portfolio_rebalance.reporting.blocks import ids, money, number, signed
from portfolio_rebalance.reporting.config_page import config_blocks, config_markdown
from portfolio_rebalance.reporting.impact_tables import evidence_words, prediction_blocks
from portfolio_rebalance.reporting.terminal import renderables


def plain(result=None) -> str:
    return plain_text(result_blocks(result or samples.result()))


def table(title: str, result=None) -> Table:
    blocks = result_blocks(result or samples.result())
    return next(block for block in blocks if isinstance(block, Table) and block.title.startswith(title))


def row(found: Table, first: str) -> dict[str, str]:
    cells = next(cells for cells in found.rows if cells[0] == first)
    return dict(zip((column.name for column in found.columns), cells, strict=True))


# Figures


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (30.0, "30.00"),
        (Fraction(1, 3), "0.33"),
        (Decimal("2.005"), "2.00"),
        (0, "0.00"),
        (-0.0, "0.00"),
        (-0.003, "-0.003"),
        (1e-9, "1e-09"),
        (None, "undefined"),
    ],
)
def test_a_figure_never_rounds_to_a_zero_that_it_is_not(value, text):
    assert number(value) == text


def test_a_change_carries_its_sign():
    assert [signed(value) for value in (6.0, -6.0, 0.0, None)] == ["+6.00", "-6.00", "0.00", "undefined"]


@pytest.mark.parametrize(
    ("amount", "total", "text"),
    [
        (Decimal("20400"), Decimal(60000), "20,400.00"),
        (Fraction(1, 3), Decimal(60000), "0.33"),
        (Decimal("-0.001"), Decimal(60000), "0.00"),
        (Decimal("0.3456789"), Decimal("1.5"), "0.345679"),
        (None, Decimal(1), "undefined"),
    ],
)
def test_money_shows_the_places_that_matter(amount, total, text):
    assert money(amount, total=total) == text


def test_long_lists_of_ids_say_how_many_are_left_out():
    assert ids(("A", "B")) == "A, B"
    assert ids(("A", "B", "C", "D", "E", "F")) == "A, B, C, D and 2 more"


# A result


def test_the_headline_comes_first_then_basis_confidence_and_evidence():
    first, second = plain().splitlines()[:2]
    assert first == samples.result().decision.headline
    for words in ("REBALANCE", "basis compliance", "Confidence LOW", "evidence not computed"):
        assert words in second


def test_a_reason_is_said_once():
    assert plain().count("STR-001 drifted a lot") == 1


def test_assessment_lists_every_strategy_cash_and_the_deployed_total():
    found = table("Assessment")
    assert [cells[0] for cells in found.rows] == [*samples.IDS, "cash", "deployed"]
    assert row(found, "STR-001")["drift %"] == "+2.00"
    assert row(found, "deployed")["alloc %"] == "64.30"
    assert row(found, "cash")["alloc %"] == "35.70"
    assert "Portfolio drift 1.53 %" in found.note


def test_clusters_of_one_are_left_out_and_the_excess_is_named():
    found = table("Correlated clusters")
    assert found.rows == (("STR-001, STR-003", "54.00", "30.00", "0.78", "over by 24.00"),)


def test_high_pairs_carry_their_interval_and_days():
    assert table("HIGH pairs").rows == (("STR-001, STR-003", "0.78", "0.58 to 0.89", "29", ""),)


def test_pairs_worth_a_look_are_named_with_the_reason():
    assert [cells[0] for cells in table("Pairs to look at").rows] == [
        "duplicated",
        "misdated",
        "offsetting",
        "unknown",
        "redundant",
    ]


def test_many_pairs_are_cut_and_the_rest_is_counted():
    pair = samples.correlation().high_correlation_pairs[0]
    many = samples.correlation(high_correlation_pairs=(pair,) * 40)
    found = table("HIGH pairs", samples.result(correlation=many))
    assert len(found.rows) == 15
    assert found.note.startswith("25 more")


def test_unknown_correlation_is_never_shown_as_a_pass():
    unknown = samples.correlation(status="not_evaluated", reason="no pair has 20 common days")
    assert "NOT_EVALUATED: no pair has 20 common days" in plain(samples.result(correlation=unknown))


def test_the_change_table_shows_money_and_reason_and_the_total():
    found = table("Change, correlation_aware")
    assert row(found, "STR-001") == {
        "strategy": "STR-001",
        "from %": "34.00",
        "to %": "16.00",
        "change": "-18.00",
        "USDT": "-10,800.00",
        "reason": "reduce the cluster",
    }
    assert row(found, "STR-007")["change"] == ""
    assert row(found, "deployed")["change"] == "-24.00"
    assert "43.20 USDT" in found.note


def test_limits_show_now_wished_and_after_with_the_closest():
    found = table("Limits")
    assert row(found, "worst cluster") == {
        "limit": "worst cluster",
        "now %": "54.00",
        "wished %": "36.00",
        "after %": "30.00",
        "limit %": "30.00",
        "buffer": "0.00",
        "status": "PASS",
        "after, of": "STR-001, STR-003",
    }
    assert row(found, "smallest funded")["now %"] == "10.30"
    assert found.note == "Closest to tripping: worst cluster of STR-001, STR-003, 0.00 points left."


def test_repair_and_deferred_changes_are_shown():
    assert table("Repair").rows[0][:3] == ("STR-003", "20.00", "14.00")
    assert "Deferred to stay within the trade limit: STR-007." in plain()


def test_a_blocked_run_names_what_binds_and_the_smallest_relaxation():
    blocked = samples.result(
        status="blocked",
        plan_id=None,
        candidates=(samples.candidate(compliance=samples.compliance(blocked=True)),),
    )
    text = plain(blocked)
    assert "Cannot rebalance while respecting all limits." in text
    assert "Smallest relaxation: release STR-001" in text
    assert table("Binding limits", blocked).rows[0][3] == "6.00"
    assert table("All modes", blocked).rows[0][7] == "BLOCKED"


def test_impact_is_labelled_in_sample_and_shows_cost_and_evidence():
    found = table("Impact, in-sample")
    assert row(found, "Sharpe ratio, a year") == {
        "metric": "Sharpe ratio, a year",
        "now": "0.42",
        "projected": "0.48",
        "projected after cost": "0.47",
    }
    measures = dict(table("Improvement, cost and evidence").rows)
    assert measures["improvement, gross %"] == "+14.29"
    assert measures["improvement, net % (gross less that rate)"] == "+13.99"
    assert measures["this plan's cost, USDT"] == "43.20"
    assert measures["P(better)"] == "0.71"
    assert measures["Sharpe difference, 5 / 50 / 95 %"] == "-0.40 / +0.06 / +0.60"
    assert measures["confidence"] == "LOW"


def test_impact_that_is_not_computed_says_why():
    text = plain(samples.result(candidates=(samples.candidate(impact=samples.impact(computed=False)),)))
    assert "Impact not computed: 12 common days, 20 are needed" in text
    assert "P(better)" in text


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("not_computed", "was not computed"),
        ("too_short", "too short"),
        ("supported", "supports the mode: 9 wins in 12 trials"),
        ("contradicted", "speaks against"),
        ("not_distinguishable", "cannot tell the mode from chance"),
    ],
)
def test_evidence_is_said_in_words(status, words):
    assert words in evidence_words(WalkForwardEvidence(status=status, trials=12, wins=9))


def test_a_prediction_is_shown_with_its_interval_and_what_it_was_drawn_from():
    (shown,) = prediction_blocks(
        a_prediction(ranges={metric: a_range("-1", "0.5", "2") for metric in METRICS})
    )
    assert [line[0] for line in shown.rows] == [
        "Sharpe ratio, a year",
        "maximum drawdown %",
        "win rate %",
        "return %",
    ]
    assert shown.rows[0][1:] == ("-1.00", "0.50", "2.00")
    assert shown.rows[2][1:] == ("-100.00", "50.00", "200.00")
    assert "drawn from 90 days" in shown.note
    assert "doing nothing: 0.60." in shown.note
    learned = a_prediction().model_copy(update={"prior_log_odds": Decimal("0.2")})
    (shown,) = prediction_blocks(learned)
    assert "moved by what earlier rebalances taught" in shown.note


def test_where_nothing_is_predicted_the_reason_is_said():
    (said,) = prediction_blocks(a_prediction().model_copy(update={"by_day": (), "reason": "too few days"}))
    assert said.text == "Nothing is predicted: too few days"


def test_all_modes_are_compared_with_chosen_and_cheapest_marked():
    found = table("All modes at a glance")
    assert [(cells[0], cells[-1]) for cells in found.rows] == [
        ("correlation_aware", "chosen"),
        ("proportional", ""),
        ("minimal_turnover", "cheapest"),
    ]
    assert found.rows[0][1:7] == ("40.30", "30.00", "2", "24.00", "43.20", "+14.29")


def test_a_cheapest_candidate_that_is_a_mode_of_its_own_right_is_not_listed_twice():
    one = samples.candidate("minimal_turnover")
    found = table("All modes at a glance", samples.result(candidates=(one,), cheapest=one))
    assert [(cells[0], cells[-1]) for cells in found.rows] == [("minimal_turnover", "chosen, cheapest")]


def test_a_cheapest_candidate_that_differs_from_the_mode_of_its_name_has_a_row_of_its_own():
    mode = samples.candidate(
        "minimal_turnover", proposal=samples.proposal("minimal_turnover", samples.WISHED)
    )
    cheapest = samples.candidate("minimal_turnover")
    found = table("All modes at a glance", samples.result(candidates=(mode,), cheapest=cheapest))
    assert [(cells[0], cells[1], cells[-1]) for cells in found.rows] == [
        ("minimal_turnover", "46.30", "chosen"),
        ("minimal_turnover", "40.30", "cheapest"),
    ]


def test_reviews_alerts_and_warnings_are_shown():
    text = plain()
    assert "the cluster is near 30 %" in text
    assert "alert: STR-001 drifted a lot" in text
    assert "warning: based on stale data" in text
    assert "warning: a snapshot is old" in text


def test_what_next_names_the_plan_the_command_and_that_no_money_moved():
    text = plain()
    assert "trading-portfolio-rebalance show 3fa9c1d2e4b5\n" in text
    assert "no order was sent, no money moved" in text


def test_a_hold_has_nothing_to_decide():
    text = plain(samples.result(status="hold", plan_id=None))
    assert "keeps the current allocation" in text
    assert "show" not in text


def test_a_refusal_says_what_where_and_what_to_do():
    assert plain(samples.refused()).splitlines() == [
        "error: The snapshot is 9 days old.",
        "  where: x.yaml:3",
        "  fix: Refresh it.",
    ]


# Other blocks


def test_status_shows_known_profit_and_loss_and_says_unknown():
    text = plain_text(assessment_blocks(samples.assessment()))
    assert "-40.25" in text
    assert "unknown" in text


def test_history_shortens_ids_and_says_when_there_is_none():
    run = RunSummary(
        run_id="f" * 64,
        as_of=samples.AS_OF,
        mode="proportional",
        recommendation="HOLD",
        basis="none",
        status="hold",
        plan_id=None,
    )
    assert "f" * 12 + "  2019-10-01T02:00:00Z" in plain_text(history_blocks((run,)))
    assert "No run is stored yet" in plain_text(history_blocks(()))


def test_findings_put_errors_first():
    findings = tuple(
        Finding(severity=severity, where="a.yaml", what="w", fix="f") for severity in ("warning", "error")
    )
    assert plain_text(findings_blocks(findings)).splitlines() == [
        "error: a.yaml: w",
        "  fix: f",
        "warning: a.yaml: w",
        "  fix: f",
        "1 error, 1 warning.",
    ]
    assert "No problem found." in plain_text(findings_blocks(()))


def test_config_shows_the_default_where_a_value_differs():
    text = plain_text(config_blocks(Config(limit_buffer_bp=50), "config.yaml", ("a warning",)))
    assert "limit_buffer_bp" in text
    line = next(line for line in text.splitlines() if line.startswith("limit_buffer_bp"))
    assert line.split() == ["limit_buffer_bp", "50", "0"]
    assert "warning: a warning" in text


def test_the_configuration_page_lists_every_key_with_range_and_effect():
    page = config_markdown(Config)
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) == len(list(_keys(Config)))
    assert all(cell.strip() for line in rows for cell in line.strip("|").split("|"))
    assert "| `limit_buffer_bp` | `0` | a whole number, at least 0, at most 2000 |" in page
    assert "| `slippage_bps` | `25` | a number, at least 0, at most 1000 |" in page
    assert "| `return` | `0` |" in page
    schedule = next(line for line in rows if line.startswith("| `schedule`"))
    assert "| text | When the drift is checked: a cron line of five fields, in UTC. |" in schedule
    assert "| `url_env` | required | text |" in page
    assert "| `halt` | `on` | `on` or `silent` or `off` | HALT stands. |" in page


def _keys(model):
    for field in model.model_fields.values():
        nested = field.annotation
        if isinstance(nested, type) and hasattr(nested, "model_fields"):
            yield from _keys(nested)
            continue
        yield field
        for listed in get_args(nested):
            if hasattr(listed, "model_fields"):
                yield from _keys(listed)


# Rendering


def test_a_name_cannot_move_the_cursor_or_hide():
    hostile = "evil\x1b[2J\u202egnp\u200b\nnew\trow"
    assert clean(hostile) == "evil?[2J?gnp? new row"
    text = plain_text(assessment_blocks(samples.assessment(name=hostile)))
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_terminal_text_is_never_markup():
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    blocks = (Paragraph("[bold]x[/bold]"), Table("[red]t", (Column("[c]"),), (("[link=x]y",),), "[n]"))
    for renderable in renderables(blocks, width=100):
        console.print(renderable)
    for words in ("[bold]x[/bold]", "[red]t", "[c]", "[link=x]y", "[n]"):
        assert words in console.file.getvalue()


def test_plain_rows_have_no_boxes_no_colour_no_trailing_blanks():
    text = plain()
    assert text.isascii()
    assert "|" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_plain_tables_fit_a_hundred_columns():
    tables = [block for block in result_blocks(samples.result()) if isinstance(block, Table)]
    for block in tables:
        for line in plain_text((Table(block.title, block.columns, block.rows),)).splitlines():
            assert len(line) <= 100, line


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_a_terminal_cuts_no_figure_and_no_id_however_narrow(width):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    found = Table(
        "t", (Column("id", fit="keep"), Column("%", "right", "keep")), (("STR-" + "X" * 32, "54.123"),)
    )
    for renderable in renderables((found, *result_blocks(samples.result())), width=width):
        console.print(renderable)
    lines = console.file.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    assert sum(line.count("X") for line in lines) == 32
    assert "54.123" in console.file.getvalue()
    assert width < 80 or any(line.startswith("STR-001   fun") for line in lines)
