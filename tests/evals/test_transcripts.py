"""Committed transcripts: each replays as it is, and making authored ones anew changes nothing."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from portfolio_rebalance.agents.messages import Reply
from portfolio_rebalance.agents.replay import ReplayClient
from portfolio_rebalance.agents.transcript import Entry, Transcript
from portfolio_rebalance.agents.transcript_files import open_transcript
from portfolio_rebalance.cli.main import main
from portfolio_rebalance.errors import BadDataError, MissingDataError, ReplayMismatchError
from portfolio_rebalance.evals.scenario import Scenario, load_scenarios, scenario_from
from portfolio_rebalance.evals.scorers import SCORERS
from portfolio_rebalance.evals.transcripts import (
    DEMO,
    TRANSCRIPTS,
    author,
    client_of_transcript,
    committed_transcript,
    reauthor_all,
    run_demo,
)
from portfolio_rebalance.evals.world import CANARIES, observe
from portfolio_rebalance.workspace.demo import AS_OF

REPLAYED = [one for one in load_scenarios() if one.models.transcript]
WORKED = next(one for one in REPLAYED if one.name == "replayed-worked-example")
SILENT = next(one for one in REPLAYED if one.name == "replayed-silence-after-submit")


def unredacted(text: str) -> str:
    return text


def rewritten(transcript: Transcript, folder: Path, name: str) -> None:
    """Put a transcript into a folder, whatever stands there."""
    (folder / f"{name}.jsonl").write_text(transcript.text())


@pytest.fixture
def one_folder(tmp_path: Path) -> Path:
    """A folder with a copy of one short transcript."""
    folder = tmp_path / "transcripts"
    folder.mkdir()
    shutil.copy(TRANSCRIPTS / f"{SILENT.name}.jsonl", folder)
    return folder


# --- what is committed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", REPLAYED, ids=lambda one: one.name)
def test_a_committed_transcript_replays_as_it_is(scenario: Scenario, tmp_path: Path) -> None:
    client = client_of_transcript(scenario)
    try:
        seen = observe(scenario, tmp_path, client=client)
    finally:
        client.finish()  # says first, and in words, what differs from the recording
    assert {one.name: one.judge(seen).faults for one in SCORERS if one.judge(seen).passed is False} == {}
    assert seen.result.spend is not None
    assert seen.result.spend.provider == "replay"


def test_the_demo_replays_as_it_is(tmp_path: Path) -> None:
    client = ReplayClient(committed_transcript(DEMO), redact=unredacted)
    try:
        result = run_demo(client, tmp_path)
    finally:
        client.finish()
    assert (result.status, result.driver) == ("planned", "model")
    advice = result.advice
    assert advice is not None
    assert (advice.verdict, advice.explained_by, advice.notes) == ("accept_ask_person", "model", ())
    assert "Total deployed now is 62.32%" in advice.explanation
    assert [len(one.concerns) for one in advice.reviews] == [3, 2]
    assert all(one.cited for one in advice.reviews)


def test_a_stranger_sees_the_demo_by_the_command_that_is_documented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    assert exit_code("init", "--demo") == 0
    assert exit_code("--as-of", AS_OF, "--dry-run", "--replay", str(TRANSCRIPTS / "demo.jsonl")) == 0
    shown = capsys.readouterr().out
    assert "The orchestrator (a model) recommends correlation-aware" in shown
    assert "Provider replay" in shown


def exit_code(*arguments: str) -> int:
    try:
        found = main(list(arguments))
    except SystemExit as left:
        found = left.code
    return found or 0


def test_making_authored_transcripts_anew_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "transcripts"
    shutil.copytree(TRANSCRIPTS, folder)
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    found = reauthor_all(folder)
    assert [one.name for one in found if one.changed] == []
    assert {one.name for one in found} == {file.stem for file in folder.iterdir()}
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_transcripts_and_scenarios_belong_together() -> None:
    files = {file.stem for file in TRANSCRIPTS.iterdir()}
    assert files == {one.models.transcript for one in REPLAYED} | {DEMO}
    assert sum(one.family in ("documented", "model_faults") for one in REPLAYED) >= 6


def test_what_a_real_small_model_said_is_among_the_cases() -> None:
    """Where a prompt, a tool or a fact has changed: ``python tests/local_model/record.py``."""
    found = {
        one.name: committed_transcript(one.models.transcript)
        for one in REPLAYED
        if one.name.startswith("local-model-")
    }
    assert len(found) >= 3
    assert {one.provenance for one in found.values()} == {"local-model"}
    said = [entry.answer for one in found.values() for entry in one.entries]
    assert {one.model for one in said if isinstance(one, Reply)} == {"smollm2-135m-instruct-q4_1"}
    assert all(isinstance(one, Reply) for one in said)
    assert any(
        entry.id.agent.startswith("quantitative_analyst") for one in found.values() for entry in one.entries
    )


def test_committed_transcripts_are_small_and_hold_no_secret_and_no_place() -> None:
    for file in TRANSCRIPTS.iterdir():
        text = file.read_text()
        is_long = file.stem == DEMO or file.stem.startswith("local-model-")
        assert len(text) < (100_000 if is_long else 65_000), file.name
        for canary in CANARIES.values():
            assert canary not in text
        for place in (tempfile.gettempdir(), Path.home(), Path.cwd()):
            assert f"{place}/" not in text


# --- a prompt that was edited ----------------------------------------------------------------------------


def edited(transcript: Transcript, *, old: str, new: str) -> Transcript:
    """The transcript as it was before a prompt was edited: its requests said something else."""

    def changed(entry: Entry) -> Entry:
        assert old in json.dumps(entry.request)
        return replace(entry, request=json.loads(json.dumps(entry.request).replace(old, new)))

    return replace(transcript, entries=tuple(changed(one) for one in transcript.entries))


def test_an_edited_prompt_fails_the_replay_with_a_difference_and_reauthoring_mends_it(
    one_folder: Path, tmp_path: Path
) -> None:
    stale = edited(committed_transcript(SILENT.name), old="You coordinate one run", new="You led a run")
    rewritten(stale, one_folder, SILENT.name)
    client = client_of_transcript(SILENT, folder=one_folder)
    with suppress(BadDataError):  # a recording that was broken off, which says nothing of why
        observe(SILENT, tmp_path / "stale", client=client)
    with pytest.raises(ReplayMismatchError) as told:
        client.finish()
    assert "You led a run" in told.value.difference
    assert "You coordinate one run" in told.value.difference

    (found,) = reauthor_all(one_folder, scenarios=[SILENT])
    assert (found.name, found.changed, found.kept) == (SILENT.name, True, "")
    fresh, committed = (open_transcript(one / f"{SILENT.name}.jsonl") for one in (one_folder, TRANSCRIPTS))
    assert fresh.text() == committed.text()


def test_citations_follow_their_facts(tmp_path: Path) -> None:
    """As if the fact F3 had been added: when the answers were written, every id behind it was one less."""
    folder = tmp_path / "transcripts"
    folder.mkdir()
    now = committed_transcript(WORKED.name)
    then = replace(now, entries=tuple(before_the_new_fact(entry) for entry in now.entries))
    assert all(old.answer != new.answer for old, new in zip(then.entries[2:], now.entries[2:], strict=True))
    rewritten(then, folder, WORKED.name)
    (found,) = reauthor_all(folder, scenarios=[WORKED])
    assert found.changed
    assert open_transcript(folder / f"{WORKED.name}.jsonl").text() == now.text()


def before_the_new_fact(entry: Entry) -> Entry:
    assert isinstance(entry.answer, Reply)
    content = one_less(list(entry.answer.content))
    return replace(
        entry, request=one_less(entry.request), answer=replace(entry.answer, content=tuple(content))
    )


def one_less(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: one_less(value) for key, value in node.items()}
    if isinstance(node, list):
        return [one_less(value) for value in node]
    if not isinstance(node, str):
        return node
    shown = node.replace("F3 | deployed strategies | 3\n", "")
    return re.sub(r"\bF(\d+)\b", lambda fact: f"F{int(fact[1]) - 1}" if int(fact[1]) > 3 else fact[0], shown)


def test_an_answer_that_cites_a_fact_which_is_gone_needs_a_person(tmp_path: Path) -> None:
    folder = tmp_path / "transcripts"
    folder.mkdir()
    stale = edited_where_shown(
        committed_transcript(WORKED.name), old="| total deployed now |", new="| phase of the moon |"
    )
    rewritten(stale, folder, WORKED.name)
    before = (folder / f"{WORKED.name}.jsonl").read_bytes()
    with pytest.raises(BadDataError, match=r"orchestrator turn 3 attempt 1 cites F4, 'phase of the moon'"):
        reauthor_all(folder, scenarios=[WORKED])
    assert (folder / f"{WORKED.name}.jsonl").read_bytes() == before


def edited_where_shown(transcript: Transcript, *, old: str, new: str) -> Transcript:
    entries = tuple(
        replace(entry, request=json.loads(json.dumps(entry.request).replace(old, new)))
        for entry in transcript.entries
    )
    return replace(transcript, entries=entries)


def test_a_run_that_makes_other_calls_changes_no_file(one_folder: Path) -> None:
    full = committed_transcript(SILENT.name)
    rewritten(replace(full, entries=full.entries[:-1]), one_folder, SILENT.name)
    before = (one_folder / f"{SILENT.name}.jsonl").read_bytes()
    with pytest.raises(ReplayMismatchError, match="orchestrator turn 3 attempt 1, which was not recorded"):
        reauthor_all(one_folder, scenarios=[SILENT])
    assert (one_folder / f"{SILENT.name}.jsonl").read_bytes() == before


def test_what_a_model_said_is_not_made_anew(one_folder: Path) -> None:
    stale = edited(committed_transcript(SILENT.name), old="You coordinate one run", new="You led a run")
    rewritten(replace(stale, provenance="local-model"), one_folder, SILENT.name)
    (found,) = reauthor_all(one_folder, scenarios=[SILENT])
    assert (found.changed, found.kept) == (False, "it is local-model: record it again")


def test_a_transcript_without_a_scenario_is_refused(one_folder: Path) -> None:
    with pytest.raises(BadDataError, match="belongs to no scenario"):
        reauthor_all(one_folder, scenarios=[WORKED])


# --- new ones --------------------------------------------------------------------------------------------


def test_a_script_becomes_an_authored_transcript_that_replays(tmp_path: Path) -> None:
    scenario = next(one for one in load_scenarios() if one.name == "fault-cut-stream-twice")
    transcript = author(scenario)
    assert (transcript.provenance, len(transcript.entries)) == ("authored", 2)
    rewritten(transcript, tmp_path, "mine")
    named = scenario.models.model_copy(update={"script": {}, "transcript": "mine"})
    replayed = scenario.model_copy(update={"models": named})
    client = client_of_transcript(replayed, folder=tmp_path)
    seen = observe(replayed, tmp_path / "world", client=client)
    client.finish()
    assert seen.result.driver == "rules"


def test_what_has_no_script_cannot_be_authored() -> None:
    with pytest.raises(BadDataError, match="Nobody has written"):
        author(WORKED)


# --- names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../demo", "a/b", "", "Demo", "demo.jsonl", "de\x00mo"])
def test_a_name_is_never_a_path(name: str) -> None:
    with pytest.raises(BadDataError, match="no name of a transcript"):
        committed_transcript(name)


def test_a_transcript_that_is_not_there_is_named() -> None:
    with pytest.raises(MissingDataError, match="no transcript nowhere"):
        committed_transcript("nowhere")


def test_a_scenario_that_replays_nothing_has_no_such_client() -> None:
    scenario = scenario_from(
        "name: plain-run\nfamily: documented\nabout: Nothing.\nworkspace:\n  strategies:\n"
        "    STR-001: {capital: 100}\nexpect: {status: planned}\n",
        label="plain-run.yaml",
    )
    with pytest.raises(BadDataError, match="replays nothing"):
        client_of_transcript(scenario)
