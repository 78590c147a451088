"""Which venue the configuration names, opened; heavy clients are imported only for the one that is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import BrokerError
from portfolio_rebalance.execution.broker import Broker, Instrument
from portfolio_rebalance.execution.opening import OpeningBooks
from portfolio_rebalance.records import StrategyState

__all__ = ["LIVE_ACCOUNT", "Venue", "given_venue", "is_live", "open_venue"]

LIVE_ACCOUNT: Final = "main"
"""The one account of an exchange that live orders go to."""

_KEY: Final = "PORTFOLIO_REBALANCE_API_KEY"
_SECRET: Final = "PORTFOLIO_REBALANCE_API_SECRET"  # noqa: S105 - the name of a variable, not a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """A broker, and how our books meet it.

    Attributes:
        account_of: The venue's account of a strategy.
        adopt: Tells a simulated venue, before a batch starts, what bots and people did since the last one.
    """

    broker: Broker
    account_of: Callable[[StrategyState], str]
    adopt: Callable[[OpeningBooks, Mapping[Instrument, Decimal]], None]


def is_live(config: Config) -> bool:
    """Whether orders would move real money: a person's passphrase is asked for then."""
    return config.broker.kind == "ccxt" and not config.broker.sandbox


@contextmanager
def open_venue(
    root: Path, config: Config, *, now: Callable[[], datetime], currency: str, environment: Mapping[str, str]
) -> Iterator[Venue]:
    """The configured venue.

    Args:
        root: The workspace; the paper venue keeps its file there.
        config: Names the venue.
        now: Time of paper fills.
        currency: The portfolio's.
        environment: Where credentials of a live venue are looked up.

    Raises:
        BrokerError: It cannot be used.
    """
    if config.broker.kind == "ccxt":
        from portfolio_rebalance.execution.ccxt_broker import ApiCredentials, CcxtBroker, CcxtSettings

        if not (environment.get(_KEY) and environment.get(_SECRET)):
            raise BrokerError(
                f"There are no credentials for {config.broker.exchange}.",
                where="environment",
                fix=f"Set {_KEY} and {_SECRET} where you execute; they are read nowhere else.",
            )
        broker = CcxtBroker(
            CcxtSettings(
                exchange=config.broker.exchange,
                quote_currency=currency,
                symbols=config.broker.symbols,
                sandbox=config.broker.sandbox,
                account=LIVE_ACCOUNT,
            ),
            ApiCredentials(key=environment[_KEY], secret=environment[_SECRET]),
        )
        yield Venue(
            broker=broker, account_of=lambda state: state.account or LIVE_ACCOUNT, adopt=_holds_what_it_holds
        )
        return
    from portfolio_rebalance.execution.faults import load_faults
    from portfolio_rebalance.execution.paper import PAPER, PaperVenue

    with PaperVenue.open(
        root / PAPER,
        now=now,
        slippage_bps=config.simulation.slippage_bps,
        commission_bps=config.simulation.commission_bps,
        seed="paper",
        faults=load_faults(root),
    ) as paper:
        yield Venue(
            broker=paper,
            account_of=paper_account,
            adopt=lambda books, marks: paper.adopt(books.books, pool_cash=books.pool_cash, marks=marks),
        )


def given_venue(broker: Broker) -> Venue:
    """A venue around a broker that the caller opened: it holds what it holds."""
    return Venue(
        broker=broker,
        account_of=(lambda state: state.account or LIVE_ACCOUNT) if broker.live else paper_account,
        adopt=_holds_what_it_holds,
    )


def paper_account(state: StrategyState) -> str:
    """On paper a strategy has an account of its own unless the registry says that it shares one."""
    return state.account or state.strategy


def _holds_what_it_holds(_books: OpeningBooks, _marks: Mapping[Instrument, Decimal]) -> None:
    """A real venue is not told what it holds: it tells us."""
