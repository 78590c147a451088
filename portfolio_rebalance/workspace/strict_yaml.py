"""YAML that everybody reads the same way.

People and other tools edit the workspace's YAML, and readers differ on what it says: ``010`` is 8 or 10,
``no`` is false or text, the second of two equal keys wins in silence, ``1:30`` is ninety. A limit must not
depend on which reader looks at it, so whatever two readers could take for different things is refused here,
with its line and the spelling that nobody misreads.

The text is consumed as a stream of parser events: aliases cannot grow it, nesting is refused as it opens (the
C composer overflows its stack on 100 000 brackets), and numbers keep every digit that was written.
"""

from __future__ import annotations

import collections.abc
import re
import types
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final, NoReturn, TypeAlias, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, RootModel, ValidationError

from portfolio_rebalance.errors import BadDataError, MissingDataError, StrictYamlError

__all__ = ["Document", "NodePath", "Value", "parse", "validate"]

Value: TypeAlias = "dict[str, Value] | list[Value] | str | int | Decimal | bool | None"
NodePath: TypeAlias = tuple[str | int, ...]
"""Keys and list positions from the top of a document down to a value."""

M = TypeVar("M", bound=BaseModel)

_MAX_BYTES: Final = 1_000_000
_MAX_DEPTH: Final = 16
_MAX_INT_DIGITS: Final = 18
_MAX_DECIMAL_CHARACTERS: Final = 40


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
        StrictYamlError: Whatever is wrong with the text; nothing else is raised.
    """
    place = _Place(label, first_line, text)
    _refuse_unfit_text(text, place)
    builder = _Builder(place)
    for event in _events(text, _loader or _parser_for(text), place):
        builder.take(event)
    return builder.document()


@dataclass(frozen=True, slots=True)
class _Place:
    """Turns the parser's line numbers into the file's."""

    label: str
    first_line: int
    text: str

    def refuse(self, what: str, *, line: int, fix: str) -> NoReturn:
        """Refuse at a line counted from 0; where the text ends too early, at its last line."""
        last_line = _lines_before(self.text, len(self.text.rstrip()))
        where = f"{self.label}:{self.first_line + min(line, last_line)}"
        raise StrictYamlError(what, where=where, fix=fix)


# --- the text itself -------------------------------------------------------------------------------------

_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\u2028\u2029]|\r(?!\n)")
_LINE_BREAK: Final = re.compile("\r\n|[\r\n]")
_DIRECTIVE: Final = re.compile("^%", re.MULTILINE)
_INVISIBLE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
# Letters and marks that Unicode itself calls ignorable: they show nothing. The two variation selectors that
# ordinary emoji carry (FE0E, FE0F) are left out.
_INVISIBLE: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2028\u2029\u3164\uffa0"
    + "".join(map(chr, range(0xFE00, 0xFE0E)))
    + "".join(map(chr, range(0xE0100, 0xE01F0)))
)


def _refuse_unfit_text(text: str, place: _Place) -> None:
    shorten = "Remove what does not belong there; 1 MB is far more than a workspace needs."
    if len(text) > _MAX_BYTES:
        place.refuse(f"The text is longer than {_MAX_BYTES} bytes.", line=0, fix=shorten)
    offset = _first_unfit_character(text)
    if offset is not None:
        place.refuse(
            f"Invisible or dangerous character {_code_point(text[offset])}.",
            line=_lines_before(text, offset),
            fix="Delete it: what is not seen must not count.",
        )
    if len(text.encode()) > _MAX_BYTES:
        place.refuse(f"The text is longer than {_MAX_BYTES} bytes.", line=0, fix=shorten)
    directive = _DIRECTIVE.search(text)
    if directive:
        place.refuse(
            "A line begins with %, which is a YAML directive.",
            line=_lines_before(text, directive.start()),
            fix="Remove the line; inside text, indent it.",
        )


def _first_unfit_character(text: str) -> int | None:
    control = _CONTROL.search(text)
    offsets = [control.start()] if control else []
    if not text.isascii():
        unfit = [
            character
            for character in set(text)
            if not character.isascii()
            and (character in _INVISIBLE or unicodedata.category(character) in _INVISIBLE_CATEGORIES)
        ]
        offsets.extend(map(text.index, unfit))
    return min(offsets, default=None)


def _code_point(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X} ({name})" if name else f"U+{ord(character):04X}"


def _lines_before(text: str, offset: int) -> int:
    return len(_LINE_BREAK.findall(text, 0, offset))


# --- events to values ------------------------------------------------------------------------------------


def _parser_for(text: str) -> Any:
    """The C parser, except for text with tabs.

    libyaml takes a tab between a value and its comment; the Python parsers, and with them the library that
    writes our files, do not. Better refused on reading than in the middle of a write.
    """
    return yaml.SafeLoader if "\t" in text else getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _events(text: str, loader: type[Any], place: _Place) -> Iterator[Any]:
    """The parser's events; whatever the parser raises on hostile text becomes a refusal."""
    line = 0
    try:
        events: Iterator[Any] = yaml.parse(text, Loader=loader)
        for event in events:
            line = event.end_mark.line
            yield event
    except yaml.MarkedYAMLError as error:
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
            f"Not valid YAML: {_shortened(str(error))}.",
            line=line,
            fix="Write it again in plain, block-style YAML.",
        )


class _Collection:
    """A mapping or list that is still open."""

    __slots__ = ("into", "key", "path")

    def __init__(self, into: dict[str, Value] | list[Value], path: NodePath) -> None:
        self.into = into
        self.path = path
        self.key: str | None = None  # of a mapping: the key whose value comes next


class _Builder:
    """Builds the one document out of events, refusing as early as an event allows."""

    def __init__(self, place: _Place) -> None:
        self._place = place
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
            self._place.refuse(
                f"Nested deeper than {_MAX_DEPTH} levels.",
                line=line,
                fix="Flatten it; nothing in a workspace is nested this deep.",
            )
        self._open.append(_Collection(into, self._add(into, line)))

    def _take_scalar(self, event: Any, line: int) -> None:
        self._refuse_decoration(event, line)
        text: str = event.value
        plain: bool = event.implicit[0]
        is_key = self._expects_key()
        if is_key and text == "<<":
            self._place.refuse("Merge keys (<<) are not allowed.", line=line, fix="Write the keys out.")
        value: Value = text
        if plain:
            value = _plain_value(text, line, self._place)
        elif event.style == '"' and (offset := _first_unfit_character(text)) is not None:
            self._place.refuse(
                f"An escape stands for the invisible or dangerous character {_code_point(text[offset])}.",
                line=line,
                fix="Delete the escape: what is not seen must not count.",
            )
        if not is_key:
            if plain and not text and not self._open:
                self._refuse_empty(line)
            self._add(value, line)
        elif not isinstance(value, str) or (plain and _DATE_LIKE.fullmatch(text)):
            self._refuse_key(f"`{_shortened(text)}`" if text else "An empty place", line)
        else:
            self._begin_entry(value, line)

    def _expects_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].into, dict) and self._open[-1].key is None

    def _begin_entry(self, key: str, line: int) -> None:
        mapping = self._open[-1]
        path = (*mapping.path, key)
        line_in_file = self._place.first_line + line
        if path in self._lines:
            self._place.refuse(
                f"The key `{_shortened(key)}` stands twice, on lines {self._lines[path]} and {line_in_file}.",
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
        self._place.refuse("The document is empty.", line=line, fix="Write its keys, or remove the file.")

    def _refuse_decoration(self, event: Any, line: int) -> None:
        if event.anchor is not None:
            self._refuse_alias(str(event.anchor), line)
        if event.tag is not None:
            self._place.refuse(
                f"The tag {_shortened(event.tag)!r} is not allowed.",
                line=line,
                fix="Remove the tag; put text in quotes.",
            )

    def _refuse_alias(self, name: str, line: int) -> NoReturn:
        self._place.refuse(
            f"Anchors and aliases (& or * and a name, here {_shortened(name)!r}) are not allowed.",
            line=line,
            fix="Write the value out; put text that begins with & or * in quotes.",
        )

    def _refuse_key(self, what: str, line: int) -> NoReturn:
        self._place.refuse(f"{what} cannot be a key: keys are text.", line=line, fix="Put the key in quotes.")


# --- plain scalars ---------------------------------------------------------------------------------------

_WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("yes", "on", "y", "true"), "true"),
    **dict.fromkeys(("no", "off", "n", "false"), "false"),
    **dict.fromkeys(("null", "nan", ".nan", "inf", ".inf", "infinity", ".infinity"), "null"),
}
_INT: Final = re.compile("-?(?:0|[1-9][0-9]*)")
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
# Wider than any one reader: YAML 1.0 took commas, 1.1 underscores, colons and several points, 1.2 takes 1e5.
_NUMBER_LIKE: Final = re.compile(
    r"""[-+]?(?:
        0[xXoObB][0-9a-fA-F_]+
        | [0-9_][0-9_,]*(?::[0-9_]+)*(?:\.[0-9_.]*)?(?:[eE][-+]?[0-9_]+)?
        | \.[0-9_.]*(?:[eE][-+]?[0-9_]+)?
    )""",
    re.VERBOSE,
)
_DATE_LIKE: Final = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:(?:[Tt]|[ \t]+)[0-9]{1,2}:[-+0-9:.\sZz]*)?")
_DATE_OR_INSTANT: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?Z)?"
)


def _plain_value(text: str, line: int, place: _Place) -> Value:
    """What an unquoted scalar is: the few spellings that all readers agree on, else text, else a refusal."""
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if text[0] in "+-.0123456789":
        if _INT.fullmatch(text):
            if len(text.lstrip("-")) <= _MAX_INT_DIGITS:
                return int(text)
            _refuse_plain(text, f"has more than {_MAX_INT_DIGITS} digits", "a shorter number", line, place)
        if _DECIMAL.fullmatch(text):
            if len(text) <= _MAX_DECIMAL_CHARACTERS:
                return Decimal(text)
            _refuse_plain(
                text, f"has more than {_MAX_DECIMAL_CHARACTERS} characters", "a shorter number", line, place
            )
        if _NUMBER_LIKE.fullmatch(text):
            _refuse_plain(text, "is not the same to all YAML readers", _plainly(text), line, place)
        if _DATE_LIKE.fullmatch(text) and not _is_date_or_instant(text):
            _refuse_plain(
                text,
                "is not a date or UTC instant that exists",
                "it in the form 2026-11-23 or 2026-11-23T02:00:00Z",
                line,
                place,
            )
    word = text.lower().lstrip("+-")
    if word in _WORDS and (len(word) == len(text) or _WORDS[word] == "null"):
        _refuse_plain(text, "is text to some YAML readers and not to others", _WORDS[word], line, place)
    if text in ("=", "<<"):
        _refuse_plain(text, "has a meaning of its own in YAML", "", line, place)
    return text


def _refuse_plain(text: str, what: str, instead: str, line: int, place: _Place) -> NoReturn:
    shown = _shortened(text)
    quoted = f'put it in quotes if it is text: "{shown}"'
    place.refuse(
        f"`{shown}` {what}.",
        line=line,
        fix=f"Write {instead}, or {quoted}." if instead else f"{quoted[0].upper()}{quoted[1:]}.",
    )


def _plainly(text: str) -> str:
    """The plain spelling of a number, where there is one that is no guess; else a general word."""
    general = "a plain decimal number"
    if len(text) > _MAX_DECIMAL_CHARACTERS or "," in text or ":" in text:
        return general
    bare = text.replace("_", "")
    try:
        if bare.lstrip("+-")[:2].lower() in ("0x", "0o", "0b"):
            return str(int(bare, 0))
        number = Decimal(bare)
    except (ValueError, InvalidOperation):
        return general
    if abs(number.adjusted()) > _MAX_INT_DIGITS:
        return general
    plain = format(number, "f")
    return plain if number == number.to_integral_value() or "." in plain else general


def _is_date_or_instant(text: str) -> bool:
    match = _DATE_OR_INSTANT.fullmatch(text)
    if not match:
        return False
    try:
        date.fromisoformat(match[1])
    except ValueError:
        return False
    return True


def _shortened(text: str) -> str:
    """What a message shows of a text: one line of it."""
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return shown if shown.isprintable() else ascii(shown)[1:-1]


# --- values to models ------------------------------------------------------------------------------------


def validate(
    document: Document, model: type[M], *, at: NodePath = (), error: type[BadDataError] = BadDataError
) -> M:
    """The value at ``at`` as a model; otherwise the first thing in the file that is wrong with it.

    Lists are handed over as tuples, since frozen models hold tuples. A key that the file spells differently
    from the field is the model's affair (``Field(alias="1h")``); errors then use the file's spelling.

    Args:
        document: What :func:`parse` returned.
        model: A strict model that forbids unknown keys.
        at: Path of the value inside the document.
        error: Class of the refusal.

    Raises:
        MissingDataError: Nothing stands at ``at``.
        BadDataError: (or ``error``) The value does not fit; says how many other places do not either.
    """
    value = _value_at(document, at)
    try:
        return model.model_validate(_with_tuples(value))
    except ValidationError as failure:
        problems = [_problem(detail, value, model, at) for detail in failure.errors(include_url=False)]
    raise _first_refusal(problems, document, error)


@dataclass(frozen=True, slots=True)
class _Problem:
    """One complaint about a value.

    Attributes:
        path: Place in the document; a missing key's path ends in that key.
        node: What stands there.
        wanted: What should stand there, where that says it all.
        what: The whole sentence otherwise.
        fix: What to do, to go with ``what``.
    """

    path: NodePath
    node: Value = None
    wanted: str = ""
    what: str = ""
    fix: str = ""


_WANTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("string_type", "string_sub_type", "string_unicode"), "text"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "decimal_type", "decimal_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing"), "a date such as 2026-11-23"),
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "timezone_aware"),
        "an instant in UTC such as 2026-11-23T02:00:00Z",
    ),
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type", "iterable_type"), "a list"),
    **dict.fromkeys(
        ("dict_type", "mapping_type", "model_type", "model_attributes_type"), "a mapping of keys"
    ),
    "none_required": "empty",
    "finite_number": "a finite number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "multiple_of": "a multiple of {multiple_of}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "string_pattern_mismatch": "text of the form {pattern}",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "too_short": "at least {min_length} items",
    "too_long": "at most {max_length} items",
    "decimal_max_digits": "a number of at most {max_digits} digits",
    "decimal_max_places": "a number of at most {decimal_places} decimals",
    "decimal_whole_digits": "a number of at most {whole_digits} digits before the point",
}


def _problem(detail: Any, value: Value, model: type[BaseModel], at: NodePath) -> _Problem:
    """One pydantic complaint in plain words, at its place in the file."""
    kind: str = detail["type"]
    context: Mapping[str, Any] = detail.get("ctx", {})
    below, node = _place_in_file(detail["loc"], value)
    path = (*at, *below)
    if kind == "missing":
        missing = (*path, detail["loc"][-1])
        parent = f" under `{_dotted(path)}`" if path else ""
        return _Problem(
            missing, what=f"`{_dotted(missing)}` is missing.", fix=f"Add `{missing[-1]}`{parent}."
        )
    if kind == "extra_forbidden":
        name = str(detail["loc"][-1])
        level = below[:-1] if below and below[-1] == name else below
        fix = _nearest(name, tuple(dict.fromkeys(_known_keys(model, level))))
        return _Problem(path, what=f"`{_dotted((*at, *level, name))}` is not a known key.", fix=fix)
    if kind in _WANTED:
        return _Problem(path, node, wanted=_WANTED[kind].format(**context))
    if kind == "is_instance_of" and context.get("class") == "Decimal":
        return _Problem(path, node, wanted="a decimal number such as 10.0")
    message = str(context["error"]) if "error" in context else str(detail["msg"]).removeprefix("Input ")
    return _Problem(path, what=f"`{_dotted(path)}`: {message.rstrip('.')}.", fix="Correct the value.")


def _first_refusal(
    problems: Sequence[_Problem], document: Document, error: type[BadDataError]
) -> BadDataError:
    """One error out of many: the one that stands first in the file.

    Complaints about one place are the branches of a union, and count once.
    """
    first = min(problems, key=lambda problem: document.line(problem.path))
    what, fix = first.what, first.fix
    if first.wanted:
        here = [problem.wanted for problem in problems if problem.path == first.path and problem.wanted]
        wanted = " or ".join(dict.fromkeys(here))
        what = f"`{_dotted(first.path)}` is {_shown(first.node)}, but should be {wanted}."
        quoted_number = isinstance(first.node, str) and "number" in wanted and _is_number(first.node)
        fix = "Remove the quotes." if quoted_number else f"Write {wanted} there."
    others = len({problem.path for problem in problems}) - 1
    if others:
        what += f" ({others} more {'problem' if others == 1 else 'problems'} after this one.)"
    return error(what, where=document.where(first.path), fix=fix)


def _value_at(document: Document, at: NodePath) -> Value:
    node = document.value
    for depth, step in enumerate(at):
        reached, node = _place_in_file((step,), node)
        if not reached:
            raise MissingDataError(
                f"`{_dotted(at)}` is missing.", where=document.where(at[:depth]), fix=f"Add `{step}` there."
            )
    return node


def _place_in_file(steps: NodePath, node: Value) -> tuple[NodePath, Value]:
    """The path that ``steps`` take through a value, and where they end.

    pydantic's locations also hold names of union branches and ``[key]``, which are no places in the file:
    they are left out.
    """
    path: list[str | int] = []
    for step in steps:
        if isinstance(node, dict) and isinstance(step, str) and step in node:
            node = node[step]
            path.append(step)
        if isinstance(node, list) and isinstance(step, int) and 0 <= step < len(node):
            node = node[step]
            path.append(step)
    return tuple(path), node


def _with_tuples(value: Value) -> object:
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(map(_with_tuples, value))
    return value


def _known_keys(annotation: object, path: NodePath) -> Iterator[str]:
    """The keys that models reachable from ``annotation`` along ``path`` accept, in their own order."""
    annotation = getattr(annotation, "__value__", annotation)  # a named type alias
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _known_keys(arguments[0], path)
    elif origin in (Union, types.UnionType):
        for branch in arguments:
            yield from _known_keys(branch, path)
    elif isinstance(annotation, type) and issubclass(annotation, RootModel):
        yield from _known_keys(annotation.model_fields["root"].annotation, path)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            key = field.validation_alias if isinstance(field.validation_alias, str) else name
            if not path:
                yield key
            elif key == path[0]:
                yield from _known_keys(field.annotation, path[1:])
    elif path and isinstance(origin, type) and issubclass(origin, collections.abc.Mapping):
        yield from _known_keys(arguments[1], path[1:])
    elif path and isinstance(origin, type) and issubclass(origin, collections.abc.Iterable):
        position = path[0] if isinstance(path[0], int) and Ellipsis not in arguments else 0
        yield from _known_keys(arguments[min(position, len(arguments) - 1)], path[1:])


def _nearest(key: str, known: Sequence[str]) -> str:
    import difflib

    plain = {name.lower().replace("-", "_"): name for name in known}
    near = difflib.get_close_matches(key.lower().replace("-", "_"), plain, n=3)
    if near:
        return f"Did you mean {' or '.join(f'`{plain[name]}`' for name in near)}? Else remove it."
    return f"Remove it; known keys here: {', '.join(known)}." if known else "Remove it."


def _dotted(path: NodePath) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return _shortened(text.removeprefix(".")) or "the whole document"


def _shown(node: Value) -> str:
    if node is None:
        return "empty"
    if isinstance(node, bool):
        return str(node).lower()
    if isinstance(node, dict | list):
        return "a mapping" if isinstance(node, dict) else "a list"
    return _shortened(repr(node) if isinstance(node, str) else str(node))


def _is_number(text: str) -> bool:
    return bool(_INT.fullmatch(text) or _DECIMAL.fullmatch(text))
