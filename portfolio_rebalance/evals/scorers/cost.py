"""Cost: dollars at list prices, and that calls, tokens and dollars stay within the configured budget.

Counted from the transcript, not from what the run says of itself. A model that reports more tokens than it
can have read or was asked to write is counted by what it can: its report is no bill of ours.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Final

from portfolio_rebalance.agents.messages import Usage
from portfolio_rebalance.agents.prices import dollars
from portfolio_rebalance.evals.scorers.conversations import Exchange, exchanges_of
from portfolio_rebalance.evals.scorers.settings import config_on_disk, scored
from portfolio_rebalance.evals.scoring import Score, Scorer
from portfolio_rebalance.evals.world import Observed

__all__ = ["COST"]

_BYTES_A_TOKEN: Final = 2


def _judge(seen: Observed) -> Score:
    if not seen.calls:
        return Score(passed=None)
    exchanges, config = exchanges_of(seen), config_on_disk(seen)
    used = [(one, _usage(one)) for one in exchanges]
    spent = sum((dollars(usage, model=one.request["model"]) for one, usage in used), Decimal(0))
    tokens = sum(
        usage.input_tokens + usage.output_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        for _, usage in used
    )
    faults = []
    if config is not None:
        llm = config.llm
        if spent > llm.max_dollars:
            faults.append(f"{spent:.4f} dollars were spent of {llm.max_dollars:f}")
        if tokens > llm.max_tokens:
            faults.append(f"{tokens} tokens were used of {llm.max_tokens}")
        if len(seen.calls) > llm.max_calls:
            faults.append(f"{len(seen.calls)} calls were made of {llm.max_calls}")
    return scored(faults, value=float(spent))


def _usage(exchange: Exchange) -> Usage:
    told = {} if exchange.response is None else exchange.response["usage"]
    most = len(json.dumps(exchange.request, separators=(",", ":")).encode()) // _BYTES_A_TOKEN + 1
    left = most
    read = {}
    for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
        read[name] = min(left, told.get(name, 0))
        left -= read[name]
    return Usage(
        input_tokens=read["input_tokens"],
        output_tokens=min(exchange.request["max_tokens"], told.get("output_tokens", 0)),
        cache_read_tokens=read["cache_read_input_tokens"],
        cache_write_tokens=read["cache_creation_input_tokens"],
    )


COST: Final = Scorer(name="cost", kind="quality", about="A run stays within its budget.", judge=_judge)
