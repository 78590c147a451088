"""The order of stages, and what each needs and makes. Nothing else knows it.

A dry run and a live one share this path; only clock and broker differ. What follows a decision is a person's
affair and may come days later: approve (:mod:`.approval`), execute and verify (:mod:`.execute`). Monitoring
and feedback are not part of this version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["STAGES", "Stage"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage.

    Attributes:
        name: As in the documentation.
        requires: Artifacts that must be there.
        produces: The artifact it makes.
    """

    name: str
    requires: tuple[str, ...]
    produces: str


STAGES: Final = (
    Stage("bootstrap", (), "state"),
    Stage("assess", ("state",), "assessment"),
    Stage("correlate", ("state",), "correlation"),
    Stage("propose", ("state", "correlation"), "proposals"),
    Stage("comply", ("state", "correlation", "proposals"), "compliance"),
    Stage("simulate", ("state", "correlation", "compliance"), "candidates"),
    Stage("review", ("state", "correlation", "candidates"), "reviews"),
    Stage("decide", ("state", "assessment", "correlation", "candidates", "reviews"), "decision"),
)
