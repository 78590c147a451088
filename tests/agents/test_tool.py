"""Tools as models see them: strict schemas, no argument that could move a limit or money, strict parsing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from executing import EXAMPLE_1, Told, example_1
from model_runs import ask_both, healthy, led, look, submit
from pydantic import Field

from portfolio_rebalance.agents.budget import Budget
from portfolio_rebalance.agents.explain import explain, learn
from portfolio_rebalance.agents.facts import FactBook
from portfolio_rebalance.agents.messages import Json, ModelError
from portfolio_rebalance.agents.scripted import ScriptedClient
from portfolio_rebalance.agents.tool import Arguments, Refused, Tool, parsed
from portfolio_rebalance.agents.tool_names import TOOL_NAMES
from portfolio_rebalance.config_llm import Llm, LlmAgents

KEYWORDS = {"type", "properties", "required", "enum", "items", "description", "additionalProperties"}
"""What strict schemas of the Messages API hold, and no more."""

ARGUMENTS = {
    "calculate_correlation_matrix": {"window"},
    "generate_rebalance_proposal": {"algorithm_mode"},
    "verify_allocation_compliance": {"draft_id"},
    "simulate_rebalance_impact": {"draft_id"},
    "request_review": {"role", "draft_id"},
    "submit": {"draft_id", "verdict", "explanation"},
    "execute_rebalance_trades": {"plan_id"},
    "submit_review": {"verdict", "concerns", "concerns.kind", "concerns.text"},
    "submit_explanation": {"text"},
    "submit_learnings": {"learnings", "learnings.cause", "learnings.text"},
}
PROSE = {"explanation", "text"}
"""Arguments that may hold anything; each is checked for citations. A plan's id is compared with the run's."""


@pytest.fixture(scope="module")
def offered(tmp_path_factory) -> dict[str, Json]:
    """Every tool that any agent was offered, by name, from the requests of a run that executes."""
    failing = ScriptedClient({name: [ModelError("timeout", "x")] for name in ("monitor", "feedback")})
    told: dict[str, Any] = {
        "about": {"x": ""},
        "book": FactBook((), names={}),
        "client": failing,
        "purse": Budget(Llm(), clock=lambda: 0.0).purse,
        "settings": LlmAgents(),
    }
    explain("monitor", variables={"watch_days": "seven"}, **told)
    learn(**told)
    root = example_1(tmp_path_factory.mktemp("tools"))
    script = healthy(
        orchestrator=[look(), ask_both(), submit(), ModelError("timeout", "x")],
        order_executor=[ModelError("timeout", "x")],
    )
    run = led(root, script, person=Told(), execute=True)
    assert run.result.status == "executed", run.result.error
    calls = (*run.calls, *failing.calls)
    return {tool["name"]: tool for call in calls for tool in call.request["tools"]}


def test_there_are_these_tools_and_no_others(offered):
    assert set(offered) == set(ARGUMENTS) == TOOL_NAMES


def test_no_argument_is_a_limit_a_path_an_amount_or_an_approval(offered):
    found = {name: {path for path, _ in parts(tool["input_schema"])} for name, tool in offered.items()}
    assert found == ARGUMENTS


def test_what_can_be_passed_is_an_enum_a_plan_s_id_or_prose(offered):
    for name, tool in offered.items():
        for path, schema in parts(tool["input_schema"]):
            leaf = path.rpartition(".")[2]
            if schema["type"] == "array":
                assert schema["items"]["type"] == "object", name
            else:
                assert schema["type"] == "string", (name, path)
                assert ("enum" in schema) == (leaf not in {*PROSE, "plan_id"}), (name, path)


def test_schemas_are_strict_and_closed(offered):
    for name, tool in offered.items():
        assert set(tool) == {"name", "description", "input_schema", "strict"}
        assert tool["strict"] is True
        assert tool["description"]
        for schema in nodes(tool["input_schema"]):
            assert set(schema) <= KEYWORDS, name
            if schema["type"] == "object":
                assert schema["additionalProperties"] is False, name
                assert schema["required"] == list(schema["properties"]), name


def test_descriptions_hold_nothing_of_a_workspace(offered):
    assert not any(word in str(offered) for one, of in EXAMPLE_1.items() for word in (one, of.name, "USD"))


def test_the_bytes_of_every_request_are_the_same_whatever_the_hash_seed(tmp_path):
    script = (
        "import sys, hashlib\n"
        "from pathlib import Path\n"
        "from executing import example_1\n"
        "from model_runs import healthy, led, request_bytes\n"
        "run = led(example_1(Path(sys.argv[1])), healthy())\n"
        "for call in sorted(run.calls, key=lambda call: (call.agent, call.turn)):\n"
        "    print(call.agent, call.turn, hashlib.sha256(request_bytes(call)).hexdigest())\n"
    )
    tests = Path(__file__).parent.parent
    paths = [tests, tests / "agents", tests / "execution", os.environ.get("PYTHONPATH", "")]
    said = []
    for seed in ("0", "4242"):
        (tmp_path / seed).mkdir()
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / seed)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(map(str, paths))},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout)
    assert said[0] == said[1]
    assert len(said[0].splitlines()) == 5


def parts(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every argument with its schema, those of listed objects included."""
    for name, one in schema.get("properties", {}).items():
        yield f"{path}{name}", one
        if one["type"] == "array":
            yield from parts(one["items"], f"{path}{name}.")


def nodes(schema: Json) -> Iterator[Json]:
    yield schema
    for _, one in parts(schema):
        yield one
        if one["type"] == "array":
            yield one["items"]


# --- parsing ---------------------------------------------------------------------------------------------


class Part(Arguments):
    kind: Literal["x", "y"]
    text: str = Field(max_length=5)


class Given(Arguments):
    verdict: Literal["good", "bad"]
    parts: tuple[Part, ...] = Field(max_length=2)


TOOL = Tool(name="hand_in", description="Hands in.", arguments=Given, run=lambda given: given.verdict)


def test_arguments_that_fit_are_parsed_from_an_object_or_its_text():
    wanted = Given(verdict="good", parts=(Part(kind="x", text="abc"),))
    assert parsed(TOOL, {"verdict": "good", "parts": [{"kind": "x", "text": "abc"}]}) == wanted
    assert parsed(TOOL, '{"verdict": "good", "parts": [{"kind": "x", "text": "abc"}]}') == wanted


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "verdict: Field required; parts: Field required"),
        ({"verdict": "good"}, "parts: Field required"),
        ({"verdict": "GOOD", "parts": []}, "verdict: Input should be 'good' or 'bad'"),
        ({"verdict": 1, "parts": []}, "verdict: Input should be 'good' or 'bad'"),
        ({"verdict": None, "parts": []}, "verdict: Input should be 'good' or 'bad'"),
        ({"verdict": "good", "parts": "none"}, "parts: Input should be a valid array"),
        ({"verdict": "good", "parts": None}, "parts: Input should be a valid array"),
        ({"verdict": "good", "parts": [1]}, "parts.0: Input should be an object"),
        (
            {"verdict": "good", "parts": [{"kind": "x", "text": 5}]},
            "parts.0.text: Input should be a valid string",
        ),
        (
            {"verdict": "good", "parts": [{"kind": "x", "text": "abcdef"}]},
            "parts.0.text: String should have at most 5 characters",
        ),
        (
            {"verdict": "good", "parts": [], "max_allocation_percent": 90},
            "max_allocation_percent: Extra inputs are not permitted",
        ),
        ("[]", "arguments: Input should be an object"),
        ("null", "arguments: Input should be an object"),
        ('"good"', "arguments: Input should be an object"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(given, told):
    with pytest.raises(Refused) as caught:
        parsed(TOOL, given)
    assert str(caught.value) == f"The arguments of hand_in are not acceptable: {told}."


def test_a_list_that_is_too_long_is_refused_and_four_faults_are_named_at_most():
    with pytest.raises(Refused, match=r"parts: Tuple should have at most 2 items"):
        parsed(TOOL, {"verdict": "good", "parts": [{"kind": "x", "text": "a"}] * 3})
    with pytest.raises(Refused) as caught:
        parsed(TOOL, {"verdict": "good", "parts": [], **dict.fromkeys("abcdefgh", 1)})
    assert str(caught.value).count("Extra inputs") == 4


def _deep() -> Json:
    deep: Json = {}
    for _ in range(3000):
        deep = {"a": deep}
    return deep


@pytest.mark.parametrize(
    "given",
    [
        {"verdict": float("nan"), "parts": []},
        {"verdict": float("inf"), "parts": []},
        {"verdict": "good", "parts": [], "x": 10**5000},
        {"verdict": "good", "parts": [], "x": {1, 2}},
        {"verdict": "good", "parts": [{"kind": "x", "text": "\ud800"}]},
        {"verdict": "good", "parts": [], "x": _deep()},
        _deep(),
        "[" * 965,
        "[" * 965 + "]" * 965,
        "{" * 100_001,
        "\x00",
        "9" * 5000,
    ],
    ids=lambda given: type(given).__name__,
)
def test_what_is_no_json_is_refused_and_nothing_else_is_raised(given):
    with pytest.raises(Refused):
        parsed(TOOL, given)


def test_text_that_is_no_object_says_what_to_write():
    with pytest.raises(Refused) as caught:
        parsed(TOOL, '{"verdict": "good", "verdict": "bad", "parts": []}')
    assert str(caught.value) == (
        "The arguments are not valid JSON: a key stands twice in one object. Write one JSON object."
    )
