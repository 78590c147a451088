"""A client whose answers hold no secret that this process knows, wherever they come from.

Redaction stands at the boundary, before anything of an answer is parsed, shown, kept or passed to another
agent. Only what we read is redacted (text, tool arguments); what goes back to the API as it came, such as the
signature of a thinking block, is left alone and is shown to nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from portfolio_rebalance.agents.messages import Call, Json, ModelClient, ModelError, Reply

__all__ = ["RedactingClient"]


class RedactingClient:
    """Passes calls on and redacts what comes back.

    Args:
        inner: What answers.
        redact: Takes secrets out of a text.
    """

    def __init__(self, inner: ModelClient, *, redact: Callable[[str], str]) -> None:
        self._inner = inner
        self._redact = redact

    @property
    def provider(self) -> str:
        """The one whose answers are passed on."""
        return self._inner.provider

    def complete(self, call: Call) -> Reply:
        """The answer of the client within, redacted.

        Raises:
            ModelError: That client raised it.
        """
        try:
            reply = self._inner.complete(call)
        except ModelError as error:
            raise ModelError(error.kind, self._redact(error.detail)) from None
        return replace(
            reply,
            content=tuple(self._block(block) for block in reply.content),
            stop_reason=None if reply.stop_reason is None else self._redact(reply.stop_reason),
            model=self._redact(reply.model),
        )

    def _block(self, block: Json) -> Json:
        if block.get("type") == "text":
            return {**block, "text": self._redact(block["text"])}
        if block.get("type") == "tool_use":
            return {**block, "name": self._redact(block["name"]), "input": self._clean(block["input"])}
        return block

    def _clean(self, node: Any) -> Any:
        if isinstance(node, str):
            return self._redact(node)
        if isinstance(node, dict):
            return {self._redact(key): self._clean(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self._clean(value) for value in node]
        return node
