"""From the configuration to the plain values that analytics and allocation take."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from portfolio_rebalance.allocation import Limits, ModeSettings
from portfolio_rebalance.config import Config
from portfolio_rebalance.units import BP_PER_PERCENT, BP_PER_UNIT

__all__ = ["limits_from", "mode_settings_from"]


def limits_from(config: Config) -> Limits:
    """The limits that are judged by, in whole basis points, rounded to the strict side.

    Of the two spellings of the cluster limit the stricter holds.
    """
    breakers = config.circuit_breakers
    cluster = min(
        breakers.max_correlated_exposure_percent * BP_PER_PERCENT,
        config.correlation_analysis.correlated_cluster_max_allocation * BP_PER_UNIT,
    )
    return Limits(
        total_bp=_ceiling(breakers.max_total_deployed_percent * BP_PER_PERCENT),
        cluster_bp=_ceiling(cluster),
        individual_max_bp=_ceiling(breakers.max_individual_allocation_percent * BP_PER_PERCENT),
        individual_min_bp=max(1, ceil(breakers.min_allocation_percent * BP_PER_PERCENT)),
    )


def mode_settings_from(config: Config) -> ModeSettings:
    """What a user tuned about the modes."""
    return ModeSettings(
        performance_step_bp=Fraction(config.performance_step_percent) * BP_PER_PERCENT,
        max_single_cut_to_next=Fraction(config.max_single_cut_to_next),
        min_psr_to_raise=float(config.min_psr_to_raise),
        max_trades=config.execution.max_trades_per_rebalance,
    )


def _ceiling(value: Decimal) -> int:
    return floor(value)
