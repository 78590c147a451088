"""Every attack, run: no harm is done, and no two of them did the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from attack_oracle import faults_of, ran

from portfolio_rebalance.evals.attacks import AttackCase, attack_cases
from portfolio_rebalance.evals.scenario import load_scenarios

pytestmark = pytest.mark.proof


def cases() -> Iterator[AttackCase]:
    for scenario in load_scenarios(files("portfolio_rebalance.evals") / "scenarios" / "attacks"):
        yield from attack_cases(scenario)


def test_no_attack_does_harm_and_no_two_are_the_same(tmp_path: Path) -> None:
    done: dict[str, str] = {}
    found: dict[str, list[str]] = {}
    for number, case in enumerate(cases()):
        folder = tmp_path / str(number)
        attack = ran(case, folder / "case")
        if faults := faults_of(attack):
            found[case.id] = faults
        if attack.done in done:
            found.setdefault(case.id, []).append(f"it is what {done[attack.done]} is")
        done[attack.done] = case.id
        shutil.rmtree(folder)
    assert found == {}
    assert len(done) >= 400
