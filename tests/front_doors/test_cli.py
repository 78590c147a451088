"""The command line: one JSON object whatever happens, the exit codes, never a traceback."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import front_door_samples as samples
import pytest

from portfolio_rebalance import skill
from portfolio_rebalance.cli import main as cli
from portfolio_rebalance.cli import plain_run
from portfolio_rebalance.cli import verbs as cli_verbs
from portfolio_rebalance.errors import BadDataError, PlanNotFoundError
from portfolio_rebalance.records import Finding, RunSummary
from portfolio_rebalance.run import queries

VERBS = ("init", "status", "show", "history", "config", "doctor", "install-skill")


@pytest.fixture
def ran(monkeypatch):
    """Runs are answered by a sample; what was asked is kept."""
    asked = []

    def run_skill(request, **_):
        asked.append(request)
        return samples.result()

    monkeypatch.setattr(skill, "run_skill", run_skill)
    return asked


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with an empty workspace, as the working directory."""
    (tmp_path / ".crypto").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> tuple[Path, str]:
    """A demo workspace and the instant to run it at."""
    folder = tmp_path_factory.mktemp("demo")
    made = samples.command("init", "--demo", "--json", cwd=folder)
    assert made.returncode == 0, made.stdout + made.stderr
    return folder, json.loads(made.stdout)["as_of"]


def one_object(text: str) -> dict:
    """The one JSON object of standard output."""
    assert text.endswith("\n")
    assert "\n" not in text[:-1]
    document = json.loads(text)
    assert document["schema_version"] == 1
    return document


def call(capsys, *words: str) -> tuple[int, str, str]:
    code = cli.main(list(words))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def call_json(capsys, *words: str) -> tuple[int, dict]:
    code, out, err = call(capsys, *words, "--json")
    document = one_object(out)
    assert err == ""
    assert document["exit_code"] == code
    return code, document


# What a run is asked


def test_a_bare_command_is_a_run_with_the_defaults(ran, capsys):
    assert call(capsys)[0] == 0
    (request,) = ran
    assert (request.mode, request.execute, request.hold, request.as_of) == (None, False, (), None)


def test_an_empty_word_is_a_bare_command(ran, capsys):
    assert call(capsys, "", "--json")[0] == 0
    assert ran[0].mode is None


def test_options_reach_the_request(ran, capsys):
    words = "--mode risk-adjusted --hold STR-001 --hold STR-003 --as-of 2019-10-01T02:00:00Z"
    call(capsys, *words.split(), "--workspace", "/somewhere", "--confirm-capital", "60000")
    (request,) = ran
    assert request.mode == "risk_adjusted"
    assert request.hold == ("STR-001", "STR-003")
    assert request.as_of == datetime(2019, 10, 1, 2, tzinfo=UTC)
    assert request.workspace == "/somewhere"
    assert request.confirm_capital == 60000


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        ("reduce correlation", "correlation_aware"),
        ("fix drift", "proportional"),
        ("rebalance", None),
        ("adjust positions please", None),
    ],
)
def test_plain_words_are_a_run(ran, capsys, words, mode):
    assert call(capsys, *words.split())[0] == 0
    assert ran[0].mode == mode


def test_options_may_stand_before_between_and_after_plain_words(ran, capsys):
    words = "--workspace /w reduce --hold STR-001 correlation --as-of 2019-10-01T02:00:00Z"
    call(capsys, *words.split())
    (request,) = ran
    assert (request.mode, request.workspace, request.hold) == ("correlation_aware", "/w", ("STR-001",))
    assert request.as_of is not None


def test_options_before_plain_words_are_kept(ran, capsys):
    code, _, _ = call(capsys, "--hold", "STR-001", "--detailed-exitcode", "rebalance", "--hold", "STR-003")
    assert code == 10
    assert ran[0].hold == ("STR-001", "STR-003")


@pytest.mark.parametrize("word", ["statsu", "histroy", "docter"])
def test_a_mistyped_verb_is_a_usage_error_with_the_nearest_one(ran, capsys, word):
    code, document = call_json(capsys, word)
    assert code == 2
    assert "Did you mean" in document["error"]["fix"]
    assert not ran


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("evl", "'eval'"),
        ("reduce correlaton", "'reduce correlation'"),
        ("fix drft", "'fix drift'"),
        ("adjst positions", "'adjust positions'"),
    ],
)
def test_what_is_mistyped_is_suggested_as_a_whole(ran, capsys, words, meant):
    code, document = call_json(capsys, *words.split())
    assert code == 2
    assert document["error"]["fix"].startswith(f"Did you mean {meant}?")
    assert not ran


def test_a_refusal_of_something_else_suggests_no_verb(ran, capsys):
    code, document = call_json(capsys, "rebalance", "--hold", "../etc")
    assert code == 2
    assert "Did you mean" not in document["error"]["fix"]


@pytest.mark.parametrize("words", [["proportional"], ["please", "rebalance", "risk-adjusted"]])
def test_a_mode_named_in_plain_words_is_the_mode(ran, capsys, words):
    code, _ = call_json(capsys, *words)
    assert code == 0
    assert ran[-1].mode in {"proportional", "risk_adjusted"}


@pytest.mark.parametrize("word", sorted(cli_verbs._LATER))
def test_verbs_of_later_versions_are_refused_by_name_and_never_read_as_words(ran, capsys, word):
    code, document = call_json(capsys, word, "rebalance")
    assert code == 2
    assert "not part of this version" in document["error"]["what"]
    assert not ran


def test_dry_run_and_execute_exclude_each_other(ran, capsys):
    assert call_json(capsys, "--dry-run", "--execute")[0] == 2
    assert not ran


def test_execute_is_handed_on_as_asked(ran, capsys):
    call(capsys, "--execute")
    call(capsys)
    assert [request.execute for request in ran] == [True, False]


# What a run answers


def test_json_is_the_whole_result(ran, capsys):
    code, document = call_json(capsys)
    assert code == 0
    assert document["plan_id"] == samples.PLAN_ID
    change = document["candidates"][0]["proposal"]["changes_per_strategy"][0]
    assert (change["from"], change["to"]) == (34.0, 16.0)


@pytest.mark.parametrize(("status", "code"), [("planned", 10), ("hold", 0)])
def test_detailed_exitcode_tells_a_waiting_plan(monkeypatch, capsys, status, code):
    monkeypatch.setattr(skill, "run_skill", lambda *_, **__: samples.result(status=status))
    assert call_json(capsys, "--detailed-exitcode")[0] == code


def test_a_blocked_run_exits_13_and_is_read_on_standard_output(monkeypatch, capsys):
    monkeypatch.setattr(skill, "run_skill", lambda *_, **__: samples.result(status="blocked", exit_code=13))
    code, out, err = call(capsys)
    assert code == 13
    assert out
    assert err == ""


def test_a_refusal_is_read_on_standard_error(monkeypatch, capsys):
    monkeypatch.setattr(skill, "run_skill", lambda *_, **__: samples.refused())
    code, out, err = call(capsys)
    assert (code, out) == (14, "")
    assert err.splitlines()[0] == "error: The snapshot is 9 days old."


def test_a_refusal_in_json_is_on_standard_output(monkeypatch, capsys):
    monkeypatch.setattr(skill, "run_skill", lambda *_, **__: samples.refused())
    code, document = call_json(capsys)
    assert code == 14
    assert document["error"] == {
        "code": "stale_data",
        "what": "The snapshot is 9 days old.",
        "where": "x.yaml:3",
        "fix": "Refresh it.",
    }


# Errors


@pytest.mark.parametrize(
    "words",
    [
        ("--no-such-option",),
        ("--mode",),
        ("--mode", "nonsense"),
        ("--as-of", "yesterday"),
        ("--hold", "../etc"),
        ("--confirm-capital", "lots"),
        ("show",),
        ("show", "a", "b"),
        ("status", "--as-of"),
        ("install-skill", "--project", "--user"),
        ("--mode", "proportional", "status"),
        ("--detailed-exitcode", "history"),
        ("--as-of", "2019-10-01T02:00:00Z", "history"),
        ("--workspace", "a", "init", "b"),
        ("--workspace", "/does/not/exist", "status"),
        ("xyzzy",),
        ("what\x1b[2Jever",),
    ],
    ids=repr,
)
def test_a_usage_error_exits_2_with_one_object(ran, place, capsys, words):
    code, document = call_json(capsys, *words)
    assert code == 2
    assert set(document) == {"schema_version", "exit_code", "status", "error"}
    assert set(document["error"]) == {"code", "what", "where", "fix"}
    assert document["error"]["what"]
    assert not ran


def test_a_usage_error_for_people_is_on_standard_error(capsys):
    code, out, err = call(capsys, "--no-such-option")
    assert (code, out) == (2, "")
    assert err.startswith("error: No such option: --no-such-option")


@pytest.mark.parametrize(
    ("error", "code", "name"),
    [
        (BadDataError("bad", where="a.yaml:1", fix="mend"), 14, "bad_data"),
        (PlanNotFoundError("none"), 2, "plan_not_found"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (PermissionError(13, "Permission denied", "a.yaml"), 1, "os_error"),
        (RuntimeError("line one\nline \udcff two"), 1, "unexpected"),
        (RecursionError(), 1, "unexpected"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_any_error_becomes_an_exit_code_and_one_line_of_cause(monkeypatch, capsys, error, code, name):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(skill, "run_skill", fail)
    found, document = call_json(capsys)
    assert (found, document["error"]["code"]) == (code, name)
    found, out, err = call(capsys)
    assert (found, out) == (code, "")
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 3


def test_an_error_while_presenting_still_gives_one_object(monkeypatch, capsys):
    broken = samples.result().model_copy(update={"warnings": object()})
    monkeypatch.setattr(skill, "run_skill", lambda *_, **__: broken)
    code, document = call_json(capsys)
    assert code == 1
    assert document["error"]["code"] == "unexpected"


def test_what_a_room_prints_by_mistake_never_reaches_standard_output(monkeypatch, capsys):
    def chatty(*_, **__):
        print("noise")
        return samples.result()

    monkeypatch.setattr(skill, "run_skill", chatty)
    call_json(capsys)


# Verbs


def test_options_before_a_verb_work_as_after_it(place, monkeypatch, capsys, tmp_path_factory):
    monkeypatch.setattr(queries, "history", lambda workspace: (_run(workspace),))
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    seen = []
    for words in (
        ("--workspace", str(place), "--json", "history"),
        ("history", "--json", "--workspace", str(place)),
    ):
        monkeypatch.chdir(elsewhere)
        assert cli.main(list(words)) == 0
        seen.append(one_object(capsys.readouterr().out))
    assert seen[0] == seen[1]
    assert seen[0]["runs"][0]["run_id"] == str(place / ".crypto")


def _run(workspace: Path) -> RunSummary:
    return RunSummary(
        run_id=str(workspace),
        as_of=samples.AS_OF,
        mode="proportional",
        recommendation="HOLD",
        basis="none",
        status="hold",
        plan_id=None,
    )


def test_a_named_workspace_is_not_searched_for_upward(place, monkeypatch, capsys):
    monkeypatch.setattr(queries, "history", lambda workspace: ())
    (place / "inner").mkdir()
    assert call_json(capsys, "history", "--workspace", str(place / "inner"))[0] == 2


def test_status_takes_the_clock_from_either_side(place, monkeypatch, capsys):
    clocks = []

    def status(_workspace, *, clock):
        clocks.append(clock)
        return samples.assessment()

    monkeypatch.setattr(queries, "status", status)
    for words in (
        ("--as-of", "2019-10-01T02:00:00Z", "status"),
        ("status", "--as-of", "2019-10-01T02:00:00Z"),
    ):
        code, document = call_json(capsys, *words)
        assert (code, document["assessment"]["currency"]) == (0, "USDT")
    assert [clock.as_of for clock in clocks] == [samples.AS_OF] * 2
    assert call(capsys, "status")[0] == 0
    assert not clocks[-1].fixed


def test_show_repeats_a_run_and_exits_0_whatever_it_came_to(place, monkeypatch, capsys):
    monkeypatch.setattr(queries, "show", lambda _, prefix: samples.result(status="blocked", exit_code=13))
    assert call_json(capsys, "show", "3fa9")[1]["status"] == "blocked"


@pytest.mark.parametrize(("severity", "code"), [("error", 14), ("warning", 0), (None, 0)])
def test_doctor_exits_14_only_for_errors(place, monkeypatch, capsys, severity, code):
    found = () if severity is None else (Finding(severity=severity, where="a", what="b", fix="c"),)
    monkeypatch.setattr("portfolio_rebalance.workspace.examine", lambda *_, **__: found)
    assert call_json(capsys, "doctor")[0] == code


def test_config_shows_defaults_where_there_is_no_file(place, capsys):
    code, document = call_json(capsys, "config")
    assert code == 0
    assert document["config"]["circuit_breakers"]["max_total_deployed_percent"] == "60"
    assert "defaults, there is no .crypto/config/portfolio-rebalance.yaml" in call(capsys, "config")[1]


def test_config_markdown_needs_no_workspace(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, _ = call(capsys, "config", "--markdown")
    assert code == 0
    assert out.startswith("# Configuration\n")
    assert call_json(capsys, "config", "--markdown")[1]["markdown"] == out


def test_init_creates_and_again_creates_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    created = call_json(capsys, "init")[1]["created"]
    assert created
    assert (tmp_path / ".crypto" / "BOOTSTRAP.md").is_file()
    assert call_json(capsys, "init")[1]["created"] == []
    assert "Nothing to create." in call(capsys, "init")[1]


@pytest.mark.parametrize(
    "words",
    [("init", "new place"), ("init", "--workspace", "new place"), ("--workspace", "new place", "init")],
)
def test_init_goes_where_it_is_told_and_names_the_next_command(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    document = call_json(capsys, *words)[1]
    assert (tmp_path / "new place" / ".crypto" / "BOOTSTRAP.md").is_file()
    assert document["next"] == "trading-portfolio-rebalance doctor --workspace 'new place'"


def test_install_skill_for_a_project_and_for_a_user(tmp_path, monkeypatch, capsys):
    project, home = tmp_path / "project", tmp_path / "home"
    project.mkdir()
    home.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("HOME", str(home))
    for words, root in (((), project), (("--project",), project), (("--user",), home)):
        code, _ = call_json(capsys, "install-skill", *words)
        assert code == 0
        assert (root / ".claude/skills/trading-portfolio-rebalance/SKILL.md").is_file()


# Help


def test_help_lists_every_option_verb_mode_and_exit_code(capsys):
    code, out, err = call(capsys, "--help")
    assert (code, err) == (0, "")
    for words in (
        *("--mode", "--dry-run", "--execute", "--hold", "--as-of", "--json", "--workspace"),
        *("--detailed-exitcode", "--confirm-capital", "--version"),
        *VERBS,
        *("proportional", "correlation-aware", "performance-weighted", "risk-adjusted", "minimal-turnover"),
        *(f"{code} " for code in (0, 1, 2, 10, 11, 12, 13, 14, 15, 16, 130)),
    ):
        assert words in out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_json_and_workspace(capsys, verb):
    code, out, _ = call(capsys, verb, "--help")
    assert code == 0
    assert "--json" in out
    assert "--workspace" in out


def test_help_and_version_are_one_object_with_json(capsys):
    assert "Usage:" in call_json(capsys, "--help")[1]["text"]
    assert call_json(capsys, "--version")[1]["version"]


# A process of its own


def test_end_to_end_plan_show_history_status_doctor(demo):
    folder, as_of = demo
    planned = samples.command("--as-of", as_of, "--json", cwd=folder)
    document = one_object(planned.stdout)
    assert planned.returncode == document["exit_code"] in (0, 13), planned.stdout
    assert planned.stderr == ""
    assert document["decision"]["headline"]
    assert document["plan_id"]
    shown = samples.command("show", document["plan_id"][:12], "--json", cwd=folder)
    assert one_object(shown.stdout) | {"exit_code": 0} == document | {"exit_code": 0}
    runs = one_object(samples.command("history", "--json", cwd=folder).stdout)["runs"]
    assert runs[0]["plan_id"] == document["plan_id"]
    for words in (("status", "--as-of", as_of), ("doctor", "--as-of", as_of), ("config",)):
        ran = samples.command(*words, cwd=folder)
        assert (ran.returncode, ran.stderr) == (0, ""), ran


def test_end_to_end_the_same_run_again_gives_the_same_bytes(demo):
    folder, as_of = demo
    words = ("--as-of", as_of, "--mode", "proportional")
    seen = {samples.command(*words, cwd=folder, env={"PYTHONHASHSEED": seed}).stdout for seed in "123"}
    assert len(seen) == 1


def test_end_to_end_outside_a_workspace(tmp_path):
    ran = samples.command("status", "--json", cwd=tmp_path)
    assert ran.returncode == 2
    assert one_object(ran.stdout)["error"]["code"] == "workspace_not_found"


def test_end_to_end_bytes_that_are_no_text_are_a_usage_error(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "portfolio_rebalance.cli", b"\xff\xfe", "--json"],
        env={**os.environ, "PYTHONPATH": str(samples.REPOSITORY)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert one_object(ran.stdout)["error"]["code"] == "usage"


def test_end_to_end_a_reader_who_leaves_is_no_error(demo):
    folder, as_of = demo
    script = f"{sys.executable} -m portfolio_rebalance.cli --as-of {as_of} --json; echo $? >&2"
    ran = subprocess.run(
        ["bash", "-c", f"({script}) | true"],
        env={**os.environ, "PYTHONPATH": str(samples.REPOSITORY)},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert ran.stderr.strip() in ("0", "13")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_end_to_end_output_that_cannot_be_written_is_one_line(demo):
    folder, _ = demo
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "portfolio_rebalance.cli", "--help"],
            env={**os.environ, "PYTHONPATH": str(samples.REPOSITORY)},
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert ran.returncode == 1
    assert ran.stderr == "error: cannot write the output: No space left on device\n"


def on_a_terminal(*words: str, cwd: Path, env: dict[str, str], stream: str = "stdout") -> str:
    """One stream as a terminal received it; the other is thrown away."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "portfolio_rebalance.cli", *words],
        cwd=cwd,
        env={
            **os.environ,
            "PYTHONPATH": str(samples.REPOSITORY),
            "TERM": "xterm-256color",
            "COLUMNS": "100",
            **env,
        },
        stdin=subprocess.DEVNULL,
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: theirs},
    )
    os.close(theirs)
    received = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says EIO where the other end is closed
            break
        if not part:
            break
        received += part
    os.close(ours)
    process.wait(timeout=60)
    return received.decode()


def test_end_to_end_a_terminal_gets_colour_and_no_color_gets_neither_colour_nor_bold(demo):
    folder, as_of = demo
    without = {key: value for key, value in os.environ.items() if key == "NO_COLOR"}
    coloured = on_a_terminal("--as-of", as_of, cwd=folder, env={**without, "NO_COLOR": ""})
    plain = on_a_terminal("--as-of", as_of, cwd=folder, env={"NO_COLOR": "1"})
    assert "\x1b[" in coloured
    assert "\x1b" not in plain
    assert "Assessment" in plain
    assert all(len(line) <= 100 for line in plain.splitlines())


def test_end_to_end_progress_is_shown_on_a_terminal_and_wiped(demo):
    folder, as_of = demo
    shown = on_a_terminal("--as-of", as_of, "--json", cwd=folder, env={}, stream="stderr")
    assert "simulate..." in shown
    assert shown.endswith("\r\x1b[K")


def test_end_to_end_a_pipe_gets_neither_boxes_nor_colour(demo):
    folder, as_of = demo
    piped = samples.command(
        "--as-of", as_of, cwd=folder, env={"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}
    ).stdout
    assert "\x1b" not in piped
    assert not set("─│┃━┏") & set(piped)


def test_numpy_is_told_to_use_one_thread_unless_a_person_said_otherwise(monkeypatch, capsys):
    for name in cli._ONE_THREAD:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    call(capsys, "--version")
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "3"
    for name in cli._ONE_THREAD:
        monkeypatch.delenv(name, raising=False)


def test_the_plain_run_and_the_verb_parser_know_the_same_options() -> None:
    import typer

    command = typer.main.get_command(cli_verbs.app)
    options = {name for option in command.params for name in option.opts if name.startswith("--")}
    assert options - {"--help", "--version"} == plain_run.FLAGS | plain_run.VALUED


@pytest.mark.parametrize(
    ("words", "plain"),
    [
        ([], True),
        (["--dry-run", "--mode", "proportional", "--hold", "STR-A"], True),
        (["--mode=proportional"], False),
        (["--mode"], False),
        (["--mode", "--json"], False),
        (["--help"], False),
        (["status"], False),
        (["--workspace", "X", "status"], False),
        (["fix", "drift"], False),
        (["--"], False),
    ],
)
def test_only_options_of_a_run_are_a_plain_run(words: list[str], plain: bool) -> None:
    assert plain_run.is_plain_run(words) is plain
