"""Edits change the values they are told to, and not one other byte."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.errors import BadDataError, MissingDataError, StrictYamlError
from portfolio_rebalance.workspace import (
    RegistryChange,
    set_bootstrap_state,
    set_registry_targets,
    strict_yaml,
)
from portfolio_rebalance.workspace.state_block import find_state_block

AT = datetime(2025, 2, 5, 2, 15, tzinfo=UTC)
BLOCK = '{at: "2025-02-05T02:15:00Z", reason: Reduce correlation, plan_id: ab12}'


def change(target: str | None = "16", *, reason: str = "Reduce correlation") -> RegistryChange:
    last = {"at": AT, "reason": reason, "plan_id": "ab12"}
    if target is None:
        return {"last_rebalance": last}
    return {"target_allocation_percent": Decimal(target), "last_rebalance": last}


def parsed(text: str) -> Any:
    return strict_yaml.parse(text, label="F").value


# --- registry: examples ----------------------------------------------------------------------------------

REGISTRY = """\
# my strategies
strategies:

  "STR-001":   # the first
      name:   funding   # two blanks
      target_allocation_percent:    20.50     # was 34
      note: |
        target_allocation_percent: 99

        kept
      assets: [ BTC,ETH ]   # odd spacing

  STR-003: {name: x, target_allocation_percent: 20, z: [1, {a: null}]}
other: 'quoted'
"""


def test_only_the_value_changes_and_the_new_key_is_one_line() -> None:
    edited = set_registry_targets(REGISTRY, {"STR-001": change()})
    assert edited == REGISTRY.replace("20.50", "16").replace(
        "# was 34\n", f"# was 34\n      last_rebalance: {BLOCK}\n"
    )


def test_in_braces_too() -> None:
    edited = set_registry_targets(REGISTRY, {"STR-003": change("14.5")})
    assert edited == REGISTRY.replace("percent: 20,", f"percent: 14.5, last_rebalance: {BLOCK},")


def test_target_alone() -> None:
    edited = set_registry_targets(REGISTRY, {"STR-001": {"target_allocation_percent": Decimal("7.25")}})
    assert edited == REGISTRY.replace("20.50", "7.25")


def test_rebalance_alone() -> None:
    edited = set_registry_targets(REGISTRY, {"STR-001": change(None)})
    assert edited == REGISTRY.replace("# was 34\n", f"# was 34\n      last_rebalance: {BLOCK}\n")


def test_nothing_to_change_changes_nothing() -> None:
    assert set_registry_targets(REGISTRY, {}) == REGISTRY
    assert set_registry_targets(REGISTRY, {"STR-001": {}}) == REGISTRY


LASTS = {
    "null": ("last_rebalance:", f"last_rebalance: {BLOCK}"),
    "null with a comment": ("last_rebalance:   # never", f"last_rebalance: {BLOCK}   # never"),
    "written null": ("last_rebalance: null # never", f"last_rebalance: {BLOCK} # never"),
    "tilde": ("last_rebalance: ~", f"last_rebalance: {BLOCK}"),
    "empty": ("last_rebalance: {}", f"last_rebalance: {BLOCK}"),
    "braces": (
        "last_rebalance: {plan_id: 'old', at: 2025-01-01T00:00:00Z, by: me, reason: drift}",
        "last_rebalance: {plan_id: ab12, at: 2025-02-05T02:15:00Z, by: me, reason: Reduce correlation}",
    ),
    "braces that lack a key": (
        'last_rebalance: {by: me, reason: "drift"}',
        'last_rebalance: {at: "2025-02-05T02:15:00Z", plan_id: ab12, by: me, reason: Reduce correlation}',
    ),
    "block": (
        """last_rebalance:  # when
      reason: drift # why
      by: [me]
      at: "2025-01-01T00:00:00Z"
      plan_id: x""",
        """last_rebalance:  # when
      reason: Reduce correlation # why
      by: [me]
      at: "2025-02-05T02:15:00Z"
      plan_id: ab12""",
    ),
    "block that lacks a key": (
        """last_rebalance:
      # a note
      by: |
        me
      plan_id: x""",
        """last_rebalance:
      # a note
      at: "2025-02-05T02:15:00Z"
      reason: Reduce correlation
      by: |
        me
      plan_id: ab12""",
    ),
    "long reason": (
        """last_rebalance:
      at: 2025-01-01T00:00:00Z
      reason: >
        drift of
        everything

      plan_id: x""",
        """last_rebalance:
      at: 2025-02-05T02:15:00Z
      reason: Reduce correlation

      plan_id: ab12""",
    ),
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("shape", LASTS)
@pytest.mark.parametrize("after", ["", "\n    tail: 1\n", "\n  STR-B: {}\n# end"])
def test_rebalance_that_is_there_is_replaced_in_its_own_shape(shape: str, newline: str, after: str) -> None:
    old, new = LASTS[shape]
    frame = "strategies:\n  STR-A:\n    target_allocation_percent: 5\n    {}" + after.replace("{}", "{{}}")
    text = frame.format(old).replace("\n", newline)
    assert set_registry_targets(text, {"STR-A": change()}) == frame.replace(": 5\n", ": 16\n").format(
        new
    ).replace("\n", newline)


ODD = {
    "no value in braces": (
        "strategies: {S: {target_allocation_percent: }}",
        f"strategies: {{S: {{target_allocation_percent:  16, last_rebalance: {BLOCK}}}}}",
    ),
    "no value and no line break": (
        "strategies:\n  S:\n    target_allocation_percent:",
        f"strategies:\n  S:\n    target_allocation_percent: 16\n    last_rebalance: {BLOCK}",
    ),
    "comment at the end": (
        "strategies:\n  S:\n    target_allocation_percent: 5 # x",
        f"strategies:\n  S:\n    target_allocation_percent: 16 # x\n    last_rebalance: {BLOCK}",
    ),
    "markers, quoted key, one blank": (
        "---\nstrategies:\n S:\n  'target_allocation_percent' : 5\n...\n",
        f"---\nstrategies:\n S:\n  'target_allocation_percent' : 16\n  last_rebalance: {BLOCK}\n...\n",
    ),
    "value on a line of its own": (
        "strategies:\n  S:\n    target_allocation_percent:\n      5\n    z: 1\n",
        "strategies:\n  S:\n    target_allocation_percent:\n      16\n"
        f"    last_rebalance: {BLOCK}\n    z: 1\n",
    ),
    "json": (
        '{"strategies": {"S": {"target_allocation_percent": 5}}}\n',
        f'{{"strategies": {{"S": {{"target_allocation_percent": 16, last_rebalance: {BLOCK}}}}}}}\n',
    ),
    "wide characters before": (
        "strategies:\n  é😀: {}  # 中😀\n  S: {target_allocation_percent: 5}  # 😀\n",
        "strategies:\n  é😀: {}  # 中😀\n"
        f"  S: {{target_allocation_percent: 16, last_rebalance: {BLOCK}}}  # 😀\n",
    ),
}


@pytest.mark.parametrize("place", ODD)
def test_odd_places(place: str) -> None:
    text, expected = ODD[place]
    assert set_registry_targets(text, {"S": change()}) == expected


@pytest.mark.parametrize(
    "reason", ["a: b", "#1", "no", "x\ny", 'say "yes"', "drift > 5 %", "\u2192 16 %", "", " "]
)
def test_reason_is_read_back_as_it_was(reason: str) -> None:
    edited = set_registry_targets(
        REGISTRY, {"STR-001": change(reason=reason), "STR-003": change(reason=reason)}
    )
    for key in ("STR-001", "STR-003"):
        assert parsed(edited)["strategies"][key]["last_rebalance"] == {
            "at": "2025-02-05T02:15:00Z",
            "reason": reason,
            "plan_id": "ab12",
        }


# --- registry: refusals ----------------------------------------------------------------------------------


UNSAFE = {
    "no strategies": ("strategies: {}\n", MissingDataError),
    "null strategies": ("strategies:\n", MissingDataError),
    "another file": ("other: 1\n", MissingDataError),
    "no target": ("strategies:\n  S: {name: x}\n", MissingDataError),
    "twice": (
        "strategies:\n  S: {target_allocation_percent: 5, target_allocation_percent: 5}\n",
        StrictYamlError,
    ),
    "list": ("strategies:\n  S: {target_allocation_percent: [5]}\n", BadDataError),
    "last is a list": (
        "strategies:\n  S: {target_allocation_percent: 5, last_rebalance: [1]}\n",
        BadDataError,
    ),
    "last is text": (
        "strategies:\n  S: {target_allocation_percent: 5, last_rebalance: ever}\n",
        BadDataError,
    ),
    "at is a mapping": (
        "strategies:\n  S: {target_allocation_percent: 5, last_rebalance: {at: {x: 1}}}\n",
        BadDataError,
    ),
    "question mark": ("strategies:\n  S:\n    ? target_allocation_percent\n    : 5\n", BadDataError),
    "key alone": ("strategies:\n  S: {target_allocation_percent, z: 1}\n", BadDataError),
    "question mark below": (
        "strategies:\n  S:\n    target_allocation_percent: 5\n    last_rebalance:\n      ? a\n      : b\n",
        BadDataError,
    ),
}


@pytest.mark.parametrize("why", UNSAFE)
def test_what_cannot_be_edited_safely_is_refused(why: str) -> None:
    text, error = UNSAFE[why]
    with pytest.raises(BadDataError) as caught:
        set_registry_targets(text, {"S": change()})
    assert type(caught.value) is error
    assert caught.value.fix


@pytest.mark.parametrize("reason", ["\u200b", "\u202e", "a\rb"])
def test_text_that_could_not_be_read_back_is_not_written(reason: str) -> None:
    with pytest.raises(ValueError, match="read back"):
        set_registry_targets(REGISTRY, {"STR-001": change(reason=reason)})


# --- BOOTSTRAP: examples ---------------------------------------------------------------------------------

BOOTSTRAP = """\
# Portfolio

```yaml
portfolio_state: {other: tool's own, unquoted: [}
```

Total: 60000. <!-- 20400 -->

```yaml
# ours
portfolio_state:
  as_of: 2025-02-05T01:30:00Z   # when
  note: 'total_capital: 60000'
  total_capital: 60000
  currency: USD
  deployed_strategies:
    STR-003: {capital: 12100, target: 12000, since: 2024}
    # the big one
    STR-001:
      target: 20000
      capital: 20400   # equity
```

```yaml
total_capital: 60000
```
""".replace("{other: tool's own, unquoted: [}", "").replace("portfolio_state: \n", "other_state: [\n")


def test_block_changes_and_the_document_stays() -> None:
    edited = set_bootstrap_state(
        BOOTSTRAP,
        as_of=AT,
        total_capital=Decimal("59990.50"),
        cash=Decimal("38390.5"),
        deployed={
            "STR-001": (Decimal(9600), Decimal("9598.48")),
            "STR-003": (Decimal(12_000), Decimal("11998.1")),
        },
    )
    expected = BOOTSTRAP.replace("as_of: 2025-02-05T01:30:00Z", "as_of: 2025-02-05T02:15:00Z")
    expected = expected.replace("  total_capital: 60000\n  currency", "  total_capital: 59990.50\n  currency")
    expected = expected.replace("{capital: 12100, target: 12000,", "{capital: 12000, target: 11998.1,")
    expected = expected.replace("target: 20000\n", "target: 9598.48\n").replace(
        "20400   # equity", "9600   # equity"
    )
    assert edited == expected


def test_cash_is_set_where_it_stands() -> None:
    text = BOOTSTRAP.replace("  currency: USD\n", "  currency: USD\n  cash:   # idle\n")
    edited = set_bootstrap_state(text, **state(cash=7))
    assert "  cash: 7   # idle\n" in edited


def state(*, cash: int = 10, capital: int = 100, total: int | None = None, **deployed: Any) -> dict[str, Any]:
    return {
        "as_of": AT,
        "total_capital": Decimal(2 * capital + cash if total is None else total),
        "cash": Decimal(cash),
        "deployed": deployed or {key: (Decimal(capital), Decimal(1)) for key in ("STR-001", "STR-003")},
    }


def test_amounts_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(BadDataError, match="do not make the new total"):
        set_bootstrap_state(BOOTSTRAP, **state(total=211))


@pytest.mark.parametrize("keys", [("STR-001",), ("STR-001", "STR-003", "STR-007"), ()])
def test_other_strategies_than_in_the_block_are_refused(keys: tuple[str, ...]) -> None:
    new = {**state(), "deployed": {key: (Decimal(1), Decimal(1)) for key in keys}}
    with pytest.raises(BadDataError, match="not those of the new state"):
        set_bootstrap_state(BOOTSTRAP, **new)


@pytest.mark.parametrize("text", ["# none\n", BOOTSTRAP + BOOTSTRAP, BOOTSTRAP.replace("as_of:", "asof:")])
def test_document_without_our_block_or_its_keys_is_refused(text: str) -> None:
    with pytest.raises(BadDataError):
        set_bootstrap_state(text, **state())


# --- anything a person may write -------------------------------------------------------------------------

WORDS = st.text("abc xyz:#'\"[]{}-,é→😀 0123", max_size=12)
COMMENTS = WORDS.map(lambda text: "" if not text else f"  # {text}")
BLANKS = st.sampled_from(["", "\n", "{indent}# a note: {{x: 1}}\n", "\n\n", "  # at another depth\n"])
FOREIGN = st.sampled_from(
    [
        "{k}: 1",
        "{k}: [1, {{a: null}}]",
        "{k}: {{target: 5, capital: 7}}",
        "{k}: 'it''s'",
        '{k}: "a \\"b\\" #c"',
        "{k}: |\n{indent}  target: 1\n\n{indent}  # no comment",
        "{k}:",
        "{k}:\n{indent}  capital: 3",
        "{k}:\n{indent}- 1\n{indent}- target: 2",
        "{k}: plain\n{indent}  goes on",
    ]
)


@st.composite
def lines_of_mapping(draw: Any, indent: str, known: list[str], most_foreign: int = 3) -> str:
    """A block mapping with these entries in any order, among foreign keys, comments and blank lines."""
    foreign = [
        draw(FOREIGN).format(k=f"x{number}", indent=indent)
        for number in range(draw(st.integers(0, most_foreign)))
    ]
    entries = draw(st.permutations([*known, *foreign]))
    parts = []
    for entry in entries:
        parts.append(draw(BLANKS).format(indent=indent))
        comment = draw(COMMENTS) if "\n" not in entry else ""
        parts.append(f"{indent}{entry}{comment}\n")
    return "".join(parts)


@st.composite
def registries(draw: Any) -> str:
    keys = draw(st.lists(st.sampled_from(["STR-A", "STR-B", "STR-C"]), min_size=1, unique=True))
    entries = []
    for key in keys:
        step = draw(st.sampled_from(["  ", "    "]))
        inner = f"  {step}"
        known = [
            f"name: {key.lower()}",
            f"target_allocation_percent: {draw(st.sampled_from(['20', '33.30', '0']))}",
        ]
        if draw(st.booleans()):
            known.append(
                draw(st.sampled_from(["last_rebalance:", "last_rebalance: {by: me}", "last_rebalance: {}"]))
            )
        entries.append(f"{key}:\n{draw(lines_of_mapping(inner, known))}".removesuffix("\n"))
    body = "".join(f"  {entry}\n" for entry in entries)
    text = f"# head\nstrategies:\n{body}tail: 1\n"
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


def comments_seen_by(text: str) -> list[str]:
    """The comments that another library finds, in order."""
    return [
        token.value
        for event in YAML().parse(StringIO(text))
        for group in (event.comment or ())
        for token in (group if isinstance(group, list) else [group])
        if token is not None and hasattr(token, "value")
    ]


def without_ours(value: Any) -> Any:
    """What must not change: everything but our keys."""
    ours = {
        "target_allocation_percent",
        "last_rebalance",
        "as_of",
        "total_capital",
        "cash",
        "capital",
        "target",
    }
    if isinstance(value, dict):
        return [(key, without_ours(item)) for key, item in value.items() if key not in ours]
    return [without_ours(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=120, deadline=None)
@given(registries(), st.lists(st.decimals(0, 100, places=4), min_size=3, max_size=3))
def test_registry_of_any_shape_keeps_all_that_is_not_ours(text: str, targets: list[Decimal]) -> None:
    before = parsed(text)
    keys = list(before["strategies"])
    changes = {key: change(str(target)) for key, target in zip(keys, targets, strict=False)}
    edited = set_registry_targets(text, changes)
    after = parsed(edited)
    for key in changes:
        assert (
            after["strategies"][key]["target_allocation_percent"] == changes[key]["target_allocation_percent"]
        )
        assert after["strategies"][key]["last_rebalance"]["plan_id"] == "ab12"
        by = (before["strategies"][key].get("last_rebalance") or {}).get("by")
        assert after["strategies"][key]["last_rebalance"].get("by") == by
    assert without_ours(after) == without_ours(before)
    assert untouched(edited) == untouched(text)
    assert edited.count("\n") - edited.count("\r\n") in (0, edited.count("\n"))


def untouched(text: str) -> list[str]:
    """The lines that no edit may touch, byte for byte, in order."""
    return [
        line
        for line in text.split("\n")
        if not re.match(r"\s*(target_allocation_percent|last_rebalance):", line)
    ]


@settings(max_examples=25, deadline=None)
@given(registries(), st.data())
def test_fifty_edits_later_only_our_values_differ(text: str, data: Any) -> None:
    keys = list(parsed(text)["strategies"])
    first = set_registry_targets(text, {key: change("1") for key in keys})
    current = first
    for step in range(50):
        key = keys[step % len(keys)]
        last = {"at": AT + timedelta(days=step), "reason": f"step {step}: go on", "plan_id": f"{step:08x}"}
        target = data.draw(st.decimals(0, 100, places=2)) if step % 10 == 0 else Decimal(step)
        current = set_registry_targets(
            current, {key: {"target_allocation_percent": target, "last_rebalance": last}}
        )
    again = set_registry_targets(current, {key: change("1") for key in keys})
    assert len(again.split("\n")) == len(first.split("\n"))
    assert untouched(again) == untouched(first)
    assert parsed(again) == parsed(first)


@settings(max_examples=60, deadline=None)
@given(registries())
def test_another_library_finds_the_same_comments(text: str) -> None:
    """ruamel.yaml is the independent reader here: it keeps comments, so it must find them all."""
    text = text.replace("\r\n", "\n")
    edited = set_registry_targets(text, {key: change() for key in parsed(text)["strategies"]})
    assert sorted("".join(comments_seen_by(edited)).split()) == sorted(
        "".join(comments_seen_by(text)).split()
    )
    assert YAML(typ="safe").load(edited)["tail"] == 1


@st.composite
def documents(draw: Any) -> str:
    keys = draw(st.lists(st.sampled_from(["STR-A", "STR-B", "STR-C"]), min_size=1, unique=True))
    shapes = []
    for key in keys:
        if draw(st.booleans()):
            shapes.append(f"{key}: {{target: 5, z: 1, capital: 7}}")
        else:
            inner = draw(lines_of_mapping("      ", ["capital: 7.50", "target: 5"]))
            shapes.append(f"{key}:\n{inner}".removesuffix("\n"))
    strategies = draw(lines_of_mapping("    ", shapes, most_foreign=0))
    known = [
        "as_of: 2025-02-05T01:30:00Z",
        "total_capital: 100",
        "currency: USD",
        f"deployed_strategies:\n{strategies}".removesuffix("\n"),
    ]
    if draw(st.booleans()):
        known.append("cash: 3")
    block = f"portfolio_state:\n{draw(lines_of_mapping('  ', known))}"
    around = st.sampled_from(
        ["", "words\n", "```yaml\nother: [\n```\n", "<!-- note -->\n", "\n\n", "é😀\n", "~~~\n```\n~~~\n"]
    )
    text = f"{draw(around)}```yaml\n{block}```\n{draw(around)}"
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


@settings(max_examples=120, deadline=None)
@given(documents(), st.decimals(1, 10**9, places=2), st.decimals(0, 10**6, places=4))
def test_document_of_any_shape_keeps_all_that_is_not_ours(text: str, capital: Decimal, cash: Decimal) -> None:
    block = find_state_block(text, label="F")
    before = parsed(block.text)
    keys = list(before["portfolio_state"]["deployed_strategies"])
    amounts = dict.fromkeys(keys, (capital, cash))
    new = {"as_of": AT, "total_capital": cash + capital * len(keys), "cash": cash}
    edited = set_bootstrap_state(text, **new, deployed=amounts)
    after_block = find_state_block(edited, label="F")
    after = parsed(after_block.text)["portfolio_state"]
    assert (after["as_of"], after["total_capital"]) == (format_instant(AT), new["total_capital"])
    assert after.get("cash", cash) == cash
    assert ("cash" in after) == ("cash" in before["portfolio_state"])
    assert all(after["deployed_strategies"][key]["capital"] == capital for key in keys)
    assert without_ours(after) == without_ours(before["portfolio_state"])
    assert edited[: block.start] == text[: block.start]
    assert edited[after_block.start + len(after_block.text) :] == text[block.start + len(block.text) :]
    assert len(edited.split("\n")) == len(text.split("\n"))
    ours = re.compile(r"\s*(STR-.: \{|as_of|total_capital|cash|capital|target)")
    assert [line for line in edited.split("\n") if not ours.match(line)] == [
        line for line in text.split("\n") if not ours.match(line)
    ]
    assert set_bootstrap_state(edited, **new, deployed=amounts) == edited


@pytest.mark.parametrize(
    "text", [REGISTRY, REGISTRY.replace("\n", "\r\n"), *(text for text, _ in ODD.values())]
)
def test_parser_in_python_places_values_like_the_one_in_c(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [key for key, entry in parsed(text)["strategies"].items() if entry]
    in_c = set_registry_targets(text, {key: change() for key in keys})
    monkeypatch.delattr(yaml, "CSafeLoader")
    in_python = set_registry_targets(text, {key: change() for key in keys})
    assert "".join(in_python.split()) == "".join(in_c.split())


@pytest.mark.parametrize(
    "value", ["-1", "100.01", "0.1234567890123", "NaN", "Infinity", "33.33333333333333333333333333"]
)
def test_target_that_the_reader_would_refuse_is_not_written(value: str) -> None:
    with pytest.raises(BadDataError, match="does not fit"):
        set_registry_targets(REGISTRY, {"STR-001": change(value)})


@pytest.mark.parametrize("value", ["-1", "0.1234567890123", "123456789012345678.1"])
def test_amount_that_the_reader_would_refuse_is_not_written(value: str) -> None:
    new = state()
    new["deployed"]["STR-001"] = (Decimal(100), Decimal(value))
    with pytest.raises(BadDataError, match="does not fit") as caught:
        set_bootstrap_state(BOOTSTRAP, **new)
    assert caught.value.where == "STR-001.target"
