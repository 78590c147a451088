"""The real SDK over HTTP on this machine, and bytes that nobody thought of."""

from __future__ import annotations

import random

import anthropic
from client_fuzz import fuzzed

assert anthropic.__version__  # imported before any deadline runs


def test_mutated_streams_give_a_reply_or_a_named_error() -> None:
    kinds = fuzzed(300, draw=random.Random(20261124))
    assert kinds["reply"] > 5
    assert kinds["malformed"] > 30
    assert kinds["incomplete"] > 30
    assert sum(kinds.values()) == 300
