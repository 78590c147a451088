"""Runs led by the small model: how they are made, recorded, replayed and judged.

``python tests/local_model/record.py`` records them anew, which is needed whenever a prompt, a tool or a fact
changes: a replay is strict, and what a model said to another question is not to be passed off as its answer.
Runs of scenes go into ``tests/local_model/recorded/``, those of the evals' scenarios to the evals'
transcripts. It takes minutes, and fewer on a machine with nothing else to do; a call that is not answered in
time is recorded as the fault that it is.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

HERE = Path(__file__).parent
if __name__ == "__main__":  # as a program it finds what pytest finds by its settings
    sys.path[:0] = [str(HERE.parent), str(HERE.parent / "agents"), str(HERE.parent / "execution")]

from behaviours import Made  # noqa: E402
from judging_runs import faults_of  # noqa: E402
from messages_adapter import Adapter, serving  # noqa: E402
from model_scenes import Played, Scene, make_scene  # noqa: E402
from small_model import MODEL_ID, SmallModel  # noqa: E402

from portfolio_rebalance.agents.client import AnthropicClient  # noqa: E402
from portfolio_rebalance.agents.messages import Call, ModelClient, Reply  # noqa: E402
from portfolio_rebalance.agents.recording import RecordingClient  # noqa: E402
from portfolio_rebalance.agents.redacting import RedactingClient  # noqa: E402
from portfolio_rebalance.config_llm import Llm, LlmAgents  # noqa: E402
from portfolio_rebalance.evals.scenario import Scenario, load_scenarios  # noqa: E402
from portfolio_rebalance.evals.scorers import SCORERS  # noqa: E402
from portfolio_rebalance.evals.transcripts import TRANSCRIPTS  # noqa: E402
from portfolio_rebalance.evals.world import observe  # noqa: E402
from portfolio_rebalance.redaction import Redactor, known_secrets  # noqa: E402

RECORDED = HERE / "recorded"
SCENES = {"breach, pre-approved": "breach-pre-approved.jsonl", "improvement": "improvement.jsonl"}
"""Name of a scene, and the file of its recording."""
SETTINGS = Llm.model_validate(
    {"max_seconds": 3600, "agents": {role: {"model": MODEL_ID} for role in LlmAgents.model_fields}}
)
REDACT = Redactor(known_secrets({})).redact
_NOW = 1000.0
"""The budget's seconds stand still here, so that a slow machine comes to the same result."""


@dataclass
class Heard:
    """A client that remembers what was said, for the judge.

    Attributes:
        made: Every call.
        honest: What it counts are real tokens.
    """

    inner: ModelClient
    made: list[Made] = field(default_factory=list)
    honest: bool = True
    _lock: Lock = field(default_factory=Lock)

    @property
    def provider(self) -> str:
        return self.inner.provider

    def complete(self, call: Call) -> Reply:
        reply: Reply | None = None
        try:
            reply = self.inner.complete(call)
        finally:
            with self._lock:
                self.made.append(Made(call=call, reply=reply, at=_NOW))
        return reply


def client_of(address: str) -> AnthropicClient:
    """The real client, through the real SDK, to an adapter."""
    return AnthropicClient(
        "no-key-is-needed",
        base_url=address,
        redact=REDACT,
        clock=time.monotonic,
        now=lambda: datetime.now(UTC),
        sleep=time.sleep,
        random=random.random,
    )


def recording_of(address: str) -> RecordingClient:
    """The same, and what is said is kept."""
    real = RedactingClient(client_of(address), redact=REDACT)
    return RecordingClient(real, provenance="local-model", redact=REDACT)


def judged(scene: Scene, client: ModelClient) -> tuple[Played, list[str]]:
    """A run under a client, and everything about it that must not be."""
    heard = Heard(client)
    played = scene.play(heard, settings=SETTINGS, clock=lambda: _NOW)
    return played, faults_of(scene, heard, SETTINGS, played)  # type: ignore[arg-type]


def eval_scenarios() -> tuple[Scenario, ...]:
    """Scenarios of the evals that this model leads."""
    return tuple(one for one in load_scenarios() if one.models.transcript.startswith("local-model-"))


def record_scenario(scenario: Scenario, address: str, folder: Path) -> None:
    """Record one anew; what the scenario expects is not asked yet, that nothing unsafe happens is."""
    client = recording_of(address)
    seen = observe(scenario, folder, client=client, clock=lambda: _NOW)
    faults = [fault for one in SCORERS if one.kind == "safety" for fault in one.judge(seen).faults]
    if faults:
        sys.exit(f"{scenario.name}: {faults}")
    name = f"{scenario.models.transcript}.jsonl"
    made = client.write(folder=folder / "made", name=name, notes={"scenario": scenario.name})
    (TRANSCRIPTS / name).write_bytes(made.read_bytes())
    print(f"{scenario.name}: {len(seen.calls)} calls, {seen.result.status}", flush=True)


def main() -> None:
    """Record every scene and every scenario anew."""
    adapter = Adapter(SmallModel())
    with serving(adapter) as address, tempfile.TemporaryDirectory() as scratch:
        for scenario in eval_scenarios():
            (Path(scratch) / scenario.name).mkdir()
            record_scenario(scenario, address, Path(scratch) / scenario.name)
        for number, (name, file) in enumerate(SCENES.items()):
            folder = Path(scratch, str(number))
            folder.mkdir()
            client, began = recording_of(address), time.monotonic()
            played, faults = judged(make_scene(name, folder), client)
            if faults or adapter.bugs:
                sys.exit(f"{name}: {faults} {adapter.bugs}")
            made = client.write(folder=folder / "made", name=file, notes={"scene": name})
            RECORDED.mkdir(exist_ok=True)
            (RECORDED / file).write_bytes(made.read_bytes())
            calls = sum(one.calls for one in played.spent)
            print(f"{name}: {calls} calls, {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
