"""The state a run starts from."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from portfolio_rebalance.records.base import FrozenMap, Instant, Money, Quantity, Record, StrategyId
from portfolio_rebalance.units import BP_PER_PERCENT, BP_PER_UNIT

__all__ = ["Portfolio", "Position", "StrategyState"]


class Position(Record):
    """One leg of a strategy; negative when short."""

    asset: str
    quantity: Quantity
    price: Money
    market_value: Money


class StrategyState(Record):
    """One deployed strategy.

    Attributes:
        capital: Equity: positions plus its own cash.
        capital_source: Where ``capital`` was read.
        target_percent: The registry's target, in percent of total capital.
        pnl: Profit and loss by window; None where unknown.
        stale: Why this state is stale; empty when it is fresh.
    """

    strategy: StrategyId
    name: str
    capital: Money
    capital_source: Literal["snapshot", "bootstrap"]
    capital_as_of: Instant
    target_percent: Decimal
    pinned: bool
    control: Literal["positions", "bot"] | None
    account: str | None
    assets: tuple[str, ...]
    risk_profile: str | None
    positions: tuple[Position, ...]
    pnl: FrozenMap[Money | None]
    stale: str


class Portfolio(Record):
    """All deployed strategies and the cash beside them.

    Attributes:
        state_as_of: BOOTSTRAP's own instant.
        inputs: Path inside the workspace to the SHA-256 of the bytes that were read.
    """

    state_as_of: Instant
    currency: str
    cash: Money
    strategies: tuple[StrategyState, ...]
    inputs: FrozenMap[str]
    warnings: tuple[str, ...]

    @property
    def total_capital(self) -> Decimal:
        """Cash plus the capital of every strategy."""
        return sum((state.capital for state in self.strategies), self.cash)

    @property
    def current_bp(self) -> Mapping[str, Fraction]:
        """Exact allocations, in basis points of total capital."""
        total = Fraction(self.total_capital)
        return {state.strategy: Fraction(state.capital) * BP_PER_UNIT / total for state in self.strategies}

    @property
    def target_bp(self) -> Mapping[str, Fraction]:
        """Exact targets, in basis points of total capital."""
        return {state.strategy: Fraction(state.target_percent) * BP_PER_PERCENT for state in self.strategies}

    @property
    def pinned(self) -> frozenset[str]:
        """Strategies that the registry pins."""
        return frozenset(state.strategy for state in self.strategies if state.pinned)

    @property
    def stale(self) -> tuple[str, ...]:
        """Why the data is stale, strategy by strategy; empty when all is fresh."""
        return tuple(f"{state.strategy}: {state.stale}" for state in self.strategies if state.stale)
