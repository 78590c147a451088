"""Calls to a model through Anthropic's SDK: the only module that knows it.

Contract: ``complete`` brings a complete message or raises :class:`ModelError`, within the call's own time and
within three requests. The SDK sends the request and no more: its retries are off, because it waits as long as
it is told to; its reading of the stream is not used (see :mod:`~portfolio_rebalance.agents.stream`).

Of the environment nothing is honoured: no other key, address, profile, header, proxy or certificate file that
happens to be set, and not ``ANTHROPIC_LOG``, because the SDK's log holds bodies and headers as they are, the
other side's included. Redirects are not followed. A connection serves one request, so that cutting it at the
deadline hurts no other call.

Errors of the SDK are replaced, not chained, because they carry the request and with it the key.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar, cast
from urllib.parse import urlsplit

from portfolio_rebalance.agents.bounded import Line, Overdue, bounded
from portfolio_rebalance.agents.faults import Fault, fault_of_answer, fault_of_event
from portfolio_rebalance.agents.messages import Call, ModelError, Reply, reply_from
from portfolio_rebalance.agents.retry import asked_again
from portfolio_rebalance.agents.stream import ErrorEvent, message_from
from portfolio_rebalance.errors import ConfigError

if TYPE_CHECKING:
    import anthropic
    import httpx2

__all__ = ["ANTHROPIC_URL", "AnthropicClient"]

ANTHROPIC_URL: Final = "https://api.anthropic.com"

_T = TypeVar("_T")

_NO_KEY: Final = "the API key holds characters that no key has"
_MOST_SHOWN: Final = 200
_UNSAFE: Final = re.compile(r"[^\x20-\x7e]+")
_KEY: Final = re.compile(r"[\x21-\x7e]+")
_CONNECT_SECONDS: Final = 10.0
_MOST_ERROR_BYTES: Final = 64_000
_LOGS: Final = ("anthropic", "httpx2")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class AnthropicClient:
    """Models of Anthropic. Building it sends nothing and imports nothing; may be called from several threads.

    Args:
        api_key: Of the account; empty if there is none.
        base_url: Where to send requests instead of Anthropic's own address.
        redact: Takes secrets out of a text.
        clock: Seconds that only ever grow.
        now: The instant, for a ``Retry-After`` that is a date.
        sleep: Waits so many seconds.
        random: At least 0, less than 1: spreads the waits between attempts.
        silence_seconds: So long the other side may send nothing at all; it says ``ping`` more often.

    Raises:
        ConfigError: ``base_url`` would send the key in the clear, or is no address.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str | None = None,
        redact: Callable[[str], str],
        clock: Callable[[], float],
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
        random: Callable[[], float],
        silence_seconds: float = 60.0,
    ) -> None:
        self._key = api_key.strip()
        self._url = _safe_address(base_url or ANTHROPIC_URL)
        self._redact = redact
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._random = random
        self._silence_seconds = silence_seconds
        self._building = threading.Lock()
        self._sdk: anthropic.Anthropic | None = None
        self._worker = threading.local()

    @property
    def provider(self) -> str:
        """``anthropic``."""
        return "anthropic"

    def complete(self, call: Call) -> Reply:
        """Answer a call, with three requests at most.

        An answer that was cut is not asked for again here: it may have been paid for, and what to do about it
        is the caller's decision.

        Raises:
            ModelError: There is no usable answer.
        """

        def ask(seconds: float) -> Reply | Fault:
            return self._attempt(lambda line: self._message(call, line, seconds=seconds), seconds=seconds)

        return self._usable(
            asked_again(ask, seconds=call.seconds, clock=self._clock, sleep=self._sleep, random=self._random)
        )

    def models_info(self, model: str, *, seconds: float = 5.0) -> Mapping[str, object]:
        """What the API says about a model (``lifecycle``, ``retires_at``, ...), with one request.

        Raises:
            ModelError: It does not say; ``unknown_model`` if it knows no such model.
        """
        return self._usable(
            self._attempt(lambda line: self._info(model, line, seconds=seconds), seconds=seconds)
        )

    # --- one attempt -------------------------------------------------------------------------------------

    def _attempt(self, work: Callable[[Line], _T], *, seconds: float) -> _T | Fault:
        """One request at most; everything that can go wrong with it is a fault."""
        if not _KEY.fullmatch(self._key):
            return Fault(kind="credentials", detail="there is no API key" if not self._key else _NO_KEY)

        def run(line: Line) -> _T | Fault:
            try:
                return work(line)
            except ModelError as error:
                return Fault(kind=error.kind, detail=error.detail)
            except ErrorEvent as event:
                return fault_of_event(event.error)
            except Exception as error:  # of the SDK, of what is under it, of what it made of the answer
                return self._fault_of(error, line)

        try:
            return bounded(run, seconds=seconds)
        except Overdue:
            return Fault(kind="timeout", detail="no complete answer in time")

    def _message(self, call: Call, line: Line, *, seconds: float) -> Reply:
        sdk = self._connected(line)
        stream = sdk.messages.create(**call.request, stream=True, timeout=self._timeouts(seconds))
        with stream:
            return reply_from(message_from(_bytes_of(stream.response)))

    def _info(self, model: str, line: Line, *, seconds: float) -> Mapping[str, object]:
        sdk = self._connected(line)
        return sdk.models.retrieve(model, timeout=self._timeouts(seconds)).to_dict(mode="json")

    def _fault_of(self, error: Exception, line: Line) -> Fault:
        import anthropic

        cause = error.__cause__ if isinstance(error, anthropic.APIConnectionError) else error
        if isinstance(cause, _OtherAnswer):
            return fault_of_answer(
                status=cause.status, headers=cause.headers, body=cause.body, now=self._now()
            )
        if isinstance(error, anthropic.APITimeoutError):
            return Fault(kind="timeout", detail=f"silence: {type(cause).__name__}", again=True)
        told = f"{type(cause).__name__}: {cause}"
        if isinstance(error, anthropic.APIConnectionError):
            return Fault(kind="unreachable", detail=told, again=True)
        if not line.was_used:
            return Fault(kind="bad_request", detail=f"the request could not be made: {told}")
        return Fault(kind="malformed", detail=f"the answer could not be read: {told}")

    def _usable(self, outcome: _T | Fault) -> _T:
        if isinstance(outcome, Fault):
            raise ModelError(outcome.kind, self._shown(outcome.detail))
        return outcome

    def _shown(self, text: str) -> str:
        """Text of strangers as it may be shown: one line, no secret, not endless."""
        text = self._redact(_UNSAFE.sub(" ", text))
        if self._key:
            text = text.replace(self._key, "[secret]")
        text = " ".join(_UNSAFE.sub(" ", text).split())
        return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 4]} ..."

    # --- the SDK -----------------------------------------------------------------------------------------

    def _timeouts(self, seconds: float) -> anthropic.Timeout:
        import anthropic

        silence = min(self._silence_seconds, seconds)
        return anthropic.Timeout(silence, connect=min(_CONNECT_SECONDS, seconds))

    def _connected(self, line: Line) -> anthropic.Anthropic:
        """The SDK, for this thread's one request over this line."""
        self._worker.line = line
        with self._building:
            if self._sdk is None:
                self._sdk = self._built()
            return self._sdk

    def _built(self) -> anthropic.Anthropic:
        first = "anthropic" not in sys.modules
        import anthropic  # a second and 86 MB, and only here

        if first:  # else whoever imported it before us may want its log
            for name in _LOGS:
                logging.getLogger(name).setLevel(logging.NOTSET)
        # The plain client under the SDK's: the SDK's own takes proxies from the environment in any case.
        plain = cast("type[httpx2.Client]", anthropic.DefaultHttpxClient.__mro__[1])
        http_client = plain(
            trust_env=False,
            follow_redirects=False,
            event_hooks={"request": [self._leaving], "response": [_arrived]},
        )
        sdk = anthropic.Anthropic(
            api_key=self._key,
            base_url=self._url,
            max_retries=0,
            http_client=http_client,
            open_telemetry=False,
        )
        sdk._custom_headers = {}  # of ANTHROPIC_CUSTOM_HEADERS, which no argument overrides
        return sdk

    def _leaving(self, request: httpx2.Request) -> None:
        request.headers["Connection"] = "close"
        request.headers["Accept-Encoding"] = "identity"
        request.extensions["trace"] = cast(Line, self._worker.line).watch


class _OtherAnswer(Exception):  # noqa: N818 - an answer, though not the one that was asked for
    """An answer that holds no message."""

    def __init__(self, *, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers
        self.body = body


def _arrived(response: httpx2.Response) -> None:
    """Let pass what was asked for; of all else keep a beginning.

    Raises:
        _OtherAnswer: It is something else.
    """
    wanted = "application/json" if response.request.method == "GET" else "text/event-stream"
    form = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if response.is_success and form == wanted and encoding == "identity":
        return
    body = bytearray()
    try:
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > _MOST_ERROR_BYTES:
                break
    except Exception:  # noqa: S110 - cut as well: status and headers say enough
        pass
    headers = {name.lower(): value for name, value in response.headers.items()}
    raise _OtherAnswer(status=response.status_code, headers=headers, body=bytes(body))


def _bytes_of(response: httpx2.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_raw()
    except Exception as error:  # the connection, whatever the library calls it
        why = type(error).__name__
    else:
        return
    raise ModelError("incomplete", f"the answer broke off: {why}")


def _safe_address(url: str) -> str:
    """The address, if a key may be sent there.

    Raises:
        ConfigError: It may not.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    encrypted = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    if (
        not host
        or not encrypted
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
        or _UNSAFE.search(url)
    ):
        raise ConfigError(
            "The model's address is none that a key may be sent to.",
            where="base_url",
            fix=f"Write an https address without user, query or fragment, such as {ANTHROPIC_URL}.",
        )
    return url
