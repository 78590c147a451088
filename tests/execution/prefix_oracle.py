"""What a batch may do, at every step and at its end: a second opinion, written apart from the product.

Restated from the specification (section 9) and the threats (section 3) alone:

* "At every prefix in-flight increases count as filled and reductions as unfilled: a limit that holds stays
  held; one already broken never gains overage; after the last order all hold. If price alone enlarges an
  overage, increases stop."
* "Never resend blindly." No duplicate fill, no lost fill; an order has a written intent; none goes out behind
  a running bot's back.
* "Compensate back to the allocation before: REVERTED."

`judge` walks the events one by one. Before and after each it looks at the world *as it may already be*: each
BUY in flight filled whole, held at the mark, paid at its limit price plus the highest commission; each SELL
in flight not filled at all. A BUY always raises its strategy's capital and a SELL always lowers it, also on a
short leg, because all orders are paid from the pool.

**Allowance.** A limit may reach max(0, its overage at the start). An event of ours may never lift an overage
above that; where prices alone have lifted it above, an event of ours may not lift it further, and no BUY may
be sent. A move of prices itself is never charged. Overages of different moments are compared as they are,
money times basis points.

**Costs.** A cost lowers the total and so enlarges every overage a little, also that of a strategy that nobody
touched: with two strategies above their maxima no order can lower the one without its cost weighing on the
other. `costs="charged"` is the letter of the rule and calls that a violation. `costs="aside_where_broken"`
judges a limit *that is broken already* on the total before costs; a limit that holds is never given this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Literal

from prefix_walk import Rule, Violation, Walk
from prefix_world import (
    WHOLE_BP,
    ZERO,
    BookMove,
    BookMoves,
    Ended,
    Ending,
    Entry,
    Event,
    Filled,
    Holding,
    Instrument,
    PriceMove,
    Sent,
    Tolerances,
    VenueChange,
    World,
    ceilings,
    overages,
    shortfalls,
)

__all__ = [
    "BookMove",
    "BookMoves",
    "Costs",
    "Ended",
    "Ending",
    "Entry",
    "Event",
    "Filled",
    "Holding",
    "Instrument",
    "PriceMove",
    "Rule",
    "Sent",
    "Tolerances",
    "VenueChange",
    "Violation",
    "World",
    "assert_lawful",
    "ceilings",
    "judge",
    "overages",
    "shortfalls",
]

Costs = Literal["charged", "aside_where_broken"]


def judge(
    start: World,
    trace: Iterable[Event],
    ending: Ending,
    *,
    costs: Costs = "charged",
    tolerances: Tolerances | None = None,
) -> tuple[Violation, ...]:
    """Everything wrong with a batch, in the order in which it went wrong; empty when it was lawful."""
    walk, gauge = Walk(start), _Gauge(start, costs)
    for place, event in enumerate(trace):
        before = walk.as_it_may_be()
        if isinstance(event, Sent) and event.side == "BUY":
            for key in gauge.beyond(before):
                walk.object("increase while beyond", place, key, event.client_id)
        walk.take(place, event)
        if not isinstance(event, PriceMove):
            for key, rule, detail in gauge.gains(before, walk.as_it_may_be()):
                walk.object(rule, place, key, detail)
    _judge_end(start, walk, ending, tolerances or Tolerances())
    return tuple(walk.violations)


def assert_lawful(
    start: World,
    trace: Iterable[Event],
    ending: Ending,
    *,
    costs: Costs = "charged",
    tolerances: Tolerances | None = None,
) -> None:
    """Fail with every violation on a line of its own, and the events that led there."""
    events = tuple(trace)
    found = judge(start, events, ending, costs=costs, tolerances=tolerances)
    if found:
        lines = [f"[{item.event}] {item.rule}: {item.subject} {item.detail}" for item in found]
        raise AssertionError(
            "\n".join([*lines, *(f"{place:>4} {event}" for place, event in enumerate(events))])
        )


# --- the allowance ---------------------------------------------------------------------------------------


class _Gauge:
    """How far each limit may go, and what our own events, done or in flight, have cost so far."""

    def __init__(self, start: World, costs: Costs) -> None:
        self.limit_bp = {key: limit_bp for key, (_, limit_bp) in ceilings(start).items()}
        self.allowance = {key: max(ZERO, overage) for key, overage in overages(start).items()}
        self.costs_aside = costs == "aside_where_broken"
        self.paid = ZERO

    def beyond(self, now: World) -> list[str]:
        """Limits above their allowance, which prices alone can have done (or a violation before)."""
        found = []
        for key, overage in overages(now).items():
            allowed = self.allowance[key]
            above = overage > allowed
            if above and self.costs_aside and allowed > 0:
                above = overage - self.limit_bp[key] * self.paid > allowed
            if above:
                found.append(key)
        return found

    def gains(self, before: World, after: World) -> list[tuple[str, Rule, str]]:
        """What one event of ours did that it may not: limit, rule, figures."""
        paid_before = self.paid
        # All that our events do to the total is a cost: what they buy and sell is counted at the mark.
        self.paid += before.total() - after.total()
        earlier, found = overages(before), []
        for key, overage in overages(after).items():
            allowed, was, limit_bp = self.allowance[key], earlier[key], self.limit_bp[key]
            if overage <= max(allowed, was):
                continue
            if self.costs_aside and max(allowed, was) > 0:
                was_before_costs = was - limit_bp * paid_before
                highest = max(allowed, was_before_costs) if allowed > 0 else was_before_costs
                if overage - limit_bp * self.paid <= highest:
                    continue
            rule: Rule = "overage gained" if allowed > 0 else "limit broken"
            if was > allowed:
                rule = "overage enlarged"
            found.append((key, rule, f"{overage} > {max(allowed, was)}"))
        return found


# --- the end ---------------------------------------------------------------------------------------------


def _judge_end(start: World, walk: Walk, ending: Ending, tolerances: Tolerances) -> None:
    _judge_books(walk, ending)
    if ending.venue is not None:
        _judge_conservation(walk, ending.venue, tolerances)
    if ending.books is not None:
        _judge_own_account(walk, ending.books)
    if ending.status == "committed":
        _judge_committed(start, walk, ending, tolerances)
    elif ending.status == "reverted":
        _judge_reverted(start, walk, tolerances)


def _judge_books(walk: Walk, ending: Ending) -> None:
    """No lost fill. Only where an operator is called, or it is not over yet, may an order be in the open."""
    over = ending.status in ("committed", "reverted")
    for client_id in sorted(set(walk.orders) | set(ending.entries)):
        order = walk.orders.get(client_id)
        entry = ending.entries.get(client_id, Entry())
        if over and ((order is not None and order.open_quantity() > 0) or not entry.settled):
            walk.object("unsettled", None, client_id)
        if not entry.settled:
            continue
        at_venue = (order.asset_change, order.cash_change) if order is not None else (ZERO, ZERO)
        in_books = (entry.asset_change, entry.cash_change)
        if at_venue != in_books:
            rule: Rule = "phantom fill" if at_venue == (ZERO, ZERO) else "lost fill"
            walk.object(rule, None, client_id, f"venue {at_venue}, books {in_books}")


def _judge_conservation(walk: Walk, venue: VenueChange, tolerances: Tolerances) -> None:
    """The fills of all orders, and nothing else, explain what changed at the venue."""
    cash = sum((order.cash_change for order in walk.orders.values()), ZERO)
    if not abs(venue.cash - cash) <= tolerances.venue_cash:
        walk.object("conservation", None, "cash", f"{venue.cash}, fills say {cash}")
    filled: dict[Instrument, Fraction] = {}
    for order in walk.orders.values():
        instrument = (order.sent.account, order.sent.asset)
        filled[instrument] = filled.get(instrument, ZERO) + order.asset_change
    for instrument in sorted(set(filled) | set(venue.quantities)):
        counted, reported = venue.quantities.get(instrument, ZERO), filled.get(instrument, ZERO)
        if not abs(counted - reported) <= tolerances.venue_quantities.get(instrument, ZERO):
            walk.object("conservation", None, " ".join(instrument), f"{counted}, fills say {reported}")


def _judge_own_account(walk: Walk, books: World) -> None:
    if books.pool_cash != walk.world.pool_cash:
        walk.object("books differ", None, "pool", f"{books.pool_cash}, walked {walk.world.pool_cash}")
    for name in sorted(set(books.holdings) | set(walk.world.holdings)):
        theirs, ours = (_plain(world.holdings.get(name)) for world in (books, walk.world))
        if theirs != ours:
            walk.object("books differ", None, name, f"{theirs}, walked {ours}")


def _plain(held: Holding | None) -> tuple[Fraction, Mapping[str, Fraction]]:
    if held is None:
        return ZERO, {}
    return held.own_cash, {asset: quantity for asset, quantity in held.quantities.items() if quantity != 0}


def _judge_committed(start: World, walk: Walk, ending: Ending, tolerances: Tolerances) -> None:
    """Every limit holds at the prices that the batch was sized with, the minimum too.

    Too little to trade may be left above a limit that was broken at the start; one that held then is given no
    dust.
    """
    end = walk.world.at_prices_of(start)
    limits, at_start = ceilings(end), overages(start)
    for key, overage in overages(end).items():
        members = limits[key][0] if at_start[key] > 0 else ()
        dust = sum((tolerances.dust.get(name, ZERO) for name in members), ZERO) * WHOLE_BP
        if overage > 0 and not overage < dust and key not in ending.left_to_bots:
            walk.object("limit at end", None, key, str(overage))
    for name, missing in shortfalls(end).items():
        dust = tolerances.dust.get(name, ZERO)
        nearly_enough = missing < dust * WHOLE_BP
        nearly_gone = abs(end.capital(name)) < dust
        key = f"minimum {name}"
        if not nearly_enough and not nearly_gone and key not in ending.left_to_bots:
            walk.object("minimum at end", None, key, str(missing))


def _judge_reverted(start: World, walk: Walk, tolerances: Tolerances) -> None:
    """Every allocation is where it was, costs aside.

    An untouched strategy keeps its money, so its share of a total that costs have lowered grows; one that was
    bought back may be given its share of what is left. Both are "where it was": the share is taken of the
    total now, or of the total then. Where prices moved meanwhile, each of the two may be read with both
    moments at the prices of the start, or both at those of the end; the first also with each moment at its
    own. Any will do; without costs and moves of prices they are all one.

    That no limit ends above its allowance is judged already: the end is the last prefix.
    """
    end = walk.world
    at_start, at_end = end.at_prices_of(start), start.at_prices_of(end)
    readings = (
        (start, at_start, at_start.total()),
        (start, at_start, start.total()),
        (at_end, end, end.total()),
        (at_end, end, at_end.total()),
        (start, end, end.total()),
    )
    for name in sorted(start.strategies()):
        gaps = [
            abs(now.capital(name) / total - then.capital(name) / then.total()) * WHOLE_BP
            for then, now, total in readings
        ]
        if not min(gaps) <= tolerances.revert_bp:
            walk.object("not reverted", None, name, f"{float(min(gaps)):.3f} bp away")
