"""Mutations of what a plan binds on disk: what is held, what it is worth, what registry and returns say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from executing import EXAMPLE_1
from run import acts
from run.acts import BOOTSTRAP, FIRST, REGISTRY, SECOND, THIRD
from run.mutations import LATER, Mutation, as_changed, leg_of, own_cash_of
from workspaces import Strategy

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.errors import (
    BadDataError,
    ConfigError,
    FutureDataError,
    MissingDataError,
    RebalanceError,
    StrictYamlError,
    UnsafePathError,
)

__all__ = ["state_mutations"]


def state_mutations() -> list[Mutation]:
    """All of them, family by family."""
    return [
        *_of_quantities(),
        *_of_prices(),
        *_of_money(),
        *_of_the_registry(),
        *_of_returns(),
        *_of_files(),
    ]


# --- what is held ----------------------------------------------------------------------------------------


def _of_quantities() -> Iterator[Mutation]:
    for key in EXAMPLE_1:
        held = leg_of(key)
        asset, quantity, price = held["asset"], Decimal(held["quantity"]), Decimal(held["price"])
        capital = Decimal(str(EXAMPLE_1[key].capital))
        least = Decimal("1e-18")
        for name, now in (
            ("the smallest unit more", quantity + least),
            ("the smallest unit less", quantity - least),
            ("a thousandth more", quantity * Decimal("1.001")),
            ("twice as much", quantity * 2),
            ("nothing", Decimal(0)),
            ("short", -quantity),
        ):
            yield as_changed(
                f"state: {key} holds {name}, and is worth the same",
                acts.snapshots(
                    key,
                    leg_of(key, quantity=format(now, "f")),
                    own_cash=(capital - now * price).quantize(Decimal("1e-8")),
                ),
                rf"^The quantity of {asset} in {key} changed from {quantity} to -?[0-9.]+\.",
            )
        more = leg_of(key, asset="DOGE", quantity="1", price="0.1")
        for name, legs, told in (
            ("no position", (), f"{asset} in {key} changed from {quantity} to 0"),
            ("another asset", (leg_of(key, asset="ADA"),), f"ADA in {key} changed from 0 to {quantity}"),
            ("one asset more", (held, more), f"DOGE in {key} changed from 0 to 1"),
        ):
            yield as_changed(
                f"state: {key} holds {name}", acts.snapshots(key, *legs), f"^The quantity of {told}"
            )


def _of_prices() -> Iterator[Mutation]:
    """A value moves by more than 2 %: by price, or by the strategy's own cash."""
    for key, strategy in EXAMPLE_1.items():
        positions = Decimal(str(strategy.capital)) - own_cash_of(strategy)
        for percent in ("2.0001", "-2.0001", "2.5", "-3", "10", "-50", "300"):
            change = Decimal(str(strategy.capital)) * Decimal(percent) / 100
            factor = format(1 + change / positions, "f")
            saying = rf"^The value of {key} moved from {strategy.capital} to [0-9.]+, more than 2 % since"
            yield as_changed(
                f"price: {key} by {percent} %", acts.snapshots(key, leg_of(key, factor=factor)), saying
            )
            if change > -own_cash_of(strategy):
                yield as_changed(
                    f"capital: {key} by {percent} %",
                    acts.snapshots(key, leg_of(key), own_cash=own_cash_of(strategy) + change),
                    saying,
                )
    yield as_changed(
        "price: the total by 2.1 %, through cash, each strategy within 2 %",
        acts.bootstrap(total_capital=Decimal("61260")),
        r"^Total capital moved from 60000 to 61260, more than 2 %",
    )


def _of_money() -> Iterator[Mutation]:
    for total in ("70000", "61201", "58799", "45000"):
        yield as_changed(
            f"cash: a total of {total}",
            acts.bootstrap(total_capital=Decimal(total)),
            f"^Total capital moved from 60000 to {total}, more than 2 % since the plan",
        )
    yield as_changed(
        "cash: stated, and all of it",
        acts.bootstrap(total_capital=Decimal(38_580), cash=Decimal(0)),
        "^Total capital moved from 60000 to 38580",
    )
    yield as_changed(
        "currency: another one", acts.bootstrap(currency="EUR"), "^The currency changed from USD to EUR"
    )


# --- what the registry says ------------------------------------------------------------------------------


def _of_the_registry() -> Iterator[Mutation]:
    for key, strategy in EXAMPLE_1.items():
        percent = str(strategy.target_percent)
        for now in ("0.01", "5", "0"):
            to = format(Decimal(percent) - Decimal(now), "f") if now != "0" else "0"
            yield as_changed(
                f"target: of {key} to {to}",
                acts.registry(key, target_percent=to),
                f"^The target of {key} changed from {percent} to {to.rstrip('0').rstrip('.') or '0'}",
            )
        yield as_changed(
            f"pin: of {key}", acts.registry(key, pinned=True), f"^The pin of {key} changed from False"
        )
        for control in ("positions", "bot"):
            yield as_changed(
                f"control: {key} by {control}",
                acts.registry(key, control=control),
                f"^The control of {key} changed from unstated to {control}",
            )
        for account in ("main", key):
            yield as_changed(
                f"account: of {key} named {account}",
                acts.registry(key, account=account),
                f"^The account of {key} changed from unstated to {account}",
            )
        left = {name: one for name, one in EXAMPLE_1.items() if name != key}
        yield as_changed(
            f"strategy set: without {key}",
            acts.both(left),
            f"^The deployed strategies changed from {', '.join(EXAMPLE_1)} to {', '.join(left)}",
        )
        renamed = {f"{name}B" if name == key else name: one for name, one in EXAMPLE_1.items()}
        yield as_changed(
            f"strategy set: {key} under another id",
            acts.both(renamed),
            f"^The deployed strategies changed from .* to .*{key}B",
        )
    more = {**EXAMPLE_1, "STR-009": Strategy(capital=600, target_percent=1, name="new")}
    yield as_changed(
        "strategy set: one more", acts.both(more), "^The deployed strategies changed .* to .*STR-009"
    )


# --- what the returns say --------------------------------------------------------------------------------


def _of_returns() -> Iterator[Mutation]:
    """Other clusters, or none that can be known."""
    pair = rf"^Cluster membership changed from {FIRST}\+{SECOND} to "
    for seed in range(4):
        yield as_changed(f"returns: nobody correlates ({seed})", acts.independent(seed), pair + "none")
    for rho in ("0.3", "0.5", "0.6"):
        yield as_changed(f"returns: {SECOND} at {rho}", acts.correlating(float(rho)), pair + "none")
    for other in (FIRST, SECOND):
        act = acts.follows(THIRD, other)
        yield as_changed(f"returns: {THIRD} follows {other}", act, rf"{pair}{FIRST}\+{SECOND}\+{THIRD}")
    yield as_changed("returns: pairs swapped", acts.swaps(SECOND, THIRD), pair + rf"{FIRST}\+{THIRD}")
    for name, act in (
        ("no file", acts.without_returns),
        ("ten days", acts.returns(lambda values: values[-10:])),
        ("constant", acts.returns(lambda values: [0.001] * len(values))),
        ("all zero", acts.returns(lambda values: [0.0] * len(values))),
    ):
        yield as_changed(f"returns: {name}, of all", act, pair + "none")
    for name, change in (
        ("ten days", lambda values: values[-10:]),
        ("constant", lambda values: [0.001] * len(values)),
    ):
        yield as_changed(
            f"returns: {name}, of {THIRD}",
            acts.returns(change, THIRD),  # type: ignore[arg-type]
            f"^The cluster limit was evaluated, and cannot be now: correlation is undefined for .*{THIRD}",
        )


# --- files -----------------------------------------------------------------------------------------------


def _of_files() -> Iterator[Mutation]:
    for key in EXAMPLE_1:
        asset = leg_of(key)["asset"]
        yield as_changed(
            f"files: no snapshot of {key} left, BOOTSTRAP's capital counts",
            acts.without_snapshots(key),
            f"^The quantity of {asset} in {key} changed from [0-9.]+ to 0",
        )
    ahead = format_instant(LATER + timedelta(seconds=1))
    newest = f"live-monitoring/live-performance/{FIRST}/snapshot-2025-02-05T010000Z.yaml"
    edits = acts.edits
    cases: tuple[tuple[str, acts.Act, type[RebalanceError], str], ...] = (
        ("a snapshot of the future", acts.dates(newest, ahead), FutureDataError, "is later than this run"),
        ("two snapshots of one instant", acts.double, BadDataError, "Two different snapshots claim"),
        ("a snapshot in euros", edits(newest, "as_of", "currency: EUR\nas_of"), BadDataError, "currency is"),
        ("a snapshot that owes", edits(newest, ": 20400", ": -20400"), BadDataError, "market_value"),
        ("a snapshot that is cut", edits(newest, "positions:\n", "positions: [\n"), StrictYamlError, "YAML"),
        ("a linked snapshot", acts.links(newest), UnsafePathError, "link"),
        ("no registry", acts.removes(REGISTRY), MissingDataError, "no registry"),
        ("a linked registry", acts.links(REGISTRY), UnsafePathError, "link"),
        ("a key twice", edits(REGISTRY, "strategies:", "a: 1\na: 2\nstrategies:"), StrictYamlError, "twice"),
        ("a tag", edits(REGISTRY, "status: deployed", "status: !x deployed"), StrictYamlError, "tag"),
        ("targets of 120 %", edits(REGISTRY, "percent: 34", "percent: 90"), BadDataError, "more than 100 %"),
        ("targets that disagree", edits(REGISTRY, "percent: 34", "percent: 30"), BadDataError, "The target"),
        ("a retired strategy", edits(REGISTRY, "deployed", "retired"), BadDataError, "status 'retired'"),
        ("no BOOTSTRAP", acts.removes(BOOTSTRAP), MissingDataError, "no BOOTSTRAP.md"),
        ("a linked BOOTSTRAP", acts.links(BOOTSTRAP), UnsafePathError, "link"),
        ("a negative total", edits(BOOTSTRAP, ": 60000", ": -60000"), BadDataError, "total_capital"),
        ("a BOOTSTRAP of the future", acts.dates(BOOTSTRAP, ahead), FutureDataError, "is later than this"),
        ("two blocks of ours", acts.second_block, BadDataError, "2 yaml blocks hold"),
        ("a key of no configuration", acts.configures("max_total: 90"), ConfigError, "max_total"),
        ("a cut configuration", acts.edits_config("portfolio_rebalance: ["), ConfigError, "YAML"),
        ("a linked configuration", acts.linked_config, UnsafePathError, "link"),
    )
    for name, act, kind, saying in cases:
        yield Mutation(name=f"files: {name}", act=act, kind=kind, saying=saying)
