"""The two reviewers: the quantitative analyst and the risk manager.

Each gets the facts of one draft, may look closer with its own read-only tools, and hands in a typed review. A
review can only make a run safer: it is shown to the person, and a rejection withdraws pre-approval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from pydantic import Field

from portfolio_rebalance.agents.budget import Purse
from portfolio_rebalance.agents.citations import evidence, render
from portfolio_rebalance.agents.fact_sheet import FactSheet
from portfolio_rebalance.agents.loop import Agent, converse
from portfolio_rebalance.agents.messages import ModelClient
from portfolio_rebalance.agents.prompts import load_prompt
from portfolio_rebalance.agents.reading import correlation_tool, data, draft_tool
from portfolio_rebalance.agents.tool import Arguments, Refused, Tool
from portfolio_rebalance.agents.tool_names import TOOL_NAMES
from portfolio_rebalance.config_llm import LlmAgents
from portfolio_rebalance.records import Review

__all__ = ["ROLES", "ReviewArguments", "Reviewed", "Role", "review"]

Role: TypeAlias = Literal["quantitative_analyst", "risk_manager"]
ROLES: Final[tuple[Role, ...]] = ("quantitative_analyst", "risk_manager")
MOST_TURNS: Final = 2
_OF_THE_RUN: Final = ("state", "strategies", "correlation:lookback")
_OF_A_DRAFT: Final = ("proposal", "compliance", "impact")
_Kind: TypeAlias = Literal[
    "regime_change", "odd_data", "weak_evidence", "cost", "concentration", "unwise_change", "other"
]


class Concern(Arguments):
    """One thing that speaks against a draft."""

    kind: _Kind
    text: str = Field(
        description="One or two sentences; every figure a citation such as {F12}.", max_length=600
    )


class ReviewArguments(Arguments):
    """What a reviewer hands in."""

    verdict: Literal["approve", "concerns", "reject"]
    concerns: tuple[Concern, ...] = Field(description="The gravest first; empty if none.", max_length=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """What a reviewer came to.

    Attributes:
        review: None where it came to nothing.
        reason: Why that is, or why its words were not used; empty where all went well.
        asked: Whether a model was asked at all; not so where no call was left for it.
        kinds: Kinds of its concerns, and the ids of the facts each cites: what another agent is told.
    """

    review: Review | None
    reason: str
    kinds: tuple[tuple[str, tuple[str, ...]], ...] = ()
    asked: bool = True


def review(
    role: Role,
    draft: str,
    *,
    sheet: FactSheet,
    client: ModelClient,
    purse: Purse,
    settings: LlmAgents,
    progress: Callable[[str], None],
) -> Reviewed:
    """Ask a reviewer about a draft.

    Args:
        role: Who.
        draft: Name of the draft, such as ``D1``.
        sheet: Facts.
        client: Answers.
        purse: What the reviewer may use.
        settings: Its model.
        progress: Told of each turn.
    """
    desk = _Desk(role, sheet)
    prompt = load_prompt(role, variables={"turns": "two"}, tools=TOOL_NAMES)
    agent = Agent(
        # One conversation, one name: a second draft is another conversation, in a transcript too.
        role=role if draft == next(iter(sheet.drafts)) else f"{role}:{draft}",
        system=prompt.text,
        tools=tuple(tool for tool in _tools(desk) if tool.name in prompt.tools),
        output=prompt.output,
        finished=lambda: desk.accepted is not None,
        settings=getattr(settings, role),
        most_turns=MOST_TURNS,
    )
    opening = "\n\n".join(
        [
            f"Review draft {draft}. These are its facts.",
            *(
                data(name, sheet.section(f"{name}:{draft}" if name in _OF_A_DRAFT else name))
                for name in (*_OF_THE_RUN, *_OF_A_DRAFT)
            ),
        ]
    )
    had_calls = purse.left.calls > 0
    reason = converse(agent, opening=opening, client=client, purse=purse, progress=progress)
    found = desk.accepted or desk.pending
    if found is None:
        return Reviewed(review=None, reason=reason, asked=had_calls)
    return found


class _Desk:
    """Takes a reviewer's answer: once more where its words cannot be used, and then without them."""

    def __init__(self, role: Role, sheet: FactSheet) -> None:
        self.role, self.sheet = role, sheet
        self.accepted: Reviewed | None = None
        self.pending: Reviewed | None = None

    def submit(self, given: ReviewArguments) -> str:
        rendered = [render(concern.text, book=self.sheet.book) for concern in given.concerns]
        faults = [fault for one in rendered for fault in one.faults]
        verdict = "concerns" if given.verdict == "approve" and given.concerns else given.verdict
        texts = [
            f"{concern.kind.replace('_', ' ')}: {one.text or 'its words cannot be shown'}"
            for concern, one in zip(given.concerns, rendered, strict=True)
        ]
        if verdict != "approve" and not texts:
            texts = ["no reason was given"]
        found = Reviewed(
            review=Review(
                role=self.role,
                source="model",
                verdict=verdict,
                concerns=tuple(texts),
                cited=evidence(rendered, book=self.sheet.book),
            ),
            reason="its words could not be shown" if faults else "",
            kinds=tuple(
                (concern.kind, tuple(fact.id for fact in one.cited))
                for concern, one in zip(given.concerns, rendered, strict=True)
            ),
        )
        if faults and self.pending is None:
            self.pending = found
            raise Refused("Not accepted yet: " + " ".join(dict.fromkeys(faults)))
        self.accepted = found
        return "Accepted."


def _tools(desk: _Desk) -> tuple[Tool[Any], ...]:
    sheet = desk.sheet
    return (
        correlation_tool(sheet),
        draft_tool("simulate_rebalance_impact", sheet),
        draft_tool("verify_allocation_compliance", sheet),
        Tool(
            name="submit_review",
            description="Hand in the review. Ends your work.",
            arguments=ReviewArguments,
            run=desk.submit,
            changes_state=True,
        ),
    )
