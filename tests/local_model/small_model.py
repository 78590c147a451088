"""The small model itself: SmolLM2-135M-Instruct in this process, the same answer to the same question.

Temperature 0, and one thread that writes. Reading is slow (a page takes seconds), so what a conversation has
read is kept, and its next turn reads only what is new. That alone would change answers: the same words read
in other portions come out slightly different, and at a close call another word is written. So every chat is
read in the same portions, one for each turn of the user's, whether or not they were read before, and what the
model wrote itself is read again like anybody else's words. The last token of a portion is always read twice,
because going back to the end of a portion does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from chat_form import Turn
from weights import weights

__all__ = [
    "CONTEXT_TOKENS",
    "MODEL_ID",
    "REPLY_TOKENS",
    "Answer",
    "Model",
    "SmallModel",
    "TooLongError",
]

MODEL_ID = "smollm2-135m-instruct-q4_1"
CONTEXT_TOKENS = 8192
"""Of prompt and answer together: what the model was trained for."""
REPLY_TOKENS = 512
"""Longest answer, whatever a request allows: it never says anything useful after that."""
_KEPT = 3
"""So many conversations go on at once without being read anew: an orchestrator's and two reviewers'."""


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


class Model(Protocol):
    """Something that continues a chat; asked one thing at a time."""

    def answer(self, chat: Sequence[Turn], *, grammar: str, max_tokens: int) -> Answer:
        """The next turn.

        Args:
            chat: All turns so far.
            grammar: What it is held to; empty where it may write what it likes. One that cannot be read
                is ignored without a word.
            max_tokens: Longest answer.

        Raises:
            TooLongError: The chat does not fit.
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
        params.n_parallel = _KEPT
        params.n_ctx = _KEPT * CONTEXT_TOKENS
        params.cache_ram_mib = 0
        params.offline = True
        params.ui = False
        params.verbosity = 0
        params.cpuparams.n_threads = 1
        params.cpuparams_batch.n_threads = 2  # changes no bit of the answer
        params.cpuparams.poll = params.cpuparams_batch.poll = 0
        self._server = xllamacpp.Server(params)
        self._kept: dict[int, list[Turn]] = {slot: [] for slot in range(_KEPT)}
        """Of each slot: the chat it has read; the one that was used last stands last."""

    def answer(self, chat: Sequence[Turn], *, grammar: str, max_tokens: int) -> Answer:
        """See :class:`Model`."""
        portions = [list(chat[: end + 1]) for end, turn in enumerate(chat) if turn["role"] == "user"]
        slot = self._read(portions)
        most = min(max_tokens, REPLY_TOKENS)
        found = self._ask(portions[-1], slot=slot, max_tokens=most, reuse=True, grammar=grammar)
        [choice], usage = found["choices"], found["usage"]
        tokens = usage["completion_tokens"]
        cut = choice["finish_reason"] == "length"
        return Answer(
            text=choice["message"]["content"] or "",
            ended="itself" if not cut else "length" if tokens >= most else "context",
            prompt_tokens=usage["prompt_tokens"],
            tokens=tokens,
        )

    def _read(self, portions: list[list[Turn]]) -> int:
        """Have a slot read a chat, whose beginnings are the portions, and say which."""
        slot, known = next(iter(self._kept)), 0  # the one that was not used for longest
        for other, kept in self._kept.items():
            if kept in portions and portions.index(kept) + 1 > known:
                slot, known = other, portions.index(kept) + 1
        del self._kept[slot]
        self._kept[slot] = []  # until all went well
        if known:
            self._ask(portions[known - 1], slot=slot, max_tokens=0, reuse=True)  # forget what was written
        for number, portion in enumerate(portions[known:], start=known):
            self._ask(portion, slot=slot, max_tokens=0, reuse=number > 0)
            self._ask(portion, slot=slot, max_tokens=0, reuse=True)
        self._kept[slot] = portions[-1]
        return slot

    def _ask(
        self, chat: Sequence[Turn], *, slot: int, max_tokens: int, reuse: bool, grammar: str = ""
    ) -> dict[str, Any]:
        body = {
            "messages": list(chat),
            "max_tokens": max_tokens,
            "temperature": 0,
            "seed": 1,
            "id_slot": slot,
            "cache_prompt": reuse,
            **({"grammar": grammar} if grammar else {}),
        }
        found: dict[str, Any] = self._server.handle_chat_completions(body)
        if "error" in found:
            error = found["error"]
            if error.get("type") == "exceed_context_size_error":
                raise TooLongError(error["n_prompt_tokens"], CONTEXT_TOKENS)
            raise RuntimeError(error.get("message"))
        return found
