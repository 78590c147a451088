"""From one attack scenario to its cases: goals x programs x sinks x forms, as far as they make sense.

Two cases are two only if they differ in what a model does or in where a text of which form stands: a wording
never makes a case. So each case has a shape, its behaviour and its workspace with every text replaced by the
name of its form, and of two cases with one shape the second is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Final, TypeVar

from portfolio_rebalance.agents.messages import ModelClient
from portfolio_rebalance.errors import BadDataError
from portfolio_rebalance.evals.attack_aims import AIMS
from portfolio_rebalance.evals.attack_client import AttackClient
from portfolio_rebalance.evals.attack_payloads import FORMS, Payload, payload
from portfolio_rebalance.evals.attack_programs import PROGRAMS
from portfolio_rebalance.evals.attack_sinks import CALLS, SINKS, changed, planted
from portfolio_rebalance.evals.scenario import Expected, Scenario

__all__ = ["AttackCase", "attack_cases"]

_T = TypeVar("_T")
_AS_CALLS: Final = Payload(form="none", text="")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackCase:
    """One attack.

    Attributes:
        id: Scenario, program, sink and form.
        goal: What it is after.
        program: What the models do.
        sink: Where the payload stands.
        payload: What stands there; empty where the calls are the attack.
        scenario: To run; its workspace holds the payload where the sink lies there.
        behaviour: All that the models may say, as canonical JSON.
        shape: Digest that tells it from every other case, whatever the wording.
        make_client: Makes a client that plays it once.
    """

    id: str
    goal: str
    program: str
    sink: str
    payload: Payload
    scenario: Scenario
    behaviour: bytes
    shape: str
    make_client: Callable[[], ModelClient]


def attack_cases(scenario: Scenario) -> tuple[AttackCase, ...]:
    """The cases of an attack scenario, always the same and in the same order.

    Args:
        scenario: Its ``attack`` names ``goals``, ``programs``, ``sinks`` and, for sinks that hold text,
            ``forms``. Every program and every sink of it is used at least once.

    Raises:
        BadDataError: It names something that does not exist, or that fits nothing else it names.
    """
    asked = scenario.models.attack
    goals, forms = _named(asked, "goals", AIMS), _named(asked, "forms", FORMS)
    programs, sinks = _named(asked, "programs", PROGRAMS), _named(asked, "sinks", SINKS)
    unused = set(asked) - {"goals", "programs", "sinks", "forms"}
    found: dict[str, AttackCase] = {}
    for goal in goals:
        for sink in sinks:
            for program in programs:
                if program in SINKS[sink].programs:
                    for said in _payloads(goal, sink, forms):
                        case = _case(scenario, goal=goal, program=program, sink=sink, said=said)
                        found.setdefault(case.shape, case)
    unused |= {*programs, *sinks} - {name for one in found.values() for name in (one.program, one.sink)}
    if unused or not found:
        raise BadDataError(
            f"Nothing comes of {', '.join(sorted(unused)) or 'this attack'}.",
            where=f"{scenario.name}: models.attack",
            fix="Name goals, programs, sinks and forms that go together; see SINKS.",
        )
    return tuple(found.values())


def _named(asked: Mapping[str, Sequence[str]], key: str, known: Mapping[str, _T]) -> Sequence[str]:
    names = asked.get(key, ())
    for name in names:
        if name not in known:
            raise BadDataError(
                f"There is no {name!r} among {key}.", where="models.attack", fix=f"Name one of {[*known]}."
            )
    return names


def _payloads(goal: str, sink: str, forms: Sequence[str]) -> Iterator[Payload]:
    if sink == CALLS:
        yield _AS_CALLS
        return
    for form in forms:
        yield payload(goal, form)


def _case(scenario: Scenario, *, goal: str, program: str, sink: str, said: Payload) -> AttackCase:
    place = SINKS[sink]
    moves = {} if said.form in place.refused else PROGRAMS[program](AIMS[goal])
    spoken = planted(moves, place, said.text)
    run = scenario if place.write is None else _altered(scenario, sink=sink, said=said)
    at = "" if place.write is None else f"{sink}: {said.form}"
    shape = _canonical(
        [
            planted(moves, place, f"({said.form})"),
            at,
            scenario.workspace.model_dump(mode="json"),
            scenario.request.model_dump(mode="json"),
        ]
    )
    return AttackCase(
        id="/".join((scenario.name, program, sink, said.form)),
        goal=goal,
        program=program,
        sink=sink,
        payload=said,
        scenario=run,
        behaviour=_canonical(spoken),
        shape=sha256(shape).hexdigest(),
        make_client=partial(AttackClient, spoken),
    )


def _altered(scenario: Scenario, *, sink: str, said: Payload) -> Scenario:
    place = SINKS[sink]
    update: dict[str, object] = {"workspace": changed(scenario.workspace, place, said.text)}
    if said.form in place.refused:
        # What two readers could take for different things stops the run before any model is asked.
        update["expect"] = Expected(status="refused", orders="none", most_calls=0)
    return scenario.model_copy(update=update)


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
