"""What a person reads before they approve: the plan, all of it, nothing else, and no way to dress it up."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from executing import example_1, planned
from hypothesis import given
from hypothesis import strategies as some
from rich.console import Console

from portfolio_rebalance.records import (
    Plan,
    PlannedEvidence,
    PlannedMetrics,
    PlannedStrategy,
    Review,
    canonical_bytes,
    digest,
)
from portfolio_rebalance.reporting import Block, Paragraph, Table, approval_blocks, plain_text
from portfolio_rebalance.reporting.approval_page import one_line
from portfolio_rebalance.reporting.terminal import renderables

AS_OF = datetime(2025, 2, 5, 2, tzinfo=UTC)
PLAN_ID = "3fa9" * 16
GOOD = PlannedMetrics(
    sharpe=Decimal("0.5"),
    max_drawdown_percent=Decimal(-8),
    win_rate=Decimal("0.6"),
    return_percent=Decimal(4),
    volatility_percent=Decimal(12),
)
NOTHING_KNOWN = PlannedMetrics(
    sharpe=None, max_drawdown_percent=None, win_rate=None, return_percent=None, volatility_percent=None
)
HOSTILE = "x\x1b[2J\r\nPlan id ffff\u2028MIND: nothing\u202e\u200b\u3164\u0336 \u0430pprove\ud800   reject"


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Plan:
    """The plan of the worked example: 34/20/10.3 to 16/14/10.3."""
    result = planned(example_1(tmp_path_factory.mktemp("approval")))
    assert result.plan is not None
    return result.plan


@pytest.fixture(scope="module")
def plan(real) -> Plan:
    """The same, which nobody has anything to say against."""
    approve = tuple(
        review.model_copy(update={"verdict": "approve", "concerns": ()}) for review in real.reviews
    )
    return real.model_copy(update={"reviews": approve, "evidence": evidence(GOOD, GOOD)})


def evidence(baseline: PlannedMetrics | None, projected: PlannedMetrics | None) -> PlannedEvidence:
    return PlannedEvidence(
        baseline=baseline,
        projected=projected,
        net_improvement_percent=Decimal("13.99"),
        probability_better=Decimal("0.71"),
        trials=12,
        wins=9,
    )


def metrics(**changes: str | None) -> PlannedMetrics:
    return GOOD.model_copy(
        update={key: None if value is None else Decimal(value) for key, value in changes.items()}
    )


def page(plan: Plan) -> str:
    return plain_text(approval_blocks(plan, PLAN_ID))


def table(plan: Plan, title: str) -> Table:
    blocks = approval_blocks(plan, PLAN_ID)
    return next(block for block in blocks if isinstance(block, Table) and block.title.startswith(title))


def paragraphs(blocks: list[Block]) -> list[Paragraph]:
    return [block for block in blocks if isinstance(block, Paragraph)]


def with_strategy(plan: Plan, key: str, **changes: object) -> Plan:
    lines = tuple(one.model_copy(update=changes) if one.strategy == key else one for one in plan.strategies)
    return plan.model_copy(update={"strategies": lines})


def decided(plan: Plan, **changes: object) -> Plan:
    return plan.model_copy(update={"decision": plan.decision.model_copy(update=changes)})


def on_a_terminal(plan: Plan, *, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    for renderable in renderables(approval_blocks(plan, PLAN_ID), width=width):
        console.print(renderable)
    return console.file.getvalue().splitlines()


# What would change


def test_the_change_is_shown_in_points_and_money_changed_strategies_first(real):
    assert table(real, "Change").rows == (
        ("STR-001", "34.00", "16.00", "-18.00", "20,400.00", "9,600.00", "orders (not stated)"),
        ("STR-003", "20.00", "14.00", "-6.00", "12,000.00", "8,400.00", "orders (not stated)"),
        ("STR-007", "10.30", "10.30", "", "6,180.00", "6,180.00", "left alone"),
        ("deployed", "64.30", "40.30", "-24.00", "38,580.00", "24,180.00", ""),
        ("cash", "35.70", "59.70", "+24.00", "21,420.00", "35,820.00", ""),
    )


def test_turnover_and_cost_are_shown_in_money_and_percent(real):
    found = table(real, "Change")
    assert found.title == "Change, of total capital 60,000.00 USD"
    assert found.note == (
        "Turnover 24.00 % of total capital; estimated cost 43.20 USD, 0.07 % of it. Cash is before costs."
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"control": "positions"}, "orders"),
        ({"control": None}, "orders (not stated)"),
        ({"control": "bot"}, "by hand (bot)"),
        ({"control": "bot", "proposed_bp": 0}, "by hand (bot), exit"),
        ({"control": "positions", "pinned": True}, "orders, pinned"),
        ({"proposed_bp": None, "pinned": True, "held": True}, "left alone, pinned, held"),
        ({"proposed_bp": None, "control": "bot"}, "left alone"),
    ],
)
def test_who_moves_the_capital_is_said(plan, changes, words):
    rows = {row[0]: row[-1] for row in table(with_strategy(plan, "STR-001", **changes), "Change").rows}
    assert rows["STR-001"] == words


def test_what_is_left_to_a_person_or_not_stated_is_said_below(plan):
    stated = with_strategy(with_strategy(plan, "STR-001", control="bot"), "STR-003", control="positions")
    assert "By hand: after the orders you tell the bots of STR-001." in page(stated)
    assert "not stated in the registry" not in page(stated)
    assert "Who moves STR-001, STR-003 is not stated in the registry" in page(plan)
    assert "By hand:" not in page(plan)


def test_a_strategy_at_an_exact_fraction_is_left_where_it_is(plan):
    third = with_strategy(plan, "STR-007", current_bp=Fraction(10_000, 3), capital=Decimal(20_000))
    assert table(third, "Change").rows[2][1:6] == ("33.33", "33.33", "", "20,000.00", "20,000.00")


def test_sixty_strategies_are_all_shown(plan):
    many = tuple(
        plan.strategies[0].model_copy(update={"strategy": f"STR-{number:03}"}) for number in range(60)
    )
    crowd = plan.model_copy(update={"strategies": many, "clusters": ()})
    assert [row[0] for row in table(crowd, "Change").rows[:60]] == [one.strategy for one in many]


# Limits, and what is not known


def test_exposure_shows_total_clusters_largest_and_smallest(real):
    found = table(real, "Exposure")
    assert found.rows == (
        ("total deployed", "64.30", "40.30", "60.00", ""),
        ("correlated cluster", "54.00", "30.00", "30.00", "STR-001, STR-003"),
        ("largest single", "34.00", "16.00", "40.00", "STR-001"),
        ("smallest funded", "10.30", "10.30", "1.00", "STR-007"),
    )
    assert found.note == "Correlated exposure after the change: PASS."


def test_a_plan_that_leaves_nothing_funded_has_neither_largest_nor_smallest(plan):
    for one in plan.strategies:
        plan = with_strategy(plan, one.strategy, proposed_bp=0)
    assert [row[0] for row in table(plan, "Exposure").rows] == ["total deployed", "correlated cluster"]
    assert table(plan, "Change").rows[-2][:3] == ("deployed", "64.30", "0.00")


@pytest.mark.parametrize(
    ("changes", "words", "tone"),
    [
        (
            {"correlated_exposure": "NOT_EVALUATED", "not_evaluated_reason": "12 common days"},
            "MIND: correlated exposure is NOT_EVALUATED: this plan may break the cluster limit.",
            "bad",
        ),
        (
            {"correlated_exposure": "FAIL"},
            "MIND: correlated exposure FAILS: a cluster stays above its limit.",
            "bad",
        ),
        ({"stale": ("STR-001: snapshot is 30 h old",)}, "MIND: based on STALE data.", "bad"),
        ({"fallback": "correlation is unknown"}, "MIND: this is not the mode that was asked for.", "warn"),
        ({"reviews": ()}, "MIND: nobody reviewed it.", "bad"),
    ],
)
def test_what_must_not_be_missed_stands_above_and_below_all_tables(plan, changes, words, tone):
    assert "MIND" not in page(plan)
    blocks = approval_blocks(plan.model_copy(update=changes), PLAN_ID)
    tables = [place for place, block in enumerate(blocks) if isinstance(block, Table)]
    places = [place for place, block in enumerate(blocks) if block == Paragraph(words, tone)]
    assert len(places) == 2
    assert places[0] < tables[0]
    assert places[1] > tables[-1]
    assert places[1] == len(blocks) - 2


def test_why_something_is_not_known_is_said_in_full(plan):
    unsure = plan.model_copy(
        update={
            "correlated_exposure": "NOT_EVALUATED",
            "not_evaluated_reason": "12 common days",
            "fallback": "correlation cannot be computed",
            "requested_mode": "correlation_aware",
            "stale": ("STR-001: no return for 2025-02-04", "STR-003: snapshot is 30 h old"),
        }
    )
    assert table(unsure, "Not known for certain").rows == (
        ("NOT_EVALUATED", "12 common days"),
        ("fallback", "correlation_aware was asked for; correlation cannot be computed"),
        ("stale data", "STR-001: no return for 2025-02-04"),
        ("stale data", "STR-003: snapshot is 30 h old"),
    )
    assert "Not known for certain" not in page(plan)


def test_exposure_that_is_not_evaluated_is_never_called_a_pass(plan):
    unsure = plan.model_copy(update={"correlated_exposure": "NOT_EVALUATED", "clusters": ()})
    assert table(unsure, "Exposure").note == (
        "Correlated exposure after the change: NOT_EVALUATED. No correlated cluster of two or more is known."
    )
    assert "no reason is given" in page(unsure)


# Advice


def test_both_reviews_are_shown_with_every_concern(plan):
    reviews = (
        Review(role="quantitative_analyst", source="rules", verdict="concerns", concerns=("one", "two")),
        Review(role="risk_manager", source="rules", verdict="reject", concerns=("three",)),
    )
    advised = plan.model_copy(update={"reviews": reviews})
    found = table(advised, "Reviews")
    assert found.rows == (
        ("quantitative analyst", "rules", "concerns", "one"),
        ("quantitative analyst", "rules", "concerns", "two"),
        ("risk manager", "rules", "reject", "three"),
    )
    assert found.note == "You may approve against a review, never against a limit."
    assert page(advised).count("MIND: the risk manager REJECTS it.") == 2
    assert page(advised).count("MIND: the quantitative analyst has concerns.") == 2


def test_the_headline_and_what_the_improvement_rule_alone_says_are_shown(plan):
    rows = table(
        decided(plan, headline="the cluster is too large", reasons=("too large", "drift")), "Decision"
    )
    assert rows.rows == (
        ("headline", "the cluster is too large"),
        ("improvement rule alone", "REBALANCE"),
        ("reason", "drift"),
    )


def test_history_that_speaks_against_the_mode_is_said_at_both_ends(plan):
    against = decided(plan, evidence="contradicted")
    assert page(against).count("MIND: this history speaks against the mode.") == 2
    assert table(against, "Evidence").note == "This history speaks against the mode."


# Risk


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({"sharpe": "0.4"}, "Sharpe ratio, a year, from 0.50 to 0.40: 20.00 % worse."),
        ({"max_drawdown_percent": "-10"}, "maximum drawdown %, from -8.00 to -10.00: 25.00 % worse."),
        ({"volatility_percent": "15"}, "volatility %, a year, from 12.00 to 15.00: 25.00 % worse."),
        ({"win_rate": "0.57"}, "win rate %, from 60.00 to 57.00: 5.00 % worse."),
        ({"return_percent": "-4"}, "return %, from 4.00 to -4.00: 200.00 % worse."),
        (
            {"sharpe": "0.45", "volatility_percent": "13.3", "max_drawdown_percent": "-4"},
            "volatility %, a year, from 12.00 to 13.30: 10.83 % worse.",
        ),
    ],
)
def test_the_measure_that_gets_worst_against_its_own_size_is_named(plan, after, words):
    found = plan.model_copy(update={"evidence": evidence(GOOD, metrics(**after))})
    expected = Paragraph(f"Worst risk change, in-sample: {words}", "warn")
    assert expected in approval_blocks(found, PLAN_ID)


def test_a_measure_that_was_nothing_and_gets_worse_is_the_worst(plan):
    flat = metrics(max_drawdown_percent="0", sharpe="0.5")
    worse = metrics(max_drawdown_percent="-0.5", sharpe="-5")
    words = page(plan.model_copy(update={"evidence": evidence(flat, worse)}))
    assert "in-sample: maximum drawdown %, from 0.00 to -0.50: it was 0." in words


@pytest.mark.parametrize(
    "after",
    [
        {},
        {
            "sharpe": "0.9",
            "max_drawdown_percent": "-1",
            "win_rate": "0.7",
            "return_percent": "5",
            "volatility_percent": "3",
        },
    ],
)
def test_none_gets_worse_is_said_as_such(plan, after):
    found = plan.model_copy(update={"evidence": evidence(GOOD, metrics(**after))})
    good = Paragraph("Worst risk change, in-sample: none gets worse.", "good")
    assert good in approval_blocks(found, PLAN_ID)


def test_a_measure_that_is_undefined_is_not_passed_off_as_no_worse(plan):
    found = plan.model_copy(update={"evidence": evidence(GOOD, metrics(sharpe=None))})
    texts = [block.text for block in paragraphs(approval_blocks(found, PLAN_ID))]
    assert "Worst risk change, in-sample: none of those that are known gets worse." in texts
    assert "Not compared, undefined: Sharpe ratio, a year." in texts
    assert table(found, "Risk").rows[0] == (
        "Sharpe ratio, a year",
        "0.50",
        "undefined",
        "undefined",
        "undefined",
    )
    nothing = page(plan.model_copy(update={"evidence": evidence(NOTHING_KNOWN, NOTHING_KNOWN)}))
    assert "none gets worse" not in nothing


@pytest.mark.parametrize(("baseline", "projected"), [(None, GOOD), (GOOD, None), (None, None)])
def test_measures_that_could_not_be_computed_are_bad_news(plan, baseline, projected):
    blocks = approval_blocks(plan.model_copy(update={"evidence": evidence(baseline, projected)}), PLAN_ID)
    assert Paragraph("Worst risk change: not known, the measures could not be computed.", "bad") in blocks


def test_before_and_after_are_labelled_in_sample(plan):
    found = table(plan.model_copy(update={"evidence": evidence(GOOD, metrics(sharpe="0.6"))}), "Risk")
    assert found.title == "Risk, in-sample"
    assert found.rows[0] == ("Sharpe ratio, a year", "0.50", "0.60", "+0.10", "+20.00")


def test_evidence_shows_probability_trials_and_wins(plan):
    assert table(plan, "Evidence").rows == (
        ("net improvement, in-sample %", "+13.99"),
        ("probability of a better Sharpe ratio", "0.71"),
        ("walk-forward trials", "12"),
        ("of them won", "9"),
        ("confidence", "LOW"),
    )


# What an approval is good for


def test_envelope_expiry_and_the_whole_id_are_shown(real):
    lines = plain_text(approval_blocks(real, digest(real))).splitlines()
    assert "Prices: it holds while no strategy and not the total moves by more than 2.00 %." in lines
    assert "Expires at 2025-02-06T02:00:00Z; it is executed once, or not at all." in lines
    assert lines[-1] == f"Plan id {digest(real)}"
    assert lines[0] == "A plan to approve: REBALANCE (compliance), mode correlation_aware."


def test_the_page_is_the_same_from_the_stored_bytes(real):
    stored = Plan.model_validate_json(canonical_bytes(real))
    assert page(stored) == page(real)


def test_whatever_is_changed_in_a_plan_changes_the_page(plan):
    first: PlannedStrategy = plan.strategies[0]
    others = [
        with_strategy(plan, first.strategy, **change)
        for change in (
            {"proposed_bp": 1601},
            {"current_bp": Fraction(3401)},
            {"capital": Decimal(20_401)},
            {"control": "bot"},
            {"pinned": True},
            {"held": True},
        )
    ]
    others += [
        plan.model_copy(update=change)
        for change in (
            {"as_of": AS_OF + timedelta(hours=1)},
            {"expires_at": AS_OF + timedelta(hours=99)},
            {"state_as_of": AS_OF - timedelta(days=3)},
            {"mode": "proportional"},
            {"currency": "EUR"},
            {"total_capital": Decimal(60_001)},
            {"cash": Decimal(1)},
            {"max_plan_price_move_percent": Decimal(9)},
            {"clusters": (("STR-003", "STR-007"),)},
            {"correlated_exposure": "FAIL"},
            {"turnover_percent": Decimal(25)},
            {"estimated_cost": Decimal("43.30")},
        )
    ]
    others += [decided(plan, recommendation="OPTIONAL"), decided(plan, basis="drift")]
    others += [decided(plan, confidence="HIGH"), decided(plan, improvement_verdict="HOLD")]
    pages = [page(plan), *map(page, others)]
    assert len(set(pages)) == len(pages)


# No way to dress it up


def dressed_up(plan: Plan, text: str) -> Plan:
    """The plan with somebody else's words wherever words are free."""
    reviews = tuple(
        review.model_copy(update={"verdict": "concerns", "concerns": (text,)}) for review in plan.reviews
    )
    changed = decided(plan, headline=text, reasons=(f"because {text}",)).model_copy(
        update={
            "mode": text,
            "requested_mode": text,
            "currency": text,
            "fallback": text,
            "correlated_exposure": "NOT_EVALUATED",
            "not_evaluated_reason": text,
            "stale": (text,),
            "reviews": reviews,
        }
    )
    return with_strategy(changed, "STR-001", account=text, quantities={text: Decimal(1)})


def test_words_of_others_are_one_line_of_ascii():
    assert one_line(HOSTILE) == ("x?[2J Plan id ffff MIND: nothing??\\u3164\\u0336 \\u0430pprove? reject")
    assert one_line("a" * 500) == "a" * 397 + "..."
    assert one_line("  \n ") == ""


def test_words_of_others_begin_no_line_in_plain_rows(plan):
    harmless, hostile = (page(dressed_up(plan, text)).splitlines() for text in ("word", HOSTILE))
    assert len(hostile) == len(harmless)
    assert [line for line in hostile if line.startswith("Plan id")] == [f"Plan id {PLAN_ID}"]
    assert [line for line in hostile if line.startswith("MIND")] == [
        line for line in harmless if line.startswith("MIND")
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("padding", [0, 7, 31, 60])
def test_words_of_others_begin_no_line_on_a_terminal_however_it_folds(plan, width, padding):
    marks = ("Plan id", "MIND", "approve", "nothing", "ffff", "Change", "Reviews")
    text = "x" * padding + f" {' '.join(marks)} " * 8
    begun, harmless = (
        [line for line in on_a_terminal(dressed_up(plan, words), width=width) if line.startswith(marks)]
        for words in (text, "word")
    )
    assert [line.split()[0] for line in begun] == [line.split()[0] for line in harmless]
    assert [line for line in begun if line.startswith("MIND")] == [
        line for line in harmless if line.startswith("MIND")
    ]
    assert sum(line.startswith("Plan id") for line in begun) == 1


@given(text=some.text(max_size=600))
def test_no_words_whatever_leave_their_cell(plan, text):
    written = page(dressed_up(plan, text))
    assert written.isascii()
    assert all(mark.isprintable() for mark in written if mark != "\n")
    rows = [line for line in written.splitlines() if line.startswith(("Plan id", "STR-", "deployed", "cash"))]
    assert rows == [
        line
        for line in page(dressed_up(plan, "word")).splitlines()
        if line.startswith(("Plan id", "STR-", "deployed", "cash"))
    ]


def test_so_many_concerns_that_the_rest_scrolls_away_are_counted_instead(plan):
    reviews = (plan.reviews[0].model_copy(update={"concerns": tuple(map(str, range(500)))}),)
    noisy = plan.model_copy(update={"reviews": reviews, "stale": tuple(map(str, range(500)))})
    assert len(page(noisy).splitlines()) < 90
    assert table(noisy, "Reviews").note.endswith("484 more concerns; --json lists all.")
    assert table(noisy, "Not known").note == "492 more such lines; --json lists all."


# Rendering


def test_the_page_is_ascii_so_that_what_is_hashed_is_what_is_shown(real):
    assert plain_text(approval_blocks(real, PLAN_ID)).isascii()


def test_the_tables_fit_a_hundred_columns(plan):
    for block in approval_blocks(plan, PLAN_ID):
        if isinstance(block, Table) and block.title != "Decision":
            text = plain_text((Table(block.title, block.columns, block.rows),))
            assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_a_terminal_shows_the_whole_id_and_no_line_too_long(plan, width):
    lines = on_a_terminal(plan, width=width)
    assert all(len(line) <= width for line in lines)
    assert "".join("".join(lines[-3:]).split()).endswith(f"Planid{PLAN_ID}")
    assert width < 80 or any(line.startswith("STR-001   34.00       16.00  -18.00") for line in lines)
