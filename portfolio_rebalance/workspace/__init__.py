"""The workspace: the folder ``.crypto/`` that people, other tools and this package share.

In: files that anybody may have written. Out: checked records and series, each refusal with ``file:line`` and
what to do; and files written whole or not at all, with people's comments and keys kept. It must never follow
a link out of the folder, fill in what is missing, guess what is ambiguous, or write while it reads.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from portfolio_rebalance.workspace.config_file import LoadedConfig, load_config
from portfolio_rebalance.workspace.inputs import require_unchanged
from portfolio_rebalance.workspace.layout import find_workspace, workspace_at
from portfolio_rebalance.workspace.ledger import Ledger, RunEntry, RunStore
from portfolio_rebalance.workspace.lock import exclusive
from portfolio_rebalance.workspace.outputs import free_name, to_yaml, write_atomic
from portfolio_rebalance.workspace.state import LoadedState, load_state, state_instant

if TYPE_CHECKING:
    from portfolio_rebalance.workspace.approvals import ApprovalStore, IssuedInstructions, StoredPlan
    from portfolio_rebalance.workspace.demo import DemoInfo, init_demo
    from portfolio_rebalance.workspace.doctor import examine
    from portfolio_rebalance.workspace.edit import RegistryChange, set_bootstrap_state, set_registry_targets
    from portfolio_rebalance.workspace.init import config_template, init_workspace
    from portfolio_rebalance.workspace.journal import ExecutionJournal
    from portfolio_rebalance.workspace.outbox import Projection, accept_edits, apply_outbox

__all__ = [
    "ApprovalStore",
    "DemoInfo",
    "ExecutionJournal",
    "IssuedInstructions",
    "Ledger",
    "LoadedConfig",
    "LoadedState",
    "Projection",
    "RegistryChange",
    "RunEntry",
    "RunStore",
    "StoredPlan",
    "accept_edits",
    "apply_outbox",
    "config_template",
    "examine",
    "exclusive",
    "find_workspace",
    "free_name",
    "init_demo",
    "init_workspace",
    "load_config",
    "load_state",
    "require_unchanged",
    "set_bootstrap_state",
    "set_registry_targets",
    "state_instant",
    "to_yaml",
    "workspace_at",
    "write_atomic",
]

_NOT_IN_A_RUN = {
    "ApprovalStore": "approvals",
    "IssuedInstructions": "approvals",
    "StoredPlan": "approvals",
    "DemoInfo": "demo",
    "init_demo": "demo",
    "examine": "doctor",
    "RegistryChange": "edit",
    "set_bootstrap_state": "edit",
    "set_registry_targets": "edit",
    "config_template": "init",
    "init_workspace": "init",
    "ExecutionJournal": "journal",
    "Projection": "outbox",
    "accept_edits": "outbox",
    "apply_outbox": "outbox",
}


def __getattr__(name: str) -> Any:
    """What a run does not need is imported when it is asked for."""
    if name not in _NOT_IN_A_RUN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_NOT_IN_A_RUN[name]}"), name)
