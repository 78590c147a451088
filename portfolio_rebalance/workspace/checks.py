"""What every file that people edit is held to: ids, instants, and figures that must agree."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, get_args

from portfolio_rebalance.clock import Clock, format_instant, parse_instant
from portfolio_rebalance.errors import BadDataError, FutureDataError, UnsafePathError, UsageError
from portfolio_rebalance.records import StrategyId
from portfolio_rebalance.workspace.problems import Problems
from portfolio_rebalance.workspace.strict_yaml import Document

__all__ = ["agree", "instant_at", "require_ids", "require_strategy_id"]

_ID: Final = re.compile(get_args(StrategyId)[1].pattern)
_ID_FORM: Final = "STR- and up to 32 of A-Z, 0-9, _ and -, beginning with a letter or digit"


def require_strategy_id(text: str) -> str:
    """``text``, which is a strategy id and therefore safe in a path.

    Raises:
        UnsafePathError: It is not.
    """
    if not _ID.fullmatch(text):
        raise UnsafePathError(f"{text!r} is not a strategy id.", where="strategy", fix=f"Write {_ID_FORM}.")
    return text


def require_ids(document: Document, at: tuple[str | int, ...], keys: Mapping[str, object]) -> None:
    """Every key of the mapping at ``at`` is a strategy id, and no two look the same.

    Raises:
        BadDataError: Names the line of the first that is not; and of its double, if it only looks different.
            Carries every one.
    """
    problems = Problems()
    seen: dict[str, str] = {}
    for key in keys:
        alike = unicodedata.normalize("NFKC", key).casefold()
        if alike in seen:
            what = f"`{key}` and `{seen[alike]}` ({document.where((*at, seen[alike]))}) are the same id."
            problems.add(BadDataError(what, where=document.where((*at, key)), fix="Keep one of the two."))
        elif not _ID.fullmatch(key):
            what = f"`{key}` is not a strategy id."
            problems.add(BadDataError(what, where=document.where((*at, key)), fix=f"Write {_ID_FORM}."))
        seen.setdefault(alike, key)
    problems.raise_any()


def instant_at(document: Document, at: tuple[str | int, ...], text: str, *, clock: Clock) -> datetime:
    """The UTC instant written at ``at``, not later than the run's clock.

    Raises:
        BadDataError: Naive, not UTC, or not an instant.
        FutureDataError: Later than ``clock.as_of``.
    """
    where = document.where(at)
    try:
        instant = parse_instant(text, where=where)
    except UsageError as error:
        raise BadDataError(error.what, where=where, fix=error.fix) from None
    _refuse_future(instant, where=where, clock=clock)
    return instant


def _refuse_future(instant: datetime, *, where: str, clock: Clock) -> None:
    if instant > clock.as_of:
        raise FutureDataError(
            f"{format_instant(instant)} is later than this run, {format_instant(clock.as_of)}.",
            where=where,
            fix="Leave out --as-of, or give a later one."
            if clock.fixed
            else "Correct the timestamp, or the machine's clock.",
        )


def agree(one: Decimal, other: Decimal) -> bool:
    """Whether two statements of one amount differ by 1 % of the larger at most."""
    return abs(one - other) * 100 <= max(abs(one), abs(other))
