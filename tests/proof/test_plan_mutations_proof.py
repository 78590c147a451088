"""Every mutation of an approved plan is refused; what is none is executed; plans outlive a day of prices."""

from __future__ import annotations

from pathlib import Path

import pytest
from run.envelope import PORTFOLIOS, wander
from run.indifferent import indifferent
from run.mutated import all_mutations
from run.mutations import Template, check_executed, check_refused, copied, make_template

MUTATIONS = 500
CHUNKS = 8
WALKS = 40


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.mark.proof
def test_there_are_five_hundred_mutations_and_no_two_are_alike(template: Template) -> None:
    names = [mutation.name for mutation in all_mutations(template)]
    assert len(names) == len(set(names)) >= MUTATIONS


@pytest.mark.proof
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_mutation_is_refused_for_its_own_reason(template: Template, tmp_path: Path, chunk: int) -> None:
    mutations = all_mutations(template)[chunk::CHUNKS]
    assert len(mutations) >= MUTATIONS // CHUNKS
    for mutation in mutations:
        with copied(template, tmp_path) as scene:
            check_refused(mutation, scene)


@pytest.mark.proof
def test_what_is_no_difference_keeps_no_plan_from_being_executed(template: Template, tmp_path: Path) -> None:
    acts = indifferent()
    assert len(acts) >= 40
    for act in acts.values():
        with copied(template, tmp_path) as scene:
            check_executed(scene, act)


@pytest.mark.proof
@pytest.mark.parametrize("name", PORTFOLIOS)
def test_a_plan_survives_forty_days_of_hourly_prices(tmp_path: Path, name: str) -> None:
    """Refused is only what no sizes within 5 % of the approved ones could bring within the limits."""
    found = wander(name, tmp_path, walks=WALKS)
    assert found.wrong == {}
    assert found.executed >= WALKS * 3 // 4
    assert found.executed + found.impossible + found.within_costs == WALKS
