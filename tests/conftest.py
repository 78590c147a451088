"""Settings of the whole suite."""

from __future__ import annotations

import os

from hypothesis import settings

# The same examples on every machine, and no deadline: a slow machine is no bug.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

# No test reaches a model because of a key that happens to be set, in this process or in one that it starts.
for _name in [name for name in os.environ if name.upper().startswith("ANTHROPIC_")]:
    del os.environ[_name]
