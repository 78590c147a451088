"""The models of one run: which client answers, what is recorded, what it all cost.

``open_models`` decides once, from the request, the configuration and the environment; without a key there are
none, and the rules lead the run. A key is read from the environment alone and goes nowhere but to the client.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from random import SystemRandom
from threading import Thread
from typing import Final

from portfolio_rebalance.agents.budget import Budget
from portfolio_rebalance.agents.executor import explain_execution
from portfolio_rebalance.agents.feedback import causes_by_model
from portfolio_rebalance.agents.messages import ModelClient
from portfolio_rebalance.agents.monitor import explain_tick
from portfolio_rebalance.agents.orchestrator import drive_by_model
from portfolio_rebalance.agents.preflight import retiring_models
from portfolio_rebalance.agents.recording import RecordingClient
from portfolio_rebalance.agents.redacting import RedactingClient
from portfolio_rebalance.agents.replay import ReplayClient
from portfolio_rebalance.agents.transcript_files import open_transcript
from portfolio_rebalance.config_llm import Llm
from portfolio_rebalance.errors import UsageError
from portfolio_rebalance.records import (
    Execution,
    Learned,
    Outcome,
    RebalanceRequest,
    RebalanceResult,
    Spend,
    Tick,
)
from portfolio_rebalance.redaction import Redactor, known_secrets
from portfolio_rebalance.run import Session

__all__ = ["KEY_VARIABLE", "Models", "key_in", "open_models"]

KEY_VARIABLE: Final = "ANTHROPIC_API_KEY"
_PREFLIGHT_SECONDS: Final = 1.0
_URL_VARIABLE: Final = "ANTHROPIC_BASE_URL"


class Models:
    """Models that take part in one run.

    Args:
        client: Answers.
        settings: Models and budget.
        clock: Seconds that only grow.
        recording: The same client, where it is recorded, and the folder for the transcript.
        replay: The same client, where it replays.
        warnings: About the models themselves.
    """

    def __init__(
        self,
        client: ModelClient,
        *,
        settings: Llm,
        clock: Callable[[], float] = time.monotonic,
        recording: tuple[RecordingClient, Path] | None = None,
        replay: ReplayClient | None = None,
        warnings: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._client = client
        self._settings = settings
        self._recording = recording
        self._replay = replay
        self._warnings = warnings
        self._budget = Budget(settings, clock=clock)

    def drive(
        self,
        session: Session,
        *,
        finish: Callable[[], RebalanceResult],
        execute: Callable[[RebalanceResult], None] | None,
        progress: Callable[[str], None],
    ) -> RebalanceResult:
        """Lead a run; see :func:`.drive_by_model`."""
        return drive_by_model(
            session,
            client=self._client,
            budget=self._budget,
            finish=finish,
            execute=execute,
            progress=progress,
        )

    def explain(self, execution: Execution, *, progress: Callable[[str], None]) -> str:
        """The order executor's words on an execution; empty where it has none, or no budget is left."""
        explained = explain_execution(
            execution,
            client=self._client,
            purse=self._budget.purse,
            settings=self._settings.agents,
            progress=progress,
        )
        return explained.text

    def explain_tick(self, tick: Tick, *, progress: Callable[[str], None]) -> str:
        """The monitor's words on a tick; empty where it has none, or no budget is left."""
        explained = explain_tick(
            tick,
            client=self._client,
            purse=self._budget.purse,
            settings=self._settings.agents,
            progress=progress,
        )
        return explained.text

    def causes(self, seen: Tick | Outcome, *, progress: Callable[[str], None]) -> tuple[Learned, ...]:
        """The causes that the feedback agent names of a divergence; none where it has none."""
        found, _ = causes_by_model(
            seen,
            client=self._client,
            purse=self._budget.purse,
            settings=self._settings.agents,
            progress=progress,
        )
        return found

    def close(self, *, name: str) -> Spend:
        """End the run's part with models: write the transcript, check the replay, count the cost.

        Args:
            name: Of the run, for the transcript's file.

        Raises:
            BadDataError: The transcript cannot be written.
            ReplayMismatchError: A recorded call was not made.
        """
        if self._replay is not None:
            self._replay.finish()
        if self._recording is not None:
            client, folder = self._recording
            client.write(folder=folder, name=f"{name}.jsonl")
        return Spend(
            provider=self._client.provider,
            agents=self._budget.spent(),
            seconds=round(self._budget.seconds_used, 3),
            warnings=self._warnings(),
        )


def key_in(environment: Mapping[str, str]) -> str:
    """The key of the model's provider; empty where there is none."""
    return environment.get(KEY_VARIABLE, "").strip()


def open_models(
    request: RebalanceRequest, *, settings: Llm, environment: Mapping[str, str], today: date
) -> Models | None:
    """The models of a run; None where the rules lead it.

    Args:
        request: May name a provider, a transcript to replay, a folder to record into.
        settings: ``llm`` of the configuration.
        environment: Holds the key.
        today: For warnings of models that retire.

    Raises:
        UsageError: A model is asked for and there is no key; or there is nothing to record.
        BadDataError: The transcript to replay cannot be read.
    """
    redact = Redactor(known_secrets(environment)).redact
    if request.replay is not None:
        if request.provider is not None or request.record is not None:
            raise UsageError(
                "A replay asks no model and records nothing.",
                where="--replay",
                fix="Leave --provider and --record out.",
            )
        replay = ReplayClient(open_transcript(Path(request.replay)), redact=redact)
        return Models(RedactingClient(replay, redact=redact), settings=settings, replay=replay)
    provider = request.provider or settings.provider
    key = key_in(environment)
    if provider == "rules" or (provider == "auto" and not key):
        if request.record is not None:
            raise UsageError(
                "There is nothing to record: no model takes part.",
                where="--record",
                fix=f"Set {KEY_VARIABLE}, or leave --record out.",
            )
        return None
    if not key:
        raise UsageError(
            "A model is asked for, and there is no key.",
            where=KEY_VARIABLE,
            fix=f"Set {KEY_VARIABLE} in the environment, or run with --provider rules.",
        )
    return _live(request, settings=settings, key=key, environment=environment, today=today)


def _live(
    request: RebalanceRequest, *, settings: Llm, key: str, environment: Mapping[str, str], today: date
) -> Models:
    from portfolio_rebalance.agents.client import AnthropicClient

    redact = Redactor(known_secrets(environment)).redact
    real = AnthropicClient(
        key,
        base_url=environment.get(_URL_VARIABLE) or None,
        redact=redact,
        clock=time.monotonic,
        now=lambda: datetime.now(UTC),
        sleep=time.sleep,
        random=SystemRandom().random,
    )
    client: ModelClient = RedactingClient(real, redact=redact)
    recording = None
    if request.record is not None:
        kept = RecordingClient(client, provenance="live", redact=redact)
        client, recording = kept, (kept, Path(request.record))
    # Of every agent, also those that speak only after an execution: it is too late to warn of them then.
    named = sorted({getattr(settings.agents, role).model for role in type(settings.agents).model_fields})
    return Models(
        client,
        settings=settings,
        recording=recording,
        warnings=_meanwhile(lambda: retiring_models(named, retrieve=real.models_info, today=today)),
    )


def _meanwhile(work: Callable[[], tuple[str, ...]]) -> Callable[[], tuple[str, ...]]:
    """Begin work now, beside the run; what it came to is asked for at the end, and never waited for long."""
    found: list[tuple[str, ...]] = []
    thread = Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()

    def told() -> tuple[str, ...]:
        thread.join(_PREFLIGHT_SECONDS)
        return found[0] if found else ()

    return told
