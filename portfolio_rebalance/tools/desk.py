"""The desk: a locked workspace, its ledger and its venue, for as long as something is executed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from portfolio_rebalance.allocation import mode_names
from portfolio_rebalance.clock import Clock
from portfolio_rebalance.config import Config
from portfolio_rebalance.errors import BrokerError
from portfolio_rebalance.execution.broker import Broker
from portfolio_rebalance.execution.executor import Pace
from portfolio_rebalance.execution.venues import Venue, given_venue, open_venue
from portfolio_rebalance.vault import Seal
from portfolio_rebalance.workspace import Ledger, apply_outbox, exclusive, load_config
from portfolio_rebalance.workspace.bootstrap import read_bootstrap

__all__ = ["Desk", "open_desk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What an execution works with.

    Attributes:
        clock: Judges expiry and freshness.
        now: The time at which something is finished; the clock's own where that is fixed.
        seal: Key of the live passphrase that a person gave; None where none was asked for.
        progress: Told what is being done.
    """

    root: Path
    ledger: Ledger
    config: Config
    venue: Venue
    clock: Clock
    now: Callable[[], datetime]
    pace: Pace
    seal: Seal | None
    progress: Callable[[str], None]


@contextmanager
def open_desk(
    root: Path,
    *,
    clock: Clock,
    now: Callable[[], datetime],
    pace: Pace,
    broker: Broker | None = None,
    seal: Seal | None = None,
    progress: Callable[[str], None] = lambda _what: None,
) -> Iterator[Desk]:
    """Lock the workspace, write what an earlier commit left to write, and open the venue.

    Args:
        root: The workspace.
        clock: Of the run.
        now: The machine's time.
        pace: How patiently the venue is asked.
        broker: Already opened; the configured venue where None.
        seal: Key of the live passphrase.
        progress: Told what is being done.

    Raises:
        WorkspaceBusyError: Another process is at work here.
        BrokerError: The venue cannot be used, or a live one shall be used at another time than now.
        EditedMeanwhileError: A file that a committed change belongs in was edited by hand.
    """
    with exclusive(root), Ledger.open(root) as ledger:
        apply_outbox(root, ledger)
        config = load_config(root, mode_names=mode_names()).config
        # Whole seconds, like the clock of a run: what is dated now is not later than a run of now.
        instant = (lambda: clock.as_of) if clock.fixed else (lambda: Clock.live(now()).as_of)

        def desk(venue: Venue) -> Desk:
            if venue.broker.live and clock.fixed:
                raise BrokerError(
                    f"{venue.broker.name} trades now, not at a time that was fixed.",
                    where="--as-of",
                    fix="Leave --as-of out.",
                )
            return Desk(
                root=root,
                ledger=ledger,
                config=config,
                venue=venue,
                clock=clock,
                now=instant,
                pace=pace,
                seal=seal,
                progress=progress,
            )

        if broker is not None:
            yield desk(given_venue(broker))
            return
        currency = read_bootstrap(root, clock=clock).currency
        with open_venue(root, config, now=instant, currency=currency, environment=os.environ) as venue:
            yield desk(venue)
