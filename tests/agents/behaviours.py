"""Models that misbehave: each is a seed, and does the same whenever it is asked the same.

A behaviour is well-behaved for some calls of each agent and then goes wrong, because a fault in the middle of
a good run finds more than nonsense from the start. What it says goes through ``reply_from``, as what came
over a network does; so it may be no message at all.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from decimal import Decimal
from threading import Lock

from model_replies import ABSURD_USAGE, DRAFTS, VERDICTS, WRONGS, Intent, healthy, subject_of
from model_replies import Reply as Way

from portfolio_rebalance.agents.messages import Call, ModelError, Reply, reply_from
from portfolio_rebalance.config_llm import Llm

__all__ = ["Behaviour", "FakeClock", "Made", "settings_of"]


class FakeClock:
    """Seconds that pass only when they are told to."""

    def __init__(self) -> None:
        self._seconds = 1000.0
        self._lock = Lock()

    def __call__(self) -> float:
        return self._seconds

    def pass_by(self, seconds: float) -> None:
        with self._lock:
            self._seconds += seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A call that was made.

    Attributes:
        at: Of the clock, when it came.
        reply: What was answered; None where it was no message.
    """

    call: Call
    at: float
    reply: Reply | None


@dataclass(slots=True)
class Behaviour:
    """A client with a seed.

    Args:
        seed: All that it does follows from it, and from what it is asked.
        clock: Passed by on calls of the orchestrator.

    Attributes:
        honest: Whether the usage that it tells is no more than what a request of that length can cost.
        made: Every call.
        intent: What it is after while it is well-behaved.
        patience: So many calls the orchestrator is well-behaved; a reviewer, half as many.
        wrongness: How often it goes wrong afterwards.
        habit: What it then always does; None for one thing after the other.
    """

    seed: str
    clock: FakeClock = field(default_factory=FakeClock)
    honest: bool = field(init=False)
    made: list[Made] = field(default_factory=list)
    intent: Intent = field(init=False)
    patience: int = field(init=False)
    wrongness: float = field(init=False)
    habit: Way | None = field(init=False)
    _steps: dict[str, int] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        draw = random.Random(self.seed)
        self.honest = draw.random() < 0.8
        self.intent = Intent(
            seed=self.seed, draft=draw.choice(("D1", "D1", *DRAFTS)), verdict=draw.choice(VERDICTS)
        )
        # Most go wrong at their first to fourth call; some never do, some are wrong from the start.
        self.patience = draw.choice((0, 1, 2, 2, 3, 3, 4, 9))
        self.wrongness = draw.choice((1.0, 0.7, 0.4))
        self.habit = draw.choice(WRONGS) if draw.random() < 0.3 else None

    @property
    def provider(self) -> str:
        return "scripted"

    def complete(self, call: Call) -> Reply:
        """Whatever comes to its mind.

        Raises:
            ModelError: That, too.
        """
        subject = f"{call.agent}/{subject_of(call)}"
        with self._lock:
            step = self._steps[subject] = self._steps.get(subject, 0) + 1
        draw = random.Random(f"{self.seed}/{subject}/{step}")
        at = self.clock()
        reply: Reply | None = None
        try:
            self._linger(draw, call)
            reply = reply_from(self._message(draw, call, step))
        finally:
            with self._lock:
                self.made.append(Made(call=call, at=at, reply=reply))
        return reply

    def _linger(self, draw: random.Random, call: Call) -> None:
        """Some calls are slow; some of those outlast what they were given.

        Only the orchestrator's calls pass the clock by: those of reviewers overlap, and a run would depend on
        which came first.
        """
        slow = draw.random() > 0.93
        if call.agent == "orchestrator":
            waits = (20.0, call.seconds, 2 * call.seconds, 400.0) if slow else (0.0, 0.2, 3.0)
            self.clock.pass_by(draw.choice(waits))
        if slow and draw.random() < 0.5:
            raise ModelError("timeout", "no answer in time")

    def _message(self, draw: random.Random, call: Call, step: int) -> object:
        patience = self.patience if call.agent == "orchestrator" else self.patience // 2
        good = step <= patience or draw.random() > self.wrongness
        says = healthy if good else (self.habit or draw.choice(WRONGS))
        message = says(self.intent, draw, call, step)
        if isinstance(message, dict) and "usage" not in message:
            message["usage"] = self._usage(draw, call)
        return message

    def _usage(self, draw: random.Random, call: Call) -> object:
        if not self.honest:
            return draw.choice(ABSURD_USAGE)
        read = len(json.dumps(call.request)) // 3
        cached = draw.randint(0, read)
        written = draw.randint(0, read - cached)
        return {
            "input_tokens": read - cached - written,
            "output_tokens": draw.randint(1, call.request["max_tokens"]),
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": written,
        }


def settings_of(seed: str) -> Llm:
    """A budget: mostly the default one, else with one thing or another that is short."""
    draw = random.Random(f"settings/{seed}")
    if draw.random() < 0.5:
        return Llm()
    return Llm(
        max_calls=draw.randint(1, 8),
        max_turns=draw.randint(1, 5),
        max_tokens=draw.choice((400_000, 400_000, 1000, 15_000, 30_000, 60_000)),
        max_seconds=draw.choice((300, 300, 1, 10, 3600)),
        max_dollars=draw.choice((Decimal("1.00"), Decimal("1.00"), Decimal("0.001"), Decimal("0.30"))),
    )
