"""What an execution came to, and what waits for a person: status in words first, then cost, holdings, orders.

A venue's own words (why it refused) are data here: one line each, never a line of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.records import Execution, OrderLine, Standing
from portfolio_rebalance.reporting.approval_page import one_line
from portfolio_rebalance.reporting.blocks import (
    Block,
    Paragraph,
    Table,
    Tone,
    left,
    money,
    number,
    right,
    signed,
    whole,
)
from portfolio_rebalance.reporting.change_tables import LIMIT_WORDS
from portfolio_rebalance.reporting.commands import short_id, suggested

__all__ = ["execution_blocks", "execution_report", "next_steps", "standing_blocks"]

_PRICE_DIGITS: Final = 8
_STATES: Final = {"planned": "not sent", "sent": "in flight", "unknown": "UNKNOWN", "done": "filled"}
_PHASES: Final = {"forward": "Orders", "revert": "Orders that took it back"}


def execution_blocks(execution: Execution, *, workspace: str | None = None) -> list[Block]:
    """All about one execution, and what to do next.

    Args:
        execution: Finished, given up, or still under way.
        workspace: As the reader named it, for the commands that are suggested; None where it was found.
    """
    return [*execution_report(execution), *next_steps(execution, workspace=workspace)]


def execution_report(execution: Execution) -> list[Block]:
    """What came of an execution: status, cost, holdings, limits, orders, what is left to do, files."""
    return [
        *_status(execution),
        _cost(execution),
        _holdings(execution),
        *_limits(execution),
        *_orders(execution),
        *_partial_fills(execution),
        *_instructions(execution),
        *(Paragraph(f"note: {one_line(text)}", "warn") for text in execution.notes),
        *_written(execution),
    ]


def standing_blocks(standing: Standing, *, workspace: str | None = None) -> list[Block]:
    """What stands in the way or waits for a person; nothing where there is nothing to say.

    Args:
        standing: As it is now.
        workspace: As the reader named it, for the commands that are suggested; None where it was found.
    """
    return [
        *_halt(standing, workspace=workspace),
        *_unfinished(standing, workspace=workspace),
        *_waiting(standing, workspace=workspace),
    ]


# In words.


def _status(execution: Execution) -> Iterator[Paragraph]:
    yield Paragraph(*_verdict(execution))
    if execution.reason:
        yield Paragraph(f"  reason: {one_line(execution.reason)}")
    yield Paragraph(
        f"{execution.orders_filled} of {execution.orders_sent} orders filled, mode "
        f"{one_line(execution.mode)}; {format_instant(execution.started_at)} to "
        f"{format_instant(execution.finished_at)}."
    )


def _verdict(execution: Execution) -> tuple[str, Tone]:
    plan = f"plan {short_id(execution.plan_id)}"
    place = "on paper" if execution.broker == "paper" else f"at {one_line(execution.broker)}"
    if execution.status == "committed":
        return _done(execution, f"{plan} was executed {place} and verified")
    if execution.status == "reverted":
        filled = execution.total_cost_bps is not None
        what = "what was filled was undone, costs aside" if filled else "nothing was filled"
        return f"TAKEN BACK: {plan} was stopped {place}; {what}.", "bad"
    if execution.status == "needs_operator":
        return f"NEEDS YOU: {plan} could be neither finished nor taken back {place}; all is halted.", "bad"
    if execution.status == "closed":
        return f"CLOSED: a person took over {plan} {place}; it was neither finished nor taken back.", "warn"
    doing = "executed" if execution.status == "running" else "taken back"
    return f"NOT OVER: {plan} is still being {doing} {place}.", "warn"


def _done(execution: Execution, what: str) -> tuple[str, Tone]:
    """Done is said without reserve only where nothing is left to do or to doubt."""
    verdicts = set(execution.limits.values())
    if "FAIL" in verdicts:
        return f"DONE, but a limit is broken now: {what}.", "bad"
    if execution.instructions:
        count = len(execution.instructions)
        bots = "1 bot waits" if count == 1 else f"{count} bots wait"
        return f"DONE as far as orders go: {what}; {bots} for you.", "warn"
    if verdicts != {"PASS"}:
        return f"DONE, with a limit that could not be evaluated: {what}.", "warn"
    return f"DONE: {what}; every limit is met.", "good"


def _cost(execution: Execution) -> Table:
    total = execution.total_capital_before
    over = Fraction(execution.actual_cost) - Fraction(execution.estimated_cost)
    rows = (
        ("slippage and commissions", money(execution.actual_cost, total=total)),
        ("estimated for the whole plan", money(execution.estimated_cost, total=total)),
        ("difference", _signed_money(over, total=total)),
        ("slippage, bps of what was traded", _bps(execution.total_slippage_bps)),
        ("commissions, bps of what was traded", _bps(execution.total_commissions_bps)),
        ("together, bps of what was traded", _bps(execution.total_cost_bps)),
        ("total capital before", money(total, total=total)),
        ("total capital after", money(execution.total_capital_after, total=total)),
    )
    return Table(f"What it cost, in {one_line(execution.currency)}", (*left("what"), *right("value")), rows)


# What is held, and the limits.


def _holdings(execution: Execution) -> Table:
    total, lines = execution.total_capital_after, execution.post_rebalance_allocations
    deployed = sum((Fraction(line.capital) for line in lines.values()), Fraction(0))
    cash = Fraction(total) - deployed
    rows = [
        (
            key,
            money(line.capital, total=total),
            money(line.target, total=total),
            number(line.alloc),
            "no target" if line.drift is None else signed(line.drift),
        )
        for key, line in lines.items()
    ]
    rows += [
        ("deployed", money(deployed, total=total), "", number(execution.total_deployed_percent), ""),
        ("cash", money(cash, total=total), "", number(100 * cash / Fraction(total)), ""),
    ]
    return Table(
        title="Holdings after it",
        columns=(*whole("strategy"), *right("capital", "target", "alloc %", "drift %")),
        rows=tuple(rows),
        note=_holdings_note(execution),
    )


def _holdings_note(execution: Execution) -> str:
    if execution.status not in ("committed", "reverted"):
        return "By our own books: an order that is in flight or unknown is not in them. Look at the venue."
    if execution.instructions:
        return "As the venue holds it; bots hold what they did until you have told them."
    return "As the venue holds it."


def _limits(execution: Execution) -> Iterator[Block]:
    """Each limit's verdict, as it was judged in exact money."""
    measured = _measured(execution)
    yield Table(
        title="Limits, in exact money",
        columns=(*whole("limit"), *right("after %"), *whole("verdict")),
        rows=tuple(
            (LIMIT_WORDS.get(limit, one_line(limit)), number(measured.get(limit)), verdict)
            for limit, verdict in execution.limits.items()
        ),
    )
    if "AWAITS_BOTS" in execution.limits.values():
        yield Paragraph("AWAITS_BOTS: broken until bots have done as you are told to tell them.", "warn")
    if "NOT_EVALUATED" in execution.limits.values():
        yield Paragraph("NOT_EVALUATED is not a pass: nobody knows whether that limit is met.", "bad")
    for text in execution.limits_note:
        yield Paragraph(f"limit: {one_line(text)}", "bad")


def _measured(execution: Execution) -> Mapping[str, Decimal | None]:
    shares = [line.alloc for line in execution.post_rebalance_allocations.values()]
    return {
        "total_deployed": execution.total_deployed_percent,
        "correlated_exposure": execution.correlated_exposure_percent,
        "individual_max": max(shares, default=None),
        "individual_min": min((share for share in shares if share), default=None),
    }


# Orders.


def _orders(execution: Execution) -> Iterator[Table]:
    total = execution.total_capital_before
    for phase, title in _PHASES.items():
        lines = [line for line in execution.orders if line.phase == phase]
        if orders := [line for line in lines if line.side is not None]:
            yield Table(
                title=f"{title}, slippage in bps",
                columns=(
                    *whole("side"),
                    *right("quantity"),
                    *whole("strategy", "state"),
                    *right("filled", "price", "slip", "fees"),
                ),
                rows=tuple(_order_row(line, total=total) for line in orders),
            )
        if moves := [line for line in lines if line.side is None]:
            yield Table(
                title=f"{'Transfers' if phase == 'forward' else 'Transfers back'} in our books, no order",
                columns=(*whole("state"), *left("what")),
                rows=tuple((line.state, one_line(line.note)) for line in moves),
            )
    if remarks := [line for line in execution.orders if line.side is not None and line.note]:
        yield Table(
            title="Remarks on orders",
            columns=(*left("order"), *whole("strategy"), *left("remark")),
            rows=tuple((_named(line), line.strategy or "", one_line(line.note)) for line in remarks),
        )


def _order_row(line: OrderLine, *, total: Decimal) -> tuple[str, ...]:
    return (
        line.side or "",
        f"{_quantity(line.quantity)} {one_line(line.asset or '')}",
        line.strategy or "",
        _STATES.get(line.state, one_line(line.state)),
        _filled(line),
        "" if line.average_price is None else _price(line.average_price),
        "" if line.slippage_bps is None else signed(line.slippage_bps),
        money(line.commission, total=total) if line.filled else "",
    )


def _filled(line: OrderLine) -> str:
    """How much of it; the quantity itself stands among what was not filled whole."""
    if not line.filled:
        return "none"
    share = Fraction(line.filled) / Fraction(line.quantity)
    return "all" if share == 1 else f"{number(100 * share)} %"


def _named(line: OrderLine) -> str:
    return f"{line.side} {_quantity(line.quantity)} {one_line(line.asset or '')}"


def _partial_fills(execution: Execution) -> Iterator[Table]:
    if not execution.partial_fills:
        return
    yield Table(
        title="Not filled whole",
        columns=(*whole("strategy", "asset"), *right("intended", "filled", "missing")),
        rows=tuple(
            (
                part.strategy,
                one_line(part.asset),
                _quantity(part.intended),
                _quantity(part.actual),
                _quantity(part.intended - part.actual),
            )
            for part in execution.partial_fills
        ),
    )


# What a person does.


def _instructions(execution: Execution) -> Iterator[Block]:
    if not execution.instructions:
        return
    total = execution.total_capital_before
    yield Table(
        title="By hand: capital that you give to bots, or take from them; in this order",
        columns=(*whole("strategy"), *right("capital now", "capital then", "change"), *left("account")),
        rows=tuple(
            (
                one.strategy,
                money(one.old_capital, total=total),
                money(one.new_capital, total=total),
                _signed_money(Fraction(one.new_capital) - Fraction(one.old_capital), total=total),
                one_line(one.account or "not stated"),
            )
            for one in execution.instructions
        ),
        note=f"The exact setting for each bot program stands in {_instruction_file(execution)}.",
    )


def _instruction_file(execution: Execution) -> str:
    files = (one_line(path) for path in execution.written if "/capital-instructions-" in path)
    return next(files, "the record of the execution")


def _written(execution: Execution) -> Iterator[Paragraph]:
    if execution.written:
        yield Paragraph("Written:")
        yield from (Paragraph(f"  {one_line(path)}") for path in execution.written)


def next_steps(
    execution: Execution, *, workspace: str | None, as_of: datetime | None = None
) -> Iterator[Paragraph]:
    """What a person does after an execution, as commands for the workspace that they named."""
    plan = short_id(execution.plan_id)
    if execution.status == "needs_operator":
        yield Paragraph("What next: look at what the venue holds and put it right there; then:", "bad")
        yield Paragraph(f"  {suggested('resume', workspace=workspace)}")
    elif execution.status in ("reverted", "closed"):
        yield Paragraph("What next: see to the reason, then plan again:")
        yield Paragraph(f"  {suggested('--dry-run', workspace=workspace, as_of=as_of)}")
    elif execution.status != "committed":
        yield Paragraph("What next: the next start goes on with it; where HALT stands, resume first:")
        yield Paragraph(f"  {suggested('resume', workspace=workspace)}")
    elif execution.instructions:
        yield Paragraph("What next: tell the bots, let a snapshot of each be written, then have it checked:")
        yield Paragraph(f"  {suggested(f'confirm {plan}', workspace=workspace, as_of=as_of)}")
    else:
        yield Paragraph("What next: nothing. To see where it stands:", "good")
        yield Paragraph(f"  {suggested('status', workspace=workspace, as_of=as_of)}")


# What stands in the way.


def _halt(standing: Standing, *, workspace: str | None) -> Iterator[Paragraph]:
    if standing.halt == "none":
        return
    what = "nothing is sent" if standing.halt == "all" else "only reductions are sent"
    yield Paragraph(f"HALT stands: {what}.", "bad")
    if standing.halt_reason:
        yield Paragraph(f"  reason: {one_line(standing.halt_reason)}")
    yield Paragraph(f"  when it is safe: {suggested('resume', workspace=workspace)}")


def _unfinished(standing: Standing, *, workspace: str | None) -> Iterator[Paragraph]:
    if not standing.unfinished:
        return
    plan, resume = f"plan {short_id(standing.unfinished)}", suggested("resume", workspace=workspace)
    if standing.unfinished_status == "needs_operator":
        yield Paragraph(f"NEEDS YOU: {plan} could be neither finished nor taken back.", "bad")
        following = f"look at the venue, then: {resume}"
    else:
        doing = "taken back" if standing.unfinished_status == "reverting" else "executed"
        yield Paragraph(f"NOT OVER: {plan} is still being {doing}.", "warn")
        following = "the next start goes on with it" if standing.halt == "none" else resume
    if standing.reason:
        yield Paragraph(f"  reason: {one_line(standing.reason)}")
    yield Paragraph(f"  next: {following}")


def _waiting(standing: Standing, *, workspace: str | None) -> Iterator[Paragraph]:
    yield from _each("OVERDUE, not confirmed for 48 hours or more", standing.overdue, tone="bad")
    for plan_id in standing.awaiting:
        yield Paragraph(f"APPROVED, not executed yet: plan {short_id(plan_id)}.", "warn")
        yield Paragraph(f"  next: {suggested('--execute', workspace=workspace)}")
    yield from _each("By hand, not confirmed yet", standing.unconfirmed, tone="warn")


def _each(what: str, texts: Sequence[str], *, tone: Tone) -> Iterator[Paragraph]:
    if texts:
        yield Paragraph(f"{what}:", tone)
        yield from (Paragraph(f"  {one_line(text)}") for text in texts)


# Figures.


def _bps(rate: Decimal | None) -> str:
    return "nothing was filled" if rate is None else number(rate)


def _signed_money(amount: Fraction, *, total: Decimal) -> str:
    text = money(amount, total=total)
    return f"+{text}" if amount > 0 and text.strip("0.,") else text


def _quantity(quantity: Decimal) -> str:
    """Every digit: it is what was sent."""
    text = f"{quantity:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _price(price: Decimal) -> str:
    """Eight digits that count: a coin may cost 100 000 or a millionth."""
    places = max(_PRICE_DIGITS - 1 - price.adjusted(), 0)
    return f"{round(price, places):,f}"
