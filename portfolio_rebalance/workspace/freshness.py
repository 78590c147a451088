"""When state is fresh, when it is stale, when it is refused; and what to write to make it fresh."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import numpy as np

from portfolio_rebalance.analytics.returns import Days, Floats
from portfolio_rebalance.clock import Clock, format_instant
from portfolio_rebalance.errors import StaleDataError
from portfolio_rebalance.workspace import layout
from portfolio_rebalance.workspace.bootstrap import Bootstrap
from portfolio_rebalance.workspace.returns import ReturnColumn
from portfolio_rebalance.workspace.snapshots import Snapshot

__all__ = [
    "FRESH_FOR",
    "Series",
    "Stale",
    "age_text",
    "refreshing",
    "refuse_old_state",
    "returns_until",
    "stale_reasons",
]

FRESH_FOR: Final = timedelta(hours=24)

Series: TypeAlias = tuple[Days, Floats]
"""Days (``datetime64[D]``, ascending) and the return of each; NaN where there is none."""

_Kind: TypeAlias = Literal["snapshot", "return"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """Why a strategy's state is stale.

    Attributes:
        kind: What has to be written.
        reason: Half a sentence.
        where: ``file:line`` of what is old, or the place of what is missing.
        fix: The path to write, and its keys.
    """

    kind: _Kind
    reason: str
    where: str
    fix: str


def stale_reasons(
    key: str, bootstrap: Bootstrap, snapshot: Snapshot | None, column: ReturnColumn | None, clock: Clock
) -> Iterator[Stale]:
    """Why a strategy's state is stale; nothing where it is fresh."""
    how = f"Write {_snapshot_to_write(key)}."
    if snapshot is None:
        reason = f"no snapshot: BOOTSTRAP capital of {format_instant(bootstrap.as_of)}"
        yield Stale(kind="snapshot", reason=reason, where=bootstrap.deployed[key].where, fix=how)
    elif clock.as_of - snapshot.as_of > FRESH_FOR:
        reason = f"snapshot of {format_instant(snapshot.as_of)} is {age_text(snapshot.as_of, clock)} old"
        yield Stale(kind="snapshot", reason=reason, where=snapshot.where, fix=how)
    days, values = returns_until(column, clock)
    last = clock.last_closed_day
    if not (days.size and days[-1] == np.datetime64(last, "D") and not np.isnan(values[-1])):
        path = layout.daily_returns_csv(key)
        yield Stale(
            kind="return",
            reason=f"no return for {last}",
            where=column.label if column else f"{bootstrap.label.partition('/')[0]}/{path}",
            fix=f"Add the row `{last},<fraction>` to it."
            if column
            else f"Write {path} with the columns date,return and rows up to {last}.",
        )


def refreshing(stale: Mapping[str, Iterable[Stale]], clock: Clock) -> Iterator[str]:
    """What to write to make these strategies fresh, one line for snapshots and one for returns."""
    waiting = {
        kind: [key for key, reasons in stale.items() if any(reason.kind == kind for reason in reasons)]
        for kind in ("snapshot", "return")
    }
    if keys := waiting["snapshot"]:
        yield f"To have fresh capital, write {_snapshot_to_write(_braced(keys))}."
    if keys := waiting["return"]:
        yield (
            f"To have fresh returns, write {layout.PERFORMANCE}/{_braced(keys)}/daily_returns.csv "
            f"with date,return up to {clock.last_closed_day}."
        )


def refuse_old_state(
    bootstrap: Bootstrap,
    snapshots: Mapping[str, Snapshot | None],
    *,
    clock: Clock,
    max_age_days: int,
    newest_state: datetime | None = None,
) -> None:
    """No strategy's capital comes from state older than the limit.

    Args:
        bootstrap: BOOTSTRAP, whose age counts where a strategy has no snapshot.
        snapshots: The newest snapshot of each strategy looked at.
        clock: The run's clock.
        max_age_days: The configured limit.
        newest_state: The newest instant of all state, where ``snapshots`` are not all there are.

    Raises:
        StaleDataError: The first that is older; offers the replay at which none is, if there is one.
    """
    limit = timedelta(days=max_age_days)
    used = {key: snapshot.as_of if snapshot else bootstrap.as_of for key, snapshot in snapshots.items()}
    newest = newest_state or max([bootstrap.as_of, *used.values()])
    replayable = newest - min(used.values(), default=newest) <= limit
    for key, snapshot in snapshots.items():
        if clock.as_of - used[key] <= limit:
            continue
        what = f"The newest snapshot of {key}" if snapshot else f"The BOOTSTRAP capital of {key}"
        fix = f"Write {_snapshot_to_write(key)}."
        if replayable:
            fix += f" To replay that past instead: --as-of {format_instant(newest)}."
        raise StaleDataError(
            f"{what} is of {format_instant(used[key])}, {age_text(used[key], clock)} ago; "
            f"max_snapshot_age_days is {max_age_days}.",
            where=snapshot.where if snapshot else bootstrap.deployed[key].where,
            fix=fix,
        )


def returns_until(column: ReturnColumn | None, clock: Clock) -> Series:
    """The returns up to the last closed day: the day of the run has not closed yet.

    For a fixed clock later rows are ones that the file gained since; otherwise :func:`read_returns` has
    refused them.
    """
    if column is None:
        days, values = np.empty(0, dtype="datetime64[D]"), np.empty(0, dtype=np.float64)
    else:
        closed = int(np.searchsorted(column.days, np.datetime64(clock.last_closed_day, "D"), side="right"))
        days, values = column.days[:closed], column.values[:closed]
    days.setflags(write=False)
    values.setflags(write=False)
    return days, values


def age_text(instant: datetime, clock: Clock) -> str:
    """The age in whole hours, or whole days from two days on."""
    hours = int((clock.as_of - instant).total_seconds() // 3600)
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours"


def _snapshot_to_write(folder: str) -> str:
    return f"{layout.PERFORMANCE}/{folder}/snapshot-<UTC>.yaml with as_of, market_value"


def _braced(keys: list[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{{{','.join(keys)}}}"
