"""What a mode is: one pure function from a situation to proposed basis points.

A mode proposes; repair has the last word on every limit. A mode sees plain values only (no files, records,
clock or model), so that it reads like the formula it implements and can be tried alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from portfolio_rebalance.allocation.limits import Limits
from portfolio_rebalance.units import Bp

__all__ = ["Draft", "Mode", "ModeSettings", "Situation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeSettings:
    """What a user may tune about the modes.

    Attributes:
        performance_step_bp: The most that the best and the worst strategy move.
        max_single_cut_to_next: Share of the next largest member below which one cut may not go.
        min_psr_to_raise: Probabilistic Sharpe ratio below which a strategy is not raised.
        max_trades: How many strategies may change in one rebalance.
    """

    performance_step_bp: Fraction = Fraction(500)
    max_single_cut_to_next: Fraction = Fraction(4, 5)
    min_psr_to_raise: float = 0.10
    max_trades: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything a mode may look at. Statistics are None, or absent, where undefined.

    Attributes:
        start_bp: Where each strategy starts: its current allocation, or its target if it drifted too far.
        fixed: Ids that may not change (pinned or held).
        clusters: Correlated clusters of two or more, disjoint, sorted.
        limits: The limits to aim at.
        sharpe_ratios: Annualised, over the lookback.
        volatilities: Annualised, over the lookback's non-flat days.
        psr: Probabilistic Sharpe ratio against 0.
        settings: The user's tuning.
    """

    start_bp: Mapping[str, Bp]
    fixed: frozenset[str] = frozenset()
    clusters: tuple[tuple[str, ...], ...] = ()
    limits: Limits = field(default_factory=Limits)
    sharpe_ratios: Mapping[str, float | None] = field(default_factory=dict)
    volatilities: Mapping[str, float | None] = field(default_factory=dict)
    psr: Mapping[str, float | None] = field(default_factory=dict)
    settings: ModeSettings = field(default_factory=ModeSettings)

    @property
    def movable(self) -> tuple[str, ...]:
        """Ids that may change and have something to start from, sorted; a start of 0 is never raised."""
        return tuple(key for key in sorted(self.start_bp) if key not in self.fixed and self.start_bp[key] > 0)

    def total_bp(self, among: Iterable[str]) -> Bp:
        """Sum of the starts of some strategies."""
        return sum((self.start_bp[key] for key in among), Fraction(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A mode's wish, exact and unrepaired.

    Attributes:
        wishes_bp: Basis points of the strategies the mode has an opinion on; the others keep their start.
        reasons: Why, for each id in ``wishes_bp``.
    """

    wishes_bp: Mapping[str, Bp]
    reasons: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """A rebalancing mode.

    Attributes:
        name: As in the configuration, with underscores.
        summary: One line for ``--help`` and tables.
        propose: The function; must not raise for any situation.
    """

    name: str
    summary: str
    propose: Callable[[Situation], Draft]
