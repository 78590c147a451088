"""What tokens cost, so that a run's dollars can be counted and capped.

From Anthropic's public price list and the models' own pages (platform.claude.com/docs/en/about-claude/pricing
and .../models/<model>/overview), read on :data:`PRICES_AS_OF`: standard tier, no region, caches of five
minutes. Where a price depends on something that is not known here, or a newer list may have lowered it, the
dearer one stands, so that a budget errs on the safe side:

- Haiku 5.5 costs ``from`` 0.10 / 0.50 for prompts of up to 100 000 tokens and five times as much beyond.
- Sonnet 5.5 reads its cache at 0.1 times the input price, as its page says; lists of other makers say half.
- Fable 5.2 and Mythos 5.2 stand at the price of 5.1; lists of other makers say a fifth less.

A cache write costs 1.25 times the input; a cache read 0.1 times, but 0.05 for Opus 5.5 and 0.025 for Fable
and Mythos 5.1. A cache kept for an hour costs 2 times the input to write; requests here do not ask for one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from decimal import Context, Decimal, localcontext
from typing import Final

from portfolio_rebalance.agents.messages import Usage

__all__ = ["PRICES_AS_OF", "Price", "dollars", "is_known", "price_of"]

PRICES_AS_OF: Final = date(2026, 11, 24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars for a million tokens.

    Attributes:
        input: Neither read from a cache nor written to one.
        output: Thinking included.
        cache_read: Read from a cache.
        cache_write: Written to a cache of five minutes.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal


def _price(*, fresh: str, output: str, read: str, write: str) -> Price:
    return Price(
        input=Decimal(fresh), output=Decimal(output), cache_read=Decimal(read), cache_write=Decimal(write)
    )


_FABLE_5_1: Final = _price(fresh="10", output="50", read="0.25", write="12.50")
_FABLE_5: Final = _price(fresh="10", output="50", read="1", write="12.50")
_OPUS: Final = _price(fresh="5", output="25", read="0.50", write="6.25")
_OPUS_4: Final = _price(fresh="15", output="75", read="1.50", write="18.75")
_SONNET_4: Final = _price(fresh="3", output="15", read="0.30", write="3.75")
_SONNET_5: Final = _price(fresh="2", output="10", read="0.20", write="2.50")

_PRICES: Final[Mapping[str, Price]] = {
    "claude-fable-5": _FABLE_5,
    "claude-fable-5-1": _FABLE_5_1,
    "claude-fable-5-2": _FABLE_5_1,
    "claude-mythos-5": _FABLE_5,
    "claude-mythos-5-1": _FABLE_5_1,
    "claude-mythos-5-2": _FABLE_5_1,
    "claude-opus-4": _OPUS_4,
    "claude-opus-4-1": _OPUS_4,
    "claude-opus-4-5": _OPUS,
    "claude-opus-4-6": _OPUS,
    "claude-opus-4-7": _OPUS,
    "claude-opus-4-8": _OPUS,
    "claude-opus-5": _OPUS,
    "claude-opus-5-5": _price(fresh="4", output="20", read="0.20", write="5"),
    "claude-sonnet-4-5": _SONNET_4,
    "claude-sonnet-4-6": _SONNET_4,
    "claude-sonnet-5": _SONNET_5,
    "claude-sonnet-5-5": _SONNET_5,
    "claude-haiku-4-5": _price(fresh="1", output="5", read="0.10", write="1.25"),
    "claude-haiku-5-5": _price(fresh="0.50", output="2.50", read="0.05", write="0.625"),
}

_SUFFIX: Final = re.compile(r"(?:[-@](?!\d{1,2}(?!\d))|\[).+|")
"""A date, ``-latest``, ``[1m]``; never one or two digits, which make another model of it."""

_DEAREST: Final = Price(
    **{field.name: max(getattr(price, field.name) for price in _PRICES.values()) for field in fields(Price)}
)


def price_of(model: str) -> Price:
    """The price of a model, by its name or by its name with a date or other suffix.

    A model that is not known costs as much as the dearest that is.
    """
    family = _family(model)
    return _PRICES[family] if family else _DEAREST


def is_known(model: str) -> bool:
    """Whether there is a price for this very model."""
    return bool(_family(model))


def dollars(usage: Usage, *, model: str) -> Decimal:
    """What a reply cost, in US dollars, exactly."""
    price = price_of(model)
    with localcontext(Context(prec=60)):
        return (
            usage.input_tokens * price.input
            + usage.output_tokens * price.output
            + usage.cache_read_tokens * price.cache_read
            + usage.cache_write_tokens * price.cache_write
        ) / 1_000_000


def _family(model: str) -> str:
    """The longest name in the list that the model's name begins with; empty if there is none."""
    fits = (name for name in _PRICES if model.startswith(name) and _SUFFIX.fullmatch(model[len(name) :]))
    return max(fits, key=len, default="")
