"""What models reply: a good one, and in how many ways one can be wrong. Each reply is drawn anew.

A reply is whatever came over the network: mostly a message in the API's form, sometimes not even that.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, get_args

from model_prose import BAD_PROSE, CLAIMS, GOOD_PROSE, ODD_PROSE

from portfolio_rebalance.agents.messages import Call, FaultKind, Json, ModelError

__all__ = ["ABSURD_USAGE", "DRAFTS", "VERDICTS", "WRONGS", "Intent", "Reply", "healthy", "subject_of"]

Reply: TypeAlias = Callable[["Intent", random.Random, Call, int], object]
"""Makes a reply of what a model is after, a draw, the call, and how often it was called before."""

Block: TypeAlias = dict[str, Any]
_ORCHESTRATOR: Final = "orchestrator"
_ROLES: Final = ("quantitative_analyst", "risk_manager")
DRAFTS: Final = ("D1", "D2", "D3", "D4", "D5")
_MODES: Final = ("proportional", "correlation_aware", "performance_weighted", "risk_adjusted")
VERDICTS: Final = ("accept", "accept_ask_person", "downgrade_optional", "downgrade_hold")
_REVIEWS: Final = ("approve", "concerns", "reject")
_KINDS: Final = ("regime_change", "odd_data", "weak_evidence", "cost", "concentration", "other")
_STOPS: Final = (
    "tool_use", "end_turn", "stop_sequence", "max_tokens", "model_context_window_exceeded", "refusal",
    "pause_turn", "compaction", "", "TOOL_USE", "tool_use ", "\x1b[31mtool_use", "no such reason", None, 7,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a model is after while it is well-behaved.

    Attributes:
        draft: That it recommends.
        verdict: That it comes to.
    """

    seed: str
    draft: str
    verdict: str


# --- what a good model says ------------------------------------------------------------------------------


def _prose(draw: random.Random, call: Call, draft: str) -> str:
    text = draw.choice(GOOD_PROSE + CLAIMS[:1]).replace("{draft}", draft)
    shown = re.findall(r"(F\d+) \| ", _read(call)) or ["F1"]
    while "{cite}" in text:
        text = text.replace("{cite}", "{" + draw.choice(shown) + "}", 1)
    return text


def healthy(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    if call.agent != _ORCHESTRATOR:
        if step == 1 and draw.random() < 0.3:
            return _asks(draw, *_reads(draw, call, subject_of(call)))
        return _asks(draw, ("submit_review", _a_review(draw, call)))
    turns = _plan_of(intent)
    if step <= len(turns):
        return _asks(draw, *turns[step - 1])
    found = re.findall(r"The plan is ([0-9a-f]{64})", _read(call))
    if found:
        return _asks(draw, ("execute_rebalance_trades", {"plan_id": found[-1]}))
    return _asks(draw, ("submit", _a_submission(intent, draw, call)))


def _plan_of(intent: Intent) -> Sequence[Sequence[tuple[str, Json]]]:
    """The turns before it submits: in one, in two, in three."""
    draw = random.Random(f"{intent.seed}/plan")
    reads = [
        ("calculate_correlation_matrix", {"window": draw.choice(("lookback", "previous", "long"))}),
        ("verify_allocation_compliance", {"draft_id": intent.draft}),
        ("simulate_rebalance_impact", {"draft_id": intent.draft}),
    ]
    asks = [("request_review", {"role": role, "draft_id": intent.draft}) for role in _ROLES]
    turns = draw.choice(([reads + asks], [reads, asks], [asks], [reads[:1], reads[1:] + asks]))
    if draw.random() < 0.3:
        turns[0] = [("generate_rebalance_proposal", {"algorithm_mode": draw.choice(_MODES)}), *turns[0]]
    return turns


def _reads(draw: random.Random, call: Call, draft: str) -> list[tuple[str, Json]]:
    given: dict[str, Json] = {
        "calculate_correlation_matrix": {"window": draw.choice(("lookback", "previous", "long"))},
        "verify_allocation_compliance": {"draft_id": draft},
        "simulate_rebalance_impact": {"draft_id": draft},
        "generate_rebalance_proposal": {"algorithm_mode": draw.choice(_MODES)},
    }
    offered = [(name, given[name]) for name in _offered(call) if name in given]
    return draw.sample(offered, draw.randint(1, len(offered)))


def _a_review(draw: random.Random, call: Call) -> Json:
    concerns = [
        {"kind": draw.choice(_KINDS), "text": _prose(draw, call, "D1")} for _ in range(draw.choice((0, 1, 2)))
    ]
    return {"verdict": draw.choice(_REVIEWS), "concerns": concerns}


def _a_submission(intent: Intent, draw: random.Random, call: Call) -> Json:
    return {
        "draft_id": intent.draft,
        "verdict": intent.verdict,
        "explanation": _prose(draw, call, intent.draft),
    }


# --- what a bad one says ---------------------------------------------------------------------------------


def _wrong_arguments(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    name = draw.choice(_offered(call))
    return _asks(draw, (name, _spoilt(draw, _right_arguments(intent, draw, call, name))))


def _right_arguments(intent: Intent, draw: random.Random, call: Call, name: str) -> Json:
    if name == "submit":
        return _a_submission(intent, draw, call)
    if name == "submit_review":
        return _a_review(draw, call)
    if name == "request_review":
        return {"role": draw.choice(_ROLES), "draft_id": draw.choice(DRAFTS)}
    if name == "execute_rebalance_trades":
        return {"plan_id": draw.choice(("0" * 64, "D1", "../../plans", "latest", ""))}
    return next((given for one, given in _reads(draw, call, draw.choice(DRAFTS)) if one == name), {})


def _spoilt(draw: random.Random, given: Json) -> Json | str:
    """Arguments with one thing wrong, as an object or as the text that a model wrote."""
    keys = list(given) or ["draft_id"]
    key = draw.choice(keys)
    text = json.dumps(given)
    kind = draw.randrange(12)
    if kind == 0:
        return {one: value for one, value in given.items() if one != key}
    if kind == 1:
        return {**given, draw.choice(_FORBIDDEN_KEYS): draw.choice((True, 100, "100 %", None))}
    if kind == 2:
        return text[:-1] + f', "{key}": "D2"}}'  # stands twice
    if kind == 3:
        return text[: draw.randrange(len(text))]
    if kind == 4:
        return draw.choice(
            ("[]", "null", "12", '"D1"', "", "{}}", "NaN", '{"draft_id": NaN}', "\x00", "{" * 99)
        )
    if kind == 5:
        return '{"a":' * 40 + "1" + "}" * 40
    if kind == 6:
        return {key: json.loads('{"a":' * 60 + "1" + "}" * 60)}
    return {**given, key: draw.choice(_ODD_VALUES)}


_FORBIDDEN_KEYS: Final = (
    "limit", "max_total_deployed_percent", "force", "live", "approved", "mode", "path", "capital", "amount",
    "__class__", "draft_id ", "Draft_ID", "draft\u200b_id", "\ud800", "",
)  # fmt: skip
_ODD_VALUES: Final = (
    None, True, 0, -1, 12, 0.35, 1e308, float("nan"), float("inf"), 10**400, "", " D1", "d1", "D1\n", "D0",
    "D6", "D12", "\uff241", "../D1", "D1; DROP TABLE plans", "\ud800", "\x00", [], ["D1"], {},
    {"draft_id": "D1"}, "a" * 100_001, [[]] * 500, ["D1", "D2"], "accepted", "approve", "custom_mode",
)  # fmt: skip


def _unknown_tools(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    asked = [(draw.choice(_OTHER_TOOLS), draw.choice(({}, {"draft_id": "D1"}, {"verdict": "approve"})))]
    if draw.random() < 0.5:
        asked += _reads(draw, call, intent.draft)
    return _asks(draw, *asked)


_OTHER_TOOLS: Final = (
    "approve", "approve_plan", "set_limit", "set_config", "bash", "write_file", "place_order", "submit ",
    "Submit", "submit", "submit_review", "submit_explanation", "submit_learnings", "request_review",
    "run_plan", "finish", "execute_rebalance_trades", "portfolio_rebalance.execution", "../submit",
    "s\u200bubmit", "a" * 5000, "\x1b[2J",
)  # fmt: skip


def _same_ids(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    name = draw.choice(_offered(call))
    one = _right_arguments(intent, draw, call, name)
    return _says([_use("toolu_same", name, one), _use("toolu_same", name, one)], "tool_use")


def _many(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    """0 to 40 calls of all sorts in one message."""
    asked = []
    for _ in range(draw.choice((0, 2, 5, 10, 16, 17, 40))):
        name = draw.choice(_offered(call))
        given: Json | str = _right_arguments(intent, draw, call, name)
        asked.append((name, _spoilt(draw, given) if draw.random() < 0.2 else given))
    return _asks(draw, *asked)


def _all_reviews(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    drafts = draw.sample(DRAFTS, draw.randint(1, 5))
    return _asks(
        draw, *(("request_review", {"role": role, "draft_id": one}) for one in drafts for role in _ROLES)
    )


def _several_changes(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    names = [name for name in _offered(call) if name.startswith(("submit", "execute"))]
    return _asks(
        draw,
        *(
            (name, _right_arguments(intent, draw, call, name))
            for name in draw.choices(names, k=draw.randint(2, 4))
        ),
    )


def _too_early(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    name = "submit" if call.agent == _ORCHESTRATOR else "submit_review"
    given = _right_arguments(intent, draw, call, name)
    if name == "submit":
        given |= {"draft_id": draw.choice(DRAFTS), "verdict": draw.choice(VERDICTS)}
    return _asks(draw, (name, given))


def _bad_words(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    """A proper answer in improper words."""

    def words() -> str:
        text = draw.choice((*BAD_PROSE, *BAD_PROSE, *ODD_PROSE, *CLAIMS)).replace("{draft}", intent.draft)
        return draw.choice((text, text, f"{_prose(draw, call, intent.draft)} {text}"))

    if call.agent == _ORCHESTRATOR:
        return _asks(draw, ("submit", {**_a_submission(intent, draw, call), "explanation": words()}))
    concerns = [
        {"kind": draw.choice(_KINDS), "text": words()[:600]} for _ in range(draw.choice((1, 1, 2, 6, 7)))
    ]
    return _asks(draw, ("submit_review", {"verdict": draw.choice(_REVIEWS), "concerns": concerns}))


def _other_roles(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    if call.agent == _ORCHESTRATOR:
        return _asks(draw, ("submit_review", _a_review(draw, call)))
    return _asks(
        draw,
        draw.choice(
            (
                ("submit", _a_submission(intent, draw, call)),
                ("request_review", {"role": draw.choice(_ROLES), "draft_id": "D1"}),
                ("execute_rebalance_trades", {"plan_id": "0" * 64}),
            )
        ),
    )


def _other_end(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    """A good message that ends for some reason or other."""
    message = healthy(intent, draw, call, step)
    assert isinstance(message, dict)
    return {**message, "stop_reason": draw.choice(_STOPS)}


def _cut_in_a_tool(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    """``12`` of ``1200``: a cut stream leaves a partial input that looks whole."""
    name = draw.choice(_offered(call))
    text = json.dumps(_right_arguments(intent, draw, call, name))
    part: Json | str = text[: draw.randrange(len(text) + 1)] if draw.random() < 0.5 else json.loads(text)
    reason = draw.choice(("max_tokens", None, "model_context_window_exceeded", "refusal", "end_turn"))
    return _says([_use("toolu_1", name, part)], reason)


def _no_content(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    return {
        "content": draw.choice(([], None)),
        "stop_reason": draw.choice(_STOPS),
        "model": draw.choice(("", None)),
    }


def _talks(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    text = draw.choice((*CLAIMS, *BAD_PROSE, *ODD_PROSE))
    return _says(
        [{"type": "text", "text": text}], draw.choice(("end_turn", "tool_use", "stop_sequence", None))
    )


def _thinks(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    thoughts: list[Block] = [
        {"type": "thinking", "thinking": draw.choice(CLAIMS), "signature": "EqQBCgIYAhIM1gbcDa9GJwZA"},
        {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "submit", "input": {"draft_id": "D1"}},
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Accepted. Approved by a person."},
        {"type": "mcp_tool_use", "id": "mcp_1", "name": "execute_rebalance_trades", "input": "{}"},
        {"type": "no such type", "text": 7, "deep": json.loads("[" * 90 + "]" * 90)},
    ]
    found = draw.sample(thoughts, draw.randint(1, len(thoughts)))
    if draw.random() < 0.5:
        message = healthy(intent, draw, call, step)
        assert isinstance(message, dict)
        return {**message, "content": [*found, *message["content"]]}
    return _says(found, draw.choice(("end_turn", "tool_use", "pause_turn", "refusal")))


def _refuses(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    content = draw.choice(([], [{"type": "text", "text": "I will not."}], None))
    return {"content": content, "stop_reason": "refusal"}


def _pauses(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    """Once, or as often as it is asked, where that is all it does."""
    content = draw.choice(
        (
            [],
            None,
            [{"type": "text", "text": draw.choice(("Let me see.", "", " "))}],
            [_use("toolu_1", "submit", _a_submission(intent, draw, call))],
        )
    )
    return {"content": content, "stop_reason": "pause_turn"}


def _fails(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    raise ModelError(draw.choice(get_args(FaultKind)), "it did not work")


def _is_no_message(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    return draw.choice(
        (
            None, 7, "Accepted.", [], [1], {}, {"content": "text"}, {"content": 5}, {"content": [None]},
            {"content": [{}]}, {"content": [{"type": 7}]}, {"content": [{"type": "text"}]},
            {"content": [{"type": "text", "text": None}]}, {"content": [{"type": "tool_use"}]},
            {"content": [_use("", "submit", {})]}, {"content": [_use("a", "", {})]},
            {"content": [_use("a", "submit", [])]}, {"content": [_use("a", "submit", None)]},
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            {"content": [{"type": "text", "text": "x"}], "stop_reason": ["tool_use"], "usage": 7},
        )
    )  # fmt: skip


def _repeats(intent: Intent, draw: random.Random, call: Call, step: int) -> object:
    """The very same call, each time and several times in a message."""
    name = draw.choice([one for one in _offered(call) if not one.startswith(("submit", "execute"))])
    given = {"window": "long"} if "matrix" in name else {"draft_id": "D1"}
    return _asks(draw, *[(name, given)] * draw.choice((1, 2, 2, 3)))


WRONGS: Final[Sequence[Reply]] = (
    _wrong_arguments, _wrong_arguments, _unknown_tools, _same_ids, _many, _many, _all_reviews,
    _several_changes, _too_early, _too_early, _bad_words, _bad_words, _bad_words, _other_roles, _other_end,
    _other_end, _cut_in_a_tool, _no_content, _talks, _thinks, _refuses, _pauses, _pauses, _fails, _fails,
    _is_no_message, _repeats,
)  # fmt: skip

ABSURD_USAGE: Final = (
    None, 7, {}, {"input_tokens": 10**12, "output_tokens": 10**12}, {"input_tokens": 10**13},
    {"input_tokens": -5, "output_tokens": -(10**9)}, {"input_tokens": True}, {"output_tokens": 1.5},
    {"output_tokens": "12"}, {"cache_read_input_tokens": 10**12, "cache_creation_input_tokens": 10**12},
    {"output_tokens": float("nan")},
)  # fmt: skip


# --- small change ----------------------------------------------------------------------------------------


def _asks(draw: random.Random, *tools: tuple[str, Json | str]) -> Json:
    blocks = [
        _use(f"toolu_{draw.randrange(10**9)}_{number}", name, given)
        for number, (name, given) in enumerate(tools)
    ]
    if draw.random() < 0.2:
        blocks.insert(0, {"type": "text", "text": "Let me look."})
    return _says(blocks, "tool_use")


def _says(blocks: Sequence[Block], stop_reason: object) -> Json:
    return {"content": list(blocks), "stop_reason": stop_reason, "model": "some-model", "type": "message"}


def _use(key: str, name: str, given: object) -> Block:
    return {"type": "tool_use", "id": key, "name": name, "input": given}


def _offered(call: Call) -> list[str]:
    return [tool["name"] for tool in call.request["tools"]]


def subject_of(call: Call) -> str:
    """The draft that a reviewer was asked about; nothing for the orchestrator."""
    found = re.match(r"Review draft (D\d)", call.request["messages"][0]["content"][0]["text"])
    return found[1] if found else ""


def _read(call: Call) -> str:
    """All that the model was told, as one text."""
    parts = []
    for message in call.request["messages"]:
        if message["role"] == "user":
            parts += [str(block.get("text") or block.get("content")) for block in message["content"]]
    return "\n".join(parts)
