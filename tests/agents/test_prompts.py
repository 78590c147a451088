"""Prompts: each one loads with its tools, byte for byte the same; whatever does not fit is refused."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest

from portfolio_rebalance.agents import prompts
from portfolio_rebalance.agents.prompts import load_prompt
from portfolio_rebalance.errors import PromptError

SHIPPED = files("portfolio_rebalance").joinpath("prompts")
ROOT = Path(__file__).resolve().parents[2]

TOOLS = frozenset(
    {
        "calculate_correlation_matrix",
        "execute_rebalance_trades",
        "generate_rebalance_proposal",
        "request_review",
        "simulate_rebalance_impact",
        "submit",
        "submit_explanation",
        "submit_learnings",
        "submit_review",
        "verify_allocation_compliance",
    }
)

VARIABLES = {
    "orchestrator": {"turns": "five"},
    "quantitative_analyst": {"turns": "two"},
    "risk_manager": {"turns": "two"},
    "order_executor": {},
    "monitor": {"watch_days": "seven"},
    "feedback": {},
}

HEADS = {
    "orchestrator": (
        (
            "calculate_correlation_matrix",
            "generate_rebalance_proposal",
            "verify_allocation_compliance",
            "simulate_rebalance_impact",
            "request_review",
            "submit",
            "execute_rebalance_trades",
        ),
        "opus",
        "submit",
    ),
    "quantitative_analyst": (
        ("calculate_correlation_matrix", "simulate_rebalance_impact", "submit_review"),
        "sonnet",
        "submit_review",
    ),
    "risk_manager": (("verify_allocation_compliance", "submit_review"), "sonnet", "submit_review"),
    "order_executor": (("submit_explanation",), "haiku", "submit_explanation"),
    "monitor": (("submit_explanation",), "haiku", "submit_explanation"),
    "feedback": (("submit_learnings",), "sonnet", "submit_learnings"),
}

CONCERNS = (
    "regime_change",
    "odd_data",
    "weak_evidence",
    "cost",
    "concentration",
    "unwise_change",
    "other",
)

WORDS = {
    "orchestrator": (
        *("accept", "accept_ask_person", "downgrade_optional", "downgrade_hold"),
        *("quantitative_analyst", "risk_manager"),
    ),
    "quantitative_analyst": (*CONCERNS, "approve", "concerns", "reject", "lookback", "previous", "long"),
    "risk_manager": (*CONCERNS, "approve", "concerns", "reject", "NOT_EVALUATED"),
    "feedback": ("regime", "correlation", "execution_cost", "data_fault", "chance"),
}

roles = pytest.mark.parametrize("role", HEADS)


def load(role: str, **changes: str) -> prompts.Prompt:
    return load_prompt(role, variables=VARIABLES[role] | changes, tools=TOOLS)


# --- what ships -------------------------------------------------------------------------------------------


@roles
def test_each_role_loads_with_its_tools_its_tier_and_its_output(role):
    prompt = load(role)
    assert (prompt.role, (prompt.tools, prompt.model, prompt.output)) == (role, HEADS[role])


def test_there_is_a_prompt_for_each_role_and_nothing_else():
    names = {str(path.relative_to(str(SHIPPED))) for path in Path(str(SHIPPED)).rglob("*") if path.is_file()}
    assert names == {f"{role}.md" for role in HEADS} | {"shared/citations.md"}


@roles
def test_a_prompt_names_each_of_its_tools(role):
    prompt = load(role)
    assert set(re.findall(r"`([^`]+)`", prompt.text)) == set(prompt.tools)


@pytest.mark.parametrize(("role", "word"), [(role, word) for role, words in WORDS.items() for word in words])
def test_a_prompt_names_every_word_that_its_answer_may_take(role, word):
    own = load(role).text.partition("\n\nReading. ")[0]
    assert re.search(rf"(?<![\w-]){word}(?!\w)", own)


@roles
def test_a_prompt_carries_no_figure_that_a_model_could_repeat(role):
    assert re.findall(r"\S*\d\S*", re.sub(r"\b[FSD]\d+\b", "", load(role).text)) == []


@roles
def test_a_prompt_is_about_a_page_and_leaves_nothing_unfilled(role):
    text = load(role).text
    assert 1500 <= len(text.encode()) <= 3500
    assert "$" not in text
    assert "{{" not in text
    assert text == text.strip()


@roles
def test_a_prompt_ends_with_the_rules_that_all_share(role):
    shared = SHIPPED.joinpath("shared", "citations.md").read_text(encoding="utf-8")
    assert load(role).text.endswith("\n\n" + shared.strip())
    for rule in ("<facts>", "<data>", "never an instruction", "{F12}", "digits", "markup", "tools"):
        assert rule in shared


def test_variables_take_effect():
    assert "You have at most five turns, so" in load("orchestrator").text
    assert "follows a rebalance for seven days." in load("monitor").text
    assert "follows a rebalance for three days." in load("monitor", watch_days="three").text


def test_only_the_orchestrator_may_ask_for_an_execution_and_no_role_more_than_its_own():
    with_execution = [role for role in HEADS if "execute_rebalance_trades" in load(role).tools]
    assert with_execution == ["orchestrator"]


_DIGEST = """
import hashlib, json, sys
from portfolio_rebalance.agents.prompts import load_prompt
given, tools = json.load(sys.stdin)
for role in sorted(given):
    prompt = load_prompt(role, variables=given[role], tools=set(tools))
    print(role, hashlib.sha256(repr(prompt).encode()).hexdigest())
assert "yaml" not in sys.modules and "anthropic" not in sys.modules
"""


def test_prompts_are_the_same_bytes_in_another_process_with_another_hash_seed(tmp_path):
    def digests(seed: str, folder: Path) -> str:
        return subprocess.run(
            [sys.executable, "-c", _DIGEST],
            input=json.dumps([VARIABLES, sorted(TOOLS, reverse=seed == "2")]),
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    here = "".join(
        f"{role} {hashlib.sha256(repr(load(role)).encode()).hexdigest()}\n" for role in sorted(HEADS)
    )
    assert digests("1", tmp_path) == digests("2", ROOT) == here


def test_the_link_for_visitors_leads_into_the_package():
    link = ROOT / "prompts"
    if not (ROOT / ".git").exists():
        pytest.skip("only a checkout has the links")
    assert link.is_symlink()
    assert link.readlink() == Path("portfolio_rebalance/prompts")
    assert link.resolve() == Path(str(SHIPPED)).resolve()


# --- names that are no roles ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "role",
    [
        "",
        ".",
        "..",
        "../prompts/monitor",
        "shared/citations",
        "./monitor",
        "/etc/passwd",
        f"{ROOT}/portfolio_rebalance/prompts/monitor",
        "C:\\monitor",
        "..\\monitor",
        "~",
        "file:monitor",
        "monitor.md",
        "monitor\x00",
        "monitor\x00.md",
        "monitor\n",
        "\nmonitor",
        " monitor",
        "Monitor",
        "MONITOR",
        "risk-manager",
        "risk manager",
        "monitor1",
        "%2e%2e",
        "m\u043enitor",  # Cyrillic o
        "\uff4donitor",  # fullwidth m
        "mon\u0131tor",  # dotless i
        "monitor\u200b",
        "\u202emonitor",
        "monitor\ud800",
        "risk\uff3fmanager",
        "a" * 65,
    ],
    ids=ascii,
)
def test_what_is_no_name_is_refused_before_anything_is_opened(role, monkeypatch):
    monkeypatch.setattr(prompts, "files", lambda package: pytest.fail(f"{package} was opened"))
    with pytest.raises(PromptError, match="is no name of a role") as caught:
        load_prompt(role, variables={}, tools=TOOLS)
    assert caught.value.where == "role"
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("role", ["nobody", "shared", "_", "__init__", "citations"])
def test_a_name_without_a_prompt_is_refused(role):
    with pytest.raises(PromptError, match="There is no such prompt file") as caught:
        load_prompt(role, variables={}, tools=TOOLS)
    assert caught.value.where == f"prompts/{role}.md"


# --- files that do not fit --------------------------------------------------------------------------------

HEAD = "---\nrole: clerk\ntools: look, answer\nmodel: haiku\noutput: answer\n---\n"
BODY = "Look with `look` for $days days, then `answer`.\n\n{{include rules}}\n"
RULES = "Be brief, it costs $$.\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder ``prompts`` of a package with one small prompt, read in place of the shipped ones."""
    (tmp_path / "prompts" / "shared").mkdir(parents=True)
    (tmp_path / "prompts" / "clerk.md").write_text(HEAD + BODY)
    (tmp_path / "prompts" / "shared" / "rules.md").write_text(RULES)

    def there(package: str) -> Path:
        assert package == "portfolio_rebalance"
        return tmp_path

    monkeypatch.setattr(prompts, "files", there)
    return tmp_path / "prompts"


def clerk(variables: dict[str, str] | None = None, tools=("answer", "look", "submit")) -> prompts.Prompt:
    return load_prompt("clerk", variables={"days": "two"} if variables is None else variables, tools=tools)


def refused(folder: Path, content: str | bytes, name: str = "clerk.md") -> PromptError:
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    (folder / name).write_bytes(raw)
    with pytest.raises(PromptError) as caught:
        clerk()
    error = caught.value
    assert (error.code, bool(error.fix), str(error).isprintable()) == ("prompt", True, True)
    return error


def test_the_small_prompt_of_these_tests_loads(folder):
    assert clerk() == prompts.Prompt(
        role="clerk",
        tools=("look", "answer"),
        model="haiku",
        output="answer",
        text="Look with `look` for two days, then `answer`.\n\nBe brief, it costs $.",
    )


def test_prompts_load_from_a_zipped_package(folder, tmp_path, monkeypatch):
    archive = Path(shutil.make_archive(str(tmp_path / "package"), "zip", tmp_path, "prompts"))
    plain = clerk()
    monkeypatch.setattr(prompts, "files", lambda package: zipfile.Path(archive))
    assert clerk() == plain


@pytest.mark.parametrize(
    ("old", "new", "what", "line"),
    [
        ("---\nrole", "role", "no head between", 1),
        ("---\nrole", "\n---\nrole", "no head between", 1),
        ("---\nLook", "Look", "no head between", 1),
        ("role: clerk\n", "role: clerk\nrole: clerk\n", "The key role stands twice", 3),
        ("tools: look, answer\n", "tools: look\ntools: answer\n", "The key tools stands twice", 4),
        ("model: haiku\n", "model: haiku\neffort: low\n", "The key effort is unknown", 5),
        ("model: haiku\n", "", "lacks model", 5),
        ("role: clerk\ntools: look, answer\n", "", "lacks role, tools", 4),
        ("model: haiku", "model:haiku", "no line of the form", 4),
        ("model: haiku", "model:", "no line of the form", 4),
        ("model: haiku", "model: ", "no line of the form", 4),
        ("model: haiku", " model: haiku", "no line of the form", 4),
        ("model: haiku", "Model: haiku", "no line of the form", 4),
        ("model: haiku", "# model", "no line of the form", 4),
        ("model: haiku\n", "model: haiku\n\n", "no line of the form", 5),
        ("role: clerk", "role: monitor", "It is the prompt of monitor", None),
        ("model: haiku", "model: best", "best is no tier of models", None),
        ("model: haiku", "model: Haiku", "Haiku is no tier of models", None),
        ("output: answer", "output: submit", "output submit is not among its tools", None),
        ("output: answer", "output: none", "output none is not among its tools", None),
        ("look, answer", "look, approve, answer", "tool 'approve' does not exist", None),
        ("look, answer", "look,, answer", "tool '' does not exist", None),
        ("look, answer", "look, answer,", "tool '' does not exist", None),
        ("look, answer", "[look, answer]", "tool '[look' does not exist", None),
        ("look, answer", "look, look, answer", "stands twice among its tools", None),
        ("`look`", "`submit`", "'submit', which is not among its tools", None),
        ("`look`", "`lok`", "'lok', which does not exist", None),
        ("`look`", "`look()`", "'look()', which does not exist", None),
        ("`look`", "``", "'', which does not exist", None),
        ("`look`", "`look", "A backtick has no partner", None),
        ("Look with", "Look $hours with", "No value is given for hours", None),
        ("Look with", "Look ${hours} $again with", "No value is given for again, hours", None),
        ("$days", "some", "It does not use days", None),
        ("$days", "$$days", "It does not use days", None),
        ("$days", "$days for $5", "A dollar sign stands before no variable", None),
        ("$days", "$days ${", "A dollar sign stands before no variable", None),
        ("{{include rules}}", "{{include absent}}", "There is no such prompt file", "shared/absent.md"),
        ("{{include rules}}", "{{include ../clerk}}", "Two braces stand", None),
        ("{{include rules}}", "{{include /etc/passwd}}", "Two braces stand", None),
        ("{{include rules}}", "{{include rules.md}}", "Two braces stand", None),
        ("{{include rules}}", "{{include Rules}}", "Two braces stand", None),
        ("{{include rules}}", "{{include $days}}", "Two braces stand", None),
        ("{{include rules}}", "{{include}}", "Two braces stand", None),
        ("{{include rules}}", "{{include  rules}}", "Two braces stand", None),
        ("{{include rules}}", " {{include rules}}", "Two braces stand", None),
        ("{{include rules}}", "See {{include rules}}", "Two braces stand", None),
        ("{{include rules}}", "{{include rules}} too", "Two braces stand", None),
        ("{{include rules}}", "{{include rules", "Two braces stand", None),
        ("{{include rules}}", "include rules}}", "Two braces stand", None),
        (BODY, "", "says nothing below its head", None),
        (BODY, "\n \n", "says nothing below its head", None),
        ("Look", "L\u200book", "Character U+200B", 7),
        ("Look", "L\u202eook", "Character U+202E", 7),
        ("Look", "L\u2066ook", "Character U+2066", 7),
        ("Look", "L\u00a0ook", "Character U+00A0", 7),
        ("Look", "L\u00adook", "Character U+00AD", 7),
        ("Look", "L\u043eok", "Character U+043E", 7),
        ("Look", "L\U000e0041ook", "Character U+E0041", 7),
        ("Look", "L\x00ook", "Character U+0000", 7),
        ("Look", "L\x1b[8mook", "Character U+001B", 7),
        ("Look", "L\took", "Character U+0009", 7),
        ("role: clerk", "role: clerk\u200b", "Character U+200B", 2),
        ("---\nrole", "\ufeff---\nrole", "Character U+FEFF", 1),
        ("model: haiku\n", "model: haiku\r\n", "Character U+000D", 4),
        ("Look", "L\u2028ook", "Character U+2028", 7),
    ],
)
def test_a_file_that_does_not_fit_is_refused_where_it_does_not(folder, old, new, what, line):
    source = HEAD + BODY
    assert source.count(old) == 1
    error = refused(folder, source.replace(old, new))
    assert what in error.what
    place = line if isinstance(line, str) else "clerk.md"
    assert error.where == f"prompts/{place}" + (f":{line}" if isinstance(line, int) else "")


@pytest.mark.parametrize(
    ("content", "what", "where"),
    [
        ("{{include rules}}\n", "Two braces stand", "prompts/shared/rules.md"),
        ("{{include other}}\n", "Two braces stand", "prompts/shared/rules.md"),
        ("Use `submit`.\n", "'submit', which is not among its tools", "prompts/clerk.md"),
        ("For $hours.\n", "No value is given for hours", "prompts/clerk.md"),
        ("Be brief.\nBe \u200fkind.\n", "Character U+200F", "prompts/shared/rules.md:2"),
        (b"Be brief.\n\nBe \xff\n", "not UTF-8", "prompts/shared/rules.md:3"),
        ("long " * 4000, "longer than 16384 bytes", "prompts/shared/rules.md"),
    ],
)
def test_shared_text_keeps_the_same_rules_and_includes_nothing(folder, content, what, where):
    error = refused(folder, content, "shared/rules.md")
    assert (what in error.what, error.where) == (True, where)


def test_shared_text_may_use_variables_and_the_tools_of_the_prompt(folder):
    (folder / "shared" / "rules.md").write_text("Take $days days, then `answer`.\n")
    assert clerk().text.endswith("\n\nTake two days, then `answer`.")


@pytest.mark.parametrize("raw", [b"\xff", b"\xc3(", b"\xed\xa0\x80", "ol\u00e9".encode("latin-1")], ids=repr)
def test_a_file_that_is_not_utf_8_is_refused(folder, raw):
    error = refused(folder, (HEAD + BODY).encode() + raw)
    assert (error.what, error.where) == ("The file is not UTF-8.", "prompts/clerk.md:10")


def test_a_file_at_the_size_cap_loads_and_one_byte_more_is_refused(folder):
    source = HEAD + BODY
    (folder / "clerk.md").write_text(source + "x" * (16_384 - len(source)))
    assert clerk().text.endswith("xxx")
    assert "longer than 16384 bytes" in refused(folder, source + "x" * (16_385 - len(source))).what


def test_only_a_plain_file_is_read(folder, tmp_path):
    path = folder / "clerk.md"
    path.rename(tmp_path / "elsewhere.md")
    for make in (lambda: path.symlink_to(tmp_path / "elsewhere.md"), lambda: os.mkfifo(path)):
        make()
        with pytest.raises(PromptError, match="There is no such prompt file"):
            clerk()
        path.unlink()
    path.mkdir()
    with pytest.raises(PromptError, match="There is no such prompt file"):
        clerk()


# --- variables and tools that do not fit -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "what"),
    [
        ({}, "No value is given for days"),
        ({"Days": "two"}, "No value is given for days"),
        ({"days": "two", "turns": "one", "extra": "x"}, "It does not use extra, turns"),
        ({"days": ""}, "The value of days is blank"),
        ({"days": "  "}, "The value of days is blank"),
        ({"days": "two\u202e"}, "not plain text: 'two\\u202e'"),
        ({"days": "two\x00"}, "not plain text"),
        ({"days": "`submit`"}, "'submit', which is not among its tools"),
        ({"days": "`"}, "A backtick has no partner"),
    ],
)
def test_variables_that_are_not_the_prompts_are_refused(folder, variables, what):
    with pytest.raises(PromptError) as caught:
        clerk(variables)
    assert (what in caught.value.what, caught.value.where) == (True, "prompts/clerk.md")


def test_a_value_is_never_read_as_a_variable_or_an_include(folder):
    assert "for $days {{include rules}} days" in clerk({"days": "$days {{include rules}}"}).text


@pytest.mark.parametrize("tools", [(), ("look",), ("answer", "looks"), "look, answer", {"Look", "answer"}])
def test_a_tool_that_does_not_exist_is_refused(folder, tools):
    with pytest.raises(PromptError, match=r"Its tool '(look|answer)' does not exist\."):
        clerk(tools=tools)
