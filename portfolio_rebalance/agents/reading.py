"""Tools that only read: sections of the fact sheet, by an enum or by a draft's name.

Code has computed everything before the first model is asked. So a read costs nothing, cannot fail, and says
the same to whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from pydantic import Field

from portfolio_rebalance.agents.fact_sheet import FactSheet, Window
from portfolio_rebalance.agents.tool import Arguments, Refused, Tool
from portfolio_rebalance.allocation import mode_names

__all__ = [
    "DraftArguments",
    "DraftId",
    "WindowArguments",
    "correlation_tool",
    "data",
    "draft_tool",
    "mode_of",
]

_DRAFT_IDS: Final = tuple(f"D{number}" for number in range(1, 1 + len(mode_names())))
DraftId: TypeAlias = Literal[_DRAFT_IDS]  # type: ignore[valid-type]  # as many as there are modes

_READS: Final = {
    "verify_allocation_compliance": (
        "compliance",
        "Hold a draft against every hard limit; says what repair changed, and what room is left.",
    ),
    "simulate_rebalance_impact": (
        "impact",
        "Simulate a draft on the window's returns: measures now and after, cost, evidence, recommendation.",
    ),
}


class WindowArguments(Arguments):
    """Which days to correlate."""

    window: Window = Field(
        description="lookback: as configured; previous: as long, right before it; long: three times as long."
    )


class DraftArguments(Arguments):
    """Which draft to look at."""

    draft_id: DraftId = Field(description="A draft that exists, such as D1.")


def correlation_tool(sheet: FactSheet) -> Tool[WindowArguments]:
    """``calculate_correlation_matrix``, in its main figures."""
    return Tool(
        name="calculate_correlation_matrix",
        description="Correlation of daily returns over one window: high pairs, clusters, odd data.",
        arguments=WindowArguments,
        run=lambda given: data("correlation", sheet.section(f"correlation:{given.window}")),
    )


def draft_tool(
    name: str, sheet: FactSheet, *, seen: Callable[[str], None] = lambda _draft: None
) -> Tool[DraftArguments]:
    """A tool that reads one section of a draft.

    Args:
        name: ``verify_allocation_compliance`` or ``simulate_rebalance_impact``.
        sheet: Facts.
        seen: Told which draft was looked at; may refuse.
    """
    section, description = _READS[name]

    def run(given: DraftArguments) -> str:
        mode_of(given.draft_id, sheet)
        seen(given.draft_id)
        return data(section, sheet.section(f"{section}:{given.draft_id}"))

    return Tool(name=name, description=description, arguments=DraftArguments, run=run)


def mode_of(draft: str, sheet: FactSheet) -> str:
    """The mode of a draft.

    Raises:
        Refused: There is no such draft in this run.
    """
    if draft not in sheet.drafts:
        raise Refused(f"There is no draft {draft}. The drafts of this run are {', '.join(sheet.drafts)}.")
    return sheet.drafts[draft]


def data(name: str, text: str) -> str:
    """Facts as what they are: data, never instructions."""
    return f'<facts about="{name}">\n{text}\n</facts>'
