"""Prices that wander inside the envelope for a day, and what may come of an approved plan then.

Every strategy's value walks at random, an hour a step, never further than 2 % from where it was when the plan
was made; a snapshot is written of each step. The plan is then executed, unless no sizes exist that keep every
change within 5 % of what was approved and every limit: that is worked out here, apart from the product. Each
limit is a ceiling, so it is enough to look at the lowest capital that every change allows.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

from executing import EXAMPLE_1, correlated_returns, execute, leg, planned
from run.mutations import Standing, own_cash_of
from workspaces import AS_OF, Strategy, make_workspace, write_snapshot

from portfolio_rebalance.errors import PlanChangedError
from portfolio_rebalance.execution.paper import PAPER, PaperVenue
from portfolio_rebalance.records import Execution, Plan
from portfolio_rebalance.run import approval

__all__ = ["PORTFOLIOS", "Wandering", "Wanderings", "wander"]

HOURS = 24
_FURTHEST = 0.0199
_STEP = 0.005
_WORST_COST = Fraction(56, 10_000)
"""Of what is traded: the slippage tolerance and the paper venue's commission, and a little more."""

_BAND = Fraction(5, 100)


@dataclass(frozen=True, kw_only=True)
class Wandering:
    """A portfolio, and how it is planned.

    Attributes:
        bound: Limits, in words, that the plan meets exactly.
        untouched: Strategies that it leaves alone.
    """

    strategies: Mapping[str, Strategy]
    mode: str
    hold: tuple[str, ...] = ()
    returns: Mapping[str, list[float]] = field(default_factory=dict)
    bound: tuple[str, ...]
    untouched: tuple[str, ...] = ()


def _one(capital: str, asset: str, price: str) -> Strategy:
    """A strategy that is all one position, and where its target wants it, of 60 000."""
    held = leg(asset, str(Decimal(capital) / Decimal(price)), price)
    target = str(Decimal(capital) / 600)
    return Strategy(capital=capital, target_percent=target, assets=(asset,), positions=[held])


def _three(first: str, second: str, third: str) -> dict[str, Strategy]:
    return {
        "STR-A": _one(first, "BTC", "50000"),
        "STR-B": _one(second, "ETH", "3000"),
        "STR-C": _one(third, "SOL", "100"),
    }


PORTFOLIOS: Mapping[str, Wandering] = {
    "example 1": Wandering(
        strategies=EXAMPLE_1,
        mode="correlation_aware",
        returns=correlated_returns(),
        bound=("cluster 30.00",),
        untouched=("STR-007",),
    ),
    "both limits": Wandering(
        strategies={**EXAMPLE_1, "STR-007": _one("18000", "SOL", "100")},
        mode="correlation_aware",
        returns=correlated_returns(),
        bound=("cluster 30.00", "total 60.00"),
        untouched=("STR-007",),
    ),
    "three scaled": Wandering(
        strategies=_three("15600", "15600", "15600"), mode="proportional", bound=("total 60.00",)
    ),
    "two scaled, one held": Wandering(
        strategies=_three("15600", "15600", "15600"),
        mode="proportional",
        hold=("STR-A",),
        bound=("total 60.00",),
        untouched=("STR-A",),
    ),
    "one to another": Wandering(
        strategies=_three("12000", "12000", "12000"),
        mode="performance_weighted",
        bound=("total 60.00",),
        untouched=("STR-C",),
    ),
    "small changes": Wandering(
        strategies=_three("20400", "12000", "6180"), mode="proportional", bound=("total 60.00",)
    ),
}


@dataclass(kw_only=True)
class Wanderings:
    """What came of a portfolio's walks.

    Attributes:
        impossible: Refused, rightly: not even the lowest allowed sizes meet the limits.
        within_costs: Refused where the worst cost alone decides.
        wrong: Refused although sizes exist, by seed.
    """

    executed: int = 0
    impossible: int = 0
    within_costs: int = 0
    wrong: dict[int, str] = field(default_factory=dict)


def wander(name: str, folder: Path, *, walks: int) -> Wanderings:
    """Plan once, then let prices wander so many times, each from the plan."""
    wandering = PORTFOLIOS[name]
    made = make_workspace(folder, wandering.strategies, returns=wandering.returns)
    result = planned(made, mode=wandering.mode, hold=wandering.hold)
    assert result.plan is not None
    assert result.plan_id is not None
    _require_bound(result.plan, wandering)
    page = approval.page_of(made, result.plan_id, now=AS_OF)
    approval.approve(made, page, user="tester", at=AS_OF, method="typed", seal=None)
    found = Wanderings()
    for seed in range(walks):
        with TemporaryDirectory(dir=folder) as place:
            root = Path(shutil.copytree(made, Path(place, ".crypto"))).resolve()
            factors = _walk(root, wandering, random.Random(f"{name} {seed}"))
            _judge(found, seed, root, result.plan, wandering, factors=factors, plan_id=result.plan_id)
    return found


def _walk(root: Path, wandering: Wandering, draw: random.Random) -> dict[str, Decimal]:
    """A day of snapshots; how far each value has come in the end, as a factor."""
    away = dict.fromkeys(wandering.strategies, 0.0)
    factors: dict[str, Decimal] = {}
    for hour in range(HOURS):
        at = AS_OF + timedelta(minutes=60 * hour + 30)
        for key, strategy in wandering.strategies.items():
            away[key] = max(-_FURTHEST, min(_FURTHEST, away[key] + draw.gauss(0, _STEP)))
            factors[key] = 1 + Decimal(f"{away[key]:.6f}")
            _write(root, key, strategy, factor=factors[key], at=at)
    return factors


def _write(root: Path, key: str, strategy: Strategy, *, factor: Decimal, at: datetime) -> None:
    """A snapshot whose value is so many times what it was, by its one price."""
    value, own_cash = Decimal(str(strategy.capital)) * factor, own_cash_of(strategy)
    (held,) = strategy.positions
    quantity = Decimal(str(held["quantity"]))
    price = ((value - own_cash) / quantity).quantize(Decimal("1e-8"))
    moved = leg(str(held["asset"]), str(quantity), str(price))
    worth = own_cash + Decimal(moved["market_value"])
    write_snapshot(root, key, replace(strategy, positions=[moved], market_value=worth), as_of=at)


def _judge(
    found: Wanderings,
    seed: int,
    root: Path,
    plan: Plan,
    wandering: Wandering,
    *,
    factors: Mapping[str, Decimal],
    plan_id: str,
) -> None:
    capital = {
        key: Fraction(str(one.capital)) * Fraction(factors[key]) for key, one in wandering.strategies.items()
    }
    at = AS_OF + timedelta(hours=HOURS, minutes=-15)
    try:
        execution = execute(root, plan_id, at=at)
    except PlanChangedError as refusal:
        free, at_worst = (_meets_limits(plan, capital, cost=cost) for cost in (Fraction(0), _WORST_COST))
        assert Standing.of(root).orders == 0
        if at_worst:
            found.wrong[seed] = refusal.what
        elif free:
            found.within_costs += 1
        else:
            found.impossible += 1
        return
    found.executed += 1
    assert execution.status == "committed", execution
    _require_limits(root, plan, wandering, at=at)
    _require_both_prices(root, execution, plan, capital)


def _meets_limits(plan: Plan, capital: Mapping[str, Fraction], *, cost: Fraction) -> bool:
    """Whether the lowest capital that every approved change allows meets every ceiling."""
    lowest = dict(capital)
    traded = Fraction(0)
    for one in plan.strategies:
        if one.proposed_bp is None:
            continue
        change = Fraction(one.proposed_bp) * Fraction(plan.total_capital) / 10_000 - Fraction(one.capital)
        change *= 1 + _BAND if change < 0 else 1 - _BAND
        lowest[one.strategy] += change
        traded += abs(change)
    total = Fraction(plan.cash) + sum(capital.values()) - cost * traded
    return not _broken(lowest, total=total, plan=plan)


def _broken(capital: Mapping[str, Fraction], *, total: Fraction, plan: Plan) -> list[str]:
    """Ceilings of the defaults that these holdings break, in exact money."""
    groups = {"total": (tuple(capital), 60)} | {key: ((key,), 40) for key in capital}
    groups |= {"+".join(group): (group, 30) for group in plan.clusters if len(group) > 1}
    return [
        name
        for name, (members, percent) in groups.items()
        if not (sum(capital[key] for key in members) * 100 <= percent * total)
    ]


def _require_limits(root: Path, plan: Plan, wandering: Wandering, *, at: datetime) -> None:
    """Every ceiling in exact money, from what the venue itself holds."""
    with PaperVenue.open(
        root / PAPER, now=lambda: at, slippage_bps=Decimal(25), commission_bps=Decimal(5), seed="paper"
    ) as venue:
        held = venue.balances()
        marks = {place: market.price for place, market in venue.markets(held.quantities).items()}
    capital = dict.fromkeys(wandering.strategies, Fraction(0))
    for (account, asset), quantity in held.quantities.items():
        capital[account] += Fraction(quantity) * Fraction(marks[account, asset])
    # Of those that changed, the idle cash of their own went first; the others have theirs still.
    left = {one.strategy for one in plan.strategies if one.proposed_bp is None}
    own_cash = {key: Fraction(own_cash_of(wandering.strategies[key])) for key in left}
    total = sum(capital.values()) + Fraction(held.cash)
    capital = {key: value + own_cash.get(key, Fraction(0)) for key, value in capital.items()}
    assert _broken(capital, total=total, plan=plan) == []
    assert min(capital.values()) * 100 >= total


def _require_both_prices(
    root: Path, execution: Execution, plan: Plan, capital: Mapping[str, Fraction]
) -> None:
    """The record tells at which value a strategy was planned, and at which it was executed."""
    day = execution.finished_at.astimezone(UTC).date()
    text = (root / f"portfolio-rebalance/execution-{day}.yaml").read_text()
    for one in plan.strategies:
        if one.proposed_bp is not None:
            told = f"{one.strategy} was worth {one.capital:f} when the plan was made, "
            (note,) = [note for note in execution.notes if note.startswith(told)]
            now = note.removeprefix(told).removesuffix(" when it was executed")
            assert abs(Fraction(now) - capital[one.strategy]) <= 1
            assert note in text


def _require_bound(plan: Plan, wandering: Wandering) -> None:
    """The plan meets the limits exactly that the portfolio was made for."""
    after = {one.strategy: Fraction(one.proposed_bp or one.current_bp) for one in plan.strategies}
    clusters = [sum(after[key] for key in group) for group in plan.clusters if len(group) > 1]
    met = {f"total {float(sum(after.values())) / 100:.2f}"} | {
        f"cluster {float(one) / 100:.2f}" for one in clusters
    }
    assert {*wandering.bound} <= met
    assert {one.strategy for one in plan.strategies if one.proposed_bp is None} == {*wandering.untouched}
