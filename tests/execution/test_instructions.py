"""What a person tells a bot, word for word, and how a snapshot confirms it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.execution.instructions import (
    CONFIRM_WITHIN,
    TOLERANCE_BP,
    confirmed,
    instruction_for,
    instructions_path,
    instructions_yaml,
    overdue,
)
from portfolio_rebalance.records import Instruction
from portfolio_rebalance.workspace import strict_yaml

PLAN = "0123456789ab" + "cd" * 26
ISSUED = datetime(2019, 10, 1, 2, tzinfo=UTC)
LATER = ISSUED + timedelta(hours=3)


def instruction(
    old: str, new: str, *, strategy: str = "STR-001", account: str | None = "main"
) -> Instruction:
    return instruction_for(
        strategy=strategy,
        account=account,
        old_capital=Decimal(old),
        new_capital=Decimal(new),
        currency="USDT",
    )


# --- the words -------------------------------------------------------------------------------------------

FALLS = {
    "freqtrade": """\
1. In config.json, where "available_capital" reads 20400, write:
   "available_capital": 20000,
   Where it reads another figure, write that figure minus 400: it is what the bot started with, and
   profit closed since counts on top. Where it is absent, the bot trades "tradable_balance_ratio" of its
   whole account: leave both as they are.
   "stake_amount": "unlimited" follows it; a fixed amount stays what it is until you change it too.
2. Send /reload_config.
3. Open trades keep what they hold until they close. To free it now, send /forceexit TRADE_ID for one of
   them, or /forceexit all.
4. Where the bot has its account to itself, transfer 400 USDT out of the account.
""",
    "freqtrade_dry_run": """\
1. In config.json, where "dry_run_wallet" reads 20400, write:
   "dry_run_wallet": 20000,
   Where it reads another figure, write that figure minus 400. Where it lists currencies, that holds
   for USDT in it. Change "available_capital" by the same, if it is there.
2. Send /reload_config.
""",
    "hummingbot_controller": """\
1. In conf/controllers, in the file of the one controller that uses all of this capital, write:
   total_amount_quote: 20000
   Several controllers, or leverage: multiply what each reads by 0.98039215 (20000 / 20400). \
pmm_v1 has order_amount, in the base asset, in its place.
   It counts in the quote asset: convert it, if that is not USDT.
2. Save. A running bot reads it again within a minute; orders and positions that are open keep their size
   until the controller replaces them.
3. Where the bot has its account to itself, transfer 400 USDT out of the account.
""",
    "hummingbot_v1": """\
1. In the client:
   config order_amount
   and enter what it reads times 0.98039215 (20000 / 20400), in the base asset. \
Likewise order_level_amount, where it is not 0.
2. Pure market making takes it up as it runs; other strategies after stop and start.
3. Where the bot has its account to itself, transfer 400 USDT out of the account.
""",
    "generic": """\
1. Let the bot use 20000 USDT instead of 20400, that is 400 less.
2. Where the bot has its account to itself, transfer 400 USDT out of the account.
""",
}


def test_a_reduction_in_the_words_of_each_program() -> None:
    made = instruction("20400", "20000")
    assert dict(made.settings) == FALLS
    assert made.model_dump(exclude={"settings"}) == {
        "strategy": "STR-001",
        "account": "main",
        "old_capital": Decimal(20400),
        "new_capital": Decimal(20000),
    }


def test_money_comes_in_before_the_bot_is_told_of_it() -> None:
    settings = instruction("6200", "6180.5").settings
    more = instruction("6180.5", "6200").settings
    for program in ("freqtrade", "hummingbot_controller", "hummingbot_v1", "generic"):
        assert more[program].startswith(
            "1. Where the bot has its account to itself, transfer 19.5 USDT into the account.\n2. "
        )
        assert settings[program].endswith("transfer 19.5 USDT out of the account.\n")
    assert '   "available_capital": 6200,\n' in more["freqtrade"]
    assert "write that figure plus 19.5:" in more["freqtrade"]
    assert "/forceexit" not in more["freqtrade"]
    assert more["freqtrade"].endswith("3. Send /reload_config.\n")
    assert "multiply what each reads by 1.00315508 (6200 / 6180.5)." in more["hummingbot_controller"]
    assert "Let the bot use 6200 USDT instead of 6180.5, that is 19.5 more.\n" in more["generic"]


def test_a_simulated_wallet_gets_no_transfer() -> None:
    for old, new in (("100", "200"), ("200", "100")):
        assert "transfer" not in instruction(old, new).settings["freqtrade_dry_run"]


def test_a_bot_that_is_wound_down_stops_and_does_not_start_again() -> None:
    settings = instruction("1000.5", "0").settings
    stops = (
        "1. Send /stopentry, then /forceexit all; wait until /status shows no open trade.\n"
        "2. Send /stop, and write in config.json, so that a restart does not trade:\n"
        '   "initial_state": "stopped",\n'
    )
    transfer = "3. Where the bot has its account to itself, transfer 1000.5 USDT out of the account.\n"
    assert settings["freqtrade"] == stops + transfer
    assert settings["freqtrade_dry_run"] == stops
    assert settings["hummingbot_controller"] == settings["hummingbot_v1"]
    assert settings["hummingbot_v1"] == (
        "1. In the client:\n   stop\n   It cancels the orders and leaves the positions.\n"
        "2. Close at the venue what the bot still holds.\n" + transfer
    )


def test_a_bot_that_had_nothing_gets_no_factor() -> None:
    settings = instruction("0", "1000").settings
    assert '   "available_capital": 1000,\n' in settings["freqtrade"]
    assert "Several controllers, or leverage: let them add up to that." in settings["hummingbot_controller"]
    assert "and enter what one order may take of that, in the base asset." in settings["hummingbot_v1"]


def test_the_factor_never_gives_a_bot_more_than_it_should_have() -> None:
    assert "0.66666666 (2 / 3)" in instruction("3", "2").settings["hummingbot_v1"]
    assert (
        "0.99999999 (99999999999998.99999999 / 99999999999999)"
        in (instruction("99999999999999", "99999999999998.99999999").settings["hummingbot_v1"])
    )
    assert (
        "times 9999999999999900000000 (99999999999999 / 0.00000001)"
        in (instruction("0.00000001", "99999999999999").settings["hummingbot_v1"])
    )


def test_amounts_are_shown_to_the_smallest_one_that_anybody_transfers() -> None:
    made = instruction("100.123456789012", "90.000000000049")
    assert '"available_capital" reads 100.12345679, write:' in made.settings["freqtrade"]
    assert "transfer 10.12345679 USDT" in made.settings["generic"]
    assert made.new_capital == Decimal("90.000000000049")


@pytest.mark.parametrize("new", ["5", "5.000000001"])
def test_a_bot_that_has_what_it_should_is_left_as_it_is(new: str) -> None:
    """Prices may have moved it there by themselves; that is no reason to stop halfway."""
    made = instruction("5", new)
    assert dict(made.settings) == {
        "generic": "1. Leave the bot as it is: it has the 5 USDT that it should have.\n"
    }
    for capital, outcome in (("5", "confirmed"), ("5.05", "confirmed"), ("5.06", "off")):
        found = confirmed(
            made, capital=Decimal(capital), as_of=LATER, issued_at=ISSUED, tolerance_bp=TOLERANCE_BP
        )
        assert found.outcome == outcome


@pytest.mark.parametrize(("old", "new"), [("-1", "5"), ("5", "-1")])
def test_a_capital_below_nothing_is_refused(old: str, new: str) -> None:
    with pytest.raises(UsageError, match=f"from a capital of {old} to one of {new}") as caught:
        instruction(old, new)
    assert caught.value.where == "STR-001"


# --- the file --------------------------------------------------------------------------------------------


def test_the_file_is_named_by_the_first_twelve_characters_of_the_plan() -> None:
    assert instructions_path(PLAN) == "portfolio-rebalance/capital-instructions-0123456789ab.yaml"


@pytest.mark.parametrize(
    "plan_id", ["", "0123456789a", "../../../etc/x", "0123456789AB", "0123456789ab\n", "g" * 64]
)
def test_what_is_no_plan_id_names_no_file(plan_id: str) -> None:
    with pytest.raises(UsageError, match="is not a plan's id"):
        instructions_path(plan_id)
    with pytest.raises(UsageError, match="is not a plan's id"):
        instructions_yaml(plan_id, ISSUED, [])


def test_the_file_tells_a_person_what_to_do_and_how_to_confirm_it() -> None:
    made = instruction("20400", "20000")
    text = instructions_yaml(PLAN, ISSUED, [made]).decode()
    assert text.startswith(
        """\
# Capital that you move: these strategies are traded by bots of their own, so no order was sent for them.
# 1. Go through the strategies in this order. For each, do what stands under the program that runs it.
# 2. Let a snapshot of each be written afterwards: live-monitoring/live-performance/<strategy>/
# 3. Have it checked: trading-portfolio-rebalance confirm 0123456789ab
# What is not confirmed by 2019-10-03T02:00:00Z is reported.
"""
        f"plan_id: {'PLAN'}\n".replace("PLAN", f'"{PLAN}"')
        + """\
issued_at: "2019-10-01T02:00:00Z"
confirm_before: "2019-10-03T02:00:00Z"
instructions:
  - strategy: STR-001
    account: main
    old_capital: 20400
    new_capital: 20000
    settings:
      freqtrade: |
        1. In config.json, where "available_capital" reads 20400, write:
           "available_capital": 20000,
"""
    )


def read(data: bytes) -> Any:
    return strict_yaml.parse(data.decode(), label="instructions").value


def test_the_file_reads_back_to_what_was_instructed_reductions_first() -> None:
    rises = instruction("0", "1000.50", strategy="STR-002", account=None)
    falls = instruction("20400", "20000.123456789012", strategy="STR-003", account='a: "b" # {c} é')
    ends = instruction("700", "0", strategy="STR-001")
    value = read(instructions_yaml(PLAN, ISSUED, [rises, falls, ends]))
    assert value == {
        "plan_id": PLAN,
        "issued_at": "2019-10-01T02:00:00Z",
        "confirm_before": "2019-10-03T02:00:00Z",
        "instructions": [
            {
                "strategy": one.strategy,
                "account": one.account,
                "old_capital": Decimal(old),
                "new_capital": Decimal(new),
                "settings": dict(one.settings),
            }
            for one, old, new in (
                (falls, "20400", "20000.12345679"),
                (ends, "700", "0"),
                (rises, "0", "1000.5"),
            )
        ],
    }


def test_without_instructions_the_file_says_so() -> None:
    assert read(instructions_yaml(PLAN, ISSUED, []))["instructions"] == []


def test_an_instant_that_is_not_in_utc_is_refused() -> None:
    for instant in (ISSUED.replace(tzinfo=None), ISSUED.astimezone(timezone(timedelta(hours=1)))):
        with pytest.raises(UsageError, match="is not in UTC"):
            instructions_yaml(PLAN, instant, [])


SMALLEST = Decimal("0.00000001")
money = st.decimals(min_value=0, max_value=10**14 - 1, places=12, allow_nan=False)


@given(old=money, new=money)
def test_any_amounts_make_a_file_that_reads_back(old: Decimal, new: Decimal) -> None:
    made = instruction_for(
        strategy="STR-001", account=None, old_capital=old, new_capital=new, currency="USDT"
    )
    (entry,) = read(instructions_yaml(PLAN, ISSUED, [made]))["instructions"]
    assert entry["settings"] == dict(made.settings)
    assert abs(entry["new_capital"] - new) <= Decimal("0.000000005")
    assert abs(entry["old_capital"] - old) <= Decimal("0.000000005")


# --- confirming ------------------------------------------------------------------------------------------

OUTCOMES: Mapping[str, tuple[str, str, str, str]] = {
    "exactly": ("20000", "10000", "10000", "confirmed"),
    "1 % of the larger above": ("20000", "10000", "10200", "confirmed"),
    "1 % of the larger below": ("20000", "10000", "9800", "confirmed"),
    "a little more than that above": ("20000", "10000", "10200.000000000001", "off"),
    "a little more than that below": ("20000", "10000", "9799.999999999999", "off"),
    "nothing done": ("20000", "10000", "20000", "off"),
    "the wrong way": ("20000", "10000", "30000", "off"),
    "increase done": ("10000", "20000", "19900", "confirmed"),
    "increase not done": ("10000", "20000", "10000", "off"),
    "small change done": ("20400", "20300", "20300", "confirmed"),
    "small change, nearer to the new": ("20400", "20300", "20349.99", "confirmed"),
    "small change, in the middle": ("20400", "20300", "20350", "off"),
    "small change, not done": ("20400", "20300", "20400", "off"),
    "small increase, not done": ("20300", "20400", "20300", "off"),
    "small increase, profit beyond": ("20300", "20400", "20450", "off"),
    "wound down to dust": ("20400", "0", "150", "confirmed"),
    "wound down to nothing": ("20400", "0", "0", "confirmed"),
    "not wound down": ("20400", "0", "205", "off"),
    "funded from nothing": ("0", "1000", "990", "confirmed"),
    "not funded": ("0", "1000", "0", "off"),
}


@pytest.mark.parametrize(("old", "new", "capital", "outcome"), OUTCOMES.values(), ids=OUTCOMES.keys())
def test_a_snapshot_confirms_what_was_done_and_not_what_was_not(
    old: str, new: str, capital: str, outcome: str
) -> None:
    found = confirmed(
        instruction(old, new),
        capital=Decimal(capital),
        as_of=LATER,
        issued_at=ISSUED,
        tolerance_bp=TOLERANCE_BP,
    )
    assert found.outcome == outcome
    assert found.difference == Decimal(capital) - Decimal(new)


@pytest.mark.parametrize(("tolerance_bp", "outcome"), [(0, "off"), (49, "off"), (50, "confirmed")])
def test_the_tolerance_is_in_basis_points(tolerance_bp: int, outcome: str) -> None:
    found = confirmed(
        instruction("20000", "10000"),
        capital=Decimal(10100),
        as_of=LATER,
        issued_at=ISSUED,
        tolerance_bp=tolerance_bp,
    )
    assert found.outcome == outcome


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (timedelta(hours=-1), "too_early"),
        (timedelta(0), "too_early"),
        (timedelta(microseconds=1), "confirmed"),
    ],
)
def test_only_a_later_snapshot_shows_anything(after: timedelta, outcome: str) -> None:
    found = confirmed(
        instruction("20000", "10000"),
        capital=Decimal(10000),
        as_of=ISSUED + after,
        issued_at=ISSUED,
        tolerance_bp=TOLERANCE_BP,
    )
    assert found.outcome == outcome


def test_each_outcome_is_one_sentence_for_people() -> None:
    made = instruction("20000", "10000")

    def said(capital: str, as_of: datetime) -> str:
        return confirmed(
            made, capital=Decimal(capital), as_of=as_of, issued_at=ISSUED, tolerance_bp=TOLERANCE_BP
        ).what

    assert said("10010", LATER) == "STR-001 holds 10010, as instructed: 10000."
    assert said("20000", LATER) == "STR-001 holds 20000, not 10000: 10000 off, where no more than 200 passes."
    assert said("10000", ISSUED) == (
        "The newest snapshot of STR-001 is of 2019-10-01T02:00:00Z: it shows nothing of what was instructed "
        "at 2019-10-01T02:00:00Z."
    )


@given(old=money, new=money, capital=money, tolerance_bp=st.integers(0, 10_000))
def test_confirmed_means_near_enough_and_nearer_than_doing_nothing(
    old: Decimal, new: Decimal, capital: Decimal, tolerance_bp: int
) -> None:
    made = Instruction(strategy="STR-001", account=None, old_capital=old, new_capital=new, settings={})
    outcome = confirmed(
        made, capital=capital, as_of=LATER, issued_at=ISSUED, tolerance_bp=tolerance_bp
    ).outcome
    off = abs(Fraction(capital) - Fraction(new))
    near = off * 10_000 <= tolerance_bp * max(Fraction(old), Fraction(new))
    nearer = off < abs(Fraction(capital) - Fraction(old)) and off < abs(Fraction(old) - Fraction(new)) / 2
    nearer = nearer or old.quantize(SMALLEST) == new.quantize(SMALLEST)
    assert (outcome == "confirmed") == (near and nearer)


# --- overdue ---------------------------------------------------------------------------------------------


def test_what_is_not_confirmed_for_48_hours_is_overdue() -> None:
    assert timedelta(hours=48) == CONFIRM_WITHIN
    assert not overdue(ISSUED, ISSUED + timedelta(hours=48) - timedelta(microseconds=1))
    assert overdue(ISSUED, ISSUED + timedelta(hours=48))
    assert not overdue(ISSUED, ISSUED - timedelta(days=9))
