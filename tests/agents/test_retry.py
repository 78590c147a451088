"""The one retry layer: how often, how far apart, and when not at all."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from loopback_messages import NOW, Waits

from portfolio_rebalance.agents.faults import Fault, fault_of_answer, fault_of_event
from portfolio_rebalance.agents.messages import FaultKind
from portfolio_rebalance.agents.retry import LONGEST_WAIT_SECONDS, MOST_ATTEMPTS, asked_again

PASSING = Fault(kind="overloaded", detail="busy", again=True)


class Attempts:
    """What each attempt brings, and how much time it was given; it takes some itself."""

    def __init__(self, *outcomes: Fault | str, takes: float = 0.0, waits: Waits) -> None:
        self.outcomes = list(outcomes)
        self.given: list[float] = []
        self.takes = takes
        self.waits = waits
        self.taken = 0.0

    def __call__(self, seconds: float) -> Fault | str:
        self.given.append(seconds)
        self.taken += self.takes
        return self.outcomes.pop(0)

    def clock(self) -> float:
        return 1000.0 + self.waits.clock() + self.taken


def ask(
    *outcomes: Fault | str, seconds: float = 100.0, takes: float = 0.0, draw: float = 0.5
) -> tuple[Fault | str, list[float], list[float]]:
    waits = Waits()
    attempts = Attempts(*outcomes, takes=takes, waits=waits)
    found = asked_again(
        attempts, seconds=seconds, clock=attempts.clock, sleep=waits.sleep, random=lambda: draw
    )
    assert attempts.outcomes == []
    return found, waits.waited, attempts.given


def test_an_answer_is_asked_for_once() -> None:
    assert ask("answer") == ("answer", [], [100.0])


def test_what_asking_again_cannot_help_is_asked_once() -> None:
    fault = Fault(kind="bad_request", detail="no")
    assert ask(fault) == (fault, [], [100.0])


def test_waits_double_and_the_time_given_is_what_is_left() -> None:
    assert ask(PASSING, PASSING, "answer", takes=1.0) == ("answer", [0.375, 0.75], [100.0, 98.625, 96.875])


def test_three_attempts_are_the_most() -> None:
    found, waited, given = ask(*[PASSING] * MOST_ATTEMPTS)
    assert found == Fault(kind="overloaded", detail="busy (tried 3 times)", again=True)
    assert (waited, len(given)) == ([0.375, 0.75], 3)


@pytest.mark.parametrize(("draw", "waited"), [(0.0, [0.25, 0.5]), (0.999999, [0.49999975, 0.9999995])])
def test_the_jitter_takes_at_most_half_of_a_wait(draw: float, waited: list[float]) -> None:
    assert ask(PASSING, PASSING, "answer", draw=draw)[1] == pytest.approx(waited, abs=1e-12)


def test_the_same_draws_give_the_same_waits() -> None:
    def waits_of(seed: int) -> list[float]:
        waits, draw = Waits(), random.Random(seed)
        asked_again(lambda _: PASSING, seconds=60, clock=waits.clock, sleep=waits.sleep, random=draw.random)
        return waits.waited

    assert waits_of(1) == waits_of(1) != waits_of(2)


def test_a_wait_that_was_asked_for_is_kept_exactly() -> None:
    busy = Fault(kind="rate_limited", detail="busy", again=True, wait_seconds=7.5)
    assert ask(busy, busy, "answer") == ("answer", [7.5, 7.5], [100.0, 92.5, 85.0])


@pytest.mark.parametrize(
    ("wish", "seconds"), [(60.001, 1e6), (1e9, 1e12), (float("inf"), 1e12), (5.0, 5.0), (5.0, 4.0)]
)
def test_a_wait_beyond_the_cap_or_the_time_fails_at_once(wish: float, seconds: float) -> None:
    busy = Fault(kind="rate_limited", detail="busy", again=True, wait_seconds=wish)
    found, waited, given = ask(busy, seconds=seconds)
    assert isinstance(found, Fault)
    assert (found.kind, waited, len(given)) == ("rate_limited", [], 1)
    assert found.detail == f"busy (asking again would take {wish:.6g} s)"


def test_the_longest_wait_is_still_waited() -> None:
    busy = Fault(kind="rate_limited", detail="busy", again=True, wait_seconds=LONGEST_WAIT_SECONDS)
    assert ask(busy, "answer", seconds=1000.0)[:2] == ("answer", [60.0])


def test_no_wait_goes_beyond_the_time() -> None:
    found, waited, given = ask(PASSING, seconds=1.2, takes=1.0)
    assert isinstance(found, Fault)
    assert (found.kind, waited, len(given)) == ("overloaded", [], 1)


# --- what an answer means --------------------------------------------------------------------------------


def answer(status: int, body: bytes = b"", **headers: str) -> Fault:
    names = {name.replace("_", "-"): text for name, text in headers.items()}
    return fault_of_answer(status=status, headers=names, body=body, now=NOW)


@pytest.mark.parametrize(
    ("status", "kind", "again"),
    [
        (200, "malformed", False),
        (204, "malformed", False),
        (302, "malformed", False),
        (400, "bad_request", False),
        (401, "credentials", False),
        (402, "spend_limit", False),
        (403, "credentials", False),
        (404, "unknown_model", False),
        (408, "overloaded", True),
        (409, "overloaded", True),
        (413, "bad_request", False),
        (418, "bad_request", False),
        (422, "bad_request", False),
        (429, "rate_limited", True),
        (500, "overloaded", True),
        (503, "overloaded", True),
        (529, "overloaded", True),
        (599, "overloaded", True),
    ],
)
def test_the_status_decides(status: int, kind: FaultKind, again: bool) -> None:
    fault = answer(status)
    assert (fault.kind, fault.again, fault.wait_seconds) == (kind, again, None)


@pytest.mark.parametrize(
    ("status", "wish", "again"),
    [
        (400, "true", True),
        (529, "false", False),
        (429, "false", False),
        (529, "maybe", True),
        (200, "true", False),
    ],
)
def test_an_explicit_wish_wins_over_the_status(status: int, wish: str, again: bool) -> None:
    assert answer(status, x_should_retry=wish).again is again


@pytest.mark.parametrize(
    "code", ["contract_spend_limit_reached", "enforced_spend_limit_reached", "ramp_limit_exceeded"]
)
def test_a_spending_limit_is_never_asked_again(code: str) -> None:
    body = b'{"error": {"type": "rate_limit_error", "message": "m", "details": {"error_code": "%s"}}}'
    fault = answer(429, body % code.encode(), x_should_retry="true", retry_after="1")
    assert fault == Fault(kind="spend_limit", detail=f"HTTP 429 {code}: m")
    as_type = answer(429, b'{"error": {"type": "%s"}}' % code.encode())
    assert (as_type.kind, as_type.again) == ("spend_limit", False)
    event = fault_of_event({"type": "rate_limit_error", "details": {"error_code": code}})
    assert (event.kind, event.again) == ("spend_limit", False)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1.0),
        (" 2.5 ", 2.5),
        ("1e9", 1e9),
        ("1000000000", 1e9),
        ("inf", float("inf")),
        ("0", None),
        ("-5", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        (format_datetime(NOW + timedelta(seconds=20), usegmt=True), 20.0),
        (format_datetime(NOW + timedelta(days=3000), usegmt=True), 3000 * 86400.0),
        (format_datetime(NOW - timedelta(seconds=20), usegmt=True), None),
        ("Tue, 24 Nov 2026 14:00:30 +0200", 30.0),
        ("Tue, 24 Nov 2026 12:00:30 -0000", 30.0),
        ("Tue, 99 Nov 2026 12:00:30 GMT", None),
        ("Tue, 24 Nov 99999999 12:00:30 GMT", None),
    ],
)
def test_the_wait_is_read_from_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert answer(429, retry_after=text).wait_seconds == seconds


def test_the_wait_in_milliseconds_is_the_more_exact_one() -> None:
    assert answer(529, retry_after="3", retry_after_ms="2500").wait_seconds == 2.5
    assert answer(529, retry_after="3", retry_after_ms="soon").wait_seconds == 3.0


def test_the_instant_of_a_date_is_given_from_outside() -> None:
    text = format_datetime(NOW, usegmt=True)
    earlier = datetime(2026, 11, 24, 11, 59, 18, tzinfo=UTC)
    fault = fault_of_answer(status=429, headers={"retry-after": text}, body=b"", now=earlier)
    assert fault.wait_seconds == 42.0


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"\xff\xfe", b"[]", b"null", b'{"error": []}', b'{"error": {"type": 7}}', b"[" * 99999],
)
def test_a_body_that_says_nothing_leaves_the_status(body: bytes) -> None:
    assert answer(503, body) == Fault(kind="overloaded", detail="HTTP 503", again=True)


@pytest.mark.parametrize(
    ("kind", "expected", "again"),
    [
        ("overloaded_error", "overloaded", True),
        ("api_error", "overloaded", True),
        ("timeout_error", "overloaded", True),
        ("conflict_error", "overloaded", True),
        ("rate_limit_error", "rate_limited", True),
        ("invalid_request_error", "bad_request", False),
        ("authentication_error", "credentials", False),
        ("permission_error", "credentials", False),
        ("not_found_error", "unknown_model", False),
        ("billing_error", "spend_limit", False),
        ("brand_new_error", "malformed", False),
    ],
)
def test_an_error_event_is_judged_by_its_type(kind: str, expected: FaultKind, again: bool) -> None:
    fault = fault_of_event({"type": kind, "message": "m"})
    assert fault == Fault(kind=expected, detail=f"the stream broke off: {kind}: m", again=again)


@pytest.mark.parametrize("error", [None, "oops", [], {}, {"type": None}, {"type": {"a": 1}}])
def test_an_error_event_without_a_type_is_malformed(error: object) -> None:
    detail = "the stream broke off: an error without a type"
    assert fault_of_event(error) == Fault(kind="malformed", detail=detail)
