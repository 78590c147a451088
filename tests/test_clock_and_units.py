"""The clock and the units."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolio_rebalance.clock import Clock, format_instant, parse_instant
from portfolio_rebalance.errors import BlockedError, RebalanceError, UsageError
from portfolio_rebalance.units import bp_from_percent, percent_from_bp


@pytest.mark.parametrize(
    ("as_of", "last"),
    [
        ("2025-02-05T00:00:00Z", date(2025, 2, 4)),
        ("2025-02-05T23:59:59Z", date(2025, 2, 4)),
        ("2024-03-01T02:00:00Z", date(2024, 2, 29)),
    ],
)
def test_the_last_closed_day_is_the_day_before(as_of: str, last: date) -> None:
    instant = parse_instant(as_of, where="x")
    assert Clock.at(instant, now=instant).last_closed_day == last


def test_a_fixed_clock_keeps_the_day_of_the_machine_and_a_live_one_follows_it() -> None:
    now = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    fixed = Clock.at(datetime(2019, 1, 1, tzinfo=UTC), now=now)
    assert (fixed.today, fixed.fixed) == (date(2026, 5, 1), True)
    live = Clock.live(now)
    assert (live.as_of, live.fixed) == (datetime(2026, 5, 1, 10, tzinfo=UTC), False)


@pytest.mark.parametrize(
    "text",
    ["2025-02-05", "2025-02-05T02:00:00", "2025-02-05T02:00:00+00:00", "2025-13-45T02:00:00Z", "now", "",
     "2025-02-05T25:00:00Z", "2025-02-05T02:00:00z", "2025-02-05T02:00:00Z\n"],
)  # fmt: skip
def test_what_is_no_utc_instant_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not"):
        parse_instant(text, where="--as-of")


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(UsageError):
        Clock.at(datetime(2025, 1, 1), now=datetime(2025, 1, 1, tzinfo=UTC))


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 1, 1), timezones=st.just(UTC)))
def test_instants_survive_a_round_trip(instant: datetime) -> None:
    assert parse_instant(format_instant(instant), where="x") == instant


@given(st.integers(min_value=0, max_value=1_000_000))
def test_whole_basis_points_survive_the_float_that_people_read(bp: int) -> None:
    assert bp_from_percent(percent_from_bp(bp), where="x") == bp


def test_a_percentage_is_read_as_written() -> None:
    assert bp_from_percent(10.3, where="x") == 1030
    assert bp_from_percent(Decimal("33.333"), where="x") == Fraction(33333, 10)


def test_an_error_says_what_where_and_what_to_do() -> None:
    error = BlockedError("Nothing fits.", where="registry.yaml:7", fix="Release STR-A.")
    assert str(error) == "registry.yaml:7: Nothing fits. Fix: Release STR-A."
    assert str(RebalanceError("Alone.")) == "Alone."
    assert error.exit_code == 13
