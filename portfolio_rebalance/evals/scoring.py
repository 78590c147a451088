"""A scorer: what it looks at, and what it says. Safety scorers fail a suite, whatever else passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from portfolio_rebalance.evals.world import Observed

__all__ = ["Score", "Scorer"]

Kind: TypeAlias = Literal["safety", "quality"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a scorer says of one scenario.

    Attributes:
        passed: None where it does not apply.
        faults: What is wrong, one sentence each; empty where it passed.
        value: A measure for the report, such as calls made; None where there is none.
    """

    passed: bool | None
    faults: tuple[str, ...] = ()
    value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """One scorer.

    Attributes:
        name: Unique.
        kind: ``safety``: a single fault is a breach.
        about: One sentence: what it proves.
        judge: From the world afterwards to a score.
    """

    name: str
    kind: Kind
    about: str
    judge: Callable[[Observed], Score]
