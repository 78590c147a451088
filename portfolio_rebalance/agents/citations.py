"""From a model's prose to what a person reads: citations become figures, and nothing else is a figure.

Contract: a text comes out only if all of it may be shown; with any fault it is empty, so that no uncited
figure gets out by accident. A fault is a sentence that the model can read and act upon. ``{F12}`` becomes the
fact's value, unit and label, all of them code's; the label is left out only where its very words stand right
before, because it is what shows a reader that a figure was cited for what it is not. ``{S3}`` and ``S3``
become what a person knows the strategy by. The text is one line of plain characters: nothing in it can move a
cursor, hide, be taken for our own markup, or be followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from portfolio_rebalance.agents.facts import Fact, FactBook
from portfolio_rebalance.agents.quantities import CITATION, Span, quantities_in, unread

__all__ = ["MOST_CHARACTERS", "MOST_CITATIONS", "Rendered", "evidence", "render", "with_names"]

MOST_CHARACTERS: Final = 1_500
"""The longest prose that is read at all."""

MOST_CITATIONS: Final = 30
"""The most citations in one text: each may bring a long label."""

_MOST_FAULTS: Final = 12
_MOST_QUOTED: Final = 40

_BRACES: Final = re.compile(r"\{[^{}]*\}|[{}]")
_MARKUP: Final = re.compile(r"[<>`\[\]*|\\^~#@]|(?<![^\W_])_|_(?![^\W_])|&#?\w+;")
_ADDRESS: Final = re.compile(
    r"\w+://\S*|\bwww\.\S+|\b(?:mailto|javascript|data|file):\S+"
    r"|\b[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|io|co|ai|app|dev|xyz|info|biz|me|ru|cn|de|uk|eu|us|top|site|online"
    r"|link|club|finance|exchange|trade|money|zip|mov)\b(?:/\S*)?",
    re.IGNORECASE,
)
_LETTERS: Final = "\u00c0-\u017e"  # Latin, with accents
_GREEK: Final = "\u0391-\u03c9"
_TYPOGRAPHY: Final = (
    "\u2018\u2019\u201c\u201d"  # quotation marks
    "\u2010\u2011\u2013\u2014\u2026\u2022\u00b7"  # hyphens, dashes, dots
    "\u2212\u00b1\u2248\u2264\u2265\u2192\u20ac\u00a3\u00a7"  # signs
)
_BLANKS: Final = " \\n\\r\\t\u00a0\u202f"
_UNPLAIN: Final = re.compile(
    # A single Greek letter is a symbol; two may be a word, and words are English here.
    rf"[^{_BLANKS}!-~{_LETTERS}{_GREEK}{_TYPOGRAPHY}]|[{_GREEK}](?=[{_GREEK}])"
)

# What may touch a citation of a figure. A sign, a digit, a letter or a second citation would make another
# figure of it.
_FREE_BEFORE: Final = re.compile(r"(?:^|[\s(\"'\N{LEFT DOUBLE QUOTATION MARK}\N{EM DASH}])$")
_FREE_AFTER: Final = re.compile(
    r"[.,;:!?)\"'\N{RIGHT DOUBLE QUOTATION MARK}\N{EM DASH}]*(?:\s|$)|\N{EM DASH}"
)
_TURNED: Final = re.compile(r"\b(?:minus|negative)\s+$", re.IGNORECASE)
_FOREIGN_UNIT: Final = re.compile(
    r"[\s-]*(?P<unit>%|per\s?cent\b|(?:percentage |basis )?points?\b|bps?\b|times\b|fold\b|x\b)",
    re.IGNORECASE,
)
_PERCENT: Final = r"(?:%|per\s?cent\b)"

_IDENTIFIER: Final = re.compile(r"[A-Za-z][A-Za-z_-]*\d[\w-]*")
_SHORT_NAME: Final = re.compile(r"[SD]\d+")
_WORDS: Final = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_CLAUSE: Final = re.compile(r"[.,;:!?()\N{EM DASH}]")
_FILLERS: Final = frozenset(
    {"is", "was", "at", "of", "to", "stands", "stood", "comes", "remains", "are", "were"}
)
_OPENERS: Final = frozenset(
    {"the", "its", "with", "and", "but", "while", "where", "since", "because", "though", "so"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """Prose as it may be shown, or what keeps it from being shown.

    Attributes:
        text: One line; empty if there are faults.
        cited: Facts whose figures stand in the text, each once, in order.
        faults: What the model must do, a sentence each.
    """

    text: str
    cited: tuple[Fact, ...]
    faults: tuple[str, ...]


def render(prose: str, *, book: FactBook) -> Rendered:
    """Check a model's prose and put the figures in.

    Args:
        prose: As the model wrote it. Blank prose has no faults and no text.
        book: The facts and names that may be cited.
    """
    faults = list(dict.fromkeys(_faults(prose, book)))
    if len(faults) > _MOST_FAULTS:
        faults = [*faults[:_MOST_FAULTS], "There are more faults like these."]
    if faults:
        return Rendered(text="", cited=(), faults=tuple(faults))
    cited = dict.fromkeys(
        fact for match in CITATION.finditer(prose) if (fact := _fact(match, book)) is not None
    )
    return Rendered(text=_text(prose, book), cited=tuple(cited), faults=())


def with_names(text: str, *, book: FactBook) -> str:
    """Code's own text, a fact's label for example, with the names that a person reads: ``STR-001 drift``."""
    return unread(book.names).sub(
        lambda match: book.names.get(match.group().strip("{}"), match.group()), text
    )


def evidence(rendered: Iterable[Rendered], *, book: FactBook) -> tuple[str, ...]:
    """Every fact that texts cite, once, as a person reads it: ``STR-001 drift: 2.00%``."""
    facts = dict.fromkeys(fact for one in rendered for fact in one.cited)
    return tuple(f"{with_names(fact.label, book=book)}: {fact.shown}" for fact in facts)


# What is wrong


def _faults(prose: str, book: FactBook) -> Iterator[str]:
    if len(prose) > MOST_CHARACTERS:
        yield f"Write at most {MOST_CHARACTERS} characters, not {len(prose)}."
        return  # nothing that long is searched
    yield from _unplain(prose)
    yield from _misquoted(prose, book)
    # What stands in braces has been judged.
    rest = _BRACES.sub(lambda match: match.group() if CITATION.fullmatch(match.group()) else " ", prose)
    for span in quantities_in(rest, known=_known(book)):
        yield _quantity_fault(span, book)


def _unplain(prose: str) -> Iterator[str]:
    odd = dict.fromkeys(f"U+{ord(match.group()):04X}" for match in _UNPLAIN.finditer(prose))
    if odd:
        yield f"Write plain letters and punctuation, without {', '.join([*odd][:5])}."
    for match in _ADDRESS.finditer(prose):
        yield f"Leave out the address {_quoted(match.group())}."
    marks = dict.fromkeys(match.group() for match in _MARKUP.finditer(prose))
    if marks:
        yield f"Write plain sentences without markup: leave out {' '.join([*marks][:8])} ."


def _misquoted(prose: str, book: FactBook) -> Iterator[str]:
    figures = 0
    for match in _BRACES.finditer(prose):
        if not CITATION.fullmatch(match.group()):
            yield f"Cite with one id in braces, such as {{F1}}, not {_quoted(match.group())}."
            continue
        figures += 1
        name = match.group()[1:-1]
        before, after = prose[: match.start()], prose[match.end() :]
        if name in book.names:
            if re.search(r"[\w}]$", before) or re.match(r"[\w{]", after):
                yield f"Put a blank before and behind {match.group()}."
        elif (fact := _fact(match, book)) is None:
            yield f"There is no {match.group()}: cite only ids that you were shown."
        else:
            yield from _touched(fact, before, after)
    if figures > MOST_CITATIONS:
        yield f"Cite at most {MOST_CITATIONS} times, not {figures}."


def _touched(fact: Fact, before: str, after: str) -> Iterator[str]:
    """What stands so close to a citation that it makes another figure of it."""
    if _TURNED.search(before):
        yield f"{{{fact.id}}} brings its own sign: say it without minus or negative."
    behind = after[_own_unit(fact, after) :]
    if not _FREE_BEFORE.search(before) or not _FREE_AFTER.match(behind):
        yield f"Put a blank before and behind {{{fact.id}}}."
    if unit := _FOREIGN_UNIT.match(behind):
        yield f"{{{fact.id}}} brings its own unit: leave out {_quoted(unit['unit'])} behind it."


def _quantity_fault(span: Span, book: FactBook) -> str:
    written = span.text
    bare = written.split("'")[0].split("\N{RIGHT SINGLE QUOTATION MARK}")[0]
    if book.get(bare) is not None:
        return f"Write {{{bare}}}, in braces, not {bare}."
    if _SHORT_NAME.fullmatch(bare):
        return f"There is no {bare}: call strategies and drafts by the names that you were shown."
    same = _same_figure(written, book)
    if same is not None:
        return f"Write {{{same.id}}} instead of {_quoted(written)}, if you mean: {same.label}."
    return f"Cite a fact instead of writing {_quoted(written)} ({span.why}), or leave it out."


def _same_figure(written: str, book: FactBook) -> Fact | None:
    """The one fact with just this figure; where several have it, none is meant more than the others."""
    figure = re.sub(rf"\s*{_PERCENT}", "%", written).replace(",", "").lstrip("+~$")
    found = [
        fact for fact in book if figure in (fact.value, f"{fact.value}%" if fact.unit == "%" else fact.shown)
    ]
    return found[0] if len(found) == 1 else None


def _quoted(text: str) -> str:
    """What the model wrote, safe to print."""
    shown = text if len(text) <= _MOST_QUOTED else f"{text[: _MOST_QUOTED - 3]}..."
    return f'"{shown}"' if shown.isprintable() and shown.isascii() else ascii(shown)


# What is shown


def _known(book: FactBook) -> frozenset[str]:
    """Names that may stand in prose: the models' own, and people's where they look like an id."""
    return frozenset(book.names) | {name for name in book.names.values() if _IDENTIFIER.fullmatch(name)}


def _fact(match: re.Match[str], book: FactBook) -> Fact | None:
    return book.get(match.group()[1:-1])


def _text(prose: str, book: FactBook) -> str:
    pieces: list[str] = []
    at = since = 0
    for match in unread(_known(book)).finditer(prose):
        if match.start() < at:
            continue
        pieces.append(prose[at : match.start()])
        at = match.end()
        fact = _fact(match, book) if match.group().startswith("{") else None
        if fact is None:
            name = match.group().strip("{}")
            pieces.append(_opened(book.names.get(name, name), "".join(pieces)))
        else:
            led_up_to = _stands_before(fact, prose[since : match.start()])
            label = "" if led_up_to else f" ({with_names(fact.label, book=book)})"
            pieces.append(f"{fact.shown}{label}")
            at += _own_unit(fact, prose[at:])
            since = at
    pieces.append(prose[at:])
    return " ".join("".join(pieces).split())


def _opened(name: str, before: str) -> str:
    """A name with a capital where it begins a sentence."""
    begins = not before.strip() or re.search(r"[.!?][\"')]*\s+$", before)
    return name[:1].upper() + name[1:] if begins else name


def _own_unit(fact: Fact, after: str) -> int:
    """How many characters behind a citation repeat its unit: ``{F12} percent``."""
    if not fact.unit:
        return 0
    spelled = re.escape(fact.unit).replace("%", _PERCENT)
    if fact.unit == "points":
        spelled = r"(?:percentage\s)?points?"
    elif fact.unit.endswith("s"):
        spelled += "?"
    elif fact.unit.startswith("% "):
        spelled = rf"(?:{spelled}|{re.escape(fact.unit[2:])}|{_PERCENT})"
    found = re.match(rf"[\s-]*{spelled}(?!\w)", after, re.IGNORECASE)
    return found.end() if found else 0


def _stands_before(fact: Fact, before: str) -> bool:
    """Whether the label's own words, in their order and no others, lead up to a citation."""
    clause = _CLAUSE.split(before)[-1] if not before.rstrip().endswith(":") else before.rstrip()[:-1]
    words = [
        word.casefold()
        for word in _WORDS.findall(re.sub(r"['\N{RIGHT SINGLE QUOTATION MARK}]s\b", "", clause))
    ]
    label = [word.casefold() for word in _WORDS.findall(fact.label)]
    while words:
        if words[-len(label) :] == label:
            return all(word in _OPENERS for word in words[: -len(label)])
        if words[-1] not in _FILLERS:
            return False
        words.pop()
    return False
