"""``docs/live-trading.md``: its configuration is one, and its exchanges are those that are supported."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

from portfolio_rebalance.execution.ccxt_lookup import VENUES
from portfolio_rebalance.workspace import load_config

PAGE = (Path(__file__).parents[2] / "docs/live-trading.md").read_text()


def test_the_configuration_on_the_page_is_accepted(tmp_path: Path) -> None:
    shown = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert shown
    file = tmp_path / "config/portfolio-rebalance.yaml"
    file.parent.mkdir()
    file.write_text(dedent(shown[1]))
    broker = load_config(tmp_path, mode_names=("correlation_aware",)).config.broker
    assert (broker.kind, broker.exchange) == ("ccxt", "binance")
    assert broker.symbols == {"BTC": "BTC/USDT", "ETH": "ETH/USDT"}


def test_the_page_lists_the_supported_exchanges_and_their_hosts() -> None:
    rows = re.findall(r"^\| `(\w+)` \| yes \| .* \| (.*) \|$", PAGE, re.MULTILINE)
    listed = {name: set(re.findall(r"`([\w.]+)`", hosts)) for name, hosts in rows}
    assert listed == {name: set(venue.hosts | venue.sandbox_hosts) for name, venue in VENUES.items()}
