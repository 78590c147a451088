"""What the command line writes carries no credential, whoever wrote it into a name or a file."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["without_secrets"]

_SECRETIVE: Final = ("_KEY", "_SECRET", "_TOKEN", "_PASSWORD", "_PASSPHRASE", "_HEADERS")


def without_secrets(text: str) -> str:
    """The text without any credential of the environment."""
    if not any(name.upper().endswith(_SECRETIVE) for name in os.environ):
        return text
    from portfolio_rebalance.redaction import Redactor, known_secrets

    secrets = known_secrets(os.environ)
    return Redactor(secrets).redact(text) if secrets else text
