"""Finding our block in a person's Markdown document.

The document belongs to its author. Ours is the one fenced ``yaml`` block that holds ``portfolio_state:`` as a
top key; other blocks are not even parsed. Without exactly one such block nobody can say which state holds, so
that is refused with the lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from portfolio_rebalance.errors import BadDataError, MissingDataError

__all__ = ["STATE", "StateBlock", "find_state_block"]

STATE: Final = "portfolio_state"


@dataclass(frozen=True, slots=True)
class StateBlock:
    """Our block's content inside the document.

    Attributes:
        text: What stands between the fences.
        start: Offset of ``text`` in the document.
        first_line: Line of the document on which ``text`` begins.
    """

    text: str
    start: int
    first_line: int


_COMMENT: Final = re.compile(" {0,3}<!--")
_OPENING: Final = re.compile(r"( {0,3})(`{3,}(?=[^`]*$)|~{3,})[ \t]*([^\s`]*)")
_OURS: Final = re.compile(rf"""^( {{0,3}})["']?{STATE}["']?[ \t]*:""", re.MULTILINE)
_LANGUAGES: Final = ("yaml", "yml")


@dataclass(frozen=True, slots=True)
class _Fenced:
    """A fenced block: line of its fence, first word behind the fence, where its content starts and ends."""

    line: int
    indented: bool
    language: str
    start: int
    end: int
    closed: bool


def find_state_block(text: str, *, label: str) -> StateBlock:
    """The one fenced ``yaml`` block with ``portfolio_state:``, without parsing any other.

    Fences are those of CommonMark; what stands in an HTML comment is commented out.

    Raises:
        MissingDataError: There is none.
        BadDataError: There are several, or it is indented or never closed.
    """
    blocks = list(_fenced_blocks(text))
    with_state = [block for block in blocks if _holds_state(text, block)]
    ours = [block for block in with_state if block.language in _LANGUAGES]
    if not ours:
        raise _no_block(with_state, label)
    block = ours[0]
    if len(ours) > 1:
        lines = " and ".join(str(one.line) for one in ours)
        raise BadDataError(
            f"{len(ours)} yaml blocks hold `{STATE}:`, on lines {lines}.",
            where=f"{label}:{ours[1].line}",
            fix="Keep the one that holds and delete the others, or mark them as ```text.",
        )
    if not block.closed or block.indented:
        raise BadDataError(
            "The block is indented." if block.indented else "The block is never closed.",
            where=f"{label}:{block.line}",
            fix="Move it to the left margin." if block.indented else "Close it with a line of ``` below it.",
        )
    return StateBlock(text[block.start : block.end], block.start, block.line + 1)


def _holds_state(text: str, block: _Fenced) -> bool:
    """Whether it is a top key there; one level down, or in a longer word, it is somebody else's."""
    found = _OURS.finditer(text, block.start, block.end)
    return any(block.indented or not match[1] for match in found)


def _no_block(with_state: list[_Fenced], label: str) -> MissingDataError:
    line = 1
    fix = f"Write a block that begins with ```yaml and then `{STATE}:`, at the left margin."
    if with_state:
        line = with_state[0].line
        fix = f"Begin the block on line {line} with ```yaml, or close it before ours begins."
    return MissingDataError(f"No yaml block holds `{STATE}:`.", where=f"{label}:{line}", fix=fix)


def _fenced_blocks(text: str) -> Iterator[_Fenced]:
    fence = language = ""
    indented = in_comment = False
    opened = start = offset = 0
    for number, line in enumerate(text.split("\n"), start=1):
        after = offset + len(line) + 1
        if fence:
            if _closes(line, fence):
                yield _Fenced(opened, indented, language, start, offset, closed=True)
                fence = ""
        elif in_comment or _COMMENT.match(line):
            in_comment = "-->" not in line
        elif match := _OPENING.match(line):
            indented, fence, language = bool(match[1]), match[2], match[3].lower()
            opened, start = number, after
        offset = after
    if fence:
        yield _Fenced(opened, indented, language, min(start, len(text)), len(text), closed=False)


def _closes(line: str, fence: str) -> bool:
    bare = line.strip(" \t\r")
    indent = len(line) - len(line.lstrip(" "))
    return indent <= 3 and len(bare) >= len(fence) and bare == fence[0] * len(bare)
