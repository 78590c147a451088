"""Changes of a workspace that an approved plan survives: it does not rest on them."""

from __future__ import annotations

from decimal import Decimal

from executing import EXAMPLE_1
from run import acts
from run.acts import BOOTSTRAP, FIRST, REGISTRY, SECOND, THIRD, Act
from run.mutations import leg_of

__all__ = ["indifferent"]


def indifferent() -> dict[str, Act]:
    """Changes that an approved plan survives."""
    inside = {
        f"price: {key} by {percent} %": acts.snapshots(
            key, leg_of(key, factor=str(1 + Decimal(percent) / 100))
        )
        for key in EXAMPLE_1
        for percent in ("0.5", "-0.5", "1.2", "-1.2")
    }
    exactly = Decimal(12_000) * Decimal("0.02")
    older = {key: acts.older_snapshot(key) for key in EXAMPLE_1}
    fine = {
        "price: a value by 2 % exactly, downwards": acts.snapshots(THIRD, leg_of(THIRD, factor="0.98")),
        "price: a value by 2 % exactly, through own cash": acts.snapshots(
            SECOND, leg_of(SECOND), own_cash=exactly
        ),
        "snapshot: the same again, newer": acts.snapshots(FIRST, leg_of(FIRST)),
        "snapshot: P&L figures and a note": acts.edits(
            f"live-monitoring/live-performance/{FIRST}/snapshot-2025-02-05T010000Z.yaml",
            "as_of",
            "# a note\nnote: by hand\npnl: {1h: -900.5, 4h: 12, 1d: null}\nas_of",
        ),
        "registry: other names": lambda scene: [
            scene.edit_entry(key, f'"{one.name}"', '"renamed"') for key, one in EXAMPLE_1.items()
        ],
        "registry: other assets and risk": acts.registry(FIRST, assets=("BTC", "ETH"), risk_profile="high"),
        "registry: another day of deployment": acts.registry(FIRST, deployed_on="2023-12-31"),
        "registry: unknown keys": acts.edits(REGISTRY, "    name:", "    tags: [a, {b: null}]\n    name:"),
        "registry: comments": acts.edits(REGISTRY, "strategies:", "# mine\nstrategies:  # all\n\n"),
        "registry: keys of another tool": acts.edits(REGISTRY, "strategies:", "tool: {x: 1}\nstrategies:"),
        "registry: a strategy that is not deployed": lambda scene: scene.write(
            REGISTRY, scene.path(REGISTRY).read_text() + "  STR-OLD: {status: retired, what: [ever]}\n"
        ),
        "registry: Windows line ends": lambda scene: scene.write(
            REGISTRY, scene.path(REGISTRY).read_text().replace("\n", "\r\n")
        ),
        "registry: a target written otherwise": acts.edits(REGISTRY, "percent: 34", "percent: 34.000"),
        "registry: what is not pinned says so": acts.edits(
            REGISTRY, "    name:", "    pinned: false\n    name:"
        ),
        "BOOTSTRAP: other words": acts.edits(BOOTSTRAP, "Notes of ours.", "Other notes.\n\n- and a list"),
        "BOOTSTRAP: a comment in the block": acts.edits(BOOTSTRAP, "  currency:", "  # money\n  currency:"),
        "BOOTSTRAP: an unknown key": acts.edits(BOOTSTRAP, "  currency:", "  owner: me\n  currency:"),
        "BOOTSTRAP: a newer instant": acts.edits(BOOTSTRAP, "01:30:00Z", "02:45:00Z"),
        "BOOTSTRAP: cash stated": acts.bootstrap(cash=Decimal(21_420)),
        "BOOTSTRAP: a little more cash": acts.bootstrap(total_capital=Decimal(60_500)),
        "returns: an older day more": acts.returns(lambda values: [0.01, *values]),
        "config: only comments": acts.edits_config("# nothing yet\nportfolio_rebalance: {}\n"),
        "config: the defaults, written out": acts.configures("approval_ttl_hours: 24", "cooldown_hours: 0"),
        "config: a default as a whole number": acts.configures(
            "circuit_breakers: {max_total_deployed_percent: 60.0}"
        ),
        "HALT: reductions may go on": lambda scene: scene.write("portfolio-rebalance/HALT", "reduce-only\n"),
        "a file of nobody": lambda scene: scene.write("portfolio-rebalance/notes.txt", "mine"),
    }
    return {**inside, **{f"snapshot: an older one of {key}": act for key, act in older.items()}, **fine}
