"""A cap on the dollars of many runs: no call is made that could take them beyond it.

A run has a budget of its own; this is the sum over runs, for whoever pays. What a call can cost at most is
set aside before it is made, reviewers that ask at once included, and what it did cost is counted after.
"""

from __future__ import annotations

import json
import threading
from decimal import Decimal
from typing import Final

from portfolio_rebalance.agents.messages import Call, FaultKind, ModelClient, ModelError, Reply, Usage
from portfolio_rebalance.agents.prices import dollars, price_of

__all__ = ["CappedClient", "SpendingCap", "most_dollars", "request_bytes"]

_BYTES_A_TOKEN: Final = 2
"""Of text in JSON, a token has more than two bytes: so a request is never counted too small."""
_NEVER_BILLED: Final[frozenset[FaultKind]] = frozenset(
    {"overloaded", "rate_limited", "spend_limit", "credentials", "bad_request", "unknown_model"}
)
"""Faults for which nothing is paid. After any other it is not known, and all that was set aside counts."""
_HOPELESS: Final[frozenset[FaultKind]] = frozenset({"spend_limit", "credentials", "unknown_model"})
"""Faults that the next run would meet again."""


class SpendingCap:
    """Dollars of many runs; may be used from several threads.

    Args:
        dollars: At list prices, at most.
    """

    def __init__(self, dollars: Decimal) -> None:
        self._left = dollars
        self._cap = dollars
        self._lock = threading.Lock()
        self._stopped = ""

    @property
    def spent(self) -> Decimal:
        """So far; a call that is under way counts with all that it can cost."""
        with self._lock:
            return self._cap - self._left

    @property
    def stopped(self) -> str:
        """Why no further run makes sense; empty while one does."""
        with self._lock:
            return self._stopped

    def set_aside(self, most: Decimal) -> None:
        """Set dollars aside for a call.

        Raises:
            ModelError: ``spend_limit``: it could cost more than is left. Nothing was set aside.
        """
        with self._lock:
            if most > self._left:
                self._stopped = self._stopped or "the next call could pass the cap"
                raise ModelError("spend_limit", "the next call could pass the cap of these runs")
            self._left -= most

    def give_back(self, rest: Decimal) -> None:
        """Of what was set aside, what was not spent."""
        with self._lock:
            self._left += rest

    def stop(self, why: str) -> None:
        """No further run makes sense."""
        with self._lock:
            self._stopped = self._stopped or why


class CappedClient:
    """Passes calls on while the cap allows.

    Args:
        inner: What answers.
        cap: Shared by all runs.
    """

    def __init__(self, inner: ModelClient, *, cap: SpendingCap) -> None:
        self._inner = inner
        self._cap = cap

    @property
    def provider(self) -> str:
        """The one whose answers are passed on."""
        return self._inner.provider

    def complete(self, call: Call) -> Reply:
        """The answer of the client within.

        Raises:
            ModelError: That client raised it; or ``spend_limit``, and nothing was sent.
        """
        model = call.request["model"]
        most = most_dollars(call)
        self._cap.set_aside(most)
        paid = most
        try:
            reply = self._inner.complete(call)
            paid = dollars(reply.usage, model=model)
        except ModelError as fault:
            if fault.kind in _NEVER_BILLED:
                paid = Decimal(0)
            if fault.kind in _HOPELESS:
                self._cap.stop(f"{fault.kind.replace('_', ' ')}: {fault.detail}")
            raise
        finally:
            self._cap.give_back(most - paid)
        return reply


def request_bytes(call: Call) -> int:
    """Length of a request."""
    return len(json.dumps(call.request, separators=(",", ":")).encode())


def most_dollars(call: Call) -> Decimal:
    """What a call can cost at most, at list prices."""
    price = price_of(call.request["model"])
    tokens = request_bytes(call) // _BYTES_A_TOKEN + 1
    reading = max(price.input, price.cache_write, price.cache_read)
    writing = Usage(output_tokens=call.request["max_tokens"])
    return tokens * reading / 1_000_000 + dollars(writing, model=call.request["model"])
