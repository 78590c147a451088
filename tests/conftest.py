"""Settings of the whole suite."""

from __future__ import annotations

from hypothesis import settings

# The same examples on every machine, and no deadline: a slow machine is no bug.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
