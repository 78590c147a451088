"""What models contributed to a run, after code cut it down to what a model may change."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from portfolio_rebalance.records.base import Record
from portfolio_rebalance.records.plan import Review

__all__ = ["Advice", "AgentSpend", "Spend", "Verdict"]

Verdict = Literal["accept", "accept_ask_person", "downgrade_optional", "downgrade_hold"]
"""What the orchestrator may come to: each of them leaves a run as it is, or makes it safer."""


class Advice(Record):
    """The models' part in a run. Part of canonical records: a replay gives the same.

    Attributes:
        verdict: What the orchestrator asked for; None where it came to nothing and code finished the run.
        recommended_mode: Whose candidate it recommends; None likewise.
        mode_taken: Whether that candidate became the plan's instead of the configured one.
        ask_person: Whether a person must decide even where the configuration pre-approves.
        explanation: For a trader, every figure of it rendered by code.
        explained_by: ``rules`` where a model's text was not used.
        reviews: By models, of the candidate that was decided on.
        completed_by_code: What the orchestrator left out.
        notes: What was not followed, or failed, and why.
    """

    verdict: Verdict | None
    recommended_mode: str | None
    mode_taken: bool
    ask_person: bool
    explanation: str
    explained_by: Literal["model", "rules"]
    reviews: tuple[Review, ...]
    completed_by_code: tuple[str, ...]
    notes: tuple[str, ...]


class AgentSpend(Record):
    """What one agent cost.

    Attributes:
        model: That it was asked for.
        input_tokens: Neither read from the cache nor written to it.
        dollars: At list prices.
        priced: Whether the model's price is known; else the dearest known price was counted.
        seconds: In calls; those of agents at work at once overlap.
    """

    agent: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    dollars: Decimal
    priced: bool
    seconds: float


class Spend(Record):
    """What a run's models cost. Never part of canonical records.

    Attributes:
        provider: ``anthropic``, ``replay`` or ``scripted``.
        seconds: From the first call to the last answer.
        warnings: About the models themselves, such as one that retires soon.
    """

    provider: str
    agents: tuple[AgentSpend, ...]
    seconds: float
    warnings: tuple[str, ...] = ()

    @property
    def calls(self) -> int:
        """Of all agents."""
        return sum(one.calls for one in self.agents)

    @property
    def dollars(self) -> Decimal:
        """Of all agents, at list prices."""
        return sum((one.dollars for one in self.agents), Decimal(0))
