"""The exchange client, tamed: every convenience off, guarded, its errors read by what they prove.

Contract: one call sends one request at most that changes anything, and never again on its own. What a call
comes to is decided by what came over the wire, not by the client's opinion of it: an order counts as refused
only if the exchange itself said so in a definite answer, or if nothing left this machine. Key and secret
appear in no text, no ``repr`` and no log; errors of the client are replaced, not chained, because they carry
the request.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Context, localcontext
from functools import partial
from types import ModuleType
from typing import Final, Literal, NoReturn, Protocol, TypeVar, cast

from portfolio_rebalance.errors import BrokerError
from portfolio_rebalance.execution.ccxt_guard import Forbidden, Guard, Outgoing, Redirected, loopback_host
from portfolio_rebalance.execution.ccxt_lookup import VENUES, Venue
from portfolio_rebalance.redaction import Redactor

__all__ = ["ApiCredentials", "CcxtSettings", "Client", "Exchange", "Failure", "FailureKind"]

_T = TypeVar("_T")

_MOST_SHOWN: Final = 200
_UNSAFE: Final = re.compile(r"[^\x20-\x7e]+")
_UNDECIDED_STATUS: Final = frozenset({408, 418, 429})
_ORIGIN: Final = re.compile(r"https://[^/]+")

FailureKind = Literal["forbidden", "unsent", "denied", "absent", "refused", "unknown"]
"""``forbidden``: our guard stopped it, perhaps not the first time. ``unsent``: no change left this machine.
``denied``: the key may not do this. ``absent``: there is no such order. ``refused``: definitely not accepted.
``unknown``: all else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCredentials:
    """A key that may read and trade, and nothing else; its ``repr`` shows neither value."""

    key: str = field(repr=False)
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CcxtSettings:
    """One account at one exchange.

    Attributes:
        exchange: Its id, one of the supported ones.
        quote_currency: What the portfolio counts in, as the exchange calls it: ``USDT``.
        symbols: The exchange's market for each asset of the portfolio, ``{"BTC": "BTC/USDT"}``; nothing else
            is traded, nothing else counts as held. None: every coin in the account is the portfolio's, each
            traded against ``quote_currency``.
        hosts: Host names that may be spoken to; empty for the exchange's own.
        sandbox: Use the exchange's test exchange instead, where no real money is.
        account: Name of the one account in the registry.
        loopback: An exchange on this machine to speak to instead, ``http://127.0.0.1:8080``: for tests.
        timeout_seconds: How long one answer may take.
    """

    exchange: str
    quote_currency: str
    symbols: Mapping[str, str] | None = None
    hosts: frozenset[str] = frozenset()
    sandbox: bool = False
    account: str = "main"
    loopback: str | None = None
    timeout_seconds: float = 10.0


class Failure(Exception):  # noqa: N818 - what came of a call, for the broker to read
    """A call without an answer that can be used."""

    def __init__(self, kind: FailureKind, text: str) -> None:
        super().__init__(text)
        self.kind: FailureKind = kind


class Exchange(Protocol):
    """What is used of the client. Answers are untyped; they are read field by field."""

    markets: Mapping[str, object] | None
    last_json_response: object

    def load_markets(self, reload: bool) -> object: ...  # noqa: D102, FBT001
    def fetch_balance(self) -> object: ...  # noqa: D102
    def fetch_bids_asks(self, symbols: list[str]) -> object: ...  # noqa: D102
    def fetch_ticker(self, symbol: str) -> object: ...  # noqa: D102
    def fetch_order(self, number: None, symbol: str, params: dict[str, str]) -> object: ...  # noqa: D102
    def fetch_open_orders(self, symbol: str) -> object: ...  # noqa: D102
    def fetch_orders(self, symbol: str, since: None, limit: int) -> object: ...  # noqa: D102
    def fetch_my_trades(self, symbol: str, since: None, limit: int) -> object: ...  # noqa: D102
    def fetch_order_trades(self, number: str, symbol: str, since: None, limit: int) -> object: ...  # noqa: D102
    def create_order(  # noqa: D102
        self, symbol: str, kind: str, side: str, quantity: str, price: str, params: dict[str, str]
    ) -> object: ...
    def cancel_order(self, number: None, symbol: str, params: dict[str, str]) -> object: ...  # noqa: D102
    def private_get_account_commission(self, params: dict[str, str]) -> object: ...  # noqa: D102


class Client:
    """One exchange, ready to be asked. Building it sends nothing.

    Raises:
        BrokerError: The client is not installed, the exchange is not supported, a setting does not fit.
    """

    def __init__(self, settings: CcxtSettings, credentials: ApiCredentials) -> None:
        self.venue = _venue(settings)
        self._redactor = Redactor({"key": credentials.key, "secret": credentials.secret})
        self._name = settings.exchange
        origins = _origins(settings, self.venue)
        ccxt = _imported()
        self._errors = ccxt
        self._guard = Guard(origins=origins, venue=self.venue)
        self._exchange = _built(ccxt, settings, credentials, self.venue)
        self._guard.attach(self._exchange.session)

    def ask(self, call: Callable[[Exchange], _T], *, outgoing: Outgoing | None = None) -> _T:
        """Let the client do one thing.

        Args:
            call: What to do.
            outgoing: The one request that may change something, if any.

        Raises:
            Failure: There is no usable answer; says why, and shows no secret.
        """
        self._guard.begin(outgoing)
        exchange = cast(Exchange, self._exchange)
        exchange.last_json_response = None
        try:
            # The client sets rounding and traps of whatever decimal context it finds.
            with localcontext(Context(prec=60)):
                return call(exchange)
        except Exception as error:  # whatever it was: what it proves is looked at, nothing else
            failure = self._failure(error, changes=outgoing is not None)
        raise failure  # out here, so that it does not carry the client's error and its request along

    def listed(self) -> int | None:
        """How many entries the last raw answer listed; None where it was no list at all."""
        answer = self._exchange.last_json_response
        return len(answer) if isinstance(answer, list) else None

    def _failure(self, error: Exception, *, changes: bool) -> Failure:
        kind = self._kind(error, changes=changes)
        if isinstance(error, Forbidden | Redirected):
            told = str(error)
        else:
            reply = self._exchange.last_json_response
            said = reply.get("msg", "") if isinstance(reply, Mapping) else ""
            code = reply.get("code", "") if isinstance(reply, Mapping) else ""
            status = "no answer" if self._guard.status is None else f"HTTP {self._guard.status}"
            told = " ".join(str(part) for part in (type(error).__name__, f"({status})", code, said) if part)
        return Failure(kind, f"{self._name}: {self._shown(told)}")

    def _kind(self, error: Exception, *, changes: bool) -> FailureKind:
        if changes and self._guard.changes_sent == 0:
            return "unsent"
        if isinstance(error, Forbidden):
            return "forbidden"
        reply, status = self._exchange.last_json_response, self._guard.status
        definite = status is not None and 400 <= status < 500 and status not in _UNDECIDED_STATUS
        if not definite or not isinstance(reply, Mapping) or "code" not in reply:
            return "unknown"
        if reply.get("msg") == self.venue.duplicate or isinstance(error, self._errors.DuplicateOrderId):
            return "unknown"
        if isinstance(error, self._errors.OrderNotFound):
            return "absent"
        if isinstance(error, self._errors.AuthenticationError):
            return "denied"
        refusals = (
            self._errors.InsufficientFunds,
            self._errors.InvalidOrder,
            self._errors.BadRequest,
            self._errors.OperationRejected,
            self._errors.NotSupported,
        )
        return "refused" if isinstance(error, refusals) else "unknown"

    def _shown(self, text: str) -> str:
        """Text of strangers as it may be shown: no secret, no control characters, not endless."""
        text = _UNSAFE.sub(" ", self._redactor.redact(text)).strip()
        return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]} ..."


# --- building it -----------------------------------------------------------------------------------------


class _Session(Protocol):
    trust_env: bool


class _BuiltExchange(Protocol):
    """What is set up, and looked at before anything is sent."""

    session: _Session
    urls: dict[str, dict[str, str]]
    verify: bool
    validateServerSsl: bool  # noqa: N815
    enableRateLimit: bool  # noqa: N815
    precisionMode: int  # noqa: N815
    verbose: bool
    number: type
    last_json_response: object

    def set_sandbox_mode(self, enabled: bool) -> None: ...  # noqa: FBT001
    def handle_option(self, method: str, option: str, default: int) -> object: ...


def _imported() -> ModuleType:
    try:
        import ccxt  # heavy, and only here
    except ImportError:
        raise BrokerError(
            "Trading at an exchange needs ccxt, which is not installed.",
            where="broker",
            fix="pip install 'trading-portfolio-rebalance[live]'",
        ) from None
    return cast(ModuleType, ccxt)


def _venue(settings: CcxtSettings) -> Venue:
    venue = VENUES.get(settings.exchange)
    if venue is None:
        raise BrokerError(
            f"The exchange {settings.exchange!r} is not supported.",
            where="exchange",
            fix=f"Supported are: {', '.join(sorted(VENUES))}.",
        )
    if settings.sandbox and not venue.sandbox_hosts:
        raise BrokerError(
            f"{settings.exchange} has no test exchange.",
            where="sandbox",
            fix="Rehearse with the paper broker.",
        )
    return venue


def _origins(settings: CcxtSettings, venue: Venue) -> frozenset[str]:
    own = venue.sandbox_hosts if settings.sandbox else venue.hosts
    if settings.loopback is None:
        return frozenset(f"https://{host}" for host in settings.hosts or own)
    host = loopback_host(settings.loopback)
    if host is None:
        raise BrokerError(
            f"{settings.loopback!r} is not an address on this machine.",
            where="loopback",
            fix="Write http://127.0.0.1:PORT, or leave it out to speak to the exchange itself.",
        )
    return frozenset({settings.loopback} if host in (settings.hosts or {host}) else ())


def _built(
    ccxt: ModuleType, settings: CcxtSettings, credentials: ApiCredentials, venue: Venue
) -> _BuiltExchange:
    if not (credentials.key and credentials.secret):
        raise BrokerError("The exchange's key or secret is empty.", where="credentials", fix="Set both.")
    make: Callable[[dict[str, object]], _BuiltExchange] = getattr(ccxt, settings.exchange)
    exchange = make(
        {
            "apiKey": credentials.key,
            "secret": credentials.secret,
            "timeout": max(1, round(settings.timeout_seconds * 1000)),
            "enableRateLimit": True,
            "number": str,  # amounts stay the exchange's own text
            "on_json_response": partial(json.loads, parse_float=str, parse_constant=_refuse_constant),
            "enableLastJsonResponse": True,
            "logger": _silent_logger(),
            "options": {
                "maxRetriesOnFailure": 0,
                "adjustForTimeDifference": True,
                venue.window_as: venue.window_ms,
                "defaultType": "spot",
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "fetchCurrencies": False,  # asks where a key for spot trading may not
            },
        }
    )
    if settings.sandbox:
        exchange.set_sandbox_mode(True)
    if settings.loopback is not None:
        addresses = exchange.urls["api"]
        exchange.urls["api"] = {key: _ORIGIN.sub(settings.loopback, url) for key, url in addresses.items()}
    safe = (
        all(exchange.handle_option(method, "maxRetriesOnFailure", 0) == 0 for method in ("", "order"))
        and exchange.enableRateLimit
        and exchange.verify
        and exchange.validateServerSsl
        and not exchange.session.trust_env
        and not exchange.verbose
        and exchange.number is str
        and exchange.precisionMode == ccxt.TICK_SIZE
    )
    if not safe:
        raise BrokerError(
            f"ccxt {ccxt.__version__} does not take the settings that orders need to be sent once only.",
            where="ccxt",
            fix="Install the version range of trading-portfolio-rebalance[live].",
        )
    return exchange


def _silent_logger() -> logging.Logger:
    """The client writes the headers of every request, key and all, to its log."""
    logger = logging.Logger("exchange")  # outside of the tree of loggers: nobody can switch it on
    logger.disabled = True
    return logger


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")
