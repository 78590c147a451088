"""The paper venue: the default broker, a venue of its own that outlives our process.

Contract: it behaves as a real one would in everything that can hurt. Orders are filled at the mark worsened
by a drawn slippage; money is exact. A client id must be unique among pending orders only: one that is sent
again after it was filled is filled again. Cash is one balance over all accounts and no buy overdraws it; any
holding may be sold short. A fault script (:mod:`.faults`) says what goes wrong at which order, and the
venue's file (:mod:`.paper_store`) how much of that already has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Final, Self

from portfolio_rebalance.errors import BadDataError, BrokerError, UsageError
from portfolio_rebalance.execution.broker import Holdings, Instrument, Order, OrderReport, OutcomeUnknown
from portfolio_rebalance.execution.faults import FaultScript
from portfolio_rebalance.execution.paper_fills import MONEY_PLACES, PaperFill, total
from portfolio_rebalance.execution.paper_matching import AssetRules, Matching
from portfolio_rebalance.execution.paper_store import PaperStore
from portfolio_rebalance.records import Market, StrategyBook
from portfolio_rebalance.units import exact_decimal

__all__ = ["PAPER", "AssetRules", "PaperVenue"]

PAPER: Final = "portfolio-rebalance/paper.db"

_MOST_BPS: Final = 5_000


class PaperVenue:
    """The broker ``paper``; see :class:`.broker.Broker` for its five calls."""

    name: Final = "paper"
    live: Final = False
    exact: Final = True

    def __init__(self, store: PaperStore, matching: Matching) -> None:
        self._store = store
        self._matching = matching

    @classmethod
    @contextmanager
    def open(
        cls,
        path: Path,
        *,
        now: Callable[[], datetime],
        slippage_bps: Decimal,
        commission_bps: Decimal,
        seed: str,
        rules: Mapping[str, AssetRules] | None = None,
        faults: FaultScript | None = None,
    ) -> Iterator[Self]:
        """Connect to the venue whose file this is; one that does not exist yet is founded, empty.

        Args:
            path: Its own SQLite file: :data:`PAPER` below the workspace.
            now: The time of fills, in UTC.
            slippage_bps: What fills are worse than the mark, on average; each between 0.6 and 1.4 times it.
            commission_bps: Of the notional of every fill, in cash.
            seed: With the client id, decides each order's slippage.
            rules: By asset, where they are not the usual ones.
            faults: The script to arm. The one that is armed already goes on from where it is, another
                begins anew, an empty one disarms; None leaves what is armed alone.

        Raises:
            BrokerError: The file is not a plain one, not the venue's, or cannot be durable.
            UsageError: A rate is not from 0 to 5 000 basis points.
        """
        for name, rate_bps in (("slippage_bps", slippage_bps), ("commission_bps", commission_bps)):
            if not (rate_bps.is_finite() and 0 <= rate_bps <= _MOST_BPS):
                raise UsageError(
                    f"{rate_bps} is no rate.", where=name, fix=f"Give 0 to {_MOST_BPS} basis points."
                )
        with PaperStore.open(path) as store:
            matching = Matching(
                store=store,
                now=now,
                slippage_bps=slippage_bps,
                commission_bps=commission_bps,
                seed=seed,
                rules=rules or {},
            )
            venue = cls(store, matching)
            if faults is not None:
                venue._arm(str(faults))
            yield venue

    # --- what the world does to the account ----------------------------------------------------------------

    def adopt(
        self,
        books: Mapping[str, StrategyBook],
        *,
        pool_cash: Decimal,
        marks: Mapping[Instrument, Decimal],
    ) -> None:
        """Hold what our books say, at these prices: what bots and people did since the last batch.

        Strategies that share an account are netted; cash is the pool's and every strategy's. Equal content
        changes nothing. For the start of an execution only, never for a recovery: what the venue did since
        would be overwritten.

        Raises:
            BrokerError: An order is open or on its way; nothing was changed.
            BadDataError: A holding without a price, or an amount with more places than the venue keeps.
        """
        prices = _checked(marks)
        cash = total((_exact(pool_cash, MONEY_PLACES, "cash"), *(book.own_cash for book in books.values())))
        held: dict[Instrument, Decimal] = {}
        for book in books.values():
            for asset, quantity in book.quantities.items():
                place = (book.account, asset)
                held[place] = total((held.get(place, Decimal(0)), quantity))
        held = {place: quantity for place, quantity in held.items() if quantity}
        if missing := sorted(held.keys() - prices.keys()):
            account, asset = missing[0]
            raise BadDataError(
                f"{asset} of account {account} is held and has no price.",
                where="marks",
                fix="State a price above 0 in the snapshot, or leave the position out.",
            )
        with self._store.transaction():
            state = self._store.state()
            if pending := self._store.pending():
                raise BrokerError(
                    f"Order {pending[0].order.client_id} is still pending at the paper venue.",
                    where=PAPER,
                    fix="Finish the execution that it belongs to; if none is unfinished, delete paper.db.",
                )
            if (state.cash, self._store.holdings(), self._store.marks()) == (cash, held, prices):
                return
            self._store.forget_holdings_and_marks()
            self._store.set_state(replace(state, cash=cash))
            for place, quantity in held.items():
                self._store.set_holding(place, quantity)
            self._store.set_marks(prices)

    def set_marks(self, marks: Mapping[Instrument, Decimal]) -> None:
        """Move prices; those not named stay.

        Raises:
            BadDataError: A price that is not above 0, or has more than 12 places.
            BrokerError: The file cannot be used.
        """
        prices = _checked(marks)
        with self._store.transaction():
            self._store.set_marks(prices)

    # --- the broker's five calls ---------------------------------------------------------------------------

    def holdings(self) -> Holdings:
        """See :class:`.broker.Broker`."""
        with self._call():
            found = self._balances() if self._line_is_up() else None
        if found is None:
            raise _unanswered()
        return found

    def markets(self, instruments: Collection[Instrument]) -> Mapping[Instrument, Market]:
        """See :class:`.broker.Broker`."""
        with self._call():
            marks = self._store.marks() if self._line_is_up() else None
        if marks is None:
            raise _unanswered()
        if unknown := sorted(set(instruments) - marks.keys()):
            raise OutcomeUnknown(f"no price of {unknown[0][1]} in account {unknown[0][0]}")
        return {place: self._matching.market(place, marks[place]) for place in instruments}

    def place(self, order: Order) -> OrderReport:
        """See :class:`.broker.Broker`."""
        with self._call():
            answer = self._matching.received(order) if self._line_is_up() else _unanswered()
        if isinstance(answer, OrderReport):
            return answer
        raise answer

    def find(self, order: Order) -> OrderReport | None:
        """See :class:`.broker.Broker`. What fills slowly or arrives late moves on at each look-up."""
        with self._call():
            answer = self._matching.looked_up(order.client_id) if self._line_is_up() else _unanswered()
        if isinstance(answer, OutcomeUnknown):
            raise answer
        return answer

    def cancel(self, order: Order) -> None:
        """See :class:`.broker.Broker`. An order that has not arrived yet cannot be cancelled."""
        with self._call():
            up = self._line_is_up()
            if up:
                self._matching.cancelled(order.client_id)
        if not up:
            raise _unanswered()

    # --- what the venue knows, faults aside ----------------------------------------------------------------

    def balances(self) -> Holdings:
        """Holdings as they are: always answered, and no fault is used up."""
        with self._store.transaction():
            return self._balances()

    def fills(self) -> tuple[PaperFill, ...]:
        """Every execution there ever was, oldest first."""
        with self._store.transaction():
            return self._store.fills()

    def times_executed(self) -> Mapping[str, int]:
        """By client id, how many orders of that id were filled in any part: above 1 is a duplicate."""
        orders = {(fill.client_id, fill.order_number) for fill in self.fills()}
        return Counter(client_id for client_id, _ in orders)

    # --- inside one transaction ----------------------------------------------------------------------------

    @contextmanager
    def _call(self) -> Iterator[None]:
        """One transaction; when the venue's file fails, whoever asked knows nothing."""
        try:
            with self._store.transaction():
                yield
        except BrokerError as cause:
            raise OutcomeUnknown(str(cause)) from cause

    def _arm(self, script: str) -> None:
        with self._store.transaction():
            state = self._store.state()
            if state.script != script:
                self._store.set_state(replace(state, script=script, received=0, silent_calls=0))

    def _line_is_up(self) -> bool:
        """Whether a call is heard; on a dead line it brings the end of the silence nearer."""
        state = self._store.state()
        if state.silent_calls:
            self._store.set_state(replace(state, silent_calls=state.silent_calls - 1))
        return not state.silent_calls

    def _balances(self) -> Holdings:
        return Holdings(cash=self._store.state().cash, quantities=self._store.holdings())


def _unanswered() -> OutcomeUnknown:
    return OutcomeUnknown("the venue does not answer")


def _checked(marks: Mapping[Instrument, Decimal]) -> dict[Instrument, Decimal]:
    for (account, asset), price in marks.items():
        if not (price.is_finite() and price > 0):
            raise BadDataError(
                f"{price} is no price of {asset} in account {account}.",
                where="marks",
                fix="State a price above 0.",
            )
    return {place: _exact(price, MONEY_PLACES, place[1]) for place, price in marks.items()}


def _exact(amount: Decimal, places: int, what: str) -> Decimal:
    """The amount, in the form in which the venue keeps it."""
    kept = exact_decimal(Fraction(amount), places=places) if amount.is_finite() else None
    if kept is None or kept != amount:
        raise BadDataError(
            f"{amount} of {what} has more than {places} decimal places.", where=what, fix="Round it first."
        )
    return kept
