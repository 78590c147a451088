"""The small model itself: SmolLM2-135M-Instruct in this process, the same answer to the same question.

Temperature 0, one thread that writes, and no reuse of what was read before: with a warm cache the same
prompt is read in other portions, and the answer can turn out different. Reading takes two threads, which
changes no bit of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from chat_form import Turn
from weights import weights

__all__ = [
    "CONTEXT_TOKENS",
    "MODEL_ID",
    "REPLY_TOKENS",
    "Answer",
    "BadGrammarError",
    "Model",
    "SmallModel",
    "TooLongError",
]

MODEL_ID = "smollm2-135m-instruct-q4_1"
CONTEXT_TOKENS = 8192
"""Of prompt and answer together: what the model was trained for."""
REPLY_TOKENS = 512
"""Longest answer, whatever a request allows: it never says anything useful after that."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the model wrote.

    Attributes:
        text: All of it.
        ended: By itself; or cut at the allowed length, or at the end of its context.
        prompt_tokens: Length of what it read.
        tokens: Length of what it wrote.
    """

    text: str
    ended: Literal["itself", "length", "context"]
    prompt_tokens: int
    tokens: int


class TooLongError(Exception):
    """The prompt does not fit.

    Args:
        tokens: Its length.
        most: What fits.
    """

    def __init__(self, tokens: int, most: int) -> None:
        super().__init__(f"prompt is too long: {tokens} tokens > {most} maximum")
        self.tokens = tokens
        self.most = most


class BadGrammarError(Exception):
    """A schema that the model cannot be held to."""


class Model(Protocol):
    """Something that continues a chat; asked one thing at a time."""

    def answer(self, chat: Sequence[Turn], *, grammar: str, max_tokens: int) -> Answer:
        """The next turn.

        Args:
            chat: All turns so far.
            grammar: What it is held to; empty where it may write what it likes.
            max_tokens: Longest answer.

        Raises:
            TooLongError: The chat does not fit.
            BadGrammarError: The grammar is none.
        """
        ...


class SmallModel:
    """The model on this machine.

    Raises:
        FileNotFoundError: It is not installed.
    """

    def __init__(self) -> None:
        path = weights()
        import xllamacpp  # only where it is installed

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = CONTEXT_TOKENS
        params.n_parallel = 1
        params.cache_ram_mib = 0
        params.offline = True
        params.ui = False
        params.verbosity = 0
        params.cpuparams.n_threads = 1
        params.cpuparams_batch.n_threads = 2
        params.cpuparams.poll = params.cpuparams_batch.poll = 0
        self._server = xllamacpp.Server(params)

    def answer(self, chat: Sequence[Turn], *, grammar: str, max_tokens: int) -> Answer:
        """See :class:`Model`."""
        most = min(max_tokens, REPLY_TOKENS)
        body = {
            "messages": list(chat),
            "max_tokens": most,
            "temperature": 0,
            "seed": 1,
            "cache_prompt": False,
            **({"grammar": grammar} if grammar else {}),
        }
        try:
            found = self._server.handle_chat_completions(body)
        except ValueError as fault:
            raise BadGrammarError(str(fault)) from None
        if "error" in found:
            error = found["error"]
            if error.get("type") == "exceed_context_size_error":
                raise TooLongError(error["n_prompt_tokens"], CONTEXT_TOKENS)
            raise BadGrammarError(str(error.get("message")))
        [choice], usage = found["choices"], found["usage"]
        tokens = usage["completion_tokens"]
        cut = choice["finish_reason"] == "length"
        return Answer(
            text=choice["message"]["content"] or "",
            ended="itself" if not cut else "length" if tokens >= most else "context",
            prompt_tokens=usage["prompt_tokens"],
            tokens=tokens,
        )
