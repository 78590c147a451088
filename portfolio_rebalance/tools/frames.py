"""Returns as people hold them, turned into one calendar table.

Accepted: a pandas frame with a date index and a column a strategy; a mapping of id to ``{day: return}``;
a mapping of id to equally long sequences, read as consecutive days that end on the last closed day. None
and NaN are missing. pandas is never imported here: a frame is recognised by what it can do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from portfolio_rebalance.analytics import Floats, ReturnsTable, calendar_window
from portfolio_rebalance.errors import UsageError

__all__ = ["DatedSeries", "Frame", "ReturnsLike", "dated_series", "last_day_of", "window_of"]

DatedSeries: TypeAlias = tuple[npt.NDArray[np.datetime64], Floats]


@runtime_checkable
class Frame(Protocol):
    """As much of ``pandas.DataFrame`` as is needed."""

    @property
    def columns(self) -> Iterable[object]:
        """Column labels."""
        ...

    @property
    def index(self) -> Iterable[object]:
        """Row labels: dates."""
        ...

    def to_numpy(self, dtype: type[float]) -> Floats:
        """The values, shape (days, columns)."""
        ...


ReturnsLike: TypeAlias = (
    Frame | Mapping[str, Mapping[date, float | None]] | Mapping[str, Sequence[float | None]]
)


def dated_series(returns: ReturnsLike, *, last_closed_day: date | None) -> dict[str, DatedSeries]:
    """Days and values by strategy.

    Args:
        returns: See the module.
        last_closed_day: The day of the last value of undated sequences; without it they end on 1970-01-01,
            which is as good as any when nothing else is dated.

    Raises:
        UsageError: Infinite values, duplicate or unreadable days, sequences of different length.
    """
    if isinstance(returns, Frame):
        days = _days(returns.index)
        values = returns.to_numpy(dtype=float)
        series = {str(name): (days, values[:, place]) for place, name in enumerate(returns.columns)}
    else:
        series = {}
        lengths = {len(column) for column in returns.values() if not isinstance(column, Mapping)}
        if len(lengths) > 1:
            raise UsageError(
                f"Undated columns have different lengths: {sorted(lengths)}.",
                where="returns",
                fix="Give every strategy the same days, with None where a day is missing.",
            )
        for name, column in returns.items():
            if isinstance(column, Mapping):
                series[name] = (_days(column), _values(column.values()))
            else:
                ends = last_closed_day or date(1970, 1, 1)
                days = np.datetime64(ends) - np.arange(len(column) - 1, -1, -1).astype("timedelta64[D]")
                series[name] = (days, _values(column))
    for name, (days, values) in series.items():
        if np.isinf(values).any():
            raise UsageError(
                f"{name} has an infinite return.", where="returns", fix="Use None for a missing day."
            )
        if len(set(days.tolist())) != days.size:
            raise UsageError(f"{name} has a day twice.", where="returns", fix="Keep one value a day.")
    return series


def last_day_of(series: Mapping[str, DatedSeries]) -> date:
    """The newest day of any series.

    Raises:
        UsageError: There is no day at all.
    """
    newest = [days.max() for days, _ in series.values() if days.size]
    if not newest:
        raise UsageError("There are no returns.", where="returns", fix="Pass at least one day.")
    found: date = max(newest).item()
    return found


def window_of(
    series: Mapping[str, DatedSeries], *, ids: Sequence[str], last_day: date, lookback_days: int
) -> ReturnsTable:
    """The calendar window of some strategies; one without any series is all missing."""
    empty = (np.array([], dtype="datetime64[D]"), np.array([], dtype=np.float64))
    return calendar_window(
        {key: series.get(key, empty) for key in ids}, last_day=last_day, lookback_days=lookback_days
    )


def _days(labels: Iterable[object]) -> npt.NDArray[np.datetime64]:
    try:
        return np.array([np.datetime64(str(label)[:10], "D") for label in labels], dtype="datetime64[D]")
    except ValueError as cause:
        raise UsageError(
            f"A row is not labelled with a date: {cause}.", where="returns", fix="Index by day."
        ) from None


def _values(column: Iterable[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in column], dtype=np.float64)
