"""Rebalances in a row: what people and other tools wrote survives them, and each starts from the last."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from executing import correlated_returns, execute, leg
from workspaces import AS_OF, MODES, Strategy, clock_at, make_workspace, write_snapshot

from portfolio_rebalance import run_skill
from portfolio_rebalance.records import Execution, RebalanceResult
from portfolio_rebalance.run import approval
from portfolio_rebalance.workspace.bootstrap import read_bootstrap
from portfolio_rebalance.workspace.registry import read_registry

REBALANCES = 4
Ends = Literal["\n", "\r\n"]

REGISTRY = """\
# the desk's registry: please keep the order (ü, 你好)
owner: "desk 7"      # no key of the product's
strategies:

  # --- carry -------------------------------------------------------------
  STR-001:
    name: "funding arb"
    status: deployed
    target_allocation_percent: 34   # of total capital; by hand
    deployed_on: 2024-01-01
    assets: [BTC]
    risk_profile: medium
    x-notes: |
      target_allocation_percent: 99

      last_rebalance: kept, this is prose
  "STR-003":  # a quoted key, four more blanks
      status: deployed
      name: yield opt
      tags: [ a,{b: null} ]   # odd spacing
      target_allocation_percent:    20.00
      last_rebalance: {at: "2024-12-01T00:00:00Z", reason: "by hand: before", plan_id: "none"}
      assets: [ETH]

  STR-OLD: {status: retired, anything: [1, 2]}   # long gone
  STR-007: {name: spot vol, target_allocation_percent: 10.3, status: deployed, assets: [SOL], z: {k: 'v'}}
  STR-009:
    zeta: 1
    status: deployed
    alpha: 2
    target_allocation_percent: 5
# the end of ours
tool: {b: 1, a: [2, 3]}   # b before a
"""

BEFORE = """\
# Desk

Notes\twith a tab, and blanks at the end   \n
```yaml
other_tool: [1, 2
```
<!--
```yaml
portfolio_state: an old one, commented out
```
-->

    portfolio_state: indented, so code

```yaml
"""
BLOCK = """\
portfolio_state:
  # ours, with remarks
  as_of: 2025-02-05T01:30:00Z
  currency: USD   # before the total, on purpose
  owner: me
  total_capital: 60000
  deployed_strategies:
    # carry
    STR-001: {target: 20400.00, capital: 20400}   # target first
    STR-003:
      capital: 12000   # a remark
      note: by hand
      target: 12000.00

    "STR-007": {capital: 6180, target: 6180.00, z: [1]}
    STR-009: {capital: 3000, target: 3000.00}
  later: {x: 1}
"""
AFTER = """\
```

More notes; `portfolio_state:` in words.
~~~text
portfolio_state: no yaml
~~~
\u00a0The end, without a line break"""

STRATEGIES: Mapping[str, Strategy] = {
    "STR-001": Strategy(capital=20_400, target_percent=34, positions=[leg("BTC", "0.4", "50000")]),
    "STR-003": Strategy(capital=12_000, target_percent=20, positions=[leg("ETH", "4", "3000")]),
    "STR-007": Strategy(capital=6_180, target_percent="10.3", positions=[leg("SOL", "60", "103")]),
    "STR-009": Strategy(capital=3_000, target_percent=5, positions=[leg("ADA", "3000", "1")]),
}

_TARGET = re.compile(r"(target_allocation_percent: *)[0-9.]+")
_LAST = r'last_rebalance: \{at: "[^"]*", reason: "[^"]*", plan_id: (?:"[^"]*"|[0-9a-f]{64})\}'
_LAST_LINE, _LAST_IN_BRACES = re.compile(rf"^ *{_LAST}\r?\n", re.MULTILINE), re.compile(rf", {_LAST}")
_ROUNDING = Decimal("1e-7")
"""Of five amounts, each cut to eight places."""

_STATE = re.compile(r"((?:as_of|total_capital|capital|target): *)[^,}\s]+")


@dataclass
class Desk:
    """A workspace on which people work between rebalances.

    Attributes:
        ends: How lines end in both files.
        targets: As the registry should state them.
        cash: As the last execution left it.
        remarks: That people added to the registry.
    """

    root: Path
    ends: Ends
    draw: random.Random
    at: datetime = AS_OF
    cash: Decimal = Decimal(60_000 - 41_580)
    targets: dict[str, Decimal] = field(
        default_factory=lambda: {key: Decimal(str(one.target_percent)) for key, one in STRATEGIES.items()}
    )
    remarks: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    @property
    def registry(self) -> str:
        """The registry, byte for byte."""
        return (self.root / "knowledge/registry.yaml").read_bytes().decode()

    @property
    def bootstrap(self) -> str:
        """BOOTSTRAP, byte for byte."""
        return (self.root / "BOOTSTRAP.md").read_bytes().decode()

    def lines(self, text: str) -> str:
        """A text with this desk's line ends."""
        return text.replace("\n", self.ends)

    def snapshots(self) -> dict[str, dict[str, Any]]:
        """The newest of each strategy."""
        folder = self.root / "live-monitoring/live-performance"
        return {
            key: yaml.safe_load(max((folder / key).glob("snapshot-*.yaml")).read_text()) for key in STRATEGIES
        }

    def prices_move(self, most: float) -> None:
        """A newer snapshot of each: what it held, at other prices."""
        for key, newest in self.snapshots().items():
            factor = Decimal(f"{1 + self.draw.uniform(-most, most):.6f}")
            held = [_moved(one, factor) for one in newest["positions"]]
            before = sum((_exact(one["market_value"]) for one in newest["positions"]), Decimal(0))
            own_cash = _exact(newest["market_value"]) - before
            worth = own_cash + sum((Decimal(one["market_value"]) for one in held), Decimal(0))
            moved = Strategy(capital=0, target_percent=0, market_value=f"{worth:f}", positions=held)
            write_snapshot(self.root, key, moved, as_of=self.at)

    def person_edits(self, number: int) -> None:
        """Somebody sets the target of STR-009 anew, in both files, and leaves a remark."""
        to = Decimal(3 + number % 4)
        remark = f"# {number}: STR-009 shall have {to} %"
        registry = self.registry.replace("# the end of ours", f"# the end of ours{self.ends}{remark}", 1)
        head, key, entry = registry.partition("  STR-009:")
        self._write("knowledge/registry.yaml", head + key + _TARGET.sub(rf"\g<1>{to}", entry))
        total = Decimal(re.search(r"total_capital: *([0-9.]+)", self.bootstrap)[1])  # type: ignore[index]
        money = (to * total / 100).quantize(Decimal("0.01"))
        self._write(
            "BOOTSTRAP.md", re.sub(r"(STR-009: .*target: *)[0-9.]+", rf"\g<1>{money}", self.bootstrap)
        )
        self.targets["STR-009"] = to
        self.remarks.append(remark)

    def plan(self, number: int) -> RebalanceResult:
        """A dry run that comes to a plan: prices move, and mode follows on mode, until one does."""
        for attempt in range(4 * len(MODES)):
            self.at += timedelta(minutes=1)
            self.prices_move(0.04)
            mode = MODES[(number + attempt) % len(MODES)]
            asked = {"workspace": self.root, "mode": mode, "as_of": self.at, "dry_run": True}
            result = run_skill(asked, now=self.at)
            if result.status == "planned":
                return result
            assert result.status == "hold", result.error
        raise AssertionError("there is nothing to do")

    def rebalance(self, number: int) -> Execution:
        """Plan, approve, execute; the plan follows from where things were left."""
        result = self.plan(number)
        assert result.plan is not None
        assert result.plan_id is not None
        newest = self.snapshots()
        worth = {key: _exact(one["market_value"]) for key, one in newest.items()}
        held = {
            key: {one["asset"]: _exact(one["quantity"]) for one in newest[key]["positions"]} for key in newest
        }
        assert {one.strategy: one.capital for one in result.plan.strategies} == worth
        assert {one.strategy: dict(one.quantities) for one in result.plan.strategies} == held
        assert {one.strategy: one.target_percent for one in result.plan.strategies} == self.targets
        assert result.plan.cash == self.cash
        assert result.plan.total_capital == self.cash + sum(worth.values())
        page = approval.page_of(self.root, result.plan_id, now=self.at)
        approval.approve(self.root, page, user="tester", at=self.at, method="typed", seal=None)
        execution = execute(self.root, result.plan_id, at=self.at)
        assert execution.status == "committed", execution.reason
        assert set(execution.limits.values()) <= {"PASS", "NOT_EVALUATED"}, execution.limits_note
        for one in result.plan.strategies:
            if one.proposed_bp is not None:
                self.targets[one.strategy] = Decimal(one.proposed_bp) / 100
        self.cash = read_bootstrap(self.root, clock=clock_at(self.at)).cash
        after = sum((one.capital for one in execution.post_rebalance_allocations.values()), Decimal(0))
        assert abs(self.cash - (execution.total_capital_after - after)) <= _ROUNDING
        self.done[result.plan.mode] += 1
        return execution

    def require_kept(self) -> None:
        """But for the values that a rebalance sets, both files say what they said, to any reader."""
        registry = _without_targets(self.registry)
        added = "".join(f"{remark}{self.ends}" for remark in reversed(self.remarks))
        end = self.lines("# the end of ours\n")
        assert registry == _without_targets(self.lines(REGISTRY)).replace(end, end + added)
        assert "target_allocation_percent: 99" in self.registry
        before, after = self.lines(BEFORE), self.lines(AFTER)
        bootstrap = self.bootstrap
        assert bootstrap.startswith(before)
        assert bootstrap.endswith(after)
        block = bootstrap[len(before) : len(bootstrap) - len(after)]
        assert _STATE.sub(r"\1_", block) == _STATE.sub(r"\1_", self.lines(BLOCK))
        for text in (registry, bootstrap):
            assert text.count("\n") == text.count(self.ends)
            assert text.count("\r") == self.ends.count("\r") * text.count("\n")
        self._require_readable(block)

    def _require_readable(self, block: str) -> None:
        clock = clock_at(self.at)
        strict, loose = read_registry(self.root, clock=clock), yaml.safe_load(self.registry)["strategies"]
        first = yaml.safe_load(REGISTRY)["strategies"]
        changing = ("target_allocation_percent", "last_rebalance")
        for key in first:
            kept = [(name, value) for name, value in loose[key].items() if name not in changing]
            assert kept == [(name, value) for name, value in first[key].items() if name not in changing]
        stated = {key: one.target_percent for key, one in strict.deployed.items()}
        assert stated == self.targets
        assert {key: _exact(loose[key]["target_allocation_percent"]) for key in stated} == stated
        ours, theirs = read_bootstrap(self.root, clock=clock), yaml.safe_load(block)["portfolio_state"]
        assert ours.total_capital == _exact(theirs["total_capital"])
        assert (theirs["owner"], theirs["later"]) == ("me", {"x": 1})
        assert ours.cash == self.cash  # the block does not state it, so it must follow from the total

    def _write(self, relative: str, text: str) -> None:
        (self.root / relative).write_bytes(text.encode())


def desk_at(folder: Path, ends: Ends, *, seed: int = 1) -> Desk:
    """Four strategies, the first two correlated, in files that people keep with care."""
    root = make_workspace(
        folder,
        STRATEGIES,
        returns=correlated_returns(),
        registry=REGISTRY.replace("\n", ends),
        bootstrap=(BEFORE + BLOCK + AFTER).replace("\n", ends),
    )
    return Desk(root=root, ends=ends, draw=random.Random(seed))


def work(desk: Desk, rebalances: int) -> None:
    """So many rebalances, in all modes by turns; before every third a person edits."""
    desk.require_kept()
    for number in range(rebalances):
        if number % 3 == 2:
            desk.person_edits(number)
            desk.require_kept()
        before = desk.registry, desk.bootstrap
        execution = desk.rebalance(number)
        assert execution.successful_trades > 0
        assert desk.registry != before[0]
        assert desk.bootstrap != before[1]
        desk.require_kept()


@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_what_people_wrote_survives_rebalances(tmp_path: Path, ends: Ends) -> None:
    desk = desk_at(tmp_path, ends)
    work(desk, REBALANCES)
    assert sum(desk.done.values()) == REBALANCES


def _without_targets(registry: str) -> str:
    """The registry without what rebalances set."""
    return _LAST_IN_BRACES.sub("", _LAST_LINE.sub("", _TARGET.sub(r"\1_", registry)))


def _moved(held: dict[str, Any], factor: Decimal) -> dict[str, str]:
    price = (_exact(held["price"]) * factor).quantize(Decimal("1e-8"))
    quantity = _exact(held["quantity"])
    worth = (price * quantity).quantize(Decimal("1e-8"))
    return {**leg(held["asset"], f"{quantity:f}", f"{price:f}"), "market_value": f"{worth:f}"}


def _exact(number: object) -> Decimal:
    """A figure that YAML read as a number; a float with so few digits prints as it was written."""
    return Decimal(str(number))
