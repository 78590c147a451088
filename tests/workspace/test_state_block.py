"""Our block is found among everything a person may write in a Markdown document, or it is refused."""

from __future__ import annotations

import pytest

from portfolio_rebalance.errors import BadDataError, MissingDataError
from portfolio_rebalance.workspace.state_block import find_state_block

OURS = "```yaml\nportfolio_state:\n  a: 1\n```\n"


def found(text: str) -> str:
    block = find_state_block(text, label="B.md")
    assert text[block.start : block.start + len(block.text)] == block.text
    assert text.count("\n", 0, block.start) + 1 == block.first_line
    return block.text


def refusal(text: str) -> BadDataError:
    with pytest.raises(BadDataError) as caught:
        find_state_block(text, label="B.md")
    assert caught.value.where.startswith("B.md:")
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "# Title\n\n{}\ntext\n",
        "```yaml\nother: [\n```\n{}",  # another tool's block, not even YAML
        "```yaml\n- &a *b !!x\n```\n{}```\n\x07\n```\n",
        "````markdown\n```yaml\nportfolio_state: an example\n```\n````\n{}",
        "~~~yaml\nportfolio: 1\n~~~\n{}",
        "~~~text\n```\n~~~\n{}",
        "<!--\n```yaml\nportfolio_state:\n  a: old\n```\n-->\n{}",
        "<!-- note -->\n{}<!-- ``` -->\n",
        "```inline``` code\n\n{}",
        "    ```yaml\n    portfolio_state: in an indented code block\n\n{}",
        "```yaml\nlive:\n  portfolio_state: of somebody else\n```\n{}",
        "```yaml\nmy_portfolio_state:\n  a: 2\nportfolio_state_old: 3\n```\n{}",
        "```python\nportfolio_state: int = 3\n```\n{}",
        "> ```yaml\n> portfolio_state: quoted\n> ```\n\n{}",
    ],
)
def test_is_found_among_other_blocks(around: str) -> None:
    assert found(around.replace("{}", OURS)) == "portfolio_state:\n  a: 1\n"


@pytest.mark.parametrize(
    "block",
    [
        "```yaml\nportfolio_state: {}\n```",
        "```yml\nportfolio_state: {}\n```",
        "```YAML title=x\nportfolio_state: {}\n```",
        "``` yaml\nportfolio_state: {}\n``` \t",
        "~~~yaml\nportfolio_state: {}\n~~~~~",
        "`````yaml\n# ```\nportfolio_state: {}\n`````",
        '```yaml\n# first\nversion: 1\n"portfolio_state" : {}\n```',
        "```yaml\r\nportfolio_state: {}\r\n```\r\n",
    ],
)
def test_all_spellings_of_a_fenced_block_count(block: str) -> None:
    assert "portfolio_state" in found(f"text\n\n{block}")


def test_two_blocks_are_refused_with_both_lines() -> None:
    error = refusal(f"# one\n{OURS}\n# two\n{OURS}")
    assert "lines 2 and 8" in error.what
    assert error.where == "B.md:8"


def test_none_is_refused() -> None:
    assert isinstance(refusal("# only words\n"), MissingDataError)
    assert isinstance(refusal(""), MissingDataError)


def test_block_of_another_language_is_named_where_it_is_probably_meant() -> None:
    error = refusal("words\n```\nportfolio_state:\n  a: 1\n```\n")
    assert error.where == "B.md:2"
    assert "```yaml" in error.fix


def test_block_that_hides_ours_is_named() -> None:
    error = refusal(f"words\n```text\nnever closed\n~~~\n\n{OURS}")
    assert error.where == "B.md:2"
    assert "close it before ours" in error.fix


@pytest.mark.parametrize("text", ["```yaml\nportfolio_state: {}\n", "```yaml\nportfolio_state: {}\n~~~\n"])
def test_block_that_is_never_closed_is_refused(text: str) -> None:
    assert "never closed" in refusal(text).what


def test_indented_block_is_refused() -> None:
    assert "indented" in refusal("- item\n\n  ```yaml\n  portfolio_state:\n    a: 1\n  ```\n").what
