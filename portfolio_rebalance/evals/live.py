"""Live runs: the same worlds and scorers, with real models, an estimate before and a hard cap on dollars.

What scripted models do in a scenario is left out, and with it what only follows from that; the task, the
limits and the planted defects stay. A scenario passes if all of its repeats do (pass^k): a trader who runs it
once a week meets the worst of them. Here wordings count: of an attack, each text that stands in a workspace
is a scenario of its own.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_UP, Decimal
from pathlib import Path
from random import SystemRandom
from typing import Final

from portfolio_rebalance.agents.messages import ModelClient, Usage
from portfolio_rebalance.agents.models import KEY_VARIABLE, key_in
from portfolio_rebalance.agents.prices import dollars, price_of
from portfolio_rebalance.agents.recording import RecordingClient
from portfolio_rebalance.errors import BadDataError, UsageError
from portfolio_rebalance.evals.attacks import attack_cases
from portfolio_rebalance.evals.behaviour import client_of
from portfolio_rebalance.evals.scenario import Expected, ModelsSpec, Scenario
from portfolio_rebalance.evals.spending_cap import CappedClient, SpendingCap, request_bytes
from portfolio_rebalance.evals.suite import Case, CaseScore, run_case
from portfolio_rebalance.evals.world import CANARIES, observe
from portfolio_rebalance.redaction import Redactor, known_secrets

__all__ = ["Estimate", "LiveResults", "LiveScore", "estimate", "live_client", "live_scenarios", "run_live"]

_URL_VARIABLE: Final = "ANTHROPIC_BASE_URL"
_BYTES_A_TOKEN: Final = 3
"""Of a request, on the dear side: prose has four, facts and schemas somewhat less."""
_ANSWER_TOKENS: Final = 1_500
"""Of an answer, thinking included, on the dear side."""
_KEPT: Final = ("status", "exit_code", "error", "driver", "fallback", "exposure", "finds", "orders")
"""What a scenario expects whatever a model says; the rest follows from what its script says."""
_LEAVES_IT: Final = ("accept", "accept_ask_person")
"""Verdicts after which a run ends as code alone would end it."""
_CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What live runs will probably come to, reckoned before anything is sent.

    Attributes:
        runs: Scenarios times repeats.
        calls: Of runs in which all goes well.
        dollars: At list prices, whole cents, on the dear side.
    """

    runs: int
    calls: int
    dollars: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveScore:
    """One scenario over its repeats.

    Attributes:
        repeats: Asked for.
        cases: Those that were run to their end.
    """

    scenario: str
    repeats: int
    cases: tuple[CaseScore, ...]

    @property
    def passes(self) -> int:
        """Repeats in which no scorer found a fault."""
        return sum(not one.failures for one in self.cases)

    @property
    def passed_all(self) -> bool | None:
        """Whether every repeat passed; None where some were not run and none failed."""
        if self.passes < len(self.cases):
            return False
        return True if len(self.cases) == self.repeats else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveResults:
    """What live runs came to.

    Attributes:
        estimate: Made before.
        spent_dollars: At list prices; what may have been billed counts.
        scores: By scenario, in order; scenarios that were not reached are not there.
        stopped: Why not all was run; empty where all was.
        unwritten: Transcripts that could not be written, and why.
    """

    estimate: Estimate
    spent_dollars: Decimal
    scores: tuple[LiveScore, ...]
    stopped: str = ""
    unwritten: tuple[str, ...] = ()

    @property
    def cases(self) -> tuple[CaseScore, ...]:
        """All runs, as a suite gives them."""
        return tuple(case for score in self.scores for case in score.cases)


def live_scenarios(scenarios: Sequence[Scenario]) -> tuple[Scenario, ...]:
    """What of these can be run with a real model.

    Benign scenarios in which a healthy model leads; and of each attack every workspace that holds a text of
    it. Executions stay out: what is executed is the same whoever led, and is proven offline.
    """
    found: dict[str, Scenario] = {}
    for one in scenarios:
        if one.models.attack:
            for variant in _poisoned(one):
                found.setdefault(variant.name, variant)
        elif one.models.healthy and one.benign and one.models.verdict in _LEAVES_IT and not _executes(one):
            found[one.name] = _live(one, name=one.name)
    return tuple(found.values())


def estimate(scenarios: Sequence[Scenario], *, repeats: int) -> Estimate:
    """Reckon what live runs will come to, from the requests of a run in which all goes well.

    Args:
        scenarios: As :func:`live_scenarios` gives them.
        repeats: Of each.
    """
    calls, total = 0, Decimal(0)
    for scenario in scenarios:
        with tempfile.TemporaryDirectory(prefix="estimate-") as folder:
            seen = observe(scenario, Path(folder), client=client_of(ModelsSpec(healthy=True)))
        for call in seen.calls:
            model = call.request["model"]
            calls += repeats
            answer = dollars(Usage(output_tokens=_ANSWER_TOKENS), model=model)
            reading = price_of(model).cache_write * (request_bytes(call) // _BYTES_A_TOKEN) / 1_000_000
            total += repeats * (answer + reading)
    return Estimate(
        runs=repeats * len(scenarios), calls=calls, dollars=total.quantize(_CENT, rounding=ROUND_UP)
    )


def run_live(
    scenarios: Sequence[Scenario],
    *,
    repeats: int,
    cap_dollars: Decimal,
    client_factory: Callable[[], ModelClient],
    environment: Mapping[str, str],
    record_to: Path | None = None,
    progress: Callable[[str], None] = lambda _what: None,
) -> LiveResults:
    """Run scenarios with real models, each so many times, and score them as a suite does.

    Every call is held against the cap before it is sent, so what is spent never passes it. A run that the cap
    ends is not scored, nor is one that the account or the key ends: nothing after it is run.

    Args:
        scenarios: As :func:`live_scenarios` gives them.
        repeats: At least 1.
        cap_dollars: For all of it, at list prices.
        client_factory: Makes the client of a run.
        environment: Whose secrets no transcript may hold.
        record_to: Folder for a transcript of each run, ``<scenario>-<repeat>.jsonl``; None keeps none.
        progress: Told of each run before it begins.

    Raises:
        UsageError: The estimate is beyond the cap, there are no repeats, or a transcript of one of the names
            is there already. Nothing was sent.
    """
    if repeats < 1:
        raise UsageError("Runs are repeated at least once.", where="--repeats", fix="Give 1 or more.")
    _require_free(scenarios, repeats, record_to)
    reckoned = estimate(scenarios, repeats=repeats)
    if reckoned.dollars > cap_dollars:
        raise UsageError(
            f"About {reckoned.dollars} dollars would be spent; the cap is {cap_dollars}. Nothing was sent.",
            where="--max-dollars",
            fix="Raise the cap, run fewer scenarios, or repeat them less often.",
        )
    cap = SpendingCap(cap_dollars)
    redact = _redaction(environment)
    scores: list[LiveScore] = []
    unwritten: list[str] = []
    for scenario in scenarios:
        cases: list[CaseScore] = []
        for number in range(1, repeats + 1):
            spent = cap.spent.quantize(_CENT)
            so_far = f"{spent} dollars so far of about {reckoned.dollars}"
            progress(f"{scenario.name}, run {number} of {repeats}, {so_far}")
            kept = RecordingClient(CappedClient(client_factory(), cap=cap), provenance="live", redact=redact)
            case = run_case(_case(scenario, number, kept))
            if cap.stopped:
                break
            cases.append(case)
            if record_to is not None:
                unwritten += _written(kept, record_to, _file_name(scenario, number))
        if cases:
            scores.append(LiveScore(scenario=scenario.name, repeats=repeats, cases=tuple(cases)))
        if cap.stopped:
            break
    return LiveResults(
        estimate=reckoned,
        spent_dollars=cap.spent,
        scores=tuple(scores),
        stopped=cap.stopped,
        unwritten=tuple(unwritten),
    )


def live_client(environment: Mapping[str, str]) -> ModelClient:
    """A client of the real provider.

    Raises:
        UsageError: There is no key.
    """
    from portfolio_rebalance.agents.client import AnthropicClient

    key = key_in(environment)
    if not key:
        raise UsageError(
            "Live runs need a key.", where=KEY_VARIABLE, fix=f"Set {KEY_VARIABLE}, or leave --live out."
        )
    return AnthropicClient(
        key,
        base_url=environment.get(_URL_VARIABLE) or None,
        redact=_redaction(environment),
        clock=time.monotonic,
        now=lambda: datetime.now(UTC),
        sleep=time.sleep,
        random=SystemRandom().random,
    )


def _live(scenario: Scenario, *, name: str) -> Scenario:
    """The scenario without what its models were told to do, and without what follows from that alone."""
    expect = {key: getattr(scenario.expect, key) for key in _KEPT}
    if scenario.models.attack:
        expect["driver"] = None
    return scenario.model_copy(
        update={
            "name": name,
            "models": ModelsSpec(healthy=True),
            "expect": Expected.model_validate(expect),
        }
    )


def _poisoned(scenario: Scenario) -> Sequence[Scenario]:
    """The scenario once for each text of the attack that stands in its workspace."""
    found: dict[str, Scenario] = {}
    for case in attack_cases(scenario):
        if case.scenario.workspace != scenario.workspace and not _executes(scenario):
            slug = re.sub(r"[^a-z0-9]+", "-", f"{scenario.name} {case.sink} {case.payload.form}".lower())
            name = slug.strip("-")[:80]
            found.setdefault(name, _live(case.scenario, name=name))
    return tuple(found.values())


def _executes(scenario: Scenario) -> bool:
    return scenario.request.execute or "--execute" in (scenario.request.text or "")


def _case(scenario: Scenario, number: int, client: ModelClient) -> Case:
    return Case(id=f"{scenario.name}#{number}", scenario=scenario, make_client=lambda: client)


def _redaction(environment: Mapping[str, str]) -> Callable[[str], str]:
    """Takes out the secrets of this machine, and those that are planted in every scenario."""
    theirs, planted = Redactor(known_secrets(environment)), Redactor(known_secrets(CANARIES))
    return lambda text: planted.redact(theirs.redact(text))


def _file_name(scenario: Scenario, number: int) -> str:
    return f"{scenario.name}-{number}.jsonl"


def _require_free(scenarios: Sequence[Scenario], repeats: int, folder: Path | None) -> None:
    """A name that is taken would be noticed only after the run was paid for."""
    if folder is None:
        return
    for scenario in scenarios:
        for number in range(1, repeats + 1):
            if (folder / _file_name(scenario, number)).exists():
                raise UsageError(
                    "A transcript of this name is there already.",
                    where=str(folder / _file_name(scenario, number)),
                    fix="Record into another folder.",
                )


def _written(client: RecordingClient, folder: Path, name: str) -> list[str]:
    """What kept a transcript from being written: the run is paid for and scored, whatever becomes of it."""
    try:
        client.write(folder=folder, name=name)
    except BadDataError as error:
        return [f"{name}: {error}"]
    return []
