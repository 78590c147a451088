"""The slash skill: what it allows an agent without asking, and what it tells it."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
import yaml

from portfolio_rebalance.allocation import mode_names
from portfolio_rebalance.cli.verbs import app

READ_ONLY = {"status", "show", "history", "config", "doctor", "metrics", "feedback list"}
SOURCE_MODES = ("proportional", "correlation-aware", "performance-weighted", "risk-adjusted")


@pytest.fixture(scope="module")
def text() -> str:
    return files("portfolio_rebalance").joinpath("skill", "SKILL.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def front_matter(text) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


@pytest.fixture(scope="module")
def body(text) -> str:
    return text.split("---\n", 2)[2]


def test_it_is_a_slash_command_of_the_products_name(front_matter):
    assert front_matter["name"] == "trading-portfolio-rebalance"
    assert front_matter["user-invocable"] is True


def test_the_description_carries_the_trigger_words(front_matter):
    for words in ("rebalance", "adjust positions", "reduce correlation", "fix drift"):
        assert words in front_matter["description"]
    assert len(front_matter["description"]) <= 1024


def test_the_argument_hint_lists_the_four_modes_and_both_flags(front_matter):
    hint = front_matter["argument-hint"]
    for words in (*SOURCE_MODES, "--dry-run", "--execute"):
        assert words in hint
    assert {name.replace("-", "_") for name in SOURCE_MODES} <= set(mode_names())


def test_tools_allowed_without_asking_only_read(front_matter):
    allowed = front_matter["allowed-tools"].split(", ")
    verbs = [
        re.fullmatch(r"Bash\(trading-portfolio-rebalance ([a-z -]+):\*\)", tool).group(1) for tool in allowed
    ]
    assert set(verbs) == READ_ONLY
    assert len(verbs) == len(set(verbs))


def test_every_verb_it_names_exists(front_matter, body):
    verbs = {info.name for info in app.registered_commands} | {info.name for info in app.registered_groups}
    assert verbs >= {verb.split()[0] for verb in READ_ONLY}
    table = {
        match.removesuffix(" PLAN") for match in re.findall(r"^\| `([a-z][^`]*)` \|", body, re.MULTILINE)
    }
    assert table == READ_ONLY


def test_it_runs_the_command_with_the_users_arguments(body):
    assert "trading-portfolio-rebalance --json $ARGUMENTS" in body


def test_it_forbids_what_only_a_person_may_do(body):
    never = body.split("## Never")[1]
    for words in ("approve", "execute", ".crypto", "--confirm-capital", "figure", "data"):
        assert words in never


def test_every_exit_code_it_explains_is_one_of_ours(body):
    line = body.split("Exit codes:")[1].split("\n\n")[0]
    codes = {int(number) for number in re.findall(r"(?:^|· ?)\s*(\d+) ", line.replace("\n", " "))}
    assert codes == {0, 1, 2, 10, 11, 12, 13, 14, 15, 16, 130}
