"""What an answer that brings no message means: which kind of fault, and whether asking again makes sense.

Decided by what came over the wire (status, headers, the error's type and code), never by the class that a
library made of it, so that nothing here needs the library. A stream's error event comes with status 200 and
is judged by its type alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from portfolio_rebalance.agents.messages import FaultKind

__all__ = ["Fault", "fault_of_answer", "fault_of_event"]

_SPEND_LIMITS: Final = frozenset(
    {"contract_spend_limit_reached", "enforced_spend_limit_reached", "ramp_limit_exceeded", "billing_error"}
)
_BY_STATUS: Final[Mapping[int, FaultKind]] = {
    401: "credentials",
    402: "spend_limit",
    403: "credentials",
    404: "unknown_model",
    408: "overloaded",
    409: "overloaded",
    429: "rate_limited",
}
_BY_TYPE: Final[Mapping[str, FaultKind]] = {
    "api_error": "overloaded",
    "authentication_error": "credentials",
    "conflict_error": "overloaded",
    "invalid_request_error": "bad_request",
    "not_found_error": "unknown_model",
    "overloaded_error": "overloaded",
    "permission_error": "credentials",
    "rate_limit_error": "rate_limited",
    "timeout_error": "overloaded",
}
_PASSING: Final = frozenset({"overloaded", "rate_limited"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why an attempt brought no message.

    Attributes:
        kind: As in :class:`~portfolio_rebalance.agents.messages.ModelError`.
        detail: For a person; may still hold what a stranger wrote.
        again: Whether asking again may help.
        wait_seconds: So long the other side asks to wait first; None where it does not say.
    """

    kind: FaultKind
    detail: str
    again: bool = False
    wait_seconds: float | None = None


def fault_of_answer(*, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Fault:
    """What an HTTP answer means that is no stream of events.

    ``x-should-retry`` wins over the status, except that a spending limit is never asked again.

    Args:
        status: Of the answer.
        headers: By lower-case name.
        body: Its beginning.
        now: For a ``Retry-After`` that is a date.
    """
    told = _Told.of(_json(body))
    if status < 400:
        form = headers.get("content-type") or "no content type"
        return Fault(kind="malformed", detail=f"HTTP {status} with {form} instead of an event stream")
    detail = f"HTTP {status} {told.shown}".rstrip()
    kind = _BY_STATUS.get(status, "overloaded" if status >= 500 else "bad_request")
    if told.is_spend_limit and status in (400, 402, 403, 429):
        kind = "spend_limit"
    if kind == "spend_limit":
        return Fault(kind=kind, detail=detail)
    wish = headers.get("x-should-retry")
    again = wish == "true" if wish in ("true", "false") else kind in _PASSING
    return Fault(kind=kind, detail=detail, again=again, wait_seconds=_wait_seconds(headers, now=now))


def fault_of_event(error: object) -> Fault:
    """What an error event in a stream means.

    Args:
        error: The event's ``error``, whatever it is.
    """
    told = _Told.of({"error": error})
    detail = f"the stream broke off: {told.shown or 'an error without a type'}"
    if told.is_spend_limit:
        return Fault(kind="spend_limit", detail=detail)
    kind = _BY_TYPE.get(told.type, "malformed")
    return Fault(kind=kind, detail=detail, again=kind in _PASSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What a body says about its error; empty where it says nothing."""

    type: str = ""
    code: str = ""
    message: str = ""

    @classmethod
    def of(cls, body: object) -> _Told:
        error = body.get("error") if isinstance(body, Mapping) else None
        if not isinstance(error, Mapping):
            return cls()
        details = error.get("details")
        code = details.get("error_code") if isinstance(details, Mapping) else None
        return cls(type=_word(error.get("type")), code=_word(code), message=_word(error.get("message")))

    @property
    def is_spend_limit(self) -> bool:
        return bool({self.type, self.code} & _SPEND_LIMITS)

    @property
    def shown(self) -> str:
        return ": ".join(part for part in (self.code or self.type, self.message) if part)


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _wait_seconds(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """So long to wait, in seconds; None for what is no time to come."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        seconds: float | None = milliseconds / 1000
    else:
        text = headers.get("retry-after")
        seconds = _number(text)
        if seconds is None:
            seconds = _until(text, now=now)
    return seconds if seconds is not None and seconds > 0 else None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return None if math.isnan(value) else value


def _until(text: str | None, *, now: datetime) -> float | None:
    try:
        then = parsedate_to_datetime(text or "")
        return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() - now.timestamp()
    except (ValueError, OverflowError):
        return None
