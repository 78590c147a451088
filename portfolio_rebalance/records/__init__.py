"""Records: what travels between rooms, one file a stage.

In: plain values. Out: strict, frozen, closed, finite records with a canonical form. A record validates and
derives; it never reads a file, computes a statistic or decides anything.
"""

from portfolio_rebalance.records.assessment import Assessment, DeployedTotal, StrategyAssessment
from portfolio_rebalance.records.base import ExactBp, FrozenMap, Instant, Money, Quantity, Record, StrategyId
from portfolio_rebalance.records.canonical import canonical_bytes, digest, plain
from portfolio_rebalance.records.compliance import (
    Adjustment,
    BlockedDiagnosis,
    ComplianceReport,
    LimitLine,
    LimitStatus,
    Violation,
)
from portfolio_rebalance.records.correlation import (
    Cluster,
    CorrelatedPair,
    CorrelationReport,
    LaggedPair,
    RedundantPair,
    UnknownPair,
)
from portfolio_rebalance.records.impact import (
    ImpactReport,
    Improvements,
    PortfolioMetrics,
    ResamplingEvidence,
    TradingCosts,
    WalkForwardEvidence,
)
from portfolio_rebalance.records.plan import Candidate, Decision, Plan, PlannedStrategy, Review
from portfolio_rebalance.records.portfolio import Portfolio, Position, StrategyState
from portfolio_rebalance.records.proposal import Change, Proposal, ProposalSummary
from portfolio_rebalance.records.result import (
    ErrorReport,
    Finding,
    RebalanceRequest,
    RebalanceResult,
    RunSummary,
)

__all__ = [
    "Adjustment",
    "Assessment",
    "BlockedDiagnosis",
    "Candidate",
    "Change",
    "Cluster",
    "ComplianceReport",
    "CorrelatedPair",
    "CorrelationReport",
    "Decision",
    "DeployedTotal",
    "ErrorReport",
    "ExactBp",
    "Finding",
    "FrozenMap",
    "ImpactReport",
    "Improvements",
    "Instant",
    "LaggedPair",
    "LimitLine",
    "LimitStatus",
    "Money",
    "Plan",
    "PlannedStrategy",
    "Portfolio",
    "PortfolioMetrics",
    "Position",
    "Proposal",
    "ProposalSummary",
    "Quantity",
    "RebalanceRequest",
    "RebalanceResult",
    "Record",
    "RedundantPair",
    "ResamplingEvidence",
    "Review",
    "RunSummary",
    "StrategyAssessment",
    "StrategyId",
    "StrategyState",
    "TradingCosts",
    "UnknownPair",
    "Violation",
    "WalkForwardEvidence",
    "canonical_bytes",
    "digest",
    "plain",
]
