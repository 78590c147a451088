"""The monitor: explains one look at a rebalance that is watched. Code decided what is an alert."""

from __future__ import annotations

from collections.abc import Callable

from portfolio_rebalance.agents.budget import Purse
from portfolio_rebalance.agents.explain import Explained, explain
from portfolio_rebalance.agents.following_facts import facts_of_tick
from portfolio_rebalance.agents.messages import ModelClient
from portfolio_rebalance.config_llm import LlmAgents
from portfolio_rebalance.records import Tick

__all__ = ["explain_tick"]


def explain_tick(
    tick: Tick,
    *,
    client: ModelClient,
    purse: Purse,
    settings: LlmAgents,
    progress: Callable[[str], None] = lambda _stage: None,
) -> Explained:
    """Let the monitor explain a tick.

    Args:
        tick: What code saw.
        client: Answers.
        purse: What it may use.
        settings: Its model.
        progress: Told of each turn.
    """
    build = facts_of_tick(tick)
    book = build.book()
    return explain(
        "monitor",
        about={name: book.lines(ids) for name, ids in build.sections.items()},
        book=book,
        client=client,
        purse=purse,
        settings=settings,
        variables={"watch_days": str(tick.of_days)},
        progress=progress,
    )
