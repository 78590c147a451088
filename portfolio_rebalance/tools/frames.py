"""Returns as people hold them, turned into one calendar table.

Accepted: a pandas frame indexed by date with a column a strategy; a mapping of id to ``{day: return}`` or to
a pandas series indexed by date; a mapping of id to equally long sequences, read as consecutive days that end
on the last closed day. None and NaN are missing. What is not clearly a day is refused: a row number read as a
year would give an answer to another question. pandas is never imported here; its objects are recognised by
what they can do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final, Protocol, TypeAlias, runtime_checkable

import numpy as np

from portfolio_rebalance.analytics import Days, Floats, ReturnsTable, calendar_window
from portfolio_rebalance.errors import UsageError

__all__ = [
    "EARLIEST_YEAR",
    "LATEST_YEAR",
    "DatedSeries",
    "Frame",
    "ReturnsLike",
    "dated_series",
    "last_day_of",
    "window_of",
]

DatedSeries: TypeAlias = tuple[Days, Floats]


EARLIEST_YEAR: Final = 1900
LATEST_YEAR: Final = 9000
LEAST_RETURN: Final = -1.0
MOST_RETURN: Final = 10.0
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ]|$)")


@runtime_checkable
class Series(Protocol):
    """As much of ``pandas.Series`` as is needed."""

    @property
    def index(self) -> Iterable[object]:
        """Row labels: dates."""
        ...

    def to_numpy(self) -> Iterable[object]:
        """The values."""
        ...


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

    def __getitem__(self, name: object, /) -> Iterable[object]:
        """One column."""
        ...


Column: TypeAlias = Mapping[date, float | None] | Series | Sequence[float | None]
ReturnsLike: TypeAlias = Frame | Mapping[str, Column]


def dated_series(returns: ReturnsLike, *, last_closed_day: date | None) -> dict[str, DatedSeries]:
    """Days and values by strategy.

    Args:
        returns: See the module.
        last_closed_day: The day of the last value of undated sequences; without it they end on 1970-01-01,
            which is as good as any when nothing else is dated.

    Raises:
        UsageError: Labels that are no days, days twice, values that are no returns (below -1 or above 10),
            sequences of different length or mixed with dated columns.
    """
    if isinstance(returns, Frame):
        days = _days(returns.index)
        values = [_values(returns[name], where=str(name)) for name in returns.columns]
        series = {str(name): (days, column) for name, column in zip(returns.columns, values, strict=True)}
    elif isinstance(returns, Mapping):
        series = _columns(returns, ends=last_closed_day or date(1970, 1, 1))
    else:
        raise UsageError(
            f"{type(returns).__name__} is not understood.",
            where="returns",
            fix="Pass a frame indexed by date, or a mapping of id to {day: return} or to a list.",
        )
    for name, (days, _) in series.items():
        if len(set(days.tolist())) != days.size:
            raise UsageError(f"{name} has a day twice.", where="returns", fix="Keep one value a day.")
    return series


def _columns(returns: Mapping[str, Column], *, ends: date) -> dict[str, DatedSeries]:
    series: dict[str, DatedSeries] = {}
    lengths = set()
    for name, column in returns.items():
        if isinstance(column, Mapping):
            series[name] = (_days(column), _values(column.values(), where=name))
        elif isinstance(column, Series):
            series[name] = (_days(column.index), _values(column.to_numpy(), where=name))
        else:
            values = _values(column, where=name)
            lengths.add(values.size)
            days = np.datetime64(ends) - np.arange(values.size - 1, -1, -1).astype("timedelta64[D]")
            series[name] = (days, values)
    if len(lengths) > 1 or (
        lengths and len(series) > sum(_is_undated(column) for column in returns.values())
    ):
        raise UsageError(
            "Undated columns stand beside dated ones or differ in length.",
            where="returns",
            fix="Give every strategy the same days, with None where a day is missing, or date them all.",
        )
    return series


def _is_undated(column: Column) -> bool:
    return not isinstance(column, Mapping | Series)


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


def _days(labels: Iterable[object]) -> Days:
    days = []
    for label in labels:
        text = label.isoformat() if isinstance(label, date) else str(label)
        dated = isinstance(label, str | date | np.datetime64)
        if not dated or not _DAY.match(text) or not (EARLIEST_YEAR <= int(text[:4]) <= LATEST_YEAR):
            raise _no_day(label)
        try:
            days.append(np.datetime64(text[:10], "D"))
        except ValueError:
            raise _no_day(label) from None
    return np.array(days, dtype="datetime64[D]")


def _no_day(label: object) -> UsageError:
    return UsageError(
        f"A row is labelled {label!r}, which is not a day.",
        where="returns",
        fix="Index by day, such as 2024-01-31; a frame from a file needs its date column as index.",
    )


def _values(column: Iterable[object], *, where: str) -> Floats:
    try:
        values = np.array([np.nan if value is None else value for value in column], dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(
            f"{where} holds something that is not a number.",
            where="returns",
            fix="Keep returns only, as fractions.",
        ) from None
    outside = values[(values < LEAST_RETURN) | (values > MOST_RETURN)]
    if outside.size:
        raise UsageError(
            f"{where} has a return of {outside[0]:g} in a day.",
            where="returns",
            fix="Returns are fractions: 0.01 is one percent; None is a missing day.",
        )
    return values
