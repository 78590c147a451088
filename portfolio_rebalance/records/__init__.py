"""Records: what travels between rooms, one file a stage.

In: plain values. Out: strict, frozen, closed, finite records with a canonical form. A record validates and
derives; it never reads a file, computes a statistic or decides anything.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from portfolio_rebalance.records.advice import Advice, AgentSpend, Spend, Verdict
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
from portfolio_rebalance.records.execution import (
    Execution,
    ExecutionStatus,
    Instruction,
    OrderLine,
    PartialFill,
    PostAllocation,
)
from portfolio_rebalance.records.impact import (
    ImpactReport,
    Improvements,
    PortfolioMetrics,
    ResamplingEvidence,
    TradingCosts,
    WalkForwardEvidence,
)
from portfolio_rebalance.records.plan import (
    Candidate,
    Decision,
    Plan,
    PlannedEvidence,
    PlannedMetrics,
    PlannedStrategy,
    Review,
)
from portfolio_rebalance.records.portfolio import Portfolio, Position, StrategyState
from portfolio_rebalance.records.prediction import (
    METRICS,
    DayPrediction,
    Estimates,
    Metric,
    PredictedRange,
    Prediction,
)
from portfolio_rebalance.records.proposal import Change, Proposal, ProposalSummary
from portfolio_rebalance.records.result import (
    ErrorReport,
    Finding,
    RebalanceRequest,
    RebalanceResult,
    RunSummary,
    Standing,
)

if TYPE_CHECKING:
    from portfolio_rebalance.records.batch import (
        Approval,
        Market,
        OpenExecution,
        OrderFill,
        RebalanceOrders,
        RebalanceTrade,
        Side,
        StartedExecution,
        Step,
        StepState,
        StoredStep,
        StrategyBook,
        Transfer,
    )
    from portfolio_rebalance.records.following import (
        AllocationCheck,
        Cause,
        Comparison,
        Comparisons,
        CostCheck,
        Learned,
        MonitorReport,
        Outcome,
        Tick,
        TuningStep,
    )
    from portfolio_rebalance.records.notice import KeptNotice, Notice

__all__ = [
    "METRICS",
    "Adjustment",
    "Advice",
    "AgentSpend",
    "AllocationCheck",
    "Approval",
    "Assessment",
    "BlockedDiagnosis",
    "Candidate",
    "Cause",
    "Change",
    "Cluster",
    "Comparison",
    "Comparisons",
    "ComplianceReport",
    "CorrelatedPair",
    "CorrelationReport",
    "CostCheck",
    "DayPrediction",
    "Decision",
    "DeployedTotal",
    "ErrorReport",
    "Estimates",
    "ExactBp",
    "Execution",
    "ExecutionStatus",
    "Finding",
    "FrozenMap",
    "ImpactReport",
    "Improvements",
    "Instant",
    "Instruction",
    "KeptNotice",
    "LaggedPair",
    "Learned",
    "LimitLine",
    "LimitStatus",
    "Market",
    "Metric",
    "Money",
    "MonitorReport",
    "Notice",
    "OpenExecution",
    "OrderFill",
    "OrderLine",
    "Outcome",
    "PartialFill",
    "Plan",
    "PlannedEvidence",
    "PlannedMetrics",
    "PlannedStrategy",
    "Portfolio",
    "PortfolioMetrics",
    "Position",
    "PostAllocation",
    "PredictedRange",
    "Prediction",
    "Proposal",
    "ProposalSummary",
    "Quantity",
    "RebalanceOrders",
    "RebalanceRequest",
    "RebalanceResult",
    "RebalanceTrade",
    "Record",
    "RedundantPair",
    "ResamplingEvidence",
    "Review",
    "RunSummary",
    "Side",
    "Spend",
    "Standing",
    "StartedExecution",
    "Step",
    "StepState",
    "StoredStep",
    "StrategyAssessment",
    "StrategyBook",
    "StrategyId",
    "StrategyState",
    "Tick",
    "TradingCosts",
    "Transfer",
    "TuningStep",
    "UnknownPair",
    "Verdict",
    "Violation",
    "WalkForwardEvidence",
    "canonical_bytes",
    "digest",
    "plain",
]

_NOT_IN_A_DRY_RUN = {
    **dict.fromkeys(
        (
            "Approval",
            "Market",
            "OpenExecution",
            "OrderFill",
            "RebalanceOrders",
            "RebalanceTrade",
            "Side",
            "StartedExecution",
            "Step",
            "StepState",
            "StoredStep",
            "StrategyBook",
            "Transfer",
        ),
        "batch",
    ),
    **dict.fromkeys(
        (
            "AllocationCheck",
            "Cause",
            "Comparison",
            "Comparisons",
            "CostCheck",
            "Learned",
            "MonitorReport",
            "Outcome",
            "Tick",
            "TuningStep",
        ),
        "following",
    ),
    **dict.fromkeys(("KeptNotice", "Notice"), "notice"),
}


def __getattr__(name: str) -> Any:
    """What only an execution, what follows one, or a notice needs is imported when it is asked for."""
    if name not in _NOT_IN_A_DRY_RUN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NOT_IN_A_DRY_RUN[name]}"), name)
