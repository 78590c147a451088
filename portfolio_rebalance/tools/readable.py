"""What people read in a record: amounts stay numbers, instants become text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from portfolio_rebalance.clock import format_instant

__all__ = ["readable"]


def readable(node: object) -> object:
    """The content of a record as :func:`portfolio_rebalance.workspace.to_yaml` takes it."""
    if isinstance(node, Mapping):
        return {key: readable(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [readable(value) for value in node]
    return format_instant(node) if isinstance(node, datetime) else node
