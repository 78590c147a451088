"""The order executor: explains a batch that code has executed, or taken back. It cannot touch one."""

from __future__ import annotations

from collections.abc import Callable

from portfolio_rebalance.agents.budget import Purse
from portfolio_rebalance.agents.explain import Explained, explain
from portfolio_rebalance.agents.facts import FactBuilder, money_unit
from portfolio_rebalance.agents.messages import ModelClient
from portfolio_rebalance.config_llm import LlmAgents
from portfolio_rebalance.records import Execution

__all__ = ["explain_execution", "facts_of_execution"]

_MOST_STRATEGIES = 12


def explain_execution(
    execution: Execution,
    *,
    client: ModelClient,
    purse: Purse,
    settings: LlmAgents,
    progress: Callable[[str], None] = lambda _stage: None,
) -> Explained:
    """Let the order executor explain an execution that is over.

    Args:
        execution: Its report.
        client: Answers.
        purse: What it may use.
        settings: Its model.
        progress: Told of each turn.
    """
    build = facts_of_execution(execution)
    book = build.book()
    return explain(
        "order_executor",
        about={name: book.lines(ids) for name, ids in build.sections.items()},
        book=book,
        client=client,
        purse=purse,
        settings=settings,
        variables={},
        progress=progress,
    )


def facts_of_execution(execution: Execution) -> FactBuilder:
    """What may be said of an execution. What a venue wrote is no part of it."""
    ids = sorted(execution.post_rebalance_allocations)
    build = FactBuilder({one: f"S{number}" for number, one in enumerate(ids, start=1)})
    currency = money_unit(execution.currency)
    build.section("execution")
    build.add("outcome", execution.status.replace("_", " "))
    build.add("broker", "simulated venue" if execution.broker == "paper" else "live exchange")
    build.add("mode", execution.mode.replace("_", " "))
    build.add("strategies whose change was started", execution.executed_trades)
    build.add("strategies whose change is complete", execution.successful_trades)
    build.add("orders sent", execution.orders_sent)
    build.add("orders filled", execution.orders_filled)
    build.add("slippage", execution.total_slippage_bps, "bp")
    build.add("commissions", execution.total_commissions_bps, "bp")
    build.add("slippage and commissions together", execution.total_cost_bps, "bp")
    build.add("estimated cost", f"{execution.estimated_cost:.2f}", currency)
    build.add("actual cost", f"{execution.actual_cost:.2f}", currency)
    build.add("total capital before", f"{execution.total_capital_before:.2f}", currency)
    build.add("total capital after", f"{execution.total_capital_after:.2f}", currency)
    build.add("total deployed after", execution.total_deployed_percent, "%")
    build.add("largest correlated exposure after", execution.correlated_exposure_percent, "%")
    build.section("limits afterwards")
    for name, status in sorted(execution.limits.items()):
        build.add(name.replace("_", " "), status)
    build.section("allocations afterwards")
    for one in ids[:_MOST_STRATEGIES]:
        after, name = execution.post_rebalance_allocations[one], build.aliases[one]
        build.add(f"{name} allocation", after.alloc, "%")
        build.add(f"{name} capital", f"{after.capital:.2f}", currency)
        build.add(f"{name} target", f"{after.target:.2f}", currency)
    build.section("left open")
    build.add("orders filled in part", len(execution.partial_fills))
    for fill in execution.partial_fills[:_MOST_STRATEGIES]:
        build.add(f"{build.aliases.get(fill.strategy, 'a strategy')} intended, in units", fill.intended)
        build.add(f"{build.aliases.get(fill.strategy, 'a strategy')} filled, in units", fill.actual)
    build.add("bots whose capital is to be set by hand", len(execution.instructions))
    return build
