"""Agents that explain what is over: the order executor, the monitor; and feedback, which names causes.

They change nothing: facts go in, prose comes out, every figure of it rendered by code. Where a model's words
cannot be used there are none, and what code reports stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from portfolio_rebalance.agents.budget import Purse
from portfolio_rebalance.agents.citations import evidence, render
from portfolio_rebalance.agents.facts import FactBook
from portfolio_rebalance.agents.loop import Agent, converse
from portfolio_rebalance.agents.messages import ModelClient
from portfolio_rebalance.agents.prompts import load_prompt
from portfolio_rebalance.agents.reading import data
from portfolio_rebalance.agents.tool import Arguments, Refused, Tool
from portfolio_rebalance.agents.tool_names import TOOL_NAMES
from portfolio_rebalance.config_llm import LlmAgents
from portfolio_rebalance.records import Cause

__all__ = ["Explained", "Learning", "explain", "learn"]

_MOST_TURNS = 2


class ExplanationArguments(Arguments):
    """An explanation."""

    text: str = Field(
        description="Two to six plain sentences; every figure a citation such as {F12}.", max_length=1500
    )


class LearningArguments(Arguments):
    """One root cause."""

    cause: Cause
    text: str = Field(
        description="One to three sentences; every figure a citation such as {F12}.", max_length=1000
    )


class LearningsArguments(Arguments):
    """Root causes."""

    learnings: tuple[LearningArguments, ...] = Field(description="The likeliest first.", max_length=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What an agent said.

    Attributes:
        text: Rendered; empty where there is none.
        reason: Why there is none; empty where there is.
    """

    text: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """A root cause that the feedback agent names.

    Attributes:
        text: Rendered.
        cited: What it rests on: ``label: value unit``.
    """

    cause: Cause
    text: str
    cited: tuple[str, ...]


def explain(
    role: Literal["order_executor", "monitor"],
    *,
    about: Mapping[str, str],
    book: FactBook,
    client: ModelClient,
    purse: Purse,
    settings: LlmAgents,
    variables: Mapping[str, str],
    progress: Callable[[str], None] = lambda _stage: None,
) -> Explained:
    """Let an agent explain facts.

    Args:
        role: Who.
        about: Sections of facts as a model reads them, by name.
        book: The same facts.
        client: Answers.
        purse: What it may use.
        settings: Its model.
        variables: Of its prompt.
        progress: Told of each turn.
    """
    said: list[str] = []
    refused: list[str] = []

    def submit(given: ExplanationArguments) -> str:
        rendered = render(given.text, book=book)
        if rendered.faults:
            if refused:
                said.append("")
                return "Its words cannot be shown."
            refused.extend(rendered.faults)
            raise Refused("Not accepted yet: " + " ".join(rendered.faults))
        said.append(rendered.text)
        return "Accepted."

    tool = Tool(
        name="submit_explanation",
        description="Hand in the explanation. Ends your work.",
        arguments=ExplanationArguments,
        run=submit,
        changes_state=True,
    )
    reason = _converse(
        role,
        tool,
        finished=lambda: bool(said),
        about=about,
        client=client,
        purse=purse,
        settings=settings,
        variables=variables,
        progress=progress,
    )
    text = said[0] if said else ""
    return Explained(text=text, reason="" if text else (reason or "its words could not be shown"))


def learn(
    *,
    about: Mapping[str, str],
    book: FactBook,
    client: ModelClient,
    purse: Purse,
    settings: LlmAgents,
    progress: Callable[[str], None] = lambda _stage: None,
) -> tuple[tuple[Learning, ...], str]:
    """Let the feedback agent name root causes.

    Returns:
        The causes, and why there are none or some were left out; empty where all went well.
    """
    found: list[tuple[Learning, ...]] = []
    refused: list[str] = []

    def submit(given: LearningsArguments) -> str:
        rendered = [render(one.text, book=book) for one in given.learnings]
        faults = [fault for one in rendered for fault in one.faults]
        if faults and not refused:
            refused.extend(faults)
            raise Refused("Not accepted yet: " + " ".join(dict.fromkeys(faults)))
        found.append(
            tuple(
                Learning(
                    cause=one.cause,
                    text=shown.text,
                    cited=evidence([shown], book=book),
                )
                for one, shown in zip(given.learnings, rendered, strict=True)
                if not shown.faults
            )
        )
        return "Accepted."

    tool = Tool(
        name="submit_learnings",
        description="Hand in the root causes. Ends your work.",
        arguments=LearningsArguments,
        run=submit,
        changes_state=True,
    )
    reason = _converse(
        "feedback",
        tool,
        finished=lambda: bool(found),
        about=about,
        client=client,
        purse=purse,
        settings=settings,
        variables={},
        progress=progress,
    )
    return (found[0] if found else ()), reason


def _converse(
    role: Literal["order_executor", "monitor", "feedback"],
    tool: Tool[Any],
    *,
    finished: Callable[[], bool],
    about: Mapping[str, str],
    client: ModelClient,
    purse: Purse,
    settings: LlmAgents,
    variables: Mapping[str, str],
    progress: Callable[[str], None],
) -> str:
    prompt = load_prompt(role, variables=variables, tools=TOOL_NAMES)
    agent = Agent(
        role=role,
        system=prompt.text,
        tools=(tool,),
        output=prompt.output,
        finished=finished,
        settings=getattr(settings, role),
        most_turns=_MOST_TURNS,
    )
    opening = "\n\n".join(["These are the facts.", *(data(name, text) for name, text in about.items())])
    return converse(agent, opening=opening, client=client, purse=purse, progress=progress)
