"""Budgets: what is set aside before a call, what is counted after it, and that nothing gets beyond a cap."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_rebalance.agents.budget import Budget, BudgetExceededError, Counts, Purse
from portfolio_rebalance.agents.messages import Usage
from portfolio_rebalance.agents.prices import dollars, price_of
from portfolio_rebalance.config_llm import Llm

OPUS = "claude-opus-5-5"  # 4 / 20 dollars a million; 5 to write to the cache, 0.20 to read from it
DEAR = Usage(cache_write_tokens=501, output_tokens=100)  # what a request of 1000 bytes may come to


class Clock:
    """Stands still until told."""

    def __init__(self, at: float = 1000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def budget(clock: Clock | None = None, **caps: object) -> Budget:
    return Budget(Llm.model_validate(caps), clock=clock or Clock())


def pay(
    purse: Purse, usage: Usage = DEAR, *, request_bytes: int = 1000, max_tokens: int = 100, model: str = OPUS
) -> None:
    with purse.call("monitor", model=model, request_bytes=request_bytes, max_tokens=max_tokens) as paid:
        paid.usage = usage


# --- one call --------------------------------------------------------------------------------------------


def test_a_purse_holds_what_the_configuration_allows():
    left = budget(max_calls=3, max_tokens=5000, max_dollars=Decimal("0.25")).purse.left
    assert left == Counts(3, 5000, Decimal("0.25"))


def test_a_call_is_counted_exactly():
    purse = budget(max_calls=3, max_tokens=5000, max_dollars=Decimal("0.25")).purse
    pay(purse, Usage(input_tokens=10, output_tokens=20, cache_read_tokens=300, cache_write_tokens=40))
    spent = (10 * 4 + 20 * 20 + Decimal("0.20") * 300 + 40 * 5) / Decimal(1_000_000)
    assert spent == Decimal("0.0007")
    assert purse.left == Counts(2, 5000 - 370, Decimal("0.25") - spent)
    (row,) = purse.budget.spent()
    assert (row.agent, row.model, row.calls, row.priced) == ("monitor", OPUS, 1, True)
    assert (row.input_tokens, row.output_tokens, row.cache_read_tokens, row.cache_write_tokens) == (
        10,
        20,
        300,
        40,
    )
    assert (row.dollars, row.seconds) == (Decimal("0.000700"), 0.0)


def test_no_call_beyond_the_last():
    purse = budget(max_calls=2).purse
    pay(purse)
    pay(purse)
    with pytest.raises(BudgetExceededError, match=r"^no call is left$"):
        pay(purse)


def test_a_call_that_could_need_too_many_tokens_is_not_made():
    # 1000 bytes are 501 tokens at most, and 100 are asked for.
    exactly = budget(max_tokens=1000).purse
    pay(exactly, Usage(output_tokens=399))
    assert exactly.left.tokens == 601
    pay(exactly, Usage(output_tokens=1))
    assert exactly.left.tokens == 600
    with pytest.raises(BudgetExceededError, match=r"^the next call could need more tokens than are left$"):
        pay(exactly)
    assert exactly.left == Counts(6, 600, Decimal(1) - Decimal(400 * 20) / 1_000_000)


def test_a_call_that_could_cost_too_much_is_not_made():
    most = Decimal(501 * 5 + 100 * 20) / 1_000_000  # all that is read at the dearest price for reading
    assert most == dollars(DEAR, model=OPUS) == Decimal("0.004505")
    pay(budget(max_dollars=most).purse)
    short = budget(max_dollars=most - Decimal("0.000001")).purse
    with pytest.raises(BudgetExceededError, match=r"^the next call could cost more dollars than are left$"):
        pay(short)
    assert short.left.calls == 8


def test_a_model_without_a_price_counts_as_the_dearest():
    purse = budget().purse
    pay(purse, Usage(input_tokens=1000, output_tokens=100), model="local-model")
    (row,) = purse.budget.spent()
    price = price_of("local-model")
    assert (price.input, price.output) == (Decimal(15), Decimal(75))
    assert (row.dollars, row.priced) == (Decimal("0.022500"), False)


def test_a_call_that_fails_is_counted_as_a_call_with_its_time():
    clock = Clock()
    purse = budget(clock).purse

    def fails() -> None:
        with purse.call("monitor", model=OPUS, request_bytes=10, max_tokens=10):
            clock.at += 7.25
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    (row,) = purse.budget.spent()
    assert (row.calls, row.seconds, row.dollars) == (1, 7.25, Decimal(0))
    assert purse.left.calls == 7


def test_what_came_in_part_before_a_call_failed_is_counted_too():
    purse = budget().purse

    def fails() -> None:
        with purse.call("monitor", model=OPUS, request_bytes=10, max_tokens=10) as paid:
            paid.usage = Usage(output_tokens=5)
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert purse.left.tokens == 400_000 - 5


def test_cents_are_rounded_up_for_people():
    purse = budget().purse
    pay(purse, Usage(cache_read_tokens=1))  # 0.0000002 dollars
    assert purse.budget.spent()[0].dollars == Decimal("0.000001")
    assert purse.left.dollars == Decimal("0.9999998")


def test_agents_are_listed_by_name():
    purse = budget().purse
    for agent in ("risk_manager", "monitor", "risk_manager"):
        with purse.call(agent, model=OPUS, request_bytes=10, max_tokens=10) as paid:
            paid.usage = Usage(output_tokens=1)
    assert [(row.agent, row.calls, row.output_tokens) for row in purse.budget.spent()] == [
        ("monitor", 1, 1),
        ("risk_manager", 2, 2),
    ]


# --- time ------------------------------------------------------------------------------------------------


def test_a_call_gets_two_minutes_or_what_is_left_of_the_run():
    clock = Clock()
    of_run = budget(clock, max_seconds=300)
    given_seconds = []
    for later in (0.0, 100.0, 199.5, 0.5):
        clock.at += later
        assert of_run.seconds_left == max(0.0, 300 - of_run.seconds_used)
        try:
            with of_run.purse.call("monitor", model=OPUS, request_bytes=10, max_tokens=10) as paid:
                given_seconds.append(paid.seconds)
        except BudgetExceededError as stop:
            given_seconds.append(str(stop))
    assert given_seconds == [120.0, 120.0, 0.5, "the time is over"]
    clock.at += 1e6
    assert of_run.seconds_left == 0.0


# --- shares ----------------------------------------------------------------------------------------------


def test_shares_are_equal_and_leave_one_for_whoever_cuts_them():
    purse = budget(max_calls=8, max_tokens=9001, max_dollars=Decimal("0.90")).purse
    first, second = purse.split(2, keep_calls=1, most_calls=3)
    assert first.left == second.left == Counts(3, 3000, Decimal("0.3"))
    assert purse.left == Counts(2, 3001, Decimal("0.3"))
    purse.join((first, second))
    assert purse.left == Counts(8, 9001, Decimal("0.9"))


@pytest.mark.parametrize(
    ("calls", "parts", "each", "kept"),
    [(7, 2, 3, 1), (4, 2, 1, 2), (2, 2, 0, 2), (1, 2, 0, 1), (8, 10, 0, 8)],
)
def test_the_calls_that_are_kept_are_never_given_away(calls, parts, each, kept):
    purse = budget(max_calls=calls).purse
    shares = purse.split(parts, keep_calls=1, most_calls=3)
    assert [share.left.calls for share in shares] == [each] * parts
    assert purse.left.calls == kept


def test_a_share_without_calls_pays_for_nothing():
    (share,) = budget(max_calls=1).purse.split(1, keep_calls=1, most_calls=3)
    with pytest.raises(BudgetExceededError, match="no call is left"):
        pay(share)


AMOUNTS = st.decimals("0.000001", 1000, places=6)


@given(st.integers(1, 8), st.integers(1000, 10**7), AMOUNTS, st.integers(1, 6), st.data())
def test_splitting_and_joining_lose_and_make_nothing(calls, tokens, amount, parts, data):
    purse = budget(max_calls=calls, max_tokens=tokens, max_dollars=amount).purse
    shares = purse.split(parts, keep_calls=1, most_calls=3)
    assert purse.left.calls + sum(share.left.calls for share in shares) == calls
    assert purse.left.tokens + sum(share.left.tokens for share in shares) == tokens
    assert all(share.left.tokens >= 0 and share.left.dollars >= 0 for share in (purse, *shares))
    used = 0
    for share in shares:
        output = data.draw(st.integers(0, 100))
        try:
            pay(share, Usage(output_tokens=output))
        except BudgetExceededError:
            continue
        used += output
    spent = Decimal(used * 20) / 1_000_000
    made = sum(row.calls for row in purse.budget.spent())
    purse.join(shares)
    assert (purse.left.calls, purse.left.tokens) == (calls - made, tokens - used)
    assert abs(purse.left.dollars - (amount - spent)) < Decimal("1e-20")  # a third has no last digit


@given(
    st.integers(1, 8),
    st.integers(1000, 60_000),
    AMOUNTS,
    st.lists(
        st.tuples(
            st.sampled_from([OPUS, "claude-haiku-5-5", "claude-fable-5-2", "local-model"]),
            st.integers(1, 20_000),
            st.integers(256, 8000),
            st.integers(0, 3),
            st.floats(0, 1),
        ),
        max_size=12,
    ),
    st.booleans(),
)
def test_no_sequence_of_honest_calls_gets_beyond_a_cap(calls, tokens, amount, asked, shared):
    whole = budget(max_calls=calls, max_tokens=tokens, max_dollars=amount)
    shares = whole.purse.split(2, keep_calls=1, most_calls=3) if shared else ()
    purses = [*shares, whole.purse]
    for number, (model, size, max_tokens, kind, part) in enumerate(asked):
        read = int(part * (size // 2 + 1))
        kinds = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "input_tokens")
        usage = Usage(**{kinds[kind]: read}, output_tokens=int(part * max_tokens))
        try:
            pay(
                purses[number % len(purses)],
                usage,
                request_bytes=size,
                max_tokens=max_tokens,
                model=model,
            )
        except BudgetExceededError:
            continue
    whole.purse.join(tuple(shares))
    rows = whole.spent()
    used = sum(
        row.input_tokens + row.output_tokens + row.cache_read_tokens + row.cache_write_tokens for row in rows
    )
    assert sum(row.calls for row in rows) <= calls
    assert used <= tokens
    assert whole.purse.left.tokens == tokens - used
    assert whole.purse.left.dollars >= 0


# --- several at once -------------------------------------------------------------------------------------


def test_calls_of_several_threads_are_all_counted():
    whole = budget(max_calls=8, max_tokens=10_000_000, max_dollars=1000)
    together = Barrier(4)
    shares = whole.purse.split(4, keep_calls=0, most_calls=2)

    def work(share: Purse) -> None:
        together.wait(timeout=60)
        for _ in range(2):
            pay(share, Usage(input_tokens=3, output_tokens=5), max_tokens=256)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, shares))
    whole.purse.join(shares)
    (row,) = whole.spent()
    assert (row.calls, row.input_tokens, row.output_tokens) == (8, 24, 40)
    assert (whole.purse.left.calls, whole.purse.left.tokens) == (0, 10_000_000 - 64)
