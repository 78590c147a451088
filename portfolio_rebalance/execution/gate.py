"""The gate: hard limits on holdings, in exact money, at every prefix of a batch.

Contract: capital and totals go in as exact rationals, overages come out. The *overage* of a limit is
``capital * 10 000 - limit_bp * total``: 0 or less while the limit holds. A prefix may never have an overage
above what it was allowed at the start, ``max(0, overage before the batch)``: a limit that holds stays held,
and one already broken never gains. Comparisons are written ``not (x <= y)``, so that what cannot be compared
fails instead of passing.

Limits on *proposals* are judged by another function in another room, in whole basis points; neither knows
the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from portfolio_rebalance.execution.book import Book, Prices
from portfolio_rebalance.records import Market, Step

__all__ = [
    "Exposure",
    "GateLimits",
    "Overages",
    "Subject",
    "allowances",
    "below_minimum",
    "broken",
    "describe",
    "exposure_of",
    "overages",
    "worst_cases",
]

_BP: Final = 10_000

LimitName = Literal["total_deployed", "correlated_exposure", "individual_max"]
Subject = tuple[LimitName, tuple[str, ...]]
"""A ceiling and the strategies it is held against."""

Overages = Mapping[Subject, Fraction]
"""Money times basis points by which each ceiling is exceeded; 0 or less while it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLimits:
    """The hard limits, in basis points of total capital."""

    total_bp: int
    cluster_bp: int
    individual_max_bp: int
    individual_min_bp: int

    @classmethod
    def of(cls, limits_bp: Mapping[str, int]) -> GateLimits:
        """From the names in which a started execution records them."""
        return cls(
            total_bp=limits_bp["total"],
            cluster_bp=limits_bp["cluster"],
            individual_max_bp=limits_bp["individual_max"],
            individual_min_bp=limits_bp["individual_min"],
        )

    def ceiling_bp(self, subject: Subject) -> int:
        """The limit of one subject."""
        return {
            "total_deployed": self.total_bp,
            "correlated_exposure": self.cluster_bp,
            "individual_max": self.individual_max_bp,
        }[subject[0]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What limits are held against: capital by strategy, and the total it is a share of."""

    capital: Mapping[str, Fraction]
    total: Fraction


def exposure_of(book: Book, prices: Prices) -> Exposure:
    """A book's exposure at these prices."""
    capital = book.capitals(prices)
    return Exposure(capital=capital, total=sum(capital.values(), book.pool_cash))


def overages(exposure: Exposure, *, clusters: Sequence[Sequence[str]], limits: GateLimits) -> Overages:
    """Every ceiling's overage: the total, each cluster of two or more, each strategy."""
    ids = tuple(sorted(exposure.capital))
    subjects: list[Subject] = [("total_deployed", ids)]
    subjects += [("correlated_exposure", tuple(sorted(group))) for group in clusters if len(group) > 1]
    subjects += [("individual_max", (key,)) for key in ids]
    return {
        subject: sum((exposure.capital[key] for key in subject[1]), Fraction(0)) * _BP
        - limits.ceiling_bp(subject) * exposure.total
        for subject in subjects
    }


def allowances(start: Overages, *, now: Overages | None = None) -> Overages:
    """The most that each overage may come to: nothing, or what it was.

    Args:
        start: Before the batch.
        now: Given for a reduction only: what price alone has added since is not held against it.
    """
    return {
        subject: max(Fraction(0), before, now[subject] if now is not None else before)
        for subject, before in start.items()
    }


def broken(found: Overages, allowed: Overages) -> tuple[Subject, ...]:
    """The ceilings whose overage exceeds what is allowed."""
    return tuple(subject for subject, overage in found.items() if not (overage <= allowed[subject]))


def below_minimum(exposure: Exposure, *, limits: GateLimits, dust: Mapping[str, Fraction]) -> tuple[str, ...]:
    """Strategies that hold something, and less than the minimum.

    Args:
        exposure: After the last order.
        limits: The limits.
        dust: By strategy, the value that no order can sell; as much counts as nothing.
    """
    return tuple(
        key
        for key, capital in exposure.capital.items()
        if not (abs(capital) <= dust.get(key, Fraction(0)))
        and not (capital * _BP >= limits.individual_min_bp * exposure.total)
    )


def worst_cases(
    book: Book, step: Step, *, prices: Prices, market: Market | None, limit_price: Fraction
) -> tuple[Exposure, ...]:
    """The exposures that a step can lead to, at worst: nothing yet, or all of it at the limit price.

    Whatever part is filled lies between the two, and an overage is linear in it. A buy in flight so counts
    as filled and a sale as not, each with the cost that hurts more.
    """
    now = exposure_of(book, prices)
    if not step.is_order:
        return (exposure_of(book.moved(step.transfers), prices),)
    assert step.strategy is not None and step.asset is not None and market is not None  # noqa: PT018
    price = prices[market.account, market.asset]
    quantity = Fraction(step.quantity)
    sign = 1 if step.side == "BUY" else -1
    fee = quantity * max(price, limit_price) * Fraction(market.commission_bps) / _BP
    cost = max(Fraction(0), sign * quantity * (limit_price - price)) + fee
    filled = Exposure(
        capital={**now.capital, step.strategy: now.capital[step.strategy] + sign * quantity * price},
        total=now.total - cost,
    )
    return (now, filled)


def describe(subject: Subject, overage: Fraction, exposure: Exposure, limits: GateLimits) -> str:
    """A broken ceiling in words."""
    share = float(sum((exposure.capital[key] for key in subject[1]), Fraction(0)) / exposure.total) * 100
    name, members = subject
    whose = "" if name == "total_deployed" else f" of {'+'.join(members)}"
    return (
        f"{name}{whose} at {share:.4f} % against {limits.ceiling_bp(subject) / 100:.2f} % "
        f"({float(overage / _BP):.2f} too much)"
    )
