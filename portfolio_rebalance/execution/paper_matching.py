"""How the paper venue takes an order in, fills it, and tells of it; and what a fault script does to that.

Every method runs inside one transaction of the venue's file: an order, its fills and the balances that they
change are stored together or not at all. Answers are values here and raised by the caller after the commit,
because what the venue did is done, whoever gets to hear of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final

from portfolio_rebalance.execution.broker import Instrument, Order, OrderRefused, OrderReport, OutcomeUnknown
from portfolio_rebalance.execution.faults import Fault, FaultScript, OrderFaults
from portfolio_rebalance.execution.paper_fills import (
    PaperFill,
    cash_flow,
    fill_price,
    price_after,
    report_of,
    total,
    whole_lots,
)
from portfolio_rebalance.execution.paper_store import PaperStore, VenueOrder
from portfolio_rebalance.records import Market

__all__ = ["Answer", "AssetRules", "Matching"]

Answer = OrderReport | OrderRefused | OutcomeUnknown

_STALE_REPORTS: Final = 2
_LOST_ANSWERS: Final = ("timeout_after", "disconnect", "late")
_NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetRules:
    """What the venue demands of orders in one asset.

    Attributes:
        lot: Quantities are multiples of it; above 0, at most 18 decimal places.
        min_notional: Smallest quantity times limit price.
    """

    lot: Decimal = Decimal("0.00000001")
    min_notional: Decimal = _NOTHING


_USUAL: Final = AssetRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """The venue's market.

    Attributes:
        store: The venue's file.
        now: The time of fills, in UTC.
        slippage_bps: Mean of what fills are worse than the mark.
        commission_bps: Of the notional of every fill.
        seed: With the client id, decides each order's slippage.
        rules: By asset, where they are not the usual ones.
    """

    store: PaperStore
    now: Callable[[], datetime]
    slippage_bps: Decimal
    commission_bps: Decimal
    seed: str
    rules: Mapping[str, AssetRules]

    def market(self, place: Instrument, mark: Decimal) -> Market:
        """An instrument as it is quoted."""
        account, asset = place
        rules = self._rules_of(asset)
        return Market(
            account=account,
            asset=asset,
            price=mark,
            lot=rules.lot,
            min_notional=rules.min_notional,
            commission_bps=self.commission_bps,
        )

    def received(self, order: Order) -> Answer:
        """Take an order in, with what goes wrong at it, and say what the sender gets to hear."""
        state = self.store.state()
        number = state.received + 1
        faults = FaultScript.parse(state.script).at(number)
        answer = faults.answer.kind if faults.answer else ""
        silent_calls = faults.answer.count if faults.answer and answer == "disconnect" else 0
        self.store.set_state(replace(state, received=number, silent_calls=silent_calls))
        if faults.price:
            self._jump(order.asset, faults.price)
        if answer == "timeout_before":
            return OutcomeUnknown("timeout")
        refusal = "the fault script says so" if answer == "refuse" else self._refusal(order)
        if not refusal and answer != "late":
            refusal = self._unaffordable(order)
        report = None if refusal else self._accepted(order, faults)
        if answer in _LOST_ANSWERS:
            return OutcomeUnknown("timeout")
        return report or OrderRefused(refusal)

    def looked_up(self, client_id: str) -> OrderReport | None:
        """The newest order of a client id that can be seen, moved on by this look-up."""
        for kept in self.store.orders(client_id):
            moved = self._moved_on(kept)
            if moved.status not in ("in_flight", "rejected"):
                return self._report(moved)
        return None

    def cancelled(self, client_id: str) -> None:
        """Close what is open under a client id; what has not arrived cannot be cancelled."""
        for kept in self.store.orders(client_id):
            if kept.status == "open":
                self.store.put_order(replace(kept, status="closed", parts_left=0))

    # --- taking in -----------------------------------------------------------------------------------------

    def _jump(self, asset: str, fault: Fault) -> None:
        assert fault.amount is not None
        jump, everywhere = fault.amount, fault.kind == "price_jump_all"
        marks = self.store.marks().items()
        moved = {place: mark for place, mark in marks if everywhere or place[1] == asset}
        self.store.set_marks({place: price_after(mark, jump_percent=jump) for place, mark in moved.items()})

    def _refusal(self, order: Order) -> str:
        """Why the venue will not have an order, whatever cash there is; empty where it will."""
        rules = self._rules_of(order.asset)
        if not all(amount.is_finite() and amount > 0 for amount in (order.quantity, order.limit_price)):
            return "quantity and limit price must be above 0"
        if Fraction(order.quantity) % Fraction(rules.lot):
            return f"the quantity {order.quantity} is not a multiple of the lot {rules.lot}"
        if Fraction(order.quantity) * Fraction(order.limit_price) < Fraction(rules.min_notional):
            return f"the order is below the minimum notional of {rules.min_notional}"
        if (order.account, order.asset) not in self.store.marks():
            return f"{order.asset} has no price in account {order.account}"
        if any(kept.order.client_id == order.client_id for kept in self.store.pending()):
            return f"the client id {order.client_id} is that of a pending order"
        return ""

    def _unaffordable(self, order: Order) -> str:
        """Why there is not enough cash for all of a buy; empty where there is."""
        price = min(self._price(order), order.limit_price)
        change, _ = self._cash_flow(order, quantity=order.quantity, price=price)
        cash = self.store.state().cash
        if order.side == "SELL" or total((cash, change)) >= 0:
            return ""
        return f"it needs {change.copy_abs():f} in cash and there is {cash:f}"

    def _accepted(self, order: Order, faults: OrderFaults) -> OrderReport:
        fill, answer = faults.fill, faults.answer
        kept = VenueOrder(
            number=self.store.next_order_number(),
            order=order,
            status="in_flight",
            share=fill.amount if fill and fill.kind == "partial" and fill.amount else Decimal(1),
            parts_left=fill.count if fill and fill.kind == "slow_fill" else 0,
            polls_left=answer.count if answer and answer.kind == "late" else 0,
            stale_reports=_STALE_REPORTS if answer and answer.kind == "duplicate_report" else 0,
        )
        self.store.put_order(kept)  # before its fills, which refer to it
        return self._report(kept if kept.polls_left else self._arrived(kept))

    def _arrived(self, kept: VenueOrder) -> VenueOrder:
        """An order that reached the market: filled as far as it can be, or open where it fills slowly."""
        if kept.parts_left:
            moved = replace(kept, status="open")
        else:
            moved = replace(kept, parts_left=2 if kept.stale_reports else 1)
            while moved.parts_left:
                moved = self._next_part_filled(moved)
        self.store.put_order(moved)
        return moved

    # --- filling -------------------------------------------------------------------------------------------

    def _next_part_filled(self, kept: VenueOrder) -> VenueOrder:
        """An order after one more of its parts; closed where price or cash do not allow that part."""
        order = kept.order
        lot = self._rules_of(order.asset).lot
        filled = total(fill.quantity for fill in self.store.fills(order_number=kept.number))
        wanted = whole_lots(Fraction(order.quantity) * Fraction(kept.share), lot)
        part = whole_lots((Fraction(wanted) - Fraction(filled)) / kept.parts_left, lot)
        price = self._price(order)
        beyond = price > order.limit_price if order.side == "BUY" else price < order.limit_price
        if beyond or (part and not self._executed(kept, quantity=part, price=price)):
            return replace(kept, status="closed", parts_left=0)
        if kept.parts_left > 1:
            return replace(kept, parts_left=kept.parts_left - 1)
        whole = total((filled, part)) == order.quantity
        return replace(kept, status="filled" if whole else "closed", parts_left=0)

    def _executed(self, kept: VenueOrder, *, quantity: Decimal, price: Decimal) -> bool:
        """Book one execution: the balances and its row; false, and nothing, where cash does not suffice."""
        order = kept.order
        change, commission = self._cash_flow(order, quantity=quantity, price=price)
        state = self.store.state()
        cash = total((state.cash, change))
        if order.side == "BUY" and cash < 0:
            return False
        place = (order.account, order.asset)
        signed = quantity if order.side == "BUY" else quantity.copy_negate()
        self.store.set_state(replace(state, cash=cash))
        self.store.set_holding(place, total((self.store.holdings().get(place, _NOTHING), signed)))
        self.store.add_fill(
            PaperFill(
                order_number=kept.number,
                client_id=order.client_id,
                account=order.account,
                asset=order.asset,
                side=order.side,
                quantity=quantity,
                price=price,
                cash_change=change,
                commission=commission,
                at=self.now(),
            )
        )
        return True

    def _price(self, order: Order) -> Decimal:
        mark = self.store.marks()[order.account, order.asset]
        return fill_price(order, mark=mark, slippage_bps=self.slippage_bps, seed=self.seed)

    def _cash_flow(self, order: Order, *, quantity: Decimal, price: Decimal) -> tuple[Decimal, Decimal]:
        return cash_flow(order.side, quantity, price=price, commission_bps=self.commission_bps)

    def _rules_of(self, asset: str) -> AssetRules:
        return self.rules.get(asset, _USUAL)

    # --- telling -------------------------------------------------------------------------------------------

    def _moved_on(self, kept: VenueOrder) -> VenueOrder:
        """An order after one more look-up: a slow one fills on, a late one comes nearer."""
        if kept.status == "open":
            moved = self._next_part_filled(kept)
        elif kept.status == "in_flight" and kept.polls_left > 1:
            moved = replace(kept, polls_left=kept.polls_left - 1)
        elif kept.status == "in_flight" and self._unaffordable(kept.order):
            moved = replace(kept, status="rejected", polls_left=0)
        elif kept.status == "in_flight":
            return self._arrived(replace(kept, polls_left=0))
        else:
            return kept
        self.store.put_order(moved)
        return moved

    def _report(self, kept: VenueOrder) -> OrderReport:
        """What the venue says of an order. A stale report tells of its first fill only, as if still open."""
        fills = self.store.fills(order_number=kept.number)
        if kept.stale_reports:
            self.store.put_order(replace(kept, stale_reports=kept.stale_reports - 1))
            return report_of(kept.order, fills[:1], state="open")
        state = kept.status if kept.status in ("filled", "closed") else "open"
        return report_of(kept.order, fills, state=state)
