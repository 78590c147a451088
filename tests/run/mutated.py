"""Every mutation there is."""

from __future__ import annotations

from run.mutated_approvals import approval_mutations
from run.mutated_config import config_mutations
from run.mutated_plans import plan_mutations
from run.mutated_state import state_mutations
from run.mutations import Mutation, Template

__all__ = ["all_mutations"]


def all_mutations(template: Template) -> list[Mutation]:
    """Family by family; the same for the same template."""
    return [
        *plan_mutations(template),
        *approval_mutations(template),
        *state_mutations(),
        *config_mutations(),
    ]
