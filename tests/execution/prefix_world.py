"""What the prefix oracle judges: a portfolio, the limits on it, and the events that change it.

Restated from the specification (sections 1, 7 and 9) with `fractions.Fraction` and nothing else: no line is
shared with `portfolio_rebalance`.

Units: money in the portfolio's currency, quantities in the asset's unit, limits in whole basis points of
total capital. An *overage* is `capital * 10000 - limit * total`, money times basis points: 0 or less and the
limit holds. Nothing is ever rounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

Instrument = tuple[str, str]
"""Account and asset."""

WHOLE_BP = 10_000
ZERO = Fraction(0)


# --- the portfolio ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What one strategy holds; quantities are by asset, negative when short."""

    account: str
    own_cash: Fraction
    quantities: Mapping[str, Fraction]


@dataclass(frozen=True, kw_only=True)
class World:
    """A portfolio at one moment.

    Attributes:
        holdings: Strategies that we trade for.
        pool_cash: Cash that no strategy holds; every order is paid from it and pays into it.
        prices: What a unit is counted at.
        limits_bp: `total`, `cluster`, `individual_max`, `individual_min`.
        bot_capital: Strategies whose bots trade for themselves: in every limit, never moved by us.
        clusters: Only those of two or more carry a limit.
        commission_bps: What the venue may charge at worst, as a share of the value; absent means nothing.
    """

    holdings: Mapping[str, Holding]
    pool_cash: Fraction
    prices: Mapping[Instrument, Fraction]
    limits_bp: Mapping[str, int]
    bot_capital: Mapping[str, Fraction] = field(default_factory=dict)
    clusters: tuple[frozenset[str], ...] = ()
    commission_bps: Mapping[Instrument, Fraction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        both = set(self.holdings) & set(self.bot_capital)
        if both:
            raise ValueError(f"{sorted(both)}: counted twice, as ours and as a bot's")

    def strategies(self) -> frozenset[str]:
        return frozenset(self.holdings) | frozenset(self.bot_capital)

    def capital(self, strategy: str) -> Fraction:
        """Own cash and positions at their prices; 0 for a strategy that is not there."""
        if strategy in self.bot_capital:
            return self.bot_capital[strategy]
        if strategy not in self.holdings:
            return ZERO
        held = self.holdings[strategy]
        values = [
            quantity * self.prices[held.account, asset]
            for asset, quantity in held.quantities.items()
            if quantity != 0
        ]
        return held.own_cash + sum(values, ZERO)

    def total(self) -> Fraction:
        return self.pool_cash + sum((self.capital(name) for name in self.strategies()), ZERO)

    def at_prices_of(self, other: World) -> World:
        """The same holdings, counted at another moment's prices, as far as it had any."""
        return replace(self, prices={**self.prices, **other.prices})

    def with_cash(self, owner: str | None, amount: Fraction) -> World:
        """More (or less) cash for a strategy, or for the pool where `owner` is None."""
        if owner is None:
            return replace(self, pool_cash=self.pool_cash + amount)
        held = self.holdings[owner]
        return self._with(owner, replace(held, own_cash=held.own_cash + amount))

    def with_asset(self, owner: str, asset: str, quantity: Fraction) -> World:
        """More (or less) of an asset for a strategy; nobody pays."""
        held = self.holdings[owner]
        changed = {**held.quantities, asset: held.quantities.get(asset, ZERO) + quantity}
        return self._with(owner, replace(held, quantities=changed))

    def _with(self, owner: str, held: Holding) -> World:
        return replace(self, holdings={**self.holdings, owner: held})


# --- the limits ------------------------------------------------------------------------------------------


def ceilings(world: World) -> dict[str, tuple[frozenset[str], int]]:
    """Every limit from above: its key, whose capital it adds up, and its basis points.

    Keys: `total`, `cluster STR-A+STR-B`, `maximum STR-A`.
    """
    found = {"total": (world.strategies(), world.limits_bp["total"])}
    for members in world.clusters:
        if len(members) >= 2:
            found["cluster " + "+".join(sorted(members))] = (members, world.limits_bp["cluster"])
    for name in sorted(world.strategies()):
        found[f"maximum {name}"] = (frozenset({name}), world.limits_bp["individual_max"])
    return found


def overages(world: World) -> dict[str, Fraction]:
    """By limit key, how far it is exceeded, in money times basis points; 0 or less where it holds."""
    total = world.total()
    return {
        key: sum((world.capital(name) for name in members), ZERO) * WHOLE_BP - limit_bp * total
        for key, (members, limit_bp) in ceilings(world).items()
    }


def shortfalls(world: World) -> dict[str, Fraction]:
    """Funded strategies below the minimum, and by how much, in money times basis points.

    A capital below 0 is no capital of 0: it falls short of the minimum like any other.
    """
    least = world.limits_bp["individual_min"] * world.total()
    capitals = {name: world.capital(name) for name in sorted(world.strategies())}
    return {
        name: least - capital * WHOLE_BP
        for name, capital in capitals.items()
        if capital != 0 and not capital * WHOLE_BP >= least
    }


# --- the events ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Sent:
    """An order is on its way, or may be: from here on it can be filled at any moment.

    Attributes:
        strategy: Whose order it is; None where nothing that we wrote down says so.
    """

    client_id: str
    strategy: str | None
    account: str
    asset: str
    side: Literal["BUY", "SELL"]
    quantity: Fraction
    limit_price: Fraction


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A further fill of an order: what *this* fill changed, signed and after fees (not the running sum)."""

    client_id: str
    asset_change: Fraction
    cash_change: Fraction


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Nothing more of the order can be filled."""

    client_id: str


@dataclass(frozen=True, kw_only=True)
class BookMove:
    """A move in our own books; None is the pool.

    Cash goes from source to target. An asset goes from source to target too, and `quantity * price` of their
    own cash goes the other way.
    """

    source: str | None
    target: str | None
    asset: str | None
    quantity: Fraction
    price: Fraction | None = None


@dataclass(frozen=True, kw_only=True)
class BookMoves:
    """Moves that happen together or not at all."""

    moves: tuple[BookMove, ...]


@dataclass(frozen=True, kw_only=True)
class PriceMove:
    """The market moved; nobody did anything."""

    account: str
    asset: str
    price: Fraction


Event = Sent | Filled | Ended | BookMoves | PriceMove


# --- the end ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What our books say of one order when all is over.

    Attributes:
        settled: False while they say that its outcome is open or unknown.
    """

    asset_change: Fraction = ZERO
    cash_change: Fraction = ZERO
    settled: bool = True


@dataclass(frozen=True, kw_only=True)
class VenueChange:
    """Holdings at the venue after, less those before; instruments that did not change may be left out."""

    cash: Fraction
    quantities: Mapping[Instrument, Fraction]


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a batch ended.

    Attributes:
        status: `unfinished` is a batch that is looked at half-way.
        entries: Our books, by client id.
        venue: None where nobody counted; then conservation is not judged.
        books: The product's own account of who holds what; None where it is not asked.
        left_to_bots: Keys of limits that only a bot's own capital breaks and a person must lower by hand.
    """

    status: Literal["committed", "reverted", "needs_operator", "unfinished"]
    entries: Mapping[str, Entry]
    venue: VenueChange | None
    books: World | None = None
    left_to_bots: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """What may be left over; all zero unless said, but for the one basis point of a reverted batch.

    Attributes:
        dust: By strategy, money that is too little to trade: less than this may be left after a commit.
        revert_bp: How far a reverted allocation may be from where it was.
        venue_quantities: By instrument, how far a venue's count may be from its reports.
        venue_cash: The same of its cash.
    """

    dust: Mapping[str, Fraction] = field(default_factory=dict)
    revert_bp: Fraction = Fraction(1)
    venue_quantities: Mapping[Instrument, Fraction] = field(default_factory=dict)
    venue_cash: Fraction = ZERO
