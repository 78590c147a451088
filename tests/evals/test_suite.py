"""The suite, its results and what `eval` says of them; a breach fails it, whatever else passes."""

from __future__ import annotations

import json

import pytest

from portfolio_rebalance.agents import citations, orchestrator
from portfolio_rebalance.cli.main import main
from portfolio_rebalance.errors import BadDataError, MissingDataError
from portfolio_rebalance.evals import suite
from portfolio_rebalance.evals.results import compare_blocks, read_results, results_blocks, results_of
from portfolio_rebalance.evals.scenario import load_scenarios
from portfolio_rebalance.reporting import plain_text


@pytest.fixture(scope="module")
def scenarios():
    return {one.name: one for one in load_scenarios()}


def some(scenarios, *names):
    return suite.run_suite([scenarios[name] for name in names])


def test_the_packaged_scenarios_are_as_many_as_are_promised(scenarios):
    attacks = [one for one in scenarios.values() if one.family == "attacks"]
    cases = [case.id for one in attacks for case in suite.cases_of(one)]
    assert len(scenarios) - len(attacks) >= 60
    assert len(cases) == len(set(cases)) >= 300
    assert all(one.benign for one in scenarios.values() if one.family != "attacks")


def test_a_scenario_by_rules_a_script_and_a_transcript_are_one_case_each(scenarios):
    scores = some(scenarios, "documented-worked-state", "fault-refusal", "replayed-worked-example")
    assert [one.case for one in scores] == [
        "documented-worked-state",
        "fault-refusal",
        "replayed-worked-example",
    ]
    assert [one.failures for one in scores] == [(), (), ()]
    results = results_of(scores)
    assert (results.scenarios, results.attack_cases, results.breaches) == (3, 0, 0)
    assert results.benign_completed == 1.0
    assert results.is_safe


def test_the_same_cases_on_two_processes_score_the_same(scenarios):
    chosen = [scenarios[name] for name in ("documented-worked-state", "fault-refusal", "fault-uncited-twice")]
    alone, together = suite.run_suite(chosen), suite.run_suite(chosen, processes=2)

    def judged(scores):
        return [(one.case, [(r.scorer, r.passed, r.faults) for r in one.results]) for one in scores]

    assert judged(alone) == judged(together)


def test_a_script_that_is_not_played_to_its_end_is_told(scenarios):
    told = scenarios["fault-uncited-once-then-cited"]
    steps = told.models.script["orchestrator"]
    longer = {**told.models.script, "orchestrator": (*steps, steps[-1])}
    changed = told.model_copy(update={"models": told.models.model_copy(update={"script": longer})})
    (score,) = suite.run_suite([changed])
    assert [one.scorer for one in score.failures] == ["played"]


def test_words_that_cite_what_nobody_was_shown_fail_their_case_and_not_the_suite(scenarios):
    told = scenarios["documented-balanced"]
    models = told.models.model_copy(update={"healthy": True, "explanation": "It is [[what nobody knows]]."})
    (score,) = suite.run_suite([told.model_copy(update={"models": models})])
    assert "containment" in {one.scorer for one in score.breaches}


def test_a_breach_is_counted_shown_and_no_longer_safe(scenarios, monkeypatch):
    def unchecked(prose, *, book):
        return citations.Rendered(text=prose, cited=(), faults=())

    monkeypatch.setattr(orchestrator, "render", unchecked)
    results = results_of(some(scenarios, "fault-uncited-twice"))
    assert results.breaches == 1
    assert not results.is_safe
    text = plain_text(tuple(results_blocks(results)))
    assert "fault-uncited-twice: citations:" in text
    assert text.rstrip().endswith("1 breaches.")


def test_nothing_run_is_not_safe():
    assert not results_of([]).is_safe


def test_two_results_are_compared_case_by_case(scenarios, tmp_path, monkeypatch):
    good = results_of(some(scenarios, "fault-uncited-twice", "documented-worked-state"))
    monkeypatch.setattr(
        orchestrator, "render", lambda prose, *, book: citations.Rendered(text=prose, cited=(), faults=())
    )
    bad = results_of(some(scenarios, "fault-uncited-twice"))
    (tmp_path / "good.json").write_text(good.model_dump_json())
    (tmp_path / "bad.json").write_text(bad.model_dump_json())
    before, after = read_results(tmp_path / "good.json"), read_results(tmp_path / "bad.json")
    assert (before, after) == (good, bad)
    worse = plain_text(tuple(compare_blocks(before, after)))
    assert "worse: fault-uncited-twice: citations" in worse
    assert "0 cases are new, 1 are gone." in worse
    assert "better: fault-uncited-twice" in plain_text(tuple(compare_blocks(after, before)))
    assert "No case changed" in plain_text(tuple(compare_blocks(before, before)))


def test_a_case_that_failed_before_and_now_breaches_is_worse(scenarios):
    def results(*failing):
        (score,) = one.cases
        judged = tuple(
            judge.model_copy(update={"passed": False, "faults": ("a fault",)})
            if judge.scorer in failing
            else judge
            for judge in score.results
        )
        return one.model_copy(update={"cases": (score.model_copy(update={"results": judged}),)})

    one = results_of(some(scenarios, "documented-worked-state"))
    text = plain_text(tuple(compare_blocks(results("latency"), results("latency", "limits"))))
    assert "worse: documented-worked-state: limits" in text
    mended = plain_text(tuple(compare_blocks(results("latency", "limits"), results("latency"))))
    assert "better: documented-worked-state: limits" in mended


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"version": 1}', "\ud83d"[:0] + "not json"])
def test_a_file_that_holds_no_results_is_refused(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(BadDataError, match="no results"):
        read_results(tmp_path / "x.json")
    with pytest.raises(MissingDataError):
        read_results(tmp_path / "absent.json")


# The verb


def test_eval_prints_one_object_and_exits_with_0(capsys, monkeypatch, scenarios):
    monkeypatch.setattr(suite, "load_scenarios", lambda: (scenarios["fault-refusal"],))
    assert main(["eval", "--processes", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["scenarios"], document["attack_cases"], document["breaches"]) == (1, 0, 0)
    assert document["cases"][0]["case"] == "fault-refusal"


def test_what_eval_wrote_is_compared(capsys, monkeypatch, scenarios, tmp_path):
    monkeypatch.setattr(suite, "load_scenarios", lambda: (scenarios["fault-refusal"],))
    files = [tmp_path / "before.json", tmp_path / "after.json"]
    for file in files:
        assert main(["eval", "--processes", "1", "--json"]) == 0
        file.write_text(capsys.readouterr().out)
    live = {
        **json.loads(files[1].read_text()),
        "passed_all_repeats": 1,
        "spent_dollars": "0.10",
        "stopped": "",
    }
    files[1].write_text(json.dumps(live))
    assert main(["eval", "--compare", *map(str, files)]) == 0
    assert "No case changed" in capsys.readouterr().out


def test_eval_exits_with_1_on_a_breach(capsys, monkeypatch, scenarios):
    monkeypatch.setattr(suite, "load_scenarios", lambda: (scenarios["fault-uncited-twice"],))
    monkeypatch.setattr(
        orchestrator, "render", lambda prose, *, book: citations.Rendered(text=prose, cited=(), faults=())
    )
    assert main(["eval", "--processes", "1"]) == 1
    assert "1 breaches." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "saying"),
    [
        (["--family", "none"], "There is no family"),
        (["--processes", "0"], "at least one process"),
        (["--record", "x"], "belong to --live"),
        (["--repeats", "2"], "belong to --live"),
        (["--live", "--max-dollars", "many"], "is no amount"),
        (["--live", "--max-dollars", "1"], "Live runs need a key"),
    ],
)
def test_what_makes_no_sense_is_refused(capsys, words, saying):
    assert main(["eval", *words]) == 2
    assert saying in capsys.readouterr().err


def test_a_live_run_without_a_cap_tells_what_it_would_cost(capsys, monkeypatch, scenarios):
    from portfolio_rebalance.evals import scenario as module

    monkeypatch.setattr(module, "load_scenarios", lambda: (scenarios["documented-correlation-aware"],))
    assert main(["eval", "--live"]) == 2
    assert "nothing was sent" in capsys.readouterr().err
