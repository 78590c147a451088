"""What a verb came to: one JSON document, and what a person reads. Pure; errors become outcomes too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from portfolio_rebalance import __version__
from portfolio_rebalance.clock import format_instant
from portfolio_rebalance.errors import RebalanceError, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from portfolio_rebalance.records import RebalanceResult
    from portfolio_rebalance.reporting import Block

__all__ = ["INTERRUPTED", "PROGRAM", "Outcome", "of_error", "of_result", "of_version"]

PROGRAM: Final = "trading-portfolio-rebalance"
INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command came to.

    Attributes:
        document: Content of the JSON object.
        blocks: Builds what a person reads; left out where ``text`` is given.
        text: What a person reads, ready made.
        refused: Whether a person reads it on standard error.
    """

    document: Mapping[str, object] | RebalanceResult
    blocks: Callable[[], Sequence[Block]] = tuple
    text: str = ""
    exit_code: int = 0
    refused: bool = False

    def as_json(self) -> str:
        """One JSON object on one line, in ASCII."""
        from pydantic_core import PydanticSerializationError, to_json

        document = self.document
        if isinstance(document, Mapping):
            document = {"schema_version": 1, "exit_code": self.exit_code, **document}
        else:
            document = document.model_copy(update={"exit_code": self.exit_code})
        try:
            return to_json(document, by_alias=True, ensure_ascii=True).decode() + "\n"
        except (PydanticSerializationError, UnicodeEncodeError) as error:
            if "KeyboardInterrupt" in str(error):
                raise KeyboardInterrupt from None
            plain = document if isinstance(document, Mapping) else document.model_dump(by_alias=True)
            return to_json(_writable(plain), ensure_ascii=True).decode() + "\n"


def of_result(
    result: RebalanceResult, *, exit_code: int, workspace: str | None, as_of: datetime | None = None
) -> Outcome:
    """A run's result; a refused one is read on standard error."""
    from portfolio_rebalance.reporting import placed, result_blocks

    if result.error is not None:
        instant = None if as_of is None else format_instant(as_of)
        fix = placed(result.error.fix, workspace=workspace, as_of=instant)
        result = result.model_copy(update={"error": result.error.model_copy(update={"fix": fix})})
    return Outcome(
        document=result,
        blocks=lambda: result_blocks(result, workspace=workspace, as_of=as_of),
        exit_code=exit_code,
        refused=result.status == "refused",
    )


def of_version() -> Outcome:
    """The installed version."""
    return Outcome(document={"version": __version__}, text=f"{__version__}\n")


def of_error(error: BaseException, *, typed: Sequence[str] = ()) -> Outcome:
    """Any error as an outcome: what, where, what to do.

    Args:
        error: Whatever was raised.
        typed: The words of the command, for the place and the instant of one that is suggested.
    """
    from portfolio_rebalance.reporting import placed

    code, exit_code, what, where, fix = _explained(error)
    fix = placed(fix, workspace=_value_of("--workspace", typed), as_of=_value_of("--as-of", typed))
    what, where, fix = (_one_line(text) for text in (what, where, fix))

    def blocks() -> Sequence[Block]:
        from portfolio_rebalance.reporting import error_blocks

        return error_blocks(what=what, where=where, fix=fix)

    return Outcome(
        document={"status": "refused", "error": {"code": code, "what": what, "where": where, "fix": fix}},
        blocks=blocks,
        exit_code=exit_code,
        refused=True,
    )


def _value_of(option: str, typed: Sequence[str]) -> str | None:
    """What was typed for an option, with a blank or with ``=``; None where it was not."""
    for place, word in enumerate(typed):
        if word == option:
            return typed[place + 1] if place + 1 < len(typed) else None
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return None


def _explained(error: BaseException) -> tuple[str, int, str, str, str]:
    """Code, exit code, what, where, what to do."""
    if isinstance(error, RebalanceError):
        return error.code, error.exit_code, error.what, error.where, error.fix
    if isinstance(error, KeyboardInterrupt) or "KeyboardInterrupt" in str(error):
        return "interrupted", INTERRUPTED, "Interrupted.", "", ""
    if isinstance(error, OSError):
        return "os_error", 1, f"{error.strerror or error}.", str(error.filename or ""), ""
    import typer  # here, because a run that goes well never needs it

    if isinstance(error, typer.Abort):
        return "interrupted", INTERRUPTED, "Interrupted.", "", ""
    usage_error = cast("type[typer.BadParameter]", typer.BadParameter.__bases__[0])
    if isinstance(error, usage_error):  # click's own, wherever this typer keeps its click
        fix = f"See {PROGRAM} --help."
        return UsageError.code, UsageError.exit_code, error.format_message(), "command line", fix
    fix = "This is a fault of the program; please report it with the command you ran."
    return "unexpected", 1, f"{type(error).__name__}: {error}", "", fix


def _writable(node: object) -> object:
    """The same without what no encoding can write: a path may hold any byte."""
    if isinstance(node, Mapping):
        return {_writable(key): _writable(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_writable(value) for value in node]
    return node.encode("utf-8", "replace").decode() if isinstance(node, str) else node


def _one_line(text: str) -> str:
    """Words from a command line or a file name may hold what no encoding can write."""
    return " ".join(text.encode("utf-8", "replace").decode().split())
