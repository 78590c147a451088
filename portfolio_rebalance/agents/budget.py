"""Budgets with a hard stop: calls, tokens, dollars and seconds of one run.

What a call may cost at most is set aside before it is made, and what it did cost is counted after; so no call
is made that could take a run beyond its budget. Agents that work at once get shares that are cut beforehand:
who is faster does not decide who may still ask.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import ROUND_UP, Decimal
from typing import Final

from portfolio_rebalance.agents.messages import ModelError, Usage
from portfolio_rebalance.agents.prices import dollars, is_known, price_of
from portfolio_rebalance.config_llm import Llm
from portfolio_rebalance.records import AgentSpend

__all__ = ["Budget", "BudgetExceededError", "Counts", "Purse"]

_BYTES_A_TOKEN: Final = 2
"""Of text in JSON, a token has more than two bytes: so a request is never estimated too small."""
_MAYBE_BILLED: Final = ("incomplete", "malformed", "timeout")
"""Faults after which the request may have been paid for; what it told is not known, so it is estimated."""
_MILLION: Final = 1_000_000
_CALL_SECONDS: Final = 120.0


class BudgetExceededError(Exception):
    """The next call could take the run beyond its budget; it is not made. The rules go on."""


@dataclass(slots=True)
class Counts:
    """What may still be used, or was."""

    calls: int
    tokens: int
    dollars: Decimal


@dataclass(slots=True)
class _Used:
    model: str
    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    dollars: Decimal = Decimal(0)
    seconds: float = 0.0


class Budget:
    """The budget of one run.

    Args:
        settings: Its caps.
        clock: Seconds that only grow, such as ``time.monotonic``.
    """

    def __init__(self, settings: Llm, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started = clock()
        self._ends = self._started + settings.max_seconds
        self._lock = threading.Lock()
        self._used: dict[str, _Used] = {}
        self.purse = Purse(
            self, Counts(settings.max_calls, settings.max_tokens, Decimal(settings.max_dollars))
        )

    @property
    def seconds_left(self) -> float:
        """Until the run's deadline; 0 when it is over."""
        return max(0.0, self._ends - self._clock())

    @property
    def seconds_used(self) -> float:
        """Since the budget was opened."""
        return self._clock() - self._started

    def count(self, agent: str, *, model: str, usage: Usage, seconds: float) -> None:
        """Add what a call came to, one that failed included."""
        with self._lock:
            used = self._used.setdefault(agent, _Used(model))
            used.calls += 1
            used.seconds += seconds
            used.dollars += dollars(usage, model=model)
            used.usage = Usage(
                input_tokens=used.usage.input_tokens + usage.input_tokens,
                output_tokens=used.usage.output_tokens + usage.output_tokens,
                cache_read_tokens=used.usage.cache_read_tokens + usage.cache_read_tokens,
                cache_write_tokens=used.usage.cache_write_tokens + usage.cache_write_tokens,
            )

    def spent(self) -> tuple[AgentSpend, ...]:
        """What each agent used, by name: who asked first may depend on the machine."""
        with self._lock:
            return tuple(
                AgentSpend(
                    agent=agent,
                    model=used.model,
                    calls=used.calls,
                    input_tokens=used.usage.input_tokens,
                    output_tokens=used.usage.output_tokens,
                    cache_read_tokens=used.usage.cache_read_tokens,
                    cache_write_tokens=used.usage.cache_write_tokens,
                    dollars=used.dollars.quantize(Decimal("0.000001"), rounding=ROUND_UP),
                    priced=is_known(used.model),
                    seconds=round(used.seconds, 3),
                )
                for agent, used in sorted(self._used.items())
            )

    @property
    def now(self) -> float:
        """The clock's seconds."""
        return self._clock()


class Purse:
    """A part of a run's budget, used by one agent at a time."""

    def __init__(self, budget: Budget, left: Counts) -> None:
        self.budget = budget
        self.left = left

    @contextmanager
    def call(self, agent: str, *, model: str, request_bytes: int, max_tokens: int) -> Iterator[_Paid]:
        """Set aside what a call may cost at most, and count what it does cost.

        Args:
            agent: Who asks.
            model: Which model is asked.
            request_bytes: Length of the request.
            max_tokens: Longest answer that is asked for.

        Raises:
            BudgetExceededError: It could cost more than there is; nothing was set aside.
        """
        most = Usage(cache_write_tokens=request_bytes // _BYTES_A_TOKEN + 1, output_tokens=max_tokens)
        cost = _dearest(most, model=model)
        tokens = most.cache_write_tokens + most.output_tokens
        self._require(calls=1, tokens=tokens, dollars=cost)
        self.left.calls -= 1
        paid = _Paid(seconds=min(_CALL_SECONDS, self.budget.seconds_left))
        began = self.budget.now
        try:
            yield paid
        except ModelError as fault:
            if fault.kind in _MAYBE_BILLED:
                paid.usage = Usage(input_tokens=most.cache_write_tokens)
            raise
        finally:
            used = paid.usage
            self.budget.count(agent, model=model, usage=used, seconds=self.budget.now - began)
            self.left.tokens -= (
                used.input_tokens + used.output_tokens + used.cache_read_tokens + used.cache_write_tokens
            )
            self.left.dollars -= dollars(used, model=model)

    def split(self, parts: int, *, keep_calls: int, most_calls: int) -> tuple[Purse, ...]:
        """Equal parts for agents that work at once; what they leave comes back with :meth:`join`.

        Args:
            parts: How many.
            keep_calls: So many calls stay here.
            most_calls: No part gets more.
        """
        calls = max(0, min(most_calls, (self.left.calls - keep_calls) // parts))
        shares = tuple(
            Purse(
                self.budget,
                Counts(calls, self.left.tokens // (parts + 1), self.left.dollars / (parts + 1)),
            )
            for _ in range(parts)
        )
        for share in shares:
            self.left.calls -= share.left.calls
            self.left.tokens -= share.left.tokens
            self.left.dollars -= share.left.dollars
        return shares

    def join(self, shares: tuple[Purse, ...]) -> None:
        """Take back what is left of shares."""
        for share in shares:
            self.left.calls += share.left.calls
            self.left.tokens += share.left.tokens
            self.left.dollars += share.left.dollars

    def _require(self, *, calls: int, tokens: int, dollars: Decimal) -> None:
        if self.left.calls < calls:
            raise BudgetExceededError("no call is left")
        if self.left.tokens < tokens:
            raise BudgetExceededError("the next call could need more tokens than are left")
        if self.left.dollars < dollars:
            raise BudgetExceededError("the next call could cost more dollars than are left")
        if self.budget.seconds_left <= 0:
            raise BudgetExceededError("the time is over")


@dataclass(slots=True)
class _Paid:
    """A call under way.

    Attributes:
        seconds: So long it may take.
        usage: Set by whoever makes the call, once it is known.
    """

    seconds: float
    usage: Usage = field(default_factory=Usage)


def _dearest(usage: Usage, *, model: str) -> Decimal:
    """The price of tokens if all that is read were at the dearest of the prices for reading."""
    price = price_of(model)
    reading = max(price.input, price.cache_write, price.cache_read)
    return (usage.cache_write_tokens * reading + usage.output_tokens * price.output) / _MILLION
