"""Start-up and dry run, as ratios against what any such program must import.

Pairs are interleaved (A B A B ...), so that a machine that slows down slows both; medians are compared.
Prints a table; exits with 1 when a ratio is above its bar.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from statistics import median

ROUNDS = 15
PROGRAM = str(Path(sys.executable).with_name("trading-portfolio-rebalance"))
AS_OF = "2025-02-05T02:00:00Z"


def three_strategies(folder: Path) -> Path:
    """A workspace of three strategies and thirty days."""
    capital = {"STR-001": (20400, 34), "STR-003": (12000, 20), "STR-007": (6180, 10)}
    root = folder / ".crypto"
    (root / "knowledge").mkdir(parents=True)
    rows = "\n".join(
        f"    {key}: {{capital: {money}, target: {60000 * percent // 100}}}"
        for key, (money, percent) in capital.items()
    )
    (root / "BOOTSTRAP.md").write_text(
        f"# State\n\n```yaml\nportfolio_state:\n  as_of: 2025-02-05T01:30:00Z\n  total_capital: 60000\n"
        f"  currency: USD\n  deployed_strategies:\n{rows}\n```\n"
    )
    entries = "\n".join(
        f"  {key}: {{name: {key}, status: deployed, target_allocation_percent: {percent},"
        " deployed_on: 2024-01-01, assets: [BTC], risk_profile: medium}"
        for key, (_, percent) in capital.items()
    )
    (root / "knowledge/registry.yaml").write_text(f"strategies:\n{entries}\n")
    for place, (key, (money, _)) in enumerate(capital.items()):
        live = root / "live-monitoring/live-performance" / key
        live.mkdir(parents=True)
        (live / "snapshot-2025-02-05T010000Z.yaml").write_text(
            f"as_of: 2025-02-05T01:00:00Z\npnl: {{1h: null, 4h: null, 1d: null}}\n"
            f"market_value: {money}\npositions: []\n"
        )
        with (live / "daily_returns.csv").open("w", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(["date", "return"])
            for back in range(30, 0, -1):
                day = date(2025, 2, 5) - timedelta(days=back)
                writer.writerow([day.isoformat(), f"{((back * (7 + place)) % 11 - 5) / 500:.6f}"])
    return root


def seconds(command: list[str]) -> float:
    """Wall time of one run of a command, which must succeed."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def ratio(name: str, ours: list[str], theirs: list[str], *, bar: float) -> bool:
    """Measure a pair, print its row and say whether it is within its bar."""
    seconds(ours), seconds(theirs)  # warm up
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(ROUNDS)]
    mine, peer = (median(column) for column in zip(*pairs, strict=True))
    print(f"{name:<28}{1000 * mine:>9.0f}{1000 * peer:>9.0f}{mine / peer:>8.2f}{bar:>7.1f}")
    return mine / peer <= bar


def main() -> int:
    """Measure both pairs."""
    print(f"{'':<28}{'ours ms':>9}{'peer ms':>9}{'ratio':>8}{'bar':>7}")
    with tempfile.TemporaryDirectory() as folder:
        root = three_strategies(Path(folder))
        python = [sys.executable, "-c"]
        within = [
            ratio("--help", [PROGRAM, "--help"], [*python, "import pydantic, typer"], bar=2.5),
            ratio(
                "dry run, three strategies",
                [PROGRAM, "--dry-run", "--workspace", str(root), "--as-of", AS_OF],
                [*python, "import numpy, pydantic, yaml"],
                bar=2.5,
            ),
        ]
    return 0 if all(within) else 1


if __name__ == "__main__":
    raise SystemExit(main())
