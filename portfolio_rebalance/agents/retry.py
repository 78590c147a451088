"""The one retry layer of calls to a model.

At most :data:`MOST_ATTEMPTS` attempts, apart by a wait that doubles and is jittered, and never beyond the
call's own time. Where the other side says how long to wait, that long is waited; longer than
:data:`LONGEST_WAIT_SECONDS`, or than there is time, is not worth a run: the call fails at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_result

from portfolio_rebalance.agents.faults import Fault

__all__ = ["LONGEST_WAIT_SECONDS", "MOST_ATTEMPTS", "asked_again"]

_T = TypeVar("_T")

MOST_ATTEMPTS: Final = 3
LONGEST_WAIT_SECONDS: Final = 60.0
_FIRST_WAIT_SECONDS: Final = 0.5
_LONGEST_BACKOFF_SECONDS: Final = 8.0


def asked_again(
    ask: Callable[[float], _T | Fault],
    *,
    seconds: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    random: Callable[[], float],
) -> _T | Fault:
    """Ask, and ask again where that may help.

    Args:
        ask: One attempt; is given the seconds that are left.
        seconds: All attempts and waits together take no longer.
        clock: Seconds that only ever grow.
        sleep: Waits so many seconds.
        random: At least 0, less than 1.

    Returns:
        What the last attempt brought; its fault's detail says how often it was tried.
    """
    end = clock() + seconds

    def fault_of(state: RetryCallState) -> Fault:
        assert state.outcome is not None
        fault = state.outcome.result()
        assert isinstance(fault, Fault)
        return fault

    def wait(state: RetryCallState) -> float:
        told = fault_of(state).wait_seconds
        if told is not None:
            return told
        backoff = min(_LONGEST_BACKOFF_SECONDS, _FIRST_WAIT_SECONDS * 2.0 ** (state.attempt_number - 1))
        return backoff * (0.5 + random() / 2)

    def stop(state: RetryCallState) -> bool:
        too_long = state.upcoming_sleep > LONGEST_WAIT_SECONDS or state.upcoming_sleep >= end - clock()
        return too_long or state.attempt_number >= MOST_ATTEMPTS

    def given_up(state: RetryCallState) -> Fault:
        fault = fault_of(state)
        if state.attempt_number < MOST_ATTEMPTS:
            why = f"asking again would take {state.upcoming_sleep:.6g} s"
        else:
            why = f"tried {state.attempt_number} times"
        return replace(fault, detail=f"{fault.detail} ({why})")

    retrying = Retrying(
        sleep=lambda seconds: sleep(float(seconds)),
        stop=stop,
        wait=wait,
        retry=retry_if_result(lambda outcome: isinstance(outcome, Fault) and outcome.again),
        retry_error_callback=given_up,
    )
    return retrying(lambda: ask(end - clock()))
