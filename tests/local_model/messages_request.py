"""A request of the Messages API, as strictly as the API itself would read it.

The adapter refuses what the real API refuses: a tool call without its result in the next message, a result
without its call, an empty text. A loop that builds wrong conversations fails here and not in production.
Keys that mean nothing to a small model (``cache_control``, ``output_config``, ``thinking``...) are ignored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = [
    "Block",
    "Message",
    "Request",
    "TextBlock",
    "ThinkingBlock",
    "ToolChoice",
    "ToolResultBlock",
    "ToolSpec",
    "ToolUseBlock",
]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class TextBlock(_Part):
    """Words."""

    type: Literal["text"]
    text: str

    @field_validator("text")
    @classmethod
    def _not_blank(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("text content blocks must contain non-whitespace text")
        return text


class ToolUseBlock(_Part):
    """A tool that the model asked for."""

    type: Literal["tool_use"]
    id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
    input: dict[str, Any]


class ToolResultBlock(_Part):
    """What came of it."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: str | list[TextBlock] = ""
    is_error: bool = False

    @property
    def text(self) -> str:
        """All of it as one text."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(block.text for block in self.content)


class ThinkingBlock(_Part):
    """Thoughts of another model; this one does not read them."""

    type: Literal["thinking", "redacted_thinking"]


Block: TypeAlias = Annotated[
    TextBlock | ToolUseBlock | ToolResultBlock | ThinkingBlock, Field(discriminator="type")
]


class Message(_Part):
    """One turn."""

    role: Literal["user", "assistant"]
    content: str | list[Block]

    @property
    def blocks(self) -> list[TextBlock | ToolUseBlock | ToolResultBlock | ThinkingBlock]:
        """Its blocks, where it is a bare text too."""
        if isinstance(self.content, str):
            return [TextBlock(type="text", text=self.content)]
        return list(self.content)

    @property
    def calls(self) -> list[ToolUseBlock]:
        """The tools it asks for."""
        return [block for block in self.blocks if isinstance(block, ToolUseBlock)]

    @property
    def results(self) -> list[ToolResultBlock]:
        """The results it brings."""
        return [block for block in self.blocks if isinstance(block, ToolResultBlock)]

    @model_validator(mode="after")
    def _hold_something(self) -> Message:
        if not self.content or (isinstance(self.content, str) and not self.content.strip()):
            raise ValueError("all messages must have non-empty content")
        return self


class ToolSpec(_Part):
    """A tool on offer."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
    description: str = ""
    input_schema: dict[str, Any]


class ToolChoice(_Part):
    """Whether, and which, tools may be used."""

    type: Literal["auto", "any", "tool", "none"]
    name: str = ""


class Request(_Part):
    """The body of ``POST /v1/messages``."""

    model: str
    max_tokens: Annotated[int, Field(ge=1)]
    messages: Annotated[list[Message], Field(min_length=1)]
    system: str | list[TextBlock] = ""
    tools: list[ToolSpec] = []
    tool_choice: ToolChoice = ToolChoice(type="auto")
    stream: bool = False

    @property
    def system_text(self) -> str:
        """The system prompt as one text."""
        if isinstance(self.system, str):
            return self.system
        return "\n\n".join(block.text for block in self.system)

    @model_validator(mode="after")
    def _tools_are_known(self) -> Request:
        names = [tool.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise ValueError("tool names must be unique")
        if self.tool_choice.type in ("any", "tool") and not names:
            raise ValueError("tool_choice may only be specified while providing tools")
        if self.tool_choice.type == "tool" and self.tool_choice.name not in names:
            raise ValueError(f"tool_choice names no tool: {self.tool_choice.name!r}")
        return self

    @model_validator(mode="after")
    def _calls_have_results(self) -> Request:
        if self.messages[0].role != "user":
            raise ValueError("messages.0: the first message must be the user's")
        if self.messages[-1].role != "user":
            raise ValueError("the last message must be the user's: this model takes no prefill")
        open_calls: set[str] = set()
        for number, message in enumerate(self.messages):
            results = [result.tool_use_id for result in message.results]
            calls = [call.id for call in message.calls]
            if sorted(results) != sorted(open_calls):
                raise ValueError(
                    f"messages.{number}: tool_result blocks {results} do not answer the tool_use blocks"
                    f" {sorted(open_calls)} of the message before"
                )
            if calls and message.role == "user":
                raise ValueError(f"messages.{number}: tool_use blocks can only be the assistant's")
            if len(set(calls)) < len(calls):
                raise ValueError(f"messages.{number}: tool_use ids must be unique")
            open_calls = set(calls)
        return self
