"""``run_skill``: the product as one function. Never exits, never prints.

Words, flags, a mapping or a request go in; a result comes out, also when the run is refused. What a person
would type after the slash is understood: the flags of the command line, or plain words by keyword.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from portfolio_rebalance.allocation import find_mode, mode_names
from portfolio_rebalance.clock import Clock, parse_instant
from portfolio_rebalance.errors import RebalanceError, UsageError, WorkspaceNotFoundError
from portfolio_rebalance.records import RebalanceRequest, RebalanceResult
from portfolio_rebalance.serving import Service, refused
from portfolio_rebalance.workspace import find_workspace, workspace_at

if TYPE_CHECKING:
    from portfolio_rebalance.agents.models import Models
    from portfolio_rebalance.run.approval import Person

__all__ = ["PHRASES", "parse_request", "run_skill"]

RequestLike = str | Sequence[str] | Mapping[str, Any] | RebalanceRequest

_COMMAND = "/trading-portfolio-rebalance"
_STRATEGY_ID = re.compile(r"STR-[A-Z0-9][A-Z0-9_-]{0,31}")
_AMOUNT = re.compile(r"[0-9]{1,14}(\.[0-9]{1,12})?")
_KEYWORDS = (
    ("reduce correlation", "correlation_aware"),
    ("fix drift", "proportional"),
    ("rebalance", None),
    ("adjust positions", None),
)
PHRASES: Final = tuple(phrase for phrase, _ in _KEYWORDS)
"""What is understood in plain words."""
_NOT_FOR_WORDS = re.compile(r"\b(not|don't|dont|never|no|stop|cancel|undo)\b|\bstr-|[0-9]", re.IGNORECASE)
"""Words that would turn or narrow the request: understood nowhere here, so not ignored either."""


def run_skill(
    args: RequestLike = "",
    *,
    now: datetime | None = None,
    progress: Callable[[str], None] = lambda _stage: None,
    person: Person | None = None,
    models: Models | None = None,
) -> RebalanceResult:
    """Plan a rebalance and store the plan; with ``execute``, execute the plan that was approved.

    Args:
        args: What a person would type, as one string or as words; or a mapping or a request.
        now: The machine's time, for tests; the real one by default.
        progress: Told the name of each stage before it runs.
        person: Somebody at a terminal who can be asked; nobody by default, and then only what a person has
            approved already, or pre-approved, is executed.
        models: Models that review and explain, for tests and evals; by default those that the request, the
            configuration and the environment's key call for, and none without a key.

    Returns:
        The result; ``status`` is ``refused`` and ``error`` set where the request or the data was refused:
        then no order was sent. A plan that could not be executed for want of approval stays stored, and is
        in the result beside the error.
    """
    try:
        request = parse_request(args)
        return _run(request, now=now, progress=progress, person=person, models=models)
    except RebalanceError as error:
        return refused(error)


def parse_request(args: RequestLike) -> RebalanceRequest:
    """Understand a request.

    Raises:
        UsageError: Unknown flag, mode or word; contradictory flags; a value that is none.
    """
    if isinstance(args, RebalanceRequest):
        return _request(dict(args))
    if isinstance(args, Mapping):
        return _request(dict(args))
    words = _words(args)
    parsed = _parsed([word for word in words if word != _COMMAND])
    text = " ".join(parsed.pop("text")).lower()
    if text:
        said = _mode_of_text(text)
        parsed["mode"] = parsed["mode"] or said
    return _request({key: value for key, value in parsed.items() if value is not None})


def _words(args: object) -> list[str]:
    if isinstance(args, str):
        try:
            return shlex.split(args)
        except ValueError as cause:
            raise UsageError(
                f"Cannot read {args!r}: {cause}.", where="arguments", fix="Close the quote."
            ) from None
    if isinstance(args, list | tuple) and all(isinstance(word, str) for word in args):
        return list(args)
    raise UsageError(
        f"{type(args).__name__} is not a request.",
        where="arguments",
        fix="Pass text, a list of words or a mapping.",
    )


def _run(
    request: RebalanceRequest,
    *,
    now: datetime | None,
    progress: Callable[[str], None],
    person: Person | None,
    models: Models | None,
) -> RebalanceResult:
    if now is not None and now.utcoffset() is None:
        raise UsageError(f"{now!r} has no time zone.", where="now", fix="Pass an aware datetime.")
    instant = now or datetime.now(UTC)
    clock = Clock.live(instant) if request.as_of is None else Clock.at(request.as_of, now=instant)
    try:
        root = workspace_at(Path(request.workspace)) if request.workspace else find_workspace(Path.cwd())
    except OSError as cause:
        raise WorkspaceNotFoundError(
            f"The folder cannot be read: {cause.strerror}.",
            where="workspace",
            fix="Name one with --workspace.",
        ) from None
    until_now = (lambda: now) if now is not None else (lambda: datetime.now(UTC))
    service = Service(
        request=request,
        root=root,
        clock=clock,
        now=until_now,
        progress=progress,
        person=person,
        models=models,
    )
    try:
        result = service.serve()
    except RebalanceError as error:
        result = refused(error)
    return _told(service, result)


def _told(service: Service, result: RebalanceResult) -> RebalanceResult:
    """The result, once whom the configuration names was told of it; what could not be sent is a warning.

    What is stored of a run is stored by now: whether somebody was reached is no part of it.
    """
    try:
        config = service.config_in_force()
    except RebalanceError:
        return result  # it was refused for the very same reason
    if not config.notifications:
        return result
    from portfolio_rebalance.run.telling import tell_result

    warnings = tell_result(
        service.root,
        result,
        clock=service.clock,
        config=config,
        environment=service.environment,
        now=service.now(),
    )
    return result.model_copy(update={"warnings": (*result.warnings, *warnings)}) if warnings else result


def _request(given: dict[str, Any]) -> RebalanceRequest:
    """The one place where a request is checked and brought into its one form."""
    if given.get("dry_run") and given.get("execute"):
        raise UsageError("--dry-run and --execute exclude each other.", where="arguments", fix="Choose one.")
    if not isinstance(given.setdefault("dry_run", False), bool):
        raise UsageError("dry_run is true or false.", where="dry_run", fix="Leave it out: a run is dry.")
    if given.get("mode") is not None:
        given["mode"] = find_mode(str(given["mode"])).name
    if isinstance(given.get("as_of"), str):
        given["as_of"] = parse_instant(given["as_of"], where="--as-of")
    if given.get("confirm_capital") is not None:
        given["confirm_capital"] = _money(given["confirm_capital"])
    for name in ("record", "replay"):
        if isinstance(given.get(name), Path):
            given[name] = str(given[name])
    given["hold"] = _held(given.get("hold") or ())
    if isinstance(given.get("workspace"), Path):
        given["workspace"] = str(given["workspace"])
    try:
        return RebalanceRequest.model_validate(given)
    except ValidationError as invalid:
        first = invalid.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        known = ", ".join(RebalanceRequest.model_fields)
        expected = first.get("ctx", {}).get("expected")
        raise UsageError(
            f"{where} is not acceptable: {first['input']!r}.",
            where=where,
            fix=f"Known arguments are {known}." if expected is None else f"Write {expected}.",
        ) from None


def _held(hold: object) -> tuple[str, ...]:
    fix = "Write an id such as STR-001, in capitals."
    ids = [hold] if isinstance(hold, str) else hold
    if not isinstance(ids, list | tuple | set | frozenset):
        raise UsageError(f"{hold!r} names no strategy.", where="--hold", fix=fix)
    for name in ids:
        if not isinstance(name, str) or not _STRATEGY_ID.fullmatch(name):
            raise UsageError(f"{name!r} is no strategy id.", where="--hold", fix=fix)
    return tuple(sorted(set(ids)))


def _money(amount: object) -> Decimal:
    """A total as a person copies it from the message that asked for it."""
    if isinstance(amount, int) and not 0 < amount < 10**14:
        amount = "a number out of range"
    text = format(amount, "f") if isinstance(amount, Decimal) and abs(amount.adjusted()) < 30 else str(amount)
    if isinstance(amount, bool) or not _AMOUNT.fullmatch(text) or not Decimal(text) > 0:
        raise UsageError(
            f"{text[:40]!r} is not an amount.", where="--confirm-capital", fix="Write the total as shown."
        )
    return Decimal(text)


def _mode_of_text(text: str) -> str | None:
    """The mode that plain words ask for; None for the default."""
    unheard = _NOT_FOR_WORDS.search(text)
    spoken = text.replace("-", " ").replace("_", " ")
    named = [name for name in mode_names() if name.replace("_", " ") in spoken]
    asked = [mode for phrase, mode in _KEYWORDS if phrase in text]
    if unheard or len(named) > 1 or not (named or asked):
        raise UsageError(
            f"{text!r} is not understood.",
            where="arguments",
            fix="Say one of: "
            + ", ".join(PHRASES)
            + "; name a mode with --mode and what must not change with --hold.",
        )
    return named[0] if named else asked[0]


def _parsed(words: list[str]) -> dict[str, Any]:
    import argparse  # only for whoever passes words: a mapping needs no grammar

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("text", nargs="*")
    parser.add_argument("--mode")
    parser.add_argument("--dry-run", action="store_true", default=None)
    parser.add_argument("--execute", action="store_true", default=None)
    parser.add_argument("--hold", action="append")
    parser.add_argument("--as-of")
    parser.add_argument("--workspace")
    parser.add_argument("--confirm-capital")
    parser.add_argument("--provider")
    parser.add_argument("--record")
    parser.add_argument("--replay")
    fix = f"Modes: {', '.join(mode_names())}."
    try:
        known, unknown = parser.parse_known_intermixed_args(words)
    except argparse.ArgumentError as cause:
        raise UsageError(f"{cause}.", where="arguments", fix=fix) from None
    if unknown:
        raise UsageError(f"Unrecognized: {' '.join(unknown)}.", where="arguments", fix=fix)
    return vars(known)
