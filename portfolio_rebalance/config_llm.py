"""``llm``: which models review and explain, and what they may cost.

Nothing here can reach a limit or an approval: with every key at any value, models explain and may make a run
safer, and code holds the limits.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from portfolio_rebalance.config_types import Number, Section

__all__ = ["AgentSettings", "Llm", "LlmAgents"]

Effort: TypeAlias = Literal["low", "medium", "high", "xhigh", "max"]
_Model: TypeAlias = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,99}$", description="Name of the model.")
]
_EFFORT = Field(description="How hard it thinks.")
_TOKENS = Field(ge=256, le=32_000, description="Tokens of one answer, at most.")


class AgentSettings(Section):
    """One agent's model."""

    model: _Model
    effort: Annotated[Effort, _EFFORT]
    max_tokens: Annotated[int, _TOKENS]


class OrchestratorSettings(AgentSettings):
    """Leads the run by its tools."""

    model: _Model = "claude-opus-5-5"
    effort: Annotated[Effort, _EFFORT] = "medium"
    max_tokens: Annotated[int, _TOKENS] = 8000


class AnalystSettings(AgentSettings):
    """Looks for what rules cannot see in the data."""

    model: _Model = "claude-sonnet-5-5"
    effort: Annotated[Effort, _EFFORT] = "medium"
    max_tokens: Annotated[int, _TOKENS] = 6000


class RiskManagerSettings(AgentSettings):
    """Looks for what is compliant and unwise."""

    model: _Model = "claude-sonnet-5-5"
    effort: Annotated[Effort, _EFFORT] = "medium"
    max_tokens: Annotated[int, _TOKENS] = 6000


class ExecutorSettings(AgentSettings):
    """Explains a batch that code has executed."""

    model: _Model = "claude-haiku-5-5"
    effort: Annotated[Effort, _EFFORT] = "low"
    max_tokens: Annotated[int, _TOKENS] = 3000


class MonitorSettings(AgentSettings):
    """Explains how a rebalance turns out."""

    model: _Model = "claude-haiku-5-5"
    effort: Annotated[Effort, _EFFORT] = "low"
    max_tokens: Annotated[int, _TOKENS] = 3000


class FeedbackSettings(AgentSettings):
    """Names root causes of what turned out differently."""

    model: _Model = "claude-sonnet-5-5"
    effort: Annotated[Effort, _EFFORT] = "medium"
    max_tokens: Annotated[int, _TOKENS] = 4000


class LlmAgents(Section):
    """The model of each agent."""

    orchestrator: OrchestratorSettings = OrchestratorSettings()
    quantitative_analyst: AnalystSettings = AnalystSettings()
    risk_manager: RiskManagerSettings = RiskManagerSettings()
    order_executor: ExecutorSettings = ExecutorSettings()
    monitor: MonitorSettings = MonitorSettings()
    feedback: FeedbackSettings = FeedbackSettings()


class Llm(Section):
    """Models that review and explain. The key is read from the environment: ANTHROPIC_API_KEY."""

    provider: Annotated[
        Literal["auto", "anthropic", "rules"],
        Field(
            description="auto: a model where a key is set; anthropic: refuse without one; rules: no model."
        ),
    ] = "auto"
    max_turns: Annotated[int, Field(ge=1, le=5, description="Turns of the orchestrator, at most.")] = 5
    max_calls: Annotated[
        int, Field(ge=1, le=8, description="Calls of a run, reviewers included, at most.")
    ] = 8
    max_tokens: Annotated[
        int, Field(ge=1000, le=10_000_000, description="Tokens of a run, read and written, at most.")
    ] = 400_000
    max_seconds: Annotated[
        int, Field(ge=1, le=3600, description="Seconds of a run that models may take, at most.")
    ] = 300
    max_dollars: Annotated[
        Number, Field(gt=0, le=1000, description="Dollars of a run at list prices, at most.")
    ] = Decimal("1.00")
    agents: LlmAgents = LlmAgents()
