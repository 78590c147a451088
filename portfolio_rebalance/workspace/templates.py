"""The text of the files that a new workspace starts with; each explains itself.

The examples in them are ones that the readers accept: brought in as their comments say, they load.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from portfolio_rebalance.clock import format_instant

__all__ = ["bootstrap_template", "performance_template", "registry_template"]


def bootstrap_template(now: datetime) -> str:
    """BOOTSTRAP.md with no capital and nothing deployed, as of ``now``."""
    return f"""\
# Portfolio

What is deployed, and how much money there is. This document is yours: write around the block below whatever
you like. Only the one `yaml` block that begins with `portfolio_state:` is read. To add a strategy, delete the
`{{}}` behind `deployed_strategies:` and the first `# ` of the lines below it.

```yaml
portfolio_state:
  as_of: {format_instant(now)}  # required: the instant (UTC) at which these figures held
  total_capital: 0             # required: all of it, what the strategies hold and what lies idle
  # cash: 79600                # optional: what no strategy holds; computed from the total when left out
  currency: USD                # required: of every amount in the workspace, such as USD or USDT
  deployed_strategies: {{}}      # required
  #   STR-001:                 # STR- and up to 32 of A-Z, 0-9, _ and -
  #     capital: 20400         # required: its equity, as money: its positions and its own cash
  #     target: 20000          # required: what it should hold, as money; the registry says it in percent
```

Each strategy stands in `knowledge/registry.yaml` too, and the two targets must agree: 20000 here is 20 %
there where `total_capital` is 100000. Once a strategy has a snapshot in `live-monitoring/live-performance/`,
the newest snapshot counts and `capital` here does not.
"""


def registry_template() -> str:
    """A registry that knows nobody."""
    return """\
# Every strategy, deployed or not. Only those with `status: deployed` count; of the others nothing but the
# status is read. Comments, key order and keys of your own survive whatever this tool writes here.
# To add a strategy, delete the `{}` behind `strategies:` and the first `# ` of the lines below it.
strategies: {}
#   STR-001:                            # STR- and up to 32 of A-Z, 0-9, _ and -; the id in BOOTSTRAP.md
#     status: deployed                  # required
#     target_allocation_percent: 20     # required: of total capital; 0 for one that is winding down
#     name: Funding arbitrage           # optional: the id when left out
#     deployed_on: 2019-09-01           # optional: a day
#     assets: [BTC, ETH]                # optional: what it trades
#     risk_profile: medium              # optional: a word of yours
#     pinned: false                     # optional: true, and no rebalance changes it
#     control: positions                # optional: positions or bot, who moves its capital
#     account: main                     # optional: its account at the venue
"""


def performance_template(now: datetime) -> str:
    """What goes into the folder of snapshots and returns, with examples as of ``now``."""
    days = [now.date() - timedelta(days=back) for back in (4, 3, 1)]
    rows = "\n".join(f"{day},{value}" for day, value in zip(days, ("0.0123", "-0.0045", "0.0"), strict=True))
    missing = now.date() - timedelta(days=2)
    return f"""\
# What each strategy is worth, and how it did

One folder a deployed strategy, named exactly after its id in `BOOTSTRAP.md`: `STR-001/`. In it two kinds of
files are read, and no other: `snapshot-<UTC>.yaml` and `daily_returns.csv`. What else stands here,
`trading-portfolio-rebalance doctor` names.

## STR-001/snapshot-{now:%Y-%m-%dT%H%M%SZ}.yaml

What the strategy was worth at one instant. The newest `as_of` counts, before `capital` in `BOOTSTRAP.md`.
After 24 hours it is stale, which a plan says; after 7 days it is refused. Write a new file each time; old
ones may stay.

```yaml
as_of: {format_instant(now)}    # required: when these figures held, in UTC
market_value: 20400            # required: the strategy's equity: its positions and its own cash
currency: USD                  # optional: that of BOOTSTRAP.md; another one is refused
pnl:                           # optional: profit and loss as money; null or left out where unknown
  1h: 12.5
  4h: -40
  1d: null
positions:                     # optional: what it holds; in each entry all four keys are required
  - asset: BTC                 # each asset once
    quantity: 0.5              # negative when short
    price: 38000
    market_value: 19000        # quantity times price
```

## STR-001/daily_returns.csv

Simple daily returns as fractions, not percent: 0.0123 is 1.23 %. One row a day, oldest first, labelled with
the UTC date on which it closed. A day without a return is left out, as {missing} is here: never 0, never
filled in. The columns are separated by a comma. `daily_returns.parquet` with the same two columns may stand
in its place.

```csv
date,return
{rows}
```
"""
