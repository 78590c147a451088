"""A table of daily returns and its calendar window.

Rows are calendar days, columns strategies, cells simple returns as fractions (0.01 = 1 %) labelled with the
UTC date they closed on. NaN is missing: never 0, never filled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Days", "Flags", "Floats", "Integers", "ReturnsTable", "Words", "calendar_window"]

Days: TypeAlias = "npt.NDArray[np.datetime64]"
Floats: TypeAlias = "npt.NDArray[np.float64]"
Integers: TypeAlias = "npt.NDArray[np.int64]"
Words: TypeAlias = "npt.NDArray[np.uint64]"
Flags: TypeAlias = "npt.NDArray[np.bool_]"
# Text, so that numpy.typing is never imported: it costs more than any function here.


@dataclass(frozen=True, slots=True)
class ReturnsTable:
    """Returns on a full calendar: consecutive days, no row left out.

    Attributes:
        ids: Strategy ids, sorted.
        last_day: The day of the last row.
        values: Shape (days, strategies); NaN where missing.
    """

    ids: tuple[str, ...]
    last_day: date
    values: Floats

    @property
    def days(self) -> tuple[date, ...]:
        """The day of each row."""
        rows = self.values.shape[0]
        return tuple(self.last_day - timedelta(days=rows - 1 - row) for row in range(rows))

    def column(self, strategy: str) -> Floats:
        """Observed returns of one strategy in the table, in order, without the missing days."""
        values = self.values[:, self.ids.index(strategy)]
        observed: Floats = values[~np.isnan(values)]
        return observed

    def select(self, ids: Sequence[str]) -> ReturnsTable:
        """The columns of ``ids``, in that order."""
        return ReturnsTable(
            ids=tuple(ids),
            last_day=self.last_day,
            values=self.values[:, [self.ids.index(key) for key in ids]],
        )


def calendar_window(
    series: Mapping[str, tuple[Days, Floats]], *, last_day: date, lookback_days: int
) -> ReturnsTable:
    """Cut series to the last ``lookback_days`` calendar days up to and including ``last_day``.

    Args:
        series: By id: days (datetime64[D], unique) and their returns. Days outside the window are ignored.
        last_day: Last day of the window.
        lookback_days: Calendar days, not rows: thirty rows across a hole are more than thirty days.

    Returns:
        A table of exactly ``lookback_days`` rows, ids sorted.
    """
    ids = tuple(sorted(series))
    values = np.full((lookback_days, len(ids)), np.nan)
    first = np.datetime64(last_day) - np.timedelta64(lookback_days - 1, "D")
    for place, key in enumerate(ids):
        days, returns = series[key]
        rows = (days - first).astype(np.int64)
        inside = (rows >= 0) & (rows < lookback_days)
        values[rows[inside], place] = returns[inside]
    return ReturnsTable(ids=ids, last_day=last_day, values=values)
