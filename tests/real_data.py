"""The shipped returns as a workspace or a table, at any date."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from pathlib import Path

from workspaces import Strategy, make_workspace

SAMPLE = files("portfolio_rebalance") / "workspace" / "demo_data" / "sample_returns.csv"


def sample() -> dict[str, dict[date, float]]:
    """Strategy name to its returns by day."""
    with SAMPLE.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    names = [name for name in rows[0] if name != "date"]
    return {name: {date.fromisoformat(row["date"]): float(row[name]) for row in rows} for name in names}


def strategy_id(name: str) -> str:
    return "STR-" + name.upper().replace("_", "-")


def as_of_after(last_day: date) -> datetime:
    """Two in the morning after a day closed."""
    return datetime.combine(last_day + timedelta(days=1), time(2), tzinfo=UTC)


def real_workspace(
    folder: Path, capital: dict[str, int], *, last_day: date, config: str | None = None
) -> Path:
    """A workspace of some of the strategies with returns up to a day; capital of 100 000, targets as held."""
    return make_workspace(
        folder,
        {
            strategy_id(name): Strategy(
                capital=amount, target_percent=f"{amount / 1000:.3f}", name=name, deployed_on="2018-01-01"
            )
            for name, amount in capital.items()
        },
        as_of=as_of_after(last_day),
        total_capital=100_000,
        returns={
            strategy_id(name): {day: value for day, value in sample()[name].items() if day <= last_day}
            for name in capital
        },
        config=config,
    )
