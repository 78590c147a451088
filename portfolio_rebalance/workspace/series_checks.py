"""What is odd about return series that can be read: holes, no movement, percent for fractions, copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final

import numpy as np

from portfolio_rebalance.clock import Clock
from portfolio_rebalance.workspace.freshness import Series, returns_until
from portfolio_rebalance.workspace.remarks import Remark
from portfolio_rebalance.workspace.returns import ReturnColumn

__all__ = ["copies", "odd_returns"]

_RECENT_DAYS: Final = 30
_ROWS_FOR_UNITS: Final = 90
_WIDEST_DEVIATION: Final = 0.25
_LARGE_MOVE: Final = 0.5
_MOST_LARGE_MOVES: Final = 0.05


def odd_returns(column: ReturnColumn, clock: Clock) -> Iterator[Remark]:
    """Holes in the recent days, a series that never moves, and one that looks like percent."""
    series = returns_until(column, clock)
    yield from _percent_for_fractions(column.label, series)
    days, values = _recent(series, clock)
    observed = days[~np.isnan(values)]
    if not observed.size:
        return
    missing = int((observed[-1] - observed[0]).astype(int)) + 1 - observed.size
    if missing:
        yield Remark(
            where=column.label,
            what=f"{missing} of the days from {observed[0]} to {observed[-1]} have no return.",
            fix="Add them if they exist; nothing is filled in.",
        )
    moves = values[~np.isnan(values)]
    if moves.size > 1 and moves.min() == moves.max():
        yield Remark(
            where=column.label,
            what=f"The return is {float(moves[0])!r} on each of the last {moves.size} days.",
            fix="Check the file: a constant series correlates with nothing.",
        )


def _percent_for_fractions(label: str, series: Series) -> Iterator[Remark]:
    _, values = series
    rows = values[~np.isnan(values)][-_ROWS_FOR_UNITS:]
    if rows.size < 2:
        return
    deviation = float(rows.std(ddof=1))
    large = int((np.abs(rows) > _LARGE_MOVE).sum())
    if deviation > _WIDEST_DEVIATION or large > _MOST_LARGE_MOVES * rows.size:
        yield Remark(
            where=label,
            what=f"The returns look like percent: over the last {rows.size} rows their standard deviation is "
            f"{deviation:.2f}, and {large} of them move more than {100 * _LARGE_MOVE:.0f} % in a day.",
            fix="Write fractions, 0.01 for one percent: divide every value by 100.",
        )


def copies(columns: Mapping[str, ReturnColumn], clock: Clock) -> Iterator[Remark]:
    """Strategies whose recent returns are exactly those of another."""
    seen: dict[bytes, str] = {}
    for key, column in columns.items():
        days, values = _recent(returns_until(column, clock), clock)
        if not np.any(values[~np.isnan(values)]):
            continue  # idle strategies are equal without being the same
        twin = seen.setdefault(days.tobytes() + values.tobytes(), key)
        if twin != key:
            yield Remark(
                where=column.label,
                what=f"The last {len(days)} returns of {key} are exactly those of {twin}.",
                fix="Check that one is not a copy of the other; they count as one bet.",
            )


def _recent(series: Series, clock: Clock) -> Series:
    days, values = series
    first = np.datetime64(clock.last_closed_day - timedelta(days=_RECENT_DAYS - 1), "D")
    return days[days >= first], values[days >= first]
