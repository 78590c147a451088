"""Changing values inside a YAML text: every character that is not a changed value stays as it is.

A YAML library that loads and dumps reflows what it did not change: line breaks, quotes, wide lines, the
column of a comment. So nothing is dumped here. The parser says from which character to which a value stands,
that piece is replaced, a missing key goes on a line of its own, and the result is read back by the strict
reader: it must say what was wanted and nothing else, or the edit is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

import yaml

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.errors import BadDataError, MissingDataError, StrictYamlError
from portfolio_rebalance.workspace import strict_yaml
from portfolio_rebalance.workspace.plain_yaml import scalar_text
from portfolio_rebalance.workspace.strict_yaml import Value

__all__ = ["Settable", "YamlEdit"]

Path: TypeAlias = tuple[str | int, ...]
Settable: TypeAlias = str | Decimal | datetime


@dataclass(slots=True)
class _Node:
    """Where a value stands.

    Attributes:
        start: Offset of its first character.
        end: Offset behind its last.
        kind: ``scalar``, ``mapping`` or ``list``.
        bare: Of a scalar: unquoted. Of a mapping: without braces.
        key_start: Offset of its key, where it is an entry of a mapping.
        keys: Of a mapping: its keys, in order.
    """

    start: int
    end: int
    kind: str
    bare: bool
    key_start: int
    keys: list[str] = field(default_factory=list)


class YamlEdit:
    """Changes to one YAML text, collected and then applied together.

    Args:
        text: One strict document.
        label: The file's name in errors.
        first_line: Line of the file on which ``text`` begins.

    Raises:
        StrictYamlError: The text is not strict YAML.
    """

    def __init__(self, text: str, *, label: str, first_line: int = 1) -> None:
        self._text = text
        self._first_line = first_line
        self._document = strict_yaml.parse(text, label=label, first_line=first_line)
        self._nodes = _nodes(text)
        self._wanted: Any = copy.deepcopy(self._document.value)
        self._pieces: list[tuple[int, int, str]] = []

    def where(self, path: Path) -> str:
        """``label:line`` of a path."""
        return self._document.where(path)

    def has(self, path: Path) -> bool:
        """Whether a value stands there, be it null."""
        return path in self._nodes

    def keys(self, path: Path) -> tuple[str, ...]:
        """The keys of a mapping, in order."""
        return tuple(self._node(path).keys)

    def set_value(self, path: Path, value: Settable) -> None:
        """Replace a scalar; an empty one too."""
        node = self._node(path)
        if node.kind != "scalar":
            raise self._refusal(path)
        piece = self._text[node.start : node.end]
        tail = piece[len(piece.rstrip()) :]  # the line break that a block scalar ends with
        lead = "" if piece else " "
        self._pieces.append((node.start, node.end, lead + _rendered(value, bare=node.bare) + tail))
        self._note(path, value)

    def set_mapping(self, path: Path, values: Mapping[str, Settable], *, after: Path) -> None:
        """Set keys of a mapping, adding those it lacks, or the whole of it behind ``after``."""
        node = self._nodes.get(path)
        if node is None:
            self._insert_after(after, f"{path[-1]}: {_braced(values)}")
        elif node.kind == "scalar" and self._is_null(path):
            lead = " " if node.start == node.end else ""
            self._pieces.append((node.start, node.end, lead + _braced(values)))
        elif node.kind == "mapping" and not node.keys:
            self._pieces.append((node.start, node.end, _braced(values)))
        elif node.kind == "mapping":
            for key, value in values.items():
                if key in node.keys:
                    self.set_value((*path, key), value)
                else:
                    self._insert_first(path, key, value)
        else:
            raise self._refusal(path)
        for key, value in values.items():
            self._note((*path, key), value)

    def result(self) -> str:
        """The edited text, read back.

        Raises:
            BadDataError: It does not say what was wanted: this text cannot be edited piece by piece.
        """
        parts, done = [], 0
        for start, end, replacement in sorted(self._pieces, key=lambda piece: piece[:2]):
            parts += [self._text[done:start], replacement]
            done = end
        text = "".join((*parts, self._text[done:]))
        try:
            read = strict_yaml.parse(text, label=self._document.label, first_line=self._first_line).value
        except StrictYamlError as error:
            raise self._refusal(()) from error
        if not _same(read, self._wanted):
            raise self._refusal(())
        return text

    def _node(self, path: Path) -> _Node:
        """Where the value at ``path`` stands; without it there is nothing to edit."""
        node = self._nodes.get(path)
        if node is None:
            dotted = ".".join(map(str, path))
            raise MissingDataError(
                f"`{dotted}` is missing.", where=self.where(path), fix="Add it, then run again."
            )
        return node

    def _insert_after(self, path: Path, entry: str) -> None:
        node = self._node(path)
        if not self._nodes[path[:-1]].bare:
            self._pieces.append((node.end, node.end, f", {entry}"))
            return
        indent = " " * (node.key_start - self._line_start(node.key_start))
        line_end = self._text.find("\n", node.end)
        if line_end < 0:
            end = len(self._text)
            self._pieces.append((end, end, f"{self._newline(end)}{indent}{entry}"))
        else:
            self._pieces.append((line_end + 1, line_end + 1, f"{indent}{entry}{self._newline(node.end)}"))

    def _insert_first(self, path: Path, key: str, value: Settable) -> None:
        first = self._nodes[*path, self.keys(path)[0]].key_start
        entry = f"{key}: {_rendered(value, bare=False)}"
        if not self._nodes[path].bare:
            self._pieces.append((first, first, f"{entry}, "))
            return
        start = self._line_start(first)
        indent = self._text[start:first]
        if indent.strip(" "):
            raise self._refusal(path)
        self._pieces.append((start, start, f"{indent}{entry}{self._newline(first)}"))

    def _line_start(self, offset: int) -> int:
        return self._text.rfind("\n", 0, offset) + 1

    def _newline(self, offset: int) -> str:
        """How the line at ``offset`` ends, or the last one that does."""
        end = self._text.find("\n", offset)
        end = self._text.rfind("\n") if end < 0 else end
        return "\r\n" if end > 0 and self._text[end - 1] == "\r" else "\n"

    def _is_null(self, path: Path) -> bool:
        value: Any = self._document.value
        for step in path:
            value = value[step]
        return value is None

    def _note(self, path: Path, value: Settable) -> None:
        """Remember what the text should say."""
        parent = self._wanted
        for step in path[:-1]:
            if parent.get(step) is None:
                parent[step] = {}
            parent = parent[step]
        parent[path[-1]] = format_instant(value) if isinstance(value, datetime) else value

    def _refusal(self, path: Path) -> BadDataError:
        return BadDataError(
            "This is written in a way that cannot be changed safely.",
            where=self.where(path),
            fix="Write it in plain block style, one key a line, then run again.",
        )


def _rendered(value: Settable, *, bare: bool) -> str:
    """A value as text; an instant stays unquoted where its predecessor was."""
    if isinstance(value, datetime):
        return format_instant(value) if bare else scalar_text(format_instant(value))
    return scalar_text(value)


def _braced(values: Mapping[str, Settable]) -> str:
    return "{" + ", ".join(f"{key}: {_rendered(value, bare=False)}" for key, value in values.items()) + "}"


def _same(one: Value, other: Value) -> bool:
    """Equal, and true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _events(text: str) -> Iterator[Any]:
    yield from yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _nodes(text: str) -> dict[Path, _Node]:
    """Where each value of a strict document stands, by its path."""
    nodes: dict[Path, _Node] = {}
    opened: list[_Open] = []
    for event in _events(text):
        kind = _KINDS.get(type(event))
        parent = opened[-1] if opened else None
        if kind == "end":
            opened.pop().node.end = event.end_mark.index
        elif kind == "scalar" and parent and parent.expects_key:
            parent.begin_entry(event.value, event.start_mark.index)
        elif kind:
            path, key_start = (parent.next_path(), parent.key_start) if parent else ((), 0)
            bare = event.implicit[0] if kind == "scalar" else not event.flow_style
            node = _Node(event.start_mark.index, event.end_mark.index, kind, bare, key_start)
            nodes[path] = node
            if kind != "scalar":
                opened.append(_Open(path, node))
    return nodes


_KINDS: Final[Mapping[type, str]] = {
    yaml.ScalarEvent: "scalar",
    yaml.MappingStartEvent: "mapping",
    yaml.SequenceStartEvent: "list",
    yaml.MappingEndEvent: "end",
    yaml.SequenceEndEvent: "end",
}


class _Open:
    """A mapping or list whose end has not come yet."""

    def __init__(self, path: Path, node: _Node) -> None:
        self.path = path
        self.node = node
        self.key: str | None = None
        self.key_start = 0
        self._items = 0

    @property
    def expects_key(self) -> bool:
        return self.node.kind == "mapping" and self.key is None

    def begin_entry(self, key: str, start: int) -> None:
        """A scalar in the place of a key."""
        self.key, self.key_start = key, start
        self.node.keys.append(key)

    def next_path(self) -> Path:
        """The path of the value that comes now."""
        if self.node.kind == "mapping":
            assert self.key is not None
            path = (*self.path, self.key)
            self.key = None
        else:
            path = (*self.path, self._items)
            self._items += 1
        return path
