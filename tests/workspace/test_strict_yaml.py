"""One test per trap of YAML, then properties that hold for any text.

The pins at the end state what PyYAML and pydantic do by themselves; when a new version changes one, the
reason for a rule here has changed with it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import warnings
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    ValidationError,
    model_validator,
)
from ruamel.yaml import YAML

from portfolio_rebalance.errors import BadDataError, ConfigError, MissingDataError, StrictYamlError
from portfolio_rebalance.workspace.problems import each_problem
from portfolio_rebalance.workspace.schema import validate
from portfolio_rebalance.workspace.strict_yaml import Document, Value, parse

LOADERS = [pytest.param(yaml.CSafeLoader, id="C"), pytest.param(yaml.SafeLoader, id="Python")]
BOTH_LOADERS = pytest.mark.parametrize("loader", LOADERS)


def value_of(text: str, loader: Any = None) -> Value:
    return parse(text, label="f.yaml", _loader=loader).value


def refusal(text: str, loader: Any = None, *, first_line: int = 1) -> StrictYamlError:
    with pytest.raises(StrictYamlError) as caught:
        parse(text, label="f.yaml", first_line=first_line, _loader=loader)
    assert caught.value.what
    assert caught.value.fix
    return caught.value


# --- what is read ----------------------------------------------------------------------------------------


@BOTH_LOADERS
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("false", False),
        ("0", 0),
        ("-0", 0),
        ("60000", 60000),
        ("-12", -12),
        ("9" * 18, 999_999_999_999_999_999),
        ("0.5", Decimal("0.5")),
        ("-0.0", Decimal("-0.0")),
        ("10.30", Decimal("10.30")),
        ("0.1000000000000000055511151231257827", Decimal("0.1000000000000000055511151231257827")),
        ("1." + "3" * 38, Decimal("1." + "3" * 38)),
        ("1h", "1h"),
        ("4h", "4h"),
        ("1d", "1d"),
        ("STR-001", "STR-001"),
        ("0 2 * * *", "0 2 * * *"),
        ("2026-11-23", "2026-11-23"),
        ("2026-11-23T02:00Z", "2026-11-23T02:00Z"),
        ("2026-11-23T02:00:00Z", "2026-11-23T02:00:00Z"),
        ("2026-11-23T02:00:00.123456Z", "2026-11-23T02:00:00.123456Z"),
        ("2026-11-23 was a Monday", "2026-11-23 was a Monday"),
        ("2026-11", "2026-11"),
        ("v1.2.3", "v1.2.3"),
        ("-x", "-x"),
        ("yes please", "yes please"),
        ("'010'", "010"),
        ('"no"', "no"),
        ('"1e5"', "1e5"),
        ("''", ""),
        ('"a\\tb\\nc"', "a\tb\nc"),
        ('"\\x41\\u00e9"', "Aé"),
        ("|\n    two\n    lines\n", "two\nlines\n"),
        ("Zoë ⚠️ 東京", "Zoë ⚠️ 東京"),
    ],
)
def test_values_that_all_readers_agree_on(loader: Any, text: str, value: Value) -> None:
    read = value_of(f"key: {text}", loader)
    assert read == {"key": value}
    assert isinstance(read, dict)
    assert type(read["key"]) is type(value)
    assert repr(read["key"]) == repr(value)  # 10.30 keeps its zero, -0.0 its sign


@BOTH_LOADERS
def test_collections_nest_and_crlf_is_a_line_break(loader: Any) -> None:
    text = "a:\r\n  - {b: 1, c: [2, 'x']}\r\n  -\r\nd: {}\r\ne: []\r\n"
    assert value_of(text, loader) == {"a": [{"b": 1, "c": [2, "x"]}, None], "d": {}, "e": []}


@BOTH_LOADERS
def test_one_document_may_be_marked(loader: Any) -> None:
    assert value_of("# first\n---\na: 1\n...\n# last\n", loader) == {"a": 1}


# --- where it stands -------------------------------------------------------------------------------------

REGISTRY = """\
# comment
strategies:
  STR-001:
    assets:
      - BTC
      - ETH
    name:
      Trend
  "STR-002": {name: Carry,
    assets: []}
"""


@BOTH_LOADERS
def test_every_value_knows_its_line(loader: Any) -> None:
    document = parse(REGISTRY, label=".crypto/registry.yaml", first_line=11, _loader=loader)
    first, second = ("strategies", "STR-001"), ("strategies", "STR-002")
    assert dict(document.lines) == {
        (): 12,
        ("strategies",): 12,
        first: 13,
        (*first, "assets"): 14,
        (*first, "assets", 0): 15,
        (*first, "assets", 1): 16,
        (*first, "name"): 17,
        second: 19,
        (*second, "name"): 19,
        (*second, "assets"): 20,
    }
    assert document.where((*first, "assets", 1)) == ".crypto/registry.yaml:16"
    assert document.where([*first, "assets", 7, "x"]) == ".crypto/registry.yaml:14"
    assert document.where(("nothing",)) == document.where() == ".crypto/registry.yaml:12"


def test_the_lines_cannot_be_changed() -> None:
    lines = parse("a: 1", label="f.yaml").lines
    with pytest.raises(TypeError):
        lines[()] = 3  # type: ignore[index]


# --- what is refused: one test per trap ------------------------------------------------------------------


@BOTH_LOADERS
@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3\n", "'a': 1\nb: 2\n\"a\": 1\n"])
def test_duplicate_key_is_refused_with_both_lines(loader: Any, text: str) -> None:
    error = refusal(text, loader, first_line=41)
    assert error.where == "f.yaml:43"
    assert error.what == "The key `a` stands twice, on lines 41 and 43."


@BOTH_LOADERS
def test_duplicate_key_is_refused_at_any_depth_and_in_flow_style(loader: Any) -> None:
    assert refusal("a:\n  b:\n    c: 1\n    d: 1\n    c: 2\n", loader).where == "f.yaml:5"
    assert refusal("a: {b: 1,\n b: 2}\n", loader).where == "f.yaml:2"
    assert value_of("a: {x: 1}\nb: {x: 1}\n", loader) == {"a": {"x": 1}, "b": {"x": 1}}


def words(text: str) -> list[str]:
    return text.split()


AMBIGUOUS = {
    "a boolean to YAML 1.1": (
        words("yes Yes YES no No NO on On ON off Off OFF y Y n N True TRUE False FALSE tRUE"),
        None,
    ),
    "null to some": (words("Null NULL nULL"), "Write null,"),
    "not a number": (words(".nan .NaN .NAN nan NaN NAN"), "Write null,"),
    "infinite": (words(".inf .Inf .INF -.inf +.inf inf Inf -inf +inf Infinity -Infinity"), "Write null,"),
    "octal, or ten": (["010"], "Write 10,"),
    "octal, or not a number": (words("007 08 -010 00 0o10 0O17"), None),
    "hexadecimal": (["0x1F"], "Write 31,"),
    "hexadecimal too": (words("0X1f -0x1 0xdead_beef"), None),
    "binary": (["0b101"], "Write 5,"),
    "sexagesimal": (words("1:30 190:20:30 -1:30 1:30.5 02:00"), None),
    "with underscores": (["1_000"], "Write 1000."),
    "with underscores too": (words("1_000.5 1__0 -_ +_1"), None),
    "with underscores, as money": (["20_400"], "Write 20400."),
    "with commas": (["1,5"], "Write a plain decimal number."),
    "with commas, by thousands": (["1,000"], "Write 1000."),
    "with commas and cents": (["60,000.00"], "Write 60000.00."),
    "with an exponent": (["1e-3"], "Write 0.001,"),
    "with an exponent too": (words("1.0e+999 1e5 1E5 1.5e3 -1e5 1.e3 .5e1 1e999999999"), None),
    "without leading zero": ([".5"], "Write 0.5,"),
    "without decimals": (["5."], "Write 5,"),
    "bare points": (words(". .. -.5 +.5"), None),
    "several points": (words("1.2.3 1.000.000"), None),
    "with a plus": (["+1"], "Write 1,"),
    "with a plus too": (words("+1.5 +0"), None),
    "the default key": (["="], None),
    "a merge": (["<<"], None),
    "too long to be exact everywhere": (
        ["9" * 19, "1." + "3" * 39, "1" * 41 + ".0"],
        "Write a shorter number",
    ),
    "a date that does not exist": (words("2026-13-45 2026-02-30 0000-01-01"), None),
    "a date in short": (["2026-1-2", "2026-11-3"], None),
    "an instant that is not UTC, or not exact": (
        [
            "2026-11-23T02:00:00",
            "2026-11-23 02:00:00",
            "2026-11-23T02:00:00+02:00",
            "2026-11-23T02:00:00.5-05",
            "2026-11-23t02:00:00Z",
            "2026-11-23 02:00:00 Z",
            "2026-11-23T2:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T02:60:00Z",
            "2026-11-23T02:00:60Z",
            "2026-02-30T02:00:00Z",
            "2026-11-23T02:00:00.1234567Z",
        ],
        None,
    ),
}
NEVER_TEXT = {
    *words("1_000 1_000.5 1__0 1,000 1,5 60,000.00 20_400"),
    *(
        scalar
        for why, (scalars, _) in AMBIGUOUS.items()
        if re.match("a date|an instant", why)
        for scalar in scalars
    ),
}
AMBIGUOUS_CASES = [
    pytest.param(scalar, fix, id=f"{why}: {scalar}")
    for why, (scalars, fix) in AMBIGUOUS.items()
    for scalar in scalars
]


@pytest.mark.parametrize(("scalar", "fix"), AMBIGUOUS_CASES)
def test_ambiguous_scalar_is_refused_with_its_line_and_fix(scalar: str, fix: str | None) -> None:
    for loader in (yaml.CSafeLoader, yaml.SafeLoader):
        error = refusal(f"ok: 1\nkey:\n  {scalar}\n", loader)
        assert error.where == "f.yaml:3"
        assert error.what.startswith(f"`{scalar}" if len(scalar) <= 60 else "`")
        assert fix is None or error.fix.startswith(fix)
        assert scalar[:4] != "2026" or "without quotes" in error.fix
        assert (f'"{scalar}"' in error.fix) == (scalar not in NEVER_TEXT)
        if "," not in scalar:
            refusal(f"[{scalar}, 1]", loader)
        refusal(f"{scalar}: 1", loader)
        assert value_of(f'key: "{scalar}"', loader) == {"key": scalar}


@pytest.mark.parametrize(
    ("scalar", "in_utc"),
    [
        ("2026-11-23T02:00:00+02:00", "2026-11-23T00:00:00Z"),
        ("2026-11-23 02:00:00-05:00", "2026-11-23T07:00:00Z"),
    ],
)
def test_timestamp_with_an_offset_is_told_its_instant_in_utc(scalar: str, in_utc: str) -> None:
    assert refusal(f"as_of: {scalar}").fix == f"Write {in_utc}, without quotes."


@pytest.mark.parametrize(
    ("text", "plain"), [("60,000", "60000"), ("60,500", "60500"), ("1,250.75", "1250.75")]
)
def test_separator_inside_braces_is_named_and_not_taken_for_a_key(text: str, plain: str) -> None:
    error = refusal(f"STR-001: {{capital: {text}, target: 1}}\n")
    assert error.where == "f.yaml:1"
    assert error.what == f"The comma in `{text}` ends the value {text.split(',')[0]}."
    assert error.fix == f"Write numbers without separators: {plain}."


def test_ambiguous_values_do_not_hide_each_other() -> None:
    error = refusal("a: 010\nb: yes\nc: {d: 1_000, e: 2}\nc: 3\n")
    assert error.what.endswith("(3 more problems after this one.)")
    assert [(one.where, one.what.split("`")[1]) for one in each_problem(error)] == [
        ("f.yaml:1", "010"),
        ("f.yaml:2", "yes"),
        ("f.yaml:3", "1_000"),
        ("f.yaml:4", "c"),
    ]


def test_problems_without_end_are_counted_and_not_all_kept() -> None:
    error = refusal("- 010\n" * 100_000)
    assert len(each_problem(error)) == 51
    assert each_problem(error)[-1].what == "151 more problems from here on."


@BOTH_LOADERS
@pytest.mark.parametrize("key", ["1", "1.5", "true", "null", "~", "2026-11-23", "2026-11-23T02:00:00Z"])
def test_key_that_is_not_text_is_refused_unless_quoted(loader: Any, key: str) -> None:
    error = refusal(f"a: 1\n{key}: 2\n", loader)
    assert error.where == "f.yaml:2"
    assert error.what == f"`{key}` cannot be a key: keys are text."
    assert value_of(f"a: 1\n'{key}': 2\n", loader) == {"a": 1, key: 2}


@BOTH_LOADERS
@pytest.mark.parametrize("text", ["? [1]\n: 2\n", "? {a: 1}\n: 2\n", "{[1]: 2}", "{? : 1}", "? \n: 1\n"])
def test_key_that_is_a_collection_or_nothing_is_refused(loader: Any, text: str) -> None:
    assert refusal(text, loader).where == "f.yaml:1"


@BOTH_LOADERS
@pytest.mark.parametrize("key", ["<<", "'<<'"])
def test_merge_key_is_refused(loader: Any, key: str) -> None:
    error = refusal(f"a: 1\n{key}: {{b: 2}}\n", loader)
    assert (error.where, error.what) == ("f.yaml:2", "Merge keys (<<) are not allowed.")


@BOTH_LOADERS
@pytest.mark.parametrize("node", ["&x 1", "&x [1]", "&x {a: 1}", "*x"])
def test_anchor_and_alias_are_refused(loader: Any, node: str) -> None:
    error = refusal(f"a: 1\nb: {node}\n", loader)
    assert error.where == "f.yaml:2"
    assert error.what.startswith("Anchors and aliases")


MERGE_BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n}\n  <<: [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 25)
)


@BOTH_LOADERS
def test_merge_bomb_is_refused_at_its_first_anchor(loader: Any) -> None:
    assert len(MERGE_BOMB) < 800
    started = time.perf_counter()
    assert refusal(MERGE_BOMB, loader).where == "f.yaml:1"
    assert time.perf_counter() - started < 3  # safe_load: five seconds, doubling with every line


@BOTH_LOADERS
@pytest.mark.parametrize("tag", ["!!str", "!", "!int", "!!python/object/apply:os.system", "!<x>"])
def test_explicit_tag_is_refused(loader: Any, tag: str) -> None:
    for node in ("a", "[1]", "{b: 1}"):
        error = refusal(f"a: 1\nb: {tag} {node}\n", loader)
        assert error.where == "f.yaml:2"
        assert error.what.startswith("The tag ")


@BOTH_LOADERS
@pytest.mark.parametrize("directive", ["%YAML 1.1", "%YAML 1.2", "%TAG ! tag:x,2000:", "%FOO"])
def test_directive_is_refused(loader: Any, directive: str) -> None:
    error = refusal(f"# c\n{directive}\n---\na: 1\n", loader)
    assert error.where == "f.yaml:2"
    assert "directive" in error.what


@BOTH_LOADERS
@pytest.mark.parametrize("text", ["a: 1\n---\nb: 2\n", "a: 1\n...\n---\n", "--- a\n--- b\n"])
def test_second_document_is_refused(loader: Any, text: str) -> None:
    error = refusal(text, loader)
    assert error.where == f"f.yaml:{text[: text.rindex('---')].count(chr(10)) + 1}"
    assert error.what == "A second document begins here."


@BOTH_LOADERS
@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "---\n...\n"])
def test_empty_document_is_refused(loader: Any, text: str) -> None:
    error = refusal(text, loader)
    assert error.what == "The document is empty."
    assert "remove" not in error.fix.lower()


@BOTH_LOADERS
@pytest.mark.parametrize("nest", ["[", "- ", "{a: ", "[{a: "], ids=repr)
def test_nesting_beyond_sixteen_is_refused_without_recursion(loader: Any, nest: str) -> None:
    started = time.perf_counter()
    error = refusal(nest * (100_000 // len(nest)), loader)
    assert error.where == "f.yaml:1"
    assert error.what == "Nested deeper than 16 levels."
    assert time.perf_counter() - started < 5


@BOTH_LOADERS
def test_nesting_of_sixteen_is_read_and_seventeen_is_refused_by_line(loader: Any) -> None:
    expected: Value = 1
    for _ in range(16):
        expected = [expected]
    assert value_of("[" * 16 + "1" + "]" * 16, loader) == expected
    block = "".join(f"{' ' * depth}k:\n" for depth in range(16))
    assert parse(block, label="f.yaml", _loader=loader).line(["k"] * 16) == 16
    assert refusal(f"{block}{' ' * 16}k:\n", loader).where == "f.yaml:17"


INVISIBLE = {
    "right-to-left override": "\u202e",
    "isolate": "\u2066",
    "zero-width space": "\u200b",
    "zero-width joiner": "\u200d",
    "soft hyphen": "\u00ad",
    "byte order mark": "\ufeff",
    "tag letter": "\U000e0041",
    "variation selector": "\U000e0100",
    "Hangul filler": "\u3164",
    "private use": "\ue000",
    "unassigned": "\u0378",
    "noncharacter": "\uffff",
    "line separator": "\u2028",
    "paragraph separator": "\u2029",
    "next line": "\u0085",
    "NUL": "\0",
    "bell": "\a",
    "escape": "\x1b",
    "backspace": "\b",
    "form feed": "\f",
    "delete": "\x7f",
    "lone high surrogate": "\ud800",
    "lone low surrogate": "\udfff",
    "lone carriage return": "\r",
}


@BOTH_LOADERS
@pytest.mark.parametrize("character", INVISIBLE.values(), ids=INVISIBLE)
def test_invisible_character_is_refused_wherever_it_stands(loader: Any, character: str) -> None:
    for text in ("a: 1\r\nb: x{}y", "a: 1\nb: 'x{}y'", "a: 1\n# x{}y\nb: 1", "a: 1\nk{}: 1", "a: 1\n{}b: 1"):
        error = refusal(text.format(character), loader, first_line=3)
        assert error.where == "f.yaml:4"
        assert f"U+{ord(character):04X}" in error.what


@BOTH_LOADERS
@pytest.mark.parametrize("character", INVISIBLE.values(), ids=INVISIBLE)
def test_invisible_character_is_refused_behind_an_escape(loader: Any, character: str) -> None:
    error = refusal(f'a: 1\nb: "x\\U{ord(character):08x}y"\n', loader)
    assert error.where == "f.yaml:2"
    assert refusal(f'a: 1\n"x\\U{ord(character):08x}y": 1\n', loader).where == "f.yaml:2"


@BOTH_LOADERS
@pytest.mark.parametrize(
    "escape", ["\\0", "\\a", "\\e", "\\N", "\\L", "\\P", "\\ud83d\\ude00", "\\UFFFFFFFF", "\\r"]
)
def test_escape_that_is_no_visible_character_is_refused(loader: Any, escape: str) -> None:
    assert refusal(f'a: 1\nb: "{escape}"\n', loader).where == "f.yaml:2"


def test_size_is_capped_in_bytes() -> None:
    head = "key: "
    assert value_of(head + "x" * (1_000_000 - len(head))) == {"key": "x" * (1_000_000 - len(head))}
    error = refusal(head + "x" * (1_000_001 - len(head)), first_line=7)
    assert (error.where, error.what) == ("f.yaml:7", "The text is longer than 1000000 bytes.")
    assert refusal(head + "é" * 500_000).what == "The text is longer than 1000000 bytes."


@BOTH_LOADERS
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\n b: 2\n", 2),
        ("a: 1\n\tb: 2\n", 2),
        ("a: [1, 2\nb: 3\n", 2),
        ("a: 1\nb: }\n", 2),
        ("a: @x\n", 1),
        ("a: `x`\n", 1),
        ("a: 'x\n", 1),
        ('a: 1\nb: "\\q"\n', 2),
        ("- a\nb: 1\n", 2),
    ],
)
def test_malformed_yaml_is_refused_with_its_line(loader: Any, text: str, line: int) -> None:
    error = refusal(text, loader, first_line=100)
    assert error.where == f"f.yaml:{line + 99}"
    assert error.what.startswith("Not valid YAML: ")


def test_a_tab_that_our_writer_could_not_read_is_refused() -> None:
    text = "cash: 100\t# USDT\n"
    assert value_of(text, yaml.CSafeLoader) == {"cash": 100}
    assert refusal(text).where == "f.yaml:1"
    assert value_of("a: 'x\ty'\nb: |\n  x\ty\n# x\ty\n") == {"a": "x\ty", "b": "x\ty\n"}


def test_whatever_the_parser_raises_is_a_refusal() -> None:
    class Failing:
        error: Exception

        def __init__(self, _stream: str) -> None: ...

        def check_event(self) -> bool:
            raise self.error

        def dispose(self) -> None: ...

    for raised in (
        RecursionError("deep"),
        ValueError("v"),
        UnicodeError("u"),
        OverflowError(),
        yaml.YAMLError("y"),
    ):
        Failing.error = raised
        assert refusal("a: 1", Failing, first_line=5).where == "f.yaml:5"


# --- properties ------------------------------------------------------------------------------------------

FRAGMENTS = st.sampled_from(
    [
        *"ab10-:?[]{},'\"#|>!&*%@`\\+~=.\n\t ",
        ": ",
        "- ",
        "\n  ",
        "\n- ",
        "\r\n",
        "---",
        "...",
        "<<: ",
        " #",
        "\\x41",
        "\\ud800",
        "\\UFFFFFFFF",
        "yes",
        "null",
        "true",
        "0x1",
        "1e5",
        "2026-11-23",
        "T02:00:00Z",
        "é",
        "\u202e",
        "\ud800",
        "😀",
    ]
)
ANY_TEXT = st.one_of(st.text(max_size=60), st.lists(FRAGMENTS, max_size=25).map("".join))


def parsed(text: str, loader: Any) -> Document | None:
    try:
        return parse(text, label="f.yaml", _loader=loader)
    except StrictYamlError as error:
        refused = error
    assert refused.where.startswith("f.yaml:")
    assert 1 <= int(refused.where.removeprefix("f.yaml:")) <= text.count("\n") + text.count("\r") + 1
    assert refused.fix
    return None


@settings(max_examples=400, deadline=None)
@given(ANY_TEXT)
@example("[" * 2_000)
@example('"\\UFFFFFFFF"')
@example("- !")
def test_any_text_is_a_document_or_a_refusal_and_both_parsers_agree(text: str) -> None:
    with_c, with_python = parsed(text, yaml.CSafeLoader), parsed(text, yaml.SafeLoader)
    if with_c and with_python:
        assert with_c == with_python
    by_default = parsed(text, None)
    assert by_default in (with_c, with_python)


def same(ours: object, theirs: object) -> bool:
    """Whether another reader understood the same; it may know dates and has no exact decimals."""
    match ours:
        case bool() | None:
            return ours is theirs
        case int():
            return type(theirs) is int and ours == theirs
        case Decimal():
            return isinstance(theirs, float) and float(ours) == theirs
        case str():
            return ours == theirs or (isinstance(theirs, date) and ours[:10] == theirs.isoformat()[:10])
        case list():
            return isinstance(theirs, list) and len(ours) == len(theirs) and all(map(same, ours, theirs))
        case dict():
            return (
                isinstance(theirs, dict)
                and list(ours) == list(theirs)
                and all(same(ours[key], theirs[key]) for key in ours)
            )
    return False


SCALAR_PARTS = st.one_of(
    st.sampled_from("0123456789+-._:eExXobTZ ,ynatruefl~=<"),
    st.sampled_from(
        ["yes", "no", "on", "off", "true", "null", "nan", "inf", "0x", "0o", "0b", "2026-11-23", ":00", "e5"]
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(SCALAR_PARTS, min_size=1, max_size=8).map("".join))
@example("-_")
def test_yaml_1_1_and_1_2_readers_agree_on_whatever_is_accepted(scalar: str) -> None:
    text = f"key: {scalar}\n"
    document = parsed(text, None)
    if document:
        assert same(document.value, yaml.safe_load(text))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert same(document.value, YAML(typ="safe", pure=True).load(text))


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(TREES, st.booleans(), st.sampled_from([None, 2]))
def test_json_reads_back_equal_or_is_refused(tree: Any, ascii_only: bool, indent: int | None) -> None:
    # What differs: integers beyond 18 digits and invisible characters are refused, and so is an astral
    # character behind an escape, which JSON writes as two surrogates.
    document = parsed(json.dumps(tree, ensure_ascii=ascii_only, indent=indent), None)
    if document:
        assert document.value == tree
        assert json.dumps(document.value) == json.dumps(tree)


PRINTABLE_TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18) + 1, 10**18 - 1)
    | st.text("abc é#:'\"\\{}[],&*!%@", max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab c", max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(PRINTABLE_TREES)
def test_json_of_visible_text_and_short_numbers_is_never_refused(tree: Any) -> None:
    for loader in (yaml.CSafeLoader, yaml.SafeLoader):
        assert value_of(json.dumps(tree, ensure_ascii=False), loader) == tree


@settings(max_examples=200, deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**12), max_value=10**12))
def test_a_decimal_keeps_every_digit(number: Decimal) -> None:
    text = format(number, "f")
    read = value_of(f"key: {text}")
    assert isinstance(read, dict)
    assert isinstance(read["key"], Decimal)
    assert format(read["key"], "f") == text


# --- validate --------------------------------------------------------------------------------------------


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def as_decimal(value: object) -> object:
    return Decimal(value) if type(value) is int else value


class Holding(Strict):
    capital: Annotated[Decimal, BeforeValidator(as_decimal), Field(ge=0)]
    target: Annotated[Decimal, BeforeValidator(as_decimal)] = Decimal(0)


class Windows(Strict):
    hour: int | None = Field(default=None, alias="1h")
    day: int | None = Field(default=None, alias="1d")


class Limits(Strict):
    max_single_strategy_percent: int = Field(default=40, gt=0, le=100)
    max_total_percent: int = 60

    @model_validator(mode="after")
    def _single_fits_total(self) -> Limits:
        if self.max_single_strategy_percent > self.max_total_percent:
            raise ValueError("the limit of one strategy is above the total")
        return self


class Portfolio(Strict):
    currency: Literal["USDT", "USD"] = "USDT"
    strategies: dict[str, Holding] = {}
    assets: tuple[str, ...] = ()
    pair: tuple[int, Windows] | None = None
    limits: Limits | None = None
    windows: Annotated[Windows | None, "shown"] = None
    either: int | str | None = None
    table: RootModel[dict[str, Limits]] | None = None
    enabled: bool = True


def failure(text: str, **keywords: Any) -> BadDataError:
    document = parse(text, label=".crypto/f.yaml", first_line=11)
    with pytest.raises(BadDataError) as caught:
        validate(document, Portfolio, **keywords)
    message = str(caught.value)
    assert "pydantic" not in message
    assert "http" not in message
    assert caught.value.__cause__ is None
    return caught.value


def test_a_document_becomes_a_model_with_tuples_for_lists() -> None:
    text = """
x:
  strategies:
    STR-001: {capital: 20400, target: 20000.50}
  assets: [BTC, ETH]
  windows: {1h: 3}
"""
    portfolio = validate(parse(text, label="f.yaml"), Portfolio, at=("x",))
    assert portfolio.strategies["STR-001"] == Holding(capital=Decimal(20400), target=Decimal("20000.50"))
    assert portfolio.assets == ("BTC", "ETH")
    assert portfolio.windows is not None
    assert portfolio.windows.hour == 3


def test_unknown_key_names_the_nearest_known_one_of_its_level() -> None:
    error = failure("currency: USDT\nlimits:\n  max_total_percent: 50\n  max_single_strategy_percnt: 20\n")
    assert error.where == ".crypto/f.yaml:14"
    assert error.what == "`limits.max_single_strategy_percnt` is not a known key."
    assert error.fix.startswith("Did you mean `max_single_strategy_percent`")


@pytest.mark.parametrize(
    ("text", "line", "near"),
    [
        ("curency: USDT\n", 11, "currency"),
        ("strategies:\n  STR-001:\n    capital: 1\n    tarjet: 2\n", 14, "target"),
        ("pair:\n- 1\n- 1hh: 3\n", 13, "1h"),
        ("windows: {1D: 3}\n", 11, "1d"),
        ("windows: {Hour: 3}\n", 11, None),
        ("table:\n  a:\n    max-total-percent: 3\n", 13, "max_total_percent"),
    ],
)
def test_the_level_is_found_through_dicts_tuples_aliases_and_roots(
    text: str, line: int, near: str | None
) -> None:
    error = failure(text)
    assert error.where == f".crypto/f.yaml:{line}"
    if near:
        assert f"`{near}`" in error.fix
    else:
        assert error.fix == "Remove it; known keys here: 1h, 1d."


def test_unknown_key_with_nothing_near_lists_the_known_ones() -> None:
    error = failure("limits: {zzz: 1}\n")
    assert error.fix == "Remove it; known keys here: max_single_strategy_percent, max_total_percent."


def test_missing_key_names_its_path_and_the_line_of_its_parent() -> None:
    error = failure("strategies:\n  STR-001:\n    target: 1\n")
    assert error.where == ".crypto/f.yaml:12"
    assert error.what == "`strategies.STR-001.capital` is missing."
    assert error.fix == "Add `capital` under `strategies.STR-001`."


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("currency: EUR", "`currency` is 'EUR', but should be 'USDT' or 'USD'."),
        ("enabled: 1", "`enabled` is 1, but should be true or false."),
        (
            "limits: {max_total_percent: true}",
            "`limits.max_total_percent` is true, but should be a whole number.",
        ),
        (
            "limits: {max_total_percent: 1.5}",
            "`limits.max_total_percent` is 1.5, but should be a whole number.",
        ),
        (
            "limits: {max_single_strategy_percent: 0}",
            "`limits.max_single_strategy_percent` is 0, but should be more than 0.",
        ),
        (
            "limits: {max_single_strategy_percent: 101}",
            "`limits.max_single_strategy_percent` is 101, but should be 100 or less.",
        ),
        (
            "limits: {max_single_strategy_percent: 61}",
            "`limits`: the limit of one strategy is above the total.",
        ),
        ("limits: [1]", "`limits` is a list, but should be a mapping of keys."),
        ("strategies:", "`strategies` is empty, but should be a mapping of keys."),
        ("assets: {a: 1}", "`assets` is a mapping, but should be a list."),
        ("assets: [BTC, 3]", "`assets[1]` is 3, but should be text."),
        ("either: [1]", "`either` is a list, but should be a whole number or text."),
        ("strategies: {a: {capital: -1}}", "`strategies.a.capital` is -1, but should be 0 or more."),
        (
            "strategies: {a: {capital: x}}",
            "`strategies.a.capital` is 'x', but should be a decimal number such as 10.0.",
        ),
        ("- 1", "`the whole document` is a list, but should be a mapping of keys."),
    ],
)
def test_a_wrong_value_is_said_in_plain_words(text: str, what: str) -> None:
    error = failure(text)
    assert (error.where, error.what) == (".crypto/f.yaml:11", what)
    assert error.fix


def test_a_number_in_quotes_is_told_to_lose_them() -> None:
    assert failure("limits: {max_total_percent: '50'}").fix == "Remove the quotes."


def test_the_first_error_in_the_file_is_named_and_the_others_are_counted() -> None:
    error = failure("enabled: 3\neither: [1]\nlimits:\n  x: 1\ncurrency: EUR\n", error=ConfigError)
    assert type(error) is ConfigError
    assert error.where == ".crypto/f.yaml:11"
    assert error.what == "`enabled` is 3, but should be true or false. (3 more problems after this one.)"
    assert "(1 more problem after" in failure("enabled: 3\ncurrency: EUR\n").what
    assert [(one.where, type(one)) for one in each_problem(error)] == [
        (f".crypto/f.yaml:{line}", ConfigError) for line in (11, 12, 14, 15)
    ]
    assert each_problem(error)[0].what == "`enabled` is 3, but should be true or false."


def test_a_message_stays_on_one_line_whatever_the_file_holds() -> None:
    assert failure('"a\\nb": 1\n').what == r"`a\nb` is not a known key."
    assert refusal('"a\\tb": 1\n"a\\tb": 2\n').what == r"The key `a\tb` stands twice, on lines 1 and 2."
    assert len(str(failure(f"currency: {'x' * 900}\n"))) < 200


def test_a_path_that_is_not_there_is_missing_data() -> None:
    error = failure("a:\n  b: 1\n", at=("a", "portfolio_state"))
    assert type(error) is MissingDataError
    assert (error.where, error.what) == (".crypto/f.yaml:11", "`a.portfolio_state` is missing.")
    error = failure("c: 1\nb: {}\n", at=("a", "b"))  # the b that is there is another
    assert (error.what, error.fix) == ("`a.b` is missing.", "Add `a` there.")
    assert type(failure("- {}\n", at=(1,))) is MissingDataError
    error = failure("x:\n  limits:\n    max_total: 1\n", at=("x",))
    assert (error.where, error.what) == (".crypto/f.yaml:13", "`x.limits.max_total` is not a known key.")


# --- pins: what the libraries do by themselves -----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\na: 2", {"a": 2}),
        ("no", False),
        ("010", 8),
        ("1:30", 90),
        ("1_000", 1000),
        ("1e-3", "1e-3"),
        ("nan", "nan"),
        ("1.0e+999", float("inf")),
        ("'a\u202eb\u200b'", "a\u202eb\u200b"),
    ],
)
def test_pin_pyyaml_reads_traps_in_silence(text: str, value: object) -> None:
    assert yaml.safe_load(text) == value


def test_pin_pyyaml_errors_that_are_not_yaml_errors() -> None:
    with pytest.raises(ValueError, match="month"):
        yaml.safe_load("2026-13-45")
    with pytest.raises(RecursionError):
        yaml.safe_load("[" * 2_000)


def test_pin_pyyaml_writes_text_that_others_read_as_a_number() -> None:
    assert yaml.safe_dump({"a": "1e3"}) == "a: 1e3\n"
    refusal(yaml.safe_dump({"a": "1e3"}))


def test_pin_ruamel_reads_010_as_ten() -> None:
    assert YAML(typ="safe", pure=True).load("010") == 10


def test_pin_composing_deep_nesting_with_the_c_loader_kills_the_process_or_fails_and_we_refuse_it() -> None:
    text = "'[' * 100_000"
    limits = (
        "import resource as r\n"
        "r.setrlimit(r.RLIMIT_STACK, (8 << 20, r.getrlimit(r.RLIMIT_STACK)[1]))\n"
        "r.setrlimit(r.RLIMIT_CORE, (0, 0))\n"
    )
    composing = f"{limits}import yaml\nyaml.load({text}, yaml.CSafeLoader)\n"
    # Up to PyYAML 6.0.3 the process dies of it; from 6.0.4 on the parser gives up at a depth of its own.
    assert subprocess.run([sys.executable, "-c", composing], stderr=subprocess.DEVNULL).returncode != 0
    ours = (
        "from portfolio_rebalance.workspace.strict_yaml import parse\n"
        "from portfolio_rebalance.errors import StrictYamlError\n"
        f"try: parse({text}, label='f')\n"
        "except StrictYamlError: raise SystemExit(14)\n"
    )
    assert subprocess.run([sys.executable, "-c", ours]).returncode == 14


def test_pin_pydantic_by_default_takes_what_our_models_must_not() -> None:
    class Loose(BaseModel):
        limit: float = Field(default=60, ge=0)
        number: float = 0

    assert Loose.model_validate({"limt": 10}).limit == 60  # the mistyped limit vanishes
    read = [Loose.model_validate({"number": taken}).number for taken in (True, "nan", "1e999", "1_000")]
    assert repr(read) == "[1.0, nan, inf, 1000.0]"
    assert Loose.model_validate({"limit": float("inf")}).limit == float("inf")
    assert Loose(limit=1).model_copy(update={"limit": "x"}).limit == "x"  # type: ignore[comparison-overlap]
    with pytest.raises(ValidationError):
        Holding.model_validate({"capital": Decimal("NaN")})


def test_pin_strict_pydantic_does_not_take_an_integer_for_a_decimal_nor_text_for_a_date() -> None:
    class Exact(Strict):
        number: Decimal = Decimal(0)
        day: date = date(2026, 11, 23)

    for bad in ({"number": 1}, {"day": "2026-11-23"}):
        with pytest.raises(ValidationError):
            Exact.model_validate(bad)
