"""A command that is suggested works where it is read: with the workspace and the instant that were named."""

from __future__ import annotations

from pathlib import Path

import pytest
from executing import approved, example_1

from portfolio_rebalance.cli.main import main
from portfolio_rebalance.reporting import placed

NAME = "trading-portfolio-rebalance"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Plan again: {NAME} --dry-run", f"Plan again: {NAME} --dry-run --workspace 'a b' --as-of T"),
        (
            f"In a terminal: {NAME} approve 12ab",
            f"In a terminal: {NAME} approve 12ab --workspace 'a b' --as-of T",
        ),
        (f"List them with: {NAME} history", f"List them with: {NAME} history --workspace 'a b'"),
        (f"Look, then: {NAME} resume.", f"Look, then: {NAME} resume --workspace 'a b' --as-of T."),
        (f"Use the version of {NAME} that wrote it, or a newer one.", None),
        (f"Create one with `{NAME} init`, or name one with --workspace.", None),
        (f"Run {NAME} status --workspace b --as-of U", None),
        ("Correct the file.", None),
    ],
)
def test_a_sentence_that_ends_with_a_command_gets_what_the_reader_named(
    text: str, expected: str | None
) -> None:
    assert placed(text, workspace="a b", as_of="T") == (expected or text)
    assert placed(text, workspace=None, as_of=None) == text


def test_a_refusal_suggests_what_can_be_typed_where_it_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = example_1(tmp_path)
    there = ["--workspace", str(root), "--as-of", "2025-02-05T02:00:00Z"]
    assert main(["--execute", *there]) == 11
    assert f"--workspace {root} --as-of 2025-02-05T02:00:00Z" in capsys.readouterr().err
    assert main(["show", "nothing", "--workspace", str(root)]) == 2
    assert f"fix: List them with: {NAME} history --workspace {root}\n" in capsys.readouterr().err
    plan_id = approved(root)
    assert main(["approve", plan_id, f"--workspace={root}", "--as-of", "2025-02-09T02:00:00Z"]) == 12
    assert f"--workspace {root}" in capsys.readouterr().err
