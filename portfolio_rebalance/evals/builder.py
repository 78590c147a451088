"""From a scenario's workspace to files, written the way people and other tools write them."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Final

from portfolio_rebalance.clock import format_instant, parse_instant
from portfolio_rebalance.errors import BadDataError
from portfolio_rebalance.evals.scenario import ReturnsSpec, StrategySpec, WorkspaceSpec
from portfolio_rebalance.skill import run_skill

__all__ = ["build"]

_DEPLOYED: Final = date(2024, 1, 1)
_HOLE: Final = 12
_NEW: Final = 10
_JOINED: Final = 30
_VOLATILITY: Final = Decimal("0.02")
_MEAN: Final = 0.001


def build(spec: WorkspaceSpec, folder: Path) -> Path:
    """Write a workspace to ``folder/.crypto`` and return that folder.

    Raises:
        BadDataError: The scenario names a column, a defect or a strategy that is not there.
    """
    root = folder / ".crypto"
    as_of = parse_instant(spec.as_of, where="as_of")
    if spec.earlier_total is not None:
        _run_earlier(spec, folder, at=as_of - timedelta(days=1), total=spec.earlier_total)
    strategies = dict(spec.strategies)
    for number in range(spec.many):
        strategies[f"STR-M{number:03d}"] = StrategySpec(capital=spec.many_capital)
    _write(root, "BOOTSTRAP.md", _bootstrap(spec, strategies, as_of))
    _write(root, "knowledge/registry.yaml", _registry(spec, strategies, as_of))
    if spec.config:
        lines = "\n".join(f"  {line}" for line in spec.config.splitlines())
        _write(root, "config/portfolio-rebalance.yaml", f"portfolio_rebalance:\n{lines}\n")
    last = as_of.date() - timedelta(days=1)
    for key, series in _returns(spec.returns, list(strategies), last).items():
        rows = "".join(f"{day},{value!r}\n" for day, value in sorted(series.items()))
        _write(root, f"live-monitoring/live-performance/{key}/daily_returns.csv", f"date,return\n{rows}")
    for key, strategy in strategies.items():
        if strategy.snapshot_age_hours is not None:
            at = as_of - timedelta(hours=strategy.snapshot_age_hours)
            _write(
                root,
                f"live-monitoring/live-performance/{key}/snapshot-{at:%Y-%m-%dT%H%M%SZ}.yaml",
                _snapshot(strategy, at),
            )
    for path, text in spec.files.items():
        _write(root, path, text)
    if spec.halted:
        _write(root, "portfolio-rebalance/HALT", "")
    return root.resolve()


def _run_earlier(spec: WorkspaceSpec, folder: Path, *, at: datetime, total: Decimal) -> None:
    """A run by rules on the same workspace with another total; its ledger stays, its files are overwritten.

    Raises:
        BadDataError: It was refused, so that it is no run to compare with.
    """
    root = build(
        spec.model_copy(
            update={"as_of": format_instant(at), "total_capital": total, "earlier_total": None, "files": {}}
        ),
        folder,
    )
    earlier = run_skill({"workspace": str(root), "dry_run": True, "provider": "rules"}, now=at)
    if earlier.error is not None:
        raise BadDataError(
            f"The earlier run was refused: {earlier.error.what}", where="earlier_total", fix="Correct it."
        )


def _bootstrap(spec: WorkspaceSpec, strategies: Mapping[str, StrategySpec], as_of: datetime) -> str:
    total = spec.total_capital
    rows = "".join(
        f"    {key}: {{capital: {one.capital}, target: {_target(one, total) * total / 100:.2f}}}\n"
        for key, one in strategies.items()
    )
    return (
        f"# Portfolio\n\n{spec.bootstrap_note}\n\n```yaml\nportfolio_state:\n"
        f"  as_of: {format_instant(as_of - timedelta(minutes=30))}\n  total_capital: {spec.total_capital}\n"
        f"  currency: {spec.currency}\n  deployed_strategies:\n{rows}```\n"
    )


def _target(one: StrategySpec, total: Decimal) -> Decimal:
    """In percent, to four places: what it holds where none is given."""
    if one.target_percent is not None:
        return one.target_percent
    return round(100 * one.capital / total, 4)


def _registry(spec: WorkspaceSpec, strategies: Mapping[str, StrategySpec], as_of: datetime) -> str:
    deployed = min(_DEPLOYED, as_of.date())
    lines = ["strategies:"]
    for key, one in strategies.items():
        lines += [
            f"  {key}:",
            f"    name: {json.dumps(one.name or key)}",
            "    status: deployed",
            f"    target_allocation_percent: {_target(one, spec.total_capital)}",
            f"    deployed_on: {deployed}",
            f"    assets: [{', '.join(one.assets)}]",
            "    risk_profile: medium",
        ]
        lines += ["    pinned: true"] if one.pinned else []
        lines += [f"    control: {one.control}"] if one.control else []
        lines += [f"    account: {one.account}"] if one.account else []
    return "\n".join(lines) + "\n"


def _snapshot(one: StrategySpec, at: datetime) -> str:
    lines = [f"as_of: {format_instant(at)}", f"market_value: {one.capital}"]
    lines.append("positions:" if one.positions else "positions: []")
    for position in one.positions:
        asset, quantity, price = position.split()
        value = Decimal(quantity) * Decimal(price)
        lines.append(f"  - {{asset: {asset}, quantity: {quantity}, price: {price}, market_value: {value}}}")
    return "\n".join(lines) + "\n"


# Returns


def _returns(spec: ReturnsSpec, strategies: list[str], last: date) -> dict[str, dict[date, float]]:
    made = _real(spec, strategies) if spec.kind == "real" else _drawn(spec, strategies, last)
    for key, defect in spec.defects.items():
        if key not in made:
            raise BadDataError(f"{key} has no returns.", where="returns.defects", fix="Name a strategy.")
        made[key] = _spoilt(made, key, defect)
    return {key: series for key, series in made.items() if series}


def _drawn(spec: ReturnsSpec, strategies: list[str], last: date) -> dict[str, dict[date, float]]:
    """Normal returns with one common factor for each group; a strategy's draws depend on its own id."""
    days = [last - timedelta(days=back) for back in reversed(range(spec.days))]
    group_of = {key: number for number, group in enumerate(spec.groups) for key in group}
    factors = [list(_normal(f"{spec.seed}/group {number}", spec.days)) for number in range(len(spec.groups))]
    made = {}
    for key in strategies:
        own = list(_normal(f"{spec.seed}/{key}", spec.days))
        shared = float(spec.rho) ** 0.5 if key in group_of else 0.0
        factor = factors[group_of[key]] if key in group_of else [0.0] * spec.days
        mean = float(spec.drift.get(key, Decimal(str(_MEAN))))
        volatility = float(spec.volatility.get(key, _VOLATILITY))
        mixed = [shared * f + (1 - shared**2) ** 0.5 * o for f, o in zip(factor, own, strict=True)]
        made[key] = {day: round(mean + volatility * value, 8) for day, value in zip(days, mixed, strict=True)}
    return made


def _normal(seed: str, count: int) -> Iterator[float]:
    draw = random.Random(seed)  # noqa: S311 - synthetic returns, the same on every machine
    return (draw.gauss(0, 1) for _ in range(count))


def _real(spec: ReturnsSpec, strategies: list[str]) -> dict[str, dict[date, float]]:
    """Columns of the packaged real returns, shifted so that ``until`` keeps its own date."""
    text = (files("portfolio_rebalance.workspace") / "demo_data/sample_returns.csv").read_text("utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    until = date.fromisoformat(spec.until) if spec.until else date.fromisoformat(rows[-1]["date"])
    kept = [row for row in rows if date.fromisoformat(row["date"]) <= until][-spec.days :]
    made = {}
    for key in strategies:
        column = spec.columns.get(key)
        if column not in rows[0]:
            raise BadDataError(
                f"There is no column {column!r} for {key}.",
                where="returns.columns",
                fix=f"Columns are {', '.join(rows[0])}.",
            )
        made[key] = {date.fromisoformat(row["date"]): float(row[column]) for row in kept if row[column]}
    return made


def _spoilt(made: Mapping[str, dict[date, float]], key: str, defect: str) -> dict[date, float]:
    series = made[key]
    days = sorted(series)
    kind, _, other = defect.partition(":")
    if kind == "hole":
        return {day: series[day] for day in days if day not in days[-_HOLE - 3 : -3]}
    if kind == "constant":
        return dict.fromkeys(days, 0.001)
    if kind == "idle":
        return dict.fromkeys(days, 0.0)
    if kind == "misdated":
        return {day + timedelta(days=1): series[day] for day in days[:-1]}
    if kind == "new":
        return {day: series[day] for day in days[-_NEW:]}
    if kind == "none":
        return {}
    if kind == "percent":
        return {day: round(100 * value, 6) for day, value in series.items()}
    if kind == "copy" and other in made:
        return dict(made[other])
    if kind == "offset" and other in made:
        return {day: -value for day, value in made[other].items()}
    if kind == "late" and other in made:
        return {day + timedelta(days=1): value for day, value in sorted(made[other].items())[:-1]}
    if kind == "joins" and other in made:
        return {
            day: round(0.9 * made[other][day] + 0.1 * series[day], 8)
            if day in days[-_JOINED:]
            else series[day]
            for day in days
        }
    raise BadDataError(f"There is no defect {defect!r}.", where="returns.defects", fix="See ReturnsSpec.")


def _write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
