"""Where credentials come from, and which headers may be kept: lists, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from portfolio_rebalance.redaction.needles import is_long_enough

__all__ = ["allowed_headers", "known_secrets"]

_NAMES: Final = frozenset(
    {
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_ENVIRONMENT_KEY",
        "PORTFOLIO_REBALANCE_API_KEY",
        "PORTFOLIO_REBALANCE_API_SECRET",
    }
)
_ENDINGS: Final = (
    "_API_KEY",
    "_ACCESS_KEY",
    "_PRIVATE_KEY",
    "_SIGNING_KEY",
    "_SECRET",
    "_TOKEN",
    "_PASSWORD",
    "_PASSPHRASE",
)
# The SDK sends these along, one "Name: value" a line; a gateway's credential is among them, if it has one.
_HEADERS: Final = "ANTHROPIC_CUSTOM_HEADERS"

_ALLOWED: Final = frozenset(
    {
        "anthropic-beta",
        "anthropic-version",
        "cache-control",
        "content-encoding",
        "content-length",
        "content-type",
        "date",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-request-id",
        "x-should-retry",
        "x-stainless-lang",
        "x-stainless-package-version",
        "x-stainless-retry-count",
    }
)
_ALLOWED_BEGINNING: Final = "anthropic-ratelimit-"


def known_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Credentials among environment variables, by the variable's name.

    Those that this product and the model's SDK read, and every other variable whose name says that it holds
    one (``..._API_KEY``, ``..._SECRET``, ``..._TOKEN``, ``..._PASSWORD``, ``..._PASSPHRASE`` and the like): a
    coding agent's shell holds more credentials than ours. A value below eight characters is left out.

    Args:
        environment: Names to values, such as ``os.environ``.
    """
    found: dict[str, str] = {}
    for name, value in environment.items():
        if name.upper() == _HEADERS:
            found |= _in_headers(value)
        elif (name in _NAMES or name.upper().endswith(_ENDINGS)) and is_long_enough(value):
            found[name] = value.strip()
    return found


def allowed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that a transcript may keep, by lower-case name; every other one is dropped.

    An allow-list: a credential travels under any name (``Authorization``, ``x-api-key``, ``Cookie``, whatever
    a gateway invents). Values are kept as they are and still go through a :class:`.Redactor`.

    Args:
        headers: Of a request or a response.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    return {
        name: value
        for name, value in lower.items()
        if name in _ALLOWED or name.startswith(_ALLOWED_BEGINNING)
    }


def _in_headers(lines: str) -> dict[str, str]:
    """Values of headers that are not on the list of harmless ones, without a scheme such as ``Bearer``."""
    pairs = [line.partition(":") for line in lines.splitlines()]
    given = {name.strip(): value.split()[-1] for name, _, value in pairs if value.split()}
    harmless = allowed_headers(given)
    return {
        f"{_HEADERS}_{number}": value
        for number, (name, value) in enumerate(given.items(), 1)
        if name.lower() not in harmless and is_long_enough(value)
    }
