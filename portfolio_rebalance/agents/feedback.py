"""Feedback: names root causes of a divergence. It tunes nothing; code grades and tunes.

A cause that rests on a metric which stayed inside of its interval is chance, whatever the agent says: code
replaces it. Where nothing left its interval the agent is not asked at all.
"""

from __future__ import annotations

from collections.abc import Callable

from portfolio_rebalance.agents.budget import Purse
from portfolio_rebalance.agents.explain import Learning, learn
from portfolio_rebalance.agents.following_facts import facts_of_divergence, metric_of_label
from portfolio_rebalance.agents.messages import ModelClient
from portfolio_rebalance.config_llm import LlmAgents
from portfolio_rebalance.monitoring.learning import WITHIN, diverged
from portfolio_rebalance.records import Learned, Outcome, Tick

__all__ = ["causes_by_model"]


def causes_by_model(
    seen: Tick | Outcome,
    *,
    client: ModelClient,
    purse: Purse,
    settings: LlmAgents,
    progress: Callable[[str], None] = lambda _stage: None,
) -> tuple[tuple[Learned, ...], str]:
    """Let the feedback agent name causes of a divergence.

    Args:
        seen: As code judged it: a look at a rebalance that is watched, or its outcome.
        client: Answers.
        purse: What it may use.
        settings: Its model.
        progress: Told of each turn.

    Returns:
        The causes, and why there are none; empty where there are some, or none was to be asked for.
    """
    if not diverged(seen):
        return (), ""
    build = facts_of_divergence(seen)
    book = build.book()
    found, reason = learn(
        about={name: book.lines(ids) for name, ids in build.sections.items()},
        book=book,
        client=client,
        purse=purse,
        settings=settings,
        progress=progress,
    )
    return tuple(_held_to_the_grades(one, seen) for one in found), reason


def _held_to_the_grades(one: Learning, seen: Tick | Outcome) -> Learned:
    """A cause as the agent named it, unless every metric that it rests on stayed inside."""
    rests_on = {metric for cited in one.cited if (metric := metric_of_label(cited)) is not None}
    left = set(diverged(seen))
    cause, text, cited = one.cause, one.text, one.cited
    if cause != "chance" and rests_on and not rests_on & left:
        names = ", ".join(name.replace("_", " ") for name in sorted(rests_on))
        cause, text, cited = "chance", f"{names}: {WITHIN}", ()
    return Learned(plan_id=seen.plan_id, at=seen.at, source="model", cause=cause, text=text, cited=cited)
