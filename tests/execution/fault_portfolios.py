"""Portfolios to rebalance under faults, each planned by the product's own dry run and approved."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from workspaces import AS_OF, Returns, Strategy, make_workspace

from portfolio_rebalance import run_skill
from portfolio_rebalance.records import Approval
from portfolio_rebalance.workspace import Ledger


@dataclass(frozen=True, kw_only=True)
class Portfolio:
    """A workspace to plan in."""

    strategies: Mapping[str, Strategy]
    returns: Mapping[str, Returns]
    mode: str
    config: str | None = None


def _leg(asset: str, quantity: str, price: int) -> dict[str, str]:
    value = Decimal(quantity) * price
    return {"asset": asset, "quantity": quantity, "price": str(price), "market_value": f"{value:f}"}


def _btc(quantity: str) -> dict[str, str]:
    return _leg("BTC", quantity, 50_000)


def _eth(quantity: str) -> dict[str, str]:
    return _leg("ETH", quantity, 3_000)


def _sol(quantity: str) -> dict[str, str]:
    return _leg("SOL", quantity, 100)


_DRAW = random.Random(1)
_BASE, _OTHER, _THIRD = ([_DRAW.gauss(0.001, 0.02) for _ in range(90)] for _ in range(3))
_LIKE_BASE = [0.78 * value + 0.62 * _DRAW.gauss(0.001, 0.02) for value in _BASE]
_RISING = [_DRAW.gauss(0.004, 0.01) for _ in range(90)]
_FALLING = [_DRAW.gauss(-0.002, 0.02) for _ in range(90)]
_ALONE: Mapping[str, Returns] = {"STR-001": _BASE, "STR-003": _OTHER, "STR-007": _THIRD}
_SPOT = Strategy(capital=6180, target_percent="10.3", positions=[_sol("61.8")])

PORTFOLIOS: Mapping[str, Portfolio] = {
    # 34 / 20 / 10.3 % with a cluster at 54 %: 16 / 14 / 10.3 is two sales and idle cash.
    "example_1": Portfolio(
        strategies={
            "STR-001": Strategy(
                capital=20_400, target_percent="33.3333", target=20_000, positions=[_btc("0.4")]
            ),
            "STR-003": Strategy(capital=12_000, target_percent=20, positions=[_eth("4")]),
            "STR-007": _SPOT,
        },
        returns={**_ALONE, "STR-003": _LIKE_BASE},
        mode="correlation_aware",
    ),
    # 40 and 15 % to 20 each, both with a short leg: one is covered, the other enlarged.
    "shorts": Portfolio(
        strategies={
            "STR-001": Strategy(capital=24_000, target_percent=20, positions=[_btc("0.4"), _eth("-2")]),
            "STR-003": Strategy(capital=9_000, target_percent=20, positions=[_sol("-30"), _eth("2.5")]),
            "STR-007": _SPOT,
        },
        returns=_ALONE,
        mode="proportional",
    ),
    # One gives BTC to the other inside their account; both trade another asset besides.
    "shared_account": Portfolio(
        strategies={
            "STR-001": Strategy(
                capital=18_000, target_percent=20, account="main", positions=[_btc("0.3"), _eth("1")]
            ),
            "STR-003": Strategy(
                capital=9_000, target_percent=20, account="main", positions=[_btc("0.1"), _sol("40")]
            ),
            "STR-007": _SPOT,
        },
        returns=_ALONE,
        mode="proportional",
    ),
    # 5 points from the worse to the better; one strategy at a time, each reconciled.
    "both_ways": Portfolio(
        strategies={
            "STR-001": Strategy(capital=12_000, target_percent=20, positions=[_btc("0.2"), _eth("0.5")]),
            "STR-003": Strategy(capital=12_000, target_percent=20, positions=[_eth("4")]),
            "STR-007": Strategy(capital=6_180, target_percent="10.3", positions=[_sol("41.8"), _eth("0.5")]),
        },
        returns={**_ALONE, "STR-001": _FALLING, "STR-007": _RISING},
        mode="performance_weighted",
        config="portfolio_rebalance:\n  execution:\n    batch_execution: false\n",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Template:
    """A workspace with an approved plan; combinations run on copies of it."""

    folder: Path
    plan_id: str
    targets_bp: Mapping[str, int]


@contextmanager
def scratch(fallback: Path) -> Iterator[Path]:
    """A folder in memory where there is one: thousands of commits are synced there for nothing."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield fallback
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def approved(portfolio: Portfolio, folder: Path) -> Template:
    """Plan by the product's own dry run, and approve."""
    root = make_workspace(folder, portfolio.strategies, returns=portfolio.returns, config=portfolio.config)
    result = run_skill({"workspace": str(root), "as_of": AS_OF, "mode": portfolio.mode})
    assert result.plan_id is not None, result.error
    assert result.plan is not None
    with Ledger.open(root) as ledger:
        ledger.approvals.approve(
            Approval(plan_id=result.plan_id, user="anna", at=AS_OF, method="typed", shown_sha256="0" * 64)
        )
    targets = {one.strategy: one.proposed_bp for one in result.plan.strategies if one.proposed_bp is not None}
    return Template(folder=folder, plan_id=result.plan_id, targets_bp=targets)
