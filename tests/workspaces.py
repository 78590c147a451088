"""Workspaces to try things on: written as text, the way people and other tools write them.

``make_workspace(tmp_path)`` gives the three strategies of the specification's worked example. Everything can
be changed: pass other strategies, returns, instants, or whole files as text.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from portfolio_rebalance.clock import Clock, format_instant
from portfolio_rebalance.errors import RebalanceError

AS_OF = datetime(2025, 2, 5, 2, tzinfo=UTC)
MODES = ("proportional", "correlation_aware", "performance_weighted", "risk_adjusted", "minimal_turnover")

Number = int | float | str | Decimal
Returns = Sequence[float] | Mapping[date, float] | None


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """One strategy, as BOOTSTRAP, registry and snapshot state it.

    Attributes:
        capital: In BOOTSTRAP, and ``market_value`` of the snapshot unless that differs.
        target_percent: In the registry.
        target: In BOOTSTRAP, as money; the percentage of its total, to the cent, where None.
        status: In the registry; None leaves the strategy out of it.
        in_bootstrap: Whether BOOTSTRAP lists it.
        snapshot: Whether it has one.
        market_value: Of the snapshot; ``capital`` where None.
        snapshot_age: How long before the workspace's ``as_of``.
        snapshot_currency: Stated in the snapshot; None states none.
        positions: Mappings of asset, quantity, price, market_value.
        pnl: By window.
        registry_extra: More lines of the registry entry, as a mapping of plain values.
    """

    capital: Number
    target_percent: Number
    target: Number | None = None
    name: str | None = None
    status: str | None = "deployed"
    in_bootstrap: bool = True
    pinned: bool = False
    control: str | None = None
    account: str | None = None
    assets: Sequence[str] = ("BTC",)
    risk_profile: str | None = "medium"
    deployed_on: str = "2024-01-01"
    snapshot: bool = True
    market_value: Number | None = None
    snapshot_age: timedelta = timedelta(hours=1)
    snapshot_currency: str | None = None
    positions: Sequence[Mapping[str, Number]] = ()
    pnl: Mapping[str, Number | None] | None = None
    registry_extra: Mapping[str, Any] | None = None


STR_001 = Strategy(capital=20_400, target_percent="33.3333", target=20_000, name="funding arb")
STR_003 = Strategy(capital=12_100, target_percent=20, target=12_000, name="yield opt")
STR_007 = Strategy(capital=6_200, target_percent=10, target=6_000, name="spot vol")
THREE: Mapping[str, Strategy] = {"STR-001": STR_001, "STR-003": STR_003, "STR-007": STR_007}
"""Capital 20 400 / 12 100 / 6 200 of 60 000: 34.00 / 20.17 / 10.33 %; drift 2.00 / 0.83 / 3.33 %."""


def clock_at(as_of: datetime = AS_OF, *, fixed: bool = True, now: datetime | None = None) -> Clock:
    """A clock fixed at ``as_of``, or one that follows a machine whose time that is."""
    return Clock.at(as_of, now=now or as_of) if fixed else Clock.live(as_of)


def make_workspace(
    folder: Path,
    strategies: Mapping[str, Strategy] = THREE,
    *,
    as_of: datetime = AS_OF,
    total_capital: Number = 60_000,
    cash: Number | None = None,
    currency: str = "USD",
    bootstrap_age: timedelta = timedelta(minutes=30),
    returns: Mapping[str, Returns] | None = None,
    return_days: int = 90,
    last_return: date | None = None,
    config: str | None = None,
    bootstrap: str | None = None,
    registry: str | None = None,
) -> Path:
    """Write a workspace to ``folder/.crypto`` and return that folder, resolved.

    Args:
        folder: Any folder; made if missing.
        strategies: By id, in the order in which the files list them.
        as_of: The instant that everything is dated against: a run at that instant finds all of it fresh.
        total_capital: BOOTSTRAP's.
        cash: BOOTSTRAP's; None leaves it out.
        currency: BOOTSTRAP's.
        bootstrap_age: How long before ``as_of`` BOOTSTRAP was written.
        returns: By id: values ending on ``last_return`` (NaN is left out), or by date; None for no file. A
            strategy that is not named gets random ones, seeded by its id.
        return_days: How many random ones.
        last_return: Last day of returns given without dates; the last closed day where None.
        config: Text of the configuration file; None for none.
        bootstrap: Text of BOOTSTRAP.md instead of the one made of ``strategies``.
        registry: Text of the registry instead.
    """
    root = folder / ".crypto"
    stated_at = format_instant(as_of - bootstrap_age)
    _write(
        root / "BOOTSTRAP.md",
        bootstrap_text(strategies, as_of=stated_at, total_capital=total_capital, cash=cash, currency=currency)
        if bootstrap is None
        else bootstrap,
    )
    _write(root / "knowledge/registry.yaml", registry_text(strategies) if registry is None else registry)
    if config is not None:
        _write(root / "config/portfolio-rebalance.yaml", config)
    last = last_return or as_of.date() - timedelta(days=1)
    for key, strategy in strategies.items():
        if not strategy.in_bootstrap:
            continue
        if strategy.snapshot:
            write_snapshot(root, key, strategy, as_of=as_of - strategy.snapshot_age)
        series = (returns or {}).get(key, random_returns(key, return_days))
        if series is not None:
            write_returns(root, key, series, last_return=last)
    return root.resolve()


def bootstrap_text(
    strategies: Mapping[str, Strategy],
    *,
    as_of: str,
    total_capital: Number = 60_000,
    cash: Number | None = None,
    currency: str = "USD",
) -> str:
    """BOOTSTRAP.md with our block between a person's words and a block of another tool."""
    listed = {key: strategy for key, strategy in strategies.items() if strategy.in_bootstrap}
    rows = "".join(
        f"    {key}: {{capital: {strategy.capital}, target: {_target(strategy, total_capital)}}}\n"
        for key, strategy in listed.items()
    )
    cash_line = "" if cash is None else f"  cash: {cash}\n"
    return (
        "# Portfolio\n\nNotes of ours.\n\n```yaml\nother_tool: [1, 2\n```\n\n```yaml\nportfolio_state:\n"
        f"  as_of: {as_of}\n  total_capital: {total_capital}\n{cash_line}  currency: {currency}\n"
        f"  deployed_strategies:{chr(10) + rows if rows else ' {}' + chr(10)}```\n\nMore notes.\n"
    )


def registry_text(strategies: Mapping[str, Strategy]) -> str:
    """The registry, an entry for each strategy that has a status."""
    lines = ["# the registry"]
    entries = {key: strategy for key, strategy in strategies.items() if strategy.status is not None}
    lines.append("strategies:" if entries else "strategies: {}")
    for key, strategy in entries.items():
        lines += [
            f"  {key}:",
            f"    name: {json.dumps(strategy.name or key)}",
            f"    status: {strategy.status}",
            f"    target_allocation_percent: {strategy.target_percent}  # of total capital",
            f"    deployed_on: {strategy.deployed_on}",
            f"    assets: [{', '.join(strategy.assets)}]",
            f"    risk_profile: {_plain(strategy.risk_profile)}",
        ]
        if strategy.pinned:
            lines.append("    pinned: true")
        if strategy.control:
            lines.append(f"    control: {strategy.control}")
        if strategy.account:
            lines.append(f"    account: {strategy.account}")
        for name, value in (strategy.registry_extra or {}).items():
            lines.append(f"    {name}: {_plain(value)}")
    return "\n".join(lines) + "\n"


def write_snapshot(
    root: Path, key: str, strategy: Strategy, *, as_of: datetime, name: str | None = None
) -> Path:
    """One more snapshot of a strategy, named after its instant unless ``name`` is given."""
    value = strategy.capital if strategy.market_value is None else strategy.market_value
    lines = [f"as_of: {format_instant(as_of)}"]
    if strategy.snapshot_currency:
        lines.append(f"currency: {strategy.snapshot_currency}")
    if strategy.pnl is not None:
        lines.append(f"pnl: {{{', '.join(f'{k}: {_plain(v)}' for k, v in strategy.pnl.items())}}}")
    lines += [f"market_value: {value}", "positions:" if strategy.positions else "positions: []"]
    for leg in strategy.positions:
        lines.append(f"  - {{{', '.join(f'{k}: {_plain(v)}' for k, v in leg.items())}}}")
    path = performance_folder(root, key) / (name or f"snapshot-{as_of:%Y-%m-%dT%H%M%SZ}.yaml")
    return _write(path, "\n".join(lines) + "\n")


def write_returns(
    root: Path, key: str, series: Sequence[float] | Mapping[date, float], *, last_return: date
) -> Path:
    """The return file of a strategy; NaN is left out."""
    if not isinstance(series, Mapping):
        days = len(series)
        series = {last_return - timedelta(days=days - 1 - row): float(x) for row, x in enumerate(series)}
    rows = "".join(f"{day},{value!r}\n" for day, value in sorted(series.items()) if value == value)
    return _write(performance_folder(root, key) / "daily_returns.csv", f"date,return\n{rows}")


def random_returns(key: str, days: int) -> list[float]:
    """Returns that depend on the id alone."""
    draw = random.Random(key)
    return [round(draw.gauss(0.001, 0.02), 8) for _ in range(days)]


def performance_folder(root: Path, key: str) -> Path:
    return root / "live-monitoring/live-performance" / key


def tree(folder: Path) -> dict[str, str]:
    """What stands below a folder: every name with its kind, mode, size, time and content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (
            f"{state.st_mode:o} {state.st_mtime_ns} {state.st_ino} {content}"
        )
    return found


def line_in(root: Path, relative: str, words: str) -> str:
    """``.crypto/file:line`` of the first line of a file that holds these words."""
    lines = (root / relative).read_text().splitlines()
    return f"{root.name}/{relative}:{next(n for n, line in enumerate(lines, start=1) if words in line)}"


@contextmanager
def refused(root: Path, kind: type[RebalanceError], *, where: str, saying: str = "") -> Iterator[None]:
    """What is done inside is refused with this class, place and words, and writes nothing."""
    before = tree(root.parent)
    with pytest.raises(RebalanceError) as caught:
        yield
    error = caught.value
    assert type(error) is kind, error
    assert error.where.endswith(where) if where[-1:].isdigit() else where in error.where, error
    assert re.search(saying, error.what), error
    assert error.fix, error
    assert tree(root.parent) == before


def changed(strategies: Mapping[str, Strategy], key: str, **changes: Any) -> dict[str, Strategy]:
    """The strategies with one of them changed."""
    return {**strategies, key: replace(strategies[key], **changes)}


def _target(strategy: Strategy, total_capital: Number) -> str:
    if strategy.target is not None:
        return str(strategy.target)
    money = Decimal(str(strategy.target_percent)) * Decimal(str(total_capital)) / 100
    return format(money.quantize(Decimal("0.01")), "f")


def _plain(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path
