"""Models that retire, are retired or unknown are told before a run; nothing else is."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import date

import pytest
from loopback_messages import Answer, client_of, failed, messages_api

from portfolio_rebalance.agents.messages import FaultKind, ModelError
from portfolio_rebalance.agents.preflight import retiring_models

TODAY = date(2026, 11, 24)
MODEL = "claude-opus-5-5"


def warning(told: Mapping[str, object]) -> tuple[str, ...]:
    return retiring_models([MODEL], retrieve=lambda _: told, today=TODAY)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"lifecycle": "active", "retires_at": None}, ""),
        ({"lifecycle": "active"}, ""),
        ({"lifecycle": "deprecated", "retires_at": None}, ""),
        ({"lifecycle": "deprecated", "retires_at": "2027-01-24T00:00:00Z"}, ""),
        (
            {"lifecycle": "deprecated", "retires_at": "2027-01-23T23:59:59Z"},
            "The model claude-opus-5-5 will be retired on 2027-01-23, in 60 days.",
        ),
        (
            {"lifecycle": "deprecated", "retires_at": "2026-11-26T01:00:00+02:00"},
            "The model claude-opus-5-5 will be retired on 2026-11-25, in 1 day.",
        ),
        (
            {"lifecycle": "active", "retires_at": "2026-11-24T00:00:00Z"},
            "The model claude-opus-5-5 will be retired on 2026-11-24, in 0 days.",
        ),
        (
            {"lifecycle": "deprecated", "retires_at": "2026-11-01T00:00:00Z"},
            "The model claude-opus-5-5 was to be retired on 2026-11-01: calls to it may fail any day.",
        ),
        (
            {"lifecycle": "retired", "retires_at": "2026-11-01T00:00:00Z"},
            "The model claude-opus-5-5 is retired: calls to it fail.",
        ),
        ({"lifecycle": 7, "retires_at": 7}, ""),
        ({"lifecycle": "deprecated", "retires_at": "soon"}, ""),
        ({}, ""),
    ],
)
def test_what_the_provider_says_is_told_where_it_matters(told: Mapping[str, object], expected: str) -> None:
    assert warning(told) == ((expected,) if expected else ())


@pytest.mark.parametrize(
    ("kind", "warnings"),
    [
        ("unknown_model", ("The provider knows no model claude-opus-5-5.",)),
        ("unreachable", ()),
        ("timeout", ()),
        ("credentials", ()),
        ("malformed", ()),
    ],
)
def test_only_a_plain_no_is_told_of_what_could_not_be_asked(
    kind: FaultKind, warnings: tuple[str, ...]
) -> None:
    def retrieve(_: str) -> Mapping[str, object]:
        raise ModelError(kind, "scripted")

    assert retiring_models([MODEL], retrieve=retrieve, today=TODAY) == warnings


def test_any_other_failure_gives_no_warning() -> None:
    def retrieve(_: str) -> Mapping[str, object]:
        raise RuntimeError("scripted")

    assert retiring_models([MODEL], retrieve=retrieve, today=TODAY) == ()
    assert retiring_models([MODEL], retrieve=lambda _: None, today=TODAY) == ()  # type: ignore[arg-type, return-value]


def test_models_are_asked_about_once_each_at_the_same_time_and_told_in_order() -> None:
    names = [f"model-{number}" for number in range(6)]
    together = threading.Barrier(6, timeout=20)

    def retrieve(_: str) -> Mapping[str, object]:
        together.wait()
        return {"lifecycle": "retired"}

    assert retiring_models([*names, *names], retrieve=retrieve, today=TODAY) == tuple(
        f"The model {name} is retired: calls to it fail." for name in names
    )


def test_without_models_nothing_is_asked() -> None:
    assert retiring_models([], retrieve=lambda _: pytest.fail("asked"), today=TODAY) == ()


# --- over the network ------------------------------------------------------------------------------------

INFO = b"""{"id": "claude-opus-5-5", "type": "model", "display_name": "Claude Opus 5.5",
 "created_at": "2026-09-22T00:00:00Z", "lifecycle": "deprecated", "deprecated_at": "2026-11-01T00:00:00Z",
 "retires_at": "2026-12-24T00:00:00Z"}"""
JSON = {"content-type": "application/json"}


def test_the_api_is_asked_over_the_network_with_one_request() -> None:
    with messages_api([Answer(headers=JSON, parts=[INFO], framing="length")]) as api:
        warnings = retiring_models([MODEL], retrieve=client_of(api.url).models_info, today=TODAY)
    assert warnings == ("The model claude-opus-5-5 will be retired on 2026-12-24, in 30 days.",)
    assert [(seen.method, seen.path) for seen in api.seen] == [("GET", "/v1/models/claude-opus-5-5")]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failed(404, "not_found_error"), "unknown_model"),
        (failed(529, "overloaded_error"), "overloaded"),
        (failed(429, "rate_limit_error", retry_after="1"), "rate_limited"),
        (failed(401, "authentication_error"), "credentials"),
        (Answer(headers={"content-type": "text/html"}, parts=[b"<html>"]), "malformed"),
        (Answer(headers=JSON, parts=[b"{"]), "malformed"),
        (Answer(headers=JSON, parts=[b"[]"]), "malformed"),
        (Answer(headers=JSON, parts=[b"null"]), "malformed"),
        (Answer(headers=JSON, parts=[INFO], end="cut"), "unreachable"),
    ],
)
def test_an_answer_that_says_nothing_is_asked_for_once(answer: Answer, kind: FaultKind) -> None:
    with messages_api([answer]) as api:
        with pytest.raises(ModelError) as error:
            client_of(api.url).models_info(MODEL)
        assert error.value.kind == kind
        assert len(api.seen) == 1


def test_a_silent_api_holds_nothing_up() -> None:
    with messages_api([Answer(headers=JSON, parts=[30.0])]) as api, pytest.raises(ModelError) as error:
        client_of(api.url).models_info(MODEL, seconds=0.2)
    assert error.value.kind == "timeout"
