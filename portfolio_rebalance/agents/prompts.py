"""Prompts: one Markdown file a role, and the one way to read them.

Contract: a role's name goes in, its prompt comes out, the same bytes every time; providers cache a system
prompt by its bytes. So ``variables`` hold what one configuration fixes (the words of a budget); what differs
from run to run belongs in messages. A hole in a prompt (a tool that was renamed, a variable nobody filled, a
character nobody sees) would show only as worse advice, therefore each is an error.

A file is a head between two lines ``---`` and a body::

    ---
    role: risk_manager
    tools: verify_allocation_compliance, submit_review
    model: sonnet
    output: submit_review
    ---
    You have $turns turns. Look with `verify_allocation_compliance`, then call `submit_review`.

    {{include citations}}

In the body, backticks mark tools and nothing else, so that a misspelt tool is found; ``$name`` is a variable;
an include stands alone on its line and takes in ``shared/<name>.md``, which includes nothing itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final, Literal, TypeAlias, cast, get_args

from portfolio_rebalance.errors import PromptError

__all__ = ["ModelTier", "Prompt", "load_prompt"]

ModelTier: TypeAlias = Literal["opus", "sonnet", "haiku"]
"""How able a model the role needs; the configuration says which one that is."""

_KEYS: Final = ("role", "tools", "model", "output")
_MOST_BYTES: Final = 16_384
_FENCE: Final = "---"
_NAME: Final = re.compile(r"[a-z_]{1,64}")
_HEAD_LINE: Final = re.compile(r"([a-z_]+): (\S|\S.*\S)")
_INCLUDE: Final = re.compile(r"\{\{include ([a-z_]{1,64})\}\}")
# Plain ASCII: what hides, reorders text or looks like another letter cannot be written in it. A carriage
# return is refused as well, because a checkout that converts line ends would change the bytes.
_UNFIT: Final = re.compile(r"[^\n -~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a role is told, and what it is given.

    Attributes:
        role: The role's name.
        tools: Names of the tools it may be offered, in the order of the file. A run may offer fewer.
        model: How able a model it needs.
        output: The tool by which it hands in its answer; one of ``tools``.
        text: The system prompt.
    """

    role: str
    tools: tuple[str, ...]
    model: ModelTier
    output: str
    text: str


def load_prompt(role: str, *, variables: Mapping[str, str], tools: Collection[str]) -> Prompt:
    """Read a role's prompt from the package.

    Args:
        role: Its name; lower-case letters and underscores only, so it is never a path.
        variables: A value for each variable of the prompt, and no others. None may change between two runs
            of one configuration.
        tools: Names of all tools that exist, whether or not this run offers them: a prompt is the same in
            both.

    Raises:
        PromptError: There is no such prompt, its file or one it includes is unfit, it names a tool that does
            not exist or is not its own, or the variables are not the prompt's.
    """
    if _NAME.fullmatch(role) is None:
        raise PromptError(
            f"{role[:60]!a} is no name of a role.",
            where="role",
            fix="Name one in lower-case letters and underscores, such as risk_manager.",
        )
    place = f"prompts/{role}.md"
    head, body = _parts(_read(place), place)
    own = _own_tools(head, existing=frozenset(tools), place=place)
    if head["role"] != role:
        raise PromptError(
            f"It is the prompt of {head['role']}.", where=place, fix="Correct role in its head."
        )
    if head["model"] not in get_args(ModelTier):
        raise PromptError(
            f"{head['model']} is no tier of models.", where=place, fix="Name opus, sonnet or haiku."
        )
    if head["output"] not in own:
        raise PromptError(
            f"Its output {head['output']} is not among its tools.",
            where=place,
            fix="Name the tool by which the role answers.",
        )
    text = _filled(_with_shared(body, place), variables, place)
    _require_own_tools(text, own=own, existing=frozenset(tools), place=place)
    return Prompt(
        role=role, tools=own, model=cast(ModelTier, head["model"]), output=head["output"], text=text
    )


def _read(place: str) -> str:
    """The text of a file of the package, ``place`` below it."""
    resource = files("portfolio_rebalance").joinpath(*place.split("/"))
    try:
        if not resource.is_file() or (isinstance(resource, Path) and resource.is_symlink()):
            raise PromptError(
                "There is no such prompt file.", where=place, fix="Name one that the package ships."
            )
        with resource.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise PromptError(
            f"The file cannot be read: {error.strerror}.", where=place, fix="Install the package again."
        ) from None
    if len(content) > _MOST_BYTES:
        raise PromptError(
            f"The file is longer than {_MOST_BYTES} bytes.",
            where=place,
            fix="A prompt is a page; shorten it.",
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise PromptError(
            "The file is not UTF-8.", where=f"{place}:{line}", fix="Save it as UTF-8."
        ) from None
    _require_fit(text, place)
    return text


def _require_fit(text: str, place: str) -> None:
    unfit = _UNFIT.search(text)
    if unfit is not None:
        line = 1 + text.count("\n", 0, unfit.start())
        raise PromptError(
            f"Character U+{ord(unfit[0]):04X} is not plain text.",
            where=f"{place}:{line}",
            fix="Write plain ASCII and end lines with a line feed.",
        )


def _parts(text: str, place: str) -> tuple[dict[str, str], str]:
    """Head and body of a prompt file."""
    lines = text.split("\n")
    if lines[0] != _FENCE or _FENCE not in lines[1:]:
        raise PromptError(
            f"It has no head between two lines {_FENCE}.", where=f"{place}:1", fix="Begin with its head."
        )
    end = lines.index(_FENCE, 1)
    head: dict[str, str] = {}
    for number, line in enumerate(lines[1:end], start=2):
        match = _HEAD_LINE.fullmatch(line)
        key = "" if match is None else match[1]
        if match is None:
            what = "This is no line of the form key: value."
        elif key not in _KEYS:
            what = f"The key {key} is unknown."
        elif key in head:
            what = f"The key {key} stands twice."
        else:
            head[key] = match[2]
            continue
        raise PromptError(what, where=f"{place}:{number}", fix=f"The keys are {', '.join(_KEYS)}, once each.")
    missing = [key for key in _KEYS if key not in head]
    if missing:
        raise PromptError(f"Its head lacks {', '.join(missing)}.", where=f"{place}:{1 + end}", fix="Add it.")
    body = "\n".join(lines[end + 1 :]).strip()
    if not body:
        raise PromptError("It says nothing below its head.", where=place, fix="Write the prompt.")
    return head, body


def _own_tools(head: Mapping[str, str], *, existing: frozenset[str], place: str) -> tuple[str, ...]:
    own = tuple(name.strip() for name in head["tools"].split(","))
    for name in own:
        if name not in existing:
            raise PromptError(f"Its tool {name!r} does not exist.", where=place, fix="Correct its tools.")
    if len(set(own)) != len(own):
        raise PromptError("A tool stands twice among its tools.", where=place, fix="Name each once.")
    return own


def _with_shared(body: str, place: str) -> str:
    """The body with its includes taken in; what is taken in may hold none itself."""
    lines = []
    for line in body.split("\n"):
        match = _INCLUDE.fullmatch(line)
        lines.append(line if match is None else _shared(match[1]))
        if match is None:
            _require_no_include(line, place, fix="Write {{include name}} alone on its line.")
    return "\n".join(lines)


def _shared(name: str) -> str:
    place = f"prompts/shared/{name}.md"
    text = _read(place).strip()
    _require_no_include(text, place, fix="Shared text includes nothing: include both in the prompt.")
    return text


def _require_no_include(text: str, place: str, *, fix: str) -> None:
    if "{{" in text or "}}" in text:
        raise PromptError("Two braces stand where nothing can be included.", where=place, fix=fix)


def _filled(text: str, variables: Mapping[str, str], place: str) -> str:
    template = Template(text)
    if not template.is_valid():
        raise PromptError(
            "A dollar sign stands before no variable.", where=place, fix="Write $$ for a dollar sign."
        )
    wanted = set(template.get_identifiers())
    missing, unused = sorted(wanted - variables.keys()), sorted(variables.keys() - wanted)
    if missing:
        raise PromptError(f"No value is given for {', '.join(missing)}.", where=place, fix="Pass one.")
    if unused:
        raise PromptError(
            f"It does not use {', '.join(unused)}.", where=place, fix="Pass its variables alone."
        )
    for name in sorted(wanted):
        if not variables[name].strip() or _UNFIT.search(variables[name]):
            raise PromptError(
                f"The value of {name} is blank or not plain text: {variables[name][:60]!a}.",
                where=place,
                fix="Pass some words in ASCII.",
            )
    return template.substitute(variables)


def _require_own_tools(text: str, *, own: tuple[str, ...], existing: frozenset[str], place: str) -> None:
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        raise PromptError(
            "A backtick has no partner.", where=place, fix="Backticks stand around a tool's name."
        )
    for name in pieces[1::2]:
        if name not in own:
            why = "is not among its tools" if name in existing else "does not exist"
            raise PromptError(
                f"It speaks of the tool {name[:60]!r}, which {why}.",
                where=place,
                fix="Backticks are for tools that its head names.",
            )
