"""The decision, the plan a person may approve, and the candidates beside it."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field

from portfolio_rebalance.records.base import (
    Exact,
    ExactBp,
    FrozenMap,
    Instant,
    Money,
    Quantity,
    Record,
    StrategyId,
)
from portfolio_rebalance.records.compliance import ComplianceReport, LimitStatus
from portfolio_rebalance.records.impact import Confidence, EvidenceStatus, ImpactReport, Recommendation
from portfolio_rebalance.records.proposal import Proposal

__all__ = [
    "Basis",
    "Candidate",
    "Decision",
    "Plan",
    "PlannedEvidence",
    "PlannedMetrics",
    "PlannedStrategy",
    "Review",
]

Basis = Literal["compliance", "drift", "improvement", "none"]


class Candidate(Record):
    """One mode's proposal, repaired and simulated.

    Attributes:
        unrepaired: What the mode asked for.
        proposal: What repair made of it: the change a person would approve.
        drift_before: Portfolio drift now, as a fraction; None if every target is 0.
        drift_after: Portfolio drift after the proposal.
    """

    unrepaired: Proposal
    compliance: ComplianceReport
    proposal: Proposal
    impact: ImpactReport
    drift_before: Exact | None
    drift_after: Exact | None

    @property
    def mode(self) -> str:
        """The mode's registered name."""
        return self.unrepaired.mode


class Review(Record):
    """One role's verdict on a candidate.

    Attributes:
        source: ``rules``, or a ``model``: where both spoke, both are kept, and shown beside each other.
        concerns: In words; every figure in them was rendered by code.
        cited: What a model's concerns rest on: ``label: value unit``.
    """

    role: Literal["quantitative_analyst", "risk_manager"]
    source: Literal["rules", "model"]
    verdict: Literal["approve", "concerns", "reject"]
    concerns: tuple[str, ...]
    cited: tuple[str, ...] = ()


class Decision(Record):
    """What the user's rule recommends, why, and how far their own history supports it.

    Attributes:
        improvement_verdict: What the improvement rule alone would say; stays visible beside compliance.
        headline: Both in one sentence.
    """

    recommendation: Recommendation
    basis: Basis
    improvement_verdict: Recommendation
    confidence: Confidence
    evidence: EvidenceStatus
    headline: str
    reasons: tuple[str, ...]


class PlannedStrategy(Record):
    """What a plan binds and changes for one strategy.

    Attributes:
        proposed_bp: Whole basis points; None where the strategy is left alone and gets no order.
        quantities: Position quantities by asset, which a later execution must find unchanged.
    """

    strategy: StrategyId
    capital: Money
    current_bp: ExactBp
    target_percent: Decimal
    proposed_bp: int | None
    pinned: bool
    held: bool
    control: Literal["positions", "bot"] | None
    account: str | None
    quantities: FrozenMap[Quantity]


class PlannedMetrics(Record):
    """Measures of one portfolio, in decimals so that a plan reads back as it was written.

    Attributes:
        sharpe: Annualised.
        max_drawdown_percent: 0 or negative.
        win_rate: Share of positive days.
        return_percent: Over the window.
        volatility_percent: Annualised.
    """

    sharpe: Decimal | None
    max_drawdown_percent: Decimal | None
    win_rate: Decimal | None
    return_percent: Decimal | None
    volatility_percent: Decimal | None


class PlannedEvidence(Record):
    """What a person is shown of impact and evidence before they approve.

    Attributes:
        baseline: Measures of the window with today's allocations; None where they could not be computed.
        projected: The same with the proposed ones.
        probability_better: Of the Sharpe ratio, by paired bootstrap.
        trials: Of the mode's own walk-forward record, and how many of them it won.
    """

    baseline: PlannedMetrics | None = None
    projected: PlannedMetrics | None = None
    net_improvement_percent: Decimal | None = None
    probability_better: Decimal | None = None
    trials: int = 0
    wins: int = 0


class Plan(Record):
    """What a person would approve. ``plan_id`` is the digest of its canonical bytes.

    Binds the configuration, pins, targets, strategy set, quantities and clusters exactly, and prices by
    an envelope. It holds no wall-clock time, spend or cache figure.

    Attributes:
        limits_bp: ``total``, ``cluster``, ``individual_max``, ``individual_min`` as the plan was judged by
            them, for whoever reads it; execution reads them from disk again.
        evidence: Empty, like ``limits_bp``, in a plan of version 1, which can be read and not approved.
    """

    schema_version: Literal[1, 2] = 2
    as_of: Instant
    expires_at: Instant
    state_as_of: Instant
    mode: str
    requested_mode: str
    fallback: str
    currency: str
    total_capital: Money
    cash: Money
    max_plan_price_move_percent: Decimal
    config_sha256: str
    inputs: FrozenMap[str]
    limits_bp: FrozenMap[int] = Field(default_factory=dict)
    clusters: tuple[tuple[str, ...], ...]
    high_pairs: tuple[tuple[str, str], ...]
    previous_high_pairs: tuple[tuple[str, str], ...] = ()
    correlated_exposure: LimitStatus
    not_evaluated_reason: str = ""
    strategies: tuple[PlannedStrategy, ...]
    decision: Decision
    reviews: tuple[Review, ...] = ()
    evidence: PlannedEvidence = PlannedEvidence()
    stale: tuple[str, ...]
    evidence_seed: str
    turnover_percent: Decimal
    estimated_cost: Money
