"""Calls, answers and transcripts that several tests use, and a hypothesis strategy for what JSON holds."""

from __future__ import annotations

from hypothesis import strategies as st

from portfolio_rebalance.agents.messages import Call, Json, ModelError, Reply, Usage
from portfolio_rebalance.agents.transcript import CallId, Entry, Fault, Provenance, Transcript

SECRET = "canary-7f3a9c51"
HIDDEN = "[redacted]"


def as_is(text: str) -> str:
    """A redaction that finds nothing."""
    return text


def without_secret(text: str) -> str:
    """A redaction that knows one secret."""
    return text.replace(SECRET, HIDDEN)


def request(text: str, *, system: str = "You review plans.") -> Json:
    return {
        "max_tokens": 1024,
        "messages": [{"content": [{"text": text, "type": "text"}], "role": "user"}],
        "model": "claude-sonnet-5-5",
        "system": [{"text": system, "type": "text"}],
    }


def call(agent: str = "monitor", turn: int = 1, attempt: int = 1, *, body: Json | None = None) -> Call:
    return Call(
        agent=agent,
        turn=turn,
        attempt=attempt,
        request=request(f"{agent} {turn}.{attempt}") if body is None else body,
        seconds=30.0,
    )


def reply(text: str = "ok", **changes: object) -> Reply:
    values = {
        "content": ({"type": "text", "text": text},),
        "stop_reason": "end_turn",
        "usage": Usage(input_tokens=7, output_tokens=5, cache_read_tokens=3, cache_write_tokens=2),
        "model": "claude-sonnet-5-5",
        **changes,
    }
    return Reply(**values)  # type: ignore[arg-type]


def entry(agent: str, turn: int, attempt: int, answer: Reply | Fault) -> Entry:
    return Entry(id=CallId(agent, turn, attempt), request=request(f"{agent} {turn}.{attempt}"), answer=answer)


def transcript(provenance: Provenance = "authored") -> Transcript:
    """Two agents, a retry, a fault, a tool call with a number."""
    asked = reply(
        content=(
            {"type": "text", "text": "Looking."},
            {"type": "tool_use", "id": "toolu_1", "name": "submit", "input": {"share": 0.35, "n": 1}},
        ),
        stop_reason="tool_use",
    )
    return Transcript(
        provenance=provenance,
        made_with="0.1.0",
        notes={"scene": "two agents"},
        entries=(
            entry("monitor", 1, 1, reply(stop_reason=None)),
            entry("monitor", 1, 2, asked),
            entry("orchestrator", 1, 1, Fault(kind="overloaded", detail="529, twice")),
            entry("orchestrator", 2, 1, reply("Done.")),
        ),
    )


def calls_of(one: Transcript) -> list[Call]:
    """The calls that were recorded."""
    return [
        Call(
            agent=each.id.agent,
            turn=each.id.turn,
            attempt=each.id.attempt,
            request=each.request,
            seconds=30.0,
        )
        for each in one.entries
    ]


def outcome(client: object, one: Call) -> Reply | tuple[str, str]:
    """What a call came to: a reply, or kind and detail of its fault."""
    try:
        return client.complete(one)  # type: ignore[attr-defined,no-any-return]
    except ModelError as fault:
        return (fault.kind, fault.detail)


TEXTS = st.text(max_size=12)
_NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=3)
_COUNTS = st.integers(0, 10**6)
REPLIES = st.builds(
    Reply,
    content=st.lists(
        st.one_of(
            st.builds(lambda text: {"type": "text", "text": text}, TEXTS),
            st.builds(
                lambda name, given: {"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": given},
                st.text(min_size=1, max_size=5),
                OBJECTS | TEXTS,
            ),
            st.builds(lambda kind, more: {**more, "type": kind}, st.just("thinking"), OBJECTS),
        ),
        max_size=3,
    ).map(tuple),
    stop_reason=st.none() | TEXTS,
    usage=st.builds(
        Usage,
        input_tokens=_COUNTS,
        output_tokens=_COUNTS,
        cache_read_tokens=_COUNTS,
        cache_write_tokens=_COUNTS,
    ),
    model=TEXTS,
)
