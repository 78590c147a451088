"""``run_skill``: the product as one function. Never exits, never prints.

Words, flags, a mapping or a request go in; a result comes out, also when the run is refused. What a person
would type after the slash is understood: the flags of the command line, or plain words by keyword.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from portfolio_rebalance.allocation import find_mode, mode_names
from portfolio_rebalance.clock import Clock, parse_instant
from portfolio_rebalance.errors import RebalanceError, UsageError
from portfolio_rebalance.records import ErrorReport, RebalanceRequest, RebalanceResult
from portfolio_rebalance.run import Session, drive_by_rules, record
from portfolio_rebalance.workspace import find_workspace, workspace_at

__all__ = ["parse_request", "run_skill"]

RequestLike = str | Sequence[str] | Mapping[str, Any] | RebalanceRequest

_COMMAND = "/trading-portfolio-rebalance"
_KEYWORDS = (
    ("reduce correlation", "correlation_aware"),
    ("fix drift", "proportional"),
    ("rebalance", None),
    ("adjust positions", None),
)


def run_skill(
    args: RequestLike = "",
    *,
    now: datetime | None = None,
    progress: Callable[[str], None] = lambda _stage: None,
) -> RebalanceResult:
    """Plan a rebalance and store the plan.

    Args:
        args: What a person would type, as one string or as words; or a mapping or a request.
        now: The machine's time, for tests; the real one by default.
        progress: Told the name of each stage before it runs.

    Returns:
        The result; ``status`` is ``refused`` and ``error`` set where the request or the data was refused,
        in which case nothing was written.
    """
    try:
        request = parse_request(args)
        return _run(request, now=now or datetime.now(UTC), progress=progress)
    except RebalanceError as error:
        return RebalanceResult(
            status="refused",
            exit_code=error.exit_code,
            error=ErrorReport(code=error.code, what=error.what, where=error.where, fix=error.fix),
        )


def parse_request(args: RequestLike) -> RebalanceRequest:
    """Understand a request.

    Raises:
        UsageError: Unknown flag, mode or word; contradictory flags; a value that is none.
    """
    if isinstance(args, RebalanceRequest):
        return args
    if isinstance(args, Mapping):
        return _request(dict(args))
    if isinstance(args, str):
        try:
            words = shlex.split(args)
        except ValueError as cause:
            raise UsageError(
                f"Cannot read {args!r}: {cause}.", where="arguments", fix="Close the quote."
            ) from None
    else:
        words = list(args)
    parsed = vars(_parser().parse_args([word for word in words if word != _COMMAND]))
    text = " ".join(parsed.pop("text")).lower()
    if text:
        said = _mode_of_text(text)
        parsed["mode"] = parsed["mode"] or said
    return _request({key: value for key, value in parsed.items() if value is not None})


def _run(request: RebalanceRequest, *, now: datetime, progress: Callable[[str], None]) -> RebalanceResult:
    if request.execute:
        raise UsageError(
            "--execute is not part of this version: it plans and moves no money.",
            where="--execute",
            fix="Leave it out to get a plan.",
        )
    clock = Clock.live(now) if request.as_of is None else Clock.at(request.as_of, now=now)
    root = workspace_at(Path(request.workspace)) if request.workspace else find_workspace(Path.cwd())
    session = Session(root=root, clock=clock, request=request)
    drive_by_rules(session, progress=progress)
    return record(session)


def _request(given: dict[str, Any]) -> RebalanceRequest:
    if given.get("dry_run") and given.get("execute"):
        raise UsageError("--dry-run and --execute exclude each other.", where="arguments", fix="Choose one.")
    given.pop("dry_run", None)
    if given.get("mode") is not None:
        given["mode"] = find_mode(str(given["mode"])).name
    if isinstance(given.get("as_of"), str):
        given["as_of"] = parse_instant(given["as_of"], where="--as-of")
    if isinstance(given.get("confirm_capital"), str | int):
        given["confirm_capital"] = _money(str(given["confirm_capital"]))
    if isinstance(given.get("hold"), str):
        given["hold"] = (given["hold"],)
    given["hold"] = tuple(sorted(set(given.get("hold") or ())))
    if isinstance(given.get("workspace"), Path):
        given["workspace"] = str(given["workspace"])
    try:
        return RebalanceRequest.model_validate(given)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        known = ", ".join(RebalanceRequest.model_fields)
        raise UsageError(
            f"{where} is not acceptable: {first['input']!r}.",
            where=where,
            fix=f"Known arguments are {known}.",
        ) from None


def _money(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount <= 0:
        raise UsageError(
            f"{text!r} is not an amount.", where="--confirm-capital", fix="Write the total as shown."
        )
    return amount


def _mode_of_text(text: str) -> str | None:
    for phrase, mode in _KEYWORDS:
        if phrase in text:
            return mode
    raise UsageError(
        f"{text!r} is not understood.",
        where="arguments",
        fix="Say one of: " + ", ".join(phrase for phrase, _ in _KEYWORDS) + "; or use --mode.",
    )


class _Parser(argparse.ArgumentParser):
    """argparse that raises instead of exiting."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(
            message[0].upper() + message[1:] + ".",
            where="arguments",
            fix=f"Modes: {', '.join(mode_names())}.",
        )


def _parser() -> _Parser:
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("text", nargs="*")
    parser.add_argument("--mode")
    parser.add_argument("--dry-run", action="store_true", default=None)
    parser.add_argument("--execute", action="store_true", default=None)
    parser.add_argument("--hold", action="append")
    parser.add_argument("--as-of")
    parser.add_argument("--workspace")
    parser.add_argument("--confirm-capital")
    return parser
