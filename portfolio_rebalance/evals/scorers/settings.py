"""The configuration that stands on the disk of a scenario's world, and what its limits come to."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Final

from portfolio_rebalance.config import CONFIG_ROOT, Config
from portfolio_rebalance.errors import RebalanceError
from portfolio_rebalance.evals.scoring import Score
from portfolio_rebalance.evals.world import Observed
from portfolio_rebalance.workspace import schema, strict_yaml

__all__ = ["CONFIG_FILE", "asks_to_execute", "config_on_disk", "limits_bp", "scored"]

CONFIG_FILE: Final = ".crypto/config/portfolio-rebalance.yaml"


def config_on_disk(seen: Observed) -> Config | None:
    """The configuration; None where it cannot be read, so that nothing may come of the run."""
    content = seen.contents.get(CONFIG_FILE)
    if content is None:
        return Config()
    try:
        document = strict_yaml.parse(content.decode("utf-8"), label=CONFIG_FILE)
        return schema.validate(document, Config, at=(CONFIG_ROOT,))
    except (RebalanceError, UnicodeDecodeError):
        return None


def limits_bp(config: Config) -> dict[str, int]:
    """The hard limits in whole basis points, to the strict side, by the names that a plan uses.

    Reckoned here from the configuration alone: the product's own reckoning is what is judged.
    """
    breakers = config.circuit_breakers
    share = Fraction(config.correlation_analysis.correlated_cluster_max_allocation)
    cluster = min(Fraction(breakers.max_correlated_exposure_percent), share * 100)
    return {
        "total": floor(Fraction(breakers.max_total_deployed_percent) * 100),
        "cluster": floor(cluster * 100),
        "individual_max": floor(Fraction(breakers.max_individual_allocation_percent) * 100),
        "individual_min": max(1, ceil(Fraction(breakers.min_allocation_percent) * 100)),
    }


def asks_to_execute(seen: Observed) -> bool:
    """Whether the person asked for an execution."""
    request = seen.scenario.request
    if request.text is not None:
        return "--execute" in request.text.split()
    return request.execute


def scored(faults: list[str], *, value: float | None = None) -> Score:
    """A score: passed where there is no fault. Faults are code's words, each told once."""
    unique = tuple(dict.fromkeys(faults))
    return Score(passed=not unique, faults=unique, value=value)
