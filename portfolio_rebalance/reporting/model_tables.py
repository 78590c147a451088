"""What models said, and what they cost: beside what code computed, never instead of it.

A model's words are shown as data: one line, labelled as a model's, its control characters removed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from portfolio_rebalance.records import Advice, AgentSpend, Spend
from portfolio_rebalance.reporting.blocks import Block, Paragraph, Table, clean, right, shorten, whole

__all__ = ["advice_blocks", "batch_blocks", "spend_blocks", "watch_blocks"]

_VERDICTS: Final = {
    "accept": "accepts what code recommends",
    "accept_ask_person": "accepts it, and wants a person to look first",
    "downgrade_optional": "would lower it to OPTIONAL",
    "downgrade_hold": "would lower it to HOLD",
}
_MOST_CHARACTERS: Final = 3000


def advice_blocks(advice: Advice) -> Iterator[Block]:
    """The orchestrator's verdict and words, what code completed, and what was not followed."""
    if advice.verdict is None:
        yield Paragraph("Models came to no verdict; the rules finished the run.", "warn")
    else:
        mode = (advice.recommended_mode or "").replace("_", "-")
        yield Paragraph(f"The orchestrator (a model) recommends {mode} and {_VERDICTS[advice.verdict]}.")
    if advice.explanation:
        yield Paragraph(f"In its words: {_words(advice.explanation)}")
    if advice.mode_taken:
        yield Paragraph("Its choice of mode is the plan's; it waits for a person.", "warn")
    elif advice.ask_person:
        yield Paragraph("A person must decide, whatever is pre-approved.", "warn")
    if advice.completed_by_code:
        yield Paragraph(f"Completed by code: {', '.join(advice.completed_by_code)}.")
    for note in advice.notes:
        yield Paragraph(f"- {_words(note)}")


def batch_blocks(text: str) -> Iterator[Block]:
    """The order executor's words on a batch."""
    if text:
        yield Paragraph(f"In the words of the order executor (a model): {_words(text)}")


def watch_blocks(text: str) -> Iterator[Block]:
    """The monitor's words on what is new in a watch."""
    if text:
        yield Paragraph(f"In the words of the monitor (a model): {_words(text)}")


def spend_blocks(spend: Spend) -> Iterator[Block]:
    """What each agent cost."""
    rows = [_row(one) for one in spend.agents]
    total = (
        "all",
        "",
        str(spend.calls),
        *("" for _ in range(4)),
        f"{spend.dollars:.4f}",
        f"{spend.seconds:.1f}",
    )
    notes = [f"Provider {spend.provider}; list prices."]
    if not all(one.priced for one in spend.agents):
        notes.append("A model without a known price counts at the dearest known one.")
    yield Table(
        title="Models",
        columns=(
            *whole("agent", "model"),
            *right("calls", "tokens in", "cache read", "cache written", "tokens out", "dollars", "seconds"),
        ),
        rows=(*rows, total),
        note=" ".join(notes),
    )
    for warning in spend.warnings:
        yield Paragraph(f"warning: {_words(warning)}", "warn")


def _row(one: AgentSpend) -> tuple[str, ...]:
    return (
        one.agent.replace("_", " "),
        one.model,
        str(one.calls),
        *(
            f"{count:,}"
            for count in (
                one.input_tokens,
                one.cache_read_tokens,
                one.cache_write_tokens,
                one.output_tokens,
            )
        ),
        f"{one.dollars:.4f}",
        f"{one.seconds:.1f}",
    )


def _words(text: str) -> str:
    return shorten(" ".join(clean(text).split()), most=_MOST_CHARACTERS)
