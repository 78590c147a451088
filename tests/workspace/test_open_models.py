"""Keys of others are accepted; a slip of the pen is not."""

from __future__ import annotations

import pytest
from pydantic import Field

from portfolio_rebalance.errors import BadDataError, MissingDataError
from portfolio_rebalance.workspace import strict_yaml
from portfolio_rebalance.workspace.open_models import OpenModel, read_open, unknown_keys


class Inner(OpenModel):
    value: int
    account: str | None = None


class Outer(OpenModel):
    name: str
    hour: int | None = Field(default=None, alias="1h")
    one: Inner | None = None
    many: tuple[Inner, ...] = ()
    by_id: dict[str, Inner] = Field(default_factory=dict)


def document(text: str) -> strict_yaml.Document:
    return strict_yaml.parse(text, label="F")


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("name: x\n", []),
        ("name: x\nnote: 1\n", [("note",)]),
        ("name: x\none: {value: 1, note: {a: [1]}}\n", [("one", "note")]),
        ("name: x\nmany: [{value: 1}, {value: 2, z: 1}]\n", [("many", 1, "z")]),
        ("name: x\nby_id: {account: {value: 1, z: 1}}\n", [("by_id", "account", "z")]),
        ("name: x\nhour: 3\n", [("hour",)]),  # the field's name is not a key of the file
        ("name: x\n2h: 3\n24h: 1\n", [("2h",), ("24h",)]),  # too short for a resemblance to mean anything
        ("name: x\nnames: [z]\n", [("names",)]),  # the known one is there too
        ("name: x\none: {value: 1, values: 3}\n", [("one", "values")]),
    ],
)
def test_unknown_keys_are_accepted_and_reported(text: str, unknown: list[tuple[object, ...]]) -> None:
    assert read_open(document(text), Outer).name == "x"
    assert list(unknown_keys(document(text), Outer)) == unknown


@pytest.mark.parametrize(
    ("text", "line", "near"),
    [
        ("nme: x\n", 1, "name"),
        ("Name: x\n", 1, "name"),
        ("name: x\n1H: 2\n", 2, "1h"),
        ("name: x\none:\n  vaule: 1\n", 3, "value"),
        ("name: x\none:\n  value: 1\n  acount: a\n", 4, "account"),
        ("name: x\none:\n  value: 1\n  Account: a\n", 4, "account"),
        ("name: x\nmany:\n  - value: 1\n  - VALUE: 1\n", 4, "value"),
        ("name: x\nby_id:\n  a: {value: 1}\n  b: {values: 1}\n", 4, "value"),
        ("name: x\nby-id: {}\n", 2, "by_id"),
        ('name: x\n"by id": {}\n', 2, "by_id"),
    ],
)
def test_slip_of_the_pen_is_refused_with_its_line_and_the_known_key(text: str, line: int, near: str) -> None:
    with pytest.raises(BadDataError, match=f"looks like `{near}`, which is absent") as caught:
        read_open(document(text), Outer)
    assert caught.value.where == f"F:{line}"


def test_way_out_is_to_write_the_known_key_too() -> None:
    assert read_open(document("name: x\none: {value: 1, account_id: 7, account: null}\n"), Outer).one


def test_below_a_path() -> None:
    text = "a:\n  - name: x\n    nam: 1\n"
    assert list(unknown_keys(document(text), Outer, at=("a", 0))) == [("a", 0, "nam")]
    with pytest.raises(MissingDataError):
        read_open(document(text), Outer, at=("b", "c"))
    with pytest.raises(MissingDataError):
        read_open(document(text), Outer, at=("a", 1))


@pytest.mark.parametrize(
    "text",
    [
        "3\n",
        "name: x\none: 3\n",
        "name: x\nmany: {}\n",
        "name: x\nby_id: []\n",
        "name: x\none:\n  value: true\n",
    ],
)
def test_known_keys_stay_strict(text: str) -> None:
    with pytest.raises(BadDataError):
        read_open(document(text), Outer)
