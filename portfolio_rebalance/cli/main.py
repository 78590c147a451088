"""``main``: parse, call, present, exit.

The verbs return outcomes; :func:`main` writes one, once, and turns every error into an exit code. With
``--json`` standard output carries exactly one JSON object, whatever happens. Nothing here prompts, and this
is the only module that prints.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from portfolio_rebalance.cli.outcome import INTERRUPTED, PROGRAM, Outcome, of_error
from portfolio_rebalance.cli.plain_run import is_plain_run, plan
from portfolio_rebalance.cli.secrets import without_secrets

if TYPE_CHECKING:
    from portfolio_rebalance.reporting import Block

__all__ = ["main"]

_WIDEST: Final = 120
_ONE_THREAD: Final = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Args:
        argv: The words after the program's name. None: those of the process, which then is ours for one
            short run.
    """
    if argv is not None:
        return _run(list(argv))
    for name in ("stdout", "stderr"):  # a daemon may have closed them
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - stays open
    gc.disable()  # nearly all that is made stays alive until the end; walking it costs a fifth of a dry run
    try:
        return _run(sys.argv[1:])
    finally:
        gc.freeze()  # so does the walk on the way out


def _run(words: list[str]) -> int:
    for variable in _ONE_THREAD:  # numpy, imported later, would start a pool of threads
        os.environ.setdefault(variable, "1")
    os.environ.setdefault(
        "PYDANTIC_DISABLE_PLUGINS", "__all__"
    )  # nothing installed beside us may see records
    as_json = "--json" in (words[: words.index("--")] if "--" in words else words)
    try:
        return _present(_answer(words), as_json=as_json)
    except (Exception, KeyboardInterrupt) as error:
        return _present(of_error(error, typed=words), as_json=as_json)


def _answer(words: list[str]) -> Outcome:
    """Parse and call. What typer itself prints (help, version) is caught and becomes the outcome's text."""
    if is_plain_run(words):
        with redirect_stdout(StringIO()):
            return plan(words, progress=_progress)
    import typer

    from portfolio_rebalance.cli.verbs import app

    with redirect_stdout(StringIO()) as printed:
        answer = typer.main.get_command(app).main(
            args=words, prog_name=PROGRAM, complete_var="", standalone_mode=False, obj=_progress
        )
    if isinstance(answer, Outcome):
        return answer
    if answer == INTERRUPTED:
        raise KeyboardInterrupt
    return Outcome(document={"text": printed.getvalue()}, text=printed.getvalue())


def _present(outcome: Outcome, *, as_json: bool) -> int:
    """Write an outcome, once, and return its exit code."""
    stream = sys.stderr if outcome.refused and not as_json else sys.stdout
    text = without_secrets(
        outcome.as_json() if as_json else (outcome.text or _readable(outcome.blocks(), stream))
    )
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="replace")  # a name that the terminal cannot write must not stop the rest
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        with suppress(OSError, ValueError):  # else the interpreter's last flush complains
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(error, BrokenPipeError) or outcome.refused:  # read enough, or nobody to complain to
            return outcome.exit_code
        sys.stderr.write(f"error: cannot write the output: {error.strerror}\n")
        return 1
    return outcome.exit_code


def _readable(blocks: Sequence[Block], stream: TextIO) -> str:
    """Plain rows for a pipe, tables for a terminal; NO_COLOR means no bold either."""
    if not stream.isatty():
        from portfolio_rebalance.reporting import plain_text

        return plain_text(blocks)
    from rich.console import Console
    from rich.text import Text

    from portfolio_rebalance.reporting.terminal import renderables

    console = Console(
        file=stream, color_system=None if os.environ.get("NO_COLOR") else "auto", highlight=False
    )
    console.width = min(console.width, _WIDEST)
    with console.capture() as captured:
        for renderable in renderables(blocks, width=console.width):
            # A command that we wrapped could not be copied whole; the terminal wraps by itself.
            console.print(renderable, soft_wrap=isinstance(renderable, Text) and PROGRAM in renderable.plain)
    return captured.get()


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A function that shows the stage at work on standard error; silent where that is no terminal."""
    stream = sys.stderr
    if not stream.isatty():
        yield lambda _stage: None
        return

    def show_stage(stage: str) -> None:
        stream.write(f"\r\x1b[K{stage}...")
        stream.flush()

    try:
        yield show_stage
    finally:
        stream.write("\r\x1b[K")
        stream.flush()
