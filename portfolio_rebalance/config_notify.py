"""``notifications``: whom to tell, and of what. No address stands here: it may hold a credential."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from portfolio_rebalance.config_types import Section

__all__ = [
    "EXTREME_CORRELATION",
    "MARGINAL_IMPROVEMENT_PERCENT",
    "SEVERE_DRIFT_PERCENT",
    "Delivery",
    "Events",
    "NoticeKind",
    "Target",
]

SEVERE_DRIFT_PERCENT: Final = 15
"""Drift of one strategy beyond this needs a person's eye."""

EXTREME_CORRELATION: Final = 0.95
"""So does a pair that correlates above this."""

MARGINAL_IMPROVEMENT_PERCENT: Final = 3
"""A net improvement below this is worth a warning."""

NoticeKind: TypeAlias = Literal[
    "plan_awaiting",
    "executed",
    "reverted",
    "blocked",
    "extreme_correlation",
    "severe_drift",
    "unresolved_violation",
    "marginal_improvement",
    "stale_data",
    "halt",
    "needs_operator",
    "unconfirmed_instruction",
    "divergence",
    "outcome",
]
"""What a person can be told of."""

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def _as_written(value: object) -> object:
    """YAML readers take a bare ``on`` for true; so true is ``on`` here, and false ``off``."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def _variable(name: str) -> str:
    """The name itself. Whatever else stands here may be an address with its credential: it is not shown."""
    if not _VARIABLE.fullmatch(name):
        raise ValueError(
            "this is an address, or no name of a variable, and is not shown here because it may hold a "
            "secret. Write the NAME of the environment variable that holds the address, such as "
            "PHONE_URL, and set that variable where the program runs"
        )
    return name


Delivery: TypeAlias = Annotated[Literal["on", "silent", "off"], BeforeValidator(_as_written)]
"""``on``: delivered; ``silent``: kept and shown by ``status``; ``off``: nothing."""


class Events(Section):
    """What of each kind of notice becomes: "on" (or true), silent, or "off" (or false)."""

    plan_awaiting: Annotated[Delivery, Field(description="A plan awaits a person.")] = "on"
    executed: Annotated[Delivery, Field(description="A plan was executed and verified.")] = "on"
    reverted: Annotated[Delivery, Field(description="A batch was taken back.")] = "on"
    blocked: Annotated[Delivery, Field(description="No allocation respects all limits.")] = "on"
    extreme_correlation: Annotated[Delivery, Field(description="Two strategies correlate above 0.95.")] = "on"
    severe_drift: Annotated[Delivery, Field(description="A strategy drifted more than 15 %.")] = "on"
    unresolved_violation: Annotated[
        Delivery, Field(description="A limit stays broken whatever is proposed.")
    ] = "on"
    marginal_improvement: Annotated[Delivery, Field(description="A plan's net improvement is below 3 %.")] = (
        "on"
    )
    stale_data: Annotated[Delivery, Field(description="State is stale, or too old to be read.")] = "on"
    halt: Annotated[Delivery, Field(description="HALT stands.")] = "on"
    needs_operator: Annotated[
        Delivery,
        Field(description="An execution could be neither finished nor taken back; or a check was refused."),
    ] = "on"
    unconfirmed_instruction: Annotated[
        Delivery, Field(description="A bot has not done for 48 hours what it was to be told.")
    ] = "on"
    divergence: Annotated[
        Delivery, Field(description="A rebalance turns out differently from its prediction.")
    ] = "on"
    outcome: Annotated[Delivery, Field(description="A rebalance was graded.")] = "on"


class Target(Section):
    """Somebody to notify, at one address."""

    name: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$", description="What warnings call it, such as phone.")
    ]
    url_env: Annotated[
        str,
        AfterValidator(_variable),
        Field(description="Name of the environment variable that holds the address, as apprise writes it."),
    ]
    events: Events = Events()
