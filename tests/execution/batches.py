"""Books, markets and plans to make batches of: written out by hand, or drawn at random.

A random case holds what a workspace would: strategies that are long, short, borrowed, idle or all cash, some
in one account, some pinned, some run by bots; and the changes that a mode and the repair of the product
propose at the very prices that the batch is sized at. A third and more of them start in breach.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from hypothesis import strategies as st
from workspaces import AS_OF

from portfolio_rebalance.allocation import Limits, Situation, find_mode, fit_to_limits, mode_names, propose
from portfolio_rebalance.execution.batch import Batch, Terms, forward_batch
from portfolio_rebalance.execution.book import Book, prices_of
from portfolio_rebalance.execution.broker import Instrument
from portfolio_rebalance.execution.gate import GateLimits
from portfolio_rebalance.execution.sizing import Wanted
from portfolio_rebalance.records import Market, StartedExecution, StrategyBook
from portfolio_rebalance.units import exact_decimal

F = Fraction
BP = 10_000
PLAN_ID = "3f9a" * 16
LIMITS = GateLimits(total_bp=6000, cluster_bp=3000, individual_max_bp=4000, individual_min_bp=100)

Pick = Callable[[int, int], int]
"""A whole number from the first to the second, both included: `random.Random.randint`, or Hypothesis."""


# --- by hand ---------------------------------------------------------------------------------------------


def market(
    asset: str,
    price: str,
    *,
    account: str = "main",
    lot: str = "0.001",
    min_notional: str = "0",
    commission_bps: str = "10",
) -> Market:
    return Market(
        account=account,
        asset=asset,
        price=Decimal(price),
        lot=Decimal(lot),
        min_notional=Decimal(min_notional),
        commission_bps=Decimal(commission_bps),
    )


def markets_of(*listed: Market) -> dict[Instrument, Market]:
    return {(one.account, one.asset): one for one in listed}


def book_of_legs(
    legs: Mapping[str, Mapping[str, str]],
    *,
    cash: str = "0",
    own_cash: Mapping[str, str] | None = None,
    accounts: Mapping[str, str] | None = None,
    bots: Mapping[str, str] | None = None,
) -> Book:
    """A book; every strategy in the account `main`, and without cash of its own, unless said."""
    return Book(
        accounts={key: (accounts or {}).get(key, "main") for key in legs},
        own_cash={key: F((own_cash or {}).get(key, "0")) for key in legs},
        quantities={
            key: {asset: F(quantity) for asset, quantity in held.items()} for key, held in legs.items()
        },
        pool_cash=F(cash),
        bot_capital={key: F(capital) for key, capital in (bots or {}).items()},
    )


def terms(
    *clusters: tuple[str, ...],
    limits: GateLimits = LIMITS,
    tolerance_bps: str = "30",
    bot_goals: Mapping[str, str] | None = None,
) -> Terms:
    return Terms(
        limits=limits,
        clusters=clusters,
        tolerance_bps=Decimal(tolerance_bps),
        bot_goals={key: F(goal) for key, goal in (bot_goals or {}).items()},
    )


def wanted(
    targets_bp: Mapping[str, int | str], *, book: Book, markets: Mapping[Instrument, Market]
) -> list[Wanted]:
    """The changes of a plan that was made at these very prices."""
    prices = prices_of(markets.values())
    total = book.total(prices)
    return [
        Wanted(strategy=key, target_bp=F(bp), approved=F(bp) * total / BP - book.capital(key, prices))
        for key, bp in targets_bp.items()
    ]


# --- at random -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Case:
    """A portfolio, and the plan that was approved for it.

    Attributes:
        blocked: Whether the product's own planning found no way to meet the limits.
    """

    book: Book
    markets: Mapping[Instrument, Market]
    terms: Terms
    wanted: tuple[Wanted, ...]
    pinned: frozenset[str]
    blocked: bool

    def batch(self) -> Batch:
        return forward_batch(
            self.wanted, plan_id=PLAN_ID, book=self.book, markets=self.markets, terms=self.terms
        )

    def started(self) -> StartedExecution:
        return StartedExecution(
            plan_id=PLAN_ID,
            at=AS_OF,
            broker="paper",
            currency="USD",
            baseline={
                key: StrategyBook(
                    account=account,
                    own_cash=exact_decimal(self.book.own_cash[key]),
                    quantities={
                        asset: exact_decimal(quantity)
                        for asset, quantity in self.book.quantities[key].items()
                    },
                )
                for key, account in self.book.accounts.items()
            },
            pool_cash=exact_decimal(self.book.pool_cash),
            bot_capital={key: exact_decimal(capital) for key, capital in self.book.bot_capital.items()},
            bot_goals={key: exact_decimal(goal) for key, goal in self.terms.bot_goals.items()},
            markets=tuple(self.markets.values()),
            clusters=self.terms.clusters,
            limits_bp={
                "total": self.terms.limits.total_bp,
                "cluster": self.terms.limits.cluster_bp,
                "individual_max": self.terms.limits.individual_max_bp,
                "individual_min": self.terms.limits.individual_min_bp,
            },
            targets_bp={one.strategy: int(one.target_bp) for one in self.wanted},
        )


PRICES = {"BTC": "61234.5", "ETH": "3012.77", "SOL": "103.4", "XRP": "0.5321", "DOGE": "0.081234"}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Random cases for Hypothesis."""
    return random_case(lambda least, most: draw(st.integers(least, most)))


def random_case(pick: Pick, *, bot_odds: int = 12) -> Case:
    """Two to eight strategies of every kind, and what a mode and repair make of them.

    Args:
        pick: Draws whole numbers.
        bot_odds: One strategy in so many is run by a bot; 0 for none.
    """
    ids = [f"STR-{letter}" for letter in "ABCDEFGH"[: pick(2, 8)]]
    total = F((20_000, 60_000, 250_000, 1_000_000)[pick(0, 3)]) + F(pick(0, 99_999), 100)
    shares = _shares(pick, ids)
    clusters = _clusters(pick, ids)
    accounts = {key: "main" if pick(0, 2) else key for key in ids}
    bot_ids = {key for key in ids if bot_odds and pick(1, bot_odds) == 1}
    markets = _markets(pick, accounts, total)
    own_cash, quantities = {}, {}
    for key in ids:
        if key not in bot_ids:
            quantities[key], own_cash[key] = _holdings(
                pick, F(shares[key]) * total / BP, account=accounts[key], markets=markets
            )
    book = Book(
        accounts={key: accounts[key] for key in quantities},
        own_cash=own_cash,
        quantities=quantities,
        pool_cash=F(0),
        bot_capital={key: F(_cents(F(shares[key]) * total / BP)) for key in bot_ids},
    )
    held = {
        (accounts[key], asset): markets[accounts[key], asset]
        for key, legs in quantities.items()
        for asset in legs
    }
    prices = prices_of(held.values())
    return _planned(
        pick,
        book=replace(book, pool_cash=F(_cents(total - book.total(prices)))),
        markets=held,
        clusters=clusters,
        pinned=_pinned(pick, ids),
    )


def _planned(
    pick: Pick,
    *,
    book: Book,
    markets: Mapping[Instrument, Market],
    clusters: tuple[tuple[str, ...], ...],
    pinned: frozenset[str],
) -> Case:
    """The plan that a mode proposes and repair makes lawful, at these prices."""
    prices = prices_of(markets.values())
    total = book.total(prices)
    current = {key: capital * BP / total for key, capital in book.capitals(prices).items()}
    start = {
        key: F(pick(0, 4000)) if key not in pinned and pick(0, 5) == 0 else share
        for key, share in current.items()
    }
    limits = Limits()
    names = mode_names()
    situation = Situation(
        start_bp=start,
        fixed=pinned,
        clusters=clusters,
        limits=limits,
        sharpe_ratios={key: pick(-300, 400) / 100 for key in sorted(current)},
        volatilities={key: pick(5, 150) / 100 for key in sorted(current)},
    )
    proposed = propose(find_mode(names[pick(0, len(names) - 1)]), situation, current_bp=current)
    fitted = fit_to_limits(
        proposed.allocations_bp,
        current_bp=current,
        start_bp=start,
        pinned=pinned,
        clusters=clusters,
        limits=limits,
        max_trades=10,
    )
    after = fitted.repair.allocations_bp
    changed = [key for key in sorted(after) if after[key] != current[key]]
    return Case(
        book=book,
        markets=markets,
        terms=Terms(
            limits=LIMITS,
            clusters=clusters,
            tolerance_bps=Decimal((30, 30, 10, 50)[pick(0, 3)]),
            bot_goals={key: _told(after[key], total) for key in changed if key in book.bot_capital},
        ),
        wanted=tuple(
            Wanted(
                strategy=key,
                target_bp=after[key],
                approved=after[key] * total / BP - book.capital(key, prices),
            )
            for key in changed
            if key not in book.bot_capital
        ),
        pinned=pinned,
        blocked=fitted.blockage is not None,
    )


def _shares(pick: Pick, ids: Sequence[str]) -> dict[str, int]:
    """Basis points of each; together less than 60 %, about that, or up to 95 %."""
    deployed = (pick(500, 5900), pick(5900, 6100), pick(6100, 9500))[pick(0, 2)]
    weights = [pick(1, 100) ** 2 for _ in ids]
    shares = {key: deployed * weight // sum(weights) for key, weight in zip(ids, weights, strict=True)}
    for key in ids:
        if pick(0, 14) == 0:
            shares[key] = (0, 99, 100, 101)[pick(0, 3)]
    return shares


def _clusters(pick: Pick, ids: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Disjoint groups of two or more; often none."""
    groups: dict[int, list[str]] = {}
    for key in ids:
        groups.setdefault(pick(0, 4), []).append(key)
    return tuple(tuple(group) for place, group in sorted(groups.items()) if place < 2 and len(group) > 1)


def _pinned(pick: Pick, ids: Sequence[str]) -> frozenset[str]:
    return frozenset(key for key in ids if pick(0, 5) == 0) if pick(0, 1) else frozenset()


def _markets(pick: Pick, accounts: Mapping[str, str], total: Fraction) -> dict[Instrument, Market]:
    """Every asset in every account; lots worth from next to nothing to a basis point."""
    found = {}
    for asset, price in PRICES.items():
        places = pick(0, 6)
        while F(price) / 10**places > total / BP:
            places += 1
        rules = market(
            asset,
            price,
            lot=str(Decimal(1).scaleb(-places)),
            min_notional=("0", "5", "10")[pick(0, 2)],
            commission_bps=("5", "10", "7.5", "0")[pick(0, 3)],
        )
        for account in sorted(set(accounts.values())):
            found[account, asset] = rules.model_copy(update={"account": account})
    return found


def _holdings(
    pick: Pick, capital: Fraction, *, account: str, markets: Mapping[Instrument, Market]
) -> tuple[dict[str, Fraction], Fraction]:
    """Legs and cash worth about a capital: long, idle in part, all cash, borrowed, or with a short leg."""
    kind = pick(0, 9)
    exposures = {
        0: [],
        1: [F(pick(101, 180), 100)],
        2: [F(pick(50, 150), 100), -F(pick(10, 90), 100)],
        3: [-F(pick(10, 90), 100)],
        4: [F(pick(10, 99), 100)],
        5: [F(pick(10, 50), 100), F(pick(10, 50), 100)],
        6: [F(pick(10, 90), 100), F(pick(1, 9), 100)],
    }.get(kind, [F(1)])
    first = pick(0, len(PRICES) - 1)
    legs = {}
    for place, exposure in enumerate(exposures):
        asset = list(PRICES)[(first + place) % len(PRICES)]
        rules = markets[account, asset]
        lot = F(rules.lot) if pick(0, 4) else F(1, 10**8)
        quantity = exposure * capital / F(rules.price) // lot * lot
        if quantity:
            legs[asset] = quantity
    value = sum((quantity * F(markets[account, asset].price) for asset, quantity in legs.items()), F(0))
    return legs, max(F(_cents(capital - value)), -value)


def _told(target_bp: Fraction, total: Fraction) -> Fraction:
    """What a bot is told: cents, cut; at the minimum the next one up."""
    goal = target_bp * total / BP
    least = LIMITS.individual_min_bp * total / BP
    return F(_cents(goal)) if not 0 < F(_cents(goal)) < least else F(_cents(goal)) + F(1, 100)


def _cents(value: Fraction) -> Decimal:
    return Decimal(value.numerator * 100 // value.denominator).scaleb(-2)
