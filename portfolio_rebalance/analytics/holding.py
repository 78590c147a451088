"""A portfolio that is held: nobody trades, so its weights drift with the returns.

Weights are fractions of total capital; what is not invested is cash, which earns nothing.
"""

from __future__ import annotations

import numpy as np

from portfolio_rebalance.analytics.returns import Floats

__all__ = ["held_returns"]


def held_returns(returns: Floats, *, weights: Floats, cost: float = 0.0) -> Floats:
    """Daily returns of the whole portfolio.

    ``V_0 = 1, V_t = c + sum_i w_i prod_{s <= t} (1 + r_is)`` with cash ``c = 1 - sum_i w_i - cost``; a day's
    return is ``V_t / V_{t-1} - 1``.

    Args:
        returns: Daily returns, shape (..., days, strategies), without NaN.
        weights: At the start, shape (strategies,).
        cost: Fraction of total capital that is lost on the first day.

    Returns:
        Shape (..., days). Where the value has fallen to 0, what follows is 0.
    """
    grown = np.cumprod(1.0 + returns, axis=-2)
    value = (1.0 - float(weights.sum()) - cost) + grown @ weights
    before = np.concatenate([np.ones_like(value[..., :1]), value[..., :-1]], axis=-1)
    alive = before > 0
    found: Floats = np.where(alive, value / np.where(alive, before, 1.0) - 1.0, 0.0)
    return found
