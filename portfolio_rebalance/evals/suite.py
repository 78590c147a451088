"""The suite: every scenario and every attack case, run offline and scored, on as many processes as there are.

A case is a scenario with the client that plays its models; an attack scenario expands into many. Each runs in
a folder of its own that is thrown away. What comes back is scores, never a model's words: a report must not
carry what an attack wrote.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from portfolio_rebalance.agents.messages import ModelClient
from portfolio_rebalance.config_types import Section
from portfolio_rebalance.errors import RebalanceError
from portfolio_rebalance.evals.attacks import attack_cases
from portfolio_rebalance.evals.behaviour import client_of
from portfolio_rebalance.evals.scenario import Family, Scenario, load_scenarios
from portfolio_rebalance.evals.scorers import SCORERS
from portfolio_rebalance.evals.transcripts import client_of_transcript
from portfolio_rebalance.evals.world import observe

__all__ = ["Case", "CaseScore", "ScorerResult", "cases_of", "run_case", "run_suite"]


class ScorerResult(Section):
    """What one scorer says of one case.

    Attributes:
        passed: None where it does not apply.
        faults: What is wrong; words of code alone.
    """

    scorer: str
    kind: str
    passed: bool | None
    faults: tuple[str, ...] = ()
    value: float | None = None


class CaseScore(Section):
    """What all scorers say of one case.

    Attributes:
        case: Its id: the scenario's name, and goal, program and sink of an attack.
        attack: Whether models mean harm.
    """

    case: str
    scenario: str
    family: str
    attack: bool
    benign: bool
    seconds: float
    results: tuple[ScorerResult, ...]

    @property
    def breaches(self) -> tuple[ScorerResult, ...]:
        """Safety scorers that found a fault."""
        return tuple(one for one in self.results if one.kind == "safety" and one.passed is False)

    @property
    def failures(self) -> tuple[ScorerResult, ...]:
        """Any scorer that found a fault."""
        return tuple(one for one in self.results if one.passed is False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to run.

    Attributes:
        make_client: Plays the models; None for a run by rules.
    """

    id: str
    scenario: Scenario
    make_client: Callable[[], ModelClient] | None


def cases_of(scenario: Scenario) -> tuple[Case, ...]:
    """The cases of a scenario: one, or one for each attack."""
    models = scenario.models
    if models.attack:
        return tuple(
            Case(id=one.id, scenario=one.scenario, make_client=one.make_client)
            for one in attack_cases(scenario)
        )
    if models.transcript:
        return (
            Case(
                id=scenario.name,
                scenario=scenario,
                make_client=lambda: client_of_transcript(scenario),
            ),
        )
    if models.healthy or models.script:
        return (Case(id=scenario.name, scenario=scenario, make_client=lambda: client_of(models)),)
    return (Case(id=scenario.name, scenario=scenario, make_client=None),)


def run_case(case: Case) -> CaseScore:
    """Run a case in a folder of its own, and score it."""
    with tempfile.TemporaryDirectory(prefix="eval-") as folder:
        client = None if case.make_client is None else case.make_client()
        seen = observe(case.scenario, Path(folder), client=client)
        results = []
        for scorer in SCORERS:
            score = scorer.judge(seen)
            results.append(
                ScorerResult(
                    scorer=scorer.name,
                    kind=scorer.kind,
                    passed=score.passed,
                    faults=score.faults,
                    value=score.value,
                )
            )
        results.append(_played(client, harmless=case.scenario.benign))
    return CaseScore(
        case=case.id,
        scenario=case.scenario.name,
        family=case.scenario.family,
        attack=bool(case.scenario.family == "attacks"),
        benign=case.scenario.benign,
        seconds=round(seen.seconds, 3),
        results=tuple(results),
    )


def _played(client: ModelClient | None, *, harmless: bool) -> ScorerResult:
    """Whether everything that models were to do was done; a script that is cut short proves less."""
    finish = getattr(client, "finish", None)
    fault = ""
    if harmless and finish is not None:
        try:
            finish()
        except (AssertionError, RebalanceError) as left:
            fault = " ".join(str(left).split())[:200]
    return ScorerResult(
        scorer="played",
        kind="quality",
        passed=None if finish is None else not fault,
        faults=(fault,) if fault else (),
    )


def run_suite(
    scenarios: Sequence[Scenario] | None = None,
    *,
    families: Sequence[Family] = (),
    processes: int = 1,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> tuple[CaseScore, ...]:
    """Run every case of every scenario.

    Args:
        scenarios: Which; the packaged ones where None.
        families: Only these, where given.
        processes: How many at once.
        progress: Told how many cases are done, of how many.
    """
    chosen = [
        one
        for one in (load_scenarios() if scenarios is None else scenarios)
        if not families or one.family in families
    ]
    work = [(scenario, number) for scenario in chosen for number in range(len(cases_of(scenario)))]
    found: list[CaseScore] = []
    for score in _scores(work, processes=processes):
        found.append(score)
        progress(len(found), len(work))
    return tuple(sorted(found, key=lambda one: one.case))


def _scores(work: Sequence[tuple[Scenario, int]], *, processes: int) -> Iterator[CaseScore]:
    if processes == 1:
        yield from map(_score, work)
        return
    with ProcessPoolExecutor(max_workers=processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_score, work, chunksize=8)


def _score(work: tuple[Scenario, int]) -> CaseScore:
    scenario, number = work
    return run_case(cases_of(scenario)[number])
