"""Workspaces whose plans can be executed on paper, and a person who answers as told."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from workspaces import AS_OF, Strategy, make_workspace, write_snapshot

from portfolio_rebalance import run_skill
from portfolio_rebalance.records import Execution, RebalanceResult
from portfolio_rebalance.run import approval
from portfolio_rebalance.tools.execution import execute_rebalance_trades
from portfolio_rebalance.vault import Seal

DAYS = 90


def leg(asset: str, quantity: str, price: str) -> dict[str, str]:
    """One position as a snapshot states it."""
    return {
        "asset": asset,
        "quantity": quantity,
        "price": price,
        "market_value": str(Decimal(quantity) * Decimal(price)),
    }


EXAMPLE_1: Mapping[str, Strategy] = {
    "STR-001": Strategy(
        capital=20_400, target_percent=34, name="funding arb", positions=[leg("BTC", "0.4", "50000")]
    ),
    "STR-003": Strategy(
        capital=12_000,
        target_percent=20,
        name="yield opt",
        assets=("ETH",),
        positions=[leg("ETH", "4", "3000")],
    ),
    "STR-007": Strategy(
        capital=6_180,
        target_percent="10.3",
        name="spot vol",
        assets=("SOL",),
        positions=[leg("SOL", "60", "103")],
    ),
}
"""34 / 20 / 10.3 % of 60 000; the first two correlate at about 0.78, and make 54 % together."""


def correlated_returns(rho: float = 0.78) -> dict[str, list[float]]:
    """Daily returns of the three: the first two correlate highly, the third with neither."""
    draw = random.Random(1)
    first = [draw.gauss(0.001, 0.02) for _ in range(DAYS)]
    rest = (1 - rho**2) ** 0.5
    second = [rho * value + rest * draw.gauss(0.001, 0.02) for value in first]
    third = [draw.gauss(0.001, 0.02) for _ in range(DAYS)]
    return {
        key: [round(value, 8) for value in values]
        for key, values in zip(("STR-001", "STR-003", "STR-007"), (first, second, third), strict=True)
    }


def example_1(
    folder: Path, strategies: Mapping[str, Strategy] = EXAMPLE_1, *, config: str | None = None
) -> Path:
    """The workspace of example 1, with positions."""
    return make_workspace(folder, strategies, returns=correlated_returns(), config=config)


def config_text(*lines: str) -> str:
    """A configuration file of these lines."""
    return "\n".join(["portfolio_rebalance:", *(f"  {line}" for line in lines)]) + "\n"


@dataclass(slots=True)
class Told:
    """A person who does what the test tells them, and remembers what they were shown."""

    answers: bool = True
    key: Seal | None = None
    user: str = "tester"
    shown: list[str] = field(default_factory=list)

    def confirms(self, page: approval.ApprovalPage) -> bool:
        self.shown.append(page.text)
        return self.answers

    def sees(self, page: approval.ApprovalPage) -> None:
        self.shown.append(page.text)

    def agrees(self, question: str, *, word: str) -> bool:
        self.shown.append(question)
        return self.answers

    def seal(self) -> Seal:
        assert self.key is not None, "no passphrase was expected to be asked for"
        return self.key


def planned(root: Path, *, at: datetime = AS_OF, **request: object) -> RebalanceResult:
    """A dry run that comes to a plan."""
    result = run_skill({"workspace": root, "as_of": at, "dry_run": True, **request}, now=at)
    assert result.status == "planned", result.error or result.decision
    return result


def approved(root: Path, *, at: datetime = AS_OF, **request: object) -> str:
    """The id of a plan that a person has approved."""
    result = planned(root, at=at, **request)
    assert result.plan_id is not None
    page = approval.page_of(root, result.plan_id, now=at)
    approval.approve(root, page, user="tester", at=at, method="typed", seal=None)
    return result.plan_id


def execute(root: Path, plan_id: str, *, at: datetime = AS_OF, **more: object) -> Execution:
    """Execute an approved plan on the paper venue of the workspace."""
    return execute_rebalance_trades(
        plan_id, workspace=root, as_of=at, now=lambda: at, sleep=lambda _seconds: None, **more
    )


def run(
    root: Path, *, at: datetime = AS_OF, person: Told | None = None, **request: object
) -> RebalanceResult:
    """``run_skill`` at an instant."""
    return run_skill({"workspace": root, "as_of": at, **request}, now=at, person=person)


def hour_later(
    root: Path,
    hours: int,
    *,
    factor: Callable[[str], Decimal],
    strategies: Mapping[str, Strategy] = EXAMPLE_1,
) -> datetime:
    """One more snapshot of every strategy: the same quantities at other prices."""
    at = AS_OF + timedelta(hours=hours)
    for key, strategy in strategies.items():
        moved = [
            leg(str(one["asset"]), str(one["quantity"]), str(Decimal(str(one["price"])) * factor(key)))
            for one in strategy.positions
        ]
        before = sum(Decimal(str(one["market_value"])) for one in strategy.positions)
        own_cash = Decimal(str(strategy.capital)) - before
        value = sum((Decimal(one["market_value"]) for one in moved), own_cash)
        write_snapshot(root, key, replace(strategy, positions=moved, market_value=value), as_of=at)
    return at
