"""The laws of a batch, judged twice: by plain arithmetic written here, and by the prefix oracle.

Neither calls the gate. A way to fill says what the venue does with each order: all of it at the limit price
and the full commission, all of it at the mark for nothing, or a part of one of them, after which a batch
stops.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal, TypeVar

from batches import BP, Case
from prefix_oracle import (
    BookMove,
    BookMoves,
    Ended,
    Ending,
    Entry,
    Event,
    Filled,
    Holding,
    Sent,
    Tolerances,
    World,
    judge,
)

from portfolio_rebalance.errors import PlanChangedError
from portfolio_rebalance.execution.book import Book
from portfolio_rebalance.records import Step

_K = TypeVar("_K")
_V = TypeVar("_V")

F = Fraction
ZERO = F(0)


@dataclass(frozen=True)
class Fill:
    """What became of one order: how much of it was filled, and what it cost beside the mark."""

    quantity: Fraction
    cost: Fraction


Filling = Callable[[Step], Fill]


def limit_of(case: Case, step: Step) -> Fraction:
    price = F(case.markets[step.account, step.asset].price)  # type: ignore[index]
    tolerance = F(case.terms.tolerance_bps) / BP
    return price * (1 + tolerance if step.side == "BUY" else 1 - tolerance)


def worst_cost_of(case: Case, step: Step, quantity: Fraction) -> Fraction:
    """Slippage to the limit price, and commission on the dearer of the two prices."""
    market = case.markets[step.account, step.asset]  # type: ignore[index]
    price, limit = F(market.price), limit_of(case, step)
    return quantity * (abs(limit - price) + max(limit, price) * F(market.commission_bps) / BP)


def at_worst(case: Case) -> Filling:
    return lambda step: Fill(F(step.quantity), worst_cost_of(case, step, F(step.quantity)))


def at_best(case: Case) -> Filling:
    return lambda step: Fill(F(step.quantity), ZERO)


def at_random(case: Case, rng: random.Random) -> Filling:
    """Anything in between; now and then only a part."""

    def fill(step: Step) -> Fill:
        share = F(rng.randint(0, 100), 100) if rng.random() < 0.2 else F(1)
        quantity = F(step.quantity) * share
        return Fill(quantity, worst_cost_of(case, step, quantity) * F(rng.randint(0, 100), 100))

    return fill


# --- the judge written here ------------------------------------------------------------------------------


class Purse:
    """Who holds what, and what each step does to it."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.pool = case.book.pool_cash
        self.cash = dict(case.book.own_cash)
        self.legs = {key: dict(held) for key, held in case.book.quantities.items()}
        self.cost = ZERO

    def price(self, strategy: str, asset: str) -> Fraction:
        return F(self.case.markets[self.case.book.accounts[strategy], asset].price)

    def capital(self) -> dict[str, Fraction]:
        own = {
            key: self.cash[key] + sum((q * self.price(key, a) for a, q in self.legs[key].items()), ZERO)
            for key in self.cash
        }
        return {**own, **self.case.book.bot_capital}

    def total(self) -> Fraction:
        return self.pool + sum(self.capital().values(), ZERO)

    def buy(self, strategy: str, asset: str, quantity: Fraction, cost: Fraction) -> None:
        self.legs[strategy][asset] = self.legs[strategy].get(asset, ZERO) + quantity
        self.pool -= quantity * self.price(strategy, asset) + cost
        self.cost += cost

    def transfer(self, step: Step) -> None:
        for move in step.transfers:
            assert move.quantity > 0
            if move.asset is None:
                for party, sign in ((move.source, -1), (move.target, 1)):
                    if party is None:
                        self.pool += sign * F(move.quantity)
                    else:
                        self.cash[party] += sign * F(move.quantity)
                continue
            giver, taker = str(move.source), str(move.target)
            accounts = self.case.book.accounts
            assert accounts[giver] == accounts[taker], "netted across accounts"
            assert F(move.price or 0) == self.price(giver, move.asset)
            for party, sign in ((giver, -1), (taker, 1)):
                held = self.legs[party]
                held[move.asset] = held.get(move.asset, ZERO) + sign * F(move.quantity)


def ceilings(case: Case) -> dict[tuple[str, ...], int]:
    """Who is held to how many basis points together; a strategy alone is a group of one."""
    limits, ids = case.terms.limits, sorted({*case.book.own_cash, *case.book.bot_capital})
    found = {("total", *ids): limits.total_bp}
    found |= {tuple(sorted(group)): limits.cluster_bp for group in case.terms.clusters}
    return found | {(key,): limits.individual_max_bp for key in ids}


def excess(case: Case, capital: Mapping[str, Fraction], total: Fraction) -> dict[tuple[str, ...], Fraction]:
    """By group, money above its ceiling; negative below."""
    return {
        group: sum((capital[key] for key in group if key != "total"), ZERO) - F(bp, BP) * total
        for group, bp in ceilings(case).items()
    }


def breached(case: Case) -> bool:
    return any(money > 0 for money in _excess_at_start(case).values())


def _excess_at_start(case: Case) -> dict[tuple[str, ...], Fraction]:
    start = Purse(case)
    return excess(case, start.capital(), start.total())


def check_prefixes(
    case: Case,
    steps: Iterable[Step],
    filling: Filling,
    *,
    allowed: Mapping[tuple[str, ...], Fraction] | None = None,
) -> Purse:
    """Follow a batch until its end, or until an order is not filled whole.

    No ceiling may come to more than it is allowed: nothing, or what it was at the start.
    """
    purse = Purse(case)
    most = allowed or {group: max(ZERO, money) for group, money in _excess_at_start(case).items()}

    def require(capital: Mapping[str, Fraction], total: Fraction, when: str) -> None:
        for group, money in excess(case, capital, total).items():
            assert money <= most[group], f"{when}: {group} by {float(money - most[group])}"

    for step in steps:
        if not step.is_order:
            purse.transfer(step)
            require(purse.capital(), purse.total(), f"after step {step.index}")
            continue
        strategy, asset = str(step.strategy), str(step.asset)
        assert step.account == case.book.accounts[strategy]
        quantity, price = F(step.quantity), purse.price(strategy, asset)
        if step.side == "BUY":  # in flight it counts as filled, at the worst
            flying = purse.capital()
            flying[strategy] += quantity * price
            total = purse.total() - worst_cost_of(case, step, quantity)
            require(flying, total, f"in flight {step.index}")
        fill = filling(step)
        sign = 1 if step.side == "BUY" else -1
        purse.buy(strategy, asset, sign * fill.quantity, fill.cost)
        require(purse.capital(), purse.total(), f"after step {step.index}")
        if fill.quantity < quantity:
            break
    return purse


def check_end(case: Case, purse: Purse) -> None:
    """Every limit holds in exact money, what bots are told counted as done."""
    capital, total = {**purse.capital(), **case.terms.bot_goals}, purse.total()
    for group, money in excess(case, capital, total).items():
        assert money <= 0, f"at the end {group} by {float(money)}"
    least = F(case.terms.limits.individual_min_bp, BP) * total
    for key, money in capital.items():
        assert abs(money) <= _dust(case, purse, key) or money >= least, f"{key} below the minimum: {money}"


def check_conservation(case: Case, steps: Sequence[Step], purse: Purse) -> None:
    """Costs lower the total by just as much; assets move by orders alone, cash by orders and nothing else."""
    start = Purse(case)
    assert purse.total() == start.total() - purse.cost
    ordered: dict[tuple[str, str], Fraction] = {}
    for step in steps:
        if step.is_order:
            place = (str(step.account), str(step.asset))
            ordered[place] = ordered.get(place, ZERO) + F(step.quantity) * (1 if step.side == "BUY" else -1)
    held = {
        place: sum(
            (legs.get(place[1], ZERO) for key, legs in purse.legs.items() if _at(case, key, place)), ZERO
        )
        for place in case.markets
    }
    before = {
        place: sum(
            (legs.get(place[1], ZERO) for key, legs in start.legs.items() if _at(case, key, place)), ZERO
        )
        for place in case.markets
    }
    assert {place: held[place] - before[place] for place in held} == {
        place: ordered.get(place, ZERO) for place in held
    }


def check_orders(case: Case, steps: Sequence[Step]) -> None:
    """Whole lots, above the smallest notional; ids that are short, unique and derived; indexes in order."""
    assert [step.index for step in steps] == list(range(len(steps)))
    assert len({step.client_id for step in steps}) == len(steps)
    for step in steps:
        assert step.is_order != bool(step.transfers)
        if step.is_order:
            market = case.markets[step.account, step.asset]  # type: ignore[index]
            assert F(step.quantity) > 0
            assert F(step.quantity) % F(market.lot) == 0
            assert F(step.quantity) * F(market.price) >= F(market.min_notional)


def _at(case: Case, strategy: str, place: tuple[str, str]) -> bool:
    return case.book.accounts[strategy] == place[0]


def _dust(case: Case, purse: Purse, strategy: str) -> Fraction:
    """What no order can sell of a strategy."""
    found = ZERO
    for asset, quantity in purse.legs.get(strategy, {}).items():
        market = case.markets[case.book.accounts[strategy], asset]
        value = abs(quantity) * F(market.price)
        if abs(quantity) < F(market.lot) or value < F(market.min_notional):
            found += value
    return found


# --- the prefix oracle -----------------------------------------------------------------------------------


def world_of(case: Case) -> World:
    limits = case.terms.limits
    return World(
        holdings={
            key: Holding(
                account=account, own_cash=case.book.own_cash[key], quantities=case.book.quantities[key]
            )
            for key, account in case.book.accounts.items()
        },
        pool_cash=case.book.pool_cash,
        prices={place: F(market.price) for place, market in case.markets.items()},
        limits_bp={
            "total": limits.total_bp,
            "cluster": limits.cluster_bp,
            "individual_max": limits.individual_max_bp,
            "individual_min": limits.individual_min_bp,
        },
        bot_capital=case.book.bot_capital,
        clusters=tuple(frozenset(group) for group in case.terms.clusters),
        commission_bps={place: F(market.commission_bps) for place, market in case.markets.items()},
    )


def check_by_oracle(case: Case, steps: Iterable[Step], filling: Filling) -> None:
    """The oracle finds nothing at any prefix; nor at the end, where no bot has still to follow."""
    events: list[Event] = []
    entries = {}
    whole = True
    for step in steps:
        if not step.is_order:
            events.append(BookMoves(moves=tuple(_moves(step))))
            continue
        fill = filling(step)
        sign, price = 1 if step.side == "BUY" else -1, F(case.markets[step.account, step.asset].price)  # type: ignore[index]
        change = sign * fill.quantity
        paid = -change * price - fill.cost
        events += [
            Sent(
                client_id=step.client_id,
                strategy=step.strategy,
                account=str(step.account),
                asset=str(step.asset),
                side=step.side or "BUY",
                quantity=F(step.quantity),
                limit_price=limit_of(case, step),
            ),
            Filled(client_id=step.client_id, asset_change=change, cash_change=paid),
            Ended(client_id=step.client_id),
        ]
        entries[step.client_id] = Entry(asset_change=change, cash_change=paid)
        if fill.quantity < F(step.quantity):
            whole = False
            break
    over = whole and not case.terms.bot_goals
    ending = Ending(status="committed" if over else "unfinished", entries=entries, venue=None)
    dust = {key: _largest_dust(case, key) for key in case.book.accounts}
    found = judge(world_of(case), events, ending, tolerances=Tolerances(dust=dust))
    assert found == (), found


def _moves(step: Step) -> Iterable[BookMove]:
    """An asset changes hands against the common cash, from which every order is paid."""
    for move in step.transfers:
        quantity = F(move.quantity)
        price = None if move.price is None else F(move.price)
        yield BookMove(
            source=move.source, target=move.target, asset=move.asset, quantity=quantity, price=price
        )
        if price is not None:
            yield BookMove(source=move.source, target=None, asset=None, quantity=quantity * price)
            yield BookMove(source=None, target=move.target, asset=None, quantity=quantity * price)


def _largest_dust(case: Case, strategy: str) -> Fraction:
    account = case.book.accounts[strategy]
    markets = [case.markets[account, asset] for asset in case.book.quantities[strategy]]
    return sum((max(F(one.lot) * F(one.price), F(one.min_notional)) for one in markets), ZERO)


# --- all of it -------------------------------------------------------------------------------------------


def check_way_back(case: Case, now: Book, steps: Sequence[Step]) -> None:
    """From a book half-way: no prefix of the way back has more than was allowed at the start."""
    allowed = {group: max(ZERO, money) for group, money in _excess_at_start(case).items()}
    half_way = replace(case, book=now)
    for filling in (at_worst(case), at_best(case)):
        check_prefixes(half_way, steps, filling, allowed=allowed)


def check_case(case: Case, rng: random.Random) -> Literal["blocked", "nothing to do", "refused", "made"]:
    """Every law on one case, and how it went."""
    if case.blocked:
        return "blocked"
    if not case.wanted:
        return "nothing to do"
    try:
        steps = case.batch().steps
    except PlanChangedError:
        return "refused"
    check_orders(case, steps)
    for filling in (at_worst(case), at_best(case)):
        end = check_prefixes(case, steps, filling)
        check_end(case, end)
        check_conservation(case, steps, end)
    for _ in range(3):
        seed = rng.random()
        check_prefixes(case, steps, at_random(case, random.Random(seed)))
    check_by_oracle(case, steps, at_random(case, random.Random(seed)))
    check_by_oracle(case, steps, at_worst(case))
    if rng.random() < 0.3:
        assert shuffled(case, rng).batch().steps == steps, "the order of strategies matters"
        assert _orders(tenfold(case).batch().steps) == _orders(steps), "the scale of money matters"
    return "made"


def tenfold(case: Case) -> Case:
    """Ten times the money everywhere, in the same quantities."""
    book = case.book
    return replace(
        case,
        book=replace(
            book,
            own_cash={key: 10 * cash for key, cash in book.own_cash.items()},
            pool_cash=10 * book.pool_cash,
            bot_capital={key: 10 * capital for key, capital in book.bot_capital.items()},
        ),
        markets={
            place: one.model_copy(update={"price": 10 * one.price, "min_notional": 10 * one.min_notional})
            for place, one in case.markets.items()
        },
        terms=replace(case.terms, bot_goals={key: 10 * goal for key, goal in case.terms.bot_goals.items()}),
        wanted=tuple(replace(one, approved=10 * one.approved) for one in case.wanted),
    )


def shuffled(case: Case, rng: random.Random) -> Case:
    """The same case with everything in another order."""

    def mixed(mapping: Mapping[_K, _V]) -> dict[_K, _V]:
        return {key: mapping[key] for key in rng.sample(list(mapping), len(mapping))}

    book = case.book
    return replace(
        case,
        book=replace(
            book,
            accounts=mixed(book.accounts),
            own_cash=mixed(book.own_cash),
            quantities=mixed({key: mixed(held) for key, held in book.quantities.items()}),
            bot_capital=mixed(book.bot_capital),
        ),
        markets=mixed(case.markets),
        terms=replace(
            case.terms,
            clusters=tuple(tuple(reversed(group)) for group in reversed(case.terms.clusters)),
            bot_goals=mixed(case.terms.bot_goals),
        ),
        wanted=tuple(rng.sample(case.wanted, len(case.wanted))),
    )


def _orders(steps: Sequence[Step]) -> list[tuple[object, ...]]:
    return [
        (step.index, step.purpose, step.strategy, step.asset, step.side, step.quantity)
        for step in steps
        if step.is_order
    ]
