"""Committed transcripts: find the one of a scenario, replay it, and write authored ones anew.

A transcript in ``transcripts/`` stands in for a model: a scenario that names it replays it strictly, so an
edited prompt fails it with a readable difference until ``reauthor_all`` has run. That gives every authored
answer to whatever is asked now and keeps the new requests. Citations follow their facts: where a fact has
another id now, an answer that cites it cites the new one; where it is gone, nothing is written, because an
answer about a figure that nobody shows any more has to be written by a person.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Final

from portfolio_rebalance.agents.messages import ModelClient
from portfolio_rebalance.agents.models import Models
from portfolio_rebalance.agents.replay import ReplayClient
from portfolio_rebalance.agents.transcript import Transcript, parse_transcript
from portfolio_rebalance.agents.transcript_files import open_transcript, overwrite_transcript
from portfolio_rebalance.clock import parse_instant
from portfolio_rebalance.config_llm import Llm
from portfolio_rebalance.errors import BadDataError, MissingDataError
from portfolio_rebalance.evals.behaviour import client_of
from portfolio_rebalance.evals.following import FollowingClient
from portfolio_rebalance.evals.scenario import Scenario, load_scenarios
from portfolio_rebalance.evals.world import CANARIES, observe
from portfolio_rebalance.records import RebalanceResult
from portfolio_rebalance.redaction import Redactor, known_secrets
from portfolio_rebalance.skill import run_skill
from portfolio_rebalance.workspace.demo import AS_OF, init_demo

__all__ = [
    "DEMO",
    "TRANSCRIPTS",
    "Reauthored",
    "author",
    "client_of_transcript",
    "committed_transcript",
    "reauthor_all",
    "run_demo",
]

DEMO: Final = "demo"
"""The transcript of the packaged demo workspace, seen from its own instant; it belongs to no scenario."""

TRANSCRIPTS: Final = Path(str(files("portfolio_rebalance.evals"))) / "transcripts"
"""Where the committed transcripts are."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{2,79}")
_REDACT: Final = Redactor(known_secrets(CANARIES)).redact


def committed_transcript(name: str, *, folder: Path = TRANSCRIPTS) -> Transcript:
    """A committed transcript by its name, without ``.jsonl``.

    Raises:
        BadDataError: The name is no plain name, or the file's content is refused.
        MissingDataError: There is no such transcript.
    """
    if not _NAME.fullmatch(name):
        raise BadDataError(
            f"{name[:60]!a} is no name of a transcript.",
            where="models.transcript",
            fix="Take lower-case letters, digits and hyphens.",
        )
    file = folder / f"{name}.jsonl"
    if not file.is_file():
        raise MissingDataError(
            f"There is no transcript {name}.",
            where="models.transcript",
            fix="Commit it, or name another one.",
        )
    return open_transcript(file)


def client_of_transcript(
    scenario: Scenario, redact: Callable[[str], str] = _REDACT, *, folder: Path = TRANSCRIPTS
) -> ReplayClient:
    """The client that replays the transcript a scenario names; call its ``finish()`` after the run.

    Args:
        scenario: Names a transcript.
        redact: The redaction of the recording: that of scenarios, unless told.
        folder: Where transcripts are.

    Raises:
        BadDataError: It names none, or one that is refused.
        MissingDataError: There is no such transcript.
    """
    if not scenario.models.transcript:
        raise BadDataError(
            f"The scenario {scenario.name} replays nothing.",
            where="models.transcript",
            fix="Name a transcript.",
        )
    return ReplayClient(committed_transcript(scenario.models.transcript, folder=folder), redact=redact)


# --- authored ones ---------------------------------------------------------------------------------------


def author(scenario: Scenario) -> Transcript:
    """Run what a scenario's script or healthy model does, and keep it as an authored transcript.

    To commit one: write it to ``transcripts/``, and let a scenario of the same workspace name it. From then
    on its answers are edited there, and its requests are made by :func:`reauthor_all`.

    Raises:
        BadDataError: The scenario has no script, or its run did not come to an end.
        ScriptMismatchError: The script does not fit the run.
    """
    if not (scenario.models.script or scenario.models.healthy):
        raise BadDataError(
            f"Nobody has written what models do in {scenario.name}.",
            where="models",
            fix="Give it a script, or healthy: true.",
        )
    client = client_of(scenario.models)
    with tempfile.TemporaryDirectory(prefix="author-") as folder:
        seen = observe(scenario, Path(folder), client=client)
    client.finish()
    if seen.crash or not seen.texts["transcript"]:
        raise BadDataError(f"The run did not end: {seen.crash}.", where=scenario.name, fix="Mend it first.")
    return parse_transcript(seen.texts["transcript"], label=scenario.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reauthored:
    """What became of a transcript.

    Attributes:
        name: Without ``.jsonl``.
        changed: Whether its file was rewritten.
        kept: Why it was left alone; empty where it was made anew, changed or not.
    """

    name: str
    changed: bool
    kept: str = ""


def reauthor_all(
    folder: Path = TRANSCRIPTS, *, scenarios: Sequence[Scenario] | None = None
) -> tuple[Reauthored, ...]:
    """Make the requests of all authored transcripts anew, and rewrite those that differ.

    What a model answered is left alone: it is recorded again. Every transcript is made before the first is
    written, so a run that fails changes no file.

    Args:
        folder: Of the transcripts.
        scenarios: Among which theirs are; the packaged ones where None.

    Returns:
        What became of each, by name.

    Raises:
        BadDataError: A transcript belongs to no scenario, is refused, or cites a fact that is gone.
        ReplayMismatchError: A run makes other calls than it did: the answers need a person.
    """
    owners = {
        one.models.transcript: one
        for one in (load_scenarios() if scenarios is None else scenarios)
        if one.models.transcript
    }
    found: list[Reauthored] = []
    renewed: list[tuple[Path, Transcript]] = []
    for file in sorted(folder.glob("*.jsonl")):
        old = open_transcript(file)
        name = file.stem
        if name != DEMO and name not in owners:
            raise BadDataError(
                "It belongs to no scenario.", where=file.name, fix="Delete it, or name it in a scenario."
            )
        if old.provenance != "authored":
            found.append(
                Reauthored(name=name, changed=False, kept=f"it is {old.provenance}: record it again")
            )
            continue
        new = _renewed(old, None if name == DEMO else owners[name])
        changed = new.entries != old.entries
        found.append(Reauthored(name=name, changed=changed))
        if changed:
            renewed.append((file, new))
    for file, new in renewed:
        overwrite_transcript(new, file)
    return tuple(found)


def run_demo(client: ModelClient, folder: Path) -> RebalanceResult:
    """Make the demo workspace in a folder, and plan in it at its own instant with this client.

    Args:
        client: What its models do.
        folder: Empty.
    """
    init_demo(folder)
    at = parse_instant(AS_OF, where="as_of")
    models = Models(client, settings=Llm())
    # The demo's returns go on after its instant, so the machine's own time has to be later.
    later = at + timedelta(days=30)
    return run_skill({"workspace": str(folder), "as_of": at, "dry_run": True}, now=later, models=models)


def _renewed(old: Transcript, scenario: Scenario | None) -> Transcript:
    client = FollowingClient(old, redact=_REDACT)
    with tempfile.TemporaryDirectory(prefix="reauthor-") as folder:
        try:
            if scenario is None:
                run_demo(client, Path(folder))
            else:
                observe(scenario, Path(folder), client=client)
        except BadDataError:
            client.renewed()  # says better what was wrong, where it can
            raise
    return client.renewed()
