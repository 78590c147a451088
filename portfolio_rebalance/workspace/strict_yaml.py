"""YAML that everybody reads the same way.

People and other tools edit the workspace's YAML, and readers differ on what it says: ``010`` is 8 or 10,
``no`` is false or text, the second of two equal keys wins in silence, ``1:30`` is ninety. A limit must not
depend on which reader looks at it, so whatever two readers could take for different things is refused here,
with its line and the spelling that nobody misreads.

The text is consumed as a stream of parser events: aliases cannot grow it, nesting is refused as it opens (the
C composer overflows its stack on 100 000 brackets), and numbers keep every digit that was written.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NoReturn, TypeAlias

import yaml

from portfolio_rebalance.errors import StrictYamlError
from portfolio_rebalance.workspace.problems import Problems
from portfolio_rebalance.workspace.yaml_scalars import DATE_LIKE, THOUSANDS, plain_value
from portfolio_rebalance.workspace.yaml_text import (
    Place,
    code_point,
    first_unfit_character,
    refuse_unfit_text,
    shortened,
)

__all__ = ["Document", "NodePath", "Value", "parse"]

Value: TypeAlias = "dict[str, Value] | list[Value] | str | int | Decimal | bool | None"
NodePath: TypeAlias = tuple[str | int, ...]
"""Keys and list positions from the top of a document down to a value."""

_MAX_DEPTH: Final = 16
_MOST_PROBLEMS: Final = 200
_KEYS_FROM_INIT: Final = "Write its keys; `trading-portfolio-rebalance init` in an empty folder shows them."


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed document and where each of its values stands.

    Attributes:
        value: Mappings, lists, text, integers, exact decimals, booleans and None.
        lines: Line of each value by its path: of its key in a mapping, of its own start in a list.
        label: The file's name in errors.
    """

    value: Value
    lines: Mapping[NodePath, int]
    label: str

    def where(self, path: Sequence[str | int] = ()) -> str:
        """``label:line`` of a path, or of its nearest ancestor that stands in the file."""
        return f"{self.label}:{self.line(path)}"

    def line(self, path: Sequence[str | int] = ()) -> int:
        """The line of a path, or of its nearest ancestor that stands in the file."""
        known = tuple(path)
        while known and known not in self.lines:
            known = known[:-1]
        return self.lines[known]


def parse(text: str, *, label: str, first_line: int = 1, _loader: type[Any] | None = None) -> Document:
    """Read exactly one document, or refuse it with ``label:line`` and the fix.

    Args:
        text: At most 1 MB.
        label: The file's name in errors.
        first_line: Line of the file on which ``text`` begins, for a block inside a Markdown file.

    Raises:
        StrictYamlError: Whatever is wrong with the text; nothing else is raised. Ambiguous values do not
            hide each other: it carries each of them, up to the first place where reading cannot go on.
    """
    place = Place(label, first_line, text)
    refuse_unfit_text(text, place)
    problems = Problems()
    document = problems.attempt(_built, text, _loader or _parser_for(text), place, problems)
    problems.raise_any()
    assert document is not None
    return document


def _built(text: str, loader: Any, place: Place, problems: Problems) -> Document:
    builder = _Builder(place, problems)
    for event in _events(text, loader, place):
        builder.take(event)
    return builder.document()


def _parser_for(text: str) -> Any:
    """The C parser, except for text with tabs.

    libyaml takes a tab between a value and its comment; the Python parsers, and with them the library that
    writes our files, do not. Better refused on reading than in the middle of a write.
    """
    return yaml.SafeLoader if "\t" in text else getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _events(text: str, loader: type[Any], place: Place) -> Iterator[Any]:
    """The parser's events; whatever the parser raises on hostile text becomes a refusal."""
    line = 0
    try:
        events: Iterator[Any] = yaml.parse(text, Loader=loader)
        for event in events:
            line = event.end_mark.line
            yield event
    except yaml.MarkedYAMLError as error:
        if "maximum nesting depth" in str(error.problem):  # libyaml looks ahead of the events it has given
            _refuse_depth(place, line)
        mark = error.problem_mark or error.context_mark
        start = error.context_mark
        opened = (
            ""
            if start is None or start is mark
            else f" ({error.context}, line {place.first_line + start.line})"
        )
        place.refuse(
            f"Not valid YAML: {error.problem}{opened}.",
            line=mark.line if mark else line,
            fix="Check indentation (spaces only), brackets and quotes; when in doubt put text in quotes.",
        )
    except (yaml.YAMLError, RecursionError, ValueError, ArithmeticError, LookupError) as error:
        place.refuse(
            f"Not valid YAML: {shortened(str(error))}.",
            line=line,
            fix="Write it again in plain, block-style YAML.",
        )


def _refuse_depth(place: Place, line: int) -> NoReturn:
    place.refuse(
        f"Nested deeper than {_MAX_DEPTH} levels.",
        line=line,
        fix="Flatten it; nothing in a workspace is nested this deep.",
    )


class _Collection:
    """A mapping or list that is still open."""

    __slots__ = ("into", "key", "path")

    def __init__(self, into: dict[str, Value] | list[Value], path: NodePath) -> None:
        self.into = into
        self.path = path
        self.key: str | None = None  # of a mapping: the key whose value comes next


class _Builder:
    """Builds the one document out of events, refusing as early as an event allows.

    After a value that is refused reading goes on, so that the next one is found too; ``problems`` keeps it.
    """

    def __init__(self, place: Place, problems: Problems) -> None:
        self._place = place
        self._problems = problems
        self._open: list[_Collection] = []
        self._lines: dict[NodePath, int] = {}
        self._root: list[Value] = []

    def document(self) -> Document:
        if not self._root:
            self._refuse_empty(line=0)
        return Document(self._root[0], types.MappingProxyType(self._lines), self._place.label)

    def take(self, event: Any) -> None:
        line: int = event.start_mark.line
        if isinstance(event, yaml.ScalarEvent):
            self._take_scalar(event, line)
        elif isinstance(event, yaml.MappingStartEvent):
            self._begin({}, event, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._begin([], event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
        elif isinstance(event, yaml.AliasEvent):
            self._refuse_alias(str(event.anchor), line)
        elif isinstance(event, yaml.DocumentStartEvent) and self._root:
            self._place.refuse(
                "A second document begins here.",
                line=line,
                fix="Keep one document: remove the --- or ... line and what follows.",
            )

    def _begin(self, into: dict[str, Value] | list[Value], event: Any, line: int) -> None:
        self._refuse_decoration(event, line)
        if self._expects_key():
            self._refuse_key("A mapping or list", line)
        if len(self._open) == _MAX_DEPTH:
            _refuse_depth(self._place, line)
        self._open.append(_Collection(into, self._add(into, line)))

    def _take_scalar(self, event: Any, line: int) -> None:
        self._refuse_decoration(event, line)
        text: str = event.value
        plain: bool = event.implicit[0]
        is_key = self._expects_key()
        if is_key and text == "<<":
            self._place.refuse("Merge keys (<<) are not allowed.", line=line, fix="Write the keys out.")
        value: Value = text
        if is_key and plain:
            self._refuse_thousands(text, line)
        if plain:
            try:
                value = plain_value(text, line, self._place)
            except StrictYamlError as error:
                if len(self._problems) >= _MOST_PROBLEMS:
                    raise
                self._problems.add(error)
        elif event.style == '"' and (offset := first_unfit_character(text)) is not None:
            self._place.refuse(
                f"An escape stands for the invisible or dangerous character {code_point(text[offset])}.",
                line=line,
                fix="Delete the escape: what is not seen must not count.",
            )
        if not is_key:
            if plain and not text and not self._open:
                self._refuse_empty(line)
            self._add(value, line)
        elif not isinstance(value, str) or (plain and DATE_LIKE.fullmatch(text)):
            self._refuse_key(f"`{shortened(text)}`" if text else "An empty place", line)
        else:
            self._begin_entry(value, line)

    def _refuse_thousands(self, text: str, line: int) -> None:
        """``{capital: 60,000}`` is a capital of 60 and a key ``000``, which nobody means."""
        if not THOUSANDS.fullmatch(text):
            return
        before = next(reversed(self._open[-1].into), None)
        amount = self._open[-1].into[before] if before is not None else None  # type: ignore[index]
        if isinstance(amount, int) and not isinstance(amount, bool):
            self._place.refuse(
                f"The comma in `{amount},{text}` ends the value {amount}.",
                line=line,
                fix=f"Write numbers without separators: {amount}{text}.",
            )

    def _expects_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].into, dict) and self._open[-1].key is None

    def _begin_entry(self, key: str, line: int) -> None:
        mapping = self._open[-1]
        path = (*mapping.path, key)
        line_in_file = self._place.first_line + line
        if path in self._lines:
            self._place.refuse(
                f"The key `{shortened(key)}` stands twice, on lines {self._lines[path]} and {line_in_file}.",
                line=line,
                fix="Keep the one that holds and remove the other.",
            )
        self._lines[path] = line_in_file
        mapping.key = key

    def _add(self, value: Value, line: int) -> NodePath:
        """Put a value where the document stands now; returns its path."""
        if not self._open:
            self._root.append(value)
            self._lines[()] = self._place.first_line + line
            return ()
        parent = self._open[-1]
        if isinstance(parent.into, dict):
            key = parent.key
            assert key is not None
            parent.into[key] = value
            parent.key = None
            return (*parent.path, key)
        path = (*parent.path, len(parent.into))
        parent.into.append(value)
        self._lines[path] = self._place.first_line + line
        return path

    def _refuse_empty(self, line: int) -> NoReturn:
        self._place.refuse("The document is empty.", line=line, fix=_KEYS_FROM_INIT)

    def _refuse_decoration(self, event: Any, line: int) -> None:
        if event.anchor is not None:
            self._refuse_alias(str(event.anchor), line)
        if event.tag is not None:
            self._place.refuse(
                f"The tag {shortened(event.tag)!r} is not allowed.",
                line=line,
                fix="Remove the tag; put text in quotes.",
            )

    def _refuse_alias(self, name: str, line: int) -> NoReturn:
        self._place.refuse(
            f"Anchors and aliases (& or * and a name, here {shortened(name)!r}) are not allowed.",
            line=line,
            fix="Write the value out; put text that begins with & or * in quotes.",
        )

    def _refuse_key(self, what: str, line: int) -> NoReturn:
        self._place.refuse(f"{what} cannot be a key: keys are text.", line=line, fix="Put the key in quotes.")
