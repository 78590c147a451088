"""Limits: their range, their buffers, the tightened ones that proposals aim at."""

from __future__ import annotations

from fractions import Fraction

import pytest

from portfolio_rebalance.allocation import Limits, check_limits
from portfolio_rebalance.errors import ConfigError


def test_buffers_are_the_room_left_and_negative_where_broken() -> None:
    checks = check_limits(
        {"A": Fraction(4100), "B": Fraction(60), "C": Fraction(2000)}, clusters=[("A", "C")], limits=Limits()
    )
    assert [(check.limit, check.subject, check.buffer_bp, check.passed) for check in checks] == [
        ("total_deployed", ("A", "B", "C"), -160, False),
        ("correlated_exposure", ("A", "C"), -3100, False),
        ("individual_max", ("A",), -100, False),
        ("individual_min", ("A",), 4000, True),
        ("individual_max", ("B",), 3940, True),
        ("individual_min", ("B",), -40, False),
        ("individual_max", ("C",), 2000, True),
        ("individual_min", ("C",), 1900, True),
    ]


def test_a_buffer_lowers_every_ceiling_and_leaves_the_minimum() -> None:
    assert Limits().tightened(50) == Limits(
        total_bp=5950, cluster_bp=2950, individual_max_bp=3950, individual_min_bp=100
    )
    with pytest.raises(ConfigError):
        Limits().tightened(3000)


def test_the_whole_range_is_accepted_to_its_ends() -> None:
    assert Limits(total_bp=10_000, cluster_bp=1, individual_max_bp=100, individual_min_bp=100)
    for wrong in (0, -1, 10_001):
        with pytest.raises(ConfigError, match="total_bp"):
            Limits(total_bp=wrong)
    with pytest.raises(ConfigError, match="exceeds the maximum"):
        Limits(individual_max_bp=100, individual_min_bp=101)
