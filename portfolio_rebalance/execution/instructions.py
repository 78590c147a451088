"""Capital instructions: what a person tells a running bot, because no order goes behind its back.

A strategy with ``control: bot`` trades by itself; its capital moves when its own setting does. The settings
were looked up in the documentation and the source of freqtrade 2026.9 and Hummingbot 2.16:

- ``available_capital`` is what a bot started with: profit it has closed since counts on top, so only its
  change is exact. It replaces ``tradable_balance_ratio``, takes effect on a reload, and a lower one closes no
  trade: https://www.freqtrade.io/en/stable/configuration/#assign-available-capital. ``dry_run_wallet``,
  ``stake_amount`` and ``initial_state``: the table on that page.
- ``/reload_config``, ``/forceexit``, ``/stopentry``, ``/stop``:
  https://www.freqtrade.io/en/stable/telegram-usage/#telegram-commands.
- ``total_amount_quote`` in ``conf/controllers``, read again while the bot runs:
  https://hummingbot.org/strategies/v2-strategies/walkthrough-controller/#changing-configs.
- ``order_amount``, in the base asset, for each order:
  https://hummingbot.org/strategies/v1-strategies/pure-market-making/. ``stop`` cancels orders and leaves
  positions: https://hummingbot.org/client/start-stop/#stop-a-running-strategy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from textwrap import indent
from typing import Final, Literal

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.records import Instruction
from portfolio_rebalance.units import BP_PER_UNIT
from portfolio_rebalance.workspace import layout, to_yaml

__all__ = [
    "CONFIRM_WITHIN",
    "TOLERANCE_BP",
    "Confirmation",
    "confirmed",
    "instruction_for",
    "instructions_path",
    "instructions_yaml",
    "overdue",
]

CONFIRM_WITHIN: Final = timedelta(hours=48)
"""An instruction that is not confirmed by then is reported."""

TOLERANCE_BP: Final = 100
"""Usual tolerance of :func:`confirmed`: a bot goes on trading, so its capital never is the figure itself."""

_PLAN_ID: Final = re.compile("[0-9a-f]{12,64}")
_PLAN_CHARACTERS: Final = 12
_SMALLEST: Final = Decimal("0.00000001")
_PER_UNIT: Final = 100_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """Whether a snapshot shows that an instruction was followed.

    Attributes:
        outcome: ``too_early`` where the snapshot is not later than the instruction.
        difference: Capital less what was instructed, as money.
        what: One sentence for people.
    """

    outcome: Literal["confirmed", "too_early", "off"]
    difference: Decimal
    what: str


def instruction_for(
    *, strategy: str, account: str | None, old_capital: Decimal, new_capital: Decimal, currency: str
) -> Instruction:
    """What to tell the bot of one strategy, in the words of each program; to leave it, where nothing changes.

    Args:
        strategy: Its id.
        account: Its account at the venue, where the registry states one.
        old_capital: Its equity now.
        new_capital: What it should be; 0 winds the bot down.
        currency: Of both.

    Raises:
        UsageError: One of the two is negative.
    """
    old, new = _rounded(old_capital), _rounded(new_capital)
    if min(old, new) < 0:
        raise UsageError(
            f"No bot can go from a capital of {_money(old)} to one of {_money(new)}.",
            where=strategy,
            fix="Give amounts of 0 or more.",
        )
    return Instruction(
        strategy=strategy,
        account=account,
        old_capital=old_capital,
        new_capital=new_capital,
        settings=_settings(old, new, currency),
    )


def instructions_path(plan_id: str) -> str:
    """Where the instructions of a plan stand in the workspace: named by the id's first 12 characters.

    Raises:
        UsageError: Not a plan's id.
    """
    return f"{layout.RECORDS}/capital-instructions-{_short(plan_id)}.yaml"


def instructions_yaml(plan_id: str, issued_at: datetime, instructions: Sequence[Instruction]) -> bytes:
    """The file that a person follows, reductions first: what they free pays for the rest.

    Raises:
        UsageError: Not a plan's id, or the instant is not in UTC.
    """
    due_at = format_instant(issued_at + CONFIRM_WITHIN)
    first_down = sorted(instructions, key=lambda one: one.new_capital > one.old_capital)
    head = {"plan_id": plan_id, "issued_at": format_instant(issued_at), "confirm_before": due_at}
    return (
        _HEADER.format(plan=_short(plan_id), due_at=due_at, folder=layout.PERFORMANCE).encode()
        + to_yaml(head)
        + (b"instructions:\n" if instructions else b"instructions: []\n")
        + b"".join(map(_entry, first_down))
    )


def confirmed(
    instruction: Instruction, *, capital: Decimal, as_of: datetime, issued_at: datetime, tolerance_bp: int
) -> Confirmation:
    """Whether a strategy's capital, as a snapshot states it, is what was instructed.

    It may be off by ``tolerance_bp`` of the larger of old and new capital, since the bot's profit and loss
    moves it (of the larger, so that what is left after winding down counts as nothing); and it must be nearer
    to the new capital than to the old, or a small change would be confirmed by doing nothing. Compared
    exactly.

    Args:
        instruction: What was instructed.
        capital: Of the snapshot, in the portfolio's currency.
        as_of: Of the snapshot.
        issued_at: When the instruction was written.
        tolerance_bp: In basis points; usually :data:`TOLERANCE_BP`.
    """
    old, new = Fraction(instruction.old_capital), Fraction(instruction.new_capital)
    distance = abs(Fraction(capital) - new)
    allowed = tolerance_bp * max(old, new) / BP_PER_UNIT
    difference = capital - instruction.new_capital
    holds, should = _money(capital), _money(instruction.new_capital)
    if as_of <= issued_at:
        return Confirmation(
            outcome="too_early",
            difference=difference,
            what=f"The newest snapshot of {instruction.strategy} is of {format_instant(as_of)}: it shows "
            f"nothing of what was instructed at {format_instant(issued_at)}.",
        )
    unchanged = _rounded(instruction.old_capital) == _rounded(instruction.new_capital)
    if distance <= allowed and (unchanged or 2 * distance < abs(new - old)):
        return Confirmation(
            outcome="confirmed",
            difference=difference,
            what=f"{instruction.strategy} holds {holds}, as instructed: {should}.",
        )
    most = allowed if unchanged or 2 * allowed < abs(new - old) else abs(new - old) / 2
    passes = "no more" if most == allowed else "less"
    return Confirmation(
        outcome="off",
        difference=difference,
        what=f"{instruction.strategy} holds {holds}, not {should}: {_money(abs(difference))} off, where "
        f"{passes} than {_money(Decimal(most.numerator) / most.denominator)} passes.",
    )


def overdue(issued_at: datetime, now: datetime) -> bool:
    """Whether an instruction that is still not confirmed has to be reported."""
    return now - issued_at >= CONFIRM_WITHIN


# --- the words -------------------------------------------------------------------------------------------

_HEADER: Final = """\
# Capital that you move: these strategies are traded by bots of their own, so no order was sent for them.
# 1. Go through the strategies in this order. For each, do what stands under the program that runs it.
# 2. Let a snapshot of each be written afterwards: {folder}/<strategy>/
# 3. Have it checked: trading-portfolio-rebalance confirm {plan}
# What is not confirmed by {due_at} is reported.
"""
_TRANSFER: Final = "Where the bot has its account to itself, transfer {change} {currency} {way} the account."
_FREQTRADE: Final = (
    """\
In config.json, where "available_capital" reads {old}, write:
"available_capital": {new},
Where it reads another figure, write that figure {sign} {change}: it is what the bot started with, and
profit closed since counts on top. Where it is absent, the bot trades "tradable_balance_ratio" of its
whole account: leave both as they are.
"stake_amount": "unlimited" follows it; a fixed amount stays what it is until you change it too.""",
    "Send /reload_config.",
)
_FREQTRADE_FALLS: Final = """\
Open trades keep what they hold until they close. To free it now, send /forceexit TRADE_ID for one of
them, or /forceexit all."""
_FREQTRADE_ENDS: Final = (
    "Send /stopentry, then /forceexit all; wait until /status shows no open trade.",
    """\
Send /stop, and write in config.json, so that a restart does not trade:
"initial_state": "stopped",""",
)
_FREQTRADE_DRY_RUN: Final = (
    """\
In config.json, where "dry_run_wallet" reads {old}, write:
"dry_run_wallet": {new},
Where it reads another figure, write that figure {sign} {change}. Where it lists currencies, that holds
for {currency} in it. Change "available_capital" by the same, if it is there.""",
    "Send /reload_config.",
)
_HUMMINGBOT_CONTROLLER: Final = (
    """\
In conf/controllers, in the file of the one controller that uses all of this capital, write:
total_amount_quote: {new}
Several controllers, or leverage: {several}. pmm_v1 has order_amount, in the base asset, in its place.
It counts in the quote asset: convert it, if that is not {currency}.""",
    """\
Save. A running bot reads it again within a minute; orders and positions that are open keep their size
until the controller replaces them.""",
)
_HUMMINGBOT_V1: Final = (
    """\
In the client:
config order_amount
and enter {order}, in the base asset. Likewise order_level_amount, where it is not 0.""",
    "Pure market making takes it up as it runs; other strategies after stop and start.",
)
_HUMMINGBOT_ENDS: Final = (
    "In the client:\nstop\nIt cancels the orders and leaves the positions.",
    "Close at the venue what the bot still holds.",
)
_GENERIC: Final = "Let the bot use {new} {currency} instead of {old}, that is {change} {more}."
_STAYS: Final = "Leave the bot as it is: it has the {new} {currency} that it should have."


def _settings(old: Decimal, new: Decimal, currency: str) -> dict[str, str]:
    """Numbered steps for each program. Money enters an account first and leaves it last; play money stays."""
    rises = new > old
    values = {
        "old": _money(old),
        "new": _money(new),
        "change": _money(abs(new - old)),
        "currency": currency,
        "sign": "plus" if rises else "minus",
        "way": "into" if rises else "out of",
        "more": "more" if rises else "less",
        "several": f"multiply what each reads by {_factor(old, new)}" if old else "let them add up to that",
        "order": f"what it reads times {_factor(old, new)}" if old else "what one order may take of that",
    }

    def numbered(*steps: str) -> str:
        return "".join(
            f"{number}. {indent(step.format_map(values), '   ')[3:]}\n"
            for number, step in enumerate(steps, start=1)
        )

    def paid(*steps: str) -> str:
        return numbered(_TRANSFER, *steps) if rises else numbered(*steps, _TRANSFER)

    if old == new:
        return {"generic": numbered(_STAYS)}
    ends = not new
    freqtrade = _FREQTRADE if rises else (*_FREQTRADE, _FREQTRADE_FALLS)
    return {
        "freqtrade": paid(*(_FREQTRADE_ENDS if ends else freqtrade)),
        "freqtrade_dry_run": numbered(*(_FREQTRADE_ENDS if ends else _FREQTRADE_DRY_RUN)),
        "hummingbot_controller": paid(*(_HUMMINGBOT_ENDS if ends else _HUMMINGBOT_CONTROLLER)),
        "hummingbot_v1": paid(*(_HUMMINGBOT_ENDS if ends else _HUMMINGBOT_V1)),
        "generic": paid(_GENERIC),
    }


def _factor(old: Decimal, new: Decimal) -> str:
    """By what to multiply; rounded down, so that a bot never gets more than it should."""
    whole, rest = divmod(floor(Fraction(new) / Fraction(old) * _PER_UNIT), _PER_UNIT)
    return f"{_plain(f'{whole}.{rest:08d}')} ({_money(new)} / {_money(old)})"


def _entry(instruction: Instruction) -> bytes:
    """One item of the list; the settings as blocks of lines, so that they can be pasted as they are."""
    facts = to_yaml(
        {
            "strategy": instruction.strategy,
            "account": instruction.account,
            "old_capital": Decimal(_money(instruction.old_capital)),
            "new_capital": Decimal(_money(instruction.new_capital)),
        }
    ).decode()
    blocks = "".join(f"{program}: |\n{indent(text, '  ')}" for program, text in instruction.settings.items())
    item = f"{facts}settings:\n{indent(blocks, '  ')}"
    return f"  - {indent(item, '    ')[4:]}".encode()


def _short(plan_id: str) -> str:
    if not _PLAN_ID.fullmatch(plan_id):
        raise UsageError(f"{plan_id!r} is not a plan's id.", where="plan_id", fix="Pass the whole id.")
    return plan_id[:_PLAN_CHARACTERS]


def _rounded(amount: Decimal) -> Decimal:
    """To the smallest amount that anybody transfers."""
    return amount.quantize(_SMALLEST)


def _money(amount: Decimal) -> str:
    return _plain(format(_rounded(amount), "f"))


def _plain(text: str) -> str:
    """A number with decimals, without the zeros at its end."""
    return text.rstrip("0").rstrip(".")
