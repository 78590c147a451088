"""One exception tree, named by cause.

Every error answers three questions: what is wrong, where (``file:line`` or the name of the argument),
and what to do. Front doors turn ``exit_code`` into the process status and ``code`` into the ``--json`` key;
nothing below them prints or exits. Exit codes: 2 usage, 11 not approved, 12 stale or tampered plan,
13 BLOCKED, 14 bad data, 15 halted or needs an operator, 16 reverted, 1 anything unexpected.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BadDataError",
    "BlockedError",
    "BrokerError",
    "CapitalJumpError",
    "ConfigError",
    "EditedMeanwhileError",
    "FutureDataError",
    "HaltedError",
    "LedgerError",
    "MissingDataError",
    "NeedsOperatorError",
    "NotApprovedError",
    "PlanChangedError",
    "PlanConsumedError",
    "PlanExpiredError",
    "PlanNotFoundError",
    "PlanTamperedError",
    "PromptError",
    "RebalanceError",
    "ReplayMismatchError",
    "RevertedError",
    "StaleDataError",
    "StrictYamlError",
    "UnsafePathError",
    "UnusablePlanError",
    "UsageError",
    "WorkspaceBusyError",
    "WorkspaceNotFoundError",
]


class RebalanceError(Exception):
    """Base of every refusal.

    Args:
        what: One sentence: what is wrong, with the offending value.
        where: ``file:line``, a path, or the argument's name; empty when there is no place.
        fix: One sentence: what the reader can do about it.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        """``where: what (fix)``, leaving out what is empty."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head} Fix: {self.fix}" if self.fix else head


class UsageError(RebalanceError):
    """The caller's arguments do not fit: unknown mode, unknown strategy, contradictory flags."""

    code = "usage"
    exit_code = 2


class WorkspaceNotFoundError(UsageError):
    """No ``.crypto/`` folder at or above the given place."""

    code = "workspace_not_found"


class PlanNotFoundError(UsageError):
    """No stored plan has this id, or several begin with it."""

    code = "plan_not_found"


class BadDataError(RebalanceError):
    """A file or value that cannot be trusted; nothing was written."""

    code = "bad_data"
    exit_code = 14


class StrictYamlError(BadDataError):
    """YAML that two readers could understand differently, or that is malformed."""

    code = "strict_yaml"


class ConfigError(BadDataError):
    """A configuration key or value that is unknown, out of range, or not available yet."""

    code = "config"


class MissingDataError(BadDataError):
    """Something the run needs is absent: a file, a block, a registry entry."""

    code = "missing_data"


class StaleDataError(BadDataError):
    """State older than the configured maximum age."""

    code = "stale_data"


class FutureDataError(BadDataError):
    """A timestamp later than the run's clock."""

    code = "future_data"


class CapitalJumpError(BadDataError):
    """Total capital moved more than allowed since the last run; a person must confirm it."""

    code = "capital_jump"


class UnsafePathError(BadDataError):
    """A path that leaves the workspace, or is not one regular, single-link, small enough file."""

    code = "unsafe_path"


class LedgerError(BadDataError):
    """The ledger cannot be opened, has an unknown version, or contradicts itself."""

    code = "ledger"


class ReplayMismatchError(BadDataError):
    """A run and the transcript that it replays differ: in a request, by a call too many, or by one missing.

    Args:
        what: One sentence: which call, and where its request first differs.
        where: ``file:line`` of the recorded call.
        fix: One sentence: what the reader can do about it.
        difference: Unified difference of the two requests, of several lines; empty where there are not two.
    """

    code = "replay_mismatch"

    def __init__(self, what: str, *, where: str = "", fix: str = "", difference: str = "") -> None:
        super().__init__(what, where=where, fix=fix)
        self.difference = difference

    def __str__(self) -> str:
        """As every error, and the difference below it."""
        return f"{super().__str__()}\n{self.difference}" if self.difference else super().__str__()


class WorkspaceBusyError(RebalanceError):
    """Another process holds the workspace's lock."""

    code = "workspace_busy"
    exit_code = 15


class BlockedError(RebalanceError):
    """No allocation respects all limits under the pins, holds and trade limit in force."""

    code = "blocked"
    exit_code = 13


class NotApprovedError(RebalanceError):
    """Nobody approved the plan, or a person declined; nothing was sent."""

    code = "not_approved"
    exit_code = 11


class UnusablePlanError(RebalanceError):
    """A plan that may not be executed (any more); nothing was sent."""

    code = "unusable_plan"
    exit_code = 12


class PlanExpiredError(UnusablePlanError):
    """The plan's or the approval's time has run out."""

    code = "plan_expired"


class PlanConsumedError(UnusablePlanError):
    """The plan was executed, reverted or rejected: a plan is used once."""

    code = "plan_consumed"


class PlanTamperedError(UnusablePlanError):
    """What is stored is not what its digest or its approval's seal says."""

    code = "plan_tampered"


class PlanChangedError(UnusablePlanError):
    """What the plan binds is no longer so: names what changed, from what to what."""

    code = "plan_changed"


class HaltedError(RebalanceError):
    """A HALT file stands in the workspace; nothing more is sent."""

    code = "halted"
    exit_code = 15


class NeedsOperatorError(RebalanceError):
    """An execution could be neither finished nor reverted; a person must look."""

    code = "needs_operator"
    exit_code = 15


class EditedMeanwhileError(NeedsOperatorError):
    """A file that a committed change belongs in was edited by hand meanwhile; it was not touched."""

    code = "edited_meanwhile"


class RevertedError(RebalanceError):
    """A batch was taken back: holdings are as before, costs aside."""

    code = "reverted"
    exit_code = 16


class BrokerError(RebalanceError):
    """The venue cannot be used: not configured, not allowed, or it does not answer; nothing was sent."""

    code = "broker"
    exit_code = 15


class PromptError(RebalanceError):
    """A shipped prompt cannot be used as it stands: its text, its tools and its variables do not fit."""

    code = "prompt"
