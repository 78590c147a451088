"""The real SDK over HTTP on this machine: every fault is one error of the right kind, requests counted."""

from __future__ import annotations

import socket
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import anthropic
import pytest
from loopback_messages import (
    EVENT_STREAM,
    KEY,
    NOW,
    Answer,
    Waits,
    a_call,
    client_of,
    ended,
    event,
    eventually,
    failed,
    healthy,
    messages_api,
    outcome_of,
    started,
    text,
)

from portfolio_rebalance.agents.messages import FaultKind, ModelError, Reply

assert anthropic.__version__  # imported before any deadline runs

HTML = Answer(
    headers={"content-type": "text/html; charset=utf-8"}, parts=[b"<html><body>Bad gateway</body></html>"]
)
GOOD = Answer(parts=healthy())
BUSY = failed(529, "overloaded_error", message="Overloaded")


def fault(
    *answers: Answer, requests: int, seconds: float = 30.0, **settings: Any
) -> tuple[ModelError, Waits]:
    """The error of a call, after so many requests."""
    waits = Waits()
    with messages_api(answers) as api:
        error = outcome_of(client_of(api.url, waits=waits, **settings), a_call(seconds=seconds))
        assert isinstance(error, ModelError), error
        assert len(api.seen) == requests
    return error, waits


def saved(*answers: Answer, **settings: Any) -> list[float]:
    """The waits of a call that all these answers lead to a reply, one request each."""
    waits = Waits()
    with messages_api(answers) as api:
        reply = outcome_of(client_of(api.url, waits=waits, **settings))
        assert isinstance(reply, Reply), reply
        assert len(api.seen) == len(answers)
    return waits.waited


# --- asked again -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_a_passing_fault_is_asked_again_and_goes_by(status: int) -> None:
    assert saved(failed(status, "api_error"), failed(status, "api_error"), GOOD) == [0.375, 0.75]


@pytest.mark.parametrize(
    ("answer", "kind", "detail"),
    [
        (BUSY, "overloaded", "HTTP 529 overloaded_error: Overloaded (tried 3 times)"),
        (failed(500, "api_error"), "overloaded", "HTTP 500 api_error: Scripted (tried 3 times)"),
        (
            failed(429, "rate_limit_error"),
            "rate_limited",
            "HTTP 429 rate_limit_error: Scripted (tried 3 times)",
        ),
        (
            Answer(status=502, headers=HTML.headers, parts=HTML.parts),
            "overloaded",
            "HTTP 502 (tried 3 times)",
        ),
        (Answer(status=503, parts=[b"half"], end="cut"), "overloaded", "HTTP 503 (tried 3 times)"),
    ],
)
def test_three_requests_are_the_most(answer: Answer, kind: FaultKind, detail: str) -> None:
    error, waits = fault(*[answer] * 3, requests=3)
    assert (error.kind, error.detail) == (kind, detail)
    assert waits.waited == [0.375, 0.75]


def limited(**headers: str) -> Answer:
    return failed(429, "rate_limit_error", **headers)


@pytest.mark.parametrize(
    ("after", "waited"),
    [
        ("1", 1.0),
        ("20", 20.0),
        (format_datetime(NOW + timedelta(seconds=20), usegmt=True), 20.0),
        (format_datetime(NOW - timedelta(seconds=20), usegmt=True), 0.375),
        ("-5", 0.375),
        ("soon", 0.375),
        ("0", 0.375),
    ],
)
def test_the_other_side_says_how_long_to_wait(after: str, waited: float) -> None:
    assert saved(limited(retry_after=after), GOOD) == [waited]


@pytest.mark.parametrize(
    "after", ["1e9", "1000000000", "inf", "61", format_datetime(NOW + timedelta(days=9), usegmt=True)]
)
def test_an_absurd_wait_fails_at_once(after: str) -> None:
    error, waits = fault(limited(retry_after=after), requests=1, seconds=1e9)
    assert (error.kind, waits.waited) == ("rate_limited", [])


def test_a_wait_longer_than_there_is_time_fails_at_once() -> None:
    error, waits = fault(limited(retry_after="30"), requests=1, seconds=30.0)
    assert (error.kind, waits.waited) == ("rate_limited", [])
    assert error.detail == "HTTP 429 rate_limit_error: Scripted (asking again would take 30 s)"


@pytest.mark.parametrize(
    "code", ["contract_spend_limit_reached", "enforced_spend_limit_reached", "ramp_limit_exceeded"]
)
def test_a_spending_limit_is_asked_once(code: str) -> None:
    answer = failed(429, "rate_limit_error", code=code, retry_after="1", x_should_retry="true")
    assert fault(answer, requests=1)[0].kind == "spend_limit"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"),
        (401, "credentials"),
        (402, "spend_limit"),
        (403, "credentials"),
        (404, "unknown_model"),
        (413, "bad_request"),
        (422, "bad_request"),
        (451, "bad_request"),
    ],
)
def test_what_is_wrong_with_the_request_is_asked_once(status: int, kind: FaultKind) -> None:
    assert fault(failed(status, "some_error"), requests=1)[0].kind == kind


def test_an_explicit_wish_to_be_asked_again_wins() -> None:
    assert saved(failed(400, "invalid_request_error", x_should_retry="true"), GOOD) == [0.375]
    no = failed(529, "overloaded_error", x_should_retry="false")
    assert fault(no, requests=1)[0].kind == "overloaded"


def test_a_redirect_is_not_followed() -> None:
    with messages_api([GOOD]) as elsewhere:
        moved = Answer(status=307, headers={"location": f"{elsewhere.url}/v1/messages"}, framing="length")
        assert fault(moved, requests=1)[0].kind == "malformed"
        assert elsewhere.seen == []


# --- connections -----------------------------------------------------------------------------------------


def test_a_refused_connection_is_tried_three_times() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        waits = Waits()
        error = outcome_of(client_of(f"http://127.0.0.1:{unused.getsockname()[1]}", waits=waits))
    assert isinstance(error, ModelError)
    assert (error.kind, waits.waited) == ("unreachable", [0.375, 0.75])
    assert error.detail == "ConnectError: [Errno 111] Connection refused (tried 3 times)"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(bare=True),
        Answer(bare=True, end="reset"),
        Answer(bare=True, parts=[b"HTTP/1.1 200 OK\r\ncontent-ty"]),
        Answer(bare=True, parts=[b"\x00\x01\x02 no HTTP at all\r\n\r\n"]),
        Answer(bare=True, parts=[b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000 + b"\r\n\r\n"]),
    ],
    ids=["closed", "reset", "half a header", "no HTTP", "endless header"],
)
def test_a_connection_without_an_answer_is_tried_three_times(answer: Answer) -> None:
    assert fault(*[answer] * 3, requests=3)[0].kind == "unreachable"
    assert saved(answer, GOOD) == [0.375]


def test_silence_is_tried_three_times() -> None:
    error, waits = fault(*[Answer(bare=True, parts=[30.0])] * 3, requests=3, silence_seconds=0.1)
    assert error.kind == "timeout"
    assert error.detail == "silence: ReadTimeout (tried 3 times)"
    assert waits.waited == [0.375, 0.75]


# --- cut answers: one request, no reply ------------------------------------------------------------------

WHOLE = b"".join(healthy())
BOUNDARIES = [sum(map(len, healthy()[:count])) for count in range(len(healthy()))]
CUTS = sorted(
    {*BOUNDARIES, *[at + 25 for at in BOUNDARIES], *[at - 1 for at in BOUNDARIES[1:]], len(WHOLE) - 1}
)


@pytest.mark.parametrize("framing", ["chunks", "length", "close"])
def test_an_answer_cut_anywhere_is_incomplete_and_asked_for_once(framing: Any) -> None:
    answers = [Answer(parts=[WHOLE[:at]], framing=framing, end="cut") for at in CUTS]
    with messages_api(answers) as api:
        client = client_of(api.url)
        for count in range(1, len(answers) + 1):
            error = outcome_of(client)
            assert isinstance(error, ModelError)
            assert error.kind == "incomplete"
            assert len(api.seen) == count


def test_an_answer_torn_off_is_no_reply() -> None:
    """A reset may overtake what was sent before it: even the headers, and then it is asked for again."""
    kinds = []
    with messages_api(lambda _: Answer(parts=[WHOLE[:1000]], end="reset")) as api:
        client = client_of(api.url, clock=lambda: 0.0)
        for _ in range(20):
            error = outcome_of(client)
            assert isinstance(error, ModelError)
            kinds.append(error.kind)
        assert len(api.seen) <= 20 + 2 * (20 - kinds.count("incomplete")) + 2
    assert set(kinds) <= {"incomplete", "unreachable"}
    assert kinds.count("incomplete") > 10


def test_an_answer_that_falls_silent_is_incomplete() -> None:
    error, waits = fault(Answer(parts=[started(), 30.0]), requests=1, silence_seconds=0.1)
    assert (error.kind, error.detail) == ("incomplete", "the answer broke off: ReadTimeout")
    assert waits.waited == []


def test_a_message_without_a_reason_is_incomplete() -> None:
    assert fault(Answer(parts=[started(), *text(0, "a"), *ended(None)]), requests=1)[0].kind == "incomplete"


# --- error events ----------------------------------------------------------------------------------------


def broken(kind: str) -> Answer:
    error = {"type": kind, "message": "Scripted"}
    return Answer(parts=[started(), *text(0, "a"), event("error", error=error)])


@pytest.mark.parametrize("kind", ["overloaded_error", "api_error", "rate_limit_error", "timeout_error"])
def test_a_passing_error_in_the_stream_is_asked_again(kind: str) -> None:
    assert saved(broken(kind), broken(kind), GOOD) == [0.375, 0.75]


@pytest.mark.parametrize(
    ("kind", "expected", "requests"),
    [
        ("overloaded_error", "overloaded", 3),
        ("rate_limit_error", "rate_limited", 3),
        ("invalid_request_error", "bad_request", 1),
        ("authentication_error", "credentials", 1),
        ("not_found_error", "unknown_model", 1),
        ("ramp_limit_exceeded", "spend_limit", 1),
        ("brand_new_error", "malformed", 1),
    ],
)
def test_an_error_in_the_stream_is_judged_by_its_type(kind: str, expected: FaultKind, requests: int) -> None:
    assert fault(*[broken(kind)] * requests, requests=requests)[0].kind == expected


# --- answers that are none -------------------------------------------------------------------------------

MESSAGE = b'{"id": "m", "type": "message", "role": "assistant", "content": null, "stop_reason": "end_turn"}'


@pytest.mark.parametrize(
    "answer",
    [
        HTML,
        Answer(headers={"content-type": "application/json"}, parts=[MESSAGE], framing="length"),
        Answer(headers={"content-type": "application/json"}, parts=[b"null"], framing="length"),
        Answer(headers={}, parts=[WHOLE]),
        Answer(headers={"content-type": EVENT_STREAM, "content-encoding": "gzip"}, parts=[WHOLE]),
        Answer(status=204, headers={}, framing="length"),
        Answer(status=206, parts=[b"\xff\xfe\n"]),
        Answer(parts=[bytes(range(256)) * 40]),
        Answer(parts=[b"\xff" * 3_000_000]),
        Answer(parts=[b"a" * 3_000_000]),
        Answer(parts=[event("message_start", message=None)]),
        Answer(parts=[started(), event("content_block_start", index=0, content_block=None)]),
        Answer(
            parts=[
                started(),
                event("content_block_delta", index=0, delta={"type": "text_delta", "text": "a"}),
            ]
        ),
        Answer(parts=[started(), *text(0, *["a" * 100_000] * 11), *ended()]),
        Answer(
            parts=[
                started(),
                event("content_block_start", index=0, content_block={"type": "text"}),
                *text(0)[-1:],
                *ended(),
            ]
        ),
        Answer(parts=[b"data: " + b"[" * 200_000 + b"\n\n"]),
    ],
    ids=lambda answer: f"{answer.status} {bytes(answer.parts[0])[:24] if answer.parts else b''!r}",
)
def test_an_answer_that_is_no_message_is_malformed_and_asked_for_once(answer: Answer) -> None:
    assert fault(answer, requests=1)[0].kind == "malformed"


def test_an_endless_page_is_not_read_to_its_end() -> None:
    page = Answer(status=500, headers=HTML.headers, parts=[b"<p>" * 30_000] * 1000)  # 90 MB
    with messages_api([page] * 3) as api:
        error = outcome_of(client_of(api.url))
        assert isinstance(error, ModelError)
        assert error.kind == "overloaded"
        assert eventually(lambda: len(api.gone) == 3)  # it could not send all of it


# --- secrets ---------------------------------------------------------------------------------------------


def test_what_a_stranger_wrote_is_shown_as_one_clean_line() -> None:
    message = f"no \x1b[31m{KEY}\r\nsecond\u2028line \u202e of {'x' * 400} hunter2"
    error, _ = fault(
        failed(400, "invalid_request_error", message=message),
        requests=1,
        redact=lambda text: text.replace("second", "[taken out]"),
    )
    assert error.detail.startswith("HTTP 400 invalid_request_error: no [31m[secret] [taken out] line of xxx")
    assert error.detail.endswith("xxx ...")
    assert len(error.detail) == 200


@pytest.mark.parametrize("where", ["type", "message", "code", "content-type", "status"])
def test_the_key_is_in_no_detail(where: str) -> None:
    answers = {
        "type": failed(400, f"{KEY}_error"),
        "message": failed(400, "some_error", message=f"Bearer {KEY}"),
        "code": failed(400, "some_error", code=KEY),
        "content-type": Answer(headers={"content-type": KEY}),
        "status": Answer(bare=True, parts=[f"HTTP/1.1 400 {KEY}\r\ncontent-length: 0\r\n\r\n".encode()]),
    }
    error, _ = fault(answers[where], requests=1)
    assert KEY not in repr(error)
    assert KEY not in str(error.__dict__)
